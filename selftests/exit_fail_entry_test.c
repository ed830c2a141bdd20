// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4, B7: a guest state that the CPU refuses to enter is no error of
 * KVM_RUN but KVM_EXIT_FAIL_ENTRY with the hardware's reason; once the VMM has
 * mended the state the vCPU runs.
 */
#include "harness.h"

VM_FIXTURE(fail_entry);

static void guest_hello(uint64_t value)
{
	guest_report(1, value);
}

/* A code segment that is 64-bit and 32-bit at once is such a state. */
static void set_cs_db(struct vcpu *vcpu, int db)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs.db = db;
	vcpu_set_sregs(vcpu, &sregs);
}

/* QEMU's emulated CPU moves the guest's rip when it refuses a state. */
static void set_rip(struct vcpu *vcpu, void (*function)(uint64_t))
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rip = (uintptr_t)function;
	vcpu_set_regs(vcpu, &regs);
}

TEST_F(fail_entry, and_mended)
{
	struct kvm_run *run = self->vcpu->run;
	int i;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN gives a refused guest the host's registers");
	guest_enter_c(self->vcpu, guest_hello, 0x1234);
	set_cs_db(self->vcpu, 1);
	for (i = 0; i < 3; i++) {
		run->fail_entry.hardware_entry_failure_reason = 0;
		EXPECT_EQ(KVM_EXIT_FAIL_ENTRY, vcpu_run(self->vcpu));
		EXPECT_NE(0, run->fail_entry.hardware_entry_failure_reason);
	}
	set_cs_db(self->vcpu, 0);
	set_rip(self->vcpu, guest_hello);
	EXPECT_EQ(0x1234, vcpu_await(self->vcpu, 1));
	vcpu_await_done(self->vcpu);
}

/* The failed entry says on which CPU, and left the registers alone. */
TEST_F(fail_entry, nothing_changed)
{
	struct kvm_sregs sregs, sregs_after;
	struct kvm_regs regs, regs_after;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN gives a refused guest the host's registers");
	guest_enter_c(self->vcpu, guest_hello, 0x1234);
	set_cs_db(self->vcpu, 1);
	vcpu_get_regs(self->vcpu, &regs);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(KVM_EXIT_FAIL_ENTRY, vcpu_run(self->vcpu));
	EXPECT_GT(sysconf(_SC_NPROCESSORS_CONF),
		  self->vcpu->run->fail_entry.cpu);
	set_rip(self->vcpu, guest_hello);
	vcpu_get_regs(self->vcpu, &regs_after);
	vcpu_get_sregs(self->vcpu, &sregs_after);
	EXPECT_EQ(0, memcmp(&regs, &regs_after, sizeof(regs)));
	EXPECT_EQ(0, memcmp(&sregs, &sregs_after, sizeof(sregs)));
}

SLAT_HARNESS_MAIN
