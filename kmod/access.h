/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory as slat's own code sees it: instruction bytes, the operands of
 * emulated instructions, the guest's page tables.  All of it is user memory of
 * the VMM, found through the slots and copied with faults taken.
 */
#ifndef SLAT_ACCESS_H
#define SLAT_ACCESS_H

#include <linux/types.h>

#include "emulate.h"

struct slat_mode;
struct slat_vcpu;
struct slat_vm;

/*
 * Positive result of the functions below: they have raised an exception in the
 * guest (slat_vcpu_inject()), or its page tables keep changing; the instruction
 * is over, and the guest is to be entered.
 */
#define SLAT_INJECTED	1

/**
 * slat_gpa_read() - copy from guest-physical memory
 * Return: 0; -ENOENT: no slot there; -EFAULT: the VMM's memory is not readable.
 * Never crosses into another page: @gpa + @len stays in one.
 */
int slat_gpa_read(struct slat_vcpu *vcpu, u64 gpa, void *data, unsigned int len);

/**
 * slat_gpa_write() - copy to guest-physical memory
 * Return: as slat_gpa_read(); -ENOENT also for a read-only slot.
 */
int slat_gpa_write(struct slat_vcpu *vcpu, u64 gpa, const void *data, unsigned int len);

/** slat_gpa_is_memory() - would slat_gpa_read(), or slat_gpa_write() for @write, find a slot? */
bool slat_gpa_is_memory(struct slat_vm *vm, u64 gpa, bool write);

/**
 * slat_linear_try() - the linear address of seg:offset, but no exception is raised
 * @access:	SLAT_R, SLAT_W or both; SLAT_X
 * Return: whether there is one, and then @linear.
 */
bool slat_linear_try(struct slat_vcpu *vcpu, enum slat_insn_seg seg, u64 offset, unsigned int len,
		     unsigned int access, u64 *linear);

/**
 * slat_linear() - segmentation: the linear address of seg:offset
 * @access:	SLAT_R, SLAT_W or both
 * Return: 0, or SLAT_INJECTED (#GP or #SS: limit, type, not canonical).
 */
int slat_linear(struct slat_vcpu *vcpu, enum slat_insn_seg seg, u64 offset, unsigned int len,
		unsigned int access, u64 *linear);

/**
 * slat_translate() - paging: the guest-physical address of a linear one
 * @access:	SLAT_R, SLAT_W, SLAT_X: rights that the guest's tables must grant, at
 *		its current privilege level
 *
 * Sets accessed and dirty bits in the guest's tables as its CPU would.
 * Return: 0; SLAT_INJECTED (#PF); -EFAULT: the VMM's memory under the guest's
 * tables is gone.
 */
int slat_translate(struct slat_vcpu *vcpu, u64 linear, unsigned int access, u64 *gpa);

/**
 * slat_translate_try() - the same, but no exception is raised
 *
 * Return: 0; -ENOENT: the guest's tables do not grant it; -EFAULT as above.
 */
int slat_translate_try(struct slat_vcpu *vcpu, u64 linear, unsigned int access, u64 *gpa);

/**
 * slat_translate_quietly() - where the guest's tables map a linear address
 *
 * For the VMM: no rights are checked, nothing is set or raised.
 * Return: true, and @gpa; false when it is not mapped.
 */
bool slat_translate_quietly(struct slat_vcpu *vcpu, u64 linear, u64 *gpa);

/**
 * struct slat_fragment - guest-physical memory within one page
 * @gpa:	first byte
 * @len:	bytes, 0 for none
 */
struct slat_fragment {
	u64 gpa;
	unsigned int len;
};

/**
 * slat_translate_range() - translate @len bytes, at most a page, wherever they lie
 * @fragment:	out: the part in the first page and what is left for the second
 *
 * Return: as slat_translate().
 */
int slat_translate_range(struct slat_vcpu *vcpu, u64 linear, unsigned int len,
			 unsigned int access, struct slat_fragment fragment[2]);

/**
 * slat_fetch() - read and decode the instruction at rip
 * @bytes:	SLAT_INSN_MAX_LEN bytes of room; what was read
 * @nr:		how many were
 * Return: 0; SLAT_INJECTED; -EINVAL, -EOPNOTSUPP: from slat_insn_decode();
 * -EFAULT as above; -ENOENT: the code is not in a slot.
 */
int slat_fetch(struct slat_vcpu *vcpu, struct slat_insn *insn, u8 *bytes, unsigned int *nr);

/** slat_string_left() - elements that a string instruction still has to do. */
u64 slat_string_left(struct slat_vcpu *vcpu, const struct slat_insn *insn);

/**
 * slat_string_commit() - a string instruction has done @count elements
 * @insn:	at rip
 * @found:	they ended it, whatever is left
 *
 * Moves rSI, rDI and, with REP, rCX; rip when that was all.
 * Return: false when there are more for REP.
 */
bool slat_string_commit(struct slat_vcpu *vcpu, const struct slat_insn *insn, unsigned int count,
			bool found);

/**
 * slat_fetch_failed() - what an exit handler returns when slat_fetch() did not work
 * @err:	its result, not 0
 *
 * Raises #UD for what is no instruction, tells the VMM of one that slat cannot
 * execute.  Return: as slat_exit_handle().
 */
int slat_fetch_failed(struct slat_vcpu *vcpu, int err, const u8 *bytes, unsigned int nr);

#endif
