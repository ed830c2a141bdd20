// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: KVM_SET_SREGS refuses what no CPU can hold, and then has changed
 * nothing. What a CPU refuses only at entry is in exit_fail_entry_test.c.
 */
#include "harness.h"

FIXTURE(sregs)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct vcpu_state state;
};

static void guest_hello(uint64_t value)
{
	guest_report(1, value);
}

FIXTURE_SETUP(sregs)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	guest_enter_c(self->vcpu, guest_hello, 0x4711);
	vcpu_get_state(self->vcpu, &self->state);
}

FIXTURE_TEARDOWN(sregs)
{
	EXPECT_TRUE(vcpu_state_is(self->vcpu, &self->state));
	EXPECT_EQ(0x4711, vcpu_await(self->vcpu, 1));
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

#define EXPECT_REFUSED(change)						\
	do {								\
		struct kvm_sregs sregs = self->state.sregs;		\
									\
		/* These would show if the call did a part of its work. */ \
		sregs.cr2 = 0x1234000;					\
		sregs.idt.base = 0x5678000;				\
		sregs.gs.base = 0x9abc000;				\
		change;							\
		EXPECT_EQ(-EINVAL, vcpu_try_set_sregs(self->vcpu, &sregs)); \
		EXPECT_TRUE(vcpu_state_is(self->vcpu, &self->state));	\
	} while (0)

TEST_F(sregs, long_mode_without_its_parts)
{
	EXPECT_REFUSED(sregs.cr4 &= ~CR4_PAE);
	EXPECT_REFUSED(sregs.efer &= ~EFER_LMA);
}

TEST_F(sregs, lma_without_long_mode)
{
	/* Without paging, or without LME, there is no LMA... */
	EXPECT_REFUSED(sregs.cr0 &= ~CR0_PG);
	EXPECT_REFUSED(sregs.efer &= ~EFER_LME);
	/* ...and no 64-bit code segment. */
	EXPECT_REFUSED(sregs.cr0 &= ~CR0_PG; sregs.efer &= ~EFER_LMA);
	EXPECT_REFUSED(sregs.efer = 0);
}

TEST_F(sregs, cr0)
{
	EXPECT_REFUSED(sregs.cr0 &= ~CR0_PE);
	EXPECT_REFUSED(sregs.cr0 |= CR0_NW);
	EXPECT_REFUSED(sregs.cr0 |= 1ul << 32);
}

TEST_F(sregs, cr4)
{
	unsigned int bit;

	EXPECT_REFUSED(sregs.cr4 |= 1ul << 15);
	EXPECT_REFUSED(sregs.cr4 |= 1ul << 31);
	for (bit = 32; bit < 64; bit++)
		EXPECT_REFUSED(sregs.cr4 |= 1ul << bit);
	/* VMX is of the other vendor, or not given to guests. */
	EXPECT_REFUSED(sregs.cr4 |= 1ul << 14);
}

/* A feature that the vCPU's CPUID does not have cannot be switched on. */
TEST_F(sregs, cr4_against_cpuid)
{
	static const struct {
		uint64_t cr4;
		uint32_t function, ecx, ebx;
	} features[] = {
		{ CR4_LA57, 7, 1u << 16, 0 },
		{ CR4_FSGSBASE, 7, 0, 1u << 0 },
		{ CR4_SMEP, 7, 0, 1u << 7 },
		{ CR4_OSXSAVE, 1, 1u << 26, 0 },
	};
	size_t size = sizeof(struct kvm_cpuid2) +
		      slat_supported_cpuid()->nent *
		      sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *cpuid = malloc(size);
	unsigned int i, f;

	memcpy(cpuid, slat_supported_cpuid(), size);
	for (i = 0; i < cpuid->nent; i++)
		for (f = 0; f < ARRAY_SIZE(features); f++)
			if (cpuid->entries[i].function == features[f].function) {
				cpuid->entries[i].ecx &= ~features[f].ecx;
				cpuid->entries[i].ebx &= ~features[f].ebx;
			}
	vcpu_set_cpuid(self->vcpu, cpuid);
	for (f = 0; f < ARRAY_SIZE(features); f++)
		EXPECT_REFUSED(sregs.cr4 |= features[f].cr4);
	free(cpuid);
}

TEST_F(sregs, cr3)
{
	unsigned int bits = slat_cpuid(0x80000008, 0)->eax & 0xff;

	EXPECT_REFUSED(sregs.cr3 |= 1ul << bits);
	EXPECT_REFUSED(sregs.cr3 |= 1ul << 62);
}

TEST_F(sregs, efer)
{
	if (slat_is_kvm())
		SKIP(return, "KVM drops these bits");
	EXPECT_REFUSED(sregs.efer |= 1ul << 1);
	EXPECT_REFUSED(sregs.efer |= 1ul << 12);	/* SVM is not for guests */
	EXPECT_REFUSED(sregs.efer |= 1ul << 63);
}

TEST_F(sregs, cr8)
{
	if (slat_is_kvm())
		SKIP(return, "KVM drops such a value");
	EXPECT_REFUSED(sregs.cr8 = 16);
	EXPECT_REFUSED(sregs.cr8 = 1ul << 32);
}

TEST_F(sregs, apic_base)
{
	EXPECT_REFUSED(sregs.apic_base |= 1ul << 60);
}

/* A VMM that restores a guest may set these before the CPUID: KVM's rule. */
TEST(cr4_before_cpuid)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create_bare(vm, 0);
	struct kvm_sregs sregs;

	if (!(slat_cpuid(7, 0)->ebx & 1))
		SKIP(return, "no FSGSBASE");
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 |= CR4_FSGSBASE;
	EXPECT_EQ(0, vcpu_try_set_sregs(vcpu, &sregs));
	sregs.cr4 |= 1ul << 31;
	EXPECT_EQ(-EINVAL, vcpu_try_set_sregs(vcpu, &sregs));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
