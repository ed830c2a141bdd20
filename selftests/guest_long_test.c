// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: a 64-bit guest with 4-level and 5-level paging: it computes, enters
 * user mode and returns by syscall, takes exceptions, uses large pages, and
 * changes its own page tables.
 */
#include "harness.h"

FIXTURE(lm)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(lm)
{
	enum guest_paging paging;
};

FIXTURE_VARIANT_ADD(lm, 4level) { .paging = PAGING_4LEVEL };
FIXTURE_VARIANT_ADD(lm, 5level) { .paging = PAGING_5LEVEL };

FIXTURE_SETUP(lm)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	if (!guest_paging_supported(variant->paging))
		SKIP_SETUP("the CPU has no 5-level paging");
	vm_make_tables(self->vm, variant->paging);
}

FIXTURE_TEARDOWN(lm)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

static uint64_t __attribute__((noinline)) fib(unsigned int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void guest_compute(uint64_t n)
{
	guest_report(1, fib(n));
	guest_report(2, 0xfedcba9876543210 / n);
}

TEST_F(lm, compute)
{
	guest_enter_c(self->vcpu, guest_compute, 15);
	EXPECT_EQ(610, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0xfedcba9876543210 / 15, vcpu_await(self->vcpu, 2));
	vcpu_await_done(self->vcpu);
}

/* Touch memory that neither the host nor the nested tables have yet. */
static void guest_touch(uint64_t pages)
{
	uint64_t *page = (uint64_t *)VM_DATA_GPA;
	uint64_t i, sum = 0;

	for (i = 0; i < pages; i++)
		WRITE_ONCE(page[i * 512], i + 1);
	for (i = 0; i < pages; i++)
		sum += READ_ONCE(page[i * 512]);
	guest_report(1, sum);
}

TEST_F(lm, touch_memory)
{
	const uint64_t pages = 900;
	uint64_t i;

	guest_enter_c(self->vcpu, guest_touch, pages);
	EXPECT_EQ(pages * (pages + 1) / 2, vcpu_await(self->vcpu, 1));
	for (i = 0; i < pages; i++) {
		ASSERT_EQ(i + 1, *(uint64_t *)vm_ptr(self->vm, VM_DATA_GPA +
						     i * PAGE_SIZE));
	}
}

/* --- exceptions */

static void report_fault(uint32_t tag, struct guest_fault fault)
{
	guest_report(tag, fault.vector << 32 | fault.error);
}

#define FAULT(vector, error)	((uint64_t)(vector) << 32 | (error))

static void guest_exceptions(uint64_t noncanonical)
{
	const uint64_t unmapped = 0x700000000000;

	report_fault(1, guest_try("xor %%ecx, %%ecx\n\tdiv %%ecx"));
	report_fault(2, guest_try("ud2"));
	report_fault(3, guest_try("int3"));
	report_fault(4, guest_try("mov (%2), %%rax", "r"(noncanonical)));
	report_fault(5, guest_try("mov %2, %%ds", "r"(0x50)));
	report_fault(6, guest_try("mov (%2), %%rax", "r"(unmapped)));
	guest_report(7, read_cr2());
	report_fault(8, guest_try("mov %%rax, (%2)", "r"(unmapped + 5)));
	guest_report(9, read_cr2());
	report_fault(10, guest_try("nop"));
	report_fault(11, guest_try("mov %2, %%cr4", "r"(read_cr4() | 1ul << 31)));
}

TEST_F(lm, exceptions)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_exceptions, 1ul << 62);
	EXPECT_EQ(FAULT(DE_VECTOR, 0), vcpu_await(vcpu, 1));
	EXPECT_EQ(FAULT(UD_VECTOR, 0), vcpu_await(vcpu, 2));
	EXPECT_EQ(FAULT(BP_VECTOR, 0), vcpu_await(vcpu, 3));
	EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(vcpu, 4));
	EXPECT_EQ(FAULT(GP_VECTOR, 0x50), vcpu_await(vcpu, 5));
	EXPECT_EQ(FAULT(PF_VECTOR, 0), vcpu_await(vcpu, 6));
	EXPECT_EQ(0x700000000000, vcpu_await(vcpu, 7));
	EXPECT_EQ(FAULT(PF_VECTOR, PF_WRITE), vcpu_await(vcpu, 8));
	EXPECT_EQ(0x700000000005, vcpu_await(vcpu, 9));
	EXPECT_EQ((uint64_t)NO_FAULT << 32, vcpu_await(vcpu, 10));
	EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(vcpu, 11));
	vcpu_await_done(vcpu);
}

/* A handler fixes the cause, the instruction is run again. */
static uint64_t *fixed_pte;
static unsigned int fixed_count;

GUEST_HANDLER static void guest_fix_page(struct guest_frame *frame)
{
	fixed_count++;
	*fixed_pte |= PT_PRESENT | PT_WRITE;
}

static void guest_demand_paging(uint64_t gva)
{
	guest_handlers[PF_VECTOR] = guest_fix_page;
	WRITE_ONCE(*(uint64_t *)gva, 0x5afe);
	guest_report(1, READ_ONCE(*(uint64_t *)gva));
	guest_report(2, fixed_count);
}

TEST_F(lm, fault_and_retry)
{
	const uint64_t gva = 0x600000000000;
	uint64_t *pte;

	vm_map(self->vm, gva, VM_DATA_GPA, PAGE_SIZE, PT_USER);
	pte = vm_pte(self->vm, gva);
	fixed_pte = (uint64_t *)((uint8_t *)pte - self->vm->ram);
	guest_enter_c(self->vcpu, guest_demand_paging, gva);
	EXPECT_EQ(0x5afe, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(1, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(0x5afe, *(uint64_t *)vm_ptr(self->vm, VM_DATA_GPA));
	EXPECT_EQ(PT_ACCESSED | PT_DIRTY, *pte & (PT_ACCESSED | PT_DIRTY));
}

/* --- rights in the guest's own tables */

static void guest_rights(uint64_t gva)
{
	report_fault(1, guest_try("movb $1, (%2)", "r"(gva)));
	report_fault(2, guest_try("mov (%2), %%rax", "r"(gva)));
	report_fault(3, guest_try("call *%2", "r"(gva)));
	/* Without CR0.WP the supervisor may write. */
	write_cr0(read_cr0() & ~CR0_WP);
	report_fault(4, guest_try("movb $0x31, (%2)", "r"(gva)));
}

TEST_F(lm, guest_rights)
{
	const uint64_t gva = 0x600000000000;
	struct vcpu *vcpu = self->vcpu;

	vm_map(self->vm, gva, VM_DATA_GPA, PAGE_SIZE, PT_PRESENT | PT_NX);
	guest_enter_c(vcpu, guest_rights, gva);
	EXPECT_EQ(FAULT(PF_VECTOR, PF_PRESENT | PF_WRITE), vcpu_await(vcpu, 1));
	EXPECT_EQ((uint64_t)NO_FAULT << 32, vcpu_await(vcpu, 2));
	EXPECT_EQ(FAULT(PF_VECTOR, PF_PRESENT | PF_FETCH), vcpu_await(vcpu, 3));
	EXPECT_EQ((uint64_t)NO_FAULT << 32, vcpu_await(vcpu, 4));
	EXPECT_EQ(0x31, *(uint8_t *)vm_ptr(self->vm, VM_DATA_GPA));
}

/* A guest's remap is seen after its INVLPG, and after its load of CR3. */
struct remap {
	uint64_t *gva;
	uint64_t *pte;
	uint64_t to[2];
};

static struct remap remap;

static void guest_remap(uint64_t unused)
{
	guest_report(1, READ_ONCE(*remap.gva));
	WRITE_ONCE(*remap.pte, remap.to[0] | PT_ALL);
	guest_invlpg(remap.gva);
	guest_report(2, READ_ONCE(*remap.gva));
	WRITE_ONCE(*remap.pte, remap.to[1] | PT_ALL);
	write_cr3(read_cr3());
	guest_report(3, READ_ONCE(*remap.gva));
}

TEST_F(lm, guest_remap)
{
	struct vm *vm = self->vm;
	const uint64_t gva = 0x600000000000, gpa = VM_DATA_GPA;
	int i;

	vm_map(vm, gva, gpa, PAGE_SIZE, PT_ALL);
	for (i = 0; i < 3; i++)
		*(uint64_t *)vm_ptr(vm, gpa + i * PAGE_SIZE) = 100 + i;
	remap = (struct remap){
		.gva = (uint64_t *)gva,
		.pte = (uint64_t *)((uint8_t *)vm_pte(vm, gva) - vm->ram),
		.to = { gpa + PAGE_SIZE, gpa + 2 * PAGE_SIZE },
	};
	guest_enter_c(self->vcpu, guest_remap, 0);
	EXPECT_EQ(100, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(101, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(102, vcpu_await(self->vcpu, 3));
}

static void guest_large(uint64_t gva)
{
	uint64_t i;

	for (i = 0; i < 512; i += 73)
		WRITE_ONCE(*(uint64_t *)(gva + i * PAGE_SIZE), i);
	guest_report(1, READ_ONCE(*(uint64_t *)(gva + 511 * PAGE_SIZE)));
}

TEST_F(lm, guest_2m_page)
{
	const uint64_t gva = 0x600000000000, gpa = 2 * MIB;
	uint64_t i;

	vm_map_large(self->vm, gva, gpa, PT_ALL);
	guest_enter_c(self->vcpu, guest_large, gva);
	EXPECT_EQ(511, vcpu_await(self->vcpu, 1));
	for (i = 0; i < 512; i += 73) {
		EXPECT_EQ(i, *(uint64_t *)vm_ptr(self->vm, gpa + i * PAGE_SIZE));
	}
}

/* Addresses that only 5 levels have; 4 levels refuse them. */
static void guest_high(uint64_t gva)
{
	report_fault(1, guest_try("movb $0x57, (%2)", "r"(gva)));
}

TEST_F(lm, high_address)
{
	const uint64_t gva = 1ul << 52;

	if (variant->paging == PAGING_5LEVEL)
		vm_map(self->vm, gva, VM_DATA_GPA, PAGE_SIZE, PT_ALL);
	guest_enter_c(self->vcpu, guest_high, gva);
	if (variant->paging == PAGING_5LEVEL) {
		EXPECT_EQ((uint64_t)NO_FAULT << 32, vcpu_await(self->vcpu, 1));
		EXPECT_EQ(0x57, *(uint8_t *)vm_ptr(self->vm, VM_DATA_GPA));
	} else {
		EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(self->vcpu, 1));
	}
}

/* --- user mode */

static uint16_t read_cs(void)
{
	uint16_t cs;

	asm volatile("mov %%cs, %0" : "=r"(cs));
	return cs;
}

static void user_main(uint64_t gva)
{
	struct guest_fault fault;

	user_report(1, read_cs());
	user_report(2, fib(10));
	fault = guest_try("cli");
	user_report(3, fault.vector << 32 | fault.error);
	fault = guest_try("mov %%cr3, %%rax");
	user_report(4, fault.vector << 32 | fault.error);
	fault = guest_try("out %%al, $0x80");
	user_report(5, fault.vector << 32 | fault.error);
	fault = guest_try("movb $1, (%2)", "r"(gva));
	user_report(6, fault.vector << 32 | fault.error);
	fault = guest_try("ud2");
	user_report(7, fault.vector << 32 | fault.error);
	fault = guest_try("hlt");
	user_report(8, fault.vector << 32 | fault.error);
	user_report(REPORT_DONE, 0);
}

static void guest_user(uint64_t gva)
{
	guest_enter_user(user_main, gva);
}

TEST_F(lm, user_mode)
{
	const uint64_t gva = 0x600000000000;
	struct vcpu *vcpu = self->vcpu;

	vm_map(self->vm, gva, VM_DATA_GPA, PAGE_SIZE, PT_PRESENT | PT_WRITE);
	guest_enter_c(vcpu, guest_user, gva);
	EXPECT_EQ(SEL_USER_CODE, vcpu_await(vcpu, 1));
	EXPECT_EQ(55, vcpu_await(vcpu, 2));
	EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(vcpu, 3));
	EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(vcpu, 4));
	EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(vcpu, 5));
	EXPECT_EQ(FAULT(PF_VECTOR, PF_PRESENT | PF_WRITE | PF_USER),
		  vcpu_await(vcpu, 6));
	EXPECT_EQ(FAULT(UD_VECTOR, 0), vcpu_await(vcpu, 7));
	EXPECT_EQ(FAULT(GP_VECTOR, 0), vcpu_await(vcpu, 8));
	vcpu_await_done(vcpu);
}

SLAT_HARNESS_MAIN
