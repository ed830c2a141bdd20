// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VT-x: probing, per-CPU state, where the VMCS is, entering the guest, and what
 * an exit means.  SDM volume 3, "Virtual Machine Extensions".
 */
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/xcr.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/traps.h>

#include "compat.h"
#include "flush_check.h"
#include "table.h"
#include "vmx.h"

#define MAX_VPID	0xffff

/* Instructions that exit, but not in any guest that may use them. */
#define EXIT_REASON_GETSEC	11
#define EXIT_REASON_RSM		17
#define EXIT_REASON_SEAMCALL	76
#define EXIT_REASON_TDCALL	77

/**
 * struct vmx_cpu - what a CPU needs
 * @vmxon:	the CPU's own page while VMX is on
 * @loaded:	the vCPUs whose VMCS its caches may hold
 * @current_vmx: the one that VMREAD and VMWRITE go to
 * @serial:	of the vCPU that ran last
 * @xcr0:	the host's
 * @tsc_aux:	the host's
 * @syscall:	the host's
 */
struct vmx_cpu {
	void *vmxon;
	struct list_head loaded;
	struct vmx_vcpu *current_vmx;
	u64 serial;
	u64 xcr0;
	u64 tsc_aux;
	struct vmx_syscall syscall;
};

static DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);
static DEFINE_IDA(vpids);
static void *msr_bitmap;
static void *msr_bitmap_all;	/* every MSR exits */
static u32 revision;
static bool l1d_flush;
static bool stops_counters;

bool slat_vmx_switch(u64 *gpr, bool launched, u32 spec_ctrl);
extern const u8 slat_vmx_exit[];

/* Setup */

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

/* RDTSCP and RDPID are the guest's if its CPUID says so, and the CPU lets us. */
static bool has_rdtscp_control(void)
{
	u64 allowed;

	rdmsrl(secondary.msr, allowed);
	return (allowed >> 32) & SECONDARY_EXEC_ENABLE_RDTSCP;
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

	l1d_flush = false;
	if (!boot_cpu_has_bug(X86_BUG_L1TF) || cpu_mitigations_off())
		return NULL;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	if (caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return NULL;
	l1d_flush = true;
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
	stops_counters = boot_cpu_has(X86_FEATURE_ARCH_PERFMON) && (cpuid_eax(10) & 0xff) >= 2 &&
			 settle(&exit) && settle(&entry);
	if (stops_counters) {
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

static void free_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_page((unsigned long)per_cpu(vmx_cpus.vmxon, cpu));
}

static int alloc_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);

		INIT_LIST_HEAD(&vc->loaded);
		vc->vmxon = (void *)get_zeroed_page(GFP_KERNEL);
		if (!vc->vmxon) {
			free_cpus();
			return -ENOMEM;
		}
		*(u32 *)vc->vmxon = revision;
	}
	return 0;
}

/* Let the guest use an MSR: a bit for reading, one for writing, in two ranges of 8K MSRs. */
static void pass_msr(u32 msr)
{
	const unsigned int high = msr >= 0xc0000000 ? 0x400 * 8 : 0;

	__clear_bit(high + (msr & 0x1fff), msr_bitmap);
	__clear_bit(0x800 * 8 + high + (msr & 0x1fff), msr_bitmap);
}

/* The VMCS switches these, run_once() the last. */
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
}

static void vmx_teardown(void)
{
	free_page((unsigned long)msr_bitmap_all);
	free_page((unsigned long)msr_bitmap);
	slat_flush_check_exit();
	free_cpus();
	ida_destroy(&vpids);
}

static int vmx_setup(void)
{
	const char *what = missing();
	u64 basic;

	if (what) {
		pr_err("slat: this machine lacks %s\n", what);
		return -EOPNOTSUPP;
	}
	set_formats();
	set_counters();
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	revision = vmx_basic_vmcs_revision_id(basic);
	if (alloc_cpus())
		return -ENOMEM;
	msr_bitmap = (void *)__get_free_page(GFP_KERNEL);
	msr_bitmap_all = (void *)__get_free_page(GFP_KERNEL);
	if (!msr_bitmap || !msr_bitmap_all || slat_flush_check_init(MAX_VPID + 1)) {
		vmx_teardown();
		return -ENOMEM;
	}
	init_msr_bitmap();
	return 0;
}

/* VMX on and off */

/* Faults where firmware has not enabled VMX, on this CPU other than on the first. */
static int vmxon(u64 pa)
{
	asm goto("1: vmxon %[pa]\n\t"
		 "jbe %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : [pa] "m" (pa) : "cc", "memory" : failed);
	return 0;
failed:
	return -EBUSY;
}

static int vmx_cpu_enable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	int ret;

	if (__read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	slat_trace_pauses(true);
	cr4_set_bits(X86_CR4_VMXE);
	ret = vmxon(__pa(vc->vmxon));
	if (ret) {
		cr4_clear_bits(X86_CR4_VMXE);
		slat_trace_pauses(false);
		return ret;
	}
	vc->serial = 0;
	vc->xcr0 = boot_cpu_has(X86_FEATURE_XSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
	vc->tsc_aux = 0;
	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID))
		rdmsrl(MSR_TSC_AUX, vc->tsc_aux);
	rdmsrl(MSR_STAR, vc->syscall.star);
	rdmsrl(MSR_LSTAR, vc->syscall.lstar);
	rdmsrl(MSR_SYSCALL_MASK, vc->syscall.sfmask);
	return 0;
}

static void clear_vmcs(struct vmx_vcpu *vmx)
{
	asm volatile("vmclear %0" : : "m" (vmx->vmcs_pa) : "cc", "memory");
}

/* The VMCS goes to memory, so that another CPU can take it.  On vmx->cpu, interrupts off. */
static void put_vmcs(struct vmx_vcpu *vmx)
{
	clear_vmcs(vmx);
	if (this_cpu_read(vmx_cpus.current_vmx) == vmx)
		this_cpu_write(vmx_cpus.current_vmx, NULL);
	list_del(&vmx->link);
	vmx->launched = false;
	/* Whoever sees this may load it. */
	smp_store_release(&vmx->cpu, -1);
}

static void vmx_cpu_disable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	struct vmx_vcpu *vmx, *next;

	if (!(__read_cr4() & X86_CR4_VMXE))
		return;
	list_for_each_entry_safe(vmx, next, &vc->loaded, link)
		put_vmcs(vmx);
	asm volatile("vmxoff" : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
	slat_trace_pauses(false);
}

/* Where the VMCS is */

static void put_here(void *data)
{
	struct vmx_vcpu *vmx = data;

	/* Switching VMX off has done it, too. */
	if (vmx->cpu == smp_processor_id())
		put_vmcs(vmx);
}

/* Have the CPU that has it give it up.  Context: process, may be that CPU. */
static void take_away(struct vmx_vcpu *vmx)
{
	const int cpu = READ_ONCE(vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, put_here, vmx, 1);
}

/* What differs from CPU to CPU. */
static void write_host_cpu(void)
{
	struct desc_ptr table;
	u64 value;

	rdmsrl(MSR_GS_BASE, value);
	vmx_write(HOST_GS_BASE, value);
	vmx_write(HOST_TR_BASE, (u64)&get_cpu_entry_area(smp_processor_id())->tss.x86_tss);
	native_store_gdt(&table);
	vmx_write(HOST_GDTR_BASE, table.address);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmx_write(HOST_IA32_SYSENTER_ESP, value);
}

static void write_host(void)
{
	struct desc_ptr table;
	u64 value;

	vmx_write(HOST_CR0, read_cr0());
	vmx_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmx_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmx_write(HOST_DS_SELECTOR, 0);
	vmx_write(HOST_ES_SELECTOR, 0);
	vmx_write(HOST_FS_SELECTOR, 0);
	vmx_write(HOST_GS_SELECTOR, 0);
	vmx_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	store_idt(&table);
	vmx_write(HOST_IDTR_BASE, table.address);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmx_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmx_write(HOST_IA32_SYSENTER_EIP, value);
	rdmsrl(MSR_EFER, value);
	vmx_write(HOST_IA32_EFER, value);
	rdmsrl(MSR_IA32_CR_PAT, value);
	vmx_write(HOST_IA32_PAT, value);
	vmx_write(HOST_RIP, (u64)slat_vmx_exit);
}

static u64 ept_pointer(const struct slat_vcpu *vcpu)
{
	return slat_table_pfn(vcpu->vm->base.root.table) << PAGE_SHIFT | VMX_EPTP_MT_WB |
	       VMX_EPTP_AD_ENABLE_BIT |
	       (vcpu->vm->mmu.levels == 5 ? VMX_EPTP_PWL_5 : VMX_EPTP_PWL_4);
}

/* Once for each VMCS. */
static void prepare(struct vmx_vcpu *vmx)
{
	vmx_write(PIN_BASED_VM_EXEC_CONTROL, pin_based.value);
	vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx->controls);
	vmx_write(VM_EXIT_CONTROLS, on_exit.value);
	vmx_write(VM_ENTRY_CONTROLS, on_entry.value);
	vmx_write(EXCEPTION_BITMAP, vmx->exceptions);
	vmx_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmx_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmx_write(CR3_TARGET_COUNT, 0);
	vmx_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	vmx_write(EPT_POINTER, ept_pointer(vmx->vcpu));
	vmx_write(VMCS_LINK_POINTER, ~0ULL);
	vmx_write(GUEST_IA32_DEBUGCTL, 0);
	vmx_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmx_write(GUEST_DR7, DR7_FIXED);
	if (secondary.value & SECONDARY_EXEC_ENCLS_EXITING)
		vmx_write(ENCLS_EXITING_BITMAP, ~0ULL);
	if (stops_counters)
		vmx_write(GUEST_IA32_PERF_GLOBAL_CTRL, 0);
	write_host();
	vmx->in_vmcs.controls = vmx->controls;
	vmx->in_vmcs.exceptions = vmx->exceptions;
	vmx->in_vmcs.interruptibility = 0;
	vmx->in_vmcs.dr7 = DR7_FIXED;
	vmx->prepared = true;
}

/* Make it current.  No other CPU has it.  Context: interrupts off, VMX on. */
static void get_vmcs(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	const bool arrives = vmx->cpu < 0;

	if (vc->current_vmx == vmx)
		return;
	/* What makes a page a VMCS that was never launched is up to the CPU. */
	if (!vmx->prepared)
		clear_vmcs(vmx);
	asm volatile("vmptrld %0" : : "m" (vmx->vmcs_pa) : "cc", "memory");
	vc->current_vmx = vmx;
	if (!arrives)
		return;
	list_add(&vmx->link, &vc->loaded);
	WRITE_ONCE(vmx->cpu, smp_processor_id());
	if (!vmx->prepared)
		prepare(vmx);
	write_host_cpu();
}

/* Is it another CPU's?  Pairs with put_vmcs(). */
static bool is_away(const struct vmx_vcpu *vmx)
{
	const int cpu = smp_load_acquire(&vmx->cpu);

	return cpu >= 0 && cpu != smp_processor_id();
}

static void vmx_fetch(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	preempt_disable();
	if (is_away(vmx))
		take_away(vmx);
	preempt_enable();
}

/*
 * VMX may be off while the machine goes down.  Then no vCPU runs any more, and the VMM
 * has to be content with an older state.
 */
void vmx_read_state(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->read)
		return;
	preempt_disable();
	if (is_away(vmx))
		take_away(vmx);
	local_irq_disable();
	if (slat_hw_here()) {
		get_vmcs(vmx);
		vmx_load_state(vmx);
		vmx->read = true;
	}
	local_irq_enable();
	preempt_enable();
}

/* vCPUs */

static u64 vmx_get_tsc_offset(struct slat_vcpu *vcpu)
{
	return to_vmx(vcpu)->tsc_offset;
}

static void vmx_set_tsc_offset(struct slat_vcpu *vcpu, u64 offset)
{
	vmx_read_state(vcpu);
	to_vmx(vcpu)->tsc_offset = offset;
	to_vmx(vcpu)->changed = true;
}

static u32 secondary_controls(const struct slat_vcpu *vcpu)
{
	const bool rdtscp = vcpu->limits.tsc_aux && has_rdtscp_control();

	return secondary.value | (rdtscp ? SECONDARY_EXEC_ENABLE_RDTSCP : 0);
}

static void vmx_follow_limits(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_read_state(vcpu);
	vmx->secondary = secondary_controls(vcpu);
	vmx->changed = true;
}

static void vmx_vcpu_reset(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->controls = primary.value;
	/*
	 * #MC is the host's.  #DB and #AC can be made to recur for ever within the
	 * delivery of one event, which only an exit breaks.
	 */
	vmx->exceptions = BIT(X86_TRAP_MC) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC);
	vmx->debug_control = 0;
	vmx->passed_bp = false;
	vmx_set_dr_live(vmx, false);
	vmx_reset_state(vcpu);
	vmx_follow_limits(vcpu);
	slat_inject_reset(vcpu);
}

static int vmx_vcpu_create(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	int vpid;

	if (!vmx)
		return -ENOMEM;
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs)
		goto err;
	vpid = ida_alloc_range(&vpids, 1, MAX_VPID, GFP_KERNEL_ACCOUNT);
	if (vpid < 0)
		goto err_page;
	*(u32 *)vmx->vmcs = revision;
	vmx->vmcs_pa = __pa(vmx->vmcs);
	vmx->vcpu = vcpu;
	vmx->vpid = vpid;
	vmx->cpu = -1;
	vmx->tag_cpu = -1;
	vmx->read = true;
	vcpu->hw = vmx;
	return 0;

err_page:
	free_page((unsigned long)vmx->vmcs);
err:
	kfree(vmx);
	return -ENOMEM;
}

static void vmx_vcpu_free(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	take_away(vmx);
	ida_free(&vpids, vmx->vpid);
	free_page((unsigned long)vmx->vmcs);
	kfree(vmx);
}

/*
 * Translations.  What the guest's own tables say is tagged with its VPID, and dropped
 * where the vCPU comes to another CPU, which may have missed the guest's own flushes.
 * What comes from nested tables is tagged with their root, too, and dropped after cuts.
 */

static void invvpid(u16 vpid)
{
	const struct { u64 vpid, linear; } operand = { vpid };

	asm volatile("invvpid %0, %1" : : "m" (operand), "r" ((u64)VMX_VPID_EXTENT_SINGLE_CONTEXT)
		     : "cc", "memory");
}

static void invept(u64 pointer)
{
	const struct { u64 pointer, reserved; } operand = { pointer };

	asm volatile("invept %0, %1" : : "m" (operand), "r" ((u64)VMX_EPT_EXTENT_CONTEXT)
		     : "cc", "memory");
}

static void drop(struct slat_vcpu *vcpu)
{
	const struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->tag_cpu != smp_processor_id())
		invvpid(vmx->vpid);
	invept(ept_pointer(vcpu));
	slat_flush_note_tag(vmx->vpid);
}

static void flush(struct slat_vcpu *vcpu, u64 gen)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!slat_flush_omit(SLAT_OMIT_TAG))
		drop(vcpu);
	while (!slat_flush_note(vmx->vpid, vcpu, gen))
		drop(vcpu);
	vmx->tag_cpu = smp_processor_id();
	WRITE_ONCE(vcpu->flushed_gen, gen);
}

/* Entering */

/* The guest never gets supervisor state: XSAVES is not enabled for it. */
static void load_xcr0(const struct slat_vcpu *vcpu, u64 from, u64 to)
{
	if ((vcpu->mode.cr4 & X86_CR4_OSXSAVE) && from != to)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, to);
}

static void switch_msr(u32 msr, u64 from, u64 to)
{
	if (from != to)
		wrmsrl(msr, to);
}

/* A guest that does not enable SYSCALL needs none of these. */
static void switch_syscall(const struct slat_vcpu *vcpu, const struct vmx_syscall *from,
			   const struct vmx_syscall *to)
{
	if (!(vcpu->mode.efer & EFER_SCE))
		return;
	switch_msr(MSR_STAR, from->star, to->star);
	switch_msr(MSR_LSTAR, from->lstar, to->lstar);
	switch_msr(MSR_SYSCALL_MASK, from->sfmask, to->sfmask);
}

/**
 * struct host_task - what an exit does not restore of the host's task
 * @ds:		selectors: an exit leaves null ones ...
 * @es:		...
 * @fs:		...
 * @gs:		...
 * @ldt:	...
 * @fs_base:	goes with @fs
 * @gs_base:	the base of the task's GS, which is KERNEL_GS_BASE now
 * @debugctl:	an exit clears it
 */
struct host_task {
	u16 ds;
	u16 es;
	u16 fs;
	u16 gs;
	u16 ldt;
	u64 fs_base;
	u64 gs_base;
	u64 debugctl;
};

static void save_task(struct host_task *task)
{
	u64 counters;

	savesegment(ds, task->ds);
	savesegment(es, task->es);
	savesegment(fs, task->fs);
	savesegment(gs, task->gs);
	store_ldt(task->ldt);
	rdmsrl(MSR_FS_BASE, task->fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, task->gs_base);
	task->debugctl = get_debugctlmsr();
	vmx_write(HOST_FS_BASE, task->fs_base);
	vmx_write(HOST_CR3, __read_cr3());
	vmx_write(HOST_CR4, __read_cr4());
	if (stops_counters) {
		rdmsrl(MSR_CORE_PERF_GLOBAL_CTRL, counters);
		vmx_write(HOST_IA32_PERF_GLOBAL_CTRL, counters);
	}
}

static void restore_task(const struct host_task *task)
{
	/* The selectors may be of segments in it. */
	if (task->ldt)
		asm volatile("lldt %0" : : "m" (task->ldt));
	if (task->ds | task->es) {
		loadsegment(ds, task->ds);
		loadsegment(es, task->es);
	}
	if (task->fs) {
		loadsegment(fs, task->fs);
		wrmsrl(MSR_FS_BASE, task->fs_base);
	}
	if (task->gs)
		load_gs_index(task->gs);
	wrmsrl(MSR_KERNEL_GS_BASE, task->gs_base);
	if (task->debugctl)
		update_debugctlmsr(task->debugctl);
	/* An exit makes the limits of GDT and TSS something of its own. */
	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
}

static __always_inline bool is_nmi(u32 info)
{
	return (info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
	       (INTR_INFO_VALID_MASK | INTR_TYPE_NMI_INTR);
}

/*
 * An NMI that exits leaves NMIs blocked until the IRET of a handler, so the handler
 * runs before anything else can.
 */
static noinstr bool switch_worlds(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, u32 spec_ctrl)
{
	bool failed;

	slat_guest_enter_irqoff();
	if (l1d_flush)
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	slat_clear_stale_data();
	native_write_cr2(vcpu->cr2);
	failed = slat_vmx_switch(vcpu->gpr, vmx->launched, spec_ctrl);
	vcpu->cr2 = native_read_cr2();
	if (!failed && (u16)vmx_read(VM_EXIT_REASON) == EXIT_REASON_EXCEPTION_NMI &&
	    is_nmi(vmx_read(VM_EXIT_INTR_INFO)))
		asm volatile("int $2");
	guest_state_exit_irqoff();
	return failed;
}

/*
 * SPEC_CTRL needs no switch: the guest has no such MSR and runs with the host's.
 * What one guest trained must not steer another, hence the barrier.
 */
static bool run_once(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	const bool tsc_aux = vcpu->limits.tsc_aux;
	struct host_task task;
	bool failed;

	if (vc->serial != vcpu->serial) {
		vc->serial = vcpu->serial;
		indirect_branch_prediction_barrier();
	}
	save_task(&task);
	if (vmx_uses_dr(vmx))
		vmx_load_debug(vcpu, vmx);
	load_xcr0(vcpu, vc->xcr0, vcpu->xcr0);
	if (tsc_aux)
		switch_msr(MSR_TSC_AUX, vc->tsc_aux, vcpu->msrs.tsc_aux);
	switch_syscall(vcpu, &vc->syscall, &vmx->syscall);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);

	failed = switch_worlds(vcpu, vmx, this_cpu_read(x86_spec_ctrl_current));

	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	restore_task(&task);
	switch_syscall(vcpu, &vmx->syscall, &vc->syscall);
	if (tsc_aux)
		switch_msr(MSR_TSC_AUX, vcpu->msrs.tsc_aux, vc->tsc_aux);
	load_xcr0(vcpu, vcpu->xcr0, vc->xcr0);
	if (vmx_uses_dr(vmx) || hw_breakpoint_active())
		vmx_save_debug(vcpu, vmx);
	return failed;
}

/* What an exit means */

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
	if (is_nmi(info))
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
	return (info & INTR_INFO_UNBLOCK_NMI) && !is_nmi(info) &&
	       (info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF;
}

/* Of the exception that exited, or -1. */
static int exit_vector(u64 code)
{
	const u32 info = vmx_read(VM_EXIT_INTR_INFO);

	return code == EXIT_REASON_EXCEPTION_NMI && !is_nmi(info) ?
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

/* Fields that change often, if they have. */
static void write_controls(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	const u64 dr7 = vmx_entry_dr7(vcpu, vmx);

	if (vmx->in_vmcs.controls != vmx->controls)
		vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx->controls);
	if (vmx->in_vmcs.exceptions != vmx->exceptions)
		vmx_write(EXCEPTION_BITMAP, vmx->exceptions);
	if (vmx->in_vmcs.dr7 != dr7)
		vmx_write(GUEST_DR7, dr7);
	vmx->in_vmcs.controls = vmx->controls;
	vmx->in_vmcs.exceptions = vmx->exceptions;
	vmx->in_vmcs.dr7 = dr7;
}

/*
 * The trap of a traced instruction waits behind a shadow, and the CPU insists on hearing
 * so.  Nowhere else does it outlast an exit, but in Bochs, where also an instruction
 * that did not complete leaves one.
 */
static void write_pending_trace(bool waits)
{
	const u64 others = vmx_read(GUEST_PENDING_DBG_EXCEPTIONS) & ~(u64)DR_STEP;

	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, others | (waits ? DR_STEP : 0));
}

static void write_guest(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	u64 rflags = vcpu->rflags;

	vmx_inject(vcpu, vmx);
	if (vmx_is_debugged(vcpu, vmx))
		rflags |= vmx_begin_debug(vcpu, vmx);
	if (vmx->changed) {
		vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx->secondary);
		vmx_store_state(vcpu, vmx);
		vmx->changed = false;
	}
	write_controls(vcpu, vmx);
	vmx_write(GUEST_RSP, vcpu->gpr[SLAT_RSP]);
	vmx_write(GUEST_RIP, vcpu->rip);
	vmx_write(GUEST_RFLAGS, rflags);
	if (vcpu->events.shadow || ((rflags | vmx->entry_rflags) & X86_EFLAGS_TF))
		write_pending_trace(vcpu->events.shadow && (rflags & X86_EFLAGS_TF));
	vmx->entry_rflags = rflags;
	vmx_write(MSR_BITMAP, __pa(rcu_access_pointer(vcpu->vm->msr_filter) ? msr_bitmap_all :
									       msr_bitmap));
}

static void vmx_run(struct slat_vcpu *vcpu, u64 gen)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool failed;
	u32 reason;

	if (is_away(vmx)) {
		vcpu->exit.reason = SLAT_EXIT_AWAY;
		return;
	}
	get_vmcs(vmx);
	if ((vcpu->flushed_gen != gen || vmx->tag_cpu != smp_processor_id()) &&
	    !slat_flush_omit(SLAT_OMIT_ENTRY))
		flush(vcpu, gen);
	while (!slat_flush_enter(vcpu, vmx->vpid, gen))
		flush(vcpu, gen);
	write_guest(vcpu, vmx);

	failed = run_once(vcpu, vmx);
	slat_flush_leave(vcpu);

	reason = failed ? 0 : vmx_read(VM_EXIT_REASON);
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

static void vmx_single_stepped(struct slat_vcpu *vcpu)
{
	to_vmx(vcpu)->dr6 |= DR_STEP;
	slat_vcpu_inject(vcpu, X86_TRAP_DB, false, 0);
}

const struct slat_hw slat_vmx = {
	.name = "VT-x",
	.table_ops = &ept_table_ops,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.follow_limits = vmx_follow_limits,
	.run = vmx_run,
	.fetch = vmx_fetch,
	.get_segment = vmx_get_segment,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.set_cr0 = vmx_set_cr0,
	.set_cr4 = vmx_set_cr4,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.single_stepped = vmx_single_stepped,
	.set_cr8 = vmx_set_cr8,
	.get_debug = vmx_get_debug,
	.set_debug = vmx_set_debug,
	.set_tsc_offset = vmx_set_tsc_offset,
	.get_tsc_offset = vmx_get_tsc_offset,
};
