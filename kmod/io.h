/* SPDX-License-Identifier: GPL-2.0-only */
/* Port accesses of the guest, carried out by the VMM. */
#ifndef SLAT_IO_H
#define SLAT_IO_H

#include <linux/types.h>

#include "access.h"

struct slat_exit;
struct slat_vcpu;

/**
 * struct slat_io - a port access that the VMM carries out
 * @rip:	linear address of the instruction: when it is another one on
 *		completion, the VMM has moved the guest on and nothing is completed
 * @next_rip:	IN, OUT: of the instruction after it
 * @size:	bytes per element
 * @count:	elements of this exit
 * @insn:	INS: the instruction
 * @dst:	INS: where the elements go
 */
struct slat_io {
	u64 rip;
	u64 next_rip;
	u8 size;
	unsigned int count;
	struct slat_insn insn;
	struct slat_fragment dst[2];
};

/**
 * slat_io_exit() - the guest executed IN, OUT, INS or OUTS
 * @exit:	of SLAT_EXIT_IO
 *
 * Context: process, in the VM's mm, vcpu->mutex held; may sleep.
 * Return: as slat_exit_handle().
 */
int slat_io_exit(struct slat_vcpu *vcpu, const struct slat_exit *exit);

#endif
