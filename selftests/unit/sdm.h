/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bits of an EPT entry as the Intel manual has them (SDM volume 3, "EPT
 * Translation Mechanism"), for checks of kmod/fmt/ept.h.  Written out from the
 * manual: nothing here may come from kmod/.
 */
#ifndef SLAT_UNIT_SDM_H
#define SLAT_UNIT_SDM_H

#include <stdint.h>

enum sdm_bit {
	SDM_READ = 0,
	SDM_WRITE = 1,
	SDM_EXECUTE = 2,
	SDM_TYPE = 3,		/* lowest of 3, in leaves; else reserved */
	SDM_IPAT = 6,		/* in leaves; else reserved */
	SDM_LARGE = 7,		/* in PDE and PDPTE: this is a leaf */
	SDM_ACCESSED = 8,
	SDM_DIRTY = 9,		/* in leaves */
	SDM_ADDRESS = 12,	/* lowest of 40 bits */
	SDM_NO_PAGE = 52,	/* the CPU ignores it, slat uses it */
	SDM_SUPPRESS_VE = 63,	/* in leaves and what is not present */
};

#define SDM_FRAME_BITS	40

static inline uint64_t sdm_bit(enum sdm_bit bit)
{
	return (uint64_t)1 << bit;
}

static inline int sdm_has(uint64_t entry, enum sdm_bit bit)
{
	return (entry >> bit) & 1;
}

static inline uint64_t sdm_frame(uint64_t entry)
{
	return (entry << (63 - 51)) >> (63 - 51 + SDM_ADDRESS);
}

static inline unsigned int sdm_type(uint64_t entry)
{
	return (entry >> SDM_TYPE) & 7;
}

#endif
