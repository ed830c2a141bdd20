/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the SVM backend share; hw_svm.c is the way in. */
#ifndef SLAT_SVM_H
#define SLAT_SVM_H

#include <linux/bitops.h>
#include <linux/kvm.h>
#include <asm/svm.h>

#include "hw.h"
#include "vcpu.h"

#define DR7_FIXED	0x400

/**
 * struct svm_vcpu - SVM's part of a vCPU
 * @vmcb:	the control block
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
 * @guest_tf:	it was traced anyway
 */
struct svm_vcpu {
	struct vmcb *vmcb;
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
void svm_update_mode(struct slat_vcpu *vcpu);

/** svm_reset_state() - registers as after RESET; the VMCB is all zero before */
void svm_reset_state(struct slat_vcpu *vcpu);

void svm_get_segment(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr);
void svm_get_sregs(struct slat_vcpu *vcpu, struct kvm_sregs *sregs);
void svm_set_sregs(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs);
void svm_set_cr4(struct slat_vcpu *vcpu, u64 cr4);
u64 svm_get_cr8(struct slat_vcpu *vcpu);
void svm_set_cr8(struct slat_vcpu *vcpu, u64 cr8);
int svm_get_msr(struct slat_vcpu *vcpu, u32 index, u64 *value);
int svm_set_msr(struct slat_vcpu *vcpu, u32 index, u64 value);

/* Events (svm_event.c) */

/** svm_inject() - before an entry: the next event, and exits for those that wait */
void svm_inject(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_redeliver() - after an exit: keep the event whose delivery it interrupted */
void svm_redeliver(struct slat_vcpu *vcpu, const struct vmcb_control_area *control);

/** svm_exit_iret() - the IRET that ends an NMI's handler comes next */
void svm_exit_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_check_iret() - after an exit: has that IRET been executed by now? */
void svm_check_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/**
 * svm_end_stepping() - after an exit: undo the tracing for an NMI's window
 *
 * Return: true for a #DB that comes from this tracing only.
 */
bool svm_end_stepping(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

bool svm_get_shadow(struct slat_vcpu *vcpu);
void svm_set_shadow(struct slat_vcpu *vcpu, bool shadow);

/* Debug registers (svm_debug.c) */

/**
 * struct svm_debugged - what the guest keeps while the VMM's debugger uses it
 * @dr6:	the guest's
 * @dr7:	likewise
 * @tf:		its trace flag
 */
struct svm_debugged {
	u64 dr6;
	u64 dr7;
	bool tf;
};

/** svm_set_dr_live() - may the guest use its debug registers without exits? */
void svm_set_dr_live(struct svm_vcpu *svm, bool live);

/** svm_put_debug() - a guest that is done with its breakpoints no longer pays for them */
void svm_put_debug(struct svm_vcpu *svm);

/**
 * svm_load_debug() - DR0 to DR3 for the guest
 *
 * Context: GIF clear, as svm_save_debug(), which gives the host its own again.
 */
void svm_load_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm);
void svm_save_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm);

/** svm_begin_debug() - before an entry: what the VMM's debugger wants */
void svm_begin_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm, struct svm_debugged *guest);

/** svm_end_debug() - after an exit.  Return: true when it is for the debugger: @exit */
bool svm_end_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm, const struct svm_debugged *guest,
		   struct slat_exit *exit);

void svm_get_debug(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7);
void svm_set_debug(struct slat_vcpu *vcpu, u64 dr6, u64 dr7);

#endif
