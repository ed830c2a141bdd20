/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of guest memory whose type the VMM has pinned. */
#ifndef SLAT_PIN_H
#define SLAT_PIN_H

#include <linux/interval_tree.h>
#include <linux/types.h>

/* Ranges in a VM at most: what one change can take the table lock for. */
#define SLAT_PINS_MAX	512

/* In place of a type: not pinned. */
#define SLAT_PIN_NONE	(~0U)

/**
 * struct slat_pins - disjoint ranges; neighbours differ in type
 * @tree:	of struct slat_pin, by gfn
 * @nr:		how many
 */
struct slat_pins {
	struct rb_root_cached tree;
	unsigned int nr;
};

/**
 * struct slat_pin - one range
 * @range:	first and last gfn
 * @type:	enum slat_memtype
 * @next:	in a slat_pin_change
 */
struct slat_pin {
	struct interval_tree_node range;
	unsigned int type;
	struct slat_pin *next;
};

/**
 * struct slat_pin_change - a range to pin or unpin
 * @first:	gfn
 * @last:	inclusive
 * @type:	enum slat_memtype, or SLAT_PIN_NONE
 * @unused:	nodes that the change may use, and those that it has freed
 */
struct slat_pin_change {
	u64 first;
	u64 last;
	unsigned int type;
	struct slat_pin *unused;
};

/**
 * slat_pins_prepare() - make sure that a change cannot fail
 *
 * Context: process, may sleep; no other change until it is committed.
 * Return: 0; -ENOSPC: would be more than SLAT_PINS_MAX ranges; -ENOMEM.  In each
 * case slat_pins_finish() is due.
 */
int slat_pins_prepare(const struct slat_pins *pins, struct slat_pin_change *change);

/** slat_pins_commit() - carry a prepared change out.  Context: nobody else looks. */
void slat_pins_commit(struct slat_pins *pins, struct slat_pin_change *change);

/** slat_pins_finish() - free what the change left over.  Context: may sleep. */
void slat_pins_finish(struct slat_pin_change *change);

/**
 * slat_pins_type() - what a frame is pinned to, or SLAT_PIN_NONE
 * @last:	set to the last frame up to which the answer is the same
 */
unsigned int slat_pins_type(const struct slat_pins *pins, u64 gfn, u64 *last);

/** slat_pins_destroy() - free them all. */
void slat_pins_destroy(struct slat_pins *pins);

#endif
