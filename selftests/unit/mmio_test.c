// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmio.c against the CPU: each instruction runs on plain memory, and in mmio.c on
 * memory and a device page by page.  Registers, flags and bytes must agree.
 */
#include <sys/mman.h>
#include <kselftest_harness.h>

#include "mmio_insns.h"

#define ROUNDS		100

/* The same addresses for both: there are no page tables. */
#define CODE		0x20000000ul
#define DATA		0x10000000ul	/* pages: memory, device, memory, device */
#define DATA_SIZE	(4 * PAGE_SIZE)
#define DEVICE		(DATA + PAGE_SIZE)

struct registers {
	u64 gpr[16];
	u64 flags;
};

/* Runs what lies at CODE, which comes back by jumping to native_end. */
void native_run(struct registers *regs);
void native_end(void);

asm(".text\n"
    "native_run:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
    "	mov %rsp, native_rsp(%rip)\n"
    "	mov %rdi, %rax\n"
    "	pushq 128(%rax)\n"
    "	popfq\n"
    "	mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 40(%rax), %rbp\n"
    "	mov 48(%rax), %rsi; mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9\n"
    "	mov 80(%rax), %r10; mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13\n"
    "	mov 112(%rax), %r14; mov 120(%rax), %r15; mov 32(%rax), %rsp; mov (%rax), %rax\n"
    "	jmp *native_code(%rip)\n"
    "native_end:\n"
    "	xchg %rsp, native_rsp(%rip)\n"
    "	pushfq\n"
    "	push %rax\n"
    "	mov 16(%rsp), %rax\n"
    "	pop (%rax)\n"
    "	pop 128(%rax)\n"
    "	mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rbp, 40(%rax)\n"
    "	mov %rsi, 48(%rax); mov %rdi, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax)\n"
    "	mov %r10, 80(%rax); mov %r11, 88(%rax); mov %r12, 96(%rax); mov %r13, 104(%rax)\n"
    "	mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
    "	mov native_rsp(%rip), %rcx\n"
    "	mov %rcx, 32(%rax)\n"
    "	pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	cld\n"
    "	ret\n"
    ".data\n"
    "native_rsp: .quad 0\n"
    "native_code: .quad 0x20000000\n"
    ".text\n");

FIXTURE(mmio)
{
	struct slat_vm vm;
	struct slat_vcpu vcpu;
	struct kvm_run run;
	u8 *code;			/* the CPU's, and the same for the guest */
	u8 *data;			/* the CPU's */
	u8 before[DATA_SIZE];
	u8 guest[DATA_SIZE];		/* memory and device */
};

static u8 *map(unsigned long addr, unsigned long size, int prot)
{
	return mmap((void *)addr, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		    -1, 0);
}

static struct slat_slot slot(u64 gpa, void *host)
{
	return (struct slat_slot){ gpa >> PAGE_SHIFT, 1, (unsigned long)host, 0 };
}

FIXTURE_SETUP(mmio)
{
	self->data = map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE);
	self->code = map(CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	ASSERT_EQ(DATA, (unsigned long)self->data);
	ASSERT_EQ(CODE, (unsigned long)self->code);
	self->vm.slot[0] = slot(CODE, self->code);
	self->vm.slot[1] = slot(DATA, self->guest);
	self->vm.slot[2] = slot(DATA + 2 * PAGE_SIZE, self->guest + 2 * PAGE_SIZE);
	self->vcpu = (struct slat_vcpu){
		.vm = &self->vm,
		.run = &self->run,
		.mode = { .cr0 = X86_CR0_PE, .efer = EFER_LMA, .cs_l = true },
	};
}

FIXTURE_TEARDOWN(mmio)
{
	munmap(self->data, DATA_SIZE);
	munmap(self->code, PAGE_SIZE);
}

static void load(u8 *code, const struct native_insn *insn)
{
	u64 end = (u64)native_end;

	memcpy(code, insn->bytes, insn->len);
	memcpy(code + insn->len, "\xff\x25\0\0\0\0", 6);	/* jmp *0(%rip) */
	memcpy(code + insn->len + 6, &end, sizeof(end));
}

/* Around the borders of the first device page more often than not. */
static u64 pointer(void)
{
	u64 border = DEVICE + (shim_random() & PAGE_SIZE);

	if (shim_one_in(4))
		return DEVICE + 512 + shim_random() % 1024;
	return border + shim_random() % 64 - 32;
}

static void randomize(struct registers *regs, u8 *data, const struct native_insn *insn)
{
	bool few_values = shim_one_in(2);	/* so that strings compare equal for a while */
	unsigned int i;

	for (i = 0; i < DATA_SIZE; i++)
		data[i] = few_values && i % 64 ? 7 : shim_random();
	for (i = 0; i < 16; i++)
		regs->gpr[i] = shim_random() << 3;
	regs->gpr[SLAT_RBX] = pointer();
	regs->gpr[SLAT_RSP] = pointer();
	regs->gpr[SLAT_RSI] = pointer();
	regs->gpr[SLAT_RDI] = pointer();
	regs->gpr[10] = shim_random() % 8;
	regs->gpr[11] = shim_random() % 512 - 256;
	/* with rCX = 0 and addr32, CPUs differ in what becomes of the upper half */
	if (insn->string)
		regs->gpr[SLAT_RCX] = 1 + shim_random() % 40;
	if (shim_one_in(2))
		memcpy(&regs->gpr[SLAT_RAX], data + regs->gpr[SLAT_RBX] - DATA, 8);
	regs->flags = 0x202 | (shim_random() & 0x8d5);
	if (insn->string && shim_one_in(2))
		regs->flags |= X86_EFLAGS_DF;
}

/* The VMM, whose device is plain memory. */
static bool serve(struct kvm_run *run, u8 *device)
{
	u64 offset = run->mmio.phys_addr - DATA, last = offset + run->mmio.len - 1;

	if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.len - 1u > 7 || last >= DATA_SIZE ||
	    !(offset & PAGE_SIZE) || (offset ^ last) & PAGE_SIZE)
		return false;
	if (run->mmio.is_write) {
		memcpy(device + offset, run->mmio.data, run->mmio.len);
	} else {
		/* what is behind the length must not reach the guest */
		memset(run->mmio.data, 0xee, sizeof(run->mmio.data));
		memcpy(run->mmio.data, device + offset, run->mmio.len);
	}
	return true;
}

/* One exit from the guest, with all exits to the VMM that follow from it. */
static int handle(struct slat_vcpu *vcpu, u64 gpa, u8 *device)
{
	int (*complete)(struct slat_vcpu *vcpu);
	int ret = slat_mmio_exit(vcpu, gpa);

	while (!ret) {
		complete = vcpu->complete;
		vcpu->complete = NULL;
		if (!serve(vcpu->run, device) || !complete)
			return -EIO;
		ret = complete(vcpu);
	}
	return ret;
}

/*
 * Until the instruction is over.  For strings pretend that each iteration touches
 * a device, as the CPU does not do the others here.  Return: whether it did anything.
 */
static bool emulate(struct slat_vcpu *vcpu, const struct native_insn *insn, u8 *device)
{
	unsigned int i;

	for (i = 0; vcpu->rip == CODE && i < 50; i++)
		if (handle(vcpu, insn->string ? DEVICE : DATA, device) != 1)
			return false;
	return vcpu->rip == CODE + insn->len;
}

static bool touches_device(const struct slat_vcpu *vcpu)
{
	return vcpu->stats.mmio_exits;
}

static void start(struct slat_vcpu *vcpu, const struct registers *regs)
{
	memcpy(vcpu->gpr, regs->gpr, sizeof(regs->gpr));
	vcpu->rflags = regs->flags;
	vcpu->rip = CODE;
	vcpu->stats.mmio_exits = 0;
}

/* What the CPU and mmio.c do not agree about, NULL for nothing. */
static const char *difference(const FIXTURE_DATA(mmio) *self, const struct registers *regs,
			      const struct native_insn *insn)
{
	const struct slat_vcpu *vcpu = &self->vcpu;

	if (memcmp(vcpu->gpr, regs->gpr, sizeof(regs->gpr)))
		return "registers";
	if ((vcpu->rflags ^ regs->flags) & insn->flags)
		return "flags";
	if (memcmp(self->guest, self->data, DATA_SIZE))
		return "memory";
	if (vcpu->events.exception.pending)
		return "exceptions";
	return NULL;
}

TEST_F(mmio, as_the_cpu)
{
	struct slat_vcpu *vcpu = &self->vcpu;
	const struct native_insn *insn;
	struct registers regs;
	unsigned int round, done = 0;
	const char *what;
	bool over;

	for (round = 0; round < ROUNDS; round++) {
		for (insn = native_insns; insn->bytes; insn++) {
			load(self->code, insn);
			randomize(&regs, self->before, insn);
			memcpy(self->data, self->before, DATA_SIZE);
			memcpy(self->guest, self->before, DATA_SIZE);
			start(vcpu, &regs);
			over = emulate(vcpu, insn, self->guest);
			if (!insn->string && !touches_device(vcpu)) {
				ASSERT_EQ(CODE, vcpu->rip) TH_LOG("%s", insn->text);
				continue;
			}
			ASSERT_TRUE(over) TH_LOG("%s", insn->text);
			native_run(&regs);
			what = difference(self, &regs, insn);
			ASSERT_EQ(NULL, what) TH_LOG("%s: %s", insn->text, what);
			ASSERT_EQ(0, self->vm.slots_srcu);
			done++;
		}
	}
	TH_LOG("%u agree", done);
}

/* Nothing is changed by a read that the VMM does not answer, or after it moved the guest. */
TEST_F(mmio, unfinished)
{
	struct slat_vcpu *vcpu = &self->vcpu;
	struct slat_vcpu before;

	memcpy(self->code, "\x01\x03", 2);	/* add %eax, (%rbx) */
	vcpu->rip = CODE;
	vcpu->gpr[SLAT_RBX] = DEVICE;
	before = *vcpu;
	EXPECT_EQ(0, slat_mmio_exit(vcpu, DEVICE));
	EXPECT_EQ(0, memcmp(before.gpr, vcpu->gpr, sizeof(before.gpr)));
	EXPECT_EQ(CODE, vcpu->rip);
	EXPECT_EQ(before.rflags, vcpu->rflags);
	EXPECT_FALSE(self->run.mmio.is_write);

	vcpu->rip = CODE + 100;
	before = *vcpu;
	EXPECT_EQ(1, vcpu->complete(vcpu));
	EXPECT_EQ(0, memcmp(before.gpr, vcpu->gpr, sizeof(before.gpr)));
	EXPECT_EQ(CODE + 100, vcpu->rip);
}

/* Each iteration of REP may be followed by something else. */
TEST_F(mmio, rep_yields)
{
	struct slat_vcpu *vcpu = &self->vcpu;

	memcpy(self->code, "\xf3\xab", 2);	/* rep stosl */
	vcpu->rip = CODE;
	vcpu->gpr[SLAT_RDI] = DEVICE;
	vcpu->gpr[SLAT_RCX] = 3;
	EXPECT_EQ(0, slat_mmio_exit(vcpu, DEVICE));
	EXPECT_EQ(2, vcpu->gpr[SLAT_RCX]);
	EXPECT_EQ(0, vcpu->complete(vcpu));
	EXPECT_EQ(1, vcpu->gpr[SLAT_RCX]);
	self->run.immediate_exit = 1;
	EXPECT_EQ(1, vcpu->complete(vcpu));
	EXPECT_EQ(1, vcpu->gpr[SLAT_RCX]);
	EXPECT_EQ(CODE, vcpu->rip);
}

TEST_F(mmio, not_executable)
{
	struct slat_vcpu *vcpu = &self->vcpu;

	memcpy(self->code, "\xd8\x03", 2);	/* fadds (%rbx) */
	vcpu->rip = CODE;
	EXPECT_EQ(0, slat_mmio_exit(vcpu, DEVICE));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, self->run.exit_reason);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->run.internal.suberror);

	self->run.exit_reason = 0;
	vcpu->rip = DEVICE;
	EXPECT_EQ(0, slat_mmio_exit(vcpu, DEVICE));
	EXPECT_EQ(KVM_EXIT_INTERNAL_ERROR, self->run.exit_reason);

	self->run.exit_reason = 0;
	vcpu->events.delivering = true;
	EXPECT_EQ(0, slat_mmio_exit(vcpu, DEVICE));
	EXPECT_EQ(KVM_INTERNAL_ERROR_DELIVERY_EV, self->run.internal.suberror);
	EXPECT_FALSE(vcpu->events.exception.pending);
}

TEST_HARNESS_MAIN
