// SPDX-License-Identifier: GPL-2.0-only
/* SVM: raising events in the guest, and waiting until it can take them. */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/debugreg.h>
#include <asm/traps.h>

#include "svm.h"

static const u32 event_types[] = {
	[SLAT_EVENT_EXCEPTION] = SVM_EVTINJ_TYPE_EXEPT,
	[SLAT_EVENT_IRQ] = SVM_EVTINJ_TYPE_INTR,
	[SLAT_EVENT_NMI] = SVM_EVTINJ_TYPE_NMI,
};

u32 svm_encode_event(const struct slat_event *event)
{
	if (event->type == SLAT_EVENT_NONE)
		return 0;
	return SVM_EVTINJ_VALID | event_types[event->type] | event->vector |
	       (event->has_error ? SVM_EVTINJ_VALID_ERR : 0);
}

/*
 * An exit in the middle of a delivery.  INT n has no event of its own: rip is still at
 * the instruction, which the guest executes again.
 */
static void decode_event(const struct vmcb_control_area *control, struct slat_event *event)
{
	const u32 info = control->exit_int_info;
	unsigned int type;

	*event = (struct slat_event) {
		.vector = info & SVM_EXITINTINFO_VEC_MASK,
		.has_error = info & SVM_EXITINTINFO_VALID_ERR,
		.error = control->exit_int_info_err,
	};
	for (type = SLAT_EVENT_EXCEPTION; type <= SLAT_EVENT_NMI; type++)
		if ((info & SVM_EXITINTINFO_TYPE_MASK) == event_types[type])
			event->type = type;
}

/*
 * In an inner guest: raised by the guest's VMRUN, or its virtual interrupt, of which slat
 * knows nothing?  Then it is kept for the next entry, or for the guest.
 */
static bool keep_inner_event(struct svm_vcpu *svm, const struct vmcb_control_area *control)
{
	u32 info = control->exit_int_info, type = info & SVM_EXITINTINFO_TYPE_MASK;

	/* So QEMU's CPU calls a virtual interrupt that ends in a nested fault. */
	if (type == SVM_EXITINTINFO_TYPE_EXEPT && (info & SVM_EXITINTINFO_VEC_MASK) > 31) {
		type = SVM_EXITINTINFO_TYPE_INTR;
		info = (info & ~SVM_EXITINTINFO_TYPE_MASK) | type;
	}
	if (info != svm->inner_raised &&
	    (type != SVM_EXITINTINFO_TYPE_INTR || info == svm->outer_raised))
		return false;
	svm->inner_event = info;
	svm->inner_error = control->exit_int_info_err;
	svm->windows = true;
	return true;
}

void svm_redeliver(struct slat_vcpu *vcpu, const struct vmcb_control_area *control)
{
	struct slat_event event;

	if (vcpu->inner && keep_inner_event(to_svm(vcpu), control))
		return;
	decode_event(control, &event);
	slat_inject_again(vcpu, &event);
}

/*
 * A virtual interrupt that exits where it would be taken, of the highest priority.  One
 * that the guest has set up for its inner guest waits meanwhile.
 */
void svm_set_irq_window(struct svm_vcpu *svm, bool on)
{
	const u32 window = V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	struct vmcb_control_area *control = &svm->vmcb->control;

	if (on == svm_intercepts(svm, INTERCEPT_VINTR))
		return;
	svm_intercept(svm, INTERCEPT_VINTR, on);
	if (on) {
		svm->inner_irq = control->int_ctl & V_IRQ_INJECTION_BITS_MASK;
		svm->inner_irq_vector = control->int_vector;
	}
	control->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	control->int_ctl |= on ? window : svm->inner_irq;
	control->int_vector = on ? 0 : svm->inner_irq_vector;
}

/*
 * The end of an NMI's handler shows by an exit before its IRET.  What else holds an NMI
 * off (that IRET itself, a shadow) is over after one instruction, so the guest is traced
 * over that one.  Not into the handler of another event, whose frame would keep the trace
 * flag: then the NMI waits for the next exit.
 */
static void set_nmi_window(struct slat_vcpu *vcpu, struct svm_vcpu *svm, bool on)
{
	const bool in_handler = vcpu->events.nmi.masked && !svm->iret_seen;

	svm_intercept(svm, INTERCEPT_IRET, in_handler);
	svm->stepping = on && !in_handler && !svm->vmcb->control.event_inj;
	svm->guest_tf = vcpu->rflags & X86_EFLAGS_TF;
	if (svm->stepping)
		svm->vmcb->save.rflags |= X86_EFLAGS_TF;
}

/* What the guest's VMRUN raises in the inner guest comes before all else there. */
static bool inject_inner(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	svm->inner_raised = svm->inner_event;
	svm->outer_raised = 0;
	if (!svm->inner_event)
		return false;
	control->event_inj = svm->inner_event;
	control->event_inj_err = svm->inner_error;
	/* A guest whose CPU does not tell the next rip moves rip on before INT n. */
	control->next_rip = vcpu->rip;
	svm->inner_event = 0;
	return true;
}

void svm_inject(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	bool want_irq_window, want_nmi_window;
	struct slat_event event;

	if (inject_inner(vcpu, svm)) {
		slat_inject_windows(vcpu, &want_irq_window, &want_nmi_window);
	} else {
		slat_inject_next(vcpu, &event, &want_irq_window, &want_nmi_window);
		control->event_inj = svm_encode_event(&event);
		control->event_inj_err = event.error;
		if (vcpu->inner)
			svm->outer_raised = control->event_inj;
	}
	svm_set_irq_window(svm, want_irq_window);
	set_nmi_window(vcpu, svm, want_nmi_window);
	svm->windows = want_irq_window || want_nmi_window || vcpu->events.nmi.masked ||
		       svm->inner_raised || svm->outer_raised;
}

void svm_check_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	if (vcpu->rip == svm->iret_rip)
		return;
	svm->iret_seen = false;
	vcpu->events.nmi.masked = false;
}

void svm_exit_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	svm->iret_seen = true;
	svm->iret_rip = vcpu->rip;
}

/* Whatever the exit, tracing is decided anew at the next entry. */
bool svm_end_stepping(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	svm->stepping = false;
	if (svm->guest_tf)
		return false;
	vcpu->rflags &= ~X86_EFLAGS_TF;
	if (svm->vmcb->control.exit_code != SVM_EXIT_EXCP_BASE + X86_TRAP_DB ||
	    !(save->dr6 & DR_STEP))
		return false;
	save->dr6 &= ~(u64)DR_STEP;
	return !(save->dr6 & DR_TRAP_BITS);
}
