// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: KVM_GET_MSRS and KVM_SET_MSRS stop at what they refuse and return how
 * many they did; counts and pointers are checked before anything is done.
 */
#include "harness.h"

VM_FIXTURE(msrs);

#define MSR_NONE	0x12345678u

/* nmsrs says n; there is memory for room entries, no more. */
static struct kvm_msrs *msrs_before_hole(unsigned int n, unsigned int room)
{
	struct kvm_msrs *msrs;

	msrs = mem_before_hole(sizeof(*msrs) + room * sizeof(msrs->entries[0]));
	msrs->nmsrs = n;
	return msrs;
}

static struct kvm_msrs *three_msrs(uint32_t a, uint32_t b, uint32_t c)
{
	struct kvm_msrs *msrs = msrs_before_hole(3, 3);
	unsigned int i;

	msrs->entries[0].index = a;
	msrs->entries[1].index = b;
	msrs->entries[2].index = c;
	for (i = 0; i < 3; i++)
		msrs->entries[i].data = 0x5500 + i;
	return msrs;
}

TEST_F(msrs, get_stops_at_unknown)
{
	struct kvm_msrs *msrs;

	vcpu_set_msr(self->vcpu, MSR_LSTAR, 0x1234);
	vcpu_set_msr(self->vcpu, MSR_STAR, 0x5678);
	msrs = three_msrs(MSR_LSTAR, MSR_NONE, MSR_STAR);
	EXPECT_EQ(1, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(0x1234, msrs->entries[0].data);
	EXPECT_EQ(0x5502, msrs->entries[2].data);
	msrs = three_msrs(MSR_NONE, MSR_LSTAR, MSR_STAR);
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(0x5501, msrs->entries[1].data);
	msrs = three_msrs(MSR_LSTAR, MSR_STAR, MSR_NONE);
	EXPECT_EQ(2, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(0x5678, msrs->entries[1].data);
}

TEST_F(msrs, set_stops_at_unknown)
{
	struct kvm_msrs *msrs = three_msrs(MSR_LSTAR, MSR_NONE, MSR_STAR);

	vcpu_set_msr(self->vcpu, MSR_STAR, 0x5678);
	EXPECT_EQ(1, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MSRS, msrs));
	EXPECT_EQ(0x5500, vcpu_get_msr(self->vcpu, MSR_LSTAR));
	EXPECT_EQ(0x5678, vcpu_get_msr(self->vcpu, MSR_STAR));
}

/* Values that the CPU would refuse from the guest. */
TEST_F(msrs, set_stops_at_bad_value)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} bad[] = {
		{ MSR_LSTAR, 1ul << 62 },
		{ MSR_CSTAR, 1ul << 62 },
		{ MSR_KERNEL_GS_BASE, 1ul << 62 },
		{ MSR_FS_BASE, 1ul << 62 },
		{ MSR_GS_BASE, 0x8000000000000000 },
		{ MSR_PAT, 0x0007040600070402 },	/* there is no type 2 */
		{ MSR_PAT, 0xff07040600070406 },
		{ MSR_EFER, 1ul << 40 },
		{ MSR_EFER, 1ul << 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t was = vcpu_get_msr(self->vcpu, bad[i].index);

		EXPECT_EQ(0, vcpu_try_set_msr(self->vcpu, bad[i].index,
					      bad[i].value)) {
			TH_LOG("MSR %#x = %#lx", bad[i].index, bad[i].value);
		}
		EXPECT_EQ(was, vcpu_get_msr(self->vcpu, bad[i].index));
	}
}

TEST_F(msrs, count)
{
	struct kvm_msrs *msrs = msrs_before_hole(256, 256);
	unsigned int i;

	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MSRS, msrs));
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(slat_fd(), KVM_GET_MSRS, msrs));
	msrs = msrs_before_hole(-1u, 3);
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MSRS, msrs));
	/* The largest count there is, and none. */
	msrs = msrs_before_hole(255, 255);
	for (i = 0; i < 255; i++)
		msrs->entries[i].index = MSR_LSTAR;
	EXPECT_EQ(255, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	msrs = msrs_before_hole(0, 0);
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MSRS, msrs));
}

TEST_F(msrs, bad_pointer)
{
	struct kvm_msrs *msrs = msrs_before_hole(3, 2);

	msrs->entries[0].index = MSR_LSTAR;
	msrs->entries[0].data = 0x9999;
	msrs->entries[1].index = MSR_STAR;
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_GET_MSRS, msrs));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MSRS, msrs));
	EXPECT_EQ(0, vcpu_get_msr(self->vcpu, MSR_LSTAR));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MSRS,
					 mem_before_hole(4)));
}

/*
 * The guest's own rdmsr and wrmsr of such an MSR are its #GP, not an exit. What
 * the CPU itself checks is left out: the emulated one lacks some checks.
 */
static void guest_bad_msrs(uint64_t unused)
{
	struct guest_fault fault;

	fault = guest_try("mov $0x12345678, %%ecx\n\trdmsr");
	guest_report(1, fault.vector << 32 | fault.error);
	fault = guest_try("mov $0x12345678, %%ecx\n\txor %%eax, %%eax\n\t"
			  "xor %%edx, %%edx\n\twrmsr");
	guest_report(2, fault.vector << 32 | fault.error);
	/* PAT, a type that there is not */
	fault = guest_try("mov $0x277, %%ecx\n\tmov $2, %%eax\n\t"
			  "xor %%edx, %%edx\n\twrmsr");
	guest_report(3, fault.vector << 32 | fault.error);
	/* EFER, a reserved bit; and LME, with paging on */
	fault = guest_try("mov $0xc0000080, %%ecx\n\tmov $0xd02, %%eax\n\t"
			  "xor %%edx, %%edx\n\twrmsr");
	guest_report(4, fault.vector << 32 | fault.error);
	fault = guest_try("mov $0xc0000080, %%ecx\n\tmov $0x001, %%eax\n\t"
			  "xor %%edx, %%edx\n\twrmsr");
	guest_report(5, fault.vector << 32 | fault.error);
	guest_report(6, guest_rdmsr(MSR_EFER));
}

TEST_F(msrs, guest)
{
	const uint64_t gp = (uint64_t)GP_VECTOR << 32;
	uint32_t tag;

	guest_enter_c(self->vcpu, guest_bad_msrs, 0);
	for (tag = 1; tag <= 5; tag++) {
		EXPECT_EQ(gp, vcpu_await(self->vcpu, tag)) {
			TH_LOG("case %u", tag);
		}
	}
	EXPECT_EQ(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
		  vcpu_await(self->vcpu, 6));
}

SLAT_HARNESS_MAIN
