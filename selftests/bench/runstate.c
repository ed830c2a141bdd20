// SPDX-License-Identifier: GPL-2.0-only
/* Runstate areas: registering one, and keeping it up to date. */
#include "bench.h"

#include "run.h"
#include "runstate.h"

#define AREA_GPA	VM_DATA_GPA

/* n registrations, of another area each time. */
static uint64_t run_register(const struct figure *figure, uint64_t n)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	uint64_t start, end, i;

	*(uint64_t *)vm_ptr(vm, AREA_GPA) = 1;
	REQUIRE(!vm_try_set_runstate(vm, 0, AREA_GPA), "not registered");
	start = now_ns();
	for (i = 0; i < n; i++)
		vm_try_set_runstate(vm, 0, AREA_GPA + i % 64 * 8);
	end = now_ns();
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return end - start;
}

static void guest_halts(uint64_t unused)
{
	for (;;)
		guest_halt();
}

static uint64_t time_halts(uint64_t n, bool has_area)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	uint64_t start, end, i;

	if (has_area)
		REQUIRE(!vm_try_set_runstate(vm, 0, AREA_GPA), "not registered");
	guest_enter_c(vcpu, guest_halts, 0);
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	start = now_ns();
	for (i = 0; i < n; i++)
		try_ioctl(vcpu->fd, KVM_RUN, 0);
	end = now_ns();
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return end - start;
}

/* What n updates add to HLT, of which each brings two. */
static uint64_t run_update(const struct figure *figure, uint64_t n)
{
	watchdog_start(60);
	return time_halts(n / 2, true) - time_halts(n / 2, false);
}

const struct figure runstate_figures[] = {
	{ .name = "runstate-register", .run = run_register, .short_turns = 100,
	  .long_turns = 900, .slat_only = true },
	{ .name = "runstate-update", .run = run_update, .short_turns = 200,
	  .long_turns = 1800, .slat_only = true },
	{ },
};
