// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2: guest memory is swapped out and in while the guest writes to it, because
 * the VMM asks for it or because its cgroup is short of memory. Nothing that
 * the guest wrote is ever lost, not even when the nested tables alone know that
 * it wrote: their dirty bits reach the host's page.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "harness.h"
#include "worker.h"

SLOW_TESTS(swap);

#define PAGES		64
#define SIZE		(PAGES * PAGE_SIZE)
#define ROUNDS		300
#define GPA		VM_PLAY_GPA

static bool has_swap(void)
{
	return file_field("/proc/meminfo", "SwapTotal") > 0;
}

static void page_out_once(void *mem, size_t size)
{
	REQUIRE(!madvise(mem, size, MADV_PAGEOUT), "MADV_PAGEOUT: %s",
		strerror(errno));
}

/* What the guest has used of late, the first time only ages. */
static void page_out(void *mem, size_t size)
{
	page_out_once(mem, size);
	page_out_once(mem, size);
}

#define PAGEMAP_SWAPPED	(1ull << 62)

static unsigned long swapped_pages(void *mem, size_t size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned long at, count = 0;
	uint64_t entry;

	REQUIRE(fd >= 0, "no pagemap");
	for (at = (uintptr_t)mem; at < (uintptr_t)mem + size; at += PAGE_SIZE) {
		REQUIRE(pread(fd, &entry, 8, at / PAGE_SIZE * 8) == 8,
			"pagemap");
		count += !!(entry & PAGEMAP_SWAPPED);
	}
	close(fd);
	return count;
}

/* Pages so far; -1 on kernels that do not count them. */
static long swapped_out(void)
{
	return file_field("/proc/vmstat", "pswpout");
}

/* A round in which the guest used each page again may leave all of them where they are. */
static bool enough_left(long before)
{
	return before < 0 || swapped_out() - before >= 2 * PAGES;
}

SLOW_TEST(swap, under_a_mixing_guest)
{
	struct play play;
	double end;
	long before;
	int i;

	if (!has_swap())
		SKIP(return, "no swap");
	before = swapped_out();
	play_mix(&play, NULL, SIZE);
	end = now() + 5;
	for (i = 0; i < ROUNDS && (now() < end || !enough_left(before)); i++) {
		page_out(play.mem, SIZE);
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	}
	EXPECT_TRUE(enough_left(before));
	EXPECT_TRUE(play_end(&play));
}

/* Page after page, so that the guest meets each state in between. */
SLOW_TEST(swap, page_by_page)
{
	struct play play;
	int i;

	if (!has_swap())
		SKIP(return, "no swap");
	play_mix(&play, NULL, 16 * PAGE_SIZE);
	for_rounds (i, 16 * ROUNDS, 3)
		page_out(play.mem + i % 16 * PAGE_SIZE, PAGE_SIZE);
	ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	EXPECT_TRUE(play_end(&play));
}

/* Out, in by a read of the host, written by the guest only, out again. */
SLOW_TEST(swap, guest_alone_writes)
{
	uint64_t *mem, i;
	struct play play;

	if (!has_swap())
		SKIP(return, "no swap");
	/* What another CPU has on its way to the LRU lists does not leave. */
	pin(0);
	play_watch(&play, NULL, PAGE_SIZE, 0);
	mem = play.mem;
	for_rounds (i, ROUNDS, 3) {
		*mem = i;
		page_out(mem, PAGE_SIZE);
		ASSERT_EQ(1, swapped_pages(mem, PAGE_SIZE));
		ASSERT_EQ(i, READ_ONCE(*mem));
		ASSERT_EQ(i, watch_read(&play.worker, GPA));
		watch_write(&play.worker, GPA, i + 5000);
		page_out(mem, PAGE_SIZE);
		ASSERT_EQ(1, swapped_pages(mem, PAGE_SIZE));
		if (i % 2) {
			ASSERT_EQ(i + 5000, watch_read(&play.worker, GPA));
		}
		ASSERT_EQ(i + 5000, READ_ONCE(*mem));
	}
	EXPECT_TRUE(play_end(&play));
}

/*
 * The host's entry is writable and clean after MADV_FREE. Only the guest's
 * dirty bit then keeps reclaim from dropping the page.
 */
SLOW_TEST(swap, dirty_in_the_nested_tables_only)
{
	uint64_t *mem, i;
	struct play play;
	unsigned int page;

	pin(0);
	play_watch(&play, NULL, 8 * PAGE_SIZE, 0);
	mem = play.mem;
	for_rounds (i, ROUNDS / 4, 3) {
		for (page = 0; page < 8; page++)
			mem[page * 512] = i;
		ASSERT_EQ(0, madvise(mem, 8 * PAGE_SIZE, MADV_FREE));
		for (page = 0; page < 8; page++)
			watch_write(&play.worker, GPA + page * PAGE_SIZE,
				    i * 100 + page);
		page_out(mem, 8 * PAGE_SIZE);
		for (page = 0; page < 8; page++)
			ASSERT_EQ(i * 100 + page, mem[page * 512]);
	}
	EXPECT_TRUE(play_end(&play));
}

/* --- short of memory */

#define CGROUP		"/sys/fs/cgroup/slat-swap-test"
#define SHORT_PAGES	1200
#define SHORT_LIMIT	"4M"	/* of nearly 5M that the guest goes round */

static bool cgroup_enter(void)
{
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return false;
	return !file_write(CGROUP "/memory.max", SHORT_LIMIT) &&
	       !file_write(CGROUP "/cgroup.procs", "0");
}

static void cgroup_leave(void)
{
	file_write("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(CGROUP);
}

SLOW_TEST(swap, short_of_memory)
{
	struct play play;

	if (!has_swap())
		SKIP(return, "no swap");
	if (!cgroup_enter())
		SKIP(return, "no memory cgroup");
	play_mix(&play, NULL, SHORT_PAGES * PAGE_SIZE);
	EXPECT_LT(100, swapped_pages(play.mem, SHORT_PAGES * PAGE_SIZE));
	EXPECT_EQ(0, file_field(CGROUP "/memory.events", "oom_kill"));
	EXPECT_EQ(0, play.worker.efaults);
	cgroup_leave();
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
