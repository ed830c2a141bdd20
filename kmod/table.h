/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested page tables: what the layers above see of them.
 *
 * One struct slat_mmu per VM holds the lock, the cut generation and the chosen
 * format; a struct slat_root is one tree under it.  The operations are compiled
 * once per format (table_tmpl.h) and reached through one pointer per range.
 *
 * An operation that takes away a right opens a struct slat_gather, passes it
 * down, and closes it with slat_gather_finish() (vm.h) when no table lock is
 * held: that stops the CPUs that may still use the old translations and then
 * frees the tables that were unlinked.
 */
#ifndef SLAT_TABLE_H
#define SLAT_TABLE_H

#include <linux/atomic.h>
#include <linux/interval_tree.h>
#include <linux/list.h>

#include "cache.h"
#include "entry.h"
#include "locks.h"

/**
 * struct slat_table - one page of entries
 * @entry:	the SLAT_ENTRIES entries that the hardware walks
 * @link:	in a gather once unlinked, in a cache before use
 * @base:	first gfn that the table covers
 * @level:	level of the entries
 * @live:	present entries; exact while the table lock is held for write
 * @no_merge:	a larger leaf must not take the table's place; set by maps, and stays
 */
struct slat_table {
	u64 *entry;
	struct list_head link;
	u64 base;
	unsigned int level;
	atomic_t live;
	bool no_merge;
};

/**
 * struct slat_root - the top of one tree
 * @table:	the page that the hardware's root pointer names
 */
struct slat_root {
	struct slat_table *table;
};

/**
 * struct slat_mmu - what all tables of a VM share
 * @lock:	the table lock.  Read: faults, which only add; write: all that cuts
 * @ops:	the format
 * @levels:	of every tree
 * @leaf_levels: leaves are of level 1 to this
 * @cut_gen:	counts the cuts, written by set_entry() alone, under @lock for
 *		write.  A CPU that runs the VM has flushed once its own record has
 *		caught up with it (design.md, "Concurrency and flushing")
 * @logs:	of struct slat_dirty, by gfn; changed under @lock for write
 * @nr_logs:	how many; likewise.  Who writes guest memory looks at it without
 * @inval_count: notifier invalidations under way, under @lock
 * @inval_seq:	counts those that ended; under @lock.  Faults read it without, to
 *		compare later: slat_mmu_retry()
 * @inval_start: with @inval_end the hull of the host addresses being invalidated
 * @inval_end:	exclusive
 * @leaves:	leaves in all trees, by level - 1
 * @tables:	table pages in all trees
 */
struct slat_mmu {
	struct slat_rwlock lock;
	const struct slat_table_ops *ops;
	unsigned int levels;
	unsigned int leaf_levels;
	u64 cut_gen;

	struct rb_root_cached logs;
	unsigned int nr_logs;

	unsigned int inval_count;
	unsigned long inval_seq;
	unsigned long inval_start;
	unsigned long inval_end;

	atomic_long_t leaves[SLAT_LEAF_LEVELS];
	atomic_long_t tables;
};

/**
 * struct slat_gather - what a series of cuts leaves to do
 * @mmu:	whose
 * @freed:	unlinked tables, to be freed once no CPU can walk them
 */
struct slat_gather {
	struct slat_mmu *mmu;
	struct list_head freed;
};

/** slat_mmu_last_gfn() - the last that a tree can map. */
static inline u64 slat_mmu_last_gfn(const struct slat_mmu *mmu)
{
	return slat_span(mmu->levels + 1) - 1;
}

/** slat_gather_init() - open a gather; slat_gather_finish() closes it. */
static inline void slat_gather_init(struct slat_gather *gather, struct slat_mmu *mmu)
{
	gather->mmu = mmu;
	INIT_LIST_HEAD(&gather->freed);
}

/**
 * struct slat_map - one leaf to enter
 * @gfn:	guest frame, of the 4K page that is wanted
 * @pfn:	host frame of that page
 * @level:	of the leaf, if none is there yet.  It covers its whole span, aligned as
 *		the CPU wants it, for which all else here has to be true; @gfn and
 *		@pfn stand at the same place in theirs
 * @rights:	SLAT_R, SLAT_W, SLAT_X
 * @type:	enum slat_memtype, with SLAT_MT_IPAT and SLAT_MT_NO_PAGE or without
 * @keep_small: the page needs a leaf of @level to itself, so the tables on the way
 *		are to stay even if others wish for larger leaves: an executable page
 *		on a CPU that cannot execute from large ones
 * @cache:	tables for the path, at least levels - 1 of them
 */
struct slat_map {
	u64 gfn;
	u64 pfn;
	unsigned int level;
	unsigned int rights;
	unsigned int type;
	bool keep_small;
	struct slat_cache *cache;
};

/* Pages in a run at most. */
#define SLAT_RUN_MAX	64

/* The frame of a page that a run leaves out. */
#define SLAT_PFN_NONE	(~0ULL)

/**
 * struct slat_run - 4K leaves to enter side by side
 * @gfn:	the first page's; all of them lie in one table of level 1
 * @nr:		pages, 1 to SLAT_RUN_MAX
 * @pfn:	of each page, or SLAT_PFN_NONE
 * @rights:	of each page
 * @type:	of all
 * @cache:	as for struct slat_map
 */
struct slat_run {
	u64 gfn;
	unsigned int nr;
	const u64 *pfn;
	const u8 *rights;
	unsigned int type;
	struct slat_cache *cache;
};

/**
 * struct slat_zap - a range to empty
 * @first:	first gfn
 * @last:	last gfn, inclusive; set back to that of the tree if it lies beyond
 * @next:	first gfn still to do, @first to begin with; moves on as the work proceeds
 * @prune:	free the tables on the way that end up empty
 */
struct slat_zap {
	u64 first;
	u64 last;
	u64 next;
	bool prune;
};

/**
 * struct slat_harvest - a range to take the D bits of
 * @last:	last gfn, inclusive; set back to that of the tree if it lies beyond
 * @next:	first gfn still to do; moves on as the work proceeds
 */
struct slat_harvest {
	u64 last;
	u64 next;
};

/**
 * struct slat_leaf - what a tree says of a gfn
 * @pfn:	host frame of the gfn itself, also within a larger leaf
 * @level:	of the leaf; 0 when there is none
 * @entry_level: of the entry that says so, whose whole span is alike
 * @rights:	of the leaf
 * @type:	of the leaf, as fmt(type)() has it
 * @accessed:	A bit
 * @dirty:	D bit
 * @suppress_ve: a violation exits instead of raising #VE; also without a leaf
 */
struct slat_leaf {
	u64 pfn;
	unsigned int level;
	unsigned int entry_level;
	unsigned int rights;
	unsigned int type;
	bool accessed;
	bool dirty;
	bool suppress_ve;
};

/**
 * struct slat_table_ops - the operations on a tree, one set per format
 * @empty:	The entry that maps nothing.  Context: any.
 * @map:	Enter a leaf, or widen the rights of the one that is there.  One that
 *		is larger than wished and lacks a right is split; one that does not
 *		stays.  Below a table that must stay (@keep_small), the leaf is as
 *		large as fits.
 *		Context: mmu->lock held, read suffices.  Never cuts a right.
 *		Return: 0; -EAGAIN: lost a race, or another frame or type is mapped
 *		there: fault again; -EBUSY: smaller leaves or an empty table stand in
 *		the way: zap the leaf's span with @prune, finish the gather, and map
 *		again; -ENOMEM: the cache ran dry; -EINVAL: the tree has no such
 *		gfn, @gfn and @pfn differ in alignment, or the format cannot express
 *		the leaf.
 * @map_run:	Enter 4K leaves where nothing is mapped; other pages are skipped.
 *		Context: as @map.
 *		Return: how many were entered; -EAGAIN: lost a race, -ENOMEM and
 *		-EINVAL: as @map, and none was.
 * @zap:	Empty part of a range, moving A and D to the host pages and D to the
 *		dirty logs.  A leaf that is only partly in the range goes as a whole:
 *		faults bring it back.
 *		Context: mmu->lock held for write.  Bounded work per call.
 *		Return: 0 when done, -EAGAIN when @zap->next says where to go on.
 * @harvest:	Move the D bits of part of a range to the dirty logs and the host pages.
 *		A leaf larger than 4K, which cannot tell one page from another, goes; if
 *		it is dirty, all that it maps is.  Nobody may be told before a gather
 *		was finished: until then CPUs may write without setting D again.
 *		Context, return: as @zap.
 * @age:	Does a leaf that reaches into the range have its A bit?  With @clear
 *		it loses it; TLBs may go on without setting it again for a while.
 *		Context: mmu->lock held, read suffices.
 * @read:	Look a gfn of the tree up.
 *		Context: mmu->lock held, read suffices.
 */
struct slat_table_ops {
	u64 (*empty)(void);
	int (*map)(struct slat_mmu *mmu, struct slat_root *root, const struct slat_map *map);
	int (*map_run)(struct slat_mmu *mmu, struct slat_root *root, const struct slat_run *run);
	int (*zap)(struct slat_mmu *mmu, struct slat_root *root, struct slat_zap *zap,
		   struct slat_gather *gather);
	int (*harvest)(struct slat_mmu *mmu, struct slat_root *root, struct slat_harvest *harvest);
	bool (*age)(struct slat_mmu *mmu, struct slat_root *root, u64 first, u64 last, bool clear);
	void (*read)(struct slat_root *root, u64 gfn, struct slat_leaf *leaf);
};

extern const struct slat_table_ops ept_table_ops;
extern const struct slat_table_ops npt_table_ops;

/**
 * slat_table_alloc() - one empty table page
 * @empty:	what every entry is to be, of slat_table_ops
 *
 * Charged to the caller's memory cgroup.  Context: process, may sleep.
 * Return: the table, or NULL.
 */
struct slat_table *slat_table_alloc(u64 empty);

/**
 * slat_table_free() - give a table page back
 * @table:	not reachable from any root, and flushed if it ever was
 */
void slat_table_free(struct slat_table *table);

/**
 * slat_table_of() - the descriptor behind a table page's frame number
 * @pfn:	from a table entry
 */
struct slat_table *slat_table_of(u64 pfn);

/** slat_table_pfn() - the frame number that entries and the hardware use. */
u64 slat_table_pfn(const struct slat_table *table);

/**
 * slat_host_page_return() - hand a leaf's A and D bits to the host's page
 * @pfn:	mapped by the leaf, which has just been cleared
 * @accessed:	the A bit
 * @dirty:	the D bit
 *
 * Context: table lock held for write; the page is still mapped by the host, since
 * its notifier has to take that lock first.
 */
void slat_host_page_return(u64 pfn, bool accessed, bool dirty);

#endif
