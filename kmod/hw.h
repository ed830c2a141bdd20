/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a CPU vendor's code provides, and the neutral words in which it tells what
 * happened in the guest.
 */
#ifndef SLAT_HW_H
#define SLAT_HW_H

#include <linux/kvm.h>
#include <linux/percpu.h>
#include <linux/types.h>

struct slat_vcpu;

/* Why the guest stopped. */
enum slat_exit_reason {
	SLAT_EXIT_NOTHING,	/* a host event, dealt with: enter again */
	SLAT_EXIT_FAULT,	/* nested page fault */
	SLAT_EXIT_IO,
	SLAT_EXIT_MSR,
	SLAT_EXIT_VIRT,		/* of the instructions by which a guest runs one itself */
	SLAT_EXIT_CPUID,
	SLAT_EXIT_HLT,
	SLAT_EXIT_HYPERCALL,
	SLAT_EXIT_XSETBV,
	SLAT_EXIT_CR0,		/* MOV to CR0 */
	SLAT_EXIT_CR4,		/* MOV to or from CR4 */
	SLAT_EXIT_CR8,		/* MOV to or from CR8 */
	SLAT_EXIT_CACHE,	/* WBINVD or INVD */
	SLAT_EXIT_UD,		/* an instruction that the guest does not have */
	SLAT_EXIT_GP,		/* an instruction that the guest may not use */
	SLAT_EXIT_EXCEPTION,	/* to be delivered to the guest after all */
	SLAT_EXIT_SPLIT_LOCK,	/* the host watches for them, and this is one */
	SLAT_EXIT_DEBUG,	/* for the VMM's debugger */
	SLAT_EXIT_DR,		/* MOV of a debug register, while the VMM debugs */
	SLAT_EXIT_MWAIT,	/* or MONITOR */
	SLAT_EXIT_TASK_SWITCH,	/* by a TSS, which the CPU leaves to software */
	SLAT_EXIT_INNER,	/* of such an inner guest, perhaps for the guest to handle */
	SLAT_EXIT_SHUTDOWN,
	SLAT_EXIT_INVALID,	/* the CPU refused the guest state */
	SLAT_EXIT_AWAY,		/* not entered: another CPU holds the vCPU's state */
	SLAT_EXIT_UNKNOWN,
};

/**
 * struct slat_exit - one exit from guest mode
 * @reason:	what it is
 * @code:	the CPU's own number for it
 * @next_rip:	of the instruction after the one that exited; 0 when unknown
 * @fault:	SLAT_EXIT_FAULT: address, rights that were wanted, and whether it was
 *		a guest page-table walk that wanted them
 * @io:		SLAT_EXIT_IO.  @size and @addrsize in bytes
 * @msr:	SLAT_EXIT_MSR
 * @exception:	SLAT_EXIT_EXCEPTION
 * @debug:	SLAT_EXIT_DEBUG: #DB or #BP, and the debug registers
 */
struct slat_exit {
	enum slat_exit_reason reason;
	u64 code;
	u64 next_rip;
	union {
		struct {
			u64 gpa;
			unsigned int access;
			bool walk;
		} fault;
		struct {
			u16 port;
			u8 size;
			u8 addrsize;
			bool in;
			bool string;
			bool rep;
		} io;
		struct {
			bool write;
		} msr;
		struct {
			u8 vector;
			bool has_error;
			u32 error;
		} exception;
		struct {
			u8 vector;
			u64 dr6;
			u64 dr7;
		} debug;
	};
};

/**
 * struct slat_mode - what decides how the guest's addresses work
 *
 * slat_vcpu.mode is kept current by the vendor's code, after each exit and each change
 * of these registers.
 *
 * @cr0:	control registers ...
 * @cr3:	...
 * @cr4:	...
 * @efer:	as the guest sees it
 * @cpl:	current privilege level
 * @cs_base:	of the code segment
 * @cs_l:	64-bit code
 * @cs_db:	32-bit code, when not @cs_l
 */
struct slat_mode {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u8 cpl;
	u64 cs_base;
	bool cs_l;
	bool cs_db;
};

/* VMCALL and VMMCALL are 0f 01 and one of these. */
#define SLAT_HYPERCALL_VMX	0xc1
#define SLAT_HYPERCALL_SVM	0xd9

/**
 * struct slat_hw - a vendor's operations
 * @name:	for messages
 * @table_ops:	the CPU's table format
 * @hypercall:	the last byte of its hypercall, SLAT_HYPERCALL_*
 * @setup:	Check the CPU and allocate what all CPUs share, at module load; fill
 *		in slat_hw_levels, slat_hw_leaf_levels and slat_hw_types.
 *		Return: 0; -EOPNOTSUPP after saying what is missing; -ENOMEM.
 * @teardown:	the reverse
 * @cpu_enable:	Switch this CPU's virtualization on.  Context: interrupts off, or
 *		pinned to the CPU.  Return: 0; -EBUSY: somebody else has it.
 * @cpu_disable: the reverse; harmless when it is off
 * @vcpu_create: allocate.  Return: 0 or -ENOMEM
 * @vcpu_free:	the reverse
 * @vcpu_reset:	architectural reset state
 * @follow_limits: vcpu->limits has changed
 * @run:	Enter the guest once, after dropping what this CPU holds for the vCPU in
 *		translations of before @gen; fill in vcpu->exit.
 *		Context: interrupts off, CPU enabled.
 * @fetch:	After SLAT_EXIT_AWAY: have that CPU give it up.  Context: process
 * @get_segment: by enum slat_insn_seg of emulate.h
 * @get_sregs:	all but apic_base and interrupt_bitmap
 * @set_sregs:	likewise; already checked
 * @set_cr0:	after SLAT_EXIT_CR0, already checked
 * @set_cr4:	already checked
 * @get_msr:	Return: 0, or -ENOENT for an MSR that is not kept here
 * @set_msr:	checked, but for what differs between vendors.  Return: likewise; -EINVAL
 * @virt:	After SLAT_EXIT_VIRT, by its code: execute the instruction.  This one and the
 *		next two are only called with slat_nested, and NULL where that cannot be.
 *		Context: process.  Return: as slat_exit_handle()
 * @inner_exit:	After SLAT_EXIT_INNER: give it to the guest, or handle it.  Likewise
 * @inner_event: Before an entry, with vcpu->inner: leave the inner guest, if the guest wants
 *		what is to be raised there.  Context: process.  Return: 1, or an errno
 * @single_stepped: an instruction that software completed was traced: raise the #DB
 * @set_cr8:	at most SLAT_CR8_MAX; vcpu->cr8 is the getter
 * @get_debug:	DR6 and DR7
 * @set_debug:	likewise; already checked
 * @set_tsc_offset: of the guest's TSC to the host's
 * @get_tsc_offset: likewise
 */
struct slat_hw {
	const char *name;
	const struct slat_table_ops *table_ops;
	u8 hypercall;

	int (*setup)(void);
	void (*teardown)(void);
	int (*cpu_enable)(void);
	void (*cpu_disable)(void);

	int (*vcpu_create)(struct slat_vcpu *vcpu);
	void (*vcpu_free)(struct slat_vcpu *vcpu);
	void (*vcpu_reset)(struct slat_vcpu *vcpu);

	void (*follow_limits)(struct slat_vcpu *vcpu);
	void (*run)(struct slat_vcpu *vcpu, u64 gen);
	void (*fetch)(struct slat_vcpu *vcpu);

	void (*get_segment)(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr);
	void (*get_sregs)(struct slat_vcpu *vcpu, struct kvm_sregs *sregs);
	void (*set_sregs)(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs);
	void (*set_cr0)(struct slat_vcpu *vcpu, u64 cr0);
	void (*set_cr4)(struct slat_vcpu *vcpu, u64 cr4);
	int (*get_msr)(struct slat_vcpu *vcpu, u32 index, u64 *value);
	int (*set_msr)(struct slat_vcpu *vcpu, u32 index, u64 value);
	int (*virt)(struct slat_vcpu *vcpu, u64 code, u64 next_rip);
	int (*inner_exit)(struct slat_vcpu *vcpu);
	int (*inner_event)(struct slat_vcpu *vcpu);
	void (*single_stepped)(struct slat_vcpu *vcpu);
	void (*set_cr8)(struct slat_vcpu *vcpu, u64 cr8);
	void (*get_debug)(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7);
	void (*set_debug)(struct slat_vcpu *vcpu, u64 dr6, u64 dr7);
	void (*set_tsc_offset)(struct slat_vcpu *vcpu, u64 offset);
	u64 (*get_tsc_offset)(struct slat_vcpu *vcpu);
};

extern const struct slat_hw slat_svm;
extern const struct slat_hw slat_vmx;

/*
 * The one in use, the levels its tables have here, and those of leaves; the memory types
 * of leaves, as BIT(enum slat_memtype).  Set at module load.
 */
extern const struct slat_hw *slat_hw;
extern unsigned int slat_hw_levels;
extern unsigned int slat_hw_leaf_levels;
extern unsigned int slat_hw_types;

/* May guests run guests themselves?  Set at module load. */
extern bool slat_nested;

/**
 * slat_hw_get() - a VM needs the CPUs' virtualization on
 *
 * Return: 0; -EBUSY: somebody else (KVM) has it on some CPU, and nothing was
 * changed.
 */
int slat_hw_get(void);

/** slat_hw_put() - a VM is gone; after the last one it is switched off. */
void slat_hw_put(void);

DECLARE_PER_CPU(bool, slat_hw_on);

/** slat_hw_here() - is it on, on this CPU?  Context: preemption off. */
static inline bool slat_hw_here(void)
{
	return __this_cpu_read(slat_hw_on);
}

#endif
