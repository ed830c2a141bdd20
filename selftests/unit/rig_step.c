// SPDX-License-Identifier: GPL-2.0-only
/* Operations picked by the bits of a word, random or a fuzzer's. */
#include <errno.h>

#include "check.h"
#include "rig.h"

/* @nr low bits of the word, which then moves on. */
static unsigned int take(u64 *word, unsigned int nr)
{
	const unsigned int bits = *word & ((1ULL << nr) - 1);

	*word >>= nr;
	return bits;
}

static unsigned int take_index(const struct rig *rig, u64 *word)
{
	return take(word, 8) % rig->model.nr;
}

static unsigned int take_type(u64 *word)
{
	static const unsigned int types[] = {
		SLAT_MT_UC, SLAT_MT_WC, SLAT_MT_WT, SLAT_MT_WP, SLAT_MT_WB, SLAT_MT_UC_MINUS,
	};
	const unsigned int type = types[take(word, 3) % 6];

	return take(word, 1) ? type | SLAT_MT_IPAT : type;
}

/* Mostly what goes with what others map around it, in leaves of any size. */
static struct model_map take_map(const struct rig *rig, unsigned int i, u64 *word)
{
	const u64 gfn = rig->model.page[i].gfn;
	struct model_map map = {
		.frame = rig_large_frame(gfn, take(word, 4) == 0),
		.level = 1 + take(word, 3) % 3,
		.rights = rig->format->rights[take(word, 4) % rig->format->nr_rights],
		.type = SLAT_MT_WB,
		.keep_small = take(word, 3) == 0,
	};

	if (take(word, 4) == 0)
		map.type = take_type(word);
	if (take(word, 4) == 0) {
		map.level = 1;
		map.frame = rig_frame(i);
	}
	return map;
}

/* As the caller is told to when something is in the way. */
static void make_room(struct rig *rig, unsigned int i, const struct model_map *map)
{
	const u64 base = model_table_base(rig->model.page[i].gfn, map->level - 1);

	rig_zap(rig, base, base + (1ULL << (9 * (map->level - 1))) - 1, true);
}

static void step_map(struct rig *rig, u64 word)
{
	const unsigned int i = take_index(rig, &word);
	const struct model_map map = take_map(rig, i, &word);

	if (rig_map_as(rig, i, &map) != -EBUSY || take(&word, 1))
		return;
	make_room(rig, i, &map);
	CHECK(!rig_map_as(rig, i, &map));
}

static void step_map_short(struct rig *rig, u64 word)
{
	const unsigned int i = take_index(rig, &word);
	const unsigned int missing = model_tables_missing(&rig->model, i);
	const unsigned int tables = take(&word, 4);
	struct model_map map = take_map(rig, i, &word);
	struct model_map read = map;

	map.level = 1;
	read.level = 1;
	read.type = rig_type(rig, map.type);
	if (!missing || model_result(&rig->model, i, &read) != MODEL_DONE ||
	    !(map.rights & ~model_leaf(&rig->model, rig->model.page[i].gfn).rights))
		return;
	rig_map_short(rig, i, &map, tables % missing);
}

static void step_map_run(struct rig *rig, u64 word)
{
	const unsigned int i = take_index(rig, &word);
	const unsigned int room = 512 - rig->model.page[i].gfn % 512;
	unsigned int nr = 1 + take(&word, 6);
	struct model_map map = take_map(rig, i, &word);
	u64 mask;

	map.level = 1;
	map.keep_small = false;
	mask = word ? word * 0x9e3779b97f4a7c15ULL : ~0ULL;
	nr = nr > room ? room : nr;
	/* Frames beyond the last one are refused. */
	if (map.frame + nr <= 1ULL << 40)
		rig_map_run(rig, i, nr, mask, &map);
}

static void step_age(struct rig *rig, u64 word)
{
	const u64 a = rig->model.page[take_index(rig, &word)].gfn;
	const u64 b = rig->model.page[take_index(rig, &word)].gfn;
	const bool clear = take(&word, 1);

	if (take(&word, 1))
		rig_age(rig, a, a, clear);
	else
		rig_age(rig, a < b ? a : b, a < b ? b : a, clear);
}

static void step_access(struct rig *rig, u64 word)
{
	const unsigned int i = take_index(rig, &word);

	rig_access(rig, i, 1U << take(&word, 4) % 3);
}

/* Something that others may do while the lock is free. */
static void step_between(struct rig *rig)
{
	u64 word = rig->between_word;

	rig->between_word = word * 5 + 1;
	if (take(&word, 1))
		step_map(rig, word);
	else
		step_access(rig, word);
}

static void step_harvest(struct rig *rig, u64 word)
{
	const u64 a = rig->model.page[take_index(rig, &word)].gfn;
	const u64 b = rig->model.page[take_index(rig, &word)].gfn;
	const bool one = take(&word, 1);

	rig->between = take(&word, 2) ? NULL : step_between;
	rig->between_word = word;
	rig_harvest(rig, one || a < b ? a : b, one || a > b ? a : b);
	rig->between = NULL;
}

static void zap(struct rig *rig, u64 first, u64 last, u64 word)
{
	const bool prune = take(&word, 1);

	if (first > last || last > model_last_gfn(&rig->model))
		return;
	rig->between = take(&word, 2) ? NULL : step_between;
	rig->between_word = word;
	rig_zap(rig, first, last, prune);
	rig->between = NULL;
}

/* From one gfn of interest to another, give or take one. */
static void step_zap_span(struct rig *rig, u64 word)
{
	const u64 a = rig->model.page[take_index(rig, &word)].gfn;
	const u64 b = rig->model.page[take_index(rig, &word)].gfn;

	zap(rig, a + take(&word, 1), b - take(&word, 1), word);
}

static void step_zap_page(struct rig *rig, u64 word)
{
	const u64 gfn = rig->model.page[take_index(rig, &word)].gfn;

	zap(rig, gfn, gfn, word);
}

/* What one table covers; exactly, or a part at either end, or one gfn off. */
static void step_zap_block(struct rig *rig, u64 word)
{
	const u64 gfn = rig->model.page[take_index(rig, &word)].gfn;
	const unsigned int level = 1 + take(&word, 4) % rig->model.levels;
	const u64 base = model_table_base(gfn, level);
	const u64 last = base + (1ULL << (9 * level)) - 1;

	switch (take(&word, 3)) {
	case 0:
		return zap(rig, base, gfn, word);
	case 1:
		return zap(rig, gfn, last, word);
	case 2:
		return zap(rig, base + 1, last, word);
	case 3:
		return zap(rig, base, last - 1, word);
	default:
		return zap(rig, base, last, word);
	}
}

static void step_zap(struct rig *rig, u64 word)
{
	switch (take(&word, 4)) {
	case 0:
		return zap(rig, 0, model_last_gfn(&rig->model), word);
	case 1:
		return step_zap_span(rig, word);
	case 2 ... 9:
		return step_zap_block(rig, word);
	default:
		return step_zap_page(rig, word);
	}
}

void rig_step(struct rig *rig, u64 word)
{
	switch (take(&word, 4)) {
	case 0 ... 4:
		step_map(rig, word);
		break;
	case 5:
		step_map_short(rig, word);
		break;
	case 6:
		step_map_run(rig, word);
		break;
	case 7:
		step_age(rig, word);
		break;
	case 8 ... 11:
		step_access(rig, word);
		break;
	case 12:
		step_harvest(rig, word);
		break;
	default:
		step_zap(rig, word);
	}
	rig_check(rig);
}
