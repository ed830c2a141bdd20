// SPDX-License-Identifier: GPL-2.0-only
/* KVM's register structures, to and from a vCPU. */
#include <linux/bitmap.h>
#include <linux/string.h>

#include "regs.h"
#include "vcpu.h"

void slat_regs_reset(struct slat_vcpu *vcpu)
{
	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
	vcpu->gpr[SLAT_RDX] = cpuid_eax(1);	/* family, model, stepping */
	vcpu->rip = 0xfff0;
	vcpu->rflags = X86_EFLAGS_FIXED;
	vcpu->cr2 = 0;
	vcpu->cr8 = 0;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->xcr0 = XFEATURE_MASK_FP;
}

void slat_regs_get(struct slat_vcpu *vcpu, struct kvm_regs *regs)
{
	const u64 *gpr = vcpu->gpr;

	*regs = (struct kvm_regs) {
		.rax = gpr[SLAT_RAX], .rbx = gpr[SLAT_RBX],
		.rcx = gpr[SLAT_RCX], .rdx = gpr[SLAT_RDX],
		.rsi = gpr[SLAT_RSI], .rdi = gpr[SLAT_RDI],
		.rsp = gpr[SLAT_RSP], .rbp = gpr[SLAT_RBP],
		.r8 = gpr[8], .r9 = gpr[9], .r10 = gpr[10], .r11 = gpr[11],
		.r12 = gpr[12], .r13 = gpr[13], .r14 = gpr[14], .r15 = gpr[15],
		.rip = vcpu->rip, .rflags = vcpu->rflags,
	};
}

void slat_regs_set(struct slat_vcpu *vcpu, const struct kvm_regs *regs)
{
	const u64 gpr[16] = {
		[SLAT_RAX] = regs->rax, [SLAT_RBX] = regs->rbx,
		[SLAT_RCX] = regs->rcx, [SLAT_RDX] = regs->rdx,
		[SLAT_RSI] = regs->rsi, [SLAT_RDI] = regs->rdi,
		[SLAT_RSP] = regs->rsp, [SLAT_RBP] = regs->rbp,
		[8] = regs->r8, regs->r9, regs->r10, regs->r11,
		regs->r12, regs->r13, regs->r14, regs->r15,
	};

	memcpy(vcpu->gpr, gpr, sizeof(gpr));
	vcpu->rip = regs->rip;
	vcpu->rflags = regs->rflags | X86_EFLAGS_FIXED;
	/* What was to be raised belongs to the state that is gone: KVM's rule. */
	vcpu->events.exception.pending = false;
}

void slat_sregs_get(struct slat_vcpu *vcpu, struct kvm_sregs *sregs)
{
	memset(sregs, 0, sizeof(*sregs));
	slat_hw->get_sregs(vcpu, sregs);
	sregs->cr2 = vcpu->cr2;
	sregs->apic_base = vcpu->apic_base;
	if (vcpu->events.irq.queued || vcpu->events.irq.taken)
		__set_bit(vcpu->events.irq.vector, (unsigned long *)sregs->interrupt_bitmap);
}

static bool cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/* The bits of CR3 that have to be 0 in long mode. */
static bool cr3_valid(struct slat_vcpu *vcpu, u64 cr3)
{
	return !(cr3 >> vcpu->limits.phys_bits);
}

static bool sregs_valid(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if ((sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG)) {
		if (!(sregs->cr4 & X86_CR4_PAE) || !(sregs->efer & EFER_LMA) ||
		    !cr3_valid(vcpu, sregs->cr3))
			return false;
	} else if ((sregs->efer & EFER_LMA) || sregs->cs.l) {
		return false;
	}
	return cr0_valid(sregs->cr0) &&
	       !(sregs->cr4 & ~vcpu->limits.cr4) &&
	       !(sregs->efer & ~slat_cpuid_efer()) &&
	       sregs->cr8 <= SLAT_CR8_MAX &&
	       slat_apic_base_valid(vcpu, sregs->apic_base);
}

int slat_sregs_set(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	const unsigned long *pending = (const unsigned long *)sregs->interrupt_bitmap;
	unsigned int vector;

	if (!sregs_valid(vcpu, sregs))
		return -EINVAL;
	slat_hw->set_sregs(vcpu, sregs);
	vcpu->cr2 = sregs->cr2;
	vcpu->apic_base = sregs->apic_base;

	vector = find_first_bit(pending, KVM_NR_INTERRUPTS);
	if (vector < KVM_NR_INTERRUPTS)
		slat_inject_set_irq(vcpu, vector);
	return 0;
}

static struct fxregs_state *fxregs(struct slat_vcpu *vcpu)
{
	return &vcpu->fpu.fpstate->regs.fxsave;
}

void slat_fpu_get(struct slat_vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct fxregs_state *fx = fxregs(vcpu);

	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fx->xmm_space));
	fpu->mxcsr = fx->mxcsr;
}

int slat_fpu_set(struct slat_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct fxregs_state *fx = fxregs(vcpu);

	/* Loading these into the CPU would fault in the kernel. */
	if (fpu->mxcsr & ~mxcsr_feature_mask)
		return -EINVAL;
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fx->xmm_space));
	fx->mxcsr = fpu->mxcsr;
	/* Else XRSTOR would take the initial state in place of what was just written. */
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->fpu.fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}
