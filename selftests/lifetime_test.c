// SPDX-License-Identifier: GPL-2.0-only
/*
 * B5, B7: a VM lives as long as one of its file descriptors or mappings needs
 * it, in whatever order they go, and a process may leave with all of them open.
 */
#include "harness.h"

static void guest_count(uint64_t unused)
{
	uint64_t n;

	for (n = 1;; n++) {
		WRITE_ONCE(*(uint64_t *)VM_DATA_GPA, n);
		guest_report(1, n);
	}
}

static struct vcpu *counting_vcpu(struct vm *vm)
{
	struct vcpu *vcpu = vcpu_create(vm, 0);

	guest_enter_c(vcpu, guest_count, 0);
	return vcpu;
}

/* A vCPU goes on when the VM's file descriptor is closed. */
TEST(vm_closed_first)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = counting_vcpu(vm);

	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	close(vm->fd);
	EXPECT_EQ(2, vcpu_await(vcpu, 1));
	EXPECT_EQ(2, *(uint64_t *)vm_ptr(vm, VM_DATA_GPA));
	vcpu_destroy(vcpu);
}

/* Nothing needs the device's file descriptor after the VM was made. */
TEST(device_closed)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = counting_vcpu(vm);

	close(slat_fd());
	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

/* kvm_run stays readable and writable after the vCPU is closed. */
TEST(mapping_outlives_vcpu)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = counting_vcpu(vm);

	vcpu_await(vcpu, 1);
	close(vcpu->fd);
	close(vm->fd);
	EXPECT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(0, munmap(vcpu->run, vcpu->run_size));
}

/* Unmapping kvm_run does not hurt the vCPU; a second mapping is the same. */
TEST(mapping_goes_and_comes)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = counting_vcpu(vm);
	struct kvm_run *second;

	ASSERT_EQ(0, munmap(vcpu->run, vcpu->run_size));
	EXPECT_EQ(0, try_ioctl(vcpu->fd, KVM_RUN, 0));
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu->fd, 0);
	second = mmap(NULL, vcpu->run_size, PROT_READ, MAP_SHARED, vcpu->fd, 0);
	ASSERT_NE(MAP_FAILED, vcpu->run);
	ASSERT_NE(MAP_FAILED, second);
	EXPECT_EQ(KVM_EXIT_IO, second->exit_reason);
	EXPECT_EQ(2, vcpu_await(vcpu, 1));
	vcpu->run->exit_reason = 0x5a5a;
	EXPECT_EQ(0x5a5a, second->exit_reason);
}

/* The VM keeps no file of the device open by itself: many come and go. */
TEST(many_vms)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct vm *vm = vm_create();
		struct vcpu *vcpu = counting_vcpu(vm);

		ASSERT_EQ(1, vcpu_await(vcpu, 1));
		if (i % 2) {
			vcpu_destroy(vcpu);
			vm_destroy(vm);
		} else {
			vm_destroy(vm);
			vcpu_destroy(vcpu);
		}
	}
}

/* Several VMs at once do not see each other. */
TEST(vms_side_by_side)
{
	struct vcpu *vcpus[8];
	uint64_t round;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vcpus); i++)
		vcpus[i] = counting_vcpu(vm_create());
	for (round = 1; round < 20; round++)
		for (i = 0; i < ARRAY_SIZE(vcpus); i += 1 + round % 2) {
			struct vm *vm = vcpus[i]->vm;
			uint64_t n = vcpu_await(vcpus[i], 1);

			ASSERT_EQ(n, *(uint64_t *)vm_ptr(vm, VM_DATA_GPA));
			if (i % 2 == 0) {
				ASSERT_EQ(round, n);
			}
		}
}

/* A process that leaves everything open. */
TEST(exit_with_all_open)
{
	int status, i;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		pid = fork();
		if (!pid) {
			vcpu_await(counting_vcpu(vm_create()), 1);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status));
	}
}

/* Memory of a slot that the VMM takes away without telling: an error, or MMIO. */
TEST(memory_unmapped_under_the_slot)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = counting_vcpu(vm);
	int ret;

	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	ASSERT_EQ(0, munmap(vm->ram + VM_DATA_GPA, PAGE_SIZE));
	ret = vcpu_try_run(vcpu);
	EXPECT_EQ(-EFAULT, ret);
	/* Once memory is there again, the guest goes on. */
	ASSERT_EQ(vm->ram + VM_DATA_GPA,
		  mmap(vm->ram + VM_DATA_GPA, PAGE_SIZE,
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(2, vcpu_await(vcpu, 1));
	EXPECT_EQ(2, *(uint64_t *)vm_ptr(vm, VM_DATA_GPA));
}

SLAT_HARNESS_MAIN
