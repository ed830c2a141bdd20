// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder against objdump, on random bytes: odd prefixes, redundant
 * encodings and everything else that an assembler does not write.
 */
#include <ctype.h>
#include <kselftest_harness.h>

#include "emulate.h"

#define SAMPLES		40000
#define SLOT		32		/* bytes per sample; NOPs after it let objdump find back */
#define NO_REG		SLAT_INSN_NO_REG

static const char *const mnemonics[SLAT_OP_COUNT] = {
	[SLAT_OP_ADD] = "add", [SLAT_OP_OR] = "or", [SLAT_OP_ADC] = "adc",
	[SLAT_OP_SBB] = "sbb", [SLAT_OP_AND] = "and", [SLAT_OP_SUB] = "sub",
	[SLAT_OP_XOR] = "xor", [SLAT_OP_CMP] = "cmp", [SLAT_OP_TEST] = "test",
	[SLAT_OP_INC] = "inc", [SLAT_OP_DEC] = "dec", [SLAT_OP_NOT] = "not",
	[SLAT_OP_NEG] = "neg", [SLAT_OP_BT] = "bt", [SLAT_OP_BTS] = "bts",
	[SLAT_OP_BTR] = "btr", [SLAT_OP_BTC] = "btc", [SLAT_OP_MOV] = "mov movabs movnti",
	[SLAT_OP_MOVZX] = "movzx", [SLAT_OP_MOVSX] = "movsx movsxd",
	[SLAT_OP_XCHG] = "xchg", [SLAT_OP_XADD] = "xadd", [SLAT_OP_CMPXCHG] = "cmpxchg",
	[SLAT_OP_PUSH] = "push pushw",
	[SLAT_OP_MOVS] = "movs", [SLAT_OP_CMPS] = "cmps", [SLAT_OP_STOS] = "stos",
	[SLAT_OP_LODS] = "lods", [SLAT_OP_SCAS] = "scas", [SLAT_OP_INS] = "ins",
	[SLAT_OP_OUTS] = "outs", [SLAT_OP_IN] = "in", [SLAT_OP_OUT] = "out",
	[SLAT_OP_MOV_CR] = "mov", [SLAT_OP_MOV_DR] = "mov", [SLAT_OP_CLTS] = "clts",
	[SLAT_OP_LMSW] = "lmsw", [SLAT_OP_SMSW] = "smsw", [SLAT_OP_INVLPG] = "invlpg",
	[SLAT_OP_CPUID] = "cpuid", [SLAT_OP_HLT] = "hlt", [SLAT_OP_PAUSE] = "pause",
	[SLAT_OP_RDMSR] = "rdmsr", [SLAT_OP_WRMSR] = "wrmsr", [SLAT_OP_RDTSC] = "rdtsc",
	[SLAT_OP_RDTSCP] = "rdtscp", [SLAT_OP_RDPMC] = "rdpmc", [SLAT_OP_INVD] = "invd",
	[SLAT_OP_WBINVD] = "wbinvd wbnoinvd", [SLAT_OP_MONITOR] = "monitor monitorx",
	[SLAT_OP_MWAIT] = "mwait mwaitx", [SLAT_OP_XSETBV] = "xsetbv", [SLAT_OP_RSM] = "rsm",
	[SLAT_OP_VMMCALL] = "vmmcall vmgexit", [SLAT_OP_VMCALL] = "vmcall",
	[SLAT_OP_VMRUN] = "vmrun", [SLAT_OP_VMLOAD] = "vmload", [SLAT_OP_VMSAVE] = "vmsave",
	[SLAT_OP_STGI] = "stgi", [SLAT_OP_CLGI] = "clgi", [SLAT_OP_SKINIT] = "skinit",
	[SLAT_OP_INVLPGA] = "invlpga", [SLAT_OP_INT] = "int", [SLAT_OP_INT3] = "int3",
	[SLAT_OP_INT1] = "int1 icebp", [SLAT_OP_INTO] = "into",
	[SLAT_OP_IRET] = "iret iretw iretd iretq", [SLAT_OP_PUSHF] = "pushf pushfw pushfd pushfq",
	[SLAT_OP_POPF] = "popf popfw popfd popfq",
};

static const char *const prefixes =
	"data16 data32 addr16 addr32 lock rep repz repnz es cs ss ds fs gs xacquire xrelease bnd "
	"notrack rex rex.B rex.X rex.XB rex.R rex.RB rex.RX rex.RXB rex.W rex.WB rex.WX rex.WXB "
	"rex.WR rex.WRB rex.WRX rex.WRXB";

struct sample {
	u8 bytes[SLAT_INSN_MAX_LEN];
	int err;
	struct slat_insn insn;
	/* objdump's */
	unsigned int len;
	bool split;
	char text[120];
};

static struct sample samples[SAMPLES];
static u64 rng_state;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state >> 8;
}

/* Prefixes and two-byte opcodes are too rare in plain random bytes. */
static void make_sample(struct sample *s, enum slat_insn_mode mode)
{
	static const u8 common[] = "\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65\x48\x41\x4c\x47";
	unsigned int i, n = rng() % 4;

	for (i = 0; i < sizeof(s->bytes); i++)
		s->bytes[i] = rng();
	for (i = 0; i < n; i++)
		s->bytes[i] = common[rng() % (sizeof(common) - 1)];
	if (rng() % 3 == 0)
		s->bytes[i++] = 0x0f;
	if (rng() % 16 == 0)
		s->bytes[i] = 0x01;
	s->err = slat_insn_decode(&s->insn, s->bytes, sizeof(s->bytes), mode);
}

static bool word_in(const char *word, size_t len, const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, " ");

		if (n == len && !strncmp(word, list, n))
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

/* The mnemonic, or the end if there are only prefixes. */
static const char *skip_prefixes(const char *text)
{
	size_t n;

	while ((n = strcspn(text, " ")) && word_in(text, n, prefixes)) {
		text += n;
		text += strspn(text, " ");
	}
	return text;
}

static void write_samples(FILE *f)
{
	unsigned int i, n;
	u8 slot[SLOT];

	for (i = 0; i < SAMPLES; i++) {
		n = samples[i].err ? sizeof(samples[i].bytes) : samples[i].insn.len;
		memset(slot, 0x90, sizeof(slot));
		memcpy(slot, samples[i].bytes, n);
		fwrite(slot, sizeof(slot), 1, f);
	}
}

/* "  a0:\t48 8b 03             \tmov    rax,QWORD PTR [rbx]" */
static bool parse_line(const char *line, u64 *addr, unsigned int *len, const char **text)
{
	char *end;

	*addr = strtoull(line, &end, 16);
	if (end == line || strncmp(end, ":\t", 2))
		return false;
	for (*len = 0, end += 2; isxdigit(end[0]) && isxdigit(end[1]); end += 3)
		++*len;
	end += strspn(end, " ");
	*text = end + (*end == '\t');
	return true;
}

/*
 * objdump prints prefixes up to a REX that is not the last one as an
 * instruction of its own, and forgets what they did.
 */
static void read_samples(FILE *f)
{
	bool open = false;
	unsigned int len;
	const char *text;
	struct sample *s;
	char line[256];
	u64 addr;

	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n#")] = 0;
		if (!parse_line(line, &addr, &len, &text) || addr / SLOT >= SAMPLES)
			continue;
		s = &samples[addr / SLOT];
		if (addr % SLOT == 0)
			open = true;
		if (!open)
			continue;
		s->len = addr % SLOT + len;
		snprintf(s->text, sizeof(s->text), "%s", text);
		open = !*skip_prefixes(text);
		s->split |= open;
	}
}

static bool disassemble(enum slat_insn_mode mode)
{
	static const char *const machine[] = {
		"-m i8086 -M intel", "-m i386 -M intel", "-m i386:x86-64 -M intel",
	};
	char path[] = "/tmp/slat-objdump-XXXXXX", command[160];
	FILE *f = fdopen(mkstemp(path), "w");

	write_samples(f);
	fclose(f);
	snprintf(command, sizeof(command), "objdump -D -z -w -b binary %s %s", machine[mode], path);
	f = popen(command, "r");
	read_samples(f);
	unlink(path);
	return pclose(f) == 0;
}

static bool reg_name(char *name, u8 reg, u8 size, bool high, bool rex)
{
	static const char *const base[] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" };
	static const char *const suffix[] = { [1] = "b", [2] = "w", [4] = "d", [8] = "" };
	static const char *const prefix[] = { [2] = "", [4] = "e", [8] = "r" };

	if (high)
		return sprintf(name, "%ch", "acdb"[reg & 3]);
	if (reg >= 8)
		return sprintf(name, "r%u%s", reg, suffix[size]);
	if (size == 1)
		return sprintf(name, "%.*sl", reg < 4 ? 1 : 2, base[reg]) && (reg < 4 || rex);
	return sprintf(name, "%s%s", prefix[size], base[reg]);
}

/* Number of the register that starts at @text, by its name in @size bytes. */
static u8 reg_number(const char *text, size_t len, u8 size)
{
	char name[8];
	u8 reg;

	for (reg = 0; reg < 16; reg++) {
		reg_name(name, reg, size, false, true);
		if (strlen(name) == len && !strncmp(text, name, len))
			return reg;
	}
	return NO_REG;
}

struct mem {
	u8 base, index, scale;
	bool rip;
	u64 disp;
};

/* One term of [base+index*scale+disp]. */
static void parse_term(struct mem *mem, const char *term, size_t len, bool minus, u8 addrsize)
{
	const char *star = memchr(term, '*', len);
	size_t name = star ? (size_t)(star - term) : len;
	u8 reg = reg_number(term, name, addrsize);

	if (!strncmp(term, "0x", 2))
		mem->disp += minus ? -strtoull(term, NULL, 16) : strtoull(term, NULL, 16);
	else if (len == 3 && !strncmp(term + 1, "ip", 2))
		mem->rip = true;
	else if (reg == NO_REG)
		;				/* eiz and riz: no index */
	else if (!star && mem->base == NO_REG)
		mem->base = reg;
	else
		mem->index = reg;
	if (star && reg != NO_REG)
		mem->scale = __builtin_ctz(atoi(star + 1));
}

static bool mem_agrees(const struct slat_insn *insn, const char *text, enum slat_insn_mode mode)
{
	static const char *const names[] = { "es:", "cs:", "ss:", "ds:", "fs:", "gs:" };
	struct mem mem = { NO_REG, NO_REG, 0, false, 0 };
	const char *open = strchr(text, '[');
	u64 mask = ~0ull >> (64 - 8 * insn->addrsize);
	u8 seg, want;
	size_t n;

	for (seg = 0; seg < 6 && !strstr(text, names[seg]); seg++)
		;
	if (open) {
		for (open++; *open && *open != ']'; open += n) {
			bool minus = *open == '-';

			open += minus || *open == '+';
			n = strcspn(open, "+-]");
			parse_term(&mem, open, n, minus, insn->addrsize);
		}
	} else {
		if (seg == 6)
			return false;
		mem.disp = strtoull(strstr(text, names[seg]) + 3, NULL, 16);
	}
	want = mem.base == 4 || mem.base == 5 ? SLAT_SEG_SS : SLAT_SEG_DS;
	if (seg < 6 && (mode != SLAT_INSN_64 || seg >= SLAT_SEG_FS))
		want = seg;
	return insn->base == mem.base && insn->index == mem.index && insn->scale == mem.scale &&
	       insn->seg == want && !((insn->disp ^ mem.disp) & mask) &&
	       mem.rip == !!(insn->flags & SLAT_INSN_RIP);
}

static bool size_agrees(const struct slat_insn *insn, const char *text)
{
	static const char *const names[] = {
		[1] = "BYTE PTR", [2] = "WORD PTR", [4] = "DWORD PTR", [8] = "QWORD PTR",
	};
	const char *found = strstr(text, " PTR");

	while (found && found > text && isalpha(found[-1]))
		found--;
	return !found || !insn->opsize ||
	       !strncmp(found, names[insn->opsize], strlen(names[insn->opsize]));
}

/* Operand 0 or 1 is that register. */
static bool reg_agrees(const char *operands, int nr, u8 reg, u8 size, bool high, bool rex)
{
	const char *comma = strchr(operands, ',');
	const char *start = nr ? comma + 1 : operands;
	char name[8];

	if (nr && !comma)
		return false;
	return reg_name(name, reg, size, high, rex) && !strncmp(start, name, strlen(name)) &&
	       !isalnum(start[strlen(name)]);
}

static bool special_agrees(const struct slat_insn *insn, const char *operands, char kind)
{
	char name[8];
	const char *found;

	sprintf(name, "%cr%u", kind, insn->reg);
	found = strstr(operands, name);
	/* AMD has LOCK instead of REX.R in all modes, objdump only outside 64-bit mode */
	if (!found && insn->reg == 8 && (insn->flags & SLAT_INSN_LOCK))
		found = strstr(operands, "cr0");
	return found && (found == operands) == !!(insn->flags & SLAT_INSN_REG_DST) &&
	       reg_agrees(operands, found == operands, insn->rm, insn->opsize, false, true);
}

static bool operands_agree(const struct slat_insn *insn, const char *text,
			   enum slat_insn_mode mode)
{
	const char *operands = text + strcspn(text, " ");
	bool dst = insn->flags & SLAT_INSN_REG_DST, rex = insn->flags & SLAT_INSN_REX;
	const char *last = strrchr(text, ',');
	u64 mask = ~0ull >> (64 - 8 * (insn->opsize ?: 8));

	operands += strspn(operands, " ");
	if (insn->op == SLAT_OP_MOV_CR || insn->op == SLAT_OP_MOV_DR)
		return special_agrees(insn, operands, insn->op == SLAT_OP_MOV_CR ? 'c' : 'd');
	if (!(insn->flags & SLAT_INSN_MODRM))
		return true;
	if (insn->reg != NO_REG && !reg_agrees(operands, !dst, insn->reg, insn->regsize,
					       insn->flags & SLAT_INSN_HIGH_REG, rex))
		return false;
	if (insn->rm != NO_REG && !reg_agrees(operands, dst, insn->rm, insn->opsize,
					      insn->flags & SLAT_INSN_HIGH_RM, rex))
		return false;
	if ((insn->flags & SLAT_INSN_IMM) &&
	    (!last || ((strtoull(last + 1, NULL, 16) ^ insn->imm) & mask)))
		return false;
	if (!(insn->flags & SLAT_INSN_MEM))
		return true;
	return mem_agrees(insn, text, mode) && size_agrees(insn, text);
}

static bool sample_agrees(const struct sample *s, enum slat_insn_mode mode)
{
	const char *text = skip_prefixes(s->text);

	/* these are asked for only after their exit: what 66 and F2 make of them is the CPU's */
	if ((s->insn.op == SLAT_OP_WBINVD || s->insn.op == SLAT_OP_VMMCALL) &&
	    !strcmp(text, "(bad)"))
		return true;
	return s->insn.len == s->len &&
	       word_in(text, strcspn(text, " "), mnemonics[s->insn.op]) &&
	       operands_agree(&s->insn, text, mode);
}

/* ES..GS, or the ? that objdump prints for those above */
static bool is_segment(const char *operand)
{
	return *operand == '?' || (strchr("ecsdfg", operand[0]) && operand[1] == 's');
}

/* Does objdump show a memory form, or a fixed form, that should have been decoded? */
static bool wrongly_refused(const struct sample *s)
{
	const char *text = skip_prefixes(s->text);
	size_t n = strcspn(text, " ");
	const char *operands = text + n + strspn(text + n, " ");
	const char *comma = strrchr(operands, ',');
	unsigned int op;

	for (op = 1; op < SLAT_OP_COUNT && !word_in(text, n, mnemonics[op]); op++)
		;
	if (op == SLAT_OP_COUNT || strstr(text, "bad"))
		return false;
	if (s->len > SLAT_INSN_MAX_LEN || memchr(s->bytes, 0xf0, s->len))
		return false;
	if (*operands && !strchr(operands, '['))
		return false;
	/* with 66, refused on purpose */
	if (word_in(text, n, "movsxd") && memchr(s->bytes, 0x66, s->len))
		return false;
	return op != SLAT_OP_MOV || !(is_segment(operands) || (comma && is_segment(comma + 1)));
}

static void print_sample(const struct sample *s)
{
	unsigned int i;

	fprintf(stderr, "#  ");
	for (i = 0; i < (s->err ? sizeof(s->bytes) : s->insn.len); i++)
		fprintf(stderr, " %02x", s->bytes[i]);
	fprintf(stderr, ": %d len %u op %u, objdump %u %s\n", s->err, s->insn.len, s->insn.op,
		s->len, s->text);
}

FIXTURE(objdump) {
	enum slat_insn_mode mode;
};

FIXTURE_VARIANT(objdump) {
	enum slat_insn_mode mode;
};

FIXTURE_VARIANT_ADD(objdump, 16) { SLAT_INSN_16 };
FIXTURE_VARIANT_ADD(objdump, 32) { SLAT_INSN_32 };
FIXTURE_VARIANT_ADD(objdump, 64) { SLAT_INSN_64 };

FIXTURE_SETUP(objdump)
{
	const char *seed = getenv("SLAT_SEED");
	unsigned int i;

	self->mode = variant->mode;
	rng_state = 0x9e3779b97f4a7c15 * (seed ? strtoull(seed, NULL, 0) : 1) + 1 + self->mode;
	for (i = 0; i < SAMPLES; i++)
		make_sample(&samples[i], self->mode);
	ASSERT_TRUE(disassemble(self->mode));
}

FIXTURE_TEARDOWN(objdump)
{
}

TEST_F(objdump, decoded)
{
	unsigned int i, bad = 0, good = 0;

	for (i = 0; i < SAMPLES && bad < 20; i++) {
		if (samples[i].err || samples[i].split)
			continue;
		if (sample_agrees(&samples[i], self->mode)) {
			good++;
			continue;
		}
		bad++;
		print_sample(&samples[i]);
	}
	EXPECT_EQ(0, bad);
	EXPECT_GT(good, SAMPLES / 10);
	fprintf(stderr, "# %u agree\n", good);
}

TEST_F(objdump, refused)
{
	unsigned int i, bad = 0;

	for (i = 0; i < SAMPLES && bad < 20; i++) {
		if (!samples[i].err || samples[i].split || !wrongly_refused(&samples[i]))
			continue;
		bad++;
		print_sample(&samples[i]);
	}
	EXPECT_EQ(0, bad);
}

int main(int argc, char **argv)
{
	if (system("objdump --version > /dev/null 2>&1"))
		ksft_exit_skip("no objdump\n");
	return test_harness_run(argc, argv);
}
