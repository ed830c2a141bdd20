// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: MONITOR and MWAIT, which do nothing, and the quirks of KVM that a VMM can
 * do without.
 */
#include <string.h>

#include "harness.h"
#include "worker.h"

#define MSR_MISC_ENABLE	0x1a0u
#define MWAIT		(1ul << 18)

VM_FIXTURE(quirk);

static int try_disable(struct vm *vm, uint32_t cap, uint64_t quirks)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { quirks } };

	return try_ioctl_ptr(vm->fd, KVM_ENABLE_CAP, &enable);
}

static void guest_idles(uint64_t unused)
{
	uint32_t eax = 1, ecx = 0;

	for (;;) {
		guest_report(1, guest_try("mov %%rsp, %%rax\n\txor %%ecx, %%ecx\n\t"
					  "xor %%edx, %%edx\n\tmonitor").vector);
		guest_report(2, guest_try("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\t"
					  "mwait").vector);
		eax = 1;
		asm volatile("cpuid" : "+a"(eax), "+c"(ecx) : : "ebx", "edx");
		guest_report(3, ecx & 1 << 3);
	}
}

static void expect_idle(struct __test_metadata *_metadata, struct vcpu *vcpu,
			uint64_t vector, bool cpuid)
{
	EXPECT_EQ(vector, vcpu_await(vcpu, 1));
	EXPECT_EQ(vector, vcpu_await(vcpu, 2));
	EXPECT_EQ(cpuid ? 1 << 3 : 0, vcpu_await(vcpu, 3));
}

TEST_F(quirk, mwait)
{
	const uint64_t never_ud = KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;
	const uint64_t no_mwait = KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT;
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_idles, 0);
	expect_idle(_metadata, vcpu, NO_FAULT, false);
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS2, never_ud));
	expect_idle(_metadata, vcpu, UD_VECTOR, false);
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
				 never_ud | no_mwait));
	expect_idle(_metadata, vcpu, UD_VECTOR, false);
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, MWAIT);
	expect_idle(_metadata, vcpu, NO_FAULT, true);
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, 0);
	expect_idle(_metadata, vcpu, UD_VECTOR, false);
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS, 0));
	expect_idle(_metadata, vcpu, NO_FAULT, false);
}

GUEST_CODE(code_7e, 64,
	"	out %al, $0x7e\n"
	"	out %al, $0x7e\n");

TEST_F(quirk, out_7e)
{
	struct kvm_regs regs;

	vm_load(self->vm, VM_CODE_GPA, code_7e, code_7e_end);
	guest_enter_long(self->vcpu, VM_CODE_GPA, 0);
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(VM_CODE_GPA + 2, regs.rip);
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
				 KVM_X86_QUIRK_OUT_7E_INC_RIP));
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(VM_CODE_GPA + 2, regs.rip);
}

/* --- the other vendor's hypercall */

#define NO_HYPERCALL	0x12345678
#define HYPERCALL_AT	2

GUEST_CODE(code_hypercall, 64,
	"	mov %esi, %eax\n"
	"	.byte 0x0f, 0x01, 0xc1\n"
	"	mov %rax, %rsi\n"
	"	mov $1, %edi\n"
	"	out %al, $" GUEST_STR(PORT_REPORT) "\n"
	"	hlt\n");

static uint8_t native(void)
{
	return guest_has_vmcall ? 0xc1 : 0xd9;
}

static uint8_t foreign(void)
{
	return guest_has_vmcall ? 0xd9 : 0xc1;
}

static void enter_foreign(struct vm *vm, struct vcpu *vcpu, uint64_t gpa)
{
	struct kvm_regs regs;

	vm_load(vm, gpa, code_hypercall, code_hypercall_end);
	*(uint8_t *)vm_ptr(vm, gpa + HYPERCALL_AT + 2) = foreign();
	guest_enter_long(vcpu, gpa, 0);
	vcpu_get_regs(vcpu, &regs);
	regs.rsi = NO_HYPERCALL;
	vcpu_set_regs(vcpu, &regs);
}

/* With each of its bytes at the end of a page. */
TEST_F(quirk, foreign_hypercall)
{
	const uint64_t end = VM_CODE_GPA + PAGE_SIZE - HYPERCALL_AT;
	const uint8_t *code;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		enter_foreign(self->vm, self->vcpu, end - i);
		EXPECT_EQ(-1000, (int64_t)vcpu_await(self->vcpu, 1));
		code = vm_ptr(self->vm, end - i + HYPERCALL_AT);
		EXPECT_EQ(0x0f, code[0]);
		EXPECT_EQ(0x01, code[1]);
		EXPECT_EQ(native(), code[2]);
		EXPECT_EQ(0x48, code[3]);
	}
}

/* No slat hypercall, nor KVM's. */
#define TRY_CALL(call)	guest_try("mov $0x12345678, %%eax\n\t" call).vector

static void guest_calls(uint64_t unused)
{
	for (;;) {
		guest_report(1, guest_has_vmcall ? TRY_CALL("vmmcall") : TRY_CALL("vmcall"));
		guest_report(2, guest_has_vmcall ? TRY_CALL("vmcall") : TRY_CALL("vmmcall"));
		guest_report(3, TRY_CALL("ud2"));
	}
}

static void expect_calls(struct __test_metadata *_metadata, struct vcpu *vcpu,
			 uint64_t vector)
{
	EXPECT_EQ(vector, vcpu_await(vcpu, 1));
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 2));
	EXPECT_EQ(UD_VECTOR, vcpu_await(vcpu, 3));
}

TEST_F(quirk, foreign_hypercall_left_alone)
{
	const uint64_t fix = KVM_X86_QUIRK_FIX_HYPERCALL_INSN;

	guest_enter_c(self->vcpu, guest_calls, 0);
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS2, fix));
	expect_calls(_metadata, self->vcpu, UD_VECTOR);
	expect_calls(_metadata, self->vcpu, UD_VECTOR);
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS, 0));
	expect_calls(_metadata, self->vcpu, NO_FAULT);
	/* It is another one by now. */
	ASSERT_EQ(0, try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS, fix));
	expect_calls(_metadata, self->vcpu, NO_FAULT);
}

TEST_F(quirk, foreign_hypercall_in_read_only_code)
{
	uint64_t *pte;

	if (slat_is_kvm())
		SKIP(return, "KVM raises #PF");
	guest_enter_c(self->vcpu, guest_calls, 0);
	pte = vm_pte(self->vm, (uintptr_t)guest_calls);
	*pte &= ~PT_WRITE;
	pte = vm_pte(self->vm, (uintptr_t)guest_calls + PAGE_SIZE);
	*pte &= ~PT_WRITE;
	expect_calls(_metadata, self->vcpu, UD_VECTOR);
}

/* Nor in a slot that is read-only. */
TEST_F(quirk, foreign_hypercall_in_rom)
{
	const uint64_t gpa = VM_PLAY_GPA;
	uint8_t *rom = mem_alloc(PAGE_SIZE);
	struct kvm_sregs sregs;

	if (slat_is_kvm())
		SKIP(return, "KVM exits for the write");
	memcpy(rom, code_hypercall, code_hypercall_end - code_hypercall);
	rom[HYPERCALL_AT + 2] = foreign();
	vm_make_play_tables(self->vm);
	vm_slot(self->vm, VM_PLAY_SLOT, KVM_MEM_READONLY, gpa, PAGE_SIZE, rom);
	guest_enter_long(self->vcpu, gpa, 0);
	vcpu_get_sregs(self->vcpu, &sregs);
	sregs.idt.limit = 0;
	vcpu_set_sregs(self->vcpu, &sregs);
	/* #UD, which nobody handles. */
	vcpu_run_to(self->vcpu, KVM_EXIT_SHUTDOWN);
	EXPECT_EQ(foreign(), rom[HYPERCALL_AT + 2]);
}

TEST_F(quirk, refusals)
{
	const uint32_t known = slat_check_extension(KVM_CAP_DISABLE_QUIRKS2);
	unsigned int i;

	for (i = 0; i < 64; i++) {
		const bool is_known = i < 32 && (known & 1u << i);

		EXPECT_EQ(is_known ? 0 : -EINVAL,
			  try_disable(self->vm, KVM_CAP_DISABLE_QUIRKS2,
				      1ul << i));
	}
}

SLAT_HARNESS_MAIN
