// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range store of pinned memory types.  What a change needs is allocated before,
 * so that the commit, under a spinning lock, cannot fail.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "pin.h"

/* A change cuts one range in two, and adds itself. */
#define NODES_MAX	2

static struct slat_pin *pin_of(struct interval_tree_node *node)
{
	return node ? container_of(node, struct slat_pin, range) : NULL;
}

/* The lowest one that reaches into the range. */
static struct slat_pin *find(const struct slat_pins *pins, u64 first, u64 last)
{
	/* Which does not change the tree. */
	return pin_of(interval_tree_iter_first((struct rb_root_cached *)&pins->tree, first, last));
}

/* The one that ends where the range begins, if it is of the same type. */
static struct slat_pin *like_before(const struct slat_pins *pins,
				    const struct slat_pin_change *change)
{
	struct slat_pin *pin = change->first ? find(pins, change->first - 1, change->first - 1)
					     : NULL;

	return pin && pin->type == change->type ? pin : NULL;
}

/* The one that begins where the range ends, likewise. */
static struct slat_pin *like_behind(const struct slat_pins *pins,
				    const struct slat_pin_change *change)
{
	struct slat_pin *pin = change->last != ~0ULL ? find(pins, change->last + 1, change->last + 1)
						     : NULL;

	return pin && pin->type == change->type ? pin : NULL;
}

/* Ranges that there will be. */
static unsigned int count_after(const struct slat_pins *pins, const struct slat_pin_change *change)
{
	unsigned int nr = pins->nr + (change->type != SLAT_PIN_NONE);
	struct slat_pin *pin = find(pins, change->first, change->last);

	nr -= !!like_before(pins, change) + !!like_behind(pins, change);
	while (pin) {
		/* Parts that stay: none, one or two. */
		nr += (pin->range.start < change->first) + (pin->range.last > change->last) - 1;
		pin = pin_of(interval_tree_iter_next(&pin->range, change->first, change->last));
	}
	return nr;
}

static void put_unused(struct slat_pin_change *change, struct slat_pin *pin)
{
	pin->next = change->unused;
	change->unused = pin;
}

static struct slat_pin *take_unused(struct slat_pin_change *change)
{
	struct slat_pin *pin = change->unused;

	change->unused = pin->next;
	return pin;
}

int slat_pins_prepare(const struct slat_pins *pins, struct slat_pin_change *change)
{
	unsigned int i;

	change->unused = NULL;
	if (count_after(pins, change) > SLAT_PINS_MAX)
		return -ENOSPC;
	for (i = 0; i < NODES_MAX; i++) {
		struct slat_pin *pin = kmalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);

		if (!pin)
			return -ENOMEM;
		put_unused(change, pin);
	}
	return 0;
}

static void insert(struct slat_pins *pins, struct slat_pin *pin, u64 first, u64 last,
		   unsigned int type)
{
	pin->range.start = first;
	pin->range.last = last;
	pin->type = type;
	interval_tree_insert(&pin->range, &pins->tree);
	pins->nr++;
}

static void drop(struct slat_pins *pins, struct slat_pin *pin)
{
	interval_tree_remove(&pin->range, &pins->tree);
	pins->nr--;
}

/* Take the range out of @pin, which reaches into it. */
static void cut(struct slat_pins *pins, struct slat_pin *pin, struct slat_pin_change *change)
{
	const struct slat_pin was = *pin;

	drop(pins, pin);
	put_unused(change, pin);
	if (was.range.start < change->first)
		insert(pins, take_unused(change), was.range.start, change->first - 1, was.type);
	if (was.range.last > change->last)
		insert(pins, take_unused(change), change->last + 1, was.range.last, was.type);
}

/* Take a neighbour, if there is one, into the range. */
static void join(struct slat_pins *pins, struct slat_pin_change *change, struct slat_pin *pin)
{
	if (!pin)
		return;
	change->first = min_t(u64, change->first, pin->range.start);
	change->last = max_t(u64, change->last, pin->range.last);
	drop(pins, pin);
	put_unused(change, pin);
}

void slat_pins_commit(struct slat_pins *pins, struct slat_pin_change *change)
{
	struct slat_pin *pin;

	while ((pin = find(pins, change->first, change->last)))
		cut(pins, pin, change);
	if (change->type == SLAT_PIN_NONE)
		return;
	join(pins, change, like_before(pins, change));
	join(pins, change, like_behind(pins, change));
	insert(pins, take_unused(change), change->first, change->last, change->type);
}

void slat_pins_finish(struct slat_pin_change *change)
{
	while (change->unused)
		kfree(take_unused(change));
}

unsigned int slat_pins_type(const struct slat_pins *pins, u64 gfn, u64 *last)
{
	const struct slat_pin *pin = find(pins, gfn, ~0UL);

	*last = ~0ULL;
	if (!pin)
		return SLAT_PIN_NONE;
	if (pin->range.start > gfn) {
		*last = pin->range.start - 1;
		return SLAT_PIN_NONE;
	}
	*last = pin->range.last;
	return pin->type;
}

void slat_pins_destroy(struct slat_pins *pins)
{
	struct slat_pin *pin;

	while ((pin = find(pins, 0, ~0UL))) {
		drop(pins, pin);
		kfree(pin);
	}
}
