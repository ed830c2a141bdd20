// SPDX-License-Identifier: GPL-2.0-only
/* The part of the library that runs in long-mode guests. */
#include "guest.h"

#include <stdio.h>

guest_handler guest_handlers[256];

/* Vectors at which the CPU pushes an error code: 8, 10-14, 17, 21, 29, 30. */
asm(".pushsection .text\n"
    ".globl guest_vectors, guest_returned\n"
    ".balign 16\n"
    "guest_vectors:\n"
    ".set vector, 0\n"
    ".rept 256\n"
    "	.balign 16\n"
    "	.if vector >= 32 || !((0x60227d00 >> (vector & 31)) & 1)\n"
    "		push $0\n"
    "	.endif\n"
    "	push $vector\n"
    "	jmp guest_vector_common\n"
    "	.set vector, vector + 1\n"
    ".endr\n"
    "guest_vector_common:\n"
    "	push %rax\n push %rbx\n push %rcx\n push %rdx\n"
    "	push %rsi\n push %rdi\n push %rbp\n push %r8\n"
    "	push %r9\n push %r10\n push %r11\n push %r12\n"
    "	push %r13\n push %r14\n push %r15\n"
    "	cld\n"
    "	mov %rsp, %rdi\n"
    "	mov %rsp, %rbx\n"
    "	and $-16, %rsp\n"
    "	call guest_exception\n"
    "	mov %rbx, %rsp\n"
    "	pop %r15\n pop %r14\n pop %r13\n pop %r12\n"
    "	pop %r11\n pop %r10\n pop %r9\n pop %r8\n"
    "	pop %rbp\n pop %rdi\n pop %rsi\n pop %rdx\n"
    "	pop %rcx\n pop %rbx\n pop %rax\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    "guest_returned:\n"
    "	mov $" GUEST_STR(REPORT_DONE) ", %edi\n"
    "	xor %esi, %esi\n"
    "1:	out %al, $" GUEST_STR(PORT_REPORT) "\n"
    "	hlt\n"
    "	jmp 1b\n"
    ".popsection\n");

GUEST_HANDLER __attribute__((used))
static void guest_exception(struct guest_frame *frame)
{
	guest_handler handler = guest_handlers[frame->vector & 0xff];

	if (frame->r15 == GUEST_TRY_MAGIC) {
		frame->r13 = frame->vector;
		frame->r12 = frame->error;
		frame->rip = frame->r14;
		return;
	}
	if (handler) {
		handler(frame);
		return;
	}
	for (;;)
		asm volatile("outb %%al, %0\n\thlt"
			     : : "N"(PORT_EXCEPTION), "D"(frame) : "memory");
}

/* --- user mode */

extern const char guest_syscall[];
asm(".pushsection .text\n"
    "guest_syscall:\n"
    "	out %al, $" GUEST_STR(PORT_REPORT) "\n"
    "	sysretq\n"
    ".popsection\n");

/* Of one vCPU at a time. */
static uint8_t user_stack[8192] __attribute__((aligned(16)));

void guest_enter_user(void (*function)(uint64_t), uint64_t arg)
{
	guest_wrmsr(MSR_STAR, (uint64_t)SEL_SYSRET << 48 |
			      (uint64_t)SEL_CODE << 32);
	guest_wrmsr(MSR_LSTAR, (uintptr_t)guest_syscall);
	guest_wrmsr(MSR_SFMASK, RFLAGS_IF);
	asm volatile("push %0\n\t"
		     "push %1\n\t"
		     "push %2\n\t"
		     "push %3\n\t"
		     "push %4\n\t"
		     "iretq"
		     : : "i"(SEL_USER_DATA),
			 "r"(user_stack + sizeof(user_stack) - 8),
			 "i"(RFLAGS_FIXED | RFLAGS_IF), "i"(SEL_USER_CODE),
			 "r"(function), "D"(arg) : "memory");
}

void guest_frame_print(const struct guest_frame *frame)
{
	fprintf(stderr, "# guest exception %lu, error %#lx, rip %#lx, rsp %#lx, rflags %#lx\n",
		frame->vector, frame->error, frame->rip, frame->rsp,
		frame->rflags);
}
