// SPDX-License-Identifier: GPL-2.0-only
/* M3, M5: the NPT codec against the bits of the manual. */
#include <kselftest_harness.h>

#include "apm.h"
#include "fmt/npt.h"

#define ALL_BITS	(~0ULL)
#define FRAME_MAX	((1ULL << APM_FRAME_BITS) - 1)

/* Of a leaf's level: the first frames, patterns, the last ones. */
static const u64 frames[] = {
	0, 1, 2, 3, 511, 512, 0x3ffff, 0x40000, 0xfffff, 0x100000, 0x5555555555, 0xaaaaaaaaaa,
	0x7fffffffff, 0x8000000000, 0xfffffffffe, 0xffffffffff,
};

#define FRAMES	(sizeof(frames) / sizeof(frames[0]))

#define LEAF_LEVELS	3

/* A frame of which a leaf of the level can start. */
static u64 leaf_frame(unsigned int n, unsigned int level)
{
	return frames[n] & (ALL_BITS << (9 * (level - 1)));
}

/* Each type once, by an index that the codec may choose. */
static const unsigned int types[] = { 0, 1, 2, 3, 5, 7 };

#define TYPES	(sizeof(types) / sizeof(types[0]))

static u64 manual_pat(unsigned int index, unsigned int level)
{
	return (index & 1 ? apm_bit(APM_PWT) : 0) | (index & 2 ? apm_bit(APM_PCD) : 0) |
	       (index & 4 ? apm_bit(level > 1 ? APM_PAT_LARGE : APM_PAT) : 0);
}

/* The entry as the manual has it, WB. */
static u64 manual_leaf(u64 frame, unsigned int level, unsigned int rights)
{
	return frame << APM_ADDRESS | apm_bit(APM_P) | apm_bit(APM_US) |
	       (rights & SLAT_W ? apm_bit(APM_RW) : 0) |
	       (rights & SLAT_X ? 0 : apm_bit(APM_NX)) |
	       (level > 1 ? apm_bit(APM_PS) : 0);
}

/* All leaves of interest, with an index that goes on over all of them. */
struct leaf {
	unsigned int level;
	unsigned int rights;
	u64 frame;
	u64 entry;
};

#define LEAVES	(LEAF_LEVELS * 4 * FRAMES)

static struct leaf leaf_of(unsigned int n)
{
	struct leaf leaf = {
		.level = 1 + n % LEAF_LEVELS,
		.rights = SLAT_R | n / LEAF_LEVELS % 4 << 1,
	};

	leaf.frame = leaf_frame(n / LEAF_LEVELS / 4, leaf.level);
	leaf.entry = npt_make_leaf(leaf.frame, leaf.level, leaf.rights, SLAT_MT_WB);
	return leaf;
}

TEST(contract_constants)
{
	EXPECT_EQ(1, SLAT_R);
	EXPECT_EQ(2, SLAT_W);
	EXPECT_EQ(4, SLAT_X);
	EXPECT_EQ(512, SLAT_ENTRIES);
	EXPECT_EQ(0, SLAT_MT_UC);
	EXPECT_EQ(1, SLAT_MT_WC);
	EXPECT_EQ(4, SLAT_MT_WT);
	EXPECT_EQ(5, SLAT_MT_WP);
	EXPECT_EQ(6, SLAT_MT_WB);
	EXPECT_EQ(7, SLAT_MT_UC_MINUS);
}

TEST(index_and_span)
{
	const u64 gfn = 1ULL << 36 | 2ULL << 27 | 3ULL << 18 | 4ULL << 9 | 511;

	EXPECT_EQ(511, slat_index(gfn, 1));
	EXPECT_EQ(4, slat_index(gfn, 2));
	EXPECT_EQ(3, slat_index(gfn, 3));
	EXPECT_EQ(2, slat_index(gfn, 4));
	EXPECT_EQ(1, slat_index(gfn, 5));
	EXPECT_EQ(1, slat_span(1));
	EXPECT_EQ(512, slat_span(2));
	EXPECT_EQ(262144, slat_span(3));
	EXPECT_EQ(134217728, slat_span(4));
	EXPECT_EQ(68719476736ULL, slat_span(5));
}

TEST(leaf_has_the_bits_of_the_manual)
{
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const struct leaf leaf = leaf_of(n);

		ASSERT_EQ(manual_leaf(leaf.frame, leaf.level, leaf.rights), leaf.entry);
	}
}

TEST(leaf_reads_back)
{
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const struct leaf leaf = leaf_of(n);

		ASSERT_TRUE(npt_is_present(leaf.entry));
		ASSERT_TRUE(npt_is_leaf(leaf.entry, leaf.level));
		ASSERT_FALSE(npt_is_table(leaf.entry, leaf.level));
		ASSERT_EQ(leaf.frame, npt_pfn(leaf.entry, leaf.level));
		ASSERT_EQ(leaf.rights, npt_rights(leaf.entry));
		ASSERT_EQ(SLAT_MT_WB, npt_type(leaf.entry, leaf.level));
		ASSERT_FALSE(npt_is_accessed(leaf.entry));
		ASSERT_FALSE(npt_is_dirty(leaf.entry));
	}
}

/* Where the CPU may have set A and D, and software bits or PAT are in use. */
TEST(other_bits_do_not_change_what_a_leaf_says)
{
	const u64 other = apm_bit(APM_A) | apm_bit(APM_D) | apm_bit(APM_PWT) | apm_bit(APM_PCD) |
			  0x7ffULL << 52 | 7ULL << 9;
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const struct leaf leaf = leaf_of(n);

		ASSERT_TRUE(npt_is_leaf(leaf.entry | other, leaf.level));
		ASSERT_FALSE(npt_is_table(leaf.entry | other, leaf.level));
		ASSERT_EQ(leaf.frame, npt_pfn(leaf.entry | other, leaf.level));
		ASSERT_EQ(leaf.rights, npt_rights(leaf.entry | other));
	}
}

/* M5: the type goes through the PAT, and a frame shares no bit with it. */
TEST(type_is_an_index_into_the_pat)
{
	unsigned int n, i;

	for (n = 0; n < LEAVES; n++) {
		const struct leaf leaf = leaf_of(n);

		for (i = 0; i < TYPES; i++) {
			const u64 entry = npt_make_leaf(leaf.frame, leaf.level, leaf.rights,
							apm_linux_pat[types[i]]);

			ASSERT_EQ(leaf.entry | manual_pat(types[i], leaf.level), entry);
			ASSERT_EQ(leaf.frame, npt_pfn(entry, leaf.level));
			ASSERT_EQ(leaf.rights, npt_rights(entry));
			ASSERT_TRUE(npt_is_leaf(entry, leaf.level));
		}
	}
}

TEST(type_reads_back_and_ipat_is_dropped)
{
	unsigned int level, i;

	for (level = 1; level <= LEAF_LEVELS; level++) {
		for (i = 0; i < 8; i++) {
			const u64 entry = npt_make_leaf(0, level, SLAT_RWX, apm_linux_pat[i]);

			ASSERT_EQ(apm_linux_pat[i], npt_type(entry, level));
			ASSERT_EQ(entry, npt_make_leaf(0, level, SLAT_RWX,
						       apm_linux_pat[i] | SLAT_MT_IPAT));
			ASSERT_EQ(apm_linux_pat[i], npt_type(manual_leaf(0, level, SLAT_R) |
							     manual_pat(i, level), level));
		}
	}
}

/* In a bit that the CPU leaves to software, beside everything else. */
TEST(no_page_reads_back)
{
	unsigned int level, i;

	for (level = 1; level <= LEAF_LEVELS; level++) {
		for (i = 0; i < 8; i++) {
			const unsigned int type = apm_linux_pat[i] | SLAT_MT_NO_PAGE;
			const u64 entry = npt_make_leaf(0, level, SLAT_RWX, type);

			ASSERT_EQ(1ULL << 52 | npt_make_leaf(0, level, SLAT_RWX, apm_linux_pat[i]),
				  entry);
			ASSERT_EQ(type, npt_type(entry, level));
		}
	}
}

TEST(can_map_what_fits_and_is_readable)
{
	unsigned int level, rights, bit;

	for (level = 1; level <= LEAF_LEVELS; level++) {
		for (rights = 0; rights < 8; rights++)
			ASSERT_EQ(rights & SLAT_R, npt_can_map(0, level, rights));
		for (bit = 0; bit < 64; bit++)
			ASSERT_EQ(bit >= 9 * (level - 1) && bit < APM_FRAME_BITS,
				  npt_can_map(1ULL << bit, level, SLAT_RWX));
		ASSERT_TRUE(npt_can_map(leaf_frame(FRAMES - 1, level), level, SLAT_R));
		ASSERT_FALSE(npt_can_map(ALL_BITS << (9 * (level - 1)), level, SLAT_R));
	}
}

/* Bit 7 at level 1 belongs to the PAT. */
TEST(bit_7_makes_a_leaf_at_upper_levels_only)
{
	const u64 table = npt_make_table(5), bit7 = apm_bit(APM_PS);

	EXPECT_TRUE(npt_is_leaf(table, 1));
	EXPECT_TRUE(npt_is_leaf(table | bit7, 1));
	EXPECT_FALSE(npt_is_leaf(table, 2));
	EXPECT_TRUE(npt_is_leaf(table | bit7, 2));
	EXPECT_FALSE(npt_is_leaf(table, 3));
	EXPECT_TRUE(npt_is_leaf(table | bit7, 3));
}

TEST(table_has_the_bits_of_the_manual)
{
	unsigned int n;

	for (n = 0; n < FRAMES; n++)
		ASSERT_EQ(frames[n] << APM_ADDRESS | apm_bit(APM_P) | apm_bit(APM_RW) |
			  apm_bit(APM_US), npt_make_table(frames[n]));
}

TEST(table_reads_back)
{
	const u64 ad = apm_bit(APM_A) | apm_bit(APM_D);
	unsigned int n, level;

	for (n = 0; n < FRAMES; n++) {
		const u64 entry = npt_make_table(frames[n]);

		for (level = 2; level <= SLAT_LEVELS_MAX; level++) {
			ASSERT_TRUE(npt_is_present(entry));
			ASSERT_TRUE(npt_is_table(entry, level));
			ASSERT_FALSE(npt_is_leaf(entry, level));
			ASSERT_TRUE(npt_is_table(entry | ad, level));
		}
		ASSERT_EQ(frames[n], npt_pfn(entry, 2));
		ASSERT_EQ(frames[n], npt_pfn(entry | ad, 2));
		ASSERT_EQ(frames[n], npt_pfn(entry, 5));
		ASSERT_EQ(SLAT_RWX, npt_rights(entry));
	}
}

/* A frame number that is too wide loses its top, but sets no flag. */
TEST(frame_stays_within_its_bits)
{
	const u64 flags = ~(FRAME_MAX << APM_ADDRESS);
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		const u64 frame = 1ULL << bit;
		const u64 kept = bit < APM_FRAME_BITS ? frame : 0;

		ASSERT_EQ(npt_make_leaf(0, 1, SLAT_RWX, SLAT_MT_WB) & flags,
			  npt_make_leaf(frame, 1, SLAT_RWX, SLAT_MT_WB) & flags);
		ASSERT_EQ(npt_make_table(0) & flags, npt_make_table(frame) & flags);
		ASSERT_EQ(kept, npt_pfn(npt_make_leaf(frame, 1, SLAT_RWX, SLAT_MT_WB), 1));
		ASSERT_EQ(kept, npt_pfn(npt_make_table(frame), 2));
	}
	ASSERT_EQ(FRAME_MAX, npt_pfn(ALL_BITS, 1));
}

TEST(empty_maps_nothing_and_names_no_frame)
{
	unsigned int level;

	EXPECT_EQ(0, npt_empty() & (FRAME_MAX << APM_ADDRESS));
	EXPECT_FALSE(npt_is_present(npt_empty()));
	EXPECT_FALSE(npt_is_accessed(npt_empty()));
	EXPECT_FALSE(npt_is_dirty(npt_empty()));
	EXPECT_EQ(0, npt_rights(npt_empty()));
	EXPECT_TRUE(npt_is_ve_suppressed(npt_empty()));
	for (level = 1; level <= SLAT_LEVELS_MAX; level++) {
		EXPECT_FALSE(npt_is_leaf(npt_empty(), level));
		EXPECT_FALSE(npt_is_table(npt_empty(), level));
	}
}

static bool reads_as_absent(u64 entry)
{
	unsigned int level;

	for (level = 1; level <= SLAT_LEVELS_MAX; level++)
		if (npt_is_leaf(entry, level) || npt_is_table(entry, level))
			return false;
	return !npt_is_present(entry) && !npt_rights(entry);
}

TEST(junk_without_the_present_bit_is_absent)
{
	u64 junk = 0x123456789abcdefULL;
	unsigned int bit, n;

	ASSERT_TRUE(reads_as_absent(ALL_BITS & ~apm_bit(APM_P)));
	for (bit = 1; bit < 64; bit++) {
		ASSERT_TRUE(reads_as_absent(1ULL << bit));
		ASSERT_TRUE(reads_as_absent(ALL_BITS & ~apm_bit(APM_P) & ~(1ULL << bit)));
	}
	for (n = 0; n < 10000; n++) {
		junk = junk * 6364136223846793005ULL + 1442695040888963407ULL;
		ASSERT_TRUE(reads_as_absent((junk ^ junk >> 29) & ~apm_bit(APM_P)));
	}
}

TEST(each_bit_is_read_where_the_manual_has_it)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		const u64 entry = 1ULL << bit;
		const u64 present = entry | apm_bit(APM_P);

		ASSERT_EQ(bit == APM_P, npt_is_present(entry));
		ASSERT_EQ(bit == APM_A, npt_is_accessed(entry));
		ASSERT_EQ(bit == APM_D, npt_is_dirty(entry));
		ASSERT_EQ(bit == APM_PS, npt_is_leaf(present, 2));
		ASSERT_EQ(bit == APM_RW, !!(npt_rights(present) & SLAT_W));
		ASSERT_EQ(bit != APM_NX, !!(npt_rights(present) & SLAT_X));
		ASSERT_EQ(!!(npt_rights(present) & SLAT_R), 1);
		ASSERT_EQ(bit >= 12 && bit < 52 ? 1ULL << (bit - 12) : 0, npt_pfn(entry, 2));
	}
}

TEST(carry_ad_takes_a_and_d_and_nothing_else)
{
	const u64 ad = apm_bit(APM_A) | apm_bit(APM_D);
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const u64 entry = leaf_of(n).entry;

		ASSERT_EQ(entry, npt_carry_ad(entry, 0));
		ASSERT_EQ(entry, npt_carry_ad(entry, ALL_BITS & ~ad));
		ASSERT_EQ(entry | apm_bit(APM_A), npt_carry_ad(entry, apm_bit(APM_A)));
		ASSERT_EQ(entry | apm_bit(APM_D), npt_carry_ad(entry, apm_bit(APM_D)));
		ASSERT_EQ(entry | ad, npt_carry_ad(entry, ALL_BITS));
		ASSERT_EQ(entry | ad, npt_carry_ad(entry | ad, 0));
	}
}

TEST(accessed_is_set_and_cleared_alone)
{
	EXPECT_EQ(apm_bit(APM_A), npt_set_accessed(0));
	EXPECT_EQ(ALL_BITS, npt_set_accessed(ALL_BITS));
	EXPECT_EQ(ALL_BITS & ~apm_bit(APM_A), npt_clear_accessed(ALL_BITS));
	EXPECT_EQ(0, npt_clear_accessed(0));
	EXPECT_EQ(ALL_BITS & ~apm_bit(APM_D), npt_clear_dirty(ALL_BITS));
	EXPECT_EQ(0, npt_clear_dirty(0));
}

TEST_HARNESS_MAIN
