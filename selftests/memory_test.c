// SPDX-License-Identifier: GPL-2.0-only
/*
 * P1: SLAT_READ_MEMORY and SLAT_WRITE_MEMORY, which take a guard for each page: what they
 * copy, what becomes of the host's pages, what they refuse and how far they got.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bar.h"
#include "harness.h"
#include "worker.h"

#define GPA	0x40000000ul
#define PAGES	4
#define SIZE	(PAGES * PAGE_SIZE)

FIXTURE(memory)
{
	struct vm *vm;
	uint8_t *mem;
};

FIXTURE_SETUP(memory)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM does not have it");
	self->vm = vm_create_empty();
	self->mem = mem_alloc(SIZE);
	vm_slot(self->vm, 1, 0, GPA, SIZE, self->mem);
}

FIXTURE_TEARDOWN(memory)
{
	vm_destroy(self->vm);
}

static int try_write(struct vm *vm, uint64_t gpa, const void *data, size_t length)
{
	return vm_try_copy(vm, true, gpa, (void *)data, length, NULL);
}

static int try_read(struct vm *vm, uint64_t gpa, void *data, size_t length)
{
	return vm_try_copy(vm, false, gpa, data, length, NULL);
}

static void fill(uint8_t *data, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		data[i] = i * 31 + i / 256;
}

TEST_F(memory, P1_crosses_pages_and_slots)
{
	uint8_t data[3 * PAGE_SIZE], back[sizeof(data)];
	const uint64_t gpa = GPA + 2 * PAGE_SIZE + 100;
	uint8_t *other = mem_alloc(SIZE);
	size_t in_first = GPA + SIZE - gpa;

	vm_slot(self->vm, 2, 0, GPA + SIZE, SIZE, other);
	fill(data, sizeof(data));
	ASSERT_EQ(0, try_write(self->vm, gpa, data, sizeof(data)));
	EXPECT_EQ(0, memcmp(self->mem + (gpa - GPA), data, in_first));
	EXPECT_EQ(0, memcmp(other, data + in_first, sizeof(data) - in_first));
	EXPECT_EQ(0, self->mem[gpa - GPA - 1]);
	EXPECT_EQ(0, other[sizeof(data) - in_first]);
	ASSERT_EQ(0, try_read(self->vm, gpa, back, sizeof(back)));
	EXPECT_EQ(0, memcmp(back, data, sizeof(data)));
	EXPECT_EQ(0, try_read(self->vm, gpa, NULL, 0));
}

/* --- the host's pages */

TEST_F(memory, P1_write_marks_the_page_dirty)
{
	char byte;

	self->mem[0] = self->mem[PAGE_SIZE] = 1;
	/* The process's own writes are noted elsewhere, until the page is to go. */
	if (mem_is_dirty(self->mem))
		SKIP(return, "new pages are dirty");
	EXPECT_EQ(0, try_read(self->vm, GPA, &byte, 1));
	EXPECT_FALSE(mem_is_dirty(self->mem));
	EXPECT_EQ(0, try_write(self->vm, GPA, "x", 1));
	EXPECT_TRUE(mem_is_dirty(self->mem));
	EXPECT_FALSE(mem_is_dirty(self->mem + PAGE_SIZE));
}

/* Reading shares what is shared, writing gives this process a page of its own. */
TEST_F(memory, P1_shared_pages)
{
	uint64_t frame;
	int status;
	char byte;
	pid_t pid;

	self->mem[0] = 'a';
	frame = mem_frame(self->mem);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	EXPECT_EQ(0, try_read(self->vm, GPA, &byte, 1));
	EXPECT_EQ('a', byte);
	EXPECT_EQ(frame, mem_frame(self->mem));
	EXPECT_EQ(0, try_write(self->vm, GPA, "b", 1));
	EXPECT_EQ('b', self->mem[0]);
	EXPECT_NE(frame, mem_frame(self->mem));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

/* Whoever holds it also keeps the host from using the page in place after a fork. */
TEST_F(memory, P1_reading_holds_nothing)
{
	uint64_t frame;
	int i, status;
	char byte;
	pid_t pid;

	/*
	 * The kernel holds a new page, too, until the CPU that it appeared on puts it on its
	 * list with others, and a write to a page that it shared sees to that on its own CPU.
	 */
	pin(0);
	self->mem[0] = 'a';
	frame = mem_frame(self->mem);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, try_read(self->vm, GPA, &byte, 1));
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, &status, 0);
	self->mem[0] = 'b';
	EXPECT_EQ(frame, mem_frame(self->mem));
}

/* In pieces of every size, and where there is nothing yet. */
TEST_F(memory, P1_reads_what_is_mapped)
{
	uint8_t *mem = mem_huge_area(HUGE);
	uint64_t number = 0;

	vm_slot(self->vm, 2, 0, 2 * GPA, HUGE, mem);
	EXPECT_EQ(0, try_read(self->vm, 2 * GPA, &number, sizeof(number)));
	EXPECT_EQ(0, number);
	if (!mem_make_huge(mem))
		SKIP(return, "no MADV_COLLAPSE");
	*(uint64_t *)(mem + 5 * PAGE_SIZE) = 12345;
	EXPECT_EQ(0, try_read(self->vm, 2 * GPA + 5 * PAGE_SIZE, &number, sizeof(number)));
	EXPECT_EQ(12345, number);
	/* Not what the process itself may not read. */
	ASSERT_EQ(0, mprotect(mem, HUGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, try_read(self->vm, 2 * GPA + 5 * PAGE_SIZE, &number, sizeof(number)));
	ASSERT_EQ(0, mprotect(mem, PAGE_SIZE, PROT_READ));
	EXPECT_EQ(0, try_read(self->vm, 2 * GPA, &number, sizeof(number)));
	EXPECT_EQ(-EFAULT, try_read(self->vm, 2 * GPA + PAGE_SIZE, &number, sizeof(number)));
}

/* Memory that the kernel itself has no mapping of. */
TEST_F(memory, P1_secret_memory)
{
	const int fd = syscall(SYS_memfd_secret, 0);
	char path[160], text[64];
	uint8_t *mem;
	char byte;

	if (fd < 0)
		SKIP(return, "no memfd_secret: %s", strerror(errno));
	ASSERT_EQ(0, ftruncate(fd, PAGE_SIZE));
	mem = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	*mem = 1;
	vm_slot(self->vm, 2, 0, 2 * GPA, PAGE_SIZE, mem);
	EXPECT_EQ(-EFAULT, try_read(self->vm, 2 * GPA, &byte, 1));
	EXPECT_EQ(-EFAULT, try_write(self->vm, 2 * GPA, "x", 1));
	/* It is not even mapped: a copy would fail anyway. */
	vm_debugfs(path, sizeof(path), getpid(), "/guard_test");
	snprintf(text, sizeof(text), "read %lx 1", 2 * GPA / PAGE_SIZE);
	EXPECT_EQ(-EFAULT, file_write(path, text));
	EXPECT_EQ(1, *mem);
	close(fd);
}

TEST_F(memory, P1_lets_go_of_every_page)
{
	uint8_t data[SIZE] = {};
	long before = pinned_pages();
	void *hole;

	EXPECT_EQ(0, try_write(self->vm, GPA, data, SIZE));
	EXPECT_EQ(-ENOENT, try_write(self->vm, GPA + 1, data, SIZE));
	hole = mem_before_hole(PAGE_SIZE);
	EXPECT_EQ(-EFAULT, try_write(self->vm, GPA, hole, SIZE));
	EXPECT_EQ(-EFAULT, try_read(self->vm, GPA, hole, SIZE));
	EXPECT_EQ(before, pinned_pages());
}

/* --- refusals, and how far it came before */

#define EXPECT_COPY(ret, copied, write, gpa, data, length)		\
	do {								\
		size_t copy_done;					\
									\
		EXPECT_EQ(ret, vm_try_copy(self->vm, write, gpa, data, length, &copy_done)); \
		EXPECT_EQ(copied, copy_done);				\
	} while (0)

TEST_F(memory, P1_nowhere)
{
	uint8_t data[SIZE] = {};
	int write;

	for (write = 0; write < 2; write++) {
		EXPECT_COPY(-ENOENT, 0, write, GPA - PAGE_SIZE, data, 1);
		EXPECT_COPY(-ENOENT, 100, write, GPA + SIZE - 100, data, 200);
		/* No host memory there. */
		munmap(self->mem + 2 * PAGE_SIZE, PAGE_SIZE);
		EXPECT_COPY(-EFAULT, 2 * PAGE_SIZE, write, GPA, data, SIZE);
		EXPECT_COPY(0, PAGE_SIZE, write, GPA + 3 * PAGE_SIZE, data, PAGE_SIZE);
	}
}

TEST_F(memory, P1_read_only)
{
	uint8_t data[SIZE] = {};

	vm_slot(self->vm, 2, KVM_MEM_READONLY, GPA + SIZE, SIZE, mem_alloc(SIZE));
	EXPECT_COPY(-EROFS, 100, true, GPA + SIZE - 100, data, 200);
	EXPECT_COPY(0, 200, false, GPA + SIZE - 100, data, 200);
	/* The VMM's own rights count as well. */
	mprotect(self->mem, PAGE_SIZE, PROT_READ);
	EXPECT_COPY(-EFAULT, 0, true, GPA, data, 1);
	EXPECT_COPY(0, 1, false, GPA, data, 1);
	mprotect(self->mem, PAGE_SIZE, PROT_NONE);
	EXPECT_COPY(-EFAULT, 0, false, GPA, data, 1);
}

TEST_F(memory, P1_bad_buffer)
{
	uint8_t *part = mem_before_hole(100);
	const void *const *bad;
	int write;

	memset(part, 'a', 100);
	memset(self->mem, 'm', SIZE);
	EXPECT_COPY(-EFAULT, 100, true, GPA + PAGE_SIZE - 50, part, 200);
	/* Behind what there was to read, memory is as before. */
	EXPECT_EQ('a', self->mem[PAGE_SIZE + 49]);
	EXPECT_EQ('m', self->mem[PAGE_SIZE + 50]);
	EXPECT_EQ('m', self->mem[PAGE_SIZE + 149]);
	EXPECT_COPY(-EFAULT, 100, false, GPA + 8, part, 200);
	EXPECT_EQ('m', part[99]);
	for (bad = bad_pointers; *bad; bad++)
		for (write = 0; write < 2; write++)
			EXPECT_COPY(-EFAULT, 0, write, GPA, (void *)*bad, 8);
}

TEST_F(memory, P1_memory_without_pages)
{
	char byte;
	int bar;

	if (access(BAR_MODULE, R_OK))
		SKIP(return, "no " BAR_MODULE);
	ASSERT_EQ(0, bar_load());
	bar = bar_open();
	vm_slot(self->vm, 2, 0, GPA + SIZE, BAR_SIZE, bar_map_shared(bar, BAR_RAM_WB));
	EXPECT_EQ(-ENXIO, try_read(self->vm, GPA + SIZE, &byte, 1));
	EXPECT_EQ(-ENXIO, try_write(self->vm, GPA + SIZE, "x", 1));
	close(bar);
}

TEST_F(memory, P1_malformed)
{
	const struct slat_memory good = {
		.size = sizeof(good), .gpa = GPA, .length = 8, .data = (uintptr_t)self->mem,
	};
	const unsigned long requests[] = { SLAT_READ_MEMORY, SLAT_WRITE_MEMORY };
	struct slat_memory bad;
	unsigned int i;

#define EXPECT_INVALID(field, value)					\
	do {								\
		bad = good;						\
		bad.field = value;					\
		EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, requests[i], &bad)); \
	} while (0)
	for (i = 0; i < 2; i++) {
		bad = good;
		EXPECT_EQ(0, try_ioctl_ptr(self->vm->fd, requests[i], &bad));
		EXPECT_INVALID(view, 1);
		EXPECT_INVALID(reserved, 1);
		EXPECT_INVALID(gpa, -4ull);
		EXPECT_INVALID(gpa, (1ull << 52) - 7);
		EXPECT_INVALID(length, -1ull);
	}
}

TEST_F(memory, P1_of_another_process)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(try_write(self->vm, GPA, "x", 1) != -EIO);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* --- interrupted */

static void no_op(int sig)
{
}

SLOW_TESTS(memory_signal);

SLOW_TEST(memory_signal, P1_resumes)
{
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = {};
	const struct sigaction action = { .sa_handler = no_op };
	const size_t length = 32 * MIB;
	unsigned int interrupted = 0;
	struct slat_memory memory;
	uint8_t *from, *to;
	struct vm *vm;
	int ret;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	from = mem_alloc(length);
	to = mem_alloc(length);
	fill(from, length);
	vm = vm_create_empty();
	vm_slot(vm, 1, 0, GPA, length, to);
	memory = (struct slat_memory) {
		.size = sizeof(memory), .gpa = GPA, .length = length, .data = (uintptr_t)from,
	};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	do {
		ret = try_ioctl_ptr(vm->fd, SLAT_WRITE_MEMORY, &memory);
		interrupted += ret == -EINTR;
		/* Where signals come faster than pages are copied, it would never end. */
		if (interrupted == 100)
			setitimer(ITIMER_REAL, &never, NULL);
	} while (ret == -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(0, ret);
	EXPECT_LT(0, interrupted);
	EXPECT_EQ(0, memcmp(from, to, length));
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
