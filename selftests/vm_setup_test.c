// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: what VMMs tell a VM before they make its vCPUs.
 */
#include "harness.h"

#define MSR_APICBASE	0x1bu
#define APICBASE_BSP	(1ul << 8)

static int try_enable(struct vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return try_ioctl_ptr(vm->fd, KVM_ENABLE_CAP, &enable);
}

TEST(addresses)
{
	struct vm *vm = vm_create_empty();
	uint64_t address = 0xfeffc000;
	struct vcpu *vcpu;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_SET_TSS_ADDR));
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_SET_IDENTITY_MAP_ADDR));
	EXPECT_EQ(0, try_ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfeffd000));
	EXPECT_EQ(0, try_ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xffffd000));
	EXPECT_EQ(-EINVAL, try_ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xffffd001));
	EXPECT_EQ(-EINVAL, try_ioctl(vm->fd, KVM_SET_TSS_ADDR, 1ul << 32));
	EXPECT_EQ(0, try_ioctl_ptr(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &address));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(vm->fd, KVM_SET_IDENTITY_MAP_ADDR,
					 bad_pointers[0]));
	vcpu = vcpu_create(vm, 0);
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(vm->fd, KVM_SET_IDENTITY_MAP_ADDR,
					 &address));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

TEST(boot_cpu)
{
	struct vm *vm = vm_create_empty();
	struct vcpu *first, *second;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_SET_BOOT_CPU_ID));
	EXPECT_EQ(0, try_ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	first = vcpu_create(vm, 0);
	EXPECT_EQ(-EBUSY, try_ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 0));
	second = vcpu_create(vm, 1);
	EXPECT_EQ(0, vcpu_get_msr(first, MSR_APICBASE) & APICBASE_BSP);
	EXPECT_NE(0, vcpu_get_msr(second, MSR_APICBASE) & APICBASE_BSP);
	vcpu_destroy(first);
	vcpu_destroy(second);
	vm_destroy(vm);
	/* The first one if nobody says otherwise. */
	vm = vm_create_empty();
	first = vcpu_create(vm, 0);
	EXPECT_NE(0, vcpu_get_msr(first, MSR_APICBASE) & APICBASE_BSP);
	vcpu_destroy(first);
	vm_destroy(vm);
}

TEST(max_vcpu_id)
{
	const int max = slat_check_extension(KVM_CAP_MAX_VCPU_ID);
	struct vm *vm = vm_create_empty();
	struct vcpu *vcpu;

	EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_MAX_VCPU_ID, max + 1ul));
	EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_MAX_VCPU_ID, -1ul));
	EXPECT_EQ(0, try_enable(vm, KVM_CAP_MAX_VCPU_ID, 2));
	EXPECT_EQ(0, try_enable(vm, KVM_CAP_MAX_VCPU_ID, 2));
	EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_MAX_VCPU_ID, 3));
	EXPECT_EQ(-EINVAL, try_ioctl(vm->fd, KVM_CREATE_VCPU, 2));
	vcpu = vcpu_create(vm, 1);
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	/* Too late. */
	vm = vm_create_empty();
	vcpu = vcpu_create(vm, 0);
	EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_MAX_VCPU_ID, 2));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

/* Kept, though nothing shadows the guest's page tables. */
TEST(nr_mmu_pages)
{
	struct vm *vm = vm_create_empty();

	if (!slat_is_kvm()) {
		EXPECT_EQ(0, slat_check_extension(KVM_CAP_MMU_SHADOW_CACHE_CONTROL));
		EXPECT_EQ(0, try_ioctl(vm->fd, KVM_GET_NR_MMU_PAGES, 0));
	}
	EXPECT_EQ(-EINVAL, try_ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 0));
	EXPECT_EQ(-EINVAL, try_ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 63));
	EXPECT_EQ(0, try_ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 64));
	EXPECT_EQ(64, try_ioctl(vm->fd, KVM_GET_NR_MMU_PAGES, 0));
	EXPECT_EQ(-EINVAL, try_ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 63));
	EXPECT_EQ(64, try_ioctl(vm->fd, KVM_GET_NR_MMU_PAGES, 0));
	/* No number reads as an error. */
	EXPECT_EQ(0, try_ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, -EINTR));
	if (!slat_is_kvm())
		EXPECT_EQ(0x7fffffff,
			  try_ioctl(vm->fd, KVM_GET_NR_MMU_PAGES, 0));
	vm_destroy(vm);
}

/* Without an interrupt controller in the kernel there is nothing to route. */
TEST(gsi_routing)
{
	struct vm *vm = vm_create_empty();
	struct kvm_irq_routing routing = { 0 };

	EXPECT_LT(0, slat_check_extension(KVM_CAP_IRQ_ROUTING));
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(vm->fd, KVM_SET_GSI_ROUTING, &routing));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(vm->fd, KVM_SET_GSI_ROUTING,
					 bad_pointers[0]));
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
