// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: raising events in the guest, and waiting until it can take them. */
#include <asm/processor-flags.h>

#include "vmx.h"

#define SHADOWS		(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

static const u32 event_types[] = {
	[SLAT_EVENT_EXCEPTION] = INTR_TYPE_HARD_EXCEPTION,
	[SLAT_EVENT_IRQ] = INTR_TYPE_EXT_INTR,
	[SLAT_EVENT_NMI] = INTR_TYPE_NMI_INTR,
};

/*
 * INT n, INT3 and INTO have no event of their own: rip is still at the instruction,
 * which the guest executes again.
 */
void vmx_take_back(struct slat_vcpu *vcpu, u32 info, u32 error)
{
	struct slat_event event = {
		.vector = info & VECTORING_INFO_VECTOR_MASK,
		.has_error = info & VECTORING_INFO_DELIVER_CODE_MASK,
		.error = error,
	};
	unsigned int type;

	for (type = SLAT_EVENT_EXCEPTION; type <= SLAT_EVENT_NMI; type++)
		if ((info & VECTORING_INFO_TYPE_MASK) == event_types[type])
			event.type = type;
	slat_inject_again(vcpu, &event);
}

static void raise(const struct slat_event *event)
{
	if (event->type == SLAT_EVENT_NONE)
		return;
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | event_types[event->type] |
		  event->vector | (event->has_error ? INTR_INFO_DELIVER_CODE_MASK : 0));
	vmx_write(VM_ENTRY_EXCEPTION_ERROR_CODE, event->error);
}

/* The CPU refuses to enter with a shadow and an interrupt or NMI, or masked and an NMI. */
static u32 interruptibility(const struct slat_vcpu *vcpu, const struct vmx_vcpu *vmx,
			    enum slat_event_type type)
{
	const struct slat_events *events = &vcpu->events;
	u32 state = 0;

	if (events->nmi.masked && type != SLAT_EVENT_NMI)
		state |= GUEST_INTR_STATE_NMI;
	if (!events->shadow || type == SLAT_EVENT_IRQ || type == SLAT_EVENT_NMI)
		return state;
	/* The same as it was; STI's takes the interrupt flag. */
	if ((vmx->in_vmcs.interruptibility & GUEST_INTR_STATE_STI) &&
	    (vcpu->rflags & X86_EFLAGS_IF))
		return state | GUEST_INTR_STATE_STI;
	return state | GUEST_INTR_STATE_MOV_SS;
}

void vmx_inject(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	bool want_irq_window, want_nmi_window;
	struct slat_event event;

	slat_inject_next(vcpu, &event, &want_irq_window, &want_nmi_window);
	if (event.type == SLAT_EVENT_IRQ && !(vcpu->rflags & X86_EFLAGS_IF)) {
		/* A VMM that moves a vCPU may say so; the CPU insists on the flag. */
		slat_inject_again(vcpu, &event);
		event.type = SLAT_EVENT_NONE;
		want_irq_window = true;
	}
	raise(&event);
	vmx_update(GUEST_INTERRUPTIBILITY_INFO, &vmx->in_vmcs.interruptibility,
		   interruptibility(vcpu, vmx, event.type));
	vmx->controls &= ~VMX_WINDOWS;
	if (want_irq_window)
		vmx->controls |= CPU_BASED_INTR_WINDOW_EXITING;
	if (want_nmi_window)
		vmx->controls |= CPU_BASED_NMI_WINDOW_EXITING;
}

void vmx_note_blocking(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	const u32 state = vmx_read(GUEST_INTERRUPTIBILITY_INFO);

	vmx->in_vmcs.interruptibility = state;
	vcpu->events.shadow = state & SHADOWS;
	vcpu->events.nmi.masked = state & GUEST_INTR_STATE_NMI;
}
