// SPDX-License-Identifier: GPL-2.0-only
/* Threads that call slat at random, all at the same time. */
#include "racer.h"

#include <linux/slat.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void no_op(int sig)
{
}

static void begin(struct arena *arena)
{
	struct sigaction action = { .sa_handler = no_op };

	sigaction(SIGUSR2, &action, NULL);
	memset(arena, 0, sizeof(*arena));
}

static void take_fds(struct arena *arena)
{
	arena->mem = arena->play.mem;
	arena->vm_fd = arena->play.vm->fd;
	arena->vcpu_fd = arena->play.vcpu->fd;
}

void arena_create_play(struct arena *arena)
{
	begin(arena);
	play_create(&arena->play, NULL, ARENA_SIZE, 0);
	take_fds(arena);
}

void arena_create(struct arena *arena)
{
	arena_create_play(arena);
	mix_enter(arena->play.vcpu, 0, VM_PLAY_GPA, 32, PAGE_SIZE);
}

void arena_create_idle(struct arena *arena)
{
	struct play *play = &arena->play;

	begin(arena);
	watchdog_start(25);
	play->vm = vm_create_type(guest_has_vmcall ? SLAT_VM_NPT : SLAT_VM_EPT);
	play->vcpu = vcpu_create(play->vm, 0);
	play->mem = mem_alloc(ARENA_SIZE);
	vm_slot(play->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, ARENA_SIZE, play->mem);
	take_fds(arena);
}

void arena_destroy(struct arena *arena)
{
	vcpu_destroy(arena->play.vcpu);
	vm_destroy(arena->play.vm);
}

uint64_t dice(struct racer *racer, uint64_t sides)
{
	racer->seed ^= racer->seed << 13;
	racer->seed ^= racer->seed >> 7;
	racer->seed ^= racer->seed << 17;
	return racer->seed % sides;
}

void *any_pointer(struct racer *racer, void *good)
{
	switch (dice(racer, 12)) {
	case 0:
		return NULL;
	case 1:
		return (void *)0xffff888000000000;
	case 2:
		return (void *)any_pointer;
	case 3:
		return racer->arena->mem;
	default:
		return good;
	}
}

void race_slot(struct racer *racer)
{
	struct arena *arena = racer->arena;
	struct kvm_userspace_memory_region region = {
		.slot = dice(racer, 4) + 1,
		.flags = (dice(racer, 8) ? 0 : KVM_MEM_READONLY) |
			 (dice(racer, 3) ? 0 : KVM_MEM_LOG_DIRTY_PAGES),
		.guest_phys_addr = VM_PLAY_GPA + dice(racer, 8) * ARENA_SIZE,
		.memory_size = dice(racer, 3) ? ARENA_SIZE : 0,
		.userspace_addr = (uintptr_t)arena->mem,
	};

	if (!dice(racer, 10))
		region.userspace_addr = dice(racer, ~0ull) & -PAGE_SIZE;
	ioctl(arena->vm_fd, KVM_SET_USER_MEMORY_REGION,
	      any_pointer(racer, &region));
}

static bool all_called(const struct racer *racers, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (READ_ONCE(racers[i].done) < 3)
			return false;
	return true;
}

/* From the first of them that has not ended. */
static void interrupt(const struct racer *racers, unsigned int first, unsigned int count)
{
	unsigned int i;

	for (i = first; i < count; i++)
		pthread_kill(racers[i].thread, SIGUSR2);
}

static void rest(const struct arena *arena)
{
	unsigned int k;

	if (arena->pause) {
		usleep(arena->pause);
		return;
	}
	for (k = 0; k < 20; k++) {
		__builtin_ia32_pause();
		sched_yield();
	}
}

void run_racers(struct arena *arena, struct racer *racers, unsigned int count,
		void *(*loop)(void *), double seconds)
{
	double end = now() + seconds;
	unsigned int i;

	for (i = 0; i < count; i++) {
		racers[i].arena = arena;
		racers[i].done = 0;
		racers[i].seed = 0x1234567 * (i + 1);
		REQUIRE(!pthread_create(&racers[i].thread, NULL, loop,
					&racers[i]), "pthread_create");
	}
	while (now() < end || !all_called(racers, count)) {
		rest(arena);
		interrupt(racers, 0, count);
	}
	WRITE_ONCE(arena->stop, true);
	for (i = 0; i < count; i++) {
		while (pthread_tryjoin_np(racers[i].thread, NULL)) {
			/* It may wait for another one's KVM_RUN to let go of the vCPU. */
			interrupt(racers, i, count);
			sched_yield();
		}
	}
}
