// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2, V7: equal pages of a guest that the host merges (KSM) while it runs stay
 * merged when the guest reads them, and a guest's write unshares the page that
 * it goes to and no other.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define KSM		"/sys/kernel/mm/ksm/"
#define PAGES		16
#define SIZE		(PAGES * PAGE_SIZE)
#define GPA		VM_PLAY_GPA
#define ROUNDS		6

static bool ksm_on(void)
{
	return !file_write(KSM "sleep_millisecs", "0") &&
	       !file_write(KSM "pages_to_scan", "1000") &&
	       !file_write(KSM "use_zero_pages", "0") &&
	       !file_write(KSM "run", "1");
}

static void ksm_off(void)
{
	/* 2: undo all merging. */
	file_write(KSM "run", "2");
	file_write(KSM "run", "0");
}

/* Which page backs an address; 0 if none. */
static uint64_t frame(const void *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	REQUIRE(fd >= 0 && pread(fd, &entry, 8,
				 (uintptr_t)address / PAGE_SIZE * 8) == 8,
		"pagemap");
	close(fd);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

/*
 * Does page i share its frame with another one?  The page flags cannot tell: some
 * kernels call every anonymous page KSM's there.
 */
static bool is_merged(const void *mem, unsigned int i)
{
	const uint64_t own = frame(mem + i * PAGE_SIZE);
	unsigned int j;

	for (j = 0; own && j < PAGES; j++)
		if (j != i && frame(mem + j * PAGE_SIZE) == own)
			return true;
	return false;
}

static bool all_merged(const void *mem)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (!is_merged(mem, i))
			return false;
	return true;
}

/*
 * KSM works on its own time, and takes back a merger that did not work out:
 * pages are merged if they are when it has stopped.
 */
static bool merge(const void *mem)
{
	double end = now() + 10 * time_scale();

	while (now() < end) {
		file_write(KSM "run", "1");
		while (!all_merged(mem) && now() < end)
			sched_yield();
		file_write(KSM "run", "0");
		if (all_merged(mem))
			return true;
	}
	return false;
}

static void fill(void *mem, uint64_t value)
{
	unsigned int i;

	for (i = 0; i < PAGES * PAGE_SIZE / 8; i++)
		((uint64_t *)mem)[i] = value;
}

FIXTURE(ksm)
{
	struct play play;
};

FIXTURE_SETUP(ksm)
{
	void *mem = mem_alloc(SIZE);

	if (file_number(KSM "run") < 0)
		return;
	ASSERT_EQ(0, madvise(mem, SIZE, MADV_MERGEABLE));
	fill(mem, 77);
	ASSERT_TRUE(ksm_on());
	play_watch(&self->play, mem, SIZE, 0);
}

FIXTURE_TEARDOWN(ksm)
{
	if (self->play.vm) {
		EXPECT_TRUE(play_end(&self->play));
		ksm_off();
	}
}

/* Merging takes the pages from under a guest that reads them. */
SLOW_TEST(ksm, reads_keep_it)
{
	struct play *play = &self->play;
	unsigned int i;

	if (!play->vm)
		SKIP(return, "no CONFIG_KSM");
	for (i = 0; i < PAGES; i++)
		watch_write(&play->worker, GPA + i * PAGE_SIZE, 77);
	watch_set(&play->worker, WATCH_READ, GPA, 0);
	ASSERT_TRUE(merge(play->mem));
	EXPECT_LT(0, file_number(KSM "pages_sharing"));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(77, watch_read(&play->worker, GPA + i * PAGE_SIZE));
	EXPECT_TRUE(all_merged(play->mem));
}

SLOW_TEST(ksm, write_breaks_one_page)
{
	struct play *play = &self->play;
	uint64_t *mem = play->mem;
	unsigned int round, i;

	if (!play->vm)
		SKIP(return, "no CONFIG_KSM");
	for_rounds (round, ROUNDS, 8) {
		unsigned int one = round * 5 % PAGES;

		fill(mem, 77 + round);
		ASSERT_TRUE(merge(mem));
		/* Each page is in the nested tables, for reading. */
		for (i = 0; i < PAGES; i++)
			ASSERT_EQ(77 + round, watch_read(&play->worker,
							 GPA + i * PAGE_SIZE));
		watch_write(&play->worker, GPA + one * PAGE_SIZE, 99);
		for (i = 0; i < PAGES; i++) {
			uint64_t want = i == one ? 99 : 77 + round;

			ASSERT_EQ(want, watch_read(&play->worker,
						   GPA + i * PAGE_SIZE));
			ASSERT_EQ(want, mem[i * 512]);
			ASSERT_EQ(i != one, is_merged(mem, i));
		}
	}
}

/* The guest counts in a page that keeps being merged when it looks equal. */
SLOW_TEST(ksm, merge_races_with_writes)
{
	struct play *play = &self->play;
	uint64_t *mem = play->mem, last = 0, value;
	unsigned int i;

	if (!play->vm)
		SKIP(return, "no CONFIG_KSM");
	fill(mem, 0);
	watch_set(&play->worker, WATCH_COUNT, GPA, 0);
	for_rounds (i, 200, 3) {
		ASSERT_TRUE(watch_round(&play->worker));
		value = READ_ONCE(*mem);
		ASSERT_LT(last, value);
		last = value;
		/* What the others must keep. */
		ASSERT_EQ(0, mem[512 + i % (PAGES - 1) * 512]);
	}
}

SLAT_HARNESS_MAIN
