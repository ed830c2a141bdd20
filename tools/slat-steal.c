// SPDX-License-Identifier: GPL-2.0-only
/*
 * slat-steal: a guest that finds out how much of its time the host gives to others.
 *
 * It registers a runstate area, samples it, and prints through a serial port what became
 * of each 200 ms. Meanwhile another thread wants the same CPU.
 *
 * Exit status: 0 if the guest saw both, time that it had and time that it had not.
 */
#include <stdio.h>

#include "runstate.h"

#define PORT_SERIAL	0x3f8
#define AREA_GPA	VM_DATA_GPA
#define PERIODS		6

/* --- what runs in the guest */

static void guest_print(const char *text)
{
	while (*text)
		outb(PORT_SERIAL, *text++);
}

static void guest_print_ms(uint64_t ns)
{
	char digits[21];
	char *at = digits + sizeof(digits) - 1;
	uint64_t ms = ns / MS;

	*at = 0;
	do {
		*--at = '0' + ms % 10;
		ms /= 10;
	} while (ms);
	guest_print(at);
	guest_print(" ms");
}

/* A sample that is 200 ms younger, or a little more. */
static struct slat_runstate guest_next(const struct slat_runstate *last)
{
	struct slat_runstate sample;

	do
		sample = runstate_read((void *)AREA_GPA);
	while (sample.entry_time - last->entry_time < 200 * MS);
	return sample;
}

static void guest_print_difference(const struct slat_runstate *last,
				   const struct slat_runstate *sample)
{
	guest_print("of ");
	guest_print_ms(sample->entry_time - last->entry_time);
	guest_print(" it ran ");
	guest_print_ms(sample->time[SLAT_RUNSTATE_RUNNING] -
		       last->time[SLAT_RUNSTATE_RUNNING]);
	guest_print(", stolen were ");
	guest_print_ms(sample->time[SLAT_RUNSTATE_RUNNABLE] -
		       last->time[SLAT_RUNSTATE_RUNNABLE]);
	guest_print("\n");
}

static void guest_main(uint64_t unused)
{
	struct slat_runstate last, sample;
	int i;

	if (guest_set_runstate(0, AREA_GPA, 0)) {
		guest_print("no runstate area\n");
		guest_halt();
	}
	last = runstate_read((void *)AREA_GPA);
	for (i = 0; i < PERIODS; i++) {
		sample = guest_next(&last);
		guest_print_difference(&last, &sample);
		last = sample;
	}
	guest_halt();
}

/* --- what runs it, and what gets in its way */

static void serve(struct vcpu *vcpu)
{
	bool is_start = true;
	char byte;

	while (vcpu_run(vcpu) != KVM_EXIT_HLT) {
		REQUIRE(exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT_SERIAL, 1, 1), "another exit");
		byte = exit_io_value(vcpu);
		if (is_start)
			printf("  guest: ");
		putchar(byte);
		is_start = byte == '\n';
	}
}

int main(void)
{
	struct slat_get_runstate get;
	struct vcpu *vcpu;
	struct hog hog;
	struct vm *vm;

	printf("A guest with somebody else on its CPU:\n");
	vm = vm_create();
	vcpu = vcpu_create(vm, 0);
	REQUIRE(!vm_try_runstate_calls(vm, 1), "no runstate areas");
	guest_enter_c(vcpu, guest_main, 0);
	pin(0);
	hog_start(&hog);
	serve(vcpu);
	hog_stop(&hog);
	get = vm_get_runstate(vm, 0);
	printf("The VMM reads the same: %llu ms run, %llu ms stolen, and now it is %s.\n",
	       get.time[SLAT_RUNSTATE_RUNNING] / MS, get.time[SLAT_RUNSTATE_RUNNABLE] / MS,
	       get.state == SLAT_RUNSTATE_BLOCKED ? "halted" : "not halted");
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return get.time[SLAT_RUNSTATE_RUNNING] && get.time[SLAT_RUNSTATE_RUNNABLE] ? 0 : 1;
}
