/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty logs: which pages of a slot were written since the VMM last asked.
 *
 * What the CPU writes is in the D bits of the leaves until a harvest moves it to the
 * slot's bitmap, or a leaf goes.  All others that write guest memory mark what they have
 * written, afterwards.  Whoever holds a guard for long, to write, may do so at any time:
 * its frames are dirty in every harvest.
 *
 * Bits are set and taken by gfn under mmu->lock, not through a snapshot of the slots.
 * So it does not matter how old the snapshot is by which a writer came, and a bitmap that
 * is taken from mmu->logs is nobody's any more.
 */
#ifndef SLAT_DIRTY_H
#define SLAT_DIRTY_H

#include "table.h"

struct kvm_clear_dirty_log;
struct kvm_dirty_log;
struct slat_vm;

/**
 * struct slat_dirty - the dirty log of a slot
 * @node:	in mmu->logs: first and last gfn
 * @bitmap:	a bit for each page, under mmu->lock; NULL: the slot does not log
 * @taken:	as large: bits on their way from or to the VMM, under vm->slots_lock
 */
struct slat_dirty {
	struct interval_tree_node node;
	unsigned long *bitmap;
	unsigned long *taken;
};

/**
 * slat_dirty_alloc() - make room for a log
 * @all:	to begin with, all pages are dirty
 *
 * Return: 0 or -ENOMEM.
 */
int slat_dirty_alloc(struct slat_dirty *log, u64 npages, bool all);

/** slat_dirty_free() - the reverse, for what is not in use or was never allocated. */
void slat_dirty_free(struct slat_dirty *log);

/**
 * slat_dirty_attach() - from here on writes to a slot are logged
 *
 * Two logs may share their bitmaps, while a slot moves.
 *
 * Context: takes mmu->lock for write.
 */
void slat_dirty_attach(struct slat_mmu *mmu, struct slat_dirty *log, u64 gfn, u64 npages);

/** slat_dirty_detach() - the reverse.  Context: as slat_dirty_attach(). */
void slat_dirty_detach(struct slat_mmu *mmu, struct slat_dirty *log);

/**
 * __slat_dirty_mark() - note that frames were written
 * @last:	inclusive
 *
 * Context: mmu->lock held, read suffices.
 */
void __slat_dirty_mark(struct slat_mmu *mmu, u64 first, u64 last);

/** slat_dirty_mark_slow() - the same, for slat_dirty_mark().  Takes mmu->lock for read. */
void slat_dirty_mark_slow(struct slat_mmu *mmu, u64 first, u64 last);

/**
 * slat_dirty_mark() - note that frames were written, if anything logs
 *
 * To be called after the write, in one section of vm->slots_srcu with it or behind a full
 * barrier: so that who does not see that a slot logs yet has written before it does.
 *
 * Context: mmu->lock not held.
 */
static __always_inline void slat_dirty_mark(struct slat_mmu *mmu, u64 first, u64 last)
{
	if (unlikely(READ_ONCE(mmu->nr_logs)))
		slat_dirty_mark_slow(mmu, first, last);
}

/**
 * slat_dirty_get() - KVM_GET_DIRTY_LOG
 *
 * After an error nothing is lost: the next call reports it.
 *
 * Context: process, in the VM's mm; takes vm->slots_lock.
 * Return: 0; -EINVAL, -ENOENT, -EFAULT (uapi/linux/slat.h says which when).
 */
int slat_dirty_get(struct slat_vm *vm, const struct kvm_dirty_log *args);

/** slat_dirty_clear() - KVM_CLEAR_DIRTY_LOG.  Context, return: as slat_dirty_get(). */
int slat_dirty_clear(struct slat_vm *vm, const struct kvm_clear_dirty_log *args);

#endif
