// SPDX-License-Identifier: GPL-2.0-only
/*
 * B3: races of the walker, one at a time: what another CPU does right before an
 * entry is exchanged is done from within the exchange.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include "check.h"
#include "rig.h"

/* What happens before the exchange number @at, counted from 0. */
static struct race {
	struct rig *rig;
	struct slat_cache cache;	/* the competitor's */
	unsigned int page;
	u64 frame;
	unsigned int rights;
	unsigned int kind;
	unsigned int at;
	unsigned int seen;
} race;

FIXTURE(race)
{
	struct rig *rig;
};

RIG_VARIANTS(race)

FIXTURE_SETUP(race)
{
	self->rig = rig_new(variant->format, variant->levels);
	race = (struct race) { .rig = self->rig };
	slat_cache_init(&race.cache, variant->format->hw->empty);
}

FIXTURE_TEARDOWN(race)
{
	shim_before_cmpxchg = NULL;
	slat_cache_drain(&race.cache);
	rig_free(self->rig);
}

static bool is_due(void)
{
	return race.seen++ == race.at;
}

static bool lose(u64 *entry, u64 old, u64 new)
{
	return !is_due();
}

/* Another vCPU maps a gfn, perhaps this one. */
static bool compete(u64 *entry, u64 old, u64 new)
{
	if (is_due())
		CHECK(!rig_map_locked(race.rig, &race.cache, race.page, race.frame, race.rights));
	return true;
}

/* A vCPU accesses the gfn. */
static bool use(u64 *entry, u64 old, u64 new)
{
	if (is_due())
		CHECK(rig_access(race.rig, race.page, race.kind));
	return true;
}

/* Arm the race: before exchange number @at, @what happens. */
static void arm(bool (*what)(u64 *entry, u64 old, u64 new), unsigned int at)
{
	race.at = at;
	race.seen = 0;
	CHECK(!slat_cache_fill(&race.rig->cache, race.rig->model.levels - 1));
	shim_before_cmpxchg = what;
}

static void disarm(void)
{
	shim_before_cmpxchg = NULL;
	CHECK(race.seen > race.at);
}

static void fill_competitor(void)
{
	CHECK(!slat_cache_fill(&race.cache, race.rig->model.levels - 1));
}

/* A competitor has mapped a page. */
static void note_map(struct rig *rig, unsigned int i, u64 frame, unsigned int rights)
{
	const struct model_map map = {
		.frame = frame, .level = 1, .rights = rights, .type = SLAT_MT_WB,
	};

	CHECK(model_result(&rig->model, i, &map) == MODEL_DONE);
	model_map(&rig->model, i, &map);
}

static void start_over(struct rig *rig)
{
	slat_cache_drain(&race.cache);
	rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	rig_check(rig);
}

TEST_F(race, lost_exchange_is_eagain_and_puts_the_table_back)
{
	struct rig *rig = self->rig;
	unsigned int at;

	for (at = 0; at < variant->levels; at++) {
		arm(lose, at);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
		disarm();
		/* What was won before stays. */
		EXPECT_EQ(variant->levels - 1 - at, rig->cache.nr);
		EXPECT_EQ(1 + at, atomic_long_read(&rig->mmu.tables));
		rig_note_tables(rig, 0);
		rig_check(rig);
		rig_scan(rig);

		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		start_over(rig);
	}
}

TEST_F(race, faster_vcpu_maps_the_same)
{
	struct rig *rig = self->rig;
	unsigned int at;

	race.frame = rig_frame(0);
	race.rights = SLAT_RWX;
	for (at = 0; at < variant->levels; at++) {
		fill_competitor();
		arm(compete, at);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
		disarm();
		EXPECT_EQ(variant->levels - 1 - at, rig->cache.nr);
		EXPECT_EQ(at, race.cache.nr);
		EXPECT_EQ(variant->levels, atomic_long_read(&rig->mmu.tables));
		slat_cache_drain(&race.cache);
		note_map(rig, 0, rig_frame(0), SLAT_RWX);
		rig_check(rig);
		rig_scan(rig);

		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		start_over(rig);
	}
}

/* It does not lose its frame to us, however often we try. */
TEST_F(race, faster_vcpu_maps_another_frame)
{
	struct rig *rig = self->rig;
	unsigned int at;

	race.frame = rig_frame(1);
	race.rights = SLAT_R;
	for (at = 0; at < variant->levels; at++) {
		fill_competitor();
		arm(compete, at);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
		disarm();
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
		slat_cache_drain(&race.cache);
		note_map(rig, 0, rig_frame(1), SLAT_R);
		rig_check(rig);
		start_over(rig);
	}
}

/* It needs the same tables for a neighbour: only one of the two hangs them in. */
TEST_F(race, faster_vcpu_maps_a_neighbour)
{
	struct rig *rig = self->rig;
	unsigned int at;

	race.page = 1;
	race.frame = rig_frame(1);
	race.rights = SLAT_R;
	ASSERT_EQ(0, rig->model.page[0].gfn);
	ASSERT_EQ(1, rig->model.page[1].gfn);
	for (at = 0; at < variant->levels - 1; at++) {
		fill_competitor();
		arm(compete, at);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
		disarm();
		slat_cache_drain(&race.cache);
		note_map(rig, 1, rig_frame(1), SLAT_R);
		rig_check(rig);
		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		rig_check(rig);
		rig_scan(rig);
		start_over(rig);
	}
}

TEST_F(race, two_vcpus_widen_differently)
{
	struct rig *rig = self->rig;

	rig_map(rig, 0, rig_frame(0), SLAT_R);
	race.frame = rig_frame(0);
	race.rights = SLAT_R | SLAT_W;
	arm(compete, 0);
	EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_R | SLAT_X));
	disarm();
	note_map(rig, 0, rig_frame(0), SLAT_R | SLAT_W);
	rig_check(rig);
	rig_map(rig, 0, rig_frame(0), SLAT_R | SLAT_X);
	EXPECT_EQ(SLAT_RWX, hw_peek(&rig->hw, 0).rights);
	rig_check(rig);
}

/* A right that is there already needs no exchange that could be lost. */
TEST_F(race, nothing_to_widen_is_no_race)
{
	struct rig *rig = self->rig;

	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	race.seen = 0;
	shim_before_cmpxchg = lose;
	EXPECT_EQ(0, rig_try_map(rig, 0, rig_frame(0), SLAT_R));
	EXPECT_EQ(0, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
	EXPECT_EQ(0, race.seen);
	shim_before_cmpxchg = NULL;
	rig_check(rig);
}

static struct model_map large_map(const struct rig *rig, unsigned int level, unsigned int rights)
{
	return (struct model_map) {
		.frame = rig_large_frame(0, 0), .level = level, .rights = rights,
		.type = SLAT_MT_WB,
	};
}

/* The guest uses a large leaf while its parts are made ready: they are made again. */
TEST_F(race, accessed_and_dirty_survive_a_split)
{
	static const unsigned int kinds[] = { HW_READ, HW_WRITE };
	struct rig *rig = self->rig;
	const struct model_map large = large_map(rig, 2, SLAT_R | SLAT_W);
	unsigned int n;

	for (n = 0; n < 2; n++) {
		EXPECT_EQ(0, rig_map_as(rig, 0, &large));
		race.kind = kinds[n];
		arm(use, 0);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, large.frame, SLAT_RWX));
		disarm();
		EXPECT_EQ(variant->levels - 1, rig->cache.nr);
		rig_check(rig);
		rig_scan(rig);
		rig_map(rig, 0, large.frame, SLAT_RWX);
		EXPECT_EQ(kinds[n] == HW_WRITE, hw_peek(&rig->hw, 511).dirty);
		rig_check(rig);
		rig_scan(rig);
		start_over(rig);
	}
}

/* A table that was filled in vain is as good as new. */
TEST_F(race, lost_split_leaves_no_trace)
{
	struct rig *rig = self->rig;
	const struct model_map large = large_map(rig, 3, SLAT_R);
	unsigned int at;

	for (at = 0; at < 2; at++) {
		EXPECT_EQ(0, rig_map_as(rig, 0, &large));
		arm(lose, at);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, large.frame, SLAT_RWX));
		disarm();
		EXPECT_EQ(variant->levels - 1 - at, rig->cache.nr);
		rig_note_tables(rig, 0);
		rig_check(rig);
		rig_scan(rig);
		/* It serves elsewhere. */
		start_over(rig);
		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		rig_scan(rig);
		start_over(rig);
	}
}

/* Two vCPUs write to one large leaf, each to its page. */
TEST_F(race, two_vcpus_split)
{
	struct rig *rig = self->rig;
	const struct model_map large = large_map(rig, 2, SLAT_R);

	ASSERT_EQ(1, rig->model.page[1].gfn);
	EXPECT_EQ(0, rig_map_as(rig, 0, &large));
	race.page = 1;
	race.frame = large.frame + 1;
	race.rights = SLAT_RWX;
	fill_competitor();
	arm(compete, 0);
	EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, large.frame, SLAT_RWX));
	disarm();
	slat_cache_drain(&race.cache);
	note_map(rig, 1, large.frame + 1, SLAT_RWX);
	rig_check(rig);
	rig_map(rig, 0, large.frame, SLAT_RWX);
	rig_check(rig);
	rig_scan(rig);
}

/* Somebody enters one of its pages, or its table: the others are entered. */
TEST_F(race, run_skips_what_it_loses)
{
	struct rig *rig = self->rig;
	const u64 pfn[] = { 5, 6, 7 };
	const u8 rights[] = { SLAT_R, SLAT_R, SLAT_R };
	const struct slat_run run = {
		.nr = 3, .pfn = pfn, .rights = rights, .type = SLAT_MT_WB, .cache = &rig->cache,
	};

	arm(lose, 0);
	read_lock(&rig->mmu.lock);
	EXPECT_EQ(-EAGAIN, rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run));
	disarm();
	EXPECT_EQ(variant->levels - 1, rig->cache.nr);
	arm(lose, variant->levels);
	EXPECT_EQ(2, rig->mmu.ops->map_run(&rig->mmu, &rig->root, &run));
	disarm();
	read_unlock(&rig->mmu.lock);
	note_map(rig, 0, 5, SLAT_R);
	EXPECT_EQ(0, hw_peek(&rig->hw, 1).level);
	note_map(rig, rig_index(rig, 2), 7, SLAT_R);
	rig_check(rig);
	rig_scan(rig);
}

/* D is set while A is cleared. */
TEST_F(race, dirty_survives_ageing)
{
	struct rig *rig = self->rig;

	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	rig_access(rig, 0, HW_READ);
	race.kind = HW_WRITE;
	arm(use, 0);
	EXPECT_TRUE(rig_age(rig, 0, 0, true));
	disarm();
	EXPECT_EQ(2, race.seen);
	EXPECT_TRUE(hw_peek(&rig->hw, 0).dirty);
	EXPECT_FALSE(hw_peek(&rig->hw, 0).accessed);
	rig_check(rig);
}

/* The table that takes the leaf's place keeps its A, and so do the parts. */
TEST_F(race, leaf_is_split_while_it_ages)
{
	struct rig *rig = self->rig;
	const struct model_map large = large_map(rig, 2, SLAT_R);

	EXPECT_EQ(0, rig_map_as(rig, 0, &large));
	rig_access(rig, 0, HW_READ);
	race.frame = large.frame;
	race.rights = SLAT_RWX;
	fill_competitor();
	arm(compete, 0);
	read_lock(&rig->mmu.lock);
	EXPECT_TRUE(rig->mmu.ops->age(&rig->mmu, &rig->root, 0, 511, true));
	read_unlock(&rig->mmu.lock);
	disarm();
	slat_cache_drain(&race.cache);
	note_map(rig, 0, large.frame, SLAT_RWX);
	EXPECT_TRUE(hw_peek(&rig->hw, 511).accessed);
	EXPECT_TRUE(*hw_entry(&rig->hw, 0, 2) & rig->hw.format->accessed);
	rig_check(rig);
	rig_scan(rig);
}

TEST_F(race, accessed_and_dirty_survive_widening)
{
	static const unsigned int kinds[] = { HW_READ, HW_WRITE };
	struct rig *rig = self->rig;
	unsigned int n;

	for (n = 0; n < 2; n++) {
		rig_map(rig, 0, rig_frame(0), SLAT_R | SLAT_W);
		race.kind = kinds[n];
		arm(use, 0);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(0), SLAT_RWX));
		disarm();
		rig_check(rig);
		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		rig_check(rig);
		start_over(rig);
	}
	EXPECT_EQ(2, rig->returned[0].accessed);
	EXPECT_EQ(1, rig->returned[0].dirty);
}

TEST_F(race, accessed_and_dirty_reach_the_host_when_set_last)
{
	static const unsigned int kinds[] = { HW_READ, HW_WRITE };
	struct rig *rig = self->rig;
	unsigned int n;

	for (n = 0; n < 2; n++) {
		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		race.kind = kinds[n];
		arm(use, 0);
		rig_zap(rig, 0, 0, false);
		disarm();
		EXPECT_EQ(1 + n, rig->returned[0].accessed);
		EXPECT_EQ(n, rig->returned[0].dirty);
		rig_check(rig);
	}
}

/* The walk that sets A in a table's entry finds no leaf: the zap has been there. */
static bool walk_in_vain(u64 *entry, u64 old, u64 new)
{
	const u64 accessed = race.rig->hw.format->accessed;

	if (is_due())
		CHECK(!(*entry & accessed) && !rig_access(race.rig, 0, HW_READ) &&
		      (*entry & accessed));
	return true;
}

TEST_F(race, table_is_pruned_once_although_walked)
{
	struct rig *rig = self->rig;

	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	rig_zap(rig, 0, 0, false);
	arm(walk_in_vain, 0);
	rig_zap(rig, 0, 511, true);
	disarm();
	/* Each table below the root, and one of them twice. */
	EXPECT_EQ(variant->levels, race.seen);
	rig_check(rig);
}

TEST_F(race, lost_exchanges_do_not_stop_a_zap)
{
	struct rig *rig = self->rig;
	unsigned int at;

	for (at = 0; at < variant->levels; at++) {
		rig_map(rig, 0, rig_frame(0), SLAT_RWX);
		rig_access(rig, 0, HW_WRITE);
		arm(lose, at);
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
		disarm();
		EXPECT_EQ(variant->levels + 1, race.seen);
		EXPECT_EQ(1 + at, rig->returned[0].dirty);
		rig_check(rig);
	}
}

/* The hardware can walk a table from the moment it hangs in an entry. */
static bool is_complete(u64 *entry, u64 old, u64 new)
{
	const struct slat_table *parent = slat_table_of((uintptr_t)entry >> 12);
	const unsigned int i = ((uintptr_t)entry & 4095) / 8;
	const struct slat_table *child;
	unsigned int n;

	is_due();
	if (parent->level == 1)
		return true;
	child = slat_table_of(race.rig->hw.format->frame(new, parent->level));
	CHECK(child->level == parent->level - 1);
	CHECK(child->base == parent->base + ((u64)i << (9 * (parent->level - 1))));
	CHECK(!atomic_read((atomic_t *)&child->live));
	for (n = 0; n < 512; n++)
		CHECK(child->entry[n] == race.rig->hw.format->empty);
	return true;
}

TEST_F(race, tables_are_complete_before_they_are_visible)
{
	struct rig *rig = self->rig;
	unsigned int i;

	for (i = 0; i < rig->model.nr; i++) {
		arm(is_complete, 0);
		rig_map(rig, i, rig_frame(i), SLAT_R);
		disarm();
	}
	rig_check(rig);
}

TEST_HARNESS_MAIN
