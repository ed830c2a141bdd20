// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: a guest in real mode computes, uses its stack, segments and
 * interrupt vectors, and takes itself to protected and to long mode.
 */
#include "harness.h"

VM_FIXTURE(real);

#define load_and_enter(self, code)					\
	do {								\
		vm_load((self)->vm, VM_CODE_GPA, code, code##_end);	\
		guest_enter_real((self)->vcpu, VM_CODE_GPA);		\
	} while (0)

GUEST_CODE(sum_code, 16,
	"	mov $10, %cx\n"
	"	xor %eax, %eax\n"
	"1:	add %cx, %ax\n"
	"	loop 1b\n"
	ASM_REPORT_EAX(1)
	"	hlt\n");

TEST_F(real, sum)
{
	load_and_enter(self, sum_code);
	EXPECT_EQ(55, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(self->vcpu));
}

/* The state that a vCPU is born with, and what regs say is where it starts. */
TEST_F(real, reset_state)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_get_regs(self->vcpu, &regs);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0xfff0, regs.rip);
	EXPECT_EQ(RFLAGS_FIXED, regs.rflags);
	EXPECT_EQ(0xf000, sregs.cs.selector);
	EXPECT_EQ(0xffff0000, sregs.cs.base);
	EXPECT_EQ(0xffff, sregs.cs.limit);
	EXPECT_EQ(0, sregs.ds.base);
	EXPECT_EQ(0, sregs.cr0 & (CR0_PE | CR0_PG));
	EXPECT_EQ(CR0_ET, sregs.cr0 & CR0_ET);
	EXPECT_EQ(0, sregs.cr4);
	EXPECT_EQ(0, sregs.efer);
	EXPECT_EQ(0xffff, sregs.idt.limit);
}

/* A BIOS: the last 256 bytes below 4 GiB, entered at the reset vector. */
GUEST_CODE(bios_code, 16,
	"	mov $0x600d, %eax\n"
	ASM_REPORT_EAX(2)
	"	ljmp $0xf000, $0xff00\n"
	"	. = bios_code + 0xf0\n"
	"	jmp bios_code\n");

GUEST_CODE(bios_jump_code, 16,
	"	xor %eax, %eax\n"
	"	mov %cs, %ax\n"
	ASM_REPORT_EAX(3));

TEST_F(real, reset_vector)
{
	uint8_t *bios = mem_alloc(PAGE_SIZE);

	memcpy(bios + 0xf00, bios_code, bios_code_end - bios_code);
	vm_slot(self->vm, 1, 0, 0xfffff000, PAGE_SIZE, bios);
	/* The far jump reloads CS and so leaves the top of 4 GiB. */
	vm_load(self->vm, 0xfff00, bios_jump_code, bios_jump_code_end);
	EXPECT_EQ(0x600d, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0xf000, vcpu_await(self->vcpu, 3));
}

/*
 * The instruction pointer has 32 bits, also in 16-bit code: in a segment that goes
 * on behind 64K, an instruction that exits is followed by the next one.
 */
GUEST_CODE(high_code, 16,
	"	xor %eax, %eax\n"
	"	cpuid\n"
	"	mov $0x7777, %eax\n"
	ASM_REPORT_EAX(1)
	"	hlt\n");

TEST_F(real, behind_64k)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vm_load(self->vm, 0x20100, high_code, high_code_end);
	guest_enter_real(vcpu, 0x100);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs.limit = 0xffffffff;
	sregs.cs.g = 1;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_get_regs(vcpu, &regs);
	regs.rip = 0x20100;
	vcpu_set_regs(vcpu, &regs);
	EXPECT_EQ(0x7777, vcpu_await(vcpu, 1));
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x20100 + (high_code_end - high_code), regs.rip);
}

GUEST_CODE(stack_code, 16,
	"	mov $0x1234, %ax\n"
	"	push %ax\n"
	"	call 1f\n"
	"	pop %ax\n"
	"	movzx %ax, %eax\n"
	ASM_REPORT_EAX(4)
	"	hlt\n"
	"1:	mov %sp, %bp\n"
	"	addw $0x1111, 2(%bp)\n"
	"	ret\n");

TEST_F(real, stack)
{
	load_and_enter(self, stack_code);
	EXPECT_EQ(0x2345, vcpu_await(self->vcpu, 4));
	EXPECT_EQ(0x2345, *(uint16_t *)vm_ptr(self->vm, 0x7000 - 2));
}

GUEST_CODE(segment_code, 16,
	"	mov $0x2000, %ax\n"
	"	mov %ax, %es\n"
	"	mov $0x3000, %ax\n"
	"	mov %ax, %ds\n"
	"	mov $0x10, %si\n"
	"	mov $0x20, %di\n"
	"	mov $4, %cx\n"
	"	rep movsw\n"
	"	movzx %di, %eax\n"
	ASM_REPORT_EAX(5));

TEST_F(real, segments)
{
	static const char text[8] = "segments";

	memcpy(vm_ptr(self->vm, 0x30010), text, sizeof(text));
	load_and_enter(self, segment_code);
	EXPECT_EQ(0x28, vcpu_await(self->vcpu, 5));
	EXPECT_EQ(0, memcmp(vm_ptr(self->vm, 0x20020), text, sizeof(text)));
}

/* Vector 0x21 by int, vector 0 by a division; both come back. */
GUEST_CODE(ivt_code, 16,
	"	mov $7, %ax\n"
	"	int $0x21\n"
	"	movzx %ax, %eax\n"
	ASM_REPORT_EAX(6)
	"	xor %cx, %cx\n"
	"	div %cx\n"
	"	movzx %bx, %eax\n"
	ASM_REPORT_EAX(7));

GUEST_CODE(ivt_int21_code, 16,
	"	add $0x100, %ax\n"
	"	iret\n");

/* A division fault points at the division, which is two bytes long. */
GUEST_CODE(ivt_divide_code, 16,
	"	mov $0xd1e, %bx\n"
	"	mov %sp, %bp\n"
	"	addw $2, (%bp)\n"
	"	iret\n");

TEST_F(real, interrupt_vectors)
{
	uint32_t *ivt = vm_ptr(self->vm, 0);

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' SVM does not tell which INT n an exit cut short");
	vm_load(self->vm, 0x9000, ivt_int21_code, ivt_int21_code_end);
	vm_load(self->vm, 0xa000, ivt_divide_code, ivt_divide_code_end);
	ivt[0x21] = 0x9000;
	ivt[0] = 0xa000;
	load_and_enter(self, ivt_code);
	EXPECT_EQ(0x107, vcpu_await(self->vcpu, 6));
	EXPECT_EQ(0xd1e, vcpu_await(self->vcpu, 7));
}

/*
 * As an operating system boots: real mode to protected mode to long mode,
 * with the GDT at 0x9000 and page tables at ebx, reporting from each.
 */
GUEST_CODE(boot_code, 16,
	"	lgdtl 0x9100\n"
	"	mov %cr0, %eax\n"
	"	or $1, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $0x08, $(1f - boot_code + " GUEST_STR(VM_CODE_GPA) ")\n"
	"	.code32\n"
	"1:	mov $0x10, %ax\n"
	"	mov %ax, %ds\n"
	"	mov %ax, %ss\n"
	"	mov $0x32, %eax\n"
	ASM_REPORT_EAX(8)
	"	mov $0x20, %eax\n"	/* CR4.PAE */
	"	mov %eax, %cr4\n"
	"	mov %ebx, %cr3\n"
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	bts $8, %eax\n"		/* EFER.LME */
	"	wrmsr\n"
	"	mov %cr0, %eax\n"
	"	bts $31, %eax\n"
	"	mov %eax, %cr0\n"
	"	rdmsr\n"		/* paging made LMA */
	ASM_REPORT_EAX(9)
	"	ljmpl $0x18, $(2f - boot_code + " GUEST_STR(VM_CODE_GPA) ")\n"
	"	.code64\n"
	"2:	movabs $0x123456789abcdef0, %rsi\n"
	"	mov $10, %edi\n"
	"	out %al, $" GUEST_STR(PORT_REPORT) "\n"
	"	hlt\n");

TEST_F(real, boot_to_long_mode)
{
	static const uint64_t gdt[] = {
		0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff,
	};
	struct { uint16_t limit; uint32_t base; } __attribute__((packed))
		gdtr = { sizeof(gdt) - 1, 0x9000 };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	memcpy(vm_ptr(self->vm, 0x9000), gdt, sizeof(gdt));
	memcpy(vm_ptr(self->vm, 0x9100), &gdtr, sizeof(gdtr));
	vm_make_tables(self->vm, PAGING_4LEVEL);
	load_and_enter(self, boot_code);
	vcpu_get_regs(self->vcpu, &regs);
	regs.rbx = self->vm->root;
	vcpu_set_regs(self->vcpu, &regs);

	EXPECT_EQ(0x32, vcpu_await(self->vcpu, 8));
	EXPECT_EQ(EFER_LME | EFER_LMA, vcpu_await(self->vcpu, 9));
	EXPECT_EQ(0x123456789abcdef0, vcpu_await(self->vcpu, 10));

	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(EFER_LME | EFER_LMA, sregs.efer);
	EXPECT_EQ(CR0_PE | CR0_PG, sregs.cr0 & (CR0_PE | CR0_PG));
	EXPECT_EQ(self->vm->root, sregs.cr3);
	EXPECT_EQ(CR4_PAE, sregs.cr4);
	EXPECT_EQ(0x18, sregs.cs.selector);
	EXPECT_EQ(1, sregs.cs.l);
	EXPECT_EQ(0x9000, sregs.gdt.base);
	EXPECT_EQ(sizeof(gdt) - 1, sregs.gdt.limit);
}

SLAT_HARNESS_MAIN
