// SPDX-License-Identifier: GPL-2.0-only
/* SVM: registers that the VMCB keeps, to and from KVM's structures. */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/debugreg.h>

#include "emulate.h"
#include "regs.h"
#include "svm.h"

#define PAT_RESET	0x0007040600070406ULL

/*
 * After RESET caches are off.  Few VMMs switch them on for guests that start elsewhere
 * than in firmware, since KVM lets no guest switch them off.  So guests start with caches
 * here, too: what the VMM set is kept for it alone, and over when the guest first writes
 * CR0, which counts as it is.  All that differs is what guests that have not written
 * CR0 yet read of these bits.
 */
static void set_cr0(struct svm_vcpu *svm, u64 cr0, u64 uncached)
{
	svm->uncached = uncached;
	svm->vmcb->save.cr0 = (cr0 & ~uncached) | X86_CR0_ET;
	svm_intercept(svm, INTERCEPT_SELECTIVE_CR0, uncached);
}

void svm_show_cr0(struct svm_vcpu *svm)
{
	set_cr0(svm, svm->vmcb->save.cr0, 0);
}

/* What the guest's CR4 is and what the CPU runs with: machine checks stay enabled. */
void svm_set_cr4(struct slat_vcpu *vcpu, u64 cr4)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const u64 real = cr4 | (__read_cr4() & X86_CR4_MCE);

	svm->cr4 = cr4;
	svm->vmcb->save.cr4 = real;
	svm_intercept(svm, INTERCEPT_CR4_READ, real != cr4);
	/* Paging modes and global pages: drop what the guest cached. */
	svm->tag_cpu = -1;
	svm_update_mode(vcpu);
}

void svm_set_control(struct slat_vcpu *vcpu, u64 cr0, u64 uncached, u64 cr4, u64 efer)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	set_cr0(svm, cr0, uncached);
	svm_set_efer(svm, efer);
	svm_set_cr4(vcpu, cr4);
}

static void set_segment(struct vmcb_seg *to, u16 selector, u64 base, u32 limit, u16 attrib)
{
	to->selector = selector;
	to->base = base;
	to->limit = limit;
	to->attrib = attrib;
}

static void reset_segments(struct vmcb_save_area *save)
{
	const u16 data = SVM_SELECTOR_P_MASK | SVM_SELECTOR_S_MASK | SVM_SELECTOR_WRITE_MASK | 1;
	const u16 code = data | SVM_SELECTOR_CODE_MASK;

	set_segment(&save->cs, 0xf000, 0xffff0000, 0xffff, code);
	set_segment(&save->ds, 0, 0, 0xffff, data);
	save->es = save->ds;
	save->ss = save->ds;
	save->fs = save->ds;
	save->gs = save->ds;
	set_segment(&save->ldtr, 0, 0, 0xffff, SVM_SELECTOR_P_MASK | 2);
	/* Of a guest that loads no other, a 16-bit one may bar the way to long mode. */
	set_segment(&save->tr, 0, 0, 0xffff, SVM_SELECTOR_P_MASK | 11);
	set_segment(&save->gdtr, 0, 0, 0xffff, 0);
	set_segment(&save->idtr, 0, 0, 0xffff, 0);
}

void svm_reset_state(struct slat_vcpu *vcpu)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	reset_segments(save);
	save->dr6 = DR6_RESERVED;
	save->dr7 = SLAT_DR7_FIXED;
	save->g_pat = PAT_RESET;
	svm_set_control(vcpu, X86_CR0_NW | X86_CR0_CD, X86_CR0_NW | X86_CR0_CD, 0, 0);

	slat_regs_reset(vcpu);
}

static struct vmcb_seg *vmcb_segment(struct vmcb_save_area *save, unsigned int nr)
{
	switch (nr) {
	case SLAT_SEG_ES:
		return &save->es;
	case SLAT_SEG_CS:
		return &save->cs;
	case SLAT_SEG_SS:
		return &save->ss;
	case SLAT_SEG_FS:
		return &save->fs;
	case SLAT_SEG_GS:
		return &save->gs;
	default:
		return &save->ds;
	}
}

static void unpack_segment(const struct vmcb_seg *from, struct kvm_segment *to)
{
	const u16 attrib = from->attrib;

	*to = (struct kvm_segment) {
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = attrib & SVM_SELECTOR_TYPE_MASK,
		.s = !!(attrib & SVM_SELECTOR_S_MASK),
		.dpl = (attrib & SVM_SELECTOR_DPL_MASK) >> SVM_SELECTOR_DPL_SHIFT,
		.present = !!(attrib & SVM_SELECTOR_P_MASK),
		.avl = !!(attrib & SVM_SELECTOR_AVL_MASK),
		.l = !!(attrib & SVM_SELECTOR_L_MASK),
		.db = !!(attrib & SVM_SELECTOR_DB_MASK),
		/* The CPU does not keep G; the limit is in bytes here. */
		.g = from->limit > 0xfffff,
		.unusable = !(attrib & SVM_SELECTOR_P_MASK),
	};
}

static void pack_segment(const struct kvm_segment *from, struct vmcb_seg *to)
{
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attrib = (from->type & SVM_SELECTOR_TYPE_MASK) |
		     (from->s & 1) << SVM_SELECTOR_S_SHIFT |
		     (from->dpl & 3) << SVM_SELECTOR_DPL_SHIFT |
		     ((from->present & 1) && !from->unusable) << SVM_SELECTOR_P_SHIFT |
		     (from->avl & 1) << SVM_SELECTOR_AVL_SHIFT |
		     (from->l & 1) << SVM_SELECTOR_L_SHIFT |
		     (from->db & 1) << SVM_SELECTOR_DB_SHIFT |
		     (from->g & 1) << SVM_SELECTOR_G_SHIFT;
}

void svm_get_segment(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	unpack_segment(vmcb_segment(save, nr), seg);
	if (nr == SLAT_SEG_SS)
		seg->dpl = save->cpl;
}

void svm_get_sregs(struct slat_vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;

	svm_get_segment(vcpu, &sregs->cs, SLAT_SEG_CS);
	svm_get_segment(vcpu, &sregs->ds, SLAT_SEG_DS);
	svm_get_segment(vcpu, &sregs->es, SLAT_SEG_ES);
	svm_get_segment(vcpu, &sregs->fs, SLAT_SEG_FS);
	svm_get_segment(vcpu, &sregs->gs, SLAT_SEG_GS);
	svm_get_segment(vcpu, &sregs->ss, SLAT_SEG_SS);
	unpack_segment(&save->tr, &sregs->tr);
	sregs->tr.type |= 2;	/* busy: the VMCB may not say so */
	unpack_segment(&save->ldtr, &sregs->ldt);
	sregs->gdt.base = save->gdtr.base;
	sregs->gdt.limit = save->gdtr.limit;
	sregs->idt.base = save->idtr.base;
	sregs->idt.limit = save->idtr.limit;
	sregs->cr0 = save->cr0 | svm->uncached;
	sregs->cr3 = save->cr3;
	sregs->cr4 = svm->cr4;
	sregs->cr8 = vcpu->cr8;
	sregs->efer = save->efer & svm->efer_seen;
}

void svm_set_cr8(struct slat_vcpu *vcpu, u64 cr8)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;

	vcpu->cr8 = cr8;
	if (svm->own_tpr)
		control->int_ctl = (control->int_ctl & ~V_TPR_MASK) | cr8;
}

void svm_set_sregs(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	if (!(sregs->efer & EFER_SVME))
		svm_nested_end(vcpu);
	pack_segment(&sregs->cs, &save->cs);
	pack_segment(&sregs->ds, &save->ds);
	pack_segment(&sregs->es, &save->es);
	pack_segment(&sregs->fs, &save->fs);
	pack_segment(&sregs->gs, &save->gs);
	pack_segment(&sregs->ss, &save->ss);
	save->cpl = sregs->ss.dpl & 3;
	pack_segment(&sregs->tr, &save->tr);
	pack_segment(&sregs->ldt, &save->ldtr);
	save->gdtr.base = sregs->gdt.base;
	save->gdtr.limit = sregs->gdt.limit;
	save->idtr.base = sregs->idt.base;
	save->idtr.limit = sregs->idt.limit;
	save->cr3 = sregs->cr3;
	svm_set_control(vcpu, sregs->cr0, svm_uncached(sregs->cr0), sregs->cr4, sregs->efer);
	svm_set_cr8(vcpu, sregs->cr8);
}

/* The MSRs that live in the VMCB, but for EFER. */
static u64 *vmcb_msr(struct vmcb_save_area *save, u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &save->g_pat;
	default:
		return NULL;
	}
}

int svm_get_msr(struct slat_vcpu *vcpu, u32 index, u64 *value)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;
	const u64 *from = vmcb_msr(save, index);

	if (index == MSR_EFER)
		*value = save->efer & to_svm(vcpu)->efer_seen;
	else if (from)
		*value = *from;
	else
		return -ENOENT;
	return 0;
}

int svm_set_msr(struct slat_vcpu *vcpu, u32 index, u64 value)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *to = vmcb_msr(&svm->vmcb->save, index);

	if (index == MSR_EFER && !(value & EFER_SVME))
		svm_nested_end(vcpu);
	if (index == MSR_EFER)
		svm_set_efer(svm, value);
	else if (to)
		*to = value;
	else
		return -ENOENT;
	if (index == MSR_EFER || index == MSR_IA32_CR_PAT)
		svm->tag_cpu = -1;	/* NX and memory types are cached */
	svm_update_mode(vcpu);
	return 0;
}
