/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a nested page table has to do, without a tree.  Shares no code with kmod/.
 *
 * What is mapped is a list of runs: leaves side by side that are all alike.  It is
 * complete.  A table of level n (its entries map 512^(n-1) pages each) is there or
 * not for a range of 512^n gfns; that is noted with every gfn of interest in the
 * range, and nothing needs a table elsewhere.
 */
#ifndef SLAT_UNIT_MODEL_H
#define SLAT_UNIT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_R		1
#define MODEL_W		2
#define MODEL_X		4

#define MODEL_PAGES_MAX	256
#define MODEL_RUNS_MAX	16384
#define MODEL_LEVELS_MAX 5
#define MODEL_LEAF_LEVELS 3

/* A gfn of interest, and the tables around it. */
struct model_page {
	uint64_t gfn;
	bool table[MODEL_LEVELS_MAX];	/* [level], above level 0, below the root */
	bool stays[MODEL_LEVELS_MAX];	/* must not make room for a larger leaf */
};

/*
 * A type is opaque here.
 *
 * @gfn:	of the first leaf
 * @nr:		leaves
 * @frame:	of the first leaf, the others' follow
 */
struct model_run {
	uint64_t gfn;
	uint64_t nr;
	uint64_t frame;
	unsigned int level;
	unsigned int rights;
	unsigned int type;
	bool accessed;
	bool dirty;
};

struct model {
	unsigned int levels;
	unsigned int nr;
	struct model_page page[MODEL_PAGES_MAX];	/* by gfn */
	unsigned int nr_runs;
	struct model_run run[MODEL_RUNS_MAX];		/* by gfn */
};

/* What to map: the frame is the page's, whatever the level. */
struct model_map {
	uint64_t frame;
	unsigned int level;
	unsigned int rights;
	unsigned int type;
	bool keep_small;
};

enum model_result {
	MODEL_DONE,
	MODEL_OTHER,		/* another frame or type is there */
	MODEL_BUSY,		/* a table is where a leaf should be */
};

/* The usual gfns of interest: around the borders of tables, and many tables. */
void model_init(struct model *model, unsigned int levels);

uint64_t model_last_gfn(const struct model *model);

/* First gfn of the range of the table of @level that covers gfn. */
uint64_t model_table_base(uint64_t gfn, unsigned int level);

/* Is the element the first one within its table of @level?  To count tables. */
bool model_is_first(const struct model *model, unsigned int i, unsigned int level);

/* Tables that mapping the gfn alone would add. */
unsigned int model_tables_missing(const struct model *model, unsigned int i);

void model_table_add(struct model *model, unsigned int i, unsigned int level);

void model_table_drop(struct model *model, unsigned int i, unsigned int level);

/* Does the table of @level around the gfn hold anything? */
bool model_table_used(const struct model *model, unsigned int i, unsigned int level);

/* Drop the tables that reach into the range and hold nothing. */
void model_prune(struct model *model, uint64_t first, uint64_t last);

/* Without the root. */
unsigned int model_tables(const struct model *model);

/* The gfn as a part of the leaf that it lies in, which has the level; 0: none. */
struct model_run model_leaf(const struct model *model, uint64_t gfn);

/* How many leaves of @level there are. */
uint64_t model_leaves(const struct model *model, unsigned int level);

/* How mapping would end, and then doing that. */
enum model_result model_result(const struct model *model, unsigned int i,
			       const struct model_map *map);
void model_map(struct model *model, unsigned int i, const struct model_map *map);

/* The tables around the gfn that there are stay from now on. */
void model_keep(struct model *model, unsigned int i);

/* Leaves of the next lower level in place of the leaf that the gfn lies in. */
void model_split(struct model *model, unsigned int i);

/* Enter one 4K leaf where nothing is; its tables are there. */
void model_enter(struct model *model, uint64_t gfn, const struct model_map *map);

/* A guest access with one right. */
bool model_access(struct model *model, uint64_t gfn, unsigned int right);

/* Is a leaf that reaches into the range accessed?  With clear, it is not any more. */
bool model_age(struct model *model, uint64_t first, uint64_t last, bool clear);

/* Take the first leaves that reach into the range out of the model; nr 0: none. */
struct model_run model_unmap(struct model *model, uint64_t first, uint64_t last);

/*
 * The first leaves in the range that a harvest does something to, as they were: of 4K and
 * dirty, which they are not any more, or larger, which are gone.  nr 0: none.
 */
struct model_run model_harvest(struct model *model, uint64_t first, uint64_t last);

#endif
