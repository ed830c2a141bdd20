/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Views: one set of nested tables each, derived from the slots.
 *
 * There is one, the base view.
 */
#ifndef SLAT_VIEW_H
#define SLAT_VIEW_H

#include "table.h"

struct slat_vm;

/**
 * struct slat_view - a set of nested tables of a VM
 * @vm:		whose
 * @root:	its tree
 */
struct slat_view {
	struct slat_vm *vm;
	struct slat_root root;
};

/** slat_view_init() - an empty tree.  Return: 0 or -ENOMEM. */
int slat_view_init(struct slat_view *view, struct slat_vm *vm);

/** slat_view_destroy() - free the tree, which slat_view_zap() has emptied. */
void slat_view_destroy(struct slat_view *view);

/**
 * slat_view_map() - enter a frame that the base maps
 * @map:	what the slot and the host allow
 *
 * Context: mmu->lock held, read suffices.  Return: as slat_table_ops.map.
 */
int slat_view_map(struct slat_view *view, const struct slat_map *map);

/**
 * slat_view_map_run() - enter frames of consecutive pages that the base maps
 *
 * Context: mmu->lock held, read suffices.  Return: as slat_table_ops.map_run.
 */
int slat_view_map_run(struct slat_view *view, const struct slat_run *run);

/**
 * slat_view_age() - was a range used of late?
 * @clear:	and forget it
 *
 * Context: takes mmu->lock for read.  Return: whether a leaf had its A bit.
 */
bool slat_view_age(struct slat_view *view, u64 first, u64 last, bool clear);

/**
 * slat_view_harvest() - move the D bits of a range to the dirty logs
 *
 * See slat_table_ops.harvest: a gather is to be finished, with no table lock held, before
 * anybody is told what was found.
 *
 * Context: process, may sleep; takes mmu->lock for write, in bounded batches.
 */
void slat_view_harvest(struct slat_view *view, u64 first, u64 last);

/** slat_view_read() - what the tables say of a gfn.  Context: takes mmu->lock for read. */
void slat_view_read(struct slat_view *view, u64 gfn, struct slat_leaf *leaf);

/**
 * slat_view_zap() - drop what the base maps in a range
 * @prune:	free the tables there, too
 * @may_sleep:	let go of the CPU between batches, not only of the lock
 *
 * The caller finishes @gather with no table lock held.
 *
 * Context: takes mmu->lock for write, in bounded batches.
 */
void slat_view_zap(struct slat_view *view, u64 first, u64 last, bool prune, bool may_sleep,
		   struct slat_gather *gather);

#endif
