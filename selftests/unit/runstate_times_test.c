// SPDX-License-Identifier: GPL-2.0-only
/*
 * R5, R6: how a vCPU's time is added up, and that no reader takes a mix of two samples
 * for one. The stores of a sample are noted, and then reach a reader in any order that
 * the barriers between them leave open, at any time of its reading.
 */
#include <string.h>
#include <asm/barrier.h>
#include <kselftest_harness.h>
#include <linux/compiler.h>
#include <linux/types.h>

/* --- what is stored, instead of storing it */

#define STORES_MAX	16

static struct store {
	u64 *to;	/* 8 bytes of the area */
	u64 value;
	u64 mask;
	unsigned int group;	/* barriers before it */
} stores[STORES_MAX];
static unsigned int nr_stores, nr_barriers;

static void note(void *to, size_t size, u64 value)
{
	const unsigned int shift = ((uintptr_t)to & 7) * 8;
	const u64 mask = size == 8 ? ~0ULL : ((1ULL << size * 8) - 1) << shift;

	stores[nr_stores++] = (struct store) {
		.to = (u64 *)((uintptr_t)to & ~7UL), .value = value << shift & mask,
		.mask = mask, .group = nr_barriers,
	};
}

#undef WRITE_ONCE
#define WRITE_ONCE(x, value)	note(&(x), sizeof(x), value)
#undef smp_wmb
#define smp_wmb()		nr_barriers++

#include "runstate_times.h"

static struct slat_runstate area;

static void write_sample(const struct slat_runstate *own)
{
	nr_stores = 0;
	nr_barriers = 0;
	slat_runstate_write(&area, own);
}

static void apply(const struct store *store)
{
	*store->to = (*store->to & ~store->mask) | store->value;
}

/* --- chance */

static u64 seed = 1;

static unsigned int below(unsigned int limit)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % limit;
}

/* --- a reader */

static bool mixed(const struct slat_runstate *sample, const struct slat_runstate *old,
		  const struct slat_runstate *new)
{
	return memcmp(sample, old, sizeof(*old)) && memcmp(sample, new, sizeof(*new));
}

/* Let some of the stores arrive: of those that wait, they are in the first group. */
static void some_arrive(bool *arrived, bool in_order)
{
	unsigned int i = 0, group;

	while (i < nr_stores && arrived[i])
		i++;
	if (i == nr_stores)
		return;
	group = stores[i].group;
	for (; i < nr_stores && (!in_order || stores[i].group == group); i++) {
		if (!arrived[i] && below(2)) {
			apply(&stores[i]);
			arrived[i] = true;
		}
	}
}

/* Let time pass: often none. */
static void let_pass(bool *arrived, bool in_order)
{
	while (!below(3))
		some_arrive(arrived, in_order);
}

/* Return: whether it takes what it read for a sample, in *@sample. */
static bool read_meanwhile(struct slat_runstate *sample, bool in_order)
{
	static const u8 words[] = { 0, 2, 3, 4, 5 };
	bool arrived[STORES_MAX] = {};
	const u64 *from = (u64 *)&area;
	u64 *to = (u64 *)sample, last;
	unsigned int i, first = below(5);

	let_pass(arrived, in_order);
	sample->entry_time = area.entry_time;
	/* Between its barriers it may read in any order, too. */
	for (i = 0; i < 5; i++) {
		const u8 word = words[(first + i) % 5];

		let_pass(arrived, in_order);
		to[word] = from[word];
	}
	let_pass(arrived, in_order);
	last = area.entry_time;
	return last == sample->entry_time && !(last & SLAT_RUNSTATE_UPDATE);
}

#define ROUNDS	200000

/* How often a reader is fooled. @skip: this many of the first stores are not made */
static unsigned int count_mixed(bool in_order, unsigned int skip, unsigned int *taken)
{
	struct slat_runstate old, new, sample;
	unsigned int i, fooled = 0;

	*taken = 0;
	for (i = 0; i < ROUNDS; i++) {
		slat_runstate_start(&old, below(4), 1000 + below(1000));
		slat_runstate_enter(&old, (old.state + 1) % 4, old.entry_time + 1 + below(1000));
		new = old;
		slat_runstate_enter(&new, (new.state + 1) % 4, new.entry_time + 1 + below(1000));
		area = old;
		write_sample(&new);
		nr_stores -= skip;
		memmove(stores, stores + skip, nr_stores * sizeof(stores[0]));
		if (!read_meanwhile(&sample, in_order))
			continue;
		++*taken;
		fooled += mixed(&sample, &old, &new);
	}
	return fooled;
}

TEST(R5_no_mix_is_taken_for_a_sample)
{
	unsigned int taken;

	EXPECT_EQ(0, count_mixed(true, 0, &taken));
	EXPECT_LT(ROUNDS / 100, taken);
	EXPECT_GT(ROUNDS, taken);
}

/* The test would see it. */
TEST(R5_but_is_without_barriers_or_flag)
{
	unsigned int taken;

	EXPECT_LT(100, count_mixed(false, 0, &taken));
	EXPECT_LT(100, count_mixed(true, 1, &taken));
}

TEST(R5_a_sample_is_complete)
{
	const struct slat_runstate own = {
		.state = SLAT_RUNSTATE_BLOCKED, .entry_time = 1000, .time = { 1, 2, 3, 4 },
	};
	unsigned int i;

	memset(&area, 0xff, sizeof(area));
	write_sample(&own);
	ASSERT_EQ((void *)&area.entry_time, (void *)stores[0].to);
	EXPECT_EQ(SLAT_RUNSTATE_UPDATE | 1000, stores[0].value);
	for (i = 0; i < nr_stores; i++) {
		ASSERT_TRUE((void *)stores[i].to >= (void *)&area);
		ASSERT_TRUE((void *)stores[i].to < (void *)(&area + 1));
		apply(&stores[i]);
	}
	EXPECT_EQ(0, memcmp(&own, &area, sizeof(own)));
}

TEST(R6_times_add_up)
{
	u64 model[4] = {}, begin = 12345, now = begin;
	struct slat_runstate own;
	unsigned int i, state, old = SLAT_RUNSTATE_OFFLINE;

	slat_runstate_start(&own, old, now);
	EXPECT_EQ(0, own.padding);
	for (i = 0; i < 10000; i++) {
		u64 step = below(1000000);

		state = below(4);
		now += step;
		model[old] += step;
		slat_runstate_enter(&own, state, now);
		ASSERT_EQ(0, memcmp(model, own.time, sizeof(model)));
		ASSERT_EQ(state, own.state);
		ASSERT_EQ(now, own.entry_time);
		ASSERT_EQ(now - begin, own.time[0] + own.time[1] + own.time[2] + own.time[3]);
		old = state;
	}
}

TEST_HARNESS_MAIN
