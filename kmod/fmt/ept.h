/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Intel extended page tables.  SDM volume 3, "The Extended Page Table Mechanism".
 *
 * A CPU sets A and D if it can and the EPT pointer asks for it.  Else they stay
 * clear, and who needs to know of accesses has to do without them.
 */
#ifndef SLAT_FMT_EPT_H
#define SLAT_FMT_EPT_H

#include "../entry.h"

#define EPT_R			BIT_ULL(0)
#define EPT_W			BIT_ULL(1)
#define EPT_X			BIT_ULL(2)
#define EPT_RWX			(EPT_R | EPT_W | EPT_X)	/* none: not present */
#define EPT_MT_LOW		3
#define EPT_MT			GENMASK_ULL(5, 3)	/* leaves */
#define EPT_IPAT		BIT_ULL(6)		/* leaves */
#define EPT_PS			BIT_ULL(7)	/* level 2 and 3: leaf.  Ignored at level 1 */
#define EPT_A			BIT_ULL(8)
#define EPT_D			BIT_ULL(9)
#define EPT_PFN			GENMASK_ULL(51, 12)
#define EPT_NO_PAGE		BIT_ULL(52)	/* ignored by the CPU */
#define EPT_SUPPRESS_VE		BIT_ULL(63)	/* leaves and what is not present */

static_assert(!(EPT_PFN & (EPT_RWX | EPT_MT | EPT_IPAT | EPT_PS | EPT_A | EPT_D |
			   EPT_NO_PAGE | EPT_SUPPRESS_VE)));
static_assert(EPT_R == SLAT_R && EPT_W == SLAT_W && EPT_X == SLAT_X);

static inline u64 ept_empty(void)
{
	return EPT_SUPPRESS_VE;
}

static inline bool ept_is_present(u64 entry)
{
	return entry & EPT_RWX;
}

static inline bool ept_is_leaf(u64 entry, unsigned int level)
{
	return ept_is_present(entry) && (level == 1 || (entry & EPT_PS));
}

static inline bool ept_is_table(u64 entry, unsigned int level)
{
	return ept_is_present(entry) && !ept_is_leaf(entry, level);
}

static inline u64 ept_pfn(u64 entry, unsigned int level)
{
	return (entry & EPT_PFN) >> 12;
}

static inline unsigned int ept_rights(u64 entry)
{
	return entry & EPT_RWX;
}

static inline unsigned int ept_type(u64 entry, unsigned int level)
{
	return (entry & EPT_MT) >> EPT_MT_LOW | (entry & EPT_IPAT ? SLAT_MT_IPAT : 0) |
	       (entry & EPT_NO_PAGE ? SLAT_MT_NO_PAGE : 0);
}

static inline bool ept_is_accessed(u64 entry)
{
	return entry & EPT_A;
}

static inline bool ept_is_dirty(u64 entry)
{
	return entry & EPT_D;
}

static inline bool ept_is_ve_suppressed(u64 entry)
{
	return entry & EPT_SUPPRESS_VE;
}

/* What is writable but not readable is a misconfiguration to the CPU. */
static inline bool ept_can_map(u64 pfn, unsigned int level, unsigned int rights)
{
	return pfn <= EPT_PFN >> 12 && !(pfn & (slat_span(level) - 1)) &&
	       (rights & SLAT_W ? rights & SLAT_R : rights & SLAT_RWX);
}

static inline u64 ept_make_leaf(u64 pfn, unsigned int level, unsigned int rights,
				unsigned int type)
{
	u64 mt = type & SLAT_MT_MASK;

	if (mt == SLAT_MT_UC_MINUS)
		mt = SLAT_MT_UC;
	return ((pfn << 12) & EPT_PFN) | (rights & EPT_RWX) | EPT_SUPPRESS_VE |
	       mt << EPT_MT_LOW |
	       (type & SLAT_MT_IPAT ? EPT_IPAT : 0) |
	       (type & SLAT_MT_NO_PAGE ? EPT_NO_PAGE : 0) |
	       (level > 1 ? EPT_PS : 0);
}

static inline u64 ept_make_table(u64 pfn)
{
	return ((pfn << 12) & EPT_PFN) | EPT_RWX;
}

static inline u64 ept_carry_ad(u64 entry, u64 from)
{
	return entry | (from & (EPT_A | EPT_D));
}

static inline u64 ept_set_accessed(u64 entry)
{
	return entry | EPT_A;
}

static inline u64 ept_clear_accessed(u64 entry)
{
	return entry & ~EPT_A;
}

static inline u64 ept_clear_dirty(u64 entry)
{
	return entry & ~EPT_D;
}

#endif
