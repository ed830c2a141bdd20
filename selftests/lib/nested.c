// SPDX-License-Identifier: GPL-2.0-only
/* Guests that are hypervisors. */
#include "nested.h"

#include <string.h>

#include "run.h"

/* --- the guest's side */

#define PAGE	__attribute__((aligned(4096)))

PAGE struct vmcb l2_vmcb, l1_state;
PAGE uint8_t l2_msrpm[2 * PAGE_SIZE], l2_iopm[3 * PAGE_SIZE];
PAGE uint8_t l1_hsave[PAGE_SIZE];
struct l2_regs l2_regs;

static uint8_t l2_stack[4 * PAGE_SIZE] __attribute__((aligned(16)));
extern const char l2_returned[];

asm(".pushsection .text\n"
    ".globl l1_vmrun\n"
    "l1_vmrun:\n"
    "	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	mov %rdi, %rax\n"
    "	mov l2_regs + 0x00, %rbx\n"
    "	mov l2_regs + 0x08, %rcx\n"
    "	mov l2_regs + 0x10, %rdx\n"
    "	mov l2_regs + 0x18, %rsi\n"
    "	mov l2_regs + 0x20, %rdi\n"
    "	mov l2_regs + 0x28, %rbp\n"
    "	mov l2_regs + 0x30, %r8\n"
    "	mov l2_regs + 0x38, %r9\n"
    "	mov l2_regs + 0x40, %r10\n"
    "	mov l2_regs + 0x48, %r11\n"
    "	mov l2_regs + 0x50, %r12\n"
    "	mov l2_regs + 0x58, %r13\n"
    "	mov l2_regs + 0x60, %r14\n"
    "	mov l2_regs + 0x68, %r15\n"
    "	vmrun %rax\n"
    "	mov %rbx, l2_regs + 0x00\n"
    "	mov %rcx, l2_regs + 0x08\n"
    "	mov %rdx, l2_regs + 0x10\n"
    "	mov %rsi, l2_regs + 0x18\n"
    "	mov %rdi, l2_regs + 0x20\n"
    "	mov %rbp, l2_regs + 0x28\n"
    "	mov %r8, l2_regs + 0x30\n"
    "	mov %r9, l2_regs + 0x38\n"
    "	mov %r10, l2_regs + 0x40\n"
    "	mov %r11, l2_regs + 0x48\n"
    "	mov %r12, l2_regs + 0x50\n"
    "	mov %r13, l2_regs + 0x58\n"
    "	mov %r14, l2_regs + 0x60\n"
    "	mov %r15, l2_regs + 0x68\n"
    "	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "	ret\n"
    "l2_returned:\n"
    "	vmmcall\n"
    "	jmp l2_returned\n"
    ".popsection\n");

static void prepare_segments(void)
{
	static const struct vmcb_segment data = {
		.selector = SEL_DATA, .attrib = 0xc93, .limit = -1,
	};
	struct table_register gdtr, idtr;

	l2_vmcb.cs = (struct vmcb_segment){
		.selector = SEL_CODE, .attrib = 0xa9b, .limit = -1,
	};
	l2_vmcb.es = data;
	l2_vmcb.ss = data;
	l2_vmcb.ds = data;
	asm volatile("sgdt %0" : "=m"(gdtr));
	asm volatile("sidt %0" : "=m"(idtr));
	l2_vmcb.gdtr.base = gdtr.base;
	l2_vmcb.gdtr.limit = gdtr.limit;
	l2_vmcb.idtr.base = idtr.base;
	l2_vmcb.idtr.limit = idtr.limit;
}

void l1_prepare(l2_function l2, uint64_t arg)
{
	uint64_t *stack = (uint64_t *)(l2_stack + sizeof(l2_stack)) - 1;

	guest_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) | EFER_SVME);
	guest_wrmsr(MSR_VM_HSAVE_PA, (uintptr_t)l1_hsave);
	svm_vmsave(&l2_vmcb);
	prepare_segments();
	l2_vmcb.cr0 = read_cr0();
	l2_vmcb.cr3 = read_cr3();
	l2_vmcb.cr4 = read_cr4();
	l2_vmcb.efer = guest_rdmsr(MSR_EFER);
	l2_vmcb.g_pat = guest_rdmsr(MSR_PAT);
	l2_vmcb.dr6 = 0xffff0ff0;
	l2_vmcb.dr7 = 0x400;
	l2_vmcb.rflags = RFLAGS_FIXED;
	l2_vmcb.rip = (uintptr_t)l2;
	*stack = (uintptr_t)l2_returned;
	l2_vmcb.rsp = (uintptr_t)stack;
	l2_regs.rdi = arg;
	l2_vmcb.guest_asid = 1;
	l2_vmcb.msrpm_base_pa = (uintptr_t)l2_msrpm;
	l2_vmcb.iopm_base_pa = (uintptr_t)l2_iopm;
	vmcb_intercept(&l2_vmcb, EXIT_VMRUN);
	vmcb_intercept(&l2_vmcb, EXIT_VMMCALL);
}

uint64_t l1_run(void)
{
	svm_clgi();
	svm_vmsave(&l1_state);
	svm_vmload(&l2_vmcb);
	l1_vmrun(&l2_vmcb);
	svm_vmsave(&l2_vmcb);
	svm_vmload(&l1_state);
	return l2_vmcb.exitcode;
}

static uint64_t loop_arg;

static void l1_loop(uint64_t l2)
{
	l1_prepare((l2_function)l2, loop_arg);
	guest_report(L1_READY, 0);
	for (;;) {
		const uint64_t exit = l1_run();

		svm_stgi();
		guest_report(L1_EXIT, exit);
	}
}

/* --- the host's side */

#define CPUID_ECX_SVM	(1u << 2)	/* of 0x80000001 */

bool nested_supported(void)
{
	return slat_cpuid(0x80000001, 0)->ecx & CPUID_ECX_SVM;
}

struct vmcb *nested_enter_l1(struct vcpu *vcpu, void (*l1)(uint64_t), uint64_t arg)
{
	guest_enter_c(vcpu, l1, arg);
	vcpu_await(vcpu, L1_READY);
	return &guest_var(vcpu->vm, l2_vmcb);
}

struct vmcb *nested_enter(struct vcpu *vcpu, l2_function l2, uint64_t arg)
{
	/* What the guest gets is the copy of this process. */
	loop_arg = arg;
	return nested_enter_l1(vcpu, l1_loop, (uintptr_t)l2);
}

uint64_t nested_run(struct vcpu *vcpu)
{
	return vcpu_await(vcpu, L1_EXIT);
}

bool nested_l1_is(struct vcpu *vcpu, const struct kvm_sregs *before)
{
	struct kvm_sregs now;

	vcpu_get_sregs(vcpu, &now);
	now.cr2 = before->cr2;
	return !memcmp(before, &now, sizeof(now));
}

void nested_intercept_msr(struct vm *vm, uint32_t msr, bool write)
{
	const uint32_t block = msr >> 16 == 0xc000 ? 1 : msr >> 16 == 0xc001 ? 2 : 0;
	const uint32_t bit = 2 * (0x2000 * block + (msr & 0x1fff)) + write;

	guest_var(vm, l2_msrpm)[bit / 8] |= 1 << bit % 8;
}
