// SPDX-License-Identifier: GPL-2.0-only
/*
 * D2, D3, P9: where the bitmap goes to: memory of the guest itself, or of another VM's,
 * which the copy has the host change; memory that is not there; and a VMM that is killed
 * while it waits for its own memory.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "dirty.h"
#include "harness.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define PAGES	64
#define SIZE	(PAGES * PAGE_SIZE)

SLOW_TESTS(buffer);

/* The guest maps the zero page there, or a file's: a write of the host's makes it another. */
static uint64_t *shared_page(struct play *play, unsigned int page)
{
	void *at = play->mem + page * PAGE_SIZE;

	REQUIRE(!madvise(at, PAGE_SIZE, MADV_DONTNEED), "no zero page");
	REQUIRE(!watch_read(&play->worker, VM_PLAY_GPA + page * PAGE_SIZE), "not zero");
	return at;
}

static void small_play(struct play *play, uint32_t flags)
{
	uint8_t *mem = mem_alloc(SIZE);

	mem_make_small(mem, SIZE);
	play_watch(play, mem, SIZE, flags);
}

SLOW_TEST(buffer, D2_in_the_slot_itself)
{
	struct play play;
	unsigned int i;

	small_play(&play, LOG);
	/* The page that is read is mapped by the guest; it may count as written on KVM. */
	for_rounds (i, 200, 3) {
		const unsigned int page = i % 8;
		uint64_t *bitmap = shared_page(&play, page);

		play_write(&play, 20 + i % 40);
		ASSERT_EQ(0, vm_try_get_dirty(play.vm, VM_PLAY_SLOT, bitmap));
		EXPECT_EQ(1ull << (20 + i % 40), *bitmap & ~0xffull);
		/* The guest sees what the VMM got. */
		EXPECT_EQ(*bitmap, watch_read(&play.worker, VM_PLAY_GPA + page * PAGE_SIZE));
	}
	EXPECT_TRUE(play_end(&play));
}

SLOW_TEST(buffer, D2_mask_in_the_slot_itself)
{
	struct play play;
	uint64_t *mask;

	small_play(&play, LOG);
	mask = play.mem;
	play_write(&play, 20);
	play_write(&play, 21);
	/* The guest writes the mask that is used to clear. */
	watch_write(&play.worker, VM_PLAY_GPA, 1 << 20);
	ASSERT_EQ(0, vm_try_clear_dirty(play.vm, VM_PLAY_SLOT, 0, PAGES, mask));
	EXPECT_TRUE(PLAY_DIRTY(&play, 0, 21));
	EXPECT_TRUE(play_end(&play));
}

SLOW_TEST(buffer, D2_in_another_vm)
{
	struct play play;
	struct vm *other = vm_create_empty();
	unsigned int i;

	small_play(&play, LOG);
	vm_slot(other, 5, LOG, 0x40000000, SIZE, play.mem);
	for_rounds (i, 200, 3) {
		uint64_t *bitmap = shared_page(&play, i % 8), none = 0;

		play_write(&play, 30);
		ASSERT_EQ(0, vm_try_get_dirty(other, 5, &none));
		EXPECT_EQ(0, none);
		ASSERT_EQ(0, vm_try_get_dirty(play.vm, VM_PLAY_SLOT, bitmap));
		EXPECT_EQ(1ull << 30, *bitmap & ~0xffull);
	}
	vm_destroy(other);
	EXPECT_TRUE(play_end(&play));
}

/* --- the log of a slot that is larger than a page, to memory that ends within it */

#define MANY	(PAGE_SIZE * 8 + 64)

static uint64_t first_pages(struct vm *vm)
{
	static uint64_t bitmap[DIRTY_WORDS(MANY)];

	REQUIRE(!vm_try_get_dirty(vm, VM_PLAY_SLOT + 1, bitmap), "no dirty log");
	REQUIRE(dirty_count(bitmap, MANY) == dirty_count(bitmap, 64), "too many");
	return bitmap[0];
}

SLOW_TEST(buffer, D3_half_of_the_bitmap)
{
	const uint64_t gpa = VM_PLAY_GPA + 16 * MIB;
	struct play play;
	void *mem;

	/* KVM has forgotten by then what it could not copy. */
	if (slat_is_kvm())
		SKIP(return, "KVM loses the bits");
	small_play(&play, 0);
	mem = mmap(NULL, MANY * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	vm_slot(play.vm, VM_PLAY_SLOT + 1, LOG, gpa, MANY * PAGE_SIZE, mem);
	watch_write(&play.worker, gpa + 3 * PAGE_SIZE, 1);
	watch_write(&play.worker, gpa + 5 * PAGE_SIZE, 1);
	/* There is room for the pages that were written, but not for the last ones. */
	EXPECT_EQ(-EFAULT, vm_try_get_dirty(play.vm, VM_PLAY_SLOT + 1,
					    mem_before_hole(PAGE_SIZE)));
	watch_write(&play.worker, gpa + 6 * PAGE_SIZE, 1);
	EXPECT_EQ(1 << 3 | 1 << 5 | 1 << 6, first_pages(play.vm));
	EXPECT_EQ(0, first_pages(play.vm));
	EXPECT_TRUE(play_end(&play));
	munmap(mem, MANY * PAGE_SIZE);
}

/* --- the memory comes when it comes */

struct getter {
	struct vm *vm;
	uint64_t *bitmap;
	pthread_t thread;
};

static void *get_log(void *arg)
{
	struct getter *getter = arg;

	REQUIRE(!vm_try_get_dirty(getter->vm, VM_PLAY_SLOT, getter->bitmap), "no dirty log");
	return NULL;
}

SLOW_TEST(buffer, D4_guest_writes_while_the_copy_waits)
{
	uint64_t *bitmap = mem_alloc(PAGE_SIZE), page[PAGE_SIZE / 8] = { };
	struct getter getter;
	struct play play;
	int fd;

	small_play(&play, LOG);
	play_write(&play, 5);
	fd = uffd_open(bitmap, PAGE_SIZE);
	getter = (struct getter){ .vm = play.vm, .bitmap = bitmap };
	ASSERT_EQ(0, pthread_create(&getter.thread, NULL, get_log, &getter));
	uffd_await(fd);
	/* Too late for this call: for the next. */
	play_write(&play, 5);
	play_write(&play, 6);
	ASSERT_EQ(0, mprotect(play.mem, SIZE, PROT_READ));
	ASSERT_EQ(0, mprotect(play.mem, SIZE, PROT_READ | PROT_WRITE));
	uffd_fill(fd, bitmap, page);
	ASSERT_EQ(0, pthread_join(getter.thread, NULL));
	EXPECT_EQ(1 << 5, *bitmap);
	EXPECT_TRUE(PLAY_DIRTY(&play, 5, 6));
	close(fd);
	EXPECT_TRUE(play_end(&play));
}

/* A VMM that waits for the copy for ever. */
static void be_killed(int ready)
{
	uint64_t *bitmap = mem_alloc(PAGE_SIZE);
	struct play play;

	small_play(&play, LOG);
	play_write(&play, 5);
	uffd_open(bitmap, PAGE_SIZE);
	REQUIRE(write(ready, "", 1) == 1, "no parent");
	vm_try_get_dirty(play.vm, VM_PLAY_SLOT, bitmap);
	_exit(1);
}

SLOW_TEST(buffer, P9_killed_while_the_copy_waits)
{
	int ready[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		be_killed(ready[1]);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	usleep(50000 * time_scale());
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(ready[0]);
}

SLAT_HARNESS_MAIN
