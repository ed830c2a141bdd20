// SPDX-License-Identifier: GPL-2.0-only
/* B2, B3, M3: the walker against simulated hardware and a flat model. */
#include <errno.h>
#include <kselftest_harness.h>

#include <linux/bug.h>

#include "check.h"
#include "rig.h"

FIXTURE(table)
{
	struct rig *rig;
};

RIG_VARIANTS(table)

FIXTURE_SETUP(table)
{
	self->rig = rig_new(variant->format, variant->levels);
}

FIXTURE_TEARDOWN(table)
{
	rig_free(self->rig);
}

static void map_all(struct rig *rig, unsigned int rights)
{
	unsigned int i;

	for (i = 0; i < rig->model.nr; i++)
		rig_map(rig, i, rig_frame(i), rights);
}

static uint64_t raw(struct rig *rig, unsigned int i)
{
	return *hw_entry(&rig->hw, rig->model.page[i].gfn, 1);
}

TEST_F(table, fresh_tree_is_empty)
{
	rig_check(self->rig);
	rig_scan(self->rig);
}

TEST_F(table, every_gfn_maps)
{
	struct rig *rig = self->rig;
	unsigned int i;

	for (i = 0; i < rig->model.nr; i++) {
		rig_map(rig, i, rig_frame(i), SLAT_RWX);
		rig_check(rig);
	}
	rig_scan(rig);
}

TEST_F(table, rights_are_what_the_cpu_enforces)
{
	struct rig *rig = self->rig;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		rig_map(rig, i, rig_frame(i), SLAT_R | i << 1);
		EXPECT_TRUE(rig_access(rig, i, HW_READ));
		EXPECT_EQ(!!(i & 1), rig_access(rig, i, HW_WRITE));
		EXPECT_EQ(!!(i & 2), rig_access(rig, i, HW_EXEC));
	}
	EXPECT_FALSE(rig_access(rig, 4, HW_READ));
	rig_check(rig);
}

TEST_F(table, mapping_again_changes_nothing)
{
	struct rig *rig = self->rig;
	uint64_t before;

	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	rig_access(rig, 0, HW_WRITE);
	before = raw(rig, 0);
	rig_map(rig, 0, rig_frame(0), SLAT_RWX);
	EXPECT_EQ(before, raw(rig, 0));
	rig_check(rig);
}

/* From any rights, with A and D set or not, to the sum with any others. */
TEST_F(table, rights_widen_and_never_narrow)
{
	struct rig *rig = self->rig;
	unsigned int n;

	for (n = 0; n < 32; n++) {
		const unsigned int old = SLAT_R | (n & 3) << 1, more = SLAT_R | (n >> 2 & 3) << 1;

		rig_map(rig, 0, rig_frame(0), old);
		if (n & 16)
			rig_access(rig, 0, old & SLAT_W ? HW_WRITE : HW_READ);
		rig_map(rig, 0, rig_frame(0), more);
		EXPECT_EQ(old | more, hw_peek(&rig->hw, rig->model.page[0].gfn).rights);
		rig_check(rig);
		rig_zap(rig, rig->model.page[0].gfn, rig->model.page[0].gfn, false);
		rig_check(rig);
	}
}

TEST_F(table, frame_never_changes_in_place)
{
	struct rig *rig = self->rig;
	unsigned int n;

	for (n = 0; n < RIG_FRAMES - 1; n++) {
		uint64_t before;

		rig_map(rig, 0, rig_frame(n), SLAT_R);
		rig_access(rig, 0, HW_READ);
		before = raw(rig, 0);
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(n + 1), SLAT_R));
		EXPECT_EQ(-EAGAIN, rig_try_map(rig, 0, rig_frame(n + 1), SLAT_RWX));
		EXPECT_EQ(before, raw(rig, 0));
		rig_zap(rig, rig->model.page[0].gfn, rig->model.page[0].gfn, false);
	}
	rig_check(rig);
}

/* M3: a frame is never truncated to one that fits. */
TEST_F(table, what_the_format_cannot_hold_is_refused)
{
	struct rig *rig = self->rig;
	const u64 end = model_last_gfn(&rig->model) + 1;
	unsigned int bit;

	for (bit = 40; bit < 64; bit++)
		EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 1ULL << bit | 5, 1, SLAT_RWX));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, ~0ULL, 1, SLAT_RWX));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, 0, 0, 1, 0));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, end, 0, 1, SLAT_RWX));
	EXPECT_EQ(-EINVAL, rig_try_any(rig, ~0ULL, 0, 1, SLAT_RWX));
	rig_check(rig);
	rig_scan(rig);
}

TEST_F(table, type_never_changes_in_place)
{
	struct rig *rig = self->rig;
	struct slat_map map = {
		.level = 1, .rights = SLAT_R, .type = SLAT_MT_WC, .cache = &rig->cache,
	};

	rig_map(rig, 0, rig_frame(0), SLAT_R);
	read_lock(&rig->mmu.lock);
	EXPECT_EQ(-EAGAIN, rig->mmu.ops->map(&rig->mmu, &rig->root, &map));
	read_unlock(&rig->mmu.lock);
	rig_check(rig);
}

TEST_F(table, empty_cache_maps_nothing)
{
	struct rig *rig = self->rig;
	unsigned int i, nr;

	for (nr = 0; nr < variant->levels - 1; nr++) {
		for (i = 0; i < rig->model.nr; i++) {
			const struct model_map map = {
				.frame = rig_frame(i), .level = 1, .rights = SLAT_RWX,
				.type = SLAT_MT_WB,
			};

			if (model_tables_missing(&rig->model, i) <= nr)
				continue;
			rig_map_short(rig, i, &map, nr);
			rig_check(rig);
		}
		rig_scan(rig);
		rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	}
	/* Without a table missing, no cache is needed. */
	rig_map(rig, 0, rig_frame(0), SLAT_R);
	slat_cache_drain(&rig->cache);
	EXPECT_EQ(0, rig_try_map(rig, 0, rig_frame(0), SLAT_R));
}

TEST_F(table, zap_takes_one_page_and_no_neighbour)
{
	struct rig *rig = self->rig;
	unsigned int i;

	map_all(rig, SLAT_RWX);
	for (i = 0; i < rig->model.nr; i += 3) {
		rig_zap(rig, rig->model.page[i].gfn, rig->model.page[i].gfn, i & 1);
		EXPECT_FALSE(rig_access(rig, i, HW_READ));
		rig_check(rig);
	}
	rig_scan(rig);
}

TEST_F(table, host_gets_a_and_d_once)
{
	struct rig *rig = self->rig;
	const u64 gfn = rig->model.page[2].gfn;

	rig_map(rig, 2, rig_frame(2), SLAT_RWX);
	rig_access(rig, 2, HW_WRITE);
	rig_zap(rig, gfn, gfn, false);
	EXPECT_EQ(1, rig->returned[2].accessed);
	EXPECT_EQ(1, rig->returned[2].dirty);
	rig_zap(rig, gfn, gfn, true);

	rig_map(rig, 2, rig_frame(2), SLAT_RWX);
	rig_access(rig, 2, HW_READ);
	rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	EXPECT_EQ(2, rig->returned[2].accessed);
	EXPECT_EQ(1, rig->returned[2].dirty);

	rig_map(rig, 2, rig_frame(2), SLAT_RWX);
	rig_zap(rig, gfn, gfn, false);
	EXPECT_EQ(2, rig->returned[2].accessed);
	EXPECT_EQ(1, rig->returned[2].dirty);
}

TEST_F(table, zap_without_prune_keeps_tables)
{
	struct rig *rig = self->rig;
	unsigned int tables;

	map_all(rig, SLAT_R);
	tables = model_tables(&rig->model);
	rig_zap(rig, 0, model_last_gfn(&rig->model), false);
	EXPECT_EQ(tables + 1, atomic_long_read(&rig->mmu.tables));
	rig_check(rig);
	rig_scan(rig);
}

/* Tables that an earlier zap left behind are cut: paging-structure caches hold them. */
TEST_F(table, prune_takes_tables_that_were_empty_already)
{
	struct rig *rig = self->rig;
	u64 cut_gen;

	map_all(rig, SLAT_R);
	rig_zap(rig, 0, model_last_gfn(&rig->model), false);
	cut_gen = rig->mmu.cut_gen;
	rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	EXPECT_LT(cut_gen, rig->mmu.cut_gen);
	EXPECT_EQ(1, atomic_long_read(&rig->mmu.tables));
	rig_check(rig);
}

/* However little of it the range covers. */
TEST_F(table, prune_takes_what_it_leaves_empty)
{
	struct rig *rig = self->rig;
	const unsigned int a = rig_index(rig, 512), b = rig_index(rig, 1023);

	rig_map(rig, a, rig_frame(0), SLAT_R);
	rig_map(rig, b, rig_frame(1), SLAT_R);
	rig_zap(rig, 512, 512, true);
	EXPECT_TRUE(rig_access(rig, b, HW_READ));
	EXPECT_EQ(variant->levels, atomic_long_read(&rig->mmu.tables));
	rig_check(rig);
	rig_zap(rig, 1023, 1023, true);
	EXPECT_EQ(1, atomic_long_read(&rig->mmu.tables));
	rig_check(rig);
}

/* One that is empty already goes as well, if it is on the way. */
TEST_F(table, prune_spares_what_the_range_does_not_reach)
{
	struct rig *rig = self->rig;

	rig_map(rig, rig_index(rig, 512), rig_frame(0), SLAT_R);
	rig_zap(rig, 512, 512, false);
	rig_zap(rig, 0, 511, true);
	rig_zap(rig, 1024, model_last_gfn(&rig->model), true);
	EXPECT_NE(NULL, hw_entry(&rig->hw, 512, 1));
	rig_check(rig);
	rig_zap(rig, 700, 700, true);
	EXPECT_EQ(1, atomic_long_read(&rig->mmu.tables));
	rig_check(rig);
}

/* Nothing to cut: no CPU has to flush. */
TEST_F(table, zap_of_nothing_is_no_cut)
{
	struct rig *rig = self->rig;

	rig_zap(rig, 0, model_last_gfn(&rig->model), true);
	EXPECT_EQ(0, rig->mmu.cut_gen);
	rig_map(rig, 0, rig_frame(0), SLAT_R);
	rig_zap(rig, rig->model.page[1].gfn, model_last_gfn(&rig->model), false);
	EXPECT_EQ(0, rig->mmu.cut_gen);
	EXPECT_TRUE(rig_access(rig, 0, HW_READ));
}

/* Whole tables, beside the model, which knows a few gfns of each only. */

#define FULL_TABLES	40
#define FULL_BASE	(7ULL << 18)

static void fill_gfn(struct rig *rig, u64 gfn)
{
	CHECK(!rig_try_any(rig, gfn, rig_frame(gfn), 1, SLAT_R));
}

static void fill(struct rig *rig, u64 first, u64 last)
{
	for (; first <= last; first++)
		fill_gfn(rig, first);
}

static unsigned int still_mapped(struct rig *rig, u64 first, u64 last)
{
	unsigned int nr = 0;

	for (; first <= last; first++)
		nr += !!hw_peek(&rig->hw, first).rights;
	return nr;
}

/* Calls of zap that the range takes; -1: one of them took too long. */
static int zap_calls(struct rig *rig, u64 first, u64 last)
{
	struct slat_zap zap = { .first = first, .last = last, .next = first };
	struct slat_gather gather;
	unsigned long reads;
	int ret, calls = 0;

	slat_gather_init(&gather, &rig->mmu);
	do {
		const u64 from = zap.next;

		reads = shim_reads;
		write_lock(&rig->mmu.lock);
		ret = rig->mmu.ops->zap(&rig->mmu, &rig->root, &zap, &gather);
		write_unlock(&rig->mmu.lock);
		calls++;
		if (shim_reads - reads > RIG_ZAP_READS_MAX || (ret && zap.next <= from))
			return -1;
	} while (ret == -EAGAIN);
	return list_empty(&gather.freed) ? calls : -1;
}

TEST_F(table, zap_of_full_tables_is_bounded_and_exact)
{
	struct rig *rig = self->rig;
	const u64 end = FULL_BASE + FULL_TABLES * 512;
	const u64 first = FULL_BASE + 100, last = end - 50;
	int calls;

	fill(rig, FULL_BASE, end - 1);
	calls = zap_calls(rig, first, last);
	EXPECT_LT(1, calls);
	EXPECT_GE(FULL_TABLES, calls);
	EXPECT_EQ(0, still_mapped(rig, first, last));
	EXPECT_EQ(100, still_mapped(rig, FULL_BASE, first - 1));
	EXPECT_EQ(49, still_mapped(rig, last + 1, end - 1));
	EXPECT_EQ(149, tables_leaves(&rig->mmu));
	EXPECT_LT(0, zap_calls(rig, FULL_BASE, end - 1));
	EXPECT_EQ(0, tables_leaves(&rig->mmu));
}

/* One of these ranges has its last gfn, and nothing else, left for another call. */
TEST_F(table, zap_takes_the_last_gfn_wherever_a_call_ends)
{
	struct rig *rig = self->rig;
	u64 tables;

	for (tables = 1; tables < FULL_TABLES; tables++) {
		const u64 last = FULL_BASE + tables * 512;

		fill_gfn(rig, last);
		fill_gfn(rig, last + 1);
		EXPECT_LT(0, zap_calls(rig, FULL_BASE, last));
		EXPECT_EQ(0, still_mapped(rig, last, last));
		EXPECT_EQ(1, still_mapped(rig, last + 1, last + 1));
	}
}

/* One leaf in each table, at its end, the tables far apart. */
TEST_F(table, zap_of_sparse_tables_is_bounded)
{
	struct rig *rig = self->rig;
	unsigned int n;
	int calls;

	for (n = 0; n < 200; n++)
		fill_gfn(rig, ((n + 1ULL) << 18) - 1);
	calls = zap_calls(rig, 0, model_last_gfn(&rig->model));
	EXPECT_LT(1, calls);
	EXPECT_GE(200, calls);
	EXPECT_EQ(0, tables_leaves(&rig->mmu));
}

/* Bits of an entry that is not present say nothing. */
TEST_F(table, junk_is_absent)
{
	struct rig *rig = self->rig;
	const uint64_t junk = rig->format == &rig_npt ? ~0ULL << 1 : ~0ULL << 3;
	struct slat_leaf leaf;
	unsigned int level;

	rig_map(rig, 0, rig_frame(0), SLAT_R);
	for (level = 1; level <= variant->levels; level++) {
		const u64 gfn = 300ULL << (9 * (level - 1));

		*hw_entry(&rig->hw, gfn, level) = junk;
		rig->mmu.ops->read(&rig->root, gfn, &leaf);
		EXPECT_EQ(0, leaf.level);
		EXPECT_EQ(0, leaf.pfn);
		EXPECT_EQ(0, leaf.rights);
		EXPECT_FALSE(leaf.accessed);
		EXPECT_FALSE(leaf.dirty);
		fill_gfn(rig, gfn);
		EXPECT_EQ(rig_frame(gfn), hw_peek(&rig->hw, gfn).frame);
		EXPECT_LT(0, zap_calls(rig, gfn, gfn));
	}
	EXPECT_EQ(1, tables_leaves(&rig->mmu));
}

TEST_F(table, locks_are_asserted)
{
	struct rig *rig = self->rig;
	const struct slat_map map = {
		.level = 1, .rights = SLAT_R, .type = SLAT_MT_WB, .cache = &rig->cache,
	};
	struct slat_zap zap = {};
	struct slat_gather gather;

	slat_gather_init(&gather, &rig->mmu);
	slat_cache_fill(&rig->cache, 4);
	rig->mmu.ops->map(&rig->mmu, &rig->root, &map);
	EXPECT_EQ(1, shim_warnings);
	read_lock(&rig->mmu.lock);
	rig->mmu.ops->map(&rig->mmu, &rig->root, &map);
	EXPECT_EQ(1, shim_warnings);
	tables_on_return = NULL;
	/* Once for the call, once for the cut. */
	rig->mmu.ops->zap(&rig->mmu, &rig->root, &zap, &gather);
	EXPECT_EQ(3, shim_warnings);
	read_unlock(&rig->mmu.lock);
	shim_warnings = 0;
}

static void random_steps(struct rig *rig, u64 seed, unsigned int steps)
{
	u64 state = seed;
	unsigned int n;

	for (n = 0; n < steps; n++) {
		snprintf(check_note, sizeof(check_note), "seed %llu step %u", seed, n);
		rig_step(rig, rig_random(&state));
		if (n % 64 == 0)
			rig_scan(rig);
	}
	check_note[0] = 0;
}

TEST_F(table, random_operations_agree_with_the_model)
{
	random_steps(self->rig, 1, 8000);
	random_steps(self->rig, 2, 8000);
}

TEST_F(table, random_operations_under_interference_agree_with_the_model)
{
	rig_storm(self->rig, 3);
	random_steps(self->rig, 4, 8000);
}

TEST_HARNESS_MAIN
