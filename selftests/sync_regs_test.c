// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: registers in kvm_run: those the VMM wants are there after each run, those
 * it changed are taken. And KVM_SET_SIGNAL_MASK.
 */
#include <pthread.h>
#include <signal.h>

#include "harness.h"

#define ALL	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

VM_FIXTURE(sync);

/* Adds one to rbx at each turn. */
GUEST_CODE(code_count, 64,
	"1:	out %al, $" GUEST_STR(PORT_REPORT) "\n"
	"	inc %rbx\n"
	"	jmp 1b\n");


static void enter(struct vcpu *vcpu, struct vm *vm)
{
	vm_load(vm, VM_CODE_GPA, code_count, code_count_end);
	guest_enter_long(vcpu, VM_CODE_GPA, 0);
}

TEST_F(sync, reads)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	EXPECT_EQ(ALL, slat_check_extension(KVM_CAP_SYNC_REGS));
	enter(self->vcpu, self->vm);
	run->kvm_valid_regs = ALL;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(self->vcpu, &regs);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0, memcmp(&regs, &run->s.regs.regs, sizeof(regs)));
	EXPECT_EQ(0, memcmp(&sregs, &run->s.regs.sregs, sizeof(sregs)));
	EXPECT_NE(0, run->s.regs.events.flags);
	/* What is not asked for stays. */
	memset(&run->s.regs, 0x11, sizeof(run->s.regs));
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(regs.rbx + 1, run->s.regs.regs.rbx);
	EXPECT_EQ(0x1111111111111111, run->s.regs.sregs.cr0);
}

TEST_F(sync, writes)
{
	struct kvm_run *run = self->vcpu->run;
	struct kvm_sregs sregs;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	enter(self->vcpu, self->vm);
	run->kvm_valid_regs = ALL;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	run->s.regs.regs.rbx = 0x5000;
	run->s.regs.sregs.cr2 = 0x7000;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(0, run->kvm_dirty_regs);
	EXPECT_EQ(0x5001, run->s.regs.regs.rbx);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(0x7000, sregs.cr2);
	/* Not marked, not taken. */
	run->s.regs.regs.rbx = 0x9000;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(0x5002, run->s.regs.regs.rbx);
}

TEST_F(sync, refusals)
{
	struct kvm_run *run = self->vcpu->run;
	unsigned int i;

	enter(self->vcpu, self->vm);
	for (i = 3; i < 64; i++) {
		run->kvm_valid_regs = 1ul << i;
		EXPECT_EQ(-EINVAL, vcpu_try_run(self->vcpu));
		run->kvm_valid_regs = 0;
		run->kvm_dirty_regs = 1ul << i;
		EXPECT_EQ(-EINVAL, vcpu_try_run(self->vcpu));
		run->kvm_dirty_regs = 0;
	}
	run->kvm_valid_regs = ALL;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
	run->s.regs.sregs.cr0 |= 1ul << 40;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	EXPECT_EQ(-EINVAL, vcpu_try_run(self->vcpu));
	run->s.regs.sregs.cr0 &= ~(1ul << 40);
	run->s.regs.events.flags = 1u << 20;
	run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	EXPECT_EQ(-EINVAL, vcpu_try_run(self->vcpu));
	run->kvm_dirty_regs = 0;
	vcpu_run_to(self->vcpu, KVM_EXIT_IO);
}

/* The VMM changes its mind meanwhile: nothing of it may get past the checks. */
static volatile bool stop;

static void *scribble(void *arg)
{
	struct kvm_run *run = arg;

	while (!stop) {
		run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
		run->s.regs.events.flags = 0;
		run->s.regs.events.exception.nr = 0;
		run->s.regs.events.exception.injected = 1;
		run->s.regs.events.exception.nr = 255;
		run->s.regs.sregs.cr4 ^= 1ul << 30;
	}
	return NULL;
}

TEST_F(sync, races)
{
	struct kvm_run *run = self->vcpu->run;
	pthread_t thread;
	int i;

	enter(self->vcpu, self->vm);
	run->kvm_valid_regs = ALL;
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, run));
	for (i = 0; i < 2000; i++)
		vcpu_try_run(self->vcpu);
	stop = true;
	pthread_join(thread, NULL);
}

/* --- KVM_SET_SIGNAL_MASK */

static int set_mask(struct vcpu *vcpu, uint32_t len, uint64_t set)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t set[8];
	} __attribute__((packed)) mask = { .head.len = len };

	memcpy(mask.set, &set, sizeof(set));
	return try_ioctl_ptr(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask);
}

static void ignore(int signal)
{
}

TEST_F(sync, signal_mask)
{
	struct sigaction action = { .sa_handler = ignore };
	struct vcpu *vcpu = self->vcpu;
	sigset_t set;

	enter(vcpu, self->vm);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	/* Blocked: the run does not see it. Not in the run's own mask: it does. */
	EXPECT_EQ(0, vcpu_try_run(vcpu));
	ASSERT_EQ(0, set_mask(vcpu, 8, 0));
	EXPECT_EQ(-EINTR, vcpu_try_run(vcpu));
	EXPECT_EQ(KVM_EXIT_INTR, vcpu->run->exit_reason);
	/* It is still there, and still blocked. */
	sigpending(&set);
	EXPECT_EQ(1, sigismember(&set, SIGUSR1));
	sigprocmask(SIG_BLOCK, NULL, &set);
	EXPECT_EQ(1, sigismember(&set, SIGUSR1));
	ASSERT_EQ(0, try_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, 0));
	EXPECT_EQ(0, vcpu_try_run(vcpu));
}

TEST_F(sync, signal_mask_refusals)
{
	EXPECT_EQ(-EINVAL, set_mask(self->vcpu, 0, 0));
	EXPECT_EQ(-EINVAL, set_mask(self->vcpu, 7, 0));
	EXPECT_EQ(-EINVAL, set_mask(self->vcpu, 128, 0));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd, KVM_SET_SIGNAL_MASK,
					 bad_pointers[1]));
}

SLAT_HARNESS_MAIN
