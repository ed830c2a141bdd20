// SPDX-License-Identifier: GPL-2.0-only
/* KVM_ENABLE_CAP: what a VMM switches on for a VM or a vCPU. */
#include <linux/kvm.h>
#include <uapi/linux/kvm_para.h>

#include "cap.h"
#include "hypercall.h"
#include "state.h"
#include "vcpu.h"

#define EXIT_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			 KVM_MSR_EXIT_REASON_FILTER)

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
