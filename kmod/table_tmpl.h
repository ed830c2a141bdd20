/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walker, compiled once per format: the including file defines fmt(name).
 *
 * Every change of an entry goes through set_entry(): it counts, moves accessed
 * and dirty bits to the host, and notes what has to be flushed, so that no caller
 * can forget.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/lockdep.h>

#include "table.h"

/* Tables gone through before the lock is offered to others, 512 entries each. */
#define ZAP_BATCH	16

static_assert(SLAT_ENTRIES * sizeof(u64) == 4096);

/* Does going from @old to @new take away something that a TLB may hold? */
static bool is_cut(u64 old, u64 new, unsigned int level)
{
	if (!fmt(is_present)(old))
		return false;
	if (!fmt(is_present)(new))
		return true;
	return fmt(is_leaf)(old, level) && (fmt(rights)(old) & ~fmt(rights)(new));
}

static void account(struct slat_mmu *mmu, struct slat_table *table, u64 old, u64 new)
{
	const unsigned int level = table->level;
	const int present = fmt(is_present)(new) - fmt(is_present)(old);
	const int leaf = fmt(is_leaf)(new, level) - fmt(is_leaf)(old, level);

	if (present)
		atomic_add(present, &table->live);
	if (leaf)
		atomic_long_add(leaf, &mmu->leaves[level - 1]);
}

/*
 * The only way an entry changes.  -EAGAIN: it was not @old any more, which for a
 * caller with the lock for write can only mean that the CPU set A or D.
 *
 * A present leaf keeps its frame until it is cleared: a CPU must never see one
 * gfn move from frame to frame without a flush in between.
 */
static int set_entry(struct slat_mmu *mmu, struct slat_table *table, unsigned int i,
		     u64 old, u64 new)
{
	const unsigned int level = table->level;
	u64 seen = old;

	if (WARN_ON_ONCE(fmt(is_present)(old) && fmt(is_present)(new) &&
			 fmt(pfn)(old, level) != fmt(pfn)(new, level)))
		return -EAGAIN;
	if (!try_cmpxchg64(&table->entry[i], &seen, new))
		return -EAGAIN;

	account(mmu, table, old, new);
	if (fmt(is_leaf)(old, level) && !fmt(is_leaf)(new, level))
		slat_host_page_return(fmt(pfn)(old, level), fmt(is_accessed)(old),
				      fmt(is_dirty)(old));
	if (is_cut(old, new, level)) {
		slat_rwlock_assert_held_write(&mmu->lock);
		/* After the entry: who sees the count also sees the cut. */
		smp_store_release(&mmu->cut_gen, mmu->cut_gen + 1);
	}
	return 0;
}

static struct slat_table *child_of(u64 entry, unsigned int level)
{
	return slat_table_of(fmt(pfn)(entry, level));
}

/* Hang a table from the cache below entry @i.  -EAGAIN: somebody else just did. */
static int add_table(struct slat_mmu *mmu, struct slat_table *parent, unsigned int i, u64 old,
		     struct slat_cache *cache)
{
	struct slat_table *child = slat_cache_take(cache);
	int ret;

	if (!child)
		return -ENOMEM;
	child->level = parent->level - 1;
	child->base = parent->base + ((u64)i << slat_span_lg2(parent->level));
	ret = set_entry(mmu, parent, i, old, fmt(make_table)(slat_table_pfn(child)));
	if (ret)
		slat_cache_put(cache, child);
	else
		atomic_long_inc(&mmu->tables);
	return ret;
}

static int map_leaf(struct slat_mmu *mmu, struct slat_table *table, const struct slat_map *map)
{
	const unsigned int level = table->level, i = slat_index(map->gfn, level);
	const u64 old = READ_ONCE(table->entry[i]);
	u64 new = fmt(make_leaf)(map->pfn, level, map->rights, map->type);

	if (!fmt(is_present)(old))
		return set_entry(mmu, table, i, old, new);
	if (fmt(pfn)(old, level) != map->pfn || fmt(type)(old, level) != fmt(type)(new, level))
		return -EAGAIN;
	if (!(map->rights & ~fmt(rights)(old)))
		return 0;	/* another vCPU was faster */
	/* Widen, never cut, and keep A and D, which live in the old entry alone. */
	new = fmt(make_leaf)(map->pfn, level, map->rights | fmt(rights)(old), map->type);
	return set_entry(mmu, table, i, old, fmt(carry_ad)(new, old));
}

static bool can_map(const struct slat_mmu *mmu, const struct slat_map *map)
{
	return map->gfn < slat_span(mmu->levels + 1) && map->level == 1 &&
	       fmt(can_map)(map->pfn, map->level, map->rights);
}

static int table_map(struct slat_mmu *mmu, struct slat_root *root, const struct slat_map *map)
{
	struct slat_table *table = root->table;

	slat_rwlock_assert_held(&mmu->lock);
	if (!can_map(mmu, map))
		return -EINVAL;
	while (table->level > 1) {
		const unsigned int i = slat_index(map->gfn, table->level);
		const u64 entry = READ_ONCE(table->entry[i]);
		int ret;

		if (fmt(is_table)(entry, table->level)) {
			table = child_of(entry, table->level);
			continue;
		}
		ret = add_table(mmu, table, i, entry, map->cache);
		if (ret)
			return ret;
	}
	return map_leaf(mmu, table, map);
}

static void clear_leaf(struct slat_mmu *mmu, struct slat_table *table, unsigned int i)
{
	u64 old;

	/* The CPU may set A and D behind us, each once: this ends. */
	do {
		old = READ_ONCE(table->entry[i]);
	} while (fmt(is_leaf)(old, table->level) &&
		 set_entry(mmu, table, i, old, fmt(empty)()) == -EAGAIN);
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
	atomic_long_dec(&mmu->tables);
}

/* Recursion ends after SLAT_LEVELS_MAX calls. */
static void zap_table(struct slat_mmu *mmu, struct slat_table *table, struct slat_zap *zap,
		      unsigned int *budget, struct slat_gather *gather)
{
	const unsigned int level = table->level;
	unsigned int i;

	for (i = slat_index(zap->next, level); i < SLAT_ENTRIES && zap->next <= zap->last; i++) {
		const u64 end = table->base + ((i + 1ULL) << slat_span_lg2(level));
		const u64 entry = READ_ONCE(table->entry[i]);

		if (fmt(is_table)(entry, level)) {
			struct slat_table *child = child_of(entry, level);

			zap_table(mmu, child, zap, budget, gather);
			if (zap->next < end && zap->next <= zap->last)
				return;		/* out of budget below */
			if (zap->prune && !atomic_read(&child->live))
				prune(mmu, table, i, gather);
			if (!*budget) {
				zap->next = end;
				return;
			}
		} else if (fmt(is_leaf)(entry, level)) {
			clear_leaf(mmu, table, i);
		}
		zap->next = end;
	}
	--*budget;
}

static int table_zap(struct slat_mmu *mmu, struct slat_root *root, struct slat_zap *zap,
		     struct slat_gather *gather)
{
	unsigned int budget = ZAP_BATCH;

	slat_rwlock_assert_held_write(&mmu->lock);
	zap_table(mmu, root->table, zap, &budget, gather);
	return zap->next <= zap->last ? -EAGAIN : 0;
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
	*leaf = (struct slat_leaf) { .suppress_ve = fmt(is_ve_suppressed)(entry) };
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
	.zap = table_zap,
	.read = table_read,
};
