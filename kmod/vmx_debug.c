// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: debug registers, the guest's own and the VMM's debugger's. */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/traps.h>

#include "vmx.h"

static bool with_vmm_breakpoints(const struct vmx_vcpu *vmx)
{
	return vmx->debug_control & KVM_GUESTDBG_USE_HW_BP;
}

/* All accesses to debug registers exit, until the guest turns out to use them. */
void vmx_set_dr_live(struct vmx_vcpu *vmx, bool live)
{
	vmx->dr_live = live;
	/* What belongs to the VMM's debugger, the guest does not see. */
	if (live && !vmx->debug_control)
		vmx->controls &= ~CPU_BASED_MOV_DR_EXITING;
	else
		vmx->controls |= CPU_BASED_MOV_DR_EXITING;
}

/* The VMM's debugger has other wishes than at the last entry. */
static void update(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	const struct slat_debug *debug = &vcpu->debug;

	vmx->passed_bp = debug->pass_bp;
	vmx->debug_control = debug->control;
	vmx_set_dr_live(vmx, vmx->dr_live);
	vmx->exceptions &= ~BIT(X86_TRAP_BP);
	if ((debug->control & KVM_GUESTDBG_USE_SW_BP) && !debug->pass_bp)
		vmx->exceptions |= BIT(X86_TRAP_BP);
}

void vmx_load_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	slat_debug_load(with_vmm_breakpoints(vmx) ? vcpu->debug.dr : vcpu->dr);
	set_debugreg(vmx->dr6, 6);
}

void vmx_save_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (vmx->dr_live && !vmx->debug_control) {
		slat_debug_read(vcpu->dr);
		get_debugreg(vmx->dr6, 6);
		vmx->dr7 = vmx_read(GUEST_DR7);
		vmx->in_vmcs.dr7 = vmx->dr7;
	}
	set_debugreg(DR6_RESERVED, 6);
	slat_debug_unload();
	/* A guest that is done with its breakpoints no longer pays for them. */
	if (vmx->dr_live && !(vmx->dr7 & SLAT_DR7_ENABLED))
		vmx_set_dr_live(vmx, false);
}

u64 vmx_entry_dr7(const struct slat_vcpu *vcpu, const struct vmx_vcpu *vmx)
{
	return with_vmm_breakpoints(vmx) ? vcpu->debug.dr7 | SLAT_DR7_FIXED : vmx->dr7;
}

u64 vmx_begin_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	vmx->guest_tf = vcpu->rflags & X86_EFLAGS_TF;
	vmx->entry_rip = vcpu->rip;
	if (vmx->debug_control != vcpu->debug.control || vmx->passed_bp != vcpu->debug.pass_bp)
		update(vcpu, vmx);
	return vmx->debug_control & KVM_GUESTDBG_SINGLESTEP ? X86_EFLAGS_TF : 0;
}

bool vmx_end_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, int vector, u64 dr6,
		   struct slat_exit *exit)
{
	/* Unless its delivery was cut short, and the guest executes it again. */
	if (vcpu->rip != vmx->entry_rip)
		vcpu->debug.pass_bp = false;
	if ((vmx->debug_control & KVM_GUESTDBG_SINGLESTEP) && !vmx->guest_tf)
		vcpu->rflags &= ~X86_EFLAGS_TF;
	if (!slat_debug_catch(vmx->debug_control, vector, exit))
		return false;
	exit->debug.dr6 = dr6;
	exit->debug.dr7 = vmx_entry_dr7(vcpu, vmx);
	return true;
}

void vmx_get_debug(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7)
{
	*dr6 = to_vmx(vcpu)->dr6;
	*dr7 = to_vmx(vcpu)->dr7;
}

void vmx_set_debug(struct slat_vcpu *vcpu, u64 dr6, u64 dr7)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->dr6 = dr6;
	vmx->dr7 = dr7;
	/* Breakpoints that are armed want their addresses in the CPU. */
	if (dr7 & SLAT_DR7_ENABLED)
		vmx_set_dr_live(vmx, true);
}
