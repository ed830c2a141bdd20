// SPDX-License-Identifier: GPL-2.0-only
/*
 * P1, P9: windows, which map guest memory for a device model and hold its guards: what
 * shows in them, what they keep, who pays, and that nothing is left of them.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bar.h"
#include "harness.h"
#include "worker.h"

#define GPA	0x40000000ul
#define PAGES	8
#define SIZE	(PAGES * PAGE_SIZE)

FIXTURE(window)
{
	struct vm *vm;
	uint8_t *mem;
	long pins;
};

FIXTURE_SETUP(window)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM does not have it");
	self->pins = pinned_pages();
	self->vm = vm_create_empty();
	self->mem = mem_alloc(SIZE);
	vm_slot(self->vm, 1, 0, GPA, SIZE, self->mem);
}

FIXTURE_TEARDOWN(window)
{
	vm_destroy(self->vm);
	EXPECT_EQ(self->pins, pinned_pages());
}

static int window_create(struct vm *vm, uint32_t flags, uint64_t gpa, uint64_t length)
{
	const int fd = vm_try_window(vm, flags, gpa, length);

	REQUIRE(fd >= 0, "no window: %s", strerror(-fd));
	return fd;
}

static volatile uint8_t *window_map(int fd, int prot, size_t size, off_t offset)
{
	void *mem = mmap(NULL, size, prot, MAP_SHARED, fd, offset);

	REQUIRE(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

static int try_map(int fd, int prot, int flags, size_t size, off_t offset)
{
	void *mem = mmap(NULL, size, prot, flags, fd, offset);

	if (mem == MAP_FAILED)
		return -errno;
	munmap(mem, size);
	return 0;
}

TEST_F(window, P1_shows_guest_memory)
{
	int fd = window_create(self->vm, SLAT_WINDOW_WRITE, GPA + PAGE_SIZE, 4 * PAGE_SIZE);
	volatile uint8_t *whole = window_map(fd, PROT_READ | PROT_WRITE, 4 * PAGE_SIZE, 0);
	volatile uint8_t *part = window_map(fd, PROT_READ, PAGE_SIZE, 2 * PAGE_SIZE);
	char byte;

	EXPECT_EQ(self->pins + 4, pinned_pages());
	close(fd);
	/* The mapping holds it. */
	EXPECT_EQ(self->pins + 4, pinned_pages());
	self->mem[3 * PAGE_SIZE] = 'a';
	EXPECT_EQ('a', whole[2 * PAGE_SIZE]);
	EXPECT_EQ('a', part[0]);
	whole[0] = 'b';
	EXPECT_EQ('b', self->mem[PAGE_SIZE]);
	EXPECT_EQ(0, vm_try_copy(self->vm, false, GPA + PAGE_SIZE, &byte, 1, NULL));
	EXPECT_EQ('b', byte);
	munmap((void *)whole, 4 * PAGE_SIZE);
	EXPECT_EQ(self->pins + 4, pinned_pages());
	munmap((void *)part, PAGE_SIZE);
	EXPECT_EQ(self->pins, pinned_pages());
}

/* Over several slots, and more pages than are pinned at a time. */
TEST_F(window, P1_is_large)
{
	const size_t size = 16 * MIB;
	uint8_t *mem = mem_huge_area(size);
	volatile uint8_t *map;
	size_t at;
	int fd;

	vm_slot_delete(self->vm, 1);
	vm_slot(self->vm, 1, 0, GPA, size / 2, mem);
	vm_slot(self->vm, 2, 0, GPA + size / 2, size / 2, mem + size / 2);
	madvise(mem, size / 2, MADV_HUGEPAGE);
	for (at = 0; at < size; at += PAGE_SIZE)
		mem[at] = at >> 12;
	fd = window_create(self->vm, 0, GPA, size);
	EXPECT_EQ((long)(self->pins + size / PAGE_SIZE), pinned_pages());
	map = window_map(fd, PROT_READ, size, 0);
	for (at = 0; at < size; at += PAGE_SIZE)
		ASSERT_EQ((uint8_t)(at >> 12), map[at]);
	munmap((void *)map, size);
	close(fd);
}

/* --- what it keeps */

TEST_F(window, P1_stays_with_the_old_pages)
{
	int fd = window_create(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE);
	volatile uint8_t *map = window_map(fd, PROT_READ | PROT_WRITE, SIZE, 0);

	close(fd);
	memset(self->mem, 'o', SIZE);
	/* Neither swapped out nor moved. */
	EXPECT_EQ(0, madvise(self->mem, SIZE, MADV_PAGEOUT));
	EXPECT_NE(0, mem_frame(self->mem));
	ASSERT_EQ(0, madvise(self->mem, PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, self->mem[0]);
	EXPECT_EQ('o', map[0]);
	map[0] = 'w';
	EXPECT_EQ(0, self->mem[0]);
	munmap(self->mem + PAGE_SIZE, PAGE_SIZE);
	EXPECT_EQ('o', map[PAGE_SIZE]);
	vm_slot_delete(self->vm, 1);
	map[2 * PAGE_SIZE] = 'w';
	EXPECT_EQ('w', self->mem[2 * PAGE_SIZE]);
	munmap((void *)map, SIZE);
}

/* Also one that is only read, from memory that was never written. */
TEST_F(window, P1_follows_first_writes)
{
	int fd = window_create(self->vm, 0, GPA, SIZE);
	volatile uint8_t *map = window_map(fd, PROT_READ, SIZE, 0);

	self->mem[0] = 'f';
	EXPECT_EQ('f', map[0]);
	munmap((void *)map, SIZE);
	close(fd);
}

TEST_F(window, P1_survives_fork)
{
	int fd = window_create(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE), status;
	volatile uint8_t *map = window_map(fd, PROT_READ | PROT_WRITE, SIZE, 0);
	pid_t pid = fork();

	if (!pid) {
		/* The child's memory is a copy, its window is not. */
		map[1] = 'c';
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	self->mem[0] = 'p';
	EXPECT_EQ('p', map[0]);
	EXPECT_EQ('c', self->mem[1]);
	munmap((void *)map, SIZE);
	close(fd);
}

static void expect_guard(struct __test_metadata *_metadata, const char *line)
{
	char path[160], text[4096] = "";
	FILE *file;

	vm_debugfs(path, sizeof(path), getpid(), "/guards");
	file = fopen(path, "r");
	ASSERT_NE(NULL, file);
	fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	EXPECT_EQ(0, strcmp(text, line)) {
		TH_LOG("%s", text);
	}
}

TEST_F(window, P1_is_in_debugfs)
{
	int fds[2];

	expect_guard(_metadata, "");
	fds[0] = window_create(self->vm, 0, GPA, PAGE_SIZE);
	expect_guard(_metadata, "0x40000000-0x40000fff r- window\n");
	fds[1] = window_create(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE);
	close(fds[0]);
	expect_guard(_metadata, "0x40000000-0x40007fff rw window\n");
	close(fds[1]);
	expect_guard(_metadata, "");
}

/* --- refusals */

TEST_F(window, P1_bad_mappings)
{
	const int ro = window_create(self->vm, 0, GPA, SIZE);
	const int rw = window_create(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE);
	void *map;

	EXPECT_EQ(0, try_map(rw, PROT_READ | PROT_WRITE, MAP_SHARED, SIZE, 0));
	EXPECT_EQ(0, try_map(ro, PROT_READ, MAP_SHARED, SIZE, 0));
	EXPECT_EQ(-EINVAL, try_map(ro, PROT_READ, MAP_PRIVATE, SIZE, 0));
	EXPECT_EQ(-EINVAL, try_map(rw, PROT_READ, MAP_PRIVATE, SIZE, 0));
	EXPECT_EQ(-EACCES, try_map(ro, PROT_READ | PROT_WRITE, MAP_SHARED, SIZE, 0));
	EXPECT_EQ(-ENXIO, try_map(rw, PROT_READ, MAP_SHARED, SIZE + PAGE_SIZE, 0));
	EXPECT_EQ(-ENXIO, try_map(rw, PROT_READ, MAP_SHARED, SIZE, PAGE_SIZE));
	EXPECT_EQ(-ENXIO, try_map(rw, PROT_READ, MAP_SHARED, PAGE_SIZE, SIZE));
	EXPECT_EQ(-ENXIO, try_map(rw, PROT_READ, MAP_SHARED, PAGE_SIZE, 1l << 60));
	map = (void *)window_map(ro, PROT_READ, SIZE, 0);
	EXPECT_EQ(-1, mprotect(map, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mremap(map, SIZE, 2 * SIZE, MREMAP_MAYMOVE));
	munmap(map, SIZE);
	close(ro);
	close(rw);
}

TEST_F(window, P1_malformed)
{
	const struct slat_window good = { .size = sizeof(good), .gpa = GPA, .length = SIZE };
	struct {
		struct slat_window window;
		uint64_t behind;
	} large = { good, 1 };
	const int fd = self->vm->fd;
	struct slat_window bad;

	large.window.size = sizeof(large);
	EXPECT_EQ(-E2BIG, try_ioctl_ptr(fd, SLAT_CREATE_WINDOW, &large));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(fd, SLAT_CREATE_WINDOW, bad_pointers[0]));
#define EXPECT_INVALID(field, value)					\
	do {								\
		bad = good;						\
		bad.field = value;					\
		EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, SLAT_CREATE_WINDOW, &bad)); \
	} while (0)
	EXPECT_INVALID(size, SLAT_WINDOW_SIZE_VER0 - 1);
	EXPECT_INVALID(flags, 2);
	EXPECT_INVALID(view, 1);
	EXPECT_INVALID(reserved, 1);
	EXPECT_INVALID(gpa, GPA + 1);
	EXPECT_INVALID(gpa, -PAGE_SIZE);
	EXPECT_INVALID(gpa, 1ull << 52);
	EXPECT_INVALID(length, 0);
	EXPECT_INVALID(length, 1);
	EXPECT_INVALID(length, 1024 * MIB + PAGE_SIZE);
	EXPECT_INVALID(length, -PAGE_SIZE);
}

TEST_F(window, P1_no_such_memory)
{
	EXPECT_EQ(-ENOENT, vm_try_window(self->vm, 0, GPA + PAGE_SIZE, SIZE));
	EXPECT_EQ(-ENOENT, vm_try_window(self->vm, 0, GPA - PAGE_SIZE, SIZE));
	vm_slot(self->vm, 2, KVM_MEM_READONLY, GPA + SIZE, SIZE, mem_alloc(SIZE));
	EXPECT_EQ(-EROFS, vm_try_window(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE + PAGE_SIZE));
	close(window_create(self->vm, 0, GPA, SIZE + PAGE_SIZE));
	mprotect(self->mem + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ);
	EXPECT_EQ(-EFAULT, vm_try_window(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE));
	close(window_create(self->vm, 0, GPA, SIZE));
	munmap(self->mem + 5 * PAGE_SIZE, PAGE_SIZE);
	EXPECT_EQ(-EFAULT, vm_try_window(self->vm, 0, GPA, SIZE));
	EXPECT_EQ(self->pins, pinned_pages());
}

TEST_F(window, P1_memory_without_pages)
{
	void *map;
	int bar, window;

	if (access(BAR_MODULE, R_OK))
		SKIP(return, "no " BAR_MODULE);
	ASSERT_EQ(0, bar_load());
	bar = bar_open();
	vm_slot(self->vm, 2, 0, GPA + SIZE, BAR_SIZE, bar_map_shared(bar, BAR_RAM_WB));
	EXPECT_EQ(-ENXIO, vm_try_window(self->vm, 0, GPA, SIZE + PAGE_SIZE));
	close(bar);
	/* Nor a window's own mapping. */
	window = window_create(self->vm, 0, GPA, SIZE);
	map = (void *)window_map(window, PROT_READ, SIZE, 0);
	vm_slot(self->vm, 3, 0, 2 * GPA, SIZE, map);
	EXPECT_EQ(-ENXIO, vm_try_window(self->vm, 0, 2 * GPA, SIZE));
	munmap(map, SIZE);
	close(window);
}

TEST_F(window, P1_of_another_process)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(vm_try_window(self->vm, 0, GPA, SIZE) != -EIO);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* --- limits */

static long locked_kb(void)
{
	return file_field("/proc/self/status", "VmLck");
}

TEST_F(window, P9_counts_as_locked)
{
	struct rlimit limit = { SIZE, SIZE };
	const long before = locked_kb();
	int fd;

	drop_capability(CAP_IPC_LOCK);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	fd = vm_try_window(self->vm, 0, GPA, SIZE);
	ASSERT_LE(0, fd);
	EXPECT_EQ((long)(before + SIZE / 1024), locked_kb());
	EXPECT_EQ(-ENOMEM, vm_try_window(self->vm, 0, GPA, PAGE_SIZE));
	close(fd);
	EXPECT_EQ(before, locked_kb());
	/* What fails is not paid for. */
	EXPECT_EQ(-ENOENT, vm_try_window(self->vm, 0, 0, PAGE_SIZE));
	EXPECT_EQ(before, locked_kb());
	fd = vm_try_window(self->vm, 0, GPA, SIZE);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(window, P9_no_file_left)
{
	struct rlimit limit, few;
	int ret;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	few = limit;
	few.rlim_cur = 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	ret = vm_try_window(self->vm, 0, GPA, SIZE);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, ret);
	EXPECT_EQ(0, locked_kb());
	EXPECT_EQ(self->pins, pinned_pages());
}

/* --- ends */

/* It keeps the VM, and both go in the end. */
TEST_F(window, P9_outlives_the_vm)
{
	int fd = window_create(self->vm, SLAT_WINDOW_WRITE, GPA, SIZE);
	volatile uint8_t *map = window_map(fd, PROT_READ | PROT_WRITE, SIZE, 0);
	char path[160];

	close(fd);
	fd = self->vm->fd;
	self->vm->fd = dup(0);
	close(fd);
	map[0] = 'x';
	EXPECT_EQ('x', self->mem[0]);
	vm_debugfs(path, sizeof(path), getpid(), "");
	EXPECT_NE(0, *path);
	munmap((void *)map, SIZE);
	vm_debugfs(path, sizeof(path), getpid(), "");
	EXPECT_EQ(0, *path);
}

TEST_F(window, P9_killed)
{
	char path[160];
	unsigned int i;
	int status;

	for (i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct vm *vm = vm_create_empty();

			vm_slot(vm, 1, 0, GPA, 16 * MIB, mem_alloc(16 * MIB));
			for (;;)
				window_map(window_create(vm, SLAT_WINDOW_WRITE, GPA,
							 (random() % 4096 + 1) * PAGE_SIZE),
					   PROT_READ, PAGE_SIZE, 0);
		}
		usleep(i * 1000 * time_scale());
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		vm_debugfs(path, sizeof(path), pid, "");
		EXPECT_EQ(0, *path);
		EXPECT_EQ(self->pins, pinned_pages());
	}
}

SLAT_HARNESS_MAIN
