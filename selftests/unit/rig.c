// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include <linux/bug.h>

#include "check.h"
#include "rig.h"

/* How often a lost race is tried again. */
#define TRIES		1000

static_assert(MODEL_R == SLAT_R && MODEL_W == SLAT_W && MODEL_X == SLAT_X);
static_assert(MODEL_R == HW_READ && MODEL_W == HW_WRITE && MODEL_X == HW_EXEC);

const struct rig_format rig_npt = {
	.ops = &npt_table_ops,
	.hw = &hw_npt,
	.rights = { SLAT_R, SLAT_R | SLAT_W, SLAT_R | SLAT_X, SLAT_RWX },
	.nr_rights = 4,
};

const struct rig_format rig_ept = {
	.ops = &ept_table_ops,
	.hw = &hw_ept,
	.rights = { SLAT_R, SLAT_R | SLAT_W, SLAT_R | SLAT_X, SLAT_RWX, SLAT_X },
	.nr_rights = 5,
};

/* Two neighbours, and the ends of the 40 bits. */
static const u64 frames[RIG_FRAMES] = {
	0, 1, 2, 3, 0x1ff, 0x200, 0x3ffff, 0x40000, 0x7654321, 0x12345678, 0x80000000, 0xfffffffff,
	0x1000000000, 0x5555555555, 0xaaaaaaaaaa, 0x8000000000, 0x7fffffffff, 0xffffffffff,
	0xfffffffffe, 0xfffffffe00, 0x100, 0x101, 0x102, 0x103,
};

char check_note[80];

static struct rig *the_rig;

u64 rig_frame(unsigned int n)
{
	return frames[n % RIG_FRAMES];
}

static unsigned int frame_index(u64 frame)
{
	unsigned int n;

	for (n = 0; n < RIG_FRAMES && frames[n] != frame; n++)
		;
	CHECK(n < RIG_FRAMES);
	return n;
}

unsigned int rig_index(const struct rig *rig, u64 gfn)
{
	unsigned int i;

	for (i = 0; i < rig->model.nr && rig->model.page[i].gfn != gfn; i++)
		;
	CHECK(i < rig->model.nr);
	return i;
}

/* Making and breaking */

static void on_return(u64 pfn, bool accessed, bool dirty)
{
	struct rig_tally *tally = &the_rig->returned[frame_index(pfn)];

	CHECK(shim_lock_is_held_write(&the_rig->mmu.lock));
	tally->accessed += accessed;
	tally->dirty += dirty;
}

struct rig *rig_new(const struct rig_format *format, unsigned int levels)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	CHECK(rig && !the_rig);
	the_rig = rig;
	tables_on_return = on_return;
	model_init(&rig->model, levels);
	rwlock_init(&rig->mmu.lock);
	rig->format = format;
	slat_cache_init(&rig->cache, format->hw->empty);
	rig->mmu.ops = format->ops;
	rig->mmu.levels = levels;
	rig->root.table = slat_table_alloc(format->hw->empty);
	rig->root.table->level = levels;
	atomic_long_inc(&rig->mmu.tables);
	rig->hw = (struct hw) {
		.format = format->hw,
		.root = (uint64_t *)rig->root.table->entry,
		.levels = levels,
	};
	return rig;
}

void rig_free(struct rig *rig)
{
	rig->between = NULL;
	rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	CHECK(tables_leaves(&rig->mmu) == 0);
	CHECK(atomic_long_read(&rig->mmu.tables) == 1);
	CHECK(atomic_read(&rig->root.table->live) == 0);
	rig_check(rig);
	rig_scan(rig);
	slat_table_free(rig->root.table);
	slat_cache_drain(&rig->cache);
	CHECK(tables_live() == 0);
	shim_before_cmpxchg = NULL;
	the_rig = NULL;
	free(rig);
}

/* Interference */

/* splitmix64 */
u64 rig_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* A gfn of interest whose walk goes through the entry; model.nr when none does. */
static unsigned int walks_through(struct rig *rig, const u64 *entry)
{
	unsigned int i, level;

	for (level = 1; level <= rig->hw.levels; level++)
		for (i = 0; i < rig->model.nr; i++)
			if (hw_entry(&rig->hw, rig->model.page[i].gfn, level) ==
			    (const uint64_t *)entry)
				return i;
	return rig->model.nr;
}

/* The guest uses the entry right before it is exchanged. */
static void touch(struct rig *rig, const u64 *entry, unsigned int kind)
{
	const unsigned int i = walks_through(rig, entry);
	uint64_t frame;

	CHECK(i < rig->model.nr);
	if (hw_access(&rig->hw, rig->model.page[i].gfn, kind, &frame))
		CHECK(model_access(&rig->model, i, kind) && frame == rig->model.page[i].frame);
}

static bool interfere(u64 *entry, u64 old, u64 new)
{
	switch (rig_random(&the_rig->storm) % 8) {
	case 0:
		return false;
	case 1:
		touch(the_rig, entry, HW_READ);
		return true;
	case 2:
		touch(the_rig, entry, HW_WRITE);
		return true;
	default:
		return true;
	}
}

void rig_storm(struct rig *rig, u64 seed)
{
	rig->storm = seed;
	shim_before_cmpxchg = interfere;
}

/* Comparing */

static void check_read(struct rig *rig, const struct model_page *page)
{
	struct slat_leaf leaf;

	memset(&leaf, 0xff, sizeof(leaf));
	read_lock(&rig->mmu.lock);
	rig->mmu.ops->read(&rig->root, page->gfn, &leaf);
	read_unlock(&rig->mmu.lock);
	CHECK(leaf.level == (page->rights ? 1 : 0));
	CHECK(leaf.pfn == page->frame && leaf.rights == page->rights);
	CHECK(leaf.type == (page->rights ? SLAT_MT_WB : 0) && leaf.suppress_ve);
	CHECK(leaf.accessed == page->accessed && leaf.dirty == page->dirty);
}

static void check_walk(struct rig *rig, const struct model_page *page)
{
	const struct hw_leaf leaf = hw_peek(&rig->hw, page->gfn);
	unsigned int level;

	CHECK(leaf.rights == page->rights && leaf.frame == page->frame);
	CHECK(leaf.accessed == page->accessed && leaf.dirty == page->dirty);
	for (level = 1; level < rig->model.levels; level++)
		CHECK(!hw_entry(&rig->hw, page->gfn, level) == !page->table[level]);
}

static void check_counters(struct rig *rig)
{
	const long tables = 1 + model_tables(&rig->model);

	CHECK(tables_leaves(&rig->mmu) == (long)model_leaves(&rig->model));
	CHECK(atomic_long_read(&rig->mmu.tables) == tables);
	CHECK(tables_live() == tables + (long)rig->cache.nr);
	CHECK(!memcmp(rig->returned, rig->owed, sizeof(rig->owed)));
	CHECK(!shim_warnings);
}

void rig_check(struct rig *rig)
{
	unsigned int i;

	for (i = 0; i < rig->model.nr; i++) {
		check_read(rig, &rig->model.page[i]);
		check_walk(rig, &rig->model.page[i]);
	}
	check_counters(rig);
}

/* What is not present must be empty: no address, no type, nothing. */
static void scan_table(const struct rig *rig, const struct slat_table *table, u64 base,
		       unsigned int level)
{
	const struct hw_format *format = rig->hw.format;
	int i, live = 0;

	for (i = 0; i < 512; i++) {
		const bool present = format->rights(table->entry[i]);

		live += present;
		CHECK(present ? format->is_sound(table->entry[i], level) :
				table->entry[i] == format->empty);
	}
	CHECK(atomic_read((atomic_t *)&table->live) == live);
	CHECK(table->level == level && table->base == base);
}

void rig_scan(struct rig *rig)
{
	unsigned int i, level;

	scan_table(rig, rig->root.table, 0, rig->model.levels);
	for (i = 0; i < rig->model.nr; i++) {
		const struct model_page *page = &rig->model.page[i];

		for (level = 1; level < rig->model.levels; level++) {
			const uint64_t *entry = hw_entry(&rig->hw, page->gfn, level);

			if (entry && model_is_first(&rig->model, i, level))
				scan_table(rig, slat_table_of((uintptr_t)entry >> 12),
					   model_table_base(page->gfn, level), level);
		}
	}
}

/* Mapping and accessing */

int rig_map_locked(struct rig *rig, struct slat_cache *cache, unsigned int i, u64 frame,
		   unsigned int rights)
{
	const struct slat_map map = {
		.gfn = rig->model.page[i].gfn,
		.pfn = frame,
		.level = 1,
		.rights = rights,
		.type = SLAT_MT_WB,
		.cache = cache,
	};

	return rig->mmu.ops->map(&rig->mmu, &rig->root, &map);
}

int rig_try_map(struct rig *rig, unsigned int i, u64 frame, unsigned int rights)
{
	int ret;

	read_lock(&rig->mmu.lock);
	ret = rig_map_locked(rig, &rig->cache, i, frame, rights);
	read_unlock(&rig->mmu.lock);
	return ret;
}

void rig_note_tables(struct rig *rig, unsigned int i)
{
	unsigned int level;

	for (level = 1; level < rig->model.levels; level++)
		if (hw_entry(&rig->hw, rig->model.page[i].gfn, level))
			model_table_add(&rig->model, i, level);
}

static int map_until_done(struct rig *rig, unsigned int i, u64 frame, unsigned int rights)
{
	unsigned int tries = rig->storm ? TRIES : 1;
	int ret;

	do {
		ret = rig_try_map(rig, i, frame, rights);
	} while (ret == -EAGAIN && --tries);
	return ret;
}

void rig_map(struct rig *rig, unsigned int i, u64 frame, unsigned int rights)
{
	const unsigned int missing = model_tables_missing(&rig->model, i);
	const u64 cut_gen = rig->mmu.cut_gen;
	const int refused = model_map(&rig->model, i, frame, rights);
	unsigned int nr;

	CHECK(!slat_cache_fill(&rig->cache, rig->model.levels - 1));
	nr = rig->cache.nr;
	if (refused)
		CHECK(rig_try_map(rig, i, frame, rights) == -EAGAIN);
	else
		CHECK(!map_until_done(rig, i, frame, rights));
	CHECK(nr - rig->cache.nr == missing);
	CHECK(rig->mmu.cut_gen == cut_gen);
}

void rig_map_short(struct rig *rig, unsigned int i, unsigned int tables)
{
	const u64 cut_gen = rig->mmu.cut_gen;

	CHECK(tables < model_tables_missing(&rig->model, i));
	slat_cache_drain(&rig->cache);
	CHECK(!slat_cache_fill(&rig->cache, tables));
	CHECK(map_until_done(rig, i, rig_frame(i), SLAT_RWX) == -ENOMEM);
	CHECK(rig->mmu.cut_gen == cut_gen);
	rig_note_tables(rig, i);
}

bool rig_access(struct rig *rig, unsigned int i, unsigned int kind)
{
	const struct model_page *page = &rig->model.page[i];
	uint64_t frame = 0;
	const bool granted = hw_access(&rig->hw, page->gfn, kind, &frame);

	CHECK(granted == model_access(&rig->model, i, kind));
	CHECK(!granted || frame == page->frame);
	return granted;
}

/* Zapping */

static unsigned int count(const struct slat_gather *gather)
{
	const struct slat_table *table;
	unsigned int nr = 0;

	list_for_each_entry(table, &gather->freed, link)
		nr++;
	return nr;
}

/* Returns how many pages were mapped. */
static unsigned int unmap_range(struct rig *rig, u64 first, u64 last)
{
	unsigned int i, cut = 0;

	for (i = 0; i < rig->model.nr; i++) {
		const struct model_page *page = &rig->model.page[i];

		if (page->gfn < first || page->gfn > last || !page->rights)
			continue;
		rig->owed[frame_index(page->frame)].accessed += page->accessed;
		rig->owed[frame_index(page->frame)].dirty += page->dirty;
		model_unmap(&rig->model, i);
		cut++;
	}
	return cut;
}

/* In the middle of a zap some tables are gone; only those that may be. */
static void notice_pruned(struct rig *rig, const struct slat_zap *zap)
{
	unsigned int i, level;

	for (level = 1; level < rig->model.levels; level++) {
		for (i = 0; i < rig->model.nr; i++) {
			struct model_page *page = &rig->model.page[i];
			const u64 base = model_table_base(page->gfn, level);

			if (!page->table[level] || hw_entry(&rig->hw, page->gfn, level))
				continue;
			CHECK(zap->prune);
			CHECK(base <= zap->last && base + (1ULL << (9 * level)) - 1 >= zap->first);
			CHECK(!model_table_used(&rig->model, i, level));
			page->table[level] = false;
		}
	}
}

static int zap_batch(struct rig *rig, struct slat_zap *zap, struct slat_gather *gather)
{
	const unsigned int freed = count(gather), tables = atomic_long_read(&rig->mmu.tables);
	const u64 cut_gen = rig->mmu.cut_gen, from = zap->next;
	const unsigned long reads = shim_reads;
	unsigned int cut;
	int ret;

	write_lock(&rig->mmu.lock);
	ret = rig->mmu.ops->zap(&rig->mmu, &rig->root, zap, gather);
	write_unlock(&rig->mmu.lock);

	CHECK(rig->storm || shim_reads - reads <= RIG_ZAP_READS_MAX);
	CHECK(!ret || (ret == -EAGAIN && zap->next > from && zap->next <= zap->last));
	cut = unmap_range(rig, from, ret ? zap->next - 1 : zap->last);
	notice_pruned(rig, zap);
	CHECK(tables - atomic_long_read(&rig->mmu.tables) == count(gather) - freed);
	CHECK(rig->mmu.cut_gen >= cut_gen);
	CHECK((rig->mmu.cut_gen != cut_gen) == (cut || count(gather) != freed));
	return ret;
}

/* The flush has been; nothing may lead to the tables any more. */
static void free_gathered(struct rig *rig, struct slat_gather *gather)
{
	while (!list_empty(&gather->freed)) {
		struct slat_table *table = list_first_entry(&gather->freed, struct slat_table,
							    link);
		const uint64_t *now = hw_entry(&rig->hw, table->base, table->level);

		CHECK(now != (const uint64_t *)&table->entry[0]);
		CHECK(atomic_read(&table->live) == 0);
		scan_table(rig, table, table->base, table->level);
		list_del(&table->link);
		slat_table_free(table);
	}
}

unsigned int rig_zap(struct rig *rig, u64 first, u64 last, bool prune)
{
	struct slat_zap zap = { .first = first, .last = last, .next = first, .prune = prune };
	struct slat_gather gather;
	unsigned int batches = 1;

	slat_gather_init(&gather, &rig->mmu);
	for (; zap_batch(rig, &zap, &gather) == -EAGAIN; batches++)
		if (rig->between)
			rig->between(rig);
	CHECK(zap.first == first && zap.last == last && zap.prune == prune);
	/* What comes in between may need a table that was passed already. */
	if (prune && !rig->between)
		model_prune(&rig->model, first, last);
	free_gathered(rig, &gather);
	return batches;
}
