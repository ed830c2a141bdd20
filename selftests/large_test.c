// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2: guests that run on large leaves, which are taken apart and put together again
 * under them; what a fault brings along; how the host learns what is in use.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "harness.h"
#include "worker.h"

SLOW_TESTS(large);

#define GPA		VM_PLAY_GPA
#define GIB		(1024 * MIB)

static uint64_t vm_faults(struct vm *vm)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	must_ioctl(vm->fd, SLAT_GET_STATS, &stats);
	return stats.faults;
}

static bool has_state(struct vm *vm, uint64_t gpa, unsigned int state)
{
	return vm_leaf(vm, gpa).state & state;
}

/* --- the sizes that the host has */

static void check_running(struct __test_metadata *_metadata, struct vm *vm, struct worker *worker,
			  uint64_t gpa, unsigned int level)
{
	watch_read(worker, gpa);
	ASSERT_EQ(level, vm_leaf(vm, gpa).level);
	EXPECT_TRUE(has_state(vm, gpa, SLAT_LEAF_ACCESSED));
	EXPECT_FALSE(has_state(vm, gpa, SLAT_LEAF_DIRTY));
	watch_write(worker, gpa + 7 * PAGE_SIZE, 5);
	ASSERT_EQ(level, vm_leaf(vm, gpa).level);
	EXPECT_TRUE(has_state(vm, gpa, SLAT_LEAF_DIRTY));
}

SLOW_TEST(large, B2_transparent_2M)
{
	void *mem = mem_huge_area(HUGE);
	struct play play;

	if (slat_is_kvm() || !mem_make_huge(mem))
		SKIP(return, "no huge page to be had");
	play_watch(&play, mem, HUGE, 0);
	check_running(_metadata, play.vm, &play.worker, GPA, 2);
	EXPECT_TRUE(play_end(&play));
}

static void *hugetlb(const char *pool, size_t size, int flags)
{
	void *mem;

	if (file_write(pool, "1"))
		return MAP_FAILED;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);
	/* The pool may be smaller than wished: that shows at the latest here. */
	if (mem != MAP_FAILED && madvise(mem, size, MADV_POPULATE_WRITE)) {
		munmap(mem, size);
		return MAP_FAILED;
	}
	return mem;
}

SLOW_TEST(large, B2_hugetlb_2M)
{
	static const char pool[] = "/proc/sys/vm/nr_hugepages";
	void *mem = hugetlb(pool, HUGE, 0);
	struct play play;

	if (slat_is_kvm() || mem == MAP_FAILED)
		SKIP(return, "no hugetlb page of 2M");
	play_watch(&play, mem, HUGE, 0);
	check_running(_metadata, play.vm, &play.worker, GPA, 2);
	EXPECT_TRUE(play_end(&play));
	munmap(mem, HUGE);
	file_write(pool, "0");
}

#define MAP_1GB	(30 << MAP_HUGE_SHIFT)

SLOW_TEST(large, B2_hugetlb_1G)
{
	static const char pool[] = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";
	void *mem = hugetlb(pool, GIB, MAP_1GB);
	struct play play;

	if (slat_is_kvm() || mem == MAP_FAILED)
		SKIP(return, "no hugetlb page of 1G");
	play_create(&play, NULL, PAGE_SIZE, 0);
	vm_map_large(play.vm, GIB, GIB, PT_ALL);
	vm_slot(play.vm, VM_PLAY_SLOT + 1, 0, GIB, GIB, mem);
	guest_enter_c(play.vcpu, guest_watch, 0);
	worker_start(&play.worker, play.vcpu);
	check_running(_metadata, play.vm, &play.worker, GIB, 3);
	/* One page of it cannot go; all of it can. */
	ASSERT_EQ(0, madvise(mem, GIB, MADV_DONTNEED));
	EXPECT_EQ(0, vm_leaf(play.vm, GIB).level);
	EXPECT_EQ(0, watch_read(&play.worker, GIB + 7 * PAGE_SIZE));
	EXPECT_TRUE(play_end(&play));
	munmap(mem, GIB);
	file_write(pool, "0");
}

/* --- taken apart and put together */

SLOW_TEST(large, B2_split_by_rights_and_merged_again)
{
	uint8_t *mem = mem_huge_area(HUGE);
	unsigned int i, merged = 0;
	struct play play;

	if (slat_is_kvm() || !mem_make_huge(mem))
		SKIP(return, "no huge page to be had");
	memset(mem, 0, HUGE);
	play_mix(&play, mem, HUGE);
	for_rounds (i, 10, 5) {
		ASSERT_EQ(0, mprotect(mem + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ));
		ASSERT_EQ(0, mprotect(mem + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE));
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 2));
		EXPECT_EQ(1, vm_leaf(play.vm, GPA + 6 * PAGE_SIZE).level);
		if (madvise(mem, HUGE, MADV_COLLAPSE))
			continue;
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 2));
		EXPECT_EQ(2, vm_leaf(play.vm, GPA + 6 * PAGE_SIZE).level);
		merged++;
	}
	EXPECT_LT(0, merged);
	EXPECT_TRUE(play_end(&play));
}

SLOW_TEST(large, B2_split_by_a_move)
{
	uint8_t *mem = mem_huge_area(HUGE), *elsewhere = mem_alloc(PAGE_SIZE);
	struct play play;

	if (slat_is_kvm() || !mem_make_huge(mem))
		SKIP(return, "no huge page to be had");
	play_watch(&play, mem, HUGE, 0);
	watch_write(&play.worker, GPA + 5 * PAGE_SIZE, 77);
	ASSERT_EQ(2, vm_leaf(play.vm, GPA).level);
	ASSERT_EQ(elsewhere, mremap(mem + 5 * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE,
				    MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
	/* Nothing of the guest's is left behind it, and the rest goes on. */
	EXPECT_EQ(0, vm_leaf(play.vm, GPA + 5 * PAGE_SIZE).level);
	EXPECT_EQ(77, *(uint64_t *)elsewhere);
	watch_write(&play.worker, GPA + 6 * PAGE_SIZE, 78);
	EXPECT_EQ(1, vm_leaf(play.vm, GPA + 6 * PAGE_SIZE).level);
	EXPECT_EQ(78, *(uint64_t *)(mem + 6 * PAGE_SIZE));
	EXPECT_TRUE(play_end(&play));
}

/* --- what a fault brings along */

SLOW_TEST(large, B2_a_fault_brings_what_is_mapped_around)
{
	uint8_t *mem = mem_huge_area(HUGE);
	struct play play;
	unsigned int i;

	if (slat_is_kvm())
		SKIP(return, "KVM has no SLAT_GET_LEAF");
	mem_make_small(mem, HUGE);
	ASSERT_EQ(0, madvise(mem + 40 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED));
	play_watch(&play, mem, 60 * PAGE_SIZE, 0);

	watch_read(&play.worker, GPA);
	for (i = 0; i < 32; i++)
		EXPECT_EQ(i < 16, vm_leaf(play.vm, GPA + i * PAGE_SIZE).level);
	/* Not what is absent, which stays so. */
	watch_read(&play.worker, GPA + 32 * PAGE_SIZE);
	EXPECT_EQ(1, vm_leaf(play.vm, GPA + 39 * PAGE_SIZE).level);
	EXPECT_EQ(0, vm_leaf(play.vm, GPA + 40 * PAGE_SIZE).level);
	EXPECT_EQ(0, mem_frame(mem + 40 * PAGE_SIZE));
	/* Nor what is behind the slot's end, though it is memory. */
	watch_read(&play.worker, GPA + 56 * PAGE_SIZE);
	EXPECT_EQ(1, vm_leaf(play.vm, GPA + 59 * PAGE_SIZE).level);
	EXPECT_EQ(0, vm_leaf(play.vm, GPA + 60 * PAGE_SIZE).level);
	EXPECT_TRUE(play_end(&play));
}

/* --- what is in use */

#define CGROUP		"/sys/fs/cgroup/slat-large-test"
#define SIZE		(8 * MIB)
#define PAGES		(SIZE / PAGE_SIZE)
#define HOT_PAGES	16	/* of them, all over the place */

static bool cgroup_enter(void)
{
	return (!mkdir(CGROUP, 0755) || errno == EEXIST) &&
	       !file_write(CGROUP "/cgroup.procs", "0");
}

static void cgroup_leave(void)
{
	file_write("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(CGROUP);
}

static unsigned int absent_pages(uint8_t *mem, size_t size)
{
	unsigned int count = 0;
	size_t at;

	for (at = 0; at < size; at += PAGE_SIZE)
		count += !mem_frame(mem + at);
	return count;
}

/* All is mapped for the guest, but only some of it does it use. */
SLOW_TEST(large, B2_reclaim_spares_what_the_guest_uses)
{
	unsigned int i, absent = 0;
	uint64_t faults = 0;
	struct play play;
	uint8_t *mem;

	if (slat_is_kvm())
		SKIP(return, "KVM has no SLAT_GET_STATS");
	if (file_field("/proc/meminfo", "SwapTotal") <= 0 || !cgroup_enter())
		SKIP(return, "no swap or no memory cgroup");
	/* What another CPU has on its way to the LRU lists does not leave. */
	pin(0);
	mem = mem_alloc(SIZE);
	play_create(&play, mem, SIZE, 0);
	mem_make_small(mem, SIZE);
	memset(mem, 0, SIZE);
	ASSERT_EQ(0, vcpu_try_prefault(play.vcpu, GPA, SIZE));
	play.mix = mix_enter(play.vcpu, 0, GPA, HOT_PAGES, SIZE / HOT_PAGES);
	worker_start(&play.worker, play.vcpu);
	ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 2));

	for (i = 0; i < 100 && absent < PAGES * 3 / 4; i++) {
		file_write(CGROUP "/memory.reclaim", "1M");
		/* One that begins and ends after it. */
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 2));
		absent = absent_pages(mem, SIZE);
		/* All was touched just now: the first time may take whatever it likes. */
		if (!i)
			faults = vm_faults(play.vm);
	}
	EXPECT_LE(PAGES * 3 / 4, absent);
	EXPECT_GT(HOT_PAGES / 2, vm_faults(play.vm) - faults);
	EXPECT_TRUE(play_end(&play));
	cgroup_leave();
}

/* --- who pays for the tables */

#define TABLES	512

SLOW_TEST(large, B3_tables_are_charged_to_the_vmms_cgroup)
{
	const long wanted = VM_PLAY_SIZE / HUGE * PAGE_SIZE;
	uint8_t *mem = mem_huge_area(VM_PLAY_SIZE);
	long before, charged = 0;
	struct play play;
	unsigned int i;

	if (slat_is_kvm() || !cgroup_enter())
		SKIP(return, "no memory cgroup");
	mem_make_small(mem, VM_PLAY_SIZE);
	play_create(&play, mem, VM_PLAY_SIZE, 0);
	before = file_field(CGROUP "/memory.stat", "sec_pagetables");
	ASSERT_EQ(0, vcpu_try_prefault(play.vcpu, GPA, VM_PLAY_SIZE));
	/* A table for each 2M, and those above, once the CPUs have counted together. */
	for (i = 0; i < 100 && charged < wanted; i++) {
		usleep(100000 * time_scale());
		charged = file_field(CGROUP "/memory.stat", "sec_pagetables") - before;
	}
	EXPECT_LE(wanted, charged);
	vcpu_destroy(play.vcpu);
	vm_destroy(play.vm);
	cgroup_leave();
}

static void guest_needs_tables(uint64_t unused)
{
	uint64_t i;

	for (i = 0; i < TABLES; i++)
		READ_ONCE(*(uint64_t *)(GPA + i * HUGE));
	guest_report(1, 0);
}

/*
 * Where there is no memory for them, the VMM hears of it and lives on, and so does its
 * guest. One table for each 2M of guest memory; all is backed by the same 2M of the
 * host's, which was there before.
 */
SLOW_TEST(large, B3_no_memory_for_tables_is_an_errno)
{
	uint8_t *mem = mem_huge_area(HUGE);
	struct vm *vm;
	struct vcpu *vcpu;
	char limit[32];
	unsigned int i, done;
	int ret = 0, run, max;

	if (slat_is_kvm())
		SKIP(return, "KVM's VMMs are killed");
	mem_make_small(mem, HUGE);
	vm = vm_create();
	vcpu = vcpu_create(vm, 0);
	ASSERT_EQ(0, madvise(vm->ram, VM_RAM_SIZE, MADV_POPULATE_WRITE));
	vm_make_tables(vm, PAGING_4LEVEL);
	for (i = 0; i < TABLES; i++) {
		vm_slot(vm, 1 + i, 0, GPA + i * HUGE, HUGE, mem);
		vm_map_large(vm, GPA + i * HUGE, GPA + i * HUGE, PT_ALL);
	}
	guest_enter_c(vcpu, guest_needs_tables, 0);
	if (!cgroup_enter())
		SKIP(return, "no memory cgroup");
	/* Where no memory is left, nothing else must need any, as opening a file does. */
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	max = open(CGROUP "/memory.max", O_WRONLY | O_CLOEXEC);
	snprintf(limit, sizeof(limit), "%lu",
		 file_number(CGROUP "/memory.current") + TABLES / 2 * PAGE_SIZE);
	ASSERT_LT(0, write(max, limit, strlen(limit)));
	for (done = 0; done < TABLES && !ret; done += !ret)
		ret = vcpu_try_prefault(vcpu, GPA + done * HUGE, HUGE);
	run = vcpu_try_run(vcpu);
	ASSERT_LT(0, write(max, "max", 3));
	EXPECT_EQ(-ENOMEM, ret);
	EXPECT_EQ(-ENOMEM, run);
	EXPECT_LT(TABLES / 8, done);
	EXPECT_EQ(0, file_field(CGROUP "/memory.events", "oom_kill"));
	EXPECT_EQ(0, vcpu_try_prefault(vcpu, GPA + done * HUGE, HUGE));
	vcpu_await(vcpu, 1);
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	cgroup_leave();
}

SLAT_HARNESS_MAIN
