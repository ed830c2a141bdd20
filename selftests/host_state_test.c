// SPDX-License-Identifier: GPL-2.0-only
/*
 * B4, B7: what the VMM's thread has in its own registers is there again after
 * a guest has run: segments, also of an LDT, their bases, ports that it may use,
 * and the table limits that bound them.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "harness.h"

#define LDT_DATA	0x7	/* its first entry, for user mode */
#define MAGIC		0x1d71d71d71d71d7ul
#define OTHER		0xbad0bad0bad0bad0ul

/* Each time it exits, it does with bases that are not the host's. */
static void guest_leave(uint64_t base)
{
	guest_wrmsr(MSR_FS_BASE, base);
	guest_wrmsr(MSR_GS_BASE, base);
	guest_wrmsr(MSR_KERNEL_GS_BASE, base);
	for (;;)
		guest_report(1, 0);
}

FIXTURE(thread)
{
	struct vm *vm;
	struct vcpu *vcpu;
	uint64_t *word;		/* where 32 bits reach */
};

FIXTURE_SETUP(thread)
{
	uint64_t *other;

	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	guest_enter_c(self->vcpu, guest_leave, VM_DATA_GPA);
	other = vm_ptr(self->vm, VM_DATA_GPA);
	*other = OTHER;
	self->word = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, self->word);
	*self->word = MAGIC;
}

FIXTURE_TEARDOWN(thread)
{
	munmap(self->word, PAGE_SIZE);
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* Without the C library, whose variables are behind %fs. */
static inline long raw_syscall(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

#define SELECTOR(name)							\
static inline uint16_t read_##name(void)				\
{									\
	uint16_t value;							\
									\
	asm volatile("mov %%" #name ", %0" : "=rm"(value));		\
	return value;							\
}									\
static inline void write_##name(uint16_t value)				\
{									\
	asm volatile("mov %0, %%" #name : : "rm"(value) : "memory");	\
}

SELECTOR(ds)
SELECTOR(es)
SELECTOR(fs)
SELECTOR(gs)

struct seen {
	long ret;
	uint16_t ds, es, fs, gs;
	uint64_t at_fs, at_gs;
};

/* KVM_RUN with all of these selectors; what is in them and behind them afterwards. */
__attribute__((noinline, no_stack_protector))
static void run_with(int fd, uint16_t selector, struct seen *seen)
{
	long fs_base;

	raw_syscall(SYS_arch_prctl, ARCH_GET_FS, (long)&fs_base, 0);
	write_ds(selector);
	write_es(selector);
	write_gs(selector);
	write_fs(selector);
	seen->ret = raw_syscall(SYS_ioctl, fd, KVM_RUN, 0);
	seen->ds = read_ds();
	seen->es = read_es();
	seen->fs = read_fs();
	seen->gs = read_gs();
	asm volatile("mov %%fs:0, %0" : "=r"(seen->at_fs));
	asm volatile("mov %%gs:0, %0" : "=r"(seen->at_gs));
	write_ds(0);
	write_es(0);
	write_gs(0);
	write_fs(0);
	raw_syscall(SYS_arch_prctl, ARCH_SET_FS, fs_base, 0);
}

TEST_F(thread, segments_of_an_ldt)
{
	struct user_desc desc = {
		.base_addr = (uintptr_t)self->word, .limit = 0xfffff, .seg_32bit = 1,
		.limit_in_pages = 1, .useable = 1,
	};
	struct seen seen;
	int i;

	if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)))
		SKIP(return, "this kernel has no LDT");
	for (i = 0; i < 3; i++) {
		run_with(self->vcpu->fd, LDT_DATA, &seen);
		EXPECT_EQ(0, seen.ret);
		EXPECT_EQ(LDT_DATA, seen.ds);
		EXPECT_EQ(LDT_DATA, seen.es);
		EXPECT_EQ(LDT_DATA, seen.fs);
		EXPECT_EQ(LDT_DATA, seen.gs);
		EXPECT_EQ(MAGIC, seen.at_fs);
		EXPECT_EQ(MAGIC, seen.at_gs);
	}
}

TEST_F(thread, base_of_gs)
{
	uint64_t value;
	int i;

	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, self->word));
	for (i = 0; i < 3; i++) {
		vcpu_await(self->vcpu, 1);
		asm volatile("mov %%gs:0, %0" : "=r"(value));
		EXPECT_EQ(MAGIC, value);
	}
}

/* Behind the TSS there is a bitmap of ports, if the TSS is as long as it should be. */
TEST_F(thread, ports)
{
	int i;

	if (syscall(SYS_ioperm, 0x80, 1, 1))
		SKIP(return, "no access to ports");
	for (i = 0; i < 3; i++) {
		vcpu_await(self->vcpu, 1);
		outb(0x80, 0);
	}
	EXPECT_EQ(0, syscall(SYS_ioperm, 0x80, 1, 0));
}

static uint16_t gdt_limit(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table;

	asm volatile("sgdt %0" : "=m"(table));
	return table.limit;
}

TEST_F(thread, limit_of_the_gdt)
{
	const uint16_t limit = gdt_limit();

	vcpu_await(self->vcpu, 1);
	EXPECT_EQ(limit, gdt_limit());
}

SLAT_HARNESS_MAIN
