// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: SLAT_GET_STATS counts what happened.
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

SLAT_HARNESS_MAIN
