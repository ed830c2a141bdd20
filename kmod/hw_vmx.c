// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VT-x: vCPUs, their translations, and entering the guest.  SDM volume 3,
 * "Virtual Machine Extensions".
 */
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>

#include "flush_check.h"
#include "table.h"
#include "vmx.h"

#define MAX_VPID	0xffff

static DEFINE_IDA(vpids);

static void vmx_teardown(void)
{
	slat_flush_check_exit();
	vmx_cpus_free();
	vmx_config_exit();
	ida_destroy(&vpids);
}

static int vmx_setup(void)
{
	int ret = vmx_config_init();

	if (ret)
		return ret;
	ret = vmx_cpus_alloc();
	if (ret)
		goto err_config;
	ret = slat_flush_check_init(MAX_VPID + 1);
	if (ret)
		goto err_cpus;
	return 0;

err_cpus:
	vmx_cpus_free();
err_config:
	vmx_config_exit();
	return ret;
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
	return vmx_config.secondary | (vcpu->limits.tsc_aux ? vmx_config.rdtscp : 0);
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

	vmx->controls = vmx_config.primary;
	/*
	 * #MC is the host's.  #DB and #AC can be made to recur for ever within the
	 * delivery of one event, which only an exit breaks.
	 */
	vmx->exceptions = BIT(X86_TRAP_MC) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_UD);
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
	*(u32 *)vmx->vmcs = vmx_config.revision;
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

	vmx_take_away(vmx);
	ida_free(&vpids, vmx->vpid);
	free_page((unsigned long)vmx->vmcs);
	kfree(vmx);
}

/*
 * Translations.  What the guest's own tables say is tagged with its VPID, and dropped
 * where the vCPU comes to another CPU, which may have missed the guest's own flushes.
 * What comes from nested tables is tagged with their root, too, and dropped after cuts.
 */

static void invvpid(const struct vmx_vcpu *vmx)
{
	const struct { u64 vpid, linear; } operand = { vmx->vpid };

	asm volatile("invvpid %0, %1" : : "m" (operand), "r" ((u64)VMX_VPID_EXTENT_SINGLE_CONTEXT)
		     : "cc", "memory");
	slat_flush_note_linear(vmx->vpid);
}

static void invept(const struct vmx_vcpu *vmx)
{
	const struct { u64 pointer, reserved; } operand = { vmx_ept_pointer(vmx->vcpu) };

	asm volatile("invept %0, %1" : : "m" (operand), "r" ((u64)VMX_EPT_EXTENT_CONTEXT)
		     : "cc", "memory");
	slat_flush_note_nested(vmx->vpid);
}

static void drop(const struct vmx_vcpu *vmx)
{
	if (vmx->tag_cpu != smp_processor_id())
		invvpid(vmx);
	invept(vmx);
}

static void flush(struct slat_vcpu *vcpu, u64 gen)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!slat_flush_omit(SLAT_OMIT_TAG))
		drop(vmx);
	while (!slat_flush_note(vmx->vpid, vcpu, gen))
		drop(vmx);
	vmx->tag_cpu = smp_processor_id();
	WRITE_ONCE(vcpu->flushed_gen, gen);
}

/* Entering */

static void update_guest(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, u64 rflags)
{
	const u64 bitmap = rcu_access_pointer(vcpu->vm->msr_filter) ? vmx_config.msr_bitmap_all :
								      vmx_config.msr_bitmap;

	vmx_update(CPU_BASED_VM_EXEC_CONTROL, &vmx->in_vmcs.controls, vmx->controls);
	vmx_update(EXCEPTION_BITMAP, &vmx->in_vmcs.exceptions, vmx->exceptions);
	vmx_update(MSR_BITMAP, &vmx->in_vmcs.msr_bitmap, bitmap);
	vmx_update(GUEST_DR7, &vmx->in_vmcs.dr7, vmx_entry_dr7(vcpu, vmx));
	vmx_update(GUEST_RSP, &vmx->in_vmcs.rsp, vcpu->gpr[SLAT_RSP]);
	vmx_update(GUEST_RIP, &vmx->in_vmcs.rip, vcpu->rip);
	vmx_update(GUEST_RFLAGS, &vmx->in_vmcs.rflags, rflags);
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

	if (vmx_has_events(vcpu, vmx))
		vmx_inject(vcpu, vmx);
	if (vmx_is_debugged(vcpu, vmx))
		rflags |= vmx_begin_debug(vcpu, vmx);
	if (vmx->changed) {
		vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx->secondary);
		vmx_store_state(vcpu, vmx);
		vmx->changed = false;
	}
	update_guest(vcpu, vmx, rflags);
	if (vcpu->events.shadow || ((rflags | vmx->entry_rflags) & X86_EFLAGS_TF))
		write_pending_trace(vcpu->events.shadow && (rflags & X86_EFLAGS_TF));
	vmx->entry_rflags = rflags;
}

static void vmx_run(struct slat_vcpu *vcpu, u64 gen)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool failed;

	if (vmx_is_away(vmx)) {
		vcpu->exit.reason = SLAT_EXIT_AWAY;
		return;
	}
	vmx_get_vmcs(vmx);
	if ((vcpu->flushed_gen != gen || vmx->tag_cpu != smp_processor_id()) &&
	    !slat_flush_omit(SLAT_OMIT_ENTRY))
		flush(vcpu, gen);
	while (!slat_flush_enter(vcpu, vmx->vpid, gen))
		flush(vcpu, gen);
	write_guest(vcpu, vmx);

	failed = vmx_run_once(vcpu, vmx);
	slat_flush_leave(vcpu);
	vmx_note_exit(vcpu, vmx, failed);
}

static void vmx_single_stepped(struct slat_vcpu *vcpu)
{
	to_vmx(vcpu)->dr6 |= DR_STEP;
	slat_vcpu_inject(vcpu, X86_TRAP_DB, false, 0);
}

const struct slat_hw slat_vmx = {
	.name = "VT-x",
	.table_ops = &ept_table_ops,
	.hypercall = SLAT_HYPERCALL_VMX,
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
