/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memslots: which host memory of the VMM backs which guest frames.
 *
 * Readers look at an immutable snapshot under SRCU; a change builds the next
 * snapshot and swaps it in.
 */
#ifndef SLAT_SLOT_H
#define SLAT_SLOT_H

#include <linux/kvm.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/types.h>

#include "dirty.h"

struct slat_vm;

#define SLAT_SLOTS_MAX	4096

/* May anything be mapped through a slot? */
enum slat_slot_state {
	SLAT_SLOT_LIVE,
	SLAT_SLOT_GOING,	/* no: it is being deleted or moved */
	SLAT_SLOT_REPLACED,	/* no: the next snapshot has it with other flags */
};

/**
 * struct slat_slot - one memslot; only @state and @log change once it is published
 * @gfn:	first guest frame
 * @npages:	how many, not 0
 * @hva:	first byte of the host memory behind it, page-aligned
 * @id:		the VMM's number for it
 * @flags:	KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES
 * @leaf_levels: leaves are of level 1 to this
 * @state:	written under mmu->lock; without it, only a hint
 * @log:	of dirty pages
 */
struct slat_slot {
	u64 gfn;
	u64 npages;
	unsigned long hva;
	u32 id;
	u32 flags;
	unsigned int leaf_levels;
	enum slat_slot_state state;
	struct slat_dirty log;
};

/**
 * struct slat_hva - a slot, as the notifier looks for it
 * @slot:	the slot
 * @reach:	the highest last host address of this and all earlier elements
 */
struct slat_hva {
	struct slat_slot *slot;
	unsigned long reach;
};

/**
 * struct slat_slots - a snapshot of all slots
 * @nr:		how many
 * @recent:	where in @slot a search ended of late, for the next to begin with; the only
 *		field that changes once it is published, written by anyone
 * @hva:	by ascending host address; these may overlap.  Behind @slot
 * @slot:	by ascending gfn; these do not overlap
 */
struct slat_slots {
	unsigned int nr;
	unsigned int recent;
	struct slat_hva *hva;
	struct slat_slot *slot[];
};

/** slat_slot_last() - its last guest frame. */
static inline u64 slat_slot_last(const struct slat_slot *slot)
{
	return slot->gfn + slot->npages - 1;
}

/** slat_slot_hva_last() - the last byte of the host memory behind it. */
static inline unsigned long slat_slot_hva_last(const struct slat_slot *slot)
{
	return slot->hva + (slot->npages << PAGE_SHIFT) - 1;
}

/** slat_slot_hva() - the host address of a guest frame, which the slot covers. */
static inline unsigned long slat_slot_hva(const struct slat_slot *slot, u64 gfn)
{
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

/**
 * slat_slot_gfns() - the part of a slot that a range of host addresses backs
 * @start:	first host address
 * @last:	last one, inclusive
 *
 * Return: false: nothing of it; true: @first to @last_gfn, inclusive.
 */
static inline bool slat_slot_gfns(const struct slat_slot *slot, unsigned long start,
				  unsigned long last, u64 *first, u64 *last_gfn)
{
	start = max(start, slot->hva);
	last = min(last, slat_slot_hva_last(slot));
	if (start > last)
		return false;
	*first = slot->gfn + ((start - slot->hva) >> PAGE_SHIFT);
	*last_gfn = slot->gfn + ((last - slot->hva) >> PAGE_SHIFT);
	return true;
}

/**
 * slat_slot_find() - the slot that covers @gfn, or NULL
 *
 * Context: vm->slots_srcu held for read, until the result is done with.
 */
struct slat_slot *slat_slot_find(struct slat_vm *vm, u64 gfn);

/** slat_slot_find_id() - the slot of that number, or NULL.  Context: vm->slots_lock held. */
struct slat_slot *slat_slot_find_id(struct slat_vm *vm, u32 id);

/**
 * slat_slots_hva_first() - where in @slots->hva a search by host address begins
 *
 * Return: an index; every slot that reaches @hva or further is at it or behind.
 */
unsigned int slat_slots_hva_first(const struct slat_slots *slots, unsigned long hva);

/** slat_gpa_limit() - what the CPU can address and the tables can hold, in bytes. */
u64 slat_gpa_limit(void);

/**
 * slat_slot_set() - KVM_SET_USER_MEMORY_REGION
 * @region:	already copied in, nothing checked
 *
 * All that can be refused is refused before the first change.  When a deletion,
 * move or loss of rights returns, no CPU uses the old mapping and no kernel
 * access to the old memory is under way.
 *
 * Context: process, in the VM's mm; takes vm->slots_lock.
 * Return: 0, -EINVAL, -EEXIST, -ENOMEM (uapi/linux/slat.h says which when).
 */
int slat_slot_set(struct slat_vm *vm, const struct kvm_userspace_memory_region *region);

/** slat_slots_init() - no slots.  Return: 0 or -ENOMEM. */
int slat_slots_init(struct slat_vm *vm);

/** slat_slots_destroy() - free what is left; nobody uses the VM any more. */
void slat_slots_destroy(struct slat_vm *vm);

#endif
