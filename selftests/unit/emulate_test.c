// SPDX-License-Identifier: GPL-2.0-only
/* The decoder against the assembler, and what it must refuse. */
#include <kselftest_harness.h>

#include "emulate.h"

#define NO_REG SLAT_INSN_NO_REG

struct form {
	const char *text;
	enum slat_insn_mode mode;
	u64 ea;
	struct slat_insn insn;
};

#include "emulate_insns.inc"

#define FORMS (sizeof(forms) / sizeof(forms[0]))

extern const u8 slat_unit_insns[];
extern const u32 slat_unit_offsets[FORMS + 1];

/* From a copy of just these bytes, so that a sanitizer sees what is read beyond. */
static int decode(struct slat_insn *insn, const void *bytes, unsigned int n,
		  enum slat_insn_mode mode)
{
	u8 *copy = malloc(n ?: 1);
	int err;

	memcpy(copy, bytes, n);
	err = slat_insn_decode(insn, copy, n, mode);
	free(copy);
	return err;
}

static bool same(const struct slat_insn *a, const struct slat_insn *b)
{
	return a->imm == b->imm && a->disp == b->disp && a->flags == b->flags &&
	       a->op == b->op && a->len == b->len && a->opsize == b->opsize &&
	       a->regsize == b->regsize && a->addrsize == b->addrsize &&
	       a->seg == b->seg && a->reg == b->reg && a->rm == b->rm &&
	       a->base == b->base && a->index == b->index && a->scale == b->scale;
}

static void print_insn(const char *what, const struct slat_insn *insn)
{
	fprintf(stderr, "#   %s op %u len %u flags %#x size %u reg %u address %u, ", what,
		insn->op, insn->len, insn->flags, insn->opsize, insn->regsize, insn->addrsize);
	fprintf(stderr, "reg %u rm %u, %u:%u+%u*%u %#llx, imm %#llx\n", insn->reg, insn->rm,
		insn->seg, insn->base, insn->index, 1 << insn->scale, insn->disp, insn->imm);
}

static bool form_agrees(const struct form *form, const u8 *bytes, u8 len)
{
	struct slat_insn want = form->insn, insn;
	int err = decode(&insn, bytes, len, form->mode);

	want.len = len;
	if (!err && same(&insn, &want))
		return true;
	fprintf(stderr, "# mode %u %s: %d\n", form->mode, form->text, err);
	print_insn("want", &want);
	if (!err)
		print_insn("got ", &insn);
	return false;
}

#define for_each_form(form, bytes, len)						\
	for (unsigned int __i = 0; __i < FORMS &&				\
	     (form = &forms[__i], bytes = slat_unit_insns + slat_unit_offsets[__i],	\
	      len = slat_unit_offsets[__i + 1] - slat_unit_offsets[__i]); __i++)

TEST(assembled)
{
	unsigned int bad = 0;
	const struct form *form;
	const u8 *bytes;
	u8 len;

	for_each_form(form, bytes, len)
		if (!form_agrees(form, bytes, len) && ++bad == 20)
			break;
	EXPECT_EQ(0, bad);
}

TEST(truncated)
{
	const struct form *form;
	struct slat_insn insn;
	const u8 *bytes;
	u8 len, n;

	for_each_form(form, bytes, len)
		for (n = 0; n < len; n++)
			ASSERT_EQ(-ENODATA, decode(&insn, bytes, n, form->mode))
				TH_LOG("%s, %u bytes", form->text, n);
}

TEST(longer_buffer)
{
	struct slat_insn exact, insn;
	const struct form *form;
	const u8 *bytes;
	u8 len, buf[32];

	for_each_form(form, bytes, len) {
		ASSERT_EQ(0, decode(&exact, bytes, len, form->mode));
		memset(buf, 0xf0, sizeof(buf));
		memcpy(buf, bytes, len);
		ASSERT_EQ(0, decode(&insn, buf, sizeof(buf), form->mode));
		ASSERT_TRUE(same(&insn, &exact)) TH_LOG("%s", form->text);
	}
}

TEST(effective_address)
{
	const u64 next_rip = 0xfffffffffffff123;
	const struct form *form;
	struct slat_insn insn;
	const u8 *bytes;
	u64 want;
	u8 len;

	for_each_form(form, bytes, len) {
		ASSERT_EQ(0, decode(&insn, bytes, len, form->mode));
		if (!(insn.flags & SLAT_INSN_MEM))
			continue;
		want = form->ea;
		if (insn.flags & SLAT_INSN_RIP)
			want += next_rip;
		if (insn.addrsize == 4)
			want = (u32)want;
		ASSERT_EQ(want, slat_insn_ea(&insn, gpr, next_rip)) TH_LOG("%s", form->text);
	}
}

TEST(string_destination)
{
	struct slat_insn insn = { .addrsize = 2 };

	EXPECT_EQ(gpr[7] & 0xffff, slat_insn_string_dst(&insn, gpr));
	insn.addrsize = 4;
	EXPECT_EQ(gpr[7] & 0xffffffff, slat_insn_string_dst(&insn, gpr));
	insn.addrsize = 8;
	EXPECT_EQ(gpr[7], slat_insn_string_dst(&insn, gpr));
}

struct raw {
	const char *bytes;
	u8 n;
	s8 mode;			/* -1: all */
	int err;
};

#define ANY -1
#define RAW(text, mode, err) { text, sizeof(text) - 1, mode, err }

static const struct raw refused[] = {
	/* LOCK without a memory destination, or on what does not take it */
	RAW("\xf0\x01\xc8", ANY, -EINVAL),		/* add reg */
	RAW("\xf0\x03\x03", ANY, -EINVAL),		/* add to reg */
	RAW("\xf0\x39\x03", ANY, -EINVAL),		/* cmp */
	RAW("\xf0\x83\x38\x01", ANY, -EINVAL),		/* cmp imm */
	RAW("\xf0\x88\x03", ANY, -EINVAL),		/* mov */
	RAW("\xf0\xc6\x03\x01", ANY, -EINVAL),
	RAW("\xf0\x85\x03", ANY, -EINVAL),		/* test */
	RAW("\xf0\xf6\x03\x01", ANY, -EINVAL),
	RAW("\xf0\xf6\xd3", ANY, -EINVAL),		/* not reg */
	RAW("\xf0\x87\xd8", ANY, -EINVAL),		/* xchg reg */
	RAW("\xf0\x0f\xa3\x03", ANY, -EINVAL),		/* bt */
	RAW("\xf0\x0f\xba\x23\x01", ANY, -EINVAL),
	RAW("\xf0\x0f\xb6\x03", ANY, -EINVAL),		/* movzx */
	RAW("\xf0\xa4", ANY, -EINVAL),			/* movs */
	RAW("\xf0\xaa", ANY, -EINVAL),
	RAW("\xf0\x0f\xa2", ANY, -EINVAL),		/* cpuid */
	RAW("\xf0\xf4", ANY, -EINVAL),
	RAW("\xf0\x0f\x22\xd8", ANY, -EINVAL),		/* mov cr3 */
	RAW("\xf0\x0f\x01\x3b", ANY, -EINVAL),		/* invlpg */
	/* undefined group members, registers, forms */
	RAW("\xc6\x08\x01", ANY, -EINVAL),
	RAW("\xc7\x33\x01", ANY, -EINVAL),
	RAW("\xfe\x13", ANY, -EINVAL),
	RAW("\xff\x3b", ANY, -EINVAL),
	RAW("\x0f\xba\x03\x01", ANY, -EINVAL),
	RAW("\x0f\x0b", ANY, -EINVAL),
	RAW("\x0f\x20\xc8", ANY, -EINVAL),		/* cr1 */
	RAW("\x0f\x22\xe8", ANY, -EINVAL),		/* cr5 */
	RAW("\x44\x0f\x22\xc8", SLAT_INSN_64, -EINVAL),	/* cr9 */
	RAW("\x44\x0f\x21\xc0", SLAT_INSN_64, -EINVAL),	/* dr8 */
	RAW("\x0f\xc3\xc0", ANY, -EINVAL),		/* movnti reg */
	RAW("\x82\x03\x01", SLAT_INSN_64, -EINVAL),
	RAW("\xce", SLAT_INSN_64, -EINVAL),
	/* legal but not decoded */
	RAW("\x90", ANY, -EOPNOTSUPP),			/* nop */
	RAW("\xf2\x90", ANY, -EOPNOTSUPP),
	RAW("\x41\x90", SLAT_INSN_64, -EOPNOTSUPP),	/* xchg r8, rax */
	RAW("\x8f\x03", ANY, -EOPNOTSUPP),		/* pop m */
	RAW("\xff\x13", ANY, -EOPNOTSUPP),		/* call m */
	RAW("\xf7\x23", ANY, -EOPNOTSUPP),		/* mul */
	RAW("\xd1\x23", ANY, -EOPNOTSUPP),		/* shl */
	RAW("\x8c\x03", ANY, -EOPNOTSUPP),		/* mov m, seg */
	RAW("\x63\x03", SLAT_INSN_32, -EOPNOTSUPP),	/* arpl */
	RAW("\x66\x63\x03", SLAT_INSN_64, -EOPNOTSUPP),	/* 2 bytes or 4 */
	RAW("\xc7\xf8\x01\x01\x01\x01", ANY, -EOPNOTSUPP),	/* xbegin */
	RAW("\x0f\x10\x03", ANY, -EOPNOTSUPP),		/* movups */
	RAW("\xf3\x0f\x6f\x03", ANY, -EOPNOTSUPP),	/* movdqu */
	RAW("\x66\x0f\xd6\x03", ANY, -EOPNOTSUPP),	/* movq */
	RAW("\xc5\xfa\x6f\x03", ANY, -EOPNOTSUPP),	/* vmovdqu */
	RAW("\x62\xf1\x7e\x48\x6f\x03", ANY, -EOPNOTSUPP),
	RAW("\x0f\xc7\x0b", ANY, -EOPNOTSUPP),		/* cmpxchg8b */
	RAW("\x0f\x38\xf0\x03", ANY, -EOPNOTSUPP),	/* movbe */
	RAW("\x0f\x01\x13", ANY, -EOPNOTSUPP),		/* lgdt */
	RAW("\x0f\x01\xd0", ANY, -EOPNOTSUPP),		/* xgetbv */
	RAW("\xf3\x0f\x01\xfa", ANY, -EOPNOTSUPP),	/* mcommit, not monitorx */
	RAW("\x40\x48", SLAT_INSN_32, -EOPNOTSUPP),	/* inc eax */
};

TEST(refusals)
{
	struct slat_insn insn;
	unsigned int i;
	int mode;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		for (mode = SLAT_INSN_16; mode <= SLAT_INSN_64; mode++)
			if (refused[i].mode == ANY || refused[i].mode == mode)
				EXPECT_EQ(refused[i].err, decode(&insn, refused[i].bytes,
								 refused[i].n, mode))
					TH_LOG("refused[%u] mode %d", i, mode);
}

TEST(longest)
{
	u8 bytes[32];
	struct slat_insn insn;

	/* add dword fs:[rax+rcx*4+disp32], imm32, with prefixes up to 15 and 16 bytes */
	memset(bytes, 0x64, sizeof(bytes));
	memcpy(bytes + 4, "\x81\x84\x88\x78\x56\x34\x12\x01\x02\x03\x04", 11);
	EXPECT_EQ(0, decode(&insn, bytes, 15, SLAT_INSN_32));
	EXPECT_EQ(15, insn.len);
	EXPECT_EQ(-ENODATA, decode(&insn, bytes, 14, SLAT_INSN_32));

	memset(bytes, 0x64, sizeof(bytes));
	memcpy(bytes + 5, "\x81\x84\x88\x78\x56\x34\x12\x01\x02\x03\x04", 11);
	EXPECT_EQ(-EINVAL, decode(&insn, bytes, 16, SLAT_INSN_32));
	EXPECT_EQ(-EINVAL, decode(&insn, bytes, 15, SLAT_INSN_32));
	EXPECT_EQ(-ENODATA, decode(&insn, bytes, 10, SLAT_INSN_32));

	memset(bytes, 0x66, sizeof(bytes));
	EXPECT_EQ(-ENODATA, decode(&insn, bytes, 14, SLAT_INSN_64));
	EXPECT_EQ(-EINVAL, decode(&insn, bytes, 15, SLAT_INSN_64));
	bytes[14] = 0xf4;
	EXPECT_EQ(0, decode(&insn, bytes, 32, SLAT_INSN_64));
	EXPECT_EQ(15, insn.len);
}

#define DECODE(text, mode) ASSERT_EQ(0, decode(&insn, text, sizeof(text) - 1, mode))

TEST(rex_position)
{
	struct slat_insn insn;

	DECODE("\x48\x66\x89\x03", SLAT_INSN_64);	/* dropped by what follows */
	EXPECT_EQ(2, insn.opsize);
	EXPECT_EQ(0, insn.flags & SLAT_INSN_REX);
	DECODE("\x66\x48\x89\x03", SLAT_INSN_64);	/* W over 66 */
	EXPECT_EQ(8, insn.opsize);
	DECODE("\x41\x48\x89\x03", SLAT_INSN_64);	/* the last one counts */
	EXPECT_EQ(8, insn.opsize);
	EXPECT_EQ(3, insn.base);
	DECODE("\x44\xf3\x88\x23", SLAT_INSN_64);	/* AH again */
	EXPECT_EQ(0, insn.reg);
	EXPECT_TRUE(insn.flags & SLAT_INSN_HIGH_REG);
}

TEST(prefix_order)
{
	struct slat_insn insn;

	DECODE("\xf2\xf3\xa6", SLAT_INSN_32);
	EXPECT_EQ(SLAT_INSN_REP, insn.flags & (SLAT_INSN_REP | SLAT_INSN_REPNE));
	DECODE("\xf3\xf2\xa6", SLAT_INSN_32);
	EXPECT_EQ(SLAT_INSN_REPNE, insn.flags & (SLAT_INSN_REP | SLAT_INSN_REPNE));
	DECODE("\x64\x26\x8b\x03", SLAT_INSN_32);
	EXPECT_EQ(SLAT_SEG_ES, insn.seg);
	DECODE("\x26\x65\x8b\x03", SLAT_INSN_32);
	EXPECT_EQ(SLAT_SEG_GS, insn.seg);
	DECODE("\x64\x26\x8b\x03", SLAT_INSN_64);
	EXPECT_EQ(SLAT_SEG_FS, insn.seg);
	DECODE("\x2e\x36\x8b\x03", SLAT_INSN_64);
	EXPECT_EQ(SLAT_SEG_DS, insn.seg);
	DECODE("\x64\xaa", SLAT_INSN_64);		/* not for the destination */
	EXPECT_EQ(SLAT_SEG_ES, insn.seg);
	DECODE("\x66\x66\x8b\x03", SLAT_INSN_16);	/* no toggle */
	EXPECT_EQ(4, insn.opsize);
}

/* Encodings that the assembler does not choose. */
TEST(odd_encodings)
{
	struct slat_insn insn;

	DECODE("\x82\x03\x80", SLAT_INSN_32);
	EXPECT_EQ(SLAT_OP_ADD, insn.op);
	EXPECT_EQ(1, insn.opsize);
	EXPECT_EQ((u64)-0x80, insn.imm);
	DECODE("\xf6\x0b\x80", SLAT_INSN_32);
	EXPECT_EQ(SLAT_OP_TEST, insn.op);
	DECODE("\x8b\x04\x20", SLAT_INSN_64);		/* SIB without index */
	EXPECT_EQ(0, insn.base);
	EXPECT_EQ(NO_REG, insn.index);
	DECODE("\x8b\x04\xe0", SLAT_INSN_64);
	EXPECT_EQ(0, insn.scale);
	DECODE("\x8b\x04\x25\x00\x00\x00\x80", SLAT_INSN_64);
	EXPECT_EQ(0, insn.flags & SLAT_INSN_RIP);
	EXPECT_EQ(0xffffffff80000000, slat_insn_ea(&insn, gpr, 0x1000));
	DECODE("\x41\x8b\x05\x00\x01\x00\x00", SLAT_INSN_64);	/* REX.B makes no r13 */
	EXPECT_EQ(SLAT_INSN_RIP, insn.flags & SLAT_INSN_RIP);
	EXPECT_EQ(NO_REG, insn.base);
	DECODE("\x0f\x20\x18", SLAT_INSN_32);		/* mod is ignored */
	EXPECT_EQ(3, insn.reg);
	EXPECT_EQ(0, insn.rm);
	DECODE("\xf0\x0f\x22\xc1", SLAT_INSN_32);	/* AMD's mov cr8, ecx */
	EXPECT_EQ(8, insn.reg);
	DECODE("\xf3\x41\x90", SLAT_INSN_64);		/* a CPU does not exchange r8 */
	EXPECT_EQ(SLAT_OP_PAUSE, insn.op);
	DECODE("\x63\x03", SLAT_INSN_64);		/* MOVSXD without W */
	EXPECT_EQ(4, insn.opsize);
	EXPECT_EQ(4, insn.regsize);
}

/* REX.W does not widen ports. */
TEST(port_size)
{
	static const char *const code[] = { "\x48\xe5\x01", "\x48\xe7\x01", "\x48\xed",
					    "\x48\xef", "\x48\x6d", "\x48\x6f" };
	struct slat_insn insn;
	unsigned int i;

	for (i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
		ASSERT_EQ(0, decode(&insn, code[i], strlen(code[i]), SLAT_INSN_64));
		EXPECT_EQ(4, insn.opsize) TH_LOG("code[%u]", i);
	}
}

TEST(registers)
{
	const u64 value[16] = { 0x1122334455667788, [15] = 0xfedcba9876543210 };

	EXPECT_EQ(0x88, slat_insn_get_reg(value, 0, 1, false));
	EXPECT_EQ(0x77, slat_insn_get_reg(value, 0, 1, true));
	EXPECT_EQ(0x3210, slat_insn_get_reg(value, 15, 2, false));
	EXPECT_EQ(0x55667788, slat_insn_get_reg(value, 0, 4, false));
	EXPECT_EQ(value[15], slat_insn_get_reg(value, 15, 8, false));

	EXPECT_EQ(0x11223344556677aa, slat_insn_set_reg(value[0], 1, false, 0xffaa));
	EXPECT_EQ(0x112233445566aa88, slat_insn_set_reg(value[0], 1, true, 0xffaa));
	EXPECT_EQ(0x112233445566ffaa, slat_insn_set_reg(value[0], 2, false, 0xeeffaa));
	EXPECT_EQ(0x89abcdef, slat_insn_set_reg(value[0], 4, false, 0x1234567889abcdef));
	EXPECT_EQ(0x1234567889abcdef, slat_insn_set_reg(value[0], 8, false, 0x1234567889abcdef));
}

TEST_HARNESS_MAIN
