// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: KVM_SET_GUEST_DEBUG: the VMM steps the guest, sets breakpoints in it,
 * and the guest's own debug registers and trace flag are not its business.
 */
#include "harness.h"

VM_FIXTURE(debug);

#define DR6_FIXED	0xffff0ff0ul
#define DR6_STEP	(1ul << 14)

static int try_debug(struct vcpu *vcpu, uint32_t control)
{
	struct kvm_guest_debug debug = { .control = control };

	return try_ioctl_ptr(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

#define STEP	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
#define SW_BP	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)

/* One of each kind: the CPU's own, and those that software completes. */
GUEST_CODE(code_steps, 64,
	"	nop\n"
	"	xor %eax, %eax\n"
	"	cpuid\n"
	"	mov $0x277, %ecx\n"
	"	rdmsr\n"
	"	pushf\n"
	"	pop %rbx\n"
	"	mov $0x9999, %eax\n"
	"	out %al, $" GUEST_STR(PORT_REPORT) "\n"
	"	nop\n"
	"	hlt\n");

static const uint8_t step_lengths[] = { 1, 2, 2, 5, 2, 1, 1, 5 };

static void expect_debug(struct __test_metadata *_metadata, struct vcpu *vcpu,
			 uint32_t exception, uint64_t pc)
{
	struct kvm_regs regs;

	vcpu_run_to(vcpu, KVM_EXIT_DEBUG);
	EXPECT_EQ(exception, vcpu->run->debug.arch.exception);
	EXPECT_EQ(pc, vcpu->run->debug.arch.pc);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(pc, regs.rip);
	EXPECT_EQ(0, regs.rflags & RFLAGS_TF);
}

static void enter(struct vcpu *vcpu, struct vm *vm, const char *code,
		  const char *end)
{
	vm_load(vm, VM_CODE_GPA, code, end);
	guest_enter_long(vcpu, VM_CODE_GPA, 0);
}

TEST_F(debug, steps)
{
	struct vcpu *vcpu = self->vcpu;
	uint64_t pc = VM_CODE_GPA;
	struct kvm_regs regs;
	unsigned int i;

	if (cpu_is_bochs_svm())
		SKIP(return, "in Bochs' SVM the trace of a guest goes on in the host");
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_SET_GUEST_DEBUG));
	enter(vcpu, self->vm, code_steps, code_steps_end);
	ASSERT_EQ(0, try_debug(vcpu, STEP));
	for (i = 0; i < ARRAY_SIZE(step_lengths); i++) {
		pc += step_lengths[i];
		expect_debug(_metadata, vcpu, DB_VECTOR, pc);
		EXPECT_EQ(DR6_FIXED | DR6_STEP, vcpu->run->debug.arch.dr6);
	}
	/* The VMM sees to the port, and then the step is over. */
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	expect_debug(_metadata, vcpu, DB_VECTOR, pc + 2);
	ASSERT_EQ(0, try_debug(vcpu, 0));
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(pc + 4, regs.rip);
}

/* What the guest sees of it: nothing. */
TEST_F(debug, guest_keeps_dr6)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_debugregs regs;

	if (cpu_is_bochs_svm())
		SKIP(return, "in Bochs' SVM the trace of a guest goes on in the host");
	enter(vcpu, self->vm, code_steps, code_steps_end);
	must_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	regs.dr6 = DR6_FIXED | 2;
	regs.db[2] = 0x1234;
	must_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
	ASSERT_EQ(0, try_debug(vcpu, STEP));
	vcpu_run_to(vcpu, KVM_EXIT_DEBUG);
	vcpu_run_to(vcpu, KVM_EXIT_DEBUG);
	must_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	EXPECT_EQ(DR6_FIXED | 2, regs.dr6);
	EXPECT_EQ(0x1234, regs.db[2]);
}

/* MOVs of debug registers while the VMM debugs. */
GUEST_CODE(code_mov_dr, 64,
	"	mov $0x1122334455, %rax\n"
	"	mov %rax, %dr1\n"
	"	mov %dr1, %rbx\n"
	"	mov %dr7, %rcx\n"
	"	mov %dr6, %rdx\n"
	"	out %al, $" GUEST_STR(PORT_REPORT) "\n");

TEST_F(debug, mov_dr)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_debugregs debugregs;
	struct kvm_regs regs;

	enter(vcpu, self->vm, code_mov_dr, code_mov_dr_end);
	ASSERT_EQ(0, try_debug(vcpu, SW_BP));
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0x1122334455, regs.rbx);
	EXPECT_EQ(0x400, regs.rcx);
	EXPECT_EQ(DR6_FIXED, regs.rdx);
	must_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debugregs);
	EXPECT_EQ(0x1122334455, debugregs.db[1]);
}

/* --- breakpoints in software */

static volatile uint64_t breakpoints;

GUEST_HANDLER static void guest_bp(struct guest_frame *frame)
{
	breakpoints++;
	breakpoints |= frame->rip << 16;
}

static void guest_int3(uint64_t unused)
{
	guest_handlers[BP_VECTOR] = guest_bp;
	asm volatile(".globl guest_int3_here\n"
		     "guest_int3_here: int3" : : : "memory");
	guest_report(1, breakpoints);
	asm volatile("int3" : : : "memory");
	guest_report(2, breakpoints & 0xffff);
}

extern const char guest_int3_here[];

/* QEMU's emulation of CPUs gives its name as a hypervisor. */
static bool is_emulated_by_qemu(void)
{
	uint32_t eax = 0x40000000, name[3];

	asm volatile("cpuid" : "+a"(eax), "=b"(name[0]), "=c"(name[1]),
			       "=d"(name[2]));
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

TEST_F(debug, software_breakpoint)
{
	const uint64_t here = (uintptr_t)guest_int3_here;
	struct vcpu *vcpu = self->vcpu;

	if (is_emulated_by_qemu())
		SKIP(return, "QEMU takes INT3 for INT n, not for #BP");
	guest_enter_c(vcpu, guest_int3, 0);
	ASSERT_EQ(0, try_debug(vcpu, SW_BP));
	expect_debug(_metadata, vcpu, BP_VECTOR, here);
	/* And again, until something is done about it. */
	expect_debug(_metadata, vcpu, BP_VECTOR, here);
	/* It was the guest's own. */
	ASSERT_EQ(0, try_debug(vcpu, SW_BP | KVM_GUESTDBG_INJECT_BP));
	EXPECT_EQ(1 | (here + 1) << 16, vcpu_await(vcpu, 1));
	vcpu_run_to(vcpu, KVM_EXIT_DEBUG);
	/* Nobody debugs any more: #BP is the guest's business. */
	ASSERT_EQ(0, try_debug(vcpu, 0));
	EXPECT_EQ(2, vcpu_await(vcpu, 2));
}

/* Its delivery is cut short where nested tables have to be filled: still the guest's own. */
TEST_F(debug, software_breakpoint_faults)
{
	struct vcpu *vcpu = self->vcpu;
	struct vm *vm = self->vm;

	if (is_emulated_by_qemu())
		SKIP(return, "QEMU takes INT3 for INT n, not for #BP");
	guest_enter_c(vcpu, guest_int3, 0);
	ASSERT_EQ(0, try_debug(vcpu, SW_BP));
	expect_debug(_metadata, vcpu, BP_VECTOR, (uintptr_t)guest_int3_here);
	ASSERT_EQ(0, try_debug(vcpu, SW_BP | KVM_GUESTDBG_INJECT_BP));
	vm_slot_delete(vm, VM_RAM_SLOT);
	vm_slot(vm, VM_RAM_SLOT, 0, 0, VM_RAM_SIZE, vm->ram);
	vcpu_await(vcpu, 1);
}

/* --- breakpoints in hardware */

static volatile uint64_t watched;

static void guest_watched(uint64_t unused)
{
	asm volatile("nop\n"
		     ".globl guest_hw_here\n"
		     "guest_hw_here: nop" : : : "memory");
	guest_report(1, read_dr7());
	watched = 1;
	guest_report(2, watched);
}

extern const char guest_hw_here[];

#define HW_BP		(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP)
#define DR7_FIXED	0x400ul
#define DR7_G1		(1ul << 3)	/* DR1 is in use ... */
#define DR7_WRITE1	(1ul << 20)	/* ... for writes ... */
#define DR7_LEN8_1	(2ul << 22)	/* ... of eight bytes */

static int try_hw_bp(struct vcpu *vcpu, uint64_t address, uint64_t dr7)
{
	struct kvm_guest_debug debug = {
		.control = HW_BP, .arch.debugreg = {
			[1] = address, [7] = DR7_FIXED | DR7_G1 | dr7,
		},
	};

	return try_ioctl_ptr(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

TEST_F(debug, hardware_breakpoint)
{
	const uint64_t here = (uintptr_t)guest_hw_here;
	struct vcpu *vcpu = self->vcpu;

	if (cpu_is_qemus())
		SKIP(return, "QEMU's VMRUN loads DR7, but arms no breakpoint");
	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' SVM leaves a guest before DR6 tells why");
	guest_enter_c(vcpu, guest_watched, 0);
	ASSERT_EQ(0, try_hw_bp(vcpu, here, 0));
	expect_debug(_metadata, vcpu, DB_VECTOR, here);
	EXPECT_EQ(DR6_FIXED | 2, vcpu->run->debug.arch.dr6);
	EXPECT_EQ(DR7_FIXED | DR7_G1, vcpu->run->debug.arch.dr7);
	/* It is there still, before the same instruction. */
	expect_debug(_metadata, vcpu, DB_VECTOR, here);
	/* The guest does not see it, and goes on when it is gone. */
	ASSERT_EQ(0, try_debug(vcpu, 0));
	EXPECT_EQ(DR7_FIXED, vcpu_await(vcpu, 1));
}

TEST_F(debug, hardware_watchpoint)
{
	struct vcpu *vcpu = self->vcpu;

	if (cpu_is_qemus())
		SKIP(return, "QEMU crashes over watchpoints and VMRUN");
	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' SVM leaves a guest before DR6 tells why");
	guest_enter_c(vcpu, guest_watched, 0);
	ASSERT_EQ(0, try_hw_bp(vcpu, (uintptr_t)&watched,
			       DR7_WRITE1 | DR7_LEN8_1));
	EXPECT_EQ(DR7_FIXED, vcpu_await(vcpu, 1));
	vcpu_run_to(vcpu, KVM_EXIT_DEBUG);
	EXPECT_EQ(DB_VECTOR, vcpu->run->debug.arch.exception);
	EXPECT_EQ(DR6_FIXED | 2, vcpu->run->debug.arch.dr6);
	/* Behind the write. */
	EXPECT_EQ(1, guest_var(self->vm, watched));
	EXPECT_EQ(1, vcpu_await(vcpu, 2));
}

static volatile uint64_t traps;

GUEST_HANDLER static void guest_db(struct guest_frame *frame)
{
	traps++;
}

static void guest_takes_db(uint64_t unused)
{
	guest_handlers[DB_VECTOR] = guest_db;
	guest_report(1, traps);
	guest_report(2, traps);
}

TEST_F(debug, inject_db)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_takes_db, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	ASSERT_EQ(0, try_debug(vcpu, KVM_GUESTDBG_INJECT_DB));
	EXPECT_EQ(-EBUSY, try_debug(vcpu, KVM_GUESTDBG_INJECT_DB));
	EXPECT_EQ(1, vcpu_await(vcpu, 2));
}

TEST_F(debug, refusals)
{
	const uint32_t known = slat_check_extension(KVM_CAP_SET_GUEST_DEBUG2);
	const void *const *bad;
	unsigned int i;

	for (i = 0; i < 32; i++) {
		if (known & 1u << i)
			continue;
		EXPECT_EQ(-EINVAL, try_debug(self->vcpu, 1u << i)) {
			TH_LOG("bit %u", i);
		}
	}
	EXPECT_EQ(STEP, known & STEP);
	for (bad = bad_pointers; *bad; bad++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd,
						 KVM_SET_GUEST_DEBUG, *bad));
	}
}

SLAT_HARNESS_MAIN
