// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: a guest that is a hypervisor. It gets SVM if slat was loaded with nested=1, runs a
 * guest of its own and finds itself as it was afterwards; else it gets nothing of it.
 */
#include "harness.h"
#include "nested.h"

/* --- whether there is SVM */

VM_FIXTURE(svm);

#define SVM_LEAF	0x8000000a

static void guest_without_svm(uint64_t efer)
{
	struct guest_fault fault;

	fault = guest_try("mov $0xc0000080, %%ecx\n\t"
			  "mov %2, %%rax\n\t"
			  "xor %%edx, %%edx\n\t"
			  "wrmsr", "r"(efer | EFER_SVME));
	guest_report(1, fault.vector);
	fault = guest_try("mov %2, %%rax\n\t"
			  "vmrun %%rax", "r"(&l2_vmcb));
	guest_report(2, fault.vector);
	guest_report(3, guest_rdmsr(MSR_EFER));
}

TEST_F(svm, not_unless_asked_for)
{
	const uint64_t efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;

	if (nested_supported())
		SKIP(return, "guests here have SVM");
	EXPECT_EQ(0, slat_cpuid(SVM_LEAF, 0)->function);
	guest_enter_c(self->vcpu, guest_without_svm, efer);
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(UD_VECTOR, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(efer, vcpu_await(self->vcpu, 3));
}

/* A module parameter that is a bool. */
static bool asked_for(void)
{
	FILE *file = fopen("/sys/module/slat/parameters/nested", "r");
	const bool yes = file && fgetc(file) == 'Y';

	if (file)
		fclose(file);
	return yes;
}

TEST(announced)
{
	const struct kvm_cpuid_entry2 *leaf = slat_cpuid(SVM_LEAF, 0);

	if (slat_is_kvm())
		SKIP(return, "KVM has its own parameter, and more features");
	EXPECT_EQ(asked_for(), nested_supported());
	if (!nested_supported())
		SKIP(return, "guests here have no SVM");
	EXPECT_EQ(1, leaf->eax);
	EXPECT_EQ(8, leaf->ebx);
	EXPECT_EQ(0, leaf->edx);
	EXPECT_EQ(0, slat_check_extension(KVM_CAP_NESTED_STATE));
}

/* --- VMRUN and back */

NESTED_FIXTURE(nested);

/* L2 tells what it can have in memory only, and changes all that may be its own. */
static struct {
	struct table_register gdtr, idtr;
	uint16_t es;
} l2_told;

asm(".pushsection .text\n"
    "l2_changes:\n"
    "	sgdt (%rdi)\n"
    "	sidt 10(%rdi)\n"
    "	mov %es, 20(%rdi)\n"
    "	subw $8, (%rdi)\n lgdt (%rdi)\n"
    "	subw $16, 10(%rdi)\n lidt 10(%rdi)\n"
    "	mov $0xa0, %eax\n mov $0xb0, %ebx\n mov $0xc0, %ecx\n mov $0xd0, %edx\n"
    "	mov $0x51, %esi\n mov $0xd1, %edi\n mov $0xb9, %ebp\n"
    "	mov $0x80, %r8d\n mov $0x90, %r9d\n mov $0x100, %r10d\n mov $0x110, %r11d\n"
    "	mov $0x120, %r12d\n mov $0x130, %r13d\n mov $0x140, %r14d\n mov $0x150, %r15d\n"
    "	mov %rax, %dr7\n"
    "	xor %eax, %eax\n mov %eax, %ds\n mov $0xa0, %eax\n"
    "	std\n stc\n"
    "l2_changed:\n"
    "	vmmcall\n"
    ".popsection\n");
extern const char l2_changes[], l2_changed[];

static const struct l2_regs changed_regs = {
	.rbx = 0xb0, .rcx = 0xc0, .rdx = 0xd0, .rsi = 0x51, .rdi = 0xd1, .rbp = 0xb9,
	.r8 = 0x80, .r9 = 0x90, .r10 = 0x100, .r11 = 0x110,
	.r12 = 0x120, .r13 = 0x130, .r14 = 0x140, .r15 = 0x150,
};

#define L1_RFLAGS	0x200cd7	/* ID, and what arithmetic and string instructions use */

/* What is not back in RSP shows when l1_vmrun() returns. */
static void l1_looks(uint64_t l2)
{
	struct vmcb *vmcb = &l2_vmcb;
	uint64_t rax, rflags;

	l1_prepare((l2_function)l2, (uintptr_t)&l2_told);
	write_dr7(0x700);
	svm_clgi();
	guest_report(L1_READY, 0);
	asm volatile("pushq %[flags]\n\t"
		     "popfq\n\t"
		     "call l1_vmrun\n\t"
		     "pushfq\n\t"
		     "pop %%rbx\n\t"
		     "cld"
		     : "=a"(rax), "=b"(rflags), "+D"(vmcb)
		     : [flags]"i"(L1_RFLAGS)
		     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	guest_report(1, rax);
	guest_report(2, rflags);
	guest_report(3, read_dr7());
	guest_report(L1_EXIT, l2_vmcb.exitcode);
}

TEST_F(nested, each_has_its_own_state)
{
	struct kvm_sregs before;
	const typeof(l2_told) *told;
	struct vmcb *vmcb, l2;

	vmcb = nested_enter_l1(self->vcpu, l1_looks, (uintptr_t)l2_changes);
	told = &guest_var(self->vm, l2_told);
	vcpu_get_sregs(self->vcpu, &before);
	/* L2 starts otherwise than L1, in all that VMRUN loads. */
	memcpy(vm_ptr(self->vm, VM_DATA_GPA), vm_ptr(self->vm, vmcb->cr3), PAGE_SIZE);
	vmcb->cr3 = VM_DATA_GPA;
	vmcb->cr0 |= CR0_AM;
	vmcb->cr4 |= CR4_PGE;
	vmcb->efer &= ~EFER_SCE;
	vmcb->es = (struct vmcb_segment){ .selector = 0x23, .attrib = 0xcf3, .limit = -1 };
	vmcb->gdtr.limit = 0x27;
	vmcb->idtr.limit = 0x1ff;
	vmcb->dr6 = 0xffff0ff1;
	vmcb->cr2 = 0x12345;
	l2 = *vmcb;
	EXPECT_EQ((uintptr_t)&l2_vmcb, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(L1_RFLAGS, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0x400, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, vmcb->exitinfo1);
	EXPECT_EQ(0, vmcb->exitinfo2);
	EXPECT_EQ(0, vmcb->exitintinfo & EVENT_VALID);

	/* L1 */
	EXPECT_TRUE(nested_l1_is(self->vcpu, &before));

	/* What both share */
	EXPECT_EQ(0, memcmp(&changed_regs, &guest_var(self->vm, l2_regs), sizeof(changed_regs)));

	/* L2 */
	EXPECT_EQ(0xa0, vmcb->rax);
	EXPECT_EQ((uintptr_t)l2_changed, vmcb->rip);
	EXPECT_EQ(l2.rsp, vmcb->rsp);
	EXPECT_EQ(RFLAGS_FIXED | RFLAGS_DF | 1, vmcb->rflags & ~0xd4);
	EXPECT_EQ(l2.cr0, vmcb->cr0);
	EXPECT_EQ(0x12345, vmcb->cr2);
	EXPECT_EQ(l2.cr3, vmcb->cr3);
	EXPECT_EQ(l2.cr4, vmcb->cr4);
	EXPECT_EQ(l2.efer, vmcb->efer);
	EXPECT_EQ(0x4a0, vmcb->dr7);
	EXPECT_EQ(0xffff0ff1, vmcb->dr6);
	EXPECT_EQ(0, vmcb->cpl);
	EXPECT_EQ(0, memcmp(&l2.es, &vmcb->es, 3 * sizeof(l2.es)));
	EXPECT_EQ(0, vmcb->ds.selector);
	EXPECT_EQ(0x23, told->es);
	EXPECT_EQ(0x1f, told->gdtr.limit);
	EXPECT_EQ(0x1f, vmcb->gdtr.limit);
	EXPECT_EQ(l2.gdtr.base, told->gdtr.base);
	EXPECT_EQ(l2.gdtr.base, vmcb->gdtr.base);
	EXPECT_EQ(0x1ef, told->idtr.limit);
	EXPECT_EQ(0x1ef, vmcb->idtr.limit);
	EXPECT_EQ(l2.idtr.base, told->idtr.base);
	EXPECT_EQ(l2.idtr.base, vmcb->idtr.base);
}

/* Again and again, and by turns with L1's other one. */
static volatile uint64_t turns;

static void l2_turns(uint64_t unused)
{
	for (;;) {
		turns++;
		svm_vmmcall();
	}
}

TEST_F(nested, many_turns)
{
	struct vmcb *vmcb;
	unsigned int i;

	vmcb = nested_enter(self->vcpu, l2_turns, 0);
	for (i = 1; i <= 200; i++) {
		ASSERT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
		EXPECT_EQ(i, guest_var(self->vm, turns));
		vmcb->rip += 3;
		vmcb->guest_asid = i % 8 ? i % 8 : 1;
	}
}

static struct vmcb other __attribute__((aligned(4096)));

/* Both run the same code, on one stack for each. */
static void l1_two(uint64_t unused)
{
	unsigned int i;

	l1_prepare(l2_turns, 0);
	other = l2_vmcb;
	other.rsp -= PAGE_SIZE;
	other.guest_asid = 2;
	for (i = 0; i < 20; i++) {
		svm_clgi();
		l1_vmrun(&l2_vmcb);
		l2_vmcb.rip += 3;
		l1_vmrun(&other);
		other.rip += 3;
		svm_stgi();
	}
	guest_report(1, turns);
}

TEST_F(nested, two_guests_by_turns)
{
	guest_enter_c(self->vcpu, l1_two, 0);
	EXPECT_EQ(40, vcpu_await(self->vcpu, 1));
}

/* L2's own page tables, which map one of its pages elsewhere. */
static volatile uint64_t l2_read;

static void l2_reads(uint64_t address)
{
	for (;;) {
		l2_read = *(volatile uint64_t *)address;
		svm_vmmcall();
	}
}

TEST_F(nested, page_tables_of_its_own)
{
	const uint64_t gva = 0x7f0000000000, page = VM_DATA_GPA + 0x10000;
	struct vm *vm = self->vm;
	struct vmcb *vmcb;
	uint64_t root, *pte;

	vmcb = nested_enter(self->vcpu, l2_reads, gva);
	root = vm->root;
	vm->root = vm_pages(vm, 1);
	memcpy(vm_ptr(vm, vm->root), vm_ptr(vm, root), PAGE_SIZE);
	vm_map(vm, gva, page, PAGE_SIZE, PT_ALL);
	pte = vm_pte(vm, gva);
	vmcb->cr3 = vm->root;
	*(uint64_t *)vm_ptr(vm, page) = 0x1111;
	*(uint64_t *)vm_ptr(vm, page + PAGE_SIZE) = 0x2222;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0x1111, guest_var(vm, l2_read));
	EXPECT_EQ(PT_ACCESSED, *pte & (PT_ACCESSED | PT_DIRTY));
	/* A new ASID, or L1's wish to flush it, is enough for L2 to see the change. */
	*pte = (page + PAGE_SIZE) | PT_ALL;
	vmcb->rip += 3;
	vmcb->tlb_control = 1;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0x2222, guest_var(vm, l2_read));
}

/* --- the global interrupt flag */

static volatile uint64_t nmis;

static GUEST_HANDLER void on_nmi(struct guest_frame *frame)
{
	nmis++;
}

static void l2_nothing(uint64_t unused)
{
}

static void l1_gif(uint64_t unused)
{
	guest_handlers[2] = on_nmi;
	l1_prepare(l2_nothing, 0);
	guest_report(L1_READY, nmis);
	svm_clgi();
	guest_report(1, nmis);
	guest_report(2, nmis);
	svm_stgi();
	guest_report(3, nmis);
	/* VMRUN sets it for L2, without letting L2 have it: it is L1's NMI. */
	svm_clgi();
	guest_report(4, nmis);
	vmcb_intercept(&l2_vmcb, EXIT_NMI);
	guest_report(5, l1_run());
	guest_report(6, nmis);
	svm_stgi();
	guest_report(7, nmis);
	/* It is clear after the exit although nobody cleared it before. */
	vmcb_pass(&l2_vmcb, EXIT_NMI);
	guest_report(8, l1_vmrun(&l2_vmcb));
	guest_report(9, nmis);
	svm_stgi();
	guest_report(10, nmis);
}

TEST_F(nested, GIF)
{
	struct vcpu *vcpu = self->vcpu;
	struct vmcb *vmcb;

	vmcb = nested_enter_l1(vcpu, l1_gif, 0);
	vcpu_await(vcpu, 1);
	must_ioctl(vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	EXPECT_EQ(1, vcpu_await(vcpu, 3));
	EXPECT_EQ(1, vcpu_await(vcpu, 4));
	must_ioctl(vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(EXIT_NMI, vcpu_await(vcpu, 5));
	EXPECT_EQ((uintptr_t)l2_nothing, vmcb->rip);
	EXPECT_EQ(1, vcpu_await(vcpu, 6));
	EXPECT_EQ(2, vcpu_await(vcpu, 7));
	vcpu_await(vcpu, 8);
	EXPECT_EQ(EXIT_VMMCALL, vmcb->exitcode);
	must_ioctl(vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(2, vcpu_await(vcpu, 9));
	EXPECT_EQ(3, vcpu_await(vcpu, 10));
}

#define VECTOR	0x41

static volatile uint64_t irqs;

static GUEST_HANDLER void on_irq(struct guest_frame *frame)
{
	irqs++;
}

static void l1_gif_irq(uint64_t unused)
{
	guest_handlers[VECTOR] = on_irq;
	l1_prepare(l2_nothing, 0);
	guest_report(L1_READY, irqs);
	asm volatile("clgi; sti; nop" : : : "memory");
	guest_report(1, irqs);
	guest_report(2, irqs);
	asm volatile("stgi; nop" : : : "memory");
	guest_report(3, irqs);
}

/* IF is set all the time. */
TEST_F(nested, GIF_and_interrupts)
{
	struct vcpu *vcpu = self->vcpu;

	if (slat_is_kvm())
		SKIP(return, "KVM injects at once, ready or not");
	nested_enter_l1(vcpu, l1_gif_irq, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(0, vcpu_try_irq(vcpu, VECTOR));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	EXPECT_EQ(1, vcpu_await(vcpu, 3));
}

TEST_F(nested, GIF_and_interrupt_window)
{
	struct vcpu *vcpu = self->vcpu;

	nested_enter_l1(vcpu, l1_gif_irq, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);
	vcpu->run->request_interrupt_window = 1;
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	vcpu_run_to(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	vcpu->run->request_interrupt_window = 0;
	EXPECT_EQ(1, vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(0, vcpu_try_irq(vcpu, VECTOR));
	EXPECT_EQ(1, vcpu_await(vcpu, 3));
}

/* --- the time stamp counter */

#define TSC_OFFSET	(1ul << 50)
#define TSC_SLACK	(1ul << 40)

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

static void l2_tells_time(uint64_t unused)
{
	guest_report(1, read_tsc());
	guest_report(2, guest_rdmsr(MSR_TSC));
}

static void l1_tells_time(uint64_t unused)
{
	l1_prepare(l2_tells_time, 0);
	guest_report(L1_READY, read_tsc());
	l1_run();
	svm_stgi();
	guest_report(3, read_tsc());
	guest_report(4, guest_rdmsr(MSR_TSC));
}

/* What is left without the offset is a small time after then. */
static bool is_soon_after(uint64_t now, uint64_t then)
{
	return now - then < TSC_SLACK;
}

TEST_F(nested, TSC_offset)
{
	struct vcpu *vcpu = self->vcpu;
	uint64_t l1, l2, l2_msr, now, seen;

	guest_enter_c(vcpu, l1_tells_time, 0);
	l1 = vcpu_await(vcpu, L1_READY);
	guest_var(self->vm, l2_vmcb).tsc_offset = TSC_OFFSET;
	l2 = vcpu_await(vcpu, 1);
	EXPECT_TRUE(is_soon_after(l2 - TSC_OFFSET, l1));
	/* The VMM's TSC is L1's: it would be given to L1 again after a migration. */
	seen = vcpu_get_msr(vcpu, MSR_TSC);
	EXPECT_TRUE(is_soon_after(seen, l1));
	l2_msr = vcpu_await(vcpu, 2);
	EXPECT_TRUE(is_soon_after(l2_msr, l2));
	now = vcpu_await(vcpu, 3);
	EXPECT_TRUE(is_soon_after(now, l1));
	now = vcpu_await(vcpu, 4);
	EXPECT_TRUE(is_soon_after(now, l1));
}

/* --- VMLOAD and VMSAVE */

static const uint32_t loaded_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR, MSR_CSTAR,
	MSR_SFMASK, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

static const uint64_t loaded_values[] = {
	0x1000, 0x2000, 0x3000, 0x18000800000000, 0x5000, 0x6000, 0x700, 0x8, 0x9000, 0xa000,
};

static void fill_loaded(struct vmcb *vmcb)
{
	vmcb->fs.base = loaded_values[0];
	vmcb->gs.base = loaded_values[1];
	vmcb->kernel_gs_base = loaded_values[2];
	vmcb->star = loaded_values[3];
	vmcb->lstar = loaded_values[4];
	vmcb->cstar = loaded_values[5];
	vmcb->sfmask = loaded_values[6];
	vmcb->sysenter_cs = loaded_values[7];
	vmcb->sysenter_esp = loaded_values[8];
	vmcb->sysenter_eip = loaded_values[9];
}

static void l1_loads(uint64_t unused)
{
	unsigned int i;

	l1_prepare(l2_nothing, 0);
	guest_report(L1_READY, 0);
	svm_vmload(&l2_vmcb);
	for (i = 0; i < ARRAY_SIZE(loaded_msrs); i++)
		guest_report(1, guest_rdmsr(loaded_msrs[i]));
	guest_report(2, 0);
	svm_vmsave(&other);
	guest_report(3, 0);
}

TEST_F(nested, VMLOAD_and_VMSAVE)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_sregs sregs;
	struct vmcb *vmcb, *saved;
	unsigned int i;

	vmcb = nested_enter_l1(vcpu, l1_loads, 0);
	saved = &guest_var(self->vm, other);
	fill_loaded(vmcb);
	vmcb->fs.selector = 0x13;
	vmcb->fs.limit = 0xfffff;
	vmcb->gs.selector = 0x23;
	vmcb->ldtr = (struct vmcb_segment){
		.selector = 0x38, .attrib = 0x82, .limit = 0x77, .base = 0x7000,
	};
	vmcb->tr.limit = 0x99;
	/* Not their business. */
	vmcb->cs.selector = 0x77;
	vmcb->rflags = 0xdead;
	memset(saved, 0x5a, sizeof(*saved));
	for (i = 0; i < ARRAY_SIZE(loaded_msrs); i++) {
		EXPECT_EQ(loaded_values[i], vcpu_await(vcpu, 1)) {
			TH_LOG("MSR %#x", loaded_msrs[i]);
		}
	}
	vcpu_await(vcpu, 2);
	vcpu_get_sregs(vcpu, &sregs);
	EXPECT_EQ(SEL_CODE, sregs.cs.selector);
	EXPECT_EQ(0x1000, sregs.fs.base);
	EXPECT_EQ(0x13, sregs.fs.selector);
	EXPECT_EQ(0x23, sregs.gs.selector);
	EXPECT_EQ(0x7000, sregs.ldt.base);
	EXPECT_EQ(0x77, sregs.ldt.limit);
	EXPECT_EQ(0x38, sregs.ldt.selector);
	EXPECT_EQ(vcpu->tss, sregs.tr.base);
	EXPECT_EQ(0x99, sregs.tr.limit);
	vcpu_await(vcpu, 3);
	EXPECT_EQ(0, memcmp(&vmcb->fs, &saved->fs, 2 * sizeof(vmcb->fs)));
	EXPECT_EQ(0, memcmp(&vmcb->ldtr, &saved->ldtr, sizeof(vmcb->ldtr)));
	EXPECT_EQ(0, memcmp(&vmcb->tr, &saved->tr, sizeof(vmcb->tr)));
	EXPECT_EQ(0, memcmp(&vmcb->star, &saved->star, 8 * sizeof(vmcb->star)));
	/* And nothing else is written. */
	EXPECT_EQ(0x5a5a5a5a5a5a5a5a, saved->rip);
	EXPECT_EQ(0x5a5a, saved->cs.selector);
	EXPECT_EQ(0x5a5a5a5a, saved->guest_asid);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5a, saved->cr2);
}

/* L2 may use them, too, if L1 lets it: they are about L1's memory. */
static void l2_loads(uint64_t unused)
{
	svm_vmsave(&other);
	other.fs.base = 0x123000;
	svm_vmload(&other);
	guest_report(1, guest_rdmsr(MSR_FS_BASE));
}

TEST_F(nested, VMLOAD_in_L2)
{
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, l2_loads, 0);
	EXPECT_EQ(0x123000, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	/* l1_run() saved it as L2's. */
	EXPECT_EQ(0x123000, vmcb->fs.base);
	EXPECT_EQ(0, vcpu_get_msr(self->vcpu, MSR_FS_BASE));
}

SLAT_HARNESS_MAIN
