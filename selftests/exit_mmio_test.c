// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: MMIO exits. Moves of every size in both directions, extensions,
 * read-modify-write, strings, and accesses that lie half in RAM.
 */
#include "harness.h"

VM_FIXTURE(mmio);

/* A device that is plain memory, and counts. */
struct device {
	uint8_t bytes[VM_MMIO_SIZE];
	unsigned int reads, writes;
};

static void device_access(struct device *device, struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - VM_MMIO_GPA;

	REQUIRE(offset + run->mmio.len <= VM_MMIO_SIZE && run->mmio.len &&
		run->mmio.len <= 8, "MMIO at %#llx, %u bytes",
		run->mmio.phys_addr, run->mmio.len);
	if (run->mmio.is_write) {
		memcpy(device->bytes + offset, run->mmio.data, run->mmio.len);
		device->writes++;
	} else {
		/* Whatever is behind the length must not reach the guest. */
		memset(run->mmio.data, 0xee, sizeof(run->mmio.data));
		memcpy(run->mmio.data, device->bytes + offset, run->mmio.len);
		device->reads++;
	}
}

/* Serve the device until the guest reports this tag. */
static uint64_t device_await(struct device *device, struct vcpu *vcpu,
			     uint32_t tag)
{
	struct kvm_regs regs;

	while (vcpu_run(vcpu) == KVM_EXIT_MMIO)
		device_access(device, vcpu->run);
	REQUIRE(exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT_REPORT, 1, 1),
		"exit is %s", exit_name(vcpu->run->exit_reason));
	vcpu_get_regs(vcpu, &regs);
	REQUIRE(regs.rdi == tag, "report %#llx, not %#x", regs.rdi, tag);
	return regs.rsi;
}

static struct device *device_create(void)
{
	struct device *device = mem_alloc(sizeof(*device));
	unsigned int i;

	for (i = 0; i < sizeof(device->bytes); i++)
		device->bytes[i] = 0x80 + 3 * i + i / 251;
	return device;
}

static uint64_t device_value(struct device *device, unsigned int offset,
			     unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, device->bytes + offset, size);
	return value;
}

/* --- moves: size, address and data of the exit itself */

static void guest_store(uint64_t value)
{
	volatile uint8_t *mmio = (uint8_t *)VM_MMIO_GPA;

	*mmio = value;
	*(volatile uint16_t *)(mmio + 0x10) = value;
	*(volatile uint32_t *)(mmio + 0x24) = value;
	*(volatile uint64_t *)(mmio + 0x38) = value;
	/* Immediates and a high byte register. */
	asm volatile("movb $0x12, (%0)\n\t"
		     "movw $0x1234, (%0)\n\t"
		     "movl $0x12345678, (%0)\n\t"
		     "movq $-2, (%0)\n\t"
		     "mov %%ah, 1(%0)" : : "r"(mmio + 0x100), "a"(value));
	guest_report(1, value);
}

TEST_F(mmio, store)
{
	const uint64_t value = 0x1122334455667788;
	const struct { unsigned int at, len; uint64_t value; } stores[] = {
		{ 0, 1, 0x88 }, { 0x10, 2, 0x7788 },
		{ 0x24, 4, 0x55667788 }, { 0x38, 8, value },
		{ 0x100, 1, 0x12 }, { 0x100, 2, 0x1234 },
		{ 0x100, 4, 0x12345678 }, { 0x100, 8, -2ul }, { 0x101, 1, 0x77 },
	};
	unsigned int i;

	guest_enter_c(self->vcpu, guest_store, value);
	for (i = 0; i < ARRAY_SIZE(stores); i++) {
		vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
		EXPECT_TRUE(exit_is_mmio(self->vcpu, true,
					 VM_MMIO_GPA + stores[i].at,
					 stores[i].len));
		EXPECT_EQ(stores[i].value, exit_mmio_value(self->vcpu));
	}
	EXPECT_EQ(value, vcpu_await(self->vcpu, 1));
}

/* Loads: what becomes of the rest of the register depends on the size. */
#define GUEST_LOAD(tag, insn)						\
	do {								\
		uint64_t rax = 0x1122334455667788;			\
									\
		asm volatile(insn : "+a"(rax) : "r"(mmio));		\
		guest_report(tag, rax);					\
	} while (0)

static void guest_load(uint8_t *mmio)
{
	GUEST_LOAD(1, "mov 0x1(%1), %%al");
	GUEST_LOAD(2, "mov 0x2(%1), %%ax");
	GUEST_LOAD(3, "mov 0x4(%1), %%eax");
	GUEST_LOAD(4, "mov 0x8(%1), %%rax");
	GUEST_LOAD(5, "movzbl 0x10(%1), %%eax");
	GUEST_LOAD(6, "movzwl 0x12(%1), %%eax");
	GUEST_LOAD(7, "movsbl 0x14(%1), %%eax");
	GUEST_LOAD(8, "movswl 0x16(%1), %%eax");
	GUEST_LOAD(9, "movsbq 0x18(%1), %%rax");
	GUEST_LOAD(10, "movswq 0x1a(%1), %%rax");
	GUEST_LOAD(11, "movslq 0x1c(%1), %%rax");
	GUEST_LOAD(12, "movzbw 0x20(%1), %%ax");
	GUEST_LOAD(13, "mov 0x21(%1), %%ah");
	/* The form with a 64-bit address in the instruction. */
	GUEST_LOAD(14, "movabs 0xd0000030, %%eax");
}

TEST_F(mmio, load)
{
	static const struct {
		uint64_t at;
		unsigned int len;
		uint64_t reply, rax;
	} loads[] = {
		{ 0x1, 1, 0xa1, 0x11223344556677a1 },
		{ 0x2, 2, 0xb2a1, 0x112233445566b2a1 },
		{ 0x4, 4, 0xd4c3b2a1, 0xd4c3b2a1 },
		{ 0x8, 8, 0x8765432112345678, 0x8765432112345678 },
		{ 0x10, 1, 0xf1, 0xf1 },
		{ 0x12, 2, 0xf2f1, 0xf2f1 },
		{ 0x14, 1, 0xf1, 0xfffffff1 },
		{ 0x16, 2, 0xf2f1, 0xfffff2f1 },
		{ 0x18, 1, 0xf1, 0xfffffffffffffff1 },
		{ 0x1a, 2, 0x72f1, 0x72f1 },
		{ 0x1c, 4, 0xf4f3f2f1, 0xfffffffff4f3f2f1 },
		{ 0x20, 1, 0xf1, 0x11223344556600f1 },
		{ 0x21, 1, 0xf1, 0x112233445566f188 },
		{ 0x30, 4, 0xd4c3b2a1, 0xd4c3b2a1 },
	};
	struct vcpu *vcpu = self->vcpu;
	unsigned int i;

	guest_enter_c(vcpu, guest_load, VM_MMIO_GPA);
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		vcpu_run_to(vcpu, KVM_EXIT_MMIO);
		EXPECT_TRUE(exit_is_mmio(vcpu, false, VM_MMIO_GPA + loads[i].at,
					 loads[i].len));
		memset(vcpu->run->mmio.data, 0xee, 8);
		memcpy(vcpu->run->mmio.data, &loads[i].reply, loads[i].len);
		EXPECT_EQ(loads[i].rax, vcpu_await(vcpu, i + 1));
	}
}

/* With segments, scale and 32-bit addresses the gpa is still the right one. */
static void guest_addressing(uint8_t *mmio)
{
	uint64_t index = 0x20;

	guest_wrmsr(MSR_FS_BASE, (uintptr_t)mmio + 0x1000);
	guest_wrmsr(MSR_GS_BASE, (uintptr_t)mmio - 0x10);
	asm volatile("movl $1, 0x10(%0,%1,4)\n\t"
		     "movl $2, %%fs:0x8\n\t"
		     "movl $3, %%gs:(%1)\n\t"
		     "movl $4, 0x44(%k0)\n\t"
		     "lea 0x300(%0), %%rbx\n\t"
		     "movl $5, -0x100(%%rbx)\n\t"
		     "mov %0, %%r13\n\t"
		     "movl $6, (%%r13)\n\t"
		     "mov %0, %%r12\n\t"
		     "movl $7, (%%r12)"
		     : : "r"(mmio), "r"(index) : "rbx", "r12", "r13", "memory");
	guest_report(1, 0);
}

TEST_F(mmio, addressing)
{
	static const unsigned int at[] = { 0x90, 0x1008, 0x10, 0x44, 0x200, 0, 0 };
	unsigned int i;

	guest_enter_c(self->vcpu, guest_addressing, VM_MMIO_GPA);
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
		EXPECT_TRUE(exit_is_mmio(self->vcpu, true, VM_MMIO_GPA + at[i],
					 4));
		EXPECT_EQ(i + 1, exit_mmio_value(self->vcpu));
	}
	vcpu_await(self->vcpu, 1);
}

/* --- read-modify-write */

static void guest_rmw(uint8_t *mmio)
{
	uint64_t flags, rax = 0x1111;

	asm volatile("andl $0x0ff0, (%0)" : : "r"(mmio) : "memory", "cc");
	asm volatile("orb $0x81, 4(%0)" : : "r"(mmio) : "memory", "cc");
	asm volatile("addw %w1, 6(%0)" : : "r"(mmio), "r"(rax) : "memory", "cc");
	asm volatile("xorq %1, 8(%0)" : : "r"(mmio), "r"(rax) : "memory", "cc");
	asm volatile("subl %k1, 16(%0)" : : "r"(mmio), "r"(rax) : "memory", "cc");
	asm volatile("incl 20(%0)" : : "r"(mmio) : "memory", "cc");
	asm volatile("notl 24(%0)" : : "r"(mmio) : "memory", "cc");
	asm volatile("negl 28(%0)" : : "r"(mmio) : "memory", "cc");
	asm volatile("xchg %0, 32(%1)" : "+r"(rax) : "r"(mmio) : "memory");
	guest_report(1, rax);
	asm volatile("lock btsl $3, 40(%1)\n\tpushf\n\tpop %0"
		     : "=r"(flags) : "r"(mmio) : "memory", "cc");
	guest_report(2, flags & 1);
	rax = 5;
	asm volatile("lock xaddl %k0, 44(%1)" : "+r"(rax) : "r"(mmio) : "memory", "cc");
	guest_report(3, rax);
}

TEST_F(mmio, read_modify_write)
{
	struct device *device = device_create(), *was = device_create();

	guest_enter_c(self->vcpu, guest_rmw, VM_MMIO_GPA);
	EXPECT_EQ(device_value(was, 32, 8), device_await(device, self->vcpu, 1));
	EXPECT_EQ(device_value(was, 0, 4) & 0xff0, device_value(device, 0, 4));
	EXPECT_EQ(device_value(was, 4, 1) | 0x81, device_value(device, 4, 1));
	EXPECT_EQ((device_value(was, 6, 2) + 0x1111) & 0xffff,
		  device_value(device, 6, 2));
	EXPECT_EQ(device_value(was, 8, 8) ^ 0x1111, device_value(device, 8, 8));
	EXPECT_EQ((uint32_t)(device_value(was, 16, 4) - 0x1111),
		  device_value(device, 16, 4));
	EXPECT_EQ((uint32_t)(device_value(was, 20, 4) + 1),
		  device_value(device, 20, 4));
	EXPECT_EQ((uint32_t)~device_value(was, 24, 4),
		  device_value(device, 24, 4));
	EXPECT_EQ((uint32_t)-device_value(was, 28, 4),
		  device_value(device, 28, 4));
	EXPECT_EQ(0x1111, device_value(device, 32, 8));
	EXPECT_EQ(9, device->reads);
	EXPECT_EQ(9, device->writes);

	EXPECT_EQ((device_value(was, 40, 4) >> 3) & 1,
		  device_await(device, self->vcpu, 2));
	EXPECT_EQ(device_value(was, 40, 4) | 8, device_value(device, 40, 4));
	EXPECT_EQ(device_value(was, 44, 4), device_await(device, self->vcpu, 3));
	EXPECT_EQ((uint32_t)(device_value(was, 44, 4) + 5),
		  device_value(device, 44, 4));
}

/* Reads that only set flags, or that add to a register. */
#define FLAG_CF		1ul
#define FLAG_ZF		(1ul << 6)

static void guest_read_only_ops(uint8_t *mmio)
{
	uint64_t flags, sum = 1000;

	asm volatile("cmpl $5, (%1)\n\tpushf\n\tpop %0"
		     : "=r"(flags) : "r"(mmio) : "cc");
	guest_report(1, flags & (FLAG_CF | FLAG_ZF));
	asm volatile("cmp %2, 4(%1)\n\tpushf\n\tpop %0"
		     : "=r"(flags) : "r"(mmio), "r"(7) : "cc");
	guest_report(2, flags & (FLAG_CF | FLAG_ZF));
	asm volatile("testb $0x40, 8(%1)\n\tpushf\n\tpop %0"
		     : "=r"(flags) : "r"(mmio) : "cc");
	guest_report(3, flags & (FLAG_CF | FLAG_ZF));
	asm volatile("add 16(%1), %0" : "+r"(sum) : "r"(mmio) : "cc");
	guest_report(4, sum);
	sum = 0xff;
	asm volatile("and 24(%1), %0" : "+r"(sum) : "r"(mmio) : "cc");
	guest_report(5, sum);
}

TEST_F(mmio, operand)
{
	struct device *device = device_create();
	struct vcpu *vcpu = self->vcpu;

	memcpy(device->bytes, (uint32_t[]){ 5, 8, 0x3f, 0, 11, 0, 0x1234 }, 28);
	guest_enter_c(vcpu, guest_read_only_ops, VM_MMIO_GPA);
	EXPECT_EQ(FLAG_ZF, device_await(device, vcpu, 1));
	EXPECT_EQ(0, device_await(device, vcpu, 2));
	EXPECT_EQ(FLAG_ZF, device_await(device, vcpu, 3));
	EXPECT_EQ(1011, device_await(device, vcpu, 4));
	EXPECT_EQ(0x34, device_await(device, vcpu, 5));
	EXPECT_EQ(0, device->writes);
	EXPECT_EQ(5, device->reads);
}

/* --- strings */

struct string_op {
	uint64_t from, to, count, value, flags;
};

static struct string_op string_op;

static void guest_report_string(uint64_t rsi, uint64_t rdi, uint64_t rcx)
{
	guest_report(1, rsi);
	guest_report(2, rdi);
	guest_report(3, rcx);
}

#define GUEST_STRING(name, insn)					\
static void guest_##name(struct string_op *op)				\
{									\
	uint64_t rsi = op->from, rdi = op->to, rcx = op->count;		\
									\
	asm volatile("push %%rbx\n\tpopf\n\t" insn "\n\tcld"		\
		     : "+S"(rsi), "+D"(rdi), "+c"(rcx)			\
		     : "a"(op->value), "b"(op->flags | RFLAGS_FIXED)	\
		     : "memory", "cc");					\
	guest_report_string(rsi, rdi, rcx);				\
}

GUEST_STRING(rep_movsb, "rep movsb")
GUEST_STRING(rep_movsl, "rep movsl")
GUEST_STRING(rep_movsq, "rep movsq")
GUEST_STRING(rep_stosb, "rep stosb")
GUEST_STRING(rep_stosw, "rep stosw")
GUEST_STRING(rep_stosq, "rep stosq")
GUEST_STRING(movsw, "movsw")
GUEST_STRING(lodsl, "lodsl")

static void expect_string(struct __test_metadata *_metadata,
			  struct device *device, struct vcpu *vcpu,
			  void (*guest)(struct string_op *),
			  struct string_op op, struct string_op after)
{
	string_op = op;
	guest_enter_c(vcpu, guest, &string_op);
	guest_var(vcpu->vm, string_op) = op;
	EXPECT_EQ(after.from, device_await(device, vcpu, 1));
	EXPECT_EQ(after.to, device_await(device, vcpu, 2));
	EXPECT_EQ(after.count, device_await(device, vcpu, 3));
}

TEST_F(mmio, rep_movs_from_device)
{
	struct device *device = device_create();
	uint8_t *ram = vm_ptr(self->vm, VM_DATA_GPA);

	/* Over a page of RAM that no one touched, from a page of the device to
	 * the next. */
	expect_string(_metadata, device, self->vcpu, guest_rep_movsb,
		      (struct string_op){ VM_MMIO_GPA + 0xff3,
					  VM_DATA_GPA + 0xffa, 40 },
		      (struct string_op){ VM_MMIO_GPA + 0xff3 + 40,
					  VM_DATA_GPA + 0xffa + 40, 0 });
	EXPECT_EQ(0, memcmp(ram + 0xffa, device->bytes + 0xff3, 40));
	EXPECT_EQ(0, ram[0xff9]);
	EXPECT_EQ(0, ram[0xffa + 40]);
	EXPECT_EQ(0, device->writes);
}

TEST_F(mmio, rep_movs_to_device)
{
	struct device *device = device_create(), *was = device_create();
	uint64_t *ram = vm_ptr(self->vm, VM_DATA_GPA);
	int i;

	for (i = 0; i < 20; i++)
		ram[i] = 0x0101010101010101 * i;
	expect_string(_metadata, device, self->vcpu, guest_rep_movsq,
		      (struct string_op){ VM_DATA_GPA, VM_MMIO_GPA + 0x80, 20 },
		      (struct string_op){ VM_DATA_GPA + 160,
					  VM_MMIO_GPA + 0x80 + 160, 0 });
	EXPECT_EQ(0, memcmp(ram, device->bytes + 0x80, 160));
	EXPECT_EQ(0, memcmp(was->bytes + 0x80 + 160,
			    device->bytes + 0x80 + 160, 64));
	EXPECT_EQ(20, device->writes);
	EXPECT_EQ(0, device->reads);
}

TEST_F(mmio, rep_movs_device_to_device)
{
	struct device *device = device_create(), *was = device_create();

	expect_string(_metadata, device, self->vcpu, guest_rep_movsl,
		      (struct string_op){ VM_MMIO_GPA + 0x3c,
					  VM_MMIO_GPA + 0x803c, 16, 0,
					  RFLAGS_DF },
		      (struct string_op){ VM_MMIO_GPA - 4,
					  VM_MMIO_GPA + 0x7ffc, 0 });
	EXPECT_EQ(0, memcmp(was->bytes, device->bytes + 0x8000, 64));
	EXPECT_EQ(0, memcmp(was->bytes, device->bytes, 64));
}

TEST_F(mmio, rep_stos)
{
	struct device *device = device_create();
	struct vcpu *vcpu = self->vcpu;
	unsigned int i;

	expect_string(_metadata, device, vcpu, guest_rep_stosb,
		      (struct string_op){ 1, VM_MMIO_GPA + 1, 33, 0x5a },
		      (struct string_op){ 1, VM_MMIO_GPA + 34, 0 });
	for (i = 1; i < 34; i++) {
		EXPECT_EQ(0x5a, device->bytes[i]);
	}
	EXPECT_EQ(0x80, device->bytes[0]);
	EXPECT_EQ(33, device->writes);

	expect_string(_metadata, device, vcpu, guest_rep_stosw,
		      (struct string_op){ 1, VM_MMIO_GPA + 0x110, 4, 0xabcd,
					  RFLAGS_DF },
		      (struct string_op){ 1, VM_MMIO_GPA + 0x108, 0 });
	EXPECT_EQ(0xabcdabcdabcdabcd, device_value(device, 0x10a, 8));
	expect_string(_metadata, device, vcpu, guest_rep_stosq,
		      (struct string_op){ 1, VM_MMIO_GPA + 0x200, 2, -3ul },
		      (struct string_op){ 1, VM_MMIO_GPA + 0x210, 0 });
	EXPECT_EQ(-3ul, device_value(device, 0x200, 8));
	EXPECT_EQ(-3ul, device_value(device, 0x208, 8));
	EXPECT_EQ(0, device->reads);
}

TEST_F(mmio, strings_without_rep)
{
	struct device *device = device_create();

	expect_string(_metadata, device, self->vcpu, guest_movsw,
		      (struct string_op){ VM_MMIO_GPA + 2, VM_DATA_GPA, 9 },
		      (struct string_op){ VM_MMIO_GPA + 4, VM_DATA_GPA + 2, 9 });
	EXPECT_EQ(0, memcmp(device->bytes + 2,
			    vm_ptr(self->vm, VM_DATA_GPA), 2));
	expect_string(_metadata, device, self->vcpu, guest_lodsl,
		      (struct string_op){ VM_MMIO_GPA + 4, VM_DATA_GPA, 9 },
		      (struct string_op){ VM_MMIO_GPA + 8, VM_DATA_GPA, 9 });
	EXPECT_EQ(2, device->reads);
	EXPECT_EQ(0, device->writes);
}

/* --- accesses over a boundary */

#define EDGE_GVA	0x600000000000ul

static void guest_edge(uint8_t *gva)
{
	guest_report(1, *(volatile uint64_t *)gva);
	*(volatile uint64_t *)gva = 0x1122334455667788;
	guest_report(2, 0);
}

static void edge_enter(struct vcpu *vcpu, uint64_t low, uint64_t high,
		       unsigned int offset)
{
	vm_make_tables(vcpu->vm, PAGING_4LEVEL);
	vm_map(vcpu->vm, EDGE_GVA, low, PAGE_SIZE, PT_ALL);
	vm_map(vcpu->vm, EDGE_GVA + PAGE_SIZE, high, PAGE_SIZE, PT_ALL);
	guest_enter_c(vcpu, guest_edge, EDGE_GVA + PAGE_SIZE - offset);
}

TEST_F(mmio, half_in_ram)
{
	struct device *device = device_create();
	uint8_t *ram = vm_ptr(self->vm, VM_DATA_GPA + PAGE_SIZE - 3);
	uint8_t bytes[8];
	uint64_t value;

	memcpy(ram, "\x31\x32\x33", 3);
	memcpy(bytes, ram, 3);
	memcpy(bytes + 3, device->bytes, 5);
	memcpy(&value, bytes, 8);
	edge_enter(self->vcpu, VM_DATA_GPA, VM_MMIO_GPA, 3);
	EXPECT_EQ(value, device_await(device, self->vcpu, 1));
	device_await(device, self->vcpu, 2);
	EXPECT_EQ(0, memcmp(ram, "\x88\x77\x66", 3));
	EXPECT_EQ(0, memcmp(device->bytes, "\x55\x44\x33\x22\x11", 5));
	EXPECT_EQ(device_create()->bytes[5], device->bytes[5]);
}

TEST_F(mmio, half_in_device)
{
	struct device *device = device_create();
	uint8_t *ram = vm_ptr(self->vm, VM_DATA_GPA);
	uint8_t bytes[8];
	uint64_t value;

	memcpy(ram, "\x31\x32", 2);
	memcpy(bytes, device->bytes + PAGE_SIZE - 6, 6);
	memcpy(bytes + 6, ram, 2);
	memcpy(&value, bytes, 8);
	edge_enter(self->vcpu, VM_MMIO_GPA, VM_DATA_GPA, 6);
	EXPECT_EQ(value, device_await(device, self->vcpu, 1));
	device_await(device, self->vcpu, 2);
	EXPECT_EQ(0, memcmp(device->bytes + PAGE_SIZE - 6,
			    "\x88\x77\x66\x55\x44\x33", 6));
	EXPECT_EQ(0, memcmp(ram, "\x22\x11\x00", 3));
}

TEST_F(mmio, two_device_pages)
{
	struct device *device = device_create();
	uint8_t bytes[8];
	uint64_t value;

	memcpy(bytes, device->bytes + 2 * PAGE_SIZE - 4, 4);
	memcpy(bytes + 4, device->bytes + 8 * PAGE_SIZE, 4);
	memcpy(&value, bytes, 8);
	edge_enter(self->vcpu, VM_MMIO_GPA + PAGE_SIZE,
		   VM_MMIO_GPA + 8 * PAGE_SIZE, 4);
	EXPECT_EQ(value, device_await(device, self->vcpu, 1));
	device_await(device, self->vcpu, 2);
	EXPECT_EQ(0x55667788, device_value(device, 2 * PAGE_SIZE - 4, 4));
	EXPECT_EQ(0x11223344, device_value(device, 8 * PAGE_SIZE, 4));
}

/* The second page faults in the guest: no half of the write happens. */
static void guest_edge_fault(uint8_t *gva)
{
	struct guest_fault fault;

	fault = guest_try("movq $-1, (%2)", "r"(gva));
	guest_report(1, fault.vector << 32 | fault.error);
	guest_report(2, read_cr2());
}

TEST_F(mmio, second_page_faults)
{
	struct device *device = device_create(), *was = device_create();

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	vm_make_tables(self->vm, PAGING_4LEVEL);
	vm_map(self->vm, EDGE_GVA, VM_MMIO_GPA, PAGE_SIZE, PT_ALL);
	guest_enter_c(self->vcpu, guest_edge_fault, EDGE_GVA + PAGE_SIZE - 4);
	EXPECT_EQ((uint64_t)PF_VECTOR << 32 | PF_WRITE,
		  device_await(device, self->vcpu, 1));
	EXPECT_EQ(EDGE_GVA + PAGE_SIZE, device_await(device, self->vcpu, 2));
	EXPECT_EQ(0, memcmp(was->bytes, device->bytes, sizeof(was->bytes)));
}

/* --- other modes */

GUEST_CODE(mmio32_code, 32,
	"	mov $0xd0000100, %ebx\n"
	"	movl $0x11223344, (%ebx)\n"
	"	movzwl 2(%ebx), %eax\n"
	ASM_REPORT_EAX(1)
	"	addb $3, 5(%ebx)\n"
	"	pushl 8(%ebx)\n"
	"	pop %eax\n"
	ASM_REPORT_EAX(2));

static void expect_mmio32(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	struct device *device = device_create(), *was = device_create();

	EXPECT_EQ(0x1122, device_await(device, vcpu, 1));
	EXPECT_EQ(0x11223344, device_value(device, 0x100, 4));
	EXPECT_EQ(device_value(was, 0x108, 4), device_await(device, vcpu, 2));
	EXPECT_EQ((uint8_t)(was->bytes[0x105] + 3), device->bytes[0x105]);
}

TEST_F(mmio, unpaged)
{
	vm_load(self->vm, VM_CODE_GPA, mmio32_code, mmio32_code_end);
	guest_enter_prot(self->vcpu, VM_CODE_GPA, PAGING_NONE);
	expect_mmio32(_metadata, self->vcpu);
}

TEST_F(mmio, paged_32bit)
{
	vm_load(self->vm, VM_CODE_GPA, mmio32_code, mmio32_code_end);
	guest_enter_prot(self->vcpu, VM_CODE_GPA, PAGING_32BIT);
	expect_mmio32(_metadata, self->vcpu);
}

GUEST_CODE(mmio16_code, 16,
	"	mov $0xa000, %ax\n"
	"	mov %ax, %ds\n"
	"	movw $0x4142, 0x20\n"
	"	xor %eax, %eax\n"
	"	mov 0x21, %al\n"
	ASM_REPORT_EAX(1));

TEST_F(mmio, real_mode)
{
	struct vm *vm = vm_create_empty();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	/* RAM ends below the video memory, as on a PC. */
	vm->ram = mem_alloc(VM_RAM_SIZE);
	vm_slot(vm, 0, 0, 0, 0xa0000, vm->ram);
	vm_load(vm, VM_CODE_GPA, mmio16_code, mmio16_code_end);
	guest_enter_real(vcpu, VM_CODE_GPA);
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(vcpu, true, 0xa0020, 2));
	EXPECT_EQ(0x4142, exit_mmio_value(vcpu));
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(vcpu, false, 0xa0021, 1));
	exit_mmio_reply(vcpu, 0x77);
	EXPECT_EQ(0x77, vcpu_await(vcpu, 1));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
