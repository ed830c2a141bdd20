// SPDX-License-Identifier: GPL-2.0-only
/*
 * B7: every ioctl races with every other one, with good and bad arguments. Those that put
 * a vCPU into any state are left to a VM of the format that is not the CPU's: its guest
 * does not run, which no emulated CPU would survive for long.
 */
#include <linux/slat.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "racer.h"

#define SECONDS	4
#define RACERS	4

SLOW_TESTS(race);

/* --- memory */

/* In a slot, between slots, nowhere; aligned or not. */
static uint64_t any_gpa(struct racer *racer)
{
	uint64_t gpa = VM_PLAY_GPA + dice(racer, 2 * ARENA_SIZE);

	if (dice(racer, 4))
		gpa &= -PAGE_SIZE;
	return dice(racer, 20) ? gpa : dice(racer, ~0ull);
}

static uint64_t any_length(struct racer *racer)
{
	uint64_t length = dice(racer, 8 * PAGE_SIZE);

	return dice(racer, 4) ? length & -PAGE_SIZE : length;
}

static void call_copy(struct racer *racer)
{
	static __thread uint8_t data[8 * PAGE_SIZE];
	struct slat_memory memory = {
		.size = sizeof(memory), .flags = !dice(racer, 20), .gpa = any_gpa(racer),
		.length = any_length(racer), .data = (uintptr_t)any_pointer(racer, data),
	};
	const bool write = dice(racer, 2);

	ioctl(racer->arena->vm_fd, write ? SLAT_WRITE_MEMORY : SLAT_READ_MEMORY,
	      any_pointer(racer, &memory));
}

static void call_window(struct racer *racer)
{
	struct slat_window window = {
		.size = sizeof(window), .flags = dice(racer, 3), .gpa = any_gpa(racer),
		.length = any_length(racer),
	};
	int fd = ioctl(racer->arena->vm_fd, SLAT_CREATE_WINDOW, any_pointer(racer, &window));
	uint8_t *at;

	if (fd < 0)
		return;
	at = mmap(NULL, window.length, PROT_READ | (dice(racer, 2) ? PROT_WRITE : 0), MAP_SHARED,
		  fd, dice(racer, 2) * PAGE_SIZE);
	close(fd);
	if (at == MAP_FAILED)
		return;
	(void)*(volatile uint8_t *)at;
	munmap(at, window.length);
}

static void call_runstate(struct racer *racer)
{
	struct slat_set_runstate set = {
		.size = sizeof(set), .vcpu = !dice(racer, 10),
		.gpa = dice(racer, 4) ? any_gpa(racer) & -8ull : 0,
	};
	struct slat_get_runstate get = { .size = sizeof(get), .vcpu = !dice(racer, 10) };

	ioctl(racer->arena->vm_fd, SLAT_SET_RUNSTATE, any_pointer(racer, &set));
	ioctl(racer->arena->vm_fd, SLAT_GET_RUNSTATE, any_pointer(racer, &get));
}

static void call_leaf(struct racer *racer)
{
	struct slat_leaf_info leaf = { .size = sizeof(leaf), .gpa = any_gpa(racer) };

	ioctl(racer->arena->vm_fd, SLAT_GET_LEAF, any_pointer(racer, &leaf));
}

static void call_types(struct racer *racer)
{
	struct slat_attribute attribute = {
		.size = sizeof(attribute), .attribute = dice(racer, 3), .value = dice(racer, 2),
	};
	struct slat_memtype_range range = {
		.size = sizeof(range), .gpa = any_gpa(racer), .length = any_length(racer),
		.type = dice(racer, 9),
	};

	if (dice(racer, 2))
		ioctl(racer->arena->vm_fd, SLAT_SET_ATTRIBUTE, any_pointer(racer, &attribute));
	else
		ioctl(racer->arena->vm_fd, SLAT_PIN_MEMTYPE, any_pointer(racer, &range));
}

static void call_prefault(struct racer *racer)
{
	struct kvm_pre_fault_memory range = {
		.gpa = any_gpa(racer), .size = any_length(racer), .flags = !dice(racer, 20),
	};
	struct kvm_translation translation = { .linear_address = any_gpa(racer) };

	ioctl(racer->arena->vcpu_fd, KVM_PRE_FAULT_MEMORY, any_pointer(racer, &range));
	ioctl(racer->arena->vcpu_fd, KVM_TRANSLATE, any_pointer(racer, &translation));
}

static void call_dirty(struct racer *racer)
{
	static __thread uint64_t bitmap[ARENA_SIZE / PAGE_SIZE / 8];
	struct kvm_dirty_log log = {
		.slot = dice(racer, 6), .dirty_bitmap = any_pointer(racer, bitmap),
	};
	struct kvm_clear_dirty_log clear = {
		.slot = dice(racer, 6), .num_pages = dice(racer, 2 * ARENA_SIZE / PAGE_SIZE),
		.first_page = dice(racer, 8) ? 0 : dice(racer, ~0ull),
		.dirty_bitmap = any_pointer(racer, bitmap),
	};

	if (dice(racer, 2))
		clear.num_pages = ARENA_SIZE / PAGE_SIZE;
	ioctl(racer->arena->vm_fd, KVM_GET_DIRTY_LOG, any_pointer(racer, &log));
	ioctl(racer->arena->vm_fd, KVM_CLEAR_DIRTY_LOG, any_pointer(racer, &clear));
}

/* --- events, and what the VM is like */

static void call_event(struct racer *racer)
{
	struct kvm_interrupt interrupt = { .irq = dice(racer, 300) };

	if (dice(racer, 2))
		ioctl(racer->arena->vcpu_fd, KVM_INTERRUPT, any_pointer(racer, &interrupt));
	else
		ioctl(racer->arena->vcpu_fd, KVM_NMI, 0);
}

static void call_eventfd(struct racer *racer)
{
	const int fd = eventfd(0, EFD_NONBLOCK);
	struct kvm_ioeventfd event = {
		.addr = any_gpa(racer), .len = 1 << dice(racer, 5), .datamatch = dice(racer, 3),
		.fd = dice(racer, 10) ? fd : racer->arena->vm_fd,
		.flags = dice(racer, 16),
	};

	ioctl(racer->arena->vm_fd, KVM_IOEVENTFD, any_pointer(racer, &event));
	event.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	ioctl(racer->arena->vm_fd, KVM_IOEVENTFD, &event);
	close(fd);
}

static void call_filter(struct racer *racer)
{
	static uint8_t bits[PAGE_SIZE];
	struct kvm_msr_filter filter = {
		.flags = dice(racer, 3),
		.ranges[0] = {
			.flags = dice(racer, 5), .base = dice(racer, 2) ? 0xc0000080 : 0x10,
			.nmsrs = dice(racer, 2000), .bitmap = any_pointer(racer, bits),
		},
	};

	ioctl(racer->arena->vm_fd, KVM_X86_SET_MSR_FILTER, any_pointer(racer, &filter));
}

static void call_cap(struct racer *racer)
{
	static const uint32_t caps[] = {
		KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_MAX_VCPU_ID, KVM_CAP_X86_TRIPLE_FAULT_EVENT,
		KVM_CAP_DISABLE_QUIRKS, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_EXIT_HYPERCALL,
		KVM_CAP_MSR_PLATFORM_INFO, KVM_CAP_EXCEPTION_PAYLOAD, SLAT_CAP_RUNSTATE,
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 9999,
	};
	struct kvm_enable_cap cap = {
		.cap = caps[dice(racer, ARRAY_SIZE(caps))], .args[0] = dice(racer, 40),
	};

	ioctl(dice(racer, 4) ? racer->arena->vm_fd : racer->arena->vcpu_fd, KVM_ENABLE_CAP,
	      any_pointer(racer, &cap));
}

/* --- the vCPU */

static void call_run(struct racer *racer)
{
	struct kvm_run *run = racer->arena->play.vcpu->run;

	WRITE_ONCE(run->immediate_exit, !dice(racer, 3));
	run->request_interrupt_window = dice(racer, 2);
	run->cr8 = dice(racer, 20);
	ioctl(racer->arena->vcpu_fd, KVM_RUN, 0);
}

static const struct {
	unsigned long request;
	bool counts;		/* begins with the number of what follows */
} states[] = {
	{ KVM_GET_REGS }, { KVM_SET_REGS }, { KVM_GET_SREGS }, { KVM_SET_SREGS },
	{ KVM_GET_SREGS2 }, { KVM_SET_SREGS2 }, { KVM_GET_FPU }, { KVM_SET_FPU },
	{ KVM_GET_XSAVE }, { KVM_SET_XSAVE }, { KVM_GET_XCRS }, { KVM_SET_XCRS },
	{ KVM_GET_DEBUGREGS }, { KVM_SET_DEBUGREGS }, { KVM_GET_VCPU_EVENTS },
	{ KVM_SET_VCPU_EVENTS }, { KVM_GET_MP_STATE }, { KVM_SET_MP_STATE },
	{ KVM_GET_MSRS, true }, { KVM_SET_MSRS, true }, { KVM_GET_CPUID2, true },
	{ KVM_SET_CPUID2, true }, { KVM_SET_GUEST_DEBUG }, { KVM_SET_SIGNAL_MASK, true },
	{ KVM_GET_TSC_KHZ }, { KVM_SET_TSC_KHZ }, { KVM_X86_SETUP_MCE }, { KVM_X86_SET_MCE },
};

/* What was read, changed here and there, goes back, or to another one. */
static void call_state(struct racer *racer)
{
	static __thread uint64_t buffer[2 * PAGE_SIZE / 8];
	const unsigned int i = dice(racer, ARRAY_SIZE(states));
	unsigned int k;

	if (states[i].counts)
		buffer[0] = dice(racer, 20);
	for (k = dice(racer, 4); k; k--)
		buffer[dice(racer, 512)] ^= 1ull << dice(racer, 64);
	ioctl(racer->arena->vcpu_fd, states[i].request, any_pointer(racer, buffer));
}

/* The shared page is whatever the VMM makes of it. */
static void call_run_page(struct racer *racer)
{
	struct vcpu *vcpu = racer->arena->play.vcpu;
	uint64_t *word = (uint64_t *)vcpu->run;
	unsigned int k;

	for (k = 0; k < 10; k++)
		word[dice(racer, 2 * PAGE_SIZE / 8)] ^= 1ull << dice(racer, 64);
	ioctl(racer->arena->vcpu_fd, KVM_RUN, 0);
}

/* The last few leave no guest that could run. */
static void (*const calls[])(struct racer *racer) = {
	race_slot, call_copy, call_window, call_runstate, call_leaf, call_types, call_prefault,
	call_dirty, call_event, call_eventfd, call_filter, call_cap, call_run,
	call_state, call_state, call_state, call_run_page,
};

#define TAME_CALLS	13

/* --- the race */

static unsigned int nr_calls;

static void *race(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(racer->arena->stop)) {
		calls[dice(racer, nr_calls)](racer);
		WRITE_ONCE(racer->done, racer->done + 1);
	}
	return NULL;
}

static void race_calls(struct arena *arena, unsigned int nr)
{
	struct racer racers[RACERS];

	nr_calls = nr;
	run_racers(arena, racers, RACERS, race, look_for(SECONDS));
	arena_destroy(arena);
}

SLOW_TEST(race, B7_while_the_guest_runs)
{
	struct arena arena;

	arena_create(&arena);
	race_calls(&arena, TAME_CALLS);
}

SLOW_TEST(race, B7_any_state)
{
	struct arena arena;

	if (slat_is_kvm())
		SKIP(return, "KVM has no such VM");
	arena_create_idle(&arena);
	race_calls(&arena, ARRAY_SIZE(calls));
}

SLAT_HARNESS_MAIN
