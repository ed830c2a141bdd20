// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: a VM belongs to the address space that made it. A child that inherits
 * its file descriptors gets EIO from each ioctl, and the parent's guest does
 * not notice.
 */
#include "harness.h"

VM_FIXTURE(mm);

static void guest_hello(uint64_t value)
{
	for (;;)
		guest_report(1, value);
}

/* What the child does; the number of ioctls that did not say EIO. */
static int foreign_ioctls(struct vm *vm, struct vcpu *vcpu)
{
	struct kvm_userspace_memory_region delete = { .slot = VM_RAM_SLOT };
	char buffer[PAGE_SIZE] __attribute__((aligned(8))) = { 0 };
	static const unsigned long requests[] = {
		KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_FPU, KVM_SET_FPU, KVM_GET_MSRS, KVM_SET_MSRS,
		KVM_SET_CPUID2, KVM_GET_CPUID2,
	};
	unsigned int i;
	int bad = 0;

	bad += try_ioctl(vm->fd, KVM_CREATE_VCPU, 1) != -EIO;
	bad += try_ioctl(vm->fd, KVM_CREATE_VCPU, 0) != -EIO;
	bad += try_ioctl_ptr(vm->fd, KVM_SET_USER_MEMORY_REGION,
			     &delete) != -EIO;
	bad += try_ioctl(vm->fd, KVM_CHECK_EXTENSION, 0) != -EIO;
	bad += try_ioctl(vm->fd, _IO(KVMIO, 0xff), 0) != -EIO;
	bad += !slat_is_kvm() && try_ioctl_ptr(vm->fd, SLAT_GET_STATS, buffer) != -EIO;
	bad += try_ioctl(vcpu->fd, KVM_RUN, 0) != -EIO;
	bad += try_ioctl(vcpu->fd, _IO(KVMIO, 0xff), 0) != -EIO;
	for (i = 0; i < ARRAY_SIZE(requests); i++)
		bad += try_ioctl_ptr(vcpu->fd, requests[i], buffer) != -EIO;
	return bad;
}

TEST_F(mm, child)
{
	int status;
	pid_t pid;

	guest_enter_c(self->vcpu, guest_hello, 0x4711);
	EXPECT_EQ(0x4711, vcpu_await(self->vcpu, 1));
	pid = fork();
	if (!pid)
		_exit(foreign_ioctls(self->vm, self->vcpu));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0x4711, vcpu_await(self->vcpu, 1));
}

/* The child may make VMs of its own, and its exit closes only these. */
static int own_vm(void)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	guest_enter_c(vcpu, guest_hello, 0x815);
	return vcpu_await(vcpu, 1) != 0x815;
}

TEST_F(mm, child_with_its_own_vm)
{
	int status;
	pid_t pid;

	guest_enter_c(self->vcpu, guest_hello, 0x4711);
	pid = fork();
	if (!pid)
		_exit(own_vm());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0x4711, vcpu_await(self->vcpu, 1));
}

SLAT_HARNESS_MAIN
