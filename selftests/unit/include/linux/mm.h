/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_MM_H
#define SLAT_UNIT_MM_H

#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define offset_in_page(p)	((unsigned long)(p) & (PAGE_SIZE - 1))

#endif
