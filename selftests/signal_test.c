// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4, B7: a signal or immediate_exit gets KVM_RUN to return EINTR, a pending
 * exit is completed first, and the guest goes on where it was. A guest that
 * spins does not keep the CPU for itself.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "harness.h"
#include "worker.h"

VM_FIXTURE(sig);

static void nothing(int signal)
{
}

/* A handler that lets system calls return EINTR. */
static void catch(int signal)
{
	struct sigaction action = { .sa_handler = nothing };

	sigaction(signal, &action, NULL);
}

#define COUNTER_GPA	VM_DATA_GPA

/* A guest that never exits by itself. */
GUEST_CODE(spin_code, 64,
	"1:	incq (%rdi)\n"
	"	jmp 1b\n");

static void enter_spinning(struct vcpu *vcpu)
{
	vm_load(vcpu->vm, VM_CODE_GPA, spin_code, spin_code_end);
	guest_enter_long(vcpu, VM_CODE_GPA, COUNTER_GPA);
}

static uint64_t counter(struct vm *vm)
{
	return READ_ONCE(*(uint64_t *)vm_ptr(vm, COUNTER_GPA));
}

static void wait_for_progress(struct vm *vm)
{
	uint64_t was = counter(vm);

	while (counter(vm) == was)
		sched_yield();
}

/* A thread in which KVM_RUN is called once, with its result. */
struct runner {
	struct vcpu *vcpu;
	int ret;
	uint32_t exit_reason;
	pthread_t thread;
};

static void *run_once(void *arg)
{
	struct runner *runner = arg;

	runner->ret = try_ioctl(runner->vcpu->fd, KVM_RUN, 0);
	runner->exit_reason = runner->vcpu->run->exit_reason;
	return NULL;
}

/*
 * The signal finds a guest that spins, and each time the guest has gone on from
 * where it was: the counter only grows, by one at a time.
 */
static void interrupt_spinning(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	struct runner runner = { .vcpu = vcpu };
	uint64_t was = 0;
	int i;

	watchdog_start(20);
	catch(SIGUSR1);
	for (i = 0; i < 30; i++) {
		struct kvm_regs regs;

		ASSERT_EQ(0, pthread_create(&runner.thread, NULL, run_once,
					    &runner));
		wait_for_progress(vcpu->vm);
		ASSERT_EQ(0, pthread_kill(runner.thread, SIGUSR1));
		ASSERT_EQ(0, pthread_join(runner.thread, NULL));
		EXPECT_EQ(-EINTR, runner.ret);
		EXPECT_EQ(KVM_EXIT_INTR, runner.exit_reason);
		vcpu_get_regs(vcpu, &regs);
		EXPECT_LE(VM_CODE_GPA, regs.rip);
		EXPECT_GT(VM_CODE_GPA + (spin_code_end - spin_code), regs.rip);
		EXPECT_LT(was, counter(vcpu->vm));
		was = counter(vcpu->vm);
	}
	/* Out of the guest the counter stands still. */
	sched_yield();
	EXPECT_EQ(was, counter(vcpu->vm));
}

TEST_F(sig, interrupts_spinning_guest)
{
	enter_spinning(self->vcpu);
	interrupt_spinning(_metadata, self->vcpu);
}

/* The host's interrupts do not ask whether the guest takes any. */
TEST_F(sig, interrupts_guest_with_interrupts_off)
{
	struct kvm_regs regs;

	if (cpu_is_bochs())
		SKIP(return, "Bochs enters such a guest with the host's interrupts blocked");
	enter_spinning(self->vcpu);
	vcpu_get_regs(self->vcpu, &regs);
	regs.rflags &= ~RFLAGS_IF;
	vcpu_set_regs(self->vcpu, &regs);
	interrupt_spinning(_metadata, self->vcpu);
}

/* Interrupted over and over, a computation still comes out right. */
static void guest_sum(uint64_t n)
{
	uint64_t i, sum = 0;

	for (i = 0; i < n; i++) {
		sum = sum * 31 + i;
		asm volatile("" : "+r"(sum));
	}
	guest_report(1, sum);
}

static uint64_t host_sum(uint64_t n)
{
	uint64_t i, sum = 0;

	for (i = 0; i < n; i++)
		sum = sum * 31 + i;
	return sum;
}

TEST_F(sig, storm)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct itimerval never = { };
	const uint64_t n = 30000000;
	struct kvm_regs regs;
	int ret, interrupted = 0;

	catch(SIGPROF);
	guest_enter_c(self->vcpu, guest_sum, n);
	ASSERT_EQ(0, setitimer(ITIMER_PROF, &often, NULL));
	while ((ret = try_ioctl(self->vcpu->fd, KVM_RUN, 0)) == -EINTR)
		interrupted++;
	ASSERT_EQ(0, setitimer(ITIMER_PROF, &never, NULL));
	ASSERT_EQ(0, ret);
	vcpu_get_regs(self->vcpu, &regs);
	EXPECT_EQ(1, regs.rdi);
	EXPECT_EQ(host_sum(n), regs.rsi);
	EXPECT_LT(3, interrupted);
}

/* --- immediate_exit */

static void guest_reports(uint64_t value)
{
	for (;;)
		guest_report(1, value++);
}

TEST_F(sig, immediate_exit)
{
	struct vcpu *vcpu = self->vcpu;
	int i;

	enter_spinning(vcpu);
	vcpu->run->immediate_exit = 1;
	for (i = 0; i < 5; i++) {
		vcpu->run->exit_reason = KVM_EXIT_IO;
		EXPECT_EQ(-EINTR, vcpu_try_run(vcpu));
		/* It may be looked at after the exit was finished in this way. */
		EXPECT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	}
	EXPECT_EQ(0, counter(self->vm));
	vcpu->run->immediate_exit = 0;

	guest_enter_c(vcpu, guest_reports, 10);
	EXPECT_EQ(10, vcpu_await(vcpu, 1));
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_try_run(vcpu));
	vcpu->run->immediate_exit = 0;
	EXPECT_EQ(11, vcpu_await(vcpu, 1));
}

/* A signal that the thread has blocked does not count. */
TEST_F(sig, blocked)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, &old));
	ASSERT_EQ(0, raise(SIGUSR1));
	guest_enter_c(self->vcpu, guest_reports, 20);
	EXPECT_EQ(0, vcpu_try_run(self->vcpu));
	EXPECT_EQ(KVM_EXIT_IO, self->vcpu->run->exit_reason);
	catch(SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	EXPECT_EQ(21, vcpu_await(self->vcpu, 1));
}

/* What the VMM answered is in the registers after the EINTR. */
static void guest_in(uint64_t unused)
{
	guest_report(1, inl(0x1234));
}

TEST_F(sig, immediate_exit_completes_io)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_regs before, after;

	guest_enter_c(vcpu, guest_in, 0);
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	vcpu_get_regs(vcpu, &before);
	exit_io_reply(vcpu, 0xcafe1234);
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_try_run(vcpu));
	vcpu_get_regs(vcpu, &after);
	EXPECT_EQ(0xcafe1234, after.rax);
	EXPECT_NE(before.rip, after.rip);
	vcpu->run->immediate_exit = 0;
	EXPECT_EQ(0xcafe1234, vcpu_await(vcpu, 1));
}

static void guest_mmio(uint64_t gpa)
{
	uint64_t rax = 0;

	asm volatile("mov (%1), %0" : "+a"(rax) : "r"(gpa));
	guest_report(1, rax);
}

TEST_F(sig, immediate_exit_completes_mmio)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_regs before, after;

	guest_enter_c(vcpu, guest_mmio, VM_MMIO_GPA);
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	vcpu_get_regs(vcpu, &before);
	exit_mmio_reply(vcpu, 0xcafe123456);
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_try_run(vcpu));
	vcpu_get_regs(vcpu, &after);
	EXPECT_EQ(0xcafe123456, after.rax);
	EXPECT_LT(before.rip, after.rip);
	vcpu->run->immediate_exit = 0;
	EXPECT_EQ(0xcafe123456, vcpu_await(vcpu, 1));
}

/*
 * An access that takes two exits is not done after the first: KVM_RUN gives the
 * second one and not EINTR.
 */
TEST_F(sig, immediate_exit_within_mmio)
{
	struct vcpu *vcpu = self->vcpu;
	int exits = 1, ret;

	guest_enter_c(vcpu, guest_mmio, VM_MMIO_GPA + PAGE_SIZE - 4);
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	vcpu->run->immediate_exit = 1;
	do {
		EXPECT_EQ(4, vcpu->run->mmio.len);
		exit_mmio_reply(vcpu, 0x11111111 * exits);
		ret = vcpu_try_run(vcpu);
		exits += !ret;
	} while (!ret && exits < 5);
	EXPECT_EQ(-EINTR, ret);
	EXPECT_EQ(2, exits);
	vcpu->run->immediate_exit = 0;
	EXPECT_EQ(0x2222222211111111, vcpu_await(vcpu, 1));
}

/* Another thread may set it while the guest runs, and then kick. */
TEST_F(sig, immediate_exit_from_other_thread)
{
	struct runner runner = { .vcpu = self->vcpu };

	watchdog_start(20);
	catch(SIGUSR1);
	enter_spinning(self->vcpu);
	ASSERT_EQ(0, pthread_create(&runner.thread, NULL, run_once, &runner));
	wait_for_progress(self->vm);
	WRITE_ONCE(self->vcpu->run->immediate_exit, 1);
	ASSERT_EQ(0, pthread_kill(runner.thread, SIGUSR1));
	ASSERT_EQ(0, pthread_join(runner.thread, NULL));
	EXPECT_EQ(-EINTR, runner.ret);
}

/* --- fairness */

/*
 * The guest and this thread share one CPU. Each must get its turns: the guest
 * counts on, and this thread sees it count.
 */
TEST_F(sig, spinning_guest_is_fair)
{
	struct runner runner = { .vcpu = self->vcpu };
	int turns;

	watchdog_start(20);
	pin(0);
	catch(SIGUSR1);
	enter_spinning(self->vcpu);
	ASSERT_EQ(0, pthread_create(&runner.thread, NULL, run_once, &runner));
	for (turns = 0; turns < 40; turns++)
		wait_for_progress(self->vm);
	ASSERT_EQ(0, pthread_kill(runner.thread, SIGUSR1));
	ASSERT_EQ(0, pthread_join(runner.thread, NULL));
	EXPECT_EQ(-EINTR, runner.ret);
}

/* Two guests that spin on one CPU both count. */
TEST_F(sig, two_spinning_guests)
{
	struct vm *vms[2] = { self->vm, vm_create() };
	struct runner runners[2] = {
		{ .vcpu = self->vcpu }, { .vcpu = vcpu_create(vms[1], 0) },
	};
	int i, turns;

	watchdog_start(20);
	pin(0);
	catch(SIGUSR1);
	for (i = 0; i < 2; i++) {
		enter_spinning(runners[i].vcpu);
		ASSERT_EQ(0, pthread_create(&runners[i].thread, NULL, run_once,
					    &runners[i]));
	}
	for (turns = 0; turns < 10; turns++) {
		wait_for_progress(vms[0]);
		wait_for_progress(vms[1]);
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_kill(runners[i].thread, SIGUSR1));
		ASSERT_EQ(0, pthread_join(runners[i].thread, NULL));
		EXPECT_EQ(-EINTR, runners[i].ret);
	}
	vcpu_destroy(runners[1].vcpu);
	vm_destroy(vms[1]);
}

/* SIGKILL ends a process whose guest spins, seen to spin in shared memory. */
#define SHARED_GPA	0x10000000ul

static void spin_in_shared_memory(void *shared)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vm_slot(vm, 1, 0, SHARED_GPA, PAGE_SIZE, shared);
	vm_make_tables(vm, PAGING_4LEVEL);
	vm_map(vm, SHARED_GPA, SHARED_GPA, PAGE_SIZE, PT_ALL);
	vm_load(vm, VM_CODE_GPA, spin_code, spin_code_end);
	guest_enter_long(vcpu, VM_CODE_GPA, SHARED_GPA);
	try_ioctl(vcpu->fd, KVM_RUN, 0);
}

TEST_F(sig, kill)
{
	uint64_t *shared = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, i;
	pid_t pid;

	watchdog_start(20);
	for (i = 0; i < 5; i++) {
		uint64_t was = READ_ONCE(*shared);

		pid = fork();
		if (!pid) {
			spin_in_shared_memory(shared);
			_exit(1);
		}
		while (READ_ONCE(*shared) == was)
			sched_yield();
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		/* Nobody is left to count. */
		was = READ_ONCE(*shared);
		sched_yield();
		EXPECT_EQ(was, READ_ONCE(*shared));
	}
}

SLAT_HARNESS_MAIN
