/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Table pages allocated before the table lock is taken, so that nothing under it
 * sleeps or fails for want of memory.
 */
#ifndef SLAT_CACHE_H
#define SLAT_CACHE_H

#include <linux/list.h>
#include <linux/types.h>

struct slat_table;

/**
 * struct slat_cache - a stack of unused tables, owned by one thread at a time
 * @tables:	linked by slat_table.link
 * @nr:		how many
 * @empty:	what every entry of them is
 */
struct slat_cache {
	struct list_head tables;
	unsigned int nr;
	u64 empty;
};

/** slat_cache_init() - no tables yet.  @empty: of slat_table_ops */
void slat_cache_init(struct slat_cache *cache, u64 empty);

/**
 * slat_cache_fill() - make sure that @min tables are there
 *
 * Context: process, may sleep.  Return: 0 or -ENOMEM.
 */
int slat_cache_fill(struct slat_cache *cache, unsigned int min);

/** slat_cache_take() - one table, or NULL when there is none.  Context: any. */
struct slat_table *slat_cache_take(struct slat_cache *cache);

/** slat_cache_put() - back in, unused.  Context: any. */
void slat_cache_put(struct slat_cache *cache, struct slat_table *table);

/** slat_cache_drain() - free all that is left. */
void slat_cache_drain(struct slat_cache *cache);

#endif
