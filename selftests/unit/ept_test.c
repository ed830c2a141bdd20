// SPDX-License-Identifier: GPL-2.0-only
/* M1, M3: the EPT codec against the bits of the manual. */
#include <kselftest_harness.h>

#include "fmt/ept.h"
#include "sdm.h"

#define ALL_BITS	(~0ULL)
#define FRAME_MAX	((1ULL << SDM_FRAME_BITS) - 1)
#define AD		(sdm_bit(SDM_ACCESSED) | sdm_bit(SDM_DIRTY))
#define RIGHTS_BITS	7ULL
#define LEAF_LEVELS	3

/* Of a leaf's level: the first frames, patterns, the last ones. */
static const u64 frames[] = {
	0, 1, 2, 511, 512, 0x3ffff, 0x40000, 0x5555555555, 0xaaaaaaaaaa, 0x7fffffffff,
	0x8000000000, 0xfffffffffe, 0xffffffffff,
};

#define FRAMES	(sizeof(frames) / sizeof(frames[0]))

/* All that the CPU does not take for a misconfiguration. */
static const unsigned int rights[] = {
	SLAT_R, SLAT_R | SLAT_W, SLAT_R | SLAT_X, SLAT_RWX, SLAT_X,
};

#define RIGHTS	(sizeof(rights) / sizeof(rights[0]))

static const unsigned int types[] = { 0, 1, 4, 5, 6 };

#define TYPES	(sizeof(types) / sizeof(types[0]))

/* All leaves of interest, with an index that goes on over all of them. */
struct leaf {
	unsigned int level;
	unsigned int rights;
	unsigned int type;
	bool ipat;
	u64 frame;
	u64 entry;
};

#define LEAVES	(LEAF_LEVELS * RIGHTS * TYPES * 2 * FRAMES)

static struct leaf leaf_of(unsigned int n)
{
	struct leaf leaf = {};

	leaf.level = 1 + n % LEAF_LEVELS;
	n /= LEAF_LEVELS;
	leaf.rights = rights[n % RIGHTS];
	n /= RIGHTS;
	leaf.type = types[n % TYPES];
	n /= TYPES;
	leaf.ipat = n % 2;
	leaf.frame = frames[n / 2] & (ALL_BITS << (9 * (leaf.level - 1)));
	leaf.entry = ept_make_leaf(leaf.frame, leaf.level, leaf.rights,
				   leaf.type | (leaf.ipat ? SLAT_MT_IPAT : 0));
	return leaf;
}

TEST(leaf_has_the_bits_of_the_manual)
{
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const struct leaf leaf = leaf_of(n);

		ASSERT_EQ(leaf.frame << SDM_ADDRESS |
			  (leaf.rights & SLAT_R ? sdm_bit(SDM_READ) : 0) |
			  (leaf.rights & SLAT_W ? sdm_bit(SDM_WRITE) : 0) |
			  (leaf.rights & SLAT_X ? sdm_bit(SDM_EXECUTE) : 0) |
			  (u64)leaf.type << SDM_TYPE |
			  (leaf.ipat ? sdm_bit(SDM_IPAT) : 0) |
			  (leaf.level > 1 ? sdm_bit(SDM_LARGE) : 0) |
			  sdm_bit(SDM_SUPPRESS_VE), leaf.entry);
	}
}

TEST(leaf_reads_back)
{
	/* What the CPU sets, and what it ignores. */
	const u64 other = AD | sdm_bit(10) | sdm_bit(11) | 0x3ffULL << 53;
	unsigned int n;

	for (n = 0; n < 2 * LEAVES; n++) {
		const struct leaf leaf = leaf_of(n / 2);
		const u64 entry = leaf.entry | (n & 1 ? other : 0);

		ASSERT_TRUE(ept_is_present(entry));
		ASSERT_TRUE(ept_is_leaf(entry, leaf.level));
		ASSERT_FALSE(ept_is_table(entry, leaf.level));
		ASSERT_EQ(leaf.frame, ept_pfn(entry, leaf.level));
		ASSERT_EQ(leaf.rights, ept_rights(entry));
		ASSERT_EQ(leaf.type | (leaf.ipat ? SLAT_MT_IPAT : 0), ept_type(entry, leaf.level));
		ASSERT_TRUE(ept_is_ve_suppressed(entry));
		ASSERT_EQ(n & 1, ept_is_accessed(entry));
		ASSERT_EQ(n & 1, ept_is_dirty(entry));
	}
}

/* In a bit that the CPU leaves to software, beside everything else. */
TEST(no_page_reads_back)
{
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const struct leaf leaf = leaf_of(n);
		const unsigned int type = ept_type(leaf.entry, leaf.level) | SLAT_MT_NO_PAGE;
		const u64 entry = ept_make_leaf(leaf.frame, leaf.level, leaf.rights, type);

		ASSERT_EQ(leaf.entry | sdm_bit(SDM_NO_PAGE), entry);
		ASSERT_EQ(type, ept_type(entry, leaf.level));
	}
}

/* The guest's PAT makes WC of UC, as it does of UC-. */
TEST(uc_minus_is_uc)
{
	EXPECT_EQ(SLAT_MT_UC, ept_type(ept_make_leaf(0, 1, SLAT_R, SLAT_MT_UC_MINUS), 1));
	EXPECT_EQ(SLAT_MT_UC | SLAT_MT_IPAT,
		  ept_type(ept_make_leaf(0, 2, SLAT_R, SLAT_MT_UC_MINUS | SLAT_MT_IPAT), 2));
}

TEST(bit_7_makes_a_leaf_at_upper_levels_only)
{
	const u64 table = ept_make_table(5), bit7 = sdm_bit(SDM_LARGE);

	EXPECT_TRUE(ept_is_leaf(table, 1));
	EXPECT_TRUE(ept_is_leaf(table | bit7, 1));
	EXPECT_FALSE(ept_is_leaf(table, 2));
	EXPECT_TRUE(ept_is_leaf(table | bit7, 2));
	EXPECT_FALSE(ept_is_leaf(table, 3));
	EXPECT_TRUE(ept_is_leaf(table | bit7, 3));
}

/* Types and the like are reserved in it. */
TEST(table_has_the_bits_of_the_manual)
{
	unsigned int n;

	for (n = 0; n < FRAMES; n++)
		ASSERT_EQ(frames[n] << SDM_ADDRESS | RIGHTS_BITS, ept_make_table(frames[n]));
}

TEST(table_reads_back)
{
	unsigned int n, level;

	for (n = 0; n < FRAMES; n++) {
		const u64 entry = ept_make_table(frames[n]);

		for (level = 2; level <= SLAT_LEVELS_MAX; level++) {
			ASSERT_TRUE(ept_is_table(entry, level));
			ASSERT_FALSE(ept_is_leaf(entry, level));
			ASSERT_TRUE(ept_is_table(entry | AD, level));
			ASSERT_EQ(frames[n], ept_pfn(entry, level));
			ASSERT_EQ(frames[n], ept_pfn(entry | AD, level));
		}
		ASSERT_EQ(SLAT_RWX, ept_rights(entry));
	}
}

/* A frame number that is too wide loses its top, but sets no flag. */
TEST(frame_stays_within_its_bits)
{
	const u64 flags = ~(FRAME_MAX << SDM_ADDRESS);
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		const u64 leaf = ept_make_leaf(1ULL << bit, 1, SLAT_RWX, SLAT_MT_WB);
		const u64 kept = bit < SDM_FRAME_BITS ? 1ULL << bit : 0;

		ASSERT_EQ(ept_make_leaf(0, 1, SLAT_RWX, SLAT_MT_WB) & flags, leaf & flags);
		ASSERT_EQ(ept_make_table(0) & flags, ept_make_table(1ULL << bit) & flags);
		ASSERT_EQ(kept, ept_pfn(leaf, 1));
		ASSERT_EQ(kept, ept_pfn(ept_make_table(1ULL << bit), 2));
	}
	ASSERT_EQ(FRAME_MAX, ept_pfn(ALL_BITS, 1));
}

/* Never a misconfiguration, and never a leaf that nothing may use. */
TEST(can_map_what_fits_and_the_cpu_takes)
{
	static const bool valid[8] = { [1] = true, [3] = true, [4] = true, [5] = true, [7] = true };
	unsigned int level, n, bit;

	for (level = 1; level <= LEAF_LEVELS; level++) {
		for (n = 0; n < 8; n++)
			ASSERT_EQ(valid[n], ept_can_map(0, level, n));
		for (bit = 0; bit < 64; bit++)
			ASSERT_EQ(bit >= 9 * (level - 1) && bit < SDM_FRAME_BITS,
				  ept_can_map(1ULL << bit, level, SLAT_RWX));
		ASSERT_FALSE(ept_can_map(ALL_BITS << (9 * (level - 1)), level, SLAT_R));
	}
}

/* M3; and its violation reaches the host, whatever a view says of #VE. */
TEST(empty_maps_nothing_and_suppresses_ve)
{
	unsigned int level;

	EXPECT_EQ(sdm_bit(SDM_SUPPRESS_VE), ept_empty());
	EXPECT_TRUE(ept_is_ve_suppressed(ept_empty()));
	EXPECT_FALSE(ept_is_present(ept_empty()));
	EXPECT_FALSE(ept_is_accessed(ept_empty()));
	EXPECT_FALSE(ept_is_dirty(ept_empty()));
	EXPECT_EQ(0, ept_rights(ept_empty()));
	for (level = 1; level <= SLAT_LEVELS_MAX; level++) {
		EXPECT_FALSE(ept_is_leaf(ept_empty(), level));
		EXPECT_FALSE(ept_is_table(ept_empty(), level));
	}
}

TEST(junk_without_rights_is_absent)
{
	unsigned int bit, level;

	for (bit = 3; bit < 64; bit++) {
		const u64 junk = ALL_BITS & ~RIGHTS_BITS & ~(1ULL << bit);

		ASSERT_FALSE(ept_is_present(junk) || ept_is_present(1ULL << bit));
		ASSERT_EQ(0, ept_rights(junk));
		for (level = 1; level <= SLAT_LEVELS_MAX; level++)
			ASSERT_FALSE(ept_is_leaf(junk, level) || ept_is_table(junk, level));
	}
}

TEST(each_bit_is_read_where_the_manual_has_it)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		const u64 entry = 1ULL << bit;

		ASSERT_EQ(bit <= SDM_EXECUTE, ept_is_present(entry));
		ASSERT_EQ(bit <= SDM_EXECUTE ? 1U << bit : 0, ept_rights(entry));
		ASSERT_EQ(bit == SDM_LARGE, ept_is_leaf(entry | sdm_bit(SDM_READ), 2));
		ASSERT_EQ(bit == SDM_ACCESSED, ept_is_accessed(entry));
		ASSERT_EQ(bit == SDM_DIRTY, ept_is_dirty(entry));
		ASSERT_EQ(bit == SDM_SUPPRESS_VE, ept_is_ve_suppressed(entry));
		ASSERT_EQ(bit >= 3 && bit < 6 ? 1UL << (bit - 3) :
			  bit == SDM_IPAT ? SLAT_MT_IPAT :
			  bit == SDM_NO_PAGE ? SLAT_MT_NO_PAGE : 0, ept_type(entry, 1));
		ASSERT_EQ(bit >= 12 && bit < 52 ? 1ULL << (bit - 12) : 0, ept_pfn(entry, 2));
	}
}

TEST(carry_ad_takes_a_and_d_and_nothing_else)
{
	unsigned int n;

	for (n = 0; n < LEAVES; n++) {
		const u64 entry = leaf_of(n).entry;

		ASSERT_EQ(entry, ept_carry_ad(entry, ALL_BITS & ~AD));
		ASSERT_EQ(entry | sdm_bit(SDM_ACCESSED),
			  ept_carry_ad(entry, sdm_bit(SDM_ACCESSED)));
		ASSERT_EQ(entry | sdm_bit(SDM_DIRTY), ept_carry_ad(entry, sdm_bit(SDM_DIRTY)));
		ASSERT_EQ(entry | AD, ept_carry_ad(entry, ALL_BITS));
		ASSERT_EQ(entry | AD, ept_carry_ad(entry | AD, 0));
	}
}

TEST(accessed_is_set_and_cleared_alone)
{
	EXPECT_EQ(sdm_bit(SDM_ACCESSED), ept_set_accessed(0));
	EXPECT_EQ(ALL_BITS, ept_set_accessed(ALL_BITS));
	EXPECT_EQ(ALL_BITS & ~sdm_bit(SDM_ACCESSED), ept_clear_accessed(ALL_BITS));
	EXPECT_EQ(0, ept_clear_accessed(0));
	EXPECT_EQ(ALL_BITS & ~sdm_bit(SDM_DIRTY), ept_clear_dirty(ALL_BITS));
	EXPECT_EQ(0, ept_clear_dirty(0));
}

TEST_HARNESS_MAIN
