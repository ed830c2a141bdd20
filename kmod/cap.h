/* SPDX-License-Identifier: GPL-2.0-only */
/* Capabilities: what there is, and what is switched on. */
#ifndef SLAT_CAP_H
#define SLAT_CAP_H

#include <linux/kvm.h>

/* The quirks of KVM that can be switched off. */
#define SLAT_QUIRKS	(KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_FIX_HYPERCALL_INSN)

struct kvm_enable_cap;
struct slat_vm;

/**
 * slat_cap_check() - KVM_CHECK_EXTENSION, the same for the device and each VM
 * Return: 0 for what slat does not have.
 */
int slat_cap_check(unsigned long cap);

/**
 * slat_cap_enable_vm() - KVM_ENABLE_CAP on a VM
 * Return: 0; -EINVAL: flags, a capability that cannot be enabled, or not with these
 * arguments.
 */
int slat_cap_enable_vm(struct slat_vm *vm, const struct kvm_enable_cap *cap);

/**
 * slat_cap_enable_vcpu() - KVM_ENABLE_CAP on a vCPU
 * Return: 0; -EINVAL: flags, or a capability that cannot be enabled.
 */
int slat_cap_enable_vcpu(const struct kvm_enable_cap *cap);

#endif
