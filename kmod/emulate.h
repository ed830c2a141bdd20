/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction decode for exits: which instruction, how long, and where its
 * operands are.  Pure functions over bytes and numbers, so that user space can
 * test and fuzz the same file; reading guest memory, checking segments and
 * rights and doing what the instruction does is the caller's.
 */
#ifndef SLAT_EMULATE_H
#define SLAT_EMULATE_H

#include <linux/bits.h>
#include <linux/types.h>

#define SLAT_INSN_MAX_LEN	15
#define SLAT_INSN_NO_REG	0xff

/* What the code segment says: default operand and address size. */
enum slat_insn_mode {
	SLAT_INSN_16,
	SLAT_INSN_32,
	SLAT_INSN_64,
};

/* The number that instruction encodings use. */
enum slat_insn_seg {
	SLAT_SEG_ES,
	SLAT_SEG_CS,
	SLAT_SEG_SS,
	SLAT_SEG_DS,
	SLAT_SEG_FS,
	SLAT_SEG_GS,
};

/*
 * "rm" is the operand named by ModRM.rm: memory, or a register without
 * SLAT_INSN_MEM.  "reg" is ModRM.reg, or the accumulator where it is implied.
 */
enum slat_insn_op {
	SLAT_OP_NONE,

	/* first op= second; SLAT_INSN_REG_DST and SLAT_INSN_IMM say which is which */
	SLAT_OP_ADD,
	SLAT_OP_OR,
	SLAT_OP_ADC,
	SLAT_OP_SBB,
	SLAT_OP_AND,
	SLAT_OP_SUB,
	SLAT_OP_XOR,
	SLAT_OP_CMP,			/* writes flags only */
	SLAT_OP_TEST,			/* writes flags only */

	/* rm = op rm */
	SLAT_OP_INC,
	SLAT_OP_DEC,
	SLAT_OP_NOT,
	SLAT_OP_NEG,

	/* bit reg or imm of rm; slat_insn_ea() already moved to the right word */
	SLAT_OP_BT,
	SLAT_OP_BTS,
	SLAT_OP_BTR,
	SLAT_OP_BTC,

	SLAT_OP_MOV,			/* MOVNTI and the moffs forms too */
	SLAT_OP_MOVZX,			/* opsize widens to regsize */
	SLAT_OP_MOVSX,			/* MOVSXD too */
	SLAT_OP_XCHG,			/* atomic on memory, LOCK or not */
	SLAT_OP_XADD,			/* rm and reg: rm += reg, reg = old rm */
	SLAT_OP_CMPXCHG,		/* accumulator, rm and reg */
	SLAT_OP_PUSH,			/* of rm; the register has other encodings too */

	/* seg:base is DS:rSI where there is a source, else ES:rDI; _DST: ES:rDI is written */
	SLAT_OP_MOVS,			/* both, see slat_insn_string_dst() */
	SLAT_OP_CMPS,			/* both, reads only */
	SLAT_OP_STOS,
	SLAT_OP_LODS,
	SLAT_OP_SCAS,
	SLAT_OP_INS,
	SLAT_OP_OUTS,

	/* reg is the accumulator; port in imm, or in DX without SLAT_INSN_IMM */
	SLAT_OP_IN,
	SLAT_OP_OUT,

	/* reg is the CR or DR number, rm the general register; REG_DST: CR or DR is written */
	SLAT_OP_MOV_CR,
	SLAT_OP_MOV_DR,
	SLAT_OP_CLTS,
	SLAT_OP_LMSW,			/* from rm, 2 bytes */
	SLAT_OP_SMSW,			/* to rm, memory 2 bytes */
	SLAT_OP_INVLPG,			/* memory operand is only an address: opsize 0 */

	/* no operands beyond fixed registers, unless noted */
	SLAT_OP_CPUID,
	SLAT_OP_HLT,
	SLAT_OP_PAUSE,
	SLAT_OP_RDMSR,
	SLAT_OP_WRMSR,
	SLAT_OP_RDTSC,
	SLAT_OP_RDTSCP,
	SLAT_OP_RDPMC,
	SLAT_OP_INVD,
	SLAT_OP_WBINVD,			/* WBNOINVD too */
	SLAT_OP_MONITOR,		/* MONITORX too; seg:rAX of addrsize */
	SLAT_OP_MWAIT,			/* MWAITX too */
	SLAT_OP_XSETBV,
	SLAT_OP_RSM,
	SLAT_OP_VMMCALL,
	SLAT_OP_VMCALL,
	SLAT_OP_VMRUN,
	SLAT_OP_VMLOAD,
	SLAT_OP_VMSAVE,
	SLAT_OP_STGI,
	SLAT_OP_CLGI,
	SLAT_OP_SKINIT,
	SLAT_OP_INVLPGA,
	SLAT_OP_INT,			/* vector in imm */
	SLAT_OP_INT3,
	SLAT_OP_INT1,
	SLAT_OP_INTO,
	SLAT_OP_IRET,			/* opsize per stack slot, PUSHF and POPF too */
	SLAT_OP_PUSHF,
	SLAT_OP_POPF,

	SLAT_OP_COUNT,
};

/* slat_insn.flags */
#define SLAT_INSN_MODRM		BIT(0)
#define SLAT_INSN_MEM		BIT(1)	/* ModRM, moffs or string operand in memory */
#define SLAT_INSN_IMM		BIT(2)
#define SLAT_INSN_REG_DST	BIT(3)	/* reg is the first operand, rm or memory the second */
#define SLAT_INSN_HIGH_REG	BIT(4)	/* reg 0..3 means AH, CH, DH, BH */
#define SLAT_INSN_HIGH_RM	BIT(5)	/* the same for rm */
#define SLAT_INSN_RIP		BIT(6)	/* disp counts from the next instruction */
#define SLAT_INSN_REX		BIT(7)
#define SLAT_INSN_LOCK		BIT(8)
#define SLAT_INSN_REP		BIT(9)	/* F3; as good as REPNE except for CMPS and SCAS */
#define SLAT_INSN_REPNE		BIT(10)	/* F2 */
#define SLAT_INSN_STR_SRC	BIT(11)	/* string operand at seg:rSI */
#define SLAT_INSN_STR_DST	BIT(12)	/* string operand at ES:rDI, read by CMPS and SCAS */

struct slat_insn {
	u64 imm;	/* sign-extended, except ports, vectors and bit numbers */
	s64 disp;	/* sign-extended; the whole address for moffs */
	u16 flags;
	u8 op;		/* enum slat_insn_op */
	u8 len;		/* 1..15 */
	u8 opsize;	/* bytes of rm or memory: 1, 2, 4, 8; 0: address only */
	u8 regsize;	/* bytes of reg; differs from opsize for MOVZX and MOVSX */
	u8 addrsize;	/* 2, 4, 8 */
	u8 seg;		/* enum slat_insn_seg: override, or the operand's default */
	u8 reg;		/* 0..15, SLAT_INSN_NO_REG if none; likewise the next three */
	u8 rm;		/* register operand, without SLAT_INSN_MEM */
	u8 base;
	u8 index;
	u8 scale;	/* index is shifted left by 0..3 */
};

/**
 * slat_insn_decode() - decode the instruction at @bytes
 * @n:		bytes that there are
 *
 * The answer never depends on bytes after the instruction.
 *
 * Return: 0 with @insn filled in; -ENODATA: the bytes are no whole instruction yet;
 * -EINVAL: the CPU would raise #UD, or the instruction is too long; -EOPNOTSUPP: not one
 * that slat decodes.
 */
int slat_insn_decode(struct slat_insn *insn, const u8 *bytes, unsigned int n,
		     enum slat_insn_mode mode);

/**
 * slat_insn_ea() - offset of the memory operand in its segment
 * @next_rip:	of the next instruction, from which SLAT_INSN_RIP counts
 *
 * Return: the offset, cut to the address size; for BT* with a register bit number, that
 * of the word which holds the bit.
 */
u64 slat_insn_ea(const struct slat_insn *insn, const u64 gpr[16], u64 next_rip);

/** slat_insn_string_dst() - offset in ES of the operand at rDI, for SLAT_INSN_STR_DST. */
u64 slat_insn_string_dst(const struct slat_insn *insn, const u64 gpr[16]);

/** slat_size_mask() - the bits of an operand of @size bytes, 1 to 8. */
static inline u64 slat_size_mask(u8 size)
{
	return ~0ULL >> (64 - 8 * size);
}

/**
 * slat_insn_get_reg() - value of a register as an operand
 * @size:	of the operand in bytes
 * @high:	bits 8 to 15, as AH has them
 */
u64 slat_insn_get_reg(const u64 gpr[16], u8 reg, u8 size, bool high);

/**
 * slat_insn_set_reg() - what a register becomes when an operand is written to it
 * @old:	what it was
 *
 * 4 bytes clear the upper half, 1 and 2 keep the rest.
 */
u64 slat_insn_set_reg(u64 old, u8 size, bool high, u64 value);

/**
 * slat_insn_alu() - what the ALU makes of @dst and @src
 * @op:		SLAT_OP_ADD up to SLAT_OP_BTC.  XADD is ADD; CMPXCHG is CMP of the
 *		accumulator with rm, then a move
 * @size:	of both in bytes
 * @rflags:	exactly the arithmetic flags that the instruction changes are changed;
 *		those it leaves undefined are cleared by AND, OR, XOR and TEST (AF),
 *		kept by BT*
 *
 * Return: the result, cut to @size; of CMP, TEST and BT, @dst.
 */
u64 slat_insn_alu(enum slat_insn_op op, u8 size, u64 dst, u64 src, u64 *rflags);

#endif
