/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A CPU's nested page walk, from the manual (apm.h) and over real table pages.
 * Shares no code with kmod/.
 */
#ifndef SLAT_UNIT_NPT_HW_H
#define SLAT_UNIT_NPT_HW_H

#include <stdbool.h>
#include <stdint.h>

#define NPT_HW_READ	1
#define NPT_HW_WRITE	2
#define NPT_HW_EXEC	4

/* @root: the page that nCR3 names; a frame number is an address >> 12. */
struct npt_hw {
	uint64_t *root;
	unsigned int levels;
};

/* @rights: what all levels together allow, a mask of NPT_HW_*; 0: not mapped. */
struct npt_hw_leaf {
	uint64_t frame;
	unsigned int rights;
	bool accessed;
	bool dirty;
};

/*
 * A guest access of one kind.  Sets A and D as the CPU does, atomically.  Returns
 * false for a nested page fault, otherwise the host frame in *frame.
 */
bool npt_hw_access(const struct npt_hw *hw, uint64_t gfn, unsigned int kind, uint64_t *frame);

/* What an access would find, changing nothing. */
struct npt_hw_leaf npt_hw_peek(const struct npt_hw *hw, uint64_t gfn);

/* The entry for gfn in the table of that level; NULL when there is no such table. */
uint64_t *npt_hw_entry(const struct npt_hw *hw, uint64_t gfn, unsigned int level);

#endif
