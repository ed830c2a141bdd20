// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls by which a VMM prepares a VM before its vCPUs exist, as on KVM. */
#include <linux/limits.h>
#include <linux/minmax.h>

#include "cap.h"
#include "dirty.h"
#include "ioevent.h"
#include "ioctl.h"
#include "user.h"
#include "vcpu.h"

/* What KVM_SET_NR_MMU_PAGES takes at the least. */
#define MMU_PAGES_MIN	64

static long enable_cap(struct slat_vm *vm, const void __user *user)
{
	struct kvm_enable_cap cap;

	if (slat_copy_from_user(&cap, user, sizeof(cap)))
		return -EFAULT;
	return slat_cap_enable_vm(vm, &cap);
}

/* Three pages below 4G that VT-x without unrestricted guests needs; checked, no more. */
static long set_tss_addr(unsigned long addr)
{
	return addr > (u32)(-3 * (int)PAGE_SIZE) ? -EINVAL : 0;
}

static long set_identity_map_addr(struct slat_vm *vm, const void __user *user)
{
	long ret = 0;
	u64 unused;

	slat_mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		ret = -EINVAL;
	else if (slat_copy_from_user(&unused, user, sizeof(unused)))
		ret = -EFAULT;
	slat_mutex_unlock(&vm->lock);
	return ret;
}

static long set_boot_cpu_id(struct slat_vm *vm, u32 id)
{
	long ret = 0;

	slat_mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		ret = -EBUSY;
	else
		vm->boot_cpu_id = id;
	slat_mutex_unlock(&vm->lock);
	return ret;
}

/* As on KVM with nested paging, a number without effect: no table shadows the guest's. */
static long set_nr_mmu_pages(struct slat_vm *vm, unsigned long nr)
{
	if (nr < MMU_PAGES_MIN)
		return -EINVAL;
	/* Nobody reads it but the VMM, whose ioctl returns an int. */
	WRITE_ONCE(vm->nr_mmu_pages, min_t(unsigned long, nr, INT_MAX));
	return 0;
}

/* As KVM does for a VM without an interrupt controller in the kernel. */
static long set_gsi_routing(const void __user *user)
{
	struct kvm_irq_routing routing;

	return slat_copy_from_user(&routing, user, sizeof(routing)) ? -EFAULT : -EINVAL;
}

static long set_ioevent(struct slat_vm *vm, const void __user *user)
{
	struct kvm_ioeventfd args;

	return slat_copy_from_user(&args, user, sizeof(args)) ? -EFAULT : slat_ioevent_set(vm, &args);
}

static long get_dirty_log(struct slat_vm *vm, const void __user *user)
{
	struct kvm_dirty_log args;

	return slat_copy_from_user(&args, user, sizeof(args)) ? -EFAULT : slat_dirty_get(vm, &args);
}

static long clear_dirty_log(struct slat_vm *vm, const void __user *user)
{
	struct kvm_clear_dirty_log args;

	return slat_copy_from_user(&args, user, sizeof(args)) ? -EFAULT :
								slat_dirty_clear(vm, &args);
}

long slat_ioctl_vm(struct slat_vm *vm, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case KVM_ENABLE_CAP:
		return enable_cap(vm, user);
	case KVM_X86_SET_MSR_FILTER:
		return slat_ioctl_msr_filter(vm, user);
	case KVM_GET_DIRTY_LOG:
		return get_dirty_log(vm, user);
	case KVM_CLEAR_DIRTY_LOG:
		return clear_dirty_log(vm, user);
	case KVM_IOEVENTFD:
		return set_ioevent(vm, user);
	case KVM_SET_TSS_ADDR:
		return set_tss_addr(arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return set_identity_map_addr(vm, user);
	case KVM_SET_NR_MMU_PAGES:
		return set_nr_mmu_pages(vm, arg);
	case KVM_GET_NR_MMU_PAGES:
		return READ_ONCE(vm->nr_mmu_pages);
	case KVM_SET_BOOT_CPU_ID:
		return set_boot_cpu_id(vm, arg);
	case KVM_SET_GSI_ROUTING:
		return set_gsi_routing(user);
	default:
		return -ENOTTY;
	}
}
