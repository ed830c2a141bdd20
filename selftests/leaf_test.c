// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2, M2, M3: what the nested tables map, and how large, in each format: small and
 * large pages of the host, borders of slots, memory that comes, goes and grows together.
 * KVM_PRE_FAULT_MEMORY and SLAT_GET_LEAF with their refusals.
 */
#include <linux/capability.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define GPA		0x40000000ul	/* 1G, so that everything can be aligned */
#define SLOT		1

#define RX		(SLAT_ACCESS_R | SLAT_ACCESS_X)
#define RWX		(RX | SLAT_ACCESS_W)
#define WB		6

FIXTURE(leaf)
{
	struct vm *vm;
	struct vcpu *vcpu;
	uint8_t *mem;			/* 4 huge pages, aligned to one */
};

FIXTURE_VARIANT(leaf)
{
	unsigned long type;
};

FIXTURE_VARIANT_ADD(leaf, cpus) { .type = 0 };
FIXTURE_VARIANT_ADD(leaf, ept) { .type = SLAT_VM_EPT };
FIXTURE_VARIANT_ADD(leaf, npt) { .type = SLAT_VM_NPT };

FIXTURE_SETUP(leaf)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has no SLAT_GET_LEAF");
	watchdog_start(25);
	self->mem = mem_huge_area(4 * HUGE);
	self->vm = vm_create_type(variant->type);
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(leaf)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

TEST_F(leaf, B2_small_pages_are_mapped_small)
{
	unsigned int i;

	mem_make_small(self->mem, HUGE);
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	ASSERT_EQ(0, vm_leaf(self->vm, GPA).level);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA + 3 * PAGE_SIZE, 200 * PAGE_SIZE));
	for (i = 0; i < 512; i++) {
		const struct slat_leaf_info info = vm_leaf(self->vm, GPA + i * PAGE_SIZE);

		if (i < 3 || i >= 203) {
			ASSERT_EQ(0, info.level);
			ASSERT_EQ(-1ull, info.pfn);
			ASSERT_EQ(0, info.access);
			continue;
		}
		ASSERT_EQ(1, info.level);
		ASSERT_EQ(RWX, info.access);
		ASSERT_EQ(WB, info.type);
		ASSERT_EQ(mem_frame(self->mem + i * PAGE_SIZE), info.pfn);
	}
}

TEST_F(leaf, B2_untouched_memory_is_not_populated_for_writing)
{
	mem_make_small(self->mem, PAGE_SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	REQUIRE(!madvise(self->mem, HUGE, MADV_DONTNEED), "no room");
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, 2 * PAGE_SIZE));
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + PAGE_SIZE).level);
	EXPECT_EQ(RX, vm_leaf(self->vm, GPA + PAGE_SIZE).access);
}

TEST_F(leaf, M2_large_pages_are_mapped_large)
{
	if (!mem_make_huge(self->mem))
		SKIP(return, "no huge page to be had");
	vm_slot(self->vm, SLOT, 0, GPA, 2 * HUGE, self->mem);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA + 5 * PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(2, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + HUGE - 1).level);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA + HUGE).level);
	EXPECT_EQ(mem_frame(self->mem + 7 * PAGE_SIZE),
		  vm_leaf(self->vm, GPA + 7 * PAGE_SIZE).pfn);
}

TEST_F(leaf, M2_misaligned_slots_get_small_leaves)
{
	if (!mem_make_huge(self->mem))
		SKIP(return, "no huge page to be had");
	vm_slot(self->vm, SLOT, 0, GPA + PAGE_SIZE, HUGE, self->mem);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA + PAGE_SIZE, HUGE));
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + PAGE_SIZE).level);
	EXPECT_EQ(mem_frame(self->mem + 7 * PAGE_SIZE),
		  vm_leaf(self->vm, GPA + 8 * PAGE_SIZE).pfn);
}

TEST_F(leaf, M2_leaves_end_where_slots_do)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		if (!mem_make_huge(self->mem + i * HUGE))
			SKIP(return, "no huge page to be had");
	/* Half of the first, all of the second, half of the third. */
	vm_slot(self->vm, SLOT, 0, GPA + MIB, 2 * HUGE, self->mem + MIB);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA + MIB, 2 * HUGE));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA + MIB - 1).level);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + MIB).level);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + HUGE - 1).level);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + HUGE).level);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + 2 * HUGE - 1).level);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + 2 * HUGE).level);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + 2 * HUGE + MIB - 1).level);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA + 2 * HUGE + MIB).level);
}

TEST_F(leaf, B2_small_leaves_grow_together_with_the_hosts)
{
	mem_make_small(self->mem, HUGE);
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, HUGE));
	ASSERT_EQ(1, vm_leaf(self->vm, GPA).level);
	if (!mem_make_huge(self->mem))
		SKIP(return, "no huge page to be had");
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA + 9 * PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(2, vm_leaf(self->vm, GPA).level);
}

TEST_F(leaf, B2_part_of_a_large_page_goes)
{
	if (!mem_make_huge(self->mem))
		SKIP(return, "no huge page to be had");
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, HUGE));
	ASSERT_EQ(2, vm_leaf(self->vm, GPA).level);
	ASSERT_EQ(0, madvise(self->mem + 3 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA + 3 * PAGE_SIZE).level);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, 3 * PAGE_SIZE));
	EXPECT_EQ(1, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA + 3 * PAGE_SIZE).level);
}

TEST_F(leaf, B2_read_only_slots_are_not_writable)
{
	mem_make_small(self->mem, HUGE);
	vm_slot(self->vm, SLOT, KVM_MEM_READONLY, GPA, HUGE, self->mem);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, HUGE));
	EXPECT_EQ(RX, vm_leaf(self->vm, GPA + 100 * PAGE_SIZE).access);
}

/* --- refusals */

TEST_F(leaf, B7_prefault_refuses)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = PAGE_SIZE };
	struct kvm_pre_fault_memory bad;
	const int fd = self->vcpu->fd;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY));
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	bad = range, bad.flags = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	bad = range, bad.padding[4] = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	bad = range, bad.gpa++;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	bad = range, bad.size--;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	bad = range, bad.size = 0;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	bad = range, bad.size = -bad.gpa;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	bad = range, bad.gpa -= PAGE_SIZE;
	EXPECT_EQ(-ENOENT, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &bad));
	EXPECT_EQ(GPA - PAGE_SIZE, bad.gpa);
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, NULL));
	ASSERT_EQ(0, mprotect(self->mem, PAGE_SIZE, PROT_NONE));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(fd, KVM_PRE_FAULT_MEMORY, &range));
	ASSERT_EQ(0, mprotect(self->mem, PAGE_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
}

/* What could be done is told, and the rest is where it stopped. */
TEST_F(leaf, B1_prefault_stops_at_the_end_of_memory)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = 2 * HUGE };

	mem_make_small(self->mem, HUGE);
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(GPA + HUGE, range.gpa);
	EXPECT_EQ(HUGE, range.size);
	EXPECT_EQ(-ENOENT, try_ioctl_ptr(self->vcpu->fd, KVM_PRE_FAULT_MEMORY, &range));
}

TEST_F(leaf, B7_get_leaf_refuses)
{
	struct slat_leaf_info info = { .size = sizeof(info), .gpa = GPA }, bad;
	const int fd = self->vm->fd;

	bad = info, bad.view = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, SLAT_GET_LEAF, &bad));
	bad = info, bad.gpa = 1ull << 57;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, SLAT_GET_LEAF, &bad));
}

/* Where the host keeps it is not for everybody to know. */
TEST_F(leaf, B7_frames_are_for_administrators)
{
	mem_make_small(self->mem, PAGE_SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, PAGE_SIZE));
	ASSERT_NE(-1ull, vm_leaf(self->vm, GPA).pfn);
	drop_capability(CAP_SYS_ADMIN);
	EXPECT_EQ(-1ull, vm_leaf(self->vm, GPA).pfn);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA).level);
}

/* --- the other format is for looking at */

TEST(B1_unknown_types_are_refused)
{
	if (slat_is_kvm())
		SKIP(return, "KVM has types of its own");
	EXPECT_EQ(-EINVAL, try_ioctl(slat_fd(), KVM_CREATE_VM, 1));
	EXPECT_EQ(-EINVAL, try_ioctl(slat_fd(), KVM_CREATE_VM, 3ul << 16));
	EXPECT_EQ(-EINVAL, try_ioctl(slat_fd(), KVM_CREATE_VM, 1ul << 18));
}

TEST(B1_one_format_runs)
{
	unsigned int runs = 0;
	unsigned long type;

	if (slat_is_kvm())
		SKIP(return, "KVM has types of its own");
	for (type = SLAT_VM_EPT; type <= SLAT_VM_NPT; type += SLAT_VM_EPT) {
		struct vm *vm = vm_create_type(type);
		struct vcpu *vcpu = vcpu_create(vm, 0);

		/* Whatever an empty VM does, it is not refused. */
		runs += try_ioctl(vcpu->fd, KVM_RUN, 0) != -ENODEV;
		vcpu_destroy(vcpu);
		vm_destroy(vm);
	}
	EXPECT_EQ(1, runs);
}

SLAT_HARNESS_MAIN
