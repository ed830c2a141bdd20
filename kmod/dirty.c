// SPDX-License-Identifier: GPL-2.0-only
/* Dirty logs: marking pages, and handing the marks to the VMM. */
#include <linux/bitmap.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "dirty.h"
#include "guard.h"
#include "user.h"
#include "vm.h"

/* Words of a bitmap that are moved before the lock is offered to others. */
#define BATCH	2048

/* Pages that are harvested together or not at all, where it is not for all. */
#define BLOCK	512

/* Bitmaps */

int slat_dirty_alloc(struct slat_dirty *log, u64 npages, bool all)
{
	const size_t words = BITS_TO_LONGS(npages);

	log->bitmap = kvcalloc(2 * words, sizeof(*log->bitmap), GFP_KERNEL_ACCOUNT);
	if (!log->bitmap)
		return -ENOMEM;
	log->taken = log->bitmap + words;
	if (all)
		bitmap_set(log->bitmap, 0, npages);
	return 0;
}

void slat_dirty_free(struct slat_dirty *log)
{
	kvfree(log->bitmap);
}

void slat_dirty_attach(struct slat_mmu *mmu, struct slat_dirty *log, u64 gfn, u64 npages)
{
	log->node.start = gfn;
	log->node.last = gfn + npages - 1;
	slat_write_lock(&mmu->lock);
	interval_tree_insert(&log->node, &mmu->logs);
	WRITE_ONCE(mmu->nr_logs, mmu->nr_logs + 1);
	slat_write_unlock(&mmu->lock);
}

void slat_dirty_detach(struct slat_mmu *mmu, struct slat_dirty *log)
{
	slat_write_lock(&mmu->lock);
	interval_tree_remove(&log->node, &mmu->logs);
	WRITE_ONCE(mmu->nr_logs, mmu->nr_logs - 1);
	slat_write_unlock(&mmu->lock);
}

/* Marking */

/* Others may do the same: whoever takes bits has the lock for itself. */
static void set_bits(unsigned long *bitmap, u64 first, u64 last)
{
	while (first <= last) {
		const u64 end = min(last, first | (BITS_PER_LONG - 1));
		const unsigned long bits = GENMASK(end % BITS_PER_LONG, first % BITS_PER_LONG);

		atomic_long_or(bits, (atomic_long_t *)&bitmap[BIT_WORD(first)]);
		first = end + 1;
	}
}

void __slat_dirty_mark(struct slat_mmu *mmu, u64 first, u64 last)
{
	struct interval_tree_node *node;

	slat_rwlock_assert_held(&mmu->lock);
	for (node = interval_tree_iter_first(&mmu->logs, first, last); node;
	     node = interval_tree_iter_next(node, first, last)) {
		const struct slat_dirty *log = container_of(node, struct slat_dirty, node);

		set_bits(log->bitmap, max_t(u64, first, node->start) - node->start,
			 min_t(u64, last, node->last) - node->start);
	}
}

void slat_dirty_mark_slow(struct slat_mmu *mmu, u64 first, u64 last)
{
	slat_read_lock(&mmu->lock);
	__slat_dirty_mark(mmu, first, last);
	slat_read_unlock(&mmu->lock);
}

/* Harvesting */

/* Bring the bitmap up to date. */
static void harvest(struct slat_vm *vm, u64 first, u64 last)
{
	slat_read_lock(&vm->mmu.lock);
	slat_guards_mark(vm, first, last);
	slat_read_unlock(&vm->mmu.lock);
	slat_view_harvest(&vm->base, first, last);
}

/* Are all pages of the block at @first dirty, as far as there are any? */
static bool is_all_dirty(const struct slat_slot *slot, u64 first)
{
	const u64 end = min(first + BLOCK, slot->npages);

	return find_next_zero_bit(slot->log.bitmap, end, first) >= end;
}

/*
 * Likewise, for bits that are looked at and stay.  Blocks of which all are set need no
 * harvest, and keep their large leaves: it is for the VMM to clear them, and for nobody else.
 */
static void harvest_clean(struct slat_vm *vm, const struct slat_slot *slot)
{
	const u64 npages = slot->npages;
	u64 first = 0, end;

	while (first < npages) {
		if (is_all_dirty(slot, first)) {
			first += BLOCK;
			continue;
		}
		for (end = first + BLOCK; end < npages && !is_all_dirty(slot, end); end += BLOCK)
			;
		harvest(vm, slot->gfn + first, slot->gfn + min(end, npages) - 1);
		first = end;
	}
}

/*
 * After bits were taken, before the VMM hears of it: CPUs that may go on writing without
 * setting D again are stopped.  Be it that the harvest took D, or somebody else did, who
 * marked the page but has not finished yet.
 */
static void flush(struct slat_vm *vm)
{
	struct slat_gather gather;

	slat_gather_init(&gather, &vm->mmu);
	slat_gather_finish(vm, &gather);
}

typedef void (*move_fn)(unsigned long *bitmap, unsigned long *taken, unsigned int nr);

static void copy_bits(unsigned long *bitmap, unsigned long *taken, unsigned int nr)
{
	bitmap_copy(taken, bitmap, nr);
}

static void take_bits(unsigned long *bitmap, unsigned long *taken, unsigned int nr)
{
	bitmap_copy(taken, bitmap, nr);
	bitmap_zero(bitmap, nr);
}

static void put_bits_back(unsigned long *bitmap, unsigned long *taken, unsigned int nr)
{
	bitmap_or(bitmap, bitmap, taken, nr);
}

static void clear_bits(unsigned long *bitmap, unsigned long *taken, unsigned int nr)
{
	bitmap_andnot(bitmap, bitmap, taken, nr);
}

/* @word: where in the bitmap */
static void move_bits(struct slat_vm *vm, const struct slat_dirty *log, u64 word, u64 words,
		      move_fn move)
{
	unsigned long *bitmap = log->bitmap + word, *taken = log->taken;

	while (words) {
		const unsigned int nr = min_t(u64, words, BATCH);

		slat_write_lock(&vm->mmu.lock);
		move(bitmap, taken, nr * BITS_PER_LONG);
		slat_write_unlock(&vm->mmu.lock);
		bitmap += nr;
		taken += nr;
		words -= nr;
		cond_resched();
	}
}

static int get(struct slat_vm *vm, struct slat_slot *slot, void __user *user)
{
	const u64 words = BITS_TO_LONGS(slot->npages);
	const struct slat_dirty *log = &slot->log;

	if (vm->dirty_manual) {
		harvest_clean(vm, slot);
		move_bits(vm, log, 0, words, copy_bits);
	} else {
		harvest(vm, slot->gfn, slat_slot_last(slot));
		move_bits(vm, log, 0, words, take_bits);
	}
	flush(vm);
	if (!slat_copy_to_user(user, log->taken, words * sizeof(*log->taken)))
		return 0;
	move_bits(vm, log, 0, words, put_bits_back);
	return -EFAULT;
}

static bool clear_valid(const struct slat_slot *slot, const struct kvm_clear_dirty_log *args)
{
	u64 left;

	if (args->first_page > slot->npages)
		return false;
	left = slot->npages - args->first_page;
	return args->num_pages == left ||
	       (args->num_pages < left && !(args->num_pages % BITS_PER_LONG));
}

static int clear(struct slat_vm *vm, struct slat_slot *slot,
		 const struct kvm_clear_dirty_log *args)
{
	const u64 first = slot->gfn + args->first_page, words = BITS_TO_LONGS(args->num_pages);
	const struct slat_dirty *log = &slot->log;

	if (!clear_valid(slot, args))
		return -EINVAL;
	if (slat_copy_from_user(log->taken, args->dirty_bitmap, words * sizeof(*log->taken)))
		return -EFAULT;
	if (!words)
		return 0;
	/* What is not to be cleared stays in the bitmap. */
	harvest(vm, first, first + args->num_pages - 1);
	move_bits(vm, log, BIT_WORD(args->first_page), words, clear_bits);
	flush(vm);
	return 0;
}

/* The slot of that number that logs, or NULL. */
static struct slat_slot *find_log(struct slat_vm *vm, u32 id)
{
	struct slat_slot *slot = slat_slot_find_id(vm, id);

	return slot && slot->log.bitmap ? slot : NULL;
}

int slat_dirty_get(struct slat_vm *vm, const struct kvm_dirty_log *args)
{
	struct slat_slot *slot;
	int ret;

	if (args->slot >= SLAT_SLOTS_MAX)
		return -EINVAL;
	slat_mutex_lock(&vm->slots_lock);
	slot = find_log(vm, args->slot);
	ret = slot ? get(vm, slot, args->dirty_bitmap) : -ENOENT;
	slat_mutex_unlock(&vm->slots_lock);
	return ret;
}

int slat_dirty_clear(struct slat_vm *vm, const struct kvm_clear_dirty_log *args)
{
	struct slat_slot *slot;
	int ret;

	if (args->slot >= SLAT_SLOTS_MAX || args->first_page % BITS_PER_LONG)
		return -EINVAL;
	slat_mutex_lock(&vm->slots_lock);
	slot = find_log(vm, args->slot);
	ret = slot ? clear(vm, slot, args) : -ENOENT;
	slat_mutex_unlock(&vm->slots_lock);
	return ret;
}
