// SPDX-License-Identifier: GPL-2.0-only
/* Which event the guest gets next. */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "hw.h"
#include "inject.h"
#include "vcpu.h"

/* Exceptions that turn into #DF when they meet while one is being delivered. */
static bool is_contributory(u8 vector)
{
	return vector == X86_TRAP_DE || (vector >= X86_TRAP_TS && vector <= X86_TRAP_GP);
}

static bool doubles(u8 first, u8 second)
{
	if (first == X86_TRAP_PF)
		return second == X86_TRAP_PF || is_contributory(second);
	return is_contributory(first) && is_contributory(second);
}

void slat_vcpu_inject(struct slat_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	struct slat_exception *ex = &vcpu->events.exception;

	if (ex->pending && ex->vector == X86_TRAP_DF) {
		/* The third one: the run loop turns it into a shutdown. */
		ex->vector = SLAT_TRIPLE_FAULT;
		return;
	}
	if (ex->pending && doubles(ex->vector, vector)) {
		vector = X86_TRAP_DF;
		has_error = true;
		error = 0;
	}
	*ex = (struct slat_exception) {
		.pending = true, .vector = vector, .error = error,
		/* Real mode pushes none. */
		.has_error = has_error && slat_vcpu_is_protected(vcpu),
	};
}

void slat_inject_payload(struct slat_vcpu *vcpu)
{
	struct slat_exception *ex = &vcpu->events.exception;

	if (ex->has_payload && ex->vector == X86_TRAP_PF)
		vcpu->cr2 = ex->payload;
	else if (ex->has_payload && ex->vector == X86_TRAP_DB)
		slat_debug_payload(vcpu, ex->payload);
	ex->deferred = false;
	ex->has_payload = false;
	ex->payload = 0;
}

int slat_inject_irq(struct slat_vcpu *vcpu, u8 vector)
{
	struct slat_irq *irq = &vcpu->events.irq;

	if (irq->queued || irq->taken)
		return -EEXIST;
	irq->queued = true;
	irq->vector = vector;
	return 0;
}

void slat_inject_set_irq(struct slat_vcpu *vcpu, u8 vector)
{
	struct slat_irq *irq = &vcpu->events.irq;
	const bool waits = irq->queued && irq->vector == vector &&
			   (vcpu->inner || vcpu->events.gate != SLAT_GATE_FLAG);

	if (!waits)
		*irq = (struct slat_irq) { .taken = true, .vector = vector };
}

void slat_inject_nmi(struct slat_vcpu *vcpu)
{
	struct slat_nmi *nmi = &vcpu->events.nmi;

	nmi->queued = min(nmi->queued + 1, SLAT_NMIS_MAX - (nmi->masked || nmi->taken));
}

static inline bool irqs_on(const struct slat_vcpu *vcpu)
{
	const struct slat_events *events = &vcpu->events;

	if (events->gate != SLAT_GATE_FLAG)
		return events->gate == SLAT_GATE_OPEN;
	return (vcpu->rflags & X86_EFLAGS_IF) && !events->shadow;
}

bool slat_inject_irqs_on(const struct slat_vcpu *vcpu)
{
	return irqs_on(vcpu);
}

static inline bool has_room(const struct slat_events *events)
{
	return !events->exception.pending && !events->nmi.taken &&
	       !events->irq.queued && !events->irq.taken;
}

bool slat_inject_irq_ready(struct slat_vcpu *vcpu)
{
	return irqs_on(vcpu) && has_room(&vcpu->events);
}

void slat_inject_publish(struct slat_vcpu *vcpu)
{
	const struct slat_events *events = &vcpu->events;
	struct kvm_run *run = vcpu->run;
	const bool flag = vcpu->rflags & X86_EFLAGS_IF;

	run->if_flag = flag;
	run->ready_for_interrupt_injection = flag && !events->shadow && has_room(events);
	if (events->gate == SLAT_GATE_FLAG)
		return;
	if (events->gate != SLAT_GATE_ALL)
		run->if_flag = events->gate == SLAT_GATE_OPEN;
	run->ready_for_interrupt_injection = slat_inject_irq_ready(vcpu);
}

bool slat_inject_nmis_on(const struct slat_vcpu *vcpu)
{
	const struct slat_events *events = &vcpu->events;

	return events->gate != SLAT_GATE_ALL && !events->nmi.masked && !events->shadow;
}

/* In the order in which a CPU takes them; what was taken before comes first. */
static void pick(struct slat_vcpu *vcpu, struct slat_event *event)
{
	struct slat_events *events = &vcpu->events;
	struct slat_exception *ex = &events->exception;

	*event = (struct slat_event) {};
	if (ex->pending) {
		event->type = SLAT_EVENT_EXCEPTION;
		event->vector = ex->vector;
		event->has_error = ex->has_error;
		event->error = ex->error;
		ex->pending = false;
	} else if (events->nmi.taken ||
		   (events->nmi.queued && !events->irq.taken && slat_inject_nmis_on(vcpu))) {
		event->type = SLAT_EVENT_NMI;
		event->vector = X86_TRAP_NMI;
		if (!events->nmi.taken)
			events->nmi.queued--;
		events->nmi.taken = false;
		events->nmi.masked = true;
	} else if (events->irq.taken || (events->irq.queued && irqs_on(vcpu))) {
		event->type = SLAT_EVENT_IRQ;
		event->vector = events->irq.vector;
		events->irq.taken = false;
		events->irq.queued = false;
	}
}

/*
 * Through an open gate, what another event went before comes with the next exit, which the
 * host's tick brings at the latest.
 */
void slat_inject_windows(struct slat_vcpu *vcpu, bool *want_irq_window, bool *want_nmi_window)
{
	const struct slat_events *events = &vcpu->events;

	*want_irq_window = (events->irq.queued || events->irq.taken ||
			    READ_ONCE(vcpu->run->request_interrupt_window)) &&
			   events->gate == SLAT_GATE_FLAG;
	*want_nmi_window = events->nmi.queued && events->gate != SLAT_GATE_ALL;
}

void slat_inject_next(struct slat_vcpu *vcpu, struct slat_event *event, bool *want_irq_window,
		      bool *want_nmi_window)
{
	pick(vcpu, event);
	slat_inject_windows(vcpu, want_irq_window, want_nmi_window);
}

static void exception_again(struct slat_vcpu *vcpu, const struct slat_event *event)
{
	/* These come from an instruction, which the guest executes again. */
	if (event->vector == X86_TRAP_BP || event->vector == X86_TRAP_OF)
		return;
	vcpu->events.exception = (struct slat_exception) {
		.pending = true, .taken = true, .vector = event->vector,
		.has_error = event->has_error, .error = event->error,
	};
}

void slat_inject_again(struct slat_vcpu *vcpu, const struct slat_event *event)
{
	struct slat_events *events = &vcpu->events;

	switch (event->type) {
	case SLAT_EVENT_EXCEPTION:
		exception_again(vcpu, event);
		break;
	case SLAT_EVENT_IRQ:
		events->irq = (struct slat_irq) { .taken = true, .vector = event->vector };
		break;
	case SLAT_EVENT_NMI:
		events->nmi.taken = true;
		break;
	case SLAT_EVENT_NONE:
		break;
	}
}

void slat_inject_reset(struct slat_vcpu *vcpu)
{
	vcpu->events = (struct slat_events) {};
}
