/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions for mmio_test.c, as an array of struct native_insn. */

struct native_insn {
	const u8 *bytes;
	u64 len;
	const char *text;
	u64 flags;		/* those that it leaves defined */
	u64 string;
};

extern const struct native_insn native_insns[];

#define ALL	"0x8d5"
#define LOGIC	"0x8c5"		/* without AF */
#define CARRY	"0x001"

#define ENTRY(flags, string, text)				\
asm(".pushsection .rodata.native, \"a\"\n"			\
    "1:	" text "\n"						\
    "2:	.asciz \"" text "\"\n"					\
    ".popsection\n"						\
    ".pushsection .data.rel.ro.native, \"aw\"\n"		\
    "	.quad 1b, 2b - 1b, 2b, " flags ", " string "\n"		\
    ".popsection\n");

#define INSN(flags, text)	ENTRY(flags, "0", text)

#define BOTH_WAYS(op, flags, reg)				\
INSN(flags, op " %" reg ", (%rbx)")				\
INSN(flags, op " -3(%rbx,%r10,2), %" reg)

/* Two operands: a register, an immediate. */
#define ALU(op, flags, s, reg)					\
BOTH_WAYS(op, flags, reg)					\
INSN(flags, op s " $-5, 8(%rbx)")

#define REGISTER(s, reg)					\
BOTH_WAYS("mov", ALL, reg)					\
ALU("add", ALL, s, reg)						\
ALU("adc", ALL, s, reg)						\
ALU("sbb", ALL, s, reg)						\
ALU("sub", ALL, s, reg)						\
ALU("cmp", ALL, s, reg)						\
ALU("or", LOGIC, s, reg)					\
ALU("and", LOGIC, s, reg)					\
ALU("xor", LOGIC, s, reg)					\
INSN(LOGIC, "test %" reg ", (%rbx)")				\
INSN(ALL, "xchg %" reg ", (%rbx)")				\
INSN(ALL, "xadd %" reg ", (%rbx)")				\
INSN(ALL, "cmpxchg %" reg ", (%rbx)")				\
INSN(ALL, "lock add %" reg ", (%rbx)")				\
INSN(ALL, "lock xadd %" reg ", (%rbx)")				\
INSN(ALL, "lock cmpxchg %" reg ", (%rbx)")

#define UNARY(s)						\
INSN(ALL, "mov" s " $0x55, (%rbx)")				\
INSN(LOGIC, "test" s " $0x35, (%rbx)")				\
INSN(ALL, "inc" s " (%rbx)")					\
INSN(ALL, "dec" s " (%rbx)")					\
INSN(ALL, "neg" s " (%rbx)")					\
INSN(ALL, "not" s " (%rbx)")					\
INSN(ALL, "lock inc" s " (%rbx)")

#define BIT_OP(op, s, reg)					\
INSN(CARRY, op s " $13, (%rbx)")				\
INSN(CARRY, op " %" reg ", (%rbx)")

#define BIT_OPS(s, reg)						\
BIT_OP("bt", s, reg)						\
BIT_OP("bts", s, reg)						\
BIT_OP("btr", s, reg)						\
BIT_OP("btc", s, reg)						\
INSN(CARRY, "lock bts" s " $5, (%rbx)")

#define STRING(text)	ENTRY(ALL, "1", text)

#define STRINGS(s)						\
STRING("movs" s)						\
STRING("stos" s)						\
STRING("lods" s)						\
STRING("cmps" s)						\
STRING("scas" s)						\
STRING("rep movs" s)						\
STRING("rep stos" s)						\
STRING("rep lods" s)						\
STRING("repe cmps" s)						\
STRING("repne cmps" s)						\
STRING("repe scas" s)						\
STRING("repne scas" s)						\
STRING("addr32 rep movs" s)

#define EXTEND(op)						\
INSN(ALL, op "l (%rbx), %ecx")					\
INSN(ALL, op "q (%rbx), %r9")

asm(".pushsection .data.rel.ro.native, \"aw\"\n"
    "	.balign 8\n"
    "native_insns:\n"
    ".popsection\n");
REGISTER("b", "al")
REGISTER("b", "cl")
REGISTER("b", "r9b")
REGISTER("b", "sil")
INSN(ALL, "add %ah, (%rbx)")
INSN(ALL, "mov (%rbx), %ch")
REGISTER("w", "ax")
REGISTER("w", "r9w")
REGISTER("l", "eax")
REGISTER("l", "r9d")
REGISTER("q", "rax")
REGISTER("q", "r9")
UNARY("b")
UNARY("w")
UNARY("l")
UNARY("q")
BIT_OPS("w", "r11w")
BIT_OPS("l", "r11d")
BIT_OPS("q", "r11")
STRINGS("b")
STRINGS("w")
STRINGS("l")
STRINGS("q")
EXTEND("movzb")
EXTEND("movsb")
EXTEND("movzw")
EXTEND("movsw")
INSN(ALL, "movsbw (%rbx), %cx")
INSN(ALL, "movslq (%rbx), %r9")
INSN(ALL, "movnti %eax, (%rbx)")
INSN(ALL, "mov %eax, (%ebx)")
INSN(ALL, "pushq (%rbx)")
INSN(ALL, "pushw 8(%rsp)")
asm(".pushsection .data.rel.ro.native, \"aw\"\n"
    "	.quad 0\n"
    ".popsection\n");
