// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: what is the host's own, into the VMCS, and around the guest what the VMCS does
 * not switch.
 */
#include <linux/percpu.h>
#include <asm/cpu_entry_area.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/xcr.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>

#include "compat.h"
#include "vmx.h"

/**
 * struct host_cpu - what is always the same on a CPU; @serial is not
 * @serial:	of the vCPU that ran last
 * @xcr0:	extended control register 0
 * @tsc_aux:	MSR
 * @syscall:	MSRs
 */
struct host_cpu {
	u64 serial;
	u64 xcr0;
	u64 tsc_aux;
	struct vmx_syscall syscall;
};

static DEFINE_PER_CPU(struct host_cpu, host_cpus);

bool slat_vmx_switch(u64 *gpr, bool launched, u32 spec_ctrl);
extern const u8 slat_vmx_exit[];

void vmx_host_note(void)
{
	struct host_cpu *host = this_cpu_ptr(&host_cpus);

	*host = (struct host_cpu) {};
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		host->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID))
		rdmsrl(MSR_TSC_AUX, host->tsc_aux);
	rdmsrl(MSR_STAR, host->syscall.star);
	rdmsrl(MSR_LSTAR, host->syscall.lstar);
	rdmsrl(MSR_SYSCALL_MASK, host->syscall.sfmask);
}

void vmx_host_write_cpu(void)
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

void vmx_host_write(void)
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

static void save_task(struct host_task *task, struct vmx_vcpu *vmx)
{
	u64 counters;

	savesegment(ds, task->ds);
	savesegment(es, task->es);
	savesegment(fs, task->fs);
	savesegment(gs, task->gs);
	store_ldt(task->ldt);
	task->fs_base = x86_fsbase_read_cpu();
	rdmsrl(MSR_KERNEL_GS_BASE, task->gs_base);
	task->debugctl = get_debugctlmsr();
	vmx_update(HOST_FS_BASE, &vmx->in_vmcs.host_fs_base, task->fs_base);
	vmx_update(HOST_CR3, &vmx->in_vmcs.host_cr3, __read_cr3());
	vmx_update(HOST_CR4, &vmx->in_vmcs.host_cr4, __read_cr4());
	if (vmx_config.stops_counters) {
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

/*
 * An NMI that exits leaves NMIs blocked until the IRET of a handler, so the handler
 * runs before anything else can.
 */
static noinstr bool switch_worlds(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, u32 spec_ctrl)
{
	bool failed;

	slat_guest_enter_irqoff();
	if (vmx_config.l1d_flush)
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	slat_clear_stale_data();
	native_write_cr2(vcpu->cr2);
	failed = slat_vmx_switch(vcpu->gpr, vmx->launched, spec_ctrl);
	vcpu->cr2 = native_read_cr2();
	if (!failed && (u16)vmx_read(VM_EXIT_REASON) == EXIT_REASON_EXCEPTION_NMI &&
	    vmx_is_nmi(vmx_read(VM_EXIT_INTR_INFO)))
		asm volatile("int $2");
	guest_state_exit_irqoff();
	return failed;
}

/*
 * SPEC_CTRL needs no switch: the guest has no such MSR and runs with the host's.
 * What one guest trained must not steer another, hence the barrier.
 */
bool vmx_run_once(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	struct host_cpu *host = this_cpu_ptr(&host_cpus);
	const bool tsc_aux = vcpu->limits.tsc_aux;
	struct host_task task;
	bool failed;

	if (host->serial != vcpu->serial) {
		host->serial = vcpu->serial;
		indirect_branch_prediction_barrier();
	}
	save_task(&task, vmx);
	if (vmx_uses_dr(vmx))
		vmx_load_debug(vcpu, vmx);
	load_xcr0(vcpu, host->xcr0, vcpu->xcr0);
	if (tsc_aux)
		switch_msr(MSR_TSC_AUX, host->tsc_aux, vcpu->msrs.tsc_aux);
	switch_syscall(vcpu, &host->syscall, &vmx->syscall);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);

	failed = switch_worlds(vcpu, vmx, this_cpu_read(x86_spec_ctrl_current));

	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	restore_task(&task);
	switch_syscall(vcpu, &vmx->syscall, &host->syscall);
	if (tsc_aux)
		switch_msr(MSR_TSC_AUX, vcpu->msrs.tsc_aux, host->tsc_aux);
	load_xcr0(vcpu, vcpu->xcr0, host->xcr0);
	if (vmx_uses_dr(vmx) || hw_breakpoint_active())
		vmx_save_debug(vcpu, vmx);
	return failed;
}
