// SPDX-License-Identifier: GPL-2.0-only
/*
 * D1, D6, D7: harvests move the CPU's dirty bits to the log and to the host's pages, each
 * once, whatever the CPU does meanwhile.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include <linux/bug.h>

#include "check.h"
#include "rig.h"

/* Of interest, with others in the same 2M and in the same 1G. */
#define GFN		(3ULL << 18)

FIXTURE(harvest)
{
	struct rig *rig;
	unsigned int page;
};

RIG_VARIANTS(harvest)

FIXTURE_SETUP(harvest)
{
	self->rig = rig_new(variant->format, variant->levels);
	self->page = rig_index(self->rig, GFN);
}

FIXTURE_TEARDOWN(harvest)
{
	shim_before_cmpxchg = NULL;
	rig_check(self->rig);
	rig_scan(self->rig);
	rig_free(self->rig);
}

static int map(struct rig *rig, unsigned int i, unsigned int level)
{
	const struct model_map map = {
		.frame = rig_large_frame(rig->model.page[i].gfn, 0),
		.level = level, .rights = SLAT_RWX, .type = SLAT_MT_WB,
	};

	return rig_map_as(rig, i, &map);
}

/* A dirty leaf of 2M is split by the right that it lacks. */
static void split_dirty(struct rig *rig, unsigned int i)
{
	struct model_map map = {
		.frame = rig_large_frame(rig->model.page[i].gfn, 0), .level = 2,
		.rights = SLAT_R | SLAT_W, .type = SLAT_MT_WB,
	};

	CHECK(!rig_map_as(rig, i, &map));
	rig_access(rig, i, HW_WRITE);
	map.level = 1;
	map.rights = SLAT_RWX;
	CHECK(!rig_map_as(rig, i, &map));
}

static void harvest_all(struct rig *rig)
{
	rig_harvest(rig, 0, model_last_gfn(&rig->model));
}

TEST_F(harvest, dirty_is_taken_and_accessed_stays)
{
	struct rig *rig = self->rig;
	const u64 gfn = rig->model.page[2].gfn;

	rig_map(rig, 2, rig_frame(2), SLAT_RWX);
	rig_access(rig, 2, HW_WRITE);
	rig_harvest(rig, gfn, gfn);
	EXPECT_FALSE(hw_peek(&rig->hw, gfn).dirty);
	EXPECT_TRUE(hw_peek(&rig->hw, gfn).accessed);
	EXPECT_EQ(1, rig->returned[2].dirty);
	EXPECT_EQ(0, rig->returned[2].accessed);
	EXPECT_NE(0, rig->returned_sum.logged);
	rig_check(rig);
	/* And again when it is written again. */
	EXPECT_TRUE(rig_access(rig, 2, HW_WRITE));
	harvest_all(rig);
	EXPECT_EQ(2, rig->returned[2].dirty);
}

TEST_F(harvest, clean_is_no_cut)
{
	struct rig *rig = self->rig;

	rig_map(rig, 2, rig_frame(2), SLAT_RWX);
	rig_access(rig, 2, HW_READ);
	harvest_all(rig);
	EXPECT_EQ(0, rig->mmu.cut_gen);
	EXPECT_EQ(0, rig->returned_sum.logged);
	rig_access(rig, 2, HW_WRITE);
	harvest_all(rig);
	harvest_all(rig);
	EXPECT_EQ(1, rig->mmu.cut_gen);
}

TEST_F(harvest, spares_the_neighbours)
{
	struct rig *rig = self->rig;
	unsigned int i;

	for (i = 0; i < rig->model.nr; i++) {
		rig_map(rig, i, rig_frame(i), SLAT_RWX);
		rig_access(rig, i, HW_WRITE);
	}
	for (i = 0; i < rig->model.nr; i += 3) {
		rig_harvest(rig, rig->model.page[i].gfn, rig->model.page[i].gfn);
		rig_check(rig);
	}
	rig_harvest(rig, rig->model.page[5].gfn, rig->model.page[20].gfn);
	rig_check(rig);
	harvest_all(rig);
}

/* Dirty or not, and however little of it the range covers. */
TEST_F(harvest, large_leaves_go)
{
	struct rig *rig = self->rig;
	unsigned int level, n;

	for (level = 2; level <= 3; level++) {
		const u64 span = 1ULL << (9 * (level - 1));
		const u64 at[] = { GFN, GFN + 77, GFN + span - 1 };

		for (n = 0; n < 3; n++) {
			const u64 logged = rig->returned_sum.logged;

			EXPECT_EQ(0, map(rig, self->page, level));
			rig_access(rig, self->page, n == 1 ? HW_READ : HW_WRITE);
			rig_harvest(rig, at[n], at[n]);
			EXPECT_EQ(0, hw_peek(&rig->hw, GFN).level);
			EXPECT_EQ(n == 1, logged == rig->returned_sum.logged);
			rig_check(rig);
		}
		EXPECT_EQ(0, map(rig, self->page, level));
		rig_harvest(rig, 0, GFN - 1);
		rig_harvest(rig, GFN + span, model_last_gfn(&rig->model));
		EXPECT_EQ(level, hw_peek(&rig->hw, GFN).level);
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
}

/* A split loses no D: each of the parts may be dirty. */
TEST_F(harvest, parts_of_a_dirty_leaf_are_dirty)
{
	struct rig *rig = self->rig;

	split_dirty(rig, self->page);
	harvest_all(rig);
	EXPECT_EQ(512, rig->mmu.cut_gen);
	rig_check(rig);
	harvest_all(rig);
	EXPECT_EQ(512, rig->mmu.cut_gen);
}

TEST_F(harvest, ends_where_the_tree_does)
{
	struct rig *rig = self->rig;
	const u64 end = model_last_gfn(&rig->model) + 1;

	EXPECT_EQ(0, map(rig, self->page, 1));
	rig_access(rig, self->page, HW_WRITE);
	EXPECT_EQ(1, rig_harvest(rig, end, ~0ULL));
	EXPECT_EQ(1, rig_harvest(rig, end + GFN, end + GFN));
	EXPECT_EQ(1, rig_harvest(rig, GFN + 1, GFN));
	EXPECT_TRUE(hw_peek(&rig->hw, GFN).dirty);
	rig_harvest(rig, GFN, ~0ULL);
	EXPECT_FALSE(hw_peek(&rig->hw, GFN).dirty);
}

/* Nothing logs: D is the host's alone. */
TEST_F(harvest, without_a_log)
{
	struct rig *rig = self->rig;
	struct slat_harvest harvest = { .last = GFN, .next = GFN };

	EXPECT_EQ(0, map(rig, self->page, 1));
	rig_access(rig, self->page, HW_WRITE);
	rig->mmu.nr_logs = 0;
	write_lock(&rig->mmu.lock);
	EXPECT_EQ(0, rig->mmu.ops->harvest(&rig->mmu, &rig->root, &harvest));
	write_unlock(&rig->mmu.lock);
	EXPECT_EQ(0, rig->returned_sum.logged);
	EXPECT_NE(0, rig->returned_sum.dirty);
	rig->mmu.nr_logs = 1;
	/* The model has it, too. */
	CHECK(model_harvest(&rig->model, GFN, GFN).nr == 1);
	rig->owed_sum.dirty = rig->returned_sum.dirty;
}

/* Whole tables, each gfn of which the model knows as a part of a leaf. */
TEST_F(harvest, of_full_tables_is_bounded)
{
	struct rig *rig = self->rig;
	const unsigned int after = rig_index(rig, GFN + 512 + 13);
	unsigned int calls;

	split_dirty(rig, self->page);
	rig_map(rig, after, rig_frame(0), SLAT_RWX);
	rig_access(rig, after, HW_WRITE);
	calls = rig_harvest(rig, 0, GFN + 1024);
	EXPECT_LT(1, calls);
	EXPECT_GE(20, calls);
}

/* Races with the CPU: what it does right before an exchange. */

static struct rig *racing;
static unsigned int page, kind, at, seen;

static bool use(u64 *entry, u64 old, u64 new)
{
	if (seen++ == at)
		CHECK(rig_access(racing, page, kind));
	return true;
}

static bool lose(u64 *entry, u64 old, u64 new)
{
	return seen++ != at;
}

static void arm(struct rig *rig, unsigned int i, bool (*what)(u64 *entry, u64 old, u64 new))
{
	racing = rig;
	page = i;
	at = seen = 0;
	shim_before_cmpxchg = what;
}

/* The CPU sets A, which ageing has taken, in a leaf that is dirty. */
TEST_F(harvest, accessed_that_is_set_meanwhile_stays)
{
	struct rig *rig = self->rig;

	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	rig_access(rig, 0, HW_WRITE);
	rig_age(rig, 0, 0, true);
	kind = HW_READ;
	arm(rig, 0, use);
	rig_harvest(rig, 0, 0);
	EXPECT_EQ(2, seen);
	EXPECT_TRUE(hw_peek(&rig->hw, 0).accessed);
	EXPECT_FALSE(hw_peek(&rig->hw, 0).dirty);
	EXPECT_EQ(1, rig->returned[0].dirty);
}

/* A large leaf becomes dirty while it goes. */
TEST_F(harvest, dirty_that_is_set_meanwhile_is_taken)
{
	struct rig *rig = self->rig;

	EXPECT_EQ(0, map(rig, self->page, 2));
	kind = HW_WRITE;
	arm(rig, self->page, use);
	rig_harvest(rig, GFN, GFN);
	EXPECT_EQ(2, seen);
	EXPECT_NE(0, rig->returned_sum.logged);
}

TEST_F(harvest, lost_exchange_is_tried_again)
{
	struct rig *rig = self->rig;

	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	rig_access(rig, 0, HW_WRITE);
	arm(rig, 0, lose);
	rig_harvest(rig, 0, 0);
	EXPECT_EQ(2, seen);
	EXPECT_EQ(1, rig->returned[0].dirty);
}

TEST_F(harvest, locks_are_asserted)
{
	struct rig *rig = self->rig;
	struct slat_harvest harvest = {};

	CHECK(!map(rig, rig_index(rig, 0), 2));
	read_lock(&rig->mmu.lock);
	tables_on_return = NULL;
	/* Once for the call, once for the cut. */
	rig->mmu.ops->harvest(&rig->mmu, &rig->root, &harvest);
	EXPECT_EQ(2, shim_warnings);
	read_unlock(&rig->mmu.lock);
	shim_warnings = 0;
	CHECK(model_harvest(&rig->model, 0, 0).nr == 1);
}

TEST_HARNESS_MAIN
