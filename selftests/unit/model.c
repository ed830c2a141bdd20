// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "check.h"
#include "model.h"

/* Gfns of interest, and the tables around them */

static uint64_t frames_of_table(unsigned int level)
{
	return (uint64_t)1 << (9 * level);
}

uint64_t model_last_gfn(const struct model *model)
{
	return frames_of_table(model->levels) - 1;
}

uint64_t model_table_base(uint64_t gfn, unsigned int level)
{
	return gfn - gfn % frames_of_table(level);
}

static void add_gfn(struct model *model, uint64_t gfn)
{
	unsigned int i = model->nr;

	if (gfn > model_last_gfn(model))
		return;
	for (; i && model->page[i - 1].gfn >= gfn; i--)
		if (model->page[i - 1].gfn == gfn)
			return;
	memmove(&model->page[i + 1], &model->page[i], (model->nr - i) * sizeof(model->page[0]));
	model->page[i] = (struct model_page) { .gfn = gfn };
	model->nr++;
}

/* Both sides of the border below gfn, and of the ones a table further on. */
static void add_border(struct model *model, uint64_t gfn)
{
	add_gfn(model, gfn);
	add_gfn(model, gfn - 1);
	add_gfn(model, gfn + 1);
	add_gfn(model, gfn + 511);
	add_gfn(model, gfn + 512);
}

void model_init(struct model *model, unsigned int levels)
{
	unsigned int level, i;

	memset(model, 0, sizeof(*model));
	model->levels = levels;
	for (level = 0; level < levels; level++) {
		add_border(model, frames_of_table(level));
		add_border(model, frames_of_table(level) * 511);
	}
	add_gfn(model, 0);
	for (level = 0; level < levels; level++)
		add_gfn(model, model_last_gfn(model) + 1 - frames_of_table(level));
	for (i = 0; i < 40; i++)	/* more tables than one batch */
		add_gfn(model, 3 * frames_of_table(2) + i * 512 + i * 13 % 512);
	for (i = 0; i < 20; i++)	/* and again, each below a table of its own */
		add_gfn(model, frames_of_table(3) + (2 + i) * frames_of_table(2) + 77 * i);
}

static bool same_table(const struct model *model, unsigned int i, unsigned int j,
		       unsigned int level)
{
	return model_table_base(model->page[i].gfn, level) ==
	       model_table_base(model->page[j].gfn, level);
}

bool model_is_first(const struct model *model, unsigned int i, unsigned int level)
{
	return !i || !same_table(model, i - 1, i, level);
}

unsigned int model_tables_missing(const struct model *model, unsigned int i)
{
	unsigned int level, missing = 0;

	for (level = 1; level < model->levels; level++)
		missing += !model->page[i].table[level];
	return missing;
}

static void set_table(struct model *model, unsigned int i, unsigned int level, bool table,
		      bool stays)
{
	unsigned int j;

	for (j = 0; j < model->nr; j++) {
		if (!same_table(model, i, j, level))
			continue;
		model->page[j].table[level] = table;
		model->page[j].stays[level] = stays;
	}
}

void model_table_add(struct model *model, unsigned int i, unsigned int level)
{
	set_table(model, i, level, true, model->page[i].stays[level]);
}

void model_table_drop(struct model *model, unsigned int i, unsigned int level)
{
	set_table(model, i, level, false, false);
}

static bool reaches_into(uint64_t gfn, unsigned int level, uint64_t first, uint64_t last)
{
	const uint64_t base = model_table_base(gfn, level);

	return base <= last && base + frames_of_table(level) - 1 >= first;
}

static uint64_t last_gfn(const struct model_run *run)
{
	return run->gfn + run->nr * frames_of_table(run->level - 1) - 1;
}

/* The first run that ends at gfn or beyond; nr_runs: none does. */
static unsigned int find(const struct model *model, uint64_t gfn)
{
	unsigned int low = 0, high = model->nr_runs;

	while (low < high) {
		const unsigned int mid = (low + high) / 2;

		if (last_gfn(&model->run[mid]) < gfn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_mapped(const struct model *model, uint64_t first, uint64_t last)
{
	const unsigned int i = find(model, first);

	return i < model->nr_runs && model->run[i].gfn <= last;
}

bool model_table_used(const struct model *model, unsigned int i, unsigned int level)
{
	const uint64_t base = model_table_base(model->page[i].gfn, level);
	unsigned int j;

	for (j = 0; j < model->nr; j++)
		if (same_table(model, i, j, level) && model->page[j].table[level - 1])
			return true;
	return is_mapped(model, base, base + frames_of_table(level) - 1);
}

void model_prune(struct model *model, uint64_t first, uint64_t last)
{
	unsigned int i, level;

	/* From below: an upper table may hold nothing but empty ones. */
	for (level = 1; level < model->levels; level++)
		for (i = 0; i < model->nr; i++)
			if (model->page[i].table[level] &&
			    reaches_into(model->page[i].gfn, level, first, last) &&
			    !model_table_used(model, i, level))
				model_table_drop(model, i, level);
}

unsigned int model_tables(const struct model *model)
{
	unsigned int i, level, tables = 0;

	for (i = 0; i < model->nr; i++)
		for (level = 1; level < model->levels; level++)
			tables += model->page[i].table[level] && model_is_first(model, i, level);
	return tables;
}

/* Runs */

static void insert(struct model *model, unsigned int at, struct model_run run)
{
	CHECK(model->nr_runs < MODEL_RUNS_MAX);
	memmove(&model->run[at + 1], &model->run[at],
		(model->nr_runs - at) * sizeof(model->run[0]));
	model->run[at] = run;
	model->nr_runs++;
}

static void delete(struct model *model, unsigned int at)
{
	model->nr_runs--;
	memmove(&model->run[at], &model->run[at + 1],
		(model->nr_runs - at) * sizeof(model->run[0]));
}

/* Make two of a run: its first leaves, and the others. */
static void cut(struct model *model, unsigned int at, uint64_t leaves)
{
	struct model_run rest = model->run[at];

	if (!leaves || leaves == rest.nr)
		return;
	rest.gfn += leaves * frames_of_table(rest.level - 1);
	rest.frame += leaves * frames_of_table(rest.level - 1);
	rest.nr -= leaves;
	model->run[at].nr = leaves;
	insert(model, at + 1, rest);
}

/* The leaf that the gfn lies in, in a run of its own; NULL: there is none. */
static struct model_run *isolate(struct model *model, uint64_t gfn)
{
	unsigned int at = find(model, gfn);
	struct model_run *run = &model->run[at];
	uint64_t before;

	if (at == model->nr_runs || run->gfn > gfn)
		return NULL;
	before = (gfn - run->gfn) / frames_of_table(run->level - 1);
	cut(model, at, before);
	at += !!before;
	cut(model, at, 1);
	return &model->run[at];
}

struct model_run model_leaf(const struct model *model, uint64_t gfn)
{
	const unsigned int at = find(model, gfn);
	struct model_run leaf;

	if (at == model->nr_runs || model->run[at].gfn > gfn)
		return (struct model_run) {};
	leaf = model->run[at];
	leaf.frame += gfn - leaf.gfn;
	leaf.gfn = gfn;
	return leaf;
}

uint64_t model_leaves(const struct model *model, unsigned int level)
{
	uint64_t leaves = 0;
	unsigned int at;

	for (at = 0; at < model->nr_runs; at++)
		leaves += model->run[at].level == level ? model->run[at].nr : 0;
	return leaves;
}

/* Mapping */

/* Where the leaf would go: a table that stays makes it smaller.  0: one is in the way. */
static unsigned int level_for(const struct model_page *page, const struct model_map *map)
{
	unsigned int level = map->level;

	for (; level > 1 && page->table[level - 1]; level--)
		if (!page->stays[level - 1] && !map->keep_small)
			return 0;
	return level;
}

enum model_result model_result(const struct model *model, unsigned int i,
			       const struct model_map *map)
{
	const struct model_page *page = &model->page[i];
	const struct model_run leaf = model_leaf(model, page->gfn);

	if (!level_for(page, map))
		return MODEL_BUSY;
	if (leaf.level && (leaf.frame != map->frame || leaf.type != map->type))
		return MODEL_OTHER;
	return MODEL_DONE;
}

static void note_path(struct model *model, unsigned int i, unsigned int level, bool keep_small)
{
	for (; level < model->levels; level++) {
		const bool stays = model->page[i].stays[level] || keep_small;

		set_table(model, i, level, true, stays);
	}
}

void model_keep(struct model *model, unsigned int i)
{
	unsigned int level;

	for (level = 1; level < model->levels; level++)
		if (model->page[i].table[level])
			set_table(model, i, level, true, true);
}

void model_split(struct model *model, unsigned int i)
{
	struct model_run *run = isolate(model, model->page[i].gfn);

	run->level--;
	run->nr = 512;
	model_table_add(model, i, run->level);
}

static void enter(struct model *model, uint64_t gfn, unsigned int level,
		  const struct model_map *map)
{
	const uint64_t base = model_table_base(gfn, level - 1);

	insert(model, find(model, gfn), (struct model_run) {
		.gfn = base,
		.nr = 1,
		.frame = map->frame - (gfn - base),
		.level = level,
		.rights = map->rights,
		.type = map->type,
	});
}

void model_enter(struct model *model, uint64_t gfn, const struct model_map *map)
{
	enter(model, gfn, 1, map);
}

void model_map(struct model *model, unsigned int i, const struct model_map *map)
{
	const uint64_t gfn = model->page[i].gfn;
	const unsigned int level = level_for(&model->page[i], map);
	struct model_run *leaf = isolate(model, gfn);

	if (!leaf) {
		note_path(model, i, level, map->keep_small);
		enter(model, gfn, level, map);
		return;
	}
	while (leaf->level > level && (map->rights & ~leaf->rights)) {
		model_split(model, i);
		leaf = isolate(model, gfn);
	}
	leaf->rights |= map->rights;
	note_path(model, i, leaf->level, map->keep_small);
}

/* Using and unmapping */

bool model_access(struct model *model, uint64_t gfn, unsigned int right)
{
	struct model_run *leaf = isolate(model, gfn);

	if (!leaf || !(leaf->rights & right))
		return false;
	leaf->accessed = true;
	leaf->dirty |= right == MODEL_W;
	return true;
}

/* Run number at: only the leaves that reach into the range, which some do. */
static unsigned int trim(struct model *model, unsigned int at, uint64_t first, uint64_t last)
{
	const uint64_t span = frames_of_table(model->run[at].level - 1);

	if (model->run[at].gfn < first) {
		const uint64_t before = (first - model->run[at].gfn) / span;

		cut(model, at, before);
		at += !!before;
	}
	if (last_gfn(&model->run[at]) > last)
		cut(model, at, (last - model->run[at].gfn) / span + 1);
	return at;
}

bool model_age(struct model *model, uint64_t first, uint64_t last, bool clear)
{
	unsigned int at = find(model, first);
	bool young = false;

	for (; at < model->nr_runs && model->run[at].gfn <= last; at++) {
		if (!model->run[at].accessed)
			continue;
		young = true;
		if (!clear)
			continue;
		at = trim(model, at, first, last);
		model->run[at].accessed = false;
	}
	return young;
}

struct model_run model_unmap(struct model *model, uint64_t first, uint64_t last)
{
	unsigned int at = find(model, first);
	struct model_run run;

	if (at == model->nr_runs || model->run[at].gfn > last)
		return (struct model_run) {};
	at = trim(model, at, first, last);
	run = model->run[at];
	delete(model, at);
	return run;
}

struct model_run model_harvest(struct model *model, uint64_t first, uint64_t last)
{
	unsigned int at = find(model, first);
	struct model_run run;

	while (at < model->nr_runs && model->run[at].level == 1 && !model->run[at].dirty)
		at++;
	if (at == model->nr_runs || model->run[at].gfn > last)
		return (struct model_run) {};
	at = trim(model, at, first, last);
	run = model->run[at];
	if (run.level > 1)
		delete(model, at);
	else
		model->run[at].dirty = false;
	return run;
}
