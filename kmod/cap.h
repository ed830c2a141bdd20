/* SPDX-License-Identifier: GPL-2.0-only */
/* Capabilities that are switched on. */
#ifndef SLAT_CAP_H
#define SLAT_CAP_H

struct kvm_enable_cap;
struct slat_vm;

/**
 * slat_cap_enable_vm() - KVM_ENABLE_CAP on a VM
 * Return: 0; -EINVAL: flags, a capability that cannot be enabled, or not with these
 * arguments.
 */
int slat_cap_enable_vm(struct slat_vm *vm, const struct kvm_enable_cap *cap);

#endif
