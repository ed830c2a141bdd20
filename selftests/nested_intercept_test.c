// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: what a guest's guest (L2) does ends in the guest that is its hypervisor (L1) if that has
 * asked for it, with what L1 needs to know, and else is done as in any guest: by the CPU, by
 * slat, or by the VMM.
 */
#include "harness.h"
#include "nested.h"

/* L2: one instruction, and then VMMCALL. */
#define L2_INSN(name, before, text)					\
	extern const char l2_##name[], l2_##name##_at[], l2_##name##_end[]; \
	asm(".pushsection .text\n"					\
	    "l2_" #name ": " before "\n"				\
	    "l2_" #name "_at: " text "\n"				\
	    "l2_" #name "_end: vmmcall\n"				\
	    ".popsection\n")

/* An exception or software interrupt that L2's own IDT has got; L2 ends with it. */
static struct {
	uint64_t vector, error, rip, cr2;
} caught;

extern const char l2_caught[];
asm(".pushsection .text\n"
    "l2_caught: vmmcall\n"
    ".popsection\n");

GUEST_HANDLER static void catch(struct guest_frame *frame)
{
	caught.vector = frame->vector;
	caught.error = frame->error;
	caught.rip = frame->rip;
	caught.cr2 = read_cr2();
	frame->rip = (uintptr_t)l2_caught;
	frame->rflags &= ~RFLAGS_TF;
}

#define SOFT_VECTOR	0x30
#define NO_VECTOR	0xffu

/* L1 with this L2, whose exceptions are caught. */
static struct vmcb *enter(struct vcpu *vcpu, const char *l2)
{
	struct vmcb *vmcb = nested_enter(vcpu, (l2_function)l2, 0);
	unsigned int i;

	for (i = 0; i <= SOFT_VECTOR; i++)
		guest_var(vcpu->vm, guest_handlers)[i] = catch;
	guest_var(vcpu->vm, caught).vector = NO_VECTOR;
	return vmcb;
}

/* --- instructions */

FIXTURE(insn)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct vmcb *vmcb;
};

FIXTURE_VARIANT(insn)
{
	const char *start, *at, *end;
	unsigned int exit;
	uint64_t rax, rcx;
	size_t rax_from;		/* or it is what this field of the VMCB has */
	enum { DONE, HALTS, RAISES_UD, RAISES_GP, SOFT, NEVER } passed;
	bool not_qemus;
};

#define INSN(name, before, text, ...)					\
	L2_INSN(name, before, text);					\
	FIXTURE_VARIANT_ADD(insn, name) {				\
		.start = l2_##name, .at = l2_##name##_at, .end = l2_##name##_end, __VA_ARGS__ \
	}

#define FROM(field)	.rax_from = offsetof(struct vmcb, field)
#define VMCB_RAX	.rax = (uintptr_t)&l1_state

INSN(cpuid, "", "cpuid", .exit = EXIT_CPUID, .rax = 1);
INSN(hlt, "", "hlt", .exit = EXIT_HLT, .passed = HALTS);
INSN(rdtsc, "", "rdtsc", .exit = EXIT_RDTSC);
INSN(rdpmc, "", "rdpmc", .exit = EXIT_RDPMC, .rcx = 0x1234, .passed = RAISES_GP);
INSN(invlpg, "", "invlpg (%rax)", .exit = EXIT_INVLPG, .rax = VM_DATA_GPA);
INSN(pause, "", "pause", .exit = EXIT_PAUSE);
INSN(pushf, "", "pushfq", .exit = EXIT_PUSHF);
INSN(popf, "pushfq", "popfq", .exit = EXIT_POPF);
INSN(invd, "", "invd", .exit = EXIT_INVD, .not_qemus = true);
INSN(wbinvd, "", "wbinvd", .exit = EXIT_WBINVD);
INSN(read_cr0, "", "mov %cr0, %rax", .exit = EXIT_READ_CR(0));
INSN(read_cr2, "", "mov %cr2, %rax", .exit = EXIT_READ_CR(2));
INSN(read_cr3, "", "mov %cr3, %rax", .exit = EXIT_READ_CR(3));
INSN(read_cr4, "", "mov %cr4, %rax", .exit = EXIT_READ_CR(4));
INSN(read_cr8, "", "mov %cr8, %rax", .exit = EXIT_READ_CR(8));
INSN(write_cr0, "", "mov %rax, %cr0", .exit = EXIT_WRITE_CR(0), FROM(cr0));
INSN(write_cr2, "", "mov %rax, %cr2", .exit = EXIT_WRITE_CR(2), .rax = 0x1234);
INSN(write_cr3, "", "mov %rax, %cr3", .exit = EXIT_WRITE_CR(3), FROM(cr3));
INSN(write_cr4, "", "mov %rax, %cr4", .exit = EXIT_WRITE_CR(4), FROM(cr4));
INSN(write_cr8, "", "mov %rax, %cr8", .exit = EXIT_WRITE_CR(8));
INSN(change_cr0, "xor $0x10000, %rax", "mov %rax, %cr0", .exit = EXIT_CR0_SEL_WRITE, FROM(cr0));
INSN(read_dr0, "", "mov %dr0, %rax", .exit = EXIT_READ_DR(0));
INSN(read_dr6, "", "mov %dr6, %rax", .exit = EXIT_READ_DR(6));
INSN(read_dr7, "", "mov %dr7, %rax", .exit = EXIT_READ_DR(7));
INSN(write_dr0, "", "mov %rax, %dr0", .exit = EXIT_WRITE_DR(0), .rax = 0x1234);
INSN(write_dr3, "", "mov %rax, %dr3", .exit = EXIT_WRITE_DR(3), .rax = 0x1234);
INSN(write_dr6, "", "mov %rax, %dr6", .exit = EXIT_WRITE_DR(6), FROM(dr6));
INSN(write_dr7, "", "mov %rax, %dr7", .exit = EXIT_WRITE_DR(7), FROM(dr7));
INSN(sidt, "", "sidt -64(%rsp)", .exit = EXIT_IDTR_READ);
INSN(sgdt, "", "sgdt -64(%rsp)", .exit = EXIT_GDTR_READ);
INSN(sldt, "", "sldt %eax", .exit = EXIT_LDTR_READ);
INSN(str, "", "str %eax", .exit = EXIT_TR_READ);
INSN(lidt, "sidt -64(%rsp)", "lidt -64(%rsp)", .exit = EXIT_IDTR_WRITE);
INSN(lgdt, "sgdt -64(%rsp)", "lgdt -64(%rsp)", .exit = EXIT_GDTR_WRITE);
INSN(lldt, "", "lldt %ax", .exit = EXIT_LDTR_WRITE);
INSN(int_n, "", "int $0x30", .exit = EXIT_SWINT, .passed = SOFT);
INSN(vmmcall, "", "vmmcall", .exit = EXIT_VMMCALL, .passed = NEVER);
INSN(vmrun, "", "vmrun %rax", .exit = EXIT_VMRUN, VMCB_RAX, .passed = NEVER);
INSN(vmload, "", "vmload %rax", .exit = EXIT_VMLOAD, VMCB_RAX);
INSN(vmsave, "", "vmsave %rax", .exit = EXIT_VMSAVE, VMCB_RAX);
INSN(stgi, "", "stgi", .exit = EXIT_STGI);
INSN(clgi, "", "clgi", .exit = EXIT_CLGI);
INSN(invlpga, "", "invlpga %rax, %ecx", .exit = EXIT_INVLPGA, .rcx = 1);
INSN(skinit, "", "skinit %eax", .exit = EXIT_SKINIT, .passed = RAISES_UD);

FIXTURE_SETUP(insn)
{
	uint64_t *at;

	if (!nested_supported())
		SKIP_SETUP("guests here have no SVM");
	if (variant->not_qemus && cpu_is_qemus())
		SKIP_SETUP("QEMU does not let a hypervisor intercept it");
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	self->vmcb = enter(self->vcpu, variant->start);
	at = (uint64_t *)((uint8_t *)self->vmcb + variant->rax_from);
	self->vmcb->rax = variant->rax_from ? *at : variant->rax;
	guest_var(self->vm, l2_regs).rcx = variant->rcx;
}

FIXTURE_TEARDOWN(insn)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

TEST_F(insn, intercepted)
{
	struct vmcb *vmcb = self->vmcb;
	const uint64_t rax = vmcb->rax ^ (variant->exit == EXIT_CR0_SEL_WRITE ? CR0_WP : 0);

	vmcb_intercept(vmcb, variant->exit);
	EXPECT_EQ(variant->exit, nested_run(self->vcpu));
	EXPECT_EQ((uintptr_t)variant->at, vmcb->rip);
	/* It was not done. */
	EXPECT_EQ(rax, vmcb->rax);
	EXPECT_EQ(variant->rcx, guest_var(self->vm, l2_regs).rcx);
	EXPECT_EQ(NO_VECTOR, guest_var(self->vm, caught).vector);
	/* L1 says that it has seen to it. */
	vmcb->rip = (uintptr_t)variant->end;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ((uintptr_t)variant->end, vmcb->rip);
}

TEST_F(insn, not_intercepted)
{
	struct vmcb *vmcb = self->vmcb;
	unsigned int vector = NO_VECTOR;

	switch (variant->passed) {
	case NEVER:
		SKIP(return, "it always is");
	case HALTS:
		vcpu_run_to(self->vcpu, KVM_EXIT_HLT);
		break;
	case RAISES_UD:
		vector = UD_VECTOR;
		break;
	case RAISES_GP:
		vector = GP_VECTOR;
		break;
	case SOFT:
		vector = SOFT_VECTOR;
		break;
	case DONE:
		break;
	}
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(vector, guest_var(self->vm, caught).vector);
	EXPECT_EQ((uintptr_t)(vector == NO_VECTOR ? variant->end : l2_caught), vmcb->rip);
	if (vector != NO_VECTOR) {
		EXPECT_EQ((uintptr_t)(vector == SOFT_VECTOR ? variant->end : variant->at),
			  guest_var(self->vm, caught).rip);
	}
}

NESTED_FIXTURE(intercept);

/* What is done without L1 is done for L2: its registers, the vCPU's CPUID. */
static struct {
	uint32_t eax, ebx, ecx, edx;
	uint64_t cr0, cr3, cr4;
} l2_result;

static void l2_looks(uint64_t unused)
{
	l2_result.eax = 0x80000001;
	asm volatile("cpuid" : "+a"(l2_result.eax), "=b"(l2_result.ebx), "=c"(l2_result.ecx),
			       "=d"(l2_result.edx));
	l2_result.cr0 = read_cr0();
	l2_result.cr3 = read_cr3();
	l2_result.cr4 = read_cr4();
	write_cr0(l2_result.cr0 & ~CR0_WP);
	write_cr3(l2_result.cr3 | 0x18);
	write_cr4(l2_result.cr4 | CR4_PGE);
}

TEST_F(intercept, registers_are_L2s)
{
	const struct kvm_cpuid_entry2 *cpuid = slat_cpuid(0x80000001, 0);
	struct vmcb *vmcb, before;

	vmcb = nested_enter(self->vcpu, l2_looks, 0);
	vmcb->cr0 |= CR0_AM;
	before = *vmcb;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(cpuid->ecx, guest_var(self->vm, l2_result).ecx);
	EXPECT_EQ(cpuid->edx, guest_var(self->vm, l2_result).edx);
	EXPECT_EQ(before.cr0, guest_var(self->vm, l2_result).cr0);
	EXPECT_EQ(before.cr3, guest_var(self->vm, l2_result).cr3);
	EXPECT_EQ(before.cr4, guest_var(self->vm, l2_result).cr4);
	EXPECT_EQ(before.cr0 & ~CR0_WP, vmcb->cr0);
	EXPECT_EQ(before.cr3 | 0x18, vmcb->cr3);
	EXPECT_EQ(before.cr4 | CR4_PGE, vmcb->cr4);
}

/* It is no hypercall: what L2 may ask slat for is L1's to decide. */
TEST_F(intercept, VMMCALL)
{
	struct vmcb *vmcb;

	if (slat_is_kvm())
		SKIP(return, "KVM takes it for a call of its own");
	vmcb = nested_enter(self->vcpu, (l2_function)l2_vmmcall, 0);
	vmcb_pass(vmcb, EXIT_VMMCALL);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(UD_VECTOR));
	EXPECT_EQ(EXIT_EXCEPTION(UD_VECTOR), nested_run(self->vcpu));
	EXPECT_EQ((uintptr_t)l2_vmmcall, vmcb->rip);
}

/* What L1 asks for is about L2. */
static void l2_nothing(uint64_t unused)
{
}

static void l1_does_it_itself(uint64_t unused)
{
	static const unsigned int exits[] = {
		EXIT_READ_CR(3), EXIT_WRITE_CR(3), EXIT_READ_DR(7), EXIT_RDTSC, EXIT_PUSHF,
		EXIT_INVLPG, EXIT_PAUSE, EXIT_GDTR_READ, EXIT_EXCEPTION(BP_VECTOR),
		EXIT_EXCEPTION(DE_VECTOR), EXIT_EXCEPTION(PF_VECTOR),
	};
	struct table_register gdtr;
	unsigned int i;

	l1_prepare(l2_nothing, 0);
	for (i = 0; i < ARRAY_SIZE(exits); i++)
		vmcb_intercept(&l2_vmcb, exits[i]);
	guest_report(1, l1_run());
	svm_stgi();
	write_cr3(read_cr3());
	asm volatile("rdtsc; pause; pushfq; popfq" : : : "rax", "rdx", "memory");
	guest_invlpg(&gdtr);
	asm volatile("sgdt %0" : "=m"(gdtr));
	guest_report(2, read_dr7());
	guest_report(3, guest_try("xor %%ecx, %%ecx\n\tdiv %%ecx").vector);
	guest_report(4, guest_try("mov (%2), %%eax", "r"(0x600000000000)).vector);
}

TEST_F(intercept, L1_is_not_intercepted)
{
	guest_enter_c(self->vcpu, l1_does_it_itself, 0);
	EXPECT_EQ(EXIT_VMMCALL, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0x400, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(DE_VECTOR, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(PF_VECTOR, vcpu_await(self->vcpu, 4));
	vcpu_await_done(self->vcpu);
}

/* --- ports */

#define PORT		0x5678
#define IOIO_IN		1u
#define IOIO_STRING	4u
#define IOIO_REP	8u
#define IOIO_SIZE(n)	((n) << 4)
#define IOIO_KNOWN	0xffff007du	/* not the size of an address, nor a segment */

L2_INSN(outb, "", "outb %al, %dx");
L2_INSN(outw, "", "outw %ax, %dx");
L2_INSN(outl, "", "outl %eax, %dx");
L2_INSN(inb, "", "inb %dx, %al");
L2_INSN(inl, "", "inl %dx, %eax");
L2_INSN(outs, "", "rep outsb");

static const char string[4] = "abc";

static const struct port_case {
	const char *at, *end;
	uint32_t info;
	uint16_t port;
	uint32_t asked_for;	/* in the bitmap */
	bool exits;
} port_cases[] = {
	{ l2_outb, l2_outb_end, IOIO_SIZE(1), PORT, PORT, true },
	{ l2_outb, l2_outb_end, IOIO_SIZE(1), PORT, PORT + 1, false },
	{ l2_outb, l2_outb_end, IOIO_SIZE(1), PORT, PORT - 1, false },
	{ l2_outw, l2_outw_end, IOIO_SIZE(2), PORT, PORT + 1, true },
	{ l2_outw, l2_outw_end, IOIO_SIZE(2), PORT + 7, PORT + 8, true },
	{ l2_outw, l2_outw_end, IOIO_SIZE(2), PORT + 7, PORT + 9, false },
	{ l2_outl, l2_outl_end, IOIO_SIZE(4), PORT, PORT + 3, true },
	{ l2_outl, l2_outl_end, IOIO_SIZE(4), PORT + 6, PORT + 8, true },
	{ l2_outl, l2_outl_end, IOIO_SIZE(4), PORT, PORT + 4, false },
	{ l2_inb, l2_inb_end, IOIO_SIZE(1) | IOIO_IN, PORT, PORT, true },
	{ l2_inl, l2_inl_end, IOIO_SIZE(4) | IOIO_IN, PORT, PORT, true },
	{ l2_inl, l2_inl_end, IOIO_SIZE(4) | IOIO_IN, PORT, PORT - 1, false },
	/* The last port, and what would be behind it. */
	{ l2_outb, l2_outb_end, IOIO_SIZE(1), 0xffff, 0xffff, true },
	{ l2_outw, l2_outw_end, IOIO_SIZE(2), 0xffff, 0x10000, true },
};

static void set_port_bit(struct vm *vm, uint32_t port)
{
	memset(&guest_var(vm, l2_iopm), 0, sizeof(l2_iopm));
	guest_var(vm, l2_iopm)[port / 8] |= 1 << port % 8;
}

static void expect_port_exit(struct __test_metadata *_metadata, struct vcpu *vcpu,
			     struct vmcb *vmcb, const struct port_case *test)
{
	EXPECT_EQ(EXIT_IOIO, nested_run(vcpu));
	EXPECT_EQ((uint32_t)test->port << 16 | test->info, vmcb->exitinfo1 & IOIO_KNOWN);
	EXPECT_EQ((uintptr_t)test->end, vmcb->exitinfo2);
	EXPECT_EQ((uintptr_t)test->at, vmcb->rip);
	vmcb->rip = vmcb->exitinfo2;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(vcpu));
	EXPECT_EQ(0x11223344, vmcb->rax);
}

/* As it is in any guest. */
static void expect_port_access(struct __test_metadata *_metadata, struct vcpu *vcpu,
			       struct vmcb *vmcb, const struct port_case *test)
{
	const unsigned int size = test->info >> 4;
	const bool in = test->info & IOIO_IN;

	vcpu_run_to(vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(exit_is_io(vcpu, in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT, test->port, size, 1));
	if (in) {
		exit_io_reply(vcpu, 0xabcdef98);
	} else {
		EXPECT_EQ(size == 1 ? 0x44 : size == 2 ? 0x3344 : 0x11223344, exit_io_value(vcpu));
	}
	EXPECT_EQ(EXIT_VMMCALL, nested_run(vcpu));
	EXPECT_EQ((uintptr_t)test->end, vmcb->rip);
	EXPECT_EQ(!in ? 0x11223344 : size == 4 ? 0xabcdef98 : 0x11223398, vmcb->rax);
}

TEST_F(intercept, ports)
{
	const struct port_case *test;
	struct vmcb *vmcb;
	unsigned int i;

	vmcb = enter(self->vcpu, l2_outb);
	vmcb_intercept(vmcb, EXIT_IOIO);
	for (i = 0; i < ARRAY_SIZE(port_cases); i++) {
		test = &port_cases[i];
		set_port_bit(self->vm, test->asked_for);
		vmcb->rip = (uintptr_t)test->at;
		vmcb->rax = 0x11223344;
		guest_var(self->vm, l2_regs).rdx = test->port;
		if (test->exits)
			expect_port_exit(_metadata, self->vcpu, vmcb, test);
		else
			expect_port_access(_metadata, self->vcpu, vmcb, test);
		if (!_metadata->passed)
			TH_LOG("case %u", i);
	}
}

TEST_F(intercept, no_ports)
{
	struct vmcb *vmcb;

	vmcb = enter(self->vcpu, l2_outb);
	/* Nobody asks the bitmap. */
	memset(&guest_var(self->vm, l2_iopm), 0xff, sizeof(l2_iopm));
	vmcb->rax = 0x11223344;
	guest_var(self->vm, l2_regs).rdx = PORT;
	expect_port_access(_metadata, self->vcpu, vmcb, &port_cases[1]);
}

/* A string: L1 gets it before it begins, the VMM gets it from L2's memory. */
TEST_F(intercept, port_strings)
{
	struct vmcb *vmcb;
	unsigned int i, n;

	vmcb = enter(self->vcpu, l2_outs);
	guest_var(self->vm, l2_regs).rdx = PORT;
	guest_var(self->vm, l2_regs).rcx = 3;
	guest_var(self->vm, l2_regs).rsi = (uintptr_t)string;
	set_port_bit(self->vm, PORT);
	vmcb_intercept(vmcb, EXIT_IOIO);
	EXPECT_EQ(EXIT_IOIO, nested_run(self->vcpu));
	EXPECT_EQ((uint32_t)PORT << 16 | IOIO_SIZE(1) | IOIO_STRING | IOIO_REP,
		  vmcb->exitinfo1 & IOIO_KNOWN);
	EXPECT_EQ((uintptr_t)l2_outs_end, vmcb->exitinfo2);
	EXPECT_EQ((uintptr_t)l2_outs, vmcb->rip);
	EXPECT_EQ(3, guest_var(self->vm, l2_regs).rcx);
	set_port_bit(self->vm, PORT + 1);
	for (i = 0; i < 3; i += n) {
		vcpu_run_to(self->vcpu, KVM_EXIT_IO);
		n = self->vcpu->run->io.count;
		ASSERT_LE(i + n, 3);
		EXPECT_EQ(0, memcmp(exit_io_data(self->vcpu), string + i, n));
	}
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, guest_var(self->vm, l2_regs).rcx);
	EXPECT_EQ((uintptr_t)string + 3, guest_var(self->vm, l2_regs).rsi);
}

/* MMIO is the VMM's in L2, too. */
static void l2_mmio(uint64_t unused)
{
	volatile uint32_t *at = (volatile uint32_t *)VM_MMIO_GPA;

	*at = 0x1234;
	guest_report(1, *at);
}

TEST_F(intercept, MMIO)
{
	nested_enter(self->vcpu, l2_mmio, 0);
	vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(self->vcpu, true, VM_MMIO_GPA, 4));
	EXPECT_EQ(0x1234, exit_mmio_value(self->vcpu));
	vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(self->vcpu, false, VM_MMIO_GPA, 4));
	exit_mmio_reply(self->vcpu, 0x5678);
	EXPECT_EQ(0x5678, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* --- MSRs */

L2_INSN(rdmsr, "", "rdmsr");
L2_INSN(wrmsr, "", "wrmsr");

#define NO_MSR	0x12345678u

/* L2 does it with this MSR; what is written is 0x1000. */
static uint64_t run_msr(struct vcpu *vcpu, struct vmcb *vmcb, uint32_t msr, bool write)
{
	struct l2_regs *regs = &guest_var(vcpu->vm, l2_regs);

	vmcb->rip = (uintptr_t)(write ? l2_wrmsr : l2_rdmsr);
	vmcb->rax = 0x1000;
	regs->rdx = 0;
	regs->rcx = msr;
	return nested_run(vcpu);
}

static const uint32_t some_msrs[] = {
	MSR_SYSENTER_EIP, MSR_PAT, MSR_EFER, MSR_FS_BASE, MSR_KERNEL_GS_BASE, MSR_VM_HSAVE_PA,
};

/* Each in all combinations of what L1 asked for and what L2 does. */
TEST_F(intercept, MSRs)
{
	struct vmcb *vmcb;
	unsigned int i;
	bool write;

	vmcb = enter(self->vcpu, l2_rdmsr);
	vmcb_intercept(vmcb, EXIT_MSR);
	for (i = 0; i < 2 * ARRAY_SIZE(some_msrs); i++) {
		write = i % 2;
		memset(&guest_var(self->vm, l2_msrpm), 0, sizeof(l2_msrpm));
		nested_intercept_msr(self->vm, some_msrs[i / 2], write);
		EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, some_msrs[i / 2], write)) {
			TH_LOG("MSR %#x", some_msrs[i / 2]);
		}
		EXPECT_EQ(write, vmcb->exitinfo1);
		EXPECT_EQ((uintptr_t)(write ? l2_wrmsr : l2_rdmsr), vmcb->rip);
		/* Reading it is harmless, and that is not asked for. */
		if (!write)
			continue;
		EXPECT_EQ(EXIT_VMMCALL, run_msr(self->vcpu, vmcb, some_msrs[i / 2], false)) {
			TH_LOG("MSR %#x", some_msrs[i / 2]);
		}
		EXPECT_EQ(NO_VECTOR, guest_var(self->vm, caught).vector);
	}
	/* The bitmap has nothing of it: always L1's. */
	memset(&guest_var(self->vm, l2_msrpm), 0, sizeof(l2_msrpm));
	EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, NO_MSR, false));
	EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, NO_MSR, true));
	EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, 0x2000, false));
	EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, 0xc0002000, false));
	EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, 0xc0012000, false));
}

TEST_F(intercept, no_MSRs)
{
	const uint64_t lme = EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME;
	struct vmcb *vmcb;

	vmcb = enter(self->vcpu, l2_rdmsr);
	memset(&guest_var(self->vm, l2_msrpm), 0xff, sizeof(l2_msrpm));
	/* L2 has an EFER of its own, */
	vmcb->efer = lme;
	EXPECT_EQ(EXIT_VMMCALL, run_msr(self->vcpu, vmcb, MSR_EFER, false));
	EXPECT_EQ(lme, vmcb->rax);
	/* and what VMLOAD gave it. */
	vmcb->fs.base = 0x7000;
	EXPECT_EQ(EXIT_VMMCALL, run_msr(self->vcpu, vmcb, MSR_FS_BASE, false));
	EXPECT_EQ(0x7000, vmcb->rax);
	EXPECT_EQ(EXIT_VMMCALL, run_msr(self->vcpu, vmcb, MSR_FS_BASE, true));
	EXPECT_EQ(0x1000, vmcb->fs.base);
	EXPECT_EQ(0, vcpu_get_msr(self->vcpu, MSR_FS_BASE));
	EXPECT_EQ(EXIT_VMMCALL, run_msr(self->vcpu, vmcb, MSR_LSTAR, true));
	EXPECT_EQ(0x1000, vmcb->lstar);
	EXPECT_EQ(0, vcpu_get_msr(self->vcpu, MSR_LSTAR));
	EXPECT_EQ(NO_VECTOR, guest_var(self->vm, caught).vector);
}

/* The bitmap is L1's to change at any time. */
TEST_F(intercept, MSR_bitmap_changes)
{
	struct vmcb *vmcb;
	unsigned int i;

	vmcb = enter(self->vcpu, l2_rdmsr);
	vmcb_intercept(vmcb, EXIT_MSR);
	for (i = 0; i < 3; i++) {
		nested_intercept_msr(self->vm, MSR_FS_BASE, false);
		EXPECT_EQ(EXIT_MSR, run_msr(self->vcpu, vmcb, MSR_FS_BASE, false));
		memset(&guest_var(self->vm, l2_msrpm), 0, sizeof(l2_msrpm));
		EXPECT_EQ(EXIT_VMMCALL, run_msr(self->vcpu, vmcb, MSR_FS_BASE, false));
	}
}

static void l2_sets_efer(uint64_t unused)
{
	guest_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) & ~EFER_SCE);
}

TEST_F(intercept, EFER_is_L2s)
{
	const uint64_t efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME;
	struct kvm_sregs sregs;
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, l2_sets_efer, 0);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(efer, vmcb->efer);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(efer | EFER_SCE, sregs.efer);
}

/* --- exceptions */

FIXTURE(exception)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct vmcb *vmcb;
};

FIXTURE_VARIANT(exception)
{
	const char *start, *at, *end;
	unsigned int vector;
	uint64_t error, cr2;
	uint64_t rcx;
	bool behind;			/* a trap: the instruction has been done */
	bool not_qemus;
};

#define EXCEPTION(name, before, text, ...)				\
	L2_INSN(name, before, text);					\
	FIXTURE_VARIANT_ADD(exception, name) {				\
		.start = l2_##name, .at = l2_##name##_at, .end = l2_##name##_end, __VA_ARGS__ \
	}

/* The CPU's own. */
EXCEPTION(ud, "", "ud2", .vector = UD_VECTOR);
EXCEPTION(de, "xor %ecx, %ecx", "div %ecx", .vector = DE_VECTOR);
EXCEPTION(pf_read, "movabs $0x600000000000, %rbx", "mov (%rbx), %eax",
	  .vector = PF_VECTOR, .cr2 = 0x600000000000);
EXCEPTION(pf_write, "movabs $0x600000000000, %rbx", "movb $1, 5(%rbx)",
	  .vector = PF_VECTOR, .error = PF_WRITE, .cr2 = 0x600000000005);
EXCEPTION(gp_selector, "mov $0x50, %eax", "mov %eax, %ds", .vector = GP_VECTOR, .error = 0x50);
EXCEPTION(gp_address, "movabs $0x800000000000, %rbx", "mov (%rbx), %eax", .vector = GP_VECTOR);
EXCEPTION(db, "pushfq; orq $0x100, (%rsp); popfq", "nop", .vector = DB_VECTOR, .behind = true);
EXCEPTION(bp, "", "int3", .vector = BP_VECTOR, .behind = true, .not_qemus = true);
/* What slat makes of an instruction that it has to look at. */
EXCEPTION(gp_rdmsr, "", "rdmsr", .vector = GP_VECTOR, .rcx = NO_MSR);
EXCEPTION(gp_wrmsr, "", "wrmsr", .vector = GP_VECTOR, .rcx = NO_MSR);
EXCEPTION(gp_efer, "mov $0xffffffff, %edx", "wrmsr", .vector = GP_VECTOR, .rcx = MSR_EFER);
EXCEPTION(gp_cr8, "mov $16, %eax", "mov %rax, %cr8", .vector = GP_VECTOR);
EXCEPTION(gp_vmload, "mov $1, %eax", "vmload %rax", .vector = GP_VECTOR);
EXCEPTION(pf_outs, "movabs $0x600000000000, %rsi", "outsb", .vector = PF_VECTOR,
	  .cr2 = 0x600000000000);
EXCEPTION(ud_skinit, "", "skinit %eax", .vector = UD_VECTOR);

FIXTURE_SETUP(exception)
{
	if (!nested_supported())
		SKIP_SETUP("guests here have no SVM");
	if (variant->not_qemus && cpu_is_qemus())
		SKIP_SETUP("QEMU takes INT3 for INT n, not for #BP");
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	self->vmcb = enter(self->vcpu, variant->start);
	guest_var(self->vm, l2_regs).rcx = variant->rcx;
}

FIXTURE_TEARDOWN(exception)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

TEST_F(exception, intercepted)
{
	struct vmcb *vmcb = self->vmcb;

	vmcb_intercept(vmcb, EXIT_EXCEPTION(variant->vector));
	vmcb->exitinfo1 = 0;
	EXPECT_EQ(EXIT_EXCEPTION(variant->vector), nested_run(self->vcpu));
	if (variant->vector == PF_VECTOR || variant->vector == GP_VECTOR)
		EXPECT_EQ(variant->error, vmcb->exitinfo1);
	if (variant->vector == PF_VECTOR)
		EXPECT_EQ(variant->cr2, vmcb->exitinfo2);
	if (variant->vector == DB_VECTOR)
		EXPECT_EQ(0xffff4ff0, vmcb->dr6);
	EXPECT_EQ((uintptr_t)(variant->behind ? variant->end : variant->at), vmcb->rip);
	EXPECT_EQ(0, vmcb->exitintinfo & EVENT_VALID);
	EXPECT_EQ(NO_VECTOR, guest_var(self->vm, caught).vector);
	/* L1 says that it has seen to it. */
	vmcb->rip = (uintptr_t)variant->end;
	vmcb->rflags &= ~RFLAGS_TF;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ((uintptr_t)variant->end, vmcb->rip);
	EXPECT_EQ(NO_VECTOR, guest_var(self->vm, caught).vector);
}

TEST_F(exception, not_intercepted)
{
	typeof(caught) *seen = &guest_var(self->vm, caught);
	struct vmcb *vmcb = self->vmcb;
	unsigned int i;

	/* Only all others. */
	for (i = 0; i < 32; i++)
		if (i != variant->vector && i != 2)
			vmcb_intercept(vmcb, EXIT_EXCEPTION(i));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ((uintptr_t)l2_caught, vmcb->rip);
	EXPECT_EQ(variant->vector, seen->vector);
	EXPECT_EQ(variant->error, seen->error);
	EXPECT_EQ((uintptr_t)(variant->behind ? variant->end : variant->at), seen->rip);
	if (variant->vector == PF_VECTOR)
		EXPECT_EQ(variant->cr2, seen->cr2);
}

SLAT_HARNESS_MAIN
