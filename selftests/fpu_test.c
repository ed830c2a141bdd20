// SPDX-License-Identifier: GPL-2.0-only
/*
 * B4, B7: x87, SSE and AVX registers and MXCSR belong to one vCPU each and to
 * the host's thread: none sees another's, however they are interleaved, and a
 * new vCPU sees nobody's.
 */
#include <pthread.h>

#include "harness.h"
#include "worker.h"

/* What FXSAVE saves, and all of ymm0 to ymm15. */
struct fpu_regs {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved_5;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t reserved_416[96];
	uint8_t ymm[16][32];
} __attribute__((aligned(64)));

/*
 * All in assembler, from loading the registers to storing them, so that the
 * compiler uses none in between. rdi: from, rsi: to, rdx: with AVX, rcx: as the
 * function says. They leave the registers as a function may.
 */
asm(".pushsection .text\n"
    ".macro fpu_load\n"
    "	fxrstor64 (%rdi)\n"
    "	test %rdx, %rdx\n"
    "	jz 1f\n"
    "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "	vmovups 512+32*\\n(%rdi), %ymm\\n\n"
    "	.endr\n"
    "1:\n"
    ".endm\n"
    ".macro fpu_store\n"
    "	fxsave64 (%rsi)\n"
    "	test %rdx, %rdx\n"
    "	jz 1f\n"
    "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "	vmovups %ymm\\n, 512+32*\\n(%rsi)\n"
    "	.endr\n"
    "	vzeroupper\n"
    "1:	fninit\n"
    "	ldmxcsr fpu_mxcsr(%rip)\n"
    ".endm\n"
    "fpu_mxcsr: .long 0x1f80\n"

    /* Guest: leave by a report. */
    "guest_fpu_out:\n"
    "	fpu_load\n"
    "	mov %rdi, %r8\n"
    "	mov %rsi, %r9\n"
    "	mov $1, %edi\n"
    "	xor %esi, %esi\n"
    "	out %al, $" GUEST_STR(PORT_REPORT) "\n"
    "	mov %r8, %rdi\n"
    "	mov %r9, %rsi\n"
    "	fpu_store\n"
    "	ret\n"

    /* Anywhere: let rcx loops go by, in which others run. */
    "fpu_spin:\n"
    "	fpu_load\n"
    "2:	dec %rcx\n"
    "	jnz 2b\n"
    "	fpu_store\n"
    "	ret\n"

    /* Host: KVM_RUN of the file descriptor in rcx; returns what it does. */
    "fpu_run:\n"
    "	fpu_load\n"
    "	push %rdi\n"
    "	push %rsi\n"
    "	push %rdx\n"
    "	mov %rcx, %rdi\n"
    "	mov $0xae80, %esi\n"	/* KVM_RUN */
    "	xor %edx, %edx\n"
    "	mov $16, %eax\n"	/* ioctl */
    "	syscall\n"
    "	pop %rdx\n"
    "	pop %rsi\n"
    "	pop %rdi\n"
    "	fpu_store\n"
    "	ret\n"
    ".popsection\n");

void guest_fpu_out(const struct fpu_regs *from, struct fpu_regs *to, bool avx);
void fpu_spin(const struct fpu_regs *from, struct fpu_regs *to, bool avx,
	      uint64_t loops);
int fpu_run(const struct fpu_regs *from, struct fpu_regs *to, bool avx, int fd);

/* A pattern that says whose it is; every MXCSR of these is a valid one. */
static void fpu_fill(struct fpu_regs *regs, uint8_t seed)
{
	volatile uint8_t *bytes = (uint8_t *)regs;
	unsigned int i, j;

	for (i = 0; i < sizeof(*regs); i++)
		bytes[i] = 0;
	regs->fcw = 0x37f & ~(seed & 0x3f);
	regs->ftw = 0xff;
	regs->mxcsr = 0x1f80 & ~((seed & 0x3f) << 7);
	for (i = 0; i < 8; i++) {
		for (j = 0; j < 8; j++)
			regs->st[i][j] = seed + 8 * i + j;
		/* The integer bit and an exponent: a plain number. */
		regs->st[i][7] |= 0x80;
		regs->st[i][9] = 0x40;
	}
	for (i = 0; i < 16; i++) {
		for (j = 0; j < 32; j++)
			regs->ymm[i][j] = 3 * seed + 32 * i + j;
		for (j = 0; j < 16; j++)
			regs->xmm[i][j] = regs->ymm[i][j];
	}
}

/* 0, or a number that says what differs; fip and fdp come and go. */
static unsigned int fpu_differs(const struct fpu_regs *a,
				const struct fpu_regs *b, bool avx)
{
	unsigned int i, j;

	if (a->fcw != b->fcw)
		return 1;
	if (a->ftw != b->ftw)
		return 2;
	if (a->mxcsr != b->mxcsr)
		return 3;
	for (i = 0; i < 8; i++)
		for (j = 0; j < 10; j++)
			if (a->st[i][j] != b->st[i][j])
				return 100 + i;
	for (i = 0; i < 16; i++)
		for (j = 0; j < 16; j++)
			if (a->xmm[i][j] != b->xmm[i][j])
				return 200 + i;
	for (i = 0; avx && i < 16; i++)
		for (j = 0; j < 32; j++)
			if (a->ymm[i][j] != b->ymm[i][j])
				return 300 + i;
	return 0;
}

static bool has_avx(void)
{
	return (slat_cpuid(1, 0)->ecx & (1u << 28)) &&
	       (slat_cpuid(0xd, 0)->eax & 4);
}

/* --- the guests */

struct fpu_guest {
	uint64_t seed, avx, loops;
};

/* What a guest of the vCPU with this id does; its own stack holds the rest. */
static struct fpu_guest fpu_guests[4];

static void guest_avx_on(void)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	write_xcr0(7);
}

/* Registers over an exit: report 2 says what changed, with a seed each round. */
static void guest_fpu_exits(struct fpu_guest *guest)
{
	struct fpu_regs in, out;
	uint8_t seed;

	if (guest->avx)
		guest_avx_on();
	for (seed = guest->seed;; seed += 7) {
		fpu_fill(&in, seed);
		fpu_fill(&out, 0);
		guest_fpu_out(&in, &out, guest->avx);
		guest_report(2, fpu_differs(&in, &out, guest->avx));
	}
}

/* Registers over time in which others run: report 3 at the end. */
static void guest_fpu_spins(struct fpu_guest *guest)
{
	struct fpu_regs in, out;
	unsigned int differs = 0;
	uint64_t i;

	if (guest->avx)
		guest_avx_on();
	fpu_fill(&in, guest->seed);
	for (i = 0; i < 10 && !differs; i++) {
		fpu_fill(&out, 0);
		fpu_spin(&in, &out, guest->avx, guest->loops);
		differs = fpu_differs(&in, &out, guest->avx);
	}
	guest_report(3, differs);
}

FIXTURE(fpu)
{
	struct vm *vm;
	struct vcpu *vcpus[2];
};

FIXTURE_VARIANT(fpu)
{
	bool avx;
};

FIXTURE_VARIANT_ADD(fpu, sse) { .avx = false };
FIXTURE_VARIANT_ADD(fpu, avx) { .avx = true };

FIXTURE_SETUP(fpu)
{
	int i;

	self->vm = vm_create();
	for (i = 0; i < 2; i++)
		self->vcpus[i] = vcpu_create(self->vm, i);
	if (variant->avx && !has_avx())
		SKIP_SETUP("the CPU has no AVX");
	if (variant->avx && !guest_keeps_xcr0())
		SKIP_SETUP("the CPU does not intercept XSETBV");
}

FIXTURE_TEARDOWN(fpu)
{
	vcpu_destroy(self->vcpus[0]);
	vcpu_destroy(self->vcpus[1]);
	vm_destroy(self->vm);
}

static void fpu_enter(struct vcpu *vcpu, unsigned int id,
		      void (*guest)(struct fpu_guest *),
		      struct fpu_guest params)
{
	guest_enter_c(vcpu, guest, &fpu_guests[id]);
	guest_var(vcpu->vm, fpu_guests[id]) = params;
}

/* --- over exits */

/* Two vCPUs by turns on one thread. */
TEST_F(fpu, interleaved)
{
	int i, round;

	for (i = 0; i < 2; i++)
		fpu_enter(self->vcpus[i], i, guest_fpu_exits,
			  (struct fpu_guest){ 11 + 100 * i, variant->avx });
	for (round = 0; round < 50; round++) {
		vcpu_await(self->vcpus[0], 1);
		vcpu_await(self->vcpus[1], 1);
		ASSERT_EQ(0, vcpu_await(self->vcpus[0], 2));
		ASSERT_EQ(0, vcpu_await(self->vcpus[1], 2));
	}
}

/* The host's registers over KVM_RUN, while the guest fills them otherwise. */
TEST_F(fpu, host)
{
	struct fpu_regs in, out;
	int round;

	fpu_enter(self->vcpus[0], 0, guest_fpu_exits,
		  (struct fpu_guest){ 200, variant->avx });
	vcpu_await(self->vcpus[0], 1);
	ASSERT_EQ(0, vcpu_await(self->vcpus[0], 2));
	for (round = 0; round < 50; round++) {
		fpu_fill(&in, round);
		fpu_fill(&out, 0x77);
		ASSERT_EQ(0, fpu_run(&in, &out, variant->avx,
				     self->vcpus[0]->fd));
		ASSERT_EQ(0, fpu_differs(&in, &out, variant->avx));
		ASSERT_EQ(0, fpu_run(&in, &out, variant->avx,
				     self->vcpus[0]->fd));
		ASSERT_EQ(0, fpu_differs(&in, &out, variant->avx));
	}
	/* Through all of it the guest has kept its own. */
	vcpu_await(self->vcpus[0], 1);
	EXPECT_EQ(0, vcpu_await(self->vcpus[0], 2));
}

/* --- over time slices */

struct fpu_thread {
	struct vcpu *vcpu;
	pthread_t thread;
	uint64_t differs;
};

static void *fpu_thread(void *arg)
{
	struct fpu_thread *thread = arg;

	thread->differs = vcpu_await(thread->vcpu, 3);
	return NULL;
}

#define SPIN_LOOPS	4000000

/* Two guests and the host's thread, preempted on one CPU or side by side. */
static void fpu_slices(struct __test_metadata *_metadata,
		       struct vcpu *const *vcpus, bool avx, bool one_cpu)
{
	struct fpu_thread threads[2];
	struct fpu_regs in, out;
	int i;

	watchdog_start(25);
	if (one_cpu)
		pin(0);
	for (i = 0; i < 2; i++) {
		fpu_enter(vcpus[i], i, guest_fpu_spins,
			  (struct fpu_guest){ 30 + i, avx, SPIN_LOOPS });
		threads[i].vcpu = vcpus[i];
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL,
					    fpu_thread, &threads[i]));
	}
	fpu_fill(&in, 99);
	for (i = 0; i < 10; i++) {
		fpu_fill(&out, 0);
		fpu_spin(&in, &out, avx, SPIN_LOOPS);
		EXPECT_EQ(0, fpu_differs(&in, &out, avx));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i].thread, NULL));
		EXPECT_EQ(0, threads[i].differs);
	}
}

TEST_F(fpu, preempted)
{
	fpu_slices(_metadata, self->vcpus, variant->avx, true);
}

TEST_F(fpu, parallel)
{
	fpu_slices(_metadata, self->vcpus, variant->avx, false);
}

/* --- a vCPU's first state is nobody else's */

static struct fpu_regs first_regs;

static void guest_first(uint64_t avx)
{
	/* At once, before any code of ours has used a register. */
	if (avx) {
		guest_avx_on();
		asm volatile("vmovups %%ymm0, (%0)\n\t"
			     "vmovups %%ymm15, 32(%0)"
			     : : "r"(first_regs.ymm) : "memory");
	}
	asm volatile("fxsave64 (%0)" : : "r"(&first_regs) : "memory");
	guest_report(1, 0);
}

static bool all_zero(const void *data, size_t size)
{
	const uint8_t *bytes = data;

	while (size && !*bytes)
		bytes++, size--;
	return !size;
}

TEST_F(fpu, first_state)
{
	struct fpu_regs in, out, *first;

	guest_enter_c(self->vcpus[0], guest_first, variant->avx);
	first = &guest_var(self->vm, first_regs);
	fpu_fill(&in, 0x42);
	ASSERT_EQ(0, fpu_run(&in, &out, variant->avx, self->vcpus[0]->fd));
	ASSERT_EQ(KVM_EXIT_IO, self->vcpus[0]->run->exit_reason);
	EXPECT_TRUE(all_zero(first->xmm, sizeof(first->xmm)));
	EXPECT_TRUE(all_zero(first->ymm, sizeof(first->ymm)));
	EXPECT_TRUE(all_zero(first->st, sizeof(first->st)));
	EXPECT_EQ(0x1f80, first->mxcsr);
	EXPECT_EQ(0, first->fsw);
	EXPECT_EQ(0, first->ftw);
}

/* --- KVM_GET_FPU and KVM_SET_FPU */

VM_FIXTURE(fpu_ioctl);

static void fpu_to_ioctl(const struct fpu_regs *regs, struct kvm_fpu *fpu)
{
	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, regs->st, sizeof(fpu->fpr));
	memcpy(fpu->xmm, regs->xmm, sizeof(fpu->xmm));
	fpu->fcw = regs->fcw;
	fpu->fsw = regs->fsw;
	fpu->ftwx = regs->ftw;
	fpu->mxcsr = regs->mxcsr;
}

/* KVM neither sets nor gets MXCSR by these. */
static bool fpu_equal(const struct kvm_fpu *a, const struct kvm_fpu *b)
{
	return !memcmp(a->fpr, b->fpr, sizeof(a->fpr)) &&
	       !memcmp(a->xmm, b->xmm, sizeof(a->xmm)) &&
	       a->fcw == b->fcw && a->fsw == b->fsw && a->ftwx == b->ftwx &&
	       (a->mxcsr == b->mxcsr || slat_is_kvm());
}

TEST_F(fpu_ioctl, set_and_get)
{
	struct kvm_fpu set, get;
	struct fpu_regs regs;

	fpu_fill(&regs, 0x13);
	fpu_to_ioctl(&regs, &set);
	must_ioctl(self->vcpu->fd, KVM_SET_FPU, &set);
	memset(&get, 0xee, sizeof(get));
	must_ioctl(self->vcpu->fd, KVM_GET_FPU, &get);
	EXPECT_TRUE(fpu_equal(&set, &get));
}

/* What the guest has can be got, what is set then the guest finds. */
static struct fpu_regs guest_saw, guest_loads;

static void guest_fpu_ioctl(uint64_t unused)
{
	guest_fpu_out(&guest_loads, &guest_saw, false);
	guest_report(2, 0);
}

TEST_F(fpu_ioctl, guest)
{
	struct kvm_fpu set, get, saw, loads;
	struct fpu_regs regs;

	guest_enter_c(self->vcpu, guest_fpu_ioctl, 0);
	fpu_fill(&guest_var(self->vm, guest_loads), 0x36);
	vcpu_await(self->vcpu, 1);
	fpu_to_ioctl(&guest_var(self->vm, guest_loads), &loads);
	must_ioctl(self->vcpu->fd, KVM_GET_FPU, &get);
	EXPECT_TRUE(fpu_equal(&loads, &get));

	fpu_fill(&regs, 0x25);
	fpu_to_ioctl(&regs, &set);
	must_ioctl(self->vcpu->fd, KVM_SET_FPU, &set);
	vcpu_await(self->vcpu, 2);
	fpu_to_ioctl(&guest_var(self->vm, guest_saw), &saw);
	EXPECT_TRUE(fpu_equal(&set, &saw));
}

/* The same before the vCPU ever ran. */
static void guest_fpu_save(uint64_t unused)
{
	asm volatile("fxsave64 (%0)" : : "r"(&guest_saw) : "memory");
	guest_report(1, 0);
}

TEST_F(fpu_ioctl, set_before_first_run)
{
	struct kvm_fpu set, saw;
	struct fpu_regs regs;

	if (slat_is_kvm())
		SKIP(return, "KVM loses it: KVM_SET_FPU leaves XSTATE_BV at 0");
	fpu_fill(&regs, 0x47);
	fpu_to_ioctl(&regs, &set);
	must_ioctl(self->vcpu->fd, KVM_SET_FPU, &set);
	guest_enter_c(self->vcpu, guest_fpu_save, 0);
	vcpu_await(self->vcpu, 1);
	fpu_to_ioctl(&guest_var(self->vm, guest_saw), &saw);
	EXPECT_TRUE(fpu_equal(&set, &saw));
}

/* An MXCSR that no CPU can hold is refused, which KVM ignores; the host stays whole. */
TEST_F(fpu_ioctl, impossible_mxcsr)
{
	struct kvm_fpu fpu;

	must_ioctl(self->vcpu->fd, KVM_GET_FPU, &fpu);
	fpu.mxcsr = 0xffffffff;
	EXPECT_EQ(slat_is_kvm() ? 0 : -EINVAL,
		  try_ioctl_ptr(self->vcpu->fd, KVM_SET_FPU, &fpu));
	guest_enter_c(self->vcpu, guest_fpu_save, 0);
	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(0, guest_var(self->vm, guest_saw).mxcsr & 0xffff0000);
}

/* --- the FPU off, and its exceptions */

static void guest_fpu_off(uint64_t unused)
{
	uint64_t cr0 = read_cr0();

	write_cr0(cr0 | CR0_TS);
	guest_report(1, guest_try("movups %%xmm0, %%xmm1").vector);
	guest_report(2, guest_try("fld1").vector);
	write_cr0((cr0 | CR0_EM) & ~CR0_MP);
	guest_report(3, guest_try("movups %%xmm0, %%xmm1").vector);
	write_cr0(cr0 | CR0_TS);
	asm volatile("clts");
	guest_report(4, guest_try("fld1\n\tfstp %%st(0)").vector);
	guest_report(5, read_cr0() & CR0_TS);
}

TEST_F(fpu_ioctl, switched_off_by_guest)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_fpu_off, 0);
	EXPECT_EQ(NM_VECTOR, vcpu_await(vcpu, 1));
	EXPECT_EQ(NM_VECTOR, vcpu_await(vcpu, 2));
	EXPECT_EQ(UD_VECTOR, vcpu_await(vcpu, 3));
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 4));
	EXPECT_EQ(0, vcpu_await(vcpu, 5));
}

/* XCR0 values that the CPU refuses give the guest its #GP. */
static void guest_bad_xcr0(uint64_t unused)
{
#define TRY_XCR0(low)							\
	guest_try("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\t"		\
		  "mov $" #low ", %%eax\n\txsetbv").vector

	guest_report(1, TRY_XCR0(1));			/* OSXSAVE is off */
	write_cr4(read_cr4() | CR4_OSXSAVE);
	guest_report(2, TRY_XCR0(0));
	guest_report(3, TRY_XCR0(2));
	guest_report(4, TRY_XCR0(5));
	guest_report(5, TRY_XCR0(0x40000001));
	guest_report(6, guest_try("mov $1, %%ecx\n\txor %%edx, %%edx\n\t"
				  "mov $1, %%eax\n\txsetbv").vector);
	guest_report(7, TRY_XCR0(3));
}

TEST_F(fpu_ioctl, bad_xcr0)
{
	struct vcpu *vcpu = self->vcpu;
	uint32_t tag;

	if (!(slat_cpuid(1, 0)->ecx & (1u << 26)))
		SKIP(return, "the CPU has no XSAVE");
	guest_enter_c(vcpu, guest_bad_xcr0, 0);
	EXPECT_EQ(UD_VECTOR, vcpu_await(vcpu, 1));
	for (tag = 2; tag <= 6; tag++) {
		EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, tag)) {
			TH_LOG("case %u", tag);
		}
	}
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 7));
}

/*
 * What a guest puts into XCR0 is its own: the host's stays, and so do the
 * host's registers that the guest has switched off for itself.
 */
static void guest_narrow_xcr0(uint64_t unused)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	for (;;) {
		write_xcr0(1);
		guest_report(1, 0);
		write_xcr0(3);
		guest_report(1, 0);
	}
}

TEST(host_xcr0)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct fpu_regs in, out;
	uint64_t host_xcr0;
	int i;

	if (!has_avx())
		SKIP(return, "the CPU has no AVX");
	host_xcr0 = read_xcr0();
	guest_enter_c(vcpu, guest_narrow_xcr0, 0);
	for (i = 0; i < 10; i++) {
		fpu_fill(&in, i);
		ASSERT_EQ(0, fpu_run(&in, &out, true, vcpu->fd));
		EXPECT_EQ(0, fpu_differs(&in, &out, true));
		EXPECT_EQ(host_xcr0, read_xcr0());
	}
}

SLAT_HARNESS_MAIN
