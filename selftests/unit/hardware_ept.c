// SPDX-License-Identifier: GPL-2.0-only
/* Extended page tables as the Intel manual has them. */
#include "hardware.h"
#include "sdm.h"

static unsigned int rights(uint64_t entry)
{
	return (sdm_has(entry, SDM_READ) ? HW_READ : 0) |
	       (sdm_has(entry, SDM_WRITE) ? HW_WRITE : 0) |
	       (sdm_has(entry, SDM_EXECUTE) ? HW_EXEC : 0);
}

static bool is_leaf(uint64_t entry, unsigned int level)
{
	return level == 1 || sdm_has(entry, SDM_LARGE);
}

static uint64_t frame(uint64_t entry, unsigned int level)
{
	return sdm_frame(entry);
}

static unsigned int type(uint64_t entry, unsigned int level)
{
	return sdm_type(entry);
}

static bool ipat(uint64_t entry)
{
	return sdm_has(entry, SDM_IPAT);
}

static bool is_known(unsigned int type)
{
	return type <= 1 || (type >= 4 && type <= 6);
}

/* What would not be a misconfiguration. */
static bool is_sound(uint64_t entry, unsigned int level)
{
	if (sdm_has(entry, SDM_WRITE) && !sdm_has(entry, SDM_READ))
		return false;
	if (!is_leaf(entry, level))
		return !sdm_type(entry) && !sdm_has(entry, SDM_IPAT);
	return level <= 3 && is_known(sdm_type(entry)) &&
	       !(sdm_frame(entry) & (((uint64_t)1 << (9 * (level - 1))) - 1));
}

static bool has_ve(uint64_t entry)
{
	return !sdm_has(entry, SDM_SUPPRESS_VE);
}

const struct hw_format hw_ept = {
	.rights = rights,
	.is_leaf = is_leaf,
	.is_sound = is_sound,
	.frame = frame,
	.type = type,
	.ipat = ipat,
	.has_ve = has_ve,
	.accessed = (uint64_t)1 << SDM_ACCESSED,
	.dirty = (uint64_t)1 << SDM_DIRTY,
	.empty = (uint64_t)1 << SDM_SUPPRESS_VE,
};
