// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: machine checks: what the VMM sets up the guest sees, and errors that
 * the VMM injects get to the guest as they would on a CPU.
 */
#include "harness.h"

#define MSR_MCG_CAP	0x179u
#define MSR_MCG_STATUS	0x17au
#define MSR_MCG_CTL	0x17bu
#define MSR_MC(bank, reg)	(0x400u + 4 * (bank) + (reg))
#define MSR_MC_CTL2(bank)	(0x280u + (bank))
#define MSR_HWCR	0xc0010015u

#define MCG_CTL_P	(1ul << 8)
#define MCIP		(1ul << 2)
#define VALID		(1ul << 63)
#define OVERFLOWED	(1ul << 62)
#define UNCORRECTED	(1ul << 61)
#define ENABLED		(1ul << 60)

#define MC_VECTOR	18
#define CR4_MCE		(1ul << 6)

FIXTURE(mce)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_SETUP(mce)
{
	uint64_t cap = 10 | MCG_CTL_P;

	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	must_ioctl(self->vcpu->fd, KVM_X86_SETUP_MCE, &cap);
}

FIXTURE_TEARDOWN(mce)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

TEST_F(mce, registers)
{
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(10 | MCG_CTL_P, vcpu_get_msr(vcpu, MSR_MCG_CAP));
	EXPECT_EQ(-1ul, vcpu_get_msr(vcpu, MSR_MCG_CTL));
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MSR_MCG_STATUS));
	EXPECT_EQ(-1ul, vcpu_get_msr(vcpu, MSR_MC(9, 0)));
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MSR_MC(9, 1)));
}

TEST_F(mce, setup_refusals)
{
	static const uint64_t bad[] = {
		0, 33, 0xff, MCG_CTL_P, 10 | 1ul << 63, 10 | 1ul << 25,
	};
	uint64_t supported;
	unsigned int i;

	EXPECT_EQ(32, slat_check_extension(KVM_CAP_MCE));
	must_ioctl(slat_fd(), KVM_X86_GET_MCE_CAP_SUPPORTED, &supported);
	EXPECT_TRUE(supported & MCG_CTL_P);
	EXPECT_EQ(0, supported & 0xff);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd,
						 KVM_X86_SETUP_MCE, &bad[i]));
	}
	EXPECT_EQ(10 | MCG_CTL_P, vcpu_get_msr(self->vcpu, MSR_MCG_CAP));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_X86_SETUP_MCE,
					 bad_pointers[0]));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_X86_SET_MCE,
					 bad_pointers[0]));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(),
					 KVM_X86_GET_MCE_CAP_SUPPORTED,
					 bad_pointers[0]));
}

TEST_F(mce, msr_refusals)
{
	struct vcpu *vcpu = self->vcpu;
	uint64_t value;

	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MCG_CAP, 5));
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MCG_CTL, 5));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MCG_CTL, 0));
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MC(3, 0), 5));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MC(4, 0), ~(1ul << 10)));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MC(9, 3), 0x1234));
	/* The VMM may say what happened; a bank that is not there stays so. */
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MC(9, 1), VALID));
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MC(10, 0), 0));
	EXPECT_EQ(0, vcpu_try_get_msr(vcpu, MSR_MC(10, 0), &value));
	EXPECT_EQ(0, vcpu_try_get_msr(vcpu, MSR_MC(31, 3), &value));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MC_CTL2(9), 0));
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MC_CTL2(9), 1));
	EXPECT_EQ(0, vcpu_try_get_msr(vcpu, MSR_MC_CTL2(10), &value));
}

static struct guest_fault guest_try_wrmsr(uint32_t index, uint64_t value)
{
	return guest_try("mov %%rbx, %%rax\n\tmov %%rbx, %%rdx\n\t"
			 "shr $32, %%rdx\n\tmov %%edi, %%ecx\n\twrmsr",
			 "b"(value), "D"(index));
}

static void guest_status(uint64_t unused)
{
	guest_report(1, guest_rdmsr(MSR_MCG_CAP));
	guest_report(2, guest_try_wrmsr(MSR_MC(2, 1), 0).vector);
	guest_report(3, guest_try_wrmsr(MSR_MC(2, 1), VALID).vector);
	guest_wrmsr(MSR_HWCR, 1 << 18);
	guest_report(4, guest_try_wrmsr(MSR_MC(2, 1), VALID).vector);
	guest_report(5, guest_rdmsr(MSR_MC(2, 1)));
	guest_report(6, guest_try("mov $0x282, %%ecx\n\trdmsr").vector);
}

TEST_F(mce, guest_writes_status)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_status, 0);
	EXPECT_EQ(10 | MCG_CTL_P, vcpu_await(vcpu, 1));
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 2));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 3));
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 4));
	EXPECT_EQ(VALID, vcpu_await(vcpu, 5));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 6));
}

/* --- injection */

static volatile uint64_t checks;

GUEST_HANDLER static void guest_mc(struct guest_frame *frame)
{
	checks++;
}

static void guest_takes_mc(uint64_t enable)
{
	guest_handlers[MC_VECTOR] = guest_mc;
	if (enable)
		write_cr4(read_cr4() | CR4_MCE);
	for (;;) {
		guest_report(1, checks);
		guest_report(2, guest_rdmsr(MSR_MC(3, 1)));
	}
}

static const struct kvm_x86_mce uncorrected = {
	.status = VALID | UNCORRECTED | ENABLED | 0x11, .addr = 0x1234,
	.misc = 0x77, .mcg_status = MCIP, .bank = 3,
};

TEST_F(mce, uncorrected)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_takes_mc, 1);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_X86_SET_MCE, &uncorrected));
	EXPECT_EQ(uncorrected.status, vcpu_get_msr(vcpu, MSR_MC(3, 1)));
	EXPECT_EQ(0x1234, vcpu_get_msr(vcpu, MSR_MC(3, 2)));
	EXPECT_EQ(0x77, vcpu_get_msr(vcpu, MSR_MC(3, 3)));
	EXPECT_EQ(MCIP, vcpu_get_msr(vcpu, MSR_MCG_STATUS));
	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	EXPECT_EQ(uncorrected.status, vcpu_await(vcpu, 2));
	/* A second one before the guest is done with the first. */
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_X86_SET_MCE, &uncorrected));
	vcpu_run_to(vcpu, KVM_EXIT_SHUTDOWN);
}

/* Without CR4.MCE there is nobody to tell. */
TEST_F(mce, uncorrected_shuts_down)
{
	guest_enter_c(self->vcpu, guest_takes_mc, 0);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_X86_SET_MCE,
				   &uncorrected));
	vcpu_run_to(self->vcpu, KVM_EXIT_SHUTDOWN);
}

TEST_F(mce, uncorrected_disabled)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_takes_mc, 1);
	vcpu_await(vcpu, 1);
	vcpu_await(vcpu, 2);
	vcpu_set_msr(vcpu, MSR_MC(3, 0), 0);
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_X86_SET_MCE, &uncorrected));
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
}

TEST_F(mce, corrected)
{
	struct kvm_x86_mce mce = { .status = VALID | ENABLED, .bank = 3 };
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_takes_mc, 1);
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_X86_SET_MCE, &mce));
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(VALID | ENABLED, vcpu_await(vcpu, 2));
	mce.status |= 5;
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_X86_SET_MCE, &mce));
	EXPECT_EQ(VALID | ENABLED | OVERFLOWED | 5,
		  vcpu_get_msr(vcpu, MSR_MC(3, 1)));
	/* Does not hide one that is worse. */
	vcpu_set_msr(vcpu, MSR_MC(3, 1), VALID | UNCORRECTED);
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_X86_SET_MCE, &mce));
	EXPECT_EQ(VALID | UNCORRECTED | OVERFLOWED,
		  vcpu_get_msr(vcpu, MSR_MC(3, 1)));
}

TEST_F(mce, set_refusals)
{
	struct kvm_x86_mce mce = uncorrected;

	mce.bank = 10;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd, KVM_X86_SET_MCE, &mce));
	mce.bank = 255;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd, KVM_X86_SET_MCE, &mce));
	mce.bank = 3;
	mce.status &= ~VALID;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd, KVM_X86_SET_MCE, &mce));
	EXPECT_EQ(0, vcpu_get_msr(self->vcpu, MSR_MCG_STATUS));
}

SLAT_HARNESS_MAIN
