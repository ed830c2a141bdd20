// SPDX-License-Identifier: GPL-2.0-only
/* Nested page tables as the AMD manual has them. */
#include "apm.h"
#include "hardware.h"

static unsigned int rights(uint64_t entry)
{
	if (!apm_has(entry, APM_P) || !apm_has(entry, APM_US))
		return 0;
	return HW_READ | (apm_has(entry, APM_RW) ? HW_WRITE : 0) |
	       (apm_has(entry, APM_NX) ? 0 : HW_EXEC);
}

static bool is_leaf(uint64_t entry, unsigned int level)
{
	return level == 1 || apm_has(entry, APM_PS);
}

static uint64_t frame(uint64_t entry, unsigned int level)
{
	const uint64_t frame = apm_frame(entry);

	return level > 1 && is_leaf(entry, level) ? frame & ~(uint64_t)1 : frame;
}

static bool is_sound(uint64_t entry, unsigned int level)
{
	if (!is_leaf(entry, level))
		return true;
	return level <= 3 && !(frame(entry, level) & (((uint64_t)1 << (9 * (level - 1))) - 1));
}

static unsigned int type(uint64_t entry, unsigned int level)
{
	return apm_linux_pat[apm_pat_index(entry, level)];
}

static bool never(uint64_t entry)
{
	return false;
}

const struct hw_format hw_npt = {
	.rights = rights,
	.is_leaf = is_leaf,
	.is_sound = is_sound,
	.frame = frame,
	.type = type,
	.ipat = never,
	.has_ve = never,
	.accessed = (uint64_t)1 << APM_A,
	.dirty = (uint64_t)1 << APM_D,
};
