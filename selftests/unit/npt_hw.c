// SPDX-License-Identifier: GPL-2.0-only
#include <stddef.h>

#include "apm.h"
#include "npt_hw.h"

static uint64_t load(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static uint64_t *table_behind(uint64_t entry)
{
	return (uint64_t *)(uintptr_t)(apm_frame(entry) << 12);
}

static unsigned int index_of(uint64_t gfn, unsigned int level)
{
	return (gfn >> (9 * (level - 1))) & 511;
}

static uint64_t frames_of(unsigned int level)
{
	return (uint64_t)1 << (9 * (level - 1));
}

static unsigned int rights_of(uint64_t entry)
{
	if (!apm_has(entry, APM_P) || !apm_has(entry, APM_US))
		return 0;
	return NPT_HW_READ | (apm_has(entry, APM_RW) ? NPT_HW_WRITE : 0) |
	       (apm_has(entry, APM_NX) ? 0 : NPT_HW_EXEC);
}

static bool ends_walk(uint64_t entry, unsigned int level)
{
	return level == 1 || !apm_has(entry, APM_P) || apm_has(entry, APM_PS);
}

struct npt_hw_leaf npt_hw_peek(const struct npt_hw *hw, uint64_t gfn)
{
	unsigned int level = hw->levels, rights = ~0U;
	const uint64_t *table = hw->root;
	uint64_t entry;

	for (;; level--) {
		entry = load(&table[index_of(gfn, level)]);
		rights &= rights_of(entry);
		if (ends_walk(entry, level))
			break;
		table = table_behind(entry);
	}
	if (!rights)
		return (struct npt_hw_leaf) {};
	return (struct npt_hw_leaf) {
		.frame = apm_frame(entry) + gfn % frames_of(level),
		.rights = rights,
		.accessed = apm_has(entry, APM_A),
		.dirty = apm_has(entry, APM_D),
	};
}

uint64_t *npt_hw_entry(const struct npt_hw *hw, uint64_t gfn, unsigned int level)
{
	unsigned int at = hw->levels;
	uint64_t *table = hw->root;

	for (; at > level; at--) {
		const uint64_t entry = load(&table[index_of(gfn, at)]);

		if (ends_walk(entry, at))
			return NULL;
		table = table_behind(entry);
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
static int walk(const struct npt_hw *hw, uint64_t gfn, unsigned int kind, uint64_t *frame)
{
	unsigned int level = hw->levels;
	uint64_t *table = hw->root;

	for (;; level--) {
		uint64_t *entry = &table[index_of(gfn, level)];
		const uint64_t seen = load(entry);

		if (!(rights_of(seen) & kind))
			return 0;
		if (ends_walk(seen, level)) {
			*frame = apm_frame(seen) + gfn % frames_of(level);
			return mark(entry, seen, apm_bit(APM_A) |
				    (kind == NPT_HW_WRITE ? apm_bit(APM_D) : 0)) ? 1 : -1;
		}
		if (!mark(entry, seen, apm_bit(APM_A)))
			return -1;
		table = table_behind(seen);
	}
}

bool npt_hw_access(const struct npt_hw *hw, uint64_t gfn, unsigned int kind, uint64_t *frame)
{
	int granted;

	do {
		granted = walk(hw, gfn, kind, frame);
	} while (granted < 0);
	return granted;
}
