// SPDX-License-Identifier: GPL-2.0-only
/*
 * B4: interrupts and NMIs that the VMM raises, without an interrupt controller
 * in the kernel: taken when the guest is ready, each exactly once.
 */
#include "harness.h"

VM_FIXTURE(event);

#define VECTOR	0x41

static volatile uint64_t seen, last;

static GUEST_HANDLER void on_event(struct guest_frame *frame)
{
	seen++;
	last = frame->rip;
}

static void guest_take_irq(uint64_t unused)
{
	guest_handlers[VECTOR] = on_event;
	asm volatile("cli" : : : "memory");
	for (;;) {
		guest_report(1, seen);
		asm volatile("nop" : : : "memory");
		guest_report(2, seen);
		asm volatile("sti; nop; nop; cli" : : : "memory");
		guest_report(3, seen);
	}
}

/* Queued while the guest has interrupts off, taken when it lets them in. */
TEST_F(event, irq_waits)
{
	int i;

	if (slat_is_kvm())
		SKIP(return, "KVM injects at once, ready or not");
	guest_enter_c(self->vcpu, guest_take_irq, 0);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(i, vcpu_await(self->vcpu, 1));
		EXPECT_EQ(0, vcpu_try_irq(self->vcpu, VECTOR));
		EXPECT_EQ(-EEXIST, vcpu_try_irq(self->vcpu, VECTOR));
		EXPECT_EQ(i, vcpu_await(self->vcpu, 2));
		EXPECT_EQ(i + 1, vcpu_await(self->vcpu, 3));
	}
}

TEST_F(event, irq_refused)
{
	const void *const *bad;

	guest_enter_c(self->vcpu, guest_take_irq, 0);
	EXPECT_EQ(-EINVAL, vcpu_try_irq(self->vcpu, 256));
	EXPECT_EQ(-EINVAL, vcpu_try_irq(self->vcpu, -1u));
	for (bad = bad_pointers; *bad; bad++)
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_INTERRUPT, *bad));
	vcpu_await(self->vcpu, 1);
	vcpu_await(self->vcpu, 2);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
}

/* The VMM waits for the window, and then its interrupt is the next thing. */
TEST_F(event, irq_window)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_regs regs;
	int i;

	guest_enter_c(self->vcpu, guest_take_irq, 0);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(i, vcpu_await(self->vcpu, 1));
		EXPECT_EQ(0, run->ready_for_interrupt_injection);
		EXPECT_EQ(0, run->if_flag);
		run->request_interrupt_window = 1;
		EXPECT_EQ(i, vcpu_await(self->vcpu, 2));
		vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		EXPECT_EQ(1, run->ready_for_interrupt_injection);
		EXPECT_EQ(1, run->if_flag);
		run->request_interrupt_window = 0;
		vcpu_get_regs(self->vcpu, &regs);
		EXPECT_EQ(0, vcpu_try_irq(self->vcpu, VECTOR));
		EXPECT_EQ(i + 1, vcpu_await(self->vcpu, 3));
		/* Right there, and behind the instruction that STI holds open. */
		EXPECT_EQ(regs.rip, guest_var(self->vm, last));
	}
}

/* A window that is open already opens at once. */
TEST_F(event, irq_window_open)
{
	struct kvm_regs before, after;
	struct kvm_run *run = self->vcpu->run;

	guest_enter_c(self->vcpu, guest_take_irq, 0);
	vcpu_await(self->vcpu, 1);
	run->request_interrupt_window = 1;
	vcpu_await(self->vcpu, 2);
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	vcpu_get_regs(self->vcpu, &before);
	vcpu_run_to(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	vcpu_get_regs(self->vcpu, &after);
	EXPECT_EQ(before.rip, after.rip);
}

/* KVM_SET_SREGS may carry an interrupt over from another vCPU. */
TEST_F(event, irq_in_sregs)
{
	struct kvm_sregs sregs;

	guest_enter_c(self->vcpu, guest_take_irq, 0);
	vcpu_await(self->vcpu, 1);
	vcpu_await(self->vcpu, 2);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0, sregs.interrupt_bitmap[VECTOR / 64]);
	sregs.interrupt_bitmap[VECTOR / 64] = 1ull << (VECTOR % 64);
	vcpu_set_sregs(self->vcpu, &sregs);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(1ull << (VECTOR % 64), sregs.interrupt_bitmap[VECTOR / 64]);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 3));
}

/* --- NMIs */

static GUEST_HANDLER void on_nmi(struct guest_frame *frame)
{
	seen++;
	guest_report(10, seen);
	guest_report(11, seen);
}

static void guest_take_nmis(uint64_t unused)
{
	guest_handlers[2] = on_nmi;
	for (;;) {
		guest_report(1, seen);
		asm volatile("nop; nop" : : : "memory");
		guest_report(2, seen);
	}
}

/* At once, whatever the interrupt flag says. */
TEST_F(event, nmi)
{
	int i;

	guest_enter_c(self->vcpu, guest_take_nmis, 0);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(i, vcpu_await(self->vcpu, 1));
		must_ioctl(self->vcpu->fd, KVM_NMI, 0);
		EXPECT_EQ(i + 1, vcpu_await(self->vcpu, 10));
		EXPECT_EQ(i + 1, vcpu_await(self->vcpu, 11));
		EXPECT_EQ(i + 1, vcpu_await(self->vcpu, 2));
	}
}

/* One waits for the end of the handler, and further ones are lost in it. */
TEST_F(event, nmi_masks)
{
	int i;

	if (cpu_is_bochs_svm())
		SKIP(return, "in Bochs' SVM the trace of a guest goes on in the host");
	guest_enter_c(self->vcpu, guest_take_nmis, 0);
	vcpu_await(self->vcpu, 1);
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 10));
	for (i = 0; i < 3; i++)
		must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(2, vcpu_await(self->vcpu, 10));
	EXPECT_EQ(2, vcpu_await(self->vcpu, 11));
	EXPECT_EQ(2, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(2, vcpu_await(self->vcpu, 1));
}

/* Tracing over the IRET, which finds the end of the handler, leaves no trace. */
static void guest_check_flags(uint64_t unused)
{
	uint64_t flags;

	guest_handlers[2] = on_nmi;
	guest_report(1, 0);
	asm volatile("nop; nop; pushfq; pop %0" : "=r"(flags) : : "memory");
	guest_report(2, flags & RFLAGS_TF);
	asm volatile("mov %%dr6, %0" : "=r"(flags));
	guest_report(3, flags & (1 << 14));
}

TEST_F(event, nmi_leaves_no_trace)
{
	if (cpu_is_bochs_svm())
		SKIP(return, "in Bochs' SVM the trace of a guest goes on in the host");
	guest_enter_c(self->vcpu, guest_check_flags, 0);
	vcpu_await(self->vcpu, 1);
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	vcpu_await(self->vcpu, 10);
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	vcpu_await(self->vcpu, 11);
	vcpu_await(self->vcpu, 10);
	vcpu_await(self->vcpu, 11);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
}

/* --- task priority */

static void write_cr8(uint64_t value)
{
	asm volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

static uint64_t read_cr8(void)
{
	uint64_t value;

	asm volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

static void guest_priority(uint64_t unused)
{
	struct guest_fault fault;

	write_cr8(9);
	guest_report(1, read_cr8());
	write_cr8(4);
	guest_report(2, read_cr8());
	guest_report(3, read_cr8());
	fault = guest_try("mov $16, %%eax; mov %%rax, %%cr8");
	guest_report(4, fault.vector);
}

/* The VMM's APIC learns of a lower priority at once, of a higher one in passing. */
TEST_F(event, task_priority)
{
	struct kvm_run *run = self->vcpu->run;

	guest_enter_c(self->vcpu, guest_priority, 0);
	EXPECT_EQ(9, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(9, run->cr8);
	vcpu_run_to(self->vcpu, KVM_EXIT_SET_TPR);
	EXPECT_EQ(4, run->cr8);
	EXPECT_EQ(4, vcpu_await(self->vcpu, 2));
	run->cr8 = 7;
	EXPECT_EQ(7, vcpu_await(self->vcpu, 3));
	run->cr8 = 16;
	EXPECT_EQ(-EINVAL, vcpu_try_run(self->vcpu));
	run->cr8 = 7;
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 4));
}

SLAT_HARNESS_MAIN
