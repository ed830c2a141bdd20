// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: without an interrupt controller in the kernel, HLT returns to the
 * VMM, behind the instruction and with all registers; the next KVM_RUN goes on.
 */
#include "harness.h"

VM_FIXTURE(hlt);

GUEST_CODE(hlt_code, 64,
	"	cli\n"
	"	mov $0x1111, %ebx\n"
	"	hlt\n"
	"	inc %ebx\n"
	"	sti\n"
	"	hlt\n"
	"	inc %ebx\n"
	"	.byte 0xf3\n"	/* a prefix that means nothing here */
	"	hlt\n");

static void expect_hlt(struct __test_metadata *_metadata, struct vcpu *vcpu,
		       uint64_t offset, uint64_t rbx)
{
	struct kvm_regs regs;

	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(vcpu));
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(VM_CODE_GPA + offset, regs.rip);
	EXPECT_EQ(rbx, regs.rbx);
}

TEST_F(hlt, goes_on_behind)
{
	vm_load(self->vm, VM_CODE_GPA, hlt_code, hlt_code_end);
	guest_enter_long(self->vcpu, VM_CODE_GPA, 0);
	expect_hlt(_metadata, self->vcpu, 7, 0x1111);
	EXPECT_EQ(0, self->vcpu->run->if_flag);
	expect_hlt(_metadata, self->vcpu, 11, 0x1112);
	EXPECT_EQ(1, self->vcpu->run->if_flag);
	expect_hlt(_metadata, self->vcpu, 15, 0x1113);
}

/* The VMM may put rip back: the same instruction exits again. */
TEST_F(hlt, again)
{
	struct kvm_regs regs;
	int i;

	vm_load(self->vm, VM_CODE_GPA, hlt_code, hlt_code_end);
	guest_enter_long(self->vcpu, VM_CODE_GPA, 0);
	for (i = 0; i < 5; i++) {
		expect_hlt(_metadata, self->vcpu, 7, 0x1111);
		vcpu_get_regs(self->vcpu, &regs);
		regs.rip = VM_CODE_GPA;
		vcpu_set_regs(self->vcpu, &regs);
	}
}

SLAT_HARNESS_MAIN
