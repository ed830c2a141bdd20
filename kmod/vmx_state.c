// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: registers that the VMCS keeps, to and from KVM's structures. */
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>

#include "access.h"
#include "regs.h"
#include "vmx.h"

#define PAT_RESET	0x0007040600070406ULL

/* Types of segments */
#define TYPE_WRITABLE	BIT(1)	/* data */
#define TYPE_BUSY	BIT(1)	/* TSS */
#define RIGHTS_AVL	BIT(12)

/* The fields of the segments follow each other, in the order of their numbers. */
#define SELECTOR(nr)	(GUEST_ES_SELECTOR + 2 * (nr))
#define LIMIT(nr)	(GUEST_ES_LIMIT + 2 * (nr))
#define RIGHTS(nr)	(GUEST_ES_AR_BYTES + 2 * (nr))
#define BASE(nr)	(GUEST_ES_BASE + 2 * (nr))

/* Of CR0: what the guest sees is a copy, the CPU's own is the host's business. */
#define CR0_SHADOWED	(X86_CR0_CD | X86_CR0_NW | X86_CR0_NE)

static bool has_pdptes(const struct slat_mode *mode)
{
	return (mode->cr0 & X86_CR0_PG) && (mode->cr4 & X86_CR4_PAE) && !(mode->efer & EFER_LMA);
}

/* To and from the VMCS */

void vmx_load_state(struct vmx_vcpu *vmx)
{
	struct vmx_state *state = &vmx->state;
	unsigned int i;

	for (i = 0; i < VMX_NR_SEGMENTS; i++)
		state->segment[i] = (struct vmx_segment) {
			.selector = vmx_read(SELECTOR(i)), .limit = vmx_read(LIMIT(i)),
			.rights = vmx_read(RIGHTS(i)), .base = vmx_read(BASE(i)),
		};
	state->gdtr.base = vmx_read(GUEST_GDTR_BASE);
	state->gdtr.limit = vmx_read(GUEST_GDTR_LIMIT);
	state->idtr.base = vmx_read(GUEST_IDTR_BASE);
	state->idtr.limit = vmx_read(GUEST_IDTR_LIMIT);
	state->pending_debug = vmx_read(GUEST_PENDING_DBG_EXCEPTIONS);
	for (i = 0; i < ARRAY_SIZE(state->pdpte); i++)
		state->pdpte[i] = vmx_read(GUEST_PDPTR0 + 2 * i);
	state->sysenter_cs = vmx_read(GUEST_SYSENTER_CS);
	state->sysenter_esp = vmx_read(GUEST_SYSENTER_ESP);
	state->sysenter_eip = vmx_read(GUEST_SYSENTER_EIP);
}

static void store_segments(const struct vmx_state *state)
{
	unsigned int i;

	for (i = 0; i < VMX_NR_SEGMENTS; i++) {
		vmx_write(SELECTOR(i), state->segment[i].selector);
		vmx_write(LIMIT(i), state->segment[i].limit);
		vmx_write(RIGHTS(i), state->segment[i].rights);
		vmx_write(BASE(i), state->segment[i].base);
	}
	vmx_write(GUEST_GDTR_BASE, state->gdtr.base);
	vmx_write(GUEST_GDTR_LIMIT, state->gdtr.limit);
	vmx_write(GUEST_IDTR_BASE, state->idtr.base);
	vmx_write(GUEST_IDTR_LIMIT, state->idtr.limit);
}

/* Whatever the guest's CR4 is, the CPU runs with VMX and machine checks enabled. */
static void store_modes(const struct slat_mode *mode)
{
	const u32 entry = vmx_read(VM_ENTRY_CONTROLS) & ~VM_ENTRY_IA32E_MODE;

	vmx_write(CR0_GUEST_HOST_MASK, CR0_SHADOWED);
	vmx_write(CR0_READ_SHADOW, mode->cr0);
	vmx_write(GUEST_CR0, (mode->cr0 & ~(u64)CR0_SHADOWED) | X86_CR0_NE);
	vmx_write(GUEST_CR3, mode->cr3);
	vmx_write(CR4_GUEST_HOST_MASK, ~0ULL);
	vmx_write(CR4_READ_SHADOW, mode->cr4);
	vmx_write(GUEST_CR4, mode->cr4 | X86_CR4_VMXE | (__read_cr4() & X86_CR4_MCE));
	vmx_write(GUEST_IA32_EFER, mode->efer);
	vmx_write(VM_ENTRY_CONTROLS, entry | (mode->efer & EFER_LMA ? VM_ENTRY_IA32E_MODE : 0));
}

void vmx_store_state(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	const struct vmx_state *state = &vmx->state;
	unsigned int i;

	store_segments(state);
	store_modes(&vcpu->mode);
	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, state->pending_debug);
	for (i = 0; i < ARRAY_SIZE(state->pdpte); i++)
		vmx_write(GUEST_PDPTR0 + 2 * i, state->pdpte[i]);
	vmx_write(GUEST_SYSENTER_CS, state->sysenter_cs);
	vmx_write(GUEST_SYSENTER_ESP, state->sysenter_esp);
	vmx_write(GUEST_SYSENTER_EIP, state->sysenter_eip);
	vmx_write(GUEST_IA32_PAT, vmx->pat);
	vmx_write(TSC_OFFSET, vmx->tsc_offset);
}

static void update_code(struct slat_mode *mode, u32 cs, u32 ss, u64 cs_base)
{
	mode->cpl = VMX_AR_DPL(ss);
	mode->cs_base = cs_base;
	mode->cs_l = (mode->efer & EFER_LMA) && (cs & VMX_AR_L_MASK);
	mode->cs_db = cs & VMX_AR_DB_MASK;
}

/* All of CR4 and EFER is the copy's, but that paging activates long mode. */
void vmx_update_mode(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	struct slat_mode *mode = &vcpu->mode;

	mode->cr0 = (mode->cr0 & CR0_SHADOWED) | (vmx_read(GUEST_CR0) & ~(u64)CR0_SHADOWED);
	mode->cr3 = vmx_read(GUEST_CR3);
	mode->efer &= ~(u64)EFER_LMA;
	if ((mode->efer & EFER_LME) && (mode->cr0 & X86_CR0_PG))
		mode->efer |= EFER_LMA;
	update_code(mode, vmx_read(GUEST_CS_AR_BYTES), vmx_read(GUEST_SS_AR_BYTES),
		    vmx_read(GUEST_CS_BASE));
}

/* Changes */

/* Paging modes, global pages, NX, memory types: drop what the guest cached, too. */
static void change_paging(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const u64 gpa = vcpu->mode.cr3 & GENMASK_ULL(31, 5);

	vmx->changed = true;
	vmx->tag_cpu = -1;
	/* The CPU reads them when the guest itself does this; where no memory is, none is. */
	if (has_pdptes(&vcpu->mode) &&
	    slat_gpa_read(vcpu, gpa, vmx->state.pdpte, sizeof(vmx->state.pdpte)))
		memset(vmx->state.pdpte, 0, sizeof(vmx->state.pdpte));
}

void vmx_set_cr0(struct slat_vcpu *vcpu, u64 cr0)
{
	struct slat_mode *mode = &vcpu->mode;
	const struct vmx_segment *cs = &to_vmx(vcpu)->state.segment[SLAT_SEG_CS];

	vmx_read_state(vcpu);
	mode->cr0 = cr0 | X86_CR0_ET;
	mode->efer &= ~(u64)EFER_LMA;
	if ((mode->efer & EFER_LME) && (cr0 & X86_CR0_PG))
		mode->efer |= EFER_LMA;
	mode->cs_l = (mode->efer & EFER_LMA) && (cs->rights & VMX_AR_L_MASK);
	change_paging(vcpu);
}

void vmx_set_cr4(struct slat_vcpu *vcpu, u64 cr4)
{
	vmx_read_state(vcpu);
	vcpu->mode.cr4 = cr4;
	change_paging(vcpu);
}

void vmx_set_cr8(struct slat_vcpu *vcpu, u64 cr8)
{
	vcpu->cr8 = cr8;
}

static void reset_segments(struct vmx_state *state)
{
	const u32 data = VMX_AR_P_MASK | VMX_AR_S_MASK | TYPE_WRITABLE | VMX_AR_TYPE_ACCESSES_MASK;
	unsigned int i;

	for (i = 0; i <= SLAT_SEG_GS; i++)
		state->segment[i] = (struct vmx_segment) { .limit = 0xffff, .rights = data };
	state->segment[SLAT_SEG_CS] = (struct vmx_segment) {
		.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff,
		.rights = data | VMX_AR_TYPE_CODE_MASK,
	};
	state->segment[VMX_LDTR] = (struct vmx_segment) {
		.limit = 0xffff, .rights = VMX_AR_P_MASK | VMX_AR_TYPE_LDT,
	};
	/* Of a guest that loads no other, a 16-bit one would bar the way to long mode. */
	state->segment[VMX_TR] = (struct vmx_segment) {
		.limit = 0xffff, .rights = VMX_AR_P_MASK | VMX_AR_TYPE_BUSY_32_TSS,
	};
	state->gdtr = (struct vmx_segment) { .limit = 0xffff };
	state->idtr = state->gdtr;
}

void vmx_reset_state(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->state = (struct vmx_state) {};
	reset_segments(&vmx->state);
	vmx->read = true;
	vmx->pat = PAT_RESET;
	vmx->syscall = (struct vmx_syscall) {};
	vmx->cstar = 0;
	vmx->kernel_gs_base = 0;
	vmx->dr6 = DR6_RESERVED;
	vmx->dr7 = SLAT_DR7_FIXED;

	slat_regs_reset(vcpu);
	vcpu->mode = (struct slat_mode) {
		.cr0 = X86_CR0_NW | X86_CR0_CD | X86_CR0_ET, .cs_base = 0xffff0000,
	};
	change_paging(vcpu);
}

/* KVM's structures */

static void unpack_segment(const struct vmx_segment *from, struct kvm_segment *to)
{
	const u32 rights = from->rights;
	const bool unusable = rights & VMX_AR_UNUSABLE_MASK;

	*to = (struct kvm_segment) {
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = rights & VMX_AR_TYPE_MASK,
		.s = !!(rights & VMX_AR_S_MASK),
		.dpl = VMX_AR_DPL(rights),
		.present = !unusable && (rights & VMX_AR_P_MASK),
		.avl = !!(rights & RIGHTS_AVL),
		.l = !!(rights & VMX_AR_L_MASK),
		.db = !!(rights & VMX_AR_DB_MASK),
		.g = !!(rights & VMX_AR_G_MASK),
		.unusable = unusable,
	};
}

/* The limit is in bytes here; the CPU insists that G fits it. */
static u32 pack_rights(const struct kvm_segment *from)
{
	return (from->type & VMX_AR_TYPE_MASK) | (from->s & 1) << 4 |
	       (from->dpl & 3) << VMX_AR_DPL_SHIFT | (from->present & 1) << 7 |
	       (from->avl & 1) << 12 | (from->l & 1) << 13 | (from->db & 1) << 14 |
	       (from->limit > 0xfffff ? VMX_AR_G_MASK : 0) |
	       (from->unusable || !from->present ? VMX_AR_UNUSABLE_MASK : 0);
}

/* @type: bits that the CPU insists on, where VMMs may not know of them */
static void pack_segment(const struct kvm_segment *from, struct vmx_segment *to, u32 type)
{
	*to = (struct vmx_segment) {
		.base = from->base, .limit = from->limit, .selector = from->selector,
		.rights = pack_rights(from) | type,
	};
}

void vmx_get_segment(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr)
{
	vmx_read_state(vcpu);
	unpack_segment(&to_vmx(vcpu)->state.segment[nr], seg);
}

void vmx_get_sregs(struct slat_vcpu *vcpu, struct kvm_sregs *sregs)
{
	const struct vmx_state *state = &to_vmx(vcpu)->state;
	const struct slat_mode *mode = &vcpu->mode;

	vmx_read_state(vcpu);
	unpack_segment(&state->segment[SLAT_SEG_ES], &sregs->es);
	unpack_segment(&state->segment[SLAT_SEG_CS], &sregs->cs);
	unpack_segment(&state->segment[SLAT_SEG_SS], &sregs->ss);
	unpack_segment(&state->segment[SLAT_SEG_DS], &sregs->ds);
	unpack_segment(&state->segment[SLAT_SEG_FS], &sregs->fs);
	unpack_segment(&state->segment[SLAT_SEG_GS], &sregs->gs);
	unpack_segment(&state->segment[VMX_LDTR], &sregs->ldt);
	unpack_segment(&state->segment[VMX_TR], &sregs->tr);
	sregs->gdt.base = state->gdtr.base;
	sregs->gdt.limit = state->gdtr.limit;
	sregs->idt.base = state->idtr.base;
	sregs->idt.limit = state->idtr.limit;
	sregs->cr0 = mode->cr0;
	sregs->cr3 = mode->cr3;
	sregs->cr4 = mode->cr4;
	sregs->cr8 = vcpu->cr8;
	sregs->efer = mode->efer;
}

void vmx_set_sregs(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	struct vmx_segment *segment = to_vmx(vcpu)->state.segment;
	struct vmx_state *state = &to_vmx(vcpu)->state;
	struct slat_mode *mode = &vcpu->mode;

	vmx_read_state(vcpu);
	pack_segment(&sregs->es, &segment[SLAT_SEG_ES], VMX_AR_TYPE_ACCESSES_MASK);
	pack_segment(&sregs->cs, &segment[SLAT_SEG_CS], VMX_AR_TYPE_ACCESSES_MASK);
	pack_segment(&sregs->ss, &segment[SLAT_SEG_SS], VMX_AR_TYPE_ACCESSES_MASK);
	pack_segment(&sregs->ds, &segment[SLAT_SEG_DS], VMX_AR_TYPE_ACCESSES_MASK);
	pack_segment(&sregs->fs, &segment[SLAT_SEG_FS], VMX_AR_TYPE_ACCESSES_MASK);
	pack_segment(&sregs->gs, &segment[SLAT_SEG_GS], VMX_AR_TYPE_ACCESSES_MASK);
	pack_segment(&sregs->ldt, &segment[VMX_LDTR], 0);
	pack_segment(&sregs->tr, &segment[VMX_TR], TYPE_BUSY);
	state->gdtr.base = sregs->gdt.base;
	state->gdtr.limit = sregs->gdt.limit;
	state->idtr.base = sregs->idt.base;
	state->idtr.limit = sregs->idt.limit;
	mode->cr0 = sregs->cr0 | X86_CR0_ET;
	mode->cr3 = sregs->cr3;
	mode->cr4 = sregs->cr4;
	mode->efer = sregs->efer;
	update_code(mode, segment[SLAT_SEG_CS].rights, segment[SLAT_SEG_SS].rights,
		    sregs->cs.base);
	vmx_set_cr8(vcpu, sregs->cr8);
	change_paging(vcpu);
}

/* The MSRs that have a place of their own, but for EFER; of the VMCS if @in_state. */
static u64 *find_msr(struct vmx_vcpu *vmx, u32 index, bool *in_state)
{
	*in_state = true;
	switch (index) {
	case MSR_FS_BASE:
		return &vmx->state.segment[SLAT_SEG_FS].base;
	case MSR_GS_BASE:
		return &vmx->state.segment[SLAT_SEG_GS].base;
	case MSR_IA32_SYSENTER_CS:
		return &vmx->state.sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &vmx->state.sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &vmx->state.sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &vmx->pat;
	}
	*in_state = false;
	switch (index) {
	case MSR_KERNEL_GS_BASE:
		return &vmx->kernel_gs_base;
	case MSR_STAR:
		return &vmx->syscall.star;
	case MSR_LSTAR:
		return &vmx->syscall.lstar;
	case MSR_CSTAR:
		return &vmx->cstar;
	case MSR_SYSCALL_MASK:
		return &vmx->syscall.sfmask;
	}
	return NULL;
}

int vmx_get_msr(struct slat_vcpu *vcpu, u32 index, u64 *value)
{
	bool in_state;
	const u64 *from = find_msr(to_vmx(vcpu), index, &in_state);

	if (index == MSR_EFER) {
		*value = vcpu->mode.efer;
		return 0;
	}
	if (!from)
		return -ENOENT;
	if (in_state)
		vmx_read_state(vcpu);
	*value = *from;
	return 0;
}

int vmx_set_msr(struct slat_vcpu *vcpu, u32 index, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool in_state;
	u64 *to = find_msr(vmx, index, &in_state);

	if (!to && index != MSR_EFER)
		return -ENOENT;
	/* Loading it would fault. */
	if (index == MSR_SYSCALL_MASK && value >> 32)
		return -EINVAL;
	if (in_state || index == MSR_EFER) {
		vmx_read_state(vcpu);
		vmx->changed = true;
	}
	if (to)
		*to = value;
	else
		vcpu->mode.efer = value;
	if (index == MSR_EFER || index == MSR_IA32_CR_PAT)
		vmx->tag_cpu = -1;	/* NX and memory types are cached */
	return 0;
}
