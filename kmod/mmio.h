/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instructions that touch guest-physical addresses without memory: carried out
 * in software, with the VMM standing in for the device.
 */
#ifndef SLAT_MMIO_H
#define SLAT_MMIO_H

#include <linux/types.h>

#include "emulate.h"

struct slat_vcpu;

/* Two operands (MOVS, CMPS, PUSH), each of which may cross into another page. */
#define SLAT_MMIO_PIECES	4

/**
 * struct slat_mmio_piece - a part of a memory operand that lies in one page
 * @gpa:	where
 * @access:	SLAT_R, SLAT_W: what is still to be done there
 * @operand:	index into slat_mmio.value for what is read ...
 * @offset:	... and the first byte of it, or of slat_mmio.result
 * @len:	1..8 bytes
 */
struct slat_mmio_piece {
	u64 gpa;
	u8 access;
	u8 operand;
	u8 offset;
	u8 len;
};

/**
 * struct slat_mmio - an instruction that the VMM takes part in
 * @insn:	what is executed
 * @rip:	linear address of the instruction: when it is another one after a
 *		read, the VMM has moved the guest on and the instruction is dropped
 * @value:	memory operands, as far as they were read
 * @result:	what is written to memory
 * @piece:	of all operands, in the order of access
 * @nr_pieces:	entries of @piece
 * @more:	the instruction is committed but for further iterations of REP
 */
struct slat_mmio {
	struct slat_insn insn;
	u64 rip;
	u64 value[2];
	u64 result;
	struct slat_mmio_piece piece[SLAT_MMIO_PIECES];
	unsigned int nr_pieces;
	bool more;
};

/**
 * slat_mmio_exit() - carry out the instruction at rip
 * @gpa:	what it touched: no memory, or a read-only slot that it wrote
 *
 * Context: process, in the VM's mm, vcpu->mutex held; may sleep.
 * Return: as slat_exit_handle().
 */
int slat_mmio_exit(struct slat_vcpu *vcpu, u64 gpa);

#endif
