// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory: mapping it, taking it away, what it takes to do so. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirty.h"

#define PLAY_PAGES	(VM_PLAY_SIZE / PAGE_SIZE)
#define GIB		(1024 * MIB)
#define GIB_GPA		GIB

/* --- the host's side: memory that is there, until the program ends */

static void *populated(size_t size, int advice)
{
	uint8_t *mem = mem_huge_area(size);
	size_t at;

	REQUIRE(!madvise(mem, size, advice), "madvise: %s", strerror(errno));
	for (at = 0; at < size; at += PAGE_SIZE)
		mem[at] = 1;
	return mem;
}

static void *small_pages(void)
{
	static void *mem;

	if (!mem)
		mem = populated(VM_PLAY_SIZE, MADV_NOHUGEPAGE);
	return mem;
}

static void *large_pages(void)
{
	static void *mem;

	if (!mem) {
		mem = populated(GIB, MADV_HUGEPAGE);
		REQUIRE(file_field("/proc/meminfo", "AnonHugePages") >= (long)(GIB / 1024),
			"not all of it in large pages");
	}
	return mem;
}

/* --- guests */

static void guest_touch_up(uint64_t n)
{
	volatile uint8_t *page = (uint8_t *)VM_PLAY_GPA;

	for (; n--; page += PAGE_SIZE)
		*page = 1;
}

/* Whatever comes along with a page was there before. */
static void guest_touch_down(uint64_t n)
{
	volatile uint8_t *page = (uint8_t *)VM_PLAY_GPA + n * PAGE_SIZE;

	while (n--)
		*(page -= PAGE_SIZE) = 1;
}

static void guest_touch_large(uint64_t n)
{
	volatile uint8_t *page = (uint8_t *)GIB_GPA;

	for (; n--; page += HUGE)
		*page = 1;
}

/* For somebody to read the dirty log in between. */
static void guest_touch_twice(uint64_t n)
{
	guest_touch_up(n);
	guest_report(1, 0);
	guest_touch_up(n);
}

static struct vcpu *make_guest(void (*guest)(uint64_t n), uint64_t n)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	watchdog_start(60);
	vm_make_play_tables(vm);
	guest_enter_c(vcpu, guest, n);
	return vcpu;
}

static void end_guest(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

static uint64_t time_guest(struct vcpu *vcpu)
{
	const uint64_t start = now_ns();

	vcpu_await_done(vcpu);
	return now_ns() - start;
}

/* --- mapping */

static uint64_t run_touch(const struct figure *figure, uint64_t n)
{
	struct vcpu *vcpu = make_guest(figure->guest, n);
	uint64_t ns;

	vm_slot(vcpu->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, VM_PLAY_SIZE, small_pages());
	ns = time_guest(vcpu);
	end_guest(vcpu);
	return ns;
}

/* Where there is no such ioctl, the guest has to touch its memory. */
static uint64_t run_prefault(const struct figure *figure, uint64_t n)
{
	struct vcpu *vcpu;
	uint64_t ns;

	if (!slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY))
		return run_touch(figure, n);
	vcpu = make_guest(figure->guest, 0);
	vm_slot(vcpu->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, VM_PLAY_SIZE, small_pages());
	ns = now_ns();
	REQUIRE(!vcpu_try_prefault(vcpu, VM_PLAY_GPA, n * PAGE_SIZE), "no prefault");
	ns = now_ns() - ns;
	end_guest(vcpu);
	return ns;
}

static uint64_t run_large(const struct figure *figure, uint64_t n)
{
	struct vcpu *vcpu = make_guest(figure->guest, n);
	uint64_t at, ns;

	for (at = 0; at < GIB; at += HUGE)
		vm_map_large(vcpu->vm, GIB_GPA + at, GIB_GPA + at, PT_ALL);
	vm_slot(vcpu->vm, VM_PLAY_SLOT, 0, GIB_GPA, GIB, large_pages());
	ns = time_guest(vcpu);
	end_guest(vcpu);
	return ns;
}

/* --- taking it away */

static uint64_t run_zap_slot(const struct figure *figure, uint64_t n)
{
	struct vcpu *vcpu = make_guest(figure->guest, n);
	uint64_t ns;

	vm_slot(vcpu->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, n * PAGE_SIZE, small_pages());
	vcpu_await_done(vcpu);
	ns = now_ns();
	vm_slot_delete(vcpu->vm, VM_PLAY_SLOT);
	ns = now_ns() - ns;
	end_guest(vcpu);
	return ns;
}

static uint64_t time_dontneed(void *mem, uint64_t n)
{
	const uint64_t start = now_ns();

	REQUIRE(!madvise(mem, n * PAGE_SIZE, MADV_DONTNEED), "madvise: %s", strerror(errno));
	return now_ns() - start;
}

/* What the VM adds to it. */
static uint64_t run_zap_madvise(const struct figure *figure, uint64_t n)
{
	uint8_t *mem = small_pages();
	struct vcpu *vcpu;
	uint64_t ns;

	ns = time_dontneed(mem, n);
	memset(mem, 1, n * PAGE_SIZE);
	vcpu = make_guest(figure->guest, n);
	vm_slot(vcpu->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, VM_PLAY_SIZE, mem);
	vcpu_await_done(vcpu);
	ns = time_dontneed(mem, n) - ns;
	memset(mem, 1, n * PAGE_SIZE);
	end_guest(vcpu);
	return ns;
}

/* --- what it takes */

/* kB of nested tables, in all VMs. */
static long tables_kb(void)
{
	/* What CPUs have counted each for itself. */
	file_write("/proc/sys/vm/stat_refresh", "1");
	return file_field("/proc/meminfo", "SecPageTables");
}

static uint64_t run_tables_kb_per_gib(const struct figure *figure, uint64_t n)
{
	struct vcpu *vcpu = make_guest(figure->guest, PLAY_PAGES);
	long before, after;

	vm_slot(vcpu->vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, VM_PLAY_SIZE, small_pages());
	before = tables_kb();
	vcpu_await_done(vcpu);
	after = tables_kb();
	end_guest(vcpu);
	return (after - before) * (GIB / VM_PLAY_SIZE);
}

#define HOLDS		"/sys/kernel/debug/slat/lock_holds"
#define FOUR_GIB	(4 * GIB)

static void map_all(struct vcpu *vcpu, void *mem)
{
	uint64_t at;

	for (at = 0; at < FOUR_GIB; at += VM_PLAY_SIZE)
		vm_slot(vcpu->vm, 1 + at / VM_PLAY_SIZE, 0, FOUR_GIB + at, VM_PLAY_SIZE, mem);
	REQUIRE(!vcpu_try_prefault(vcpu, FOUR_GIB, FOUR_GIB), "no prefault");
}

/*
 * 4 GiB in small pages, by the same memory again and again: mapped, taken away by the
 * host, mapped, taken away slot by slot, mapped, and given back with the VM.
 */
static uint64_t run_lock_hold(const struct figure *figure, uint64_t n)
{
	struct vcpu *vcpu = make_guest(figure->guest, 0);
	uint64_t at, longest;
	void *mem = small_pages();

	REQUIRE(!file_write(HOLDS, "1"), "no %s", HOLDS);
	map_all(vcpu, mem);
	time_dontneed(mem, PLAY_PAGES);
	memset(mem, 1, VM_PLAY_SIZE);
	REQUIRE(!vcpu_try_prefault(vcpu, FOUR_GIB, FOUR_GIB), "no prefault");
	for (at = 0; at < FOUR_GIB; at += VM_PLAY_SIZE)
		vm_slot_delete(vcpu->vm, 1 + at / VM_PLAY_SIZE);
	map_all(vcpu, mem);
	end_guest(vcpu);
	longest = file_field(HOLDS, "mmu->lock");
	file_write(HOLDS, "0");
	return longest;
}

/* --- the dirty log */

static uint64_t run_dirty(const struct figure *figure, uint64_t n)
{
	static uint64_t bitmap[DIRTY_WORDS(PLAY_PAGES)];
	struct vcpu *vcpu = make_guest(figure->guest, n);
	uint64_t get, write;

	vm_slot(vcpu->vm, VM_PLAY_SLOT, KVM_MEM_LOG_DIRTY_PAGES, VM_PLAY_GPA, VM_PLAY_SIZE,
		small_pages());
	vcpu_await(vcpu, 1);
	get = now_ns();
	REQUIRE(!vm_try_get_dirty(vcpu->vm, VM_PLAY_SLOT, bitmap), "no dirty log");
	get = now_ns() - get;
	REQUIRE(dirty_count(bitmap, PLAY_PAGES) == n, "not all pages were dirty");
	write = time_guest(vcpu);
	end_guest(vcpu);
	return strcmp(figure->name, "dirty-get") ? write : get;
}

/* --- guards */

/* In the kernel, without a system call for each: see kmod/guard_test.c. */
static uint64_t run_guard(const struct figure *figure, uint64_t n)
{
	const char *what = figure->name + strlen("guard-");
	struct vm *vm = vm_create();
	char path[160], text[64];
	uint64_t start, ns;

	*(uint8_t *)vm_ptr(vm, VM_DATA_GPA) = 1;
	vm_debugfs(path, sizeof(path), getpid(), "/guard_test");
	snprintf(text, sizeof(text), "%s %lx %lu", what, VM_DATA_GPA / PAGE_SIZE, n);
	start = now_ns();
	REQUIRE(!file_write(path, text), "no %s", path);
	ns = now_ns() - start;
	vm_destroy(vm);
	return ns;
}

const struct figure memory_figures[] = {
	{ .name = "first-touch", .run = run_touch, .guest = guest_touch_down,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "fault-around", .run = run_touch, .guest = guest_touch_up,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "prefault", .run = run_prefault, .guest = guest_touch_up,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "fault-2M", .run = run_large, .guest = guest_touch_large,
	  .short_turns = 64, .long_turns = 512 },
	{ .name = "zap-slot", .run = run_zap_slot, .guest = guest_touch_up,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "zap-madvise", .run = run_zap_madvise, .guest = guest_touch_up,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "dirty-get", .run = run_dirty, .guest = guest_touch_twice,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "dirty-write", .run = run_dirty, .guest = guest_touch_twice,
	  .short_turns = 1024, .long_turns = 9216 },
	{ .name = "tables-kb-per-gib", .run = run_tables_kb_per_gib, .guest = guest_touch_up },
	{ .name = "guard-read", .run = run_guard, .short_turns = 100, .long_turns = 900,
	  .slat_only = true },
	{ .name = "guard-write", .run = run_guard, .short_turns = 100, .long_turns = 900,
	  .slat_only = true },
	{ .name = "lock-hold", .run = run_lock_hold, .guest = guest_touch_up, .slat_only = true },
	{ },
};
