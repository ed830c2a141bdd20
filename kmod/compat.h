/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam to the kernel: what differs between kernels, and what they provide for
 * KVM only.  Features are probed, versions are not compared: stable kernels take
 * API changes back.
 */
#ifndef SLAT_COMPAT_H
#define SLAT_COMPAT_H

/* For guest_state_exit_irqoff(), guest_timing_enter_irqoff() and its end. */
#include <linux/kvm_host.h>
#ifdef CONFIG_KVM_XFER_TO_GUEST_WORK
#include <linux/entry-kvm.h>
#endif
#include <linux/eventfd.h>
#include <linux/sched/signal.h>
#include <asm/fpu/api.h>
#include <asm/intel_pt.h>
#include <asm/mce.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

/* Exported, but declared in no public header: the bits of MXCSR that the CPU has. */
extern unsigned int mxcsr_feature_mask;

/* Newer headers warn in the field's name that the VMM may change it at any moment. */
static inline bool slat_immediate_exit(const struct kvm_run *run)
{
#ifdef HINT_UNSAFE_IN_KVM
	return READ_ONCE(run->HINT_UNSAFE_IN_KVM(immediate_exit));
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/* What was a field of its own is a flag now, at the same place. */
static inline void slat_hypercall_set_mode(struct kvm_run *run, bool is_64)
{
#ifdef KVM_EXIT_HYPERCALL_LONG_MODE
	run->hypercall.flags = is_64 ? KVM_EXIT_HYPERCALL_LONG_MODE : 0;
#else
	run->hypercall.longmode = is_64;
#endif
}

/* It lost its count, which was always 1; the types tell which one this is. */
static inline void slat_eventfd_signal(struct eventfd_ctx *ctx)
{
	typedef __u64 counting(struct eventfd_ctx *ctx, __u64 n);
	typedef void plain(struct eventfd_ctx *ctx);
	const bool counts = __builtin_types_compatible_p(typeof(eventfd_signal), counting);
	void *signal = eventfd_signal;

	if (counts)
		((counting *)signal)(ctx, 1);
	else
		((plain *)signal)(ctx);
}

/**
 * slat_guest_enter_irqoff() - guest_state_enter_irqoff() without telling RCU
 *
 * Each time would be more often than RCU looks, see slat_note_quiescent().
 */
static __always_inline void slat_guest_enter_irqoff(void)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

/**
 * slat_note_quiescent() - tell RCU that this CPU reads nothing, once a tick
 * @noted:	when it was told last, in jiffies
 */
static inline void slat_note_quiescent(unsigned long *noted)
{
	if (*noted == jiffies)
		return;
	*noted = jiffies;
	rcu_note_context_switch(false);
}

/**
 * slat_guest_work_pending() - does something have to happen before guest mode?
 *
 * Signals, rescheduling, task work.  Context: interrupts off.
 */
static inline bool slat_guest_work_pending(void)
{
#ifdef CONFIG_KVM_XFER_TO_GUEST_WORK
	return __xfer_to_guest_mode_work_pending();
#else
	return signal_pending(current) || need_resched();
#endif
}

/**
 * slat_guest_work() - do what slat_guest_work_pending() tells of
 *
 * Context: process, may sleep.  Return: 0, or -EINTR for a signal.
 */
int slat_guest_work(void);

/* The guest's machine check was the host's, and is handled as such. */
static inline void slat_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	/* As if user code was interrupted: the kernel itself is in good order. */
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
#endif
}

/* A present page-table entry of the host. */
struct slat_pte {
	u64 pfn;
	bool writable;
	pgprot_t prot;
};

/**
 * slat_pte_read() - look a host address of a VM_PFNMAP or VM_IO area up
 *
 * Context: mmap_lock held.  Return: 0, or an errno: nothing is there.
 */
int slat_pte_read(struct vm_area_struct *vma, unsigned long hva, struct slat_pte *pte);

/* Are the host's events delivered in the way of FRED, without a table of gates? */
static inline bool slat_has_fred(void)
{
#ifdef X86_FEATURE_FRED
	return cpu_feature_enabled(X86_FEATURE_FRED);
#else
	return false;
#endif
}

/*
 * Of CPUs whose buffers are not cleared anyway, some leak from them to whom can reach a
 * device (MMIO stale data).  That is every guest here: its VMM may map one at any time.
 */
static __always_inline void slat_clear_stale_data(void)
{
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
}

/* Some CPUs cannot trace (Intel PT) while VMX is on. */
static inline void slat_trace_pauses(bool on)
{
#ifdef CONFIG_CPU_SUP_INTEL
	intel_pt_handle_vmx(on);
#endif
}

/* What the guest taught the branch predictor must not steer the VMM (VMSCAPE). */
static inline void slat_ibpb_on_return(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

#endif
