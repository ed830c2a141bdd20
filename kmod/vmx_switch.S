/* SPDX-License-Identifier: GPL-2.0-only */
/* The VT-x world switch. */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>

#define HOST_RSP	0x6c14	/* VMCS field */

/* Offsets in slat_vcpu.gpr, by register number. */
#define RAX	(0 * 8)
#define RCX	(1 * 8)
#define RDX	(2 * 8)
#define RBX	(3 * 8)
#define RBP	(5 * 8)
#define RSI	(6 * 8)
#define RDI	(7 * 8)
#define R(n)	(n * 8)

/* VERW before guest mode (MDS and its like); the macro's name depends on the kernel. */
.macro CLEAR_BUFFERS
#if defined(VM_CLEAR_CPU_BUFFERS)
	VM_CLEAR_CPU_BUFFERS
#elif defined(CLEAR_CPU_BUFFERS)
	CLEAR_CPU_BUFFERS
#endif
.endm

	.section .noinstr.text, "ax"

/*
 * bool slat_vmx_switch(u64 *gpr, bool launched, u32 spec_ctrl)
 *
 * Into the guest and back; spec_ctrl is the host's.  The VMCS switches RSP, RIP,
 * RFLAGS, segments and what else it has fields for.  Interrupts are off.
 *
 * Returns true if the CPU did not enter, in which case it comes here with the
 * registers as they were, and the flags say so.  After an exit it comes to the same
 * place, and they are clear.
 */
SYM_FUNC_START(slat_vmx_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx

	push	%rdx
	push	%rdi

	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
	/* Into the carry flag, which nothing below touches. */
	bt	$0, %esi

	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R(8)(%rdi), %r8
	mov	R(9)(%rdi), %r9
	mov	R(10)(%rdi), %r10
	mov	R(11)(%rdi), %r11
	mov	R(12)(%rdi), %r12
	mov	R(13)(%rdi), %r13
	mov	R(14)(%rdi), %r14
	mov	R(15)(%rdi), %r15
	mov	RDI(%rdi), %rdi

	CLEAR_BUFFERS
	jnc	.Llaunch
	vmresume
	jmp	slat_vmx_exit
.Llaunch:
	vmlaunch

SYM_INNER_LABEL(slat_vmx_exit, SYM_L_GLOBAL)
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	pop	RAX(%rax)
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
	setbe	%bl
	movzbl	%bl, %ebx

	/* Leave no guest value for the host to speculate with. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	/* Before the first return: predictions that the guest trained. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
	pop	%rax
	pop	%rax
	/* Where the kernel sets IBRS on its entry, an exit from a guest is one, too. */
	ALTERNATIVE "jmp .Lspec_ctrl_done", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	xor	%edx, %edx
	wrmsr
.Lspec_ctrl_done:
#ifdef X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
	CLEAR_BRANCH_HISTORY_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_LOOP)
	CLEAR_BRANCH_HISTORY
#endif

	mov	%ebx, %eax
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(slat_vmx_switch)
