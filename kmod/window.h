/* SPDX-License-Identifier: GPL-2.0-only */
/* Windows: guest memory that a device model maps. */
#ifndef SLAT_WINDOW_H
#define SLAT_WINDOW_H

#include <linux/types.h>

struct slat_vm;

/* Pages that a window may have: 1G. */
#define SLAT_WINDOW_PAGES_MAX	(1UL << 18)

/**
 * slat_window_create() - SLAT_CREATE_WINDOW
 * @nr:		pages, not 0, up to SLAT_WINDOW_PAGES_MAX
 *
 * Context: process, in the VM's mm.
 * Return: a file descriptor; -ENOMEM also for RLIMIT_MEMLOCK; -EMFILE, -ENFILE; or as
 * slat_gfn_map_range().
 */
int slat_window_create(struct slat_vm *vm, u64 gfn, unsigned long nr, bool writable);

#endif
