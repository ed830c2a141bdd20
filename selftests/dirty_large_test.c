// SPDX-License-Identifier: GPL-2.0-only
/*
 * D7, D6: while a slot logs, huge pages of the host's are mapped in leaves of 4K, each of
 * which is dirty for itself; when it does not any more, large leaves come back.
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "dirty.h"
#include "harness.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define PAGES	(HUGE / PAGE_SIZE)

FIXTURE(large)
{
	struct play play;
};

FIXTURE_SETUP(large)
{
	void *mem = mem_huge_area(HUGE);

	if (slat_is_kvm() || !mem_make_huge(mem))
		SKIP_SETUP("no huge page to be had, or no way to see it");
	play_watch(&self->play, mem, HUGE, 0);
}

FIXTURE_TEARDOWN(large)
{
	EXPECT_TRUE(play_end(&self->play));
}

static unsigned int level(struct play *play, unsigned int page)
{
	return vm_leaf(play->vm, VM_PLAY_GPA + page * PAGE_SIZE).level;
}

/* The slot logs, with all pages dirty: its large leaf is there, and dirty, too. */
static void start_all_dirty(struct play *play)
{
	REQUIRE(!vm_try_dirty_manual(play->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				     KVM_DIRTY_LOG_INITIALLY_SET), "no manual protection");
	play_write(play, 3);
	play_flags(play, LOG);
	REQUIRE(level(play, 3) == 2, "no large leaf");
}

static uint64_t leaves(struct vm *vm, uint64_t *faults)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	must_ioctl(vm->fd, SLAT_GET_STATS, &stats);
	*faults = stats.faults;
	return stats.leaves;
}

TEST_F(large, D7_small_while_it_logs)
{
	struct play *play = &self->play;

	play_write(play, 3);
	ASSERT_EQ(2, level(play, 3));
	play_flags(play, LOG);
	/* What the large leaf was written does not count. */
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_write(play, 3);
	play_write(play, 300);
	EXPECT_EQ(1, level(play, 3));
	EXPECT_TRUE(PLAY_DIRTY(play, 3, 300));
	watch_read(&play->worker, VM_PLAY_GPA + 400 * PAGE_SIZE);
	EXPECT_EQ(1, level(play, 400));
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_flags(play, 0);
	watch_read(&play->worker, VM_PLAY_GPA + 500 * PAGE_SIZE);
	EXPECT_EQ(2, level(play, 3));
}

/* One fault brings the neighbours along, as where the host's pages are small. */
TEST_F(large, D7_faults_around)
{
	struct play *play = &self->play;
	uint64_t faults, more, before;

	play_flags(play, LOG);
	before = leaves(play->vm, &faults);
	watch_read(&play->worker, VM_PLAY_GPA + 64 * PAGE_SIZE);
	EXPECT_EQ(before + 16, leaves(play->vm, &more));
	EXPECT_EQ(faults + 1, more);
	/* All of the host's page may be written. */
	play_write(play, 79);
	EXPECT_EQ(before + 16, leaves(play->vm, &more));
	EXPECT_EQ(faults + 1, more);
	EXPECT_TRUE(PLAY_DIRTY(play, 79));
	/* They end where the host's page does. */
	play_write(play, PAGES - 1);
	EXPECT_TRUE(PLAY_DIRTY(play, PAGES - 1));
}

TEST_F(large, D7_prefault)
{
	struct play *play = &self->play;

	play_flags(play, LOG);
	ASSERT_TRUE(worker_stop(&play->worker));
	ASSERT_EQ(0, vcpu_try_prefault(play->vcpu, VM_PLAY_GPA, HUGE));
	worker_start(&play->worker, play->vcpu);
	EXPECT_EQ(1, level(play, 0));
	EXPECT_EQ(1, level(play, PAGES - 1));
	play_write(play, 77);
	EXPECT_TRUE(PLAY_DIRTY(play, 77));
	/* No fault would ask for a large leaf by itself: all of it is mapped. */
	play_flags(play, 0);
	watch_read(&play->worker, VM_PLAY_GPA);
	EXPECT_EQ(2, level(play, 0));
}

/* Large leaves stay until their pages are cleared for the first time. */
TEST_F(large, D7_all_dirty_at_first)
{
	struct play *play = &self->play;
	uint64_t bitmap[PAGES / 64];

	start_all_dirty(play);
	play_write(play, 4);
	ASSERT_EQ(0, vm_try_get_dirty(play->vm, VM_PLAY_SLOT, bitmap));
	EXPECT_EQ(PAGES, dirty_count(bitmap, PAGES));
	EXPECT_EQ(2, level(play, 3));
	memset(bitmap, 0xff, sizeof(bitmap));
	ASSERT_EQ(0, vm_try_clear_dirty(play->vm, VM_PLAY_SLOT, 0, PAGES, bitmap));
	EXPECT_TRUE(PLAY_DIRTY(play));
	play_write(play, 5);
	EXPECT_EQ(1, level(play, 5));
	EXPECT_TRUE(PLAY_DIRTY(play, 5));
}

/* Which pages of it were written, a large leaf cannot tell: all that it maps count. */
TEST_F(large, D7_large_leaf_that_is_taken_away)
{
	struct play *play = &self->play;
	uint64_t bitmap[PAGES / 64];

	start_all_dirty(play);
	/* Part of it is cleared: it goes, and the other part stays dirty. */
	memset(bitmap, 0xff, sizeof(bitmap));
	ASSERT_EQ(0, vm_try_clear_dirty(play->vm, VM_PLAY_SLOT, 64, 64, bitmap));
	EXPECT_EQ(0, level(play, 3));
	ASSERT_EQ(0, vm_try_get_dirty(play->vm, VM_PLAY_SLOT, bitmap));
	EXPECT_EQ(PAGES - 64, dirty_count(bitmap, PAGES));
	EXPECT_EQ(0, bitmap[1]);
}

/* Where a slot moves to, and where it begins to log, what is large is taken apart. */
TEST_F(large, D7_moved)
{
	struct play *play = &self->play;

	play_write(play, 3);
	vm_slot(play->vm, VM_PLAY_SLOT, LOG, VM_PLAY_GPA + HUGE, HUGE, play->mem);
	watch_write(&play->worker, VM_PLAY_GPA + HUGE + 7 * PAGE_SIZE, 1);
	EXPECT_EQ(1, vm_leaf(play->vm, VM_PLAY_GPA + HUGE + 7 * PAGE_SIZE).level);
	EXPECT_TRUE(PLAY_DIRTY(play, 7));
}

/* --- a fault that is on its way while logging starts */

#define POOL	"/proc/sys/vm/nr_hugepages"

static void *start_log(void *play)
{
	play_flags(play, LOG);
	return NULL;
}

static void fill_huge(int fd, void *at)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)at, .src = (uintptr_t)mem_alloc(HUGE), .len = HUGE,
	};

	REQUIRE(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
}

static void guest_writes_twice(uint64_t gpa)
{
	*(volatile uint64_t *)gpa = 1;
	guest_report(1, 0);
	*(volatile uint64_t *)(gpa + 9 * PAGE_SIZE) = 1;
	guest_report(2, 0);
}

static void *await_report(void *vcpu)
{
	vcpu_await(vcpu, 1);
	return NULL;
}

/* The vCPU has found its slot, and waits for the host's memory: it finds the slot anew. */
TEST(D7_fault_on_its_way)
{
	pthread_t fault, log;
	struct play play;
	void *mem;
	int fd;

	if (slat_is_kvm() || file_write(POOL, "1") || file_number(POOL) != 1)
		SKIP(return, "no hugetlb page of 2M");
	mem = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	fd = uffd_open(mem, HUGE);
	play_create(&play, mem, HUGE, 0);
	guest_enter_c(play.vcpu, guest_writes_twice, VM_PLAY_GPA);
	ASSERT_EQ(0, pthread_create(&fault, NULL, await_report, play.vcpu));
	uffd_await(fd);
	ASSERT_EQ(0, pthread_create(&log, NULL, start_log, &play));
	usleep(50000 * time_scale());
	fill_huge(fd, mem);
	ASSERT_EQ(0, pthread_join(fault, NULL));
	ASSERT_EQ(0, pthread_join(log, NULL));
	EXPECT_EQ(1, level(&play, 0));
	vcpu_await(play.vcpu, 2);
	EXPECT_EQ(1, level(&play, 9));
	vcpu_destroy(play.vcpu);
	vm_destroy(play.vm);
	munmap(mem, HUGE);
	close(fd);
	file_write(POOL, "0");
}

SLAT_HARNESS_MAIN
