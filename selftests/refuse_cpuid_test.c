// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: what KVM_SET_CPUID2 and KVM_GET_CPUID2 refuse; the guest keeps the
 * CPUID that it had.
 */
#include "harness.h"

VM_FIXTURE(cpuid);

static struct kvm_cpuid2 *cpuid_copy(void)
{
	struct kvm_cpuid2 *all = slat_supported_cpuid();
	struct kvm_cpuid2 *cpuid = cpuid_before_hole(all->nent, all->nent);

	memcpy(cpuid->entries, all->entries,
	       all->nent * sizeof(all->entries[0]));
	return cpuid;
}

static void guest_cpuid(uint64_t function)
{
	uint32_t eax = function, ebx, ecx = 0, edx;

	for (;;) {
		asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx),
				       "=d"(edx));
		guest_report(1, ebx);
		eax = function;
		ecx = 0;
	}
}

#define EXPECT_UNCHANGED()						\
	EXPECT_EQ(slat_cpuid(0, 0)->ebx, vcpu_await(self->vcpu, 1))

TEST_F(cpuid, set_too_many)
{
	struct kvm_cpuid2 *cpuid = cpuid_before_hole(257, 257);

	guest_enter_c(self->vcpu, guest_cpuid, 0);
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2, cpuid));
	cpuid = cpuid_before_hole(-1u, 3);
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2, cpuid));
	EXPECT_UNCHANGED();
}

TEST_F(cpuid, set_bad_pointer)
{
	guest_enter_c(self->vcpu, guest_cpuid, 0);
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2,
					 cpuid_before_hole(10, 9)));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2,
					 mem_before_hole(4)));
	EXPECT_UNCHANGED();
}

/* A guest's CPU does not change under it; the same again is no change. */
TEST_F(cpuid, set_after_run)
{
	struct kvm_cpuid2 *cpuid = cpuid_copy();

	guest_enter_c(self->vcpu, guest_cpuid, 0);
	EXPECT_UNCHANGED();
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2, cpuid));
	cpuid->entries[0].ebx ^= 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2, cpuid));
	cpuid->entries[0].ebx ^= 1;
	cpuid->nent--;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd, KVM_SET_CPUID2, cpuid));
	EXPECT_UNCHANGED();
}

TEST_F(cpuid, get)
{
	uint32_t nent = slat_supported_cpuid()->nent;
	struct kvm_cpuid2 *cpuid;

	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_GET_CPUID2,
					cpuid_before_hole(0, 0)));
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(self->vcpu->fd, KVM_GET_CPUID2,
					cpuid_before_hole(nent - 1, nent - 1)));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_GET_CPUID2,
					 cpuid_before_hole(nent, nent - 1)));
	cpuid = cpuid_before_hole(nent + 7, nent);
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_GET_CPUID2, cpuid));
	/* KVM leaves the count alone here. */
	EXPECT_TRUE(cpuid->nent == nent || slat_is_kvm());
	EXPECT_EQ(slat_cpuid(0, 0)->ebx, cpuid->entries[0].ebx);
}

SLAT_HARNESS_MAIN
