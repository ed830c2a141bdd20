// SPDX-License-Identifier: GPL-2.0-only
/* M1, M4: the store of pinned ranges against an array with a type for each frame. */
#include <string.h>
#include <kselftest_harness.h>

#include "entry.h"
#include "pin.h"

#define FRAMES	64

int shim_allocations = -1;

static unsigned int model[FRAMES];

static u64 seed = 1;

static unsigned int random_below(unsigned int limit)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % limit;
}

static int change(struct slat_pins *pins, u64 first, u64 last, unsigned int type)
{
	struct slat_pin_change change = { .first = first, .last = last, .type = type };
	int ret = slat_pins_prepare(pins, &change);

	if (!ret)
		slat_pins_commit(pins, &change);
	slat_pins_finish(&change);
	return ret;
}

/* Each run is right, and as long as can be: so are the ranges, and their number. */
static bool is_as_model(const struct slat_pins *pins)
{
	unsigned int gfn, end, nr = 0;
	u64 last;

	for (gfn = 0; gfn < FRAMES; gfn++) {
		for (end = gfn; end + 1 < FRAMES && model[end + 1] == model[gfn]; end++)
			;
		if (slat_pins_type(pins, gfn, &last) != model[gfn])
			return false;
		if (last != (end == FRAMES - 1 && model[gfn] == SLAT_PIN_NONE ? ~0ULL : end))
			return false;
		nr += end == gfn && model[gfn] != SLAT_PIN_NONE;
	}
	return pins->nr == nr;
}

static void model_clear(void)
{
	memset(model, 0xff, sizeof(model));
}

TEST(M1_random_pins)
{
	static const unsigned int types[] = { SLAT_PIN_NONE, SLAT_MT_UC, SLAT_MT_WB };
	struct slat_pins pins = {};
	unsigned int n, gfn;

	model_clear();
	for (n = 0; n < 100000; n++) {
		const unsigned int first = random_below(FRAMES);
		const unsigned int last = first + random_below(random_below(2) ? 3 : FRAMES - first);
		const unsigned int end = last < FRAMES ? last : FRAMES - 1;
		const unsigned int type = types[random_below(3)];
		const bool fails = !random_below(8);

		shim_allocations = fails ? (int)random_below(2) : -1;
		ASSERT_EQ(fails ? -ENOMEM : 0, change(&pins, first, end, type));
		for (gfn = first; !fails && gfn <= end; gfn++)
			model[gfn] = type;
		ASSERT_TRUE(is_as_model(&pins)) {
			TH_LOG("change %u: %u to %u, type %d", n, first, end, (int)type);
		}
	}
	shim_allocations = -1;
	slat_pins_destroy(&pins);
	ASSERT_EQ(0, pins.nr);
}

/* At the limit, what makes no more of them still works. */
TEST(M1_pins_are_limited)
{
	struct slat_pins pins = {};
	unsigned int n;
	u64 last;

	for (n = 0; n < SLAT_PINS_MAX; n++)
		ASSERT_EQ(0, change(&pins, 10 * n, 10 * n + 2, SLAT_MT_WC));
	EXPECT_EQ(-ENOSPC, change(&pins, 5, 5, SLAT_MT_WC));
	EXPECT_EQ(SLAT_PIN_NONE, slat_pins_type(&pins, 5, &last));
	EXPECT_EQ(-ENOSPC, change(&pins, 1, 1, SLAT_PIN_NONE));
	EXPECT_EQ(-ENOSPC, change(&pins, 1, 1, SLAT_MT_WB));
	EXPECT_EQ(SLAT_MT_WC, slat_pins_type(&pins, 1, &last));
	EXPECT_EQ(SLAT_PINS_MAX, pins.nr);
	/* Longer, shorter, between two that it joins, in one of its like. */
	EXPECT_EQ(0, change(&pins, 3, 3, SLAT_MT_WC));
	EXPECT_EQ(0, change(&pins, 9, 9, SLAT_MT_WC));
	EXPECT_EQ(0, change(&pins, 0, 0, SLAT_PIN_NONE));
	EXPECT_EQ(0, change(&pins, 2, 2, SLAT_MT_WC));
	EXPECT_EQ(SLAT_PINS_MAX, pins.nr);
	EXPECT_EQ(0, change(&pins, 4, 8, SLAT_MT_WC));
	EXPECT_EQ(SLAT_PINS_MAX - 1, pins.nr);
	EXPECT_EQ(0, change(&pins, 4, 8, SLAT_PIN_NONE));
	EXPECT_EQ(SLAT_PINS_MAX, pins.nr);
	EXPECT_EQ(0, change(&pins, 0, 3, SLAT_MT_WB));
	EXPECT_EQ(0, change(&pins, 9, 12, SLAT_PIN_NONE));
	EXPECT_EQ(0, change(&pins, 5, 5, SLAT_MT_WC));
	EXPECT_EQ(SLAT_PINS_MAX, pins.nr);
	EXPECT_EQ(0, change(&pins, 0, 10 * SLAT_PINS_MAX, SLAT_MT_UC));
	EXPECT_EQ(1, pins.nr);
	slat_pins_destroy(&pins);
}

/* The ends of the number range. */
TEST(M1_pins_to_the_last_frame)
{
	struct slat_pins pins = {};
	u64 last;

	ASSERT_EQ(0, change(&pins, 0, ~0ULL, SLAT_MT_WC));
	EXPECT_EQ(SLAT_MT_WC, slat_pins_type(&pins, 0, &last));
	EXPECT_EQ(~0ULL, last);
	ASSERT_EQ(0, change(&pins, ~0ULL, ~0ULL, SLAT_PIN_NONE));
	EXPECT_EQ(SLAT_MT_WC, slat_pins_type(&pins, ~0ULL - 1, &last));
	EXPECT_EQ(~0ULL - 1, last);
	EXPECT_EQ(SLAT_PIN_NONE, slat_pins_type(&pins, ~0ULL, &last));
	slat_pins_destroy(&pins);
}

TEST_HARNESS_MAIN
