/* SPDX-License-Identifier: GPL-2.0-only */
/* The VT-x world switch. */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/msr-index.h>

#include "switch.h"

#define HOST_RSP	0x6c14	/* VMCS field */

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
	PUSH_CALLERS

	push	%rdx
	push	%rdi

	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
	/* Into the carry flag, which nothing below touches. */
	bt	$0, %esi

	mov	RAX(%rdi), %rax
	LOAD_GUESTS

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
	SAVE_GUESTS
	setbe	%bl
	movzbl	%bl, %ebx

	CLEAR_GUESTS

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
	POP_CALLERS
	RET
SYM_FUNC_END(slat_vmx_switch)
