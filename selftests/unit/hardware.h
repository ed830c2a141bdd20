/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A CPU's nested page walk, from the manuals (apm.h, sdm.h) and over real table
 * pages.  Shares no code with kmod/.
 */
#ifndef SLAT_UNIT_HARDWARE_H
#define SLAT_UNIT_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#define HW_READ		1
#define HW_WRITE	2
#define HW_EXEC		4

/*
 * What an entry means to a CPU.
 *
 * @rights:	a mask of HW_*; 0: not present
 * @is_leaf:	of a present entry
 * @is_sound:	of a present entry: no reserved bit is set, no combination undefined
 * @frame:	that a leaf or a table has
 * @type:	of a leaf: the number that the PAT MSR has for it
 * @ipat:	of a leaf: the guest's PAT does not count
 * @has_ve:	violations at the entry raise #VE
 * @accessed:	bit
 * @dirty:	bit
 * @empty:	how an entry that is not present should look
 */
struct hw_format {
	unsigned int (*rights)(uint64_t entry);
	bool (*is_leaf)(uint64_t entry, unsigned int level);
	bool (*is_sound)(uint64_t entry, unsigned int level);
	uint64_t (*frame)(uint64_t entry, unsigned int level);
	unsigned int (*type)(uint64_t entry, unsigned int level);
	bool (*ipat)(uint64_t entry);
	bool (*has_ve)(uint64_t entry);
	uint64_t accessed;
	uint64_t dirty;
	uint64_t empty;
};

extern const struct hw_format hw_npt, hw_ept;

/* @root: the page that nCR3 or the EPTP names; a frame number is an address >> 12. */
struct hw {
	const struct hw_format *format;
	uint64_t *root;
	unsigned int levels;
};

/* @rights: what all levels together allow, a mask of HW_*; 0: not mapped. */
struct hw_leaf {
	uint64_t frame;
	unsigned int level;
	unsigned int rights;
	unsigned int type;
	bool ipat;
	bool accessed;
	bool dirty;
};

/*
 * A guest access of one kind.  Sets A and D as the CPU does, atomically.  Returns
 * false for a nested page fault, otherwise the host frame in *frame.
 */
bool hw_access(const struct hw *hw, uint64_t gfn, unsigned int kind, uint64_t *frame);

/* What an access would find, changing nothing. */
struct hw_leaf hw_peek(const struct hw *hw, uint64_t gfn);

/* The entry for gfn in the table of that level; NULL when there is no such table. */
uint64_t *hw_entry(const struct hw *hw, uint64_t gfn, unsigned int level);

#endif
