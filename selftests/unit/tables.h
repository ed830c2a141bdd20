/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Table pages in user space: what kmod/table.h and kmod/cache.h ask for, over
 * malloc'ed memory.  A frame number is an address >> 12, so that the simulated
 * hardware (hardware.h) finds tables without the help of these files.
 */
#ifndef SLAT_UNIT_TABLES_H
#define SLAT_UNIT_TABLES_H

#include "table.h"

/* Tables allocated and not freed. */
long tables_live(void);

/* Leaves that the code has counted, of all sizes. */
long tables_leaves(const struct slat_mmu *mmu);

/* How many more allocations succeed; -1, as to begin with: all. */
extern long tables_left;

/* Where slat_host_page_return() goes; NULL: nowhere. */
extern void (*tables_on_return)(u64 pfn, bool accessed, bool dirty);

/* Where __slat_dirty_mark() goes; NULL: nowhere. */
extern void (*tables_on_mark)(struct slat_mmu *mmu, u64 first, u64 last);

#endif
