// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: what this machine's CPUs have, and what each VMCS begins with. */
#include <linux/gfp.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "compat.h"
#include "entry.h"
#include "vmx.h"

struct vmx_config vmx_config;
static void *msr_bitmap;
static void *msr_bitmap_all;	/* every MSR exits */

/**
 * struct control - a control field of the VMCS
 * @msr:	that says which bits may and which must be 1
 * @need:	bits that slat cannot do without
 * @want:	bits that are set where the CPU has them
 * @value:	out: what to run with
 */
struct control {
	u32 msr;
	u32 need;
	u32 want;
	u32 value;
};

static struct control pin_based = {
	.msr = MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	.need = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS,
};

static struct control primary = {
	.msr = MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	.need = CPU_BASED_USE_TSC_OFFSETTING | CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING |
		CPU_BASED_RDPMC_EXITING | CPU_BASED_CR8_LOAD_EXITING |
		CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING |
		CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS |
		CPU_BASED_MONITOR_EXITING | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
};

static struct control secondary = {
	.msr = MSR_IA32_VMX_PROCBASED_CTLS2,
	.need = SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID |
		SECONDARY_EXEC_UNRESTRICTED_GUEST | SECONDARY_EXEC_WBINVD_EXITING,
	.want = SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_ENCLS_EXITING,
};

static struct control on_exit = {
	.msr = MSR_IA32_VMX_TRUE_EXIT_CTLS,
	.need = VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_SAVE_DEBUG_CONTROLS |
		VM_EXIT_LOAD_IA32_PAT | VM_EXIT_SAVE_IA32_EFER | VM_EXIT_LOAD_IA32_EFER,
};

static struct control on_entry = {
	.msr = MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	.need = VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER,
};

/* The low half of the MSR has what must be 1, the high half what may. */
static bool settle(struct control *control)
{
	u64 allowed;

	rdmsrl(control->msr, allowed);
	control->value = (control->need | control->want | (u32)allowed) & (u32)(allowed >> 32);
	return (control->value & control->need) == control->need;
}

static const char *missing_capability(u64 cap)
{
	const u64 invept = VMX_EPT_INVEPT_BIT | VMX_EPT_EXTENT_CONTEXT_BIT;
	const u64 invvpid = (VMX_VPID_INVVPID_BIT | VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT) << 32;

	if (!(cap & VMX_EPT_PAGE_WALK_4_BIT) || !(cap & VMX_EPTP_WB_BIT))
		return "extended page tables of 4 levels in write-back memory";
	if (!(cap & VMX_EPT_AD_BIT))
		return "accessed and dirty bits in extended page tables";
	if ((cap & invept) != invept)
		return "INVEPT of a single context";
	if ((cap & invvpid) != invvpid)
		return "INVVPID of a single context";
	return NULL;
}

/* A guest must not find in the L1 cache what the host left there (L1TF). */
static const char *missing_l1d_flush(void)
{
	u64 caps = 0;

	vmx_config.l1d_flush = false;
	if (!boot_cpu_has_bug(X86_BUG_L1TF) || cpu_mitigations_off())
		return NULL;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	if (caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return NULL;
	vmx_config.l1d_flush = true;
	return boot_cpu_has(X86_FEATURE_FLUSH_L1D) ?
	       NULL : "the microcode that flushes the L1 cache, which its CPU needs (L1TF)";
}

static const char *missing(void)
{
	u64 basic, cap;

	if (!boot_cpu_has(X86_FEATURE_VMX))
		return "VT-x (or firmware has switched it off)";
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	if (!(basic & VMX_BASIC_TRUE_CTLS))
		return "VT-x with true control MSRs";
	if (!settle(&primary) || !settle(&secondary))
		return "extended page tables, VPIDs or unrestricted guests";
	if (!settle(&pin_based) || !settle(&on_exit) || !settle(&on_entry))
		return "virtual NMIs, or the switching of EFER and PAT";
	if (slat_has_fred())
		return "support in slat for FRED, which is active,";
	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	return missing_capability(cap) ?: missing_l1d_flush();
}

/*
 * The host's performance counters stand still in the guest: some write records, to
 * addresses that would be the guest's there.
 */
static void set_counters(void)
{
	struct control exit = on_exit, entry = on_entry;

	exit.need |= VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
	entry.need |= VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
	/* From version 2 on there is one MSR that stops them all. */
	vmx_config.stops_counters = boot_cpu_has(X86_FEATURE_ARCH_PERFMON) &&
				    (cpuid_eax(10) & 0xff) >= 2 && settle(&exit) && settle(&entry);
	if (vmx_config.stops_counters) {
		on_exit.value = exit.value;
		on_entry.value = entry.value;
	}
}

static void set_formats(void)
{
	u64 cap;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	/* A fifth level is only worth its walk where addresses need it. */
	slat_hw_levels = (cap & VMX_EPT_PAGE_WALK_5_BIT) && boot_cpu_data.x86_phys_bits > 48 ? 5 : 4;
	slat_hw_leaf_levels = cap & VMX_EPT_1GB_PAGE_BIT ? 3 : cap & VMX_EPT_2MB_PAGE_BIT ? 2 : 1;
	/* An entry holds the type itself. */
	slat_hw_types = BIT(SLAT_MT_UC) | BIT(SLAT_MT_WC) | BIT(SLAT_MT_WT) | BIT(SLAT_MT_WP) |
			BIT(SLAT_MT_WB) | BIT(SLAT_MT_UC_MINUS);
}

/* Let the guest use an MSR: a bit for reading, one for writing, in two ranges of 8K MSRs. */
static void pass_msr(u32 msr)
{
	const unsigned int high = msr >= 0xc0000000 ? 0x400 * 8 : 0;

	__clear_bit(high + (msr & 0x1fff), msr_bitmap);
	__clear_bit(0x800 * 8 + high + (msr & 0x1fff), msr_bitmap);
}

/* The VMCS switches these, vmx_run_once() the last. */
static void init_msr_bitmap(void)
{
	static const u32 passed[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP,
		MSR_IA32_SYSENTER_EIP, MSR_KERNEL_GS_BASE,
	};
	unsigned int i;

	memset(msr_bitmap_all, 0xff, PAGE_SIZE);
	memset(msr_bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		pass_msr(passed[i]);
	vmx_config.msr_bitmap = __pa(msr_bitmap);
	vmx_config.msr_bitmap_all = __pa(msr_bitmap_all);
}

/* RDTSCP and RDPID are the guest's if its CPUID says so, and the CPU lets us. */
static bool has_rdtscp_control(void)
{
	u64 allowed;

	rdmsrl(secondary.msr, allowed);
	return (allowed >> 32) & SECONDARY_EXEC_ENABLE_RDTSCP;
}

static void set_config(void)
{
	u64 basic;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	vmx_config.revision = vmx_basic_vmcs_revision_id(basic);
	set_counters();
	vmx_config.pin_based = pin_based.value;
	vmx_config.primary = primary.value;
	vmx_config.secondary = secondary.value;
	vmx_config.rdtscp = has_rdtscp_control() ? SECONDARY_EXEC_ENABLE_RDTSCP : 0;
	vmx_config.on_exit = on_exit.value;
	vmx_config.on_entry = on_entry.value;
}

void vmx_config_exit(void)
{
	free_page((unsigned long)msr_bitmap_all);
	free_page((unsigned long)msr_bitmap);
}

int vmx_config_init(void)
{
	const char *what = missing();

	if (what) {
		pr_err("slat: this machine lacks %s\n", what);
		return -EOPNOTSUPP;
	}
	set_formats();
	set_config();
	msr_bitmap = (void *)__get_free_page(GFP_KERNEL);
	msr_bitmap_all = (void *)__get_free_page(GFP_KERNEL);
	if (!msr_bitmap || !msr_bitmap_all) {
		vmx_config_exit();
		return -ENOMEM;
	}
	init_msr_bitmap();
	return 0;
}
