/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walker, compiled once per format: the including file defines fmt(name).
 *
 * Every change of an entry goes through set_entry(): it counts, moves accessed
 * and dirty bits to the host and to dirty logs, and notes what has to be flushed, so
 * that no caller can forget.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/minmax.h>

#include "dirty.h"
#include "table.h"

/*
 * Work of a zap or harvest before the lock is offered to others, so that nobody waits for
 * longer than 100,000 instructions: entries looked at, some 25 each.  To clear one or its
 * D, with all that the host has to be told, costs as much as looking at CLEAR_COST.
 */
#define BATCH		3072
#define CLEAR_COST	4

static_assert(SLAT_ENTRIES * sizeof(u64) == 4096);

static struct slat_table *child_of(u64 entry, unsigned int level)
{
	return slat_table_of(fmt(pfn)(entry, level));
}

/* One of the leaves that together map what the leaf @entry of @level does. */
static u64 part_of(u64 entry, unsigned int level, unsigned int n)
{
	const u64 pfn = fmt(pfn)(entry, level) + n * slat_span(level - 1);

	return fmt(carry_ad)(fmt(make_leaf)(pfn, level - 1, fmt(rights)(entry),
					    fmt(type)(entry, level)), entry);
}

/* Does the table behind @new map what the leaf @old does?  Both ends stand for all. */
static bool is_split(u64 old, u64 new, unsigned int level)
{
	const u64 *entry = child_of(new, level)->entry;

	return entry[0] == part_of(old, level, 0) &&
	       entry[SLAT_ENTRIES - 1] == part_of(old, level, SLAT_ENTRIES - 1);
}

/*
 * A present entry keeps its frame, type and size until it is cleared: a CPU must
 * never see one gfn move without a flush in between.  Only to split a leaf changes
 * nothing for the CPU.
 */
static __always_inline bool is_allowed(u64 old, u64 new, unsigned int level)
{
	if (!fmt(is_present)(old) || !fmt(is_present)(new))
		return true;
	if (fmt(is_leaf)(old, level) && fmt(is_table)(new, level))
		return is_split(old, new, level);
	return fmt(is_leaf)(old, level) == fmt(is_leaf)(new, level) &&
	       fmt(pfn)(old, level) == fmt(pfn)(new, level) &&
	       fmt(type)(old, level) == fmt(type)(new, level);
}

/* Is a leaf dirty that will not be any more?  The parts of a split one have its D. */
static __always_inline bool is_cleaned(u64 old, u64 new, unsigned int level)
{
	return fmt(is_leaf)(old, level) && fmt(is_dirty)(old) && !fmt(is_table)(new, level) &&
	       !(fmt(is_present)(new) && fmt(is_dirty)(new));
}

/*
 * Does going from @old to @new take away something that a TLB may hold?  Where it holds
 * a dirty leaf, the CPU writes without setting D again.
 */
static __always_inline bool is_cut(u64 old, u64 new, unsigned int level)
{
	if (!fmt(is_present)(old))
		return false;
	if (!fmt(is_present)(new))
		return true;
	return fmt(is_leaf)(old, level) && ((fmt(rights)(old) & ~fmt(rights)(new)) ||
					    is_cleaned(old, new, level));
}

static __always_inline void account(struct slat_mmu *mmu, struct slat_table *table, u64 old,
				    u64 new)
{
	const unsigned int level = table->level;
	const int present = fmt(is_present)(new) - fmt(is_present)(old);
	const int leaf = fmt(is_leaf)(new, level) - fmt(is_leaf)(old, level);

	if (present)
		atomic_add(present, &table->live);
	if (leaf)
		atomic_long_add(leaf, &mmu->leaves[level - 1]);
	if (present != leaf)
		atomic_long_add(present - leaf, &mmu->tables);
}

static noinline void mark_leaf(struct slat_mmu *mmu, const struct slat_table *table,
			       unsigned int i)
{
	const u64 gfn = table->base + ((u64)i << slat_span_lg2(table->level));

	__slat_dirty_mark(mmu, gfn, gfn + slat_span(table->level) - 1);
}

/* What only the entry knew goes to the host's page and to the dirty logs. */
static __always_inline void give_back(struct slat_mmu *mmu, struct slat_table *table,
				      unsigned int i, u64 old, u64 new)
{
	const unsigned int level = table->level;
	const bool is_gone = !fmt(is_present)(new), dirty = is_cleaned(old, new, level);

	if (!fmt(is_leaf)(old, level) || !(is_gone || dirty))
		return;
	if (unlikely(dirty && mmu->nr_logs))
		mark_leaf(mmu, table, i);
	if (!(fmt(type)(old, level) & SLAT_MT_NO_PAGE))
		slat_host_page_return(fmt(pfn)(old, level), is_gone && fmt(is_accessed)(old),
				      dirty);
}

/*
 * The only way an entry changes.  -EAGAIN: it was not @old any more, which for a
 * caller with the lock for write can only mean that the CPU set A or D.
 *
 * Inlined, with what it calls: each caller knows half of the answers beforehand.
 */
static __always_inline int set_entry(struct slat_mmu *mmu, struct slat_table *table,
				     unsigned int i, u64 old, u64 new)
{
	const unsigned int level = table->level;
	u64 seen = old;

	if (WARN_ON_ONCE(!is_allowed(old, new, level)))
		return -EAGAIN;
	if (!try_cmpxchg64(&table->entry[i], &seen, new))
		return -EAGAIN;

	account(mmu, table, old, new);
	give_back(mmu, table, i, old, new);
	if (is_cut(old, new, level)) {
		slat_rwlock_assert_held_write(&mmu->lock);
		/* After the entry: who sees the count also sees the cut. */
		smp_store_release(&mmu->cut_gen, mmu->cut_gen + 1);
	}
	return 0;
}

/* Mapping */

static void fill(struct slat_table *child, u64 leaf)
{
	unsigned int n;

	for (n = 0; n < SLAT_ENTRIES; n++)
		child->entry[n] = part_of(leaf, child->level + 1, n);
	atomic_set(&child->live, SLAT_ENTRIES);
}

static void unfill(struct slat_table *child)
{
	unsigned int n;

	for (n = 0; n < SLAT_ENTRIES; n++)
		child->entry[n] = fmt(empty)();
	atomic_set(&child->live, 0);
}

/*
 * Hang a table from the cache below entry @i, which maps what the entry did: nothing,
 * or a leaf, which is split.  -EAGAIN: somebody else was faster.
 */
static int add_table(struct slat_mmu *mmu, struct slat_table *parent, unsigned int i, u64 old,
		     struct slat_cache *cache)
{
	const bool is_leaf = fmt(is_leaf)(old, parent->level);
	struct slat_table *child = slat_cache_take(cache);
	u64 new;
	int ret;

	if (!child)
		return -ENOMEM;
	child->level = parent->level - 1;
	child->base = parent->base + ((u64)i << slat_span_lg2(parent->level));
	new = fmt(make_table)(slat_table_pfn(child));
	if (is_leaf) {
		fill(child, old);
		/* A dirty leaf is only below tables that the CPU has walked. */
		new = fmt(set_accessed)(new);
	}
	ret = set_entry(mmu, parent, i, old, new);
	if (!ret && is_leaf)
		atomic_long_add(SLAT_ENTRIES, &mmu->leaves[child->level - 1]);
	if (ret && is_leaf)
		unfill(child);
	if (ret)
		slat_cache_put(cache, child);
	return ret;
}

static u64 new_leaf(const struct slat_map *map, unsigned int level)
{
	const u64 pfn = map->pfn & ~(slat_span(level) - 1);

	return fmt(make_leaf)(pfn, level, map->rights, map->type);
}

/* Does the leaf @entry map the page that is wanted, and with its type? */
static bool is_same(const struct slat_map *map, u64 entry, unsigned int level)
{
	const u64 offset = map->gfn & (slat_span(level) - 1);

	return fmt(pfn)(entry, level) + offset == map->pfn &&
	       fmt(type)(entry, level) == fmt(type)(new_leaf(map, level), level);
}

static bool lacks_rights(const struct slat_map *map, u64 entry)
{
	return map->rights & ~fmt(rights)(entry);
}

/* Widen, never cut, and keep A and D, which live in the old entry alone. */
static noinline int widen_leaf(struct slat_mmu *mmu, struct slat_table *table, unsigned int i,
			       u64 old, const struct slat_map *map)
{
	const unsigned int level = table->level;
	const u64 new = fmt(make_leaf)(fmt(pfn)(old, level), level,
				       map->rights | fmt(rights)(old), map->type);

	return set_entry(mmu, table, i, old, fmt(carry_ad)(new, old));
}

static int map_leaf(struct slat_mmu *mmu, struct slat_table *table, unsigned int i, u64 old,
		    const struct slat_map *map)
{
	const unsigned int level = table->level;
	const u64 new = new_leaf(map, level);

	if (!fmt(is_present)(old))
		return set_entry(mmu, table, i, old, new);
	if (!is_same(map, old, level))
		return -EAGAIN;
	if (!lacks_rights(map, old))
		return 0;	/* another vCPU was faster */
	return widen_leaf(mmu, table, i, old, map);
}

/* Does a leaf larger than wished settle it, if only by being in the way? */
static bool is_final(const struct slat_map *map, u64 entry, unsigned int level)
{
	return fmt(is_leaf)(entry, level) &&
	       !(is_same(map, entry, level) && lacks_rights(map, entry));
}

static bool can_map(const struct slat_mmu *mmu, const struct slat_map *map)
{
	u64 offsets;

	if (map->level < 1 || map->level > SLAT_LEAF_LEVELS || map->gfn > slat_mmu_last_gfn(mmu))
		return false;
	offsets = slat_span(map->level) - 1;
	return !((map->gfn ^ map->pfn) & offsets) &&
	       fmt(can_map)(map->pfn & ~offsets, map->level, map->rights);
}

static int table_map(struct slat_mmu *mmu, struct slat_root *root, const struct slat_map *map)
{
	struct slat_table *table = root->table;
	unsigned int level = map->level;

	slat_rwlock_assert_held(&mmu->lock);
	if (!can_map(mmu, map))
		return -EINVAL;
	for (;;) {
		const unsigned int i = slat_index(map->gfn, table->level);
		const u64 entry = READ_ONCE(table->entry[i]);
		int ret;

		if (fmt(is_table)(entry, table->level)) {
			table = child_of(entry, table->level);
			if (map->keep_small && !READ_ONCE(table->no_merge))
				WRITE_ONCE(table->no_merge, true);
			if (table->level < level && !READ_ONCE(table->no_merge))
				return -EBUSY;
			level = min(level, table->level);
			continue;
		}
		if (table->level == level || is_final(map, entry, table->level))
			return map_leaf(mmu, table, i, entry, map);
		ret = add_table(mmu, table, i, entry, map->cache);
		if (ret)
			return ret;
	}
}

static bool can_map_run(const struct slat_mmu *mmu, const struct slat_run *run)
{
	unsigned int n;

	if (!run->nr || run->nr > SLAT_RUN_MAX || run->gfn > slat_mmu_last_gfn(mmu) ||
	    slat_index(run->gfn, 1) + run->nr > SLAT_ENTRIES)
		return false;
	for (n = 0; n < run->nr; n++)
		if (run->pfn[n] != SLAT_PFN_NONE &&
		    !fmt(can_map)(run->pfn[n], 1, run->rights[n]))
			return false;
	return true;
}

static int fill_run(struct slat_mmu *mmu, struct slat_table *table, const struct slat_run *run)
{
	const unsigned int first = slat_index(run->gfn, 1);
	unsigned int n;
	int nr = 0;

	for (n = 0; n < run->nr; n++) {
		const u64 old = READ_ONCE(table->entry[first + n]);

		if (run->pfn[n] == SLAT_PFN_NONE || fmt(is_present)(old))
			continue;
		nr += !set_entry(mmu, table, first + n, old,
				 fmt(make_leaf)(run->pfn[n], 1, run->rights[n], run->type));
	}
	return nr;
}

static int table_map_run(struct slat_mmu *mmu, struct slat_root *root,
			 const struct slat_run *run)
{
	struct slat_table *table = root->table;

	slat_rwlock_assert_held(&mmu->lock);
	if (!can_map_run(mmu, run))
		return -EINVAL;
	while (table->level > 1) {
		const unsigned int i = slat_index(run->gfn, table->level);
		const u64 entry = READ_ONCE(table->entry[i]);
		int ret;

		if (fmt(is_table)(entry, table->level)) {
			table = child_of(entry, table->level);
			continue;
		}
		if (fmt(is_leaf)(entry, table->level))
			return 0;	/* maps them all */
		ret = add_table(mmu, table, i, entry, run->cache);
		if (ret)
			return ret;
	}
	return fill_run(mmu, table, run);
}

/* Zapping */

static __always_inline void clear_leaf(struct slat_mmu *mmu, struct slat_table *table,
				       unsigned int i, u64 old)
{
	/* The CPU may set A and D behind us, each once: this ends. */
	while (set_entry(mmu, table, i, old, fmt(empty)()) == -EAGAIN)
		old = READ_ONCE(table->entry[i]);
}

/* Unlink the child below entry @i, which nothing points into any more. */
static void prune(struct slat_mmu *mmu, struct slat_table *table, unsigned int i,
		  struct slat_gather *gather)
{
	u64 old;

	do {
		old = READ_ONCE(table->entry[i]);
	} while (set_entry(mmu, table, i, old, fmt(empty)()) == -EAGAIN);
	list_add(&child_of(old, table->level)->link, &gather->freed);
}

/*
 * Goes on at zap->next, and leaves it where the budget ends.  Recursion ends after
 * SLAT_LEVELS_MAX calls.
 */
static void zap_table(struct slat_mmu *mmu, struct slat_table *table, struct slat_zap *zap,
		      int *budget, struct slat_gather *gather)
{
	const unsigned int level = table->level;
	unsigned int i = slat_index(zap->next, level);

	for (; i < SLAT_ENTRIES && zap->next <= zap->last && *budget > 0; i++, --*budget) {
		const u64 entry = READ_ONCE(table->entry[i]);

		if (fmt(is_table)(entry, level)) {
			struct slat_table *child = child_of(entry, level);

			zap_table(mmu, child, zap, budget, gather);
			if (!zap->prune || atomic_read(&child->live))
				continue;
			prune(mmu, table, i, gather);
			*budget -= CLEAR_COST;
			continue;
		}
		if (fmt(is_leaf)(entry, level)) {
			clear_leaf(mmu, table, i, entry);
			*budget -= CLEAR_COST;
		}
		zap->next = table->base + ((i + 1ULL) << slat_span_lg2(level));
	}
}

static int table_zap(struct slat_mmu *mmu, struct slat_root *root, struct slat_zap *zap,
		     struct slat_gather *gather)
{
	int budget = BATCH;

	slat_rwlock_assert_held_write(&mmu->lock);
	/* Where the tree ends there is nothing to empty. */
	zap->last = min(zap->last, slat_mmu_last_gfn(mmu));
	zap_table(mmu, root->table, zap, &budget, gather);
	return zap->next <= zap->last ? -EAGAIN : 0;
}

/* Harvesting */

/* Return: whether anything was done. */
static bool clean_leaf(struct slat_mmu *mmu, struct slat_table *table, unsigned int i, u64 old)
{
	if (table->level > 1) {
		clear_leaf(mmu, table, i, old);
		return true;
	}
	if (!fmt(is_dirty)(old))
		return false;
	/* The CPU may set A behind us, once: this ends. */
	while (set_entry(mmu, table, i, old, fmt(clear_dirty)(old)) == -EAGAIN)
		old = READ_ONCE(table->entry[i]);
	return true;
}

/* As zap_table(). */
static void harvest_table(struct slat_mmu *mmu, struct slat_table *table,
			  struct slat_harvest *harvest, int *budget)
{
	const unsigned int level = table->level;
	unsigned int i = slat_index(harvest->next, level);

	for (; i < SLAT_ENTRIES && harvest->next <= harvest->last && *budget > 0; i++, --*budget) {
		const u64 entry = READ_ONCE(table->entry[i]);

		if (fmt(is_table)(entry, level)) {
			harvest_table(mmu, child_of(entry, level), harvest, budget);
			continue;
		}
		if (fmt(is_leaf)(entry, level) && clean_leaf(mmu, table, i, entry))
			*budget -= CLEAR_COST;
		harvest->next = table->base + ((i + 1ULL) << slat_span_lg2(level));
	}
}

static int table_harvest(struct slat_mmu *mmu, struct slat_root *root,
			 struct slat_harvest *harvest)
{
	int budget = BATCH;

	slat_rwlock_assert_held_write(&mmu->lock);
	harvest->last = min(harvest->last, slat_mmu_last_gfn(mmu));
	harvest_table(mmu, root->table, harvest, &budget);
	return harvest->next <= harvest->last ? -EAGAIN : 0;
}

/* Looking */

static void clear_accessed(struct slat_mmu *mmu, struct slat_table *table, unsigned int i,
			   u64 old)
{
	/*
	 * Others may set D or widen, each once: this ends.  Or they split the leaf,
	 * whose parts stay young then.
	 */
	while (fmt(is_leaf)(old, table->level) && fmt(is_accessed)(old) &&
	       set_entry(mmu, table, i, old, fmt(clear_accessed)(old)) == -EAGAIN)
		old = READ_ONCE(table->entry[i]);
}

/* Recursion ends after SLAT_LEVELS_MAX calls. */
static bool age_table(struct slat_mmu *mmu, struct slat_table *table, u64 first, u64 last,
		      bool clear)
{
	const unsigned int level = table->level;
	const u64 end = table->base + slat_span(level + 1) - 1;
	const unsigned int stop = slat_index(min(last, end), level);
	unsigned int i = slat_index(max(first, table->base), level);
	bool young = false;

	for (; i <= stop && (clear || !young); i++) {
		const u64 entry = READ_ONCE(table->entry[i]);

		if (fmt(is_table)(entry, level)) {
			young |= age_table(mmu, child_of(entry, level), first, last, clear);
		} else if (fmt(is_leaf)(entry, level) && fmt(is_accessed)(entry)) {
			young = true;
			if (clear)
				clear_accessed(mmu, table, i, entry);
		}
	}
	return young;
}

static bool table_age(struct slat_mmu *mmu, struct slat_root *root, u64 first, u64 last,
		      bool clear)
{
	slat_rwlock_assert_held(&mmu->lock);
	return first <= last && first <= slat_mmu_last_gfn(mmu) &&
	       age_table(mmu, root->table, first, last, clear);
}

static void table_read(struct slat_root *root, u64 gfn, struct slat_leaf *leaf)
{
	struct slat_table *table = root->table;
	u64 entry;

	for (;;) {
		entry = READ_ONCE(table->entry[slat_index(gfn, table->level)]);
		if (!fmt(is_table)(entry, table->level))
			break;
		table = child_of(entry, table->level);
	}
	*leaf = (struct slat_leaf) {
		.entry_level = table->level,
		.suppress_ve = fmt(is_ve_suppressed)(entry),
	};
	if (!fmt(is_leaf)(entry, table->level))
		return;
	leaf->level = table->level;
	leaf->pfn = fmt(pfn)(entry, table->level) + (gfn & (slat_span(table->level) - 1));
	leaf->rights = fmt(rights)(entry);
	leaf->type = fmt(type)(entry, table->level);
	leaf->accessed = fmt(is_accessed)(entry);
	leaf->dirty = fmt(is_dirty)(entry);
}

const struct slat_table_ops fmt(table_ops) = {
	.empty = fmt(empty),
	.map = table_map,
	.map_run = table_map_run,
	.zap = table_zap,
	.harvest = table_harvest,
	.age = table_age,
	.read = table_read,
};
