// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions on MMIO.  An instruction, or one iteration of a string
 * instruction, is one transaction:
 *
 *   operands   are found and translated with all rights that it needs, so that
 *              every fault comes before the first access
 *   read       piece by piece; the VMM is asked for what is not in memory
 *   commit     writes to memory, then registers, flags and rip: nothing waits
 *   write      what is not in memory goes to the VMM, as on KVM with rip behind
 *              the instruction
 *
 * Up to the commit the guest's registers are as they were, and an exit that the
 * VMM never completes leaves nothing behind.
 *
 * Pieces in memory are accessed plainly even with LOCK: the instruction as a
 * whole is not atomic when a device takes part in it.
 */
#include "mmio.h"
#include "ioevent.h"

#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "access.h"
#include "entry.h"
#include "hw.h"
#include "vcpu.h"

/* Beside the results of slat_exit_handle(): 0 to the VMM, 1 to the guest. */
#define GO_ON	2

/* What an instruction makes of its operands, but for memory (slat_mmio.result). */
struct outcome {
	u64 rflags;
	u64 value;
	u8 reg;		/* SLAT_INSN_NO_REG: none is written */
	u8 size;
	bool high;
};

/* To the memory operand; for string instructions to the one at rDI, if there is one. */
static unsigned int operand_access(const struct slat_insn *insn)
{
	switch (insn->op) {
	case SLAT_OP_CMP:
	case SLAT_OP_TEST:
	case SLAT_OP_BT:
	case SLAT_OP_MOVZX:
	case SLAT_OP_MOVSX:
	case SLAT_OP_CMPS:
	case SLAT_OP_SCAS:
	case SLAT_OP_LODS:
	case SLAT_OP_PUSH:
		return SLAT_R;
	case SLAT_OP_MOV:
		return insn->flags & SLAT_INSN_REG_DST ? SLAT_R : SLAT_W;
	case SLAT_OP_MOVS:
	case SLAT_OP_STOS:
		return SLAT_W;
	case SLAT_OP_ADD ... SLAT_OP_XOR:
		return insn->flags & SLAT_INSN_REG_DST ? SLAT_R : SLAT_R | SLAT_W;
	case SLAT_OP_INC ... SLAT_OP_NEG:
	case SLAT_OP_BTS ... SLAT_OP_BTC:
	case SLAT_OP_XCHG:
	case SLAT_OP_XADD:
	case SLAT_OP_CMPXCHG:
		return SLAT_R | SLAT_W;
	default:
		return 0;
	}
}

static bool is_supported(const struct slat_insn *insn)
{
	return (insn->flags & SLAT_INSN_MEM) && operand_access(insn);
}

static bool is_string(const struct slat_insn *insn)
{
	return insn->flags & (SLAT_INSN_STR_SRC | SLAT_INSN_STR_DST);
}

static int add_operand(struct slat_vcpu *vcpu, u8 operand, enum slat_insn_seg seg, u64 offset,
		       unsigned int access)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	struct slat_fragment fragment[2];
	u8 size = mmio->insn.opsize;
	unsigned int i;
	u64 linear;
	int err;

	err = slat_linear(vcpu, seg, offset, size, access, &linear);
	if (!err)
		err = slat_translate_range(vcpu, linear, size, access, fragment);
	if (err)
		return err;

	for (i = 0; i < 2 && fragment[i].len; i++) {
		mmio->piece[mmio->nr_pieces++] = (struct slat_mmio_piece){
			.gpa = fragment[i].gpa,
			.access = access,
			.operand = operand,
			.offset = i ? fragment[0].len : 0,
			.len = fragment[i].len,
		};
	}
	return 0;
}

static u8 stack_width(struct slat_vcpu *vcpu)
{
	struct kvm_segment stack;
	const struct slat_mode *mode = &vcpu->mode;

	if (mode->cs_l)
		return 8;
	slat_hw->get_segment(vcpu, &stack, SLAT_SEG_SS);
	return stack.db ? 4 : 2;
}

/* Where PUSH writes. */
static int add_stack(struct slat_vcpu *vcpu)
{
	u64 mask = ~0ULL >> (64 - 8 * stack_width(vcpu));
	u64 offset = (vcpu->gpr[SLAT_RSP] - vcpu->mmio.insn.opsize) & mask;

	return add_operand(vcpu, 1, SLAT_SEG_SS, offset, SLAT_W);
}

static int add_operands(struct slat_vcpu *vcpu)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	const struct slat_insn *insn = &mmio->insn;
	u64 ea = slat_insn_ea(insn, vcpu->gpr, vcpu->rip + insn->len);
	u8 operand = 0;
	int err;

	mmio->nr_pieces = 0;
	memset(mmio->value, 0, sizeof(mmio->value));
	if (!is_string(insn)) {
		err = add_operand(vcpu, 0, insn->seg, ea, operand_access(insn));
		return err || insn->op != SLAT_OP_PUSH ? err : add_stack(vcpu);
	}
	if (insn->flags & SLAT_INSN_STR_SRC) {
		err = add_operand(vcpu, operand++, insn->seg, ea, SLAT_R);
		if (err)
			return err;
	}
	if (!(insn->flags & SLAT_INSN_STR_DST))
		return 0;
	return add_operand(vcpu, operand, SLAT_SEG_ES, slat_insn_string_dst(insn, vcpu->gpr),
			   operand_access(insn));
}

/* Find the instruction at rip and its operands. */
static int prepare(struct slat_vcpu *vcpu)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	u8 bytes[SLAT_INSN_MAX_LEN];
	unsigned int nr;
	int err;

	err = slat_fetch(vcpu, &mmio->insn, bytes, &nr);
	if (err)
		return slat_fetch_failed(vcpu, err, bytes, nr);
	if (!is_supported(&mmio->insn))
		return slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, bytes, nr);

	mmio->rip = slat_linear_rip(vcpu);
	if (is_string(&mmio->insn) && !slat_string_left(vcpu, &mmio->insn)) {
		slat_vcpu_skip(vcpu, vcpu->rip + mmio->insn.len);
		return 1;
	}
	err = add_operands(vcpu);
	return err ? err : GO_ON;
}

static bool touches_mmio(struct slat_vcpu *vcpu)
{
	const struct slat_mmio *mmio = &vcpu->mmio;
	unsigned int i;

	for (i = 0; i < mmio->nr_pieces; i++) {
		const struct slat_mmio_piece *piece = &mmio->piece[i];

		if (!slat_gpa_is_memory(vcpu->vm, piece->gpa, piece->access & SLAT_W))
			return true;
	}
	return false;
}

static bool has_moved(struct slat_vcpu *vcpu)
{
	return slat_linear_rip(vcpu) != vcpu->mmio.rip;
}

/* The first piece that this is still to be done with, or NULL. */
static struct slat_mmio_piece *next_piece(struct slat_mmio *mmio, unsigned int access)
{
	unsigned int i;

	for (i = 0; i < mmio->nr_pieces; i++)
		if (mmio->piece[i].access & access)
			return &mmio->piece[i];
	return NULL;
}

static void *read_data(struct slat_mmio *mmio, const struct slat_mmio_piece *piece)
{
	return (u8 *)&mmio->value[piece->operand] + piece->offset;
}

static const void *write_data(const struct slat_mmio *mmio, const struct slat_mmio_piece *piece)
{
	return (const u8 *)&mmio->result + piece->offset;
}

static int exit_to_vmm(struct slat_vcpu *vcpu, const struct slat_mmio_piece *piece, u64 data,
		       int (*complete)(struct slat_vcpu *vcpu), bool is_write)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = piece->gpa;
	memcpy(run->mmio.data, &data, sizeof(data));
	run->mmio.len = piece->len;
	run->mmio.is_write = is_write;
	vcpu->complete = complete;
	vcpu->stats.mmio_exits++;
	return 0;
}

static int complete_read(struct slat_vcpu *vcpu);
static int complete_write(struct slat_vcpu *vcpu);

static int read_operands(struct slat_vcpu *vcpu)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	struct slat_mmio_piece *piece;
	int err;

	while ((piece = next_piece(mmio, SLAT_R))) {
		err = slat_gpa_read(vcpu, piece->gpa, read_data(mmio, piece), piece->len);
		if (err == -ENOENT)
			return exit_to_vmm(vcpu, piece, 0, complete_read, false);
		if (err)
			return err;
		piece->access &= ~SLAT_R;
	}
	return GO_ON;
}

/* The operand that is not in memory; 0 without one. */
static u64 register_operand(const struct slat_vcpu *vcpu, const struct slat_insn *insn)
{
	if (insn->flags & SLAT_INSN_IMM)
		return insn->imm;
	if (insn->reg == SLAT_INSN_NO_REG)
		return 0;
	return slat_insn_get_reg(vcpu->gpr, insn->reg, insn->regsize,
				 insn->flags & SLAT_INSN_HIGH_REG);
}

static void set_register(struct outcome *out, const struct slat_insn *insn, u64 value)
{
	out->value = value;
	out->reg = insn->reg;
	out->size = insn->regsize;
	out->high = insn->flags & SLAT_INSN_HIGH_REG;
}

static void compute_alu(struct slat_mmio *mmio, u64 reg, struct outcome *out)
{
	const struct slat_insn *insn = &mmio->insn;
	bool to_reg = insn->flags & SLAT_INSN_REG_DST;
	u64 mem = mmio->value[0], result;

	result = slat_insn_alu(insn->op, insn->opsize, to_reg ? reg : mem, to_reg ? mem : reg,
			       &out->rflags);
	mmio->result = result;
	if (to_reg && insn->op != SLAT_OP_CMP && insn->op != SLAT_OP_TEST)
		set_register(out, insn, result);
}

/* Memory is written in any case, by what was there when it was not equal. */
static void compute_cmpxchg(struct slat_mmio *mmio, u64 rax, u64 reg, struct outcome *out)
{
	u64 mem = mmio->value[0];

	slat_insn_alu(SLAT_OP_CMP, mmio->insn.opsize, rax, mem, &out->rflags);
	if (out->rflags & X86_EFLAGS_ZF) {
		mmio->result = reg;
		return;
	}
	mmio->result = mem;
	out->value = mem;
	out->reg = SLAT_RAX;
	out->size = mmio->insn.opsize;
}

static u64 extend_sign(u64 value, u8 size)
{
	unsigned int shift = 64 - 8 * size;

	return (s64)(value << shift) >> shift;
}

static void compute_move(struct slat_mmio *mmio, u64 reg, struct outcome *out)
{
	const struct slat_insn *insn = &mmio->insn;
	u64 mem = mmio->value[0];

	if (insn->op == SLAT_OP_MOVSX)
		mem = extend_sign(mem, insn->opsize);
	if (insn->op == SLAT_OP_XCHG || (insn->flags & SLAT_INSN_REG_DST))
		set_register(out, insn, mem);
	mmio->result = insn->op == SLAT_OP_MOVS ? mem : reg;
}

static void compute(struct slat_vcpu *vcpu, struct outcome *out)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	const struct slat_insn *insn = &mmio->insn;
	u64 reg = register_operand(vcpu, insn);
	const u64 *mem = mmio->value;

	switch (insn->op) {
	case SLAT_OP_MOV:
	case SLAT_OP_MOVZX:
	case SLAT_OP_MOVSX:
	case SLAT_OP_XCHG:
	case SLAT_OP_MOVS:
	case SLAT_OP_STOS:
	case SLAT_OP_LODS:
		compute_move(mmio, reg, out);
		break;
	case SLAT_OP_XADD:
		mmio->result = slat_insn_alu(SLAT_OP_ADD, insn->opsize, mem[0], reg, &out->rflags);
		set_register(out, insn, mem[0]);
		break;
	case SLAT_OP_CMPXCHG:
		compute_cmpxchg(mmio, vcpu->gpr[SLAT_RAX], reg, out);
		break;
	case SLAT_OP_PUSH:
		mmio->result = mem[0];
		out->value = vcpu->gpr[SLAT_RSP] - insn->opsize;
		out->reg = SLAT_RSP;
		out->size = stack_width(vcpu);
		break;
	case SLAT_OP_CMPS:
		slat_insn_alu(SLAT_OP_CMP, insn->opsize, mem[0], mem[1], &out->rflags);
		break;
	case SLAT_OP_SCAS:
		slat_insn_alu(SLAT_OP_CMP, insn->opsize, reg, mem[0], &out->rflags);
		break;
	default:
		compute_alu(mmio, reg, out);
		break;
	}
}

static int write_memory(struct slat_vcpu *vcpu)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	unsigned int i;
	int err;

	for (i = 0; i < mmio->nr_pieces; i++) {
		struct slat_mmio_piece *piece = &mmio->piece[i];

		if (!(piece->access & SLAT_W))
			continue;
		err = slat_gpa_write(vcpu, piece->gpa, write_data(mmio, piece), piece->len);
		if (!err)
			piece->access &= ~SLAT_W;
		else if (err != -ENOENT)
			return err;
	}
	return 0;
}

/* Did this iteration of CMPS or SCAS find what ends it? */
static bool found(const struct slat_insn *insn, u64 rflags)
{
	if (insn->op != SLAT_OP_CMPS && insn->op != SLAT_OP_SCAS)
		return false;
	return rflags & X86_EFLAGS_ZF ? insn->flags & SLAT_INSN_REPNE :
					insn->flags & SLAT_INSN_REP;
}

static void commit_registers(struct slat_vcpu *vcpu, const struct outcome *out)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	const struct slat_insn *insn = &mmio->insn;
	u64 *gpr = vcpu->gpr;

	vcpu->rflags = out->rflags;
	if (out->reg != SLAT_INSN_NO_REG)
		gpr[out->reg] = slat_insn_set_reg(gpr[out->reg], out->size, out->high, out->value);
	mmio->more = false;
	if (is_string(insn))
		mmio->more = !slat_string_commit(vcpu, insn, 1, found(insn, out->rflags));
	else
		slat_vcpu_skip(vcpu, vcpu->rip + insn->len);
}

/* Rights are cleared first, for nothing is left to do about it on completion. */
static int write_mmio(struct slat_vcpu *vcpu)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	struct slat_mmio_piece *piece;

	while ((piece = next_piece(mmio, SLAT_W))) {
		u64 data = 0;

		piece->access &= ~SLAT_W;
		memcpy(&data, write_data(mmio, piece), piece->len);
		if (!slat_ioevent_write(vcpu->vm, false, piece->gpa, piece->len, data))
			return exit_to_vmm(vcpu, piece, data, complete_write, true);
	}
	return GO_ON;
}

/* From the first piece that was not read yet to the first write for the VMM, or the end. */
static int transact(struct slat_vcpu *vcpu)
{
	struct outcome out = { .rflags = vcpu->rflags, .reg = SLAT_INSN_NO_REG };
	int ret = read_operands(vcpu);

	if (ret != GO_ON)
		return ret;
	compute(vcpu, &out);
	ret = write_memory(vcpu);
	if (ret)
		return ret;
	commit_registers(vcpu, &out);
	return write_mmio(vcpu);
}

/* May the next iteration of REP follow at once, or has the guest to be entered? */
static bool may_continue(struct slat_vcpu *vcpu)
{
	if (!vcpu->mmio.more || has_moved(vcpu))
		return false;
	if (slat_inject_is_pending(&vcpu->events) || (vcpu->rflags & X86_EFLAGS_TF))
		return false;
	if (slat_immediate_exit(vcpu->run) || READ_ONCE(vcpu->run->request_interrupt_window))
		return false;
	return !signal_pending(current) && !need_resched();
}

/*
 * After a transaction that gave @ret: the next ones.  Each of them exits to the
 * VMM, unless a slot appears just now, so this comes to an end soon.
 */
static int iterate(struct slat_vcpu *vcpu, int ret)
{
	while (ret == GO_ON && may_continue(vcpu)) {
		ret = prepare(vcpu);
		if (ret == GO_ON && !touches_mmio(vcpu))
			return 1;
		if (ret == GO_ON)
			ret = transact(vcpu);
	}
	return ret == GO_ON ? 1 : ret;
}

static int complete_read(struct slat_vcpu *vcpu)
{
	struct slat_mmio *mmio = &vcpu->mmio;
	struct slat_mmio_piece *piece = next_piece(mmio, SLAT_R);
	u64 data = READ_ONCE(*(u64 *)vcpu->run->mmio.data);

	if (has_moved(vcpu))
		return 1;
	memcpy(read_data(mmio, piece), &data, piece->len);
	piece->access &= ~SLAT_R;
	return iterate(vcpu, transact(vcpu));
}

static int complete_write(struct slat_vcpu *vcpu)
{
	return iterate(vcpu, write_mmio(vcpu));
}

/*
 * The operands are in memory.  Either @gpa is as well by now; or it was touched on
 * the way to them, as page tables in ROM are, where the CPU gets no further.
 */
static int execute_in_memory(struct slat_vcpu *vcpu, u64 gpa)
{
	const struct slat_insn *insn = &vcpu->mmio.insn;

	if (slat_gpa_is_memory(vcpu->vm, gpa, true))
		return 1;
	if ((insn->flags & SLAT_INSN_LOCK) || insn->op == SLAT_OP_XCHG)
		return slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, NULL, 0);
	return iterate(vcpu, transact(vcpu));
}

int slat_mmio_exit(struct slat_vcpu *vcpu, u64 gpa)
{
	int ret;

	if (vcpu->events.delivering)
		return slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, NULL, 0);
	ret = prepare(vcpu);
	if (ret != GO_ON)
		return ret;
	if (!touches_mmio(vcpu))
		return execute_in_memory(vcpu, gpa);
	return iterate(vcpu, transact(vcpu));
}
