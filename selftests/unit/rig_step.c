// SPDX-License-Identifier: GPL-2.0-only
/* Operations picked by the bits of a word, random or a fuzzer's. */
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

static void step_map(struct rig *rig, u64 word)
{
	const unsigned int i = take_index(rig, &word);
	const unsigned int rights = rig->format->rights[take(&word, 4) % rig->format->nr_rights];
	const bool other = take(&word, 3) == 0;

	rig_map(rig, i, rig_frame(i + (other ? take(&word, 5) : 0)), rights);
}

static void step_map_short(struct rig *rig, u64 word)
{
	const unsigned int i = take_index(rig, &word);
	const unsigned int missing = model_tables_missing(&rig->model, i);

	if (missing)
		rig_map_short(rig, i, take(&word, 4) % missing);
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
	case 0 ... 6:
		step_map(rig, word);
		break;
	case 7:
		step_map_short(rig, word);
		break;
	case 8 ... 12:
		step_access(rig, word);
		break;
	default:
		step_zap(rig, word);
	}
	rig_check(rig);
}
