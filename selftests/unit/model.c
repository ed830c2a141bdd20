// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "model.h"

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

	*model = (struct model) { .levels = levels };
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

void model_table_add(struct model *model, unsigned int i, unsigned int level)
{
	unsigned int j;

	for (j = 0; j < model->nr; j++)
		if (same_table(model, i, j, level))
			model->page[j].table[level] = true;
}

int model_map(struct model *model, unsigned int i, uint64_t frame, unsigned int rights)
{
	struct model_page *page = &model->page[i];
	unsigned int level;

	for (level = 1; level < model->levels; level++)
		model_table_add(model, i, level);
	if (page->rights && page->frame != frame)
		return -1;
	page->frame = frame;
	page->rights |= rights;
	return 0;
}

bool model_access(struct model *model, unsigned int i, unsigned int right)
{
	struct model_page *page = &model->page[i];

	if (!(page->rights & right))
		return false;
	page->accessed = true;
	page->dirty |= right == MODEL_W;
	return true;
}

void model_unmap(struct model *model, unsigned int i)
{
	struct model_page *page = &model->page[i];

	page->frame = 0;
	page->rights = 0;
	page->accessed = false;
	page->dirty = false;
}

bool model_table_used(const struct model *model, unsigned int i, unsigned int level)
{
	unsigned int j;

	for (j = 0; j < model->nr; j++)
		if (same_table(model, i, j, level) &&
		    (model->page[j].rights || model->page[j].table[level - 1]))
			return true;
	return false;
}

static bool reaches_into(uint64_t gfn, unsigned int level, uint64_t first, uint64_t last)
{
	const uint64_t base = model_table_base(gfn, level);

	return base <= last && base + frames_of_table(level) - 1 >= first;
}

void model_prune(struct model *model, uint64_t first, uint64_t last)
{
	unsigned int i, level;

	/* From below: an upper table may hold nothing but empty ones. */
	for (level = 1; level < model->levels; level++)
		for (i = 0; i < model->nr; i++)
			if (reaches_into(model->page[i].gfn, level, first, last) &&
			    !model_table_used(model, i, level))
				model->page[i].table[level] = false;
}

unsigned int model_leaves(const struct model *model)
{
	unsigned int i, leaves = 0;

	for (i = 0; i < model->nr; i++)
		leaves += !!model->page[i].rights;
	return leaves;
}

unsigned int model_tables(const struct model *model)
{
	unsigned int i, level, tables = 0;

	for (i = 0; i < model->nr; i++)
		for (level = 1; level < model->levels; level++)
			tables += model->page[i].table[level] && model_is_first(model, i, level);
	return tables;
}
