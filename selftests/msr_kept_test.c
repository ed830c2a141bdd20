// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: the MSRs that slat keeps itself: lists of them, what they take and
 * refuse from the VMM and from the guest, MTRRs, TSC and TSC_ADJUST.
 */
#include "harness.h"
#include "worker.h"

#define MSR_TSC_ADJUST		0x3bu
#define MSR_UCODE_REV		0x8bu
#define MSR_MTRRCAP		0xfeu
#define MSR_MISC_ENABLE		0x1a0u
#define MSR_MTRR_VAR(n)		(0x200u + (n))
#define MSR_MTRR_64K		0x250u
#define MSR_MTRR_16K_A0000	0x259u
#define MSR_MTRR_4K_F8000	0x26fu
#define MSR_MTRR_DEF_TYPE	0x2ffu
#define MSR_HWCR		0xc0010015u
#define MSR_DE_CFG		0xc0011029u
#define MSR_NONE		0x12345678u

VM_FIXTURE(kept);

/* --- lists */

static struct kvm_msr_list *list_before_hole(uint32_t nmsrs, uint32_t room)
{
	struct kvm_msr_list *list;

	list = mem_before_hole(sizeof(*list) + room * sizeof(list->indices[0]));
	list->nmsrs = nmsrs;
	return list;
}

static struct kvm_msr_list *get_list(unsigned long request)
{
	struct kvm_msr_list *list = list_before_hole(0, 0);

	REQUIRE(try_ioctl_ptr(slat_fd(), request, list) == -E2BIG,
		"no room was enough");
	list = list_before_hole(list->nmsrs, list->nmsrs);
	must_ioctl(slat_fd(), request, list);
	return list;
}

static bool in_list(const struct kvm_msr_list *list, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < list->nmsrs; i++)
		if (list->indices[i] == index)
			return true;
	return false;
}

TEST_F(kept, index_list)
{
	static const uint32_t wanted[] = {
		MSR_TSC, MSR_TSC_ADJUST, MSR_SYSENTER_CS, MSR_STAR, MSR_LSTAR,
		MSR_PAT, MSR_MISC_ENABLE, MSR_HWCR, MSR_UCODE_REV,
	};
	struct kvm_msr_list *list = get_list(KVM_GET_MSR_INDEX_LIST);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		EXPECT_TRUE(in_list(list, wanted[i])) {
			TH_LOG("MSR %#x", wanted[i]);
		}
	}
	/* What a VMM reads of one vCPU it can set in another. */
	for (i = 0; i < list->nmsrs; i++) {
		uint64_t value;

		EXPECT_EQ(1, vcpu_try_get_msr(self->vcpu, list->indices[i],
					      &value));
		EXPECT_EQ(1, vcpu_try_set_msr(self->vcpu, list->indices[i],
					      value)) {
			TH_LOG("MSR %#x", list->indices[i]);
		}
	}
}

TEST_F(kept, feature_list)
{
	struct kvm_msr_list *list = get_list(KVM_GET_MSR_FEATURE_INDEX_LIST);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs;
	unsigned int i;

	EXPECT_LT(0, slat_check_extension(KVM_CAP_GET_MSR_FEATURES));
	for (i = 0; i < list->nmsrs; i++) {
		msrs.head.nmsrs = 1;
		msrs.entry[0].index = list->indices[i];
		EXPECT_EQ(1, try_ioctl_ptr(slat_fd(), KVM_GET_MSRS, &msrs));
	}
	msrs.head.nmsrs = 2;
	msrs.entry[0].index = MSR_DE_CFG;
	msrs.entry[1].index = MSR_LSTAR;
	msrs.entry[1].data = 0x55;
	EXPECT_EQ(1, try_ioctl_ptr(slat_fd(), KVM_GET_MSRS, &msrs));
	EXPECT_EQ(0x55, msrs.entry[1].data);
	EXPECT_UNKNOWN(try_ioctl_ptr(slat_fd(), KVM_SET_MSRS, &msrs));
}

TEST_F(kept, list_refusals)
{
	static const unsigned long requests[] = {
		KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST,
	};
	const void *const *bad;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		const uint32_t nr = get_list(requests[i])->nmsrs;
		struct kvm_msr_list *list = list_before_hole(nr - 1, nr - 1);

		EXPECT_EQ(-E2BIG, try_ioctl_ptr(slat_fd(), requests[i], list));
		EXPECT_EQ(nr, list->nmsrs);
		list = list_before_hole(nr, nr - 1);
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(), requests[i], list));
		list = list_before_hole(-1u, nr);
		EXPECT_EQ(0, try_ioctl_ptr(slat_fd(), requests[i], list));
		EXPECT_EQ(nr, list->nmsrs);
		for (bad = bad_pointers; *bad; bad++) {
			EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(), requests[i],
							 *bad));
		}
	}
}

/* --- values */

#define FAILS	0
#define WORKS	1

/* What VMM and guest may write, and the value that is read then. */
static const struct {
	uint32_t index;
	uint64_t value;
	uint64_t read;
	int vmm, guest;
} writes[] = {
	/* Types must exist, addresses be no wider than the CPU's. */
	{ MSR_MTRR_VAR(0), 0xc0000006, 0xc0000006, WORKS, WORKS },
	{ MSR_MTRR_VAR(0), 0xc0000002, 0xc0000006, FAILS, FAILS },
	{ MSR_MTRR_VAR(0), 0xc0000106, 0xc0000006, FAILS, FAILS },
	{ MSR_MTRR_VAR(1), 0x3fc0000800, 0x3fc0000800, WORKS, WORKS },
	{ MSR_MTRR_VAR(1), 1ul << 60 | 0x800, 0x3fc0000800, FAILS, FAILS },
	{ MSR_MTRR_VAR(1), 0x400, 0x3fc0000800, FAILS, FAILS },
	{ MSR_MTRR_VAR(15), 0x800, 0x800, WORKS, WORKS },
	{ MSR_MTRR_VAR(16), 0, 0, FAILS, FAILS },
	{ MSR_MTRR_64K, 0x0606060606060600, 0x0606060606060600, WORKS, WORKS },
	{ MSR_MTRR_64K, 0x0206060606060606, 0x0606060606060600, FAILS, FAILS },
	{ MSR_MTRR_16K_A0000, 0x0500010406050001, 0x0500010406050001, WORKS, WORKS },
	{ MSR_MTRR_4K_F8000, 0x0505050505050505, 0x0505050505050505, WORKS, WORKS },
	{ 0x251, 0, 0, FAILS, FAILS },
	{ 0x270, 0, 0, FAILS, FAILS },
	{ MSR_MTRR_DEF_TYPE, 0xc06, 0xc06, WORKS, WORKS },
	{ MSR_MTRR_DEF_TYPE, 0xc07, 0xc06, FAILS, FAILS },
	{ MSR_MTRR_DEF_TYPE, 0x1c06, 0xc06, FAILS, FAILS },
	{ MSR_MTRRCAP, 0x508, 0x508, FAILS, FAILS },
	/* Kept for the VMM; the guest may not change what says "no PMU". */
	{ MSR_MISC_ENABLE, 0x1801, 0x1801, WORKS, WORKS },
	{ MSR_MISC_ENABLE, 0x1, 0x1, WORKS, FAILS },
	/* Some of AMD's bits have no effect, most are not there. */
	{ MSR_HWCR, 0x40, 0, WORKS, WORKS },
	{ MSR_HWCR, 1ul << 18, 1ul << 18, WORKS, WORKS },
	{ MSR_HWCR, 1ul << 24, 1ul << 18, FAILS, FAILS },
	{ MSR_UCODE_REV, 0x1234, 0x1234, WORKS, WORKS },
	{ MSR_DE_CFG, 1ul << 40, 0, FAILS, FAILS },
	/* Counters that count nothing. */
	{ 0xc0010000, 0x530076, 0, WORKS, WORKS },
	{ 0xc0010004, 0x1234, 0, WORKS, WORKS },
	{ 0xc0010201, 0, 0, WORKS, FAILS },
	{ 0xc0010201, 1, 0, FAILS, FAILS },
	/* Northbridge and friends, and SYSCFG that cannot be written. */
	{ 0xc001001f, 0x55, 0, WORKS, WORKS },
	{ 0xc0011022, 0x55, 0, WORKS, WORKS },
	{ 0xc001102a, 0x55, 0, WORKS, WORKS },
	{ 0xc0010058, 0, 0, WORKS, WORKS },
	{ 0xc0010058, 0x55, 0, FAILS, FAILS },
	{ 0xc0010010, 0x55, 0, FAILS, FAILS },
	{ 0x1d9, 0x1, 0, WORKS, WORKS },
	{ MSR_NONE, 0, 0, FAILS, FAILS },
};

TEST_F(kept, vmm_writes)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		uint64_t value;

		EXPECT_EQ(writes[i].vmm,
			  vcpu_try_set_msr(self->vcpu, writes[i].index,
					   writes[i].value)) {
			TH_LOG("MSR %#x = %#lx", writes[i].index,
			       writes[i].value);
		}
		if (vcpu_try_get_msr(self->vcpu, writes[i].index, &value) != 1)
			continue;
		EXPECT_EQ(writes[i].read, value) {
			TH_LOG("MSR %#x", writes[i].index);
		}
	}
}

/* Intel's CPUs refuse the upper half, AMD's ignore it. */
static void guest_write_sfmask(uint64_t value)
{
	struct guest_fault fault;

	fault = guest_try("mov %%rbx, %%rax\n\tmov %%rbx, %%rdx\n\t"
			  "shr $32, %%rdx\n\tmov %%edi, %%ecx\n\twrmsr",
			  "b"(value), "D"(MSR_SFMASK));
	guest_report(1, fault.vector);
}

TEST_F(kept, upper_half_of_sfmask)
{
	const uint64_t value = 1ul << 32 | 0x200;

	EXPECT_EQ(guest_has_vmcall ? FAILS : WORKS,
		  vcpu_try_set_msr(self->vcpu, MSR_SFMASK, value));
	guest_enter_c(self->vcpu, guest_write_sfmask, value);
	vcpu_set_msr(self->vcpu, MSR_EFER, vcpu_get_msr(self->vcpu, MSR_EFER) | EFER_SCE);
	EXPECT_EQ(guest_has_vmcall ? GP_VECTOR : NO_FAULT, vcpu_await(self->vcpu, 1));
	vcpu_await_done(self->vcpu);
}

static void guest_writes(uint64_t unused)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		struct guest_fault fault;

		fault = guest_try("mov %%rbx, %%rax\n\tmov %%rbx, %%rdx\n\t"
				  "shr $32, %%rdx\n\tmov %%edi, %%ecx\n\twrmsr",
				  "b"(writes[i].value), "D"(writes[i].index));
		guest_report(i, fault.vector);
	}
}

TEST_F(kept, guest_writes)
{
	unsigned int i;

	guest_enter_c(self->vcpu, guest_writes, 0);
	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		uint64_t value;

		EXPECT_EQ(writes[i].guest ? NO_FAULT : GP_VECTOR,
			  vcpu_await(self->vcpu, i)) {
			TH_LOG("MSR %#x = %#lx", writes[i].index,
			       writes[i].value);
		}
		if (writes[i].vmm != writes[i].guest ||
		    writes[i].index == MSR_UCODE_REV ||
		    vcpu_try_get_msr(self->vcpu, writes[i].index, &value) != 1)
			continue;
		EXPECT_EQ(writes[i].read, value) {
			TH_LOG("MSR %#x", writes[i].index);
		}
	}
}

static void guest_reads_mtrrs(uint64_t unused)
{
	guest_report(1, guest_rdmsr(MSR_MTRRCAP));
	guest_report(2, guest_rdmsr(MSR_MTRR_VAR(3)));
	guest_report(3, guest_rdmsr(MSR_MTRR_4K_F8000));
	guest_report(4, guest_rdmsr(MSR_MTRR_DEF_TYPE));
	guest_report(5, guest_rdmsr(MSR_UCODE_REV));
}

TEST_F(kept, guest_reads)
{
	vcpu_set_msr(self->vcpu, MSR_MTRR_VAR(3), 0x3ff0000800);
	vcpu_set_msr(self->vcpu, MSR_MTRR_4K_F8000, 0x0505050505050505);
	vcpu_set_msr(self->vcpu, MSR_MTRR_DEF_TYPE, 0xc06);
	vcpu_set_msr(self->vcpu, MSR_UCODE_REV, 0x77ull << 32);
	guest_enter_c(self->vcpu, guest_reads_mtrrs, 0);
	EXPECT_EQ(0x508, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0x3ff0000800, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0x0505050505050505, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(0xc06, vcpu_await(self->vcpu, 4));
	EXPECT_EQ(0x77ull << 32, vcpu_await(self->vcpu, 5));
}

TEST(cpuid)
{
	const uint32_t edx = slat_cpuid(1, 0)->edx;

	EXPECT_TRUE(edx & 1u << 7);	/* MCE */
	EXPECT_TRUE(edx & 1u << 12);	/* MTRR */
	EXPECT_TRUE(edx & 1u << 14);	/* MCA */
	EXPECT_TRUE(slat_cpuid(7, 0)->ebx & 1u << 1);	/* TSC_ADJUST */
}

/* --- TSC and TSC_ADJUST */

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

#define STEP		(1ul << 45)
#define ROUND(tsc)	(((tsc) + STEP / 2) & -STEP)

static void guest_moves_tsc(uint64_t unused)
{
	guest_report(1, ROUND(rdtsc()));
	guest_wrmsr(MSR_TSC_ADJUST, STEP);
	guest_report(2, ROUND(rdtsc()));
	guest_wrmsr(MSR_TSC, 5 * STEP);
	guest_report(3, ROUND(guest_rdmsr(MSR_TSC_ADJUST)));
	guest_report(4, ROUND(rdtsc()));
	guest_report(5, ROUND(guest_rdmsr(MSR_TSC_ADJUST)));
}

TEST_F(kept, tsc_adjust)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_moves_tsc, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	/* The guest's write to either moves both. */
	EXPECT_EQ(STEP, vcpu_await(vcpu, 2));
	EXPECT_EQ(STEP, ROUND(vcpu_get_msr(vcpu, MSR_TSC)));
	EXPECT_EQ(5 * STEP, vcpu_await(vcpu, 3));
	/* The VMM's writes move only what they name. */
	vcpu_set_msr(vcpu, MSR_TSC_ADJUST, 9 * STEP);
	EXPECT_EQ(5 * STEP, vcpu_await(vcpu, 4));
	vcpu_set_msr(vcpu, MSR_TSC, 100 * STEP);
	EXPECT_EQ(100 * STEP, ROUND(vcpu_get_msr(vcpu, MSR_TSC)));
	EXPECT_EQ(9 * STEP, vcpu_await(vcpu, 5));
}

/* vCPUs that are made or set one after the other have the same time. */
static void guest_tsc_for_ever(uint64_t unused)
{
	for (;;)
		guest_report(1, rdtsc());
}

/* Two that are set within a second count as set at once: again if this took longer. */
static void set_tscs(struct vcpu *first, struct vcpu *second, uint64_t tsc)
{
	double begin;

	do {
		begin = now();
		vcpu_set_msr(first, MSR_TSC, tsc);
		vcpu_set_msr(second, MSR_TSC, tsc);
	} while (now() - begin > .5);
}

TEST_F(kept, tscs_agree)
{
	struct vcpu *other = vcpu_create(self->vm, 1);
	uint64_t before = 0;
	int i;

	guest_enter_c(self->vcpu, guest_tsc_for_ever, 0);
	guest_enter_c(other, guest_tsc_for_ever, 0);
	for (i = 0; i < 20; i++) {
		uint64_t now = vcpu_await(i & 1 ? other : self->vcpu, 1);

		EXPECT_LT(before, now);
		before = now;
		if (i != 10)
			continue;
		before = 7 * STEP;
		set_tscs(self->vcpu, other, before);
	}
	vcpu_destroy(other);
}

/* --- TSC_AUX */

static uint32_t rdtscp_aux(void)
{
	uint32_t aux;

	asm volatile("rdtscp" : "=c"(aux) : : "eax", "edx");
	return aux;
}

static void guest_tsc_aux(uint64_t unused)
{
	guest_report(1, rdtscp_aux());
	guest_wrmsr(MSR_TSC_AUX, 0x1234);
	guest_report(2, rdtscp_aux());
	guest_report(3, guest_rdmsr(MSR_TSC_AUX));
}

TEST_F(kept, tsc_aux)
{
	struct vcpu *vcpu = self->vcpu;

	if (!(slat_cpuid(0x80000001, 0)->edx & 1u << 27))
		SKIP(return, "no RDTSCP");
	vcpu_set_msr(vcpu, MSR_TSC_AUX, 0x77777777);
	guest_enter_c(vcpu, guest_tsc_aux, 0);
	EXPECT_EQ(0x77777777, vcpu_await(vcpu, 1));
	EXPECT_NE(0x77777777, rdtscp_aux());
	EXPECT_EQ(0x1234, vcpu_await(vcpu, 2));
	EXPECT_NE(0x1234, rdtscp_aux());
	EXPECT_EQ(0x1234, vcpu_await(vcpu, 3));
	EXPECT_EQ(0x1234, vcpu_get_msr(vcpu, MSR_TSC_AUX));
}

/*
 * A guest that was not told of it does not have it. QEMU's emulated CPU cannot
 * intercept RDTSCP, so only the MSR is looked at.
 */
static void guest_no_tsc_aux(uint64_t unused)
{
	guest_report(2, guest_try("mov $0xc0000103, %%ecx\n\trdmsr").vector);
}

TEST_F(kept, no_tsc_aux)
{
	struct kvm_cpuid2 *all = slat_supported_cpuid(), *cpuid;
	struct vcpu *vcpu = vcpu_create_bare(self->vm, 1);
	const size_t size = sizeof(*all) + all->nent * sizeof(all->entries[0]);
	unsigned int i;

	cpuid = malloc(size);
	memcpy(cpuid, all, size);
	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 0x80000001)
			cpuid->entries[i].edx &= ~(1u << 27);
		if (cpuid->entries[i].function == 7)
			cpuid->entries[i].ecx &= ~(1u << 22);
	}
	vcpu_set_cpuid(vcpu, cpuid);
	guest_enter_c(vcpu, guest_no_tsc_aux, 0);
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 2));
	free(cpuid);
	vcpu_destroy(vcpu);
}

SLAT_HARNESS_MAIN
