// SPDX-License-Identifier: GPL-2.0-only
/* Segmentation and instruction fetch of access.c, case by case. */
#include <kselftest_harness.h>

#include "access.h"
#include "entry.h"

#define CODE	0x5000ul	/* gpa of the only two pages of memory */

FIXTURE(access)
{
	struct slat_vm vm;
	struct slat_vcpu vcpu;
	struct kvm_run run;
	u8 code[2 * PAGE_SIZE];
};

FIXTURE_SETUP(access)
{
	self->vcpu.vm = &self->vm;
	self->vcpu.run = &self->run;
	self->vm.slot[0] = (struct slat_slot){
		CODE >> PAGE_SHIFT, 2, (unsigned long)self->code, 0
	};
}

FIXTURE_TEARDOWN(access)
{
}

/* --- segments */

enum { DATA_RO = 1, DATA_RW = 3, DATA_DOWN = 7, CODE_X = 9, CODE_XR = 11 };	/* types */
enum kind { REAL, VM86, PROT };

static void set_mode(struct slat_vcpu *vcpu, enum kind kind)
{
	vcpu->mode.cr0 = kind == REAL ? 0 : X86_CR0_PE;
	vcpu->rflags = kind == VM86 ? X86_EFLAGS_VM : 0;
}

static const struct segment_case {
	enum kind kind;
	u8 type;
	u32 limit;
	u8 db;
	u64 offset;
	unsigned int len;
	unsigned int access;
	bool ok;
} segment_cases[] = {
	/* limit: of the last byte that is allowed */
	{ PROT, DATA_RW, 0xfff, 1, 0xffc, 4, SLAT_R | SLAT_W, true },
	{ PROT, DATA_RW, 0xfff, 1, 0xffd, 4, SLAT_R, false },
	{ PROT, DATA_RW, 0xfff, 1, 0x1000, 1, SLAT_R, false },
	{ PROT, DATA_RW, 0, 1, 0, 1, SLAT_R, true },
	{ PROT, DATA_RW, 0xffffffff, 1, 0xfffffffe, 4, SLAT_W, true },
	{ REAL, DATA_RW, 0xffff, 0, 0xffff, 1, SLAT_W, true },
	{ REAL, DATA_RW, 0xffff, 0, 0xffff, 2, SLAT_W, false },
	{ VM86, DATA_RW, 0xffff, 0, 0xfffe, 4, SLAT_R, false },
	/* downwards: above the limit, to the end that D/B says */
	{ PROT, DATA_DOWN, 0xfff, 1, 0x1000, 4, SLAT_W, true },
	{ PROT, DATA_DOWN, 0xfff, 1, 0xfff, 1, SLAT_R, false },
	{ PROT, DATA_DOWN, 0xfff, 1, 0xfffffffc, 4, SLAT_R, true },
	{ PROT, DATA_DOWN, 0xfff, 1, 0xfffffffd, 4, SLAT_R, false },
	{ PROT, DATA_DOWN, 0xfff, 0, 0xfffc, 4, SLAT_R, true },
	{ PROT, DATA_DOWN, 0xfff, 0, 0x10000, 1, SLAT_R, false },
	/* type */
	{ PROT, DATA_RO, 0xffff, 1, 0, 4, SLAT_R, true },
	{ PROT, DATA_RO, 0xffff, 1, 0, 4, SLAT_R | SLAT_W, false },
	{ PROT, CODE_XR, 0xffff, 1, 0, 4, SLAT_R, true },
	{ PROT, CODE_XR, 0xffff, 1, 0, 4, SLAT_W, false },
	{ PROT, CODE_X, 0xffff, 1, 0, 4, SLAT_R, false },
	{ PROT, CODE_X, 0xffff, 1, 0, 4, SLAT_X, true },
	{ PROT, DATA_RW, 0xffff, 1, 0, 4, SLAT_X, false },
	/* which does not count here */
	{ REAL, CODE_XR, 0xffff, 0, 0, 4, SLAT_W, true },
	{ VM86, CODE_XR, 0xffff, 0, 0, 4, SLAT_W, true },
};

static void check_segment(struct __test_metadata *_metadata, struct slat_vcpu *vcpu,
			  const struct segment_case *c, enum slat_insn_seg seg)
{
	u64 linear = 0;
	int ret;

	set_mode(vcpu, c->kind);
	vcpu->events.exception.pending = false;
	vcpu->segment[seg] = (struct kvm_segment){
		.base = 0xfffff000, .limit = c->limit, .type = c->type, .db = c->db,
		.present = 1, .s = 1,
	};
	EXPECT_EQ(c->ok, slat_linear_try(vcpu, seg, c->offset, c->len, c->access, &linear));
	EXPECT_FALSE(vcpu->events.exception.pending);
	ret = slat_linear(vcpu, seg, c->offset, c->len, c->access, &linear);
	EXPECT_EQ(c->ok ? 0 : SLAT_INJECTED, ret);
	EXPECT_EQ(!c->ok, vcpu->events.exception.pending);
	if (c->ok) {
		EXPECT_EQ((u32)(0xfffff000 + c->offset), linear);
	} else {
		EXPECT_EQ(seg == SLAT_SEG_SS ? 12 : 13, vcpu->events.exception.vector);
		EXPECT_EQ(0, vcpu->events.exception.error);
		EXPECT_TRUE(vcpu->events.exception.has_error);
	}
}

TEST_F(access, segments)
{
	unsigned int i;

	for (i = 0; i < sizeof(segment_cases) / sizeof(*segment_cases); i++) {
		check_segment(_metadata, &self->vcpu, &segment_cases[i], SLAT_SEG_DS);
		check_segment(_metadata, &self->vcpu, &segment_cases[i], SLAT_SEG_SS);
	}
}

TEST_F(access, no_segment)
{
	const struct kvm_segment good = {
		.limit = 0xffff, .type = DATA_RW, .db = 1, .present = 1, .s = 1,
	};
	struct kvm_segment *fs = &self->vcpu.segment[SLAT_SEG_FS];
	u64 linear;

	set_mode(&self->vcpu, PROT);
	*fs = good;
	EXPECT_TRUE(slat_linear_try(&self->vcpu, SLAT_SEG_FS, 0, 1, SLAT_R, &linear));
	fs->unusable = 1;
	EXPECT_FALSE(slat_linear_try(&self->vcpu, SLAT_SEG_FS, 0, 1, SLAT_R, &linear));
	*fs = good;
	fs->present = 0;
	EXPECT_FALSE(slat_linear_try(&self->vcpu, SLAT_SEG_FS, 0, 1, SLAT_R, &linear));
	*fs = good;
	fs->s = 0;
	EXPECT_FALSE(slat_linear_try(&self->vcpu, SLAT_SEG_FS, 0, 1, SLAT_R, &linear));
}

/* In 64-bit mode only the address counts, and only FS and GS have a base. */
TEST_F(access, long_mode)
{
	const u64 low = 0x7fffffffffff, high = 0xffff800000000000;
	struct slat_vcpu *vcpu = &self->vcpu;
	unsigned int seg;
	u64 linear;

	set_mode(vcpu, PROT);
	vcpu->mode.efer = EFER_LMA;
	vcpu->mode.cs_l = true;
	for (seg = 0; seg < 6; seg++) {
		u64 base = seg == SLAT_SEG_FS || seg == SLAT_SEG_GS ? 0x1000 : 0;

		vcpu->segment[seg] = (struct kvm_segment){ .base = 0x1000, .unusable = 1 };
		EXPECT_EQ(0, slat_linear(vcpu, seg, low - 3 - base, 4, SLAT_R | SLAT_W, &linear));
		EXPECT_EQ(low - 3, linear);
		EXPECT_EQ(0, slat_linear(vcpu, seg, high - base, 4, SLAT_W, &linear));
		EXPECT_EQ(high, linear);
		EXPECT_FALSE(slat_linear_try(vcpu, seg, low - 2 - base, 4, SLAT_R, &linear));
		EXPECT_FALSE(slat_linear_try(vcpu, seg, high - 1 - base, 4, SLAT_R, &linear));
	}
	EXPECT_EQ(SLAT_INJECTED, slat_linear(vcpu, SLAT_SEG_SS, high - 1, 1, SLAT_R, &linear));
	EXPECT_EQ(12, vcpu->events.exception.vector);
	vcpu->mode.cr4 = X86_CR4_LA57;
	EXPECT_TRUE(slat_linear_try(vcpu, SLAT_SEG_SS, high - 1, 1, SLAT_R, &linear));

	/* compatibility mode has segments */
	vcpu->mode.cs_l = false;
	EXPECT_FALSE(slat_linear_try(vcpu, SLAT_SEG_DS, 0, 1, SLAT_R, &linear));
}

/* --- fetch */

static void set_code(struct slat_vcpu *vcpu, u8 db, u32 limit)
{
	set_mode(vcpu, PROT);
	vcpu->mode.cs_db = db;
	vcpu->segment[SLAT_SEG_CS] = (struct kvm_segment){
		.limit = limit, .type = CODE_XR, .db = db, .present = 1, .s = 1,
	};
}

TEST_F(access, fetch)
{
	struct slat_vcpu *vcpu = &self->vcpu;
	struct slat_insn insn;
	unsigned int nr;
	u8 bytes[15];

	set_code(vcpu, 1, 0xffffffff);
	memcpy(self->code, "\xa1\x78\x56\x34\x12", 5);		/* mov 0x12345678, %eax */
	vcpu->rip = CODE;
	EXPECT_EQ(0, slat_fetch(vcpu, &insn, bytes, &nr));
	EXPECT_EQ(5, insn.len);
	EXPECT_EQ(0x12345678, insn.disp);
	set_code(vcpu, 0, 0xffffffff);
	EXPECT_EQ(0, slat_fetch(vcpu, &insn, bytes, &nr));
	EXPECT_EQ(3, insn.len);
	EXPECT_EQ(2, insn.opsize);
}

/* Over a page border, and only when there is something behind it that is needed. */
TEST_F(access, fetch_over_border)
{
	struct slat_vcpu *vcpu = &self->vcpu;
	struct slat_insn insn;
	unsigned int nr;
	u8 bytes[15];

	set_code(vcpu, 1, 0xffffffff);
	memcpy(self->code + PAGE_SIZE - 2, "\xa1\x78\x56\x34\x12", 5);
	vcpu->rip = CODE + PAGE_SIZE - 2;
	EXPECT_EQ(0, slat_fetch(vcpu, &insn, bytes, &nr));
	EXPECT_EQ(0x12345678, insn.disp);
	EXPECT_EQ(15, nr);

	memcpy(self->code + 2 * PAGE_SIZE - 2, "\x8b\x03", 2);	/* mov (%ebx), %eax */
	vcpu->rip = CODE + 2 * PAGE_SIZE - 2;
	EXPECT_EQ(0, slat_fetch(vcpu, &insn, bytes, &nr));
	EXPECT_EQ(2, nr);

	self->code[2 * PAGE_SIZE - 1] = 0x43;			/* mov disp8(%ebx), %eax */
	EXPECT_EQ(-ENOENT, slat_fetch(vcpu, &insn, bytes, &nr));
	EXPECT_EQ(2, nr);
}

/* The limit cuts the instruction off, but what is behind it may be past the limit. */
TEST_F(access, fetch_limit)
{
	struct slat_vcpu *vcpu = &self->vcpu;
	struct slat_insn insn;
	unsigned int nr;
	u8 bytes[15];

	memcpy(self->code, "\x8b\x03", 2);
	vcpu->rip = CODE;
	set_code(vcpu, 1, CODE + 1);
	EXPECT_EQ(0, slat_fetch(vcpu, &insn, bytes, &nr));
	set_code(vcpu, 1, CODE);
	EXPECT_EQ(SLAT_INJECTED, slat_fetch(vcpu, &insn, bytes, &nr));
	EXPECT_EQ(13, vcpu->events.exception.vector);
}

TEST_F(access, fetch_failed)
{
	struct slat_vcpu *vcpu = &self->vcpu;

	EXPECT_EQ(-EFAULT, slat_fetch_failed(vcpu, -EFAULT, NULL, 0));
	EXPECT_EQ(1, slat_fetch_failed(vcpu, SLAT_INJECTED, NULL, 0));
	EXPECT_FALSE(vcpu->events.exception.pending);
	EXPECT_EQ(0, slat_fetch_failed(vcpu, -ENOENT, NULL, 0));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, self->run.exit_reason);
	EXPECT_EQ(1, slat_fetch_failed(vcpu, -EINVAL, NULL, 0));
	EXPECT_EQ(6, vcpu->events.exception.vector);
	EXPECT_FALSE(vcpu->events.exception.has_error);
}

/* --- copies */

TEST_F(access, read_only_slot)
{
	u32 value = 0x12345678, seen = 0;

	EXPECT_EQ(0, slat_gpa_write(&self->vcpu, CODE + 8, &value, 4));
	self->vm.slot[0].flags = KVM_MEM_READONLY;
	EXPECT_EQ(0, slat_gpa_read(&self->vcpu, CODE + 8, &seen, 4));
	EXPECT_EQ(value, seen);
	EXPECT_EQ(-ENOENT, slat_gpa_write(&self->vcpu, CODE + 8, &value, 4));
	EXPECT_TRUE(slat_gpa_is_memory(&self->vm, CODE, false));
	EXPECT_FALSE(slat_gpa_is_memory(&self->vm, CODE, true));
	EXPECT_EQ(-ENOENT, slat_gpa_read(&self->vcpu, CODE - 1, &seen, 1));
	EXPECT_EQ(-ENOENT, slat_gpa_read(&self->vcpu, CODE + 2 * PAGE_SIZE, &seen, 1));
	EXPECT_EQ(0, self->vm.slots_srcu);
}

/* P2: memory that is being converted is waited for, with nothing held. */
TEST_F(access, conversion)
{
	u32 value = 0x12345678, seen = 0;

	shim_claims = 2;
	EXPECT_EQ(0, slat_gpa_write(&self->vcpu, CODE + 8, &value, 4));
	EXPECT_EQ(0, shim_claims);
	shim_claims = 2;
	EXPECT_EQ(0, slat_gpa_read(&self->vcpu, CODE + 8, &seen, 4));
	EXPECT_EQ(0, shim_claims);
	EXPECT_EQ(value, seen);
	EXPECT_EQ(0, self->vm.slots_srcu);
	EXPECT_EQ(0, self->vcpu.nr_guards);
}

TEST_HARNESS_MAIN
