/* SPDX-License-Identifier: GPL-2.0-only */
/* From guest frames to leaves: for accesses that need them, and ahead of these. */
#ifndef SLAT_FAULT_H
#define SLAT_FAULT_H

#include <linux/types.h>

#include "cache.h"
#include "host.h"
#include "table.h"

struct kvm_pre_fault_memory;
struct slat_vcpu;

/**
 * struct slat_filler - what filling tables needs at hand, too much for a stack
 * @cache:	tables
 * @host:	what the host maps
 * @last_gfn:	of the last fault
 */
struct slat_filler {
	struct slat_cache cache;
	struct slat_host_run host;
	u64 last_gfn;
};

/* What became of a nested page fault. */
enum slat_fault_result {
	SLAT_FAULT_DONE,	/* mapped, or worth another try: enter the guest */
	SLAT_FAULT_MMIO,	/* no memory there, or a write to a read-only slot */
};

/**
 * slat_fault() - map the page that a guest access wants
 * @access:	SLAT_R, SLAT_W, SLAT_X: what it wants
 *
 * The leaf is as large as the host's own mapping allows.  Where that is 4K, those of the
 * next pages which the host has mapped already come along, up to a multiple of
 * SLAT_FAULT_AROUND.
 *
 * Context: process, in the VM's mm, vcpu->mutex held; may sleep.
 * Return: enum slat_fault_result; -EFAULT: the host memory is not there or does
 * not allow the access; -ENOMEM; -EHWPOISON is turned into the signal for it.
 */
int slat_fault(struct slat_vcpu *vcpu, u64 gpa, unsigned int access);

/* Pages; as many as Linux itself maps around a fault in a file. */
#define SLAT_FAULT_AROUND	16

/**
 * slat_prefault() - KVM_PRE_FAULT_MEMORY
 * @range:	moves on to what is left to do
 *
 * Context: as slat_fault(); yields to others and to signals between batches.
 * Return: 0: something was done, or all of it; otherwise why nothing could be: -EINVAL:
 * flags, padding, alignment, no size, wrap; -ENOENT: no slot; -EAGAIN: the slot is being
 * deleted or moved; -EINTR: a signal; -EFAULT, -EHWPOISON: as the host memory is;
 * -ENOMEM.
 */
int slat_prefault(struct slat_vcpu *vcpu, struct kvm_pre_fault_memory *range);

/* Large leaves are not executable, since the CPU cannot bear it; set at module load. */
extern bool slat_nx_large;

#endif
