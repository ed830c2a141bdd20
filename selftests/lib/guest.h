/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Putting a vCPU into a mode with everything that needs: segments, page
 * tables, descriptor tables in guest memory. The guest's page tables identity
 * map RAM and VM_MMIO_GPA, writable and open to user mode.
 *
 * As with KVM, an I/O or MMIO exit is only finished by the next KVM_RUN, which
 * may overwrite registers: finish it before entering something else.
 */
#ifndef SLAT_TEST_GUEST_H
#define SLAT_TEST_GUEST_H

#include "guest_lib.h"
#include "run.h"
#include "vm.h"

#define CR0_PE		(1ul << 0)
#define CR0_MP		(1ul << 1)
#define CR0_EM		(1ul << 2)
#define CR0_TS		(1ul << 3)
#define CR0_ET		(1ul << 4)
#define CR0_NE		(1ul << 5)
#define CR0_WP		(1ul << 16)
#define CR0_AM		(1ul << 18)
#define CR0_NW		(1ul << 29)
#define CR0_CD		(1ul << 30)
#define CR0_PG		(1ul << 31)

#define CR4_DE		(1ul << 3)
#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR4_PGE		(1ul << 7)
#define CR4_OSFXSR	(1ul << 9)
#define CR4_OSXMMEXCPT	(1ul << 10)
#define CR4_LA57	(1ul << 12)
#define CR4_FSGSBASE	(1ul << 16)
#define CR4_OSXSAVE	(1ul << 18)
#define CR4_SMEP	(1ul << 20)

#define EFER_SCE	(1ul << 0)
#define EFER_LME	(1ul << 8)
#define EFER_LMA	(1ul << 10)
#define EFER_NXE	(1ul << 11)
#define EFER_SVME	(1ul << 12)

#define RFLAGS_FIXED	(1ul << 1)
#define RFLAGS_TF	(1ul << 8)
#define RFLAGS_IF	(1ul << 9)
#define RFLAGS_DF	(1ul << 10)
#define RFLAGS_AC	(1ul << 18)

#define MSR_TSC			0x10u
#define MSR_SYSENTER_CS		0x174u
#define MSR_SYSENTER_ESP	0x175u
#define MSR_SYSENTER_EIP	0x176u
#define MSR_PAT			0x277u
#define MSR_EFER		0xc0000080u
#define MSR_STAR		0xc0000081u
#define MSR_LSTAR		0xc0000082u
#define MSR_CSTAR		0xc0000083u
#define MSR_SFMASK		0xc0000084u
#define MSR_FS_BASE		0xc0000100u
#define MSR_GS_BASE		0xc0000101u
#define MSR_KERNEL_GS_BASE	0xc0000102u
#define MSR_TSC_AUX		0xc0000103u

/* Selectors of the long-mode GDT; made for syscall and sysret. */
#define SEL_CODE	0x08
#define SEL_DATA	0x10
#define SEL_SYSRET	0x18	/* sysret takes +8 for SS, +16 for CS */
#define SEL_USER_DATA	(0x20 | 3)
#define SEL_USER_CODE	(0x28 | 3)
#define SEL_TSS		0x30

/* Bits of a guest's page-table entry. */
#define PT_PRESENT	(1ul << 0)
#define PT_WRITE	(1ul << 1)
#define PT_USER		(1ul << 2)
#define PT_ACCESSED	(1ul << 5)
#define PT_DIRTY	(1ul << 6)
#define PT_LARGE	(1ul << 7)
#define PT_NX		(1ul << 63)
#define PT_ALL		(PT_PRESENT | PT_WRITE | PT_USER)

bool guest_paging_supported(enum guest_paging paging);
/* Make the guest's page tables; guest_enter_*() does it when there are none. */
void vm_make_tables(struct vm *vm, enum guest_paging paging);
/* Map size bytes with the smallest pages. */
void vm_map(struct vm *vm, uint64_t gva, uint64_t gpa, uint64_t size,
	    uint64_t bits);
/* Map one large page (2 MiB; 4 MiB with PAGING_32BIT). */
void vm_map_large(struct vm *vm, uint64_t gva, uint64_t gpa, uint64_t bits);
/* The leaf entry, 4 bytes with PAGING_32BIT; it must be mapped with vm_map(). */
void *vm_pte(struct vm *vm, uint64_t gva);

/* Real mode, all segments at 0, stack below 0x7000, entry at gpa. */
void guest_enter_real(struct vcpu *vcpu, uint64_t gpa);
/* Protected mode, flat 32-bit segments, paging NONE, 32BIT or PAE. */
void guest_enter_prot(struct vcpu *vcpu, uint64_t entry,
		      enum guest_paging paging);
/*
 * 64-bit mode with IDT, TSS and a stack, on the tables that the VM has or on
 * new PAGING_4LEVEL ones. code is a function of this program (see
 * guest_lib.h), or the address of loaded code.
 */
void guest_enter_long(struct vcpu *vcpu, uint64_t entry, uint64_t arg);
#define guest_enter_c(vcpu, function, arg) \
	guest_enter_long(vcpu, (uintptr_t)(function), (uintptr_t)(arg))

/*
 * Whether a guest's XCR0 lasts over exits. QEMU 7.2's emulated CPU does not let
 * a hypervisor intercept XSETBV, so that KVM cannot keep the value.
 */
bool guest_keeps_xcr0(void);

/*
 * This machine's CPU is emulated by QEMU, which crashes when watchpoints are
 * mixed with VMRUN or hit by the push of an exception's frame.
 */
bool cpu_is_qemus(void);

/*
 * This machine's CPU is emulated by Bochs: a guest that it enters with interrupts
 * off is not left for the host's, but stays until it exits by itself or lets
 * interrupts in. So guests here begin with interrupts on.
 */
bool cpu_is_bochs(void);

/*
 * And it is SVM that Bochs emulates. Then VMRUN does not load CR2, a #DB exits before it
 * reaches DR6, a guest that is traced leaves a #DB to the host, which is its end, an
 * INT n that is cut short passes for the event before it, and a guest whose state is
 * refused gets the host's.
 */
bool cpu_is_bochs_svm(void);

/* The guest's copy of a global variable of this program. */
#define guest_var(vm, variable) \
	(*(typeof(variable) *)vm_ptr(vm, (uintptr_t)&(variable)))

#endif
