// SPDX-License-Identifier: GPL-2.0-only
/*
 * D1: the log in two steps, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: KVM_GET_DIRTY_LOG looks,
 * KVM_CLEAR_DIRTY_LOG takes away; and logs that begin with all pages dirty.
 */
#include "dirty.h"
#include "harness.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define MANUAL	KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
#define ALL	(MANUAL | KVM_DIRTY_LOG_INITIALLY_SET)
#define PAGES	200
#define SIZE	(PAGES * PAGE_SIZE)

FIXTURE(manual)
{
	struct play play;
};

FIXTURE_SETUP(manual)
{
	uint8_t *mem = mem_alloc(SIZE);

	mem_make_small(mem, SIZE);
	play_watch(&self->play, mem, SIZE, 0);
}

FIXTURE_TEARDOWN(manual)
{
	EXPECT_TRUE(play_end(&self->play));
}

static void start(struct play *play, uint64_t manual)
{
	REQUIRE(!vm_try_dirty_manual(play->vm, manual), "no manual protection");
	play_flags(play, LOG);
}

/* Clear what @mask names, of the pages from first on. */
static int clear(struct play *play, uint64_t first, uint32_t pages, uint64_t mask)
{
	const uint64_t masks[] = { mask, mask, mask, mask };

	return vm_try_clear_dirty(play->vm, VM_PLAY_SLOT, first, pages, masks);
}

TEST_F(manual, D1_looking_changes_nothing)
{
	struct play *play = &self->play;

	start(play, MANUAL);
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_write(play, 3);
	play_write(play, 130);
	EXPECT_TRUE(PLAY_DIRTY(play, 3, 130));
	EXPECT_TRUE(PLAY_DIRTY(play, 3, 130));
	play_write(play, 64);
	EXPECT_TRUE(PLAY_DIRTY(play, 3, 64, 130));
}

TEST_F(manual, D1_clears_what_is_named)
{
	struct play *play = &self->play;

	start(play, MANUAL);
	play_write(play, 3);
	play_write(play, 4);
	play_write(play, 67);
	play_write(play, 195);
	ASSERT_EQ(0, clear(play, 64, 64, 1 << 3));
	EXPECT_TRUE(PLAY_DIRTY(play, 3, 4, 195));
	ASSERT_EQ(0, clear(play, 0, PAGES, 1 << 3));
	EXPECT_TRUE(PLAY_DIRTY(play, 4));
	ASSERT_EQ(0, clear(play, 0, 64, -1ull));
	EXPECT_TRUE(PLAY_DIRTY(play));
	/* Clean ones may be named, and what is behind the last page. */
	ASSERT_EQ(0, clear(play, 0, PAGES, -1ull));
	play_write(play, PAGES - 1);
	EXPECT_TRUE(PLAY_DIRTY(play, PAGES - 1));
}

/* Dirty until it is cleared, however often it is written, and not after. */
TEST_F(manual, D1_written_before_and_after)
{
	struct play *play = &self->play;

	start(play, MANUAL);
	play_write(play, 8);
	play_write(play, 9);
	EXPECT_TRUE(PLAY_DIRTY(play, 8, 9));
	play_write(play, 8);
	play_write(play, 10);
	/* This one was never asked for, and the next is not named. */
	ASSERT_EQ(0, clear(play, 0, 64, 1 << 8 | 1 << 10));
	EXPECT_TRUE(PLAY_DIRTY(play, 9));
	play_write(play, 8);
	EXPECT_TRUE(PLAY_DIRTY(play, 8, 9));
	ASSERT_EQ(0, clear(play, 0, 64, -1ull));
	EXPECT_TRUE(PLAY_DIRTY(play));
}

/* To clear works without the capability, too. */
TEST_F(manual, D1_clear_alone)
{
	struct play *play = &self->play;

	start(play, 0);
	play_write(play, 8);
	play_write(play, 100);
	ASSERT_EQ(0, clear(play, 64, 64, -1ull));
	EXPECT_TRUE(PLAY_DIRTY(play, 8));
	EXPECT_TRUE(PLAY_DIRTY(play));
}

TEST_F(manual, D1_switched_off_again)
{
	struct play *play = &self->play;

	start(play, MANUAL);
	play_write(play, 8);
	EXPECT_TRUE(PLAY_DIRTY(play, 8));
	ASSERT_EQ(0, vm_try_dirty_manual(play->vm, 0));
	EXPECT_TRUE(PLAY_DIRTY(play, 8));
	EXPECT_TRUE(PLAY_DIRTY(play));
}

static bool all_dirty(struct play *play)
{
	uint64_t bitmap[DIRTY_WORDS(PAGES)];

	REQUIRE(!vm_try_get_dirty(play->vm, VM_PLAY_SLOT, bitmap), "no dirty log");
	return bitmap[0] == -1ull && bitmap[1] == -1ull && bitmap[2] == -1ull &&
	       bitmap[3] == (1ull << PAGES % 64) - 1;
}

TEST_F(manual, D1_all_are_dirty_at_first)
{
	struct play *play = &self->play;

	play_write(play, 5);
	play_write(play, 77);
	start(play, ALL);
	EXPECT_TRUE(all_dirty(play));
	ASSERT_EQ(0, clear(play, 0, PAGES, -1ull));
	/* What was written before the start is forgotten with it. */
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_write(play, 77);
	EXPECT_TRUE(PLAY_DIRTY(play, 77));
	/* So it is again with the next log, and with a new slot. */
	play_flags(play, 0);
	play_flags(play, LOG);
	EXPECT_TRUE(all_dirty(play));
	vm_slot_delete(play->vm, VM_PLAY_SLOT);
	play_flags(play, LOG);
	EXPECT_TRUE(all_dirty(play));
	/* A log that there is goes on as it was. */
	ASSERT_EQ(0, clear(play, 0, PAGES, -1ull));
	vm_slot(play->vm, VM_PLAY_SLOT, LOG, VM_PLAY_GPA + PAGE_SIZE, SIZE, play->mem);
	EXPECT_TRUE(PLAY_DIRTY(play));
}

/* In pieces, as VMMs do with large slots. */
TEST_F(manual, D1_cleared_in_pieces)
{
	struct play *play = &self->play;
	unsigned int i;

	start(play, ALL);
	for (i = 0; i < PAGES; i += 64)
		ASSERT_EQ(0, clear(play, i, i + 64 < PAGES ? 64 : PAGES - i, -1ull));
	EXPECT_TRUE(PLAY_DIRTY(play));
	for (i = 1; i < PAGES; i += 64)
		play_write(play, i);
	EXPECT_TRUE(PLAY_DIRTY(play, 1, 65, 129, 193));
	ASSERT_EQ(0, clear(play, 64, 128, -1ull));
	EXPECT_TRUE(PLAY_DIRTY(play, 1, 193));
}

/* --- large slots: where all pages are dirty, nothing is looked for */

#define MANY	1100

static uint64_t many[DIRTY_WORDS(MANY)];

static void many_get(struct play *play)
{
	memset(many, 0, sizeof(many));
	REQUIRE(!vm_try_get_dirty(play->vm, VM_PLAY_SLOT + 1, many), "no dirty log");
}

TEST_F(manual, D1_parts_all_dirty)
{
	const uint64_t gpa = VM_PLAY_GPA + 2 * MIB, all = -1ull;
	struct play *play = &self->play;

	REQUIRE(!vm_try_dirty_manual(play->vm, ALL), "no manual protection");
	vm_slot(play->vm, VM_PLAY_SLOT + 1, LOG, gpa, MANY * PAGE_SIZE,
		mem_alloc(MANY * PAGE_SIZE));
	/* One word in the middle, and one at the end, which is not a whole block. */
	ASSERT_EQ(0, vm_try_clear_dirty(play->vm, VM_PLAY_SLOT + 1, 640, 64, &all));
	ASSERT_EQ(0, vm_try_clear_dirty(play->vm, VM_PLAY_SLOT + 1, 1088, 12, &all));
	many_get(play);
	EXPECT_EQ(MANY - 64 - 12, dirty_count(many, MANY));
	watch_write(&play->worker, gpa + 5 * PAGE_SIZE, 1);
	watch_write(&play->worker, gpa + 641 * PAGE_SIZE, 1);
	watch_write(&play->worker, gpa + (MANY - 1) * PAGE_SIZE, 1);
	many_get(play);
	EXPECT_EQ(MANY - 64 - 12 + 2, dirty_count(many, MANY));
	EXPECT_TRUE(dirty_test(many, 641) && dirty_test(many, MANY - 1));
	/* What was not looked for is cleared with the rest. */
	ASSERT_EQ(0, vm_try_clear_dirty(play->vm, VM_PLAY_SLOT + 1, 0, MANY, many));
	many_get(play);
	EXPECT_EQ(0, dirty_count(many, MANY));
	watch_write(&play->worker, gpa + 5 * PAGE_SIZE, 2);
	many_get(play);
	EXPECT_EQ(1, dirty_count(many, MANY));
	EXPECT_TRUE(dirty_test(many, 5));
}

SLAT_HARNESS_MAIN
