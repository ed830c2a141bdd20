// SPDX-License-Identifier: GPL-2.0-only
/* Ways out of the guest and in again. */
#include "bench.h"

#include "run.h"

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

/* In a new VM, with the guest's end. */
static uint64_t run(const struct figure *figure, uint64_t n)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	const int fd = vcpu->fd;
	volatile uint32_t *reason = &vcpu->run->exit_reason;
	uint64_t start, end, i;

	guest_enter_c(vcpu, figure->guest, n);

	watchdog_start(60);
	start = now_ns();
	for (i = 0; figure->exit_reason && i < n; i++) {
		if (try_ioctl(fd, KVM_RUN, 0) || *reason != figure->exit_reason)
			break;
	}
	end = now_ns();
	/* What leaves the guest in no other way does now: one exit, in each run alike. */
	vcpu_await_done(vcpu);
	if (!figure->exit_reason)
		end = now_ns();
	else
		REQUIRE(i == n, "%s: exit %s", figure->name, exit_name(*reason));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return end - start;
}

#define EXITS(figure_name, function, reason)				\
	{ .name = figure_name, .run = run, .short_turns = 100, .long_turns = 900, \
	  .guest = function, .exit_reason = reason }

const struct figure exit_figures[] = {
	EXITS("out", guest_out, KVM_EXIT_IO),
	EXITS("cpuid", guest_cpuid, 0),
	EXITS("vmmcall", guest_vmmcall, 0),
	EXITS("mmio-read", guest_mmio_read, KVM_EXIT_MMIO),
	EXITS("mmio-write", guest_mmio_write, KVM_EXIT_MMIO),
	{ },
};
