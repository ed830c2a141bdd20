/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the SVM backend share; hw_svm.c is the way in. */
#ifndef SLAT_SVM_H
#define SLAT_SVM_H

#include <linux/bitops.h>
#include <linux/kvm.h>
#include <asm/svm.h>

#include "hw.h"
#include "vcpu.h"

/**
 * struct svm_vcpu - SVM's part of a vCPU
 * @vmcb:	the control block
 * @vmcb_pa:	its physical address
 * @intercepts:	what slat itself wants to exit, as in the VMCB
 * @inner_intercepts: what the guest wants to of its inner guest; 0 outside of one
 * @msrpm_pa:	physical address of the MSR bitmap, while the VMM filters none
 * @nested:	for a guest that is a hypervisor itself; NULL where none may be
 * @efer_seen:	the bits of EFER that the guest sees: all, but for an SVME that only the
 *		CPU wants
 * @uncached:	bits of CR0 that the VMM set and the CPU runs without, see set_cr0()
 * @cr4:	as the guest sees it
 * @own_tpr:	the VMCB's task priority is vcpu->cr8, and not just an inner guest's
 * @tag_cpu:	the CPU on which the ASID in @vmcb is this vCPU's ...
 * @tag_gen:	... while that CPU's tag_gen is this
 * @dr_live:	the guest's DR0 to DR3 are loaded around VMRUN, and it may use them
 *		without exits
 * @debug_control: vcpu->debug.control as the VMCB follows it
 * @passed_bp:	and @pass_bp of it
 * @iret_seen:	the IRET that ends an NMI's handler was let through ...
 * @iret_rip:	... at this rip
 * @inner_event: what the guest's VMRUN wants raised in the inner guest, as EVENTINJ; 0:
 *		nothing any more
 * @inner_error: error code of it
 * @inner_raised: as @inner_event, raised by the last entry
 * @outer_raised: likewise, but by slat, in an inner guest
 * @inner_irq:	virtual interrupt of an inner guest, set aside while slat's own takes its
 *		place in the VMCB
 * @inner_irq_vector: its vector
 * @windows:	the last entry had exits set up for the sake of events to come, or has to do
 *		with @inner_event, @inner_raised or @outer_raised
 * @stepping:	the guest is traced over one instruction, to find out when it can take
 *		an NMI
 * @guest_tf:	it was traced anyway, by itself
 * @entry_rip:	where the guest was last entered, while there is a debugger
 * @guest_dr6:	what the guest keeps while the VMM's debugger uses the registers
 * @guest_dr7:	likewise
 */
struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u32 intercepts[MAX_INTERCEPT];
	u32 inner_intercepts[MAX_INTERCEPT];
	u64 msrpm_pa;
	struct svm_nested *nested;
	u64 efer_seen;
	u64 uncached;
	u64 cr4;
	bool own_tpr;
	int tag_cpu;
	u64 tag_gen;
	bool dr_live;
	u32 debug_control;
	bool passed_bp;
	bool iret_seen;
	u64 iret_rip;
	u32 inner_event;
	u32 inner_error;
	u32 inner_raised;
	u32 outer_raised;
	u32 inner_irq;
	u32 inner_irq_vector;
	bool windows;
	bool stepping;
	bool guest_tf;
	u64 entry_rip;
	u64 guest_dr6;
	u64 guest_dr7;
};

static inline struct svm_vcpu *to_svm(struct slat_vcpu *vcpu)
{
	return vcpu->hw;
}

/** svm_intercept_word() - which of 32 exits slat wants, by the word of INTERCEPT_* / 32 */
static inline void svm_intercept_word(struct svm_vcpu *svm, unsigned int word, u32 value)
{
	svm->intercepts[word] = value;
	svm->vmcb->control.intercepts[word] = value | svm->inner_intercepts[word];
}

/** svm_intercept() - does slat want this exit? */
static inline void svm_intercept(struct svm_vcpu *svm, unsigned int bit, bool on)
{
	const u32 old = svm->intercepts[bit / 32], mask = 1U << bit % 32;

	svm_intercept_word(svm, bit / 32, on ? old | mask : old & ~mask);
}

/** svm_intercepts() - did it? */
static inline bool svm_intercepts(const struct svm_vcpu *svm, unsigned int bit)
{
	return svm->intercepts[bit / 32] & 1U << bit % 32;
}

/* Exits (hw_svm.c) */

/** svm_exit_code() - 64 bits wide in the VMCB, of which an invalid state sets all */
static inline u64 svm_exit_code(const struct vmcb_control_area *control)
{
	return (s64)(s32)control->exit_code;
}

/** svm_explain() - fill in vcpu->exit, in the neutral words of hw.h */
void svm_explain(struct slat_vcpu *vcpu);

/** svm_pass_msrs() - may the guest use those that VMLOAD and VMSAVE switch without exits? */
void svm_pass_msrs(struct svm_vcpu *svm, bool pass);

/** svm_msr_bit() - of its two bits in a permission bitmap, the one for reads; -1: none */
int svm_msr_bit(u32 msr);

/* Registers (svm_state.c).  What hw.h names is documented there. */

/** svm_update_mode() - bring vcpu->mode up to date with the VMCB */
static inline void svm_update_mode(struct slat_vcpu *vcpu)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_save_area *save = &svm->vmcb->save;
	struct slat_mode *mode = &vcpu->mode;

	mode->cr0 = save->cr0 | svm->uncached;
	mode->cr3 = save->cr3;
	mode->cr4 = svm->cr4;
	mode->efer = save->efer & svm->efer_seen;
	mode->cpl = save->cpl;
	mode->cs_base = save->cs.base;
	mode->cs_l = (save->efer & EFER_LMA) && (save->cs.attrib & SVM_SELECTOR_L_MASK);
	mode->cs_db = save->cs.attrib & SVM_SELECTOR_DB_MASK;
}

/** svm_reset_state() - registers as after RESET; the VMCB is all zero before */
void svm_reset_state(struct slat_vcpu *vcpu);

void svm_get_segment(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr);
void svm_get_sregs(struct slat_vcpu *vcpu, struct kvm_sregs *sregs);
void svm_set_sregs(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs);
/** svm_show_cr0() - the guest is about to write CR0: from here on, it sees what there is */
void svm_show_cr0(struct svm_vcpu *svm);

/**
 * svm_set_control() - CR0, CR4 and EFER, already checked
 * @uncached:	bits of @cr0 to run without, as in struct svm_vcpu
 */
void svm_set_control(struct slat_vcpu *vcpu, u64 cr0, u64 uncached, u64 cr4, u64 efer);

/** svm_uncached() - the bits that a VMM may set in CR0 and the CPU runs without */
static inline u64 svm_uncached(u64 cr0)
{
	return cr0 & (X86_CR0_CD | X86_CR0_NW);
}

/** svm_set_efer() - EFER as the guest sees it; the CPU wants SVME always */
static inline void svm_set_efer(struct svm_vcpu *svm, u64 efer)
{
	svm->efer_seen = ~(u64)EFER_SVME | efer;
	svm->vmcb->save.efer = efer | EFER_SVME;
}

/** svm_set_own_tpr() - is the VMCB's task priority vcpu->cr8? */
static inline void svm_set_own_tpr(struct svm_vcpu *svm, bool own)
{
	svm->own_tpr = own;
	svm_intercept(svm, INTERCEPT_CR8_WRITE, own);
}

void svm_set_cr4(struct slat_vcpu *vcpu, u64 cr4);
void svm_set_cr8(struct slat_vcpu *vcpu, u64 cr8);
int svm_get_msr(struct slat_vcpu *vcpu, u32 index, u64 *value);
int svm_set_msr(struct slat_vcpu *vcpu, u32 index, u64 value);

/* Events (svm_event.c) */

/** svm_has_events() - is there anything to raise, or to wait for, now or last time? */
static inline bool svm_has_events(const struct slat_vcpu *vcpu, const struct svm_vcpu *svm)
{
	return slat_inject_is_pending(&vcpu->events) | vcpu->events.nmi.masked | svm->windows |
	       READ_ONCE(vcpu->run->request_interrupt_window);
}

/** svm_inject() - before an entry, if svm_has_events(): the next, and exits for the others */
void svm_inject(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_set_irq_window() - have the guest exit when it can take an interrupt, or not */
void svm_set_irq_window(struct svm_vcpu *svm, bool on);

/** svm_encode_event() - an event as the CPU's EVENTINJ and EXITINTINFO have it */
u32 svm_encode_event(const struct slat_event *event);

/** svm_redeliver() - after an exit that interrupted the delivery of an event: keep it */
void svm_redeliver(struct slat_vcpu *vcpu, const struct vmcb_control_area *control);

/** svm_exit_iret() - the IRET that ends an NMI's handler comes next */
void svm_exit_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_check_iret() - after an exit, with iret_seen: has the IRET been executed by now? */
void svm_check_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/**
 * svm_end_stepping() - after an exit, with stepping: undo the tracing for an NMI's window
 *
 * Return: true for a #DB that comes from this tracing only.
 */
bool svm_end_stepping(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/* Virtualization for the guest (svm_nested.c) */

/** svm_nested_create() - let the vCPU's guest be a hypervisor.  Return: 0 or -ENOMEM. */
int svm_nested_create(struct svm_vcpu *svm);

/**
 * svm_nested_end() - the guest itself goes on, if its inner guest ran, and is not told
 *
 * For what takes SVM away from it.  Interrupts are no longer held off.
 */
void svm_nested_end(struct slat_vcpu *vcpu);

/** svm_inner_wants() - an exit from the inner guest: may it be one for the guest? */
bool svm_inner_wants(const struct svm_vcpu *svm, u64 code);

/* As hw.h has them. */
int svm_virt(struct slat_vcpu *vcpu, u64 code, u64 next_rip);
int svm_inner_exit(struct slat_vcpu *vcpu);
int svm_inner_event(struct slat_vcpu *vcpu);

/* Debug registers (svm_debug.c) */

/** svm_set_dr_live() - may the guest use its debug registers without exits? */
void svm_set_dr_live(struct svm_vcpu *svm, bool live);

/**
 * svm_uses_dr() - does the guest run with DR0 to DR3 that are not the host's?
 */
static inline bool svm_uses_dr(const struct svm_vcpu *svm)
{
	return svm->dr_live || (svm->debug_control & KVM_GUESTDBG_USE_HW_BP);
}

/**
 * svm_load_debug() - DR0 to DR3 for a guest that svm_uses_dr()
 *
 * Context: GIF clear, as svm_save_debug().
 */
void svm_load_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_save_debug() - afterwards, or if the host has breakpoints: give it its own again */
void svm_save_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_is_debugged() - does the VMM's debugger want something, or did it last time? */
static inline bool svm_is_debugged(const struct slat_vcpu *vcpu, const struct svm_vcpu *svm)
{
	return vcpu->debug.control | svm->debug_control;
}

/** svm_begin_debug() - before an entry, if svm_is_debugged() */
void svm_begin_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/**
 * svm_end_debug() - after an exit, while there is a debugger
 *
 * Return: true when it is for the debugger: @exit.
 */
bool svm_end_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm, struct slat_exit *exit);

void svm_get_debug(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7);
void svm_set_debug(struct slat_vcpu *vcpu, u64 dr6, u64 dr7);

#endif
