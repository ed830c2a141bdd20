/* SPDX-License-Identifier: GPL-2.0-only */
/* Threads that call slat at random, all at the same time. */
#ifndef SLAT_RACER_H
#define SLAT_RACER_H

#include "worker.h"

#define ARENA_SIZE	(32 * PAGE_SIZE)

/* What they call: a VM, a vCPU, and ARENA_SIZE bytes of memory at VM_PLAY_GPA. */
struct arena {
	struct play play;
	int vm_fd, vcpu_fd;	/* of which others are dups */
	void *mem;
	bool stop;
	unsigned int pause;	/* in us, before all are interrupted again; 0: a moment */
};

struct racer {
	struct arena *arena;
	pthread_t thread;
	uint64_t seed;
	unsigned int call;
	unsigned long done;	/* calls */
};

/* With a guest that mixes the memory. SIGUSR2 does nothing from here on. */
void arena_create(struct arena *arena);

/* With RAM and mapped by guests, which are the test's own. */
void arena_create_play(struct arena *arena);

/* Without a guest: a VM of the format that is not the CPU's. */
void arena_create_idle(struct arena *arena);

/* What either has made. */
void arena_destroy(struct arena *arena);

/* A number below sides. */
uint64_t dice(struct racer *racer, uint64_t sides);
/* Good, unmapped, read-only, the guest's own memory, the kernel's. */
void *any_pointer(struct racer *racer, void *good);

/* Make, move or delete one of the slots 1 to 4. */
void race_slot(struct racer *racer);

/*
 * Have count threads run loop, until arena->stop, for so long, and on a busy machine until
 * all have called. Interrupts whoever is in KVM_RUN, until all have ended.
 */
void run_racers(struct arena *arena, struct racer *racers, unsigned int count,
		void *(*loop)(void *), double seconds);

#endif
