// SPDX-License-Identifier: GPL-2.0-only
/*
 * XSA-304: on a CPU that cannot bear executable large leaves (here: told so by the
 * module's parameter), what the guest executes is in leaves of 4K, and nothing else is.
 */
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define GPA		VM_PLAY_GPA
#define CODE		(GPA + 3 * PAGE_SIZE)
#define DATA		(GPA + 5 * PAGE_SIZE)
#define TURNS		1000
#define RW		(SLAT_ACCESS_R | SLAT_ACCESS_W)
#define RWX		(RW | SLAT_ACCESS_X)

static void guest_write_and_call(uint64_t turns)
{
	while (turns--) {
		*(volatile uint64_t *)DATA = turns;
		((void (*)(void))CODE)();
	}
}

static uint64_t faults(struct vm *vm)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	must_ioctl(vm->fd, SLAT_GET_STATS, &stats);
	return stats.faults;
}

TEST(XSA304_only_small_leaves_are_executable)
{
	uint8_t *mem = mem_huge_area(2 * HUGE);
	struct play play;
	uint64_t before;

	if (file_number("/sys/module/slat/parameters/nx_large") != 1)
		SKIP(return, "slat was loaded without nx_large=1");
	if (!mem_make_huge(mem) || !mem_make_huge(mem + HUGE))
		SKIP(return, "no huge page to be had");
	mem[3 * PAGE_SIZE] = 0xc3;	/* ret */
	play_create(&play, mem, 2 * HUGE, 0);
	ASSERT_EQ(0, vcpu_try_prefault(play.vcpu, GPA, 2 * HUGE));
	EXPECT_EQ(2, vm_leaf(play.vm, CODE).level);
	EXPECT_EQ(RW, vm_leaf(play.vm, CODE).access);

	before = faults(play.vm);
	guest_enter_c(play.vcpu, guest_write_and_call, TURNS);
	vcpu_await_done(play.vcpu);
	EXPECT_EQ(1, vm_leaf(play.vm, CODE).level);
	EXPECT_EQ(RWX, vm_leaf(play.vm, CODE).access);
	EXPECT_EQ(RW, vm_leaf(play.vm, DATA).access);
	EXPECT_EQ(2, vm_leaf(play.vm, GPA + HUGE).level);
	/* Those of the guest's own program, too, and no turn has one of its own. */
	EXPECT_GT(100, faults(play.vm) - before);

	/* Nor does a large leaf take the place of those again. */
	ASSERT_EQ(0, vcpu_try_prefault(play.vcpu, GPA, HUGE));
	EXPECT_EQ(1, vm_leaf(play.vm, CODE).level);
	EXPECT_EQ(RWX, vm_leaf(play.vm, CODE).access);
	vcpu_destroy(play.vcpu);
	vm_destroy(play.vm);
}

SLAT_HARNESS_MAIN
