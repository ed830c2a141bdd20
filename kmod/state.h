/* SPDX-License-Identifier: GPL-2.0-only */
/* More of a vCPU's state, for the VMM to move; vcpu->mutex held for all of it. */
#ifndef SLAT_STATE_H
#define SLAT_STATE_H

#include <linux/kvm.h>

struct slat_vcpu;

/* The flags of events that the VMM may set. */
#define SLAT_EVENTS_FLAGS	(KVM_VCPUEVENT_VALID_NMI_PENDING | \
				 KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
				 KVM_VCPUEVENT_VALID_SHADOW | \
				 KVM_VCPUEVENT_VALID_SMM | \
				 KVM_VCPUEVENT_VALID_PAYLOAD | \
				 KVM_VCPUEVENT_VALID_TRIPLE_FAULT)

/** slat_xsave_get() - KVM_GET_XSAVE and KVM_GET_XSAVE2; @xsave is zeroed */
void slat_xsave_get(struct slat_vcpu *vcpu, struct kvm_xsave *xsave);

/**
 * slat_xsave_set() - KVM_SET_XSAVE
 * Return: 0; -EINVAL: parts that the host does not have, reserved bits.
 */
int slat_xsave_set(struct slat_vcpu *vcpu, const struct kvm_xsave *xsave);

/** slat_xcrs_get() - KVM_GET_XCRS */
void slat_xcrs_get(struct slat_vcpu *vcpu, struct kvm_xcrs *xcrs);

/**
 * slat_xcrs_set() - KVM_SET_XCRS
 * Return: 0; -EINVAL: no XSAVE, flags, too many, or a value that XCR0 cannot hold.
 */
int slat_xcrs_set(struct slat_vcpu *vcpu, const struct kvm_xcrs *xcrs);

/** slat_debugregs_get() - KVM_GET_DEBUGREGS */
void slat_debugregs_get(struct slat_vcpu *vcpu, struct kvm_debugregs *regs);

/**
 * slat_debugregs_set() - KVM_SET_DEBUGREGS
 * Return: 0; -EINVAL: flags, or upper halves of DR6 or DR7 that are not 0.
 */
int slat_debugregs_set(struct slat_vcpu *vcpu, const struct kvm_debugregs *regs);

/** slat_sregs2_get() - KVM_GET_SREGS2 */
void slat_sregs2_get(struct slat_vcpu *vcpu, struct kvm_sregs2 *sregs2);

/**
 * slat_sregs2_set() - KVM_SET_SREGS2
 *
 * SVM reads the PDPTEs from memory: those of the VMM are checked, not used.
 * Return: 0; -EINVAL as slat_sregs_set(), unknown flags, PDPTEs without PAE paging.
 */
int slat_sregs2_set(struct slat_vcpu *vcpu, const struct kvm_sregs2 *sregs2);

/** slat_events_get() - KVM_GET_VCPU_EVENTS */
void slat_events_get(struct slat_vcpu *vcpu, struct kvm_vcpu_events *events);

/**
 * slat_events_set() - KVM_SET_VCPU_EVENTS
 * Return: 0; -EINVAL: unknown flags, those of capabilities that are off, system
 * management mode, an exception that there is not.
 */
int slat_events_set(struct slat_vcpu *vcpu, const struct kvm_vcpu_events *events);

/* The fields of kvm_run's registers that can be kept in step. */
#define SLAT_SYNC_FIELDS	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

/**
 * slat_sync_in() - take the registers that the VMM changed in kvm_run
 * Return: 0; -EINVAL: unknown fields, or as the ioctl that sets them.
 */
int slat_sync_in(struct slat_vcpu *vcpu);

/** slat_sync_out() - leave in kvm_run the registers that the VMM wants */
void slat_sync_out(struct slat_vcpu *vcpu);

/**
 * slat_ioctl_state() - the vCPU's ioctls that read and write state
 * Return: 0, or as the ioctl has it; -ENOTTY: not one of them.
 */
long slat_ioctl_state(struct slat_vcpu *vcpu, unsigned int cmd, unsigned long arg);

#endif
