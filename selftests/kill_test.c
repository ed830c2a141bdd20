// SPDX-License-Identifier: GPL-2.0-only
/*
 * B5, B7: a VMM that is killed at any moment, with vCPUs running and faulting,
 * slots changing, VMs coming and going, leaves nothing behind: no memory, and
 * no use of the module.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "harness.h"
#include "worker.h"

#define KILLS	120
#define SIZE	(64 * PAGE_SIZE)

SLOW_TESTS(kill);

/* --- what a VMM may be doing; none of these comes back */

/* Counts, in memory that the test shares with them, those who got to work. */
static unsigned long *at_work;

static void got_to_work(void)
{
	__atomic_add_fetch(at_work, 1, __ATOMIC_RELAXED);
}

static void run_vcpus(void)
{
	struct worker workers[2];
	struct vm *vm = vm_create();
	unsigned int i;

	vm_make_play_tables(vm);
	vm_slot(vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, SIZE, mem_alloc(SIZE));
	for (i = 0; i < 2; i++) {
		struct vcpu *vcpu = vcpu_create(vm, i);

		mix_enter(vcpu, i, VM_PLAY_GPA + i * 8 * 64, 64, PAGE_SIZE);
		worker_start(&workers[i], vcpu);
	}
	got_to_work();
	pthread_join(workers[0].thread, NULL);
}

static void run_and_unmap(void)
{
	struct play play;

	play_mix(&play, NULL, SIZE);
	got_to_work();
	for (;;)
		madvise(play.mem, SIZE, MADV_DONTNEED);
}

static void run_and_move_slots(void)
{
	struct play play;
	unsigned int i;

	play_mix(&play, NULL, SIZE);
	got_to_work();
	for (i = 0;; i++) {
		vm_try_slot(play.vm, 2, 0, VM_PLAY_GPA + (1 + i % 7) * SIZE,
			    SIZE, play.mem);
		if (i % 3 == 2)
			vm_try_slot(play.vm, 2, 0, 0, 0, NULL);
	}
}

static void create_vms(void)
{
	unsigned int i;

	for (i = 0;; i++) {
		struct vm *vm = vm_create();
		struct vcpu *vcpu = vcpu_create(vm, 0);

		guest_enter_c(vcpu, guest_watch, 0);
		vcpu->run->immediate_exit = i & 1;
		if (i & 1)
			vcpu_try_run(vcpu);
		vcpu_destroy(vcpu);
		vm_destroy(vm);
		if (i == 1)
			got_to_work();
	}
}

static void (*const lives[])(void) = {
	run_vcpus, run_and_unmap, run_and_move_slots, create_vms,
};

/* --- killing them */

/*
 * They all live in a cgroup, which is charged for each page and object of
 * theirs until it is freed.
 */
#define CGROUP		"/sys/fs/cgroup/slat-kill-test"

static unsigned long worked(void)
{
	return __atomic_load_n(at_work, __ATOMIC_RELAXED);
}

/* Kill it when that long has passed, or when it is at work. */
static void live_and_die(unsigned int life, double seconds)
{
	unsigned long first = worked();
	double end = now() + seconds;
	int status;
	pid_t pid;

	pid = fork();
	REQUIRE(pid >= 0, "fork");
	if (!pid) {
		file_write(CGROUP "/cgroup.procs", "0");
		lives[life]();
		_exit(1);
	}
	while (seconds ? now() < end : worked() == first) {
		/* So that an emulator runs the CPU of the child. */
		__builtin_ia32_pause();
		sched_yield();
	}
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, &status, 0) == pid, "waitpid");
	REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		"it died by itself: %#x", status);
}

/* --- what is left */

static long module_users(void)
{
	return file_number("/sys/module/slat/refcnt");
}

/* What a process leaves is freed late: RCU, and work on kernel threads. */
static bool wait_module_users(long want)
{
	double end = now() + 8 * time_scale();

	while (module_users() != want && now() < end)
		sched_yield();
	return module_users() == want;
}

static bool cgroup_create(void)
{
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return false;
	return !access(CGROUP "/memory.current", R_OK);
}

/* Nobody is left; a tiny limit takes what is charged in advance. */
static long cgroup_bytes(void)
{
	file_write("/proc/sys/vm/drop_caches", "3");
	file_write(CGROUP "/memory.high", "0");
	file_write(CGROUP "/memory.high", "max");
	return file_number(CGROUP "/memory.current");
}

/* Less than a page for each that was killed. */
#define CGROUP_SLACK	(30 * PAGE_SIZE)

static bool wait_cgroup_empty(void)
{
	double end = now() + 5 * time_scale();

	while (cgroup_bytes() > (long)CGROUP_SLACK && now() < end)
		sched_yield();
	return cgroup_bytes() <= (long)CGROUP_SLACK;
}

static long slab_kb(void)
{
	return file_field("/proc/meminfo", "SUnreclaim");
}

/* KASAN keeps what was freed for a while. */
static long slab_slack_kb(void)
{
	return time_scale() < 10 ? 1024 : 16 * 1024;
}

static bool wait_slab(long limit)
{
	double end = now() + 5 * time_scale();

	while (slab_kb() >= limit && now() < end)
		sched_yield();
	return slab_kb() < limit;
}

static void kill_many(struct __test_metadata *_metadata, unsigned int life)
{
	unsigned int i;
	double time;
	long users, slab;

	if (!cgroup_create())
		SKIP(return, "no memory cgroup");
	at_work = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, at_work);
	users = module_users();
	time = now();
	for (i = 0; i < 2; i++)
		live_and_die(life, 0);
	/* What it takes to get to work, and a little work. */
	time = (now() - time) / 2 * 1.5;
	ASSERT_TRUE(wait_module_users(users));
	slab = slab_kb();
	/* At any moment; each third one when it surely is at work. */
	for_rounds (i, KILLS, 5)
		live_and_die(life, i % 3 ? (i * 37 % KILLS + 1) * time / KILLS : 0);
	EXPECT_TRUE(wait_module_users(users));
	EXPECT_TRUE(wait_cgroup_empty());
	EXPECT_TRUE(wait_slab(slab + slab_slack_kb()));
	EXPECT_EQ(0, rmdir(CGROUP));
}

SLOW_TEST(kill, running_vcpus)
{
	kill_many(_metadata, 0);
}

SLOW_TEST(kill, unmapping)
{
	kill_many(_metadata, 1);
}

SLOW_TEST(kill, moving_slots)
{
	kill_many(_metadata, 2);
}

SLOW_TEST(kill, creating_vms)
{
	kill_many(_metadata, 3);
}

SLAT_HARNESS_MAIN
