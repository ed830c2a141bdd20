// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2, V7: a VMM that forks shares its guest's memory copy-on-write. What the
 * guest writes goes to the parent's copy and never to the child's, what the
 * child writes never reaches the guest, and a read unshares nothing.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"
#include "worker.h"

#define ROUNDS	40
#define PAGES	32
#define SIZE	(PAGES * PAGE_SIZE)
#define GPA	VM_PLAY_GPA

/* Lets a child stop and look when told. */
struct child {
	pid_t pid;
	int go[2];
};

static void child_start(struct child *child, int (*look)(const void *arg),
			const void *arg)
{
	char byte;

	REQUIRE(!pipe(child->go), "pipe");
	child->pid = fork();
	REQUIRE(child->pid >= 0, "fork");
	if (child->pid)
		return;
	if (read(child->go[0], &byte, 1) != 1)
		_exit(100);
	_exit(look(arg));
}

static void child_go(struct child *child)
{
	REQUIRE(write(child->go[1], "", 1) == 1, "write");
	close(child->go[0]);
	close(child->go[1]);
}

/* Its result. */
static int child_wait(struct child *child)
{
	int status;

	REQUIRE(waitpid(child->pid, &status, 0) == child->pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static int child_look(struct child *child)
{
	child_go(child);
	return child_wait(child);
}

/* A guest that watches SIZE of memory, which all children get. */
FIXTURE(fork)
{
	struct play play;
	uint64_t *mem;
};

FIXTURE_SETUP(fork)
{
	play_watch(&self->play, NULL, SIZE, 0);
	self->mem = self->play.mem;
}

FIXTURE_TEARDOWN(fork)
{
	EXPECT_TRUE(play_end(&self->play));
}

/* --- the guest counts; the child's view stands still */

/* Whatever it was at the fork, it stays. */
static int view_stands_still(const void *arg)
{
	const volatile uint64_t *word = arg;
	uint64_t first = *word;
	int i;

	for (i = 0; i < 100; i++) {
		sched_yield();
		if (*word != first)
			return 1;
	}
	return 0;
}

TEST_F(fork, writes_stay_with_the_parent)
{
	struct worker *worker = &self->play.worker;
	uint64_t *mem = self->mem;
	struct child child;
	int i;

	watch_set(worker, WATCH_COUNT, GPA, 0);
	for_rounds (i, ROUNDS, 3) {
		/* The child is born looking, while the guest counts. */
		child_start(&child, view_stands_still, mem);
		child_go(&child);
		ASSERT_TRUE(worker_wait(worker, mem, 2));
		ASSERT_EQ(0, child_wait(&child));
	}
}

static int is_7(const void *arg)
{
	return *(const uint64_t *)arg != 7;
}

TEST_F(fork, child_keeps_what_was)
{
	struct worker *worker = &self->play.worker;
	uint64_t *mem = self->mem;
	struct child child;
	int i;

	for_rounds (i, ROUNDS, 3) {
		/* By turns: mapped writable, mapped by a read, not mapped. */
		if (i % 3 == 2)
			madvise(mem, PAGE_SIZE, MADV_DONTNEED);
		WRITE_ONCE(*mem, 7);
		if (i % 3 == 0)
			watch_write(worker, GPA, 7);
		else if (i % 3 == 1)
			watch_read(worker, GPA);
		child_start(&child, is_7, mem);
		if (i % 2) {
			ASSERT_EQ(7, watch_read(worker, GPA));
		}
		watch_write(worker, GPA, 8 + i);
		ASSERT_EQ(8 + i, READ_ONCE(*mem));
		ASSERT_EQ(0, child_look(&child));
		ASSERT_EQ(8 + i, watch_read(worker, GPA));
	}
}

/* --- the child writes */

static int scribble(const void *arg)
{
	uint64_t *mem = (uint64_t *)arg;
	int i;

	for (i = 0; i < PAGES; i++)
		mem[i * 512] = 0xbadbadbad;
	return 0;
}

TEST_F(fork, child_writes_for_itself)
{
	struct worker *worker = &self->play.worker;
	uint64_t *mem = self->mem;
	struct child child;
	int i;

	for_rounds (i, ROUNDS, 3) {
		watch_write(worker, GPA, i);
		child_start(&child, scribble, mem);
		ASSERT_EQ(0, child_look(&child));
		ASSERT_EQ(i, watch_read(worker, GPA));
		ASSERT_EQ(i, READ_ONCE(*mem));
	}
}

/* --- many forks while the guest writes everywhere */

static int leave(const void *unused)
{
	return 0;
}

TEST(many_forks_under_a_mixing_guest)
{
	struct child child[2];
	struct play play;
	int i;

	play_mix(&play, NULL, SIZE);
	for_rounds (i, ROUNDS, 3) {
		child_start(&child[0], scribble, play.mem);
		child_start(&child[1], leave, NULL);
		if (i % 4 == 0) {
			ASSERT_TRUE(worker_wait(&play.worker,
						&play.mix->rounds, 1));
		}
		ASSERT_EQ(0, child_look(&child[i % 2]));
		ASSERT_EQ(0, child_look(&child[!(i % 2)]));
	}
	EXPECT_TRUE(play_end(&play));
}

/* --- reads unshare nothing */

static unsigned long private_kb(const void *mem)
{
	unsigned long start, end, kb = ~0ul;
	bool is_ours = false;
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[256];

	REQUIRE(smaps, "no smaps");
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_ours = start <= (uintptr_t)mem && (uintptr_t)mem < end;
		else if (is_ours && sscanf(line, "Private_Dirty: %lu", &kb) == 1)
			break;
	}
	fclose(smaps);
	return kb;
}

TEST(reads_unshare_nothing)
{
	struct child child;
	struct play play;
	unsigned int i;
	uint64_t *mem;

	/* A mapping of its own in smaps, between two others. */
	mem = mem_alloc(3 * SIZE) + SIZE;
	ASSERT_EQ(0, mprotect((void *)mem - SIZE, SIZE, PROT_NONE));
	ASSERT_EQ(0, mprotect((void *)mem + SIZE, SIZE, PROT_NONE));
	for (i = 0; i < PAGES; i++)
		mem[i * 512] = 1000 + i;
	play_watch(&play, mem, SIZE, 0);
	child_start(&child, leave, NULL);
	EXPECT_EQ(0, private_kb(mem));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(1000 + i, watch_read(&play.worker, GPA + i * PAGE_SIZE));
	EXPECT_EQ(0, private_kb(mem));
	watch_write(&play.worker, GPA, 5);
	EXPECT_EQ(4, private_kb(mem));
	EXPECT_EQ(0, child_look(&child));
	EXPECT_TRUE(play_end(&play));
}

/* --- the child has no business with the VM */

static int foreign(const void *arg)
{
	const struct play *play = arg;

	return (try_ioctl(play->vm->fd, KVM_CREATE_VCPU, 7) != -EIO) |
	       (try_ioctl(play->vcpu->fd, KVM_RUN, 0) != -EIO) << 1 |
	       (try_ioctl(play->vm->fd, KVM_CHECK_EXTENSION, 0) != -EIO) << 2;
}

TEST(child_is_refused)
{
	struct child child;
	struct play play;

	play_mix(&play, NULL, SIZE);
	child_start(&child, foreign, &play);
	EXPECT_EQ(0, child_look(&child));
	ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	EXPECT_TRUE(play_end(&play));
}

SLAT_HARNESS_MAIN
