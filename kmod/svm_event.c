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

static u32 encode_event(const struct slat_event *event)
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

void svm_redeliver(struct slat_vcpu *vcpu, const struct vmcb_control_area *control)
{
	struct slat_event event;

	decode_event(control, &event);
	slat_inject_again(vcpu, &event);
}

/* A virtual interrupt that exits where it would be taken, of the highest priority. */
static void set_irq_window(struct svm_vcpu *svm, bool on)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	svm_intercept(svm->vmcb, INTERCEPT_VINTR, on);
	control->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	if (on)
		control->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	control->int_vector = 0;
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

	svm_intercept(svm->vmcb, INTERCEPT_IRET, in_handler);
	svm->stepping = on && !in_handler && !svm->vmcb->control.event_inj;
	svm->guest_tf = vcpu->rflags & X86_EFLAGS_TF;
	if (svm->stepping)
		svm->vmcb->save.rflags |= X86_EFLAGS_TF;
}

void svm_inject(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	bool want_irq_window, want_nmi_window;
	struct slat_event event;

	slat_inject_next(vcpu, &event, &want_irq_window, &want_nmi_window);
	control->event_inj = encode_event(&event);
	control->event_inj_err = event.error;
	set_irq_window(svm, want_irq_window);
	set_nmi_window(vcpu, svm, want_nmi_window);
	svm->windows = want_irq_window || want_nmi_window || vcpu->events.nmi.masked;
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
