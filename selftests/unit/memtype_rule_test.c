// SPDX-License-Identifier: GPL-2.0-only
/* M1, M5: the rule of memory types against a table of its own, on both formats. */
#include <kselftest_harness.h>

#include "memtype.h"

#define NONE	SLAT_PIN_NONE
#define ALL	(~0U)

/* The names of the manuals. */
enum { UC = 0, WC = 1, WT = 4, WP = 5, WB = 6, UC_MINUS = 7 };

#define IPAT	8

static const unsigned int mtrr_types[] = { UC, WC, WT, WP, WB };
static const unsigned int host_types[] = { UC, WC, WT, WP, WB, UC_MINUS };

/* What is so (1), is not (0), or does not matter (-). */
struct row {
	const char *mmio, *read_only, *special, *noncoherent, *flush, *pinned;
	enum { IS, PINNED, COMBINED } kind;
	unsigned int type;
};

/* Requirement M1, from its first condition to its last. */
static const struct row order[] = {
	{ "1", "1", "-", "-", "-", "-", IS, UC | IPAT },
	{ "0", "-", "-", "0", "0", "-", IS, WB | IPAT },
	{ "-", "-", "1", "-", "-", "-", IS, WB | IPAT },
	{ "1", "0", "0", "-", "-", "-", IS, UC },
	{ "-", "-", "-", "-", "-", "1", PINNED, 0 },
	{ "-", "-", "-", "-", "-", "0", COMBINED, 0 },
};

#define ROWS	(sizeof(order) / sizeof(order[0]))

/* [guest's MTRRs][host's mapping], both as in mtrr_types and host_types. */
static const unsigned int combined[5][6] = {
	{ UC, UC, UC, UC, UC, UC },
	{ UC, WC, UC, UC, WC, UC },
	{ UC, UC, WT, WP, WT, UC },
	{ UC, UC, WP, WP, WP, UC },
	{ UC, WC, WT, WP, WB, UC },
};

static bool matches(const char *wanted, bool is)
{
	return *wanted == '-' || (*wanted == '1') == is;
}

static bool row_matches(const struct row *row, const struct slat_memtype_input *in)
{
	return matches(row->mmio, in->is_mmio) && matches(row->read_only, in->is_read_only) &&
	       matches(row->special, in->is_special) &&
	       matches(row->noncoherent, in->noncoherent) &&
	       matches(row->flush, in->cache_flush) && matches(row->pinned, in->pinned != NONE);
}

static unsigned int index_of(const unsigned int *types, unsigned int type)
{
	unsigned int i = 0;

	while (types[i] != type)
		i++;
	return i;
}

static unsigned int ept_answer(const struct slat_memtype_input *in)
{
	const struct row *row = order;

	while (!row_matches(row, in))
		row++;
	switch (row->kind) {
	case IS:
		return row->type;
	case PINNED:
		return in->pinned | IPAT;
	default:
		return combined[index_of(mtrr_types, in->guest)][index_of(host_types, in->host)];
	}
}

/* Requirement M5: what stands in for each answer of EPT. */
static unsigned int npt_answer(unsigned int ept)
{
	static const unsigned int answer[] = {
		[UC] = UC_MINUS, [WC] = WC, [WT] = WT, [WP] = WP, [WB] = WB,
		[UC | IPAT] = UC, [WC | IPAT] = WC, [WT | IPAT] = WT, [WP | IPAT] = WP,
		[WB | IPAT] = WB,
	};

	return answer[ept];
}

static struct slat_memtype_input input_of(unsigned int n)
{
	static const unsigned int pins[] = { NONE, UC, WC, WT, WP, WB };
	struct slat_memtype_input in = { .types = ALL };

	in.is_mmio = n & 1;
	in.is_read_only = n & 2;
	in.is_special = n & 4;
	in.noncoherent = n & 8;
	in.cache_flush = n & 16;
	n /= 32;
	in.pinned = pins[n % 6];
	n /= 6;
	in.guest = mtrr_types[n % 5];
	in.host = host_types[n / 5];
	return in;
}

#define INPUTS	(32 * 6 * 5 * 6)

TEST(M1_every_input_on_ept)
{
	unsigned int n;

	for (n = 0; n < INPUTS; n++) {
		struct slat_memtype_input in = input_of(n);

		in.has_ipat = true;
		ASSERT_EQ(ept_answer(&in), slat_memtype_decide(&in)) {
			TH_LOG("input %u", n);
		}
	}
}

TEST(M5_every_input_on_npt)
{
	unsigned int n;

	for (n = 0; n < INPUTS; n++) {
		const struct slat_memtype_input in = input_of(n);

		ASSERT_EQ(npt_answer(ept_answer(&in)), slat_memtype_decide(&in)) {
			TH_LOG("input %u", n);
		}
	}
}

/* A host without its own PAT: what it cannot select becomes UC-. */
TEST(M5_every_input_on_npt_without_pat)
{
	const unsigned int basic = BIT(UC) | BIT(UC_MINUS) | BIT(WB);
	unsigned int n;

	for (n = 0; n < INPUTS; n++) {
		struct slat_memtype_input in = input_of(n);
		const unsigned int wish = npt_answer(ept_answer(&in));

		in.types = basic;
		ASSERT_EQ(basic & BIT(wish) ? wish : UC_MINUS, slat_memtype_decide(&in));
	}
}

/* The table above leaves nothing out, and needs each of its rows. */
TEST(rows_are_all_used)
{
	unsigned int n, used = 0;

	for (n = 0; n < INPUTS; n++) {
		const struct slat_memtype_input in = input_of(n);
		unsigned int row = 0;

		while (!row_matches(&order[row], &in))
			row++;
		ASSERT_GT(ROWS, row);
		used |= 1U << row;
	}
	EXPECT_EQ((1U << ROWS) - 1, used);
}

/* MTRRs, against what the manual says of a single address */

#define E	(1ULL << 11)
#define FE	(1ULL << 10)
#define VALID	(1ULL << 11)
#define WIDTH	40

static u64 seed = 1;

static u64 random_below(u64 limit)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 20) % limit;
}

/* SDM: 64K each from 0, 16K each from 512K, 4K each from 768K. */
static unsigned int model_fixed(const struct slat_mtrrs *mtrrs, u64 pa)
{
	const u8 *types = (const u8 *)mtrrs->fixed;

	if (pa < 0x80000)
		return types[pa / 0x10000];
	if (pa < 0xc0000)
		return types[8 + (pa - 0x80000) / 0x4000];
	return types[24 + (pa - 0xc0000) / 0x1000];
}

static unsigned int model_type(const struct slat_mtrrs *mtrrs, u64 gfn)
{
	bool seen[8] = {};
	const u64 pa = gfn << 12;
	unsigned int i, nr = 0;

	if (!(mtrrs->def_type & E))
		return UC;
	if (pa < 0x100000 && (mtrrs->def_type & FE))
		return model_fixed(mtrrs, pa);
	for (i = 0; i < 16; i += 2) {
		const u64 base = mtrrs->var[i], mask = mtrrs->var[i + 1] & ~0xfffULL;

		if (!(mtrrs->var[i + 1] & VALID) || (pa & mask) != (base & mask))
			continue;
		nr += !seen[base & 7];
		seen[base & 7] = true;
	}
	if (!nr)
		return mtrrs->def_type & 7;
	if (nr > 1)
		return nr == 2 && seen[WT] && seen[WB] ? WT : UC;
	for (i = 0; !seen[i]; i++)
		;
	return i;
}

static u64 random_type(void)
{
	return mtrr_types[random_below(5)];
}

static void random_range(u64 *var)
{
	const unsigned int size = 12 + random_below(WIDTH - 11);
	const u64 all = (1ULL << WIDTH) - 1;

	var[1] = all & ~((1ULL << size) - 1);
	/* Bits below the size do not count; often at the low end, so that ranges meet. */
	var[0] = random_below(random_below(2) ? 1ULL << 24 : all) & ~0xfffULL;
	var[0] |= random_type();
	if (random_below(4))
		var[1] |= VALID;
}

static void random_mtrrs(struct slat_mtrrs *mtrrs)
{
	unsigned int i;

	*mtrrs = (struct slat_mtrrs) { .def_type = random_type() };
	mtrrs->def_type |= (random_below(8) ? E : 0) | (random_below(3) ? FE : 0);
	for (i = 0; i < 88; i++)
		((u8 *)mtrrs->fixed)[i] = random_type();
	for (i = 0; i < 2 * random_below(9); i += 2)
		random_range(&mtrrs->var[i]);
}

/* Ends of ranges, from where the walk got to: there the model may change. */
static bool run_is_uniform(const struct slat_mtrrs *mtrrs, u64 gfn, u64 last, unsigned int type)
{
	unsigned int i;

	last = last < (1ULL << (WIDTH - 12)) ? last : (1ULL << (WIDTH - 12)) - 1;
	for (i = 0; i < 20; i++)
		if (model_type(mtrrs, gfn + random_below(last - gfn + 1)) != type)
			return false;
	return model_type(mtrrs, gfn) == type && model_type(mtrrs, last) == type;
}

TEST(M4_mtrrs_as_the_manual_reads_them)
{
	unsigned int n, pieces;

	for (n = 0; n < 20000; n++) {
		struct slat_mtrrs mtrrs;
		u64 gfn = 0, last;

		random_mtrrs(&mtrrs);
		for (pieces = 0; gfn < 1ULL << (WIDTH - 12); gfn = last + 1, pieces++) {
			const unsigned int type = slat_mtrrs_type(&mtrrs, gfn, &last);

			ASSERT_LE(gfn, last);
			ASSERT_TRUE(run_is_uniform(&mtrrs, gfn, last, type)) {
				TH_LOG("sample %u, frames %llx to %llx: %u", n, gfn, last, type);
			}
			if (last == ~0ULL)
				break;
		}
		/* Fixed ranges, and two ends of each variable one. */
		ASSERT_GE(88 + 16 + 1, pieces);
	}
}

/* Two ranges, as the manual and Linux know them. */
TEST(M4_overlaps)
{
	static const unsigned int want[5][5] = {
		{ UC, UC, UC, UC, UC },
		{ UC, WC, UC, UC, UC },
		{ UC, UC, WT, UC, WT },
		{ UC, UC, UC, WP, UC },
		{ UC, UC, WT, UC, WB },
	};
	unsigned int a, b;
	u64 last;

	for (a = 0; a < 5; a++) {
		for (b = 0; b < 5; b++) {
			const struct slat_mtrrs mtrrs = {
				.def_type = E | WC,
				.var = { 0x100000 | mtrr_types[a], 0xfffff00000 | VALID,
					 0x100000 | mtrr_types[b], 0xfffff80000 | VALID },
			};

			EXPECT_EQ(want[a][b], slat_mtrrs_type(&mtrrs, 0x100, &last));
			EXPECT_EQ(0x17f, last);
			EXPECT_EQ(mtrr_types[a], slat_mtrrs_type(&mtrrs, 0x180, &last));
			EXPECT_EQ(0x1ff, last);
			EXPECT_EQ(WC, slat_mtrrs_type(&mtrrs, 0x200, &last));
			EXPECT_EQ(~0ULL, last);
		}
	}
}

TEST_HARNESS_MAIN
