// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory type range registers of the guest: kept, and followed by the types of leaves
 * (memtype.c).
 */
#include <linux/nospec.h>
#include <asm/mtrr.h>

#include "vcpu.h"

#define VAR_FIRST	0x200
/* Fixed and write-combining ranges; the number of variable ones. */
#define CAP		(BIT(8) | BIT(10) | SLAT_MTRR_VAR)
/* Types, enable, enable the fixed ones. */
#define DEF_TYPE_BITS	0xcffULL

static bool type_valid(u8 type)
{
	/* UC, WC, WT, WP, WB */
	return type < 8 && (BIT(type) & 0x73);
}

static u64 *var_range(struct slat_vcpu *vcpu, u32 index)
{
	const u32 nr = index - VAR_FIRST;

	if (nr >= 2 * SLAT_MTRR_VAR)
		return NULL;
	return &vcpu->msrs.mtrrs.var[array_index_nospec(nr, 2 * SLAT_MTRR_VAR)];
}

static u64 *fixed_range(struct slat_vcpu *vcpu, u32 index)
{
	u32 nr;

	switch (index) {
	case MSR_MTRRfix64K_00000:
		nr = 0;
		break;
	case MSR_MTRRfix16K_80000 ... MSR_MTRRfix16K_A0000:
		nr = 1 + index - MSR_MTRRfix16K_80000;
		break;
	case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
		nr = 3 + index - MSR_MTRRfix4K_C0000;
		break;
	default:
		return NULL;
	}
	return &vcpu->msrs.mtrrs.fixed[array_index_nospec(nr, SLAT_MTRR_FIXED)];
}

static bool var_valid(struct slat_vcpu *vcpu, bool is_mask, u64 value)
{
	const u64 reserved = ~GENMASK_ULL(vcpu->limits.phys_bits - 1, 0);

	if (is_mask)
		return !(value & (reserved | 0x7ff));
	return !(value & (reserved | 0xf00)) && type_valid(value);
}

static bool fixed_valid(u64 value)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (!type_valid(value >> (8 * i)))
			return false;
	return true;
}

int slat_mtrr_get(struct slat_vcpu *vcpu, u32 index, u64 *value)
{
	const u64 *from = var_range(vcpu, index);

	if (!from)
		from = fixed_range(vcpu, index);
	if (index == MSR_MTRRcap)
		*value = CAP;
	else if (index == MSR_MTRRdefType)
		*value = vcpu->msrs.mtrrs.def_type;
	else if (from)
		*value = *from;
	else
		return -ENOENT;
	return 0;
}

int slat_mtrr_set(struct slat_vcpu *vcpu, u32 index, u64 value)
{
	u64 *to = var_range(vcpu, index);
	bool valid;

	if (to) {
		valid = var_valid(vcpu, index & 1, value);
	} else if (index == MSR_MTRRdefType) {
		to = &vcpu->msrs.mtrrs.def_type;
		valid = !(value & ~DEF_TYPE_BITS) && type_valid(value);
	} else {
		to = fixed_range(vcpu, index);
		valid = fixed_valid(value);
	}
	if (!to)
		return index == MSR_MTRRcap ? -EINVAL : -ENOENT;
	if (!valid)
		return -EINVAL;
	*to = value;
	slat_memtype_follow_mtrrs(vcpu);
	return 0;
}
