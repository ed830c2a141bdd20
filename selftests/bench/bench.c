// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench DEVICE [FIGURE [COUNT]]: what the ways out of a guest cost on /dev/kvm or
 * /dev/slat, in ns. In the deterministic machine (scripts/bench.sh) a ns is an
 * instruction, the emulated VMRUN counting as one.
 *
 * Prints "NAME NS" for each figure. Each is the difference of a long and a short run,
 * so that what a run costs once does not count, and the least of several: the
 * timer tick hits some. The guest's own few instructions do count.
 *
 * With a FIGURE, runs that alone, COUNT times in a row: for a profiler.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "guest.h"

#define SHORT	100
#define LONG	900	/* pages: as many as VM_DATA_GPA has room for */
#define TRIES	5
#define PORT	0x80

static void guest_out(uint64_t n)
{
	while (n--)
		asm volatile("out %%al, %0" : : "N"(PORT), "a"(0));
}

static void guest_mmio_read(uint64_t n)
{
	while (n--)
		*(volatile uint32_t *)VM_MMIO_GPA;
}

static void guest_mmio_write(uint64_t n)
{
	while (n--)
		*(volatile uint32_t *)VM_MMIO_GPA = n;
}

static void guest_cpuid(uint64_t n)
{
	while (n--) {
		uint32_t eax = 0, ecx = 0;

		asm volatile("cpuid" : "+a"(eax), "+c"(ecx) : : "ebx", "edx");
	}
}

static void guest_vmmcall(uint64_t n)
{
	while (n--) {
		/* No hypercall that anybody knows. */
		uint64_t rax = 0x736c6174;

		asm volatile("vmmcall" : "+a"(rax) : : "memory");
	}
}

static void guest_touch(uint64_t n)
{
	volatile uint8_t *page = (uint8_t *)VM_DATA_GPA;

	for (; n--; page += PAGE_SIZE)
		*page = 1;
}

static const struct figure {
	const char *name;
	void (*guest)(uint64_t n);
	uint32_t exit_reason;	/* of each turn, or 0: none leaves KVM_RUN */
} figures[] = {
	{ "out", guest_out, KVM_EXIT_IO },
	{ "cpuid", guest_cpuid, 0 },
	{ "vmmcall", guest_vmmcall, 0 },
	{ "first-touch", guest_touch, 0 },
	{ "mmio-read", guest_mmio_read, KVM_EXIT_MMIO },
	{ "mmio-write", guest_mmio_write, KVM_EXIT_MMIO },
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ul + t.tv_nsec;
}

/* The ns that n turns take in a new VM, with the guest's end. */
static uint64_t run(const struct figure *figure, uint64_t n)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	const int fd = vcpu->fd;
	volatile uint32_t *reason = &vcpu->run->exit_reason;
	uint64_t start, end, i;

	/* The memory is there, in small pages. */
	madvise(vm->ram, VM_RAM_SIZE, MADV_NOHUGEPAGE);
	memset(vm_ptr(vm, VM_DATA_GPA), 1, VM_IMAGE_GPA - VM_DATA_GPA);
	guest_enter_c(vcpu, figure->guest, n);

	watchdog_start(60);
	start = now();
	for (i = 0; figure->exit_reason && i < n; i++) {
		if (try_ioctl(fd, KVM_RUN, 0) || *reason != figure->exit_reason)
			break;
	}
	end = now();
	/* What leaves the guest in no other way does now: one exit, in each run alike. */
	vcpu_await_done(vcpu);
	if (!figure->exit_reason)
		end = now();
	else
		REQUIRE(i == n, "%s: exit %s", figure->name, exit_name(*reason));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return end - start;
}

static uint64_t least(const struct figure *figure, uint64_t n)
{
	uint64_t best = -1ul;
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		const uint64_t ns = run(figure, n);

		if (ns < best)
			best = ns;
	}
	return best;
}

int main(int argc, char **argv)
{
	const struct figure *figure;

	if (argc < 2) {
		fprintf(stderr, "usage: bench DEVICE [FIGURE [COUNT]]\n");
		return 2;
	}
	setenv("SLAT_DEV", argv[1], 1);
	for (figure = figures; figure < figures + sizeof(figures) / sizeof(*figures); figure++) {
		if (argc == 2)
			printf("%s %lu\n", figure->name,
			       (least(figure, LONG) - least(figure, SHORT)) / (LONG - SHORT));
		else if (!strcmp(figure->name, argv[2]))
			run(figure, argc > 3 ? strtoul(argv[3], NULL, 0) : LONG);
	}
	return 0;
}
