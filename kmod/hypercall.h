/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_HYPERCALL_H
#define SLAT_HYPERCALL_H

struct slat_vcpu;

/* The hypercalls that can end in the VMM. */
#define SLAT_HYPERCALL_EXITS	BIT(KVM_HC_MAP_GPA_RANGE)

/**
 * slat_hypercall() - the guest made a hypercall, and is behind it
 * Return: as slat_exit_handle().
 */
int slat_hypercall(struct slat_vcpu *vcpu);

#endif
