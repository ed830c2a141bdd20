// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which type a frame gets: the order of decisions, and what MTRRs say.
 *
 * The order is made for EPT, where the entry has the place of the MTRRs: the guest's
 * PAT is combined with it unless the entry says to ignore the PAT.  NPT cannot say
 * so.  Its entry has a PAT type of its own, by the host's PAT, which the CPU combines
 * with the guest's; the result meets the host's MTRRs as any host mapping does.  The
 * nearest to the order is then:
 *
 * - UC that leaves the guest its PAT is UC-, which gives way to the guest's WC and to
 *   nothing else: this is what a UC MTRR does.
 * - UC that ignores the PAT is UC, which nothing weakens.
 * - WB that ignores the PAT is WB: the guest's PAT decides alone, as it cannot be
 *   kept from it.  A guest that asks for less than WB only makes itself slower.
 * - WC, WT and WP are themselves, pinned or not.  The guest's page tables can weaken
 *   them, and do so on hardware as well.
 */
#include <linux/minmax.h>

#include "memtype.h"

/* Equal types keep, UC wins, WB yields. */
static unsigned int combine(unsigned int guest, unsigned int host)
{
	if (guest == host)
		return guest;
	if (guest == SLAT_MT_WB)
		return host;
	if (host == SLAT_MT_WB)
		return guest;
	if ((guest == SLAT_MT_WT && host == SLAT_MT_WP) ||
	    (guest == SLAT_MT_WP && host == SLAT_MT_WT))
		return SLAT_MT_WP;
	return SLAT_MT_UC;
}

static unsigned int decide(const struct slat_memtype_input *in)
{
	if (in->is_mmio && in->is_read_only)
		return SLAT_MT_UC | SLAT_MT_IPAT;
	if (!in->is_mmio && !in->noncoherent && !in->cache_flush)
		return SLAT_MT_WB | SLAT_MT_IPAT;
	if (in->is_special)
		return SLAT_MT_WB | SLAT_MT_IPAT;
	if (in->is_mmio)
		return SLAT_MT_UC;
	if (in->pinned != SLAT_PIN_NONE)
		return in->pinned | SLAT_MT_IPAT;
	/* To the MTRRs, UC- is UC. */
	return combine(in->guest, in->host == SLAT_MT_UC_MINUS ? SLAT_MT_UC : in->host);
}

/* The same by a PAT type in the entry, see above. */
static unsigned int without_ipat(unsigned int type)
{
	return type == SLAT_MT_UC ? SLAT_MT_UC_MINUS : type & ~SLAT_MT_IPAT;
}

unsigned int slat_memtype_decide(const struct slat_memtype_input *in)
{
	unsigned int type = decide(in);

	if (!in->has_ipat)
		type = without_ipat(type);
	/* What the host's PAT lacks is replaced by what is slower and never wrong. */
	if (!(in->types & BIT(type & ~SLAT_MT_IPAT)))
		type = SLAT_MT_UC_MINUS;
	return type;
}

/* MTRRs */

#define MTRR_VALID	BIT(11)		/* of a variable range's mask */
#define MTRR_TYPE	0xff
#define MTRR_PFN	GENMASK_ULL(51, 12)

#define FIXED_END	(0x100000 >> 12)

/* Each MSR of the fixed ranges has eight: of 64K, 16K, then 4K. */
static unsigned int fixed_type(const struct slat_mtrrs *mtrrs, u64 gfn, u64 *last)
{
	unsigned int shift, msr, base;

	if (gfn < 0x80) {
		msr = 0;
		base = 0;
		shift = 4;
	} else if (gfn < 0xc0) {
		msr = 1;
		base = 0x80;
		shift = 2;
	} else {
		msr = 3;
		base = 0xc0;
		shift = 0;
	}
	*last = gfn | ((1 << shift) - 1);
	base = (gfn - base) >> shift;
	return mtrrs->fixed[msr + base / 8] >> (8 * (base % 8)) & MTRR_TYPE;
}

/* What the CPU makes of two variable ranges that overlap; it leaves the rest open. */
static unsigned int overlap(unsigned int a, unsigned int b)
{
	if (a == b)
		return a;
	if ((a == SLAT_MT_WT && b == SLAT_MT_WB) || (a == SLAT_MT_WB && b == SLAT_MT_WT))
		return SLAT_MT_WT;
	return SLAT_MT_UC;
}

/*
 * The frames of a range are those that have the base's bits where the mask has ones.
 * The lowest one gives the size; a mask with zeros further up would name more such
 * ranges, of which the first is taken: nobody makes them.
 */
static bool var_range(const u64 *var, u64 *first, u64 *last)
{
	const u64 mask = (var[1] & MTRR_PFN) >> 12;
	const u64 base = (var[0] & MTRR_PFN) >> 12;

	if (!(var[1] & MTRR_VALID))
		return false;
	*first = base & mask;
	*last = mask ? *first + (mask & -mask) - 1 : ~0ULL;
	return true;
}

static unsigned int var_type(const struct slat_mtrrs *mtrrs, u64 gfn, u64 *last)
{
	unsigned int i, type = mtrrs->def_type & MTRR_TYPE;
	bool found = false;

	for (i = 0; i < 2 * SLAT_MTRR_VAR; i += 2) {
		const u64 *var = &mtrrs->var[i];
		u64 from, to;

		if (!var_range(var, &from, &to) || to < gfn)
			continue;
		if (from > gfn) {
			*last = min(*last, from - 1);
			continue;
		}
		*last = min(*last, to);
		type = found ? overlap(type, var[0] & MTRR_TYPE) : var[0] & MTRR_TYPE;
		found = true;
	}
	return type;
}

unsigned int slat_mtrrs_type(const struct slat_mtrrs *mtrrs, u64 gfn, u64 *last)
{
	*last = ~0ULL;
	if (!(mtrrs->def_type & SLAT_MTRR_E))
		return SLAT_MT_UC;
	if (gfn < FIXED_END && (mtrrs->def_type & SLAT_MTRR_FE))
		return fixed_type(mtrrs, gfn, last);
	return var_type(mtrrs, gfn, last);
}
