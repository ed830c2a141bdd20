// SPDX-License-Identifier: GPL-2.0-only
/* What follows from each reason why the guest stopped. */
#include <linux/string.h>
#include <asm/cpu.h>
#include <asm/traps.h>

#include "access.h"
#include "fault.h"
#include "hypercall.h"
#include "vcpu.h"

int slat_exit_internal_error(struct slat_vcpu *vcpu, u32 suberror, const u8 *bytes,
			     unsigned int nr)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = suberror;
	run->emulation_failure.ndata = 0;
	if (nr) {
		/* As KVM lays it out: flags, then size and bytes in two more words. */
		run->emulation_failure.ndata = 3;
		run->emulation_failure.flags =
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = nr;
		memset(run->emulation_failure.insn_bytes, 0x90,
		       sizeof(run->emulation_failure.insn_bytes));
		memcpy(run->emulation_failure.insn_bytes, bytes, nr);
	}
	return 0;
}

/*
 * The instruction that exited.  False when there is none to act on, and *ret is what
 * slat_exit_handle() returns: a fetch that fails just after the CPU's own fetch is
 * a race, and the guest tries again.
 */
static bool decode(struct slat_vcpu *vcpu, struct slat_insn *insn, int *ret)
{
	u8 bytes[SLAT_INSN_MAX_LEN];
	unsigned int nr = 0;

	*ret = slat_fetch(vcpu, insn, bytes, &nr);
	if (!*ret)
		return true;
	if (*ret == -EINVAL || *ret == -EOPNOTSUPP)
		*ret = slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, bytes, nr);
	else if (*ret == -ENOENT)
		*ret = 1;
	return false;
}

static int inject(struct slat_vcpu *vcpu, u8 vector, bool has_error)
{
	slat_vcpu_inject(vcpu, vector, has_error, 0);
	return 1;
}

/* The handlers of instructions: 0 when done, -EPERM for #GP. */

static int do_xsetbv(struct slat_vcpu *vcpu)
{
	const u64 value = slat_edx_eax(vcpu);
	const struct slat_mode *mode = &vcpu->mode;

	if (mode->cpl || (u32)vcpu->gpr[SLAT_RCX] || !slat_cpuid_xcr0_valid(value))
		return -EPERM;
	vcpu->xcr0 = value;
	return 0;
}

/* What the CPU would check. */
static bool cr0_valid(const struct slat_mode *mode, u64 cr0)
{
	if (cr0 >> 32 || ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD)))
		return false;
	if (cr0 & X86_CR0_PG)
		return (cr0 & X86_CR0_PE) &&
		       ((mode->cr0 & X86_CR0_PG) || !(mode->efer & EFER_LME) ||
			((mode->cr4 & X86_CR4_PAE) && !mode->cs_l));
	return !mode->cs_l && !(mode->cr4 & X86_CR4_PCIDE);
}

static int do_cr0(struct slat_vcpu *vcpu, const struct slat_insn *insn)
{
	u64 value = vcpu->gpr[insn->rm];

	if (insn->opsize == 4)
		value = (u32)value;
	if (!cr0_valid(&vcpu->mode, value))
		return -EPERM;
	slat_hw->set_cr0(vcpu, value);
	return 0;
}

static int do_cr4(struct slat_vcpu *vcpu, const struct slat_insn *insn)
{
	const u64 value = vcpu->gpr[insn->rm];
	const struct slat_mode *mode = &vcpu->mode;
	u64 changed;

	if (!(insn->flags & SLAT_INSN_REG_DST)) {
		vcpu->gpr[insn->rm] = mode->cr4;
		return 0;
	}
	changed = value ^ mode->cr4;
	if (value & ~vcpu->limits.cr4)
		return -EPERM;
	if ((mode->efer & EFER_LMA) && (changed & (X86_CR4_PAE | X86_CR4_LA57)))
		return -EPERM;
	if ((changed & value & X86_CR4_PCIDE) &&
	    (!(mode->efer & EFER_LMA) || (mode->cr3 & X86_CR3_PCID_MASK)))
		return -EPERM;
	slat_hw->set_cr4(vcpu, value);
	return 0;
}

static int do_cr8(struct slat_vcpu *vcpu, const struct slat_insn *insn)
{
	const u64 value = vcpu->gpr[insn->rm];

	if (!(insn->flags & SLAT_INSN_REG_DST)) {
		vcpu->gpr[insn->rm] = vcpu->cr8;
		return 0;
	}
	if (value > SLAT_CR8_MAX)
		return -EPERM;
	slat_hw->set_cr8(vcpu, value);
	return 0;
}

/* A guest that idles this way goes on at once: KVM's answer, too. */
static bool has_mwait(struct slat_vcpu *vcpu)
{
	return slat_cpuid_mwait(vcpu) ||
	       !(READ_ONCE(vcpu->vm->quirks_off) & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS);
}

static int do_dr(struct slat_vcpu *vcpu, const struct slat_insn *insn)
{
	const bool write = insn->flags & SLAT_INSN_REG_DST;
	u64 *gpr = &vcpu->gpr[insn->rm];
	u64 value = *gpr, old;
	int vector;

	if (insn->opsize == 4)
		value = (u32)value;
	vector = slat_debug_mov(vcpu, insn->reg, write ? &value : NULL, &old);
	if (!vector && !write)
		*gpr = old;
	return vector;
}

static noinline int mov_dr(struct slat_vcpu *vcpu)
{
	struct slat_insn insn;
	int ret, vector;

	if (!decode(vcpu, &insn, &ret))
		return ret;
	/* What is fetched may be newer than what exited. */
	if (insn.op != SLAT_OP_MOV_DR)
		return 1;
	vector = do_dr(vcpu, &insn);
	if (vector)
		return inject(vcpu, vector, vector == X86_TRAP_GP);
	slat_vcpu_skip(vcpu, vcpu->rip + insn.len);
	return 1;
}

static int do_cr(struct slat_vcpu *vcpu, const struct slat_exit *exit,
		 const struct slat_insn *insn)
{
	switch (exit->reason) {
	case SLAT_EXIT_CR0:
		return do_cr0(vcpu, insn);
	case SLAT_EXIT_CR4:
		return do_cr4(vcpu, insn);
	default:
		return do_cr8(vcpu, insn);
	}
}

/* Apart, so that other instructions need no room for a decoded one. */
static noinline int mov_cr(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	const u64 old_cr8 = vcpu->cr8;
	struct slat_insn insn;
	int ret;

	if (!decode(vcpu, &insn, &ret))
		return ret;
	if (do_cr(vcpu, exit, &insn))
		return inject(vcpu, X86_TRAP_GP, true);
	slat_vcpu_skip(vcpu, vcpu->rip + insn.len);
	if (vcpu->cr8 >= old_cr8)
		return 1;
	/* Interrupts that the VMM's APIC held back may be due. */
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

static u8 code_size(const struct slat_mode *mode)
{
	return mode->cs_l << 1 | mode->cs_db;
}

static noinline unsigned int learn_length(struct slat_vcpu *vcpu, const struct slat_exit *exit,
					  struct slat_known_insn *known, int *ret)
{
	struct slat_insn insn;

	if (!decode(vcpu, &insn, ret))
		return 0;
	*known = (struct slat_known_insn) {
		.rip = slat_linear_rip(vcpu), .cr3 = vcpu->mode.cr3,
		.mode = code_size(&vcpu->mode), .reason = exit->reason, .len = insn.len,
	};
	return insn.len;
}

/* Bytes of an instruction without operands.  0: *ret is what to return. */
static unsigned int length(struct slat_vcpu *vcpu, const struct slat_exit *exit, int *ret)
{
	const u64 rip = slat_linear_rip(vcpu);
	struct slat_known_insn *known = &vcpu->known[rip % SLAT_KNOWN_INSNS];

	if (known->rip == rip && known->cr3 == vcpu->mode.cr3 &&
	    known->mode == code_size(&vcpu->mode) && known->reason == exit->reason)
		return known->len;
	return learn_length(vcpu, exit, known, ret);
}

/* One without operands, and not MSR, which may have to wait for the VMM. */
static int execute(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	switch (exit->reason) {
	case SLAT_EXIT_CPUID:
		return slat_cpuid_exit(vcpu);
	case SLAT_EXIT_XSETBV:
		return do_xsetbv(vcpu);
	case SLAT_EXIT_CACHE:
		slat_memtype_flush_caches(vcpu->vm);
		return 0;
	default:
		return 0;	/* HLT and what does nothing */
	}
}

/* One that moves rip itself. */
static noinline int privileged(struct slat_vcpu *vcpu, const struct slat_exit *exit, u64 next_rip)
{
	if (exit->reason == SLAT_EXIT_VIRT)
		return slat_hw->virt(vcpu, exit->code, next_rip);
	return slat_msr_exit(vcpu, exit->msr.write, next_rip);
}

static int instruction(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	u64 next_rip = exit->next_rip;
	unsigned int len;
	int ret;

	if (!next_rip) {
		len = length(vcpu, exit, &ret);
		if (!len)
			return ret;
		next_rip = vcpu->rip + len;
	}
	if (exit->reason == SLAT_EXIT_MSR || exit->reason == SLAT_EXIT_VIRT)
		return privileged(vcpu, exit, next_rip);
	if (execute(vcpu, exit))
		return inject(vcpu, X86_TRAP_GP, true);
	slat_vcpu_skip(vcpu, next_rip);
	if (exit->reason == SLAT_EXIT_HYPERCALL)
		return slat_hypercall(vcpu);
	if (exit->reason != SLAT_EXIT_HLT)
		return 1;
	slat_runstate_halt(vcpu);
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

static int fault(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	const int ret = slat_fault(vcpu, exit->fault.gpa, exit->fault.access);

	if (ret == SLAT_FAULT_MMIO)
		return slat_mmio_exit(vcpu, exit->fault.gpa);
	return ret < 0 ? ret : 1;
}

static int fail_entry(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = exit->code;
	run->fail_entry.cpu = vcpu->cpu;
	return 0;
}

static int unknown(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	vcpu->run->hw.hardware_exit_reason = exit->code;
	return 0;
}

void slat_vcpu_shut_down(struct slat_vcpu *vcpu)
{
	vcpu->events.exception.pending = true;
	vcpu->events.exception.vector = SLAT_TRIPLE_FAULT;
}

/* Return: 0; -ENOENT: the guest may not access the byte so; -EFAULT. */
static int find_code(struct slat_vcpu *vcpu, unsigned int offset, unsigned int access, u64 *gpa)
{
	u64 linear;

	if (!slat_linear_try(vcpu, SLAT_SEG_CS, vcpu->rip + offset, 1, SLAT_X, &linear))
		return -ENOENT;
	return slat_translate_try(vcpu, linear, access, gpa);
}

/* Is it an instruction of three bytes, the hypercall of the other vendor's CPUs? */
static int is_foreign_hypercall(struct slat_vcpu *vcpu)
{
	const u8 foreign = slat_hw->hypercall ^ SLAT_HYPERCALL_VMX ^ SLAT_HYPERCALL_SVM;
	const u8 wanted[] = { 0x0f, 0x01, foreign };
	unsigned int i;
	u64 gpa;
	u8 byte;
	int ret;

	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		ret = find_code(vcpu, i, SLAT_X, &gpa);
		if (!ret)
			ret = slat_gpa_read(vcpu, gpa, &byte, 1);
		if (ret || byte != wanted[i])
			return ret;
	}
	return 1;
}

/*
 * As KVM does: it is rewritten in the guest's code, if the guest itself could do that,
 * and runs again.  Only the last byte differs.
 */
static int fix_hypercall(struct slat_vcpu *vcpu)
{
	u64 gpa;
	int ret = find_code(vcpu, 2, SLAT_W, &gpa);

	return ret ?: slat_gpa_write(vcpu, gpa, &slat_hw->hypercall, 1);
}

static int invalid_opcode(struct slat_vcpu *vcpu)
{
	int ret = 0;

	if (!(READ_ONCE(vcpu->vm->quirks_off) & KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		ret = is_foreign_hypercall(vcpu);
	if (ret > 0) {
		ret = fix_hypercall(vcpu);
		if (!ret)
			return 1;
	}
	return ret && ret != -ENOENT ? ret : inject(vcpu, X86_TRAP_UD, false);
}

static int exception(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	if (exit->exception.vector == X86_TRAP_UD)
		return invalid_opcode(vcpu);
	slat_vcpu_inject(vcpu, exit->exception.vector, exit->exception.has_error,
			 exit->exception.error);
	return 1;
}

int slat_exit_handle(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	switch (exit->reason) {
	case SLAT_EXIT_NOTHING:
		return 1;
	case SLAT_EXIT_FAULT:
		return fault(vcpu, exit);
	case SLAT_EXIT_IO:
		return slat_io_exit(vcpu, exit);
	case SLAT_EXIT_UD:
		return inject(vcpu, X86_TRAP_UD, false);
	case SLAT_EXIT_GP:
		return inject(vcpu, X86_TRAP_GP, true);
	case SLAT_EXIT_EXCEPTION:
		return exception(vcpu, exit);
	case SLAT_EXIT_SPLIT_LOCK:
		/* As a program's own: it is let through, or gets a signal. */
		handle_guest_split_lock(vcpu->rip);
		return 1;
	case SLAT_EXIT_DEBUG:
		return slat_debug_exit(vcpu, exit);
	case SLAT_EXIT_CR0:
	case SLAT_EXIT_CR4:
	case SLAT_EXIT_CR8:
		return mov_cr(vcpu, exit);
	case SLAT_EXIT_DR:
		return mov_dr(vcpu);
	case SLAT_EXIT_MWAIT:
		if (!has_mwait(vcpu))
			return inject(vcpu, X86_TRAP_UD, false);
		return instruction(vcpu, exit);
	case SLAT_EXIT_TASK_SWITCH:
		return slat_exit_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, NULL, 0);
	case SLAT_EXIT_INNER:
		return slat_hw->inner_exit(vcpu);
	case SLAT_EXIT_SHUTDOWN:
		slat_vcpu_shut_down(vcpu);
		return 1;
	case SLAT_EXIT_INVALID:
		return fail_entry(vcpu, exit);
	case SLAT_EXIT_AWAY:
		slat_hw->fetch(vcpu);
		return 1;
	case SLAT_EXIT_UNKNOWN:
		return unknown(vcpu, exit);
	default:
		return instruction(vcpu, exit);
	}
}
