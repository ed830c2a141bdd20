// SPDX-License-Identifier: GPL-2.0-only
/*
 * B4, B7: exceptions that meet trouble on their way. When the descriptor tables,
 * the handler or the stack are not in the nested tables yet, delivery faults in
 * the host and the exception still comes exactly once. Exceptions within
 * exceptions end in #DF. A guest whose exception causes itself again, without
 * end, can be interrupted.
 */
#include <signal.h>
#include <sys/time.h>

#include "harness.h"

/* --- delivery that faults in the host */

FIXTURE(delivery)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(delivery)
{
	bool user;
};

FIXTURE_VARIANT_ADD(delivery, kernel) { .user = false };
FIXTURE_VARIANT_ADD(delivery, user) { .user = true };

FIXTURE_SETUP(delivery)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(delivery)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* What the handler saw: the last event, and how many there were. */
struct seen {
	uint64_t count, vector, error;
	int64_t rip;		/* from the instruction that caused it */
	uint64_t cr2;
};

static volatile struct seen seen;

/* RAISE() puts its instruction's address into r13, what follows it into r14. */
GUEST_HANDLER static void guest_note(struct guest_frame *frame)
{
	seen.count++;
	seen.vector = frame->vector;
	seen.error = frame->error;
	seen.rip = frame->rip - frame->r13;
	seen.cr2 = read_cr2();
	frame->rip = frame->r14;
	frame->rflags &= ~RFLAGS_TF;
}

#define RAISE(insn)							\
	asm volatile("lea 1f(%%rip), %%r13\n\t"				\
		     "lea 2f(%%rip), %%r14\n"				\
		     "1:\t" insn "\n"					\
		     "2:" : : "D"(0x600000000000)			\
		     : "rax", "rcx", "rdx", "r13", "r14", "memory", "cc")

#define SOFT_VECTOR	0x30

/*
 * Each event, in the order of expected[]; before each the host gets a report,
 * and takes everything out of the nested tables.
 */
#define EVENTS(report)							\
	do {								\
		report(1, 0);						\
		RAISE("ud2");						\
		report(1, 0);						\
		RAISE("xor %%ecx, %%ecx\n\tdiv %%ecx");		\
		report(1, 0);						\
		RAISE("int3");						\
		report(1, 0);						\
		RAISE("int $0x30");					\
		report(1, 0);						\
		RAISE("movb $1, 5(%%rdi)");				\
		report(1, 0);						\
		RAISE("mov $0x50, %%eax\n\tmov %%eax, %%ds");	\
		report(1, 0);						\
		RAISE("mov $0x12345678, %%ecx\n\trdmsr");		\
		report(1, 0);						\
		RAISE("pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\tnop"); \
		report(1, 0);						\
	} while (0)

static const struct seen expected[] = {
	{ 1, UD_VECTOR, 0, 0 },
	{ 2, DE_VECTOR, 0, 2 },
	{ 3, BP_VECTOR, 0, 1 },
	{ 4, SOFT_VECTOR, 0, 2 },
	{ 5, PF_VECTOR, PF_WRITE, 0, 0x600000000005 },
	{ 6, GP_VECTOR, 0x50, 5 },
	{ 7, GP_VECTOR, 0, 5 },
	/* The nop and what is before it: pushf 1, orq 8, popf 1, nop 1. */
	{ 8, DB_VECTOR, 0, 11 },
};

static void user_events(uint64_t unused)
{
	EVENTS(user_report);
}

static void guest_events(uint64_t user)
{
	unsigned int i;

	for (i = 0; i < 64; i++)
		guest_handlers[i] = guest_note;
	if (user)
		guest_enter_user(user_events, 0);
	EVENTS(guest_report);
}

static void allow_user_vector(struct vcpu *vcpu, unsigned int vector)
{
	uint8_t *idt = vm_ptr(vcpu->vm, vcpu->idt);

	idt[16 * vector + 5] |= 3 << 5;
}

/* All of RAM leaves the nested tables, and comes back on touch. */
static void forget_ram(struct vm *vm)
{
	vm_slot_delete(vm, VM_RAM_SLOT);
	vm_slot(vm, VM_RAM_SLOT, 0, 0, VM_RAM_SIZE, vm->ram);
}

static void deliver_all(struct __test_metadata *_metadata, struct vcpu *vcpu,
			bool user, bool forget)
{
	unsigned int i;

	guest_enter_c(vcpu, guest_events, user);
	allow_user_vector(vcpu, SOFT_VECTOR);
	vcpu_await(vcpu, 1);
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		volatile struct seen *now = &guest_var(vcpu->vm, seen);
		uint64_t error = expected[i].error;

		if (forget)
			forget_ram(vcpu->vm);
		vcpu_await(vcpu, 1);
		EXPECT_EQ(expected[i].count, now->count);
		EXPECT_EQ(expected[i].vector, now->vector);
		if (user && now->vector == PF_VECTOR)
			error |= PF_USER;
		EXPECT_EQ(error, now->error);
		EXPECT_EQ(expected[i].rip, now->rip);
		if (now->vector == PF_VECTOR) {
			EXPECT_EQ(expected[i].cr2, now->cr2);
		}
	}
}

TEST_F(delivery, all_mapped)
{
	deliver_all(_metadata, self->vcpu, variant->user, false);
}

TEST_F(delivery, nothing_mapped)
{
	deliver_all(_metadata, self->vcpu, variant->user, true);
}

/*
 * Only one page after the other is missing: the IDT, the GDT, the TSS, the
 * stack of the kernel. Each has a slot of its own.
 */
static void guest_ud_forever(uint64_t user)
{
	guest_handlers[UD_VECTOR] = guest_note;
	for (;;) {
		RAISE("ud2");
		guest_report(1, seen.count);
	}
}

static void user_ud_forever(uint64_t unused)
{
	for (;;) {
		RAISE("ud2");
		user_report(1, seen.count);
	}
}

static void guest_ud_in_user(uint64_t unused)
{
	guest_handlers[UD_VECTOR] = guest_note;
	guest_enter_user(user_ud_forever, 0);
}

/* Give this page of RAM a slot of its own, which then can be forgotten. */
static void split_slot(struct vm *vm, uint32_t slot, uint64_t gpa)
{
	vm_slot(vm, slot, 0, gpa, PAGE_SIZE, vm->ram + gpa);
}

static void forget_page(struct vm *vm, uint32_t slot, uint64_t gpa)
{
	vm_slot_delete(vm, slot);
	split_slot(vm, slot, gpa);
}

TEST_F(delivery, one_page_missing)
{
	struct vm *vm = self->vm;
	struct vcpu *vcpu = self->vcpu;
	uint64_t pages[3], count = 0, from;
	unsigned int i, round;

	guest_enter_c(vcpu, variant->user ? guest_ud_in_user : guest_ud_forever,
		      0);
	pages[0] = vcpu->tss;
	pages[1] = vcpu->gdt;
	pages[2] = vcpu->idt;
	/* RAM becomes a slot for each of these pages and for what is between. */
	vm_slot_delete(vm, VM_RAM_SLOT);
	for (i = 0, from = 0; i < 3; i++) {
		uint64_t next = i < 2 ? pages[i + 1] : VM_RAM_SIZE;

		ASSERT_LT(pages[i], next);
		if (from < pages[i])
			vm_slot(vm, 10 + i, 0, from, pages[i] - from,
				vm->ram + from);
		split_slot(vm, 20 + i, pages[i]);
		from = pages[i] + PAGE_SIZE;
	}
	vm_slot(vm, 13, 0, from, VM_RAM_SIZE - from, vm->ram + from);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(++count, vcpu_await(vcpu, 1));
			forget_page(vm, 20 + i, pages[i]);
		}
	}
}

/* --- exceptions within exceptions */

VM_FIXTURE(nested);

#define UNMAPPED_STACK	0x600000000800ul

/* Reports from the #DF handler, which is where the test ends. */
GUEST_HANDLER static void guest_df(struct guest_frame *frame)
{
	guest_report(1, frame->vector << 32 | frame->error);
	guest_report(2, read_cr2());
	for (;;)
		guest_halt();
}

/* #DF gets a stack of its own, interrupt stack 1. */
static void give_df_a_stack(struct vcpu *vcpu)
{
	uint64_t *ist = vm_ptr(vcpu->vm, vcpu->tss + 36);
	uint8_t *idt = vm_ptr(vcpu->vm, vcpu->idt);

	*ist = vm_pages(vcpu->vm, 2) + 2 * PAGE_SIZE;
	idt[16 * DF_VECTOR + 4] = 1;
}

static void guest_divide(uint64_t divisor)
{
	guest_handlers[DF_VECTOR] = guest_df;
	asm volatile("div %0" : : "r"(divisor), "a"(1), "d"(0));
}

/* The gate of #DE is not present: #NP within #DE. */
TEST_F(nested, gate_not_present)
{
	uint8_t *idt;

	if (cpu_is_qemus())
		SKIP(return, "QEMU makes a plain #NP of it");
	guest_enter_c(self->vcpu, guest_divide, 0);
	give_df_a_stack(self->vcpu);
	idt = vm_ptr(self->vm, self->vcpu->idt);
	idt[16 * DE_VECTOR + 5] &= 0x7f;
	EXPECT_EQ((uint64_t)DF_VECTOR << 32, vcpu_await(self->vcpu, 1));
}

/* Pushing faults, and pushing that fault faults again. */
static void guest_bad_stack(uint64_t stack)
{
	guest_handlers[DF_VECTOR] = guest_df;
	asm volatile("mov %0, %%rsp\n\t"
		     "movb $0, (%1)" : : "r"(stack), "r"(0x700000000000));
}

TEST_F(nested, page_fault_on_the_stack)
{
	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	guest_enter_c(self->vcpu, guest_bad_stack, UNMAPPED_STACK);
	give_df_a_stack(self->vcpu);
	EXPECT_EQ((uint64_t)DF_VECTOR << 32, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(UNMAPPED_STACK - 8, vcpu_await(self->vcpu, 2));
}

/* The same with nothing of it in the nested tables. */
TEST_F(nested, with_host_faults)
{
	guest_enter_c(self->vcpu, guest_bad_stack, UNMAPPED_STACK);
	give_df_a_stack(self->vcpu);
	forget_ram(self->vm);
	EXPECT_EQ((uint64_t)DF_VECTOR << 32, vcpu_await(self->vcpu, 1));
}

/* A page fault on the way of another exception is only a page fault. */
static uint64_t *stack_pte;

GUEST_HANDLER static void guest_fix_stack(struct guest_frame *frame)
{
	*stack_pte |= PT_ALL;
	guest_report(1, frame->vector << 32 | frame->error);
	guest_report(2, read_cr2());
}

GUEST_HANDLER static void guest_ud(struct guest_frame *frame)
{
	guest_report(3, frame->vector);
	frame->rip += 2;
}

static void guest_stack_on_demand(uint64_t stack)
{
	guest_handlers[PF_VECTOR] = guest_fix_stack;
	guest_handlers[UD_VECTOR] = guest_ud;
	asm volatile("mov %%rsp, %%rbx\n\t"
		     "mov %0, %%rsp\n\t"
		     "ud2\n\t"
		     "mov %%rbx, %%rsp" : : "r"(stack) : "rbx", "memory");
	guest_report(4, 0);
}

TEST_F(nested, page_fault_within_invalid_opcode)
{
	struct vm *vm = self->vm;
	uint8_t *idt;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	vm_make_tables(vm, PAGING_4LEVEL);
	vm_map(vm, UNMAPPED_STACK & ~0xffful, VM_DATA_GPA, PAGE_SIZE, 0);
	guest_enter_c(self->vcpu, guest_stack_on_demand, UNMAPPED_STACK);
	guest_var(vm, stack_pte) =
		(uint64_t *)((uint8_t *)vm_pte(vm, UNMAPPED_STACK) - vm->ram);
	/* The page fault itself uses interrupt stack 1. */
	give_df_a_stack(self->vcpu);
	idt = vm_ptr(vm, self->vcpu->idt);
	idt[16 * PF_VECTOR + 4] = 1;
	EXPECT_EQ((uint64_t)PF_VECTOR << 32 | PF_WRITE,
		  vcpu_await(self->vcpu, 1));
	EXPECT_EQ(UNMAPPED_STACK - 8, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(UD_VECTOR, vcpu_await(self->vcpu, 3));
	vcpu_await(self->vcpu, 4);
}

/* --- exceptions without end */

VM_FIXTURE(endless);

static void nothing(int signal)
{
}

/* KVM_RUN, with a signal whenever that much CPU time has gone: the first may come before. */
static int run_for_ms(struct vcpu *vcpu, unsigned int ms)
{
	const struct timeval time = { .tv_usec = ms * 1000 };
	const struct itimerval often = { .it_interval = time, .it_value = time };
	const struct itimerval never = { };
	struct sigaction action = { .sa_handler = nothing };
	int ret;

	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	ret = vcpu_try_run(vcpu);
	setitimer(ITIMER_PROF, &never, NULL);
	return ret;
}

/*
 * KVM_RUN comes back again and again, by the signal or, where the CPU makes
 * something else of it, by another exit.
 */
static void expect_interruptible(struct __test_metadata *_metadata,
				 struct vcpu *vcpu)
{
	int i, ret;

	for (i = 0; i < 3; i++) {
		ret = run_for_ms(vcpu, 60);
		EXPECT_TRUE(ret == -EINTR || !ret);
	}
	TH_LOG("the last run ended with %s", ret ? "EINTR" :
	       exit_name(vcpu->run->exit_reason));
}

/*
 * A watchpoint on the very stack that #DB pushes its frame to: the push is the
 * next #DB's cause. What the emulated CPU makes of it is its affair (the
 * handler may get to run and report 1); KVM_RUN must come back.
 */
GUEST_HANDLER static void guest_db_runs(struct guest_frame *frame)
{
	guest_report(1, frame->rip);
}

static void guest_endless_db(uint64_t stack)
{
	guest_handlers[DB_VECTOR] = guest_db_runs;
	write_dr0(stack - 8);
	write_dr7(0x00090401);		/* DR0, on writes of 8 bytes */
	*(volatile uint64_t *)(stack - 8) = 1;
	for (;;)
		guest_report(2, 0);
}

TEST_F(endless, debug_exception)
{
	uint64_t stack, *ist;
	uint8_t *idt;

	if (cpu_is_qemus())
		SKIP(return, "QEMU crashes when the push hits a watchpoint");
	stack = vm_pages(self->vm, 2) + 2 * PAGE_SIZE;
	guest_enter_c(self->vcpu, guest_endless_db, stack);
	ist = vm_ptr(self->vm, self->vcpu->tss + 36);
	idt = vm_ptr(self->vm, self->vcpu->idt);
	*ist = stack;
	idt[16 * DB_VECTOR + 4] = 1;
	expect_interruptible(_metadata, self->vcpu);
}

/*
 * Alignment checks are for user mode, and in 32-bit mode a handler may be in
 * user mode too, on the same stack. If that is misaligned, pushing the frame
 * is the next #AC.
 */
GUEST_CODE(ac_code, 32,
	"	mov (%ebx), %eax\n"
	"	mov $0x600d, %eax\n"
	ASM_REPORT_EAX(1)
	"1:	jmp 1b\n");

GUEST_CODE(ac_handler_code, 32,
	"	mov $0xac, %eax\n"
	ASM_REPORT_EAX(1)
	"1:	jmp 1b\n");

#define AC_HANDLER_GPA	0x9000
#define AC_IDT_GPA	0xb000
#define AC_GDT_GPA	0xc000

static void set_user_segments(struct kvm_sregs *sregs)
{
	struct kvm_segment *data[] = {
		&sregs->ds, &sregs->es, &sregs->fs, &sregs->gs, &sregs->ss,
	};
	unsigned int i;

	sregs->cs.dpl = 3;
	sregs->cs.selector = 0x0b;
	for (i = 0; i < ARRAY_SIZE(data); i++) {
		data[i]->dpl = 3;
		data[i]->selector = 0x13;
	}
}

static void enter_ac(struct vcpu *vcpu, uint64_t stack)
{
	struct vm *vm = vcpu->vm;
	uint64_t *gdt = vm_ptr(vm, AC_GDT_GPA);
	uint64_t *idt = vm_ptr(vm, AC_IDT_GPA);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vm_load(vm, VM_CODE_GPA, ac_code, ac_code_end);
	vm_load(vm, AC_HANDLER_GPA, ac_handler_code, ac_handler_code_end);
	gdt[1] = 0x00cffb000000ffff;
	gdt[2] = 0x00cff3000000ffff;
	idt[AC_VECTOR] = 0x0000ee00000b0000 | AC_HANDLER_GPA;
	guest_enter_prot(vcpu, VM_CODE_GPA, PAGING_NONE);
	vcpu_get_sregs(vcpu, &sregs);
	set_user_segments(&sregs);
	sregs.cr0 |= CR0_AM;
	sregs.gdt.base = AC_GDT_GPA;
	sregs.gdt.limit = 3 * 8 - 1;
	sregs.idt.base = AC_IDT_GPA;
	sregs.idt.limit = 32 * 8 - 1;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_get_regs(vcpu, &regs);
	regs.rflags = RFLAGS_FIXED | RFLAGS_AC | 3 << 12;	/* IOPL 3 */
	regs.rbx = VM_DATA_GPA + 1;
	regs.rsp = stack;
	vcpu_set_regs(vcpu, &regs);
}

TEST_F(endless, alignment_check)
{
	enter_ac(self->vcpu, 0x7000);
	if (vcpu_await(self->vcpu, 1) != 0xac)
		SKIP(return, "the CPU does not check alignment");
	enter_ac(self->vcpu, 0x7001);
	expect_interruptible(_metadata, self->vcpu);
}

/* The IDT is nobody's memory: any exit will do, or none, but no hang. */
static void guest_ud_loop(uint64_t unused)
{
	for (;;)
		asm volatile("ud2");
}

TEST_F(endless, idt_is_mmio)
{
	struct kvm_sregs sregs;

	guest_enter_c(self->vcpu, guest_ud_loop, 0);
	vcpu_get_sregs(self->vcpu, &sregs);
	sregs.idt.base = VM_MMIO_GPA;
	vcpu_set_sregs(self->vcpu, &sregs);
	expect_interruptible(_metadata, self->vcpu);
}

/* A page fault whose handler is not mapped either, but whose stack is. */
static void guest_pf_loop(uint64_t unused)
{
	asm volatile("jmp *%0" : : "r"(0x700000000000));
}

TEST_F(endless, handler_not_mapped)
{
	uint8_t *gate;
	int i;

	if (cpu_is_bochs())
		SKIP(return, "Bochs enters a guest in its handler with the host's interrupts blocked");
	guest_enter_c(self->vcpu, guest_pf_loop, 0);
	/* The #PF gate leads to where nothing is mapped, on stack 1: each
	 * fetch is the next page fault, at the same stack pointer.
	 */
	gate = vm_ptr(self->vm, self->vcpu->idt + 16 * PF_VECTOR);
	memset(gate + 8, 0x11, 2);
	give_df_a_stack(self->vcpu);
	gate[4] = 1;
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EINTR, run_for_ms(self->vcpu, 60));
	}
}

SLAT_HARNESS_MAIN
