// SPDX-License-Identifier: GPL-2.0-only
/*
 * B3, B7: threads of a VMM that call anything at the same time, with good and
 * bad arguments, on file descriptors that others close, dup and map. Calls may
 * fail; nothing hangs, and the kernel has nothing to complain of.
 */
#include <fcntl.h>
#include <linux/slat.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"
#include "racer.h"

#define SIZE	ARENA_SIZE
#define SECONDS	3

SLOW_TESTS(race);

/* --- what they call */

static void call_vcpu(struct racer *racer)
{
	int fd = ioctl(racer->arena->vm_fd, KVM_CREATE_VCPU,
		       dice(racer, 100) + 1);

	if (fd < 0)
		return;
	ioctl(fd, KVM_RUN, 0);
	close(fd);
}

static void call_stats(struct racer *racer)
{
	struct slat_stats stats = { .size = sizeof(stats) + dice(racer, 8) };

	ioctl(racer->arena->vm_fd, SLAT_GET_STATS, any_pointer(racer, &stats));
}

static const unsigned long vcpu_requests[] = {
	KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_FPU,
	KVM_SET_FPU, KVM_GET_MSRS, KVM_SET_MSRS, KVM_SET_CPUID2, KVM_GET_CPUID2,
	KVM_GET_SUPPORTED_CPUID, KVM_GET_VCPU_MMAP_SIZE, 0xae7f,
};

/*
 * QEMU's CPU (7.2, and later ones by their source) leaves a guest that has EFER.LME
 * without paging and CR4.PAE with the guest's CR0 in the host, which is its end.
 * Bochs stops at a stack segment that VMRUN made one that no instruction could load.
 */
static void spare_emulator(struct kvm_sregs *sregs)
{
	if (!(sregs->cr4 & CR4_PAE))
		sregs->efer &= ~(uint64_t)EFER_LME;
	sregs->ss.present = 1;
	sregs->ss.type = 3;
	sregs->ss.unusable = 0;
}

/*
 * What was read, changed here and there, goes back: most of it is accepted, and
 * the guest goes wherever that leads it.
 */
static void call_vcpu_state(struct racer *racer)
{
	static __thread uint64_t buffer[PAGE_SIZE / 8];
	unsigned int i = dice(racer, ARRAY_SIZE(vcpu_requests)), k;
	void *arg;

	if (i == 6 || i == 7 || i == 8 || i == 9)
		buffer[0] = dice(racer, 20);
	for (k = dice(racer, 3); k; k--)
		buffer[dice(racer, 128)] ^= 1ull << dice(racer, 64);
	arg = any_pointer(racer, buffer);
	if (arg == racer->arena->mem && !dice(racer, 2))
		arg = buffer;
	if (vcpu_requests[i] == KVM_SET_SREGS) {
		spare_emulator((void *)buffer);
		/* What others write meanwhile would not spare it. */
		if (arg == racer->arena->mem)
			arg = buffer;
	}
	ioctl(racer->arena->vcpu_fd, vcpu_requests[i], arg);
}

/* It may run for ever: bounded by another thread's signal. */
static void call_run(struct racer *racer)
{
	struct vcpu *vcpu = racer->arena->play.vcpu;

	WRITE_ONCE(vcpu->run->immediate_exit, !dice(racer, 3));
	vcpu->run->io.data_offset = dice(racer, ~0ull);
	vcpu->run->mmio.len = dice(racer, ~0ull);
	vcpu->run->cr8 = dice(racer, 20);
	ioctl(racer->arena->vcpu_fd, KVM_RUN, dice(racer, 20) ? 0 : 1);
}

static void call_dup(struct racer *racer)
{
	int fd = dup(dice(racer, 2) ? racer->arena->vm_fd :
				      racer->arena->vcpu_fd);

	ioctl(fd, dice(racer, 2) ? KVM_RUN : KVM_CREATE_VCPU, 500);
	close(fd);
}

static void call_mmap(struct racer *racer)
{
	size_t size = (dice(racer, 4) + 1) * PAGE_SIZE;
	volatile uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
				    dice(racer, 4) ? MAP_SHARED : MAP_PRIVATE,
				    racer->arena->vcpu_fd,
				    dice(racer, 3) * PAGE_SIZE);

	if (at == MAP_FAILED)
		return;
	/* Only two pages are there; a touch behind them kills. */
	mlock((void *)at, PAGE_SIZE);
	madvise((void *)at, size, MADV_DONTNEED);
	mprotect((void *)at, size, PROT_READ);
	munmap((void *)at, size);
}

static void call_memory(struct racer *racer)
{
	void *at = racer->arena->mem + dice(racer, 32) * PAGE_SIZE;

	switch (dice(racer, 4)) {
	case 0:
		madvise(at, PAGE_SIZE, MADV_DONTNEED);
		break;
	case 1:
		mprotect(at, PAGE_SIZE, PROT_NONE);
		mprotect(at, PAGE_SIZE, PROT_READ | PROT_WRITE);
		break;
	case 2:
		mmap(at, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 3:
		madvise(at, PAGE_SIZE, MADV_PAGEOUT);
		break;
	}
}

/* A VM made, and closed while others in this process change memory. */
static void call_create(struct racer *racer)
{
	struct arena *arena = racer->arena;
	struct vm vm = {
		.fd = ioctl(slat_fd(), KVM_CREATE_VM, dice(racer, 10) / 9),
	};
	int fd;

	if (vm.fd < 0)
		return;
	vm_try_slot(&vm, 0, 0, 0, SIZE, arena->mem);
	fd = ioctl(vm.fd, KVM_CREATE_VCPU, 0);
	ioctl(fd, KVM_RUN, 0);
	close(dice(racer, 2) ? fd : vm.fd);
	close(fd);
	close(vm.fd);
}

static void (*const calls[])(struct racer *racer) = {
	race_slot, call_vcpu, call_stats, call_vcpu_state, call_run, call_dup,
	call_mmap, call_memory, call_create,
};

/* --- the race */

static void call(struct racer *racer, unsigned int which)
{
	calls[which](racer);
	WRITE_ONCE(racer->done, racer->done + 1);
}

static void *race(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(racer->arena->stop))
		call(racer, dice(racer, ARRAY_SIZE(calls)));
	return NULL;
}

#define RACERS	4

SLOW_TEST(race, anything_with_anything)
{
	struct racer racers[RACERS];
	struct arena arena;

	arena_create(&arena);
	run_racers(&arena, racers, RACERS, race, look_for(SECONDS));
	arena_destroy(&arena);
}

/* --- each pair of calls, for a short time */

static void *race_one(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(racer->arena->stop))
		call(racer, racer->call);
	return NULL;
}

SLOW_TEST(race, each_pair)
{
	const unsigned int nr = ARRAY_SIZE(calls);
	struct racer racers[2];
	struct arena arena;
	unsigned int pair;

	arena_create(&arena);
	for_rounds (pair, look_often(nr * nr), look_for(12)) {
		racers[0].call = pair % nr;
		racers[1].call = pair / nr % nr;
		arena.stop = false;
		run_racers(&arena, racers, 2, race_one, 0.05);
	}
	arena_destroy(&arena);
}

/* --- the file descriptors go away under the calls */

static void *race_closing(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(racer->arena->stop))
		call(racer, dice(racer, ARRAY_SIZE(calls) - 1));
	return NULL;
}

SLOW_TEST(race, closed_meanwhile)
{
	struct racer racers[2];
	struct arena arena;
	unsigned int round;

	for_rounds (round, look_often(60), look_for(SECONDS)) {
		arena_create(&arena);
		/* Half of the time the vCPU goes first. */
		if (round & 1) {
			close(arena.vcpu_fd);
			arena.vcpu_fd = dup(arena.vm_fd);
		}
		run_racers(&arena, racers, 2, race_closing, 0.02);
		arena.stop = false;
		close(arena.vm_fd);
		arena.vm_fd = -1;
		run_racers(&arena, racers, 2, race_closing, 0.02);
		close(arena.vcpu_fd);
		munmap(arena.play.vcpu->run, arena.play.vcpu->run_size);
		munmap(arena.mem, SIZE);
		munmap(arena.play.vm->ram, VM_RAM_SIZE);
	}
}

/*
 * VMs that close while another thread changes the memory that they map: the
 * notifier must find nothing that is freed.
 */
static void *unmap_on(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(racer->arena->stop)) {
		madvise(racer->arena->mem, SIZE, MADV_DONTNEED);
		memset(racer->arena->mem, 1, SIZE);
	}
	return NULL;
}

SLOW_TEST(race, closed_under_the_notifier)
{
	struct arena arena = { .mem = mem_alloc(SIZE) };
	struct racer racer = { .arena = &arena };
	unsigned int i, k;

	ASSERT_EQ(0, pthread_create(&racer.thread, NULL, unmap_on, &racer));
	for_rounds (i, look_often(100), look_for(SECONDS)) {
		struct vm *vm = vm_create_empty();
		int fd[8];

		vm_slot(vm, 0, 0, 0, SIZE, arena.mem);
		for (k = 0; k < ARRAY_SIZE(fd); k++)
			fd[k] = must_ioctl(vm->fd, KVM_CREATE_VCPU, k);
		for (k = 0; k < ARRAY_SIZE(fd); k++) {
			ioctl(fd[k], KVM_RUN, 0);
			close(fd[k]);
		}
		vm_destroy(vm);
	}
	WRITE_ONCE(arena.stop, true);
	pthread_join(racer.thread, NULL);
}

SLAT_HARNESS_MAIN
