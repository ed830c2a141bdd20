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

/* splitmix64 */
static u64 scramble(u64 z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u64 rig_large_frame(u64 gfn, unsigned int n)
{
	const u64 large = scramble((gfn >> 18) * 5 + n) & 0x3fffff;

	return large << 18 | (gfn & 0x3ffff);
}

unsigned int rig_type(const struct rig *rig, unsigned int type)
{
	if (rig->format == &rig_npt)
		return type & ~SLAT_MT_IPAT;
	return (type & ~SLAT_MT_IPAT) == SLAT_MT_UC_MINUS ? type & SLAT_MT_IPAT : type;
}

/* Note what a frame gets, or should get. */
static void tally(struct rig_tally *of, struct rig_sum *sum, u64 frame, bool accessed, bool dirty)
{
	unsigned int n;

	for (n = 0; n < RIG_FRAMES; n++) {
		if (frames[n] != frame)
			continue;
		of[n].accessed += accessed;
		of[n].dirty += dirty;
	}
	sum->accessed += accessed ? scramble(frame + 1) : 0;
	sum->dirty += dirty ? scramble(frame + 1) : 0;
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
	CHECK(shim_lock_is_held_write(&the_rig->mmu.lock));
	tally(the_rig->returned, &the_rig->returned_sum, pfn, accessed, dirty);
}

/* What the log should get of a leaf, or gets. */
static void tally_log(struct rig_sum *sum, u64 first, u64 last)
{
	sum->logged += scramble(first + scramble(last + 1));
}

static void on_mark(struct slat_mmu *mmu, u64 first, u64 last)
{
	CHECK(mmu == &the_rig->mmu && shim_lock_is_held_write(&mmu->lock));
	tally_log(&the_rig->returned_sum, first, last);
}

struct rig *rig_new(const struct rig_format *format, unsigned int levels)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	CHECK(rig && !the_rig);
	the_rig = rig;
	tables_on_return = on_return;
	tables_on_mark = on_mark;
	model_init(&rig->model, levels);
	rwlock_init(&rig->mmu.lock);
	rig->format = format;
	slat_cache_init(&rig->cache, format->hw->empty);
	rig->mmu.ops = format->ops;
	rig->mmu.nr_logs = 1;
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
	CHECK(tables_leaves(&rig->mmu) == 0 && !rig->model.nr_runs);
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

u64 rig_random(u64 *state)
{
	return scramble(*state += 0x9e3779b97f4a7c15ULL);
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
	u64 gfn;

	/* Of no interest: a part of a leaf that was split. */
	if (i == rig->model.nr)
		return;
	rig_note_tables(rig, i);
	gfn = rig->model.page[i].gfn;
	if (hw_access(&rig->hw, gfn, kind, &frame))
		CHECK(model_access(&rig->model, gfn, kind) &&
		      frame == model_leaf(&rig->model, gfn).frame);
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
	const struct model_run want = model_leaf(&rig->model, page->gfn);
	struct slat_leaf leaf;

	memset(&leaf, 0xff, sizeof(leaf));
	read_lock(&rig->mmu.lock);
	rig->mmu.ops->read(&rig->root, page->gfn, &leaf);
	read_unlock(&rig->mmu.lock);
	CHECK(leaf.level == want.level && leaf.type == want.type);
	CHECK(leaf.pfn == want.frame && leaf.rights == want.rights && leaf.suppress_ve);
	CHECK(leaf.accessed == want.accessed && leaf.dirty == want.dirty);
}

static void check_leaf(const struct hw_leaf *leaf, const struct model_run *want)
{
	CHECK(leaf->level == want->level && leaf->rights == want->rights);
	CHECK(leaf->frame == want->frame);
	CHECK((leaf->type | (leaf->ipat ? SLAT_MT_IPAT : 0)) == want->type);
	CHECK(leaf->accessed == want->accessed && leaf->dirty == want->dirty);
}

static void check_walk(struct rig *rig, const struct model_page *page)
{
	const struct model_run want = model_leaf(&rig->model, page->gfn);
	const struct hw_leaf leaf = hw_peek(&rig->hw, page->gfn);
	unsigned int level;

	check_leaf(&leaf, &want);
	for (level = 1; level < rig->model.levels; level++)
		CHECK(!hw_entry(&rig->hw, page->gfn, level) == !page->table[level]);
}

static void check_counters(struct rig *rig)
{
	const long tables = 1 + model_tables(&rig->model);
	unsigned int level;

	for (level = 1; level <= MODEL_LEAF_LEVELS; level++)
		CHECK(atomic_long_read(&rig->mmu.leaves[level - 1]) ==
		      (long)model_leaves(&rig->model, level));
	CHECK(atomic_long_read(&rig->mmu.tables) == tables);
	CHECK(tables_live() == tables + (long)rig->cache.nr);
	CHECK(!memcmp(rig->returned, rig->owed, sizeof(rig->owed)));
	CHECK(!memcmp(&rig->returned_sum, &rig->owed_sum, sizeof(rig->owed_sum)));
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

/* What is not present must be empty: no address, no type, nothing.  Returns the leaves. */
static unsigned int scan_table(const struct rig *rig, const struct slat_table *table, u64 base,
			       unsigned int level)
{
	const struct hw_format *format = rig->hw.format;
	unsigned int i, live = 0, leaves = 0;

	for (i = 0; i < 512; i++) {
		const u64 entry = table->entry[i];
		const bool present = format->rights(entry);

		live += present;
		CHECK(present ? format->is_sound(entry, level) : entry == format->empty);
		leaves += present && format->is_leaf(entry, level);
	}
	CHECK(atomic_read((atomic_t *)&table->live) == (int)live);
	CHECK(table->level == level && table->base == base);
	return leaves;
}

/*
 * Returns the leaves in it and below, each of which is as the model has it.  What is
 * dirty is found by following A from the root.
 */
static u64 scan_tree(const struct rig *rig, const uint64_t *table, u64 base, unsigned int level,
		     bool *dirty)
{
	u64 leaves = scan_table(rig, slat_table_of((uintptr_t)table >> 12), base, level);
	const struct hw_format *format = rig->hw.format;
	unsigned int i;

	for (i = 0; i < 512; i++) {
		const u64 gfn = base + ((u64)i << (9 * (level - 1)));

		if (!format->rights(table[i]))
			continue;
		if (format->is_leaf(table[i], level)) {
			const struct model_run want = model_leaf(&rig->model, gfn);
			const struct hw_leaf leaf = hw_peek(&rig->hw, gfn);

			check_leaf(&leaf, &want);
			*dirty |= leaf.dirty;
		} else {
			bool below = false;

			leaves += scan_tree(rig, (uint64_t *)(uintptr_t)
					    (format->frame(table[i], level) << 12), gfn, level - 1,
					    &below);
			CHECK(!below || (table[i] & format->accessed));
			*dirty |= below;
		}
	}
	return leaves;
}

void rig_scan(struct rig *rig)
{
	unsigned int level;
	bool dirty = false;
	u64 leaves = 0;

	for (level = 1; level <= MODEL_LEAF_LEVELS; level++)
		leaves += model_leaves(&rig->model, level);
	CHECK(scan_tree(rig, rig->hw.root, 0, rig->model.levels, &dirty) == leaves);
}

/* Mapping and accessing */

static int try_map_as(struct rig *rig, struct slat_cache *cache, unsigned int i,
		      const struct model_map *as)
{
	const struct slat_map map = {
		.gfn = rig->model.page[i].gfn,
		.pfn = as->frame,
		.level = as->level,
		.rights = as->rights,
		.type = as->type,
		.keep_small = as->keep_small,
		.cache = cache,
	};

	return rig->mmu.ops->map(&rig->mmu, &rig->root, &map);
}

int rig_try_any(struct rig *rig, u64 gfn, u64 pfn, unsigned int level, unsigned int rights)
{
	const struct slat_map map = {
		.gfn = gfn, .pfn = pfn, .level = level, .rights = rights,
		.type = SLAT_MT_WB, .cache = &rig->cache,
	};
	int ret;

	CHECK(!slat_cache_fill(&rig->cache, rig->model.levels - 1));
	read_lock(&rig->mmu.lock);
	ret = rig->mmu.ops->map(&rig->mmu, &rig->root, &map);
	read_unlock(&rig->mmu.lock);
	return ret;
}

int rig_map_locked(struct rig *rig, struct slat_cache *cache, unsigned int i, u64 frame,
		   unsigned int rights)
{
	const struct model_map map = {
		.frame = frame, .level = 1, .rights = rights, .type = SLAT_MT_WB,
	};

	return try_map_as(rig, cache, i, &map);
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
	const u64 gfn = rig->model.page[i].gfn;
	unsigned int level;

	for (level = rig->model.levels - 1; level >= 1; level--) {
		if (!hw_entry(&rig->hw, gfn, level) || rig->model.page[i].table[level])
			continue;
		if (model_leaf(&rig->model, gfn).level)
			model_split(&rig->model, i);
		else
			model_table_add(&rig->model, i, level);
	}
}

/* A race that is lost on purpose is tried again. */
static int map_until(struct rig *rig, unsigned int i, const struct model_map *map, int end)
{
	unsigned int tries = rig->storm ? TRIES : 1;
	int ret;

	do {
		read_lock(&rig->mmu.lock);
		ret = try_map_as(rig, &rig->cache, i, map);
		read_unlock(&rig->mmu.lock);
	} while (ret != end && ret == -EAGAIN && --tries);
	return ret;
}

/* The type as the model is to have it: what is read back. */
static struct model_map as_read(const struct rig *rig, const struct model_map *map)
{
	struct model_map read = *map;

	read.type = rig_type(rig, map->type);
	return read;
}

int rig_map_as(struct rig *rig, unsigned int i, const struct model_map *map)
{
	static const int errnos[] = {
		[MODEL_DONE] = 0, [MODEL_OTHER] = -EAGAIN, [MODEL_BUSY] = -EBUSY,
	};
	const struct model_map read = as_read(rig, map);
	const int ret = errnos[model_result(&rig->model, i, &read)];
	const unsigned int tables = model_tables(&rig->model);
	const u64 cut_gen = rig->mmu.cut_gen;
	unsigned int nr;

	CHECK(!slat_cache_fill(&rig->cache, rig->model.levels - 1));
	nr = rig->cache.nr;
	CHECK(map_until(rig, i, map, ret) == ret);
	CHECK(rig->mmu.cut_gen == cut_gen);
	if (!ret)
		model_map(&rig->model, i, &read);
	else if (map->keep_small)
		model_keep(&rig->model, i);
	CHECK(nr - rig->cache.nr == model_tables(&rig->model) - tables);
	return ret;
}

void rig_map(struct rig *rig, unsigned int i, u64 frame, unsigned int rights)
{
	const struct model_map map = {
		.frame = frame, .level = 1, .rights = rights, .type = SLAT_MT_WB,
	};

	rig_map_as(rig, i, &map);
}

void rig_map_short(struct rig *rig, unsigned int i, const struct model_map *map,
		   unsigned int tables)
{
	const u64 cut_gen = rig->mmu.cut_gen;

	slat_cache_drain(&rig->cache);
	CHECK(!slat_cache_fill(&rig->cache, tables));
	CHECK(map_until(rig, i, map, -ENOMEM) == -ENOMEM);
	CHECK(rig->mmu.cut_gen == cut_gen);
	rig_note_tables(rig, i);
	if (map->keep_small)
		model_keep(&rig->model, i);
}

/* Which of the pages the hardware has now and the model does not yet. */
static unsigned int note_run(struct rig *rig, u64 gfn, unsigned int nr, u64 mask,
			     const struct model_map *read)
{
	unsigned int n, entered = 0;

	for (n = 0; n < nr; n++) {
		struct model_map map = *read;

		map.frame += n;
		if (!(mask >> n & 1) || model_leaf(&rig->model, gfn + n).level)
			continue;
		if (rig->storm && !hw_peek(&rig->hw, gfn + n).level)
			continue;	/* lost a race */
		model_enter(&rig->model, gfn + n, &map);
		entered++;
	}
	return entered;
}

int rig_map_run(struct rig *rig, unsigned int i, unsigned int nr, u64 mask,
		const struct model_map *map)
{
	const u64 gfn = rig->model.page[i].gfn, cut_gen = rig->mmu.cut_gen;
	const struct model_map read = as_read(rig, map);
	u64 pfn[SLAT_RUN_MAX];
	u8 rights[SLAT_RUN_MAX];
	const struct slat_run run = {
		.gfn = gfn, .nr = nr, .pfn = pfn, .rights = rights, .type = map->type,
		.cache = &rig->cache,
	};
	unsigned int n, tries = rig->storm ? TRIES : 1;
	int ret;

	for (n = 0; n < nr; n++) {
		pfn[n] = mask >> n & 1 ? map->frame + n : SLAT_PFN_NONE;
		rights[n] = map->rights;
	}
	CHECK(!slat_cache_fill(&rig->cache, rig->model.levels - 1));
	do {
		read_lock(&rig->mmu.lock);
		ret = rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run);
		read_unlock(&rig->mmu.lock);
	} while (ret == -EAGAIN && --tries);
	CHECK(rig->mmu.cut_gen == cut_gen);
	rig_note_tables(rig, i);
	CHECK(ret == (int)note_run(rig, gfn, nr, mask, &read));
	return ret;
}

bool rig_access(struct rig *rig, unsigned int i, unsigned int kind)
{
	const u64 gfn = rig->model.page[i].gfn;
	uint64_t frame = 0;
	const bool granted = hw_access(&rig->hw, gfn, kind, &frame);

	CHECK(granted == model_access(&rig->model, gfn, kind));
	CHECK(!granted || frame == model_leaf(&rig->model, gfn).frame);
	return granted;
}

bool rig_age(struct rig *rig, u64 first, u64 last, bool clear)
{
	const u64 cut_gen = rig->mmu.cut_gen;
	bool young;

	read_lock(&rig->mmu.lock);
	young = rig->mmu.ops->age(&rig->mmu, &rig->root, first, last, clear);
	read_unlock(&rig->mmu.lock);
	CHECK(young == model_age(&rig->model, first, last, clear));
	CHECK(rig->mmu.cut_gen == cut_gen);
	return young;
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

/* The host's pages get the bits of leaves, and the log of those that are dirty. */
static void owe(struct rig *rig, const struct model_run *run, bool accessed)
{
	const unsigned int shift = 9 * (run->level - 1);
	u64 n;

	for (n = 0; n < run->nr; n++) {
		const u64 gfn = run->gfn + (n << shift);

		tally(rig->owed, &rig->owed_sum, run->frame + (n << shift), accessed, run->dirty);
		if (run->dirty)
			tally_log(&rig->owed_sum, gfn, gfn + (1ULL << shift) - 1);
	}
}

/* Returns how many leaves there were. */
static u64 unmap_range(struct rig *rig, u64 first, u64 last)
{
	u64 leaves = 0;

	for (;;) {
		const struct model_run run = model_unmap(&rig->model, first, last);

		if (!run.nr)
			return leaves;
		leaves += run.nr;
		owe(rig, &run, run.accessed);
	}
}

/* In the middle of a zap some tables are gone; only those that may be. */
static void notice_pruned(struct rig *rig, const struct slat_zap *zap)
{
	unsigned int i, level;

	for (level = 1; level < rig->model.levels; level++) {
		for (i = 0; i < rig->model.nr; i++) {
			const struct model_page *page = &rig->model.page[i];
			const u64 base = model_table_base(page->gfn, level);

			if (!page->table[level] || hw_entry(&rig->hw, page->gfn, level))
				continue;
			CHECK(zap->prune);
			CHECK(base <= zap->last && base + (1ULL << (9 * level)) - 1 >= zap->first);
			CHECK(!model_table_used(&rig->model, i, level));
			model_table_drop(&rig->model, i, level);
		}
	}
}

static int zap_batch(struct rig *rig, struct slat_zap *zap, struct slat_gather *gather)
{
	const unsigned int freed = count(gather), tables = atomic_long_read(&rig->mmu.tables);
	const u64 cut_gen = rig->mmu.cut_gen, from = zap->next;
	const unsigned long reads = shim_reads;
	u64 cut;
	int ret;

	write_lock(&rig->mmu.lock);
	ret = rig->mmu.ops->zap(&rig->mmu, &rig->root, zap, gather);
	write_unlock(&rig->mmu.lock);

	CHECK(rig->storm || shim_reads - reads <= RIG_ZAP_READS_MAX);
	CHECK(!ret || (ret == -EAGAIN && zap->next > from && zap->next <= zap->last));
	cut = unmap_range(rig, from, ret ? zap->next - 1 : zap->last);
	CHECK(cut <= RIG_ZAP_LEAVES_MAX);
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

/* Harvesting */

/* Returns how many leaves were changed. */
static u64 harvest_range(struct rig *rig, u64 first, u64 last)
{
	u64 leaves = 0;

	for (;;) {
		const struct model_run run = model_harvest(&rig->model, first, last);

		if (!run.nr)
			return leaves;
		leaves += run.nr;
		/* A stays with what stays. */
		owe(rig, &run, run.accessed && run.level > 1);
	}
}

static int harvest_batch(struct rig *rig, struct slat_harvest *harvest)
{
	const u64 cut_gen = rig->mmu.cut_gen, from = harvest->next;
	const unsigned long reads = shim_reads;
	u64 cut;
	int ret;

	write_lock(&rig->mmu.lock);
	ret = rig->mmu.ops->harvest(&rig->mmu, &rig->root, harvest);
	write_unlock(&rig->mmu.lock);

	CHECK(rig->storm || shim_reads - reads <= RIG_ZAP_READS_MAX);
	CHECK(!ret || (ret == -EAGAIN && harvest->next > from && harvest->next <= harvest->last));
	cut = harvest_range(rig, from, ret ? harvest->next - 1 : harvest->last);
	CHECK(cut <= RIG_ZAP_LEAVES_MAX);
	CHECK(rig->mmu.cut_gen - cut_gen == cut);
	return ret;
}

unsigned int rig_harvest(struct rig *rig, u64 first, u64 last)
{
	struct slat_harvest harvest = { .last = last, .next = first };
	unsigned int batches = 1;

	for (; harvest_batch(rig, &harvest) == -EAGAIN; batches++)
		if (rig->between)
			rig->between(rig);
	return batches;
}
