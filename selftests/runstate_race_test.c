// SPDX-License-Identifier: GPL-2.0-only
/*
 * R4, R5: areas that are read while they are written, and replaced while they are
 * written.
 */
#include <unistd.h>

#include "harness.h"
#include "runstate.h"

#define AREA_GPA	VM_DATA_GPA
/* Crossing a page, so that its parts are in different lines and frames. */
#define AREA_AT		(AREA_GPA + PAGE_SIZE - 24)
#define SECONDS		3

SLOW_TESTS(runstate);

/* --- a vCPU that changes its state all the time */

struct halter {
	struct vcpu *vcpu;
	pthread_t thread;
	bool stop;
	unsigned long halts;
};

static void guest_halts(uint64_t unused)
{
	for (;;)
		guest_halt();
}

static void *halter_work(void *arg)
{
	struct halter *halter = arg;

	while (!READ_ONCE(halter->stop)) {
		vcpu_run_to(halter->vcpu, KVM_EXIT_HLT);
		WRITE_ONCE(halter->halts, halter->halts + 1);
	}
	return NULL;
}

/* On a CPU of its own; all others from now on are on another. */
static void halter_start(struct halter *halter, struct vm *vm)
{
	*halter = (struct halter){ .vcpu = vcpu_create(vm, 0) };
	guest_enter_c(halter->vcpu, guest_halts, 0);
	pin(1);
	REQUIRE(!pthread_create(&halter->thread, NULL, halter_work, halter), "no thread");
	pin(0);
}

static void halter_stop(struct halter *halter)
{
	WRITE_ONCE(halter->stop, true);
	pthread_join(halter->thread, NULL);
	vcpu_destroy(halter->vcpu);
}

/* --- who reads it */

/* In each guest's copy, and in the VMM's. */
static struct reader {
	uint64_t begin;
	unsigned long samples, changes, torn;
	struct slat_runstate last;
} reader;

static void reader_take(struct reader *reader, const struct slat_runstate *area)
{
	const struct slat_runstate sample = runstate_read(area);

	if (!reader->begin)
		reader->begin = runstate_begin(&sample);
	if (runstate_begin(&sample) != reader->begin || sample.padding ||
	    sample.entry_time < reader->last.entry_time ||
	    (sample.state != SLAT_RUNSTATE_RUNNING && sample.state != SLAT_RUNSTATE_BLOCKED &&
	     sample.state != SLAT_RUNSTATE_RUNNABLE && sample.state != SLAT_RUNSTATE_OFFLINE))
		WRITE_ONCE(reader->torn, reader->torn + 1);
	if (sample.entry_time != reader->last.entry_time)
		WRITE_ONCE(reader->changes, reader->changes + 1);
	reader->last = sample;
	WRITE_ONCE(reader->samples, reader->samples + 1);
}

static void guest_reads(uint64_t unused)
{
	for (;;)
		reader_take(&reader, (void *)AREA_AT);
}

SLOW_TEST(runstate, R5_no_torn_sample)
{
	const double end = now() + look_for(SECONDS);
	struct halter halter;
	struct worker worker;
	struct vcpu *vcpu;
	struct vm *vm;

	if (slat_is_kvm())
		SKIP(return, "KVM has no runstate areas");
	watchdog_start(25 + SECONDS);
	vm = vm_create();
	vcpu = vcpu_create(vm, 1);
	guest_enter_c(vcpu, guest_reads, 0);
	halter_start(&halter, vm);
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, AREA_AT));
	worker_start(&worker, vcpu);
	while (now() < end || guest_var(vm, reader).changes < 100)
		reader_take(&reader, vm_ptr(vm, AREA_AT));
	EXPECT_TRUE(worker_stop(&worker));
	halter_stop(&halter);
	TH_LOG("%lu halts; the guest took %lu samples, %lu of them new, the VMM %lu, %lu",
	       halter.halts, guest_var(vm, reader).samples, guest_var(vm, reader).changes,
	       reader.samples, reader.changes);
	EXPECT_EQ(0, guest_var(vm, reader).torn);
	EXPECT_EQ(0, reader.torn);
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

/* --- who registers, all at the same time */

#define REGISTRARS	3

struct registrar {
	struct vm *vm;
	pthread_t thread;
	uint64_t gpa;
	bool stop;
	unsigned long calls;
	int error;
};

/* An area of its own each, which the others replace; and none at all, now and then. */
static void *registrar_work(void *arg)
{
	struct registrar *registrar = arg;
	struct slat_get_runstate get;
	int ret;

	while (!registrar->error && !READ_ONCE(registrar->stop)) {
		ret = vm_try_set_runstate(registrar->vm, 0,
					  registrar->calls % 5 ? registrar->gpa : 0);
		if (ret)
			registrar->error = ret;
		ret = vm_try_get_runstate(registrar->vm, 0, &get);
		if (ret && ret != -ENOENT)
			registrar->error = ret;
		if (!ret && runstate_sum((const uint64_t *)get.time) > get.now)
			registrar->error = 1;
		WRITE_ONCE(registrar->calls, registrar->calls + 1);
	}
	return NULL;
}

/* Has each of them done something, on a machine however slow? */
static bool all_worked(const struct halter *halter, const struct registrar *registrars)
{
	unsigned int i;

	for (i = 0; i < REGISTRARS; i++)
		if (READ_ONCE(registrars[i].calls) < 20 && !READ_ONCE(registrars[i].error))
			return false;
	return READ_ONCE(halter->halts) >= 100;
}

SLOW_TEST(runstate, R4_replaced_while_it_is_written)
{
	struct registrar registrars[REGISTRARS];
	const double end = now() + look_for(SECONDS);
	struct slat_get_runstate get;
	struct slat_runstate *area;
	struct halter halter;
	unsigned int i;
	struct vm *vm;
	long pins;

	if (slat_is_kvm())
		SKIP(return, "KVM has no runstate areas");
	watchdog_start(25 + SECONDS);
	pins = pinned_pages();
	vm = vm_create();
	area = vm_ptr(vm, AREA_AT);
	halter_start(&halter, vm);
	for (i = 0; i < REGISTRARS; i++) {
		registrars[i] = (struct registrar){
			.vm = vm, .gpa = AREA_AT + (1 + i) * PAGE_SIZE,
		};
		pthread_create(&registrars[i].thread, NULL, registrar_work, &registrars[i]);
	}
	while (now() < end || !all_worked(&halter, registrars))
		usleep(1000);
	for (i = 0; i < REGISTRARS; i++) {
		WRITE_ONCE(registrars[i].stop, true);
		pthread_join(registrars[i].thread, NULL);
		EXPECT_EQ(0, registrars[i].error);
	}
	/* The last one wins, and is right. */
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, AREA_AT));
	halter_stop(&halter);
	EXPECT_EQ(SLAT_RUNSTATE_BLOCKED, area->state);
	EXPECT_EQ(0, area->padding);
	get = vm_get_runstate(vm, 0);
	EXPECT_EQ(get.now - runstate_sum(get.time), runstate_begin(area));
	vm_destroy(vm);
	EXPECT_EQ(pins, pinned_pages_await(pins));
}

SLAT_HARNESS_MAIN
