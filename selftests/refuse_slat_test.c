// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: the rules that all of slat's own ioctls have for sizes, flags and
 * pointers: each takes what a newer program passes as long as it means nothing,
 * and touches no byte behind the size that it was told.
 */
#include "harness.h"

FIXTURE(rules)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

/* good: accepted as it is; its first two words are size and flags. */
FIXTURE_VARIANT(rules)
{
	unsigned long request;
	const void *good;
	size_t size;
	size_t first_size;		/* of the first version */
};

static const struct slat_stats stats = { .size = sizeof(stats) };

FIXTURE_VARIANT_ADD(rules, get_stats) {
	.request = SLAT_GET_STATS, .good = &stats, .size = sizeof(stats),
	.first_size = SLAT_STATS_SIZE_VER0,
};

static const struct slat_leaf_info leaf = { .size = sizeof(leaf) };

FIXTURE_VARIANT_ADD(rules, get_leaf) {
	.request = SLAT_GET_LEAF, .good = &leaf, .size = sizeof(leaf),
	.first_size = SLAT_LEAF_INFO_SIZE_VER0,
};

static const struct slat_attribute attribute = { .size = sizeof(attribute) };

FIXTURE_VARIANT_ADD(rules, set_attribute) {
	.request = SLAT_SET_ATTRIBUTE, .good = &attribute, .size = sizeof(attribute),
	.first_size = SLAT_ATTRIBUTE_SIZE_VER0,
};

static const struct slat_memtype_range range = { .size = sizeof(range), .length = PAGE_SIZE };

FIXTURE_VARIANT_ADD(rules, pin_memtype) {
	.request = SLAT_PIN_MEMTYPE, .good = &range, .size = sizeof(range),
	.first_size = SLAT_MEMTYPE_RANGE_SIZE_VER0,
};

static const struct slat_memory memory = { .size = sizeof(memory), .gpa = VM_DATA_GPA };

FIXTURE_VARIANT_ADD(rules, read_memory) {
	.request = SLAT_READ_MEMORY, .good = &memory, .size = sizeof(memory),
	.first_size = SLAT_MEMORY_SIZE_VER0,
};

FIXTURE_VARIANT_ADD(rules, write_memory) {
	.request = SLAT_WRITE_MEMORY, .good = &memory, .size = sizeof(memory),
	.first_size = SLAT_MEMORY_SIZE_VER0,
};

static const struct slat_set_runstate set_runstate = { .size = sizeof(set_runstate) };

FIXTURE_VARIANT_ADD(rules, set_runstate) {
	.request = SLAT_SET_RUNSTATE, .good = &set_runstate, .size = sizeof(set_runstate),
	.first_size = SLAT_SET_RUNSTATE_SIZE_VER0,
};

static const struct slat_get_runstate get_runstate = { .size = sizeof(get_runstate) };

FIXTURE_VARIANT_ADD(rules, get_runstate) {
	.request = SLAT_GET_RUNSTATE, .good = &get_runstate, .size = sizeof(get_runstate),
	.first_size = SLAT_GET_RUNSTATE_SIZE_VER0,
};

FIXTURE_SETUP(rules)
{
	/* For get_runstate to tell of. */
	struct slat_set_runstate area = set_runstate;

	if (slat_is_kvm())
		SKIP_SETUP("KVM has none of them");
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	area.gpa = VM_DATA_GPA;
	ASSERT_EQ(0, try_ioctl_ptr(self->vm->fd, SLAT_SET_RUNSTATE, &area));
}

FIXTURE_TEARDOWN(rules)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* The structure at the end of room bytes of memory, with so many tails behind it. */
static int try_sized(int fd, const FIXTURE_VARIANT(rules) *variant, uint32_t size, size_t room,
		     uint8_t tail)
{
	uint8_t *at = mem_before_hole(room);

	memset(at, tail, room);
	memcpy(at, variant->good, room < variant->size ? room : variant->size);
	memcpy(at, &size, sizeof(size));
	return try_ioctl_ptr(fd, variant->request, at);
}

#define TRY_SIZED(size, room, tail)	try_sized(self->vm->fd, variant, size, room, tail)

TEST_F(rules, size)
{
	const size_t whole = variant->size;
	uint32_t size;

	EXPECT_EQ(0, TRY_SIZED(whole, whole, 0));
	EXPECT_EQ(0, TRY_SIZED(variant->first_size, variant->first_size, 0));
	/* Too small, down to nothing. */
	for (size = 0; size < variant->first_size; size += 4) {
		EXPECT_EQ(-EINVAL, TRY_SIZED(size, whole, 0));
	}
	EXPECT_EQ(-EINVAL, TRY_SIZED(variant->first_size - 1, whole, 0));
	/* A newer program's, of which we know the beginning. */
	EXPECT_EQ(0, TRY_SIZED(whole + 8, whole + 8, 0));
	EXPECT_EQ(-E2BIG, TRY_SIZED(whole + 8, whole + 8, 1));
	EXPECT_EQ(0, TRY_SIZED(PAGE_SIZE, PAGE_SIZE, 0));
	EXPECT_EQ(-E2BIG, TRY_SIZED(PAGE_SIZE + 1, 2 * PAGE_SIZE, 0));
	EXPECT_EQ(-E2BIG, TRY_SIZED(-1u, whole, 0));
}

/* What is behind the size that the program named stays as it was. */
TEST_F(rules, writes_no_more_than_size)
{
	uint8_t buffer[1024];
	uint32_t size;
	size_t i;

	memset(buffer, 0xa5, sizeof(buffer));
	memcpy(buffer, variant->good, variant->size);
	ASSERT_EQ(0, try_ioctl_ptr(self->vm->fd, variant->request, buffer));
	memcpy(&size, buffer, sizeof(size));
	EXPECT_EQ(variant->size, size);
	for (i = variant->size; i < sizeof(buffer); i++)
		ASSERT_EQ(0xa5, buffer[i]);
}

TEST_F(rules, flags)
{
	uint32_t words[256];
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		memcpy(words, variant->good, variant->size);
		words[1] = 1u << bit;
		EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, variant->request, words));
	}
}

TEST_F(rules, pointer)
{
	const bool is_written = _IOC_DIR(variant->request) & _IOC_READ;
	const size_t whole = variant->size;
	const void *const *bad;
	void *mem;

	for (bad = bad_pointers; *bad; bad++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vm->fd, variant->request, *bad));
	}
	EXPECT_EQ(-EFAULT, TRY_SIZED(whole, whole - 1, 0));
	EXPECT_EQ(-EFAULT, TRY_SIZED(whole, 4, 0));
	EXPECT_EQ(-EFAULT, TRY_SIZED(whole + 8, whole, 0));
	/* Readable, not writable. */
	mem = mem_alloc(PAGE_SIZE);
	memcpy(mem, variant->good, whole);
	ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(is_written ? -EFAULT : 0,
		  try_ioctl_ptr(self->vm->fd, variant->request, mem));
}

TEST_F(rules, only_of_a_vm)
{
	EXPECT_EQ(-ENOTTY, try_ioctl_ptr(slat_fd(), variant->request, variant->good));
	EXPECT_EQ(-ENOTTY, try_ioctl_ptr(self->vcpu->fd, variant->request, variant->good));
}

SLAT_HARNESS_MAIN
