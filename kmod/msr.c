// SPDX-License-Identifier: GPL-2.0-only
/* Model-specific registers: which exist, and what they may hold. */
#include <uapi/linux/kvm_para.h>
#include <asm/msr.h>
#include <asm/svm.h>

#include "vcpu.h"

bool slat_pat_valid(u64 pat)
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

/* What a CPU does that loses SVM under an inner guest is not defined. */
static bool svme_valid(struct slat_vcpu *vcpu, u64 efer, bool guest)
{
	if (efer & EFER_SVME)
		return !guest || !(vcpu->msrs.vm_cr & SVM_VM_CR_SVM_DIS_MASK);
	return !vcpu->inner;
}

static int set_efer(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	const struct slat_mode *mode = &vcpu->mode;

	if (value & ~(guest ? vcpu->limits.efer : slat_cpuid_efer()))
		return -EINVAL;
	if (guest && (mode->cr0 & X86_CR0_PG) && ((value ^ mode->efer) & EFER_LME))
		return -EINVAL;
	if (!svme_valid(vcpu, value, guest))
		return -EINVAL;
	/* LMA is the CPU's to set. */
	value = (value & ~(u64)EFER_LMA) | (mode->efer & EFER_LMA);
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
	const u64 base = GENMASK_ULL(vcpu->limits.phys_bits - 1, PAGE_SHIFT);

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

/* MSRs that hold what is told to the guest, whatever it writes, or to the VMM. */
static const struct {
	u32 first;
	u32 last;
	u64 value;
} constants[] = {
	{ MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE },
	{ MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID },
	{ MSR_IA32_EBL_CR_POWERON, MSR_IA32_EBL_CR_POWERON },
	{ MSR_P6_PERFCTR0, MSR_P6_PERFCTR1 },
	{ MSR_FSB_FREQ, MSR_FSB_FREQ, 3 },
	{ MSR_IA32_BBL_CR_CTL3, MSR_IA32_BBL_CR_CTL3, 0xbe702111 },
	{ MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1 },
	/* 1000 TSC ticks, times 4 */
	{ MSR_IA32_PERF_STATUS, MSR_IA32_PERF_STATUS, 1000 | 4ULL << 40 },
	{ MSR_IA32_PERF_CTL, MSR_IA32_PERF_CTL },
	{ MSR_IA32_DEBUGCTLMSR, MSR_IA32_DEBUGCTLMSR },
	{ MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP },
	{ MSR_RAPL_POWER_UNIT, MSR_RAPL_POWER_UNIT },
	{ MSR_PKG_ENERGY_STATUS, MSR_PKG_ENERGY_STATUS },
	{ MSR_DRAM_ENERGY_STATUS, MSR_DRAM_ENERGY_STATUS },
	{ MSR_PP0_ENERGY_STATUS, MSR_PP0_ENERGY_STATUS },
	{ MSR_PP1_ENERGY_STATUS, MSR_PP1_ENERGY_STATUS },
	{ MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3 },
	{ MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG },
	{ MSR_K7_CLK_CTL, MSR_K7_CLK_CTL, 0x20000000 },
	{ MSR_K8_INT_PENDING_MSG, MSR_K8_INT_PENDING_MSG },
	{ MSR_FAM10H_MMIO_CONF_BASE, MSR_FAM10H_MMIO_CONF_BASE },
	{ MSR_K8_TSEG_ADDR, MSR_K8_TSEG_MASK },
	{ MSR_AMD64_NB_CFG, MSR_AMD64_NB_CFG },
	{ MSR_F15H_IC_CFG, MSR_F15H_IC_CFG },
	{ MSR_AMD64_DC_CFG, MSR_AMD64_TW_CFG },
	{ MSR_AMD64_BU_CFG2, MSR_AMD64_BU_CFG2 },
	{ MSR_F15H_EX_CFG, MSR_F15H_EX_CFG },
};

/* Writes to these go nowhere; in most of the others they are refused. */
static bool is_write_ignored(u32 index)
{
	switch (index) {
	case MSR_IA32_UCODE_WRITE:
	case MSR_P6_PERFCTR0 ... MSR_P6_PERFCTR1:
	case MSR_P6_EVNTSEL0 ... MSR_P6_EVNTSEL1:
	case MSR_IA32_BBL_CR_CTL3:
	case MSR_IA32_DEBUGCTLMSR:
	case MSR_K7_EVNTSEL0 ... MSR_K7_PERFCTR3:
	case MSR_K7_CLK_CTL:
	case MSR_AMD64_PATCH_LOADER:
	case MSR_AMD64_NB_CFG:
	case MSR_VM_IGNNE:
	case MSR_AMD64_DC_CFG:
	case MSR_AMD64_TW_CFG:
	case MSR_AMD64_BU_CFG2:
	case MSR_F15H_EX_CFG:
		return true;
	}
	return false;
}

/* Not in this guest's CPU, but a VMM may carry a 0 from one CPU to the next. */
static bool is_zero_for_vmm(u32 index)
{
	switch (index) {
	case MSR_KVM_WALL_CLOCK:	/* set by QEMU whatever CPUID says */
	case MSR_KVM_SYSTEM_TIME:
	case MSR_IA32_XSS:
	case MSR_F15H_PERF_CTL0 ... MSR_F15H_PERF_CTR5:
		return true;
	}
	return false;
}

/* The MSRs that nothing depends on: where they are kept, or NULL. */
static u64 *kept(struct slat_vcpu *vcpu, u32 index)
{
	struct slat_msrs *msrs = &vcpu->msrs;

	switch (index) {
	case MSR_IA32_TSC_ADJUST:
		return &msrs->tsc_adjust;
	case MSR_IA32_MISC_ENABLE:
		return &msrs->misc_enable;
	case MSR_PLATFORM_INFO:
		return &msrs->platform_info;
	case MSR_MISC_FEATURES_ENABLES:
		return &msrs->misc_features;
	case MSR_IA32_POWER_CTL:
		return &msrs->power_ctl;
	case MSR_IA32_UCODE_REV:
		return &msrs->ucode_rev;
	case MSR_K7_HWCR:
		return &msrs->hwcr;
	case MSR_AMD64_DE_CFG:
		return &msrs->de_cfg;
	case MSR_VM_CR:
		return &msrs->vm_cr;
	case MSR_VM_HSAVE_PA:
		return &msrs->vm_hsave;
	case MSR_AMD64_OSVW_ID_LENGTH:
		return &msrs->osvw_length;
	case MSR_AMD64_OSVW_STATUS:
		return &msrs->osvw_status;
	}
	return NULL;
}

static bool is_osvw(u32 index)
{
	return index == MSR_AMD64_OSVW_ID_LENGTH || index == MSR_AMD64_OSVW_STATUS;
}

static bool has_osvw(struct slat_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = slat_cpuid_find(vcpu, 0x80000001, 0);

	return entry && (entry->ecx & BIT(X86_FEATURE_OSVW & 31));
}

static bool has_tsc_adjust(struct slat_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = slat_cpuid_find(vcpu, 7, 0);

	return entry && (entry->ebx & BIT(X86_FEATURE_TSC_ADJUST & 31));
}

static bool has_sse3(struct slat_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = slat_cpuid_find(vcpu, 1, 0);

	return entry && (entry->ecx & BIT(X86_FEATURE_XMM3 & 31));
}

/* The guest's TSC and what it says about its moves: one moves with the other. */

static void set_tsc(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	const u64 moved = value - slat_tsc_get(vcpu) - vcpu->inner_tsc;

	if (!guest) {
		slat_tsc_sync(vcpu, value);
		return;
	}
	slat_hw->set_tsc_offset(vcpu, slat_hw->get_tsc_offset(vcpu) + moved);
	vcpu->msrs.tsc_adjust += moved;
}

static void set_tsc_adjust(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	const u64 moved = value - vcpu->msrs.tsc_adjust;

	if (!has_tsc_adjust(vcpu))
		return;
	if (guest)
		slat_hw->set_tsc_offset(vcpu, slat_hw->get_tsc_offset(vcpu) + moved);
	vcpu->msrs.tsc_adjust = value;
}

static bool host_has_tsc_aux(void)
{
	return boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID);
}

static bool has_tsc_aux(struct slat_vcpu *vcpu, bool guest)
{
	return guest ? vcpu->limits.tsc_aux : host_has_tsc_aux();
}

static int set_misc_enable(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	const u64 read_only = MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL |
			      MSR_IA32_MISC_ENABLE_BTS_UNAVAIL;
	u64 *msr = &vcpu->msrs.misc_enable;

	if (guest) {
		if ((*msr ^ value) & read_only)
			return -EINVAL;
		value &= ~MSR_IA32_MISC_ENABLE_EMON;
		value |= *msr & MSR_IA32_MISC_ENABLE_EMON;
	}
	/* Where MWAIT follows this register, it takes a CPU of its age to have the bit. */
	if ((READ_ONCE(vcpu->vm->quirks_off) & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT) &&
	    ((*msr ^ value) & MSR_IA32_MISC_ENABLE_MWAIT) && !has_sse3(vcpu))
		return -EINVAL;
	*msr = value;
	return 0;
}

/* CPUID may fault only while the platform has it: neither write may undo the other. */

static int set_platform_info(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	if (guest || (vcpu->msrs.misc_features && !(value & MSR_PLATFORM_INFO_CPUID_FAULT)))
		return -EINVAL;
	vcpu->msrs.platform_info = value;
	return 0;
}

static int set_misc_features(struct slat_vcpu *vcpu, u64 value)
{
	if (value & ~MSR_MISC_FEATURES_ENABLES_CPUID_FAULT)
		return -EINVAL;
	if (value && !(vcpu->msrs.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT))
		return -EINVAL;
	vcpu->msrs.misc_features = value;
	return 0;
}

static int set_hwcr(struct slat_vcpu *vcpu, u64 value)
{
	/* Filters and caches of the TLB, and IGNNE: without effect. */
	value &= ~(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8));
	if (value & ~SLAT_HWCR_MC_STATUS_WRITABLE)
		return -EINVAL;
	vcpu->msrs.hwcr = value;
	return 0;
}

static int set_de_cfg(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	u64 host;

	slat_msr_get_feature(MSR_AMD64_DE_CFG, &host);
	/* The VMM may take from it, the guest may change nothing. */
	if ((value & ~host) || (guest && value != host))
		return -EINVAL;
	vcpu->msrs.de_cfg = value;
	return 0;
}

static int set_vm_cr(struct slat_vcpu *vcpu, u64 value)
{
	const u64 locked = SVM_VM_CR_SVM_LOCK_MASK | SVM_VM_CR_SVM_DIS_MASK;
	u64 *msr = &vcpu->msrs.vm_cr;
	u64 changeable = SVM_VM_CR_VALID_MASK;

	if (value & ~SVM_VM_CR_VALID_MASK)
		return -EINVAL;
	if ((value & SVM_VM_CR_SVM_DIS_MASK) && (vcpu->mode.efer & EFER_SVME))
		return -EINVAL;
	if (*msr & SVM_VM_CR_SVM_DIS_MASK)
		changeable &= ~locked;
	*msr = (*msr & ~changeable) | (value & changeable);
	return 0;
}

static int set_hsave(struct slat_vcpu *vcpu, u64 value, bool guest)
{
	if (guest && ((value & ~PAGE_MASK) || value >> vcpu->limits.phys_bits))
		return -EINVAL;
	vcpu->msrs.vm_hsave = value & PAGE_MASK;
	return 0;
}

/* 0, -EINVAL, or -ENOENT for an MSR that is not of those of kept(). */
static int set_kept(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest)
{
	switch (index) {
	case MSR_IA32_TSC_ADJUST:
		set_tsc_adjust(vcpu, value, guest);
		return 0;
	case MSR_IA32_MISC_ENABLE:
		return set_misc_enable(vcpu, value, guest);
	case MSR_PLATFORM_INFO:
		return set_platform_info(vcpu, value, guest);
	case MSR_MISC_FEATURES_ENABLES:
		return set_misc_features(vcpu, value);
	case MSR_IA32_UCODE_REV:
		if (!guest)
			vcpu->msrs.ucode_rev = value;
		return 0;
	case MSR_K7_HWCR:
		return set_hwcr(vcpu, value);
	case MSR_AMD64_DE_CFG:
		return set_de_cfg(vcpu, value, guest);
	case MSR_VM_CR:
		return set_vm_cr(vcpu, value);
	case MSR_VM_HSAVE_PA:
		return set_hsave(vcpu, value, guest);
	case MSR_AMD64_OSVW_ID_LENGTH:
	case MSR_AMD64_OSVW_STATUS:
		if (!has_osvw(vcpu))
			return -EINVAL;
		fallthrough;
	case MSR_IA32_POWER_CTL:
		*kept(vcpu, index) = value;
		return 0;
	}
	return -ENOENT;
}

static bool is_mce(u32 index)
{
	return (index >= MSR_IA32_MCG_CAP && index <= MSR_IA32_MCG_CTL) ||
	       index - MSR_IA32_MC0_CTL < 4 * SLAT_MCE_BANKS ||
	       index - MSR_IA32_MC0_CTL2 < SLAT_MCE_BANKS;
}

static int get_constant(u32 index, u64 *value)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(constants); i++) {
		if (index < constants[i].first || index > constants[i].last)
			continue;
		*value = constants[i].value;
		return 0;
	}
	return -ENOENT;
}

static int get_rest(struct slat_vcpu *vcpu, u32 index, u64 *value, bool guest)
{
	const u64 *from = kept(vcpu, index);

	if (is_osvw(index) && !has_osvw(vcpu))
		return -EINVAL;
	if (guest && index == MSR_PLATFORM_INFO && READ_ONCE(vcpu->vm->hide_platform_info))
		return -EINVAL;
	if (from)
		*value = *from;
	else if (is_mce(index))
		return slat_mce_get(vcpu, index, value, guest);
	else if (!guest && is_zero_for_vmm(index))
		*value = 0;
	else if (slat_mtrr_get(vcpu, index, value))
		return get_constant(index, value);
	return 0;
}

int slat_msr_get(struct slat_vcpu *vcpu, u32 index, u64 *value, bool guest)
{
	int ret;

	switch (index) {
	case MSR_IA32_TSC:
		*value = slat_tsc_get(vcpu) + (guest ? vcpu->inner_tsc : 0);
		return 0;
	case MSR_IA32_APICBASE:
		*value = vcpu->apic_base;
		return 0;
	case MSR_TSC_AUX:
		*value = vcpu->msrs.tsc_aux;
		return has_tsc_aux(vcpu, guest) ? 0 : -EINVAL;
	}
	ret = slat_hw->get_msr(vcpu, index, value);
	return ret == -ENOENT ? get_rest(vcpu, index, value, guest) : ret;
}

static int set_rest(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest)
{
	int ret = set_kept(vcpu, index, value, guest);

	if (ret != -ENOENT)
		return ret;
	if (is_mce(index))
		return slat_mce_set(vcpu, index, value, guest);
	if (is_write_ignored(index))
		return 0;
	if (index == MSR_FAM10H_MMIO_CONF_BASE)
		return value ? -EINVAL : 0;
	if (!guest && is_zero_for_vmm(index))
		return value ? -EINVAL : 0;
	return slat_mtrr_set(vcpu, index, value);
}

int slat_msr_set(struct slat_vcpu *vcpu, u32 index, u64 value, bool guest)
{
	/* The widest that the CPU can do, whatever the guest's mode is now. */
	const u64 widest = boot_cpu_has(X86_FEATURE_LA57) ? X86_CR4_LA57 : 0;
	int ret;

	switch (index) {
	case MSR_EFER:
		return set_efer(vcpu, value, guest);
	case MSR_IA32_TSC:
		set_tsc(vcpu, value, guest);
		return 0;
	case MSR_IA32_APICBASE:
		return set_apic_base(vcpu, value);
	case MSR_TSC_AUX:
		if (!has_tsc_aux(vcpu, guest))
			return -EINVAL;
		vcpu->msrs.tsc_aux = value;
		return 0;
	case MSR_IA32_CR_PAT:
		if (!slat_pat_valid(value))
			return -EINVAL;
		break;
	default:
		if (holds_address(index) && !slat_is_canonical(value, widest))
			return -EINVAL;
	}
	ret = slat_hw->set_msr(vcpu, index, value);
	return ret == -ENOENT ? set_rest(vcpu, index, value, guest) : ret;
}

int slat_msr_get_feature(u32 index, u64 *value)
{
	*value = 0;
	switch (index) {
	case MSR_AMD64_DE_CFG:
		if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
			*value |= MSR_AMD64_DE_CFG_LFENCE_SERIALIZE;
		return 0;
	case MSR_IA32_UCODE_REV:
		/* Where the host cannot tell, 0 is the answer. */
		rdmsrl_safe(index, value);
		return 0;
	}
	return -ENOENT;
}

void slat_msrs_init(struct slat_vcpu *vcpu)
{
	vcpu->msrs = (struct slat_msrs) {
		.misc_enable = MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL |
			       MSR_IA32_MISC_ENABLE_BTS_UNAVAIL,
		.platform_info = MSR_PLATFORM_INFO_CPUID_FAULT,
		.ucode_rev = 0x01000065,
		.mce.cap = SLAT_MCE_BANKS,
	};
}

/* Those with a state that is not always the same, for a VMM to move. */
static const u32 list[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_STAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_SYSCALL_MASK, MSR_LSTAR,
	MSR_IA32_TSC, MSR_IA32_CR_PAT, MSR_VM_HSAVE_PA,
	MSR_IA32_TSC_ADJUST, MSR_IA32_MISC_ENABLE, MSR_IA32_MCG_STATUS, MSR_IA32_MCG_CTL,
	MSR_IA32_POWER_CTL, MSR_IA32_UCODE_REV, MSR_K7_HWCR,
	MSR_PLATFORM_INFO, MSR_MISC_FEATURES_ENABLES,
	MSR_TSC_AUX,	/* not everywhere, hence the last */
};

static const u32 feature_list[] = { MSR_AMD64_DE_CFG, MSR_IA32_UCODE_REV };

struct slat_msr_list slat_msr_list(void)
{
	return (struct slat_msr_list) { list, ARRAY_SIZE(list) - !host_has_tsc_aux() };
}

const struct slat_msr_list slat_msr_feature_list = { feature_list, ARRAY_SIZE(feature_list) };
