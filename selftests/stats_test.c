// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: SLAT_GET_STATS counts what happened, and keeps the rules that all of
 * slat's own ioctls have for sizes, flags and pointers.
 */
#include <linux/slat.h>

#include "harness.h"

FIXTURE(stats)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_SETUP(stats)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has no SLAT_GET_STATS");
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(stats)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

static struct slat_stats get_stats(struct vm *vm)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	must_ioctl(vm->fd, SLAT_GET_STATS, &stats);
	return stats;
}

/* --- what is counted */

#define HEAP_GPA	0x10000000ul
#define HEAP_PAGES	64ul

static void guest_work(uint64_t pages)
{
	uint64_t i;

	guest_report(1, 0);
	for (i = 0; i < pages; i++)
		WRITE_ONCE(*(uint64_t *)(HEAP_GPA + i * PAGE_SIZE), i);
	guest_report(2, 0);
	for (i = 0; i < 3; i++)
		WRITE_ONCE(*(uint32_t *)VM_MMIO_GPA, i);
	guest_report(3, 0);
}

static void enter_work(struct vm *vm, struct vcpu *vcpu)
{
	vm_slot(vm, 1, 0, HEAP_GPA, HEAP_PAGES * PAGE_SIZE,
		mem_alloc(HEAP_PAGES * PAGE_SIZE));
	vm_make_tables(vm, PAGING_4LEVEL);
	vm_map(vm, HEAP_GPA, HEAP_GPA, HEAP_PAGES * PAGE_SIZE, PT_ALL);
	guest_enter_c(vcpu, guest_work, HEAP_PAGES);
}

TEST_F(stats, counts)
{
	struct slat_stats begin, touched, end;
	int i;

	enter_work(self->vm, self->vcpu);
	vcpu_await(self->vcpu, 1);
	begin = get_stats(self->vm);
	EXPECT_LE(4, begin.levels);
	EXPECT_GE(5, begin.levels);
	EXPECT_EQ(1, begin.user_exits);
	EXPECT_EQ(1, begin.io_exits);
	EXPECT_EQ(0, begin.mmio_exits);

	vcpu_await(self->vcpu, 2);
	touched = get_stats(self->vm);
	/* The pages, and the guest's tables for them. */
	EXPECT_LE(begin.leaves + HEAP_PAGES, touched.leaves);
	EXPECT_GE(begin.leaves + HEAP_PAGES + 8, touched.leaves);
	EXPECT_LE(begin.faults + HEAP_PAGES, touched.faults);
	EXPECT_LT(begin.tables, touched.tables);
	EXPECT_LE(begin.exits + HEAP_PAGES, touched.exits);
	EXPECT_EQ(2, touched.io_exits);

	for (i = 0; i < 3; i++)
		vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
	vcpu_await(self->vcpu, 3);
	end = get_stats(self->vm);
	EXPECT_EQ(3, end.mmio_exits);
	EXPECT_EQ(3, end.io_exits);
	EXPECT_EQ(6, end.user_exits);
	EXPECT_EQ(0, end.reserved);

	vm_slot_delete(self->vm, 1);
	EXPECT_EQ(end.leaves - HEAP_PAGES, get_stats(self->vm).leaves);
	vm_slot_delete(self->vm, VM_RAM_SLOT);
	EXPECT_EQ(0, get_stats(self->vm).leaves);
}

/* --- the rules of slat's structures */

/* The structure at the end of readable memory, and more behind it. */
static int try_stats(struct vm *vm, uint32_t size, size_t room, uint8_t tail)
{
	struct slat_stats *stats = mem_before_hole(room);

	if (room > sizeof(*stats))
		memset(stats + 1, tail, room - sizeof(*stats));
	stats->size = size;
	return try_ioctl_ptr(vm->fd, SLAT_GET_STATS, stats);
}

TEST_F(stats, size)
{
	const size_t whole = sizeof(struct slat_stats);
	uint32_t size;

	EXPECT_EQ(0, try_stats(self->vm, whole, whole, 0));
	/* Too small, down to nothing. */
	for (size = 0; size < SLAT_STATS_SIZE_VER0; size += 4) {
		EXPECT_EQ(-EINVAL, try_stats(self->vm, size, whole, 0));
	}
	EXPECT_EQ(-EINVAL, try_stats(self->vm, SLAT_STATS_SIZE_VER0 - 1, whole,
				     0));
	/* A newer program's, of which we know the beginning. */
	EXPECT_EQ(0, try_stats(self->vm, whole + 8, whole + 8, 0));
	EXPECT_EQ(-E2BIG, try_stats(self->vm, whole + 8, whole + 8, 1));
	EXPECT_EQ(0, try_stats(self->vm, PAGE_SIZE, PAGE_SIZE, 0));
	EXPECT_EQ(-E2BIG, try_stats(self->vm, PAGE_SIZE + 1, 2 * PAGE_SIZE, 0));
	EXPECT_EQ(-E2BIG, try_stats(self->vm, -1u, whole, 0));
}

/* What is behind the size that the program named stays as it was. */
TEST_F(stats, writes_no_more_than_size)
{
	uint8_t buffer[sizeof(struct slat_stats) + 64];
	struct slat_stats *stats = (void *)buffer;
	unsigned int i;

	memset(buffer, 0, sizeof(buffer));
	memset(stats + 1, 0xa5, 64);
	stats->size = sizeof(*stats);
	ASSERT_EQ(0, try_ioctl_ptr(self->vm->fd, SLAT_GET_STATS, stats));
	EXPECT_EQ(sizeof(*stats), stats->size);
	for (i = 0; i < 64; i++)
		ASSERT_EQ(0xa5, buffer[sizeof(*stats) + i]);
}

TEST_F(stats, flags)
{
	struct slat_stats stats;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		stats = (struct slat_stats){ .size = sizeof(stats),
					     .flags = 1u << bit };
		EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, SLAT_GET_STATS,
						 &stats));
	}
}

TEST_F(stats, pointer)
{
	const size_t whole = sizeof(struct slat_stats);
	const void *const *bad;
	struct slat_stats *stats;

	for (bad = bad_pointers; *bad; bad++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vm->fd, SLAT_GET_STATS,
						 *bad));
	}
	EXPECT_EQ(-EFAULT, try_stats(self->vm, whole, whole - 1, 0));
	EXPECT_EQ(-EFAULT, try_stats(self->vm, whole, 4, 0));
	/* Readable, not writable. */
	stats = mem_alloc(PAGE_SIZE);
	stats->size = whole;
	ASSERT_EQ(0, mprotect(stats, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vm->fd, SLAT_GET_STATS, stats));
}

TEST_F(stats, only_of_a_vm)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	EXPECT_EQ(-ENOTTY, try_ioctl_ptr(slat_fd(), SLAT_GET_STATS, &stats));
	EXPECT_EQ(-ENOTTY, try_ioctl_ptr(self->vcpu->fd, SLAT_GET_STATS,
					 &stats));
}

SLAT_HARNESS_MAIN
