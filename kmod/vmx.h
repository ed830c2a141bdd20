/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the VT-x backend share; hw_vmx.c is the way in. */
#ifndef SLAT_VMX_H
#define SLAT_VMX_H

#include <linux/bug.h>
#include <linux/kvm.h>
#include <linux/list.h>
#include <asm/vmx.h>

#include "hw.h"
#include "vcpu.h"

/* By the order of the VMCS fields; the first ones are enum slat_insn_seg. */
enum { VMX_LDTR = SLAT_SEG_GS + 1, VMX_TR, VMX_NR_SEGMENTS };

/**
 * struct vmx_segment - as the VMCS has it
 * @base:	linear address
 * @limit:	in bytes
 * @rights:	access rights, VMX_AR_*
 * @selector:	selector
 */
struct vmx_segment {
	u64 base;
	u32 limit;
	u32 rights;
	u16 selector;
};

/**
 * struct vmx_state - guest registers that stay in the VMCS until somebody asks
 * @segment:	by enum slat_insn_seg, then LDTR and TR
 * @gdtr:	base and limit
 * @idtr:	base and limit
 * @pending_debug: of an instruction before this one
 * @pdpte:	what CR3 points to, with 32-bit PAE paging
 * @sysenter_cs: MSR
 * @sysenter_esp: MSR
 * @sysenter_eip: MSR
 */
struct vmx_state {
	struct vmx_segment segment[VMX_NR_SEGMENTS];
	struct vmx_segment gdtr;
	struct vmx_segment idtr;
	u64 pending_debug;
	u64 pdpte[4];
	u64 sysenter_cs;
	u64 sysenter_esp;
	u64 sysenter_eip;
};

/** struct vmx_syscall - MSRs of SYSCALL, for which the VMCS has no fields */
struct vmx_syscall {
	u64 star;
	u64 lstar;
	u64 sfmask;
};

/**
 * struct vmx_vcpu - VT-x's part of a vCPU
 *
 * Control registers and EFER are in vcpu->mode.
 *
 * @vcpu:	whose part it is
 * @vmcs:	the VMCS
 * @vmcs_pa:	its physical address
 * @cpu:	that may hold the VMCS in its caches; -1: none.  Changes on that CPU,
 *		interrupts off
 * @link:	in that CPU's list
 * @launched:	the VMCS needs VMRESUME
 * @prepared:	what never changes is in the VMCS
 * @vpid:	tag of the guest's translations
 * @tag_cpu:	the CPU that has no stale ones under it, but for cuts
 * @state:	a copy of what is in the VMCS, if @read
 * @read:	@state is current
 * @changed:	the VMCS has to follow @state, the modes, @pat, @tsc_offset and
 *		@secondary; only while @read
 * @pat:	MSR
 * @syscall:	MSRs
 * @cstar:	MSR, which these CPUs do not use
 * @kernel_gs_base: MSR
 * @tsc_offset:	of the guest's TSC to the host's
 * @controls:	primary processor-based controls that the next entry needs
 * @secondary:	likewise, the secondary ones
 * @exceptions:	that exit, likewise
 * @in_vmcs:	what the VMCS has in fields that may change from entry to entry
 * @dr6:	the guest's
 * @dr7:	likewise
 * @dr_live:	the guest's DR0 to DR3 are loaded around the entry, and it may use them
 *		without exits
 * @debug_control: vcpu->debug.control as @exceptions and @controls follow it
 * @passed_bp:	and @pass_bp of it
 * @guest_tf:	the guest traced itself, while the VMM's debugger does
 * @entry_rflags: what the guest was last entered with
 * @entry_rip:	where the guest was last entered, while there is a debugger
 */
struct vmx_vcpu {
	struct slat_vcpu *vcpu;
	void *vmcs;
	u64 vmcs_pa;
	int cpu;
	struct list_head link;
	bool launched;
	bool prepared;
	u16 vpid;
	int tag_cpu;

	struct vmx_state state;
	bool read;
	bool changed;
	u64 pat;
	struct vmx_syscall syscall;
	u64 cstar;
	u64 kernel_gs_base;
	u64 tsc_offset;

	u32 controls;
	u32 secondary;
	u32 exceptions;
	struct {
		u64 controls;
		u64 exceptions;
		u64 interruptibility;
		u64 msr_bitmap;
		u64 dr7;
		u64 rsp;
		u64 rip;
		u64 rflags;
		u64 host_fs_base;
		u64 host_cr3;
		u64 host_cr4;
	} in_vmcs;

	u64 dr6;
	u64 dr7;
	bool dr_live;
	u32 debug_control;
	bool passed_bp;
	bool guest_tf;
	u64 entry_rflags;
	u64 entry_rip;
};

static inline struct vmx_vcpu *to_vmx(struct slat_vcpu *vcpu)
{
	return vcpu->hw;
}

/* Of the VMCS that is current on this CPU.  Context: interrupts off. */

static __always_inline u64 vmx_read(enum vmcs_field field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r" (value) : "r" ((u64)field) : "cc");
	return value;
}

static inline void vmx_write(enum vmcs_field field, u64 value)
{
	bool failed;

	asm volatile("vmwrite %2, %1" : "=@ccbe" (failed) : "r" ((u64)field), "r" (value));
	WARN_ONCE(failed, "VMWRITE of field %#x failed\n", field);
}

/**
 * vmx_update() - write a field of vmx->in_vmcs, if it changes
 * @have:	there
 *
 * VMWRITE costs tens of times what the comparison does.
 */
static inline void vmx_update(enum vmcs_field field, u64 *have, u64 value)
{
	if (*have == value)
		return;
	vmx_write(field, value);
	*have = value;
}

/* Setup (vmx_setup.c) */

/**
 * struct vmx_config - what VMCSs begin with, settled at module load
 * @revision:	of VMCSs
 * @pin_based:	control field
 * @primary:	likewise
 * @secondary:	likewise
 * @rdtscp:	to be added to @secondary for a guest that has RDTSCP or RDPID
 * @on_exit:	control field
 * @on_entry:	likewise
 * @l1d_flush:	the L1 cache has to be flushed before each entry
 * @stops_counters: the VMCS stops the host's performance counters in the guest
 * @msr_bitmap:	physical address: which MSRs exit
 * @msr_bitmap_all: likewise: every MSR does
 */
struct vmx_config {
	u32 revision;
	u32 pin_based;
	u32 primary;
	u32 secondary;
	u32 rdtscp;
	u32 on_exit;
	u32 on_entry;
	bool l1d_flush;
	bool stops_counters;
	u64 msr_bitmap;
	u64 msr_bitmap_all;
};

extern struct vmx_config vmx_config;

/** vmx_config_init() - Return: as slat_hw.setup */
int vmx_config_init(void);

/** vmx_config_exit() - the reverse */
void vmx_config_exit(void);

/* VMX on and off, and where VMCSs are (vmx_vmcs.c).  What hw.h names is documented there. */

/** vmx_cpus_alloc() - what each CPU needs.  Return: 0 or -ENOMEM */
int vmx_cpus_alloc(void);

/** vmx_cpus_free() - the reverse */
void vmx_cpus_free(void);

int vmx_cpu_enable(void);
void vmx_cpu_disable(void);
void vmx_fetch(struct slat_vcpu *vcpu);

/** vmx_is_away() - does another CPU have the VMCS? */
bool vmx_is_away(const struct vmx_vcpu *vmx);

/**
 * vmx_take_away() - have the CPU that has the VMCS give it up
 *
 * Context: process; it may be that CPU.
 */
void vmx_take_away(struct vmx_vcpu *vmx);

/**
 * vmx_get_vmcs() - make the VMCS current
 *
 * Context: interrupts off, VMX on, and not vmx_is_away().
 */
void vmx_get_vmcs(struct vmx_vcpu *vmx);

/** vmx_ept_pointer() - to the nested tables */
u64 vmx_ept_pointer(const struct slat_vcpu *vcpu);

/**
 * vmx_read_state() - make vmx->state current
 *
 * Context: process, vcpu->mutex held.
 */
void vmx_read_state(struct slat_vcpu *vcpu);

/* The host's own (vmx_host.c) */

/** vmx_host_note() - this CPU is about to run guests.  Context: VMX was just switched on */
void vmx_host_note(void);

/** vmx_host_write() - to the VMCS: what is the same on all CPUs.  Context: as vmx_read() */
void vmx_host_write(void);

/** vmx_host_write_cpu() - and what is not.  Context: likewise */
void vmx_host_write_cpu(void);

/**
 * vmx_run_once() - into the guest and out of it, with all that the VMCS does not switch
 *
 * Context: interrupts off, the VMCS written.  Return: false; true if the CPU did not
 * even try, see VM_INSTRUCTION_ERROR.
 */
bool vmx_run_once(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/* Exits (vmx_exit.c) */

/** vmx_is_nmi() - does an exit with this interruption information come from an NMI? */
static __always_inline bool vmx_is_nmi(u32 info)
{
	return (info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
	       (INTR_INFO_VALID_MASK | INTR_TYPE_NMI_INTR);
}

/**
 * vmx_note_exit() - after vmx_run_once(): registers and vcpu->exit
 * @failed:	what it returned
 *
 * Context: as vmx_read().
 */
void vmx_note_exit(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, bool failed);

/* Registers (vmx_state.c).  What hw.h names is documented there. */

/** vmx_reset_state() - registers as after RESET */
void vmx_reset_state(struct slat_vcpu *vcpu);

/** vmx_load_state() - from the VMCS to vmx->state.  Context: as vmx_read(). */
void vmx_load_state(struct vmx_vcpu *vmx);

/** vmx_store_state() - the reverse, with the modes.  Context: likewise. */
void vmx_store_state(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/** vmx_update_mode() - after an exit: vcpu->mode.  Context: likewise. */
void vmx_update_mode(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

void vmx_get_segment(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr);
void vmx_get_sregs(struct slat_vcpu *vcpu, struct kvm_sregs *sregs);
void vmx_set_sregs(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs);
void vmx_set_cr0(struct slat_vcpu *vcpu, u64 cr0);
void vmx_set_cr4(struct slat_vcpu *vcpu, u64 cr4);
void vmx_set_cr8(struct slat_vcpu *vcpu, u64 cr8);
int vmx_get_msr(struct slat_vcpu *vcpu, u32 index, u64 *value);
int vmx_set_msr(struct slat_vcpu *vcpu, u32 index, u64 value);

/* Events (vmx_event.c) */

#define VMX_WINDOWS	(CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING)

/** vmx_has_events() - is there anything to raise, to wait for or to hold off, now or last time? */
static inline bool vmx_has_events(const struct slat_vcpu *vcpu, const struct vmx_vcpu *vmx)
{
	return slat_inject_is_pending(&vcpu->events) | vcpu->events.nmi.masked |
	       vcpu->events.shadow | vmx->in_vmcs.interruptibility |
	       (vmx->controls & VMX_WINDOWS) | READ_ONCE(vcpu->run->request_interrupt_window);
}

/** vmx_inject() - before an entry, if vmx_has_events(): the next, and exits for the others */
void vmx_inject(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/** vmx_take_back() - the event in @info with @error, as the CPU encodes it, did not get through */
void vmx_take_back(struct slat_vcpu *vcpu, u32 info, u32 error);

/** vmx_note_blocking() - after an exit: what holds off events now */
void vmx_note_blocking(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/* Debug registers (vmx_debug.c) */

/** vmx_set_dr_live() - may the guest use its debug registers without exits? */
void vmx_set_dr_live(struct vmx_vcpu *vmx, bool live);

/** vmx_uses_dr() - does the guest run with DR0 to DR3 that are not the host's? */
static inline bool vmx_uses_dr(const struct vmx_vcpu *vmx)
{
	return vmx->dr_live || (vmx->debug_control & KVM_GUESTDBG_USE_HW_BP);
}

/**
 * vmx_load_debug() - DR0 to DR3, DR6 for a guest that vmx_uses_dr()
 *
 * Context: interrupts off, as vmx_save_debug().
 */
void vmx_load_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/** vmx_save_debug() - afterwards, or if the host has breakpoints: give it its own again */
void vmx_save_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/** vmx_is_debugged() - does the VMM's debugger want something, or did it last time? */
static inline bool vmx_is_debugged(const struct slat_vcpu *vcpu, const struct vmx_vcpu *vmx)
{
	return vcpu->debug.control | vmx->debug_control;
}

/** vmx_begin_debug() - before an entry, if vmx_is_debugged(): the trace flag to enter with */
u64 vmx_begin_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx);

/**
 * vmx_end_debug() - after an exit, while there is a debugger
 * @vector:	of the exception that exited, or -1
 * @dr6:	what the CPU says of a #DB
 *
 * Return: true when it is for the debugger: @exit.
 */
bool vmx_end_debug(struct slat_vcpu *vcpu, struct vmx_vcpu *vmx, int vector, u64 dr6,
		   struct slat_exit *exit);

/** vmx_entry_dr7() - DR7 that the guest is to run with */
u64 vmx_entry_dr7(const struct slat_vcpu *vcpu, const struct vmx_vcpu *vmx);

void vmx_get_debug(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7);
void vmx_set_debug(struct slat_vcpu *vcpu, u64 dr6, u64 dr7);

#endif
