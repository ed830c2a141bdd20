/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every table format provides: pure functions over one 64-bit entry.
 *
 * A format header fmt/<name>.h defines <name>_<function>() for each prototype
 * below; table_tmpl.h, compiled once per format, calls them as fmt(function).
 * Nothing here has state, takes a lock or touches memory, so that user space can
 * compile and test the same headers.
 *
 * Words: level 1 maps 4K pages, level 2 2M, level 3 1G.  A *leaf* maps guest
 * memory, a *table* points at the table one level down, anything else is not
 * present.  rights are SLAT_R, SLAT_W and SLAT_X.  type is an enum slat_memtype,
 * with SLAT_MT_IPAT and SLAT_MT_NO_PAGE or without.
 */
#ifndef SLAT_ENTRY_H
#define SLAT_ENTRY_H

#include <linux/bits.h>
#include <linux/types.h>

#define SLAT_R			BIT(0)
#define SLAT_W			BIT(1)
#define SLAT_X			BIT(2)
#define SLAT_RWX		(SLAT_R | SLAT_W | SLAT_X)

/* How the CPU caches a leaf; the numbers are those of the PAT and the MTRRs. */
enum slat_memtype {
	SLAT_MT_UC = 0,
	SLAT_MT_WC = 1,
	SLAT_MT_WT = 4,
	SLAT_MT_WP = 5,
	SLAT_MT_WB = 6,
	SLAT_MT_UC_MINUS = 7,	/* UC, but WC if the guest's PAT says so */
};

/* Beside a type: whatever the guest's PAT says ("ignore PAT"). */
#define SLAT_MT_IPAT		BIT(3)

/*
 * Beside a type, kept in a bit that the CPU ignores: the frame has no page structure,
 * or one that is not slat's to touch.
 */
#define SLAT_MT_NO_PAGE		BIT(4)

#define SLAT_MT_MASK		7	/* the enum alone */

#define SLAT_ENTRIES_LG2	9
#define SLAT_ENTRIES		(1U << SLAT_ENTRIES_LG2)
#define SLAT_LEVELS_MAX		5
#define SLAT_LEAF_LEVELS	3	/* leaves are of level 1 to this */

/* log2 of the 4K pages that one entry of @level covers. */
static inline unsigned int slat_span_lg2(unsigned int level)
{
	return (level - 1) * SLAT_ENTRIES_LG2;
}

static inline u64 slat_span(unsigned int level)
{
	return 1ULL << slat_span_lg2(level);
}

/* Which entry of a table of @level covers @gfn. */
static inline unsigned int slat_index(u64 gfn, unsigned int level)
{
	return (gfn >> slat_span_lg2(level)) & (SLAT_ENTRIES - 1);
}

/*
 * The contract.  fmt(empty)() is the entry that maps nothing; it has no address
 * bits.  fmt(make_table)() grants every right and has no type that narrows, so
 * that the leaf below decides.
 *
 * u64		fmt(empty)(void);
 * bool		fmt(is_present)(u64 entry);
 * bool		fmt(is_leaf)(u64 entry, unsigned int level);
 * bool		fmt(is_table)(u64 entry, unsigned int level);
 * u64		fmt(pfn)(u64 entry, unsigned int level);	leaf or table
 * unsigned int	fmt(rights)(u64 entry);		leaf; 0 when not present
 * unsigned int	fmt(type)(u64 entry, unsigned int level);	leaf
 * bool		fmt(is_accessed)(u64 entry);
 * bool		fmt(is_dirty)(u64 entry);	leaf
 * bool		fmt(is_ve_suppressed)(u64 entry);	leaf or not present
 * bool		fmt(can_map)(u64 pfn, unsigned int level, unsigned int rights);
 * u64		fmt(make_leaf)(u64 pfn, unsigned int level, unsigned int rights,
 *			       unsigned int type);
 * u64		fmt(make_table)(u64 pfn);
 * u64		fmt(carry_ad)(u64 entry, u64 from);	leaf with the A and D of another, too
 * u64		fmt(set_accessed)(u64 entry);		leaf or table with its A
 * u64		fmt(clear_accessed)(u64 entry);		without it
 * u64		fmt(clear_dirty)(u64 entry);		leaf without its D
 *
 * can_map() is false for what the format cannot express: a frame that has more
 * bits than it, or is not the first of a leaf of the level; rights that it cannot
 * grant alone, among them none at all.  make_leaf() is for the rest: it neither
 * adds a right nor drops one.
 *
 * type() is what the CPU makes of what make_leaf() was given.  NPT has no "ignore
 * PAT" and drops SLAT_MT_IPAT; EPT has no UC-, and SLAT_MT_UC_MINUS becomes
 * SLAT_MT_UC, which there leaves the guest's PAT its WC as well.
 *
 * is_ve_suppressed(): a violation exits instead of raising #VE in the guest.
 */

#endif
