// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: VMX on and off, and which CPU has a vCPU's VMCS. */
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/asm.h>
#include <asm/tlbflush.h>

#include "compat.h"
#include "table.h"
#include "vmx.h"

/**
 * struct vmx_cpu - what a CPU needs
 * @vmxon:	the CPU's own page while VMX is on
 * @loaded:	the vCPUs whose VMCS its caches may hold
 * @current_vmx: the one that VMREAD and VMWRITE go to
 */
struct vmx_cpu {
	void *vmxon;
	struct list_head loaded;
	struct vmx_vcpu *current_vmx;
};

static DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

void vmx_cpus_free(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_page((unsigned long)per_cpu(vmx_cpus.vmxon, cpu));
}

int vmx_cpus_alloc(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);

		INIT_LIST_HEAD(&vc->loaded);
		vc->vmxon = (void *)get_zeroed_page(GFP_KERNEL);
		if (!vc->vmxon) {
			vmx_cpus_free();
			return -ENOMEM;
		}
		*(u32 *)vc->vmxon = vmx_config.revision;
	}
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

int vmx_cpu_enable(void)
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
	vmx_host_note();
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

void vmx_cpu_disable(void)
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

void vmx_take_away(struct vmx_vcpu *vmx)
{
	const int cpu = READ_ONCE(vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, put_here, vmx, 1);
}

u64 vmx_ept_pointer(const struct slat_vcpu *vcpu)
{
	return slat_table_pfn(vcpu->vm->base.root.table) << PAGE_SHIFT | VMX_EPTP_MT_WB |
	       VMX_EPTP_AD_ENABLE_BIT |
	       (vcpu->vm->mmu.levels == 5 ? VMX_EPTP_PWL_5 : VMX_EPTP_PWL_4);
}

/* What vmx->in_vmcs tells of: from here on, entries update it. */
static void prepare_changing(struct vmx_vcpu *vmx)
{
	static const enum vmcs_field fields[] = {
		CPU_BASED_VM_EXEC_CONTROL, EXCEPTION_BITMAP, GUEST_INTERRUPTIBILITY_INFO, MSR_BITMAP,
		GUEST_DR7, GUEST_RSP, GUEST_RIP, GUEST_RFLAGS, HOST_FS_BASE, HOST_CR3, HOST_CR4,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		vmx_write(fields[i], 0);
	memset(&vmx->in_vmcs, 0, sizeof(vmx->in_vmcs));
}

/* Once for each VMCS. */
static void prepare(struct vmx_vcpu *vmx)
{
	vmx_write(PIN_BASED_VM_EXEC_CONTROL, vmx_config.pin_based);
	vmx_write(VM_EXIT_CONTROLS, vmx_config.on_exit);
	vmx_write(VM_ENTRY_CONTROLS, vmx_config.on_entry);
	vmx_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmx_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmx_write(CR3_TARGET_COUNT, 0);
	vmx_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	vmx_write(EPT_POINTER, vmx_ept_pointer(vmx->vcpu));
	vmx_write(VMCS_LINK_POINTER, ~0ULL);
	vmx_write(GUEST_IA32_DEBUGCTL, 0);
	vmx_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	if (vmx_config.secondary & SECONDARY_EXEC_ENCLS_EXITING)
		vmx_write(ENCLS_EXITING_BITMAP, ~0ULL);
	if (vmx_config.stops_counters)
		vmx_write(GUEST_IA32_PERF_GLOBAL_CTRL, 0);
	vmx_host_write();
	prepare_changing(vmx);
	vmx->prepared = true;
}

void vmx_get_vmcs(struct vmx_vcpu *vmx)
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
	vmx_host_write_cpu();
}

bool vmx_is_away(const struct vmx_vcpu *vmx)
{
	/* Pairs with put_vmcs(). */
	const int cpu = smp_load_acquire(&vmx->cpu);

	return cpu >= 0 && cpu != smp_processor_id();
}

void vmx_fetch(struct slat_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	preempt_disable();
	if (vmx_is_away(vmx))
		vmx_take_away(vmx);
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
	if (vmx_is_away(vmx))
		vmx_take_away(vmx);
	local_irq_disable();
	if (slat_hw_here()) {
		vmx_get_vmcs(vmx);
		vmx_load_state(vmx);
		vmx->read = true;
	}
	local_irq_enable();
	preempt_enable();
}
