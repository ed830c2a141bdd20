/* SPDX-License-Identifier: GPL-2.0-only */
/* The SVM world switch. */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

/* Offsets in slat_vcpu.gpr, by register number. */
#define RCX	(1 * 8)
#define RDX	(2 * 8)
#define RBX	(3 * 8)
#define RBP	(5 * 8)
#define RSI	(6 * 8)
#define RDI	(7 * 8)
#define R(n)	(n * 8)

/* VERW before guest mode (TSA); what the macro is called depends on the kernel. */
.macro CLEAR_BUFFERS
#if defined(VM_CLEAR_CPU_BUFFERS)
	VM_CLEAR_CPU_BUFFERS
#elif defined(CLEAR_CPU_BUFFERS)
	CLEAR_CPU_BUFFERS
#endif
.endm

/* Return predictions that the guest trained (Retbleed, SRSO). */
.macro UNTRAIN
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif
#endif
.endm

	.section .noinstr.text, "ax"

/*
 * void slat_svm_switch(u64 vmcb_pa, u64 *gpr, u64 host_pa)
 *
 * Into the guest and back.  VMRUN itself switches RAX, RSP, RIP, RFLAGS and the
 * control registers; VMLOAD and VMSAVE the FS, GS, TR and LDTR registers and the
 * syscall MSRs, to and from the VMCB at vmcb_pa for the guest and the page at
 * host_pa, saved by the caller, for the host.
 *
 * GIF is clear.  Per-CPU data is out of reach from the first VMLOAD to the last.
 */
SYM_FUNC_START(slat_svm_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx

	push	%rdx
	push	%rdi
	push	%rsi

	mov	%rdi, %rax
	vmload	%rax

	mov	RCX(%rsi), %rcx
	mov	RDX(%rsi), %rdx
	mov	RBX(%rsi), %rbx
	mov	RBP(%rsi), %rbp
	mov	RDI(%rsi), %rdi
	mov	R(8)(%rsi), %r8
	mov	R(9)(%rsi), %r9
	mov	R(10)(%rsi), %r10
	mov	R(11)(%rsi), %r11
	mov	R(12)(%rsi), %r12
	mov	R(13)(%rsi), %r13
	mov	R(14)(%rsi), %r14
	mov	R(15)(%rsi), %r15
	mov	RSI(%rsi), %rsi

	CLEAR_BUFFERS
	vmrun	%rax

	/* RAX is free: the guest's is in the VMCB. */
	pop	%rax
	mov	%rcx, RCX(%rax)
	mov	%rdx, RDX(%rax)
	mov	%rbx, RBX(%rax)
	mov	%rbp, RBP(%rax)
	mov	%rsi, RSI(%rax)
	mov	%rdi, RDI(%rax)
	mov	%r8, R(8)(%rax)
	mov	%r9, R(9)(%rax)
	mov	%r10, R(10)(%rax)
	mov	%r11, R(11)(%rax)
	mov	%r12, R(12)(%rax)
	mov	%r13, R(13)(%rax)
	mov	%r14, R(14)(%rax)
	mov	%r15, R(15)(%rax)

	pop	%rax
	vmsave	%rax
	pop	%rax
	vmload	%rax

	/* Before the first return. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
	UNTRAIN

	/* Leave no guest value for the host to speculate with. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(slat_svm_switch)
