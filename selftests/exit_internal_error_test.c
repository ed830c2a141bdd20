// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4, B7: an access to MMIO by an instruction that nobody emulates, or a
 * fetch from MMIO, returns KVM_EXIT_INTERNAL_ERROR with suberror EMULATION and
 * the instruction's bytes; it neither hangs nor runs the guest on.
 */
#include "harness.h"

VM_FIXTURE(internal_error);

static void expect_emulation_error(struct __test_metadata *_metadata,
				   struct vcpu *vcpu)
{
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, vcpu_run(vcpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, vcpu->run->internal.suberror);
}

/* The bytes that the exit gives are the instruction's first ones. */
static void expect_bytes(struct __test_metadata *_metadata, struct vcpu *vcpu,
			 const uint8_t *bytes, unsigned int len)
{
	struct kvm_run *run = vcpu->run;

	EXPECT_TRUE(run->emulation_failure.flags &
		    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	EXPECT_LE(len, run->emulation_failure.insn_size);
	EXPECT_GE(15, run->emulation_failure.insn_size);
	EXPECT_EQ(0, memcmp(bytes, run->emulation_failure.insn_bytes, len));
}

/* addps needs the value in an SSE register and arithmetic on it. */
GUEST_CODE(addps_code, 64,
	"	addps (%rdi), %xmm3\n"
	"	hlt\n");

TEST_F(internal_error, sse_arithmetic)
{
	struct kvm_regs regs;

	vm_load(self->vm, VM_CODE_GPA, addps_code, addps_code_end);
	guest_enter_long(self->vcpu, VM_CODE_GPA, VM_MMIO_GPA);
	expect_emulation_error(_metadata, self->vcpu);
	expect_bytes(_metadata, self->vcpu, (const uint8_t *)"\x0f\x58\x1f", 3);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(VM_CODE_GPA, regs.rip);
}

GUEST_CODE(fld_code, 64,
	"	fldl 8(%rdi)\n"
	"	hlt\n");

TEST_F(internal_error, x87_load)
{
	vm_load(self->vm, VM_CODE_GPA, fld_code, fld_code_end);
	guest_enter_long(self->vcpu, VM_CODE_GPA, VM_MMIO_GPA);
	expect_emulation_error(_metadata, self->vcpu);
	expect_bytes(_metadata, self->vcpu, (const uint8_t *)"\xdd\x47\x08", 3);
}

TEST_F(internal_error, fetch_from_mmio)
{
	struct kvm_regs regs;

	guest_enter_long(self->vcpu, VM_MMIO_GPA + 0x40, 0);
	expect_emulation_error(_metadata, self->vcpu);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(VM_MMIO_GPA + 0x40, regs.rip);
}

/* A VM without a BIOS: at the reset vector there is nothing. */
TEST_F(internal_error, no_bios)
{
	expect_emulation_error(_metadata, self->vcpu);
}

SLAT_HARNESS_MAIN
