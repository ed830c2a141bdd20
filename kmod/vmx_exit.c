// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: what an exit means. */
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>

#include "compat.h"
#include "entry.h"
#include "vmx.h"

/* Instructions that exit, but not in any guest that may use them. */
#define EXIT_REASON_GETSEC	11
#define EXIT_REASON_RSM		17
#define EXIT_REASON_SEAMCALL	76
#define EXIT_REASON_TDCALL	77

static void exit_fault(struct slat_exit *exit)
{
	const u64 info = vmx_read(EXIT_QUALIFICATION);

	exit->reason = SLAT_EXIT_FAULT;
	exit->fault.gpa = vmx_read(GUEST_PHYSICAL_ADDRESS);
	exit->fault.walk = (info & EPT_VIOLATION_GVA_IS_VALID) &&
			   !(info & EPT_VIOLATION_GVA_TRANSLATED);
	exit->fault.access = info & EPT_VIOLATION_ACC_WRITE ? SLAT_W :
			     info & EPT_VIOLATION_ACC_INSTR ? SLAT_X : SLAT_R;
}

static void exit_io(struct slat_exit *exit)
{
	const u64 info = vmx_read(EXIT_QUALIFICATION);

	exit->reason = SLAT_EXIT_IO;
	exit->io.port = info >> 16;
	exit->io.size = (info & 7) + 1;
	exit->io.in = info & BIT(3);
	exit->io.string = info & BIT(4);
	exit->io.rep = info & BIT(5);
	if (exit->io.string)
		exit->io.addrsize = 2 << (vmx_read(VMX_INSTRUCTION_INFO) >> 7 & 7);
}

static void exit_cr(struct slat_exit *exit)
{
	switch (vmx_read(EXIT_QUALIFICATION) & 0xf) {
	case 0:
		exit->reason = SLAT_EXIT_CR0;
		break;
	case 4:
		exit->reason = SLAT_EXIT_CR4;
		break;
	default:
		exit->reason = SLAT_EXIT_CR8;
	}
}

/* An #AC that the guest asked for, not the host, which wants to know of split locks. */
static bool checks_alignment(const struct slat_vcpu *vcpu)
{
	return vcpu->mode.cpl == 3 && (vcpu->mode.cr0 & X86_CR0_AM) &&
	       (vcpu->rflags & X86_EFLAGS_AC);
}

static void exit_exception(struct slat_vcpu *vcpu, struct slat_exit *exit, u32 info)
{
	const u8 vector = info & INTR_INFO_VECTOR_MASK;

	exit->reason = SLAT_EXIT_NOTHING;
	if (vmx_is_nmi(info))
		return;
	if (vector == X86_TRAP_MC) {
		slat_machine_check();
		return;
	}
	if (vector == X86_TRAP_AC && boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) &&
	    !checks_alignment(vcpu)) {
		exit->reason = SLAT_EXIT_SPLIT_LOCK;
		return;
	}
	if (vector == X86_TRAP_DB)
		slat_debug_payload(vcpu, vmx_read(EXIT_QUALIFICATION));
	exit->reason = SLAT_EXIT_EXCEPTION;
	exit->exception.vector = vector;
	exit->exception.has_error = info & INTR_INFO_DELIVER_CODE_MASK;
	exit->exception.error = exit->exception.has_error ? vmx_read(VM_EXIT_INTR_ERROR_CODE) : 0;
}

/* The exits that need no details. */
static enum slat_exit_reason plain_reason(u32 reason)
{
	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INIT_SIGNAL:
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
		return SLAT_EXIT_NOTHING;
	case EXIT_REASON_CPUID:
		return SLAT_EXIT_CPUID;
	case EXIT_REASON_HLT:
		return SLAT_EXIT_HLT;
	case EXIT_REASON_VMCALL:
		return SLAT_EXIT_HYPERCALL;
	case EXIT_REASON_XSETBV:
		return SLAT_EXIT_XSETBV;
	case EXIT_REASON_INVD:
	case EXIT_REASON_WBINVD:
		return SLAT_EXIT_CACHE;
	case EXIT_REASON_RDPMC:
		return SLAT_EXIT_GP;
	case EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON:
	case EXIT_REASON_GETSEC:
	case EXIT_REASON_RSM:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_VMFUNC:
	case EXIT_REASON_ENCLS:
	case EXIT_REASON_SEAMCALL:
	case EXIT_REASON_TDCALL:
		return SLAT_EXIT_UD;
	case EXIT_REASON_MONITOR_INSTRUCTION:
	case EXIT_REASON_MWAIT_INSTRUCTION:
		return SLAT_EXIT_MWAIT;
	case EXIT_REASON_TASK_SWITCH:
		return SLAT_EXIT_TASK_SWITCH;
	case EXIT_REASON_TRIPLE_FAULT:
		return SLAT_EXIT_SHUTDOWN;
	default:
		return SLAT_EXIT_UNKNOWN;
	}
}

static void explain(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, struct slat_exit *exit)
{
	switch (exit->code) {
	case EXIT_REASON_EPT_VIOLATION:
		exit_fault(exit);
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		exit_io(exit);
		break;
	case EXIT_REASON_MSR_READ:
	case EXIT_REASON_MSR_WRITE:
		exit->reason = SLAT_EXIT_MSR;
		exit->msr.write = exit->code == EXIT_REASON_MSR_WRITE;
		break;
	case EXIT_REASON_EXCEPTION_NMI:
		exit_exception(vcpu, exit, vmx_read(VM_EXIT_INTR_INFO));
		break;
	case EXIT_REASON_CR_ACCESS:
		exit_cr(exit);
		break;
	case EXIT_REASON_DR_ACCESS:
		/* The guest uses debug registers: let it, and try again. */
		vmx_set_dr_live(vmx, true);
		exit->reason = vmx->debug_control ? SLAT_EXIT_DR : SLAT_EXIT_NOTHING;
		break;
	default:
		exit->reason = plain_reason(exit->code);
	}
}

/* An IRET that faults has unblocked NMIs already; the guest will execute it again. */
static bool undid_nmi_blocking(u64 code)
{
	u32 info;

	if (code == EXIT_REASON_EPT_VIOLATION)
		return vmx_read(EXIT_QUALIFICATION) & INTR_INFO_UNBLOCK_NMI;
	if (code != EXIT_REASON_EXCEPTION_NMI)
		return false;
	info = vmx_read(VM_EXIT_INTR_INFO);
	return (info & INTR_INFO_UNBLOCK_NMI) && !vmx_is_nmi(info) &&
	       (info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF;
}

/* Of the exception that exited, or -1. */
static int exit_vector(u64 code)
{
	const u32 info = vmx_read(VM_EXIT_INTR_INFO);

	return code == EXIT_REASON_EXCEPTION_NMI && !vmx_is_nmi(info) ?
	       info & INTR_INFO_VECTOR_MASK : -1;
}

static void note_exit(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	struct slat_exit *exit = &vcpu->exit;
	const u32 delivered = vmx_read(IDT_VECTORING_INFO_FIELD);

	vmx->launched = true;
	vmx->read = false;
	vcpu->gpr[SLAT_RSP] = vmx_read(GUEST_RSP);
	vcpu->rip = vmx_read(GUEST_RIP);
	vcpu->rflags = vmx_read(GUEST_RFLAGS);
	vmx->in_vmcs.rsp = vcpu->gpr[SLAT_RSP];
	vmx->in_vmcs.rip = vcpu->rip;
	vmx->in_vmcs.rflags = vcpu->rflags;
	vmx_update_mode(vcpu, vmx);
	vmx_note_blocking(vcpu, vmx);
	exit->next_rip = vcpu->rip + (u32)vmx_read(VM_EXIT_INSTRUCTION_LEN);

	vcpu->events.delivering = delivered & VECTORING_INFO_VALID_MASK;
	if (vcpu->events.delivering)
		vmx_take_back(vcpu, delivered, vmx_read(IDT_VECTORING_ERROR_CODE));
	else if (undid_nmi_blocking(exit->code))
		vcpu->events.nmi.masked = true;
	if (!vmx->debug_control ||
	    !vmx_end_debug(vcpu, vmx, exit_vector(exit->code),
			   vmx_read(EXIT_QUALIFICATION) | DR6_RESERVED, exit))
		explain(vcpu, vmx, exit);
}

/* The CPU did not enter; what was to be raised waits for the next time. */
static void note_failure(struct slat_vcpu *vcpu, u32 code)
{
	const u32 info = vmx_read(VM_ENTRY_INTR_INFO_FIELD);

	if (info & INTR_INFO_VALID_MASK)
		vmx_take_back(vcpu, info, vmx_read(VM_ENTRY_EXCEPTION_ERROR_CODE));
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vcpu->exit.code = code;
	vcpu->exit.reason = SLAT_EXIT_INVALID;
}

void vmx_note_exit(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, bool failed)
{
	const u32 reason = failed ? 0 : vmx_read(VM_EXIT_REASON);

	if (failed) {
		note_failure(vcpu, vmx_read(VM_INSTRUCTION_ERROR));
	} else if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY) {
		if ((u16)reason == EXIT_REASON_MCE_DURING_VMENTRY)
			slat_machine_check();
		note_failure(vcpu, reason);
	} else {
		vcpu->exit.code = (u16)reason;
		note_exit(vcpu, vmx);
	}
}
