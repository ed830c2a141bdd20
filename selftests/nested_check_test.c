// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: what a guest's hypervisor (L1) may not do. Instructions without the right to them
 * raise an exception; VMRUN of a state that is none ends at once, with L1 as it was.
 */
#include "harness.h"
#include "nested.h"

NESTED_FIXTURE(check);

static void l2_nothing(uint64_t unused)
{
}

/* --- states that are none */

FIXTURE(state)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(state)
{
	size_t at, size;		/* a field of the VMCB */
	uint64_t set, clear;		/* bits of it */
	const char *not_kvms;		/* why KVM, or the CPU under it, takes it */
};

#define STATE(name, field, ...)						\
	FIXTURE_VARIANT_ADD(state, name) {				\
		.at = offsetof(struct vmcb, field),			\
		.size = sizeof(((struct vmcb *)0)->field), __VA_ARGS__	\
	}

STATE(vmrun_not_intercepted, intercepts[EXIT_VMRUN / 32], .clear = 1u << EXIT_VMRUN % 32);
STATE(asid_0, guest_asid, .clear = -1u);
STATE(no_svme, efer, .clear = EFER_SVME);
STATE(efer_reserved, efer, .set = 1ul << 9);
STATE(efer_reserved_high, efer, .set = 1ul << 63);
STATE(nw_without_cd, cr0, .set = CR0_NW, .clear = CR0_CD);
STATE(cr0_high, cr0, .set = 1ul << 32);
STATE(cr4_reserved, cr4, .set = 1ul << 15);
STATE(cr4_high, cr4, .set = 1ul << 63);
STATE(dr6_high, dr6, .set = 1ul << 32);
STATE(dr7_high, dr7, .set = 1ul << 63);
STATE(long_without_pae, cr4, .clear = CR4_PAE);
STATE(long_without_pe, cr0, .clear = CR0_PE);
STATE(cs_l_and_d, cs.attrib, .set = 1u << 10);
STATE(cr3_high, cr3, .set = 1ul << 62);
STATE(iopm_beyond, iopm_base_pa, .set = 0xffffffffff000);
STATE(msrpm_beyond, msrpm_base_pa, .set = 0xffffffffff000);
STATE(np_enable, np_enable, .set = 1, .not_kvms = "KVM's guests have nested paging");
STATE(event_type_1, eventinj, .set = EVENT_VALID | 1u << 8 | 0x41);
STATE(event_type_5, eventinj, .set = EVENT_VALID | 5u << 8 | 0x41);
STATE(event_type_7, eventinj, .set = EVENT_VALID | 7u << 8 | 0x41);
STATE(event_exception_2, eventinj, .set = EVENT_VALID | EVENT_EXCEPTION | 2);
STATE(event_exception_32, eventinj, .set = EVENT_VALID | EVENT_EXCEPTION | 32);

FIXTURE_SETUP(state)
{
	if (!nested_supported())
		SKIP_SETUP("guests here have no SVM");
	if (variant->not_kvms && slat_is_kvm())
		SKIP_SETUP("%s", variant->not_kvms);
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(state)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

TEST_F(state, is_refused)
{
	struct kvm_sregs before;
	uint64_t good = 0, bad;
	struct vmcb *vmcb;
	uint8_t *at;

	vmcb = nested_enter(self->vcpu, l2_nothing, 0);
	vcpu_get_sregs(self->vcpu, &before);
	at = (uint8_t *)vmcb + variant->at;
	memcpy(&good, at, variant->size);
	bad = (good | variant->set) & ~variant->clear;
	memcpy(at, &bad, variant->size);
	vmcb->exitinfo1 = vmcb->exitinfo2 = 0x5a5a;
	/* KVM passes the CPU's on, and QEMU's has 32 bits. */
	EXPECT_EQ((uint32_t)EXIT_INVALID, (uint32_t)nested_run(self->vcpu));
	EXPECT_TRUE(nested_l1_is(self->vcpu, &before));
	/* L2 did not run, and does when the state is right. QEMU's VMRUN changes RIP. */
	if (!slat_is_kvm())
		EXPECT_EQ((uintptr_t)l2_nothing, vmcb->rip);
	vmcb->rip = (uintptr_t)l2_nothing;
	memcpy(at, &good, variant->size);
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* GIF is clear as after any exit. */
static volatile uint64_t nmis;

static GUEST_HANDLER void on_nmi(struct guest_frame *frame)
{
	nmis++;
}

static void l1_refused(uint64_t unused)
{
	guest_handlers[2] = on_nmi;
	l1_prepare(l2_nothing, 0);
	l2_vmcb.guest_asid = 0;
	guest_report(1, l1_vmrun(&l2_vmcb));
	guest_report(2, l2_vmcb.exitcode);
	guest_report(3, nmis);
	svm_stgi();
	guest_report(4, nmis);
}

TEST_F(check, refusal_is_an_exit)
{
	guest_enter_c(self->vcpu, l1_refused, 0);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(EXIT_INVALID, vcpu_await(self->vcpu, 2));
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 4));
}

/* --- addresses that are none */

#define TRY_ADDRESS(insn, address) \
	guest_try("mov %2, %%rax\n\t" insn " %%rax", "r"((uint64_t)(address))).vector

static void l1_addresses(uint64_t beyond)
{
	l1_prepare(l2_nothing, 0);
	guest_report(1, TRY_ADDRESS("vmrun", (uintptr_t)&l2_vmcb + 8));
	guest_report(1, TRY_ADDRESS("vmload", (uintptr_t)&l2_vmcb + 8));
	guest_report(1, TRY_ADDRESS("vmsave", (uintptr_t)&l2_vmcb + 8));
	guest_report(2, TRY_ADDRESS("vmrun", 1ul << 62));
	guest_report(2, TRY_ADDRESS("vmload", 1ul << 62));
	guest_report(2, TRY_ADDRESS("vmsave", 1ul << 62));
	guest_report(3, TRY_ADDRESS("vmrun", beyond));
	guest_report(3, TRY_ADDRESS("vmload", beyond));
	guest_report(3, TRY_ADDRESS("vmsave", beyond));
	guest_wrmsr(MSR_VM_HSAVE_PA, 0);
	guest_report(4, TRY_ADDRESS("vmrun", (uintptr_t)&l2_vmcb));
	guest_wrmsr(MSR_VM_HSAVE_PA, (uintptr_t)l1_hsave);
	guest_report(L1_EXIT, l1_run());
}

TEST_F(check, addresses)
{
	unsigned int i;

	guest_enter_c(self->vcpu, l1_addresses, 64 * MIB);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 1));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 2));
	/* No memory is there. */
	for (i = 0; i < 3; i++)
		EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 4));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* --- instructions without the right to them */

#define TRY(insn) guest_try("mov %2, %%rax\n\t" insn, "r"(&l2_vmcb)).vector

#define TRY_ALL(report)							\
	do {								\
		report(1, TRY("vmrun %%rax"));				\
		report(2, TRY("vmload %%rax"));				\
		report(3, TRY("vmsave %%rax"));				\
		report(4, TRY("stgi"));					\
		report(5, TRY("clgi"));					\
		report(6, TRY("xor %%ecx, %%ecx\n\tinvlpga %%rax, %%ecx")); \
	} while (0)

static void user_tries(uint64_t unused)
{
	TRY_ALL(user_report);
}

static void l1_enters_user(uint64_t unused)
{
	l1_prepare(l2_nothing, 0);
	guest_enter_user(user_tries, 0);
}

TEST_F(check, user_mode)
{
	unsigned int i;

	guest_enter_c(self->vcpu, l1_enters_user, 0);
	for (i = 1; i <= 6; i++)
		EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, i));
}

static void l1_without_svme(uint64_t unused)
{
	TRY_ALL(guest_report);
	guest_report(7, TRY("mov %%eax, %%eax\n\tskinit %%eax"));
	l1_prepare(l2_nothing, 0);
	guest_report(8, TRY("mov %%eax, %%eax\n\tskinit %%eax"));
}

TEST_F(check, SVME_off)
{
	unsigned int i;

	guest_enter_c(self->vcpu, l1_without_svme, 0);
	for (i = 1; i <= 8; i++) {
		const uint64_t vector = vcpu_await(self->vcpu, i);

		/* KVM leaves STGI and CLGI to a CPU that has a virtual GIF. */
		if (slat_is_kvm() && (i == 4 || i == 5))
			continue;
		EXPECT_EQ(UD_VECTOR, vector) {
			TH_LOG("instruction %u", i);
		}
	}
}

/* --- MSRs */

#define TRY_WRMSR(msr, value)						\
	guest_try("mov %2, %%ecx\n\tmov %3, %%rax\n\tmov %%rax, %%rdx\n\tshr $32, %%rdx\n\twrmsr", \
		  "r"(msr), "r"((uint64_t)(value))).vector

/* SVM cannot be disabled while it is on, nor switched on when it is disabled. */
static void l1_disables(uint64_t unused)
{
	const uint64_t efer = guest_rdmsr(MSR_EFER);

	guest_report(1, guest_rdmsr(MSR_VM_CR));
	guest_wrmsr(MSR_EFER, efer | EFER_SVME);
	guest_report(2, TRY_WRMSR(MSR_VM_CR, VM_CR_SVMDIS));
	guest_report(3, guest_rdmsr(MSR_VM_CR));
	guest_wrmsr(MSR_EFER, efer);
	guest_report(4, TRY_WRMSR(MSR_VM_CR, VM_CR_SVMDIS));
	guest_report(5, guest_rdmsr(MSR_VM_CR));
	guest_report(6, TRY_WRMSR(MSR_EFER, efer | EFER_SVME));
	guest_report(7, guest_rdmsr(MSR_EFER) ^ efer);
	guest_report(8, TRY_WRMSR(MSR_VM_CR, 1ul << 32));
}

TEST_F(check, VM_CR)
{
	if (slat_is_kvm())
		SKIP(return, "KVM does not look at SVMDIS");
	guest_enter_c(self->vcpu, l1_disables, 0);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 4));
	EXPECT_EQ(VM_CR_SVMDIS, vcpu_await(self->vcpu, 5));
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 6));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 7));
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 8));
}

static void l1_hsave_addresses(uint64_t unused)
{
	guest_report(1, TRY_WRMSR(MSR_VM_HSAVE_PA, (uintptr_t)l1_hsave));
	guest_report(2, guest_rdmsr(MSR_VM_HSAVE_PA));
	guest_report(3, TRY_WRMSR(MSR_VM_HSAVE_PA, (uintptr_t)l1_hsave + 8));
	guest_report(3, TRY_WRMSR(MSR_VM_HSAVE_PA, 1ul << 62));
	guest_report(2, guest_rdmsr(MSR_VM_HSAVE_PA));
}

TEST_F(check, VM_HSAVE_PA)
{
	guest_enter_c(self->vcpu, l1_hsave_addresses, 0);
	EXPECT_EQ(NO_FAULT, vcpu_await(self->vcpu, 1));
	EXPECT_EQ((uintptr_t)l1_hsave, vcpu_await(self->vcpu, 2));
	if (slat_is_kvm())
		SKIP(return, "KVM ignores a bad address");
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(GP_VECTOR, vcpu_await(self->vcpu, 3));
	EXPECT_EQ((uintptr_t)l1_hsave, vcpu_await(self->vcpu, 2));
	/* The VMM moves it like any MSR. */
	EXPECT_EQ((uintptr_t)l1_hsave, vcpu_get_msr(self->vcpu, MSR_VM_HSAVE_PA));
}

/* SVME off and on again: GIF is set, and SVM works. */
static void l1_leaves_svm(uint64_t unused)
{
	guest_handlers[2] = on_nmi;
	l1_prepare(l2_nothing, 0);
	svm_clgi();
	guest_report(1, nmis);
	guest_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) & ~EFER_SVME);
	guest_report(2, nmis);
	guest_report(3, TRY("vmload %%rax"));
	guest_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) | EFER_SVME);
	guest_report(L1_EXIT, l1_run());
}

TEST_F(check, SVME_off_sets_GIF)
{
	guest_enter_c(self->vcpu, l1_leaves_svm, 0);
	vcpu_await(self->vcpu, 1);
	must_ioctl(self->vcpu->fd, KVM_NMI, 0);
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(UD_VECTOR, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(self->vcpu));
}

/* A guest whose VMM does not let it have SVM. */
static void guest_tries_efer(uint64_t unused)
{
	guest_report(1, TRY_WRMSR(MSR_EFER, guest_rdmsr(MSR_EFER) | EFER_SVME));
	guest_report(2, TRY("vmrun %%rax"));
}

TEST_F(check, CPUID_without_SVM)
{
	struct kvm_cpuid2 *cpuid = slat_supported_cpuid();
	struct vcpu *vcpu = vcpu_create_bare(self->vm, 1);
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 0x80000001)
			cpuid->entries[i].ecx &= ~(1u << 2);
	vcpu_set_cpuid(vcpu, cpuid);
	guest_enter_c(vcpu, guest_tries_efer, 0);
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 1));
	EXPECT_EQ(UD_VECTOR, vcpu_await(vcpu, 2));
	vcpu_destroy(vcpu);
}

SLAT_HARNESS_MAIN
