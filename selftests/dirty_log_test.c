// SPDX-License-Identifier: GPL-2.0-only
/*
 * D1, D6: KVM_GET_DIRTY_LOG tells what the guest wrote since the last call, no more and
 * no less, whatever became of its memory and of the slot in between.
 */
#include <sys/mman.h>

#include "dirty.h"
#include "harness.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define PAGES	130
#define SIZE	(PAGES * PAGE_SIZE)

FIXTURE(dirty)
{
	struct play play;
};

FIXTURE_SETUP(dirty)
{
	uint8_t *mem = mem_alloc(SIZE);

	mem_make_small(mem, SIZE);
	play_watch(&self->play, mem, SIZE, LOG);
}

FIXTURE_TEARDOWN(dirty)
{
	EXPECT_TRUE(play_end(&self->play));
}

TEST_F(dirty, D1_writes_are_told_once)
{
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	play_write(&self->play, 3);
	play_write(&self->play, 64);
	play_write(&self->play, PAGES - 1);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 3, 64, PAGES - 1));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	/* Mapped and clean by now. */
	play_write(&self->play, 64);
	play_write(&self->play, 64);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 64));
	play_write(&self->play, 0);
	play_write(&self->play, 3);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 0, 3));
}

TEST_F(dirty, D6_reads_do_not_count)
{
	unsigned int i;

	if (slat_is_kvm())
		SKIP(return, "KVM counts the first read of a page that may be written");
	for (i = 0; i < PAGES; i++)
		watch_read(&self->play.worker, VM_PLAY_GPA + i * PAGE_SIZE);
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	play_write(&self->play, 7);
	watch_read(&self->play.worker, VM_PLAY_GPA + 8 * PAGE_SIZE);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 7));
}

TEST_F(dirty, D6_vmm_does_not_count)
{
	memset(self->play.mem, 5, SIZE);
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
}

/* The bits of a leaf that goes are not lost. */
TEST_F(dirty, D1_memory_taken_away)
{
	play_write(&self->play, 10);
	play_write(&self->play, 11);
	play_write(&self->play, 12);
	ASSERT_EQ(0, madvise(self->play.mem + 10 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(self->play.mem + 11 * PAGE_SIZE, PAGE_SIZE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->play.mem + 11 * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, munmap(self->play.mem + 12 * PAGE_SIZE, PAGE_SIZE));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 10, 11, 12));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	play_write(&self->play, 10);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 10));
}

/* The bitmap ends with the word of the last page. */
TEST_F(dirty, D1_bitmap_size)
{
	uint64_t *bitmap = mem_before_hole(DIRTY_WORDS(PAGES) * 8);

	play_write(&self->play, PAGES - 1);
	memset(bitmap, 0xff, DIRTY_WORDS(PAGES) * 8);
	ASSERT_EQ(0, vm_try_get_dirty(self->play.vm, VM_PLAY_SLOT, bitmap));
	EXPECT_EQ(0, bitmap[0]);
	EXPECT_EQ(0, bitmap[1]);
	EXPECT_EQ(1ull << (PAGES - 1) % 64, bitmap[2]);
}

TEST_F(dirty, D1_switched_on_and_off)
{
	play_write(&self->play, 1);
	play_flags(&self->play, 0);
	EXPECT_EQ(-ENOENT, vm_try_get_dirty(self->play.vm, VM_PLAY_SLOT, NULL));
	play_write(&self->play, 2);
	play_flags(&self->play, LOG);
	/* What was before is of no interest. */
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	play_write(&self->play, 2);
	play_write(&self->play, 4);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 2, 4));
	/* The same again changes nothing. */
	play_write(&self->play, 5);
	play_flags(&self->play, LOG);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 5));
}

TEST_F(dirty, D1_moved_slot_keeps_its_log)
{
	struct play *play = &self->play;

	play_write(play, 1);
	play_write(play, 100);
	/* Overlaps itself. */
	vm_slot(play->vm, VM_PLAY_SLOT, LOG, VM_PLAY_GPA + 4 * PAGE_SIZE, SIZE, play->mem);
	EXPECT_TRUE(PLAY_DIRTY(play, 1, 100));
	watch_write(&play->worker, VM_PLAY_GPA + 6 * PAGE_SIZE, 1);
	EXPECT_TRUE(PLAY_DIRTY(play, 2));
	/* The log may begin and end with the move. */
	watch_write(&play->worker, VM_PLAY_GPA + 7 * PAGE_SIZE, 1);
	vm_slot(play->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, SIZE, play->mem);
	EXPECT_EQ(-ENOENT, vm_try_get_dirty(play->vm, VM_PLAY_SLOT, NULL));
	play_write(play, 9);
	vm_slot(play->vm, VM_PLAY_SLOT, LOG, VM_PLAY_GPA + PAGE_SIZE, SIZE, play->mem);
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_write(play, 9);
	EXPECT_TRUE(PLAY_DIRTY(play, 8));
}

TEST_F(dirty, D1_slots_have_logs_of_their_own)
{
	struct play *play = &self->play;
	const uint64_t gpa = VM_PLAY_GPA + SIZE;
	uint64_t bitmap[DIRTY_WORDS(PAGES)];

	/* The same memory at another place: what is written here is not dirty there. */
	vm_slot(play->vm, VM_PLAY_SLOT + 1, LOG, gpa, SIZE, play->mem);
	play_write(play, PAGES - 1);
	watch_write(&play->worker, gpa + 2 * PAGE_SIZE, 1);
	EXPECT_TRUE(PLAY_DIRTY(play, PAGES - 1));
	ASSERT_EQ(0, vm_try_get_dirty(play->vm, VM_PLAY_SLOT + 1, bitmap));
	EXPECT_EQ(1ull << 2, bitmap[0]);
	EXPECT_EQ(0, bitmap[1] | bitmap[2]);
	play_write(play, 0);
	vm_slot_delete(play->vm, VM_PLAY_SLOT + 1);
	EXPECT_EQ(-ENOENT, vm_try_get_dirty(play->vm, VM_PLAY_SLOT + 1, bitmap));
	EXPECT_TRUE(PLAY_DIRTY(play, 0));
}

TEST_F(dirty, D1_deleted_and_created)
{
	struct play *play = &self->play;

	play_write(play, 1);
	vm_slot_delete(play->vm, VM_PLAY_SLOT);
	EXPECT_EQ(-ENOENT, vm_try_get_dirty(play->vm, VM_PLAY_SLOT, NULL));
	play_flags(play, LOG);
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_write(play, 1);
	EXPECT_TRUE(PLAY_DIRTY(play, 1));
}

TEST_F(dirty, D1_read_only)
{
	struct play *play = &self->play;

	vm_slot_delete(play->vm, VM_PLAY_SLOT);
	play_flags(play, LOG | KVM_MEM_READONLY);
	watch_read(&play->worker, VM_PLAY_GPA);
	watch_write(&play->worker, VM_PLAY_GPA, 1);
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_flags(play, KVM_MEM_READONLY);
	EXPECT_EQ(-ENOENT, vm_try_get_dirty(play->vm, VM_PLAY_SLOT, NULL));
}

/* Pages that nobody has touched come along with a fault, and are clean. */
TEST_F(dirty, D6_prefaulted_is_clean)
{
	if (!slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY))
		SKIP(return, "no KVM_PRE_FAULT_MEMORY");
	ASSERT_TRUE(worker_stop(&self->play.worker));
	ASSERT_EQ(0, vcpu_try_prefault(self->play.vcpu, VM_PLAY_GPA, SIZE));
	worker_start(&self->play.worker, self->play.vcpu);
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	play_write(&self->play, 77);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 77));
}

SLAT_HARNESS_MAIN
