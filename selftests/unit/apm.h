/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bits of a long-mode page-table entry as the AMD manual has them (APM volume 2,
 * "4-Kbyte", "2-Mbyte" and "1-Gbyte Page Translation"), for checks of
 * kmod/fmt/npt.h.  Written out from the manual: nothing here may come from kmod/.
 */
#ifndef SLAT_UNIT_APM_H
#define SLAT_UNIT_APM_H

#include <stdint.h>

enum apm_bit {
	APM_P = 0,		/* present */
	APM_RW = 1,		/* writable */
	APM_US = 2,		/* user: nested walks are user accesses */
	APM_PWT = 3,
	APM_PCD = 4,
	APM_A = 5,		/* accessed */
	APM_D = 6,		/* dirty, in leaves */
	APM_PS = 7,		/* in PDE and PDPE: this is a leaf */
	APM_PAT = 7,		/* in PTE */
	APM_PAT_LARGE = 12,	/* in PDE and PDPE that are leaves */
	APM_ADDRESS = 12,	/* lowest of 40 bits */
	APM_NX = 63,		/* no execute */
};

#define APM_FRAME_BITS	40

static inline uint64_t apm_bit(enum apm_bit bit)
{
	return (uint64_t)1 << bit;
}

static inline int apm_has(uint64_t entry, enum apm_bit bit)
{
	return (entry >> bit) & 1;
}

static inline uint64_t apm_frame(uint64_t entry)
{
	return (entry << (63 - 51)) >> (63 - 51 + APM_ADDRESS);
}

/* How Linux programs the PAT: the number that the MSR has for each index. */
static const unsigned int apm_linux_pat[8] = { 6, 1, 7, 0, 6, 5, 7, 4 };

/* Which of them a leaf selects. */
static inline unsigned int apm_pat_index(uint64_t entry, unsigned int level)
{
	return apm_has(entry, APM_PWT) | apm_has(entry, APM_PCD) << 1 |
	       apm_has(entry, level > 1 ? APM_PAT_LARGE : APM_PAT) << 2;
}

#endif
