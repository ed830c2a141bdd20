/* SPDX-License-Identifier: GPL-2.0-only */
/* Allocation that a test can let fail. */
#ifndef SLAT_UNIT_SLAB_H
#define SLAT_UNIT_SLAB_H

#include <stdlib.h>

#define GFP_KERNEL_ACCOUNT	0

/* How many allocations succeed before one fails; negative: all do. */
extern int shim_allocations;

static inline void *kmalloc(size_t size, int flags)
{
	if (!shim_allocations)
		return NULL;
	shim_allocations--;
	return malloc(size);
}

static inline void kfree(const void *memory)
{
	free((void *)memory);
}

#endif
