// SPDX-License-Identifier: GPL-2.0-only
/* Running a vCPU under a watchdog, and reading its exits. */
#include "run.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest_lib.h"

/* --- how long things may take */

unsigned int time_scale(void)
{
	const char *text = getenv("SLAT_TIME_SCALE");
	int scale = text ? atoi(text) : 1;

	return scale > 0 ? scale : 1;
}

/* 0: not set. */
static unsigned int seconds_wanted(void)
{
	const char *text = getenv("SLAT_SECONDS");

	return text ? atoi(text) : 0;
}

double look_for(double seconds)
{
	return seconds_wanted() ? seconds_wanted() : seconds;
}

unsigned long look_often(unsigned long rounds)
{
	return seconds_wanted() ? ULONG_MAX : rounds;
}

unsigned int time_limit(unsigned int seconds)
{
	return seconds * time_scale() + seconds_wanted();
}

/* --- the watchdog */

static volatile sig_atomic_t watchdog_barks;
static pid_t watchdog_owner;
static struct vcpu *volatile watched;

/* The first bark gets KVM_RUN to return, the second gives up. */
static void watchdog_bark(int sig)
{
	static const char text[] = "# watchdog: the test hangs\n";

	if (watchdog_barks++) {
		if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
			_exit(1);
		abort();
	}
	if (watched)
		watched->run->immediate_exit = 1;
	alarm(3);
}

void watchdog_start(unsigned int seconds)
{
	struct sigaction action = { .sa_handler = watchdog_bark };

	watchdog_owner = getpid();
	watchdog_barks = 0;
	sigaction(SIGALRM, &action, NULL);
	alarm(time_limit(seconds));
}

static void watchdog_need(struct vcpu *vcpu)
{
	if (watchdog_owner != getpid())
		watchdog_start(WATCHDOG_SECONDS);
	watched = vcpu;
}

int vcpu_try_run(struct vcpu *vcpu)
{
	int ret;

	watchdog_need(vcpu);
	ret = try_ioctl(vcpu->fd, KVM_RUN, 0);
	if (watchdog_barks) {
		vcpu_dump(vcpu);
		REQUIRE(!watchdog_barks, "the guest does not come back");
	}
	return ret;
}

uint32_t vcpu_run(struct vcpu *vcpu)
{
	int ret;

	do {
		ret = vcpu_try_run(vcpu);
	} while (ret == -EINTR);
	if (ret)
		vcpu_dump(vcpu);
	REQUIRE(!ret, "KVM_RUN: %s", strerror(-ret));
	return vcpu->run->exit_reason;
}

static void vcpu_unexpected(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_dump(vcpu);
	vcpu_get_regs(vcpu, &regs);
	if (exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT_EXCEPTION, 1, 1) &&
	    vcpu->vm->ram && regs.rdi < VM_RAM_SIZE)
		guest_frame_print(vm_ptr(vcpu->vm, regs.rdi));
}

void vcpu_run_to(struct vcpu *vcpu, uint32_t exit_reason)
{
	if (vcpu_run(vcpu) == exit_reason)
		return;
	vcpu_unexpected(vcpu);
	REQUIRE(vcpu->run->exit_reason == exit_reason, "exit is %s, not %s",
		exit_name(vcpu->run->exit_reason), exit_name(exit_reason));
}

uint64_t vcpu_await(struct vcpu *vcpu, uint64_t tag)
{
	struct kvm_regs regs;
	bool is_report;

	vcpu_run_to(vcpu, KVM_EXIT_IO);
	is_report = exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT_REPORT, 1, 1);
	if (!is_report)
		vcpu_unexpected(vcpu);
	REQUIRE(is_report, "no report");
	vcpu_get_regs(vcpu, &regs);
	REQUIRE((uint32_t)regs.rdi == tag, "report %#lx, not %#lx",
		(uint64_t)regs.rdi, tag);
	return regs.rsi;
}

void vcpu_await_done(struct vcpu *vcpu)
{
	vcpu_await(vcpu, REPORT_DONE);
}

/* --- exits */

bool exit_is_io(struct vcpu *vcpu, int direction, uint16_t port,
		unsigned int size, unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	return run->exit_reason == KVM_EXIT_IO &&
	       run->io.direction == direction && run->io.port == port &&
	       run->io.size == size && run->io.count == count;
}

bool exit_is_mmio(struct vcpu *vcpu, bool write, uint64_t gpa,
		  unsigned int len)
{
	struct kvm_run *run = vcpu->run;

	return run->exit_reason == KVM_EXIT_MMIO &&
	       run->mmio.is_write == write && run->mmio.phys_addr == gpa &&
	       run->mmio.len == len;
}

void *exit_io_data(struct vcpu *vcpu)
{
	uint64_t offset = vcpu->run->io.data_offset;
	uint64_t size = (uint64_t)vcpu->run->io.size * vcpu->run->io.count;

	REQUIRE(offset + size <= vcpu->run_size, "I/O data at %#lx", offset);
	return (uint8_t *)vcpu->run + offset;
}

uint64_t exit_io_value(struct vcpu *vcpu)
{
	uint64_t value = 0;

	memcpy(&value, exit_io_data(vcpu), vcpu->run->io.size);
	return value;
}

void exit_io_reply(struct vcpu *vcpu, uint64_t value)
{
	memcpy(exit_io_data(vcpu), &value, vcpu->run->io.size);
}

uint64_t exit_mmio_value(struct vcpu *vcpu)
{
	uint64_t value = 0;

	memcpy(&value, vcpu->run->mmio.data, vcpu->run->mmio.len);
	return value;
}

void exit_mmio_reply(struct vcpu *vcpu, uint64_t value)
{
	memcpy(vcpu->run->mmio.data, &value, sizeof(value));
}

const char *exit_name(uint32_t reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",
		[KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",
		[KVM_EXIT_HYPERCALL] = "HYPERCALL",
		[KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	};

	if (reason >= sizeof(names) / sizeof(names[0]) || !names[reason])
		return "of another kind";
	return names[reason];
}

static void exit_print(struct kvm_run *run)
{
	fprintf(stderr, "# exit %u (%s)", run->exit_reason,
		exit_name(run->exit_reason));
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		fprintf(stderr, " %s port %#x size %u count %u",
			run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in",
			run->io.port, run->io.size, run->io.count);
		break;
	case KVM_EXIT_MMIO:
		fprintf(stderr, " %s gpa %#llx len %u",
			run->mmio.is_write ? "write" : "read",
			run->mmio.phys_addr, run->mmio.len);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, " suberror %u", run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, " reason %#llx",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	}
	fputc('\n', stderr);
}

void vcpu_dump(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return;
	exit_print(vcpu->run);
	fprintf(stderr, "# rip %#llx rsp %#llx rflags %#llx cs %#x base %#llx\n",
		regs.rip, regs.rsp, regs.rflags, sregs.cs.selector,
		sregs.cs.base);
	fprintf(stderr, "# rax %#llx rbx %#llx rcx %#llx rdx %#llx rsi %#llx rdi %#llx\n",
		regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi);
	fprintf(stderr, "# cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx efer %#llx\n",
		sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer);
}
