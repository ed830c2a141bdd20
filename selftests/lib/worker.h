/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests that keep going on a thread of their own, while the test changes the
 * host side under them.
 */
#ifndef SLAT_TEST_WORKER_H
#define SLAT_TEST_WORKER_H

#include <pthread.h>
#include <time.h>

#include "guest.h"
#include "vm.h"

/* Where such guests' memory is: room of VM_PLAY_SIZE, mapped by the guest. */
#define VM_PLAY_SLOT	1
#define VM_PLAY_GPA	0x10000000ul
#define VM_PLAY_SIZE	(64 * MIB)

/* The guest's page tables, with VM_PLAY_GPA; before guest_enter_c(). */
void vm_make_play_tables(struct vm *vm);

/* --- a vCPU on its thread */

/*
 * KVM_RUN again and again until worker_stop(). -EFAULT is counted and the run
 * repeated; so is an MMIO exit, which a read answers with WORKER_MMIO. What
 * else ends a run is an error and ends the thread.
 */
struct worker {
	struct vcpu *vcpu;
	pthread_t thread;
	bool stop;
	bool ended;
	int error;			/* of KVM_RUN, or 0 */
	uint32_t exit_reason;		/* that ended the thread; 0: none */
	unsigned long efaults;
	unsigned long mmios;
};

#define WORKER_MMIO	0x3a3a3a3a3a3a3a3aul

void worker_start(struct worker *worker, struct vcpu *vcpu);
/* Stop it, wherever its guest is. True if nothing went wrong before. */
bool worker_stop(struct worker *worker);
/* Wait until *counter has gone up by more. False: the worker ended before. */
bool worker_wait(struct worker *worker, const unsigned long *counter,
		 unsigned long more);

/* --- a guest that watches one address */

enum watch_op { WATCH_NOTHING, WATCH_READ, WATCH_WRITE, WATCH_COUNT };

/*
 * In the guest's copy of the program: use guest_var(). COUNT adds 1 to what is
 * there. Each round looks at op and address anew and ends with rounds + 1.
 */
struct watch {
	uint64_t op;
	uint64_t address;
	uint64_t value;			/* to write */
	uint64_t seen;
	unsigned long rounds;
};

extern struct watch guest_watch_state;
void guest_watch(uint64_t unused);

/* Wait for a round that began after the call. */
bool watch_round(struct worker *worker);
/* Set up one operation, wait for it to be done. */
bool watch_set(struct worker *worker, enum watch_op op, uint64_t gpa,
	       uint64_t value);
/* What the guest sees at gpa now. */
uint64_t watch_read(struct worker *worker, uint64_t gpa);
void watch_write(struct worker *worker, uint64_t gpa, uint64_t value);

/* --- a guest that mixes memory, and notices when some gets lost */

#define MIX_PAGES_MAX	2048
#define MIXES		4

/*
 * Goes round its pages; each must hold what it wrote last, and gets a new
 * value. A page that does not is in bad, and stays as it is.
 */
struct mix {
	uint64_t gpa;
	uint64_t pages;
	uint64_t stride;		/* in bytes */
	uint64_t at;			/* the page it is busy with */
	unsigned long rounds;
	unsigned long bad;
	uint64_t bad_gpa, bad_seen, bad_wanted;
	uint64_t wrote[MIX_PAGES_MAX];
};

extern struct mix guest_mixes[MIXES];
/* arg: which of guest_mixes. */
void guest_mix(uint64_t arg);
/* Prepare mix number i and enter its guest. Memory must be zero. */
struct mix *mix_enter(struct vcpu *vcpu, unsigned int i, uint64_t gpa,
		      uint64_t pages, uint64_t stride);
/* With the worker stopped: does host memory hold what the guest wrote? */
bool mix_check(const struct mix *mix, const void *memory);

/* --- all in one */

struct play {
	struct vm *vm;
	struct vcpu *vcpu;
	struct worker worker;
	struct mix *mix;
	void *mem;
	size_t size;
};

/* A VM with size bytes of mem at VM_PLAY_GPA; NULL: anonymous memory. */
void play_create(struct play *play, void *mem, size_t size, uint32_t flags);
/* The same, and a guest_watch() that runs. */
void play_watch(struct play *play, void *mem, size_t size, uint32_t flags);
/* The same, and a guest_mix() of each page. */
void play_mix(struct play *play, void *mem, size_t size);
/*
 * Stop the guest, check what it mixed, destroy the VM, leave the memory. False
 * if something was wrong.
 */
bool play_end(struct play *play);

/* --- limits */

/* A fixture of nothing, for TEST_F_TIMEOUT(): what takes long on slow machines. */
#define SLOW_TESTS(name)						\
FIXTURE(name) { int none; };						\
FIXTURE_SETUP(name) { }							\
FIXTURE_TEARDOWN(name) { }						\
extern int name##_fixture_needs_a_semicolon
#define SLOW_TEST(name, test)	TEST_F_TIMEOUT(name, test, 120)

/* Seconds since some time. */
double now(void);
/*
 * for_rounds(i, n, seconds): n rounds, or as many as there is time for on a
 * machine that is slow or has other things to do, but two at least.
 */
#define for_rounds(i, n, seconds)					\
	for (double rounds_end = now() + (seconds), once = (i = 0, 1);	\
	     once; once = 0)						\
		for (; i < (n) && (i < 2 || now() < rounds_end); i++)

/* This thread, and those that it makes from now on, on one of the CPUs given to the test. */
void pin(unsigned int nr);

/* Contents of a file in /proc or /sys, a number; -1 without it. */
long file_number(const char *path);
/* The number behind "name" in a file like /proc/meminfo; -1 without it. */
long file_field(const char *path, const char *name);
/* Pages that are pinned (FOLL_PIN) in all of the machine, as often as they are. */
long pinned_pages(void);
/* 0 or -errno. */
int file_write(const char *path, const char *text);

/* This thread is without it from here on. */
void drop_capability(unsigned int cap);

/* --- memory that the test fills in: who touches it before waits */

int uffd_open(void *mem, size_t size);
/* Until somebody waits. */
void uffd_await(int fd);
/* Copy a page to a page of it. */
void uffd_fill(int fd, void *at, void *page);

#endif
