/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests that are hypervisors. L1 is a guest in C (guest_lib.h) that runs another
 * function of this program, L2, by VMRUN: with L1's memory, page tables and
 * descriptor tables, but on a stack of its own.
 *
 * Mostly the tests have L1 do no more than that, in l1_loop(): it tells the host that
 * L2 is prepared and then, each time, how L2 was left. Between two such reports the host
 * reads and writes the VMCB in L1's memory. L2 itself may report, too.
 */
#ifndef SLAT_TEST_NESTED_H
#define SLAT_TEST_NESTED_H

#include "guest.h"

/* --- the VMCB, by the APM's names */

struct vmcb_segment {
	uint16_t selector, attrib;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	uint32_t intercepts[6];		/* bit n: leave L2 for exit code n */
	uint8_t reserved_018[0x28];
	uint64_t iopm_base_pa, msrpm_base_pa, tsc_offset;
	uint32_t guest_asid;
	uint32_t tlb_control;
	uint32_t v_intr;		/* V_* below */
	uint32_t v_intr_vector;
	uint64_t interrupt_shadow;
	uint64_t exitcode, exitinfo1, exitinfo2, exitintinfo;
	uint64_t np_enable;
	uint8_t reserved_098[0x10];
	uint64_t eventinj, n_cr3, lbr_enable, clean, nrip;
	uint8_t reserved_0d0[0x330];

	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x2b];
	uint8_t cpl;
	uint32_t reserved_4cc;
	uint64_t efer;
	uint8_t reserved_4d8[0x70];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved_580[0x58];
	uint64_t rsp;
	uint8_t reserved_5e0[0x18];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t reserved_648[0x20];
	uint64_t g_pat;
	uint8_t reserved_670[0x990];
};

_Static_assert(offsetof(struct vmcb, eventinj) == 0xa8, "");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "");
_Static_assert(sizeof(struct vmcb) == PAGE_SIZE, "");

/* What SGDT and SIDT store. */
struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* Exit codes, which number the intercepts, too. */
#define EXIT_READ_CR(n)		(0x00u + (n))
#define EXIT_WRITE_CR(n)	(0x10u + (n))
#define EXIT_READ_DR(n)		(0x20u + (n))
#define EXIT_WRITE_DR(n)	(0x30u + (n))
#define EXIT_EXCEPTION(vector)	(0x40u + (vector))
#define EXIT_INTR		0x60u
#define EXIT_NMI		0x61u
#define EXIT_VINTR		0x64u
#define EXIT_CR0_SEL_WRITE	0x65u
#define EXIT_IDTR_READ		0x66u
#define EXIT_GDTR_READ		0x67u
#define EXIT_LDTR_READ		0x68u
#define EXIT_TR_READ		0x69u
#define EXIT_IDTR_WRITE		0x6au
#define EXIT_GDTR_WRITE		0x6bu
#define EXIT_LDTR_WRITE		0x6cu
#define EXIT_RDTSC		0x6eu
#define EXIT_RDPMC		0x6fu
#define EXIT_PUSHF		0x70u
#define EXIT_POPF		0x71u
#define EXIT_CPUID		0x72u
#define EXIT_SWINT		0x75u
#define EXIT_INVD		0x76u
#define EXIT_PAUSE		0x77u
#define EXIT_HLT		0x78u
#define EXIT_INVLPG		0x79u
#define EXIT_INVLPGA		0x7au
#define EXIT_IOIO		0x7bu
#define EXIT_MSR		0x7cu
#define EXIT_SHUTDOWN		0x7fu
#define EXIT_VMRUN		0x80u
#define EXIT_VMMCALL		0x81u
#define EXIT_VMLOAD		0x82u
#define EXIT_VMSAVE		0x83u
#define EXIT_STGI		0x84u
#define EXIT_CLGI		0x85u
#define EXIT_SKINIT		0x86u
#define EXIT_WBINVD		0x89u
#define EXIT_INVALID		-1ul

/* v_intr */
#define V_TPR(class)		(class)
#define V_IRQ			(1u << 8)
#define V_INTR_PRIO(class)	((class) << 16)
#define V_IGN_TPR		(1u << 20)
#define V_INTR_MASKING		(1u << 24)

/* eventinj and exitintinfo */
#define EVENT_TYPE		(7u << 8)
#define EVENT_INTR		(0u << 8)
#define EVENT_NMI		(2u << 8)
#define EVENT_EXCEPTION		(3u << 8)
#define EVENT_SOFT		(4u << 8)
#define EVENT_ERROR(code)	(1u << 11 | (uint64_t)(code) << 32)
#define EVENT_VALID		(1u << 31)

#define MSR_VM_CR		0xc0010114u
#define MSR_VM_HSAVE_PA		0xc0010117u
#define VM_CR_SVMDIS		(1ul << 4)

/* --- the guest's side */

/* L2's, and a page for L1's own state beside what VMRUN keeps of it. */
extern struct vmcb l2_vmcb, l1_state;
extern uint8_t l2_msrpm[2 * PAGE_SIZE], l2_iopm[3 * PAGE_SIZE];
extern uint8_t l1_hsave[PAGE_SIZE];

/* L2's general registers, but for RAX and RSP, which are in the VMCB. */
extern struct l2_regs {
	uint64_t rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
} l2_regs;

/* L2 does VMMCALL when it returns. */
typedef void (*l2_function)(uint64_t arg);

/* SVM on, and the VMCB such that L2 is this function. */
void l1_prepare(l2_function l2, uint64_t arg);
/* VMRUN with all that belongs to it, from CLGI to before STGI: the exit code. */
uint64_t l1_run(void);
/* VMRUN alone; RAX as it was afterwards. */
uint64_t l1_vmrun(struct vmcb *vmcb);

#define SVM_INSN(name)							\
static inline void svm_##name(void)					\
{									\
	asm volatile(#name : : : "memory");				\
}

SVM_INSN(clgi)
SVM_INSN(stgi)
SVM_INSN(vmmcall)

static inline void svm_vmload(struct vmcb *from)
{
	asm volatile("vmload %0" : : "a"(from) : "memory");
}

static inline void svm_vmsave(struct vmcb *to)
{
	asm volatile("vmsave %0" : : "a"(to) : "memory");
}

/* Tags of l1_loop()'s reports. */
#define L1_READY	0x11
#define L1_EXIT		0x12

/* --- the host's side */

/* Whether guests may have SVM: what SUPPORTED_CPUID says. */
bool nested_supported(void);
/* A VM_FIXTURE() for tests that want it; they are skipped otherwise. */
#define NESTED_FIXTURE(name) \
	VM_FIXTURE_AFTER(name, if (!nested_supported()) SKIP_SETUP("guests here have no SVM");)

/* L1 in l1_loop() with this L2, up to L1_READY: its VMCB. */
struct vmcb *nested_enter(struct vcpu *vcpu, l2_function l2, uint64_t arg);
/* The same with an L1 of the test's own. */
struct vmcb *nested_enter_l1(struct vcpu *vcpu, void (*l1)(uint64_t), uint64_t arg);
/* Until L1 says how L2 was left: the exit code. */
uint64_t nested_run(struct vcpu *vcpu);

/* Are L1's special registers as they were?  CR2 is shared with L2. */
bool nested_l1_is(struct vcpu *vcpu, const struct kvm_sregs *before);

static inline void vmcb_intercept(struct vmcb *vmcb, unsigned int exit)
{
	vmcb->intercepts[exit / 32] |= 1u << exit % 32;
}

static inline void vmcb_pass(struct vmcb *vmcb, unsigned int exit)
{
	vmcb->intercepts[exit / 32] &= ~(1u << exit % 32);
}

/* L2's reading or writing of this MSR ends in L1, if that intercepts any. */
void nested_intercept_msr(struct vm *vm, uint32_t msr, bool write);

#endif
