// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: debug registers, the guest's own and the VMM's debugger's. */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/traps.h>

#include "vmx.h"

#define ENABLED		(DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK)

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
	const u64 *dr = with_vmm_breakpoints(vmx) ? vcpu->debug.dr : vcpu->dr;

	/* The host's breakpoints must not fire before the entry switches DR7. */
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
	set_debugreg(vmx->dr6, 6);
}

void vmx_save_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (vmx->dr_live && !vmx->debug_control) {
		get_debugreg(vcpu->dr[0], 0);
		get_debugreg(vcpu->dr[1], 1);
		get_debugreg(vcpu->dr[2], 2);
		get_debugreg(vcpu->dr[3], 3);
		get_debugreg(vmx->dr6, 6);
		vmx->dr7 = vmx_read(GUEST_DR7);
		vmx->in_vmcs.dr7 = vmx->dr7;
	}
	set_debugreg(DR6_RESERVED, 6);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();	/* an exit clears DR7 */
	else
		hw_breakpoint_disable();	/* nothing of the guest's stays */
	/* A guest that is done with its breakpoints no longer pays for them. */
	if (vmx->dr_live && !(vmx->dr7 & ENABLED))
		vmx_set_dr_live(vmx, false);
}

u64 vmx_entry_dr7(const struct slat_vcpu *vcpu, const struct vmx_vcpu *vmx)
{
	return with_vmm_breakpoints(vmx) ? vcpu->debug.dr7 | DR7_FIXED : vmx->dr7;
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
	const u32 traps = vmx->debug_control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);

	/* Unless its delivery was cut short, and the guest executes it again. */
	if (vcpu->rip != vmx->entry_rip)
		vcpu->debug.pass_bp = false;
	if ((traps & KVM_GUESTDBG_SINGLESTEP) && !vmx->guest_tf)
		vcpu->rflags &= ~X86_EFLAGS_TF;
	if (!(traps && vector == X86_TRAP_DB) && !(vmx->debug_control && vector == X86_TRAP_BP))
		return false;
	exit->reason = SLAT_EXIT_DEBUG;
	exit->debug.vector = vector;
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
	if (dr7 & ENABLED)
		vmx_set_dr_live(vmx, true);
}
