/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events for the guest: exceptions, interrupts, NMIs; which comes next, and what has
 * to wait for the guest to be ready.
 */
#ifndef SLAT_INJECT_H
#define SLAT_INJECT_H

#include <linux/types.h>

struct slat_vcpu;

/* Not a vector: what a fault during the delivery of #DF is. */
#define SLAT_TRIPLE_FAULT	0xff

/* A second NMI waits behind one that is being handled; a third is lost in it. */
#define SLAT_NMIS_MAX		2

/**
 * struct slat_exception - an exception to be injected next
 * @pending:	there is one
 * @taken:	the guest took it, but the delivery was cut short
 * @has_error:	@error is pushed
 * @deferred:	the VMM set it so: @payload is still to reach the register where the
 *		guest looks for it
 * @has_payload: there is one
 * @vector:	0..31, or SLAT_TRIPLE_FAULT
 * @error:	error code
 * @payload:	CR2 of a #PF, or new bits of DR6 for a #DB
 */
struct slat_exception {
	bool pending;
	bool taken;
	bool has_error;
	bool deferred;
	bool has_payload;
	u8 vector;
	u32 error;
	u64 payload;
};

/**
 * struct slat_irq - an interrupt
 * @queued:	the VMM asked for it; it waits for the guest's interrupt flag
 * @taken:	the guest took it, but the delivery was cut short: next, whatever the
 *		flag says.  Not together with @queued
 * @vector:	of either
 */
struct slat_irq {
	bool queued;
	bool taken;
	u8 vector;
};

/**
 * struct slat_nmi - NMIs
 * @queued:	how many the VMM asked for and the guest has not taken
 * @taken:	as in struct slat_irq
 * @masked:	from the delivery of one to the IRET that ends its handler
 */
struct slat_nmi {
	u8 queued;
	bool taken;
	bool masked;
};

/* What decides whether an interrupt gets through. */
enum slat_gate {
	SLAT_GATE_FLAG,		/* the interrupt flag and the shadow */
	SLAT_GATE_OPEN,		/* the flag of the inner guest's own hypervisor, which is on ... */
	SLAT_GATE_CLOSED,	/* ... or off */
	SLAT_GATE_ALL,		/* nothing does, nor an NMI: the guest exits when that is over */
};

/**
 * struct slat_events - all that is to be raised in a vCPU; vcpu->mutex held
 * @delivering:	the last exit cut the delivery of an event short
 * @shadow:	the last instruction holds off interrupts and NMIs
 * @gate:	for interrupts
 */
struct slat_events {
	struct slat_exception exception;
	struct slat_irq irq;
	struct slat_nmi nmi;
	bool delivering;
	bool shadow;
	enum slat_gate gate;
};

enum slat_event_type {
	SLAT_EVENT_NONE,
	SLAT_EVENT_EXCEPTION,
	SLAT_EVENT_IRQ,
	SLAT_EVENT_NMI,
};

/** struct slat_event - one event, on its way to or from the CPU */
struct slat_event {
	enum slat_event_type type;
	u8 vector;
	bool has_error;
	u32 error;
};

/**
 * slat_vcpu_inject() - raise an exception in the guest
 *
 * Turns into #DF or a shutdown where the CPU would, given what is pending.  For
 * a #PF, set vcpu->cr2 first.
 */
void slat_vcpu_inject(struct slat_vcpu *vcpu, u8 vector, bool has_error, u32 error);

/**
 * slat_inject_payload() - an exception of the VMM's is about to be raised
 *
 * Gives the guest the registers that tell of it.  Nothing to do for an exception
 * that slat_vcpu_inject() raised.
 */
void slat_inject_payload(struct slat_vcpu *vcpu);

/**
 * slat_inject_irq() - KVM_INTERRUPT
 * Return: 0; -EEXIST: one is waiting already.
 */
int slat_inject_irq(struct slat_vcpu *vcpu, u8 vector);

/**
 * slat_inject_set_irq() - the VMM sets an interrupt as one that the guest has taken
 *
 * One that waits for a guest that runs another, or held it off for that, is not for the
 * inner guest to take: put back as the VMM got it, it goes on waiting.
 */
void slat_inject_set_irq(struct slat_vcpu *vcpu, u8 vector);

/** slat_inject_nmi() - KVM_NMI */
void slat_inject_nmi(struct slat_vcpu *vcpu);

/** slat_inject_is_triple() - the guest has shut itself down */
static inline bool slat_inject_is_triple(const struct slat_events *events)
{
	return events->exception.pending && events->exception.vector == SLAT_TRIPLE_FAULT;
}

/** slat_inject_is_pending() - does anything wait that the next entry may raise? */
static inline bool slat_inject_is_pending(const struct slat_events *events)
{
	/* For each entry, so without jumps. */
	return events->exception.pending | events->irq.queued | events->irq.taken |
	       events->nmi.queued | events->nmi.taken;
}

/** slat_inject_irqs_on() - does the guest let interrupts in? */
bool slat_inject_irqs_on(const struct slat_vcpu *vcpu);

/** slat_inject_nmis_on() - and NMIs? */
bool slat_inject_nmis_on(const struct slat_vcpu *vcpu);

/** slat_inject_irq_ready() - would an interrupt, queued now, be taken at once? */
bool slat_inject_irq_ready(struct slat_vcpu *vcpu);

/**
 * slat_inject_publish() - tell the VMM in kvm_run
 *
 * VMMs look at if_flag, too, before they inject: it is of the flag that decides.
 */
void slat_inject_publish(struct slat_vcpu *vcpu);

/**
 * slat_inject_next() - take the event for this entry
 * @want_irq_window: out: the guest has to exit when it can take an interrupt
 * @want_nmi_window: out: likewise for an NMI
 *
 * What is taken comes back by slat_inject_again() if it does not get through.
 */
void slat_inject_next(struct slat_vcpu *vcpu, struct slat_event *event, bool *want_irq_window,
		      bool *want_nmi_window);

/** slat_inject_windows() - the same, but no event is taken */
void slat_inject_windows(struct slat_vcpu *vcpu, bool *want_irq_window, bool *want_nmi_window);

/** slat_inject_again() - the delivery of @event was cut short; the guest saw nothing */
void slat_inject_again(struct slat_vcpu *vcpu, const struct slat_event *event);

/** slat_inject_reset() - nothing is pending, as after a reset */
void slat_inject_reset(struct slat_vcpu *vcpu);

#endif
