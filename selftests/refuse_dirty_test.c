// SPDX-License-Identifier: GPL-2.0-only
/*
 * B7, D1, D3: what KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG and their capability refuse.
 * After each refusal the log is as it was.
 */
#include "dirty.h"
#include "harness.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define PAGES	200
#define SIZE	(PAGES * PAGE_SIZE)

FIXTURE(refuse)
{
	struct play play;
	uint64_t *all;
};

FIXTURE_SETUP(refuse)
{
	uint8_t *mem = mem_alloc(SIZE);

	mem_make_small(mem, SIZE);
	play_watch(&self->play, mem, SIZE, LOG);
	play_write(&self->play, 5);
	play_write(&self->play, 199);
	self->all = mem_alloc(PAGE_SIZE);
	memset(self->all, 0xff, PAGE_SIZE);
}

FIXTURE_TEARDOWN(refuse)
{
	EXPECT_TRUE(PLAY_DIRTY(&self->play, 5, 199));
	EXPECT_TRUE(play_end(&self->play));
}

TEST_F(refuse, slot_number)
{
	const uint32_t slots = slat_check_extension(KVM_CAP_NR_MEMSLOTS);
	int spaces = slat_check_extension(KVM_CAP_MULTI_ADDRESS_SPACE);
	struct vm *vm = self->play.vm;

	if (spaces < 1)
		spaces = 1;
	EXPECT_EQ(-EINVAL, vm_try_get_dirty(vm, slots, self->all));
	EXPECT_EQ(-EINVAL, vm_try_get_dirty(vm, spaces << 16 | VM_PLAY_SLOT, self->all));
	EXPECT_EQ(-EINVAL, vm_try_get_dirty(vm, -1u, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, slots, 0, PAGES, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, spaces << 16 | VM_PLAY_SLOT, 0, PAGES, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, -1u, 0, PAGES, self->all));
}

TEST_F(refuse, slot_without_log)
{
	struct vm *vm = self->play.vm;

	EXPECT_EQ(-ENOENT, vm_try_get_dirty(vm, VM_RAM_SLOT, self->all));
	EXPECT_EQ(-ENOENT, vm_try_get_dirty(vm, 100, self->all));
	EXPECT_EQ(-ENOENT, vm_try_clear_dirty(vm, VM_RAM_SLOT, 0, 64, self->all));
	EXPECT_EQ(-ENOENT, vm_try_clear_dirty(vm, 100, 0, 64, self->all));
	/* The first page is looked at before the slot is. */
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, 100, 1, 64, self->all));
}

TEST_F(refuse, range)
{
	struct vm *vm = self->play.vm;

	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 1, 64, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 32, 64, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 0, 63, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 0, PAGES - 1, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 0, PAGES + 1, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 0, 256, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 192, 64, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 192, -1u, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 256, 0, self->all));
	EXPECT_EQ(-EINVAL, vm_try_clear_dirty(vm, VM_PLAY_SLOT, -64ull, 64, self->all));
	/* Nothing to clear is fine, and so is no bit. */
	EXPECT_EQ(0, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 64, 0, NULL));
	memset(self->all, 0, PAGE_SIZE);
	EXPECT_EQ(0, vm_try_clear_dirty(vm, VM_PLAY_SLOT, 0, PAGES, self->all));
}

TEST_F(refuse, D3_bad_bitmap)
{
	const void *const *bad;

	/* KVM forgets what it could not copy. */
	if (slat_is_kvm())
		SKIP(return, "KVM loses the bits");
	for (bad = bad_pointers; *bad; bad++)
		EXPECT_EQ(-EFAULT, vm_try_get_dirty(self->play.vm, VM_PLAY_SLOT, (void *)*bad));
	/* All but the last byte. */
	EXPECT_EQ(-EFAULT, vm_try_get_dirty(self->play.vm, VM_PLAY_SLOT,
					    mem_before_hole(DIRTY_WORDS(PAGES) * 8 - 1)));
}

TEST_F(refuse, D3_bad_mask)
{
	uint8_t *part = mem_before_hole(DIRTY_WORDS(PAGES) * 8 - 1);
	const void *const *bad;

	for (bad = bad_pointers; *bad; bad++)
		EXPECT_EQ(-EFAULT, vm_try_clear_dirty(self->play.vm, VM_PLAY_SLOT, 0, PAGES, *bad));
	memset(part, 0xff, DIRTY_WORDS(PAGES) * 8 - 1);
	EXPECT_EQ(-EFAULT, vm_try_clear_dirty(self->play.vm, VM_PLAY_SLOT, 0, PAGES, part));
}

TEST_F(refuse, bad_arguments)
{
	const void *const *bad;

	for (bad = bad_pointers; *bad; bad++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->play.vm->fd, KVM_GET_DIRTY_LOG, *bad));
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->play.vm->fd, KVM_CLEAR_DIRTY_LOG, *bad));
	}
}

TEST_F(refuse, capability)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .flags = 1 };
	unsigned int bit;

	EXPECT_EQ(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET,
		  slat_check_extension(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
	for (bit = 2; bit < 64; bit++)
		EXPECT_EQ(-EINVAL, vm_try_dirty_manual(self->play.vm, 1ull << bit | 1));
	EXPECT_EQ(-EINVAL, vm_try_dirty_manual(self->play.vm, KVM_DIRTY_LOG_INITIALLY_SET));
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->play.vm->fd, KVM_ENABLE_CAP, &cap));
}

SLAT_HARNESS_MAIN
