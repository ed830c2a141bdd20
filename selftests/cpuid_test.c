// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: the guest's CPUID is what KVM_SET_CPUID2 said, each vCPU its own, but
 * for what follows the guest's control registers.
 */
#include "harness.h"

FIXTURE(cpuid)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct kvm_cpuid2 *cpuid;
};

#define ROOM	256

FIXTURE_SETUP(cpuid)
{
	struct kvm_cpuid2 *all = slat_supported_cpuid();

	self->vm = vm_create();
	self->vcpu = vcpu_create_bare(self->vm, 0);
	self->cpuid = calloc(1, sizeof(*all) + ROOM * sizeof(all->entries[0]));
	memcpy(self->cpuid, all,
	       sizeof(*all) + all->nent * sizeof(all->entries[0]));
}

FIXTURE_TEARDOWN(cpuid)
{
	free(self->cpuid);
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

static void guest_set_cpuid(struct kvm_cpuid2 *cpuid,
			    struct kvm_cpuid_entry2 entry)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == entry.function &&
		    cpuid->entries[i].index == entry.index)
			break;
	if (i == cpuid->nent)
		REQUIRE(cpuid->nent++ < ROOM, "too many CPUID entries");
	cpuid->entries[i] = entry;
}

static struct cpuid_regs guest_cpuid(uint32_t function, uint32_t index)
{
	struct cpuid_regs regs = { .eax = function, .ecx = index };

	asm volatile("cpuid" : "+a"(regs.eax), "=b"(regs.ebx), "+c"(regs.ecx),
			       "=d"(regs.edx) : : "memory");
	return regs;
}

/* Reports for each call that the host asks for. */
static uint32_t ask_function, ask_index;

static void guest_answer(uint64_t unused)
{
	for (;;) {
		struct cpuid_regs regs = guest_cpuid(READ_ONCE(ask_function),
						     READ_ONCE(ask_index));

		guest_report(1, regs.eax);
		guest_report(2, regs.ebx);
		guest_report(3, regs.ecx);
		guest_report(4, regs.edx);
	}
}

static struct cpuid_regs ask(struct vcpu *vcpu, uint32_t function,
			     uint32_t index)
{
	struct cpuid_regs regs;

	guest_var(vcpu->vm, ask_function) = function;
	guest_var(vcpu->vm, ask_index) = index;
	regs.eax = vcpu_await(vcpu, 1);
	regs.ebx = vcpu_await(vcpu, 2);
	regs.ecx = vcpu_await(vcpu, 3);
	regs.edx = vcpu_await(vcpu, 4);
	return regs;
}

#define EXPECT_CPUID(function, index, a, b, c, d)			\
	do {								\
		struct cpuid_regs seen = ask(self->vcpu, function, index); \
									\
		EXPECT_EQ(a, seen.eax);					\
		EXPECT_EQ(b, seen.ebx);					\
		EXPECT_EQ(c, seen.ecx);					\
		EXPECT_EQ(d, seen.edx);					\
	} while (0)

TEST_F(cpuid, as_set)
{
	struct kvm_cpuid2 *cpuid = self->cpuid;

	guest_set_cpuid(cpuid, (struct kvm_cpuid_entry2){
		.function = 0x40000000, .eax = 0x40000001, .ebx = 0x74616c53,
		.ecx = 0x1234, .edx = 0xffffffff });
	guest_set_cpuid(cpuid, (struct kvm_cpuid_entry2){
		.function = 0x80000002, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4 });
	vcpu_set_cpuid(self->vcpu, cpuid);
	guest_enter_c(self->vcpu, guest_answer, 0);
	EXPECT_CPUID(0x40000000, 0, 0x40000001, 0x74616c53, 0x1234, 0xffffffff);
	EXPECT_CPUID(0x80000002, 0, 1, 2, 3, 4);
	/* Where the index means nothing, any will do. */
	EXPECT_CPUID(0x80000002, 77, 1, 2, 3, 4);
}

/* Leaves with an index: the right entry, and zeros when there is none. */
TEST_F(cpuid, indexed)
{
	struct kvm_cpuid2 *cpuid = self->cpuid;
	uint32_t index;

	for (index = 0; index < 3; index++)
		guest_set_cpuid(cpuid, (struct kvm_cpuid_entry2){
			.function = 0x8000001d, .index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = 100 + index, .ebx = 200, .ecx = 300,
			.edx = 400 });
	vcpu_set_cpuid(self->vcpu, cpuid);
	guest_enter_c(self->vcpu, guest_answer, 0);
	EXPECT_CPUID(0x8000001d, 2, 102, 200, 300, 400);
	EXPECT_CPUID(0x8000001d, 0, 100, 200, 300, 400);
	EXPECT_CPUID(0x8000001d, 1, 101, 200, 300, 400);
	EXPECT_CPUID(0x8000001d, 99, 0, 0, 0, 0);
}

/* Behind the last leaf, of an AMD CPU, there are zeros. */
TEST_F(cpuid, out_of_range)
{
	struct kvm_cpuid_entry2 vendor = *slat_cpuid(0, 0);

	vendor.ebx = 0x68747541;
	vendor.edx = 0x69746e65;
	vendor.ecx = 0x444d4163;
	guest_set_cpuid(self->cpuid, vendor);
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_enter_c(self->vcpu, guest_answer, 0);
	EXPECT_CPUID(0x1000, 0, 0, 0, 0, 0);
	EXPECT_CPUID(0x8fffffff, 0, 0, 0, 0, 0);
	EXPECT_CPUID(0xffffffff, 0, 0, 0, 0, 0);
}

TEST_F(cpuid, last_set_counts)
{
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_set_cpuid(self->cpuid, (struct kvm_cpuid_entry2){
		.function = 0x80000003, .eax = 7, .ebx = 7, .ecx = 7, .edx = 7 });
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_enter_c(self->vcpu, guest_answer, 0);
	EXPECT_CPUID(0x80000003, 0, 7, 7, 7, 7);
}

/* Two vCPUs of one VM differ, as in their APIC id. */
TEST_F(cpuid, each_vcpu_its_own)
{
	struct vcpu *vcpus[2] = { self->vcpu, vcpu_create_bare(self->vm, 1) };
	int i;

	for (i = 0; i < 2; i++) {
		guest_set_cpuid(self->cpuid, (struct kvm_cpuid_entry2){
			.function = 0x80000004, .eax = 50 + i });
		vcpu_set_cpuid(vcpus[i], self->cpuid);
		guest_enter_c(vcpus[i], guest_answer, 0);
	}
	EXPECT_EQ(50, ask(vcpus[0], 0x80000004, 0).eax);
	EXPECT_EQ(51, ask(vcpus[1], 0x80000004, 0).eax);
	EXPECT_EQ(50, ask(vcpus[0], 0x80000004, 0).eax);
	vcpu_destroy(vcpus[1]);
}

/* --- what follows the guest's registers */

#define OSXSAVE		(1u << 27)

static void guest_osxsave(uint64_t unused)
{
	guest_report(1, guest_cpuid(1, 0).ecx & OSXSAVE);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	guest_report(2, guest_cpuid(1, 0).ecx & OSXSAVE);
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	guest_report(3, guest_cpuid(1, 0).ecx & OSXSAVE);
}

TEST_F(cpuid, osxsave_tracks_cr4)
{
	struct kvm_sregs sregs;

	if (!(slat_cpuid(1, 0)->ecx & (1u << 26)))
		SKIP(return, "the CPU has no XSAVE");
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_enter_c(self->vcpu, guest_osxsave, 0);
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(OSXSAVE, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 3));
	/* The same when the VMM sets CR4. */
	guest_enter_c(self->vcpu, guest_osxsave, 0);
	vcpu_get_sregs(self->vcpu, &sregs);
	sregs.cr4 |= CR4_OSXSAVE;
	vcpu_set_sregs(self->vcpu, &sregs);
	EXPECT_EQ(OSXSAVE, vcpu_await(self->vcpu, 1));
}

/* Leaf 0xd gives the size of what XCR0 has switched on. */
static void guest_xsave_size(uint64_t unused)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	write_xcr0(3);
	guest_report(1, guest_cpuid(0xd, 0).ebx);
	write_xcr0(7);
	guest_report(2, guest_cpuid(0xd, 0).ebx);
}

TEST_F(cpuid, xsave_size_tracks_xcr0)
{
	if (!(slat_cpuid(1, 0)->ecx & (1u << 26)) ||
	    !(slat_cpuid(0xd, 0)->eax & 4))
		SKIP(return, "the CPU has no AVX state");
	if (!guest_keeps_xcr0())
		SKIP(return, "the CPU does not intercept XSETBV");
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_enter_c(self->vcpu, guest_xsave_size, 0);
	EXPECT_EQ(576, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(832, vcpu_await(self->vcpu, 2));
}

/* --- what the device says it supports */

TEST_F(cpuid, supported_is_sane)
{
	uint32_t long_mode = slat_cpuid(0x80000001, 0)->edx;

	EXPECT_LE(1, slat_cpuid(0, 0)->eax);
	EXPECT_TRUE(long_mode & (1u << 29));
	EXPECT_TRUE(slat_cpuid(1, 0)->edx & (1u << 6));		/* PAE */
	EXPECT_TRUE(slat_cpuid(1, 0)->edx & (1u << 26));	/* SSE2 */
	/* Unlike KVM, no virtualization within the guest: VMX, SVM. */
	if (!slat_is_kvm()) {
		EXPECT_EQ(0, slat_cpuid(1, 0)->ecx & (1u << 5));
		EXPECT_EQ(0, slat_cpuid(0x80000001, 0)->ecx & (1u << 2));
	}
	/* OSXSAVE is the guest's choice, not the host's. */
	EXPECT_EQ(0, slat_cpuid(1, 0)->ecx & OSXSAVE);
}

#define KVM_FEATURES_BUILT	(1u << 1)	/* NOP_IO_DELAY */

/* The signature of KVM, and of its features only those that are there. */
TEST_F(cpuid, hypervisor)
{
	const struct kvm_cpuid_entry2 *signature = slat_cpuid(0x40000000, 0);
	const struct kvm_cpuid_entry2 *features = slat_cpuid(0x40000001, 0);

	EXPECT_TRUE(slat_cpuid(1, 0)->ecx & (1u << 31));
	EXPECT_EQ(0x40000001, signature->eax);
	EXPECT_EQ(0, memcmp(&signature->ebx, "KVMKVMKVM\0\0", 12));
	EXPECT_EQ(0, features->ebx | features->ecx | features->edx);
	if (!slat_is_kvm())
		EXPECT_EQ(KVM_FEATURES_BUILT, features->eax);
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_enter_c(self->vcpu, guest_answer, 0);
	EXPECT_CPUID(0x40000000, 0, signature->eax, signature->ebx,
		     signature->ecx, signature->edx);
	EXPECT_CPUID(0x40000001, 0, features->eax, 0, 0, 0);
}

/* A guest that knows KVM by its signature asks for what it may not have. */
static void guest_hypercalls(uint64_t unused)
{
	uint64_t nr;

	for (nr = 0; nr < 20; nr++)
		guest_report(nr, guest_hypercall(nr, 0, 0, 0));
}

TEST_F(cpuid, no_hypercalls)
{
	int nr;

	if (slat_is_kvm())
		SKIP(return, "KVM has some of these");
	vcpu_set_cpuid(self->vcpu, self->cpuid);
	guest_enter_c(self->vcpu, guest_hypercalls, 0);
	for (nr = 0; nr < 20; nr++)
		EXPECT_EQ(-1000, (int64_t)vcpu_await(self->vcpu, nr));
}

SLAT_HARNESS_MAIN
