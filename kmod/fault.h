/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_FAULT_H
#define SLAT_FAULT_H

#include <linux/types.h>

struct slat_vcpu;

/* What became of a nested page fault. */
enum slat_fault_result {
	SLAT_FAULT_DONE,	/* mapped, or worth another try: enter the guest */
	SLAT_FAULT_MMIO,	/* no memory there, or a write to a read-only slot */
};

/**
 * slat_fault() - map the page that a guest access wants
 * @access:	SLAT_R, SLAT_W, SLAT_X: what it wants
 *
 * Context: process, in the VM's mm, vcpu->mutex held; may sleep.
 * Return: enum slat_fault_result; -EFAULT: the host memory is not there or does
 * not allow the access; -ENOMEM; -EHWPOISON is turned into the signal for it.
 */
int slat_fault(struct slat_vcpu *vcpu, u64 gpa, unsigned int access);

#endif
