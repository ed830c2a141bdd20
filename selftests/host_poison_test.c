// SPDX-License-Identifier: GPL-2.0-only
/*
 * B2: guest memory of which the host finds that it is broken: whoever runs into
 * it gets the signal that says so, or EHWPOISON, and with other memory in its
 * place the guest goes on.
 */
#include <signal.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define GPA	(VM_PLAY_GPA + 3 * PAGE_SIZE)

static siginfo_t caught;

static void note(int sig, siginfo_t *info, void *context)
{
	caught = *info;
}

/* As if the CPU had found it, of which newer kernels tell at once; the host loses the page. */
static bool poison(void *mem)
{
	const bool done = !madvise(mem, PAGE_SIZE, MADV_HWPOISON);

	caught = (siginfo_t) { 0 };
	return done;
}

static void guest_reads(uint64_t gpa)
{
	guest_report(1, READ_ONCE(*(uint64_t *)gpa));
	guest_report(2, READ_ONCE(*(uint64_t *)gpa));
}

SLOW_TESTS(poison);

SLOW_TEST(poison, B2_the_vmm_is_told)
{
	const struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	uint8_t *mem = mem_huge_area(HUGE), *broken = mem + 3 * PAGE_SIZE;
	struct play play;

	mem_make_small(mem, HUGE);
	*(uint64_t *)broken = 5;
	play_create(&play, mem, HUGE, 0);
	guest_enter_c(play.vcpu, guest_reads, GPA);
	EXPECT_EQ(5, vcpu_await(play.vcpu, 1));
	sigaction(SIGBUS, &action, NULL);
	if (!poison(broken))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");

	EXPECT_EQ(-EINTR, vcpu_try_run(play.vcpu));
	EXPECT_EQ(SIGBUS, caught.si_signo);
	EXPECT_EQ(BUS_MCEERR_AR, caught.si_code);
	EXPECT_EQ(broken, caught.si_addr);
	EXPECT_EQ(12, caught.si_addr_lsb);
	if (slat_check_extension(KVM_CAP_PRE_FAULT_MEMORY))
		EXPECT_EQ(-EHWPOISON, vcpu_try_prefault(play.vcpu, GPA, PAGE_SIZE));

	ASSERT_EQ(broken, mmap(broken, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	*(uint64_t *)broken = 7;
	EXPECT_EQ(7, vcpu_await(play.vcpu, 2));
	vcpu_destroy(play.vcpu);
	vm_destroy(play.vm);
}

SLAT_HARNESS_MAIN
