// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2: host memory that is unmapped, moved, protected, thrown away or truncated
 * while a guest uses it. KVM_RUN says -EFAULT as long as there is nothing to
 * touch, the guest goes on when there is, and never sees what was there before.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define ROUNDS		40
#define PAGES		4
#define SIZE		(PAGES * PAGE_SIZE)
#define GPA		VM_PLAY_GPA
#define WORDS		(PAGE_SIZE / sizeof(uint64_t))

static bool wait_efault(struct play *play)
{
	return worker_wait(&play->worker, &play->worker.efaults, 1);
}

static void *map_at(void *at, int prot)
{
	return mmap(at, PAGE_SIZE, prot,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* A word that the running guest counts up stands still. */
static bool stands_still(struct play *play, uint64_t *word)
{
	uint64_t was = READ_ONCE(*word);

	return wait_efault(play) && wait_efault(play) && READ_ONCE(*word) == was;
}

/* Count up at GPA, until the host sees that the guest does. */
static void count(struct play *play)
{
	uint64_t *mem = play->mem;

	watch_set(&play->worker, WATCH_COUNT, GPA, 0);
	worker_wait(&play->worker, mem, 1);
}

TEST(munmap_and_map_anew)
{
	struct play play;
	uint64_t *mem;
	uint64_t i;

	play_watch(&play, NULL, SIZE, 0);
	mem = play.mem;
	count(&play);
	for_rounds (i, ROUNDS, 3) {
		ASSERT_EQ(0, munmap(mem, PAGE_SIZE));
		ASSERT_TRUE(wait_efault(&play));
		ASSERT_EQ(mem, map_at(mem, PROT_READ | PROT_WRITE));
		/* The new page, from 0, not the old one and its count. */
		ASSERT_TRUE(worker_wait(&play.worker, mem, 1));
		ASSERT_TRUE(watch_round(&play.worker));
		WRITE_ONCE(mem[1], i);
		ASSERT_EQ(i, watch_read(&play.worker, GPA + 8));
		count(&play);
	}
	EXPECT_TRUE(play_end(&play));
}

/* While one vCPU has nothing to touch, another one of that VM works. */
TEST(other_vcpu_goes_on)
{
	struct worker other;
	struct mix *mix;
	struct play play;
	void *mem = mem_alloc(SIZE);

	play_watch(&play, NULL, SIZE, 0);
	vm_slot(play.vm, 2, 0, GPA + SIZE, SIZE, mem);
	struct vcpu *vcpu = vcpu_create(play.vm, 1);
	mix = mix_enter(vcpu, 1, GPA + SIZE, PAGES, PAGE_SIZE);
	worker_start(&other, vcpu);
	count(&play);
	ASSERT_EQ(0, munmap(play.mem, PAGE_SIZE));
	ASSERT_TRUE(wait_efault(&play));
	EXPECT_TRUE(worker_wait(&other, &mix->rounds, 100));
	ASSERT_TRUE(wait_efault(&play));
	EXPECT_TRUE(worker_stop(&other));
	EXPECT_EQ(0, other.efaults);
	EXPECT_TRUE(mix_check(mix, mem));
	vcpu_destroy(vcpu);
	EXPECT_TRUE(play_end(&play));
}

TEST(mremap_away_and_back)
{
	void *away = mem_alloc(PAGE_SIZE);
	struct play play;
	uint64_t *mem, was;
	int i;

	play_watch(&play, NULL, SIZE, 0);
	mem = play.mem;
	count(&play);
	for_rounds (i, ROUNDS, 3) {
		ASSERT_EQ(away, mremap(mem, PAGE_SIZE, PAGE_SIZE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, away));
		was = READ_ONCE(*(uint64_t *)away);
		ASSERT_TRUE(stands_still(&play, away));
		ASSERT_EQ(mem, mremap(away, PAGE_SIZE, PAGE_SIZE,
				      MREMAP_MAYMOVE | MREMAP_FIXED, mem));
		ASSERT_TRUE(worker_wait(&play.worker, mem, 1));
		ASSERT_LT(was, READ_ONCE(*mem));
	}
	EXPECT_TRUE(play_end(&play));
}

/* After the call the guest sees zeros, never what was there. */
static void throw_away(struct __test_metadata *_metadata, struct play *play,
		       bool (*throw)(struct play *play))
{
	struct watch *watch = &guest_var(play->vm, guest_watch_state);
	uint64_t *mem = play->mem;
	uint64_t i;

	ASSERT_TRUE(watch_set(&play->worker, WATCH_READ, GPA, 0));
	for_rounds (i, ROUNDS, 3) {
		WRITE_ONCE(*mem, i);
		while (READ_ONCE(watch->seen) != i)
			ASSERT_TRUE(watch_round(&play->worker));
		ASSERT_TRUE(throw(play));
		ASSERT_TRUE(watch_round(&play->worker));
		ASSERT_EQ(0, READ_ONCE(watch->seen));
	}
	/* The same with a guest that wrote last. */
	for_rounds (i, ROUNDS, 3) {
		watch_write(&play->worker, GPA, i);
		ASSERT_EQ(i, READ_ONCE(*mem));
		ASSERT_TRUE(throw(play));
		ASSERT_EQ(0, watch_read(&play->worker, GPA));
	}
	EXPECT_EQ(0, play->worker.efaults);
}

static bool dontneed(struct play *play)
{
	return !madvise(play->mem, PAGE_SIZE, MADV_DONTNEED);
}

TEST(thrown_away)
{
	struct play play;

	play_watch(&play, NULL, SIZE, 0);
	throw_away(_metadata, &play, dontneed);
	EXPECT_TRUE(play_end(&play));
}

/* The kernel may throw the page away until it is written again. */
TEST(lazily_freed)
{
	struct play play;
	uint64_t *mem, seen, i;

	/* What another CPU has on its way to the LRU lists is not reclaimed. */
	pin(0);
	play_watch(&play, NULL, SIZE, 0);
	mem = play.mem;
	for_rounds (i, ROUNDS, 3) {
		watch_write(&play.worker, GPA, i);
		ASSERT_EQ(0, madvise(mem, PAGE_SIZE, MADV_FREE));
		seen = watch_read(&play.worker, GPA);
		ASSERT_TRUE(seen == 0 || seen == i);
		/* Only the nested tables know that the guest writes now. */
		watch_write(&play.worker, GPA, i + 1000);
		ASSERT_EQ(0, madvise(mem, PAGE_SIZE, MADV_PAGEOUT));
		ASSERT_EQ(i + 1000, i % 2 ? READ_ONCE(*mem) :
			  watch_read(&play.worker, GPA));
	}
	EXPECT_TRUE(play_end(&play));
}

/* Reads go on, a write is refused, and is done when it is allowed again. */
TEST(protect_against_writes)
{
	struct play play;
	uint64_t *mem, i;

	play_watch(&play, NULL, SIZE, 0);
	mem = play.mem;
	for_rounds (i, ROUNDS, 3) {
		count(&play);
		ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ));
		ASSERT_TRUE(stands_still(&play, mem));
		ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ | PROT_WRITE));
		ASSERT_TRUE(worker_wait(&play.worker, mem, 1));

		watch_set(&play.worker, WATCH_NOTHING, 0, 0);
		ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ));
		play.worker.efaults = 0;
		ASSERT_EQ(*mem, watch_read(&play.worker, GPA));
		ASSERT_EQ(0, play.worker.efaults);
		ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ | PROT_WRITE));
	}
	EXPECT_TRUE(play_end(&play));
}

TEST(protect_against_all)
{
	struct play play;
	uint64_t *mem, i;

	play_watch(&play, NULL, SIZE, 0);
	mem = play.mem;
	for_rounds (i, ROUNDS, 3) {
		WRITE_ONCE(*mem, i);
		ASSERT_TRUE(watch_set(&play.worker, WATCH_READ, GPA, 0));
		ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_NONE));
		ASSERT_TRUE(wait_efault(&play));
		ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ | PROT_WRITE));
		ASSERT_EQ(i, watch_read(&play.worker, GPA));
	}
	EXPECT_TRUE(play_end(&play));
}

/* A slot that may be written, over a mapping that may not. */
TEST(slot_over_readonly_mapping)
{
	struct play play;
	uint64_t *mem = mem_alloc(SIZE);

	*mem = 4711;
	ASSERT_EQ(0, mprotect(mem, SIZE, PROT_READ));
	play_watch(&play, mem, SIZE, 0);
	EXPECT_EQ(4711, watch_read(&play.worker, GPA));
	EXPECT_EQ(0, watch_read(&play.worker, GPA + PAGE_SIZE));
	EXPECT_EQ(0, play.worker.efaults);
	guest_var(play.vm, guest_watch_state).address = GPA;
	WRITE_ONCE(guest_var(play.vm, guest_watch_state).op, WATCH_COUNT);
	ASSERT_TRUE(wait_efault(&play));
	EXPECT_TRUE(stands_still(&play, mem));
	EXPECT_EQ(4711, *mem);
	ASSERT_EQ(0, mprotect(mem, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(worker_wait(&play.worker, mem, 1));
	EXPECT_TRUE(play_end(&play));
}

/* --- files */

static int memfd;

static void *map_memfd(void)
{
	void *mem;

	memfd = memfd_create("guest", MFD_CLOEXEC);
	REQUIRE(memfd >= 0 && !ftruncate(memfd, SIZE), "no memfd");
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	REQUIRE(mem != MAP_FAILED, "mmap of the memfd");
	return mem;
}

static bool punch(struct play *play)
{
	return !fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  PAGE_SIZE);
}

TEST(hole_punched)
{
	struct play play;

	play_watch(&play, map_memfd(), SIZE, 0);
	throw_away(_metadata, &play, punch);
	EXPECT_TRUE(play_end(&play));
}

static bool truncate_and_grow(struct play *play)
{
	return !ftruncate(memfd, 0) && !ftruncate(memfd, SIZE);
}

TEST(truncated)
{
	struct play play;
	uint64_t *mem, i;

	play_watch(&play, map_memfd(), SIZE, 0);
	mem = play.mem;
	for_rounds (i, ROUNDS, 3) {
		count(&play);
		ASSERT_EQ(0, ftruncate(memfd, 0));
		ASSERT_TRUE(wait_efault(&play));
		ASSERT_EQ(0, ftruncate(memfd, SIZE));
		ASSERT_TRUE(worker_wait(&play.worker, mem, 1));
	}
	EXPECT_TRUE(play_end(&play));

	play_watch(&play, mem, SIZE, 0);
	/* Too short a time for an -EFAULT, perhaps, but zeros for sure. */
	watch_set(&play.worker, WATCH_READ, GPA, 0);
	for_rounds (i, ROUNDS, 3) {
		*mem = i;
		ASSERT_EQ(i, watch_read(&play.worker, GPA));
		ASSERT_TRUE(truncate_and_grow(&play));
		ASSERT_EQ(0, watch_read(&play.worker, GPA));
	}
	EXPECT_TRUE(play_end(&play));
}

/* One page for the guest, for the file's readers, and for other mappings. */
TEST(shared_with_a_file)
{
	struct play play;
	uint64_t value, i;
	uint64_t *second;

	play_watch(&play, map_memfd(), SIZE, 0);
	second = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(MAP_FAILED, second);
	for_rounds (i, ROUNDS, 3) {
		const off_t at = i % PAGES * PAGE_SIZE + i * 8;

		watch_write(&play.worker, GPA + at, i);
		ASSERT_EQ(8, pread(memfd, &value, 8, at));
		ASSERT_EQ(i, value);
		ASSERT_EQ(i, second[at / 8]);
		value = i + 1000;
		ASSERT_EQ(8, pwrite(memfd, &value, 8, at));
		ASSERT_EQ(value, watch_read(&play.worker, GPA + at));
		second[at / 8] = i + 2000;
		ASSERT_EQ(i + 2000, watch_read(&play.worker, GPA + at));
	}
	EXPECT_TRUE(play_end(&play));
}

/* Private pages of a file: the guest's writes stay out of it. */
TEST(private_file_mapping)
{
	uint64_t value = 5, *mem;
	struct play play;

	map_memfd();
	ASSERT_EQ(8, pwrite(memfd, &value, 8, 0));
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	play_watch(&play, mem, SIZE, 0);
	EXPECT_EQ(5, watch_read(&play.worker, GPA));
	/* Not yet unshared by the read. */
	value = 6;
	ASSERT_EQ(8, pwrite(memfd, &value, 8, 0));
	EXPECT_EQ(6, watch_read(&play.worker, GPA));
	watch_write(&play.worker, GPA, 7);
	EXPECT_EQ(7, *mem);
	ASSERT_EQ(8, pread(memfd, &value, 8, 0));
	EXPECT_EQ(6, value);
	value = 8;
	ASSERT_EQ(8, pwrite(memfd, &value, 8, 0));
	EXPECT_EQ(7, watch_read(&play.worker, GPA));
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
