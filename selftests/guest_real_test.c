// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: a guest in real mode computes, uses its stack, its interrupt vectors
 * and segments, and reports.
 */
#include "harness.h"

FIXTURE(real)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_SETUP(real)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(real)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

GUEST_CODE(sum_code, 16,
	"	mov $10, %cx\n"
	"	xor %eax, %eax\n"
	"1:	add %cx, %ax\n"
	"	loop 1b\n"
	ASM_REPORT_EAX(1)
	"	hlt\n");

TEST_F(real, sum)
{
	vm_load(self->vm, VM_CODE_GPA, sum_code, sum_code_end);
	guest_enter_real(self->vcpu, VM_CODE_GPA);
	EXPECT_EQ(55, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(self->vcpu));
}

SLAT_HARNESS_MAIN
