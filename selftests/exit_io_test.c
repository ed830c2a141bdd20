// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: port I/O exits. Every size of in and out, string instructions with
 * and without rep, in both directions, over pages, and into a guest #PF.
 *
 * How many items of a string instruction one exit carries is the backend's
 * choice, as it is KVM's; the items and their order are not.
 */
#include "harness.h"

#define PORT	0x1234

VM_FIXTURE(io);

/* Take a string OUT of count items, in as many exits as it takes. */
static void take_out(struct vcpu *vcpu, uint16_t port, unsigned int size,
		     unsigned int count, void *data)
{
	unsigned int done = 0;

	while (done < count) {
		struct kvm_run *run = vcpu->run;

		vcpu_run_to(vcpu, KVM_EXIT_IO);
		REQUIRE(run->io.direction == KVM_EXIT_IO_OUT &&
			run->io.port == port && run->io.size == size &&
			run->io.count && done + run->io.count <= count,
			"%u items of %u to port %#x after %u of %u",
			run->io.count, run->io.size, run->io.port, done, count);
		memcpy((uint8_t *)data + done * size, exit_io_data(vcpu),
		       run->io.count * size);
		done += run->io.count;
	}
}

/* Answer a string IN. */
static void give_in(struct vcpu *vcpu, uint16_t port, unsigned int size,
		    unsigned int count, const void *data)
{
	unsigned int done = 0;

	while (done < count) {
		struct kvm_run *run = vcpu->run;

		vcpu_run_to(vcpu, KVM_EXIT_IO);
		REQUIRE(run->io.direction == KVM_EXIT_IO_IN &&
			run->io.port == port && run->io.size == size &&
			run->io.count && done + run->io.count <= count,
			"%u items of %u from port %#x after %u of %u",
			run->io.count, run->io.size, run->io.port, done, count);
		memcpy(exit_io_data(vcpu), (const uint8_t *)data + done * size,
		       run->io.count * size);
		done += run->io.count;
	}
}

/* --- single items */

static void guest_out(uint64_t value)
{
	outb(PORT, value);
	outw(PORT, value);
	outl(PORT, value);
	/* The forms with the port in the instruction. */
	asm volatile("out %%al, $0x80\n\t"
		     "out %%ax, $0x81\n\t"
		     "out %%eax, $0xff" : : "a"(value));
	outl(0xffff, value);
	guest_report(1, value);
}

TEST_F(io, out)
{
	static const struct { uint16_t port; unsigned int size; } out[] = {
		{ PORT, 1 }, { PORT, 2 }, { PORT, 4 },
		{ 0x80, 1 }, { 0x81, 2 }, { 0xff, 4 }, { 0xffff, 4 },
	};
	const uint64_t value = 0x1122334455667788;
	unsigned int i;

	guest_enter_c(self->vcpu, guest_out, value);
	for (i = 0; i < ARRAY_SIZE(out); i++) {
		uint64_t mask = (1ul << (8 * out[i].size)) - 1;

		vcpu_run_to(self->vcpu, KVM_EXIT_IO);
		EXPECT_TRUE(exit_is_io(self->vcpu, KVM_EXIT_IO_OUT,
				       out[i].port, out[i].size, 1));
		EXPECT_EQ(value & mask, exit_io_value(self->vcpu));
	}
	EXPECT_EQ(value, vcpu_await(self->vcpu, 1));
}

/* 8 and 16-bit IN keep the rest of rax, 32-bit IN clears its upper half. */
static void guest_in(uint64_t value)
{
	uint64_t rax = value;

	asm volatile("in %%dx, %%al" : "+a"(rax) : "d"(PORT));
	guest_report(1, rax);
	rax = value;
	asm volatile("in %%dx, %%ax" : "+a"(rax) : "d"(PORT));
	guest_report(2, rax);
	rax = value;
	asm volatile("in %%dx, %%eax" : "+a"(rax) : "d"(PORT));
	guest_report(3, rax);
	rax = value;
	asm volatile("in $0x42, %%al" : "+a"(rax));
	guest_report(4, rax);
}

static void expect_in(struct __test_metadata *_metadata, struct vcpu *vcpu,
		      uint16_t port, unsigned int size, uint64_t reply)
{
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(exit_is_io(vcpu, KVM_EXIT_IO_IN, port, size, 1));
	exit_io_reply(vcpu, reply);
}

TEST_F(io, in)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_in, 0x1122334455667788);
	expect_in(_metadata, vcpu, PORT, 1, 0xa1);
	EXPECT_EQ(0x11223344556677a1, vcpu_await(vcpu, 1));
	expect_in(_metadata, vcpu, PORT, 2, 0xb2a1);
	EXPECT_EQ(0x112233445566b2a1, vcpu_await(vcpu, 2));
	expect_in(_metadata, vcpu, PORT, 4, 0xd4c3b2a1);
	EXPECT_EQ(0xd4c3b2a1, vcpu_await(vcpu, 3));
	expect_in(_metadata, vcpu, 0x42, 1, 0x99);
	EXPECT_EQ(0x1122334455667799, vcpu_await(vcpu, 4));
}

/* Many exits in a row keep all registers and arrive in order. */
static void guest_count_out(uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		outl(PORT, i);
	guest_report(1, i);
}

TEST_F(io, many)
{
	const unsigned int n = 2000;
	unsigned int i;

	guest_enter_c(self->vcpu, guest_count_out, n);
	for (i = 0; i < n; i++) {
		vcpu_run_to(self->vcpu, KVM_EXIT_IO);
		ASSERT_EQ(i, exit_io_value(self->vcpu));
	}
	EXPECT_EQ(n, vcpu_await(self->vcpu, 1));
}

/* --- strings */

/*
 * What a string instruction gets and leaves behind. flags is 0 or RFLAGS_DF.
 */
struct string_op {
	uint64_t address, count, flags;
};

#define GUEST_STRING(name, insn, pointer)				\
static void guest_##name(struct string_op *op)				\
{									\
	uint64_t address = op->address, count = op->count;		\
									\
	asm volatile("push %%rbx\n\tpopf\n\t" insn "\n\tcld"		\
		     : pointer(address), "+c"(count)			\
		     : "d"(PORT), "b"(op->flags | RFLAGS_FIXED)		\
		     : "memory", "cc");					\
	guest_report(1, address);					\
	guest_report(2, count);						\
}

GUEST_STRING(outsb, "outsb", "+S")
GUEST_STRING(outsw, "outsw", "+S")
GUEST_STRING(outsl, "outsl", "+S")
GUEST_STRING(insb, "insb", "+D")
GUEST_STRING(insw, "insw", "+D")
GUEST_STRING(insl, "insl", "+D")
GUEST_STRING(rep_outsb, "rep outsb", "+S")
GUEST_STRING(rep_outsw, "rep outsw", "+S")
GUEST_STRING(rep_outsl, "rep outsl", "+S")
GUEST_STRING(rep_insb, "rep insb", "+D")
GUEST_STRING(rep_insw, "rep insw", "+D")
GUEST_STRING(rep_insl, "rep insl", "+D")

FIXTURE(string)
{
	struct vm *vm;
	struct vcpu *vcpu;
};

FIXTURE_VARIANT(string)
{
	void (*one_out)(struct string_op *);
	void (*one_in)(struct string_op *);
	void (*rep_out)(struct string_op *);
	void (*rep_in)(struct string_op *);
	unsigned int size;
};

FIXTURE_VARIANT_ADD(string, byte)
{
	.size = 1, .one_out = guest_outsb, .one_in = guest_insb,
	.rep_out = guest_rep_outsb, .rep_in = guest_rep_insb,
};

FIXTURE_VARIANT_ADD(string, word)
{
	.size = 2, .one_out = guest_outsw, .one_in = guest_insw,
	.rep_out = guest_rep_outsw, .rep_in = guest_rep_insw,
};

FIXTURE_VARIANT_ADD(string, dword)
{
	.size = 4, .one_out = guest_outsl, .one_in = guest_insl,
	.rep_out = guest_rep_outsl, .rep_in = guest_rep_insl,
};

FIXTURE_SETUP(string)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
}

FIXTURE_TEARDOWN(string)
{
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* Three pages of guest-virtual memory, not in physical order. */
#define STRING_GVA	0x600000000000ul

static struct string_op string_op;

static uint8_t *string_page(struct vm *vm, unsigned int page)
{
	static const uint64_t gpa[3] = {
		VM_DATA_GPA + 2 * PAGE_SIZE, VM_DATA_GPA, VM_DATA_GPA + 4 * PAGE_SIZE,
	};

	return vm_ptr(vm, gpa[page]);
}

static void string_enter(struct vm *vm, struct vcpu *vcpu,
			 void (*guest)(struct string_op *),
			 struct string_op op)
{
	int i;

	if (!vm->root) {
		vm_make_tables(vm, PAGING_4LEVEL);
		for (i = 0; i < 3; i++)
			vm_map(vm, STRING_GVA + i * PAGE_SIZE,
			       string_page(vm, i) - vm->ram, PAGE_SIZE, PT_ALL);
	}
	string_op = op;
	guest_enter_c(vcpu, guest, &string_op);
	guest_var(vm, string_op) = op;
}

static void string_copy(struct vm *vm, bool to_guest, unsigned int offset,
			void *data, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i++) {
		uint8_t *page = string_page(vm, (offset + i) / PAGE_SIZE);
		uint8_t *guest = page + (offset + i) % PAGE_SIZE;

		if (to_guest)
			*guest = ((uint8_t *)data)[i];
		else
			((uint8_t *)data)[i] = *guest;
	}
}

static void fill(uint8_t *data, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		data[i] = 7 * i + i / 256 + 1;
}

TEST_F(string, one)
{
	const unsigned int size = variant->size;
	uint32_t data = 0xd4c3b2a1, seen = 0;

	string_copy(self->vm, true, 0x100, &data, size);
	string_enter(self->vm, self->vcpu, variant->one_out,
		     (struct string_op){ STRING_GVA + 0x100, 5, 0 });
	take_out(self->vcpu, PORT, size, 1, &seen);
	EXPECT_EQ(0, memcmp(&data, &seen, size));
	EXPECT_EQ(STRING_GVA + 0x100 + size, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(5, vcpu_await(self->vcpu, 2));

	string_enter(self->vm, self->vcpu, variant->one_in,
		     (struct string_op){ STRING_GVA + 0x200, 6, RFLAGS_DF });
	give_in(self->vcpu, PORT, size, 1, &data);
	EXPECT_EQ(STRING_GVA + 0x200 - size, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(6, vcpu_await(self->vcpu, 2));
	string_copy(self->vm, false, 0x200, &seen, size);
	EXPECT_EQ(0, memcmp(&data, &seen, size));
}

/* Over three pages, with items that lie on a page boundary. */
#define REP_OFFSET	(PAGE_SIZE - 299)

TEST_F(string, rep_out)
{
	const unsigned int size = variant->size, count = 4600 / size;
	uint8_t data[4600], seen[4600];

	fill(data, sizeof(data));
	string_copy(self->vm, true, REP_OFFSET, data, sizeof(data));
	string_enter(self->vm, self->vcpu, variant->rep_out,
		     (struct string_op){ STRING_GVA + REP_OFFSET, count, 0 });
	take_out(self->vcpu, PORT, size, count, seen);
	EXPECT_EQ(0, memcmp(data, seen, count * size));
	EXPECT_EQ(STRING_GVA + REP_OFFSET + count * size,
		  vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
}

TEST_F(string, rep_in)
{
	const unsigned int size = variant->size, count = 4600 / size;
	uint8_t data[4600], seen[4600];

	fill(data, sizeof(data));
	string_enter(self->vm, self->vcpu, variant->rep_in,
		     (struct string_op){ STRING_GVA + REP_OFFSET, count, 0 });
	give_in(self->vcpu, PORT, size, count, data);
	EXPECT_EQ(STRING_GVA + REP_OFFSET + count * size,
		  vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	string_copy(self->vm, false, REP_OFFSET, seen, sizeof(seen));
	EXPECT_EQ(0, memcmp(data, seen, count * size));
}

/* With DF set the first item is the one with the highest address. */
static void reverse(uint8_t *data, unsigned int size, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count / 2; i++) {
		uint8_t *a = data + i * size;
		uint8_t *b = data + (count - 1 - i) * size;
		uint8_t swap[4];

		memcpy(swap, a, size);
		memcpy(a, b, size);
		memcpy(b, swap, size);
	}
}

TEST_F(string, rep_down)
{
	const unsigned int size = variant->size, count = 400 / size;
	const unsigned int low = PAGE_SIZE - 199, high = low + (count - 1) * size;
	uint8_t data[400], seen[400];

	fill(data, sizeof(data));
	string_copy(self->vm, true, low, data, sizeof(data));
	string_enter(self->vm, self->vcpu, variant->rep_out,
		     (struct string_op){ STRING_GVA + high, count, RFLAGS_DF });
	take_out(self->vcpu, PORT, size, count, seen);
	reverse(seen, size, count);
	EXPECT_EQ(0, memcmp(data, seen, sizeof(data)));
	EXPECT_EQ(STRING_GVA + low - size, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));

	fill(data, sizeof(data));
	string_enter(self->vm, self->vcpu, variant->rep_in,
		     (struct string_op){ STRING_GVA + high, count, RFLAGS_DF });
	give_in(self->vcpu, PORT, size, count, data);
	EXPECT_EQ(STRING_GVA + low - size, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	string_copy(self->vm, false, low, seen, sizeof(seen));
	reverse(seen, size, count);
	EXPECT_EQ(0, memcmp(data, seen, sizeof(data)));
}

/* rep with a count of 0 does nothing at all, not even a fault. */
TEST_F(string, rep_zero)
{
	string_enter(self->vm, self->vcpu, variant->rep_out,
		     (struct string_op){ STRING_GVA - 8, 0, 0 });
	EXPECT_EQ(STRING_GVA - 8, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
	string_enter(self->vm, self->vcpu, variant->rep_in,
		     (struct string_op){ STRING_GVA - 8, 0, 0 });
	EXPECT_EQ(STRING_GVA - 8, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 2));
}

/* --- strings that fault in the guest */

/* Reports the fault; the host maps the page before the guest goes on. */
GUEST_HANDLER static void guest_string_fault(struct guest_frame *frame)
{
	guest_report(10, frame->error);
	guest_report(11, read_cr2());
	guest_report(12, frame->rcx);
	guest_report(13, frame->rsi);
	guest_report(14, frame->rdi);
}

static void string_unmap(struct vm *vm, unsigned int page)
{
	*(uint64_t *)vm_pte(vm, STRING_GVA + page * PAGE_SIZE) = 0;
}

static void string_map(struct vm *vm, unsigned int page)
{
	vm_map(vm, STRING_GVA + page * PAGE_SIZE,
	       string_page(vm, page) - vm->ram, PAGE_SIZE, PT_ALL);
}

TEST_F(string, out_page_fault)
{
	const unsigned int size = variant->size, count = 16;
	const uint64_t start = STRING_GVA + PAGE_SIZE - 12 * size;
	struct vcpu *vcpu = self->vcpu;
	uint8_t data[64], seen[64];

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	fill(data, sizeof(data));
	string_copy(self->vm, true, start - STRING_GVA, data, count * size);
	string_enter(self->vm, vcpu, variant->rep_out,
		     (struct string_op){ start, count, 0 });
	guest_var(self->vm, guest_handlers[PF_VECTOR]) = guest_string_fault;
	string_unmap(self->vm, 1);

	take_out(vcpu, PORT, size, 12, seen);
	EXPECT_EQ(0, vcpu_await(vcpu, 10));
	EXPECT_EQ(STRING_GVA + PAGE_SIZE, vcpu_await(vcpu, 11));
	EXPECT_EQ(4, vcpu_await(vcpu, 12));
	EXPECT_EQ(STRING_GVA + PAGE_SIZE, vcpu_await(vcpu, 13));
	vcpu_await(vcpu, 14);
	string_map(self->vm, 1);
	take_out(vcpu, PORT, size, 4, seen + 12 * size);
	EXPECT_EQ(0, memcmp(data, seen, count * size));
	EXPECT_EQ(start + count * size, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
}

/* The one item lies half in an unmapped page. */
TEST_F(string, out_split_item_page_fault)
{
	const uint64_t start = STRING_GVA + PAGE_SIZE - 1;
	const unsigned int size = variant->size;
	struct vcpu *vcpu = self->vcpu;
	uint32_t data = 0xd4c3b2a1, seen = 0;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	if (size == 1)
		return;
	string_copy(self->vm, true, PAGE_SIZE - 1, &data, size);
	string_enter(self->vm, vcpu, variant->one_out,
		     (struct string_op){ start, 1, 0 });
	guest_var(self->vm, guest_handlers[PF_VECTOR]) = guest_string_fault;
	string_unmap(self->vm, 1);
	EXPECT_EQ(0, vcpu_await(vcpu, 10));
	EXPECT_EQ(STRING_GVA + PAGE_SIZE, vcpu_await(vcpu, 11));
	EXPECT_EQ(1, vcpu_await(vcpu, 12));
	EXPECT_EQ(start, vcpu_await(vcpu, 13));
	vcpu_await(vcpu, 14);
	string_map(self->vm, 1);
	take_out(vcpu, PORT, size, 1, &seen);
	EXPECT_EQ(0, memcmp(&data, &seen, size));
	EXPECT_EQ(start + size, vcpu_await(vcpu, 1));
}

/*
 * The destination of IN is read-only. KVM reads the port before it finds out,
 * and reads it again afterwards; a backend that looks first reads it once.
 */
static void answer_until_report(struct vcpu *vcpu, uint16_t port)
{
	int i;

	for (i = 0; i < 4; i++) {
		vcpu_run_to(vcpu, KVM_EXIT_IO);
		if (vcpu->run->io.port != port)
			return;
		memset(exit_io_data(vcpu), 0xee,
		       vcpu->run->io.size * vcpu->run->io.count);
	}
	REQUIRE(false, "the guest's fault does not come");
}

TEST_F(string, in_page_fault)
{
	const unsigned int size = variant->size, count = 6;
	const uint64_t start = STRING_GVA + PAGE_SIZE;
	struct vcpu *vcpu = self->vcpu;
	uint8_t data[24], seen[24];
	struct kvm_regs regs;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	fill(data, sizeof(data));
	string_enter(self->vm, vcpu, variant->rep_in,
		     (struct string_op){ start, count, 0 });
	guest_var(self->vm, guest_handlers[PF_VECTOR]) = guest_string_fault;
	*(uint64_t *)vm_pte(self->vm, start) &= ~PT_WRITE;

	answer_until_report(vcpu, PORT);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(10, regs.rdi);
	EXPECT_EQ(PF_PRESENT | PF_WRITE, regs.rsi);
	EXPECT_EQ(start, vcpu_await(vcpu, 11));
	EXPECT_EQ(count, vcpu_await(vcpu, 12));
	vcpu_await(vcpu, 13);
	EXPECT_EQ(start, vcpu_await(vcpu, 14));
	string_copy(self->vm, false, PAGE_SIZE, seen, sizeof(seen));
	EXPECT_EQ(0, seen[0]);
	string_map(self->vm, 1);
	give_in(vcpu, PORT, size, count, data);
	EXPECT_EQ(start + count * size, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	string_copy(self->vm, false, PAGE_SIZE, seen, sizeof(seen));
	EXPECT_EQ(0, memcmp(data, seen, count * size));
}

/* --- real mode: segments and 16-bit addresses that wrap */

GUEST_CODE(real_string_code, 16,
	"	mov $0x2000, %ax\n"
	"	mov %ax, %es\n"
	"	mov $0x3000, %ax\n"
	"	mov %ax, %ds\n"
	"	mov $0x1234, %dx\n"
	"	mov $0xfffe, %si\n"
	"	mov $4, %cx\n"
	"	rep outsb\n"		/* ds:fffe, ds:ffff, ds:0, ds:1 */
	"	movzx %si, %eax\n"
	ASM_REPORT_EAX(1)
	"	mov $0xfffe, %si\n"
	"	outsw %es:(%si), (%dx)\n"
	"	mov $0xfffe, %di\n"
	"	mov $4, %cx\n"
	"	rep insb\n"
	"	movzx %di, %eax\n"
	ASM_REPORT_EAX(2));

TEST_F(io, real_mode_strings)
{
	struct vcpu *vcpu = self->vcpu;
	uint8_t seen[8];

	memcpy(vm_ptr(self->vm, 0x3fffe), "ab", 2);
	memcpy(vm_ptr(self->vm, 0x30000), "cd", 2);
	memcpy(vm_ptr(self->vm, 0x2fffe), "es", 2);
	vm_load(self->vm, VM_CODE_GPA, real_string_code, real_string_code_end);
	guest_enter_real(vcpu, VM_CODE_GPA);

	take_out(vcpu, PORT, 1, 4, seen);
	EXPECT_EQ(0, memcmp("abcd", seen, 4));
	EXPECT_EQ(2, vcpu_await(vcpu, 1));
	take_out(vcpu, PORT, 2, 1, seen);
	EXPECT_EQ(0, memcmp("es", seen, 2));
	give_in(vcpu, PORT, 1, 4, "1234");
	EXPECT_EQ(2, vcpu_await(vcpu, 2));
	EXPECT_EQ(0, memcmp(vm_ptr(self->vm, 0x2fffe), "12", 2));
	EXPECT_EQ(0, memcmp(vm_ptr(self->vm, 0x20000), "34", 2));
}

SLAT_HARNESS_MAIN
