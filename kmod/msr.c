// SPDX-License-Identifier: GPL-2.0-only
/* Model-specific registers: which exist, and what they may hold. */
#include <asm/msr.h>

#include "vcpu.h"

static bool pat_valid(u64 pat)
{
	unsigned int i;

	for (i = 0; i < 8; i++, pat >>= 8) {
		const u8 type = pat & 0xff;

		/* UC, WC, WT, WP, WB, UC-; the rest is reserved. */
		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static int set_efer(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	struct slat_mode mode;

	slat_hw->get_mode(vcpu, &mode);
	if (value & ~slat_cpuid_efer(vcpu, guest))
		return -EINVAL;
	if (guest && (mode.cr0 & X86_CR0_PG) && ((value ^ mode.efer) & EFER_LME))
		return -EINVAL;
	/* LMA is the CPU's to set. */
	value = (value & ~(u64)EFER_LMA) | (mode.efer & EFER_LMA);
	return slat_hw->set_msr(vcpu, MSR_EFER, value);
}

static int set_apic_base(struct slat_vcpu *vcpu, u64 value)
{
	if (!slat_apic_base_valid(vcpu, value))
		return -EINVAL;
	vcpu->apic_base = value;
	return 0;
}

bool slat_apic_base_valid(struct slat_vcpu *vcpu, u64 value)
{
	const u64 flags = MSR_IA32_APICBASE_BSP | MSR_IA32_APICBASE_ENABLE;
	const u64 base = GENMASK_ULL(slat_cpuid_phys_bits(vcpu) - 1, PAGE_SHIFT);

	return !(value & ~(flags | base));
}

/* MSRs that hold an address: a CPU that loads another kind from them faults. */
static bool holds_address(u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return true;
	}
	return false;
}

int slat_msr_get(struct slat_vcpu *vcpu, u32 index, u64 *value)
{
	switch (index) {
	case MSR_IA32_TSC:
		*value = slat_hw->get_tsc(vcpu);
		return 0;
	case MSR_IA32_APICBASE:
		*value = vcpu->apic_base;
		return 0;
	default:
		return slat_hw->get_msr(vcpu, index, value);
	}
}

int slat_msr_set(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest)
{
	/* The widest that the CPU can do, whatever the guest's mode is now. */
	const u64 widest = boot_cpu_has(X86_FEATURE_LA57) ? X86_CR4_LA57 : 0;

	switch (index) {
	case MSR_EFER:
		return set_efer(vcpu, value, guest);
	case MSR_IA32_TSC:
		slat_hw->set_tsc(vcpu, value);
		return 0;
	case MSR_IA32_APICBASE:
		return set_apic_base(vcpu, value);
	case MSR_IA32_CR_PAT:
		if (!pat_valid(value))
			return -EINVAL;
		break;
	default:
		if (holds_address(index) && !slat_is_canonical(value, widest))
			return -EINVAL;
	}
	return slat_hw->set_msr(vcpu, index, value);
}
