// SPDX-License-Identifier: GPL-2.0-only
/*
 * IN, OUT, INS and OUTS.  The CPU has checked the right to use the port; memory
 * operands are up to us, and faults on them come before the port is touched.
 */
#include "io.h"

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "entry.h"
#include "hw.h"
#include "ioevent.h"
#include "vcpu.h"

/* QEMU once relied on rip being behind OUT to this port at the exit; KVM keeps it so. */
#define PORT_RIP_FIRST	0x7e

static int exit_to_vmm(struct slat_vcpu *vcpu, u16 port, bool in)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = vcpu->io.size;
	run->io.port = port;
	run->io.count = vcpu->io.count;
	run->io.data_offset = PAGE_SIZE;
	vcpu->stats.io_exits++;
	return 0;
}

static bool has_moved(struct slat_vcpu *vcpu)
{
	return slat_linear_rip(vcpu) != vcpu->io.rip;
}

static int complete_out(struct slat_vcpu *vcpu)
{
	if (!has_moved(vcpu))
		slat_vcpu_skip(vcpu, vcpu->io.next_rip);
	return 1;
}

static int complete_in(struct slat_vcpu *vcpu)
{
	u32 value = READ_ONCE(*(u32 *)vcpu->io_page);
	u64 *rax = &vcpu->gpr[SLAT_RAX];

	if (has_moved(vcpu))
		return 1;
	*rax = slat_insn_set_reg(*rax, vcpu->io.size, false, value);
	slat_vcpu_skip(vcpu, vcpu->io.next_rip);
	return 1;
}

static int register_exit(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	const u32 value = exit->io.in ? 0 : vcpu->gpr[SLAT_RAX] & slat_size_mask(exit->io.size);
	struct slat_io *io = &vcpu->io;

	io->rip = slat_linear_rip(vcpu);
	io->next_rip = exit->next_rip;
	io->size = exit->io.size;
	io->count = 1;
	if (!exit->io.in && slat_ioevent_write(vcpu->vm, true, exit->io.port, io->size,
					       value)) {
		slat_vcpu_skip(vcpu, io->next_rip);
		return 1;
	}
	WRITE_ONCE(*(u32 *)vcpu->io_page, value);
	if (exit->io.in)
		vcpu->complete = complete_in;
	else if (exit->io.port == PORT_RIP_FIRST &&
		 !(READ_ONCE(vcpu->vm->quirks_off) & KVM_X86_QUIRK_OUT_7E_INC_RIP))
		slat_vcpu_skip(vcpu, io->next_rip);
	else
		vcpu->complete = complete_out;
	return exit_to_vmm(vcpu, exit->io.port, exit->io.in);
}

/* String operands in something else than memory would need an exit for each element. */
static int not_memory(struct slat_vcpu *vcpu)
{
	return slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, NULL, 0);
}

static int complete_ins(struct slat_vcpu *vcpu)
{
	const struct slat_fragment *dst = vcpu->io.dst;
	const u8 *data = vcpu->io_page;
	int err;

	if (has_moved(vcpu))
		return 1;
	err = slat_gpa_write(vcpu, dst[0].gpa, data, dst[0].len);
	if (!err && dst[1].len)
		err = slat_gpa_write(vcpu, dst[1].gpa, data + dst[0].len, dst[1].len);
	if (err)
		return err == -ENOENT ? not_memory(vcpu) : err;
	slat_string_commit(vcpu, &vcpu->io.insn, vcpu->io.count, false);
	return 1;
}

static int ins_exit(struct slat_vcpu *vcpu, u16 port, const struct slat_fragment dst[2])
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (dst[i].len && !slat_gpa_is_memory(vcpu->vm, dst[i].gpa, true))
			return not_memory(vcpu);
		vcpu->io.dst[i] = dst[i];
	}
	memset(vcpu->io_page, 0, dst[0].len + dst[1].len);
	vcpu->complete = complete_ins;
	return exit_to_vmm(vcpu, port, true);
}

/* How many elements, from the first one on, are for eventfds? */
static unsigned int ring(struct slat_vcpu *vcpu, u16 port)
{
	const struct slat_io *io = &vcpu->io;
	const u8 *data = vcpu->io_page;
	unsigned int i;

	for (i = 0; i < io->count; i++) {
		u64 value = 0;

		memcpy(&value, data + i * io->size, io->size);
		if (!slat_ioevent_write(vcpu->vm, true, port, io->size, value))
			break;
	}
	return i;
}

/*
 * Done with when the VMM learns of it, as on KVM: nothing can fail any more.  What
 * follows elements for eventfds waits for the instruction to be entered anew.
 */
static int outs_exit(struct slat_vcpu *vcpu, u16 port, const struct slat_fragment src[2])
{
	u8 *data = vcpu->io_page;
	unsigned int rung;
	int err;

	err = slat_gpa_read(vcpu, src[0].gpa, data, src[0].len);
	if (!err && src[1].len)
		err = slat_gpa_read(vcpu, src[1].gpa, data + src[0].len, src[1].len);
	if (err)
		return err == -ENOENT ? not_memory(vcpu) : err;
	rung = ring(vcpu, port);
	slat_string_commit(vcpu, &vcpu->io.insn, rung ? rung : vcpu->io.count, false);
	return rung ? 1 : exit_to_vmm(vcpu, port, false);
}

/*
 * How many elements to do at once: what lies upwards in the same page, before
 * the offset wraps around or leaves the segment.
 */
static unsigned int chunk_count(struct slat_vcpu *vcpu, const struct slat_insn *insn,
				unsigned int access, u64 offset, u64 linear)
{
	enum slat_insn_seg seg = insn->flags & SLAT_INSN_STR_SRC ? insn->seg : SLAT_SEG_ES;
	u64 left = slat_string_left(vcpu, insn);
	u64 last = ~0ULL >> (64 - 8 * insn->addrsize);
	u64 room = min_t(u64, PAGE_SIZE - offset_in_page(linear) - 1, last - offset) + 1;
	unsigned int count;

	if (left <= 1 || (vcpu->rflags & (X86_EFLAGS_DF | X86_EFLAGS_TF)))
		return 1;
	count = clamp_t(u64, room / insn->opsize, 1, left);
	return slat_linear_try(vcpu, seg, offset, count * insn->opsize, access, &linear) ? count : 1;
}

static int find_chunk(struct slat_vcpu *vcpu, struct slat_fragment fragment[2])
{
	struct slat_io *io = &vcpu->io;
	const struct slat_insn *insn = &io->insn;
	bool out = insn->flags & SLAT_INSN_STR_SRC;
	unsigned int access = out ? SLAT_R : SLAT_W;
	u64 offset, linear;
	int err;

	offset = out ? slat_insn_ea(insn, vcpu->gpr, 0) : slat_insn_string_dst(insn, vcpu->gpr);
	err = slat_linear(vcpu, out ? insn->seg : SLAT_SEG_ES, offset, insn->opsize, access,
			  &linear);
	if (err)
		return err;
	io->count = chunk_count(vcpu, insn, access, offset, linear);
	return slat_translate_range(vcpu, linear, io->count * io->size, access, fragment);
}

/*
 * The segment of OUTS is not among what every CPU tells, so decode.  What is found
 * may be newer than what exited; only for this port and size the CPU has checked
 * the guest's rights.  Apart, so that other port accesses need no room for all this.
 */
static noinline int string_exit(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	struct slat_fragment fragment[2];
	struct slat_io *io = &vcpu->io;
	u8 bytes[SLAT_INSN_MAX_LEN];
	unsigned int nr;
	int err;

	err = slat_fetch(vcpu, &io->insn, bytes, &nr);
	if (err)
		return slat_fetch_failed(vcpu, err, bytes, nr);
	if (io->insn.op != (exit->io.in ? SLAT_OP_INS : SLAT_OP_OUTS) ||
	    io->insn.opsize != exit->io.size)
		return 1;

	io->rip = slat_linear_rip(vcpu);
	io->size = io->insn.opsize;
	if (!slat_string_left(vcpu, &io->insn)) {
		slat_vcpu_skip(vcpu, vcpu->rip + io->insn.len);
		return 1;
	}
	err = find_chunk(vcpu, fragment);
	if (err)
		return err;
	if (exit->io.in)
		return ins_exit(vcpu, exit->io.port, fragment);
	return outs_exit(vcpu, exit->io.port, fragment);
}

int slat_io_exit(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	return exit->io.string ? string_exit(vcpu, exit) : register_exit(vcpu, exit);
}
