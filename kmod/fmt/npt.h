/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AMD nested page tables: long-mode page-table entries, walked as user accesses.
 * APM volume 2, "Nested Paging" and "Long-Mode Page Translation".
 */
#ifndef SLAT_FMT_NPT_H
#define SLAT_FMT_NPT_H

#include "../entry.h"

#define NPT_P			BIT_ULL(0)
#define NPT_W			BIT_ULL(1)
#define NPT_U			BIT_ULL(2)	/* guest accesses count as user: always set */
#define NPT_A			BIT_ULL(5)
#define NPT_D			BIT_ULL(6)
#define NPT_PS			BIT_ULL(7)	/* level 2 and 3: leaf.  At level 1 it is a PAT bit */
#define NPT_PFN			GENMASK_ULL(51, 12)
#define NPT_NX			BIT_ULL(63)

static_assert(!(NPT_PFN & (NPT_P | NPT_W | NPT_U | NPT_A | NPT_D | NPT_PS | NPT_NX)));

static inline u64 npt_empty(void)
{
	return 0;
}

static inline bool npt_is_present(u64 entry)
{
	return entry & NPT_P;
}

static inline bool npt_is_leaf(u64 entry, unsigned int level)
{
	return npt_is_present(entry) && (level == 1 || (entry & NPT_PS));
}

static inline bool npt_is_table(u64 entry, unsigned int level)
{
	return npt_is_present(entry) && !npt_is_leaf(entry, level);
}

static inline u64 npt_pfn(u64 entry)
{
	return (entry & NPT_PFN) >> 12;
}

static inline unsigned int npt_rights(u64 entry)
{
	if (!npt_is_present(entry))
		return 0;
	return SLAT_R | (entry & NPT_W ? SLAT_W : 0) | (entry & NPT_NX ? 0 : SLAT_X);
}

static inline bool npt_is_accessed(u64 entry)
{
	return entry & NPT_A;
}

static inline bool npt_is_dirty(u64 entry)
{
	return entry & NPT_D;
}

static inline u64 npt_make_leaf(u64 pfn, unsigned int level, unsigned int rights)
{
	return ((pfn << 12) & NPT_PFN) | NPT_P | NPT_U |
	       (rights & SLAT_W ? NPT_W : 0) |
	       (rights & SLAT_X ? 0 : NPT_NX) |
	       (level > 1 ? NPT_PS : 0);
}

static inline u64 npt_make_table(u64 pfn)
{
	return ((pfn << 12) & NPT_PFN) | NPT_P | NPT_W | NPT_U;
}

static inline u64 npt_carry_ad(u64 entry, u64 from)
{
	return entry | (from & (NPT_A | NPT_D));
}

#endif
