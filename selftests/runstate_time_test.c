// SPDX-License-Identifier: GPL-2.0-only
/*
 * R6: what a runstate area says of a vCPU is what happened: run, kept from running,
 * halted, never run; and the times add up.
 */
#include <unistd.h>

#include "harness.h"
#include "runstate.h"

#define AREA_GPA	VM_DATA_GPA

static struct slat_runstate *area(struct vm *vm)
{
	return vm_ptr(vm, AREA_GPA);
}

FIXTURE(time)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_SETUP(time)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has no runstate areas");
	watchdog_start(25);
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	ASSERT_EQ(0, vm_try_runstate_calls(self->vm, 1));
}

FIXTURE_TEARDOWN(time)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* Let this much pass on the vCPU's own clock. */
static void pass(struct vm *vm, uint64_t ns)
{
	const uint64_t end = vm_get_runstate(vm, 0).now + ns;

	while (vm_get_runstate(vm, 0).now < end)
		usleep(1000);
}

/* --- states that follow what the VMM does */

static void guest_halts_and_reports(uint64_t unused)
{
	for (;;) {
		guest_halt();
		guest_report(1, 0);
	}
}

/* Only this state may have become longer; by the time that passed, and at least that. */
#define EXPECT_SPENT(before, in, ns)					\
	do {								\
		const struct slat_get_runstate after = vm_get_runstate(self->vm, 0); \
		unsigned int s;						\
									\
		EXPECT_EQ(in, after.state);				\
		EXPECT_LE(ns, after.time[in] - before.time[in]);	\
		for (s = 0; s < 4; s++) {				\
			EXPECT_EQ(s == (in) ? after.now - before.now : 0, \
				  after.time[s] - before.time[s]);	\
		}							\
	} while (0)

#define EXPECT_SPENDS(in)						\
	do {								\
		const struct slat_get_runstate before = vm_get_runstate(self->vm, 0); \
									\
		pass(self->vm, 20 * MS);				\
		EXPECT_EQ(in, area(self->vm)->state);			\
		EXPECT_SPENT(before, in, 20 * MS);			\
	} while (0)

TEST_F(time, R6_follows_the_vmm)
{
	guest_enter_c(self->vcpu, guest_halts_and_reports, 0);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_SPENDS(SLAT_RUNSTATE_OFFLINE);
	vcpu_run_to(self->vcpu, KVM_EXIT_HLT);
	EXPECT_SPENDS(SLAT_RUNSTATE_BLOCKED);
	/* In user space on behalf of the vCPU. */
	vcpu_await(self->vcpu, 1);
	EXPECT_SPENDS(SLAT_RUNSTATE_RUNNING);
	vcpu_run_to(self->vcpu, KVM_EXIT_HLT);
	EXPECT_SPENDS(SLAT_RUNSTATE_BLOCKED);
	/* A KVM_RUN that only wakes it. */
	self->vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_try_run(self->vcpu));
	self->vcpu->run->immediate_exit = 0;
	EXPECT_SPENDS(SLAT_RUNSTATE_RUNNING);
}

/* What it does at that moment, also without an area before. */
TEST_F(time, R4_R6_begins_with_what_it_does)
{
	guest_enter_c(self->vcpu, guest_halts_and_reports, 0);
	vcpu_run_to(self->vcpu, KVM_EXIT_HLT);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_SPENDS(SLAT_RUNSTATE_BLOCKED);
	EXPECT_EQ(0, vm_time_in(self->vm, 0, SLAT_RUNSTATE_OFFLINE));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, 0));
	vcpu_await(self->vcpu, 1);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_SPENDS(SLAT_RUNSTATE_RUNNING);
	EXPECT_EQ(0, vm_time_in(self->vm, 0, SLAT_RUNSTATE_BLOCKED));
}

/* --- while it runs on a thread of its own, among others */

TEST_F(time, R6_shows_who_keeps_it_from_running)
{
	struct worker worker;
	struct hog hog;

	guest_enter_c(self->vcpu, guest_watch, 0);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	worker_start_beside(&hog, &worker, self->vcpu);
	/* It gets its share, and knows what it does not get. */
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 100 * MS));
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNING, 50 * MS));
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 50 * MS));
	hog_stop(&hog);
	EXPECT_TRUE(worker_stop(&worker));
	EXPECT_EQ(0, vm_time_in(self->vm, 0, SLAT_RUNSTATE_BLOCKED));
	EXPECT_EQ(SLAT_RUNSTATE_RUNNING, vm_get_runstate(self->vm, 0).state);
}

/* A thread that is in KVM_RUN already does not have to come back for it. */
TEST_F(time, R1_R6_registered_while_it_runs)
{
	struct worker worker;
	struct hog hog;

	guest_enter_c(self->vcpu, guest_watch, 0);
	worker_start_beside(&hog, &worker, self->vcpu);
	ASSERT_TRUE(watch_round(&worker));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_NE(SLAT_RUNSTATE_OFFLINE, area(self->vm)->state);
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 50 * MS));
	/* And none, and again one, all without leaving KVM_RUN. */
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, 0));
	ASSERT_TRUE(watch_round(&worker));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 50 * MS));
	hog_stop(&hog);
	EXPECT_TRUE(worker_stop(&worker));
}

/* In KVM_RUN, but not for want of a CPU; and from an area on that it did not begin with. */
TEST_F(time, R6_waiting_for_host_memory_is_stolen)
{
	struct watch *watch = &guest_var(self->vm, guest_watch_state);
	void *mem = mem_alloc(PAGE_SIZE), *page = mem_alloc(PAGE_SIZE);
	const int uffd = uffd_open(mem, PAGE_SIZE);
	struct worker worker;

	vm_make_play_tables(self->vm);
	vm_slot(self->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, PAGE_SIZE, mem);
	guest_enter_c(self->vcpu, guest_watch, 0);
	worker_start(&worker, self->vcpu);
	ASSERT_TRUE(watch_round(&worker));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	WRITE_ONCE(watch->address, VM_PLAY_GPA);
	__atomic_store_n(&watch->op, WATCH_READ, __ATOMIC_RELEASE);
	/* Not the time that it waits for a CPU before it gets there. */
	uffd_await(uffd);
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 50 * MS));
	EXPECT_EQ(SLAT_RUNSTATE_RUNNABLE, vm_get_runstate(self->vm, 0).state);
	uffd_fill(uffd, mem, page);
	EXPECT_TRUE(watch_round(&worker));
	EXPECT_TRUE(worker_stop(&worker));
	close(uffd);
}

/* --- what the guest sees of it */

static struct slat_runstate guest_last;
static unsigned long guest_samples, guest_bad;

/* Registers, then checks that time goes on as it should. */
static void guest_samples_itself(uint64_t unused)
{
	struct slat_runstate sample;
	uint64_t begin;

	guest_report(1, guest_set_runstate(0, AREA_GPA, 0));
	guest_last = runstate_read((void *)AREA_GPA);
	begin = runstate_begin(&guest_last);
	for (;;) {
		sample = runstate_read((void *)AREA_GPA);
		if (sample.state != SLAT_RUNSTATE_RUNNING || sample.padding ||
		    runstate_begin(&sample) != begin ||
		    sample.entry_time < guest_last.entry_time)
			WRITE_ONCE(guest_bad, guest_bad + 1);
		guest_last = sample;
		WRITE_ONCE(guest_samples, guest_samples + 1);
	}
}

TEST_F(time, R6_a_guest_knows_its_steal_time)
{
	struct worker worker;
	struct hog hog;

	guest_enter_c(self->vcpu, guest_samples_itself, 0);
	ASSERT_EQ(0, vcpu_await(self->vcpu, 1));
	worker_start_beside(&hog, &worker, self->vcpu);
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 100 * MS));
	EXPECT_TRUE(worker_wait(&worker, &guest_var(self->vm, guest_samples), 10));
	hog_stop(&hog);
	EXPECT_TRUE(worker_stop(&worker));
	EXPECT_EQ(0, guest_var(self->vm, guest_bad));
	EXPECT_LT(90 * MS, guest_var(self->vm, guest_last).time[SLAT_RUNSTATE_RUNNABLE]);
}

/* The same clock for all vCPUs, which began with the VM. */
TEST_F(time, R6_one_clock)
{
	struct vcpu *other = vcpu_create(self->vm, 1);
	uint64_t last = 0, i;

	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 1, AREA_GPA + 256));
	for (i = 0; i < 100; i++) {
		const uint64_t time = vm_get_runstate(self->vm, i & 1).now;

		EXPECT_LE(last, time);
		last = time;
	}
	EXPECT_LT(last, 60 * 1000 * MS * time_scale());
	vcpu_destroy(other);
}

SLAT_HARNESS_MAIN
