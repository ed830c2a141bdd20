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
 * @uncached:	bits of CR0 that the VMM set and the CPU runs without, see set_cr0()
 * @cr4:	as the guest sees it
 * @tag_cpu:	the CPU on which the ASID in @vmcb is this vCPU's ...
 * @tag_gen:	... while that CPU's tag_gen is this
 * @dr_live:	the guest's DR0 to DR3 are loaded around VMRUN, and it may use them
 *		without exits
 * @debug_control: vcpu->debug.control as the VMCB follows it
 * @passed_bp:	and @pass_bp of it
 * @iret_seen:	the IRET that ends an NMI's handler was let through ...
 * @iret_rip:	... at this rip
 * @windows:	the last entry had exits set up for the sake of events to come
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
	u64 uncached;
	u64 cr4;
	int tag_cpu;
	u64 tag_gen;
	bool dr_live;
	u32 debug_control;
	bool passed_bp;
	bool iret_seen;
	u64 iret_rip;
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

static inline void svm_intercept(struct vmcb *vmcb, unsigned int bit, bool on)
{
	__assign_bit(bit, (unsigned long *)vmcb->control.intercepts, on);
}

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
	mode->efer = save->efer & ~(u64)EFER_SVME;
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
