/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What runs in the guest.
 *
 * A guest reports with `out %al, $PORT_REPORT`, a tag in (e)di and a value in
 * (r)si: the same in every mode. The host waits with vcpu_await().
 *
 * A long-mode guest may be a C function: guest_enter_long() gives it a copy of
 * this whole program at the same addresses, so it may call whatever does not
 * make a system call or use the C library, and use constants and variables.
 * Variables are the guest's own copy, as they were when the guest was made;
 * the host reaches them with guest_var().
 */
#ifndef SLAT_TEST_GUEST_LIB_H
#define SLAT_TEST_GUEST_LIB_H

#include <stdint.h>

#define PORT_REPORT	0xe8
#define PORT_EXCEPTION	0xec

/* Tags from here on are the library's. */
#define REPORT_DONE	0xd0e0d0e0

#define GUEST_STR_(x)	#x
#define GUEST_STR(x)	GUEST_STR_(x)

/*
 * GUEST_CODE(name, bits, text): code that vm_load() copies from name to
 * name_end. It must run wherever it is put.
 */
#define GUEST_CODE(name, bits, text)					\
	extern const char name[], name##_end[];				\
	asm(".pushsection .rodata." #name ",\"a\"\n"			\
	    ".code" #bits "\n"						\
	    ".globl " #name ", " #name "_end\n"				\
	    #name ":\n" text "\n" #name "_end:\n"			\
	    ".code64\n"							\
	    ".popsection\n")

/* In GUEST_CODE of any width: report eax; changes edi and esi. */
#define ASM_REPORT_EAX(tag)						\
	"mov $" GUEST_STR(tag) ", %edi\n"				\
	"mov %eax, %esi\n"						\
	"out %al, $" GUEST_STR(PORT_REPORT) "\n"

#define PORT_ASM(insn_suffix, type)					\
static inline void out##insn_suffix(uint16_t port, type value)		\
{									\
	asm volatile("out" #insn_suffix " %0, %1"			\
		     : : "a"(value), "Nd"(port) : "memory");		\
}									\
static inline type in##insn_suffix(uint16_t port)			\
{									\
	type value;							\
									\
	asm volatile("in" #insn_suffix " %1, %0"			\
		     : "=a"(value) : "Nd"(port) : "memory");		\
	return value;							\
}

PORT_ASM(b, uint8_t)
PORT_ASM(w, uint16_t)
PORT_ASM(l, uint32_t)

static inline void guest_report(uint32_t tag, uint64_t value)
{
	asm volatile("outb %%al, %0"
		     : : "N"(PORT_REPORT), "D"((uint64_t)tag), "S"(value)
		     : "memory");
}

static inline void guest_halt(void)
{
	asm volatile("hlt" : : : "memory");
}

/* --- exceptions */

struct guest_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void (*guest_handler)(struct guest_frame *frame);

/*
 * Called with the frame, which it may change; may use general registers only
 * (GUEST_HANDLER). Without one, an exception that guest_try() does not catch
 * is reported to the host and ends the test.
 */
#define GUEST_HANDLER __attribute__((target("general-regs-only")))
extern guest_handler guest_handlers[256];

#define NO_FAULT	0xffffffffu
#define GUEST_TRY_MAGIC	0x7472795f67756573ull

struct guest_fault {
	uint64_t vector;	/* NO_FAULT: none */
	uint64_t error;
};

/*
 * guest_try(insns, inputs...): run them, catch an exception. Inputs are asm
 * operands numbered from %2; rax, rcx, rdx and flags may change, r12 to r15
 * are taken.
 */
#define guest_try(insns, ...)						\
({									\
	register uint64_t try_vector asm("r13") = NO_FAULT;		\
	register uint64_t try_error asm("r12") = 0;			\
									\
	asm volatile("movabs %[try_magic], %%r15\n\t"			\
		     "lea 777f(%%rip), %%r14\n\t"			\
		     insns "\n"						\
		     "777:\txor %%r15d, %%r15d"				\
		     : "+r"(try_vector), "+r"(try_error)		\
		     : __VA_ARGS__ __VA_OPT__(,)			\
		       [try_magic] "i"(GUEST_TRY_MAGIC)			\
		     : "rax", "rcx", "rdx", "r14", "r15", "memory", "cc"); \
	(struct guest_fault){ try_vector, try_error };			\
})

/*
 * Go on in user mode with this function, which must not return. It reports by
 * user_report(), a system call.
 */
void guest_enter_user(void (*function)(uint64_t), uint64_t arg);

static inline void user_report(uint32_t tag, uint64_t value)
{
	asm volatile("syscall"
		     : : "D"((uint64_t)tag), "S"(value)
		     : "rcx", "r11", "memory");
}

/* Entry points that the host needs to know. */
extern const char guest_vectors[];	/* 256 of them, 16 bytes apart */
extern const char guest_returned[];	/* return address of a C guest */

#define DE_VECTOR	0
#define DB_VECTOR	1
#define BP_VECTOR	3
#define UD_VECTOR	6
#define NM_VECTOR	7
#define DF_VECTOR	8
#define GP_VECTOR	13
#define PF_VECTOR	14
#define AC_VECTOR	17

#define PF_PRESENT	1
#define PF_WRITE	2
#define PF_USER		4
#define PF_RSVD		8
#define PF_FETCH	16

/* Host: print a frame as TAP comments. */
void guest_frame_print(const struct guest_frame *frame);

/* --- privileged registers */

#define GUEST_REG(name)							\
static inline uint64_t read_##name(void)				\
{									\
	uint64_t value;							\
									\
	asm volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");	\
	return value;							\
}									\
static inline void write_##name(uint64_t value)				\
{									\
	asm volatile("mov %0, %%" #name : : "r"(value) : "memory");	\
}

GUEST_REG(cr0)
GUEST_REG(cr2)
GUEST_REG(cr3)
GUEST_REG(cr4)
GUEST_REG(dr0)
GUEST_REG(dr1)
GUEST_REG(dr2)
GUEST_REG(dr3)
GUEST_REG(dr6)
GUEST_REG(dr7)

static inline uint64_t guest_rdmsr(uint32_t index)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
	return low | (uint64_t)high << 32;
}

static inline void guest_wrmsr(uint32_t index, uint64_t value)
{
	asm volatile("wrmsr"
		     : : "c"(index), "a"((uint32_t)value),
			 "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t read_xcr0(void)
{
	uint32_t low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0) : "memory");
	return low | (uint64_t)high << 32;
}

static inline void write_xcr0(uint64_t value)
{
	asm volatile("xsetbv"
		     : : "c"(0), "a"((uint32_t)value),
			 "d"((uint32_t)(value >> 32)) : "memory");
}

static inline void guest_invlpg(const void *address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

#define READ_ONCE(x)	(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, val)	(*(volatile typeof(x) *)&(x) = (val))

/* The CPU is not AMD's; set before main(), so that each guest has it. */
extern int guest_has_vmcall;

/* The hypercall with KVM's conventions, by the instruction that the CPU has. */
static inline uint64_t guest_hypercall(uint64_t nr, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t result;

	if (guest_has_vmcall)
		asm volatile("vmcall" : "=a"(result) : "a"(nr), "b"(b), "c"(c), "d"(d), "S"(0ul)
			     : "memory");
	else
		asm volatile("vmmcall" : "=a"(result) : "a"(nr), "b"(b), "c"(c), "d"(d), "S"(0ul)
			     : "memory");
	return result;
}

#endif
