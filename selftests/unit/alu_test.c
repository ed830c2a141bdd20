// SPDX-License-Identifier: GPL-2.0-only
/* Results and flags of slat_insn_alu(), against the CPU executing the same. */
#include <kselftest_harness.h>

#include "emulate.h"

#define ROUNDS	20000

#define CF BIT(0)
#define PF BIT(2)
#define AF BIT(4)
#define ZF BIT(6)
#define SF BIT(7)
#define OF BIT(11)
#define ARITH (CF | PF | AF | ZF | SF | OF)

struct operands {
	u64 dst, src, flags;
};

/* Load the arithmetic flags, execute, and read all flags back. */
#define EXECUTE(insn, ...)					\
	asm volatile("push %[fl]\n\tpopfq\n\t"			\
		     insn "\n\t"				\
		     "pushfq\n\tpop %[fl]"			\
		     : [dst] "+r" (dst), [fl] "+r" (flags)	\
		     : [src] "r" (src)				\
		     : "cc", "memory")

#define BINARY_FN(name, suffix, type)						\
static void cpu_##name##suffix(struct operands *o)				\
{										\
	type dst = o->dst, src = o->src;					\
	u64 flags = o->flags;							\
										\
	EXECUTE(#name #suffix " %[src], %[dst]");				\
	o->dst = dst;								\
	o->flags = flags;							\
}

#define UNARY_FN(name, suffix, type)						\
static void cpu_##name##suffix(struct operands *o)				\
{										\
	type dst = o->dst, src = 0;						\
	u64 flags = o->flags;							\
										\
	EXECUTE(#name #suffix " %[dst]");					\
	o->dst = dst;								\
	o->flags = flags;							\
}

#define WIDE(fn, name)		fn(name, w, u16) fn(name, l, u32) fn(name, q, u64)
#define ALL(fn, name)		fn(name, b, u8) WIDE(fn, name)

ALL(BINARY_FN, add)
ALL(BINARY_FN, or)
ALL(BINARY_FN, adc)
ALL(BINARY_FN, sbb)
ALL(BINARY_FN, and)
ALL(BINARY_FN, sub)
ALL(BINARY_FN, xor)
ALL(BINARY_FN, cmp)
ALL(BINARY_FN, test)
ALL(UNARY_FN, inc)
ALL(UNARY_FN, dec)
ALL(UNARY_FN, not)
ALL(UNARY_FN, neg)
WIDE(BINARY_FN, bt)
WIDE(BINARY_FN, bts)
WIDE(BINARY_FN, btr)
WIDE(BINARY_FN, btc)

static const struct alu {
	const char *name;
	enum slat_insn_op op;
	u64 undefined;			/* flags that the architecture does not define */
	void (*cpu[4])(struct operands *o);
} alus[] = {
#define ROW(name, op, undefined) \
	{ #name, op, undefined, { cpu_##name##b, cpu_##name##w, cpu_##name##l, cpu_##name##q } }
#define WIDE_ROW(name, op, undefined) \
	{ #name, op, undefined, { NULL, cpu_##name##w, cpu_##name##l, cpu_##name##q } }
	ROW(add, SLAT_OP_ADD, 0),
	ROW(or, SLAT_OP_OR, AF),
	ROW(adc, SLAT_OP_ADC, 0),
	ROW(sbb, SLAT_OP_SBB, 0),
	ROW(and, SLAT_OP_AND, AF),
	ROW(sub, SLAT_OP_SUB, 0),
	ROW(xor, SLAT_OP_XOR, AF),
	ROW(cmp, SLAT_OP_CMP, 0),
	ROW(test, SLAT_OP_TEST, AF),
	ROW(inc, SLAT_OP_INC, 0),
	ROW(dec, SLAT_OP_DEC, 0),
	ROW(not, SLAT_OP_NOT, 0),
	ROW(neg, SLAT_OP_NEG, 0),
	WIDE_ROW(bt, SLAT_OP_BT, OF | SF | AF | PF),
	WIDE_ROW(bts, SLAT_OP_BTS, OF | SF | AF | PF),
	WIDE_ROW(btr, SLAT_OP_BTR, OF | SF | AF | PF),
	WIDE_ROW(btc, SLAT_OP_BTC, OF | SF | AF | PF),
};

#define ALUS (sizeof(alus) / sizeof(alus[0]))

static u64 rng_state = 1;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* Half of them near the ends and signs of the four sizes. */
static u64 operand(void)
{
	static const u64 corner[] = {
		0, 0x80, 0x100, 0x8000, 0x10000, 0x80000000, 0x100000000, 1ull << 63,
	};
	u64 value = rng();

	if (value & 1)
		return rng();
	return corner[(value >> 8) % 8] + (value >> 16) % 5 - 2;
}

static bool agrees(const struct alu *alu, u8 lg2, const struct operands *in)
{
	u64 mask = ~0ull >> (64 - (8 << lg2));
	/* what is no arithmetic flag must be kept: give the ALU some of them */
	u64 other = rng() & ~(u64)ARITH;
	u64 flags = in->flags | other;
	struct operands cpu = *in;
	u64 result = slat_insn_alu(alu->op, 1 << lg2, in->dst, in->src, &flags);

	alu->cpu[lg2](&cpu);
	if (alu->op >= SLAT_OP_AND && alu->undefined == AF && (flags & AF))
		return false;
	if (result == (cpu.dst & mask) && (flags & ~(u64)ARITH) == other &&
	    !((flags ^ cpu.flags) & ARITH & ~alu->undefined))
		return true;
	fprintf(stderr, "# %s size %u dst %#llx src %#llx flags %#llx: %#llx %#llx, CPU %#llx %#llx\n",
		alu->name, 1 << lg2, in->dst, in->src, in->flags, result, flags & ARITH,
		cpu.dst & mask, cpu.flags & ARITH);
	return false;
}

TEST(against_cpu)
{
	struct operands in;
	unsigned int i, round;
	u8 lg2;

	for (i = 0; i < ALUS; i++)
		for (lg2 = 0; lg2 < 4; lg2++)
			for (round = 0; alus[i].cpu[lg2] && round < ROUNDS; round++) {
				in.dst = operand();
				in.src = operand();
				in.flags = rng() & ARITH;
				ASSERT_TRUE(agrees(&alus[i], lg2, &in));
			}
}

/* All byte operands, with and without carry. */
TEST(every_byte)
{
	struct operands in;
	unsigned int i, n;

	for (i = 0; i < ALUS; i++)
		for (n = 0; alus[i].cpu[0] && n < 1 << 17; n++) {
			in.dst = n & 0xff;
			in.src = (n >> 8) & 0xff;
			in.flags = n >> 16 ? CF : 0;
			ASSERT_TRUE(agrees(&alus[i], 0, &in));
		}
}

/* XADD and CMPXCHG as the header says they are made of the rest. */
TEST(exchanges)
{
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		u64 flags = 0, want = rng() & ARITH, rm = operand(), reg = operand();
		u64 sum = slat_insn_alu(SLAT_OP_ADD, 8, rm, reg, &want);

		asm("xaddq %[reg], %[rm]\n\tpushfq\n\tpop %[fl]"
		    : [rm] "+r" (rm), [reg] "+r" (reg), [fl] "=r" (flags) : : "cc", "memory");
		ASSERT_EQ(sum, rm);
		ASSERT_EQ(want & ARITH, flags & ARITH);
	}
	for (round = 0; round < ROUNDS; round++) {
		u64 rm = operand(), acc = rng() & 1 ? rm : operand(), reg = operand(), old = rm;
		u64 flags = 0, want = 0, start = acc;

		slat_insn_alu(SLAT_OP_CMP, 8, acc, rm, &want);
		asm("cmpxchgq %[reg], %[rm]\n\tpushfq\n\tpop %[fl]"
		    : [rm] "+r" (rm), "+a" (acc), [fl] "=&r" (flags) : [reg] "r" (reg)
		    : "cc", "memory");
		ASSERT_EQ(want & ARITH, flags & ARITH);
		ASSERT_EQ(want & ZF ? reg : old, rm);
		ASSERT_EQ(want & ZF ? start : old, acc);
	}
}

/* BTC with a register reaches beyond its operand: find the word that the CPU changed. */
#define BIT_STRING(suffix, type)						\
static type *changed_##suffix(type *memory, unsigned int words, s64 bit)	\
{										\
	unsigned int i;								\
										\
	memset(memory, 0, words * sizeof(type));				\
	asm volatile("btc" #suffix " %1, (%0)"					\
		     : : "r" (memory + words / 2), "r" ((type)bit) : "cc", "memory");	\
	for (i = 0; i < words && !memory[i]; i++)				\
		;								\
	return &memory[i];							\
}

BIT_STRING(w, u16)
BIT_STRING(l, u32)
BIT_STRING(q, u64)

#define BYTES (2 * 4096)

TEST(bit_string)
{
	static u8 memory[BYTES] __attribute__((aligned(8)));
	/* btc %rcx, (%rbx) with 2, 4 and 8 bytes */
	static const u8 code[3][5] = {
		"\x66\x0f\xbb\x0b", "\x0f\xbb\x0b", "\x48\x0f\xbb\x0b",
	};
	u64 gpr[16] = { [3] = (u64)memory + BYTES / 2 };
	struct slat_insn insn;
	unsigned int round, i;
	void *word[3];
	s64 bit;

	for (round = 0; round < ROUNDS / 4; round++) {
		bit = (s64)(rng() % (BYTES * 8)) - BYTES * 4;
		word[0] = changed_w((u16 *)memory, BYTES / 2, bit);
		word[1] = changed_l((u32 *)memory, BYTES / 4, bit);
		word[2] = changed_q((u64 *)memory, BYTES / 8, bit);
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(0, slat_insn_decode(&insn, code[i], 4, SLAT_INSN_64));
			ASSERT_EQ(2u << i, insn.opsize);
			/* what is above the operand size does not count */
			gpr[1] = i == 2 ? (u64)bit : (u64)bit ^ rng() << (16 << i);
			ASSERT_EQ((u64)word[i], slat_insn_ea(&insn, gpr, 0));
		}
	}
}

TEST_HARNESS_MAIN
