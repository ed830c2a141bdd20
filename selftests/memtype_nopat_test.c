// SPDX-License-Identifier: GPL-2.0-only
/*
 * M5: a kernel with "nopat" leaves the PAT as the CPU starts. Types that it lacks are
 * replaced by UC-, on the CPU's own format; the other format is not the CPU's business.
 */
#include "harness.h"
#include "worker.h"

#define GPA	0x40000000ul
#define SLOT	1

enum { UC = 0, WC = 1, WT = 4, WP = 5, WB = 6, UC_MINUS = 7 };

static bool has_nopat(void)
{
	char line[4096] = "";
	FILE *file = fopen("/proc/cmdline", "r");

	if (file && !fgets(line, sizeof(line), file))
		line[0] = 0;
	if (file)
		fclose(file);
	return strstr(line, " nopat");
}

/* What pages become that are pinned to each type. */
static void pin_types(struct vm *vm, const unsigned int *types, unsigned int nr, unsigned int *got)
{
	void *mem = mem_alloc(nr * PAGE_SIZE);
	struct vcpu *vcpu = vcpu_create_bare(vm, 0);
	unsigned int i;

	mem_make_small(mem, nr * PAGE_SIZE);
	vm_slot(vm, SLOT, 0, GPA, nr * PAGE_SIZE, mem);
	REQUIRE(!vm_try_attribute(vm, SLAT_ATTR_NONCOHERENT_DMA, 1), "no device");
	for (i = 0; i < nr; i++)
		REQUIRE(!vm_try_pin(vm, GPA + i * PAGE_SIZE, PAGE_SIZE, types[i]), "no pin");
	REQUIRE(!vcpu_try_prefault(vcpu, GPA, nr * PAGE_SIZE), "no memory");
	for (i = 0; i < nr; i++)
		got[i] = vm_leaf(vm, GPA + i * PAGE_SIZE).type;
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

TEST(M5_types_that_the_host_lacks_are_uc)
{
	static const unsigned int types[] = { UC, WC, WT, WP, WB };
	static const unsigned int lacking[] = { UC, UC_MINUS, UC_MINUS, UC_MINUS, WB };
	const unsigned int *npt = guest_has_vmcall ? types : lacking;
	unsigned int i, got[5];

	if (slat_is_kvm() || !has_nopat())
		SKIP(return, "the host's PAT is complete");
	pin_types(vm_create_type(SLAT_VM_NPT), types, 5, got);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(npt[i], got[i]);
	pin_types(vm_create_type(SLAT_VM_EPT), types, 5, got);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(types[i], got[i]);
}

static void guest_add(uint64_t unused)
{
	guest_report(1, guest_rdmsr(MSR_PAT));
}

TEST(M5_guests_run_without_the_hosts_pat)
{
	struct vm *vm;
	struct vcpu *vcpu;

	if (slat_is_kvm() || !has_nopat())
		SKIP(return, "the host's PAT is complete");
	vm = vm_create();
	vcpu = vcpu_create(vm, 0);
	guest_enter_c(vcpu, guest_add, 0);
	EXPECT_EQ(0x0007040600070406, vcpu_await(vcpu, 1));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
