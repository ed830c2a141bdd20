// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: a guest's kernel can have CPUID fault in user mode, by two MSRs that
 * KVM has on every CPU; the VMM decides whether it may, and whether it can look.
 */
#include "harness.h"

#define MSR_PLATFORM_INFO	0xceu
#define MSR_MISC_FEATURES	0x140u
#define CAN_FAULT		(1ul << 31)	/* of the first */
#define FAULTS			(1ul << 0)	/* of the second */

VM_FIXTURE(fault);

/* CPUID changes rbx, where the compiler may keep something. */
#define TRY_CPUID()							\
	guest_try("mov %%rbx, %%r12\n\txor %%eax, %%eax\n\t"		\
		  "cpuid\n\tmov %%r12, %%rbx").vector

static void user_main(uint64_t unused)
{
	user_report(2, TRY_CPUID());
}

static void guest_main(uint64_t faults)
{
	guest_wrmsr(MSR_MISC_FEATURES, faults);
	guest_report(1, TRY_CPUID());
	guest_enter_user(user_main, 0);
}

TEST_F(fault, on)
{
	guest_enter_c(self->vcpu, guest_main, FAULTS);
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(FAULTS, vcpu_get_msr(self->vcpu, MSR_MISC_FEATURES));
}

TEST_F(fault, off)
{
	guest_enter_c(self->vcpu, guest_main, 0);
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 2));
}

#define TRY_WRMSR(index, value)						\
	guest_try("xor %%edx, %%edx\n\tmov %2, %%ecx\n\tmov %3, %%eax\n\t" \
		  "wrmsr", "i"(index), "i"(value)).vector

static void guest_writes(uint64_t unused)
{
	guest_report(1, guest_rdmsr(MSR_PLATFORM_INFO));
	guest_report(2, TRY_WRMSR(MSR_PLATFORM_INFO, 0));
	guest_report(3, TRY_WRMSR(MSR_MISC_FEATURES, FAULTS));
	guest_report(4, TRY_WRMSR(MSR_MISC_FEATURES, 2));
}

TEST_F(fault, guest_may_not_set_platform)
{
	struct vcpu *vcpu = self->vcpu;

	vcpu_set_msr(vcpu, MSR_PLATFORM_INFO, 0xff00);
	guest_enter_c(vcpu, guest_writes, 0);
	EXPECT_EQ(0xff00, vcpu_await(vcpu, 1));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 2));
	/* The platform has none. */
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 3));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 4));
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MSR_MISC_FEATURES));
}

TEST_F(fault, vmm)
{
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(CAN_FAULT, vcpu_get_msr(vcpu, MSR_PLATFORM_INFO));
	EXPECT_EQ(0, vcpu_get_msr(vcpu, MSR_MISC_FEATURES));
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MISC_FEATURES, 2));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MISC_FEATURES, FAULTS));
	/* Not while it is in use. */
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_PLATFORM_INFO, 0));
	EXPECT_EQ(CAN_FAULT, vcpu_get_msr(vcpu, MSR_PLATFORM_INFO));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_MISC_FEATURES, 0));
	EXPECT_EQ(1, vcpu_try_set_msr(vcpu, MSR_PLATFORM_INFO, 0));
	EXPECT_EQ(0, vcpu_try_set_msr(vcpu, MSR_MISC_FEATURES, FAULTS));
}

static void guest_looks(uint64_t unused)
{
	for (;;)
		guest_report(1, guest_try("mov %2, %%ecx\n\trdmsr",
					  "i"(MSR_PLATFORM_INFO)).vector);
}

TEST_F(fault, hidden)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MSR_PLATFORM_INFO };

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_MSR_PLATFORM_INFO));
	guest_enter_c(self->vcpu, guest_looks, 0);
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 1));
	must_ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap);
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 1));
	/* The VMM sees it still. */
	EXPECT_EQ(CAN_FAULT, vcpu_get_msr(self->vcpu, MSR_PLATFORM_INFO));
	cap.args[0] = 1;
	must_ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap);
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 1));
}

SLAT_HARNESS_MAIN
