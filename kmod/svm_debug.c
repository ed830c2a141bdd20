// SPDX-License-Identifier: GPL-2.0-only
/* SVM: debug registers, the guest's own and the VMM's debugger's. */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/debugreg.h>
#include <asm/traps.h>

#include "svm.h"

static bool with_vmm_breakpoints(const struct svm_vcpu *svm)
{
	return svm->debug_control & KVM_GUESTDBG_USE_HW_BP;
}

/* All accesses to debug registers exit, until the guest turns out to use them. */
void svm_set_dr_live(struct svm_vcpu *svm, bool live)
{
	svm->dr_live = live;
	/* What belongs to the VMM's debugger, the guest does not see. */
	svm_intercept_word(svm, INTERCEPT_DR, live && !svm->debug_control ? 0 : ~0U);
}

/* The VMM's debugger has other wishes than at the last entry. */
static void update(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	const struct slat_debug *debug = &vcpu->debug;

	svm->passed_bp = debug->pass_bp;
	svm->debug_control = debug->control;
	svm_set_dr_live(svm, svm->dr_live);
	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP,
		      (debug->control & KVM_GUESTDBG_USE_SW_BP) && !debug->pass_bp);
}

void svm_load_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	slat_debug_load(with_vmm_breakpoints(svm) ? vcpu->debug.dr : vcpu->dr);
}

void svm_save_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	if (svm->dr_live && !with_vmm_breakpoints(svm))
		slat_debug_read(vcpu->dr);
	slat_debug_unload();
	/* A guest that is done with its breakpoints no longer pays for them. */
	if (svm->dr_live && !(svm->vmcb->save.dr7 & SLAT_DR7_ENABLED))
		svm_set_dr_live(svm, false);
}

void svm_begin_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	svm->guest_dr6 = save->dr6;
	svm->guest_dr7 = save->dr7;
	svm->guest_tf = vcpu->rflags & X86_EFLAGS_TF;
	svm->entry_rip = vcpu->rip;
	if (svm->debug_control != vcpu->debug.control || svm->passed_bp != vcpu->debug.pass_bp)
		update(vcpu, svm);
	if (!(svm->debug_control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)))
		return;
	save->dr6 = DR6_RESERVED;
	if (with_vmm_breakpoints(svm))
		save->dr7 = vcpu->debug.dr7 | SLAT_DR7_FIXED;
	if (svm->debug_control & KVM_GUESTDBG_SINGLESTEP)
		save->rflags |= X86_EFLAGS_TF;
}

bool svm_end_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm, struct slat_exit *exit)
{
	const u32 traps = svm->debug_control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);
	const u32 vector = svm->vmcb->control.exit_code - SVM_EXIT_EXCP_BASE;
	struct vmcb_save_area *save = &svm->vmcb->save;
	const u64 dr6 = save->dr6, dr7 = save->dr7;

	/* Unless its delivery was cut short, and the guest executes it again. */
	if (vcpu->rip != svm->entry_rip)
		vcpu->debug.pass_bp = false;
	if (traps) {
		save->dr6 = svm->guest_dr6;
		save->dr7 = svm->guest_dr7;
	}
	if ((traps & KVM_GUESTDBG_SINGLESTEP) && !svm->guest_tf)
		vcpu->rflags &= ~X86_EFLAGS_TF;
	if (!slat_debug_catch(svm->debug_control, vector, exit))
		return false;
	exit->debug.dr6 = dr6;
	exit->debug.dr7 = dr7;
	return true;
}

void svm_get_debug(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	*dr6 = save->dr6;
	*dr7 = save->dr7;
}

void svm_set_debug(struct slat_vcpu *vcpu, u64 dr6, u64 dr7)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->save.dr6 = dr6;
	svm->vmcb->save.dr7 = dr7;
	/* Breakpoints that are armed want their addresses in the CPU. */
	if (dr7 & SLAT_DR7_ENABLED)
		svm_set_dr_live(svm, true);
}
