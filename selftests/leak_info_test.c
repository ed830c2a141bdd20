// SPDX-License-Identifier: GPL-2.0-only
/*
 * B7: nothing of the kernel's memory gets out. What an ioctl fills in is filled
 * in whole, reserved bytes and padding with zeros; pages mapped from a vCPU
 * begin empty; and a guest starts with the register values that a CPU has at
 * reset, not with those that the host left there.
 */
#include <linux/slat.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

VM_FIXTURE(leak);

#define IS_ZERO(x) is_zero(&(x), sizeof(x))

static bool is_zero(const void *mem, size_t size)
{
	const uint8_t *byte = mem;

	while (size--)
		if (*byte++)
			return false;
	return true;
}

/*
 * Which bytes an ioctl wrote: it is called on two different patterns. A byte
 * that it leaves alone keeps both, one that it fills in is the same twice.
 */
static bool fills_in(int fd, unsigned long request, size_t size)
{
	uint8_t a[8192], b[8192];
	size_t i;

	REQUIRE(size <= sizeof(a), "too large");
	memset(a, 0xa5, size);
	memset(b, 0x5a, size);
	must_ioctl(fd, request, a);
	must_ioctl(fd, request, b);
	for (i = 0; i < size; i++)
		if (a[i] != b[i]) {
			fprintf(stderr, "# byte %zu: %#x, then %#x\n", i, a[i],
				b[i]);
			return false;
		}
	return true;
}

TEST_F(leak, registers)
{
	EXPECT_TRUE(fills_in(self->vcpu->fd, KVM_GET_REGS,
			     sizeof(struct kvm_regs)));
	EXPECT_TRUE(fills_in(self->vcpu->fd, KVM_GET_SREGS,
			     sizeof(struct kvm_sregs)));
	EXPECT_TRUE(fills_in(self->vcpu->fd, KVM_GET_FPU,
			     sizeof(struct kvm_fpu)));
}

static bool segment_is_clean(const struct kvm_segment *segment)
{
	return !segment->padding && segment->present <= 1 && segment->dpl <= 3 &&
	       segment->db <= 1 && segment->s <= 1 && segment->l <= 1 &&
	       segment->g <= 1 && segment->avl <= 1 && segment->type <= 15;
}

TEST_F(leak, padding_of_registers)
{
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;

	memset(&sregs, 0xa5, sizeof(sregs));
	must_ioctl(self->vcpu->fd, KVM_GET_SREGS, &sregs);
	EXPECT_TRUE(segment_is_clean(&sregs.cs));
	EXPECT_TRUE(segment_is_clean(&sregs.ds));
	EXPECT_TRUE(segment_is_clean(&sregs.es));
	EXPECT_TRUE(segment_is_clean(&sregs.fs));
	EXPECT_TRUE(segment_is_clean(&sregs.gs));
	EXPECT_TRUE(segment_is_clean(&sregs.ss));
	EXPECT_TRUE(segment_is_clean(&sregs.tr));
	EXPECT_TRUE(segment_is_clean(&sregs.ldt));
	EXPECT_TRUE(IS_ZERO(sregs.gdt.padding));
	EXPECT_TRUE(IS_ZERO(sregs.idt.padding));
	EXPECT_TRUE(IS_ZERO(sregs.interrupt_bitmap));

	memset(&fpu, 0xa5, sizeof(fpu));
	must_ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu);
	EXPECT_EQ(0, fpu.pad1);
	EXPECT_EQ(0, fpu.pad2);
	EXPECT_TRUE(IS_ZERO(fpu.xmm));
	EXPECT_TRUE(IS_ZERO(fpu.fpr));
	EXPECT_EQ(0x1f80, fpu.mxcsr);
}

TEST_F(leak, stats)
{
	struct {
		struct slat_stats stats;
		uint8_t beyond[64];
	} buffer;

	if (slat_is_kvm())
		SKIP(return, "slat's own");
	memset(&buffer, 0xa5, sizeof(buffer));
	buffer.stats.size = sizeof(buffer.stats);
	buffer.stats.flags = 0;
	must_ioctl(self->vm->fd, SLAT_GET_STATS, &buffer);
	EXPECT_EQ(sizeof(buffer.stats), buffer.stats.size);
	EXPECT_EQ(0, buffer.stats.reserved);
	EXPECT_EQ(0, buffer.stats.user_exits);
	EXPECT_EQ(0, buffer.stats.exits);
	EXPECT_EQ(1, buffer.stats.tables);
	/* Behind the structure nothing is written. */
	EXPECT_EQ(0xa5, buffer.beyond[0]);
	EXPECT_EQ(0, memcmp(buffer.beyond, buffer.beyond + 1,
			    sizeof(buffer.beyond) - 1));
}

TEST_F(leak, cpuid)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} *a = mem_alloc(sizeof(*a));
	unsigned int i;

	memset(a, 0xa5, sizeof(*a));
	a->head.nent = 256;
	must_ioctl(slat_fd(), KVM_GET_SUPPORTED_CPUID, a);
	ASSERT_GT(256, a->head.nent);
	for (i = 0; i < a->head.nent; i++)
		ASSERT_TRUE(IS_ZERO(a->entries[i].padding));
	/* Not more than it says. */
	for (; i < 256; i++)
		ASSERT_EQ(0xa5a5a5a5, a->entries[i].function);
}

/* --- pages of a vCPU */

TEST_F(leak, fresh_run_pages)
{
	struct kvm_run *run = self->vcpu->run;

	EXPECT_LE(2 * PAGE_SIZE, self->vcpu->run_size);
	EXPECT_TRUE(is_zero(run, self->vcpu->run_size));
}

static void guest_out(uint64_t unused)
{
	static const char text[] = "secret of the first";

	asm volatile("rep outsb"
		     : : "S"(text), "c"(sizeof(text)), "d"(0x99) : "memory");
}

/* What one vCPU put there does not show up with another, of the same VM or not. */
TEST_F(leak, run_pages_of_another)
{
	unsigned int i;

	guest_enter_c(self->vcpu, guest_out, 0);
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	memset((void *)self->vcpu->run + PAGE_SIZE, 0x77, PAGE_SIZE);
	for (i = 0; i < 20; i++) {
		struct vm *vm = vm_create();
		struct vcpu *vcpu = vcpu_create(vm, 0);
		struct vcpu *sibling = vcpu_create(self->vm, i + 1);

		ASSERT_TRUE(is_zero(vcpu->run, vcpu->run_size));
		ASSERT_TRUE(is_zero(sibling->run, sibling->run_size));
		memset(vcpu->run, 0x77, 2 * PAGE_SIZE);
		vcpu_destroy(sibling);
		vcpu_destroy(vcpu);
		vm_destroy(vm);
	}
}

/* Bytes of kvm_run that belong to no exit stay as the VMM left them, or zero. */
TEST_F(leak, run_page_after_exit)
{
	struct kvm_run *run = self->vcpu->run;

	guest_enter_c(self->vcpu, guest_out, 0);
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(is_zero((uint8_t *)run + offsetof(struct kvm_run, s),
			    PAGE_SIZE - offsetof(struct kvm_run, s)));
	EXPECT_TRUE(IS_ZERO(run->padding1));
	/* The port data, and nothing behind it. */
	EXPECT_TRUE(is_zero((uint8_t *)exit_io_data(self->vcpu) + run->io.count,
			    PAGE_SIZE - run->io.count));
}

/* --- what the guest finds at its first entry */

struct first {
	uint64_t gpr[16];
	uint8_t xmm[16][16];
	uint64_t mm[8];
	uint64_t dr[4], dr6, dr7;
	uint64_t cr2;
	uint32_t mxcsr;
};

static struct first first;

/* Before any C code changes them. */
extern const char guest_first[];
asm(".pushsection .text\n"
    "guest_first:\n"
    "	mov %rax, first\n	mov %rbx, first+8\n"
    "	mov %rcx, first+16\n	mov %rdx, first+24\n"
    "	mov %rbp, first+32\n"
    "	mov %r8, first+64\n	mov %r9, first+72\n"
    "	mov %r10, first+80\n	mov %r11, first+88\n"
    "	mov %r12, first+96\n	mov %r13, first+104\n"
    "	mov %r14, first+112\n	mov %r15, first+120\n"
    "	movups %xmm0, first+128\n	movups %xmm1, first+144\n"
    "	movups %xmm2, first+160\n	movups %xmm3, first+176\n"
    "	movups %xmm4, first+192\n	movups %xmm5, first+208\n"
    "	movups %xmm6, first+224\n	movups %xmm7, first+240\n"
    "	movups %xmm8, first+256\n	movups %xmm9, first+272\n"
    "	movups %xmm10, first+288\n	movups %xmm11, first+304\n"
    "	movups %xmm12, first+320\n	movups %xmm13, first+336\n"
    "	movups %xmm14, first+352\n	movups %xmm15, first+368\n"
    "	movq %mm0, first+384\n	movq %mm1, first+392\n"
    "	movq %mm2, first+400\n	movq %mm3, first+408\n"
    "	movq %mm4, first+416\n	movq %mm5, first+424\n"
    "	movq %mm6, first+432\n	movq %mm7, first+440\n"
    "	mov %dr0, %rax\n	mov %rax, first+448\n"
    "	mov %dr1, %rax\n	mov %rax, first+456\n"
    "	mov %dr2, %rax\n	mov %rax, first+464\n"
    "	mov %dr3, %rax\n	mov %rax, first+472\n"
    "	mov %dr6, %rax\n	mov %rax, first+480\n"
    "	mov %dr7, %rax\n	mov %rax, first+488\n"
    "	mov %cr2, %rax\n	mov %rax, first+496\n"
    "	stmxcsr first+504\n"
    "	ret\n"
    ".popsection\n");

_Static_assert(offsetof(struct first, mxcsr) == 504, "the offsets above");

/* Values in the host's registers that would be seen. */
static void fill_host_registers(void)
{
	static const uint64_t pattern[2] = { 0x5ec4e75ec4e7, 0x5ec4e75ec4e7 };

#define FILL_XMM(n) asm volatile("movups %0, %%xmm" #n : : "m"(pattern) : "xmm" #n)
	FILL_XMM(0); FILL_XMM(1); FILL_XMM(2); FILL_XMM(3);
	FILL_XMM(4); FILL_XMM(5); FILL_XMM(6); FILL_XMM(7);
	FILL_XMM(8); FILL_XMM(9); FILL_XMM(10); FILL_XMM(11);
	FILL_XMM(12); FILL_XMM(13); FILL_XMM(14); FILL_XMM(15);
	asm volatile("movq %0, %%mm0\n movq %0, %%mm7\n emms"
		     : : "m"(pattern) : "mm0", "mm7");
}

TEST_F(leak, first_entry)
{
	const struct first *seen = &guest_var(self->vm, first);

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	guest_enter_long(self->vcpu, (uintptr_t)guest_first, 0);
	fill_host_registers();
	vcpu_await_done(self->vcpu);
	EXPECT_TRUE(IS_ZERO(seen->xmm));
	EXPECT_TRUE(IS_ZERO(seen->mm));
	EXPECT_TRUE(IS_ZERO(seen->dr));
	EXPECT_EQ(0xffff0ff0, seen->dr6);
	EXPECT_EQ(0x400, seen->dr7);
	EXPECT_EQ(0, seen->cr2);
	EXPECT_EQ(0x1f80, seen->mxcsr);
	EXPECT_TRUE(IS_ZERO(seen->gpr));
}

/* After reset in real mode, as a VMM finds it. */
TEST_F(leak, reset_values)
{
	struct vcpu *vcpu = vcpu_create(self->vm, 1);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0xfff0, regs.rip);
	EXPECT_EQ(2, regs.rflags);
	EXPECT_EQ(0, regs.rax | regs.rbx | regs.rcx | regs.rsi | regs.rdi |
		  regs.rsp | regs.rbp | regs.r8 | regs.r9 | regs.r10 |
		  regs.r11 | regs.r12 | regs.r13 | regs.r14 | regs.r15);
	vcpu_get_sregs(vcpu, &sregs);
	EXPECT_EQ(0xffff0000, sregs.cs.base);
	EXPECT_EQ(0xf000, sregs.cs.selector);
	EXPECT_EQ(0, sregs.cr2 | sregs.cr3 | sregs.cr4 | sregs.efer);
	EXPECT_EQ(0x60000010, sregs.cr0);
	EXPECT_EQ(0, sregs.gdt.base | sregs.idt.base | sregs.tr.base |
		  sregs.ldt.base);
	vcpu_destroy(vcpu);
}

SLAT_HARNESS_MAIN
