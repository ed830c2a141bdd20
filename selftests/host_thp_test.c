// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2: the host makes huge pages of a running guest's memory, splits them,
 * moves pages to other frames, or has huge pages from the start (hugetlbfs).
 * The guest finds what it wrote.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "harness.h"
#include "worker.h"

SLOW_TESTS(thp);

#define ROUNDS		40

/* Does a huge page of the host map this address? In kB. */
static long huge_kb(const void *mem)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool is_ours = false;
	char line[256];
	long kb = -1;

	REQUIRE(smaps, "no smaps");
	while (kb < 0 && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_ours = start <= (uintptr_t)mem &&
				  (uintptr_t)mem < end;
		else if (is_ours)
			sscanf(line, "AnonHugePages: %ld", &kb);
	}
	fclose(smaps);
	return kb;
}

static void small_pages(void *mem, size_t size)
{
	REQUIRE(!madvise(mem, size, MADV_NOHUGEPAGE), "no small pages");
}

SLOW_TEST(thp, collapsed_and_split)
{
	unsigned int i, huge = 0;
	struct play play;
	void *mem;

	mem = mem_huge_area(HUGE);
	small_pages(mem, HUGE);
	play_mix(&play, mem, HUGE);
	if (madvise(mem, HUGE, MADV_HUGEPAGE)) {
		play_end(&play);
		SKIP(return, "no transparent huge pages");
	}
	for_rounds (i, ROUNDS, 5) {
		if (!madvise(mem, HUGE, MADV_COLLAPSE) && huge_kb(mem) > 0)
			huge++;
		else if (errno == EINVAL)
			break;
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
		/* Split by a change of one page's rights. */
		ASSERT_EQ(0, mprotect(mem + 5 * PAGE_SIZE, PAGE_SIZE,
				      PROT_READ));
		ASSERT_EQ(0, mprotect(mem + 5 * PAGE_SIZE, PAGE_SIZE,
				      PROT_READ | PROT_WRITE));
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	}
	EXPECT_TRUE(play_end(&play));
	if (!huge)
		SKIP(return, "no MADV_COLLAPSE");
}

#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"

static bool khugepaged_set(const char *sleep_ms, const char *pages)
{
	return !file_write(KHUGEPAGED "pages_to_scan", pages) &&
	       !file_write(KHUGEPAGED "scan_sleep_millisecs", sleep_ms);
}

/* Collapsed by the kernel, in its own time, which the test machine leaves it none of. */
SLOW_TEST(thp, collapsed_by_khugepaged)
{
	void *mem = mem_huge_area(HUGE);
	unsigned int i, huge = 0;
	struct play play;

	small_pages(mem, HUGE);
	play_mix(&play, mem, HUGE);
	if (madvise(mem, HUGE, MADV_HUGEPAGE) || !khugepaged_set("0", "100000")) {
		play_end(&play);
		SKIP(return, "no transparent huge pages");
	}
	for_rounds (i, ROUNDS, 5) {
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
		/* It is the last that gets a CPU. */
		usleep(50000);
		huge += huge_kb(mem) > 0;
		ASSERT_EQ(0, mprotect(mem + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ));
		ASSERT_EQ(0, mprotect(mem + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE));
	}
	khugepaged_set("4294967295", "1");
	EXPECT_TRUE(play_end(&play));
	if (!huge)
		SKIP(return, "khugepaged had no time");
}

static void *map_huge_at(void *at)
{
	void *mem = mmap(at, HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return madvise(mem, HUGE, MADV_HUGEPAGE) ? NULL : mem;
}

/* Part of a huge page goes; the guest sees zeros there and the rest stays. */
SLOW_TEST(thp, part_thrown_away)
{
	struct play play;
	unsigned int i, huge = 0;
	uint64_t *mem;

	mem = mem_huge_area(HUGE);
	if (madvise(mem, HUGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages");
	play_watch(&play, mem, HUGE, 0);
	for_rounds (i, ROUNDS, 5) {
		uint64_t *page = mem + (1 + i * 37 % 510) * 512;
		const uint64_t gpa = VM_PLAY_GPA + (page - mem) * 8;

		ASSERT_EQ(mem, map_huge_at(mem));
		/* The host's first touch makes a huge page. */
		*mem = i;
		huge += huge_kb(mem) > 0;
		watch_write(&play.worker, gpa, 5);
		watch_write(&play.worker, gpa + PAGE_SIZE, 6);
		ASSERT_EQ(0, madvise(page, PAGE_SIZE, MADV_DONTNEED));
		ASSERT_EQ(0, watch_read(&play.worker, gpa));
		ASSERT_EQ(6, watch_read(&play.worker, gpa + PAGE_SIZE));
		ASSERT_EQ(6, page[512]);
		ASSERT_EQ(i, watch_read(&play.worker, VM_PLAY_GPA));
	}
	EXPECT_TRUE(play_end(&play));
	if (!huge)
		SKIP(return, "no huge page to be had");
}

/* --- hugetlbfs */

SLOW_TEST(thp, hugetlb)
{
	static const char pool[] = "/proc/sys/vm/nr_hugepages";
	struct play play;
	unsigned int i;
	uint64_t *mem;
	long pages;

	file_write(pool, "4");
	/* Fewer where memory is in pieces. */
	pages = file_number(pool);
	mem = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (pages < 0 || mem == MAP_FAILED)
		SKIP(return, "no hugetlb pages");
	play_mix(&play, mem, 2 * HUGE);
	ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 2));
	EXPECT_TRUE(play_end(&play));

	/* Thrown away in whole, with a guest that reads. */
	play_watch(&play, mem, 2 * HUGE, 0);
	for_rounds (i, ROUNDS, 3) {
		watch_write(&play.worker, VM_PLAY_GPA + HUGE + 8, 5);
		ASSERT_EQ(5, mem[HUGE / 8 + 1]);
		ASSERT_EQ(0, madvise(mem, 2 * HUGE, MADV_DONTNEED));
		ASSERT_EQ(0, watch_read(&play.worker,
					VM_PLAY_GPA + HUGE + 8));
	}
	/* Gone for good: no page of it is left behind. */
	ASSERT_EQ(0, munmap(mem, 2 * HUGE));
	EXPECT_EQ(pages, file_field("/proc/meminfo", "HugePages_Free"));
	watch_set(&play.worker, WATCH_NOTHING, 0, 0);
	EXPECT_TRUE(play_end(&play));
	file_write(pool, "0");
}

/* --- other frames for the same pages */

#define MOVE_PAGES	256

static unsigned int moved(const void *mem, uint64_t *frames)
{
	unsigned int i, count = 0;

	for (i = 0; i < MOVE_PAGES; i++) {
		uint64_t frame_now = mem_frame(mem + i * PAGE_SIZE);

		count += frame_now && frames[i] && frame_now != frames[i];
		if (frame_now)
			frames[i] = frame_now;
	}
	return count;
}

#define PIECES	32

/* Newer kernels let each CPU keep much of what was freed, and have it give some back here. */
static void free_for_all(void)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		file_write("/proc/sys/vm/stat_refresh", "1");
}

/*
 * Compaction moves pages to free ones that lie higher, among others that are in use. So
 * of many pieces of memory the lowest is kept, and a page of each of the others.
 */
static void *below_holes(size_t size)
{
	void *mem = mem_alloc(PIECES * size), *low = mem, *at;

	small_pages(mem, PIECES * size);
	memset(mem, 0, PIECES * size);
	for (at = mem; at < mem + PIECES * size; at += size)
		if (mem_frame(at) < mem_frame(low))
			low = at;
	for (at = mem; at < mem + PIECES * size; at += size)
		if (at != low)
			madvise(at + PAGE_SIZE, size - PAGE_SIZE, MADV_DONTNEED);
	free_for_all();
	return low;
}

SLOW_TEST(thp, compacted)
{
	uint64_t frames[MOVE_PAGES] = { 0 };
	const double enough = now() + 6;
	unsigned int i, total = 0;
	struct play play;

	if (file_write("/proc/sys/vm/compact_memory", "1"))
		SKIP(return, "no CONFIG_COMPACTION");
	/* Where memory lies well, the kernel moves nothing for some rounds. */
	for_rounds (i, 100, 20) {
		if (total && (i >= 10 || now() > enough))
			break;
		play_mix(&play, below_holes(MOVE_PAGES * PAGE_SIZE), MOVE_PAGES * PAGE_SIZE);
		moved(play.mem, frames);
		file_write("/proc/sys/vm/compact_memory", "1");
		total += moved(play.mem, frames);
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
		EXPECT_TRUE(play_end(&play));
		/* Stays, so that the next one has other frames. */
	}
	EXPECT_LT(0, total);
}

#define MPOL_MF_MOVE	2

/* Between nodes: a machine started with two of them only. */
SLOW_TEST(thp, moved_between_nodes)
{
	void *pages[MOVE_PAGES];
	int nodes[MOVE_PAGES], status[MOVE_PAGES];
	unsigned int i, k, total = 0;
	struct play play;

	if (file_number("/sys/devices/system/node/node1/distance") < 0)
		SKIP(return, "one node only");
	play_mix(&play, NULL, MOVE_PAGES * PAGE_SIZE);
	for_rounds (i, ROUNDS, 5) {
		for (k = 0; k < MOVE_PAGES; k++) {
			pages[k] = play.mem + k * PAGE_SIZE;
			nodes[k] = (i + k / 16) % 2;
		}
		ASSERT_LE(0, syscall(SYS_move_pages, 0, (long)MOVE_PAGES, pages,
				     nodes, status, MPOL_MF_MOVE));
		for (k = 0; k < MOVE_PAGES; k++)
			total += status[k] == nodes[k];
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	}
	EXPECT_LT(i * MOVE_PAGES / 2, total);
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
