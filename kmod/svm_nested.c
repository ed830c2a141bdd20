// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM for the guest: it is a hypervisor, too, and runs an inner guest by VMRUN.
 *
 * While the inner guest runs, its state is the vCPU's, in the VMCB and elsewhere, and
 * the guest's own waits in struct svm_nested, as a CPU keeps the host's.  Its memory is
 * the guest's: nested paging is not offered, so both run on the same nested tables, and
 * a guest that wants to confine its inner guest gives it page tables of its own making.
 *
 * Exits are for slat where slat asked for them, and for the guest where the guest did;
 * where both did, the guest comes first, but for what is the host's.  Control blocks and
 * bitmaps are the guest's memory: copied, checked, and written back at the end.
 *
 * APM volume 2, "Secure Virtual Machine": "VMRUN Instruction", "#VMEXIT".
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/traps.h>

#include "access.h"
#include "svm.h"
#include "vcpu.h"

#define MSRPM_SIZE	(2 * PAGE_SIZE)
#define IOPM_SIZE	(3 * PAGE_SIZE)

#define EVENT_BITS	(SVM_EVTINJ_VALID | SVM_EVTINJ_VALID_ERR | SVM_EVTINJ_TYPE_MASK | \
			 SVM_EVTINJ_VEC_MASK)

/**
 * struct inner_exit - what the guest is told of an exit from its inner guest
 * @code:	SVM_EXIT_*
 * @info_1:	EXITINFO1 and 2
 * @info_2:	...
 * @event:	EXITINTINFO
 * @error:	its error code
 */
struct inner_exit {
	u64 code;
	u64 info_1;
	u64 info_2;
	u32 event;
	u32 error;
};

/**
 * struct svm_nested - for a guest that is a hypervisor
 * @vmcb12:	a copy of its control block, on the way in or out
 * @gpa:	where that is, while the inner guest runs
 * @outer:	the guest's own state meanwhile, as far as VMRUN switches it
 * @uncached:	svm_vcpu.uncached of it
 * @iopm:	the guest's bitmaps for its inner guest, gpa
 * @msrpm:	likewise
 * @leaving:	the inner guest has ended with @exit, but the VMM's memory was not there to
 *		say so in
 * @exit:	what to say
 */
struct svm_nested {
	struct vmcb vmcb12;
	u64 gpa;
	struct vmcb_save_area outer;
	u64 uncached;
	u64 iopm;
	u64 msrpm;
	bool leaving;
	struct inner_exit exit;
};

int svm_nested_create(struct svm_vcpu *svm)
{
	svm->nested = kzalloc(sizeof(*svm->nested), GFP_KERNEL_ACCOUNT);
	return svm->nested ? 0 : -ENOMEM;
}

static bool wants(const struct svm_vcpu *svm, unsigned int bit)
{
	return svm->inner_intercepts[bit / 32] & 1U << bit % 32;
}

static void set_inner_intercepts(struct svm_vcpu *svm, const u32 *intercepts)
{
	unsigned int i;

	for (i = 0; i < MAX_INTERCEPT; i++) {
		svm->inner_intercepts[i] = intercepts ? intercepts[i] : 0;
		svm_intercept_word(svm, i, svm->intercepts[i]);
	}
}

static int inject(struct slat_vcpu *vcpu, u8 vector)
{
	slat_vcpu_inject(vcpu, vector, vector == X86_TRAP_GP, 0);
	return 1;
}

/* What VMRUN and #VMEXIT switch, and VMLOAD and VMSAVE do not. */
static void copy_segments(struct vmcb_save_area *to, const struct vmcb_save_area *from)
{
	to->es = from->es;
	to->cs = from->cs;
	to->ss = from->ss;
	to->ds = from->ds;
	to->gdtr = from->gdtr;
	to->idtr = from->idtr;
}

/* The rest. */
static void copy_hidden(struct vmcb_save_area *to, const struct vmcb_save_area *from)
{
	to->fs = from->fs;
	to->gs = from->gs;
	to->tr = from->tr;
	to->ldtr = from->ldtr;
	to->star = from->star;
	to->lstar = from->lstar;
	to->cstar = from->cstar;
	to->sfmask = from->sfmask;
	to->kernel_gs_base = from->kernel_gs_base;
	to->sysenter_cs = from->sysenter_cs;
	to->sysenter_esp = from->sysenter_esp;
	to->sysenter_eip = from->sysenter_eip;
}

static void save_state(struct slat_vcpu *vcpu, struct vmcb_save_area *to)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_save_area *save = &svm->vmcb->save;

	copy_segments(to, save);
	to->cpl = save->cpl;
	to->efer = save->efer & svm->efer_seen;
	to->cr0 = save->cr0 | svm->uncached;
	to->cr3 = save->cr3;
	to->cr4 = svm->cr4;
	to->rflags = vcpu->rflags;
	to->rip = vcpu->rip;
	to->rsp = vcpu->gpr[SLAT_RSP];
	to->rax = vcpu->gpr[SLAT_RAX];
}

static void load_regs(struct slat_vcpu *vcpu, const struct vmcb_save_area *from)
{
	vcpu->rflags = from->rflags | X86_EFLAGS_FIXED;
	vcpu->rip = from->rip;
	vcpu->gpr[SLAT_RSP] = from->rsp;
	vcpu->gpr[SLAT_RAX] = from->rax;
}

static void load_system(struct slat_vcpu *vcpu, const struct vmcb_save_area *from, u64 uncached)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	copy_segments(save, from);
	save->cpl = from->cpl & 3;
	save->cr3 = from->cr3;
	svm_set_control(vcpu, from->cr0, uncached, from->cr4, from->efer);
}

/* Entering the inner guest */

static bool memory_valid(struct slat_vcpu *vcpu, u64 gpa, u64 size)
{
	const u64 end = BIT_ULL(vcpu->limits.phys_bits);

	return gpa < end && end - (gpa & PAGE_MASK) >= size;
}

static bool event_valid(u32 event)
{
	if (!(event & SVM_EVTINJ_VALID))
		return true;
	switch (event & SVM_EVTINJ_TYPE_MASK) {
	case SVM_EVTINJ_TYPE_INTR:
	case SVM_EVTINJ_TYPE_NMI:
	case SVM_EVTINJ_TYPE_SOFT:
		return true;
	case SVM_EVTINJ_TYPE_EXEPT:
		return (event & SVM_EVTINJ_VEC_MASK) < 32 &&
		       (event & SVM_EVTINJ_VEC_MASK) != X86_TRAP_NMI;
	default:
		return false;
	}
}

static bool control_valid(struct slat_vcpu *vcpu, const struct vmcb_control_area *control)
{
	return (control->intercepts[INTERCEPT_VMRUN / 32] & 1U << INTERCEPT_VMRUN % 32) &&
	       control->asid &&
	       !(control->nested_ctl & SVM_NESTED_CTL_NP_ENABLE) &&
	       memory_valid(vcpu, control->iopm_base_pa, IOPM_SIZE) &&
	       memory_valid(vcpu, control->msrpm_base_pa, MSRPM_SIZE) &&
	       event_valid(control->event_inj);
}

static bool save_valid(struct slat_vcpu *vcpu, const struct vmcb_save_area *save)
{
	const u64 long_cs = SVM_SELECTOR_L_MASK | SVM_SELECTOR_DB_MASK;

	if (!(save->efer & EFER_SVME) || (save->efer & ~vcpu->limits.efer) ||
	    (save->cr4 & ~vcpu->limits.cr4) || save->cr0 >> 32 ||
	    ((save->cr0 & X86_CR0_NW) && !(save->cr0 & X86_CR0_CD)) ||
	    save->dr6 >> 32 || save->dr7 >> 32)
		return false;
	/* Out of long mode, VMRUN also takes paging in real mode. */
	if (!(save->efer & EFER_LME) || !(save->cr0 & X86_CR0_PG))
		return true;
	return (save->cr0 & X86_CR0_PE) && (save->cr4 & X86_CR4_PAE) &&
	       memory_valid(vcpu, save->cr3, PAGE_SIZE) &&
	       (save->cs.attrib & long_cs) != long_cs;
}

/* Whether the CPU is in long mode follows from the rest. */
static void settle_lma(struct vmcb_save_area *save)
{
	save->efer &= ~(u64)EFER_LMA;
	if ((save->efer & EFER_LME) && (save->cr0 & X86_CR0_PG))
		save->efer |= EFER_LMA;
}

/*
 * GIF.  While it is set, interrupts for an inner guest without a task priority of its own
 * follow its own flag, and otherwise the guest's.
 */
static void set_gif(struct slat_vcpu *vcpu, bool on)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	enum slat_gate gate = SLAT_GATE_FLAG;

	if (!on)
		gate = SLAT_GATE_ALL;
	else if (vcpu->inner && !svm->own_tpr)
		gate = svm->nested->outer.rflags & X86_EFLAGS_IF ? SLAT_GATE_OPEN :
								   SLAT_GATE_CLOSED;
	vcpu->events.gate = gate;
}

static void enter_control(struct slat_vcpu *vcpu, const struct vmcb_control_area *from)
{
	const u32 irq = from->int_ctl & V_IRQ_INJECTION_BITS_MASK;
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;

	set_inner_intercepts(svm, from->intercepts);
	svm->nested->iopm = from->iopm_base_pa & PAGE_MASK;
	svm->nested->msrpm = from->msrpm_base_pa & PAGE_MASK;

	/* Of the MSRs of which the guest wants to know, slat passes some. */
	svm_pass_msrs(svm, false);
	svm_set_irq_window(svm, false);
	svm_set_own_tpr(svm, !(from->int_ctl & V_INTR_MASKING_MASK));
	control->int_ctl = V_INTR_MASKING_MASK | irq |
			   (svm->own_tpr ? vcpu->cr8 : from->int_ctl & V_TPR_MASK);
	control->int_vector = from->int_vector;

	vcpu->inner_tsc = from->tsc_offset;
	control->tsc_offset += from->tsc_offset;

	svm->inner_event = from->event_inj & SVM_EVTINJ_VALID ? from->event_inj & EVENT_BITS : 0;
	svm->inner_error = from->event_inj_err;
	svm->windows = true;
	vcpu->events.shadow = from->int_state & SVM_INTERRUPT_SHADOW_MASK;
}

static void enter(struct slat_vcpu *vcpu, u64 gpa, u64 next_rip)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_nested *nested = svm->nested;
	struct vmcb_save_area *save = &nested->vmcb12.save;

	nested->gpa = gpa;
	nested->uncached = svm->uncached;
	save_state(vcpu, &nested->outer);
	nested->outer.rip = vcpu->mode.cs_l ? next_rip : (u32)next_rip;
	nested->outer.rflags &= ~X86_EFLAGS_RF;
	enter_control(vcpu, &nested->vmcb12.control);
	vcpu->inner = true;
	set_gif(vcpu, true);
	svm->iret_seen = false;
	settle_lma(save);
	load_regs(vcpu, save);
	/* What the guest asks for in CR0 counts. */
	load_system(vcpu, save, 0);
	vcpu->cr2 = save->cr2;
	svm_set_debug(vcpu, save->dr6 | DR6_RESERVED, save->dr7 | SLAT_DR7_FIXED);
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		vcpu->debug.stepped = true;
}

/* To the guest's memory, what a CPU writes there.  Return: as slat_gpa_write(). */
static int write_vmcb(struct slat_vcpu *vcpu, u64 gpa)
{
	struct vmcb *vmcb12 = &to_svm(vcpu)->nested->vmcb12;

	return slat_gpa_write(vcpu, gpa, vmcb12, sizeof(*vmcb12));
}

static int read_vmcb(struct slat_vcpu *vcpu, u64 gpa)
{
	struct vmcb *vmcb12 = &to_svm(vcpu)->nested->vmcb12;

	return slat_gpa_read(vcpu, gpa, vmcb12, sizeof(*vmcb12));
}

static void set_exit(struct vmcb_control_area *control, u64 code, u64 info_1, u64 info_2)
{
	control->exit_code = code;
	control->exit_code_hi = code >> 32;
	control->exit_info_1 = info_1;
	control->exit_info_2 = info_2;
}

/* VMRUN of a control block that is not valid: an exit at once. */
static int refuse(struct slat_vcpu *vcpu, u64 gpa, u64 next_rip)
{
	int ret;

	set_exit(&to_svm(vcpu)->nested->vmcb12.control, (s64)SVM_EXIT_ERR, 0, 0);
	ret = write_vmcb(vcpu, gpa);
	if (ret)
		return ret;
	set_gif(vcpu, false);
	slat_vcpu_skip(vcpu, next_rip);
	return 0;
}

static int do_vmrun(struct slat_vcpu *vcpu, u64 gpa, u64 next_rip)
{
	struct vmcb *vmcb12 = &to_svm(vcpu)->nested->vmcb12;
	int ret;

	if (!vcpu->msrs.vm_hsave)
		return -ENOENT;
	ret = read_vmcb(vcpu, gpa);
	if (ret)
		return ret;
	if (!control_valid(vcpu, &vmcb12->control) || !save_valid(vcpu, &vmcb12->save))
		return refuse(vcpu, gpa, next_rip);
	enter(vcpu, gpa, next_rip);
	return 0;
}

/* The other instructions */

static int do_vmload(struct slat_vcpu *vcpu, u64 gpa, u64 next_rip)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int ret = read_vmcb(vcpu, gpa);

	if (ret)
		return ret;
	copy_hidden(&svm->vmcb->save, &svm->nested->vmcb12.save);
	slat_vcpu_skip(vcpu, next_rip);
	return 0;
}

static int do_vmsave(struct slat_vcpu *vcpu, u64 gpa, u64 next_rip)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int ret = read_vmcb(vcpu, gpa);

	if (ret)
		return ret;
	copy_hidden(&svm->nested->vmcb12.save, &svm->vmcb->save);
	ret = write_vmcb(vcpu, gpa);
	if (!ret)
		slat_vcpu_skip(vcpu, next_rip);
	return ret;
}

/* Return: 0; -ENOENT: the control block is not where one can be; as slat_gpa_write(). */
static int with_vmcb(struct slat_vcpu *vcpu, u64 code, u64 next_rip)
{
	const u64 rax = vcpu->gpr[SLAT_RAX], gpa = vcpu->mode.cs_l ? rax : (u32)rax;

	if (!PAGE_ALIGNED(gpa) || !memory_valid(vcpu, gpa, PAGE_SIZE))
		return -ENOENT;
	switch (code) {
	case SVM_EXIT_VMRUN:
		return do_vmrun(vcpu, gpa, next_rip);
	case SVM_EXIT_VMLOAD:
		return do_vmload(vcpu, gpa, next_rip);
	default:
		return do_vmsave(vcpu, gpa, next_rip);
	}
}

int svm_virt(struct slat_vcpu *vcpu, u64 code, u64 next_rip)
{
	const struct slat_mode *mode = &vcpu->mode;
	int ret = 0;

	if (!(mode->efer & EFER_SVME) || !(mode->cr0 & X86_CR0_PE) ||
	    (vcpu->rflags & X86_EFLAGS_VM))
		return inject(vcpu, X86_TRAP_UD);
	if (mode->cpl)
		return inject(vcpu, X86_TRAP_GP);
	switch (code) {
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
		set_gif(vcpu, code == SVM_EXIT_STGI);
		slat_vcpu_skip(vcpu, next_rip);
		break;
	case SVM_EXIT_INVLPGA:
		to_svm(vcpu)->tag_cpu = -1;
		slat_vcpu_skip(vcpu, next_rip);
		break;
	default:
		ret = with_vmcb(vcpu, code, next_rip);
	}
	if (ret == -ENOENT)
		return inject(vcpu, X86_TRAP_GP);
	return ret ?: 1;
}

/* Leaving it */

/*
 * What waits to be raised in the inner guest is now the guest's to raise.  A CPU would
 * have raised it before the exit; this way nothing is lost, and nothing waits.
 */
static void take_event(struct slat_vcpu *vcpu, struct inner_exit *exit)
{
	const struct slat_exception *ex = &vcpu->events.exception;
	const struct svm_vcpu *svm = to_svm(vcpu);
	struct slat_event event = {};

	if (svm->inner_event) {
		exit->event = svm->inner_event;
		exit->error = svm->inner_error;
		return;
	}
	if (ex->pending)
		event = (struct slat_event) {
			.type = SLAT_EVENT_EXCEPTION, .vector = ex->vector,
			.has_error = ex->has_error, .error = ex->error,
		};
	else if (vcpu->events.nmi.taken)
		event = (struct slat_event) { .type = SLAT_EVENT_NMI, .vector = X86_TRAP_NMI };
	else if (vcpu->events.irq.taken)
		event = (struct slat_event) {
			.type = SLAT_EVENT_IRQ, .vector = vcpu->events.irq.vector,
		};
	exit->event = svm_encode_event(&event);
	exit->error = event.error;
}

static void drop_event(struct slat_vcpu *vcpu)
{
	vcpu->events.exception = (struct slat_exception) {};
	vcpu->events.nmi.taken = false;
	vcpu->events.irq.taken = false;
}

static void leave_control(struct slat_vcpu *vcpu, struct vmcb_control_area *to)
{
	const u32 written = V_TPR_MASK | V_IRQ_MASK;
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct inner_exit *exit = &svm->nested->exit;

	set_exit(to, exit->code, exit->info_1, exit->info_2);
	to->exit_int_info = exit->event;
	to->exit_int_info_err = exit->error;
	svm_set_irq_window(svm, false);
	to->int_ctl = (to->int_ctl & ~written) | (svm->vmcb->control.int_ctl & written);
	to->int_state = vcpu->events.shadow ? SVM_INTERRUPT_SHADOW_MASK : 0;
	to->event_inj &= ~SVM_EVTINJ_VALID;
}

static void leave_save(struct slat_vcpu *vcpu, struct vmcb_save_area *to)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	save_state(vcpu, to);
	to->cr2 = vcpu->cr2;
	to->dr6 = save->dr6;
	to->dr7 = save->dr7;
}

/*
 * The guest's own state is the vCPU's again, but for the general registers.  Those a VMM
 * that ends this has set, or is about to.
 */
static void restore(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;

	svm->iret_seen = false;
	set_inner_intercepts(svm, NULL);
	svm_pass_msrs(svm, true);
	svm_set_irq_window(svm, false);
	svm_set_own_tpr(svm, true);
	control->int_ctl = V_INTR_MASKING_MASK | vcpu->cr8;
	control->int_vector = 0;
	control->tsc_offset -= vcpu->inner_tsc;
	vcpu->inner_tsc = 0;
	vcpu->events.shadow = false;
	svm->inner_event = 0;
	svm->nested->leaving = false;
	load_system(vcpu, &svm->nested->outer, svm->nested->uncached);
	svm_set_debug(vcpu, svm->vmcb->save.dr6, SLAT_DR7_FIXED);
}

void svm_nested_end(struct slat_vcpu *vcpu)
{
	const bool inner = vcpu->inner;

	vcpu->inner = false;
	set_gif(vcpu, true);
	if (inner)
		restore(vcpu);
}

static int write_exit(struct slat_vcpu *vcpu)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;
	int ret = read_vmcb(vcpu, nested->gpa);

	if (ret)
		return ret;
	leave_control(vcpu, &nested->vmcb12.control);
	leave_save(vcpu, &nested->vmcb12.save);
	return write_vmcb(vcpu, nested->gpa);
}

/* #VMEXIT.  Return: 1, or an errno, and the next KVM_RUN tries again. */
static int try_leave(struct slat_vcpu *vcpu)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;
	const int ret = write_exit(vcpu);

	nested->leaving = ret && ret != -ENOENT;
	if (nested->leaving)
		return ret;
	svm_nested_end(vcpu);
	load_regs(vcpu, &nested->outer);
	drop_event(vcpu);
	if (ret) {
		/* The control block is gone: there is no way to go on. */
		slat_vcpu_shut_down(vcpu);
		return 1;
	}
	set_gif(vcpu, false);
	if (vcpu->rflags & X86_EFLAGS_TF)
		slat_hw->single_stepped(vcpu);
	return 1;
}

static int leave(struct slat_vcpu *vcpu, const struct inner_exit *exit)
{
	to_svm(vcpu)->nested->exit = *exit;
	return try_leave(vcpu);
}

/* An event that no entry has led to. */
static int leave_for(struct slat_vcpu *vcpu, u64 code)
{
	struct inner_exit exit = { .code = code };

	take_event(vcpu, &exit);
	return leave(vcpu, &exit);
}

static int leave_for_shutdown(struct slat_vcpu *vcpu)
{
	const struct inner_exit exit = { .code = SVM_EXIT_SHUTDOWN };

	return leave(vcpu, &exit);
}

static int leave_for_exception(struct slat_vcpu *vcpu)
{
	const struct slat_exception *ex = &vcpu->events.exception;
	const struct inner_exit exit = {
		.code = SVM_EXIT_EXCP_BASE + ex->vector,
		.info_1 = ex->has_error ? ex->error : 0,
		.info_2 = ex->vector == X86_TRAP_PF ? vcpu->cr2 : 0,
	};

	return leave(vcpu, &exit);
}

/* One that was raised outside of the guest: what it took itself, it took. */
static bool wants_exception(struct slat_vcpu *vcpu)
{
	const struct slat_exception *ex = &vcpu->events.exception;

	return ex->pending && !ex->taken && ex->vector != SLAT_TRIPLE_FAULT &&
	       wants(to_svm(vcpu), INTERCEPT_EXCEPTION_OFFSET + ex->vector);
}

int svm_inner_event(struct slat_vcpu *vcpu)
{
	const struct slat_events *events = &vcpu->events;
	const struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->nested->leaving)
		return try_leave(vcpu);
	if (slat_inject_is_triple(events))
		return wants(svm, INTERCEPT_SHUTDOWN) ? leave_for_shutdown(vcpu) : 1;
	if (wants_exception(vcpu))
		return leave_for_exception(vcpu);
	if (events->nmi.queued && wants(svm, INTERCEPT_NMI) && slat_inject_nmis_on(vcpu))
		return leave_for(vcpu, SVM_EXIT_NMI);
	if (events->irq.queued && wants(svm, INTERCEPT_INTR) && slat_inject_irqs_on(vcpu))
		return leave_for(vcpu, SVM_EXIT_INTR);
	return 1;
}

/* The guest's bitmaps.  Where they cannot be read, it wants all. */

static int wants_port(struct slat_vcpu *vcpu, u32 info)
{
	const unsigned int port = info >> 16;
	const unsigned int size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
	unsigned int i;

	for (i = port; i < port + size; i++) {
		u8 byte;
		int ret = slat_gpa_read(vcpu, to_svm(vcpu)->nested->iopm + i / 8, &byte, 1);

		if (ret && ret != -ENOENT)
			return ret;
		if (ret || (byte & 1 << i % 8))
			return 1;
	}
	return 0;
}

static int wants_msr(struct slat_vcpu *vcpu, bool write)
{
	const int bit = svm_msr_bit(vcpu->gpr[SLAT_RCX]);
	u8 byte;
	int ret;

	if (bit < 0)
		return 1;
	ret = slat_gpa_read(vcpu, to_svm(vcpu)->nested->msrpm + bit / 8, &byte, 1);
	if (ret && ret != -ENOENT)
		return ret;
	return ret || (byte & 1 << (bit % 8 + write));
}

bool svm_inner_wants(const struct svm_vcpu *svm, u64 code)
{
	switch (code) {
	case SVM_EXIT_ERR:
		return true;
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_FERR_FREEZE:
	case SVM_EXIT_EXCP_BASE + X86_TRAP_MC:
		return false;	/* the host's */
	case SVM_EXIT_VINTR:
		return !svm_intercepts(svm, INTERCEPT_VINTR);
	default:
		return code < 32 * MAX_INTERCEPT && wants(svm, code);
	}
}

int svm_inner_exit(struct slat_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	const struct inner_exit inner = {
		.code = svm_exit_code(control),
		.info_1 = control->exit_info_1,
		.info_2 = control->exit_info_2,
		.event = control->exit_int_info & SVM_EXITINTINFO_VALID ?
			 control->exit_int_info : 0,
		.error = control->exit_int_info_err,
	};
	int ret = 1;

	if (inner.code == SVM_EXIT_IOIO)
		ret = wants_port(vcpu, inner.info_1);
	else if (inner.code == SVM_EXIT_MSR)
		ret = wants_msr(vcpu, inner.info_1);
	if (ret < 0)
		return ret;
	if (ret)
		return leave(vcpu, &inner);
	svm_explain(vcpu);
	return slat_exit_handle(vcpu, &vcpu->exit);
}
