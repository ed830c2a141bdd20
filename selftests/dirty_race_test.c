// SPDX-License-Identifier: GPL-2.0-only
/*
 * D1, D4, B3: no write is lost while guests write, the log is read, the host takes memory
 * away and gives it back, and slots begin and cease to log.
 */
#include <sched.h>
#include <sys/mman.h>

#include "dirty.h"
#include "harness.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define MANUAL	KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define SECONDS	3

/* --- somebody who changes the guest's memory, but not its contents */

struct zapper {
	struct play *play;
	pthread_t thread;
	unsigned int seed;
	bool stop;
};

static void zap_some(struct zapper *zapper)
{
	const size_t pages = zapper->play->size / PAGE_SIZE;
	const size_t first = rand_r(&zapper->seed) % pages;
	const size_t nr = 1 + rand_r(&zapper->seed) % (pages - first);
	void *at = zapper->play->mem + first * PAGE_SIZE;

	switch (rand_r(&zapper->seed) % 4) {
	case 0:
		/* Where it cannot be had, nothing happens. */
		madvise(zapper->play->mem, HUGE, MADV_COLLAPSE);
		break;
	case 1:
		madvise(at, PAGE_SIZE, MADV_PAGEOUT);
		break;
	default:
		REQUIRE(!mprotect(at, nr * PAGE_SIZE, PROT_READ) &&
			!mprotect(at, nr * PAGE_SIZE, PROT_READ | PROT_WRITE), "mprotect");
	}
}

static void *zap(void *arg)
{
	struct zapper *zapper = arg;

	while (!READ_ONCE(zapper->stop)) {
		zap_some(zapper);
		sched_yield();
	}
	return NULL;
}

static void zapper_start(struct zapper *zapper, struct play *play)
{
	*zapper = (struct zapper){ .play = play, .seed = 1 };
	REQUIRE(!pthread_create(&zapper->thread, NULL, zap, zapper), "no thread");
}

static void zapper_stop(struct zapper *zapper)
{
	WRITE_ONCE(zapper->stop, true);
	pthread_join(zapper->thread, NULL);
}

/* --- a migration: the copy in the end is the guest's memory */

#define PAGES	1024
#define SIZE	(PAGES * PAGE_SIZE)

struct copy {
	struct play *play;
	uint8_t *page;
	uint64_t bitmap[DIRTY_WORDS(PAGES)];
	uint64_t manual;
	uint64_t copied;
};

static void copy_dirty(struct copy *copy)
{
	uint64_t i;

	for (i = 0; i < PAGES; i++) {
		if (!dirty_test(copy->bitmap, i))
			continue;
		memcpy(copy->page + i * PAGE_SIZE, copy->play->mem + i * PAGE_SIZE, PAGE_SIZE);
		copy->copied++;
	}
}

/* In pieces of 256 pages, as the protocol allows. */
static void clear_dirty(struct copy *copy)
{
	uint64_t i;

	for (i = 0; i < PAGES; i += 256)
		REQUIRE(!vm_try_clear_dirty(copy->play->vm, VM_PLAY_SLOT, i, 256,
					    copy->bitmap + i / 64), "no clear");
}

static void copy_round(struct copy *copy)
{
	REQUIRE(!vm_try_get_dirty(copy->play->vm, VM_PLAY_SLOT, copy->bitmap), "no dirty log");
	if (copy->manual)
		clear_dirty(copy);
	copy_dirty(copy);
}

/* All of it, unless the log says so itself. */
static void copy_start(struct copy *copy)
{
	play_flags(copy->play, LOG);
	if (copy->manual & KVM_DIRTY_LOG_INITIALLY_SET)
		return;
	memset(copy->bitmap, 0xff, sizeof(copy->bitmap));
	copy_dirty(copy);
}

FIXTURE(migrate) { int none; };
FIXTURE_SETUP(migrate) { }
FIXTURE_TEARDOWN(migrate) { }
FIXTURE_VARIANT(migrate) { uint64_t manual; };
FIXTURE_VARIANT_ADD(migrate, plain) { };
FIXTURE_VARIANT_ADD(migrate, manual) { .manual = MANUAL };
FIXTURE_VARIANT_ADD(migrate, all_dirty) { .manual = MANUAL | KVM_DIRTY_LOG_INITIALLY_SET };

TEST_F_TIMEOUT(migrate, D4_copy_is_complete, 120)
{
	struct copy copy = { .manual = variant->manual, .page = mem_alloc(SIZE) };
	void *mem = mem_huge_area(SIZE);
	struct zapper zapper;
	struct play play;
	unsigned int i;

	madvise(mem, SIZE, MADV_HUGEPAGE);
	play_mix(&play, mem, SIZE);
	copy.play = &play;
	if (variant->manual)
		ASSERT_EQ(0, vm_try_dirty_manual(play.vm, variant->manual));
	zapper_start(&zapper, &play);
	copy_start(&copy);
	for_rounds (i, look_often(100000), look_for(SECONDS)) {
		if (i % 50 == 49) {
			play_flags(&play, 0);
			worker_wait(&play.worker, &play.mix->rounds, 1);
			copy_start(&copy);
		}
		copy_round(&copy);
	}
	zapper_stop(&zapper);
	ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	worker_stop(&play.worker);
	copy_round(&copy);
	EXPECT_EQ(0, memcmp(copy.page, mem, SIZE));
	/* The log is exact: nobody writes any more. */
	EXPECT_LT(0, copy.copied);
	EXPECT_TRUE(PLAY_DIRTY(&play));
	worker_start(&play.worker, play.vcpu);
	EXPECT_TRUE(play_end(&play));
}

/* --- two who read the log: each write is told to one of them */

struct harvester {
	struct vm *vm;
	pthread_t thread;
	uint64_t *seen;
	unsigned long rounds;
	bool stop;
};

static void *harvest(void *arg)
{
	struct harvester *harvester = arg;
	uint64_t bitmap[DIRTY_WORDS(PAGES)];
	unsigned int i;

	while (!READ_ONCE(harvester->stop)) {
		REQUIRE(!vm_try_get_dirty(harvester->vm, VM_PLAY_SLOT, bitmap), "no dirty log");
		for (i = 0; i < DIRTY_WORDS(PAGES); i++)
			__atomic_or_fetch(&harvester->seen[i], bitmap[i], __ATOMIC_RELAXED);
		__atomic_add_fetch(&harvester->rounds, 1, __ATOMIC_RELEASE);
		sched_yield();
	}
	return NULL;
}

SLOW_TESTS(race);

SLOW_TEST(race, D4_two_harvesters)
{
	uint64_t seen[DIRTY_WORDS(PAGES)];
	struct harvester harvester[2];
	struct zapper zapper;
	struct play play;
	unsigned int i, k;

	play_mix(&play, NULL, SIZE);
	play_flags(&play, LOG);
	zapper_start(&zapper, &play);
	for (k = 0; k < 2; k++) {
		harvester[k] = (struct harvester){ .vm = play.vm, .seen = seen };
		ASSERT_EQ(0, pthread_create(&harvester[k].thread, NULL, harvest, &harvester[k]));
	}
	for_rounds (i, look_often(10000), look_for(SECONDS)) {
		for (k = 0; k < DIRTY_WORDS(PAGES); k++)
			__atomic_store_n(&seen[k], 0, __ATOMIC_RELAXED);
		/* All pages are written, and then read by both. */
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 2));
		ASSERT_TRUE(worker_wait(&play.worker, &harvester[0].rounds, 2));
		ASSERT_TRUE(worker_wait(&play.worker, &harvester[1].rounds, 2));
		EXPECT_EQ(PAGES, dirty_count(seen, PAGES));
	}
	for (k = 0; k < 2; k++) {
		WRITE_ONCE(harvester[k].stop, true);
		pthread_join(harvester[k].thread, NULL);
	}
	zapper_stop(&zapper);
	EXPECT_TRUE(play_end(&play));
}

/* --- the slot comes, moves and goes while its log is read */

static void *read_log(void *arg)
{
	struct harvester *harvester = arg;
	uint64_t bitmap[DIRTY_WORDS(PAGES)];
	int ret;

	while (!READ_ONCE(harvester->stop)) {
		ret = vm_try_get_dirty(harvester->vm, VM_PLAY_SLOT, bitmap);
		REQUIRE(!ret || ret == -ENOENT, "%d", ret);
		ret = vm_try_clear_dirty(harvester->vm, VM_PLAY_SLOT, 64, 64, bitmap);
		REQUIRE(!ret || ret == -ENOENT, "%d", ret);
	}
	return NULL;
}

SLOW_TEST(race, D1_slot_changes)
{
	struct harvester harvester[2];
	struct zapper zapper;
	struct play play;
	unsigned int i, k;

	play_watch(&play, NULL, SIZE, LOG);
	watch_set(&play.worker, WATCH_COUNT, VM_PLAY_GPA + 9 * PAGE_SIZE, 0);
	zapper_start(&zapper, &play);
	for (k = 0; k < 2; k++) {
		harvester[k] = (struct harvester){ .vm = play.vm };
		ASSERT_EQ(0, pthread_create(&harvester[k].thread, NULL, read_log, &harvester[k]));
	}
	for_rounds (i, look_often(10000), look_for(SECONDS)) {
		play_flags(&play, i % 2 ? LOG : 0);
		vm_slot(play.vm, VM_PLAY_SLOT, LOG, VM_PLAY_GPA + 2 * MIB, SIZE, play.mem);
		vm_slot_delete(play.vm, VM_PLAY_SLOT);
		play_flags(&play, LOG);
	}
	for (k = 0; k < 2; k++) {
		WRITE_ONCE(harvester[k].stop, true);
		pthread_join(harvester[k].thread, NULL);
	}
	zapper_stop(&zapper);
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
