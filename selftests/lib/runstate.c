// SPDX-License-Identifier: GPL-2.0-only
/* Runstate areas: registering them, and counting pins. */
#include "runstate.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

int vm_try_set_runstate(struct vm *vm, uint32_t vcpu, uint64_t gpa)
{
	struct slat_set_runstate set = {
		.size = sizeof(set), .vcpu = vcpu, .gpa = gpa,
	};

	return try_ioctl_ptr(vm->fd, SLAT_SET_RUNSTATE, &set);
}

int vm_try_get_runstate(struct vm *vm, uint32_t vcpu,
			struct slat_get_runstate *get)
{
	*get = (struct slat_get_runstate){ .size = sizeof(*get), .vcpu = vcpu };
	return try_ioctl_ptr(vm->fd, SLAT_GET_RUNSTATE, get);
}

struct slat_get_runstate vm_get_runstate(struct vm *vm, uint32_t vcpu)
{
	struct slat_get_runstate get;
	int ret = vm_try_get_runstate(vm, vcpu, &get);

	REQUIRE(!ret, "SLAT_GET_RUNSTATE: %d", ret);
	return get;
}

uint64_t vm_time_in(struct vm *vm, uint32_t vcpu, unsigned int state)
{
	return vm_get_runstate(vm, vcpu).time[state];
}

int vm_try_runstate_calls(struct vm *vm, uint64_t on)
{
	struct kvm_enable_cap cap = { .cap = SLAT_CAP_RUNSTATE, .args[0] = on };

	return try_ioctl_ptr(vm->fd, KVM_ENABLE_CAP, &cap);
}

/* --- somebody who wants the vCPU's CPU, too */

static void *hog_work(void *arg)
{
	struct hog *hog = arg;

	while (!READ_ONCE(hog->stop))
		__builtin_ia32_pause();
	return NULL;
}

void hog_start(struct hog *hog)
{
	hog->stop = false;
	REQUIRE(!pthread_create(&hog->thread, NULL, hog_work, hog), "no thread");
}

void hog_stop(struct hog *hog)
{
	WRITE_ONCE(hog->stop, true);
	pthread_join(hog->thread, NULL);
}

void worker_start_beside(struct hog *hog, struct worker *worker,
			 struct vcpu *vcpu)
{
	pin(1);
	worker_start(worker, vcpu);
	hog_start(hog);
	pin(0);
}

bool vm_await_time(struct worker *worker, unsigned int state, uint64_t ns)
{
	struct vm *vm = worker->vcpu->vm;
	const uint64_t first = vm_time_in(vm, 0, state);
	const double end = now() + 10 * time_scale();

	while (vm_time_in(vm, 0, state) - first < ns) {
		if (READ_ONCE(worker->ended) || now() > end)
			return false;
		usleep(1000);
	}
	return true;
}

/* --- pins */

long pinned_pages_await(long want)
{
	double end = now() + 8 * time_scale();
	long pins;

	while ((pins = pinned_pages()) != want && now() < end)
		sched_yield();
	return pins;
}
