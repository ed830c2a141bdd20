// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capabilities: KVM_CHECK_EXTENSION's answers, and KVM_ENABLE_CAP, by which a VMM
 * switches things on for a VM or a vCPU.
 */
#include <linux/kvm.h>
#include <uapi/linux/kvm_para.h>
#include <uapi/linux/slat.h>

#include "cap.h"
#include "hypercall.h"
#include "state.h"
#include "vcpu.h"

#define MANUAL_DIRTY_LOG	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

#define EXIT_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			 KVM_MSR_EXIT_REASON_FILTER)

/* Those that are there or not. */
static const u32 present[] = {
	KVM_CAP_USER_MEMORY,
	KVM_CAP_EXT_CPUID,
	KVM_CAP_EXT_EMUL_CPUID,
	KVM_CAP_SYNC_MMU,
	KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
	KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
	KVM_CAP_INTERNAL_ERROR_DATA,
	KVM_CAP_READONLY_MEM,
	KVM_CAP_CHECK_EXTENSION_VM,
	KVM_CAP_SET_TSS_ADDR,
	KVM_CAP_SET_IDENTITY_MAP_ADDR,
	KVM_CAP_MP_STATE,
	KVM_CAP_SET_BOOT_CPU_ID,
	KVM_CAP_XSAVE,
	KVM_CAP_DEBUGREGS,
	KVM_CAP_VCPU_EVENTS,
	KVM_CAP_EXCEPTION_PAYLOAD,
	KVM_CAP_X86_TRIPLE_FAULT_EVENT,
	KVM_CAP_SREGS2,
	KVM_CAP_X86_ROBUST_SINGLESTEP,
	KVM_CAP_IOEVENTFD,
	KVM_CAP_IOEVENTFD_NO_LENGTH,
	KVM_CAP_SET_GUEST_DEBUG,
	KVM_CAP_DISABLE_QUIRKS,
	KVM_CAP_GET_TSC_KHZ,
	KVM_CAP_VCPU_ATTRIBUTES,
	KVM_CAP_GET_MSR_FEATURES,
	KVM_CAP_ENABLE_CAP,
	KVM_CAP_ENABLE_CAP_VM,
	KVM_CAP_X86_USER_SPACE_MSR,
	KVM_CAP_X86_MSR_FILTER,
	KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
	KVM_CAP_MSR_PLATFORM_INFO,
	KVM_CAP_IMMEDIATE_EXIT,
	KVM_CAP_USER_NMI,
	KVM_CAP_PRE_FAULT_MEMORY,
	SLAT_CAP_RUNSTATE,
};

static bool is_present(unsigned long cap)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(present); i++) {
		if (present[i] == cap)
			return true;
	}
	return false;
}

int slat_cap_check(unsigned long cap)
{
	switch (cap) {
	case KVM_CAP_SET_GUEST_DEBUG2:
		return SLAT_DEBUG_CONTROL;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return MANUAL_DIRTY_LOG;
	case KVM_CAP_EXIT_HYPERCALL:
		return SLAT_HYPERCALL_EXITS;
	case KVM_CAP_DISABLE_QUIRKS2:
		return SLAT_QUIRKS;
	case KVM_CAP_XCRS:
		return slat_cpuid_xcr0() ? 1 : 0;
	case KVM_CAP_XSAVE2:
		return sizeof(struct kvm_xsave);
	case KVM_CAP_SYNC_REGS:
		return SLAT_SYNC_FIELDS;
	case KVM_CAP_IRQ_ROUTING:
		/* QEMU wants the number even if it never sets a route. */
		return KVM_MAX_IRQ_ROUTES;
	case KVM_CAP_MCE:
		return SLAT_MCE_BANKS;
	case KVM_CAP_NR_VCPUS:
		return min(num_online_cpus(), (unsigned int)SLAT_VCPUS_MAX);
	case KVM_CAP_MAX_VCPUS:
	case KVM_CAP_MAX_VCPU_ID:
		return SLAT_VCPUS_MAX;
	case KVM_CAP_NR_MEMSLOTS:
		return SLAT_SLOTS_MAX;
	default:
		return is_present(cap);
	}
}

static int set_max_vcpu_id(struct slat_vm *vm, u64 max)
{
	int ret = 0;

	if (max > SLAT_VCPUS_MAX)
		return -EINVAL;
	slat_mutex_lock(&vm->lock);
	/* Once, unless it is the same again. */
	if (!vm->max_vcpu_ids)
		vm->max_vcpu_ids = max;
	else if (vm->max_vcpu_ids != max)
		ret = -EINVAL;
	slat_mutex_unlock(&vm->lock);
	return ret;
}

static int set_dirty_manual(struct slat_vm *vm, u64 flags)
{
	/* How a log begins has a meaning with the protocol only. */
	const u64 allowed = flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE ?
			    MANUAL_DIRTY_LOG : 0;

	if (flags & ~allowed)
		return -EINVAL;
	slat_mutex_lock(&vm->slots_lock);
	vm->dirty_manual = flags;
	slat_mutex_unlock(&vm->slots_lock);
	return 0;
}

int slat_cap_enable_vm(struct slat_vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (cap->args[0] & ~(u64)EXIT_REASONS)
			return -EINVAL;
		WRITE_ONCE(vm->user_msrs, cap->args[0]);
		return 0;
	case KVM_CAP_EXIT_HYPERCALL:
		if (cap->args[0] & ~(u64)SLAT_HYPERCALL_EXITS)
			return -EINVAL;
		WRITE_ONCE(vm->hypercall_exits, cap->args[0]);
		return 0;
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~(u64)SLAT_QUIRKS)
			return -EINVAL;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		WRITE_ONCE(vm->quirks_off, cap->args[0]);
		return 0;
	case SLAT_CAP_RUNSTATE:
		if (cap->args[0] > 1)
			return -EINVAL;
		WRITE_ONCE(vm->runstate_calls, cap->args[0]);
		return 0;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return set_dirty_manual(vm, cap->args[0]);
	case KVM_CAP_MAX_VCPU_ID:
		return set_max_vcpu_id(vm, cap->args[0]);
	case KVM_CAP_EXCEPTION_PAYLOAD:
		WRITE_ONCE(vm->exception_payload, cap->args[0]);
		return 0;
	case KVM_CAP_MSR_PLATFORM_INFO:
		WRITE_ONCE(vm->hide_platform_info, !cap->args[0]);
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		WRITE_ONCE(vm->triple_fault_event, cap->args[0]);
		return 0;
	default:
		return -EINVAL;
	}
}

int slat_cap_enable_vcpu(const struct kvm_enable_cap *cap)
{
	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
		/* Always so: no guest can use a feature of KVM's that slat does not have. */
		return 0;
	default:
		return -EINVAL;
	}
}
