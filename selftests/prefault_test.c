// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2, B3: KVM_PRE_FAULT_MEMORY while slots come and go, while the host takes memory
 * away, by two threads, with signals, and in a process that is killed.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "harness.h"
#include "worker.h"

SLOW_TESTS(prefault);

#define GPA	VM_PLAY_GPA
#define SIZE	(8 * MIB)

struct filler {
	pthread_t thread;
	struct vcpu *vcpu;
	bool stop;
	unsigned long done;
	int error;
};

static void *fill(void *arg)
{
	struct filler *filler = arg;

	while (!READ_ONCE(filler->stop) && !filler->error) {
		switch (vcpu_try_prefault(filler->vcpu, GPA, SIZE)) {
		case 0:
			filler->done++;
			break;
		case -EAGAIN:
		case -ENOENT:
			break;
		default:
			filler->error = errno;
		}
		sched_yield();
	}
	return NULL;
}

static void start(struct filler *filler, struct vm *vm, unsigned int id)
{
	*filler = (struct filler) { .vcpu = vcpu_create(vm, id) };
	REQUIRE(!pthread_create(&filler->thread, NULL, fill, filler), "no thread");
}

static void stop(struct filler *filler)
{
	WRITE_ONCE(filler->stop, true);
	pthread_join(filler->thread, NULL);
	vcpu_destroy(filler->vcpu);
}

SLOW_TEST(prefault, B3_races_with_slots_and_the_host)
{
	struct vm *vm = vm_create_empty();
	void *mem = mem_alloc(SIZE);
	struct filler fillers[2];
	unsigned int i;

	if (!slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY))
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	watchdog_start(60);
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	start(&fillers[0], vm, 0);
	start(&fillers[1], vm, 1);
	for (i = 0; i < 2; i++)
		while (!READ_ONCE(fillers[i].done))
			usleep(1000);
	for_rounds (i, 200, 5) {
		ASSERT_EQ(0, madvise(mem + i % 8 * MIB, MIB, MADV_DONTNEED));
		if (i % 4)
			continue;
		vm_slot_delete(vm, 1);
		/* Nothing comes back behind a deletion. */
		EXPECT_EQ(0, vm_leaf(vm, GPA).level);
		EXPECT_EQ(0, vm_leaf(vm, GPA + SIZE - PAGE_SIZE).level);
		vm_slot(vm, 1, 0, GPA, SIZE, mem);
	}
	for (i = 0; i < 2; i++) {
		stop(&fillers[i]);
		EXPECT_EQ(0, fillers[i].error);
	}
	vm_destroy(vm);
}

static void alarmed(int sig)
{
}

/* Absent memory takes its time; a signal ends the call, and what was done counts. */
SLOW_TEST(prefault, B2_signals_interrupt_it)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = VM_PLAY_SIZE };
	const struct sigaction action = { .sa_handler = alarmed };
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { };
	unsigned int breaks = 0, calls = 0;
	struct vm *vm = vm_create_empty();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	int ret = 0;

	if (!slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY))
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	watchdog_start(60);
	vm_slot(vm, 1, 0, GPA, VM_PLAY_SIZE, mem_alloc(VM_PLAY_SIZE));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (range.size && (!ret || ret == -EINTR)) {
		const uint64_t size = range.size;

		ret = try_ioctl_ptr(vcpu->fd, KVM_PRE_FAULT_MEMORY, &range);
		ASSERT_EQ(GPA + VM_PLAY_SIZE, range.gpa + range.size);
		EXPECT_EQ(ret == 0, range.size < size);
		breaks += range.size > 0;
		/* Where signals come faster than pages are mapped, it would never end. */
		if (++calls == 100)
			setitimer(ITIMER_REAL, &never, NULL);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(0, range.size);
	EXPECT_LT(0, breaks);
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

SLOW_TEST(prefault, B2_killed_in_the_middle)
{
	struct filler *fillers = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, fillers);
	if (!slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY))
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	watchdog_start(60);
	for_rounds (i, 20, 5) {
		const pid_t pid = fork();
		int status;

		if (!pid) {
			struct vm *vm = vm_create_empty();
			void *mem = mem_alloc(SIZE);

			vm_slot(vm, 1, 0, GPA, SIZE, mem);
			start(&fillers[0], vm, 0);
			start(&fillers[1], vm, 1);
			for (;;)
				madvise(mem, SIZE, MADV_DONTNEED);
		}
		while (!READ_ONCE(fillers[0].done) || !READ_ONCE(fillers[1].done))
			usleep(1000);
		usleep(1000 * i);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		memset(fillers, 0, 2 * sizeof(*fillers));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	}
}

SLAT_HARNESS_MAIN
