// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arithmetic of emulated read-modify-write instructions, above all its
 * flags.  Carries are computed for all bits at once; each operand size then
 * only looks at other ones.
 */
#include "emulate.h"

#include <asm/processor-flags.h>

#define ARITH_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

static u64 sign_zero_parity(u64 result, u8 size)
{
	u8 low = result;
	u64 flags = 0;

	low ^= low >> 4;
	low ^= low >> 2;
	low ^= low >> 1;
	if (!(low & 1))
		flags |= X86_EFLAGS_PF;
	if (!result)
		flags |= X86_EFLAGS_ZF;
	if ((result >> (8 * size - 1)) & 1)
		flags |= X86_EFLAGS_SF;
	return flags;
}

/* @carries: carry or borrow out of each bit; @overflow: valid in the top bit. */
static u64 arith_flags(u64 result, u64 carries, u64 overflow, u8 size)
{
	unsigned int top = 8 * size - 1;
	u64 flags = sign_zero_parity(result, size);

	if ((carries >> top) & 1)
		flags |= X86_EFLAGS_CF;
	if ((carries >> 3) & 1)
		flags |= X86_EFLAGS_AF;
	if ((overflow >> top) & 1)
		flags |= X86_EFLAGS_OF;
	return flags;
}

static u64 add(u64 dst, u64 src, bool carry, u8 size, u64 *flags)
{
	u64 result = (dst + src + carry) & slat_size_mask(size);

	*flags = arith_flags(result, (dst & src) | ((dst | src) & ~result),
			     (dst ^ result) & (src ^ result), size);
	return result;
}

static u64 sub(u64 dst, u64 src, bool borrow, u8 size, u64 *flags)
{
	u64 result = (dst - src - borrow) & slat_size_mask(size);

	*flags = arith_flags(result, (~dst & src) | ((~dst | src) & result),
			     (dst ^ src) & (dst ^ result), size);
	return result;
}

static u64 alu_bit(enum slat_insn_op op, u8 size, u64 dst, u64 src, u64 *rflags)
{
	u64 bit = 1ULL << (src & (8 * size - 1));

	*rflags &= ~(u64)X86_EFLAGS_CF;
	if (dst & bit)
		*rflags |= X86_EFLAGS_CF;
	switch (op) {
	case SLAT_OP_BTS:
		return dst | bit;
	case SLAT_OP_BTR:
		return dst & ~bit;
	case SLAT_OP_BTC:
		return dst ^ bit;
	default:
		return dst;
	}
}

static u64 alu_arith(enum slat_insn_op op, u8 size, u64 dst, u64 src, u64 *flags)
{
	bool carry = *flags & X86_EFLAGS_CF;

	switch (op) {
	case SLAT_OP_ADC:
		return add(dst, src, carry, size, flags);
	case SLAT_OP_SUB:
	case SLAT_OP_CMP:
		return sub(dst, src, false, size, flags);
	case SLAT_OP_SBB:
		return sub(dst, src, carry, size, flags);
	case SLAT_OP_INC:
		return add(dst, 1, false, size, flags);
	case SLAT_OP_DEC:
		return sub(dst, 1, false, size, flags);
	case SLAT_OP_NEG:
		return sub(0, dst, false, size, flags);
	default:
		return add(dst, src, false, size, flags);
	}
}

static u64 alu_logic(enum slat_insn_op op, u8 size, u64 dst, u64 src, u64 *flags)
{
	u64 result;

	switch (op) {
	case SLAT_OP_OR:
		result = dst | src;
		break;
	case SLAT_OP_XOR:
		result = dst ^ src;
		break;
	default:
		result = dst & src;
		break;
	}
	*flags = sign_zero_parity(result, size);
	return result;
}

u64 slat_insn_alu(enum slat_insn_op op, u8 size, u64 dst, u64 src, u64 *rflags)
{
	u64 changed = ARITH_FLAGS, flags = *rflags, result;

	dst &= slat_size_mask(size);
	src &= slat_size_mask(size);
	switch (op) {
	case SLAT_OP_NOT:
		return ~dst & slat_size_mask(size);
	case SLAT_OP_BT ... SLAT_OP_BTC:
		return alu_bit(op, size, dst, src, rflags);
	case SLAT_OP_AND:
	case SLAT_OP_OR:
	case SLAT_OP_XOR:
	case SLAT_OP_TEST:
		result = alu_logic(op, size, dst, src, &flags);
		break;
	default:
		result = alu_arith(op, size, dst, src, &flags);
		break;
	}
	if (op == SLAT_OP_INC || op == SLAT_OP_DEC)
		changed &= ~(u64)X86_EFLAGS_CF;
	*rflags = (*rflags & ~changed) | (flags & changed);
	return op == SLAT_OP_CMP || op == SLAT_OP_TEST ? dst : result;
}
