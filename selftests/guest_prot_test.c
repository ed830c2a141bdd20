// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: a guest in 32-bit protected mode, without paging, with 32-bit paging
 * and with PAE: it computes, takes exceptions and uses its own page tables.
 */
#include "harness.h"

#define HANDLER_GPA	0x9000
#define IDT_GPA		0xb000
#define GDT_GPA		0xc000

FIXTURE(prot)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(prot)
{
	enum guest_paging paging;
};

FIXTURE_VARIANT_ADD(prot, unpaged) { .paging = PAGING_NONE };
FIXTURE_VARIANT_ADD(prot, 32bit) { .paging = PAGING_32BIT };
FIXTURE_VARIANT_ADD(prot, pae) { .paging = PAGING_PAE };

static struct vm *prot_vm(enum guest_paging paging)
{
	struct vm *vm = vm_create();

	if (paging != PAGING_NONE)
		vm_make_tables(vm, paging);
	return vm;
}

FIXTURE_SETUP(prot)
{
	self->vm = prot_vm(variant->paging);
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(prot)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

#define load_and_enter(self, code)					\
	do {								\
		vm_load((self)->vm, VM_CODE_GPA, code, code##_end);	\
		guest_enter_prot((self)->vcpu, VM_CODE_GPA,		\
				 (self)->vm->paging);			\
	} while (0)

/* Give the vCPU a GDT and an IDT whose vector leads to HANDLER_GPA. */
static void set_vector(struct vcpu *vcpu, unsigned int vector)
{
	uint64_t *gdt = vm_ptr(vcpu->vm, GDT_GPA);
	uint64_t *idt = vm_ptr(vcpu->vm, IDT_GPA);
	struct kvm_sregs sregs;

	gdt[1] = 0x00cf9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	idt[vector] = 0x00008e0000080000 | HANDLER_GPA;
	vcpu_get_sregs(vcpu, &sregs);
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = 3 * 8 - 1;
	sregs.idt.base = IDT_GPA;
	sregs.idt.limit = 32 * 8 - 1;
	vcpu_set_sregs(vcpu, &sregs);
}

/* fib(20), recursively: calls, stack, registers. */
GUEST_CODE(fib_code, 32,
	"	mov $20, %eax\n"
	"	call 1f\n"
	ASM_REPORT_EAX(1)
	"	hlt\n"
	"1:	cmp $2, %eax\n"
	"	jb 2f\n"
	"	push %eax\n"
	"	dec %eax\n"
	"	call 1b\n"
	"	pop %ecx\n"
	"	push %eax\n"
	"	lea -2(%ecx), %eax\n"
	"	call 1b\n"
	"	pop %ecx\n"
	"	add %ecx, %eax\n"
	"2:	ret\n");

TEST_F(prot, compute)
{
	load_and_enter(self, fib_code);
	EXPECT_EQ(6765, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(self->vcpu));
}

GUEST_CODE(ud_code, 32,
	"	mov $1, %ebx\n"
	"	ud2\n"
	"	mov %ebx, %eax\n"
	ASM_REPORT_EAX(2));

GUEST_CODE(ud_handler_code, 32,
	"	shl $8, %ebx\n"
	"	addl $2, (%esp)\n"
	"	iret\n");

TEST_F(prot, exception_and_return)
{
	vm_load(self->vm, HANDLER_GPA, ud_handler_code, ud_handler_code_end);
	load_and_enter(self, ud_code);
	set_vector(self->vcpu, UD_VECTOR);
	EXPECT_EQ(0x100, vcpu_await(self->vcpu, 2));
}

/* --- with paging */

FIXTURE(paged)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(paged)
{
	enum guest_paging paging;
};

FIXTURE_VARIANT_ADD(paged, 32bit) { .paging = PAGING_32BIT };
FIXTURE_VARIANT_ADD(paged, pae) { .paging = PAGING_PAE };

FIXTURE_SETUP(paged)
{
	self->vm = prot_vm(variant->paging);
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(paged)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* A write through ebx that faults. */
GUEST_CODE(write_code, 32,
	"	movl $0x77, (%ebx)\n"
	"	mov (%ebx), %eax\n"
	ASM_REPORT_EAX(3));

GUEST_CODE(pf_handler_code, 32,
	"	pop %eax\n"
	ASM_REPORT_EAX(4)
	"	mov %cr2, %eax\n"
	ASM_REPORT_EAX(5)
	"	iret\n");

static void enter_with_ebx(struct vcpu *vcpu, uint64_t ebx)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rbx = ebx;
	vcpu_set_regs(vcpu, &regs);
}

/* CPUs may keep what CR3 points to, with PAE, until it is loaded again. */
static void reload_cr3(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	vcpu_set_sregs(vcpu, &sregs);
}

TEST_F(paged, page_fault)
{
	const uint32_t gva = 0x50000123;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	vm_load(self->vm, HANDLER_GPA, pf_handler_code, pf_handler_code_end);
	load_and_enter(self, write_code);
	set_vector(self->vcpu, PF_VECTOR);
	enter_with_ebx(self->vcpu, gva);

	EXPECT_EQ(PF_WRITE, vcpu_await(self->vcpu, 4));
	EXPECT_EQ(gva, vcpu_await(self->vcpu, 5));
	/* Map it read-only: another fault; writable: the write goes on. */
	vm_map(self->vm, gva & ~0xfff, VM_DATA_GPA, PAGE_SIZE, PT_PRESENT);
	reload_cr3(self->vcpu);
	EXPECT_EQ(PF_PRESENT | PF_WRITE, vcpu_await(self->vcpu, 4));
	EXPECT_EQ(gva, vcpu_await(self->vcpu, 5));
	vm_map(self->vm, gva & ~0xfff, VM_DATA_GPA, PAGE_SIZE, PT_ALL);
	EXPECT_EQ(0x77, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(0x77, *(uint32_t *)vm_ptr(self->vm, VM_DATA_GPA + 0x123));
}

TEST_F(paged, large_page)
{
	const uint32_t gva = 0x60000000 + 0x1ff000;

	vm_map_large(self->vm, 0x60000000, 0, PT_ALL);
	load_and_enter(self, write_code);
	enter_with_ebx(self->vcpu, gva);
	EXPECT_EQ(0x77, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(0x77, *(uint32_t *)vm_ptr(self->vm, 0x1ff000));
}

/* The CPU keeps the accessed and dirty bits of the guest's tables. */
TEST_F(paged, accessed_and_dirty)
{
	uint64_t bits = 0;

	load_and_enter(self, write_code);
	enter_with_ebx(self->vcpu, VM_DATA_GPA);
	vcpu_await(self->vcpu, 3);
	memcpy(&bits, vm_pte(self->vm, VM_DATA_GPA), 4);
	EXPECT_EQ(PT_ACCESSED | PT_DIRTY, bits & (PT_ACCESSED | PT_DIRTY));
	memcpy(&bits, vm_pte(self->vm, VM_CODE_GPA), 4);
	EXPECT_EQ(PT_ACCESSED, bits & (PT_ACCESSED | PT_DIRTY));
	memcpy(&bits, vm_pte(self->vm, VM_DATA_GPA + PAGE_SIZE), 4);
	EXPECT_EQ(0, bits & (PT_ACCESSED | PT_DIRTY));
}

/* --- tasks of the CPU's own */

#define TSS_GPA		0xd000ul
#define SEL_TASK(n)	(0x18 + 8 * (n))

struct tss32 {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2;
	uint32_t cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt, map;
};

/* From task 0, which is the CPU's present state, to task 1. */
GUEST_CODE(task_code, 32,
	"	mov $0x18, %eax\n"
	"	ltr %ax\n"
	"1:	ljmp $0x20, $0\n"
	"task_switch = 1b - task_code\n"
	"task_target = . - task_code\n"
	ASM_REPORT_EAX(1)
	"	hlt\n");

extern const char task_switch[], task_target[];

static void set_tasks(struct vcpu *vcpu)
{
	struct tss32 *tss = vm_ptr(vcpu->vm, TSS_GPA);
	uint64_t *gdt = vm_ptr(vcpu->vm, GDT_GPA);
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = 5 * 8 - 1;
	vcpu_set_sregs(vcpu, &sregs);
	gdt[1] = 0x00cf9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[SEL_TASK(0) / 8] = 0x0000890000000067 | TSS_GPA << 16;
	gdt[SEL_TASK(1) / 8] = 0x0000890000000067 | (TSS_GPA + sizeof(*tss)) << 16;
	tss[1] = (struct tss32) {
		.cr3 = sregs.cr3, .eip = VM_CODE_GPA + (uintptr_t)task_target,
		.eflags = RFLAGS_FIXED, .eax = 0x7a5c, .esp = 0x7000,
		.es = 0x10, .cs = 0x08, .ss = 0x10, .ds = 0x10, .fs = 0x10, .gs = 0x10,
	};
}

/* VT-x leaves it to software, and slat has none. */
TEST_F(prot, task_switch)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;

	load_and_enter(self, task_code);
	set_tasks(self->vcpu);
	if (!guest_has_vmcall || slat_is_kvm()) {
		EXPECT_EQ(0x7a5c, vcpu_await(self->vcpu, 1));
		return;
	}
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, vcpu_run(self->vcpu));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->internal.suberror);
	EXPECT_EQ(0, run->internal.ndata);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(VM_CODE_GPA + (uintptr_t)task_switch, regs.rip);
}

SLAT_HARNESS_MAIN
