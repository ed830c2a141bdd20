/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a nested page table has to do, as flat arrays: one element for each gfn of
 * interest.  Shares no code with kmod/.
 *
 * A table of level n is there or not for a range of 512^n gfns, so it is noted
 * with every gfn of interest in that range.
 */
#ifndef SLAT_UNIT_MODEL_H
#define SLAT_UNIT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_R		1
#define MODEL_W		2
#define MODEL_X		4

#define MODEL_PAGES_MAX	256
#define MODEL_LEVELS_MAX 5

struct model_page {
	uint64_t gfn;
	uint64_t frame;
	unsigned int rights;	/* 0: not mapped */
	bool accessed;
	bool dirty;
	bool table[MODEL_LEVELS_MAX];	/* [level], above level 0, below the root */
};

struct model {
	unsigned int levels;
	unsigned int nr;
	struct model_page page[MODEL_PAGES_MAX];	/* by gfn */
};

/* The usual gfns of interest: around the borders of tables, and many tables. */
void model_init(struct model *model, unsigned int levels);

uint64_t model_last_gfn(const struct model *model);

/* First gfn of the range of the table of @level that covers gfn. */
uint64_t model_table_base(uint64_t gfn, unsigned int level);

/* Is the element the first one within its table of @level?  To count tables. */
bool model_is_first(const struct model *model, unsigned int i, unsigned int level);

/* Tables that mapping the gfn would add. */
unsigned int model_tables_missing(const struct model *model, unsigned int i);

void model_table_add(struct model *model, unsigned int i, unsigned int level);

/* -1: another frame is there. */
int model_map(struct model *model, unsigned int i, uint64_t frame, unsigned int rights);

/* A guest access with one right. */
bool model_access(struct model *model, unsigned int i, unsigned int right);

void model_unmap(struct model *model, unsigned int i);

/* Does the table of @level around the gfn hold anything? */
bool model_table_used(const struct model *model, unsigned int i, unsigned int level);

/* Drop the tables that reach into the range and hold nothing. */
void model_prune(struct model *model, uint64_t first, uint64_t last);

unsigned int model_leaves(const struct model *model);

/* Without the root. */
unsigned int model_tables(const struct model *model);

#endif
