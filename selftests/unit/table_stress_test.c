// SPDX-License-Identifier: GPL-2.0-only
/*
 * B3: threads at once: some map, widen and split, some are CPUs that walk the tables
 * without a lock, one looks for A bits and clears them, one takes D bits and the host's
 * pages away.  Built with the thread sanitizer.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <linux/bug.h>

#include "check.h"
#include "hardware.h"
#include "tables.h"

#define GFNS		64
#define ZAPS		1500	/* or as many as there is time for */
#define ZAPS_MIN	50
#define SECONDS		10
#define FRAMES		(GFNS * (ZAPS + 2))
#define BLOCKS		8
#define BLOCK_FRAMES	(BLOCKS * (ZAPS + 2))
#define FIRST_BLOCK	(1ULL << 30)	/* frame */
#define MAPPERS		2
#define CPUS		2
#define LEVELS		4

#define USED_D		1	/* of A the host gets less than was used, for there is ageing */

char check_note[80];

/*
 * @frame:	the host's page for each gfn; changes under mmu.lock for write
 * @owner:	the gfn that a frame is or was for, by index
 * @used:	what guest accesses did to a frame, USED_*
 * @host:	what the host has been told of it, USED_*
 * @gone:	flushed: no CPU may reach the frame any more
 * @block:	the same for blocks of 2M, which the host has as a whole
 * @guest:	CPUs hold it for read while they run the guest: taking it for write
 *		is the flush, which stops them all
 * @mapped:	maps that succeeded
 * @granted:	accesses of CPUs that succeeded
 */
static struct stress {
	struct slat_mmu mmu;
	struct slat_root root;
	struct hw hw;
	u64 frame[GFNS];
	u64 frames;
	u8 owner[FRAMES];
	u8 used[FRAMES];
	u8 host[FRAMES];
	bool gone[FRAMES];
	struct {
		u64 frame[BLOCKS];
		u64 frames;
		u8 owner[BLOCK_FRAMES];
		u8 used[BLOCK_FRAMES];
		u8 host[BLOCK_FRAMES];
		bool gone[BLOCK_FRAMES];
	} block;
	pthread_rwlock_t guest;
	unsigned int mapped;
	unsigned int granted;
	bool stop;
} stress;

/* Four per table, four tables in each of four places. */
static u64 gfn_of(unsigned int n)
{
	return (u64)(n >> 4) << 18 | (n & 12) << 7 | (n & 3) << 5;
}

/* Two per table of level 2, far from the others. */
static u64 block_gfn(unsigned int n)
{
	return 1ULL << 27 | (u64)(n >> 1) << 18 | (n & 1) << 9;
}

static unsigned int next_random(unsigned int *state, unsigned int below)
{
	return rand_r(state) % below;
}

static unsigned int read_count(const unsigned int *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

/* Relaxed: the count must not order what is under test. */
static void count(unsigned int *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

static bool stopped(void)
{
	return __atomic_load_n(&stress.stop, __ATOMIC_RELAXED);
}

/* More threads than CPUs: no time slice is used up. */
static void yield_sometimes(unsigned int i)
{
	if (i % 32 == 0)
		sched_yield();
}

/* Lets others in where a race can be lost, which they hardly ever hit by chance. */
static bool yield_before_exchange(u64 *entry, u64 old, u64 new)
{
	static _Thread_local unsigned int exchanges;

	if (exchanges++ % 8 == 0)
		sched_yield();
	return true;
}

/* The host has another page for the gfn from now on. */
static void replace_frame(unsigned int n)
{
	CHECK(stress.frames < FRAMES);
	stress.owner[stress.frames] = n;
	stress.frame[n] = stress.frames++;
}

static void replace_block(unsigned int n)
{
	CHECK(stress.block.frames < BLOCK_FRAMES);
	stress.block.owner[stress.block.frames] = n;
	stress.block.frame[n] = stress.block.frames++;
}

static void on_return(u64 pfn, bool accessed, bool dirty)
{
	if (pfn >= FIRST_BLOCK) {
		/* Of the whole leaf, or of any of its parts. */
		stress.block.host[(pfn - FIRST_BLOCK) / 512] |= dirty ? USED_D : 0;
		return;
	}
	CHECK(pfn < stress.frames);
	stress.host[pfn] |= dirty ? USED_D : 0;
}

/* A fault of a vCPU: the page is looked up and mapped under one lock here. */
static void map_one(struct slat_cache *cache, unsigned int *seed)
{
	const unsigned int n = next_random(seed, GFNS);
	struct slat_map map = {
		.gfn = gfn_of(n),
		.level = 1,
		.rights = SLAT_R | next_random(seed, 4) << 1,
		.type = SLAT_MT_WB,
		.cache = cache,
	};
	int ret;

	read_lock(&stress.mmu.lock);
	map.pfn = stress.frame[n];
	ret = stress.mmu.ops->map(&stress.mmu, &stress.root, &map);
	CHECK(!ret || ret == -EAGAIN);
	if (!ret) {
		const struct hw_leaf leaf = hw_peek(&stress.hw, map.gfn);

		CHECK(leaf.frame == map.pfn && !(map.rights & ~leaf.rights));
		count(&stress.mapped);
	}
	read_unlock(&stress.mmu.lock);
}

/* A fault in a block: large or small, and a right that lacks splits. */
static void map_in_block(struct slat_cache *cache, unsigned int *seed)
{
	const unsigned int n = next_random(seed, BLOCKS), offset = next_random(seed, 512);
	struct slat_map map = {
		.gfn = block_gfn(n) + offset,
		.level = 1 + next_random(seed, 2),
		.rights = SLAT_R | next_random(seed, 4) << 1,
		.type = SLAT_MT_WB,
		.keep_small = !next_random(seed, 4),
		.cache = cache,
	};
	int ret;

	read_lock(&stress.mmu.lock);
	map.pfn = FIRST_BLOCK + stress.block.frame[n] * 512 + offset;
	ret = stress.mmu.ops->map(&stress.mmu, &stress.root, &map);
	CHECK(!ret || ret == -EAGAIN || ret == -EBUSY);
	if (!ret) {
		const struct hw_leaf leaf = hw_peek(&stress.hw, map.gfn);

		CHECK(leaf.frame == map.pfn && !(map.rights & ~leaf.rights));
		count(&stress.mapped);
	}
	read_unlock(&stress.mmu.lock);
}

/* Two pages of a table. */
static void map_run(struct slat_cache *cache, unsigned int *seed)
{
	const unsigned int n = next_random(seed, GFNS / 2) * 2;
	u64 pfn[33];
	u8 rights[33];
	const struct slat_run run = {
		.gfn = gfn_of(n), .nr = 33, .pfn = pfn, .rights = rights, .type = SLAT_MT_WB,
		.cache = cache,
	};
	unsigned int i;
	int ret;

	for (i = 0; i < 33; i++) {
		pfn[i] = SLAT_PFN_NONE;
		rights[i] = SLAT_R | next_random(seed, 4) << 1;
	}
	CHECK(gfn_of(n + 1) == gfn_of(n) + 32);
	read_lock(&stress.mmu.lock);
	pfn[0] = stress.frame[n];
	pfn[32] = stress.frame[n + 1];
	ret = stress.mmu.ops->map_run(&stress.mmu, &stress.root, &run);
	read_unlock(&stress.mmu.lock);
	CHECK((ret >= 0 && ret <= 2) || ret == -EAGAIN);
}

static void *mapper(void *arg)
{
	unsigned int i, seed = (uintptr_t)arg;
	struct slat_cache cache;

	slat_cache_init(&cache, stress.hw.format->empty);
	for (i = 1; !stopped(); i++) {
		CHECK(!slat_cache_fill(&cache, LEVELS - 1));
		if (i % 4 == 0)
			map_run(&cache, &seed);
		else if (i % 4 == 1)
			map_in_block(&cache, &seed);
		else
			map_one(&cache, &seed);
		yield_sometimes(i);
	}
	slat_cache_drain(&cache);
	return NULL;
}

static void access_one(unsigned int n, unsigned int kind)
{
	uint64_t frame;

	if (!hw_access(&stress.hw, gfn_of(n), kind, &frame))
		return;
	CHECK(frame < FRAMES);
	CHECK(stress.owner[frame] == n);
	CHECK(!stress.gone[frame]);
	__atomic_fetch_or(&stress.used[frame], kind == HW_WRITE ? USED_D : 0,
			  __ATOMIC_RELAXED);
	count(&stress.granted);
}

static void access_block(unsigned int n, unsigned int offset, unsigned int kind)
{
	uint64_t frame, block;

	if (!hw_access(&stress.hw, block_gfn(n) + offset, kind, &frame))
		return;
	CHECK(frame >= FIRST_BLOCK && frame % 512 == offset);
	block = (frame - FIRST_BLOCK) / 512;
	CHECK(block < BLOCK_FRAMES);
	CHECK(stress.block.owner[block] == n);
	CHECK(!stress.block.gone[block]);
	__atomic_fetch_or(&stress.block.used[block], kind == HW_WRITE ? USED_D : 0,
			  __ATOMIC_RELAXED);
	count(&stress.granted);
}

static void *cpu(void *arg)
{
	unsigned int i, seed = (uintptr_t)arg;

	for (i = 1; !stopped(); i++) {
		pthread_rwlock_rdlock(&stress.guest);
		access_one(next_random(&seed, GFNS), 1U << next_random(&seed, 3));
		access_block(next_random(&seed, BLOCKS), next_random(&seed, 512),
			     1U << next_random(&seed, 3));
		pthread_rwlock_unlock(&stress.guest);
		yield_sometimes(i);
	}
	return NULL;
}

static void *ager(void *arg)
{
	unsigned int i, seed = (uintptr_t)arg;

	for (i = 1; !stopped(); i++) {
		const u64 first = gfn_of(next_random(&seed, GFNS));

		read_lock(&stress.mmu.lock);
		stress.mmu.ops->age(&stress.mmu, &stress.root, first,
				    i % 256 ? first + 99 : ~0ULL, next_random(&seed, 2));
		read_unlock(&stress.mmu.lock);
		sched_yield();
	}
	return NULL;
}

/* Frames and blocks that were taken away and may still be in use. */
struct going {
	u64 frame[GFNS];
	unsigned int nr;
	u64 block[BLOCKS];
	unsigned int nr_blocks;
};


/* One batch, with the host's change of its pages under the same lock. */
static int zap_batch(struct slat_zap *zap, struct slat_gather *gather, struct going *going)
{
	const u64 from = zap->next;
	unsigned int n;
	u64 last;
	int ret;

	write_lock(&stress.mmu.lock);
	ret = stress.mmu.ops->zap(&stress.mmu, &stress.root, zap, gather);
	last = ret ? zap->next - 1 : zap->last;
	for (n = 0; n < GFNS; n++) {
		if (gfn_of(n) < from || gfn_of(n) > last)
			continue;
		going->frame[going->nr++] = stress.frame[n];
		replace_frame(n);
	}
	for (n = 0; n < BLOCKS; n++) {
		/* Once, also if the batch ends within it. */
		if (block_gfn(n) < from || block_gfn(n) > last)
			continue;
		going->block[going->nr_blocks++] = stress.block.frame[n];
		replace_block(n);
	}
	write_unlock(&stress.mmu.lock);
	return ret;
}

/* Now nobody uses the frames, and what was done to them is known to the host. */
static void retire(const struct going *going)
{
	unsigned int i;

	for (i = 0; i < going->nr; i++) {
		const u64 frame = going->frame[i];

		stress.gone[frame] = true;
		CHECK(stress.used[frame] == stress.host[frame]);
	}
	for (i = 0; i < going->nr_blocks; i++) {
		const u64 block = going->block[i];

		stress.block.gone[block] = true;
		/* All of a leaf counts as dirty when a part is. */
		CHECK(!(stress.block.used[block] & ~stress.block.host[block]));
	}
}

static void zap_range(u64 first, u64 last, bool prune)
{
	struct slat_zap zap = { .first = first, .last = last, .next = first, .prune = prune };
	struct going going = {};
	struct slat_gather gather;

	slat_gather_init(&gather, &stress.mmu);
	while (zap_batch(&zap, &gather, &going) == -EAGAIN)
		;
	pthread_rwlock_wrlock(&stress.guest);
	retire(&going);
	pthread_rwlock_unlock(&stress.guest);
	while (!list_empty(&gather.freed)) {
		struct slat_table *table = list_first_entry(&gather.freed, struct slat_table,
							    link);

		list_del(&table->link);
		slat_table_free(table);
	}
}

/* Before and after others have changed the same leaves. */
static void harvest_some(unsigned int *seed)
{
	struct slat_harvest harvest = { .next = gfn_of(next_random(seed, GFNS)) };
	int ret;

	harvest.last = next_random(seed, 8) ? harvest.next + 99 : ~0ULL;
	do {
		write_lock(&stress.mmu.lock);
		ret = stress.mmu.ops->harvest(&stress.mmu, &stress.root, &harvest);
		write_unlock(&stress.mmu.lock);
	} while (ret == -EAGAIN);
}

static void zap_some(unsigned int *seed)
{
	const bool block = !next_random(seed, 4);
	const u64 gfn = block ? block_gfn(next_random(seed, BLOCKS)) :
				gfn_of(next_random(seed, GFNS));
	const unsigned int level = next_random(seed, 8);
	const bool prune = next_random(seed, 2);
	/* A block goes as a whole. */
	const u64 span = 1ULL << (9 * (level > LEVELS ? block : level < block ? block : level));

	zap_range(gfn / span * span, gfn / span * span + span - 1, prune);
}

/* Let the others do something worth zapping. */
static void wait_for_others(void)
{
	const unsigned int mapped = read_count(&stress.mapped);
	const unsigned int granted = read_count(&stress.granted);

	while (read_count(&stress.mapped) - mapped < 8 ||
	       read_count(&stress.granted) - granted < 8)
		sched_yield();
}

/* Other programs may want the CPUs, too, and the harness ends a test after 30 s. */
static bool has_time(void)
{
	static struct timespec first;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!first.tv_sec)
		first = now;
	return now.tv_sec - first.tv_sec < SECONDS;
}

static void setup(const struct slat_table_ops *ops, const struct hw_format *format)
{
	pthread_rwlockattr_t attr;
	unsigned int n;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&stress.guest, &attr);
	pthread_rwlockattr_destroy(&attr);
	rwlock_init(&stress.mmu.lock);
	tables_on_return = on_return;
	shim_before_cmpxchg = yield_before_exchange;
	stress.mmu.ops = ops;
	stress.mmu.levels = LEVELS;
	stress.root.table = slat_table_alloc(format->empty);
	stress.root.table->level = LEVELS;
	atomic_long_inc(&stress.mmu.tables);
	stress.hw.format = format;
	stress.hw.root = (uint64_t *)stress.root.table->entry;
	stress.hw.levels = LEVELS;
	for (n = 0; n < GFNS; n++)
		replace_frame(n);
	for (n = 0; n < BLOCKS; n++)
		replace_block(n);
}

/*
 * What is still mapped is what the host has, with all that the guest did to it and the
 * host has not heard of yet.
 */
static long count_leaves(void)
{
	unsigned int n;
	long leaves = 0;

	for (n = 0; n < GFNS; n++) {
		const struct hw_leaf leaf = hw_peek(&stress.hw, gfn_of(n));
		const u64 frame = stress.frame[n];

		if (!leaf.rights) {
			CHECK(!stress.used[frame] && !stress.host[frame]);
			continue;
		}
		CHECK(leaf.frame == frame);
		CHECK((leaf.dirty || stress.host[frame]) == !!stress.used[frame]);
		leaves++;
	}
	return leaves;
}

static long count_block_leaves(unsigned int n)
{
	const u64 frame = FIRST_BLOCK + stress.block.frame[n] * 512;
	u8 dirty = stress.block.host[stress.block.frame[n]];
	unsigned int i, level = 1;
	long leaves = 0;

	for (i = 0; i < 512 && level == 1; i++) {
		const struct hw_leaf leaf = hw_peek(&stress.hw, block_gfn(n) + i);

		if (!leaf.rights)
			continue;
		CHECK(leaf.frame == frame + i);
		dirty |= leaf.dirty ? USED_D : 0;
		level = leaf.level;
		leaves++;
	}
	CHECK(!(stress.block.used[stress.block.frame[n]] & ~dirty));
	return leaves;
}

static long count_all_leaves(void)
{
	long leaves = count_leaves();
	unsigned int n;

	for (n = 0; n < BLOCKS; n++)
		leaves += count_block_leaves(n);
	return leaves;
}

static u64 place(unsigned int n)
{
	return n < GFNS ? gfn_of(n) : block_gfn(n - GFNS);
}

static long count_tables(void)
{
	uint64_t *seen[(GFNS + BLOCKS) * LEVELS];
	unsigned int level, n, i, nr = 0;

	for (level = 1; level < LEVELS; level++) {
		for (n = 0; n < GFNS + BLOCKS; n++) {
			uint64_t *table = hw_entry(&stress.hw, place(n), level);

			table = (uint64_t *)((uintptr_t)table & ~4095UL);
			for (i = 0; i < nr && seen[i] != table; i++)
				;
			if (table && i == nr)
				seen[nr++] = table;
		}
	}
	return nr;
}

static void run(struct __test_metadata *_metadata)
{
	pthread_t thread[MAPPERS + CPUS + 1];
	unsigned int i, seed = 1;

	for (i = 0; i <= MAPPERS + CPUS; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL,
					    !i ? ager : i <= MAPPERS ? mapper : cpu,
					    (void *)(uintptr_t)(i + 2)));
	for (i = 0; i < ZAPS && (i < ZAPS_MIN || has_time()); i++) {
		wait_for_others();
		harvest_some(&seed);
		zap_some(&seed);
	}
	__atomic_store_n(&stress.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i <= MAPPERS + CPUS; i++)
		pthread_join(thread[i], NULL);

	EXPECT_EQ(count_all_leaves(), tables_leaves(&stress.mmu));
	EXPECT_EQ(1 + count_tables(), atomic_long_read(&stress.mmu.tables));
	EXPECT_EQ(1 + count_tables(), tables_live());
	zap_range(0, (1ULL << (9 * LEVELS)) - 1, true);
	EXPECT_EQ(0, tables_leaves(&stress.mmu));
	EXPECT_EQ(1, atomic_long_read(&stress.mmu.tables));
	EXPECT_EQ(1, tables_live());
	EXPECT_EQ(0, atomic_read(&stress.root.table->live));
	EXPECT_EQ(0, shim_warnings);
	slat_table_free(stress.root.table);
}

TEST(mappers_cpus_and_zap_agree_in_the_end_npt)
{
	setup(&npt_table_ops, &hw_npt);
	run(_metadata);
}

TEST(mappers_cpus_and_zap_agree_in_the_end_ept)
{
	setup(&ept_table_ops, &hw_ept);
	run(_metadata);
}

TEST_HARNESS_MAIN
