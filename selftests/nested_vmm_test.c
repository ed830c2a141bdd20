// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B2, B7, D4: the VMM and a guest's guest (L2). The vCPU's registers and events are those of
 * what runs; memory below the VMCB may go away; a step is a step in either guest.
 */
#include <sys/mman.h>

#include "dirty.h"
#include "harness.h"
#include "nested.h"

NESTED_FIXTURE(vmm);

/* --- registers */

static void l2_reports(uint64_t unused)
{
	uint64_t rbx;

	asm volatile("mov $0x1111, %%ebx\n\t"
		     "mov $1, %%edi\n\t"
		     "out %%al, $" GUEST_STR(PORT_REPORT)
		     : "=b"(rbx) : : "rdi", "rsi", "memory");
	guest_report(2, rbx);
	guest_report(3, read_cr4());
}

TEST_F(vmm, registers_are_L2s)
{
	struct kvm_sregs sregs, l1;
	struct kvm_regs regs;
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, l2_reports, 0);
	vcpu_get_sregs(self->vcpu, &l1);
	vmcb->efer &= ~EFER_SCE;
	vmcb->idtr.limit = 0x7ff;
	vmcb->es.selector = 0x23;
	vmcb->cr0 |= CR0_AM;
	memcpy(vm_ptr(self->vm, VM_DATA_GPA), vm_ptr(self->vm, vmcb->cr3), PAGE_SIZE);
	vmcb->cr3 = VM_DATA_GPA;
	vcpu_await(self->vcpu, 1);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(0x1111, regs.rbx);
	EXPECT_GT(256, vmcb->rsp - regs.rsp);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(vmcb->efer, sregs.efer);
	EXPECT_EQ(vmcb->efer, vcpu_get_msr(self->vcpu, MSR_EFER));
	EXPECT_EQ(vmcb->cr0, sregs.cr0);
	EXPECT_EQ(VM_DATA_GPA, sregs.cr3);
	EXPECT_EQ(0x7ff, sregs.idt.limit);
	EXPECT_EQ(0x23, sregs.es.selector);
	/* They are the VMM's to change. */
	regs.rbx = 0x2222;
	vcpu_set_regs(self->vcpu, &regs);
	sregs.cr4 |= CR4_PGE;
	vcpu_set_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0x2222, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(sregs.cr4, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(sregs.cr4, vmcb->cr4);
	/* And now L1's again. */
	EXPECT_TRUE(nested_l1_is(self->vcpu, &l1));
}

/* Without entering the guest. */
static void finish_exit(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	REQUIRE(vcpu_try_run(vcpu) == -EINTR, "no immediate exit");
	vcpu->run->immediate_exit = 0;
}

/* As a reset does it: the VMM need not know that there is an L2. */
static void leave_l2(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	finish_exit(vcpu);
	vcpu_get_sregs(vcpu, &sregs);
	sregs.efer &= ~EFER_SVME;
	vcpu_set_sregs(vcpu, &sregs);
}

static volatile uint64_t events;

static GUEST_HANDLER void on_event(struct guest_frame *frame)
{
	events++;
}

static void guest_counts(uint64_t unused)
{
	guest_handlers[2] = on_event;
	guest_report(1, events);
	guest_report(2, events);
}

TEST_F(vmm, reset_in_L2)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		nested_enter(self->vcpu, l2_reports, 0);
		vcpu_await(self->vcpu, 1);
		leave_l2(self->vcpu);
	}
	/* What comes then is L1: VMMCALL does not lead out of it, and GIF is set. */
	guest_var(self->vm, events) = 0;
	guest_enter_c(self->vcpu, guest_counts, 0);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	nested_enter(self->vcpu, l2_reports, 0);
	for (i = 1; i <= 3; i++)
		vcpu_await(self->vcpu, i);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* In whatever order the VMM sets them. */
TEST_F(vmm, registers_set_before_the_reset)
{
	struct kvm_regs regs, after;

	nested_enter(self->vcpu, l2_reports, 0);
	vcpu_await(self->vcpu, 1);
	finish_exit(self->vcpu);
	vcpu_get_regs(self->vcpu, &regs);
	regs.rip = 0x1234;
	regs.rsp = 0x5678;
	regs.rax = 0x9abc;
	regs.rflags = RFLAGS_FIXED | RFLAGS_DF;
	vcpu_set_regs(self->vcpu, &regs);
	leave_l2(self->vcpu);
	vcpu_get_regs(self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&regs, &after, sizeof(regs)));
}

/* EFER alone does not say what is to become of L2. */
TEST_F(vmm, EFER_keeps_SVME_in_L2)
{
	uint64_t efer;

	if (slat_is_kvm())
		SKIP(return, "KVM's vCPU hangs afterwards");
	nested_enter(self->vcpu, l2_reports, 0);
	vcpu_await(self->vcpu, 1);
	efer = vcpu_get_msr(self->vcpu, MSR_EFER);
	EXPECT_EQ(0, vcpu_try_set_msr(self->vcpu, MSR_EFER, efer & ~EFER_SVME));
	EXPECT_EQ(1, vcpu_try_set_msr(self->vcpu, MSR_EFER, efer & ~EFER_SCE));
	vcpu_await(self->vcpu, 2);
	vcpu_await(self->vcpu, 3);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(efer & ~EFER_SCE, guest_var(self->vm, l2_vmcb).efer);
	EXPECT_EQ(efer, vcpu_get_msr(self->vcpu, MSR_EFER));
}

static void l1_clears_gif(uint64_t unused)
{
	l1_prepare(l2_reports, 0);
	svm_clgi();
	guest_report(1, 0);
}

TEST_F(vmm, reset_with_GIF_clear)
{
	guest_enter_c(self->vcpu, l1_clears_gif, 0);
	vcpu_await(self->vcpu, 1);
	leave_l2(self->vcpu);
	guest_enter_c(self->vcpu, guest_counts, 0);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
}

/* --- events */

static volatile uint64_t exceptions, last_error;

static GUEST_HANDLER void on_exception(struct guest_frame *frame)
{
	exceptions++;
	last_error = frame->error;
}

static void l2_counts(uint64_t unused)
{
	guest_handlers[DE_VECTOR] = on_exception;
	guest_handlers[PF_VECTOR] = on_exception;
	guest_report(1, exceptions);
	guest_report(2, exceptions);
}

/* Injected: it has been decided that L2 gets it. */
TEST_F(vmm, injected_exception_is_L2s)
{
	struct kvm_vcpu_events events;
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, l2_counts, 0);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(DE_VECTOR));
	vcpu_await(self->vcpu, 1);
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.exception.injected);
	events.exception.injected = 1;
	events.exception.nr = DE_VECTOR;
	must_ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

#define PAYLOAD	0x600000001234

static void set_pending_pf(struct vcpu *vcpu)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_vcpu_events events;

	must_ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &cap);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	events.exception.pending = 1;
	events.exception.nr = PF_VECTOR;
	events.exception.has_error_code = 1;
	events.exception.error_code = PF_USER;
	events.exception_has_payload = 1;
	events.exception_payload = PAYLOAD;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

/* Pending: L1 may want it. */
TEST_F(vmm, pending_exception_is_L1s)
{
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, l2_counts, 0);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(PF_VECTOR));
	vcpu_await(self->vcpu, 1);
	set_pending_pf(self->vcpu);
	EXPECT_EQ(EXIT_EXCEPTION(PF_VECTOR), nested_run(self->vcpu));
	EXPECT_EQ(PF_USER, vmcb->exitinfo1);
	EXPECT_EQ(PAYLOAD, vmcb->exitinfo2);
	EXPECT_EQ(0, guest_var(self->vm, exceptions));
}

TEST_F(vmm, pending_exception_is_L2s)
{
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, l2_counts, 0);
	vcpu_await(self->vcpu, 1);
	set_pending_pf(self->vcpu);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(PF_USER, guest_var(self->vm, last_error));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(PAYLOAD, vmcb->cr2);
}

/* What a VMM gets and puts back is for whom it was. */
static void put_back_events(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;

	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

static void put_back_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	vcpu_set_sregs(vcpu, &sregs);
}

#define VECTOR	0x41

static void l2_counts_irqs(uint64_t unused)
{
	guest_handlers[VECTOR] = on_event;
	guest_report(1, events);
	guest_report(2, events);
	asm volatile("sti; nop" : : : "memory");
	guest_report(3, events);
}

/* It waits for L2's IF, and is L1's then. */
TEST_F(vmm, waiting_interrupt_put_back)
{
	struct vmcb *vmcb;

	if (slat_is_kvm())
		SKIP(return, "KVM injects at once, into whatever runs");
	vmcb = nested_enter(self->vcpu, l2_counts_irqs, 0);
	vmcb->rflags &= ~RFLAGS_IF;
	vmcb_intercept(vmcb, EXIT_INTR);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, VECTOR));
	put_back_events(self->vcpu);
	put_back_sregs(self->vcpu);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(EXIT_INTR, nested_run(self->vcpu));
	EXPECT_EQ(0, vmcb->exitintinfo & EVENT_VALID);
	/* L1 has taken it by now. */
	EXPECT_EQ(1, guest_var(self->vm, events));
}

static void l1_counts_irqs(uint64_t unused)
{
	guest_handlers[VECTOR] = on_event;
	l1_prepare(l2_reports, 0);
	asm volatile("clgi; sti; nop" : : : "memory");
	guest_report(1, events);
	guest_report(2, events);
	asm volatile("stgi; nop" : : : "memory");
	guest_report(3, events);
}

/* Or for GIF. */
TEST_F(vmm, held_interrupt_put_back)
{
	if (slat_is_kvm())
		SKIP(return, "KVM injects at once, ready or not");
	guest_enter_c(self->vcpu, l1_counts_irqs, 0);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, VECTOR));
	put_back_events(self->vcpu);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
}

#define MSR_UNKNOWN	0x12345678u

static void l2_reads_msr(uint64_t msr)
{
	guest_rdmsr(msr);
}

/* An exception that slat has raised, and that nobody has taken yet. */
TEST_F(vmm, raised_exception_put_back)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { KVM_MSR_EXIT_REASON_UNKNOWN },
	};
	struct vmcb *vmcb;

	must_ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap);
	vmcb = nested_enter(self->vcpu, l2_reads_msr, MSR_UNKNOWN);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(GP_VECTOR));
	vcpu_run_to(self->vcpu, KVM_EXIT_X86_RDMSR);
	self->vcpu->run->msr.error = 1;
	finish_exit(self->vcpu);
	put_back_events(self->vcpu);
	if (slat_is_kvm())
		SKIP(return, "KVM takes it that L2 has it");
	EXPECT_EQ(EXIT_EXCEPTION(GP_VECTOR), nested_run(self->vcpu));
}

/* --- memory */

/* A slot for the VMCB alone, and for what is before and behind it. */
#define VMCB_SLOT	20

static void split_slot(struct vm *vm)
{
	const uint64_t at = (uintptr_t)&l2_vmcb, next = at + PAGE_SIZE;

	vm_slot_delete(vm, VM_RAM_SLOT);
	vm_slot(vm, VMCB_SLOT - 1, 0, 0, at, vm->ram);
	vm_slot(vm, VMCB_SLOT, 0, at, PAGE_SIZE, vm->ram + at);
	vm_slot(vm, VMCB_SLOT + 1, 0, next, VM_RAM_SIZE - next, vm->ram + next);
}

static void await_l2_end(struct vcpu *vcpu)
{
	unsigned int i;

	for (i = 1; i <= 3; i++)
		vcpu_await(vcpu, i);
}

/* L1's state has nowhere to come from that the guest would know of: like a CPU, give up. */
TEST_F(vmm, VMCB_without_memory)
{
	if (slat_is_kvm())
		SKIP(return, "KVM raises an exception in L2");
	nested_enter(self->vcpu, l2_reports, 0);
	split_slot(self->vm);
	await_l2_end(self->vcpu);
	vm_slot_delete(self->vm, VMCB_SLOT);
	vcpu_run_to(self->vcpu, KVM_EXIT_SHUTDOWN);
}

/* Or it is another slot's, with the same memory, and all is well. */
TEST_F(vmm, VMCB_in_a_new_slot)
{
	nested_enter(self->vcpu, l2_reports, 0);
	split_slot(self->vm);
	await_l2_end(self->vcpu);
	vm_slot_delete(self->vm, VMCB_SLOT);
	vm_slot(self->vm, VMCB_SLOT, 0, (uintptr_t)&l2_vmcb, PAGE_SIZE,
		self->vm->ram + (uintptr_t)&l2_vmcb);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* The VMM unmaps this page of the guest's, and maps it again with what was there. */
static void take_page(struct vm *vm, uint64_t gpa, void *contents)
{
	memcpy(contents, vm_ptr(vm, gpa), PAGE_SIZE);
	REQUIRE(!munmap(vm_ptr(vm, gpa), PAGE_SIZE), "munmap");
}

static void give_page(struct vm *vm, uint64_t gpa, const void *contents)
{
	void *at = vm_ptr(vm, gpa);

	REQUIRE(mmap(at, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at, "mmap");
	memcpy(at, contents, PAGE_SIZE);
}

TEST_F(vmm, hole_below_VMCB_at_exit)
{
	static uint8_t contents[PAGE_SIZE];
	struct kvm_regs before, after;
	struct vmcb *vmcb;

	if (slat_is_kvm())
		SKIP(return, "KVM raises an exception in L2");
	vmcb = nested_enter(self->vcpu, l2_reports, 0);
	await_l2_end(self->vcpu);
	take_page(self->vm, (uintptr_t)&l2_vmcb, contents);
	EXPECT_EQ(-EFAULT, vcpu_try_run(self->vcpu));
	vcpu_get_regs(self->vcpu, &before);
	EXPECT_EQ(-EFAULT, vcpu_try_run(self->vcpu));
	vcpu_get_regs(self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	give_page(self->vm, (uintptr_t)&l2_vmcb, contents);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(vmcb->rip, before.rip);
	EXPECT_EQ(vmcb->rsp, before.rsp);
}

/* What ends L2 and would not come again is not lost, either. */
TEST_F(vmm, hole_below_VMCB_at_shutdown)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 },
	};
	static uint8_t contents[PAGE_SIZE];
	struct kvm_vcpu_events events;
	struct vmcb *vmcb;

	if (slat_is_kvm())
		SKIP(return, "KVM raises an exception in L2");
	must_ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap);
	vmcb = nested_enter(self->vcpu, l2_reports, 0);
	vmcb_intercept(vmcb, EXIT_SHUTDOWN);
	vcpu_await(self->vcpu, 1);
	finish_exit(self->vcpu);
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.triple_fault.pending = 1;
	must_ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	take_page(self->vm, (uintptr_t)&l2_vmcb, contents);
	EXPECT_EQ(-EFAULT, vcpu_try_run(self->vcpu));
	give_page(self->vm, (uintptr_t)&l2_vmcb, contents);
	EXPECT_EQ(EXIT_SHUTDOWN, nested_run(self->vcpu));
}

/* L1 stands before an instruction that needs the VMCB. */
static void expect_hole(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	static uint8_t contents[PAGE_SIZE];

	take_page(vcpu->vm, (uintptr_t)&l2_vmcb, contents);
	EXPECT_EQ(-EFAULT, vcpu_try_run(vcpu));
	EXPECT_EQ(-EFAULT, vcpu_try_run(vcpu));
	give_page(vcpu->vm, (uintptr_t)&l2_vmcb, contents);
	await_l2_end(vcpu);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(vcpu));
}

TEST_F(vmm, hole_below_VMCB_at_VMLOAD)
{
	if (slat_is_kvm())
		SKIP(return, "KVM raises an exception in L1");
	nested_enter(self->vcpu, l2_reports, 0);
	expect_hole(_metadata, self->vcpu);
}

static void l1_only_vmrun(uint64_t unused)
{
	l1_prepare(l2_reports, 0);
	guest_report(L1_READY, 0);
	for (;;) {
		l1_vmrun(&l2_vmcb);
		guest_report(L1_EXIT, l2_vmcb.exitcode);
	}
}

TEST_F(vmm, hole_below_VMCB_at_VMRUN)
{
	if (slat_is_kvm())
		SKIP(return, "KVM raises an exception in L1");
	nested_enter_l1(self->vcpu, l1_only_vmrun, 0);
	expect_hole(_metadata, self->vcpu);
}

/* Below a bitmap it is none of L1's wishes, either. */
TEST_F(vmm, hole_below_IOPM)
{
	static uint8_t contents[PAGE_SIZE];
	struct vmcb *vmcb;

	if (slat_is_kvm())
		SKIP(return, "KVM takes it that L1 wants the exit");
	vmcb = nested_enter(self->vcpu, l2_reports, 0);
	vmcb_intercept(vmcb, EXIT_IOIO);
	vcpu_await(self->vcpu, 1);
	take_page(self->vm, (uintptr_t)l2_iopm, contents);
	EXPECT_EQ(-EFAULT, vcpu_try_run(self->vcpu));
	EXPECT_EQ(-EFAULT, vcpu_try_run(self->vcpu));
	give_page(self->vm, (uintptr_t)l2_iopm, contents);
	vcpu_await(self->vcpu, 2);
	vcpu_await(self->vcpu, 3);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* What VMRUN and the exit write is in the dirty log. */
static bool vmcb_is_dirty(struct vm *vm)
{
	static uint64_t bitmap[DIRTY_WORDS(VM_RAM_SIZE / PAGE_SIZE)];

	REQUIRE(!vm_try_get_dirty(vm, VM_RAM_SLOT, bitmap), "no dirty log");
	return dirty_test(bitmap, (uintptr_t)&l2_vmcb / PAGE_SIZE);
}

TEST_F(vmm, VMCB_is_dirty)
{
	nested_enter_l1(self->vcpu, l1_only_vmrun, 0);
	vm_slot(self->vm, VM_RAM_SLOT, KVM_MEM_LOG_DIRTY_PAGES, 0, VM_RAM_SIZE, self->vm->ram);
	vmcb_is_dirty(self->vm);
	await_l2_end(self->vcpu);
	vmcb_is_dirty(self->vm);
	EXPECT_FALSE(vmcb_is_dirty(self->vm));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_TRUE(vmcb_is_dirty(self->vm));
	EXPECT_FALSE(vmcb_is_dirty(self->vm));
	/* Refused, it is written, too. */
	guest_var(self->vm, l2_vmcb).guest_asid = 0;
	EXPECT_EQ((uint32_t)EXIT_INVALID, (uint32_t)nested_run(self->vcpu));
	EXPECT_TRUE(vmcb_is_dirty(self->vm));
}

/* --- the VMM's debugger */

#define STEP	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)

static void set_debug(struct vcpu *vcpu, uint32_t control)
{
	struct kvm_guest_debug debug = { .control = control };

	must_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

extern const char l2_steps[], l2_stepped[];
asm(".pushsection .text\n"
    "l2_steps:\n"
    "	nop\n nop\n nop\n nop\n"
    "l2_stepped: vmmcall\n"
    ".popsection\n");

/* From L1 before VMRUN over L2 to L1 behind it, step by step. */
TEST_F(vmm, steps_through_both)
{
	struct kvm_run *run = self->vcpu->run;
	unsigned int steps, in_l2 = 0;
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, (l2_function)l2_steps, 0);
	set_debug(self->vcpu, STEP);
	for (steps = 0; steps < 300; steps++) {
		if (vcpu_run(self->vcpu) != KVM_EXIT_DEBUG)
			break;
		if (run->debug.arch.pc < (uintptr_t)l2_steps ||
		    run->debug.arch.pc > (uintptr_t)l2_stepped)
			continue;
		EXPECT_EQ((uintptr_t)l2_steps + in_l2, run->debug.arch.pc);
		in_l2++;
	}
	/* VMRUN is a step itself. KVM looks for its end in L1. */
	EXPECT_EQ(slat_is_kvm() ? 0 : 5, in_l2);
	ASSERT_TRUE(exit_is_io(self->vcpu, KVM_EXIT_IO_OUT, PORT_REPORT, 1, 1));
	set_debug(self->vcpu, 0);
	EXPECT_EQ(EXIT_VMMCALL, vmcb->exitcode);
	EXPECT_EQ((uintptr_t)l2_stepped, vmcb->rip);
	/* Nothing is left of it in what L1 sees. */
	EXPECT_EQ(0, vmcb->rflags & RFLAGS_TF);
	EXPECT_EQ(0xffff0ff0, vmcb->dr6);
	EXPECT_EQ(0x400, vmcb->dr7);
	vmcb->rip = (uintptr_t)l2_steps;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* From within L2. #DB is L1's, but the VMM's steps are not. */
TEST_F(vmm, steps_in_L2)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;
	struct vmcb *vmcb;
	unsigned int i;

	vmcb = nested_enter(self->vcpu, l2_reports, 0);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(DB_VECTOR));
	vcpu_await(self->vcpu, 1);
	vcpu_get_regs(self->vcpu, &regs);
	regs.rip = (uintptr_t)l2_steps;
	vcpu_set_regs(self->vcpu, &regs);
	set_debug(self->vcpu, STEP);
	for (i = 1; i <= 4; i++) {
		vcpu_run_to(self->vcpu, KVM_EXIT_DEBUG);
		EXPECT_EQ((uintptr_t)l2_steps + i, run->debug.arch.pc);
	}
	set_debug(self->vcpu, 0);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, vmcb->rflags & RFLAGS_TF);
}

SLAT_HARNESS_MAIN
