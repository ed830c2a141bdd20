/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runstate areas: guest memory in which slat tells where a vCPU's time goes.
 *
 * What a vCPU does, its own thread notes in @state whether or not there is an area.  With
 * one, the thread also adds the time up and writes a sample, under @lock.  It only tries to
 * take that: it may be in the scheduler.  Whoever holds it, to change the area, looks at
 * @state once more after letting go, and does it instead.
 *
 * The scheduler calls for a thread that is in KVM_RUN with an area.  Others pay for a load
 * and a branch that is not taken, in each KVM_RUN and at each entry.  The static key behind
 * the calls is on from the first area of a VM to the VM's end: no guest can have the host's
 * code patched again and again.
 */
#ifndef SLAT_RUNSTATE_H
#define SLAT_RUNSTATE_H

#include <linux/compiler.h>
#include <linux/preempt.h>
#include <linux/seqlock.h>

#include <uapi/linux/slat.h>

#include "locks.h"

struct slat_runstate_area;
struct slat_vcpu;
struct slat_vm;

/**
 * struct slat_runstate_vcpu - the runstate of a vCPU
 * @area:	where samples go; NULL: nowhere, and no time is counted.  Under @lock; without
 *		it one may look whether there is any
 * @watched:	@notifier is registered.  Written by the vCPU's thread, read by everybody
 * @state:	what the vCPU is doing, SLAT_RUNSTATE_*.  Likewise
 * @lock:	of @own and @area, to change them
 * @seq:	of @own and @area, to read them without @lock.  Raw: lockdep would have whoever
 *		writes under the run queue's lock wait for others, and they have @lock
 * @own:	the times, never with the update flag
 * @notifier:	for the scheduler to call
 */
struct slat_runstate_vcpu {
	struct slat_runstate_area *area;
	bool watched;
	u32 state;
	struct slat_raw_spinlock lock;
	seqcount_t seq;
	struct slat_runstate own;
	struct preempt_notifier notifier;
};

/** slat_runstate_init() - OFFLINE, without an area. */
void slat_runstate_init(struct slat_vcpu *vcpu);

/** slat_runstate_vm_destroy() - let go of all areas, while vm->mm is there. */
void slat_runstate_vm_destroy(struct slat_vm *vm);

/**
 * slat_runstate_set() - register a vCPU's area, or unregister it
 * @id:		of the vCPU
 * @gpa:	its address; 0: none
 *
 * Context: process, in the VM's mm; no locks but a vCPU's mutex.
 * Return: 0, or an errno of SLAT_SET_RUNSTATE; then all is as before.
 */
int slat_runstate_set(struct slat_vm *vm, u32 id, u64 gpa);

/**
 * slat_runstate_set_virtual() - the same by a virtual address
 * @vcpu:	its page tables count; it executes the hypercall
 *
 * Context and return as slat_runstate_set(); -ENOENT also when the tables do not allow
 * to write there.
 */
int slat_runstate_set_virtual(struct slat_vcpu *vcpu, u32 id, u64 gva);

/**
 * slat_runstate_get() - fill in what SLAT_GET_RUNSTATE tells
 * @get:	@vcpu is filled in
 *
 * Return: 0, or an errno of it.
 */
int slat_runstate_get(struct slat_vm *vm, struct slat_get_runstate *get);

/**
 * slat_runstate_change() - the vCPU does something else now
 * @state:	SLAT_RUNSTATE_*
 *
 * Context: the vCPU's thread; anywhere, also under the run queue's lock.
 */
void slat_runstate_change(struct slat_runstate_vcpu *rs, u32 state);

/** slat_runstate_halt() - HLT exits to the VMM; the next KVM_RUN ends it. */
void slat_runstate_halt(struct slat_vcpu *vcpu);

/** slat_runstate_watch() - have the scheduler call.  Context: the vCPU's thread. */
void slat_runstate_watch(struct slat_runstate_vcpu *rs);

/** slat_runstate_unwatch() - the reverse, by the same thread. */
void slat_runstate_unwatch(struct slat_runstate_vcpu *rs);

/** slat_runstate_is_news() - is there an area, and the scheduler does not call yet? */
static __always_inline bool slat_runstate_is_news(const struct slat_runstate_vcpu *rs)
{
	return unlikely(READ_ONCE(rs->area)) && !rs->watched;
}

/** slat_runstate_begin() - in KVM_RUN from here on; also to take news into account. */
static __always_inline void slat_runstate_begin(struct slat_runstate_vcpu *rs)
{
	if (slat_runstate_is_news(rs))
		slat_runstate_watch(rs);
}

/** slat_runstate_end() - KVM_RUN returns. */
static __always_inline void slat_runstate_end(struct slat_runstate_vcpu *rs)
{
	if (unlikely(rs->watched))
		slat_runstate_unwatch(rs);
}

#endif
