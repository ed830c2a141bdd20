// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instruction decode for exits.  One table per opcode map says which
 * instruction an opcode is and what follows it; the functions below only
 * interpret those entries.
 */
#include "emulate.h"

#include <linux/errno.h>

/* What an opcode implies. */
enum {
	M	= BIT(0),	/* ModRM follows and names an operand */
	MO	= BIT(1),	/* which must be memory */
	R	= BIT(2),	/* ModRM.reg is an operand too */
	A	= BIT(3),	/* reg is the accumulator */
	D	= BIT(4),	/* reg is the first operand */
	LK	= BIT(5),	/* takes LOCK when rm is memory */
	IB	= BIT(6),	/* imm8, sign-extended */
	IU	= BIT(7),	/* imm8, zero-extended */
	IZ	= BIT(8),	/* imm of operand size, at most 4 bytes */
	SRC	= BIT(9),	/* string operand at rSI */
	DST	= BIT(10),	/* string operand at rDI */
	OFFS	= BIT(11),	/* memory operand is an address without ModRM */
	CRDR	= BIT(12),	/* rm is a register whatever mod says */
	/* operand size, where it is not that of mode, 66 and REX.W */
	B	= BIT(13),	/* 1 */
	MAX4	= BIT(14),	/* REX.W does not count */
	MIN4	= BIT(15),	/* 66 does not count */
	D64	= BIT(16),	/* never 4 in 64-bit mode */
	/* size of rm alone */
	RM0	= BIT(17),	/* only its address matters */
	RM1	= BIT(18),
	RM2	= BIT(19),
	RM4	= BIT(20),
	/* which forms are this instruction at all */
	NO64	= BIT(21),	/* #UD in 64-bit mode */
	ONLY64	= BIT(22),	/* another elsewhere, vendors differ with 66 */
	F3	= BIT(23),	/* another without F3 */
	NP	= BIT(24),	/* another, or #UD, with 66, F2 or F3 */
	GRP	= BIT(25),	/* op is an index into groups[] */
};

struct opcode {
	u8 op;
	u32 flags;
};

/* Known to be #UD; what the tables leave out, SLAT_OP_NONE, is merely not decoded. */
#define OP_UD	SLAT_OP_COUNT

#define OP(name, fl)	{ .op = SLAT_OP_##name, .flags = (fl) }
#define UD		{ .op = OP_UD }
#define GROUP(name, fl)	{ .op = GROUP_##name, .flags = GRP | M | (fl) }

/* Byte operands at the even opcode, operand size at the odd one. */
#define PAIR(at, name, fl)		\
	[at] = OP(name, B | (fl)),	\
	[(at) + 1] = OP(name, fl)

#define GROUP_PAIR(at, name, fl)	\
	[at] = GROUP(name, B | (fl)),	\
	[(at) + 1] = GROUP(name, fl)

#define ALU_ROW(at, name, lk)			\
	PAIR(at, name, M | R | (lk)),		\
	PAIR((at) + 2, name, M | R | D)

enum {
	GROUP_ALU,
	GROUP_MOV,
	GROUP_UNARY,
	GROUP_INCDEC8,
	GROUP_INCDEC,
	GROUP_BT,
	GROUP_SYSTEM,
};

/* By ModRM.reg; the flags add to those of the opcode. */
static const struct opcode groups[][8] = {
	[GROUP_ALU] = {
		OP(ADD, LK), OP(OR, LK), OP(ADC, LK), OP(SBB, LK),
		OP(AND, LK), OP(SUB, LK), OP(XOR, LK), OP(CMP, 0),
	},
	[GROUP_MOV] = { OP(MOV, IZ), UD, UD, UD, UD, UD, UD },	/* 7: XABORT, XBEGIN */
	[GROUP_UNARY] = { OP(TEST, IZ), OP(TEST, IZ), OP(NOT, LK), OP(NEG, LK) },
	[GROUP_INCDEC8] = { OP(INC, LK), OP(DEC, LK), UD, UD, UD, UD, UD, UD },
	[GROUP_INCDEC] = { OP(INC, LK), OP(DEC, LK), [6] = OP(PUSH, D64), [7] = UD },
	[GROUP_BT] = { UD, UD, UD, UD, OP(BT, 0), OP(BTS, LK), OP(BTR, LK), OP(BTC, LK) },
	[GROUP_SYSTEM] = {
		[4] = OP(SMSW, RM2), [5] = UD, [6] = OP(LMSW, RM2), [7] = OP(INVLPG, RM0),
	},
};

static const struct opcode primary[256] = {
	ALU_ROW(0x00, ADD, LK),
	ALU_ROW(0x08, OR, LK),
	ALU_ROW(0x10, ADC, LK),
	ALU_ROW(0x18, SBB, LK),
	ALU_ROW(0x20, AND, LK),
	ALU_ROW(0x28, SUB, LK),
	ALU_ROW(0x30, XOR, LK),
	ALU_ROW(0x38, CMP, 0),
	[0x63] = OP(MOVSX, M | R | D | RM4 | ONLY64),
	PAIR(0x6c, INS, DST | MAX4),
	PAIR(0x6e, OUTS, SRC | MAX4),
	GROUP_PAIR(0x80, ALU, IZ),
	[0x82] = GROUP(ALU, B | IB | NO64),
	[0x83] = GROUP(ALU, IB),
	PAIR(0x84, TEST, M | R),
	PAIR(0x86, XCHG, M | R | LK),
	PAIR(0x88, MOV, M | R),
	PAIR(0x8a, MOV, M | R | D),
	[0x90] = OP(PAUSE, F3),
	[0x9c] = OP(PUSHF, D64),
	[0x9d] = OP(POPF, D64),
	PAIR(0xa0, MOV, A | D | OFFS),
	PAIR(0xa2, MOV, A | OFFS),
	PAIR(0xa4, MOVS, SRC | DST),
	PAIR(0xa6, CMPS, SRC | DST),
	PAIR(0xaa, STOS, A | DST),
	PAIR(0xac, LODS, A | D | SRC),
	PAIR(0xae, SCAS, A | D | DST),
	GROUP_PAIR(0xc6, MOV, 0),
	[0xcc] = OP(INT3, 0),
	[0xcd] = OP(INT, IU),
	[0xce] = OP(INTO, NO64),
	[0xcf] = OP(IRET, 0),
	PAIR(0xe4, IN, A | D | IU | MAX4),
	PAIR(0xe6, OUT, A | IU | MAX4),
	PAIR(0xec, IN, A | D | MAX4),
	PAIR(0xee, OUT, A | MAX4),
	[0xf1] = OP(INT1, 0),
	[0xf4] = OP(HLT, 0),
	GROUP_PAIR(0xf6, UNARY, 0),
	[0xfe] = GROUP(INCDEC8, B),
	[0xff] = GROUP(INCDEC, 0),
};

/* After 0F. */
static const struct opcode secondary[256] = {
	[0x01] = GROUP(SYSTEM, 0),
	[0x06] = OP(CLTS, 0),
	[0x08] = OP(INVD, 0),
	[0x09] = OP(WBINVD, 0),
	[0x0b] = UD,
	[0x20] = OP(MOV_CR, M | R | CRDR),
	[0x21] = OP(MOV_DR, M | R | CRDR),
	[0x22] = OP(MOV_CR, M | R | D | CRDR),
	[0x23] = OP(MOV_DR, M | R | D | CRDR),
	[0x30] = OP(WRMSR, 0),
	[0x31] = OP(RDTSC, 0),
	[0x32] = OP(RDMSR, 0),
	[0x33] = OP(RDPMC, 0),
	[0xa2] = OP(CPUID, 0),
	[0xa3] = OP(BT, M | R),
	[0xaa] = OP(RSM, 0),
	[0xab] = OP(BTS, M | R | LK),
	PAIR(0xb0, CMPXCHG, M | R | LK),
	[0xb3] = OP(BTR, M | R | LK),
	[0xb6] = OP(MOVZX, M | R | D | RM1),
	[0xb7] = OP(MOVZX, M | R | D | RM2),
	[0xb9] = UD,
	[0xba] = GROUP(BT, IU),
	[0xbb] = OP(BTC, M | R | LK),
	[0xbe] = OP(MOVSX, M | R | D | RM1),
	[0xbf] = OP(MOVSX, M | R | D | RM2),
	PAIR(0xc0, XADD, M | R | LK),
	[0xc3] = OP(MOV, M | MO | R | MIN4 | NP),
	[0xff] = UD,
};

/* After 0F 01, by mod (3), reg and rm: without M, ModRM is a third opcode byte. */
static const struct opcode system_ops[256] = {
	[0xc1] = OP(VMCALL, 0),
	[0xc8] = OP(MONITOR, 0),
	[0xc9] = OP(MWAIT, 0),
	[0xd1] = OP(XSETBV, 0),
	[0xd8] = OP(VMRUN, 0),
	[0xd9] = OP(VMMCALL, 0),
	[0xda] = OP(VMLOAD, 0),
	[0xdb] = OP(VMSAVE, 0),
	[0xdc] = OP(STGI, 0),
	[0xdd] = OP(CLGI, 0),
	[0xde] = OP(SKINIT, 0),
	[0xdf] = OP(INVLPGA, 0),
	[0xe0 ... 0xe7] = OP(SMSW, M),
	[0xf0 ... 0xf7] = OP(LMSW, M | RM2),
	[0xf9] = OP(RDTSCP, 0),
	[0xfa] = OP(MONITOR, NP),
	[0xfb] = OP(MWAIT, NP),
};

enum {
	RAX = 0,
	RBX = 3,
	RSP = 4,
	RBP = 5,
	RSI = 6,
	RDI = 7,
	NONE = SLAT_INSN_NO_REG,
};

enum {
	REX_B = BIT(0),
	REX_X = BIT(1),
	REX_R = BIT(2),
	REX_W = BIT(3),
};

struct decoder {
	const u8 *bytes;
	unsigned int n;
	unsigned int pos;
	enum slat_insn_mode mode;
	bool data_prefix;
	bool addr_prefix;
	u8 rex;			/* the whole byte, so not 0 when there */
	u8 seg;			/* override or NONE */
};

static s64 sign_extend(u64 value, u8 size)
{
	unsigned int shift = 64 - 8 * size;

	return (s64)(value << shift) >> shift;
}

/* Little endian, sign-extended. */
static int fetch(struct decoder *d, u8 size, s64 *value)
{
	u64 raw = 0;
	u8 i;

	if (d->pos + size > SLAT_INSN_MAX_LEN)
		return -EINVAL;
	if (d->pos + size > d->n)
		return -ENODATA;
	for (i = 0; i < size; i++)
		raw |= (u64)d->bytes[d->pos++] << (8 * i);
	*value = sign_extend(raw, size);
	return 0;
}

static int fetch_byte(struct decoder *d, u8 *value)
{
	s64 raw;
	int err = fetch(d, 1, &raw);

	if (!err)
		*value = raw;
	return err;
}

static int peek_byte(struct decoder *d, u8 *value)
{
	int err = fetch_byte(d, value);

	if (!err)
		d->pos--;
	return err;
}

static bool parse_prefix(struct decoder *d, struct slat_insn *insn, u8 byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		/* without effect in 64-bit mode, not even on an earlier FS or GS */
		if (d->mode != SLAT_INSN_64)
			d->seg = (byte >> 3) & 3;
		return true;
	case 0x64:
	case 0x65:
		d->seg = SLAT_SEG_FS + (byte & 1);
		return true;
	case 0x66:
		d->data_prefix = true;
		return true;
	case 0x67:
		d->addr_prefix = true;
		return true;
	case 0xf0:
		insn->flags |= SLAT_INSN_LOCK;
		return true;
	case 0xf2:
	case 0xf3:
		insn->flags &= ~(SLAT_INSN_REP | SLAT_INSN_REPNE);
		insn->flags |= byte == 0xf3 ? SLAT_INSN_REP : SLAT_INSN_REPNE;
		return true;
	}
	return false;
}

/* Up to and including the first opcode byte.  REX counts only right before it. */
static int parse_prefixes(struct decoder *d, struct slat_insn *insn, u8 *opcode)
{
	int err;

	for (;;) {
		err = fetch_byte(d, opcode);
		if (err)
			return err;
		if (d->mode == SLAT_INSN_64 && (*opcode & 0xf0) == 0x40)
			d->rex = *opcode;
		else if (parse_prefix(d, insn, *opcode))
			d->rex = 0;
		else
			break;
	}
	if (d->rex)
		insn->flags |= SLAT_INSN_REX;
	return 0;
}

static int lookup_secondary(struct decoder *d, struct opcode *e)
{
	u8 byte;
	int err = fetch_byte(d, &byte);

	if (err)
		return err;
	*e = secondary[byte];
	if (byte != 0x01)
		return 0;

	err = peek_byte(d, &byte);
	if (err || byte < 0xc0)
		return err;
	*e = system_ops[byte];
	if (!(e->flags & M))
		d->pos++;
	return 0;
}

static int lookup(struct decoder *d, u8 opcode, struct opcode *e)
{
	const struct opcode *member;
	u8 modrm;
	int err = 0;

	if (opcode == 0x0f)
		err = lookup_secondary(d, e);
	else
		*e = primary[opcode];
	if (err || !(e->flags & GRP))
		return err;

	err = peek_byte(d, &modrm);
	if (err)
		return err;
	member = &groups[e->op][(modrm >> 3) & 7];
	e->op = member->op;
	e->flags |= member->flags;
	return 0;
}

static u8 operand_size(const struct decoder *d, u32 flags)
{
	if (flags & B)
		return 1;
	if (flags & CRDR)
		return d->mode == SLAT_INSN_64 ? 8 : 4;
	if ((d->rex & REX_W) && !(flags & MAX4))
		return 8;
	if ((d->mode == SLAT_INSN_16) != d->data_prefix && !(flags & MIN4))
		return 2;
	return d->mode == SLAT_INSN_64 && (flags & D64) ? 8 : 4;
}

/* Is it an instruction that slat decodes, given its prefixes? */
static int check_form(const struct decoder *d, const struct slat_insn *insn,
		      const struct opcode *e)
{
	bool is_64 = d->mode == SLAT_INSN_64;
	u16 rep = insn->flags & (SLAT_INSN_REP | SLAT_INSN_REPNE);

	if (e->op == OP_UD || (is_64 && (e->flags & NO64)))
		return -EINVAL;
	if (e->op == SLAT_OP_NONE)
		return -EOPNOTSUPP;
	if ((e->flags & ONLY64) && (!is_64 || operand_size(d, e->flags) == 2))
		return -EOPNOTSUPP;
	if ((e->flags & NP) && (rep || d->data_prefix))
		return -EOPNOTSUPP;
	if ((e->flags & F3) && rep != SLAT_INSN_REP)
		return -EOPNOTSUPP;
	return 0;
}

static void set_sizes(const struct decoder *d, struct slat_insn *insn, u32 flags)
{
	u8 size = operand_size(d, flags);

	insn->regsize = size;
	insn->opsize = size;
	if (flags & RM0)
		insn->opsize = 0;
	else if (flags & RM1)
		insn->opsize = 1;
	else if (flags & RM2)
		insn->opsize = 2;
	else if (flags & RM4)
		insn->opsize = 4;

	switch (d->mode) {
	case SLAT_INSN_16:
		insn->addrsize = d->addr_prefix ? 4 : 2;
		break;
	case SLAT_INSN_32:
		insn->addrsize = d->addr_prefix ? 2 : 4;
		break;
	case SLAT_INSN_64:
		insn->addrsize = d->addr_prefix ? 4 : 8;
		break;
	}
}

static int parse_disp(struct decoder *d, struct slat_insn *insn, u8 mod)
{
	u8 wide = insn->addrsize == 2 ? 2 : 4;

	return mod ? fetch(d, mod == 1 ? 1 : wide, &insn->disp) : 0;
}

static int parse_mem16(struct decoder *d, struct slat_insn *insn, u8 mod, u8 rm)
{
	static const u8 base[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
	static const u8 index[8] = { RSI, RDI, RSI, RDI, NONE, NONE, NONE, NONE };

	if (mod == 0 && rm == 6)
		return parse_disp(d, insn, 2);
	insn->base = base[rm];
	insn->index = index[rm];
	return parse_disp(d, insn, mod);
}

static int parse_sib(struct decoder *d, struct slat_insn *insn, u8 *base)
{
	u8 sib;
	int err = fetch_byte(d, &sib);

	if (err)
		return err;
	*base = sib & 7;
	insn->scale = sib >> 6;
	insn->index = ((sib >> 3) & 7) | (d->rex & REX_X ? 8 : 0);
	if (insn->index == RSP) {
		insn->index = NONE;
		insn->scale = 0;
	}
	return 0;
}

static int parse_mem32(struct decoder *d, struct slat_insn *insn, u8 mod, u8 rm)
{
	u8 base = rm;
	int err;

	if (rm == RSP) {
		err = parse_sib(d, insn, &base);
		if (err)
			return err;
	}
	if (mod == 0 && base == RBP) {
		/* with a SIB byte it is plain disp32 in every mode */
		if (rm == RBP && d->mode == SLAT_INSN_64)
			insn->flags |= SLAT_INSN_RIP;
		return parse_disp(d, insn, 2);
	}
	insn->base = base | (d->rex & REX_B ? 8 : 0);
	return parse_disp(d, insn, mod);
}

static int parse_modrm(struct decoder *d, struct slat_insn *insn, u32 flags)
{
	u8 modrm, mod, rm;
	int err = fetch_byte(d, &modrm);

	if (err)
		return err;
	mod = modrm >> 6;
	rm = modrm & 7;
	insn->flags |= SLAT_INSN_MODRM;
	if (flags & R)
		insn->reg = ((modrm >> 3) & 7) | (d->rex & REX_R ? 8 : 0);

	if (mod == 3 || (flags & CRDR)) {
		insn->rm = rm | (d->rex & REX_B ? 8 : 0);
		return flags & MO ? -EINVAL : 0;
	}
	insn->flags |= SLAT_INSN_MEM;
	if (insn->addrsize == 2)
		return parse_mem16(d, insn, mod, rm);
	return parse_mem32(d, insn, mod, rm);
}

static int parse_string(struct slat_insn *insn, u32 flags)
{
	insn->flags |= SLAT_INSN_MEM;
	if (flags & SRC)
		insn->flags |= SLAT_INSN_STR_SRC;
	if (flags & DST)
		insn->flags |= SLAT_INSN_STR_DST;
	insn->base = flags & SRC ? RSI : RDI;
	return 0;
}

static int parse_operands(struct decoder *d, struct slat_insn *insn, u32 flags)
{
	if (flags & D)
		insn->flags |= SLAT_INSN_REG_DST;
	if (flags & A)
		insn->reg = RAX;
	if (flags & M)
		return parse_modrm(d, insn, flags);
	if (flags & (SRC | DST))
		return parse_string(insn, flags);
	if (flags & OFFS) {
		insn->flags |= SLAT_INSN_MEM;
		return fetch(d, insn->addrsize, &insn->disp);
	}
	return 0;
}

static int parse_imm(struct decoder *d, struct slat_insn *insn, u32 flags)
{
	u8 size = 1;
	s64 imm;
	int err;

	if (!(flags & (IB | IU | IZ)))
		return 0;
	if (flags & IZ)
		size = insn->opsize > 4 ? 4 : insn->opsize;
	err = fetch(d, size, &imm);
	if (err)
		return err;
	insn->imm = flags & IU ? (u8)imm : (u64)imm;
	insn->flags |= SLAT_INSN_IMM;
	return 0;
}

/* Without REX, byte registers 4..7 are the second bytes of 0..3. */
static void fix_high_bytes(struct slat_insn *insn)
{
	if (insn->flags & SLAT_INSN_REX)
		return;
	if (insn->regsize == 1 && insn->reg != NONE && insn->reg >= 4) {
		insn->reg -= 4;
		insn->flags |= SLAT_INSN_HIGH_REG;
	}
	if (insn->opsize == 1 && insn->rm != NONE && insn->rm >= 4) {
		insn->rm -= 4;
		insn->flags |= SLAT_INSN_HIGH_RM;
	}
}

static u8 segment(const struct decoder *d, const struct slat_insn *insn)
{
	if ((insn->flags & SLAT_INSN_STR_DST) && !(insn->flags & SLAT_INSN_STR_SRC))
		return SLAT_SEG_ES;
	if (d->seg != NONE)
		return d->seg;
	return insn->base == RSP || insn->base == RBP ? SLAT_SEG_SS : SLAT_SEG_DS;
}

/* What is #UD only because of its operands. */
static int check_operands(struct slat_insn *insn, u32 flags)
{
	/* AMD: LOCK is how CR8 is reached without REX */
	if (insn->op == SLAT_OP_MOV_CR && (insn->flags & SLAT_INSN_LOCK) && insn->reg == 0)
		insn->reg = 8;
	else if ((insn->flags & SLAT_INSN_LOCK) &&
		 !((flags & LK) && (insn->flags & SLAT_INSN_MEM)))
		return -EINVAL;

	if (insn->op == SLAT_OP_MOV_CR && !(BIT(insn->reg) & 0x11d))
		return -EINVAL;
	if (insn->op == SLAT_OP_MOV_DR && insn->reg > 7)
		return -EINVAL;
	return 0;
}

int slat_insn_decode(struct slat_insn *insn, const u8 *bytes, unsigned int n,
		     enum slat_insn_mode mode)
{
	struct decoder d = { .bytes = bytes, .n = n, .mode = mode, .seg = NONE };
	struct opcode e = {};
	u8 opcode;
	int err;

	*insn = (struct slat_insn){ .reg = NONE, .rm = NONE, .base = NONE, .index = NONE };
	err = parse_prefixes(&d, insn, &opcode);
	if (!err)
		err = lookup(&d, opcode, &e);
	if (!err)
		err = check_form(&d, insn, &e);
	if (err)
		return err;

	insn->op = e.op;
	set_sizes(&d, insn, e.flags);
	err = parse_operands(&d, insn, e.flags);
	if (!err)
		err = parse_imm(&d, insn, e.flags);
	if (!err)
		err = check_operands(insn, e.flags);
	if (err)
		return err;

	fix_high_bytes(insn);
	insn->seg = segment(&d, insn);
	insn->len = d.pos;
	return 0;
}

/* The bit number is signed and reaches beyond the operand. */
static u64 bit_string_offset(const struct slat_insn *insn, const u64 gpr[16])
{
	s64 bit = sign_extend(gpr[insn->reg], insn->opsize);

	return (bit >> 3) & -(s64)insn->opsize;
}

u64 slat_insn_ea(const struct slat_insn *insn, const u64 gpr[16], u64 next_rip)
{
	u64 ea = insn->disp;

	if (insn->flags & SLAT_INSN_RIP)
		ea += next_rip;
	if (insn->base != NONE)
		ea += gpr[insn->base];
	if (insn->index != NONE)
		ea += gpr[insn->index] << insn->scale;
	if (insn->op >= SLAT_OP_BT && insn->op <= SLAT_OP_BTC && insn->reg != NONE)
		ea += bit_string_offset(insn, gpr);
	return ea & slat_size_mask(insn->addrsize);
}

u64 slat_insn_string_dst(const struct slat_insn *insn, const u64 gpr[16])
{
	return gpr[RDI] & slat_size_mask(insn->addrsize);
}

u64 slat_insn_get_reg(const u64 gpr[16], u8 reg, u8 size, bool high)
{
	return (gpr[reg] >> (high ? 8 : 0)) & slat_size_mask(size);
}

u64 slat_insn_set_reg(u64 old, u8 size, bool high, u64 value)
{
	u64 mask = slat_size_mask(size) << (high ? 8 : 0);

	if (high)
		value <<= 8;
	if (size == 4)
		old = 0;
	return (old & ~mask) | (value & mask);
}
