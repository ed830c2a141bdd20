// SPDX-License-Identifier: GPL-2.0-only
/*
 * M1 to M5: which memory type leaves get, in each format: RAM, read-only slots, what a
 * device has attached, pins, the guest's MTRRs; what is mapped anew after a change, and
 * what is not.
 */
#include <linux/capability.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define GPA		0x40000000ul
#define SLOT		1
#define SIZE		(4 * HUGE)

/* Types as SLAT_GET_LEAF gives them, for EPT with IPAT beside. */
enum { UC = 0, WC = 1, WT = 4, WP = 5, WB = 6, UC_MINUS = 7, IPAT = 8, NONE = 99 };

#define MSR_MTRR_BASE(n)	(0x200u + 2 * (n))
#define MSR_MTRR_MASK(n)	(0x201u + 2 * (n))
#define MSR_MTRR_DEF_TYPE	0x2ffu
#define MSR_MTRR_FIX64K		0x250u
#define MTRR_E			(1ul << 11)
#define MTRR_FE			(1ul << 10)
#define MTRR_VALID		(1ul << 11)

FIXTURE(memtype)
{
	struct vm *vm;
	struct vcpu *vcpu;
	uint8_t *mem;			/* SIZE, aligned to HUGE */
	bool is_ept;
};

FIXTURE_VARIANT(memtype)
{
	unsigned long type;
};

FIXTURE_VARIANT_ADD(memtype, ept) { .type = SLAT_VM_EPT };
FIXTURE_VARIANT_ADD(memtype, npt) { .type = SLAT_VM_NPT };

FIXTURE_SETUP(memtype)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has no SLAT_GET_LEAF");
	watchdog_start(25);
	self->mem = mem_huge_area(SIZE);
	self->is_ept = variant->type == SLAT_VM_EPT;
	self->vm = vm_create_type(variant->type);
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(memtype)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* What stands in for an answer of EPT in the other format. */
static unsigned int as_npt(unsigned int type)
{
	if (type == NONE)
		return NONE;
	return type == UC ? UC_MINUS : type & ~IPAT;
}

static unsigned int type_at(struct vm *vm, uint64_t gpa)
{
	const struct slat_leaf_info info = vm_leaf(vm, gpa);

	if (!info.level)
		return NONE;
	return info.type | (info.state & SLAT_LEAF_IGNORE_PAT ? IPAT : 0);
}

#define EXPECT_TYPE(want, gpa)						\
	EXPECT_EQ(self->is_ept ? (unsigned int)(want) : as_npt(want),	\
		  type_at(self->vm, gpa))

static uint64_t mtrr_mask(uint64_t size)
{
	const unsigned int bits = slat_cpuid(0x80000008, 0)->eax & 0xff;

	return (((1ull << bits) - 1) & ~(size - 1)) | MTRR_VALID;
}

static void set_range(struct vcpu *vcpu, unsigned int n, uint64_t base, uint64_t size,
		      unsigned int type)
{
	vcpu_set_msr(vcpu, MSR_MTRR_BASE(n), base | type);
	vcpu_set_msr(vcpu, MSR_MTRR_MASK(n), mtrr_mask(size));
}

/* MTRRs on, all WB, and a device that makes them count. */
static void attach(struct vm *vm, struct vcpu *vcpu)
{
	vcpu_set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | WB);
	REQUIRE(!vm_try_attribute(vm, SLAT_ATTR_NONCOHERENT_DMA, 1), "no device");
}

static void map_all(struct vcpu *vcpu)
{
	REQUIRE(!vcpu_try_prefault(vcpu, GPA, SIZE), "no memory");
}

static bool make_huge(uint8_t *mem)
{
	unsigned int i;

	for (i = 0; i < SIZE / HUGE; i++)
		if (!mem_make_huge(mem + i * HUGE))
			return false;
	return true;
}

TEST_F(memtype, M1_ram_is_wb_whatever_the_guest_says)
{
	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, HUGE, self->mem);
	vm_slot(self->vm, SLOT + 1, KVM_MEM_READONLY, GPA + HUGE, HUGE, self->mem + HUGE);
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | UC);
	ASSERT_EQ(0, vm_try_pin(self->vm, GPA, PAGE_SIZE, WC));
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, 2 * HUGE));
	EXPECT_TYPE(WB | IPAT, GPA);
	EXPECT_TYPE(WB | IPAT, GPA + PAGE_SIZE);
	EXPECT_TYPE(WB | IPAT, GPA + HUGE);
}

/* Either attribute opens memory to the guest, and the last one closes it. */
TEST_F(memtype, M1_attributes_give_the_guest_a_say)
{
	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | WT);
	map_all(self->vcpu);
	EXPECT_TYPE(WB | IPAT, GPA);
	ASSERT_EQ(0, vm_try_attribute(self->vm, SLAT_ATTR_CACHE_FLUSH, 1));
	EXPECT_TYPE(NONE, GPA);
	map_all(self->vcpu);
	EXPECT_TYPE(WT, GPA);
	/* These change nothing, so they drop nothing. */
	ASSERT_EQ(0, vm_try_attribute(self->vm, SLAT_ATTR_CACHE_FLUSH, 1));
	ASSERT_EQ(0, vm_try_attribute(self->vm, SLAT_ATTR_NONCOHERENT_DMA, 1));
	ASSERT_EQ(0, vm_try_attribute(self->vm, SLAT_ATTR_CACHE_FLUSH, 0));
	EXPECT_TYPE(WT, GPA);
	ASSERT_EQ(0, vm_try_attribute(self->vm, SLAT_ATTR_NONCOHERENT_DMA, 0));
	EXPECT_TYPE(NONE, GPA);
	map_all(self->vcpu);
	EXPECT_TYPE(WB | IPAT, GPA);
}

TEST_F(memtype, M1_pins_override_mtrrs)
{
	static const unsigned int types[] = { UC, WC, WT, WP, WB };
	unsigned int i;

	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | WT);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, vm_try_pin(self->vm, GPA + 2 * i * PAGE_SIZE, PAGE_SIZE, types[i]));
	map_all(self->vcpu);
	for (i = 0; i < 5; i++) {
		EXPECT_TYPE(types[i] | IPAT, GPA + 2 * i * PAGE_SIZE);
		EXPECT_TYPE(WT, GPA + (2 * i + 1) * PAGE_SIZE);
	}
}

/* A pin drops its range alone, and is where the slot is or not. */
TEST_F(memtype, M1_pins_change_their_range_only)
{
	const uint64_t page = GPA + 100 * PAGE_SIZE;

	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	map_all(self->vcpu);
	ASSERT_EQ(0, vm_try_pin(self->vm, page, 3 * PAGE_SIZE, UC));
	EXPECT_TYPE(WB, page - PAGE_SIZE);
	EXPECT_TYPE(NONE, page);
	EXPECT_TYPE(NONE, page + 2 * PAGE_SIZE);
	EXPECT_TYPE(WB, page + 3 * PAGE_SIZE);
	vm_slot_delete(self->vm, SLOT);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	map_all(self->vcpu);
	EXPECT_TYPE(UC | IPAT, page + 2 * PAGE_SIZE);
	/* In the middle of it. */
	ASSERT_EQ(0, vm_try_pin(self->vm, page + PAGE_SIZE, PAGE_SIZE, SLAT_MEMTYPE_NONE));
	EXPECT_TYPE(UC | IPAT, page);
	EXPECT_TYPE(NONE, page + PAGE_SIZE);
	EXPECT_TYPE(UC | IPAT, page + 2 * PAGE_SIZE);
	map_all(self->vcpu);
	EXPECT_TYPE(WB, page + PAGE_SIZE);
}

/* One 4K page of another type, and the rest of its 2M is small; no other 2M is. */
TEST_F(memtype, M2_large_leaves_are_split_where_types_differ)
{
	unsigned int i;

	if (!make_huge(self->mem))
		SKIP(return, "no huge page to be had");
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	map_all(self->vcpu);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(2, vm_leaf(self->vm, GPA + i * HUGE).level);
	ASSERT_EQ(0, vm_try_pin(self->vm, GPA + HUGE + MIB, PAGE_SIZE, UC));
	EXPECT_EQ(2, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + 2 * HUGE).level);
	map_all(self->vcpu);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + HUGE).level);
	EXPECT_TYPE(UC | IPAT, GPA + HUGE + MIB);
	EXPECT_TYPE(WB, GPA + HUGE + MIB + PAGE_SIZE);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + 2 * HUGE).level);
	/* All of the 2M of one type is one leaf again. */
	ASSERT_EQ(0, vm_try_pin(self->vm, GPA + HUGE, HUGE, UC));
	map_all(self->vcpu);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + HUGE).level);
	EXPECT_TYPE(UC | IPAT, GPA + HUGE);
	ASSERT_EQ(0, vm_try_pin(self->vm, GPA + HUGE, HUGE, SLAT_MEMTYPE_NONE));
	map_all(self->vcpu);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + HUGE).level);
	EXPECT_TYPE(WB, GPA + HUGE);
}

TEST_F(memtype, M2_large_leaves_are_split_where_mtrrs_end)
{
	if (!make_huge(self->mem))
		SKIP(return, "no huge page to be had");
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	set_range(self->vcpu, 3, GPA + HUGE + MIB, MIB, UC);
	map_all(self->vcpu);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + HUGE).level);
	EXPECT_TYPE(WB, GPA + HUGE + MIB - PAGE_SIZE);
	EXPECT_TYPE(UC, GPA + HUGE + MIB);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + 2 * HUGE).level);
	/* A range that says what the default says splits nothing. */
	set_range(self->vcpu, 3, GPA + HUGE + MIB, MIB, WB);
	map_all(self->vcpu);
	EXPECT_EQ(2, vm_leaf(self->vm, GPA + HUGE).level);
}

TEST_F(memtype, M4_mtrrs_change_what_they_cover)
{
	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	map_all(self->vcpu);
	set_range(self->vcpu, 0, GPA + HUGE, HUGE, WC);
	EXPECT_TYPE(WB, GPA + HUGE - PAGE_SIZE);
	EXPECT_TYPE(NONE, GPA + HUGE);
	EXPECT_TYPE(NONE, GPA + 2 * HUGE - PAGE_SIZE);
	EXPECT_TYPE(WB, GPA + 2 * HUGE);
	map_all(self->vcpu);
	EXPECT_TYPE(WC, GPA + HUGE);
	/* The range shrinks: one half keeps what it is. */
	vcpu_set_msr(self->vcpu, MSR_MTRR_MASK(0), mtrr_mask(MIB));
	EXPECT_TYPE(WC, GPA + HUGE);
	EXPECT_TYPE(NONE, GPA + HUGE + MIB);
	map_all(self->vcpu);
	/* Another default, for what no range covers. */
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | WP);
	EXPECT_TYPE(NONE, GPA);
	EXPECT_TYPE(WC, GPA + HUGE);
	map_all(self->vcpu);
	EXPECT_TYPE(WP, GPA);
	/* Off: all is UC. */
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, WB);
	map_all(self->vcpu);
	EXPECT_TYPE(UC, GPA);
	EXPECT_TYPE(UC, GPA + HUGE);
}

TEST_F(memtype, M4_fixed_mtrrs)
{
	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, 0, HUGE, self->mem);
	attach(self->vm, self->vcpu);
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | MTRR_FE | WB);
	vcpu_set_msr(self->vcpu, MSR_MTRR_FIX64K, 0x0606060606060400);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, 0, HUGE));
	EXPECT_TYPE(UC, 0xf000);
	EXPECT_TYPE(WT, 0x10000);
	EXPECT_TYPE(WT, 0x1f000);
	EXPECT_TYPE(WB, 0x20000);
	EXPECT_TYPE(UC, 0x80000);
	EXPECT_TYPE(WB, 0x100000);
	vcpu_set_msr(self->vcpu, MSR_MTRR_FIX64K, 0x0606060606060406);
	EXPECT_TYPE(NONE, 0xf000);
	EXPECT_TYPE(WT, 0x10000);
}

/* The vCPU that boots speaks for all; one without MTRRs has WB. */
TEST_F(memtype, M4_mtrrs_of_the_vcpu_that_boots)
{
	struct vcpu *other = vcpu_create(self->vm, 1);

	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	vcpu_set_msr(other, MSR_MTRR_DEF_TYPE, MTRR_E | WP);
	map_all(other);
	EXPECT_TYPE(WB, GPA);
	vcpu_set_msr(other, MSR_MTRR_DEF_TYPE, MTRR_E | WT);
	EXPECT_TYPE(WB, GPA);
	vcpu_destroy(other);
}

TEST_F(memtype, M4_no_mtrrs_no_say)
{
	struct vm *vm = vm_create_type(variant->type);
	struct vcpu *vcpu = vcpu_create_bare(vm, 0);

	mem_make_small(self->mem, SIZE);
	vm_slot(vm, SLOT, 0, GPA, SIZE, self->mem);
	ASSERT_EQ(0, vm_try_attribute(vm, SLAT_ATTR_NONCOHERENT_DMA, 1));
	vcpu_set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | UC);
	map_all(vcpu);
	EXPECT_EQ(WB, type_at(vm, GPA));
	vcpu_set_cpuid(vcpu, slat_supported_cpuid());
	EXPECT_EQ(NONE, type_at(vm, GPA));
	map_all(vcpu);
	EXPECT_EQ(self->is_ept ? UC : UC_MINUS, type_at(vm, GPA));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

TEST_F(memtype, M3_absent_frames_have_no_type)
{
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	ASSERT_EQ(0, vm_try_pin(self->vm, GPA, PAGE_SIZE, WT));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).type);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).state & SLAT_LEAF_IGNORE_PAT);
}

/* --- refusals, after which everything is as before */

TEST_F(memtype, M1_pin_refuses)
{
	const uint64_t limit = 1ull << (slat_cpuid(0x80000008, 0)->eax & 0xff);
	const struct slat_memtype_range good = {
		.size = sizeof(good), .gpa = GPA, .length = PAGE_SIZE, .type = WC,
	};
	struct slat_memtype_range bad;
	unsigned int i;

	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	map_all(self->vcpu);
	bad = good, bad.reserved = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, SLAT_PIN_MEMTYPE, &bad));
	for (i = 0; i < 16; i++)
		if (i != UC && i != WC && i != WT && i != WP && i != WB)
			EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA, PAGE_SIZE, i));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA, PAGE_SIZE, SLAT_MEMTYPE_NONE - 1));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA, 0, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA + 1, PAGE_SIZE, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA, PAGE_SIZE - 1, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA, -GPA, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, GPA, PAGE_SIZE - GPA, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, limit, PAGE_SIZE, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, limit - PAGE_SIZE, 2 * PAGE_SIZE, WC));
	EXPECT_EQ(-EINVAL, vm_try_pin(self->vm, 0, -PAGE_SIZE, WC));
	EXPECT_TYPE(WB, GPA);
	EXPECT_EQ(0, vm_try_pin(self->vm, limit - PAGE_SIZE, PAGE_SIZE, WC));
	EXPECT_EQ(0, vm_try_pin(self->vm, 0, limit, SLAT_MEMTYPE_NONE));
}

TEST_F(memtype, M1_pins_are_limited)
{
	unsigned int i;

	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	attach(self->vm, self->vcpu);
	for (i = 0; i < 512; i++)
		ASSERT_EQ(0, vm_try_pin(self->vm, GPA + 2 * i * PAGE_SIZE, PAGE_SIZE, WC));
	map_all(self->vcpu);
	EXPECT_EQ(-ENOSPC, vm_try_pin(self->vm, GPA + 2000 * PAGE_SIZE, PAGE_SIZE, WC));
	EXPECT_TYPE(WB, GPA + 2000 * PAGE_SIZE);
	EXPECT_TYPE(WC | IPAT, GPA + 1022 * PAGE_SIZE);
	EXPECT_EQ(0, vm_try_pin(self->vm, GPA, SIZE, SLAT_MEMTYPE_NONE));
	map_all(self->vcpu);
	EXPECT_TYPE(WB, GPA + 1022 * PAGE_SIZE);
}

TEST_F(memtype, M4_attributes_refuse)
{
	const struct slat_attribute good = { .size = sizeof(good), .value = 1 };
	struct slat_attribute bad;

	mem_make_small(self->mem, SIZE);
	vm_slot(self->vm, SLOT, 0, GPA, SIZE, self->mem);
	map_all(self->vcpu);
	bad = good, bad.reserved = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, SLAT_SET_ATTRIBUTE, &bad));
	EXPECT_EQ(-EINVAL, vm_try_attribute(self->vm, SLAT_ATTR_NONCOHERENT_DMA, 2));
	EXPECT_EQ(-EINVAL, vm_try_attribute(self->vm, SLAT_ATTR_CACHE_FLUSH + 1, 1));
	drop_capability(CAP_SYS_RAWIO);
	EXPECT_EQ(-EPERM, vm_try_attribute(self->vm, SLAT_ATTR_NONCOHERENT_DMA, 1));
	EXPECT_TYPE(WB | IPAT, GPA);
}

/* --- with guests that run */

static void guest_mtrr(uint64_t unused)
{
	volatile uint64_t *mem = (uint64_t *)VM_PLAY_GPA;

	mem[0] = 1;
	guest_report(1, 0);
	guest_wrmsr(MSR_MTRR_DEF_TYPE, MTRR_E | WT);
	guest_report(2, 0);
	mem[0]++;
	guest_report(3, mem[0]);
	asm volatile("wbinvd" : : : "memory");
	asm volatile("invd" : : : "memory");
	guest_report(4, mem[0]);
}

/* A WRMSR of the guest has dropped the leaves when the next instruction runs. */
TEST(M4_the_guest_writes_its_mtrrs)
{
	struct play play;

	if (slat_is_kvm())
		SKIP(return, "KVM has no SLAT_GET_LEAF");
	play_create(&play, NULL, HUGE, 0);
	guest_enter_c(play.vcpu, guest_mtrr, 0);
	vcpu_set_msr(play.vcpu, MSR_MTRR_DEF_TYPE, MTRR_E | WB);
	ASSERT_EQ(0, vm_try_attribute(play.vm, SLAT_ATTR_NONCOHERENT_DMA, 1));
	vcpu_await(play.vcpu, 1);
	EXPECT_EQ(WB, vm_leaf(play.vm, VM_PLAY_GPA).type);
	vcpu_await(play.vcpu, 2);
	EXPECT_EQ(0, vm_leaf(play.vm, VM_PLAY_GPA).level);
	EXPECT_EQ(2, vcpu_await(play.vcpu, 3));
	EXPECT_EQ(WT, vm_leaf(play.vm, VM_PLAY_GPA).type);
	EXPECT_EQ(2, vcpu_await(play.vcpu, 4));
	vcpu_await_done(play.vcpu);
	vcpu_destroy(play.vcpu);
	vm_destroy(play.vm);
}

SLOW_TESTS(running);

/* Whoever pins has the type for every access after it, and the guest loses nothing. */
SLOW_TEST(running, M1_pins_under_a_running_guest)
{
	unsigned int i;
	struct play play;

	if (slat_is_kvm())
		SKIP(return, "KVM has no SLAT_PIN_MEMTYPE");
	watchdog_start(60);
	play_watch(&play, NULL, HUGE, 0);
	ASSERT_EQ(0, vm_try_attribute(play.vm, SLAT_ATTR_NONCOHERENT_DMA, 1));
	for_rounds (i, 200, 10) {
		const unsigned int type = i % 2 ? WC : WT;

		ASSERT_EQ(0, vm_try_pin(play.vm, VM_PLAY_GPA, PAGE_SIZE, type));
		watch_write(&play.worker, VM_PLAY_GPA, i);
		ASSERT_EQ(type, vm_leaf(play.vm, VM_PLAY_GPA).type);
		ASSERT_EQ(i, *(uint64_t *)play.mem);
	}
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
