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
#define NPT_PWT			BIT_ULL(3)
#define NPT_PCD			BIT_ULL(4)
#define NPT_A			BIT_ULL(5)
#define NPT_D			BIT_ULL(6)
#define NPT_PS			BIT_ULL(7)	/* level 2 and 3: leaf */
#define NPT_PAT_4K		BIT_ULL(7)	/* level 1 */
#define NPT_PAT_LARGE		BIT_ULL(12)	/* leaves of level 2 and 3 */
#define NPT_PFN			GENMASK_ULL(51, 12)
#define NPT_NO_PAGE		BIT_ULL(52)	/* ignored by the CPU */
#define NPT_NX			BIT_ULL(63)

static_assert(!(NPT_PFN & (NPT_P | NPT_W | NPT_U | NPT_PWT | NPT_PCD | NPT_A | NPT_D | NPT_PS |
			   NPT_NO_PAGE | NPT_NX)));

/*
 * PWT, PCD and PAT select from the host's PAT, as the kernel sets it up: 0 WB,
 * 1 WC, 2 UC-, 3 UC, 4 WB, 5 WP, 6 UC-, 7 WT.
 */
#define NPT_PAT_PWT		BIT(0)
#define NPT_PAT_PCD		BIT(1)
#define NPT_PAT_PAT		BIT(2)

static inline unsigned int npt_pat_index(unsigned int type)
{
	switch (type & SLAT_MT_MASK) {
	case SLAT_MT_WB:
		return 0;
	case SLAT_MT_WC:
		return 1;
	case SLAT_MT_UC_MINUS:
		return 2;
	case SLAT_MT_WP:
		return 5;
	case SLAT_MT_WT:
		return 7;
	default:
		return 3;
	}
}

static inline unsigned int npt_pat_type(unsigned int index)
{
	static const u8 type[] = {
		SLAT_MT_WB, SLAT_MT_WC, SLAT_MT_UC_MINUS, SLAT_MT_UC,
		SLAT_MT_WB, SLAT_MT_WP, SLAT_MT_UC_MINUS, SLAT_MT_WT,
	};

	return type[index];
}

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

static inline u64 npt_pfn(u64 entry, unsigned int level)
{
	if (level > 1 && npt_is_leaf(entry, level))
		entry &= ~NPT_PAT_LARGE;
	return (entry & NPT_PFN) >> 12;
}

static inline unsigned int npt_rights(u64 entry)
{
	if (!npt_is_present(entry))
		return 0;
	return SLAT_R | (entry & NPT_W ? SLAT_W : 0) | (entry & NPT_NX ? 0 : SLAT_X);
}

static inline unsigned int npt_type(u64 entry, unsigned int level)
{
	return npt_pat_type((entry & NPT_PWT ? NPT_PAT_PWT : 0) |
			    (entry & NPT_PCD ? NPT_PAT_PCD : 0) |
			    (entry & (level > 1 ? NPT_PAT_LARGE : NPT_PAT_4K) ? NPT_PAT_PAT : 0)) |
	       (entry & NPT_NO_PAGE ? SLAT_MT_NO_PAGE : 0);
}

static inline bool npt_is_accessed(u64 entry)
{
	return entry & NPT_A;
}

static inline bool npt_is_dirty(u64 entry)
{
	return entry & NPT_D;
}

/* There is no #VE: slat delivers it in software. */
static inline bool npt_is_ve_suppressed(u64 entry)
{
	return true;
}

/* What is present can be read. */
static inline bool npt_can_map(u64 pfn, unsigned int level, unsigned int rights)
{
	return pfn <= NPT_PFN >> 12 && !(pfn & (slat_span(level) - 1)) && (rights & SLAT_R);
}

static inline u64 npt_make_leaf(u64 pfn, unsigned int level, unsigned int rights,
				unsigned int type)
{
	const unsigned int pat = npt_pat_index(type);

	return ((pfn << 12) & NPT_PFN) | NPT_P | NPT_U |
	       (rights & SLAT_W ? NPT_W : 0) |
	       (rights & SLAT_X ? 0 : NPT_NX) |
	       (level > 1 ? NPT_PS : 0) |
	       (type & SLAT_MT_NO_PAGE ? NPT_NO_PAGE : 0) |
	       (pat & NPT_PAT_PWT ? NPT_PWT : 0) |
	       (pat & NPT_PAT_PCD ? NPT_PCD : 0) |
	       (pat & NPT_PAT_PAT ? (level > 1 ? NPT_PAT_LARGE : NPT_PAT_4K) : 0);
}

static inline u64 npt_make_table(u64 pfn)
{
	return ((pfn << 12) & NPT_PFN) | NPT_P | NPT_W | NPT_U;
}

static inline u64 npt_carry_ad(u64 entry, u64 from)
{
	return entry | (from & (NPT_A | NPT_D));
}

static inline u64 npt_set_accessed(u64 entry)
{
	return entry | NPT_A;
}

static inline u64 npt_clear_accessed(u64 entry)
{
	return entry & ~NPT_A;
}

static inline u64 npt_clear_dirty(u64 entry)
{
	return entry & ~NPT_D;
}

#endif
