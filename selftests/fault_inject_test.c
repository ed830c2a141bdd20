// SPDX-License-Identifier: GPL-2.0-only
/*
 * B7, R4, V9: whatever allocation or user copy of a call fails, the call gives an
 * errno that says so, changes nothing, and can be repeated. Each is made to
 * fail in turn: the first, the second, ... until the call gets through without.
 * Needs a kernel with fault injection; the machine's search for leaks at the
 * end is part of the test.
 */
#include <fcntl.h>
#include <linux/slat.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "harness.h"
#include "runstate.h"
#include "worker.h"

#define DEBUGFS	"/sys/kernel/debug/"
#define SIZE	(4 * PAGE_SIZE)
#define GPA	VM_PLAY_GPA
#define NTH_MAX	400

static int fail_nth_fd;

static bool injection_setup(void)
{
	static const char *const kinds[] = { "failslab/", "fail_page_alloc/" };
	char path[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		/* Those that may wait as well, which all of slat's are. */
		snprintf(path, sizeof(path), DEBUGFS "%signore-gfp-wait", kinds[i]);
		if (file_write(path, "N"))
			return false;
		snprintf(path, sizeof(path), DEBUGFS "%sverbose", kinds[i]);
		file_write(path, "0");
	}
	file_write(DEBUGFS "fail_page_alloc/min-order", "0");
	file_write(DEBUGFS "fail_usercopy/verbose", "0");
	fail_nth_fd = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	return fail_nth_fd >= 0;
}

/* Fail the nth from now on; 0: none any more. */
static void arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	/* The copy of this very text may be the one that fails. */
	while (pwrite(fail_nth_fd, text, len, 0) != len)
		REQUIRE(errno == EFAULT || errno == ENOMEM, "fail-nth: %s",
			strerror(errno));
}

/* Did it happen? */
static bool disarm(void)
{
	char text[16] = "";
	int tries;

	for (tries = 0; tries < 2; tries++)
		if (pread(fail_nth_fd, text, sizeof(text) - 1, 0) > 0)
			break;
	arm(0);
	/* A read that failed used it up itself: the call was before that. */
	return tries == 0 && atoi(text) == 0;
}

/* --- the calls */

struct context {
	struct vm *vm;
	struct vcpu *vcpu;
	uint64_t *mem;
};

static int create_vm(struct context *context)
{
	int fd = try_ioctl(slat_fd(), KVM_CREATE_VM, 0);

	return fd < 0 ? fd : close(fd);
}

static int create_vcpu(struct context *context)
{
	static unsigned int id = 10;
	int fd = try_ioctl(context->vm->fd, KVM_CREATE_VCPU, id);

	/* The number is free as long as it failed, and used up after that. */
	if (fd < 0)
		return fd;
	id++;
	return close(fd);
}

static int create_slot(struct context *context)
{
	return vm_try_slot(context->vm, 2, 0, GPA + SIZE, SIZE, context->mem);
}

static int move_slot(struct context *context)
{
	static unsigned int i;
	int ret = vm_try_slot(context->vm, 2, 0, GPA + SIZE + (1 + i % 2) * SIZE,
			      SIZE, context->mem);

	i += !ret;
	return ret;
}

static int delete_slot(struct context *context)
{
	return vm_try_slot(context->vm, 2, 0, 0, 0, NULL);
}

static int set_log(struct context *context, uint32_t flags)
{
	return vm_try_slot(context->vm, VM_PLAY_SLOT, flags, GPA, SIZE, context->mem);
}

static int start_log(struct context *context)
{
	return set_log(context, KVM_MEM_LOG_DIRTY_PAGES);
}

static int stop_log(struct context *context)
{
	return set_log(context, 0);
}

static int set_cpuid(struct context *context)
{
	return try_ioctl_ptr(context->vcpu->fd, KVM_SET_CPUID2,
			     slat_supported_cpuid());
}

static int supported_cpuid(struct context *context)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid;

	cpuid.head.nent = 256;
	return try_ioctl_ptr(slat_fd(), KVM_GET_SUPPORTED_CPUID, &cpuid);
}

static int vcpu_state(struct context *context)
{
	static const unsigned long requests[] = {
		KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_FPU, KVM_SET_FPU,
	};
	uint64_t buffer[1024];
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(requests); i++)
		ret = try_ioctl_ptr(context->vcpu->fd, requests[i], buffer);
	return ret;
}

static int vcpu_msrs(struct context *context)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry.index = MSR_STAR };
	int ret;

	ret = try_ioctl_ptr(context->vcpu->fd, KVM_GET_MSRS, &msrs);
	if (ret == 1)
		ret = try_ioctl_ptr(context->vcpu->fd, KVM_SET_MSRS, &msrs);
	return ret < 0 ? ret : ret != 1;
}

static int stats(struct context *context)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	return try_ioctl_ptr(context->vm->fd, SLAT_GET_STATS, &stats);
}

/* Cuts a range in two: more to allocate there is not. */
static int pin_middle(struct context *context)
{
	return vm_try_pin(context->vm, GPA + PAGE_SIZE, PAGE_SIZE, 6);
}

static int pin_all(struct context *context)
{
	return vm_try_pin(context->vm, GPA, SIZE, 0);
}

#define AREA_GPA	VM_DATA_GPA

/* Another area than the last, across a page. */
static int set_runstate(struct context *context)
{
	static unsigned int i;
	int ret = vm_try_set_runstate(context->vm, 0, AREA_GPA + PAGE_SIZE - 8 - i % 2 * 8);

	i += !ret;
	return ret;
}

static int get_runstate(struct context *context)
{
	struct slat_get_runstate get;

	return vm_try_get_runstate(context->vm, 0, &get);
}

static int run(struct context *context)
{
	return try_ioctl(context->vcpu->fd, KVM_RUN, 0);
}

static void guest_walk(uint64_t unused)
{
	uint64_t i, n;

	for (n = 1;; n++) {
		for (i = 0; i < SIZE; i += PAGE_SIZE)
			WRITE_ONCE(*(uint64_t *)(GPA + i), n);
		guest_report(1, n);
	}
}

/* All has to be faulted in anew. */
static void forget_memory(struct context *context)
{
	madvise(context->mem, SIZE, MADV_DONTNEED);
	vm_slot_delete(context->vm, VM_PLAY_SLOT);
	vm_slot(context->vm, VM_PLAY_SLOT, 0, GPA, SIZE, context->mem);
}

static int create_window(struct context *context)
{
	int fd = vm_try_window(context->vm, SLAT_WINDOW_WRITE, GPA, SIZE);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static int write_memory(struct context *context)
{
	uint8_t data[2] = {};

	return vm_try_copy(context->vm, true, GPA + PAGE_SIZE - 1, data, 2, NULL);
}

/* --- making them fail */

#define TRIES	3

/* Which one is to fail, and how often the call got over it. */
struct turn {
	unsigned int nth, tries;
};

/*
 * Whoever has to do more now and then, as where a slab grows, is before the one that was
 * meant: if the call got over it, the same once more, which need not grow again.
 */
static void turn_next(struct turn *turn, bool failed)
{
	if (!failed && ++turn->tries < TRIES)
		return;
	turn->nth++;
	turn->tries = 0;
}

FIXTURE(inject)
{
	struct context context;
};

FIXTURE_SETUP(inject)
{
	struct context *context = &self->context;

	if (!injection_setup())
		return;
	watchdog_start(25);
	context->vm = vm_create();
	context->vcpu = vcpu_create(context->vm, 0);
	context->mem = mem_alloc(SIZE);
	vm_make_play_tables(context->vm);
	vm_slot(context->vm, VM_PLAY_SLOT, 0, GPA, SIZE, context->mem);
	supported_cpuid(context);
}

FIXTURE_TEARDOWN(inject)
{
	if (!self->context.vm)
		return;
	vcpu_destroy(self->context.vcpu);
	vm_destroy(self->context.vm);
}

static bool is_sane(int ret)
{
	return ret == 0 || ret == -ENOMEM || ret == -EFAULT;
}

/* How many failures it took; each must leave things so that it works next. */
static unsigned int fail_each(struct __test_metadata *_metadata,
			      struct context *context,
			      int (*call)(struct context *context),
			      int (*undo)(struct context *context))
{
	struct turn turn = { .nth = 1 };
	unsigned int failures = 0;
	bool was_hit = true;
	int ret;

	while (was_hit && turn.nth < NTH_MAX) {
		arm(turn.nth);
		ret = call(context);
		was_hit = disarm();
		EXPECT_TRUE(is_sane(ret)) {
			TH_LOG("failure %u: %s", turn.nth, strerror(-ret));
		}
		failures += ret != 0;
		turn_next(&turn, ret);
		if (ret) {
			ret = call(context);
			EXPECT_EQ(0, ret) {
				TH_LOG("after failure %u: %s", turn.nth - 1,
				       strerror(-ret));
			}
		}
		if (!ret && undo) {
			EXPECT_EQ(0, undo(context));
		}
	}
	EXPECT_LT(turn.nth, NTH_MAX);
	return failures;
}

#define NEED_INJECTION()						\
	do {								\
		if (!self->context.vm)					\
			SKIP(return, "no fault injection in this kernel"); \
	} while (0)

SLOW_TEST(inject, create_vm)
{
	NEED_INJECTION();
	/* Per-CPU memory may be there already, and the larger pieces come from elsewhere then. */
	EXPECT_LT(2, fail_each(_metadata, &self->context, create_vm, NULL));
}

SLOW_TEST(inject, create_vcpu)
{
	NEED_INJECTION();
	EXPECT_LT(3, fail_each(_metadata, &self->context, create_vcpu, NULL));
}

SLOW_TEST(inject, slots)
{
	struct context *context = &self->context;

	NEED_INJECTION();
	EXPECT_LT(1, fail_each(_metadata, context, create_slot, delete_slot));
	ASSERT_EQ(0, create_slot(context));
	EXPECT_LT(1, fail_each(_metadata, context, move_slot, NULL));
	EXPECT_LT(0, fail_each(_metadata, context, delete_slot, create_slot));
}

/* D1: a log that cannot start leaves the slot as it is. */
SLOW_TEST(inject, dirty_log)
{
	struct context *context = &self->context;

	NEED_INJECTION();
	EXPECT_LT(2, fail_each(_metadata, context, start_log, stop_log));
	ASSERT_EQ(0, start_log(context));
	EXPECT_LT(1, fail_each(_metadata, context, stop_log, start_log));
}

SLOW_TEST(inject, vcpu_state)
{
	struct context *context = &self->context;

	NEED_INJECTION();
	EXPECT_LT(5, fail_each(_metadata, context, vcpu_state, NULL));
	EXPECT_LT(3, fail_each(_metadata, context, vcpu_msrs, NULL));
	EXPECT_LT(1, fail_each(_metadata, context, set_cpuid, NULL));
	EXPECT_LT(2, fail_each(_metadata, context, supported_cpuid, NULL));
	EXPECT_LT(1, fail_each(_metadata, context, stats, NULL));
}

SLOW_TEST(inject, pins)
{
	struct context *context = &self->context;

	NEED_INJECTION();
	ASSERT_EQ(0, pin_all(context));
	EXPECT_LT(2, fail_each(_metadata, context, pin_middle, pin_all));
}

/* What is pinned stays pinned, and no more; the area that is there goes on. */
SLOW_TEST(inject, runstate)
{
	struct context *context = &self->context;
	struct slat_get_runstate before, after;
	long pins;

	NEED_INJECTION();
	pins = pinned_pages();
	ASSERT_EQ(0, set_runstate(context));
	before = vm_get_runstate(context->vm, 0);
	EXPECT_LT(3, fail_each(_metadata, context, set_runstate, NULL));
	EXPECT_LT(1, fail_each(_metadata, context, get_runstate, NULL));
	EXPECT_EQ(pins + 2, pinned_pages());
	after = vm_get_runstate(context->vm, 0);
	EXPECT_EQ(after.now - before.now, after.time[SLAT_RUNSTATE_OFFLINE] -
					  before.time[SLAT_RUNSTATE_OFFLINE]);
}

SLOW_TEST(inject, memory)
{
	struct context *context = &self->context;
	long pins;

	NEED_INJECTION();
	pins = pinned_pages();
	EXPECT_LT(3, fail_each(_metadata, context, create_window, NULL));
	fail_each(_metadata, context, write_memory, NULL);
	EXPECT_EQ(pins, pinned_pages());
}

/*
 * A fault of the guest that cannot be served ends KVM_RUN, and the guest takes
 * it again. Its writes all arrive, once.
 */
SLOW_TEST(inject, run)
{
	struct context *context = &self->context;
	unsigned int failures = 0, round, i;
	struct turn turn = { .nth = 1 };
	bool was_hit = true;
	int ret;

	NEED_INJECTION();
	guest_enter_c(context->vcpu, guest_walk, 0);
	ASSERT_EQ(1, vcpu_await(context->vcpu, 1));
	for (round = 2; was_hit && turn.nth < NTH_MAX; round++) {
		forget_memory(context);
		arm(turn.nth);
		ret = run(context);
		was_hit = disarm();
		ASSERT_TRUE(is_sane(ret)) {
			TH_LOG("failure %u: %s", turn.nth, strerror(-ret));
		}
		failures += ret != 0;
		if (ret) {
			ASSERT_EQ(round, vcpu_await(context->vcpu, 1));
		} else {
			ASSERT_EQ(KVM_EXIT_IO, context->vcpu->run->exit_reason);
		}
		for (i = 0; i < 4; i++)
			ASSERT_EQ(round, context->mem[i * 512]);
		turn_next(&turn, ret);
	}
	EXPECT_LT(turn.nth, NTH_MAX);
	EXPECT_LT(1, failures);
}

SLAT_HARNESS_MAIN
