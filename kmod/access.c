// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory for slat's own code: copies, segmentation, instruction fetch.
 * The guest's page tables are in paging.c.
 */
#include "access.h"

#include <linux/minmax.h>
#include <linux/mm.h>
#include <asm/trapnr.h>

#include "entry.h"
#include "hw.h"
#include "user.h"
#include "vcpu.h"

bool slat_gpa_is_memory(struct slat_vm *vm, u64 gpa, bool write)
{
	const int idx = slat_srcu_read_lock(&vm->slots_srcu);
	const struct slat_slot *slot = slat_slot_find(vm, gpa >> PAGE_SHIFT);
	const bool found = slot && !(write && (slot->flags & KVM_MEM_READONLY));

	slat_srcu_read_unlock(&vm->slots_srcu, idx);
	return found;
}

/* -EAGAIN: wait for a conversion first. */
static int read_once(struct slat_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	const int idx = slat_srcu_read_lock(&vcpu->vm->slots_srcu);
	void __user *host;
	int err = slat_vcpu_map(vcpu, gpa >> PAGE_SHIFT, SLAT_R, &host);

	if (!err) {
		if (slat_copy_from_user(data, host + offset_in_page(gpa), len))
			err = -EFAULT;
		slat_vcpu_unmap(vcpu);
	}
	slat_srcu_read_unlock(&vcpu->vm->slots_srcu, idx);
	return err;
}

int slat_gpa_read(struct slat_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	int err;

	do
		err = read_once(vcpu, gpa, data, len);
	while (slat_claim_retry(vcpu->vm, &err));
	return err;
}

static int write_once(struct slat_vcpu *vcpu, u64 gpa, const void *data, unsigned int len)
{
	const int idx = slat_srcu_read_lock(&vcpu->vm->slots_srcu);
	void __user *host;
	int err = slat_vcpu_map(vcpu, gpa >> PAGE_SHIFT, SLAT_R | SLAT_W, &host);

	if (!err) {
		if (slat_copy_to_user(host + offset_in_page(gpa), data, len))
			err = -EFAULT;
		/* Some of it may have been written. */
		slat_vcpu_mark(vcpu, gpa >> PAGE_SHIFT);
		slat_vcpu_unmap(vcpu);
	}
	slat_srcu_read_unlock(&vcpu->vm->slots_srcu, idx);
	return err;
}

int slat_gpa_write(struct slat_vcpu *vcpu, u64 gpa, const void *data, unsigned int len)
{
	int err;

	do
		err = write_once(vcpu, gpa, data, len);
	while (slat_claim_retry(vcpu->vm, &err));
	return err == -EROFS ? -ENOENT : err;
}

/* Real mode and vm86 do not look at the type, so that CS can be written there. */
static bool has_segment_types(struct slat_vcpu *vcpu, const struct slat_mode *mode)
{
	return (mode->cr0 & X86_CR0_PE) && !(vcpu->rflags & X86_EFLAGS_VM);
}

static bool type_allows(const struct kvm_segment *segment, unsigned int access)
{
	bool is_code = segment->type & 8;
	bool bit1 = segment->type & 2;	/* data: writable, code: readable */

	if (segment->unusable || !segment->present || !segment->s)
		return false;
	if (access & SLAT_X)
		return is_code;
	if (is_code)
		return bit1 && !(access & SLAT_W);
	return bit1 || !(access & SLAT_W);
}

static bool limit_allows(const struct kvm_segment *segment, u64 offset, unsigned int len)
{
	bool expands_down = (segment->type & 0xc) == 4;
	u64 last = offset + len - 1;

	if (expands_down)
		return offset > segment->limit && last <= (segment->db ? U32_MAX : U16_MAX);
	/* what is flat wraps around */
	return last <= segment->limit || (segment->limit == U32_MAX && offset <= U32_MAX);
}

static bool linear_legacy(struct slat_vcpu *vcpu, const struct slat_mode *mode,
			  const struct kvm_segment *segment, u64 offset, unsigned int len,
			  unsigned int access)
{
	return limit_allows(segment, offset, len) &&
	       (!has_segment_types(vcpu, mode) || type_allows(segment, access));
}

static bool linear_64(const struct slat_mode *mode, u64 linear, unsigned int len)
{
	return slat_is_canonical(linear, mode->cr4) &&
	       slat_is_canonical(linear + len - 1, mode->cr4);
}

bool slat_linear_try(struct slat_vcpu *vcpu, enum slat_insn_seg seg, u64 offset, unsigned int len,
		     unsigned int access, u64 *linear)
{
	struct kvm_segment segment;
	const struct slat_mode *mode = &vcpu->mode;

	slat_hw->get_segment(vcpu, &segment, seg);
	if (!mode->cs_l) {
		*linear = (u32)(segment.base + offset);
		return linear_legacy(vcpu, mode, &segment, offset, len, access);
	}
	*linear = offset;
	if (seg == SLAT_SEG_FS || seg == SLAT_SEG_GS)
		*linear += segment.base;
	return linear_64(mode, *linear, len);
}

int slat_linear(struct slat_vcpu *vcpu, enum slat_insn_seg seg, u64 offset, unsigned int len,
		unsigned int access, u64 *linear)
{
	if (slat_linear_try(vcpu, seg, offset, len, access, linear))
		return 0;
	slat_vcpu_inject(vcpu, seg == SLAT_SEG_SS ? X86_TRAP_SS : X86_TRAP_GP, true, 0);
	return SLAT_INJECTED;
}

int slat_translate_range(struct slat_vcpu *vcpu, u64 linear, unsigned int len,
			 unsigned int access, struct slat_fragment fragment[2])
{
	unsigned int first = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(linear));
	int err;

	fragment[0].len = first;
	fragment[1].len = len - first;
	err = slat_translate(vcpu, linear, access, &fragment[0].gpa);
	if (err || first == len)
		return err;
	return slat_translate(vcpu, linear + first, access, &fragment[1].gpa);
}

static int fetch_bytes(struct slat_vcpu *vcpu, u64 linear, u8 *bytes, unsigned int *nr)
{
	unsigned int len = min_t(unsigned int, SLAT_INSN_MAX_LEN - *nr,
				 PAGE_SIZE - offset_in_page(linear + *nr));
	u64 gpa;
	int err = slat_translate(vcpu, linear + *nr, SLAT_X, &gpa);

	if (!err)
		err = slat_gpa_read(vcpu, gpa, bytes + *nr, len);
	if (!err)
		*nr += len;
	return err;
}

static enum slat_insn_mode insn_mode(struct slat_vcpu *vcpu)
{
	const struct slat_mode *mode = &vcpu->mode;

	if (mode->cs_l)
		return SLAT_INSN_64;
	return mode->cs_db ? SLAT_INSN_32 : SLAT_INSN_16;
}

int slat_fetch(struct slat_vcpu *vcpu, struct slat_insn *insn, u8 *bytes, unsigned int *nr)
{
	enum slat_insn_mode mode = insn_mode(vcpu);
	u64 linear;
	int err;

	*nr = 0;
	err = slat_linear(vcpu, SLAT_SEG_CS, vcpu->rip, 1, SLAT_X, &linear);
	if (!err)
		err = fetch_bytes(vcpu, linear, bytes, nr);
	if (err)
		return err;

	err = slat_insn_decode(insn, bytes, *nr, mode);
	if (err == -ENODATA) {
		/* the rest is in the next page, which must not be touched without need */
		err = fetch_bytes(vcpu, linear, bytes, nr);
		if (err)
			return err;
		err = slat_insn_decode(insn, bytes, *nr, mode);
	}
	if (err)
		return err;
	return slat_linear(vcpu, SLAT_SEG_CS, vcpu->rip, insn->len, SLAT_X, &linear);
}

int slat_fetch_failed(struct slat_vcpu *vcpu, int err, const u8 *bytes, unsigned int nr)
{
	switch (err) {
	case -EINVAL:
		slat_vcpu_inject(vcpu, X86_TRAP_UD, false, 0);
		return 1;
	case -EOPNOTSUPP:
	case -ENOENT:
		return slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, bytes, nr);
	case SLAT_INJECTED:
		return 1;
	default:
		return err;
	}
}

static bool has_rep(const struct slat_insn *insn)
{
	return insn->flags & (SLAT_INSN_REP | SLAT_INSN_REPNE);
}

u64 slat_string_left(struct slat_vcpu *vcpu, const struct slat_insn *insn)
{
	return has_rep(insn) ? slat_insn_get_reg(vcpu->gpr, SLAT_RCX, insn->addrsize, false) : 1;
}

static void add_to_reg(struct slat_vcpu *vcpu, const struct slat_insn *insn, u8 reg, u64 add)
{
	u64 old = vcpu->gpr[reg];

	vcpu->gpr[reg] = slat_insn_set_reg(old, insn->addrsize, false, old + add);
}

static void move_string(struct slat_vcpu *vcpu, const struct slat_insn *insn, unsigned int count)
{
	u64 step = (u64)count * insn->opsize;

	if (vcpu->rflags & X86_EFLAGS_DF)
		step = -step;
	if (insn->flags & SLAT_INSN_STR_SRC)
		add_to_reg(vcpu, insn, SLAT_RSI, step);
	if (insn->flags & SLAT_INSN_STR_DST)
		add_to_reg(vcpu, insn, SLAT_RDI, step);
	if (has_rep(insn))
		add_to_reg(vcpu, insn, SLAT_RCX, -(u64)count);
}

bool slat_string_commit(struct slat_vcpu *vcpu, const struct slat_insn *insn, unsigned int count,
			bool found)
{
	u64 left = slat_string_left(vcpu, insn);

	/* the VMM may have set a smaller rCX meanwhile */
	move_string(vcpu, insn, min_t(u64, count, left));
	if (left <= count || found) {
		slat_vcpu_skip(vcpu, vcpu->rip + insn->len);
		return true;
	}
	/* tracing sees each iteration */
	if (vcpu->rflags & X86_EFLAGS_TF)
		slat_hw->single_stepped(vcpu);
	return false;
}
