// SPDX-License-Identifier: GPL-2.0-only
/* CPUID: what slat can give a guest, and what a guest was given. */
#include <linux/string.h>
#include <uapi/linux/kvm_para.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/processor.h>
#include <asm/svm.h>

#include "vcpu.h"

#define F(name)		BIT(X86_FEATURE_##name & 31)

/*
 * A feature is here when a guest can use it without slat doing anything, or when
 * slat does what it needs.  The host's CPUID is cut down to these.
 */
#define LEAF1_EDX	(F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | \
			 F(CX8) | F(APIC) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | \
			 F(PAT) | F(PSE36) | F(CLFLUSH) | F(MMX) | F(FXSR) | F(XMM) | F(XMM2))
#define LEAF1_ECX	(F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) | \
			 F(XMM4_1) | F(XMM4_2) | F(MOVBE) | F(POPCNT) | F(AES) | F(XSAVE) | \
			 F(AVX) | F(F16C) | F(RDRAND))
#define LEAF7_EBX	(F(FSGSBASE) | F(BMI1) | F(AVX2) | F(SMEP) | F(BMI2) | F(ERMS) | \
			 F(INVPCID) | F(AVX512F) | F(AVX512DQ) | F(RDSEED) | F(ADX) | F(SMAP) | \
			 F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) | F(AVX512CD) | F(SHA_NI) | \
			 F(AVX512BW) | F(AVX512VL))
#define LEAF7_ECX	(F(AVX512VBMI) | F(UMIP) | F(AVX512_VBMI2) | F(GFNI) | F(VAES) | \
			 F(VPCLMULQDQ) | F(AVX512_VNNI) | F(AVX512_BITALG) | \
			 F(AVX512_VPOPCNTDQ) | F(LA57) | F(RDPID))
#define LEAF7_EDX	(F(FSRM))
#define EXT1_EDX	((LEAF1_EDX & 0x0183f3ff) | F(SYSCALL) | F(NX) | F(MMXEXT) | \
			 F(FXSR_OPT) | F(GBPAGES) | F(RDTSCP) | F(LM))
#define EXT1_ECX	(F(LAHF_LM) | F(CR8_LEGACY) | F(ABM) | F(SSE4A) | F(MISALIGNSSE) | \
			 F(3DNOWPREFETCH))
#define EXT7_EDX	(F(CONSTANT_TSC))
/* XSAVE without XSAVES: supervisor state is never switched for a guest. */
#define XSAVE_EAX	(F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1))

#define XCR0_KNOWN	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | \
			 XFEATURE_MASK_AVX512)

/*
 * Of KVM's own features.  A guest that finds KVM's signature makes hypercalls; those
 * that are not there answer with -KVM_ENOSYS.
 */
#define KVM_FEATURES	BIT(KVM_FEATURE_NOP_IO_DELAY)

#define MAX_BASIC	0xd
#define MAX_EXTENDED	0x80000008
#define MAX_NESTED	SVM_CPUID_FUNC	/* where guests have SVM */

/* CR4 bits that come with a CPUID feature. */
static const struct {
	u64 bit;
	u32 function;
	u8 reg;		/* 1: EBX, 2: ECX */
	u32 feature;
} cr4_features[] = {
	{ X86_CR4_PCIDE, 1, 2, F(PCID) },
	{ X86_CR4_OSXSAVE, 1, 2, F(XSAVE) },
	{ X86_CR4_FSGSBASE, 7, 1, F(FSGSBASE) },
	{ X86_CR4_SMEP, 7, 1, F(SMEP) },
	{ X86_CR4_SMAP, 7, 1, F(SMAP) },
	{ X86_CR4_UMIP, 7, 2, F(UMIP) },
	{ X86_CR4_LA57, 7, 2, F(LA57) },
};

#define CR4_ALWAYS	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

u64 slat_cpuid_xcr0(void)
{
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return 0;
	return xgetbv(XCR_XFEATURE_ENABLED_MASK) & XCR0_KNOWN;
}

bool slat_cpuid_xcr0_valid(u64 xcr0)
{
	const u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (xcr0 & ~slat_cpuid_xcr0() || !(xcr0 & XFEATURE_MASK_FP))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XFEATURE_MASK_AVX512 && (xcr0 & XFEATURE_MASK_YMM));
}

/* Bytes of an XSAVE area, not compacted, that holds @xcr0. */
static u32 xsave_size(u64 xcr0)
{
	u32 size = sizeof(struct fxregs_state) + sizeof(struct xstate_header);
	unsigned int i;

	for (i = 2; i < 63; i++) {
		u32 len, offset, ecx, edx;

		if (!(xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &len, &offset, &ecx, &edx);
		size = max(size, offset + len);
	}
	return size;
}

/* Supported CPUID */

static void host_cpuid(struct kvm_cpuid_entry2 *entry, u32 function, u32 index)
{
	*entry = (struct kvm_cpuid_entry2) { .function = function, .index = index };
	cpuid_count(function, index, &entry->eax, &entry->ebx, &entry->ecx, &entry->edx);
}

static void clear(struct kvm_cpuid_entry2 *entry)
{
	entry->eax = 0;
	entry->ebx = 0;
	entry->ecx = 0;
	entry->edx = 0;
}

static void leaf_1(struct kvm_cpuid_entry2 *entry)
{
	entry->ebx &= 0x0000ff00;	/* CLFLUSH size; the rest is the VMM's to say */
	entry->ecx &= LEAF1_ECX;
	entry->ecx |= F(HYPERVISOR);
	entry->edx &= LEAF1_EDX;
	if (!slat_cpuid_xcr0())
		entry->ecx &= ~(F(XSAVE) | F(AVX) | F(FMA) | F(F16C));
}

static void leaf_7(struct kvm_cpuid_entry2 *entry)
{
	entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	entry->eax = 0;
	entry->ebx &= LEAF7_EBX;
	entry->ebx |= F(TSC_ADJUST);	/* needs no help of the CPU */
	entry->ecx &= LEAF7_ECX;
	entry->edx &= LEAF7_EDX;
}

static void leaf_d(struct kvm_cpuid_entry2 *entry)
{
	const u64 xcr0 = slat_cpuid_xcr0();

	entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	switch (entry->index) {
	case 0:
		entry->eax = xcr0;
		entry->ebx = xsave_size(xcr0);
		entry->ecx = entry->ebx;
		entry->edx = xcr0 >> 32;
		break;
	case 1:
		entry->eax &= XSAVE_EAX;
		entry->ebx = 0;
		entry->ecx = 0;
		entry->edx = 0;
		break;
	default:
		entry->ecx &= BIT(1);	/* alignment; never supervisor state */
		entry->edx = 0;
	}
}

/* SVM as it first was, and no more ASIDs than a guest can need. */
static void leaf_svm(struct kvm_cpuid_entry2 *entry)
{
	clear(entry);
	if (slat_nested) {
		entry->eax = 1;
		entry->ebx = 8;
	}
}

static void leaf_address_sizes(struct kvm_cpuid_entry2 *entry)
{
	const unsigned int table_bits = PAGE_SHIFT + SLAT_ENTRIES_LG2 * slat_hw_levels;

	entry->eax &= 0xffff;
	if ((entry->eax & 0xff) > table_bits)
		entry->eax = (entry->eax & 0xff00) | table_bits;
	entry->ebx = 0;
	entry->ecx = 0;
	entry->edx = 0;
}

static u32 max_extended(void)
{
	return slat_nested ? MAX_NESTED : MAX_EXTENDED;
}

static void cut_down(struct kvm_cpuid_entry2 *entry)
{
	switch (entry->function) {
	case 0:
		entry->eax = min_t(u32, entry->eax, MAX_BASIC);
		break;
	case 1:
		leaf_1(entry);
		break;
	case 7:
		leaf_7(entry);
		break;
	case 0xd:
		leaf_d(entry);
		break;
	case 0x80000000:
		entry->eax = min_t(u32, entry->eax, max_extended());
		break;
	case 0x80000001:
		entry->ebx = 0;
		entry->ecx &= EXT1_ECX | (slat_nested ? F(SVM) : 0);
		entry->edx &= EXT1_EDX;
		break;
	case 0x80000002 ... 0x80000006:
		break;	/* the CPU's name and caches */
	case 0x80000007:
		entry->eax = 0;
		entry->ebx = 0;
		entry->ecx = 0;
		entry->edx &= EXT7_EDX;
		break;
	case 0x80000008:
		leaf_address_sizes(entry);
		break;
	case SVM_CPUID_FUNC:
		leaf_svm(entry);
		break;
	default:
		clear(entry);
	}
}

struct list {
	struct kvm_cpuid_entry2 *entry;
	unsigned int nr;
	unsigned int max;
};

/* Room for one more, or NULL. */
static struct kvm_cpuid_entry2 *next(struct list *list)
{
	return list->nr == list->max ? NULL : &list->entry[list->nr++];
}

static bool add(struct list *list, u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *entry = next(list);

	if (!entry)
		return false;
	host_cpuid(entry, function, index);
	cut_down(entry);
	return true;
}

/* The sub-leaves of 0xd that exist; 0 was added. */
static bool add_xsave(struct list *list)
{
	const u64 xcr0 = slat_cpuid_xcr0();
	unsigned int i;

	if (!xcr0)
		return true;
	for (i = 1; i < 63; i++)
		if ((i == 1 || (xcr0 & BIT_ULL(i))) && !add(list, 0xd, i))
			return false;
	return true;
}

static bool add_leaves(struct list *list, u32 first)
{
	const u32 max = first ? max_extended() : MAX_BASIC;
	const u32 last = min(cpuid_eax(first), max);
	u32 function;

	for (function = first; function <= last; function++) {
		if (!add(list, function, 0))
			return false;
		if (function == 0xd && !add_xsave(list))
			return false;
	}
	return true;
}

/* The leaves by which a guest knows its hypervisor; the host's are none of its business. */
static bool add_hypervisor(struct list *list)
{
	struct kvm_cpuid_entry2 *signature = next(list), *features = next(list);
	u32 text[3];

	if (!features)
		return false;
	BUILD_BUG_ON(sizeof(KVM_SIGNATURE) != sizeof(text) + 1);
	memcpy(text, KVM_SIGNATURE, sizeof(text));
	*signature = (struct kvm_cpuid_entry2) {
		.function = KVM_CPUID_SIGNATURE, .eax = KVM_CPUID_FEATURES,
		.ebx = text[0], .ecx = text[1], .edx = text[2],
	};
	*features = (struct kvm_cpuid_entry2) {
		.function = KVM_CPUID_FEATURES, .eax = KVM_FEATURES,
	};
	return true;
}

int slat_cpuid_supported(struct kvm_cpuid_entry2 *entry, unsigned int max)
{
	struct list list = { .entry = entry, .max = max };

	if (!add_leaves(&list, 0) || !add_leaves(&list, 0x80000000) || !add_hypervisor(&list))
		return -E2BIG;
	return list.nr;
}

/* The guest's CPUID */

const struct kvm_cpuid_entry2 *slat_cpuid_find(struct slat_vcpu *vcpu, u32 function, u32 index)
{
	unsigned int i;

	for (i = 0; i < vcpu->nr_cpuid; i++) {
		const struct kvm_cpuid_entry2 *entry = &vcpu->cpuid[i];

		if (entry->function == function &&
		    (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index))
			return entry;
	}
	return NULL;
}

static bool misc_enable_counts(struct slat_vcpu *vcpu)
{
	return READ_ONCE(vcpu->vm->quirks_off) & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT;
}

bool slat_cpuid_mwait(struct slat_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = slat_cpuid_find(vcpu, 1, 0);

	if (!entry)
		return false;
	if (misc_enable_counts(vcpu))
		return vcpu->msrs.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT;
	return entry->ecx & F(MWAIT);
}

/* Most leaves follow nothing. */
static bool follows(const struct kvm_cpuid_entry2 *entry)
{
	return entry->function == 1 || entry->function == 0xd;
}

void slat_cpuid_follow(struct slat_vcpu *vcpu, struct kvm_cpuid_entry2 *entry)
{
	if (entry->function == 1) {
		entry->ecx &= ~F(OSXSAVE);
		if (vcpu->mode.cr4 & X86_CR4_OSXSAVE)
			entry->ecx |= F(OSXSAVE);
		if (misc_enable_counts(vcpu))
			entry->ecx &= ~F(MWAIT);
		if (misc_enable_counts(vcpu) && slat_cpuid_mwait(vcpu))
			entry->ecx |= F(MWAIT);
	} else if (entry->function == 0xd && entry->index == 0 && slat_cpuid_xcr0()) {
		entry->ebx = xsave_size(vcpu->xcr0);
	}
}

static void give(struct slat_vcpu *vcpu, const struct kvm_cpuid_entry2 *entry)
{
	vcpu->gpr[SLAT_RAX] = entry->eax;
	vcpu->gpr[SLAT_RBX] = entry->ebx;
	vcpu->gpr[SLAT_RCX] = entry->ecx;
	vcpu->gpr[SLAT_RDX] = entry->edx;
}

static noinline void give_current(struct slat_vcpu *vcpu, struct kvm_cpuid_entry2 entry)
{
	slat_cpuid_follow(vcpu, &entry);
	give(vcpu, &entry);
}

int slat_cpuid_exit(struct slat_vcpu *vcpu)
{
	static const struct kvm_cpuid_entry2 none;
	const struct kvm_cpuid_entry2 *entry;

	if (vcpu->msrs.misc_features && vcpu->mode.cpl)
		return -EPERM;
	entry = slat_cpuid_find(vcpu, vcpu->gpr[SLAT_RAX], vcpu->gpr[SLAT_RCX]) ?: &none;
	if (follows(entry))
		give_current(vcpu, *entry);
	else
		give(vcpu, entry);
	return 0;
}

/* The guest's answer, as far as the host can back it. */
static bool guest_has(struct slat_vcpu *vcpu, u32 function, u8 reg, u32 feature)
{
	const struct kvm_cpuid_entry2 *entry = slat_cpuid_find(vcpu, function, 0);
	struct kvm_cpuid_entry2 host;

	if (!entry)
		return false;
	host_cpuid(&host, function, 0);
	cut_down(&host);
	switch (reg) {
	case 1:
		return entry->ebx & host.ebx & feature;
	case 2:
		return entry->ecx & host.ecx & feature;
	default:
		return entry->edx & host.edx & feature;
	}
}

static bool host_has(u32 function, u8 reg, u32 feature)
{
	struct kvm_cpuid_entry2 host;

	if (function > cpuid_eax(0))
		return false;
	host_cpuid(&host, function, 0);
	cut_down(&host);
	return (reg == 1 ? host.ebx : host.ecx) & feature;
}

/* Before it has a CPUID, a VMM may restore it with all that could be in one. */
static u64 guest_cr4(struct slat_vcpu *vcpu)
{
	u64 cr4 = CR4_ALWAYS;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		const u32 function = cr4_features[i].function, feature = cr4_features[i].feature;
		const u8 reg = cr4_features[i].reg;

		if (vcpu->nr_cpuid ? guest_has(vcpu, function, reg, feature) :
				     host_has(function, reg, feature))
			cr4 |= cr4_features[i].bit;
	}
	return cr4;
}

static u64 guest_efer(struct slat_vcpu *vcpu)
{
	u64 efer = EFER_SCE | EFER_LMA;

	if (guest_has(vcpu, 0x80000001, 3, F(LM)))
		efer |= EFER_LME;
	if (guest_has(vcpu, 0x80000001, 3, F(NX)))
		efer |= EFER_NX;
	if (guest_has(vcpu, 0x80000001, 3, F(FXSR_OPT)))
		efer |= EFER_FFXSR;
	if (guest_has(vcpu, 0x80000001, 2, F(SVM)))
		efer |= EFER_SVME;
	return efer;
}

static unsigned int guest_phys_bits(struct slat_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *entry = slat_cpuid_find(vcpu, 0x80000008, 0);
	const unsigned int bits = entry ? entry->eax & 0xff : 0;

	/* What a CPU without the leaf has; anything wild is cut to what entries hold. */
	return bits ? clamp(bits, 32U, 52U) : 36;
}

void slat_cpuid_set(struct slat_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, unsigned int nr)
{
	vcpu->cpuid = entries;
	vcpu->nr_cpuid = nr;
	vcpu->limits = (struct slat_limits) {
		.cr4 = guest_cr4(vcpu),
		.efer = guest_efer(vcpu),
		.phys_bits = guest_phys_bits(vcpu),
		.rdtscp = guest_has(vcpu, 0x80000001, 3, F(RDTSCP)),
		.mtrr = guest_has(vcpu, 1, 3, F(MTRR)),
		.tsc_aux = guest_has(vcpu, 0x80000001, 3, F(RDTSCP)) ||
			   guest_has(vcpu, 7, 2, F(RDPID)),
	};
	slat_hw->follow_limits(vcpu);
}

u64 slat_cpuid_efer(void)
{
	return EFER_SCE | EFER_LMA | EFER_LME | (boot_cpu_has(X86_FEATURE_NX) ? EFER_NX : 0) |
	       (boot_cpu_has(X86_FEATURE_FXSR_OPT) ? EFER_FFXSR : 0) |
	       (slat_nested ? EFER_SVME : 0);
}
