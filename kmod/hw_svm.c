// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD SVM: probing, per-CPU state, the VMCB, entering the guest, and what an exit
 * means.  APM volume 2, "Secure Virtual Machine".
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/svm.h>
#include <asm/traps.h>

#include "compat.h"
#include "hw.h"
#include "table.h"
#include "vcpu.h"

#define IOPM_ORDER	2	/* 3 pages, aligned to one */
#define MSRPM_ORDER	1

#define DR7_FIXED	0x400
#define PAT_RESET	0x0007040600070406ULL

/**
 * struct svm_cpu - what a CPU needs
 * @hsave:	where VMRUN keeps the host state
 * @host:	where VMSAVE does
 * @tag_gen:	grows whenever ASIDs start over
 * @next_asid:	not handed out yet in this @tag_gen
 * @serial:	of the vCPU that ran last
 * @xcr0:	the host's
 * @xss:	the host's
 * @tsc_aux:	the host's
 */
struct svm_cpu {
	void *hsave;
	void *host;
	u64 tag_gen;
	u32 next_asid;
	u64 serial;
	u64 xcr0;
	u64 xss;
	u64 tsc_aux;
};

/**
 * struct svm_vcpu - SVM's part of a vCPU
 * @vmcb:	the control block
 * @cr4:	as the guest sees it
 * @tag_cpu:	the CPU on which the ASID in @vmcb is this vCPU's ...
 * @tag_gen:	... while that CPU's tag_gen is this
 * @dr_live:	the guest's DR0 to DR3 are loaded around VMRUN, and it may use them
 *		without exits
 * @debug_control: vcpu->debug.control as the VMCB follows it
 * @passed_bp:	and @pass_bp of it
 * @iret_seen:	the IRET that ends an NMI's handler was let through ...
 * @iret_rip:	... at this rip
 * @windows:	the last entry had exits set up for the sake of events to come
 * @stepping:	the guest is traced over one instruction, to find out when it can take
 *		an NMI
 * @guest_tf:	it was traced anyway
 */
struct svm_vcpu {
	struct vmcb *vmcb;
	u64 cr4;
	int tag_cpu;
	u64 tag_gen;
	bool dr_live;
	u32 debug_control;
	bool passed_bp;
	bool iret_seen;
	u64 iret_rip;
	bool windows;
	bool stepping;
	bool guest_tf;
};

static DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
static void *iopm;
static void *msrpm;
static void *msrpm_all;	/* every MSR exits */
static u32 min_asid, max_asid;

void slat_svm_switch(u64 vmcb_pa, u64 *gpr, u64 host_pa);

static struct svm_vcpu *to_svm(struct slat_vcpu *vcpu)
{
	return vcpu->hw;
}

/* Setup */

static const char *missing(void)
{
	u64 vm_cr;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return "SVM (or firmware has switched it off)";
	if (!rdmsrl_safe(MSR_VM_CR, &vm_cr) && (vm_cr & SVM_VM_CR_SVM_DIS_MASK))
		return "SVM, which firmware has switched off";
	if (!boot_cpu_has(X86_FEATURE_NPT))
		return "nested paging (NPT)";
	if (!boot_cpu_has(X86_FEATURE_NX))
		return "NX";
	if (sme_me_mask)
		return "support in slat for memory encryption (SME), which is active,";
	return NULL;
}

static void free_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

		free_page((unsigned long)sc->hsave);
		free_page((unsigned long)sc->host);
	}
}

static int alloc_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

		sc->hsave = (void *)get_zeroed_page(GFP_KERNEL);
		sc->host = (void *)get_zeroed_page(GFP_KERNEL);
		if (!sc->hsave || !sc->host) {
			free_cpus();
			return -ENOMEM;
		}
	}
	return 0;
}

/* Let the guest use an MSR: two bits each, in three ranges of 8K MSRs. */
static void pass_msr(u32 msr)
{
	static const u32 ranges[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		const u32 nr = msr - ranges[i];

		if (nr >= 0x2000)
			continue;
		__clear_bit(i * 0x800 * 8 + nr * 2, msrpm);
		__clear_bit(i * 0x800 * 8 + nr * 2 + 1, msrpm);
	}
}

/* VMLOAD and VMSAVE switch all of these. */
static void init_msrpm(void)
{
	static const u32 passed[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	unsigned int i;

	memset(msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		pass_msr(passed[i]);
}

static void svm_teardown(void)
{
	free_pages((unsigned long)msrpm_all, MSRPM_ORDER);
	free_pages((unsigned long)msrpm, MSRPM_ORDER);
	free_pages((unsigned long)iopm, IOPM_ORDER);
	free_cpus();
}

static int svm_setup(void)
{
	const char *what = missing();

	if (what) {
		pr_err("slat: this machine lacks %s\n", what);
		return -EOPNOTSUPP;
	}
	max_asid = cpuid_ebx(SVM_CPUID_FUNC) - 1;
	/* The lower ones are for encrypted guests. */
	min_asid = boot_cpu_has(X86_FEATURE_SEV) ? cpuid_ecx(0x8000001f) + 1 : 1;
	if (min_asid > max_asid) {
		pr_err("slat: SEV leaves no ASID for other guests\n");
		return -EOPNOTSUPP;
	}
	/* Nested paging has the mode of the host's own paging. */
	slat_hw_levels = __read_cr4() & X86_CR4_LA57 ? 5 : 4;

	if (alloc_cpus())
		return -ENOMEM;
	iopm = (void *)__get_free_pages(GFP_KERNEL, IOPM_ORDER);
	msrpm = (void *)__get_free_pages(GFP_KERNEL, MSRPM_ORDER);
	msrpm_all = (void *)__get_free_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!iopm || !msrpm || !msrpm_all) {
		svm_teardown();
		return -ENOMEM;
	}
	memset(iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(msrpm_all, 0xff, PAGE_SIZE << MSRPM_ORDER);
	init_msrpm();
	return 0;
}

static int svm_cpu_enable(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __pa(sc->hsave));
	/* Somebody else may have used ASIDs meanwhile: start over, with a flush. */
	sc->tag_gen++;
	sc->next_asid = max_asid + 1;
	sc->serial = 0;
	sc->xcr0 = boot_cpu_has(X86_FEATURE_XSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
	sc->tsc_aux = 0;
	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID))
		rdmsrl(MSR_TSC_AUX, sc->tsc_aux);
	sc->xss = 0;
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, sc->xss);
	return 0;
}

static void svm_cpu_disable(void)
{
	u64 efer;

	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	/* A crash may come while GIF is clear; VMX-style blocking must not outlast us. */
	if (efer & EFER_SVME) {
		asm volatile("stgi" ::: "memory");
		wrmsrl(MSR_EFER, efer & ~EFER_SVME);
	}
}

/* The VMCB */

static void update_mode(struct slat_vcpu *vcpu)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_save_area *save = &svm->vmcb->save;
	struct slat_mode *mode = &vcpu->mode;

	mode->cr0 = save->cr0;
	mode->cr3 = save->cr3;
	mode->cr4 = svm->cr4;
	mode->efer = save->efer & ~(u64)EFER_SVME;
	mode->cpl = save->cpl;
	mode->cs_base = save->cs.base;
	mode->cs_l = (save->efer & EFER_LMA) && (save->cs.attrib & SVM_SELECTOR_L_MASK);
	mode->cs_db = save->cs.attrib & SVM_SELECTOR_DB_MASK;
}

static void intercept(struct vmcb *vmcb, unsigned int bit)
{
	__set_bit(bit, (unsigned long *)vmcb->control.intercepts);
}

static void set_intercept(struct vmcb *vmcb, unsigned int bit, bool on)
{
	if (on)
		intercept(vmcb, bit);
	else
		__clear_bit(bit, (unsigned long *)vmcb->control.intercepts);
}

static void intercept_instructions(struct vmcb *vmcb)
{
	static const u8 bits[] = {
		/* Events that are the host's. */
		INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
		INTERCEPT_SHUTDOWN, INTERCEPT_FERR_FREEZE,
		/* What the guest may do with our help. */
		INTERCEPT_CPUID, INTERCEPT_HLT, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
		INTERCEPT_VMMCALL, INTERCEPT_XSETBV, INTERCEPT_CR4_WRITE,
		INTERCEPT_CR8_WRITE,
		/* Caches are the host's: INVD would lose its data. */
		INTERCEPT_INVD, INTERCEPT_WBINVD,
		/* What it must not do at all. */
		INTERCEPT_RDPMC, INTERCEPT_RDTSCP, INTERCEPT_RSM, INTERCEPT_INVLPGA,
		INTERCEPT_VMRUN, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI,
		INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_MONITOR, INTERCEPT_MWAIT,
		INTERCEPT_RDPRU,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++)
		intercept(vmcb, bits[i]);
	/*
	 * Exceptions: #MC is the host's.  #DB and #AC can be made to recur for ever
	 * within the delivery of one event, which only an exit breaks.
	 */
	intercept(vmcb, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC);
	intercept(vmcb, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB);
	intercept(vmcb, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC);
}

static bool with_vmm_breakpoints(const struct svm_vcpu *svm)
{
	return svm->debug_control & KVM_GUESTDBG_USE_HW_BP;
}

/* All accesses to debug registers exit, until the guest turns out to use them. */
static void set_dr_live(struct svm_vcpu *svm, bool live)
{
	svm->dr_live = live;
	/* What belongs to the VMM's debugger, the guest does not see. */
	svm->vmcb->control.intercepts[INTERCEPT_DR] = live && !svm->debug_control ? 0 : ~0U;
}

/* The VMM's debugger has other wishes than at the last entry. */
static void update_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	const struct slat_debug *debug = &vcpu->debug;
	unsigned long *intercepts = (unsigned long *)svm->vmcb->control.intercepts;

	svm->debug_control = debug->control;
	set_dr_live(svm, svm->dr_live);
	__assign_bit(INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP, intercepts,
		     (debug->control & KVM_GUESTDBG_USE_SW_BP) && !debug->pass_bp);
}

static void set_segment(struct vmcb_seg *to, u16 selector, u64 base, u32 limit, u16 attrib)
{
	to->selector = selector;
	to->base = base;
	to->limit = limit;
	to->attrib = attrib;
}

static void reset_segments(struct vmcb_save_area *save)
{
	const u16 data = SVM_SELECTOR_P_MASK | SVM_SELECTOR_S_MASK | SVM_SELECTOR_WRITE_MASK | 1;
	const u16 code = data | SVM_SELECTOR_CODE_MASK;

	set_segment(&save->cs, 0xf000, 0xffff0000, 0xffff, code);
	set_segment(&save->ds, 0, 0, 0xffff, data);
	save->es = save->ds;
	save->ss = save->ds;
	save->fs = save->ds;
	save->gs = save->ds;
	set_segment(&save->ldtr, 0, 0, 0xffff, SVM_SELECTOR_P_MASK | 2);
	set_segment(&save->tr, 0, 0, 0xffff, SVM_SELECTOR_P_MASK | 3);
	set_segment(&save->gdtr, 0, 0, 0xffff, 0);
	set_segment(&save->idtr, 0, 0, 0xffff, 0);
}

/* What the guest's CR4 is and what the CPU runs with: machine checks stay enabled. */
static void svm_set_cr4(struct slat_vcpu *vcpu, u64 cr4)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const u64 real = cr4 | (__read_cr4() & X86_CR4_MCE);

	svm->cr4 = cr4;
	svm->vmcb->save.cr4 = real;
	set_intercept(svm->vmcb, INTERCEPT_CR4_READ, real != cr4);
	/* Paging modes and global pages: drop what the guest cached. */
	svm->tag_cpu = -1;
	update_mode(vcpu);
}

static u64 svm_get_tsc_offset(struct slat_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.tsc_offset;
}

static void svm_set_tsc_offset(struct slat_vcpu *vcpu, u64 offset)
{
	to_svm(vcpu)->vmcb->control.tsc_offset = offset;
}

static void svm_vcpu_reset(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmcb_save_area *save = &svm->vmcb->save;
	const u64 tsc_offset = control->tsc_offset;

	memset(svm->vmcb, 0, PAGE_SIZE);
	intercept_instructions(svm->vmcb);
	svm->debug_control = 0;
	svm->passed_bp = false;
	set_dr_live(svm, false);
	control->iopm_base_pa = __pa(iopm);
	control->msrpm_base_pa = __pa(msrpm);
	control->int_ctl = V_INTR_MASKING_MASK;
	control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	control->nested_cr3 = slat_table_pfn(vcpu->vm->base.root.table) << PAGE_SHIFT;
	control->tsc_offset = tsc_offset;

	reset_segments(save);
	save->efer = EFER_SVME;
	save->cr0 = X86_CR0_NW | X86_CR0_CD | X86_CR0_ET;
	save->dr6 = DR6_RESERVED;
	save->dr7 = DR7_FIXED;
	save->g_pat = PAT_RESET;
	svm_set_cr4(vcpu, 0);

	memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
	vcpu->gpr[SLAT_RDX] = cpuid_eax(1);	/* family, model, stepping */
	vcpu->rip = 0xfff0;
	vcpu->rflags = X86_EFLAGS_FIXED;
	vcpu->cr2 = 0;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->xcr0 = XFEATURE_MASK_FP;
	slat_inject_reset(vcpu);
	svm->iret_seen = false;
}

static int svm_vcpu_create(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb) {
		kfree(svm);
		return -ENOMEM;
	}
	svm->tag_cpu = -1;
	vcpu->hw = svm;
	return 0;
}

static void svm_vcpu_free(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	free_page((unsigned long)svm->vmcb);
	kfree(svm);
}

static void svm_vcpu_put(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	/* A guest that is done with its breakpoints no longer pays for them. */
	if (svm->dr_live && !(svm->vmcb->save.dr7 & DR_GLOBAL_ENABLE_MASK) &&
	    !(svm->vmcb->save.dr7 & DR_LOCAL_ENABLE_MASK))
		set_dr_live(svm, false);
}

/* Translations: tagged with an ASID, from the guest's virtual to the host's frame. */

static bool svm_tag_valid(struct slat_vcpu *vcpu)
{
	const struct svm_vcpu *svm = to_svm(vcpu);

	return svm->tag_cpu == smp_processor_id() &&
	       svm->tag_gen == this_cpu_read(svm_cpus.tag_gen);
}

/* A fresh ASID has no translations.  When all are used up, flush and start over. */
static void svm_flush(struct slat_vcpu *vcpu, u64 gen)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	struct svm_vcpu *svm = to_svm(vcpu);

	if (sc->next_asid > max_asid) {
		sc->tag_gen++;
		sc->next_asid = min_asid;
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->vmcb->control.asid = sc->next_asid++;
	svm->tag_cpu = smp_processor_id();
	svm->tag_gen = sc->tag_gen;
	WRITE_ONCE(vcpu->flushed_gen, gen);
}

/* Events */

static const u32 event_types[] = {
	[SLAT_EVENT_EXCEPTION] = SVM_EVTINJ_TYPE_EXEPT,
	[SLAT_EVENT_IRQ] = SVM_EVTINJ_TYPE_INTR,
	[SLAT_EVENT_NMI] = SVM_EVTINJ_TYPE_NMI,
};

static u32 encode_event(const struct slat_event *event)
{
	if (event->type == SLAT_EVENT_NONE)
		return 0;
	return SVM_EVTINJ_VALID | event_types[event->type] | event->vector |
	       (event->has_error ? SVM_EVTINJ_VALID_ERR : 0);
}

/*
 * An exit in the middle of a delivery.  INT n has no event of its own: rip is still at
 * the instruction, which the guest executes again.
 */
static void decode_event(const struct vmcb_control_area *control, struct slat_event *event)
{
	const u32 info = control->exit_int_info;
	unsigned int type;

	*event = (struct slat_event) {
		.vector = info & SVM_EXITINTINFO_VEC_MASK,
		.has_error = info & SVM_EXITINTINFO_VALID_ERR,
		.error = control->exit_int_info_err,
	};
	for (type = SLAT_EVENT_EXCEPTION; type <= SLAT_EVENT_NMI; type++)
		if ((info & SVM_EXITINTINFO_TYPE_MASK) == event_types[type])
			event->type = type;
}

static void redeliver(struct slat_vcpu *vcpu, const struct vmcb_control_area *control)
{
	struct slat_event event;

	vcpu->events.delivering = control->exit_int_info & SVM_EXITINTINFO_VALID;
	if (!vcpu->events.delivering)
		return;
	decode_event(control, &event);
	slat_inject_again(vcpu, &event);
}

/* A virtual interrupt that exits where it would be taken, of the highest priority. */
static void set_irq_window(struct svm_vcpu *svm, bool on)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	set_intercept(svm->vmcb, INTERCEPT_VINTR, on);
	control->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	if (on)
		control->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	control->int_vector = 0;
}

/*
 * The end of an NMI's handler shows by an exit before its IRET.  What else holds an NMI
 * off (that IRET itself, a shadow) is over after one instruction, so the guest is traced
 * over that one.  Not into the handler of another event, whose frame would keep the trace
 * flag: then the NMI waits for the next exit.
 */
static void set_nmi_window(struct slat_vcpu *vcpu, struct svm_vcpu *svm, bool on)
{
	const bool in_handler = vcpu->events.nmi.masked && !svm->iret_seen;

	set_intercept(svm->vmcb, INTERCEPT_IRET, in_handler);
	svm->stepping = on && !in_handler && !svm->vmcb->control.event_inj;
	svm->guest_tf = vcpu->rflags & X86_EFLAGS_TF;
	if (svm->stepping)
		svm->vmcb->save.rflags |= X86_EFLAGS_TF;
}

static void inject(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	bool want_irq_window, want_nmi_window;
	struct slat_event event;

	/* As nearly always: nothing to raise, nothing to wait for, now or last time. */
	if (!svm->windows && slat_inject_is_idle(vcpu)) {
		control->event_inj = 0;
		return;
	}
	slat_inject_next(vcpu, &event, &want_irq_window, &want_nmi_window);
	control->event_inj = encode_event(&event);
	control->event_inj_err = event.error;
	set_irq_window(svm, want_irq_window);
	set_nmi_window(vcpu, svm, want_nmi_window);
	svm->windows = want_irq_window || want_nmi_window || vcpu->events.nmi.masked;
}

/* The IRET that ends an NMI's handler was let through: has it been executed by now? */
static void check_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	if (!svm->iret_seen || vcpu->rip == svm->iret_rip)
		return;
	svm->iret_seen = false;
	vcpu->events.nmi.masked = false;
}

static void exit_iret(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	svm->iret_seen = true;
	svm->iret_rip = vcpu->rip;
}

/*
 * True when a #DB is only from our own tracing.  Whatever the exit, the guest gets its
 * own trace flag back, and tracing is decided anew at the next entry.
 */
static bool end_stepping(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	if (!svm->stepping)
		return false;
	svm->stepping = false;
	if (svm->guest_tf)
		return false;
	vcpu->rflags &= ~X86_EFLAGS_TF;
	if (svm->vmcb->control.exit_code != SVM_EXIT_EXCP_BASE + X86_TRAP_DB ||
	    !(save->dr6 & DR_STEP))
		return false;
	save->dr6 &= ~(u64)DR_STEP;
	return !(save->dr6 & DR_TRAP_BITS);
}

static bool svm_get_shadow(struct slat_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK;
}

static void svm_set_shadow(struct slat_vcpu *vcpu, bool shadow)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	control->int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
	if (shadow)
		control->int_state |= SVM_INTERRUPT_SHADOW_MASK;
}

/* Entering */

static void load_debug_registers(const u64 dr[4])
{
	/* The host's breakpoints must not fire on what VMRUN has not switched yet. */
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

static void forget_debug_registers(void)
{
	if (!hw_breakpoint_active())
		hw_breakpoint_disable();	/* nothing of the guest's stays */
}

static void save_debug_registers(struct slat_vcpu *vcpu)
{
	get_debugreg(vcpu->dr[0], 0);
	get_debugreg(vcpu->dr[1], 1);
	get_debugreg(vcpu->dr[2], 2);
	get_debugreg(vcpu->dr[3], 3);
	forget_debug_registers();
}

/*
 * The guest's extended state.  It never gets supervisor state, so its XSS is 0; SVM
 * cannot keep it from executing XSAVES.
 */
static void load_xstate(struct slat_vcpu *vcpu, const struct svm_cpu *sc)
{
	if (!(to_svm(vcpu)->cr4 & X86_CR4_OSXSAVE))
		return;
	if (vcpu->xcr0 != sc->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (sc->xss)
		wrmsrl(MSR_IA32_XSS, 0);
}

/*
 * XCR0 is read back rather than taken from vcpu->xcr0: QEMU's CPU does not intercept
 * XSETBV, and the host must get its own value whatever the guest did.
 */
static void restore_xstate(struct slat_vcpu *vcpu, const struct svm_cpu *sc)
{
	u64 xcr0;

	if (!(to_svm(vcpu)->cr4 & X86_CR4_OSXSAVE))
		return;
	xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (xcr0 != sc->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, sc->xcr0);
	if (xcr0 != vcpu->xcr0 && slat_cpuid_xcr0_valid(xcr0))
		vcpu->xcr0 = xcr0;
	if (sc->xss)
		wrmsrl(MSR_IA32_XSS, sc->xss);
}

/* TSC_AUX tells user programs, the host's and the guest's, which CPU they run on. */
static bool other_tsc_aux(const struct slat_vcpu *vcpu, const struct svm_cpu *sc)
{
	return vcpu->limits.tsc_aux && vcpu->msrs.tsc_aux != sc->tsc_aux;
}

static noinstr void switch_worlds(struct slat_vcpu *vcpu, u64 vmcb_pa, u64 host_pa)
{
	guest_state_enter_irqoff();
	/*
	 * VMRUN takes the host's interrupt flag for physical interrupts; GIF is clear,
	 * so none arrives out here.
	 */
	raw_local_irq_enable();
	slat_svm_switch(vmcb_pa, vcpu->gpr, host_pa);
	raw_local_irq_disable();
	guest_state_exit_irqoff();
}

/*
 * SPEC_CTRL needs no switch: the guest has no such MSR and runs with the host's.
 * What one guest trained must not steer another, hence the barrier.
 */
static void run_once(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	const u64 host_pa = __pa(sc->host);

	if (sc->serial != vcpu->serial) {
		sc->serial = vcpu->serial;
		indirect_branch_prediction_barrier();
	}
	asm volatile("vmsave %%rax" : : "a" (host_pa) : "memory");
	asm volatile("clgi" ::: "memory");
	if (with_vmm_breakpoints(svm))
		load_debug_registers(vcpu->debug.dr);
	else if (svm->dr_live)
		load_debug_registers(vcpu->dr);
	load_xstate(vcpu, sc);
	if (other_tsc_aux(vcpu, sc))
		wrmsrl(MSR_TSC_AUX, vcpu->msrs.tsc_aux);
	switch_worlds(vcpu, __pa(svm->vmcb), host_pa);
	if (other_tsc_aux(vcpu, sc))
		wrmsrl(MSR_TSC_AUX, sc->tsc_aux);
	restore_xstate(vcpu, sc);
	if (with_vmm_breakpoints(svm))
		forget_debug_registers();
	else if (svm->dr_live)
		save_debug_registers(vcpu);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();	/* an exit clears DR7 */
	asm volatile("stgi" ::: "memory");
}

/* What an exit means */

static void exit_fault(const struct vmcb_control_area *control, struct slat_exit *exit)
{
	const u64 error = control->exit_info_1;

	exit->reason = SLAT_EXIT_FAULT;
	exit->fault.gpa = control->exit_info_2;
	exit->fault.walk = error & PFERR_GUEST_PAGE_MASK;
	exit->fault.access = error & X86_PF_WRITE ? SLAT_W :
			     error & X86_PF_INSTR ? SLAT_X : SLAT_R;
}

static void exit_io(const struct vmcb_control_area *control, struct slat_exit *exit)
{
	const u32 info = control->exit_info_1;

	exit->reason = SLAT_EXIT_IO;
	exit->next_rip = control->exit_info_2;
	exit->io.port = info >> 16;
	/* One-hot: bit 4 is a byte, bit 7 is a 16-bit address. */
	exit->io.size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
	exit->io.addrsize = (info & SVM_IOIO_ASIZE_MASK) >> (SVM_IOIO_ASIZE_SHIFT - 1);
	exit->io.in = info & SVM_IOIO_TYPE_MASK;
	exit->io.string = info & SVM_IOIO_STR_MASK;
	exit->io.rep = info & BIT(SVM_IOIO_REP_SHIFT);
}

static void exit_exception(const struct vmcb_control_area *control, u8 vector,
			   struct slat_exit *exit)
{
	if (vector == X86_TRAP_MC) {
		slat_machine_check();
		exit->reason = SLAT_EXIT_NOTHING;
		return;
	}
	exit->reason = SLAT_EXIT_EXCEPTION;
	exit->exception.vector = vector;
	exit->exception.has_error = vector == X86_TRAP_AC;
	exit->exception.error = vector == X86_TRAP_AC ? control->exit_info_1 : 0;
}

/* The exits that need no details. */
static enum slat_exit_reason plain_reason(u64 code)
{
	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_FERR_FREEZE:
	case SVM_EXIT_VINTR:
		return SLAT_EXIT_NOTHING;
	case SVM_EXIT_CPUID:
		return SLAT_EXIT_CPUID;
	case SVM_EXIT_HLT:
		return SLAT_EXIT_HLT;
	case SVM_EXIT_VMMCALL:
		return SLAT_EXIT_HYPERCALL;
	case SVM_EXIT_XSETBV:
		return SLAT_EXIT_XSETBV;
	case SVM_EXIT_READ_CR4:
	case SVM_EXIT_WRITE_CR4:
		return SLAT_EXIT_CR4;
	case SVM_EXIT_WRITE_CR8:
		return SLAT_EXIT_CR8;
	case SVM_EXIT_INVD:
	case SVM_EXIT_WBINVD:
		return SLAT_EXIT_SKIP;
	case SVM_EXIT_RDPMC:
		return SLAT_EXIT_GP;
	case SVM_EXIT_RDTSCP:
	case SVM_EXIT_RSM:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_RDPRU:
		return SLAT_EXIT_UD;
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
		return SLAT_EXIT_MWAIT;
	case SVM_EXIT_SHUTDOWN:
		return SLAT_EXIT_SHUTDOWN;
	case SVM_EXIT_ERR:
		return SLAT_EXIT_INVALID;
	default:
		return SLAT_EXIT_UNKNOWN;
	}
}

static void explain(struct slat_vcpu *vcpu, struct svm_vcpu *svm, struct slat_exit *exit)
{
	const struct vmcb_control_area *control = &svm->vmcb->control;
	/* 64 bits wide in the VMCB, of which an invalid state sets all. */
	const u64 code = (s64)(s32)control->exit_code;

	exit->code = control->exit_code;
	exit->info1 = control->exit_info_1;
	exit->info2 = control->exit_info_2;
	exit->next_rip = static_cpu_has(X86_FEATURE_NRIPS) ? control->next_rip : 0;

	switch (code) {
	case SVM_EXIT_NPF:
		exit_fault(control, exit);
		break;
	case SVM_EXIT_IOIO:
		exit_io(control, exit);
		break;
	case SVM_EXIT_MSR:
		exit->reason = SLAT_EXIT_MSR;
		exit->msr.write = control->exit_info_1;
		break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_LAST_EXCP:
		exit_exception(control, code - SVM_EXIT_EXCP_BASE, exit);
		break;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_WRITE_DR7 + 8:
		/* The guest uses debug registers: let it, and try again. */
		set_dr_live(svm, true);
		exit->reason = svm->debug_control ? SLAT_EXIT_DR : SLAT_EXIT_NOTHING;
		break;
	case SVM_EXIT_IRET:
		exit_iret(vcpu, svm);
		exit->reason = SLAT_EXIT_NOTHING;
		break;
	default:
		exit->reason = plain_reason(code);
	}
}

/* What the guest keeps while the VMM's debugger uses it. */
struct debugged {
	u64 dr6;
	u64 dr7;
	bool tf;
};

static void begin_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm, struct debugged *guest)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	guest->dr6 = save->dr6;
	guest->dr7 = save->dr7;
	guest->tf = vcpu->rflags & X86_EFLAGS_TF;
	if (!(svm->debug_control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)))
		return;
	save->dr6 = DR6_RESERVED;
	if (with_vmm_breakpoints(svm))
		save->dr7 = vcpu->debug.dr7 | DR7_FIXED;
	if (svm->debug_control & KVM_GUESTDBG_SINGLESTEP)
		save->rflags |= X86_EFLAGS_TF;
}

/* True when the exit is for the debugger. */
static bool end_debug(struct slat_vcpu *vcpu, struct svm_vcpu *svm, const struct debugged *guest,
		      struct slat_exit *exit)
{
	const u32 traps = svm->debug_control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);
	const u32 code = svm->vmcb->control.exit_code;
	struct vmcb_save_area *save = &svm->vmcb->save;
	const u64 dr6 = save->dr6, dr7 = save->dr7;

	vcpu->debug.pass_bp = false;
	if (traps) {
		save->dr6 = guest->dr6;
		save->dr7 = guest->dr7;
	}
	if ((traps & KVM_GUESTDBG_SINGLESTEP) && !guest->tf)
		vcpu->rflags &= ~X86_EFLAGS_TF;
	if (!(traps && code == SVM_EXIT_EXCP_BASE + X86_TRAP_DB) &&
	    !(svm->debug_control && code == SVM_EXIT_EXCP_BASE + X86_TRAP_BP))
		return false;
	exit->reason = SLAT_EXIT_DEBUG;
	exit->debug.vector = code - SVM_EXIT_EXCP_BASE;
	exit->debug.dr6 = dr6;
	exit->debug.dr7 = dr7;
	return true;
}

static void svm_run(struct slat_vcpu *vcpu, struct slat_exit *exit)
{
	struct debugged guest;
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmcb_save_area *save = &svm->vmcb->save;

	save->rax = vcpu->gpr[SLAT_RAX];
	save->rsp = vcpu->gpr[SLAT_RSP];
	save->rip = vcpu->rip;
	save->rflags = vcpu->rflags;
	save->cr2 = vcpu->cr2;
	control->msrpm_base_pa = __pa(rcu_access_pointer(vcpu->vm->msr_filter) ? msrpm_all : msrpm);
	if (svm->debug_control != vcpu->debug.control || svm->passed_bp != vcpu->debug.pass_bp) {
		svm->passed_bp = vcpu->debug.pass_bp;
		update_debug(vcpu, svm);
	}
	__assign_bit(INTERCEPT_RDTSCP, (unsigned long *)control->intercepts,
		     !vcpu->limits.rdtscp);
	inject(vcpu, svm);
	begin_debug(vcpu, svm, &guest);

	run_once(vcpu, svm);

	vcpu->gpr[SLAT_RAX] = save->rax;
	vcpu->gpr[SLAT_RSP] = save->rsp;
	vcpu->rip = save->rip;
	vcpu->rflags = save->rflags;
	vcpu->cr2 = save->cr2;
	update_mode(vcpu);
	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	redeliver(vcpu, control);
	check_iret(vcpu, svm);
	if (svm->debug_control && end_debug(vcpu, svm, &guest, exit))
		svm->stepping = false;
	else if (end_stepping(vcpu, svm))
		exit->reason = SLAT_EXIT_NOTHING;
	else
		explain(vcpu, svm, exit);
}

/* Registers */

static struct vmcb_seg *vmcb_segment(struct vmcb_save_area *save, unsigned int nr)
{
	switch (nr) {
	case SLAT_SEG_ES:
		return &save->es;
	case SLAT_SEG_CS:
		return &save->cs;
	case SLAT_SEG_SS:
		return &save->ss;
	case SLAT_SEG_FS:
		return &save->fs;
	case SLAT_SEG_GS:
		return &save->gs;
	default:
		return &save->ds;
	}
}

static void unpack_segment(const struct vmcb_seg *from, struct kvm_segment *to)
{
	const u16 attrib = from->attrib;

	*to = (struct kvm_segment) {
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = attrib & SVM_SELECTOR_TYPE_MASK,
		.s = !!(attrib & SVM_SELECTOR_S_MASK),
		.dpl = (attrib & SVM_SELECTOR_DPL_MASK) >> SVM_SELECTOR_DPL_SHIFT,
		.present = !!(attrib & SVM_SELECTOR_P_MASK),
		.avl = !!(attrib & SVM_SELECTOR_AVL_MASK),
		.l = !!(attrib & SVM_SELECTOR_L_MASK),
		.db = !!(attrib & SVM_SELECTOR_DB_MASK),
		/* The CPU does not keep G; the limit is in bytes here. */
		.g = from->limit > 0xfffff,
		.unusable = !(attrib & SVM_SELECTOR_P_MASK),
	};
}

static void pack_segment(const struct kvm_segment *from, struct vmcb_seg *to)
{
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attrib = (from->type & SVM_SELECTOR_TYPE_MASK) |
		     (from->s & 1) << SVM_SELECTOR_S_SHIFT |
		     (from->dpl & 3) << SVM_SELECTOR_DPL_SHIFT |
		     ((from->present & 1) && !from->unusable) << SVM_SELECTOR_P_SHIFT |
		     (from->avl & 1) << SVM_SELECTOR_AVL_SHIFT |
		     (from->l & 1) << SVM_SELECTOR_L_SHIFT |
		     (from->db & 1) << SVM_SELECTOR_DB_SHIFT |
		     (from->g & 1) << SVM_SELECTOR_G_SHIFT;
}

static void svm_get_segment(struct slat_vcpu *vcpu, struct kvm_segment *seg, unsigned int nr)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	unpack_segment(vmcb_segment(save, nr), seg);
	if (nr == SLAT_SEG_SS)
		seg->dpl = save->cpl;
}

static void svm_get_sregs(struct slat_vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;

	svm_get_segment(vcpu, &sregs->cs, SLAT_SEG_CS);
	svm_get_segment(vcpu, &sregs->ds, SLAT_SEG_DS);
	svm_get_segment(vcpu, &sregs->es, SLAT_SEG_ES);
	svm_get_segment(vcpu, &sregs->fs, SLAT_SEG_FS);
	svm_get_segment(vcpu, &sregs->gs, SLAT_SEG_GS);
	svm_get_segment(vcpu, &sregs->ss, SLAT_SEG_SS);
	unpack_segment(&save->tr, &sregs->tr);
	sregs->tr.type |= 2;	/* busy: the VMCB may not say so */
	unpack_segment(&save->ldtr, &sregs->ldt);
	sregs->gdt.base = save->gdtr.base;
	sregs->gdt.limit = save->gdtr.limit;
	sregs->idt.base = save->idtr.base;
	sregs->idt.limit = save->idtr.limit;
	sregs->cr0 = save->cr0;
	sregs->cr3 = save->cr3;
	sregs->cr4 = svm->cr4;
	sregs->cr8 = svm->vmcb->control.int_ctl & V_TPR_MASK;
	sregs->efer = save->efer & ~(u64)EFER_SVME;
}

static u64 svm_get_cr8(struct slat_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.int_ctl & V_TPR_MASK;
}

static void svm_set_cr8(struct slat_vcpu *vcpu, u64 cr8)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	control->int_ctl = (control->int_ctl & ~V_TPR_MASK) | cr8;
}

static void svm_set_sregs(struct slat_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	pack_segment(&sregs->cs, &save->cs);
	pack_segment(&sregs->ds, &save->ds);
	pack_segment(&sregs->es, &save->es);
	pack_segment(&sregs->fs, &save->fs);
	pack_segment(&sregs->gs, &save->gs);
	pack_segment(&sregs->ss, &save->ss);
	save->cpl = sregs->ss.dpl & 3;
	pack_segment(&sregs->tr, &save->tr);
	pack_segment(&sregs->ldt, &save->ldtr);
	save->gdtr.base = sregs->gdt.base;
	save->gdtr.limit = sregs->gdt.limit;
	save->idtr.base = sregs->idt.base;
	save->idtr.limit = sregs->idt.limit;
	save->cr0 = sregs->cr0 | X86_CR0_ET;
	save->cr3 = sregs->cr3;
	save->efer = sregs->efer | EFER_SVME;
	svm_set_cr4(vcpu, sregs->cr4);
	svm_set_cr8(vcpu, sregs->cr8);
}

static void svm_get_debug(struct slat_vcpu *vcpu, u64 *dr6, u64 *dr7)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	*dr6 = save->dr6;
	*dr7 = save->dr7;
}

static void svm_set_debug(struct slat_vcpu *vcpu, u64 dr6, u64 dr7)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->save.dr6 = dr6;
	svm->vmcb->save.dr7 = dr7;
	/* Breakpoints that are armed want their addresses in the CPU. */
	if (dr7 & (DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK))
		set_dr_live(svm, true);
}

/* The MSRs that live in the VMCB, but for EFER. */
static u64 *vmcb_msr(struct vmcb_save_area *save, u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &save->g_pat;
	default:
		return NULL;
	}
}

static int svm_get_msr(struct slat_vcpu *vcpu, u32 index, u64 *value)
{
	struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;
	const u64 *from = vmcb_msr(save, index);

	if (index == MSR_EFER)
		*value = save->efer & ~(u64)EFER_SVME;
	else if (from)
		*value = *from;
	else
		return -ENOENT;
	return 0;
}

static int svm_set_msr(struct slat_vcpu *vcpu, u32 index, u64 value)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *to = vmcb_msr(&svm->vmcb->save, index);

	if (index == MSR_EFER)
		svm->vmcb->save.efer = value | EFER_SVME;
	else if (to)
		*to = value;
	else
		return -ENOENT;
	if (index == MSR_EFER || index == MSR_IA32_CR_PAT)
		svm->tag_cpu = -1;	/* NX and memory types are cached */
	update_mode(vcpu);
	return 0;
}

static void svm_skipped(struct slat_vcpu *vcpu)
{
	svm_set_shadow(vcpu, false);
}

static void svm_single_stepped(struct slat_vcpu *vcpu)
{
	to_svm(vcpu)->vmcb->save.dr6 |= DR_STEP;
	slat_vcpu_inject(vcpu, X86_TRAP_DB, false, 0);
}

const struct slat_hw slat_svm = {
	.name = "SVM",
	.table_ops = &npt_table_ops,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_put = svm_vcpu_put,
	.tag_valid = svm_tag_valid,
	.flush = svm_flush,
	.run = svm_run,
	.get_segment = svm_get_segment,
	.get_sregs = svm_get_sregs,
	.set_sregs = svm_set_sregs,
	.set_cr4 = svm_set_cr4,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.get_shadow = svm_get_shadow,
	.set_shadow = svm_set_shadow,
	.skipped = svm_skipped,
	.single_stepped = svm_single_stepped,
	.get_cr8 = svm_get_cr8,
	.set_cr8 = svm_set_cr8,
	.get_debug = svm_get_debug,
	.set_debug = svm_set_debug,
	.set_tsc_offset = svm_set_tsc_offset,
	.get_tsc_offset = svm_get_tsc_offset,
};
