// SPDX-License-Identifier: GPL-2.0-only
#include <stddef.h>

#include "check.h"
#include "hardware.h"

static uint64_t load(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static uint64_t *table_behind(const struct hw *hw, uint64_t entry, unsigned int level)
{
	return (uint64_t *)(uintptr_t)(hw->format->frame(entry, level) << 12);
}

static unsigned int index_of(uint64_t gfn, unsigned int level)
{
	return (gfn >> (9 * (level - 1))) & 511;
}

static uint64_t frames_of(unsigned int level)
{
	return (uint64_t)1 << (9 * (level - 1));
}

/* What an entry grants.  A CPU would stop at one that it cannot make sense of. */
static unsigned int rights_of(const struct hw *hw, uint64_t entry, unsigned int level)
{
	const unsigned int rights = hw->format->rights(entry);

	CHECK(!rights || hw->format->is_sound(entry, level));
	return rights;
}

static bool ends_walk(const struct hw *hw, uint64_t entry, unsigned int level)
{
	return !hw->format->rights(entry) || hw->format->is_leaf(entry, level);
}

struct hw_leaf hw_peek(const struct hw *hw, uint64_t gfn)
{
	const struct hw_format *format = hw->format;
	unsigned int level = hw->levels, rights = ~0U;
	const uint64_t *table = hw->root;
	uint64_t entry;

	for (;; level--) {
		entry = load(&table[index_of(gfn, level)]);
		rights &= rights_of(hw, entry, level);
		if (ends_walk(hw, entry, level))
			break;
		table = table_behind(hw, entry, level);
	}
	if (!rights)
		return (struct hw_leaf) {};
	return (struct hw_leaf) {
		.frame = format->frame(entry, level) + gfn % frames_of(level),
		.level = level,
		.rights = rights,
		.type = format->type(entry, level),
		.ipat = format->ipat(entry),
		.accessed = entry & format->accessed,
		.dirty = entry & format->dirty,
	};
}

uint64_t *hw_entry(const struct hw *hw, uint64_t gfn, unsigned int level)
{
	unsigned int at = hw->levels;
	uint64_t *table = hw->root;

	for (; at > level; at--) {
		const uint64_t entry = load(&table[index_of(gfn, at)]);

		if (ends_walk(hw, entry, at))
			return NULL;
		table = table_behind(hw, entry, at);
	}
	return &table[index_of(gfn, level)];
}

/* Set bits in an entry that still is what the walk saw; false: it is not. */
static bool mark(uint64_t *entry, uint64_t seen, uint64_t bits)
{
	return (seen & bits) == bits ||
	       __atomic_compare_exchange_n(entry, &seen, seen | bits, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* One walk.  1: access granted, 0: fault, -1: an entry changed under it. */
static int walk(const struct hw *hw, uint64_t gfn, unsigned int kind, uint64_t *frame)
{
	const struct hw_format *format = hw->format;
	unsigned int level = hw->levels;
	uint64_t *table = hw->root;

	for (;; level--) {
		uint64_t *entry = &table[index_of(gfn, level)];
		const uint64_t seen = load(entry);

		if (!(rights_of(hw, seen, level) & kind))
			return 0;
		if (ends_walk(hw, seen, level)) {
			*frame = format->frame(seen, level) + gfn % frames_of(level);
			return mark(entry, seen, format->accessed |
				    (kind == HW_WRITE ? format->dirty : 0)) ? 1 : -1;
		}
		if (!mark(entry, seen, format->accessed))
			return -1;
		table = table_behind(hw, seen, level);
	}
}

bool hw_access(const struct hw *hw, uint64_t gfn, unsigned int kind, uint64_t *frame)
{
	int granted;

	do {
		granted = walk(hw, gfn, kind, frame);
	} while (granted < 0);
	return granted;
}
