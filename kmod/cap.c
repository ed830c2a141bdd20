// SPDX-License-Identifier: GPL-2.0-only
/* KVM_ENABLE_CAP: what a VMM switches on for a VM. */
#include <linux/kvm.h>

#include "cap.h"
#include "vcpu.h"

#define EXIT_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			 KVM_MSR_EXIT_REASON_FILTER)

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
	default:
		return -EINVAL;
	}
}
