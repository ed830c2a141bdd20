/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest memory that is copied for the VMM. */
#ifndef SLAT_MEMORY_H
#define SLAT_MEMORY_H

#include <linux/types.h>

struct slat_memory;
struct slat_vm;

/**
 * slat_memory_copy() - SLAT_READ_MEMORY and SLAT_WRITE_MEMORY
 * @memory:	checked but for what is behind its addresses; moves on to what is left
 *
 * Context: process, in the VM's mm; yields to others and to signals between pages.
 * Return: 0, with nothing left; -EFAULT also for @memory->data; -EINTR: a signal; or as
 * slat_gfn_map().
 */
int slat_memory_copy(struct slat_vm *vm, struct slat_memory *memory, bool write);

#endif
