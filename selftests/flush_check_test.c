// SPDX-License-Identifier: GPL-2.0-only
/*
 * V6, B3: the checker of flushes (kmod/flush_check.h) sees each kind of flush that is
 * left out, and nothing else in guests that run while their memory changes.
 */
#include <sys/mman.h>

#include "dirty.h"
#include "harness.h"

#define FOUND	"/sys/kernel/debug/slat/flushes"
#define OMIT	"/sys/kernel/debug/slat/flush_test"
#define SIZE	(16 * PAGE_SIZE)
#define TRIES	2000

static const char *const faults[] = { "entry", "tag", "cut" };

#define NR_FAULTS	(sizeof(faults) / sizeof(*faults))

FIXTURE(flush)
{
	struct play play;
	bool playing;
};

FIXTURE_VARIANT(flush)
{
	const char *omit;
	const char *fault;
	bool logs;
};

/* The guest enters with what was cut before. */
FIXTURE_VARIANT_ADD(flush, at_an_entry) { .omit = "entry", .fault = "entry" };
/* It enters with a tag that had been used. */
FIXTURE_VARIANT_ADD(flush, of_a_tag) { .omit = "tag", .fault = "tag" };
/* A cut is done with before the guest has left. */
FIXTURE_VARIANT_ADD(flush, of_a_running_vcpu) { .omit = "kick", .fault = "cut" };
/* The dirty log is read, and the guest goes on writing unseen. */
FIXTURE_VARIANT_ADD(flush, of_a_harvest) { .omit = "kick", .fault = "cut", .logs = true };

FIXTURE_SETUP(flush)
{
	if (file_field(FOUND, "entry") < 0)
		SKIP_SETUP("slat was built without SLAT_FLUSH_CHECK");
	watchdog_start(25);
	play_mix(&self->play, NULL, SIZE);
	self->playing = true;
}

FIXTURE_TEARDOWN(flush)
{
	if (self->playing)
		EXPECT_TRUE(play_end(&self->play));
}

static long total(void)
{
	unsigned int i;
	long sum = 0;

	for (i = 0; i < NR_FAULTS; i++)
		sum += file_field(FOUND, faults[i]);
	return sum;
}

/* Change its memory under the guest, so that something has to be flushed. */
static void cut(struct play *play, bool logs)
{
	uint64_t bitmap;

	if (logs) {
		REQUIRE(!vm_try_get_dirty(play->vm, VM_PLAY_SLOT, &bitmap), "no dirty log");
		return;
	}
	REQUIRE(!mprotect(play->mem, SIZE, PROT_READ) &&
		!mprotect(play->mem, SIZE, PROT_READ | PROT_WRITE), "mprotect");
}

/* While the guest stands, and then on another CPU than those who cut. */
static void leave_out(struct __test_metadata *_metadata, struct play *play, const char *what)
{
	ASSERT_TRUE(worker_stop(&play->worker));
	ASSERT_EQ(0, file_write(OMIT, what));
	EXPECT_EQ(0, total());
	pin(1);
	worker_start(&play->worker, play->vcpu);
	pin(0);
}

TEST_F(flush, V6_is_missed)
{
	struct play *play = &self->play;
	char text[64];
	unsigned int i;

	snprintf(text, sizeof(text), "slat-test: expect slat: flush: %s: \n", variant->fault);
	ASSERT_EQ(0, file_write("/dev/kmsg", text));
	if (variant->logs)
		play_flags(play, KVM_MEM_LOG_DIRTY_PAGES);
	leave_out(_metadata, play, variant->omit);
	for (i = 0; i < TRIES && !total(); i++) {
		cut(play, variant->logs);
		ASSERT_TRUE(worker_wait(&play->worker, &play->mix->rounds, 1));
	}
	/* So that who has counted has also told. */
	ASSERT_TRUE(worker_stop(&play->worker));
	EXPECT_LE(1, file_field(FOUND, variant->fault));
	EXPECT_EQ(total(), file_field(FOUND, variant->fault));
	ASSERT_EQ(0, file_write("/dev/kmsg", "slat-test: expected\n"));
	worker_start(&play->worker, play->vcpu);
}

TEST(V6_nothing_is_missed_otherwise)
{
	struct play play;
	unsigned int i;
	long before;

	if (file_field(FOUND, "entry") < 0)
		SKIP(return, "slat was built without SLAT_FLUSH_CHECK");
	watchdog_start(25);
	before = total();
	play_mix(&play, NULL, SIZE);
	play_flags(&play, KVM_MEM_LOG_DIRTY_PAGES);
	for_rounds (i, TRIES, 3) {
		cut(&play, i % 2);
		ASSERT_EQ(0, madvise(play.mem + i % 16 * PAGE_SIZE, PAGE_SIZE, MADV_PAGEOUT));
		ASSERT_TRUE(worker_wait(&play.worker, &play.mix->rounds, 1));
	}
	EXPECT_TRUE(play_end(&play));
	EXPECT_EQ(before, total());
}

SLAT_HARNESS_MAIN
