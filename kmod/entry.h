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
 * present.  rights are SLAT_R, SLAT_W and SLAT_X.
 */
#ifndef SLAT_ENTRY_H
#define SLAT_ENTRY_H

#include <linux/bits.h>
#include <linux/types.h>

#define SLAT_R			BIT(0)
#define SLAT_W			BIT(1)
#define SLAT_X			BIT(2)
#define SLAT_RWX		(SLAT_R | SLAT_W | SLAT_X)

#define SLAT_ENTRIES_LG2	9
#define SLAT_ENTRIES		(1U << SLAT_ENTRIES_LG2)
#define SLAT_LEVELS_MAX		5

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
 * bits.  fmt(make_table)() grants every right, so that the leaf below decides.
 *
 * u64		fmt(empty)(void);
 * bool		fmt(is_present)(u64 entry);
 * bool		fmt(is_leaf)(u64 entry, unsigned int level);
 * bool		fmt(is_table)(u64 entry, unsigned int level);
 * u64		fmt(pfn)(u64 entry);		leaf or table
 * unsigned int	fmt(rights)(u64 entry);		leaf; 0 when not present
 * bool		fmt(is_accessed)(u64 entry);
 * bool		fmt(is_dirty)(u64 entry);	leaf
 * u64		fmt(make_leaf)(u64 pfn, unsigned int level, unsigned int rights);
 * u64		fmt(make_table)(u64 pfn);
 * u64		fmt(carry_ad)(u64 entry, u64 from);	leaf with the A and D of another, too
 *
 * make_leaf() wants SLAT_R among the rights where the format cannot do without.
 */

#endif
