// SPDX-License-Identifier: GPL-2.0-only
/* B2, M2, M3: leaves of 2M and 1G, runs of small ones, and ageing. */
#include <errno.h>
#include <kselftest_harness.h>

#include <linux/bug.h>

#include "check.h"
#include "rig.h"

/* Of interest, with others in the same 2M and in the same 1G. */
#define GFN		(3ULL << 18)
#define AFTER_2M	(GFN + 512)

FIXTURE(large)
{
	struct rig *rig;
	unsigned int page;
};

RIG_VARIANTS(large)

FIXTURE_SETUP(large)
{
	self->rig = rig_new(variant->format, variant->levels);
	self->page = rig_index(self->rig, GFN);
}

FIXTURE_TEARDOWN(large)
{
	rig_check(self->rig);
	rig_scan(self->rig);
	rig_free(self->rig);
}

static u64 span(unsigned int level)
{
	return 1ULL << (9 * (level - 1));
}

static struct model_map as(const struct rig *rig, unsigned int i, unsigned int level,
			   unsigned int rights)
{
	return (struct model_map) {
		.frame = rig_large_frame(rig->model.page[i].gfn, 0),
		.level = level, .rights = rights, .type = SLAT_MT_WB,
	};
}

static int map(struct rig *rig, unsigned int i, unsigned int level, unsigned int rights)
{
	const struct model_map map = as(rig, i, level, rights);

	return rig_map_as(rig, i, &map);
}

static long leaves(const struct rig *rig, unsigned int level)
{
	return atomic_long_read(&rig->mmu.leaves[level - 1]);
}

static u64 raw(struct rig *rig, u64 gfn, unsigned int level)
{
	return *hw_entry(&rig->hw, gfn, level);
}

TEST_F(large, leaf_of_each_size)
{
	struct rig *rig = self->rig;
	unsigned int level;

	for (level = 1; level <= 3; level++) {
		const u64 last = GFN + span(level) - 1;

		EXPECT_EQ(0, map(rig, self->page, level, SLAT_RWX));
		EXPECT_EQ(1, leaves(rig, level));
		EXPECT_EQ(1 + variant->levels - level, atomic_long_read(&rig->mmu.tables));
		EXPECT_EQ(rig_large_frame(last, 0), hw_peek(&rig->hw, last).frame);
		EXPECT_EQ(0, hw_peek(&rig->hw, last + 1).level);
		EXPECT_EQ(0, hw_peek(&rig->hw, GFN - 1).level);
		rig_check(rig);
		rig_zap(rig, GFN, last, true);
	}
}

/* The page that faults need not be the first one. */
TEST_F(large, leaf_is_aligned_around_the_page)
{
	struct rig *rig = self->rig;
	const unsigned int i = rig_index(rig, GFN + 512 * 5 + 65);

	EXPECT_EQ(0, map(rig, i, 2, SLAT_R));
	EXPECT_EQ(2, hw_peek(&rig->hw, GFN + 512 * 5).level);
	EXPECT_EQ(0, map(rig, self->page, 2, SLAT_R));
	EXPECT_EQ(2, leaves(rig, 2));
}

TEST_F(large, one_that_is_there_will_do_or_widens)
{
	struct rig *rig = self->rig;
	u64 before;

	EXPECT_EQ(0, map(rig, self->page, 3, SLAT_R));
	rig_access(rig, self->page, HW_READ);
	before = raw(rig, GFN, 3);
	EXPECT_EQ(0, map(rig, self->page, 3, SLAT_R));
	EXPECT_EQ(0, map(rig, self->page, 2, SLAT_R));
	EXPECT_EQ(0, map(rig, self->page, 1, SLAT_R));
	EXPECT_EQ(before, raw(rig, GFN, 3));
	EXPECT_EQ(0, map(rig, self->page, 3, SLAT_R | SLAT_W));
	EXPECT_EQ(1, leaves(rig, 3));
	EXPECT_TRUE(rig_access(rig, rig_index(rig, AFTER_2M + 13), HW_WRITE));
}

/* A and D, which are not known by the page, go to every part. */
TEST_F(large, right_that_lacks_splits)
{
	struct rig *rig = self->rig;
	unsigned int dirty;

	for (dirty = 0; dirty < 2; dirty++) {
		EXPECT_EQ(0, map(rig, self->page, 3, SLAT_R | SLAT_W));
		rig_access(rig, self->page, dirty ? HW_WRITE : HW_READ);
		EXPECT_EQ(0, map(rig, self->page, 1, SLAT_R | SLAT_X));
		EXPECT_EQ(0, leaves(rig, 3));
		EXPECT_EQ(511, leaves(rig, 2));
		EXPECT_EQ(512, leaves(rig, 1));
		EXPECT_EQ(SLAT_RWX, hw_peek(&rig->hw, GFN).rights);
		EXPECT_EQ(SLAT_R | SLAT_W, hw_peek(&rig->hw, GFN + 1).rights);
		EXPECT_EQ(SLAT_R | SLAT_W, hw_peek(&rig->hw, AFTER_2M).rights);
		EXPECT_TRUE(hw_peek(&rig->hw, GFN + span(3) - 1).accessed);
		EXPECT_EQ(dirty, hw_peek(&rig->hw, GFN + span(3) - 1).dirty);
		/* Not a cut: nothing has to be flushed. */
		EXPECT_EQ(dirty, !!rig->mmu.cut_gen);
		rig_check(rig);
		rig_scan(rig);
		rig_zap(rig, GFN, GFN, true);
		rig_scan(rig);
		rig_zap(rig, GFN, GFN + span(3) - 1, true);
	}
}

TEST_F(large, split_stops_at_the_size_that_is_wished)
{
	struct rig *rig = self->rig;

	EXPECT_EQ(0, map(rig, self->page, 3, SLAT_R));
	EXPECT_EQ(0, map(rig, self->page, 2, SLAT_RWX));
	EXPECT_EQ(512, leaves(rig, 2));
	EXPECT_EQ(SLAT_RWX, hw_peek(&rig->hw, AFTER_2M - 1).rights);
	EXPECT_EQ(SLAT_R, hw_peek(&rig->hw, AFTER_2M).rights);
}

TEST_F(large, split_keeps_every_type)
{
	struct rig *rig = self->rig;
	unsigned int type;

	for (type = 0; type < 16; type++) {
		struct model_map map = as(rig, self->page, 3, SLAT_R);

		if ((type & 7) == 2 || (type & 7) == 3)
			continue;
		map.type = type;
		EXPECT_EQ(0, rig_map_as(rig, self->page, &map));
		map.level = 1;
		map.rights = SLAT_RWX;
		EXPECT_EQ(0, rig_map_as(rig, self->page, &map));
		EXPECT_EQ(512, leaves(rig, 1));
		rig_check(rig);
		rig_scan(rig);
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

/* A 2M part of 1G, then a 4K part of that, and no table for either. */
TEST_F(large, split_without_tables_is_enomem_and_whole)
{
	struct rig *rig = self->rig;
	const struct model_map small = as(rig, self->page, 1, SLAT_RWX);

	EXPECT_EQ(0, map(rig, self->page, 3, SLAT_R));
	rig_map_short(rig, self->page, &small, 0);
	EXPECT_EQ(1, leaves(rig, 3));
	rig_check(rig);
	rig_map_short(rig, self->page, &small, 1);
	EXPECT_EQ(512, leaves(rig, 2));
	rig_check(rig);
	rig_scan(rig);
	EXPECT_EQ(0, rig_map_as(rig, self->page, &small));
}

TEST_F(large, another_frame_or_type_is_eagain_at_every_size)
{
	struct rig *rig = self->rig;
	unsigned int have, want;

	for (have = 1; have <= 3; have++) {
		const struct model_map first = as(rig, self->page, have, SLAT_R);

		EXPECT_EQ(0, rig_map_as(rig, self->page, &first));
		for (want = 1; want <= have; want++) {
			struct model_map map = as(rig, self->page, want, SLAT_RWX);

			map.type = SLAT_MT_WP;
			EXPECT_EQ(-EAGAIN, rig_map_as(rig, self->page, &map));
			map.type = SLAT_MT_WB;
			map.frame ^= 1ULL << 20;
			EXPECT_EQ(-EAGAIN, rig_map_as(rig, self->page, &map));
		}
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

/* The frame of another page of the same leaf. */
TEST_F(large, neighbour_in_a_large_leaf_is_another_frame)
{
	struct rig *rig = self->rig;
	struct model_map map = as(rig, self->page, 2, SLAT_R);

	EXPECT_EQ(0, rig_map_as(rig, self->page, &map));
	map.level = 1;
	map.frame++;
	EXPECT_EQ(-EAGAIN, rig_map_as(rig, self->page, &map));
}

/* The way that the contract has for that. */
TEST_F(large, table_in_the_way_is_ebusy_until_pruned)
{
	struct rig *rig = self->rig;
	unsigned int level;

	for (level = 2; level <= 3; level++) {
		EXPECT_EQ(0, map(rig, self->page, 1, SLAT_RWX));
		EXPECT_EQ(-EBUSY, map(rig, self->page, level, SLAT_R));
		rig_zap(rig, GFN, GFN, false);
		EXPECT_EQ(-EBUSY, map(rig, self->page, level, SLAT_R));
		rig_check(rig);
		rig_zap(rig, GFN, GFN + span(level) - 1, true);
		EXPECT_EQ(0, map(rig, self->page, level, SLAT_R));
		EXPECT_EQ(1, leaves(rig, level));
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

/*
 * iTLB multihit: data in large leaves, which are not executable, and code in small
 * ones, which have to survive the next fault on data.
 */
TEST_F(large, small_leaf_that_is_kept_is_not_in_the_way)
{
	struct rig *rig = self->rig;
	const u64 gfn = 1ULL << 18;
	const unsigned int page = rig_index(rig, gfn), other = rig_index(rig, gfn + 511);
	const unsigned int next = rig_index(rig, gfn + 512);
	struct model_map code = as(rig, page, 1, SLAT_R | SLAT_X);

	code.keep_small = true;
	EXPECT_EQ(0, map(rig, page, 2, SLAT_R | SLAT_W));
	EXPECT_EQ(0, rig_map_as(rig, page, &code));
	EXPECT_EQ(512, leaves(rig, 1));
	/* In the same 2M: a 4K leaf; elsewhere in the 1G: 2M. */
	EXPECT_EQ(0, map(rig, other, 2, SLAT_R | SLAT_W));
	EXPECT_EQ(0, map(rig, next, 3, SLAT_R | SLAT_W));
	EXPECT_EQ(512, leaves(rig, 1));
	EXPECT_EQ(1, leaves(rig, 2));
	EXPECT_TRUE(rig_access(rig, page, HW_EXEC));
	EXPECT_FALSE(rig_access(rig, other, HW_EXEC));
	EXPECT_FALSE(rig_access(rig, next, HW_EXEC));
	/* It goes with its table. */
	rig_zap(rig, gfn, gfn + span(3) - 1, true);
	EXPECT_EQ(0, map(rig, page, 3, SLAT_R | SLAT_W));
	EXPECT_EQ(1, leaves(rig, 3));
}

/* Tables are derived: the rest comes back by faults. */
TEST_F(large, zap_of_a_part_drops_the_leaf)
{
	struct rig *rig = self->rig;
	unsigned int level, n;

	for (level = 2; level <= 3; level++) {
		const u64 ends[] = { GFN, GFN + 77, GFN + span(level) - 1 };

		for (n = 0; n < 3; n++) {
			EXPECT_EQ(0, map(rig, self->page, level, SLAT_RWX));
			rig_access(rig, self->page, HW_WRITE);
			rig_zap(rig, ends[n], ends[n], false);
			EXPECT_EQ(0, hw_peek(&rig->hw, GFN).level);
			EXPECT_EQ(0, leaves(rig, level));
			rig_check(rig);
		}
		EXPECT_EQ(0, map(rig, self->page, level, SLAT_RWX));
		rig_zap(rig, 0, GFN - 1, false);
		rig_zap(rig, GFN + span(level), model_last_gfn(&rig->model), false);
		EXPECT_EQ(1, leaves(rig, level));
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

static int zap(struct rig *rig, u64 first, u64 last)
{
	struct slat_zap zap = { .first = first, .last = last, .next = first };
	struct slat_gather gather;
	int ret, calls = 0;

	slat_gather_init(&gather, &rig->mmu);
	do {
		write_lock(&rig->mmu.lock);
		ret = rig->mmu.ops->zap(&rig->mmu, &rig->root, &zap, &gather);
		write_unlock(&rig->mmu.lock);
	} while (ret == -EAGAIN && ++calls < 1000);
	return ret;
}

TEST_F(large, zap_ends_where_the_tree_does)
{
	struct rig *rig = self->rig;
	const u64 end = model_last_gfn(&rig->model) + 1;

	EXPECT_EQ(0, map(rig, self->page, 1, SLAT_RWX));
	EXPECT_EQ(0, zap(rig, end, ~0ULL));
	EXPECT_EQ(0, zap(rig, end + GFN, end + GFN));
	EXPECT_EQ(0, zap(rig, GFN + 1, GFN));
	EXPECT_EQ(1, leaves(rig, 1));
	EXPECT_EQ(0, zap(rig, GFN, ~0ULL));
	EXPECT_EQ(0, leaves(rig, 1));
	model_unmap(&rig->model, GFN, GFN);
}

TEST_F(large, what_cannot_be_a_leaf_is_refused)
{
	struct rig *rig = self->rig;
	unsigned int rights;

	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 0, 0, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 0, 4, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 0, ~0U, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 256, 2, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 1, 512, 2, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 512, 3, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 1ULL << 40, 2, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 1ULL << 40, 3, SLAT_R));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, model_last_gfn(&rig->model) + 1, 0, 3, SLAT_R));
	for (rights = 0; rights <= SLAT_RWX; rights++) {
		const bool known = rights & SLAT_R ||
				   (rights == SLAT_X && variant->format == &rig_ept);

		EXPECT_EQ(known ? 0 : -EINVAL, rig_try_any(rig, GFN, 0, 2, rights));
		EXPECT_EQ(0, zap(rig, GFN, GFN));
	}
	rig_zap(rig, 0, model_last_gfn(&rig->model), true);
}

/* Runs */

static int try_run(struct rig *rig, u64 gfn, unsigned int nr, u64 pfn, unsigned int rights)
{
	u64 pfns[SLAT_ENTRIES];
	u8 all[SLAT_ENTRIES];
	const struct slat_run run = {
		.gfn = gfn, .nr = nr, .pfn = pfns, .rights = all, .type = SLAT_MT_WB,
		.cache = &rig->cache,
	};
	unsigned int n;
	int ret;

	for (n = 0; n < SLAT_ENTRIES; n++) {
		pfns[n] = 5;
		all[n] = SLAT_R;
	}
	/* The last one. */
	pfns[nr ? (nr - 1) % SLAT_ENTRIES : 0] = pfn;
	all[nr ? (nr - 1) % SLAT_ENTRIES : 0] = rights;
	CHECK(!slat_cache_fill(&rig->cache, rig->model.levels - 1));
	read_lock(&rig->mmu.lock);
	ret = rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run);
	read_unlock(&rig->mmu.lock);
	return ret;
}

TEST_F(large, run_that_cannot_be_is_refused_whole)
{
	struct rig *rig = self->rig;

	EXPECT_EQ(-EINVAL, try_run(rig, GFN, 0, 5, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN, SLAT_RUN_MAX + 1, 5, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN, ~0U, 5, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN + 511, 2, 5, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN + 512 - 63, 64, 5, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, model_last_gfn(&rig->model) + 1, 1, 5, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN, 9, 1ULL << 40, SLAT_R));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN, 9, 5, SLAT_W));
	EXPECT_EQ(-EINVAL, try_run(rig, GFN, 9, 5, 0));
	EXPECT_EQ(1, atomic_long_read(&rig->mmu.tables));
	rig_check(rig);
	/* What is left out need not be valid. */
	EXPECT_EQ(8, try_run(rig, GFN, 9, SLAT_PFN_NONE, 0));
	EXPECT_EQ(1, try_run(rig, GFN + 511, 1, 5, SLAT_R));
	EXPECT_EQ(64, try_run(rig, GFN + 448 - 1, 64, 5, SLAT_R));
	EXPECT_EQ(73, leaves(rig, 1));
	EXPECT_EQ(0, zap(rig, 0, ~0ULL));
	rig_note_tables(rig, self->page);
}

TEST_F(large, run_fills_what_is_empty)
{
	struct rig *rig = self->rig;
	const struct model_map map = as(rig, self->page, 1, SLAT_R);
	unsigned int i;

	rig_map(rig, self->page, rig_frame(3), SLAT_RWX);
	EXPECT_EQ(63, rig_map_run(rig, self->page, 64, ~0ULL, &map));
	EXPECT_EQ(0, rig_map_run(rig, self->page, 64, ~0ULL, &map));
	rig_check(rig);
	rig_scan(rig);
	i = rig_index(rig, AFTER_2M + 13);
	EXPECT_EQ(32, rig_map_run(rig, i, 64, 0x5555555555555555, &map));
	EXPECT_EQ(32, rig_map_run(rig, i, 64, ~0ULL, &map));
	rig_check(rig);
}

TEST_F(large, run_has_a_right_for_each_page)
{
	struct rig *rig = self->rig;
	u64 pfn[SLAT_RUN_MAX];
	u8 rights[SLAT_RUN_MAX];
	const struct slat_run run = {
		.gfn = GFN, .nr = SLAT_RUN_MAX, .pfn = pfn, .rights = rights,
		.type = SLAT_MT_WC, .cache = &rig->cache,
	};
	unsigned int n;

	for (n = 0; n < SLAT_RUN_MAX; n++) {
		pfn[n] = 7 * n + 1;
		rights[n] = rig->format->rights[n % rig->format->nr_rights];
	}
	CHECK(!slat_cache_fill(&rig->cache, variant->levels - 1));
	read_lock(&rig->mmu.lock);
	EXPECT_EQ(SLAT_RUN_MAX, rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run));
	read_unlock(&rig->mmu.lock);
	for (n = 0; n < SLAT_RUN_MAX; n++) {
		const struct hw_leaf leaf = hw_peek(&rig->hw, GFN + n);

		EXPECT_EQ(pfn[n], leaf.frame);
		EXPECT_EQ(rights[n], leaf.rights);
		EXPECT_EQ(SLAT_MT_WC, leaf.type);
		EXPECT_FALSE(leaf.accessed || leaf.dirty);
	}
	EXPECT_EQ(0, zap(rig, 0, ~0ULL));
	rig_note_tables(rig, self->page);
}

TEST_F(large, run_leaves_a_large_leaf_alone)
{
	struct rig *rig = self->rig;
	const struct model_map small = as(rig, self->page, 1, SLAT_RWX);

	EXPECT_EQ(0, map(rig, self->page, 2, SLAT_R));
	EXPECT_EQ(0, rig_map_run(rig, self->page, 64, ~0ULL, &small));
	EXPECT_EQ(1, leaves(rig, 2));
}

TEST_F(large, run_without_tables_is_enomem)
{
	struct rig *rig = self->rig;
	unsigned int nr;

	for (nr = 0; nr < variant->levels - 1; nr++) {
		const u64 pfn = 5;
		const u8 rights = SLAT_R;
		struct slat_cache cache;
		const struct slat_run run = {
			.gfn = GFN, .nr = 1, .pfn = &pfn, .rights = &rights,
			.type = SLAT_MT_WB, .cache = &cache,
		};

		slat_cache_init(&cache, rig->format->hw->empty);
		CHECK(!slat_cache_fill(&cache, nr));
		read_lock(&rig->mmu.lock);
		EXPECT_EQ(-ENOMEM, rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run));
		read_unlock(&rig->mmu.lock);
		EXPECT_EQ(0, cache.nr);
		rig_note_tables(rig, self->page);
		rig_check(rig);
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

/* Ageing */

TEST_F(large, age_sees_and_clears)
{
	struct rig *rig = self->rig;
	const unsigned int i = rig_index(rig, AFTER_2M + 13);

	rig_map(rig, i, rig_frame(i), SLAT_RWX);
	EXPECT_FALSE(rig_age(rig, 0, model_last_gfn(&rig->model), true));
	rig_access(rig, i, HW_WRITE);
	EXPECT_TRUE(rig_age(rig, AFTER_2M + 13, AFTER_2M + 13, false));
	EXPECT_FALSE(rig_age(rig, AFTER_2M, AFTER_2M + 12, true));
	EXPECT_FALSE(rig_age(rig, AFTER_2M + 14, model_last_gfn(&rig->model), true));
	EXPECT_TRUE(rig_age(rig, AFTER_2M, AFTER_2M + 13, true));
	EXPECT_FALSE(rig_age(rig, 0, model_last_gfn(&rig->model), false));
	/* D stays. */
	EXPECT_TRUE(hw_peek(&rig->hw, AFTER_2M + 13).dirty);
}

TEST_F(large, age_sees_large_leaves_by_any_part)
{
	struct rig *rig = self->rig;
	unsigned int level;

	for (level = 2; level <= 3; level++) {
		const u64 last = GFN + span(level) - 1;

		EXPECT_EQ(0, map(rig, self->page, level, SLAT_RWX));
		rig_access(rig, self->page, HW_READ);
		EXPECT_TRUE(rig_age(rig, last, last, false));
		EXPECT_FALSE(rig_age(rig, last + 1, last + 1, true));
		EXPECT_TRUE(rig_age(rig, GFN + 77, last + 77, true));
		EXPECT_FALSE(rig_age(rig, GFN, last, true));
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

TEST_F(large, age_ends_where_the_tree_does)
{
	struct rig *rig = self->rig;
	const u64 end = model_last_gfn(&rig->model) + 1;
	const unsigned int first = rig_index(rig, 0), last = rig_index(rig, end - 1);

	rig_map(rig, first, rig_frame(0), SLAT_R);
	rig_map(rig, last, rig_frame(1), SLAT_R);
	rig_access(rig, first, HW_READ);
	rig_access(rig, last, HW_READ);
	read_lock(&rig->mmu.lock);
	EXPECT_FALSE(rig->mmu.ops->age(&rig->mmu, &rig->root, end, ~0ULL, true));
	EXPECT_FALSE(rig->mmu.ops->age(&rig->mmu, &rig->root, 1, 0, true));
	EXPECT_TRUE(rig->mmu.ops->age(&rig->mmu, &rig->root, end - 1, ~0ULL, true));
	read_unlock(&rig->mmu.lock);
	EXPECT_TRUE(model_age(&rig->model, end - 1, end - 1, true));
	rig_check(rig);
	EXPECT_TRUE(rig_age(rig, 0, end - 1, true));
}

/* What is not there costs nothing. */
TEST_F(large, age_skips_what_is_not_present)
{
	struct rig *rig = self->rig;
	unsigned long reads;

	rig_map(rig, self->page, rig_frame(0), SLAT_R);
	reads = shim_reads;
	read_lock(&rig->mmu.lock);
	rig->mmu.ops->age(&rig->mmu, &rig->root, 0, model_last_gfn(&rig->model), true);
	read_unlock(&rig->mmu.lock);
	EXPECT_EQ(512 * variant->levels, shim_reads - reads);
}

/* One that is young suffices, unless all are to be made old. */
TEST_F(large, age_test_ends_with_the_first)
{
	struct rig *rig = self->rig;
	unsigned long reads;

	rig_map(rig, self->page, rig_frame(0), SLAT_R);
	rig_access(rig, self->page, HW_READ);
	reads = shim_reads;
	EXPECT_TRUE(rig_age(rig, GFN, model_last_gfn(&rig->model), false));
	EXPECT_GE(SLAT_LEVELS_MAX, shim_reads - reads);
}

TEST_F(large, locks_are_asserted)
{
	struct rig *rig = self->rig;
	const u64 pfn = 5;
	const u8 rights = SLAT_R;
	const struct slat_run run = {
		.gfn = GFN, .nr = 1, .pfn = &pfn, .rights = &rights, .cache = &rig->cache,
	};

	rig->mmu.ops->age(&rig->mmu, &rig->root, 0, 0, false);
	EXPECT_EQ(1, shim_warnings);
	CHECK(!slat_cache_fill(&rig->cache, variant->levels - 1));
	EXPECT_EQ(1, rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run));
	EXPECT_EQ(2, shim_warnings);
	shim_warnings = 0;
	EXPECT_EQ(0, zap(rig, 0, ~0ULL));
	rig_note_tables(rig, self->page);
}

TEST_HARNESS_MAIN
