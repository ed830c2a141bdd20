// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4, B7: a triple fault ends in KVM_EXIT_SHUTDOWN, in every mode, harms
 * nobody else, and the VMM can start the vCPU anew.
 */
#include "harness.h"

VM_FIXTURE(shutdown);

static void no_idt(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
}

static void guest_triple_fault(uint64_t unused)
{
	asm volatile("ud2");
}

TEST_F(shutdown, long_mode)
{
	guest_enter_c(self->vcpu, guest_triple_fault, 0);
	no_idt(self->vcpu);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(self->vcpu));
}

GUEST_CODE(fault_code, 32,
	"	ud2\n"
	"	hlt\n");

TEST_F(shutdown, protected_mode)
{
	vm_load(self->vm, VM_CODE_GPA, fault_code, fault_code_end);
	guest_enter_prot(self->vcpu, VM_CODE_GPA, PAGING_PAE);
	no_idt(self->vcpu);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(self->vcpu));
}

TEST_F(shutdown, real_mode)
{
	vm_load(self->vm, VM_CODE_GPA, fault_code, fault_code_end);
	guest_enter_real(self->vcpu, VM_CODE_GPA);
	no_idt(self->vcpu);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(self->vcpu));
}

/* With a page table that maps nothing not even the handlers are there. */
TEST_F(shutdown, empty_page_table)
{
	struct kvm_sregs sregs;

	guest_enter_c(self->vcpu, guest_triple_fault, 0);
	vcpu_get_sregs(self->vcpu, &sregs);
	sregs.cr3 = vm_pages(self->vm, 1);
	vcpu_set_sregs(self->vcpu, &sregs);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(self->vcpu));
}

static void guest_hello(uint64_t value)
{
	guest_report(1, value);
}

TEST_F(shutdown, start_anew)
{
	int i;

	for (i = 0; i < 3; i++) {
		guest_enter_c(self->vcpu, guest_triple_fault, 0);
		no_idt(self->vcpu);
		EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(self->vcpu));
		guest_enter_c(self->vcpu, guest_hello, 42 + i);
		EXPECT_EQ(42 + i, vcpu_await(self->vcpu, 1));
		vcpu_await_done(self->vcpu);
	}
}

/* The other vCPU of the VM goes on. */
TEST_F(shutdown, other_vcpu)
{
	struct vcpu *other = vcpu_create(self->vm, 1);

	guest_enter_c(self->vcpu, guest_triple_fault, 0);
	no_idt(self->vcpu);
	guest_enter_c(other, guest_hello, 7);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(self->vcpu));
	EXPECT_EQ(7, vcpu_await(other, 1));
	vcpu_await_done(other);
	vcpu_destroy(other);
}

SLAT_HARNESS_MAIN
