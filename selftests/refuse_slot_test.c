// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: what KVM_SET_USER_MEMORY_REGION refuses. After each refusal the
 * guest still has the slots that it had, and no other.
 */
#include "harness.h"

FIXTURE(slot)
{
	struct vm *vm;
	struct vcpu *vcpu;
	uint64_t *mem;
};

#define SLOT		2
#define GPA		0x10000000ul
#define PAGES		16
#define SIZE		(PAGES * PAGE_SIZE)
#define SPAN		(2 * SIZE)	/* the slot and as much behind it */

/* Reports the first word of each page from SLOT's first one on. */
static void guest_survey(uint64_t pages)
{
	uint64_t i;

	for (;;)
		for (i = 0; i < pages; i++)
			guest_report(1, *(volatile uint64_t *)(GPA +
							       i * PAGE_SIZE));
}

FIXTURE_SETUP(slot)
{
	unsigned int i;

	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	self->mem = mem_alloc(SPAN);
	for (i = 0; i < PAGES; i++)
		self->mem[i * 512] = 1000 + i;
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	vm_make_tables(self->vm, PAGING_4LEVEL);
	vm_map(self->vm, GPA, GPA, SPAN, PT_ALL);
	guest_enter_c(self->vcpu, guest_survey, SPAN / PAGE_SIZE);
}

FIXTURE_TEARDOWN(slot)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* The slot is where it was, behind it is nothing. */
static bool slots_unchanged(struct vcpu *vcpu)
{
	uint64_t i;

	for (i = 0; i < PAGES; i++)
		if (vcpu_await(vcpu, 1) != 1000 + i)
			return false;
	for (; i < SPAN / PAGE_SIZE; i++) {
		vcpu_run_to(vcpu, KVM_EXIT_MMIO);
		if (!exit_is_mmio(vcpu, false, GPA + i * PAGE_SIZE, 8))
			return false;
		vcpu_await(vcpu, 1);
	}
	return true;
}

#define EXPECT_REFUSED(error, slot, flags, gpa, size, hva)		\
	do {								\
		EXPECT_EQ(-(error), vm_try_slot(self->vm, slot, flags, gpa, \
						size, (void *)(hva)));	\
		EXPECT_TRUE(slots_unchanged(self->vcpu));		\
	} while (0)

TEST_F(slot, baseline)
{
	EXPECT_TRUE(slots_unchanged(self->vcpu));
}

TEST_F(slot, misaligned)
{
	uint8_t *mem = (uint8_t *)self->mem;

	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE + 1, PAGE_SIZE, mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE + 0x800, PAGE_SIZE, mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE + 1, mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, 1, mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE - 1, mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE, mem + 1);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE, mem + 0xfff);
	/* Of the slot that exists, too. */
	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA + 8, SIZE, mem);
	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA, SIZE, mem + 8);
	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA, SIZE - 8, mem);
}

TEST_F(slot, wraps)
{
	EXPECT_REFUSED(EINVAL, 3, 0, -PAGE_SIZE, 2 * PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, -PAGE_SIZE, PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, -PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE, -PAGE_SIZE);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, 2 * PAGE_SIZE, -PAGE_SIZE);
	EXPECT_REFUSED(EINVAL, SLOT, 0, -PAGE_SIZE, SIZE, self->mem);
}

TEST_F(slot, host_address_is_not_the_users)
{
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE, 0xffff888000000000);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE, 0xffffffff81000000);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, PAGE_SIZE, 1ul << 62);
	/* It begins in user space and ends outside. */
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, 1ul << 57,
		       0x7ffffffff000 - PAGE_SIZE);
}

TEST_F(slot, too_large)
{
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, 1ul << 56, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, 1ul << 62, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SIZE, -PAGE_SIZE - SIZE, self->mem);
}

TEST_F(slot, beyond_physical_addresses)
{
	unsigned int bits = slat_cpuid(0x80000008, 0)->eax & 0xff;
	const uint64_t end = 1ul << bits;

	EXPECT_REFUSED(EINVAL, 3, 0, end, PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, end - PAGE_SIZE, 2 * PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, end * 2, PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, 1ul << 52, PAGE_SIZE, self->mem);
	/* A move there is refused as well; up to there is fine. */
	EXPECT_REFUSED(EINVAL, SLOT, 0, end - SIZE + PAGE_SIZE, SIZE, self->mem);
	EXPECT_EQ(0, vm_try_slot(self->vm, 3, 0, end - PAGE_SIZE, PAGE_SIZE,
				 self->mem));
	EXPECT_TRUE(slots_unchanged(self->vcpu));
}

TEST_F(slot, number)
{
	uint32_t number = slat_check_extension(KVM_CAP_NR_MEMSLOTS);
	/* The upper half of the number is the address space. */
	int spaces = slat_check_extension(KVM_CAP_MULTI_ADDRESS_SPACE);

	if (spaces < 1)
		spaces = 1;
	if (number < 0x10000)
		EXPECT_REFUSED(EINVAL, number, 0, GPA + SIZE, PAGE_SIZE,
			       self->mem);
	EXPECT_REFUSED(EINVAL, 0xffff, 0, GPA + SIZE, PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, spaces << 16, 0, GPA + SIZE, PAGE_SIZE,
		       self->mem);
	EXPECT_REFUSED(EINVAL, spaces << 16 | SLOT, 0, GPA, 0, self->mem);
	EXPECT_REFUSED(EINVAL, -1u, 0, GPA + SIZE, PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, 0x80000000, 0, GPA + SIZE, PAGE_SIZE, self->mem);
}

TEST_F(slot, flags)
{
	unsigned int bit;

	for (bit = 2; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, vm_try_slot(self->vm, 3, 1u << bit,
					       GPA + SIZE, PAGE_SIZE,
					       self->mem));
	}
	EXPECT_REFUSED(EINVAL, 3, -1u, GPA + SIZE, PAGE_SIZE, self->mem);
	EXPECT_REFUSED(EINVAL, SLOT, 1u << 31, GPA, SIZE, self->mem);
}

TEST_F(slot, delete_what_is_not_there)
{
	EXPECT_REFUSED(EINVAL, 3, 0, GPA, 0, self->mem);
	EXPECT_REFUSED(EINVAL, 3, 0, 0, 0, NULL);
	vm_slot(self->vm, 3, 0, GPA + SPAN, PAGE_SIZE, self->mem);
	vm_slot_delete(self->vm, 3);
	EXPECT_REFUSED(EINVAL, 3, 0, GPA + SPAN, 0, self->mem);
}

TEST_F(slot, overlap)
{
	uint64_t *mem = self->mem;

	EXPECT_REFUSED(EEXIST, 3, 0, GPA, SIZE, mem);
	EXPECT_REFUSED(EEXIST, 3, 0, GPA, PAGE_SIZE, mem);
	EXPECT_REFUSED(EEXIST, 3, 0, GPA + SIZE - PAGE_SIZE, PAGE_SIZE, mem);
	EXPECT_REFUSED(EEXIST, 3, 0, GPA - PAGE_SIZE, 2 * PAGE_SIZE, mem);
	EXPECT_REFUSED(EEXIST, 3, 0, GPA + SIZE - PAGE_SIZE, SIZE, mem);
	EXPECT_REFUSED(EEXIST, 3, 0, GPA - PAGE_SIZE, SIZE + 2 * PAGE_SIZE,
		       mem);
	/* A move onto another slot; the slot stays where it is. */
	vm_slot(self->vm, 3, 0, GPA + SPAN, SIZE, mem);
	EXPECT_REFUSED(EEXIST, SLOT, 0, GPA + SPAN, SIZE, mem);
	EXPECT_REFUSED(EEXIST, SLOT, 0, GPA + SPAN - PAGE_SIZE, SIZE, mem);
	EXPECT_REFUSED(EEXIST, 3, 0, GPA + SIZE - PAGE_SIZE, SIZE, mem);
	/* Next to each other is no overlap. */
	EXPECT_EQ(0, vm_try_slot(self->vm, 4, 0, GPA - PAGE_SIZE, PAGE_SIZE,
				 mem));
	EXPECT_EQ(0, vm_try_slot(self->vm, 5, 0, GPA + SPAN - PAGE_SIZE,
				 PAGE_SIZE, mem + 512));
}

TEST_F(slot, change_of_size_or_memory)
{
	uint64_t *mem = self->mem;

	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA, SIZE + PAGE_SIZE, mem);
	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA, SIZE - PAGE_SIZE, mem);
	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA, SIZE, mem + 512);
	EXPECT_REFUSED(EINVAL, SLOT, 0, GPA + SPAN, SIZE + PAGE_SIZE, mem);
	if (slat_is_kvm())
		EXPECT_REFUSED(EINVAL, SLOT, KVM_MEM_READONLY, GPA, SIZE, mem);
}

TEST_F(slot, bad_pointer)
{
	struct kvm_userspace_memory_region *region, delete = { .slot = SLOT };
	const void *const *bad;

	for (bad = bad_pointers; *bad; bad++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vm->fd,
						 KVM_SET_USER_MEMORY_REGION,
						 *bad));
	}
	/* All but the last byte of a deletion can be read. */
	region = mem_before_hole(sizeof(delete) - 1);
	memcpy(region, &delete, sizeof(delete) - 1);
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vm->fd,
					 KVM_SET_USER_MEMORY_REGION, region));
	EXPECT_TRUE(slots_unchanged(self->vcpu));
}

SLAT_HARNESS_MAIN
