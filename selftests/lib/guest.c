// SPDX-License-Identifier: GPL-2.0-only
/* Putting a vCPU into real, protected or long mode. */
#include "guest.h"

#include <stdio.h>
#include <string.h>

extern const char __executable_start[], _end[];

int guest_has_vmcall;

static void __attribute__((constructor)) find_hypercall(void)
{
	uint32_t eax = 0, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	guest_has_vmcall = ebx != 0x68747541;	/* "Auth", of AuthenticAMD */
}

/* --- the guest's page tables */

static const struct geometry {
	int levels;
	int bits;		/* of the address, each level */
	int entry;		/* bytes */
} geometries[] = {
	[PAGING_32BIT] = { .levels = 2, .bits = 10, .entry = 4 },
	[PAGING_PAE] = { .levels = 3, .bits = 9, .entry = 8 },
	[PAGING_4LEVEL] = { .levels = 4, .bits = 9, .entry = 8 },
	[PAGING_5LEVEL] = { .levels = 5, .bits = 9, .entry = 8 },
};

static uint64_t entry_get(const struct geometry *geo, const void *entry)
{
	uint64_t value = 0;

	memcpy(&value, entry, geo->entry);
	return value;
}

static void entry_set(const struct geometry *geo, void *entry, uint64_t value)
{
	memcpy(entry, &value, geo->entry);
}

/* PAE's top entries have no rights: these bits are reserved there. */
static uint64_t table_bits(const struct vm *vm, int level)
{
	if (vm->paging == PAGING_PAE && level == 3)
		return PT_PRESENT;
	return PT_ALL;
}

static void *table_entry(struct vm *vm, uint64_t table, uint64_t gva,
			 int level)
{
	const struct geometry *geo = &geometries[vm->paging];
	int shift = 12 + geo->bits * (level - 1);
	uint64_t index = (gva >> shift) & ((1ul << geo->bits) - 1);

	return vm_ptr(vm, table + index * geo->entry);
}

/* The entry for gva at this level; tables above it are made when absent. */
static void *vm_walk(struct vm *vm, uint64_t gva, int level)
{
	const struct geometry *geo = &geometries[vm->paging];
	uint64_t table = vm->root;
	int at;

	for (at = geo->levels; at > level; at--) {
		void *entry = table_entry(vm, table, gva, at);
		uint64_t value = entry_get(geo, entry);

		if (!(value & PT_PRESENT)) {
			value = vm_pages(vm, 1) | table_bits(vm, at);
			entry_set(geo, entry, value);
		}
		REQUIRE(at == geo->levels || !(value & PT_LARGE),
			"%#lx is in a large page", gva);
		table = value & 0xffffffffff000ul;
	}
	return table_entry(vm, table, gva, level);
}

void vm_map(struct vm *vm, uint64_t gva, uint64_t gpa, uint64_t size,
	    uint64_t bits)
{
	uint64_t at;

	for (at = 0; at < size; at += PAGE_SIZE)
		entry_set(&geometries[vm->paging], vm_walk(vm, gva + at, 1),
			  (gpa + at) | bits);
}

void vm_map_large(struct vm *vm, uint64_t gva, uint64_t gpa, uint64_t bits)
{
	entry_set(&geometries[vm->paging], vm_walk(vm, gva, 2),
		  gpa | bits | PT_LARGE);
}

void *vm_pte(struct vm *vm, uint64_t gva)
{
	return vm_walk(vm, gva, 1);
}

void vm_make_tables(struct vm *vm, enum guest_paging paging)
{
	vm->paging = paging;
	vm->root = vm_pages(vm, 1);
	vm_map(vm, 0, 0, VM_RAM_SIZE, PT_ALL);
	vm_map(vm, VM_MMIO_GPA, VM_MMIO_GPA, VM_MMIO_SIZE, PT_ALL);
}

bool guest_paging_supported(enum guest_paging paging)
{
	if (paging == PAGING_5LEVEL)
		return slat_cpuid(7, 0)->ecx & (1u << 16);
	return true;
}

/* --- real mode */

static void set_regs(struct vcpu *vcpu, uint64_t rip, uint64_t rsp,
		     uint64_t rdi)
{
	struct kvm_regs regs = {
		.rip = rip,
		.rsp = rsp,
		.rdi = rdi,
		/* See cpu_is_bochs(). */
		.rflags = RFLAGS_FIXED | RFLAGS_IF,
	};

	vcpu_set_regs(vcpu, &regs);
}

void guest_enter_real(struct vcpu *vcpu, uint64_t gpa)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	vcpu_set_sregs(vcpu, &sregs);
	set_regs(vcpu, gpa, 0x7000, 0);
}

/* --- protected mode */

static const struct kvm_segment flat_code = {
	.limit = 0xffffffff, .selector = SEL_CODE, .type = 11, .present = 1,
	.s = 1, .g = 1,
};

static const struct kvm_segment flat_data = {
	.limit = 0xffffffff, .selector = SEL_DATA, .type = 3, .present = 1,
	.s = 1, .g = 1, .db = 1,
};

static void set_segments(struct kvm_sregs *sregs, bool is_long)
{
	sregs->cs = flat_code;
	sregs->cs.l = is_long;
	sregs->cs.db = !is_long;
	sregs->ds = flat_data;
	sregs->es = flat_data;
	sregs->fs = flat_data;
	sregs->gs = flat_data;
	sregs->ss = flat_data;
}

void guest_enter_prot(struct vcpu *vcpu, uint64_t entry,
		      enum guest_paging paging)
{
	struct vm *vm = vcpu->vm;
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	set_segments(&sregs, false);
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP;
	sregs.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (paging != PAGING_NONE) {
		if (!vm->root)
			vm_make_tables(vm, paging);
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = vm->root;
		sregs.cr4 |= paging == PAGING_PAE ? CR4_PAE : CR4_PSE;
	}
	vcpu_set_sregs(vcpu, &sregs);
	set_regs(vcpu, entry, vm_pages(vm, 2) + 2 * PAGE_SIZE, 0);
}

/* --- long mode */

struct idt_gate {
	uint16_t offset_0;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t zero;
};

struct tss64 {
	uint32_t reserved_0;
	uint64_t rsp[3];
	uint64_t reserved_1;
	uint64_t ist[7];
	uint64_t reserved_2;
	uint16_t reserved_3;
	uint16_t io_map;
} __attribute__((packed));

static void vm_load_image(struct vm *vm)
{
	uint64_t start = (uintptr_t)__executable_start;

	if (vm->image_loaded)
		return;
	REQUIRE(start == VM_IMAGE_GPA && (uintptr_t)_end <= VM_POOL_GPA,
		"program at %#lx to %p: link it -static -no-pie", start, _end);
	memcpy(vm_ptr(vm, start), __executable_start,
	       _end - __executable_start);
	vm->image_loaded = true;
}

static void make_idt(struct vcpu *vcpu)
{
	struct idt_gate *gate;
	unsigned int vector;

	vcpu->idt = vm_pages(vcpu->vm, 1);
	gate = vm_ptr(vcpu->vm, vcpu->idt);
	for (vector = 0; vector < 256; vector++) {
		uint64_t offset = (uintptr_t)guest_vectors + 16 * vector;

		gate[vector] = (struct idt_gate){
			.offset_0 = offset,
			.selector = SEL_CODE,
			.type = vector == BP_VECTOR ? 0xee : 0x8e,
			.offset_16 = offset >> 16,
		};
	}
}

static void make_gdt(struct vcpu *vcpu)
{
	uint64_t *gdt;

	vcpu->gdt = vm_pages(vcpu->vm, 1);
	gdt = vm_ptr(vcpu->vm, vcpu->gdt);
	gdt[1] = 0x00af9b000000ffff;		/* SEL_CODE */
	gdt[2] = 0x00cf93000000ffff;		/* SEL_DATA */
	gdt[3] = 0x00cffb000000ffff;		/* SEL_SYSRET: 32-bit user code */
	gdt[4] = 0x00cff3000000ffff;		/* SEL_USER_DATA */
	gdt[5] = 0x00affb000000ffff;		/* SEL_USER_CODE */
	gdt[6] = 0x00008b0000000000 | (sizeof(struct tss64) - 1) |
		 (vcpu->tss & 0xffffff) << 16 | (vcpu->tss >> 24) << 56;
}

static void make_tss(struct vcpu *vcpu)
{
	struct tss64 *tss;

	vcpu->tss = vm_pages(vcpu->vm, 1);
	tss = vm_ptr(vcpu->vm, vcpu->tss);
	tss->rsp[0] = vm_pages(vcpu->vm, 2) + 2 * PAGE_SIZE;
	tss->io_map = sizeof(*tss);
}

static void set_tables(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	sregs->gdt.base = vcpu->gdt;
	sregs->gdt.limit = 8 * 8 - 1;
	sregs->idt.base = vcpu->idt;
	sregs->idt.limit = PAGE_SIZE - 1;
	sregs->tr = (struct kvm_segment){
		.base = vcpu->tss,
		.limit = sizeof(struct tss64) - 1,
		.selector = SEL_TSS,
		.type = 11,
		.present = 1,
	};
}

void guest_enter_long(struct vcpu *vcpu, uint64_t entry, uint64_t arg)
{
	struct vm *vm = vcpu->vm;
	struct kvm_sregs sregs;
	uint64_t stack;

	if (!vm->root)
		vm_make_tables(vm, PAGING_4LEVEL);
	vm_load_image(vm);
	make_tss(vcpu);
	make_gdt(vcpu);
	make_idt(vcpu);

	vcpu_get_sregs(vcpu, &sregs);
	set_segments(&sregs, true);
	set_tables(vcpu, &sregs);
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs.cr3 = vm->root;
	sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (vm->paging == PAGING_5LEVEL)
		sregs.cr4 |= CR4_LA57;
	sregs.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	vcpu_set_sregs(vcpu, &sregs);

	stack = vm_pages(vm, 4) + 4 * PAGE_SIZE - 8;
	*(uint64_t *)vm_ptr(vm, stack) = (uintptr_t)guest_returned;
	set_regs(vcpu, entry, stack, arg);
}

static void guest_sets_xcr0(uint64_t unused)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	write_xcr0(3);
	guest_report(1, 0);
	guest_report(2, read_xcr0());
}

bool guest_keeps_xcr0(void)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	bool kept;

	guest_enter_c(vcpu, guest_sets_xcr0, 0);
	vcpu_await(vcpu, 1);
	kept = vcpu_await(vcpu, 2) == 3;
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return kept;
}

bool cpu_is_qemus(void)
{
	uint32_t eax = 0x40000000, name[3];

	asm volatile("cpuid" : "+a"(eax), "=b"(name[0]), "=c"(name[1]),
			       "=d"(name[2]));
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

/* Its firmware says so; QEMU's gives tables of the same vendor another name. */
bool cpu_is_bochs(void)
{
	FILE *file = fopen("/sys/firmware/acpi/tables/FACP", "r");
	char table[36] = "";	/* the ACPI table's header */
	size_t size;

	if (!file)
		return false;
	size = fread(table, 1, sizeof(table), file);
	fclose(file);
	return size == sizeof(table) && !memcmp(table + 16, "BXPCFACP", 8);
}

bool cpu_is_bochs_svm(void)
{
	return !guest_has_vmcall && cpu_is_bochs();
}
