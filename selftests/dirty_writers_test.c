// SPDX-License-Identifier: GPL-2.0-only
/*
 * D4, P1, R8: what writes guest memory beside the guest's CPU is in the dirty log, too:
 * instructions that are emulated, copies by the VMM, windows, runstate areas.
 */
#include <sys/mman.h>

#include "dirty.h"
#include "harness.h"
#include "runstate.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define PAGES	64
#define SIZE	(PAGES * PAGE_SIZE)
#define GPA	VM_PLAY_GPA

FIXTURE(writers)
{
	struct play play;
};

FIXTURE_SETUP(writers)
{
	uint8_t *mem = mem_alloc(SIZE);

	mem_make_small(mem, SIZE);
	play_create(&self->play, mem, SIZE, LOG);
	ASSERT_TRUE(PLAY_DIRTY(&self->play));
}

FIXTURE_TEARDOWN(writers)
{
	vcpu_destroy(self->play.vcpu);
	vm_destroy(self->play.vm);
}

/* --- the emulation */

static void guest_ins(uint64_t gpa)
{
	uint64_t count = 8;

	asm volatile("rep insb" : "+D"(gpa), "+c"(count) : "d"(0x60) : "memory");
	guest_report(1, gpa);
}

TEST_F(writers, D4_string_input)
{
	struct vcpu *vcpu = self->play.vcpu;

	/* Over the end of page 4. */
	guest_enter_c(vcpu, guest_ins, GPA + 5 * PAGE_SIZE - 4);
	while (vcpu_run(vcpu) == KVM_EXIT_IO && vcpu->run->io.port == 0x60)
		memset(exit_io_data(vcpu), 0x55, vcpu->run->io.count);
	EXPECT_EQ(0x55, *(uint8_t *)(self->play.mem + 5 * PAGE_SIZE - 1));
	EXPECT_EQ(0x55, *(uint8_t *)(self->play.mem + 5 * PAGE_SIZE));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 4, 5));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
}

static void guest_movs(uint64_t gpa)
{
	uint64_t from = VM_MMIO_GPA;

	asm volatile("movsq" : "+D"(gpa), "+S"(from) : : "memory");
	guest_report(1, gpa);
}

TEST_F(writers, D4_from_mmio)
{
	guest_enter_c(self->play.vcpu, guest_movs, GPA + 9 * PAGE_SIZE);
	vcpu_run_to(self->play.vcpu, KVM_EXIT_MMIO);
	exit_mmio_reply(self->play.vcpu, 77);
	vcpu_await(self->play.vcpu, 1);
	EXPECT_EQ(77, *(uint64_t *)(self->play.mem + 9 * PAGE_SIZE));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 9));
}

/* --- the VMM, by way of slat */

TEST_F(writers, D4_copies)
{
	uint8_t *data = mem_alloc(3 * PAGE_SIZE), *half = mem_before_hole(PAGE_SIZE);
	struct vm *vm = self->play.vm;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	ASSERT_EQ(0, vm_try_copy(vm, true, GPA + 2 * PAGE_SIZE - 1, data, PAGE_SIZE + 2, NULL));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 1, 2, 3));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	ASSERT_EQ(0, vm_try_copy(vm, false, GPA, data, 3 * PAGE_SIZE, NULL));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	/* One page was written, the next was not. */
	EXPECT_EQ(-EFAULT, vm_try_copy(vm, true, GPA + 7 * PAGE_SIZE, half, 2 * PAGE_SIZE, NULL));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 7));
}

/* Whoever has it may write at any time, and nobody sees when. */
TEST_F(writers, P1_windows)
{
	int fd;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	fd = vm_try_window(self->play.vm, SLAT_WINDOW_WRITE, GPA + 2 * PAGE_SIZE, 3 * PAGE_SIZE);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 2, 3, 4));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 2, 3, 4));
	close(fd);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 2, 3, 4));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	fd = vm_try_window(self->play.vm, 0, GPA + 2 * PAGE_SIZE, 3 * PAGE_SIZE);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
	close(fd);
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
}

/* It may reach over the ends of the slot that logs. */
TEST_F(writers, P1_window_over_two_slots)
{
	void *mem = mem_alloc(2 * PAGE_SIZE);
	int fd;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vm_slot(self->play.vm, VM_PLAY_SLOT + 1, 0, GPA + SIZE, 2 * PAGE_SIZE, mem);
	fd = vm_try_window(self->play.vm, SLAT_WINDOW_WRITE, GPA + SIZE - PAGE_SIZE, 2 * PAGE_SIZE);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, PAGES - 1));
	/* Its slot begins to log while it is open. */
	vm_slot(self->play.vm, VM_PLAY_SLOT + 1, LOG, GPA + SIZE, 2 * PAGE_SIZE, mem);
	EXPECT_TRUE(vm_dirty_is(self->play.vm, VM_PLAY_SLOT + 1, 2, 0, -1));
	close(fd);
	EXPECT_TRUE(vm_dirty_is(self->play.vm, VM_PLAY_SLOT + 1, 2, 0, -1));
	EXPECT_TRUE(vm_dirty_is(self->play.vm, VM_PLAY_SLOT + 1, 2, -1));
}

/* The window's pages can be cleared, and are dirty again. */
TEST_F(writers, P1_window_and_clear)
{
	const uint64_t all = -1ull;
	int fd;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	ASSERT_EQ(0, vm_try_dirty_manual(self->play.vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE));
	fd = vm_try_window(self->play.vm, SLAT_WINDOW_WRITE, GPA, PAGE_SIZE);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 0));
	ASSERT_EQ(0, vm_try_clear_dirty(self->play.vm, VM_PLAY_SLOT, 0, PAGES, &all));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 0));
	close(fd);
	ASSERT_EQ(0, vm_try_clear_dirty(self->play.vm, VM_PLAY_SLOT, 0, PAGES, &all));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
}

TEST_F(writers, R8_runstate_area)
{
	struct vm *vm = self->play.vm;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	/* Over the end of page 6. */
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, GPA + 7 * PAGE_SIZE - 24));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 6, 7));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 6, 7));
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, GPA + 20 * PAGE_SIZE));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 6, 7, 20));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 20));
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, 0));
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 20));
	EXPECT_TRUE(PLAY_DIRTY(&self->play));
}

SLAT_HARNESS_MAIN
