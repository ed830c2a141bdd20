// SPDX-License-Identifier: GPL-2.0-only
/* Dirty logs: marking pages. */
#include <linux/minmax.h>
#include <linux/mm.h>

#include "dirty.h"

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
