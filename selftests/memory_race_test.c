// SPDX-License-Identifier: GPL-2.0-only
/*
 * P1: guest memory is read while the host moves it about. Each page holds its own number
 * or, just after it was thrown away, zeroes; pages that the host has given to others hold
 * something else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "worker.h"

#define GPA	0x40000000ul
#define SIZE	(2 * MIB)
#define PAGES	(SIZE / PAGE_SIZE)
#define STRETCH	32
#define READERS	2

SLOW_TESTS(memory);

static uint64_t number_of(size_t page)
{
	return 0x5afe000000000000 | page;
}

struct reader {
	struct vm *vm;
	pthread_t thread;
	bool stop;
	unsigned int seed;
	unsigned long reads, refused, wrong;
};

static void *reader_work(void *arg)
{
	struct reader *reader = arg;

	while (!READ_ONCE(reader->stop)) {
		const size_t page = rand_r(&reader->seed) % PAGES;
		uint64_t seen = 0;
		int ret = vm_try_copy(reader->vm, false, GPA + page * PAGE_SIZE, &seen,
				      sizeof(seen), NULL);

		reader->wrong += (ret && ret != -EFAULT) || (seen && seen != number_of(page));
		reader->refused += ret == -EFAULT;
		reader->reads++;
	}
	return NULL;
}

static void fill(uint8_t *mem, size_t first, size_t pages)
{
	size_t page;

	for (page = first; page < first + pages; page++)
		*(uint64_t *)(mem + page * PAGE_SIZE) = number_of(page);
}

/* Whoever still reads what was there before sees it. */
static void give_to_others(uint8_t *at, size_t size)
{
	uint8_t *other;

	madvise(at, size, MADV_DONTNEED);
	other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(other != MAP_FAILED, "no memory");
	memset(other, 0xbd, size);
	munmap(other, size);
}

static void protect_for_a_while(uint8_t *at, size_t size)
{
	REQUIRE(!mprotect(at, size, PROT_NONE), "mprotect");
	sched_yield();
	REQUIRE(!mprotect(at, size, PROT_READ | PROT_WRITE), "mprotect");
}

static void copy_on_write(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(0);
	waitpid(pid, &status, 0);
}

static void disturb(uint8_t *mem, unsigned int i)
{
	const size_t first = i * 7 % (PAGES / STRETCH) * STRETCH;
	uint8_t *at = mem + first * PAGE_SIZE;
	const size_t size = STRETCH * PAGE_SIZE;

	switch (i % 4) {
	case 0:
		give_to_others(at, size);
		break;
	case 1:
		protect_for_a_while(at, size);
		break;
	case 2:
		copy_on_write();
		break;
	case 3:
		/* Not every kernel has it. */
		madvise(mem, SIZE, MADV_COLLAPSE);
	}
	fill(mem, first, STRETCH);
}

SLOW_TEST(memory, P1_read_while_the_host_moves_it)
{
	struct reader reader[READERS];
	uint8_t *mem = mem_huge_area(SIZE);
	unsigned int i, rounds;
	struct vm *vm;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vm = vm_create_empty();
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	fill(mem, 0, PAGES);
	for (i = 0; i < READERS; i++) {
		reader[i] = (struct reader){ .vm = vm, .seed = i };
		REQUIRE(!pthread_create(&reader[i].thread, NULL, reader_work, &reader[i]),
			"no thread");
	}
	/* Those that a busy machine starts late would see nothing of it. */
	for (i = 0; i < READERS; i++)
		while (!READ_ONCE(reader[i].reads))
			sched_yield();
	for_rounds (rounds, look_often(2000), look_for(5))
		disturb(mem, rounds);
	for (i = 0; i < READERS; i++) {
		WRITE_ONCE(reader[i].stop, true);
		pthread_join(reader[i].thread, NULL);
		EXPECT_LT(0, reader[i].reads);
		EXPECT_EQ(0, reader[i].wrong);
		EXPECT_LT(reader[i].refused, reader[i].reads);
		TH_LOG("%lu reads, %lu refused, in %u rounds", reader[i].reads, reader[i].refused,
		       rounds);
	}
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
