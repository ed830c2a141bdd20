// SPDX-License-Identifier: GPL-2.0-only
/*
 * paging.c against a model: tables with random rights, defects and bits on the way to
 * one address, and what the manuals say a CPU does with them.
 */
#include <linux/uaccess.h>
#include <kselftest_harness.h>

#include "access.h"
#include "entry.h"

#define SAMPLES		200000

#define TABLES		0x7000000ul	/* gpa */
#define NOWHERE		0x9000000ul
#define NR_TABLES	6

enum { PRESENT = 1, WRITE = 2, USER = 4, RESERVED = 8, FETCH = 16 };	/* error code */

struct sample {
	struct slat_mode mode;
	unsigned int levels, leaf, width, access;
	bool user, pse, nxe, wp, smep, smap, ac, rom;
	u64 linear;

	/* what is found on the way down */
	u64 at[6], entry[6];		/* by level; @at counts from TABLES */
	unsigned int lowest;
	bool all_user, all_write, any_nx;

	/* what has to come of it */
	bool fault;
	u32 error;
	u64 gpa;
};

FIXTURE(paging)
{
	struct slat_vm vm;
	struct slat_vcpu vcpu;
	u8 tables[NR_TABLES * PAGE_SIZE];
	u8 before[NR_TABLES * PAGE_SIZE];
	u8 want[NR_TABLES * PAGE_SIZE];
};

FIXTURE_SETUP(paging)
{
	self->vcpu.vm = &self->vm;
	self->vm.slot[0] = (struct slat_slot){
		TABLES >> PAGE_SHIFT, NR_TABLES, (unsigned long)self->tables, 0
	};
}

FIXTURE_TEARDOWN(paging)
{
}

static bool coin(void)
{
	return shim_one_in(2);
}

static u64 sign_extend(u64 value, unsigned int bits)
{
	return (s64)(value << (64 - bits)) >> (64 - bits);
}

static void choose_mode(struct sample *s)
{
	static const unsigned int widths[] = { 32, 36, 40, 48, 52 };
	struct slat_mode *mode = &s->mode;

	s->levels = 2 + shim_random() % 4;
	s->width = widths[shim_random() % 5];
	s->user = coin();
	s->pse = coin();
	s->nxe = coin();
	s->wp = coin();
	s->smep = coin();
	s->smap = coin();
	s->ac = coin();
	s->rom = shim_one_in(20);
	s->access = (unsigned int []){ SLAT_R, SLAT_W, SLAT_R | SLAT_W, SLAT_X }[shim_random() % 4];

	mode->cpl = s->user ? 3 : shim_random() % 3;
	mode->cr0 = X86_CR0_PE | X86_CR0_PG | (s->wp ? X86_CR0_WP : 0);
	mode->cr4 = (s->pse ? X86_CR4_PSE : 0) | (s->smep ? X86_CR4_SMEP : 0) |
		    (s->smap ? X86_CR4_SMAP : 0) | (s->levels > 2 ? X86_CR4_PAE : 0) |
		    (s->levels == 5 ? X86_CR4_LA57 : 0);
	mode->efer = (s->nxe ? EFER_NX : 0) | (s->levels > 3 ? EFER_LMA : 0);
	mode->cs_l = s->levels > 3 && coin();
}

static void choose_address(struct sample *s)
{
	u64 any = shim_random() << 3;

	s->linear = s->mode.cs_l ? sign_extend(any, s->levels == 5 ? 57 : 48) : (u32)any;
	if (s->levels == 2)
		s->leaf = s->pse && coin() ? 2 : 1;
	else
		s->leaf = 1 + shim_random() % (s->levels == 3 ? 2 : 3);
	/* the root of PAE is only 32 bytes */
	s->mode.cr3 = TABLES;
	if (s->levels == 3)
		s->mode.cr3 += 32 * (shim_random() % 128);
	else if (s->levels == 2)
		s->mode.cr3 += shim_random() % PAGE_SIZE;
	else
		s->mode.cr3 += shim_random() & 0x18;
}

/* Entries of 4 bytes: no NX, 4M pages with the upper address bits in the middle. */
static u64 leaf_32(struct sample *s, unsigned int level)
{
	u64 high = shim_random() & 0xff;
	u64 low = shim_random() & 0xffc00000;

	if (level == 1) {
		low = shim_random() & 0xfffff000;
		s->gpa = low | (s->linear & 0xfff);
		return low | (coin() ? 0x80 : 0);
	}
	if (s->width < 40)
		high &= (1 << (s->width - 32)) - 1;
	s->gpa = high << 32 | low | (s->linear & 0x3fffff);
	return low | high << 13 | 0x80 | (coin() ? 0x1000 : 0);
}

static u64 leaf_64(struct sample *s, unsigned int level)
{
	u64 size = 1ul << (12 + 9 * (level - 1));
	u64 frame = shim_random() & ((1ul << s->width) - 1) & -size;

	s->gpa = frame | (s->linear & (size - 1));
	/* PAT, or a large page whose PAT is elsewhere */
	if (level == 1)
		return frame | (coin() ? 0x80 : 0);
	return frame | 0x80 | (coin() ? 0x1000 : 0);
}

/* A bit that must be 0 in this entry, or 0 if there is none. */
static u64 reserved_bit(const struct sample *s, unsigned int level)
{
	bool leaf = level == s->leaf;

	if (s->levels == 2)
		return leaf && level == 2 ? 1 << 21 : 0;
	if (s->width < 52 && coin())
		return 1ul << (s->width + shim_random() % (52 - s->width));
	if (!s->nxe && coin())
		return 1ul << 63;
	if (s->levels == 3 && level == 3 && coin())
		return 1ul << (unsigned int []){ 1, 2, 6, 7, 8 }[shim_random() % 5];
	if (s->levels == 3)
		return 1ul << (52 + shim_random() % 11);
	if (level >= 4)
		return 1 << 7;
	if (leaf && level > 1)
		return 1ul << (13 + shim_random() % (level == 2 ? 8 : 17));
	return 0;
}

/* The entry of this level; notes what it grants. */
static u64 make_entry(struct sample *s, unsigned int level, u64 next)
{
	bool pae_root = s->levels == 3 && level == 3;
	bool user = !shim_one_in(8), write = !shim_one_in(8), nx = false;
	u64 entry = next | PRESENT;

	if (level == s->leaf)
		entry = PRESENT | (s->levels == 2 ? leaf_32(s, level) : leaf_64(s, level));
	else if (s->levels == 2 && !s->pse && coin())
		entry |= 0x80;		/* ignored */
	if (!pae_root) {
		nx = s->levels > 2 && s->nxe && shim_one_in(8);
		entry |= (user ? 4 : 0) | (write ? 2 : 0) | (nx ? 1ul << 63 : 0);
		entry |= (coin() ? 0x20 : 0) | (coin() ? 0x40 : 0);
		s->all_user &= user;
		s->all_write &= write;
		s->any_nx |= nx;
	}
	return entry;
}

static void put_entry(const struct sample *s, u8 *tables, unsigned int level)
{
	memcpy(tables + s->at[level], &s->entry[level], s->levels == 2 ? 4 : 8);
}

static void set_fault(struct sample *s, u32 error)
{
	s->fault = true;
	s->error = error;
}

/* One level down.  Return: the next table. */
static u64 descend(struct sample *s, u8 *tables, unsigned int level, u64 table)
{
	unsigned int bits = s->levels == 2 ? 10 : 9;
	u64 index = s->linear >> (12 + bits * (level - 1)) & ((1 << bits) - 1);
	u64 next = shim_one_in(80) ? NOWHERE : TABLES + (s->levels - level + 1) * PAGE_SIZE;
	u64 reserved = shim_one_in(30) ? reserved_bit(s, level) : 0;
	bool absent = shim_one_in(40);

	s->lowest = level;
	s->at[level] = table - TABLES + index * (s->levels == 2 ? 4 : 8);
	s->entry[level] = (make_entry(s, level, next) | reserved) & ~(u64)absent;
	put_entry(s, tables, level);
	if (absent)
		set_fault(s, 0);
	else if (reserved)
		set_fault(s, PRESENT | RESERVED);
	else if (level > s->leaf && next == NOWHERE)
		set_fault(s, 0);
	return next;
}

static void make_tables(struct sample *s, u8 *tables)
{
	u64 table = s->mode.cr3 & (s->levels == 3 ? ~31ul : ~0xffful);
	unsigned int level;

	s->all_user = s->all_write = true;
	for (level = s->levels; level >= s->leaf && !s->fault; level--)
		table = descend(s, tables, level, table);
}

static bool is_denied(const struct sample *s)
{
	bool supervisor_on_user = !s->user && s->all_user;

	if (s->user && !s->all_user)
		return true;
	if ((s->access & SLAT_W) && !s->all_write && (s->user || s->wp))
		return true;
	if (s->access == SLAT_X)
		return s->any_nx || (supervisor_on_user && s->smep);
	return supervisor_on_user && s->smap && !s->ac;
}

static void complete_error(struct sample *s)
{
	if (s->access & SLAT_W)
		s->error |= WRITE;
	if (s->user)
		s->error |= USER;
	if (s->access == SLAT_X && (s->smep || (s->nxe && s->levels > 2)))
		s->error |= FETCH;
}

/* A and D, only when the access is allowed.  ROM stays as it is. */
static void mark_used(const struct sample *s, u8 *tables)
{
	unsigned int level;

	if (s->fault || s->rom)
		return;
	for (level = s->levels; level >= s->lowest; level--) {
		if (s->levels == 3 && level == 3)
			continue;
		tables[s->at[level]] |= 0x20;
		if (level == s->lowest && (s->access & SLAT_W))
			tables[s->at[level]] |= 0x40;
	}
}

static void make_sample(struct sample *s, u8 *tables)
{
	*s = (struct sample){};
	memset(tables, 0, NR_TABLES * PAGE_SIZE);
	choose_mode(s);
	choose_address(s);
	make_tables(s, tables);
	if (!s->fault && is_denied(s))
		set_fault(s, PRESENT);
	if (s->fault)
		complete_error(s);
}

#define CR2_BEFORE	0x123u

/* @tries: by slat_translate_try() */
static bool agrees(const struct sample *s, const struct slat_vcpu *vcpu, bool tries, int ret,
		   u64 gpa)
{
	if (!s->fault)
		return !ret && gpa == s->gpa && !vcpu->events.exception.pending;
	if (tries)
		return ret == -ENOENT && !vcpu->events.exception.pending && vcpu->cr2 == CR2_BEFORE;
	return ret == SLAT_INJECTED && vcpu->events.exception.pending && vcpu->events.exception.vector == 14 &&
	       vcpu->events.exception.error == s->error && vcpu->cr2 == s->linear;
}

/* D4: tables that were written are in the dirty log, and no others. */
static bool marks_agree(const u8 *before, const u8 *after)
{
	unsigned int table, i;

	for (table = 0; table < NR_TABLES; table++) {
		const bool changed = memcmp(before + table * PAGE_SIZE, after + table * PAGE_SIZE,
					    PAGE_SIZE);
		bool marked = false;

		for (i = 0; i < shim_nr_marked; i++)
			marked |= shim_marked[i] == TABLES / PAGE_SIZE + table;
		if (marked != changed)
			return false;
	}
	return shim_nr_marked <= NR_TABLES;
}

TEST_F(paging, as_the_model)
{
	struct slat_vcpu *vcpu = &self->vcpu;
	unsigned int i, faults = 0;
	struct sample s;
	bool tries;
	u64 gpa;
	int ret;

	for (i = 0; i < SAMPLES; i++) {
		tries = coin();
		make_sample(&s, self->tables);
		memcpy(self->want, self->tables, sizeof(self->want));
		memcpy(self->before, self->tables, sizeof(self->before));
		mark_used(&s, self->want);

		self->vm.slot[0].flags = s.rom ? KVM_MEM_READONLY : 0;
		vcpu->events.exception.pending = false;
		vcpu->cr2 = CR2_BEFORE;
		vcpu->mode = s.mode;
		vcpu->limits.phys_bits = s.width;
		vcpu->rflags = s.ac ? X86_EFLAGS_AC : 0;
		shim_lost_races = shim_one_in(4) ? shim_random() % 8 : 0;
		shim_claims = shim_one_in(4) ? shim_random() % 8 : 0;
		shim_nr_marked = 0;
		/* outside 64-bit mode the upper half does not count */
		gpa = s.mode.cs_l ? 0 : shim_random() << 32;
		ret = (tries ? slat_translate_try : slat_translate)(vcpu, s.linear | gpa, s.access, &gpa);
		ASSERT_TRUE(agrees(&s, vcpu, tries, ret, gpa)) {
			TH_LOG("sample %u: %u levels, leaf %u, access %u, cpl %u, linear %llx", i,
			       s.levels, s.leaf, s.access, s.mode.cpl, s.linear);
			TH_LOG("gpa %llx, not %llx; error %x, not %x", gpa, s.gpa,
			       vcpu->events.exception.error, s.error);
		}
		ASSERT_EQ(0, memcmp(self->want, self->tables, sizeof(self->want)));
		ASSERT_TRUE(marks_agree(self->before, self->tables));
		ASSERT_EQ(0, self->vm.slots_srcu);
		ASSERT_EQ(0, vcpu->nr_guards);
		faults += s.fault;
	}
	TH_LOG("%u of %u fault", faults, SAMPLES);
}

/* A guest that keeps changing its tables is sent back to try again. */
TEST_F(paging, endless_race)
{
	u64 entry = TABLES | 7, gpa;

	self->vcpu.mode = (struct slat_mode){
		.cr0 = X86_CR0_PE | X86_CR0_PG, .cr4 = X86_CR4_PAE, .cr3 = TABLES, .efer = EFER_LMA,
	};
	self->vcpu.limits.phys_bits = 40;
	memcpy(self->tables, &entry, sizeof(entry));
	shim_lost_races = -1;
	EXPECT_EQ(SLAT_INJECTED, slat_translate(&self->vcpu, 0, SLAT_R, &gpa));
	EXPECT_FALSE(self->vcpu.events.exception.pending);
	EXPECT_EQ(0, self->vm.slots_srcu);
	EXPECT_EQ(0, self->vcpu.nr_guards);
	shim_lost_races = 0;
	EXPECT_EQ(0, slat_translate(&self->vcpu, 0x123, SLAT_R, &gpa));
	EXPECT_EQ(TABLES + 0x123, gpa);
}

TEST_F(paging, off)
{
	u64 gpa;

	EXPECT_EQ(0, slat_translate(&self->vcpu, 0x1234567890, SLAT_X, &gpa));
	EXPECT_EQ(0x34567890, gpa);
}

TEST_HARNESS_MAIN
