// SPDX-License-Identifier: GPL-2.0-only
/*
 * B4, B7: the MSRs and debug registers of a guest are its own: what the VMM sets
 * the guest reads, what the guest writes the VMM gets, two vCPUs differ, and
 * the host's thread keeps what it had.
 */
#include <asm/prctl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "harness.h"

VM_FIXTURE(msr);

/*
 * Values that each MSR can hold, all different. An AMD CPU's SYSENTER MSRs have
 * 32 bits as far as KVM is concerned.
 */
static const struct {
	uint32_t index;
	uint64_t value;
} msrs[] = {
	{ MSR_SYSENTER_CS, 0x33 },
	{ MSR_SYSENTER_ESP, 0x11223344 },
	{ MSR_SYSENTER_EIP, 0x11223355 },
	{ MSR_PAT, 0x0001050406000704 },
	{ MSR_STAR, 0x0023001000000000 },
	{ MSR_LSTAR, 0xffffffff81234567 },
	{ MSR_CSTAR, 0xffffffff81234568 },
	{ MSR_SFMASK, 0x47700 },
	{ MSR_FS_BASE, 0x222233334444 },
	{ MSR_GS_BASE, 0xffff888012345678 },
	{ MSR_KERNEL_GS_BASE, 0x333344445555 },
};

/* --- the VMM's view and the guest's */

static void guest_read_msrs(uint64_t unused)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		guest_report(i, guest_rdmsr(msrs[i].index));
}

TEST_F(msr, vmm_sets)
{
	unsigned int i;

	guest_enter_c(self->vcpu, guest_read_msrs, 0);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		vcpu_set_msr(self->vcpu, msrs[i].index, msrs[i].value);
		EXPECT_EQ(msrs[i].value,
			  vcpu_get_msr(self->vcpu, msrs[i].index));
	}
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(msrs[i].value, vcpu_await(self->vcpu, i)) {
			TH_LOG("MSR %#x", msrs[i].index);
		}
	}
}

static void guest_write_msrs(uint64_t unused)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		guest_wrmsr(msrs[i].index, msrs[i].value);
	guest_report(1, 0);
}

TEST_F(msr, guest_sets)
{
	unsigned int i;

	guest_enter_c(self->vcpu, guest_write_msrs, 0);
	vcpu_await(self->vcpu, 1);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(msrs[i].value,
			  vcpu_get_msr(self->vcpu, msrs[i].index)) {
			TH_LOG("MSR %#x", msrs[i].index);
		}
	}
}

/* FS and GS are one thing with two names. */
static void guest_segments(uint64_t unused)
{
	uint64_t at_fs, at_gs;

	asm volatile("mov %%fs:0, %0\n\tmov %%gs:8, %1"
		     : "=r"(at_fs), "=r"(at_gs));
	guest_report(1, at_fs);
	guest_report(2, at_gs);
	asm volatile("swapgs");
	asm volatile("mov %%gs:8, %0" : "=r"(at_gs));
	guest_report(3, at_gs);
	guest_report(4, guest_rdmsr(MSR_KERNEL_GS_BASE));
}

TEST_F(msr, segment_bases)
{
	uint64_t *data = vm_ptr(self->vm, VM_DATA_GPA);
	struct kvm_sregs sregs;
	unsigned int i;

	for (i = 0; i < 1024; i++)
		data[i] = 1000 + i;
	guest_enter_c(self->vcpu, guest_segments, 0);
	vcpu_set_msr(self->vcpu, MSR_FS_BASE, VM_DATA_GPA + 16);
	vcpu_set_msr(self->vcpu, MSR_GS_BASE, VM_DATA_GPA + 800);
	vcpu_set_msr(self->vcpu, MSR_KERNEL_GS_BASE, VM_DATA_GPA + 1600);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(VM_DATA_GPA + 16, sregs.fs.base);
	EXPECT_EQ(VM_DATA_GPA + 800, sregs.gs.base);
	EXPECT_EQ(1002, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(1101, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(1201, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(VM_DATA_GPA + 800, vcpu_await(self->vcpu, 4));
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(VM_DATA_GPA + 1600, sregs.gs.base);
}

/* Two vCPUs by turns keep theirs. */
TEST_F(msr, two_vcpus)
{
	struct vcpu *vcpus[2] = { self->vcpu, vcpu_create(self->vm, 1) };
	unsigned int i, n;

	for (n = 0; n < 2; n++) {
		guest_enter_c(vcpus[n], guest_read_msrs, 0);
		for (i = 0; i < ARRAY_SIZE(msrs); i++)
			vcpu_set_msr(vcpus[n], msrs[i].index,
				     n ? 0 : msrs[i].value);
	}
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(msrs[i].value, vcpu_await(vcpus[0], i));
		EXPECT_EQ(0, vcpu_await(vcpus[1], i));
	}
	vcpu_destroy(vcpus[1]);
}

static void guest_efer(uint64_t unused)
{
	guest_report(1, guest_rdmsr(MSR_EFER));
	guest_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) & ~EFER_SCE);
	guest_report(2, guest_try("mov %%rsp, %%rdx\n\tsyscall\n\tmov %%rdx, %%rsp").vector);
	guest_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) & ~EFER_NXE);
	guest_report(3, guest_rdmsr(MSR_EFER));
}

TEST_F(msr, efer)
{
	const uint64_t all = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

	guest_enter_c(self->vcpu, guest_efer, 0);
	EXPECT_EQ(all, vcpu_get_msr(self->vcpu, MSR_EFER));
	/* Without SVME, whatever the host's own EFER has. */
	EXPECT_EQ(all, vcpu_await(self->vcpu, 1));
	EXPECT_EQ(UD_VECTOR, vcpu_await(self->vcpu, 2));
	EXPECT_EQ(EFER_LME | EFER_LMA, vcpu_await(self->vcpu, 3));
	EXPECT_EQ(EFER_LME | EFER_LMA, vcpu_get_msr(self->vcpu, MSR_EFER));
}

/* --- time */

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

static void guest_tsc(uint64_t unused)
{
	uint64_t first = rdtsc();

	guest_report(1, first);
	guest_report(2, rdtsc() - first);
	guest_report(3, guest_rdmsr(MSR_TSC) - first);
	guest_wrmsr(MSR_TSC, 1ul << 52);
	guest_report(4, rdtsc());
}

/* Within a minute of what it should be, at up to 16 GHz. */
#define TSC_SLACK	(1ul << 40)

TEST_F(msr, tsc)
{
	struct vcpu *vcpu = self->vcpu;
	const uint64_t start = 1ul << 50;
	uint64_t seen;

	guest_enter_c(vcpu, guest_tsc, 0);
	vcpu_set_msr(vcpu, MSR_TSC, start);
	seen = vcpu_await(vcpu, 1);
	EXPECT_LE(start, seen);
	EXPECT_GT(start + TSC_SLACK, seen);
	EXPECT_LE(seen, vcpu_get_msr(vcpu, MSR_TSC));
	EXPECT_GT(start + TSC_SLACK, vcpu_get_msr(vcpu, MSR_TSC));
	/* It runs, and both ways to read it agree. */
	EXPECT_NE(0, vcpu_await(vcpu, 2));
	EXPECT_GT(TSC_SLACK, vcpu_await(vcpu, 3));
	seen = vcpu_await(vcpu, 4);
	EXPECT_LE(1ul << 52, seen);
	EXPECT_GT((1ul << 52) + TSC_SLACK, seen);
}

/* --- the host's own */

/* A guest that changes all it can, and waits for more. */
static void guest_change_all(uint64_t tsc_aux)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < ARRAY_SIZE(msrs); i++)
			guest_wrmsr(msrs[i].index, msrs[i].value);
		if (tsc_aux)
			guest_wrmsr(MSR_TSC_AUX, 0x77);
		guest_report(1, 0);
	}
}

static __thread int thread_local = 0x5a5a;
static uint64_t host_gs_area[2] = { 0x1234, 0x5678 };

static bool has_rdtscp(void)
{
	return slat_cpuid(0x80000001, 0)->edx & (1u << 27);
}

static uint32_t host_tsc_aux(void)
{
	uint32_t aux;

	asm volatile("rdtscp" : "=c"(aux) : : "eax", "edx");
	return aux & 0xfff;
}

TEST_F(msr, host_keeps_its_own)
{
	volatile int *local = &thread_local;
	unsigned long fs, fs_after, gs_after;
	unsigned int cpu;
	uint64_t at_gs;
	int i;

	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, host_gs_area));
	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	guest_enter_c(self->vcpu, guest_change_all, has_rdtscp());
	for (i = 0; i < 20; i++) {
		vcpu_await(self->vcpu, 1);
		asm volatile("mov %%gs:8, %0" : "=r"(at_gs));
		ASSERT_EQ(0x5678, at_gs);
		ASSERT_EQ(0x5a5a, *local);
		ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_after));
		ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_GS, &gs_after));
		ASSERT_EQ(fs, fs_after);
		ASSERT_EQ((unsigned long)host_gs_area, gs_after);
		/* The kernel keeps the CPU's number in TSC_AUX. */
		do {
			cpu = sched_getcpu();
			at_gs = host_tsc_aux();
		} while (cpu != (unsigned int)sched_getcpu());
		ASSERT_EQ(cpu, at_gs);
	}
}

/* --- debug registers */

VM_FIXTURE(debug);

/* Watched by guest and by host, at one address in both. */
static volatile uint64_t watched __attribute__((aligned(8)));
static volatile uint64_t guest_hits, guest_dr6;

#define DR7_WRITE_8(n)	(1ul << (2 * (n)) | 0x9ul << (16 + 4 * (n)))
#define DR7_EXECUTE(n)	(1ul << (2 * (n)))
#define DR7_FIXED	(1ul << 10)
#define DR6_FIXED	0xffff0ff0ul

GUEST_HANDLER static void guest_db(struct guest_frame *frame)
{
	guest_hits++;
	guest_dr6 = read_dr6();
	write_dr6(DR6_FIXED);
	frame->rflags &= ~RFLAGS_TF;
	frame->rflags |= 1ul << 16;	/* RF: go on at an execution's address */
}

static void guest_watch(uint64_t unused)
{
	guest_report(1, read_dr0() | read_dr1() | read_dr2() | read_dr3());
	guest_report(2, read_dr7());
	guest_handlers[DB_VECTOR] = guest_db;
	write_dr0((uintptr_t)&watched);
	write_dr1(0x1111);
	write_dr2(0x2222);
	write_dr3(0x3333);
	write_dr7(DR7_WRITE_8(0) | DR7_FIXED);
	watched++;
	guest_report(3, guest_hits);
	guest_report(4, guest_dr6 & 0xf);
	/* Over exits it is still armed. */
	watched++;
	guest_report(5, guest_hits);
	guest_report(6, read_dr1() << 32 | read_dr2() << 16 | read_dr3());
	write_dr7(DR7_FIXED);
	watched++;
	guest_report(7, guest_hits);
}

TEST_F(debug, guest_watchpoint)
{
	struct vcpu *vcpu = self->vcpu;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' SVM leaves a guest before DR6 tells why");
	guest_enter_c(vcpu, guest_watch, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(DR7_FIXED, vcpu_await(vcpu, 2));
	EXPECT_EQ(1, vcpu_await(vcpu, 3));
	EXPECT_EQ(1, vcpu_await(vcpu, 4));
	EXPECT_EQ(2, vcpu_await(vcpu, 5));
	EXPECT_EQ(0x111122223333, vcpu_await(vcpu, 6));
	EXPECT_EQ(2, vcpu_await(vcpu, 7));
}

static void __attribute__((noinline)) guest_target(void)
{
	asm volatile("nop");
}

static void guest_breakpoint(uint64_t unused)
{
	guest_handlers[DB_VECTOR] = guest_db;
	write_dr3((uintptr_t)guest_target);
	write_dr7(DR7_EXECUTE(3) | DR7_FIXED);
	guest_target();
	guest_report(1, guest_hits);
	guest_report(2, guest_dr6 & 0xf);
	write_dr7(DR7_FIXED);
	/* And a single step. */
	asm volatile("pushf\n\t"
		     "orq $0x100, (%%rsp)\n\t"
		     "popf\n\t"
		     "nop" : : : "memory", "cc");
	guest_report(3, guest_hits);
	guest_report(4, guest_dr6 & (1ul << 14));
}

TEST_F(debug, guest_breakpoint_and_step)
{
	struct vcpu *vcpu = self->vcpu;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' SVM leaves a guest before DR6 tells why");
	guest_enter_c(vcpu, guest_breakpoint, 0);
	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	EXPECT_EQ(8, vcpu_await(vcpu, 2));
	EXPECT_EQ(2, vcpu_await(vcpu, 3));
	EXPECT_EQ(1ul << 14, vcpu_await(vcpu, 4));
}

/* Two vCPUs with different registers, by turns. */
static void guest_keep_dr(uint64_t value)
{
	write_dr1(value);
	write_dr7(DR7_FIXED | DR7_EXECUTE(1));
	for (;;)
		guest_report(1, read_dr1());
}

TEST_F(debug, two_vcpus)
{
	struct vcpu *other = vcpu_create(self->vm, 1);
	int i;

	guest_enter_c(self->vcpu, guest_keep_dr, 0x1000);
	guest_enter_c(other, guest_keep_dr, 0x2000);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0x1000, vcpu_await(self->vcpu, 1));
		EXPECT_EQ(0x2000, vcpu_await(other, 1));
	}
	vcpu_destroy(other);
}

/* A watchpoint of the host's on this thread, that counts; -errno. */
static int host_watch(const volatile void *address)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)address,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	return fd < 0 ? -errno : fd;
}

static uint64_t host_hits(int fd)
{
	uint64_t count = 0;

	REQUIRE(read(fd, &count, sizeof(count)) == sizeof(count),
		"no count from the watchpoint");
	return count;
}

/*
 * The host's count after each run is what the host itself did, and the guest
 * does not see the host's address.
 */
static void host_watches(struct __test_metadata *_metadata, struct vcpu *vcpu,
			 void (*guest)(uint64_t), uint32_t last_tag)
{
	int fd = host_watch(&watched);
	uint32_t tag;

	if (fd < 0)
		SKIP(return, "no hardware breakpoints: %s", strerror(-fd));
	watched++;
	if (host_hits(fd) != 1)
		SKIP(return, "hardware breakpoints do not hit");
	guest_enter_c(vcpu, guest, 0);
	for (tag = 1; tag <= last_tag; tag++) {
		uint64_t report = vcpu_await(vcpu, tag);

		if (tag == 1) {
			EXPECT_EQ(0, report);
		}
		EXPECT_EQ(tag, host_hits(fd));
		watched++;
		EXPECT_EQ(tag + 1, host_hits(fd));
	}
	close(fd);
}

static void guest_writes_watched(uint64_t unused)
{
	uint32_t tag;

	guest_report(1, read_dr0() | read_dr1() | read_dr2() | read_dr3());
	guest_report(2, read_dr7());
	for (tag = 3; tag <= 10; tag++) {
		watched++;
		guest_report(tag, 0);
	}
}

TEST_F(debug, host_watchpoint)
{
	host_watches(_metadata, self->vcpu, guest_writes_watched, 10);
	EXPECT_EQ(0, guest_var(self->vm, guest_hits));
}

/* Both at once on the same address: each counts its own. */
TEST_F(debug, host_and_guest_watchpoint)
{
	if (cpu_is_qemus())
		SKIP(return, "QEMU crashes when DR7 changes by VMRUN");
	host_watches(_metadata, self->vcpu, guest_watch, 7);
	EXPECT_EQ(2, guest_var(self->vm, guest_hits));
}

/* And the other way: a guest's watchpoint does not hit in the host. */
TEST_F(debug, does_not_leak_to_host)
{
	struct vcpu *vcpu = self->vcpu;
	uint32_t tag;

	guest_enter_c(vcpu, guest_watch, 0);
	for (tag = 1; tag <= 5; tag++) {
		vcpu_await(vcpu, tag);
		/* Armed in the guest from report 3 on: a SIGTRAP here? */
		watched++;
	}
	EXPECT_EQ(5, watched);
	EXPECT_EQ(2, guest_var(self->vm, guest_hits));
}

SLAT_HARNESS_MAIN
