/* SPDX-License-Identifier: GPL-2.0-only */
/* Runstate areas: registering them, and reading them as a guest does. */
#ifndef SLAT_TEST_RUNSTATE_H
#define SLAT_TEST_RUNSTATE_H

#include "worker.h"

/* From the VMM: 0 or -errno. */
int vm_try_set_runstate(struct vm *vm, uint32_t vcpu, uint64_t gpa);
int vm_try_get_runstate(struct vm *vm, uint32_t vcpu,
			struct slat_get_runstate *get);
/* The same, that must work. */
struct slat_get_runstate vm_get_runstate(struct vm *vm, uint32_t vcpu);
/* ns so far in a state. */
uint64_t vm_time_in(struct vm *vm, uint32_t vcpu, unsigned int state);
/* KVM_ENABLE_CAP of SLAT_CAP_RUNSTATE: 0 or -errno. */
int vm_try_runstate_calls(struct vm *vm, uint64_t on);

/* From the guest: SLAT_HC_SET_RUNSTATE, with its result. */
static inline int64_t guest_set_runstate(uint64_t vcpu, uint64_t address,
					 uint64_t flags)
{
	return guest_hypercall(SLAT_HC_SET_RUNSTATE, vcpu, address, flags);
}

/* By the protocol. Guests use it, too. */
static inline struct slat_runstate runstate_read(const struct slat_runstate *area)
{
	const volatile struct slat_runstate *from = area;
	struct slat_runstate to;

	do {
		to.entry_time = from->entry_time;
		asm volatile("" : : : "memory");
		to.state = from->state;
		to.padding = from->padding;
		for (int i = 0; i < 4; i++)
			to.time[i] = from->time[i];
		asm volatile("" : : : "memory");
	} while (to.entry_time & SLAT_RUNSTATE_UPDATE ||
		 to.entry_time != from->entry_time);
	return to;
}

static inline uint64_t runstate_sum(const uint64_t time[4])
{
	return time[0] + time[1] + time[2] + time[3];
}

/*
 * When the times began, which is the same in every sample: a mix of two of them
 * hardly ever agrees.
 */
static inline uint64_t runstate_begin(const struct slat_runstate *sample)
{
	return sample->entry_time - runstate_sum((const uint64_t *)sample->time);
}

/* --- somebody who wants the vCPU's CPU, too */

#define MS	1000000ul

struct hog {
	pthread_t thread;
	bool stop;
};

/* On the CPU that the caller's thread is on. */
void hog_start(struct hog *hog);
void hog_stop(struct hog *hog);
/* The worker and a hog on CPU 1, the caller's thread on CPU 0 from now on. */
void worker_start_beside(struct hog *hog, struct worker *worker,
			 struct vcpu *vcpu);
/* Wait until vCPU 0 has spent so many ns more in a state; false: it does not. */
bool vm_await_time(struct worker *worker, unsigned int state, uint64_t ns);

/* --- pins */

/* pinned_pages(), when it has come down to that number, or some time has passed. */
long pinned_pages_await(long want);

#endif
