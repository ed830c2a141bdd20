// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: events and a guest's guest (L2). What its hypervisor (L1) injects is delivered, once, and
 * comes back if something gets between; interrupts and NMIs are L1's or L2's as L1 has set it.
 */
#include "harness.h"
#include "nested.h"

#define NMI_VECTOR	2
#define IRQ_VECTOR	0x41
#define VIRQ_VECTOR	0x51
#define SOFT_VECTOR	0x30
#define NOWHERE		0x600000000000ul

/* Events that were delivered, and whether to L2: the last, and how many. */
static volatile struct seen {
	uint64_t count, vector, error, rip, cr2, in_l2;
} seen;

static volatile int in_l2;

GUEST_HANDLER static void note(struct guest_frame *frame)
{
	seen.count++;
	seen.vector = frame->vector;
	seen.error = frame->error;
	seen.rip = frame->rip;
	seen.cr2 = read_cr2();
	seen.in_l2 = in_l2;
}

FIXTURE(event)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct vmcb *vmcb;
	volatile struct seen *seen;
};

FIXTURE_SETUP(event)
{
	if (!nested_supported())
		SKIP_SETUP("guests here have no SVM");
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	/* The image gets into the VM when it is entered. */
	guest_handlers[NMI_VECTOR] = note;
	guest_handlers[DE_VECTOR] = note;
	guest_handlers[GP_VECTOR] = note;
	guest_handlers[PF_VECTOR] = note;
	guest_handlers[IRQ_VECTOR] = note;
	guest_handlers[VIRQ_VECTOR] = note;
	guest_handlers[SOFT_VECTOR] = note;
	self->seen = &guest_var(self->vm, seen);
}

FIXTURE_TEARDOWN(event)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* --- what L1 injects */

extern const char l2_idles[];
asm(".pushsection .text\n"
    "l2_idles: nop\n"
    "	vmmcall\n"
    ".popsection\n");

static const struct injection {
	uint64_t event;
	uint64_t vector, error;
} injections[] = {
	{ EVENT_EXCEPTION | DE_VECTOR, DE_VECTOR, 0 },
	{ EVENT_EXCEPTION | GP_VECTOR | EVENT_ERROR(0x1238), GP_VECTOR, 0x1238 },
	{ EVENT_EXCEPTION | PF_VECTOR | EVENT_ERROR(PF_USER), PF_VECTOR, PF_USER },
	{ EVENT_SOFT | SOFT_VECTOR, SOFT_VECTOR, 0 },
	{ EVENT_INTR | IRQ_VECTOR, IRQ_VECTOR, 0 },
	{ EVENT_NMI | NMI_VECTOR, NMI_VECTOR, 0 },
};

static void forget_ram(struct vm *vm)
{
	vm_slot_delete(vm, VM_RAM_SLOT);
	vm_slot(vm, VM_RAM_SLOT, 0, 0, VM_RAM_SIZE, vm->ram);
}

static void inject_all(struct __test_metadata *_metadata, FIXTURE_DATA(event) *self, bool forget)
{
	const struct injection *inject;
	unsigned int i, count = 0;
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, (l2_function)l2_idles, 0);
	for (i = 0; i < ARRAY_SIZE(injections); i++) {
		inject = &injections[i];
		if (forget && slat_is_kvm() && inject->vector == SOFT_VECTOR)
			continue;	/* without the CPU's next RIP, KVM loses it */
		vmcb->rip = (uintptr_t)l2_idles;
		vmcb->cr2 = 0x1234;
		vmcb->eventinj = inject->event | EVENT_VALID;
		/* What is injected is not asked for. */
		vmcb_intercept(vmcb, EXIT_EXCEPTION(GP_VECTOR));
		vmcb_intercept(vmcb, EXIT_NMI);
		vmcb_intercept(vmcb, EXIT_INTR);
		vmcb_intercept(vmcb, EXIT_SWINT);
		if (forget)
			forget_ram(self->vm);
		EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
		EXPECT_EQ(++count, self->seen->count);
		EXPECT_EQ(inject->vector, self->seen->vector);
		EXPECT_EQ(inject->error, self->seen->error);
		EXPECT_EQ((uintptr_t)l2_idles, self->seen->rip);
		EXPECT_EQ(0x1234, self->seen->cr2);
		EXPECT_EQ((uintptr_t)l2_idles + 1, vmcb->rip);
		EXPECT_EQ(0, vmcb->eventinj & EVENT_VALID);
		EXPECT_EQ(0, vmcb->exitintinfo & EVENT_VALID);
		/* Once. */
		EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
		EXPECT_EQ(count, self->seen->count);
	}
}

TEST_F(event, injected)
{
	inject_all(_metadata, self, false);
}

/* Delivery faults in the host, which is none of L1's business. */
TEST_F(event, injected_into_nothing_mapped)
{
	inject_all(_metadata, self, true);
}

TEST_F(event, injection_not_valid)
{
	struct vmcb *vmcb = nested_enter(self->vcpu, (l2_function)l2_idles, 0);

	vmcb->eventinj = EVENT_EXCEPTION | GP_VECTOR;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, self->seen->count);
}

/* Without an error code, its half may be anything; so may the vector of an NMI. */
static uint64_t known_of(uint64_t event)
{
	if ((event & EVENT_TYPE) == EVENT_NMI)
		event &= ~0xfful;
	return event & EVENT_ERROR(0) ? event : (uint32_t)event;
}

/* L2's IDT is not there: L1 gets the page fault, and what was on its way. */
TEST_F(event, injection_cut_short)
{
	const struct injection *inject;
	struct vmcb *vmcb;
	uint64_t base;
	unsigned int i;

	vmcb = nested_enter(self->vcpu, (l2_function)l2_idles, 0);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(PF_VECTOR));
	vmcb_intercept(vmcb, EXIT_EXCEPTION(DF_VECTOR));
	base = vmcb->idtr.base;
	for (i = 0; i < ARRAY_SIZE(injections); i++) {
		inject = &injections[i];
		if (inject->vector == PF_VECTOR)
			continue;
		vmcb->idtr.base = NOWHERE;
		vmcb->eventinj = inject->event | EVENT_VALID;
		EXPECT_EQ(EXIT_EXCEPTION(PF_VECTOR), nested_run(self->vcpu));
		EXPECT_EQ(0, vmcb->exitinfo1 & PF_PRESENT);
		EXPECT_EQ(NOWHERE + 16 * inject->vector, vmcb->exitinfo2 & ~0xful);
		EXPECT_EQ(known_of(inject->event | EVENT_VALID), known_of(vmcb->exitintinfo)) {
			TH_LOG("case %u", i);
		}
		EXPECT_EQ(0, self->seen->count);
		EXPECT_EQ((uintptr_t)l2_idles, vmcb->rip);
	}
	/* And injects it again. */
	vmcb->idtr.base = base;
	vmcb->eventinj = vmcb->exitintinfo;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(1, self->seen->count);
	EXPECT_EQ(NMI_VECTOR, self->seen->vector);
}

/* The same with events that L2 has made itself. */
extern const char l2_int[], l2_int_end[], l2_ud[];
asm(".pushsection .text\n"
    "l2_int: int $0x30\n"
    "l2_int_end: vmmcall\n"
    "l2_ud: ud2\n"
    ".popsection\n");

TEST_F(event, cut_short)
{
	struct vmcb *vmcb;

	vmcb = nested_enter(self->vcpu, (l2_function)l2_int, 0);
	vmcb_intercept(vmcb, EXIT_EXCEPTION(PF_VECTOR));
	vmcb->idtr.base = NOWHERE;
	EXPECT_EQ(EXIT_EXCEPTION(PF_VECTOR), nested_run(self->vcpu));
	EXPECT_EQ(EVENT_SOFT | EVENT_VALID | SOFT_VECTOR, vmcb->exitintinfo);
	EXPECT_EQ((uintptr_t)l2_int, vmcb->rip);
	vmcb->rip = (uintptr_t)l2_ud;
	EXPECT_EQ(EXIT_EXCEPTION(PF_VECTOR), nested_run(self->vcpu));
	EXPECT_EQ(EVENT_EXCEPTION | EVENT_VALID | UD_VECTOR, vmcb->exitintinfo);
	EXPECT_EQ((uintptr_t)l2_ud, vmcb->rip);
	EXPECT_EQ(NOWHERE + 16 * UD_VECTOR, vmcb->exitinfo2 & ~0xful);
}

/* --- interrupts and NMIs of the VMM's */

static void l2_waits(uint64_t interrupts)
{
	/*
	 * Have it all in the nested tables: QEMU takes a V_IRQ whose delivery faults there for
	 * an exception.
	 */
	asm volatile("int $0x30" : : : "memory");
	seen.count = 0;
	in_l2 = 1;
	if (interrupts)
		asm volatile("sti; nop" : : : "memory");
	guest_report(1, seen.count);
	asm volatile("nop" : : : "memory");
	guest_report(2, seen.count);
	asm volatile("sti; nop; cli" : : : "memory");
	guest_report(3, seen.count);
	in_l2 = 0;
}

/* L1 with this much of RFLAGS. */
static uint64_t l1_interrupts, l2_arg;

static void l1_waits(uint64_t unused)
{
	l1_prepare(l2_waits, l2_arg);
	svm_clgi();
	if (l1_interrupts)
		asm volatile("sti" : : : "memory");
	else
		asm volatile("cli" : : : "memory");
	guest_report(L1_READY, 0);
	for (;;) {
		guest_report(L1_EXIT, l1_run());
		in_l2 = 0;
		guest_report(11, seen.count);
		svm_stgi();
		guest_report(12, seen.count);
		asm volatile("sti; nop; cli" : : : "memory");
		guest_report(13, seen.count);
		svm_clgi();
	}
}

static void enter_waits(FIXTURE_DATA(event) *self, bool l1_has_if, bool l2_has_if)
{
	l1_interrupts = l1_has_if;
	l2_arg = l2_has_if;
	self->vmcb = nested_enter_l1(self->vcpu, l1_waits, 0);
}

#define NOT_KVMS_IRQ							\
	do {								\
		if (slat_is_kvm())					\
			SKIP(return, "KVM injects at once, into whatever runs"); \
	} while (0)

/* L1's IF decides, and not L2's: the interrupt is L1's, when it has set GIF again. */
TEST_F(event, irq_is_L1s)
{
	NOT_KVMS_IRQ;
	enter_waits(self, true, false);
	vmcb_intercept(self->vmcb, EXIT_INTR);
	self->vmcb->v_intr |= V_INTR_MASKING;
	vcpu_await(self->vcpu, 1);
	/* VMMs look at both. */
	EXPECT_EQ(1, self->vcpu->run->if_flag);
	EXPECT_EQ(1, self->vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(EXIT_INTR, nested_run(self->vcpu));
	EXPECT_EQ(0, self->vmcb->exitintinfo & EVENT_VALID);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(IRQ_VECTOR, self->seen->vector);
	EXPECT_EQ(0, self->seen->in_l2);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 13));
	/* L2 goes on where it was. */
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
}

/* And L1 takes it only when it has set IF. */
TEST_F(event, irq_waits_for_L1s_IF)
{
	NOT_KVMS_IRQ;
	enter_waits(self, false, true);
	vmcb_intercept(self->vmcb, EXIT_INTR);
	self->vmcb->v_intr |= V_INTR_MASKING;
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, self->vcpu->run->if_flag);
	EXPECT_EQ(0, self->vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 13));
	EXPECT_EQ(0, self->seen->in_l2);
}

/* Without V_INTR_MASKING L2's IF decides when it is L1's. */
TEST_F(event, irq_is_L1s_by_L2s_IF)
{
	NOT_KVMS_IRQ;
	enter_waits(self, true, false);
	vmcb_intercept(self->vmcb, EXIT_INTR);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(EXIT_INTR, nested_run(self->vcpu));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(0, self->seen->in_l2);
}

/* Not intercepted: it is L2's, in the order of its IF. */
TEST_F(event, irq_is_L2s)
{
	NOT_KVMS_IRQ;
	enter_waits(self, false, false);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, self->vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(1, self->seen->in_l2);
	EXPECT_EQ(IRQ_VECTOR, self->seen->vector);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 13));
}

/* Not intercepted, but with V_INTR_MASKING: L2's as soon as L1's IF allows. */
TEST_F(event, irq_is_L2s_by_L1s_IF)
{
	NOT_KVMS_IRQ;
	enter_waits(self, true, false);
	self->vmcb->v_intr |= V_INTR_MASKING;
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(1, self->vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1, self->seen->in_l2);
}

/* Asked for before VMRUN, with GIF clear: it takes effect before L2's first instruction. */
TEST_F(event, irq_waits_for_VMRUN)
{
	NOT_KVMS_IRQ;
	enter_waits(self, true, false);
	vmcb_intercept(self->vmcb, EXIT_INTR);
	self->vmcb->v_intr |= V_INTR_MASKING;
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(EXIT_INTR, nested_run(self->vcpu));
	EXPECT_EQ((uintptr_t)l2_waits, self->vmcb->rip);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
}

/*
 * What L1 injects is not lost over it: either the interrupt finds L2 at its handler, as it does
 * on a CPU, or it comes back to be injected again.
 */
TEST_F(event, irq_and_injection)
{
	const uint64_t event = EVENT_EXCEPTION | DE_VECTOR | EVENT_VALID;
	const uint64_t handler = (uintptr_t)guest_vectors + 16 * DE_VECTOR;
	struct vmcb *vmcb;

	NOT_KVMS_IRQ;
	enter_waits(self, true, false);
	vmcb = self->vmcb;
	vmcb_intercept(vmcb, EXIT_INTR);
	vmcb->v_intr |= V_INTR_MASKING;
	vmcb->eventinj = event;
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(EXIT_INTR, nested_run(self->vcpu));
	EXPECT_EQ(0, vmcb->eventinj & EVENT_VALID);
	if (vmcb->exitintinfo & EVENT_VALID) {
		EXPECT_EQ(event, known_of(vmcb->exitintinfo));
		EXPECT_EQ((uintptr_t)l2_waits, vmcb->rip);
	} else {
		EXPECT_EQ(handler, vmcb->rip);
	}
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(IRQ_VECTOR, self->seen->vector);
}

/* The VMM waits for the window. */
TEST_F(event, window_in_L2)
{
	struct kvm_run *run = self->vcpu->run;

	enter_waits(self, false, false);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, run->ready_for_interrupt_injection);
	run->request_interrupt_window = 1;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(1, guest_var(self->vm, in_l2));
	EXPECT_EQ(1, run->ready_for_interrupt_injection);
	run->request_interrupt_window = 0;
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(1, self->seen->in_l2);
	/* L1 does not find the VMM's window in its VMCB. */
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, self->vmcb->v_intr);
}

/* With V_INTR_MASKING it does not open before L1 has IF and GIF. */
TEST_F(event, window_in_L1)
{
	struct kvm_run *run = self->vcpu->run;

	if (slat_is_kvm())
		SKIP(return, "KVM's window reaches L2 as an interrupt 0");
	enter_waits(self, false, false);
	self->vmcb->v_intr |= V_INTR_MASKING;
	vcpu_await(self->vcpu, 1);
	run->request_interrupt_window = 1;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(V_INTR_MASKING, self->vmcb->v_intr);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 12));
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	run->request_interrupt_window = 0;
	EXPECT_EQ(0, vcpu_try_irq(self->vcpu, IRQ_VECTOR));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 13));
	EXPECT_EQ(0, self->seen->in_l2);
}

/* A window that was asked for in L2 and is still closed is L1's when L2 is left. */
TEST_F(event, window_from_L2_to_L1)
{
	struct kvm_run *run = self->vcpu->run;

	enter_waits(self, false, false);
	vcpu_await(self->vcpu, 1);
	run->request_interrupt_window = 1;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	vmcb_intercept(self->vmcb, EXIT_RDTSC);
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(1, guest_var(self->vm, in_l2));
	run->request_interrupt_window = 0;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	run->request_interrupt_window = 1;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, self->vmcb->v_intr);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 12));
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(0, guest_var(self->vm, in_l2));
}

/* --- NMIs */

TEST_F(event, nmi_is_L1s)
{
	enter_waits(self, false, false);
	vmcb_intercept(self->vmcb, EXIT_NMI);
	vcpu_await(self->vcpu, 1);
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(EXIT_NMI, nested_run(self->vcpu));
	EXPECT_EQ(0, self->vmcb->exitintinfo & EVENT_VALID);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(NMI_VECTOR, self->seen->vector);
	EXPECT_EQ(0, self->seen->in_l2);
	vcpu_await(self->vcpu, 13);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
}

TEST_F(event, nmi_is_L2s)
{
	enter_waits(self, false, false);
	vcpu_await(self->vcpu, 1);
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(NMI_VECTOR, self->seen->vector);
	EXPECT_EQ(1, self->seen->in_l2);
	/* It is over for L1, too. */
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 11));
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(2, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(0, self->seen->in_l2);
}

/* --- V_IRQ */

static void enter_virq(FIXTURE_DATA(event) *self, bool l2_has_if)
{
	enter_waits(self, false, l2_has_if);
	self->vmcb->v_intr = V_IRQ | V_INTR_PRIO(5) | V_INTR_MASKING;
	self->vmcb->v_intr_vector = VIRQ_VECTOR;
}

TEST_F(event, virq)
{
	enter_virq(self, false);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(VIRQ_VECTOR, self->seen->vector);
	EXPECT_EQ(1, self->seen->in_l2);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(V_INTR_PRIO(5) | V_INTR_MASKING, self->vmcb->v_intr);
	/* L1 knows nothing of it. */
	EXPECT_EQ(1, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 12));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 13));
}

/* L2 has not taken it yet: it waits in the VMCB. */
TEST_F(event, virq_waits)
{
	enter_virq(self, false);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	vmcb_intercept(self->vmcb, EXIT_NMI);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	self->vmcb->rip = (uintptr_t)l2_idles;
	self->vmcb->v_intr |= V_IRQ;
	vcpu_await(self->vcpu, 11);
	vcpu_await(self->vcpu, 12);
	vcpu_await(self->vcpu, 13);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(1, self->seen->count);
	EXPECT_EQ(V_IRQ | V_INTR_PRIO(5) | V_INTR_MASKING, self->vmcb->v_intr);
}

TEST_F(event, virq_below_TPR)
{
	enter_virq(self, true);
	self->vmcb->v_intr |= V_TPR(6);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(V_IRQ | V_INTR_PRIO(5) | V_INTR_MASKING | V_TPR(6), self->vmcb->v_intr);
}

TEST_F(event, virq_above_TPR)
{
	enter_virq(self, true);
	self->vmcb->v_intr |= V_TPR(4);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
}

TEST_F(event, virq_ignores_TPR)
{
	enter_virq(self, true);
	self->vmcb->v_intr |= V_TPR(15) | V_IGN_TPR;
	EXPECT_EQ(1, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(VIRQ_VECTOR, self->seen->vector);
}

/* L1 wants to know when L2 would take it. */
TEST_F(event, virq_intercepted)
{
	enter_virq(self, false);
	vmcb_intercept(self->vmcb, EXIT_VINTR);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(EXIT_VINTR, nested_run(self->vcpu));
	EXPECT_EQ(0, self->seen->count);
	EXPECT_EQ(V_IRQ, self->vmcb->v_intr & V_IRQ);
	EXPECT_EQ(RFLAGS_IF, self->vmcb->rflags & RFLAGS_IF);
}

/* The VMM's window does not get in the way of it. */
TEST_F(event, virq_and_window)
{
	struct kvm_run *run = self->vcpu->run;

	if (slat_is_kvm())
		SKIP(return, "KVM's window reaches L2 as an interrupt 0");
	enter_virq(self, false);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	run->request_interrupt_window = 1;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(VIRQ_VECTOR, self->seen->vector);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(V_INTR_PRIO(5) | V_INTR_MASKING, self->vmcb->v_intr);
	vcpu_await(self->vcpu, 11);
	vcpu_await(self->vcpu, 12);
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
}

/* Nor where L2's IF is for both: then the VMM's comes first, and L1's is still there. */
TEST_F(event, virq_behind_window)
{
	struct kvm_run *run = self->vcpu->run;

	enter_virq(self, false);
	self->vmcb->v_intr &= ~V_INTR_MASKING;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	run->request_interrupt_window = 1;
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(0, self->seen->count);
	run->request_interrupt_window = 0;
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(VIRQ_VECTOR, self->seen->vector);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(V_INTR_PRIO(5), self->vmcb->v_intr);
}

/* --- the interrupt shadow */

extern const char l2_sti[];
asm(".pushsection .text\n"
    "l2_sti: sti\n"
    "	vmmcall\n"
    ".popsection\n");

TEST_F(event, shadow)
{
	struct vmcb *vmcb;
	unsigned int shadow;

	vmcb = nested_enter(self->vcpu, (l2_function)l2_sti, 0);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(1, vmcb->interrupt_shadow & 1);
	/* Have the way of an event in the nested tables, as l2_waits() does. */
	vmcb->rip = (uintptr_t)l2_idles;
	vmcb->interrupt_shadow = 0;
	vmcb->eventinj = EVENT_INTR | EVENT_VALID | IRQ_VECTOR;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(0, vmcb->interrupt_shadow & 1);
	/* QEMU's VMRUN knows of none. */
	for (shadow = 0; shadow <= !cpu_is_qemus(); shadow++) {
		vmcb->rip = (uintptr_t)l2_idles;
		vmcb->rflags |= RFLAGS_IF;
		vmcb->v_intr = V_IRQ | V_IGN_TPR | V_INTR_MASKING;
		vmcb->v_intr_vector = VIRQ_VECTOR;
		vmcb->interrupt_shadow = shadow;
		EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
		EXPECT_EQ(2 + shadow, self->seen->count);
		EXPECT_EQ((uintptr_t)l2_idles + shadow, self->seen->rip);
	}
}

/* --- the task priority */

static uint64_t read_cr8(void)
{
	uint64_t value;

	asm volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

static void write_cr8(uint64_t value)
{
	asm volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

static void l2_priority(uint64_t unused)
{
	guest_report(1, read_cr8());
	write_cr8(9);
	guest_report(2, read_cr8());
}

static void l1_priority(uint64_t unused)
{
	l1_prepare(l2_priority, 0);
	write_cr8(3);
	guest_report(L1_READY, 0);
	guest_report(L1_EXIT, l1_run());
	svm_stgi();
	guest_report(3, read_cr8());
}

TEST_F(event, priority_of_its_own)
{
	struct kvm_run *run = self->vcpu->run;
	struct vmcb *vmcb;

	vmcb = nested_enter_l1(self->vcpu, l1_priority, 0);
	vmcb->v_intr = V_INTR_MASKING | V_TPR(6);
	EXPECT_EQ(6, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(3, run->cr8);
	EXPECT_EQ(9, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(3, run->cr8);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(V_INTR_MASKING | V_TPR(9), vmcb->v_intr);
	EXPECT_EQ(3, vcpu_await(self->vcpu, 3));
}

TEST_F(event, priority_shared)
{
	struct kvm_run *run = self->vcpu->run;

	nested_enter_l1(self->vcpu, l1_priority, 0);
	EXPECT_EQ(3, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(9, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(9, run->cr8);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
	EXPECT_EQ(9, vcpu_await(self->vcpu, 3));
}

/* --- shutdown */

TEST_F(event, shutdown_is_L1s)
{
	struct vmcb *vmcb = nested_enter(self->vcpu, (l2_function)l2_ud, 0);

	vmcb_intercept(vmcb, EXIT_SHUTDOWN);
	vmcb->idtr.limit = 0;
	EXPECT_EQ(EXIT_SHUTDOWN, nested_run(self->vcpu));
	/* L1 is well, and so is what it runs next. */
	vmcb->idtr.limit = PAGE_SIZE - 1;
	vmcb->rip = (uintptr_t)l2_idles;
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

TEST_F(event, shutdown)
{
	struct vmcb *vmcb = nested_enter(self->vcpu, (l2_function)l2_ud, 0);

	vmcb->idtr.limit = 0;
	vcpu_run_to(self->vcpu, KVM_EXIT_SHUTDOWN);
}

static void raise_triple_fault(struct vcpu *vcpu)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 },
	};
	struct kvm_vcpu_events events;

	must_ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &cap);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	events.triple_fault.pending = 1;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

TEST_F(event, VMMs_shutdown_is_L1s)
{
	enter_waits(self, false, false);
	vmcb_intercept(self->vmcb, EXIT_SHUTDOWN);
	vcpu_await(self->vcpu, 1);
	raise_triple_fault(self->vcpu);
	EXPECT_EQ(EXIT_SHUTDOWN, nested_run(self->vcpu));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 11));
}

TEST_F(event, VMMs_shutdown)
{
	enter_waits(self, false, false);
	vcpu_await(self->vcpu, 1);
	raise_triple_fault(self->vcpu);
	vcpu_run_to(self->vcpu, KVM_EXIT_SHUTDOWN);
}

SLAT_HARNESS_MAIN
