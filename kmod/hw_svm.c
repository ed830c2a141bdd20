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
#include <asm/traps.h>

#include "compat.h"
#include "flush_check.h"
#include "fmt/npt.h"
#include "svm.h"
#include "table.h"

#define IOPM_ORDER	2	/* 3 pages, aligned to one */
#define MSRPM_ORDER	1

/**
 * struct svm_cpu - what a CPU needs
 * @hsave:	where VMRUN keeps the host state
 * @host:	where VMSAVE does
 * @host_pa:	its physical address
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
	u64 host_pa;
	u64 tag_gen;
	u32 next_asid;
	u64 serial;
	u64 xcr0;
	u64 xss;
	u64 tsc_aux;
};

static DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
static void *iopm;
static void *msrpm;
static void *msrpm_all;	/* every MSR exits */
static u64 msrpm_pa, msrpm_all_pa;
static u32 min_asid, max_asid;

void slat_svm_switch(u64 *gpr, u64 vmcb_pa, u64 host_pa);

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
		sc->host_pa = __pa(sc->host);
	}
	return 0;
}

/* Two bits each, in three ranges of 8K MSRs. */
int svm_msr_bit(u32 msr)
{
	static const u32 ranges[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		if (msr - ranges[i] < 0x2000)
			return i * 0x800 * 8 + (msr - ranges[i]) * 2;
	return -1;
}

/* Let the guest use an MSR that is in one of the ranges. */
static void pass_msr(u32 msr)
{
	const int bit = svm_msr_bit(msr);

	__clear_bit(bit, msrpm);
	__clear_bit(bit + 1, msrpm);
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
	slat_flush_check_exit();
	free_cpus();
}

/*
 * An entry of NPT selects its type from the host's PAT.  That has Linux's layout, or,
 * with "nopat", what the CPU starts with, which lacks WC and WP and has WT elsewhere.
 */
static unsigned int host_types(void)
{
	static const u8 types[] = {
		SLAT_MT_UC, SLAT_MT_WC, SLAT_MT_WT, SLAT_MT_WP, SLAT_MT_WB, SLAT_MT_UC_MINUS,
	};
	unsigned int i, found = 0;
	u64 pat;

	rdmsrl(MSR_IA32_CR_PAT, pat);
	for (i = 0; i < ARRAY_SIZE(types); i++)
		if ((u8)(pat >> (8 * npt_pat_index(types[i]))) == types[i])
			found |= BIT(types[i]);
	return found;
}

/* What no leaf can do without, and what stands in for the rest. */
#define BASIC_TYPES	(BIT(SLAT_MT_WB) | BIT(SLAT_MT_UC_MINUS) | BIT(SLAT_MT_UC))

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
	slat_hw_types = host_types();
	if ((slat_hw_types & BASIC_TYPES) != BASIC_TYPES) {
		pr_err("slat: the host's PAT has no WB, UC- and UC where Linux puts them\n");
		return -EOPNOTSUPP;
	}
	/* Nested paging has the mode of the host's own paging. */
	slat_hw_levels = __read_cr4() & X86_CR4_LA57 ? 5 : 4;
	slat_hw_leaf_levels = boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2;

	if (alloc_cpus())
		return -ENOMEM;
	iopm = (void *)__get_free_pages(GFP_KERNEL, IOPM_ORDER);
	msrpm = (void *)__get_free_pages(GFP_KERNEL, MSRPM_ORDER);
	msrpm_all = (void *)__get_free_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!iopm || !msrpm || !msrpm_all || slat_flush_check_init(max_asid + 1)) {
		svm_teardown();
		return -ENOMEM;
	}
	memset(iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(msrpm_all, 0xff, PAGE_SIZE << MSRPM_ORDER);
	init_msrpm();
	msrpm_pa = __pa(msrpm);
	msrpm_all_pa = __pa(msrpm_all);
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

static void intercept_instructions(struct svm_vcpu *svm)
{
	static const u8 bits[] = {
		/* Events that are the host's. */
		INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
		INTERCEPT_SHUTDOWN, INTERCEPT_FERR_FREEZE,
		/* What the guest may do with our help. */
		INTERCEPT_CPUID, INTERCEPT_HLT, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
		INTERCEPT_VMMCALL, INTERCEPT_XSETBV, INTERCEPT_CR4_WRITE,
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
		svm_intercept(svm, bits[i], true);
	/*
	 * Exceptions: #MC is the host's.  #DB and #AC can be made to recur for ever
	 * within the delivery of one event, which only an exit breaks.  #UD may be from a
	 * hypercall that the other vendor's CPUs know.
	 */
	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC, true);
	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB, true);
	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC, true);
	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_UD, true);
}

void svm_pass_msrs(struct svm_vcpu *svm, bool pass)
{
	svm->msrpm_pa = pass ? msrpm_pa : msrpm_all_pa;
}

static u64 svm_get_tsc_offset(struct slat_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.tsc_offset - vcpu->inner_tsc;
}

static void svm_set_tsc_offset(struct slat_vcpu *vcpu, u64 offset)
{
	to_svm(vcpu)->vmcb->control.tsc_offset = offset + vcpu->inner_tsc;
}

static void svm_follow_limits(struct slat_vcpu *vcpu)
{
	svm_intercept(to_svm(vcpu), INTERCEPT_RDTSCP, !vcpu->limits.rdtscp);
}

static void svm_vcpu_reset(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	u64 tsc_offset;

	svm_nested_end(vcpu);
	tsc_offset = control->tsc_offset;
	memset(svm->vmcb, 0, PAGE_SIZE);
	memset(svm->intercepts, 0, sizeof(svm->intercepts));
	intercept_instructions(svm);
	svm_set_own_tpr(svm, true);
	svm->debug_control = 0;
	svm->passed_bp = false;
	svm_set_dr_live(svm, false);
	control->iopm_base_pa = __pa(iopm);
	svm_pass_msrs(svm, true);
	control->int_ctl = V_INTR_MASKING_MASK;
	control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	control->nested_cr3 = slat_table_pfn(vcpu->vm->base.root.table) << PAGE_SHIFT;
	control->tsc_offset = tsc_offset;

	svm_reset_state(vcpu);
	svm_follow_limits(vcpu);
	slat_inject_reset(vcpu);
	svm->iret_seen = false;
}

static int svm_vcpu_create(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb || (slat_nested && svm_nested_create(svm))) {
		free_page((unsigned long)svm->vmcb);
		kfree(svm);
		return -ENOMEM;
	}
	svm->vmcb_pa = __pa(svm->vmcb);
	svm->tag_cpu = -1;
	vcpu->hw = svm;
	return 0;
}

static void svm_vcpu_free(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	kfree(svm->nested);
	free_page((unsigned long)svm->vmcb);
	kfree(svm);
}

/* Translations: tagged with an ASID, from the guest's virtual to the host's frame. */

static bool tag_valid(const struct svm_vcpu *svm)
{
	return svm->tag_cpu == smp_processor_id() &&
	       svm->tag_gen == this_cpu_read(svm_cpus.tag_gen);
}

static void flush_all(struct svm_cpu *sc, struct vmcb *vmcb)
{
	sc->tag_gen++;
	sc->next_asid = min_asid;
	vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	slat_flush_note_all();
}

/* A fresh ASID has no translations.  When all are used up, flush and start over. */
static void flush(struct slat_vcpu *vcpu, u64 gen)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	struct svm_vcpu *svm = to_svm(vcpu);

	if (slat_flush_omit(SLAT_OMIT_TAG) && sc->next_asid > min_asid)
		sc->next_asid--;
	do {
		if (sc->next_asid > max_asid)
			flush_all(sc, svm->vmcb);
		svm->vmcb->control.asid = sc->next_asid++;
	} while (!slat_flush_note(svm->vmcb->control.asid, vcpu, gen));
	svm->tag_cpu = smp_processor_id();
	svm->tag_gen = sc->tag_gen;
	WRITE_ONCE(vcpu->flushed_gen, gen);
}

/* Entering */

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

static noinstr void switch_worlds(struct slat_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	slat_guest_enter_irqoff();
	/*
	 * VMRUN takes the host's interrupt flag for physical interrupts; GIF is clear,
	 * so none arrives out here.
	 */
	raw_local_irq_enable();
	slat_svm_switch(vcpu->gpr, svm->vmcb_pa, __this_cpu_read(svm_cpus.host_pa));
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
	const bool tsc_aux = other_tsc_aux(vcpu, sc);

	if (sc->serial != vcpu->serial) {
		sc->serial = vcpu->serial;
		indirect_branch_prediction_barrier();
	}
	asm volatile("vmsave %%rax" : : "a" (sc->host_pa) : "memory");
	asm volatile("clgi" ::: "memory");
	if (svm_uses_dr(svm))
		svm_load_debug(vcpu, svm);
	load_xstate(vcpu, sc);
	if (tsc_aux)
		wrmsrl(MSR_TSC_AUX, vcpu->msrs.tsc_aux);
	switch_worlds(vcpu);
	if (tsc_aux)
		wrmsrl(MSR_TSC_AUX, sc->tsc_aux);
	restore_xstate(vcpu, sc);
	if (svm_uses_dr(svm) || hw_breakpoint_active())
		svm_save_debug(vcpu, svm);
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
static __always_inline enum slat_exit_reason plain_reason(u64 code)
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
		return SLAT_EXIT_CACHE;
	case SVM_EXIT_RDPMC:
		return SLAT_EXIT_GP;
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
		return slat_nested ? SLAT_EXIT_VIRT : SLAT_EXIT_UD;
	case SVM_EXIT_RDTSCP:
	case SVM_EXIT_RSM:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_RDPRU:
		return SLAT_EXIT_UD;
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
		return SLAT_EXIT_MWAIT;
	case SVM_EXIT_SHUTDOWN:
		return SLAT_EXIT_SHUTDOWN;
	default:
		return SLAT_EXIT_UNKNOWN;
	}
}

/* Perhaps not flushed, either: start over with the ASIDs. */
static void not_entered(struct svm_vcpu *svm)
{
	this_cpu_write(svm_cpus.next_asid, max_asid + 1);
	svm->tag_cpu = -1;
}

/* For each exit, so not called. */
static __always_inline void explain(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	struct slat_exit *exit = &vcpu->exit;
	const struct vmcb_control_area *control = &svm->vmcb->control;
	const u64 code = svm_exit_code(control);

	exit->code = control->exit_code;
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
		svm_set_dr_live(svm, true);
		exit->reason = svm->debug_control ? SLAT_EXIT_DR : SLAT_EXIT_NOTHING;
		break;
	case SVM_EXIT_CR0_SEL_WRITE:
		/* It will do so again. */
		svm_show_cr0(svm);
		exit->reason = SLAT_EXIT_NOTHING;
		break;
	case SVM_EXIT_ERR:
		not_entered(svm);
		exit->reason = SLAT_EXIT_INVALID;
		break;
	case SVM_EXIT_IRET:
		svm_exit_iret(vcpu, svm);
		exit->reason = SLAT_EXIT_NOTHING;
		break;
	default:
		exit->reason = plain_reason(code);
	}
}

void svm_explain(struct slat_vcpu *vcpu)
{
	explain(vcpu, to_svm(vcpu));
}

static void explain_inner(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	const u64 code = svm_exit_code(&svm->vmcb->control);

	if (svm_inner_wants(svm, code)) {
		if (code == SVM_EXIT_ERR)
			not_entered(svm);
		vcpu->exit.reason = SLAT_EXIT_INNER;
	} else if (code == SVM_EXIT_VMMCALL) {
		/* Calls are for the guest to make, past which this one might get. */
		vcpu->exit.reason = SLAT_EXIT_UD;
	} else {
		svm_explain(vcpu);
	}
}

static __always_inline void finish(struct slat_vcpu *vcpu, struct svm_vcpu *svm, bool inner)
{
	struct slat_exit *exit = &vcpu->exit;
	struct vmcb_control_area *control = &svm->vmcb->control;
	const struct vmcb_save_area *save = &svm->vmcb->save;

	vcpu->gpr[SLAT_RAX] = save->rax;
	vcpu->gpr[SLAT_RSP] = save->rsp;
	vcpu->rip = save->rip;
	vcpu->rflags = save->rflags;
	vcpu->cr2 = save->cr2;
	if (!inner || svm->own_tpr)
		vcpu->cr8 = control->int_ctl & V_TPR_MASK;
	svm_update_mode(vcpu);
	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	vcpu->events.shadow = control->int_state & SVM_INTERRUPT_SHADOW_MASK;
	vcpu->events.delivering = control->exit_int_info & SVM_EXITINTINFO_VALID;
	if (vcpu->events.delivering)
		svm_redeliver(vcpu, control);
	if (svm->iret_seen)
		svm_check_iret(vcpu, svm);
	if (svm->debug_control && svm_end_debug(vcpu, svm, exit))
		svm->stepping = false;
	else if (svm->stepping && svm_end_stepping(vcpu, svm))
		exit->reason = SLAT_EXIT_NOTHING;
	else if (inner)
		explain_inner(vcpu, svm);
	else
		explain(vcpu, svm);
}

/* Apart, so that others do not pay for it. */
static noinline void finish_inner(struct slat_vcpu *vcpu, struct svm_vcpu *svm)
{
	finish(vcpu, svm, true);
}

static void svm_run(struct slat_vcpu *vcpu, u64 gen)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmcb_save_area *save = &svm->vmcb->save;

	if ((vcpu->flushed_gen != gen || !tag_valid(svm)) && !slat_flush_omit(SLAT_OMIT_ENTRY))
		flush(vcpu, gen);
	while (!slat_flush_enter(vcpu, control->asid, gen))
		flush(vcpu, gen);
	save->rax = vcpu->gpr[SLAT_RAX];
	save->rsp = vcpu->gpr[SLAT_RSP];
	save->rip = vcpu->rip;
	save->rflags = vcpu->rflags;
	save->cr2 = vcpu->cr2;
	control->msrpm_base_pa = rcu_access_pointer(vcpu->vm->msr_filter) ? msrpm_all_pa :
									    svm->msrpm_pa;
	control->int_state = vcpu->events.shadow ? SVM_INTERRUPT_SHADOW_MASK : 0;
	control->event_inj = 0;
	if (svm_has_events(vcpu, svm))
		svm_inject(vcpu, svm);
	if (svm_is_debugged(vcpu, svm))
		svm_begin_debug(vcpu, svm);

	run_once(vcpu, svm);
	slat_flush_leave(vcpu);

	if (vcpu->inner)
		finish_inner(vcpu, svm);
	else
		finish(vcpu, svm, false);
}

static void svm_single_stepped(struct slat_vcpu *vcpu)
{
	to_svm(vcpu)->vmcb->save.dr6 |= DR_STEP;
	slat_vcpu_inject(vcpu, X86_TRAP_DB, false, 0);
}

const struct slat_hw slat_svm = {
	.name = "SVM",
	.table_ops = &npt_table_ops,
	.hypercall = SLAT_HYPERCALL_SVM,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.follow_limits = svm_follow_limits,
	.run = svm_run,
	.get_segment = svm_get_segment,
	.get_sregs = svm_get_sregs,
	.set_sregs = svm_set_sregs,
	.set_cr4 = svm_set_cr4,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.virt = svm_virt,
	.inner_exit = svm_inner_exit,
	.inner_event = svm_inner_event,
	.single_stepped = svm_single_stepped,
	.set_cr8 = svm_set_cr8,
	.get_debug = svm_get_debug,
	.set_debug = svm_set_debug,
	.set_tsc_offset = svm_set_tsc_offset,
	.get_tsc_offset = svm_get_tsc_offset,
};
