// SPDX-License-Identifier: GPL-2.0-only
/*
 * M7: memory without page structures, as drivers map their devices', backs a slot; M1,
 * M5: its types. It comes when it is touched, goes when the driver or the VMM takes it
 * away, and nobody's page structures are changed. slat_bar.ko is the driver.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bar.h"
#include "harness.h"
#include "worker.h"

#define SLOT	1
#define GPA	0x40000000ul
#define SIZE	BAR_SIZE

#define RX	(SLAT_ACCESS_R | SLAT_ACCESS_X)
#define RWX	(RX | SLAT_ACCESS_W)

enum { UC = 0, WC = 1, WB = 6, UC_MINUS = 7 };

FIXTURE(pfnmap)
{
	struct vm *vm;
	struct vcpu *vcpu;
	int bar;
	bool is_ept;
};

FIXTURE_VARIANT(pfnmap)
{
	unsigned long type;
};

FIXTURE_VARIANT_ADD(pfnmap, ept) { .type = SLAT_VM_EPT };
FIXTURE_VARIANT_ADD(pfnmap, npt) { .type = SLAT_VM_NPT };

FIXTURE_SETUP(pfnmap)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has no SLAT_GET_LEAF");
	if (access(BAR_MODULE, R_OK))
		SKIP_SETUP("no " BAR_MODULE);
	ASSERT_EQ(0, bar_load());
	watchdog_start(25);
	self->bar = bar_open();
	self->is_ept = variant->type == SLAT_VM_EPT;
	self->vm = vm_create_type(variant->type);
	/* Without CPUID, so without MTRRs: the host's types are seen as they are. */
	self->vcpu = vcpu_create_bare(self->vm, 0);
}

FIXTURE_TEARDOWN(pfnmap)
{
	if (!self->vm)
		return;
	EXPECT_EQ(1, ioctl(self->bar, BAR_UNTOUCHED));
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
	EXPECT_EQ(1, ioctl(self->bar, BAR_UNTOUCHED));
	close(self->bar);
}

static void attach(struct vm *vm)
{
	REQUIRE(!vm_try_attribute(vm, SLAT_ATTR_NONCOHERENT_DMA, 1), "no device");
}

/* Type and whether the guest's PAT is ignored, by format. */
#define EXPECT_TYPE(ept, ipat, npt, gpa)				\
	do {								\
		const struct slat_leaf_info info = vm_leaf(self->vm, gpa); \
									\
		EXPECT_EQ(1, info.level);				\
		EXPECT_EQ(self->is_ept ? (ept) : (npt), info.type);	\
		EXPECT_EQ(self->is_ept && (ipat),			\
			  !!(info.state & SLAT_LEAF_IGNORE_PAT));	\
	} while (0)

static void slot_of(struct vm *vm, struct vcpu *vcpu, void *mem, uint32_t flags)
{
	vm_slot(vm, SLOT, flags, GPA, SIZE, mem);
	REQUIRE(!vcpu_try_prefault(vcpu, GPA, SIZE), "cannot map");
}

TEST_F(pfnmap, M1_memory_is_wb_without_a_device)
{
	unsigned int area;

	for (area = BAR_RAM_WB; area <= BAR_RAM_WC; area++) {
		slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, area), 0);
		EXPECT_TYPE(WB, true, WB, GPA);
		EXPECT_EQ(RWX, vm_leaf(self->vm, GPA).access);
		vm_slot_delete(self->vm, SLOT);
	}
}

TEST_F(pfnmap, M1_memory_has_the_hosts_type_beside_a_device)
{
	attach(self->vm);
	slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, BAR_RAM_WB), 0);
	EXPECT_TYPE(WB, false, WB, GPA + SIZE - PAGE_SIZE);
	vm_slot_delete(self->vm, SLOT);
	slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, BAR_RAM_UC), 0);
	EXPECT_TYPE(UC, false, UC_MINUS, GPA);
	vm_slot_delete(self->vm, SLOT);
	slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, BAR_RAM_WC), 0);
	EXPECT_TYPE(WC, false, WC, GPA);
}

/* The guest's PAT can make it WC, and a pin has no say. */
TEST_F(pfnmap, M5_devices_memory_is_uc_and_may_be_wc)
{
	unsigned int i;

	ASSERT_EQ(0, vm_try_pin(self->vm, GPA, SIZE, WB));
	slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, BAR_ROM), 0);
	for (i = 0; i < BAR_PAGES; i++) {
		EXPECT_TYPE(UC, false, UC_MINUS, GPA + i * PAGE_SIZE);
		EXPECT_EQ(0xffff0 + i, vm_leaf(self->vm, GPA + i * PAGE_SIZE).pfn);
	}
	attach(self->vm);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, SIZE));
	EXPECT_TYPE(UC, false, UC_MINUS, GPA);
}

TEST_F(pfnmap, M1_devices_memory_in_a_read_only_slot_is_uc)
{
	slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, BAR_ROM), KVM_MEM_READONLY);
	EXPECT_TYPE(UC, true, UC, GPA);
	EXPECT_EQ(RX, vm_leaf(self->vm, GPA).access);
}

TEST_F(pfnmap, M7_lazy_pages_are_entered)
{
	slot_of(self->vm, self->vcpu, bar_map_shared(self->bar, BAR_RAM_WB + BAR_LAZY), 0);
	EXPECT_EQ(1, vm_leaf(self->vm, GPA + SIZE - PAGE_SIZE).level);
	EXPECT_EQ(RX, vm_leaf(self->vm, GPA + SIZE - PAGE_SIZE).access);
	EXPECT_EQ(vm_leaf(self->vm, GPA).pfn + 1, vm_leaf(self->vm, GPA + PAGE_SIZE).pfn);
}

TEST_F(pfnmap, M7_the_vmms_rights_count)
{
	void *mem = bar_map(self->bar, BAR_RAM_WB, PROT_READ, MAP_SHARED);

	slot_of(self->vm, self->vcpu, mem, 0);
	EXPECT_EQ(RX, vm_leaf(self->vm, GPA).access);
	ASSERT_EQ(0, mprotect(mem, SIZE, PROT_NONE));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(-EFAULT, vcpu_try_prefault(self->vcpu, GPA, SIZE));
	ASSERT_EQ(0, mprotect(mem, SIZE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, vcpu_try_prefault(self->vcpu, GPA, SIZE));
	EXPECT_EQ(RWX, vm_leaf(self->vm, GPA).access);
}

/* Copies in it would be pages like any other. */
TEST_F(pfnmap, M7_private_mappings_are_refused)
{
	void *mem = bar_map(self->bar, BAR_RAM_WB, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	vm_slot(self->vm, SLOT, 0, GPA, SIZE, mem);
	EXPECT_EQ(-EFAULT, vcpu_try_prefault(self->vcpu, GPA, SIZE));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
}

TEST_F(pfnmap, M7_the_driver_takes_it_away)
{
	void *mem = bar_map_shared(self->bar, BAR_RAM_WB);

	slot_of(self->vm, self->vcpu, mem, 0);
	ASSERT_EQ(0, ioctl(self->bar, BAR_REVOKE));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(-EFAULT, vcpu_try_prefault(self->vcpu, GPA, SIZE));
}

TEST_F(pfnmap, M7_the_vmm_unmaps_it)
{
	void *mem = bar_map_shared(self->bar, BAR_RAM_WB);

	slot_of(self->vm, self->vcpu, mem, 0);
	ASSERT_EQ(0, munmap(mem + PAGE_SIZE, PAGE_SIZE));
	EXPECT_EQ(1, vm_leaf(self->vm, GPA).level);
	EXPECT_EQ(0, vm_leaf(self->vm, GPA + PAGE_SIZE).level);
	EXPECT_EQ(-EFAULT, vcpu_try_prefault(self->vcpu, GPA + PAGE_SIZE, PAGE_SIZE));
	/* The driver stays as long as anything is mapped. */
	close(self->bar);
	EXPECT_EQ(-EWOULDBLOCK, bar_unload());
	ASSERT_EQ(0, munmap(mem, SIZE));
	EXPECT_EQ(0, vm_leaf(self->vm, GPA).level);
	ASSERT_EQ(0, bar_unload());
	EXPECT_EQ(-EFAULT, vcpu_try_prefault(self->vcpu, GPA, SIZE));
	ASSERT_EQ(0, bar_load());
	self->bar = bar_open();
}

/* --- with guests that run */

SLOW_TESTS(pfnmap_guest);

static bool can_run(void)
{
	return !slat_is_kvm() && !access(BAR_MODULE, R_OK) && !bar_load();
}

SLOW_TEST(pfnmap_guest, M7_guests_read_and_write_it)
{
	static const unsigned int areas[] = {
		BAR_RAM_WB, BAR_RAM_UC, BAR_RAM_WC, BAR_RAM_WB + BAR_LAZY, BAR_RAM_WC + BAR_LAZY,
	};
	unsigned int i, n;
	int fd;

	if (!can_run())
		SKIP(return, "no " BAR_MODULE);
	fd = bar_open();
	for (i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
		uint64_t *mem = bar_map_shared(fd, areas[i]);
		struct play play;

		play_watch(&play, mem, SIZE, 0);
		for (n = 0; n < BAR_PAGES; n++) {
			const uint64_t at = n * PAGE_SIZE;

			watch_write(&play.worker, VM_PLAY_GPA + at, i + at + 1);
			ASSERT_EQ(i + at + 1, mem[at / 8]);
			mem[at / 8 + 1] = ~at;
			ASSERT_EQ(~at, watch_read(&play.worker, VM_PLAY_GPA + at + 8));
		}
		EXPECT_TRUE(play_end(&play));
		munmap(mem, SIZE);
	}
	EXPECT_EQ(1, ioctl(fd, BAR_UNTOUCHED));
}

SLOW_TEST(pfnmap_guest, M7_guests_read_what_is_no_ram)
{
	const uint64_t *rom;
	struct play play;
	unsigned int n;

	if (!can_run())
		SKIP(return, "no " BAR_MODULE);
	rom = bar_map_shared(bar_open(), BAR_ROM);
	/* The reset vector is a jump. */
	ASSERT_NE(0, (uint8_t)rom[SIZE / 8 - 2]);
	play_watch(&play, (void *)rom, SIZE, 0);
	for (n = 0; n < SIZE; n += PAGE_SIZE - 8)
		ASSERT_EQ(rom[n / 8], watch_read(&play.worker, VM_PLAY_GPA + n));
	watch_write(&play.worker, VM_PLAY_GPA, ~rom[0]);
	EXPECT_EQ(rom[0], watch_read(&play.worker, VM_PLAY_GPA));
	EXPECT_TRUE(play_end(&play));
}

/* It is taken away again and again, and the guest gets it back where it was. */
SLOW_TEST(pfnmap_guest, M7_guests_go_on_after_it_was_away)
{
	uint64_t *mem;
	struct play play;
	unsigned int i;
	int fd;

	if (!can_run())
		SKIP(return, "no " BAR_MODULE);
	fd = bar_open();
	mem = bar_map_shared(fd, BAR_RAM_WB + BAR_LAZY);
	watchdog_start(60);
	play_watch(&play, mem, SIZE, 0);
	mem[0] = 0;
	ASSERT_TRUE(watch_set(&play.worker, WATCH_COUNT, VM_PLAY_GPA, 0));
	for_rounds (i, 300, 10) {
		ASSERT_EQ(0, ioctl(fd, BAR_REVOKE));
		ASSERT_TRUE(watch_round(&play.worker));
	}
	EXPECT_LT(i, READ_ONCE(mem[0]));
	EXPECT_EQ(0, play.worker.efaults);
	EXPECT_TRUE(play_end(&play));
	EXPECT_EQ(1, ioctl(fd, BAR_UNTOUCHED));
}

/* Without a driver that enters it again, the VMM learns of it. */
SLOW_TEST(pfnmap_guest, M7_guests_fault_when_it_is_gone)
{
	struct play play;
	int fd;

	if (!can_run())
		SKIP(return, "no " BAR_MODULE);
	fd = bar_open();
	play_watch(&play, bar_map_shared(fd, BAR_RAM_WB), SIZE, 0);
	watch_write(&play.worker, VM_PLAY_GPA, 1);
	ASSERT_TRUE(watch_set(&play.worker, WATCH_COUNT, VM_PLAY_GPA, 0));
	ASSERT_EQ(0, ioctl(fd, BAR_REVOKE));
	EXPECT_TRUE(worker_wait(&play.worker, &play.worker.efaults, 1));
	EXPECT_TRUE(play_end(&play));
}

/* A child has the mapping as well, and its end changes nothing. */
SLOW_TEST(pfnmap_guest, M7_children_share_it)
{
	uint64_t *mem;
	struct play play;
	unsigned int i;

	if (!can_run())
		SKIP(return, "no " BAR_MODULE);
	mem = bar_map_shared(bar_open(), BAR_RAM_WB);
	play_watch(&play, mem, SIZE, 0);
	for (i = 0; i < 10; i++) {
		pid_t child = fork();

		if (!child) {
			mem[1] = i + 1;
			_exit(0);
		}
		watch_write(&play.worker, VM_PLAY_GPA, i);
		ASSERT_EQ(child, waitpid(child, NULL, 0));
		ASSERT_EQ(i, mem[0]);
		ASSERT_EQ(i + 1, watch_read(&play.worker, VM_PLAY_GPA + 8));
	}
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
