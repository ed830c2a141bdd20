/* SPDX-License-Identifier: GPL-2.0-only */
/* The SVM world switch. */
#include <linux/linkage.h>
#include <asm/asm.h>

#include "switch.h"

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
 * void slat_svm_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa)
 *
 * Into the guest and back.  VMRUN itself switches RAX, RSP, RIP, RFLAGS and the
 * control registers; VMLOAD and VMSAVE the FS, GS, TR and LDTR registers and the
 * syscall MSRs, to and from the VMCB at vmcb_pa for the guest and the page at
 * host_pa, saved by the caller, for the host.
 *
 * GIF is clear.  Per-CPU data is out of reach from the first VMLOAD to the last.
 */
SYM_FUNC_START(slat_svm_switch)
	PUSH_CALLERS

	push	%rdx
	push	%rsi
	push	%rdi

	mov	%rsi, %rax
	vmload	%rax

	LOAD_GUESTS

	CLEAR_BUFFERS
	vmrun	%rax

	/* RAX is free: the guest's is in the VMCB. */
	pop	%rax
	SAVE_GUESTS

	pop	%rax
	vmsave	%rax
	pop	%rax
	vmload	%rax

	/* Before the first return. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
	UNTRAIN

	CLEAR_GUESTS
	xor	%ebx, %ebx

	POP_CALLERS
	RET
SYM_FUNC_END(slat_svm_switch)
