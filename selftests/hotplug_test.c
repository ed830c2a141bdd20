// SPDX-License-Identifier: GPL-2.0-only
/*
 * B5: CPUs go offline and come back, and the machine suspends, while guests
 * run. A guest goes on elsewhere, or where it was when the CPU is back; a VM
 * made meanwhile runs on the CPU that came later.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"
#include "worker.h"

#define CPU		1
#define CPU_ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define ROUNDS		24
#define SIZE		(16 * PAGE_SIZE)

static bool set_online(bool on)
{
	return !file_write(CPU_ONLINE, on ? "1" : "0") &&
	       file_number(CPU_ONLINE) == on;
}

static bool can_go_offline(void)
{
	return file_number(CPU_ONLINE) == 1;
}

FIXTURE(hotplug)
{
	struct play play;
};

FIXTURE_SETUP(hotplug)
{
	/* A test that ran out of time may have left it. */
	set_online(true);
	if (can_go_offline())
		play_mix(&self->play, NULL, SIZE);
}

FIXTURE_TEARDOWN(hotplug)
{
	set_online(true);
	if (self->play.vm) {
		EXPECT_TRUE(play_end(&self->play));
	}
}

static bool guest_moves(struct play *play)
{
	return worker_wait(&play->worker, &play->mix->rounds, 3);
}

static int set_affinity(pthread_t thread, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(thread, sizeof(set), &set);
}

SLOW_TEST(hotplug, guest_goes_anywhere)
{
	unsigned int i;

	if (!self->play.vm)
		SKIP(return, "CPU 1 cannot go offline");
	for_rounds (i, ROUNDS, 6) {
		ASSERT_TRUE(set_online(false));
		ASSERT_TRUE(guest_moves(&self->play));
		ASSERT_TRUE(set_online(true));
		ASSERT_TRUE(guest_moves(&self->play));
	}
}

/* The scheduler pushes the thread off; pinned again, it must work there. */
SLOW_TEST(hotplug, guest_on_that_cpu)
{
	unsigned int i;

	if (!self->play.vm)
		SKIP(return, "CPU 1 cannot go offline");
	for_rounds (i, ROUNDS, 6) {
		ASSERT_EQ(0, set_affinity(self->play.worker.thread, CPU));
		ASSERT_TRUE(guest_moves(&self->play));
		ASSERT_TRUE(set_online(false));
		ASSERT_TRUE(guest_moves(&self->play));
		ASSERT_TRUE(set_online(true));
	}
}

/* What happens to host memory reaches a guest that changed CPUs. */
SLOW_TEST(hotplug, unmapped_meanwhile)
{
	struct play watch;
	unsigned int i;

	if (!self->play.vm)
		SKIP(return, "CPU 1 cannot go offline");
	play_watch(&watch, NULL, SIZE, 0);
	for_rounds (i, ROUNDS, 6) {
		watch_write(&watch.worker, VM_PLAY_GPA, i + 1);
		ASSERT_TRUE(set_online(i & 1));
		ASSERT_EQ(i + 1, watch_read(&watch.worker, VM_PLAY_GPA));
		madvise(watch.mem, SIZE, MADV_DONTNEED);
		ASSERT_EQ(0, watch_read(&watch.worker, VM_PLAY_GPA));
	}
	EXPECT_TRUE(play_end(&watch));
}

SLOW_TESTS(slow);

/* --- nothing runs while the CPU goes; a VM is made before it comes back */

SLOW_TEST(slow, vm_made_while_offline)
{
	struct play play;
	unsigned int i;

	if (!can_go_offline())
		SKIP(return, "CPU 1 cannot go offline");
	for_rounds (i, 8, 6) {
		ASSERT_TRUE(set_online(false));
		play_mix(&play, NULL, SIZE);
		ASSERT_TRUE(set_online(true));
		ASSERT_EQ(0, set_affinity(play.worker.thread, CPU));
		EXPECT_TRUE(guest_moves(&play));
		EXPECT_TRUE(play_end(&play));
		/* And on a CPU that came while there was no VM. */
		ASSERT_TRUE(set_online(false));
		ASSERT_TRUE(set_online(true));
		play_mix(&play, NULL, SIZE);
		ASSERT_EQ(0, set_affinity(play.worker.thread, CPU));
		EXPECT_TRUE(guest_moves(&play));
		EXPECT_TRUE(play_end(&play));
	}
}

/* The last VM goes while a CPU is away, and the CPU comes back without. */
SLOW_TEST(slow, vm_closed_while_offline)
{
	struct play play;
	unsigned int i;

	if (!can_go_offline())
		SKIP(return, "CPU 1 cannot go offline");
	for_rounds (i, 8, 6) {
		play_mix(&play, NULL, SIZE);
		ASSERT_TRUE(set_online(false));
		EXPECT_TRUE(play_end(&play));
		ASSERT_TRUE(set_online(true));
	}
}

/* --- suspend, as far as a test of it goes without sleeping */

#define PM_TEST	"/sys/power/pm_test"

static void suspend_to(struct __test_metadata *_metadata, const char *depth)
{
	struct play play;
	unsigned int i;
	int ret;

	if (file_write(PM_TEST, depth))
		SKIP(return, "no CONFIG_PM_DEBUG");
	play_mix(&play, NULL, SIZE);
	for (i = 0; i < 2; i++) {
		ret = file_write("/sys/power/state", "mem");
		if (ret == -EINVAL || ret == -ENODEV)
			ret = file_write("/sys/power/state", "freeze");
		if (ret)
			break;
		EXPECT_TRUE(guest_moves(&play));
	}
	file_write(PM_TEST, "none");
	EXPECT_TRUE(play_end(&play));
	if (ret)
		SKIP(return, "no suspend: %s", strerror(-ret));
}

/* "processors" takes down all CPUs but one, "core" the rest as well. */
SLOW_TEST(slow, suspend_processors)
{
	suspend_to(_metadata, "processors");
}

SLOW_TEST(slow, suspend_core)
{
	suspend_to(_metadata, "core");
}

SLAT_HARNESS_MAIN
