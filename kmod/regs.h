/* SPDX-License-Identifier: GPL-2.0-only */
/* Register state as the VMM reads and writes it. */
#ifndef SLAT_REGS_H
#define SLAT_REGS_H

#include <linux/kvm.h>

struct slat_vcpu;

/* All of these: vcpu->mutex held. */

/** slat_regs_get() - KVM_GET_REGS */
void slat_regs_get(struct slat_vcpu *vcpu, struct kvm_regs *regs);

/** slat_regs_reset() - what vcpu itself holds is as after RESET */
void slat_regs_reset(struct slat_vcpu *vcpu);

/** slat_regs_set() - KVM_SET_REGS */
void slat_regs_set(struct slat_vcpu *vcpu, const struct kvm_regs *regs);

/** slat_sregs_get() - KVM_GET_SREGS */
void slat_sregs_get(struct slat_vcpu *vcpu, struct kvm_sregs *sregs);

/**
 * slat_sregs_set() - KVM_SET_SREGS
 * Return: 0; -EINVAL for control registers that no CPU can hold together, or not
 * this one, before anything is changed.
 */
int slat_sregs_set(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs);

/** slat_fpu_get() - KVM_GET_FPU */
void slat_fpu_get(struct slat_vcpu *vcpu, struct kvm_fpu *fpu);

/**
 * slat_fpu_set() - KVM_SET_FPU
 * Return: 0; -EINVAL: reserved bits of MXCSR.
 */
int slat_fpu_set(struct slat_vcpu *vcpu, const struct kvm_fpu *fpu);

#endif
