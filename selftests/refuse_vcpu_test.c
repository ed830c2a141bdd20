// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: what the VM refuses about vCPUs, and vCPUs about pointers, counts and
 * unknown calls. After each refusal the vCPU's state is what it was, and it
 * runs.
 */
#include <signal.h>

#include "harness.h"

FIXTURE(vcpu)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct vcpu_state state;
};

static void guest_hello(uint64_t value)
{
	for (;;)
		guest_report(1, value);
}

FIXTURE_SETUP(vcpu)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	guest_enter_c(self->vcpu, guest_hello, 0x4711);
	vcpu_get_state(self->vcpu, &self->state);
}

/* Whatever was refused: nothing changed, and the vCPU runs. */
FIXTURE_TEARDOWN(vcpu)
{
	EXPECT_TRUE(vcpu_state_is(self->vcpu, &self->state));
	EXPECT_EQ(0x4711, vcpu_await(self->vcpu, 1));
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

/* --- the VM's ioctls, but for slots */

TEST_F(vcpu, same_id)
{
	EXPECT_EQ(-EEXIST, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_EQ(-EEXIST, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, 0));
	/* Of a closed vCPU the id stays taken. */
	vcpu_destroy(vcpu_create(self->vm, 1));
	EXPECT_EQ(-EEXIST, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, 1));
}

TEST_F(vcpu, id_too_large)
{
	int end = slat_check_extension(KVM_CAP_MAX_VCPU_ID);

	if (!end)
		end = slat_check_extension(KVM_CAP_MAX_VCPUS);
	EXPECT_EQ(-EINVAL, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, end));
	EXPECT_EQ(-EINVAL, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, 1u << 31));
	EXPECT_EQ(-EINVAL, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, -1u));
	/* The largest one is usable. */
	vcpu_destroy(vcpu_create(self->vm, end - 1));
}

TEST_F(vcpu, too_many)
{
	int max = slat_check_extension(KVM_CAP_MAX_VCPUS), i, fd;

	for (i = 1; i < max; i++) {
		fd = try_ioctl(self->vm->fd, KVM_CREATE_VCPU, i);
		ASSERT_LE(0, fd);
		close(fd);
	}
	EXPECT_GT(0, try_ioctl(self->vm->fd, KVM_CREATE_VCPU, max));
}

TEST_F(vcpu, unknown_on_vm)
{
	struct kvm_regs regs;

	EXPECT_UNKNOWN(try_ioctl(self->vm->fd, KVM_GET_API_VERSION, 0));
	EXPECT_UNKNOWN(try_ioctl(self->vm->fd, KVM_CREATE_VM, 0));
	EXPECT_UNKNOWN(try_ioctl(self->vm->fd, KVM_RUN, 0));
	EXPECT_UNKNOWN(try_ioctl_ptr(self->vm->fd, KVM_GET_REGS, &regs));
	EXPECT_UNKNOWN(try_ioctl(self->vm->fd, _IO(KVMIO, 0xff), 0));
	EXPECT_UNKNOWN(try_ioctl(self->vm->fd, _IO('s', 0x41), 0));
}

TEST_F(vcpu, unknown_on_vcpu)
{
	struct kvm_userspace_memory_region region = { .slot = VM_RAM_SLOT };

	EXPECT_UNKNOWN(try_ioctl(self->vcpu->fd, KVM_GET_API_VERSION, 0));
	EXPECT_UNKNOWN(try_ioctl(self->vcpu->fd, KVM_CREATE_VM, 0));
	EXPECT_UNKNOWN(try_ioctl(self->vcpu->fd, KVM_CREATE_VCPU, 5));
	EXPECT_UNKNOWN(try_ioctl_ptr(self->vcpu->fd,
				     KVM_SET_USER_MEMORY_REGION, &region));
	EXPECT_UNKNOWN(try_ioctl(self->vcpu->fd, _IO(KVMIO, 0xff), 0));
	EXPECT_UNKNOWN(try_ioctl(self->vcpu->fd, _IO('s', 0x80), 0));
}

TEST_F(vcpu, other_calls)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->vm->fd, &byte, 1));
	EXPECT_EQ(-1, write(self->vm->fd, &byte, 1));
	EXPECT_EQ(-1, read(self->vcpu->fd, &byte, 1));
	EXPECT_EQ(-1, write(self->vcpu->fd, &byte, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED,
				   self->vm->fd, 0));
}

/* --- the vCPU's memory */

/* Behind kvm_run there is nothing: no mapping or a SIGBUS. */
TEST_F(vcpu, mmap_behind_the_end)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		volatile char *mem = mmap(NULL, PAGE_SIZE, PROT_READ,
					  MAP_SHARED, self->vcpu->fd,
					  self->vcpu->run_size);

		signal(SIGBUS, SIG_DFL);
		if (mem == MAP_FAILED)
			raise(SIGBUS);
		_exit(*mem & 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
}

/* --- the vCPU's ioctls */

TEST_F(vcpu, run_argument)
{
	EXPECT_EQ(-EINVAL, try_ioctl(self->vcpu->fd, KVM_RUN, 1));
	EXPECT_EQ(-EINVAL, try_ioctl(self->vcpu->fd, KVM_RUN, -1ul));
}

TEST_F(vcpu, bad_pointer)
{
	static const unsigned long requests[] = {
		KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_FPU, KVM_SET_FPU, KVM_GET_MSRS, KVM_SET_MSRS,
		KVM_SET_CPUID2, KVM_GET_CPUID2,
	};
	const void *const *bad;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		for (bad = bad_pointers; *bad; bad++) {
			EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd,
							 requests[i], *bad)) {
				TH_LOG("request %#lx, pointer %p", requests[i],
				       *bad);
			}
		}
}

/* The last byte of the structure is out of reach. */
static void *cut_short(const void *data, size_t size)
{
	void *mem = mem_before_hole(size - 1);

	memcpy(mem, data, size - 1);
	return mem;
}

TEST_F(vcpu, truncated_structure)
{
	const uint8_t ones[sizeof(struct kvm_sregs) + sizeof(struct kvm_fpu)] = {
		[0 ... sizeof(ones) - 1] = 0xff
	};
	const struct {
		unsigned long request;
		size_t size;
	} calls[] = {
		{ KVM_GET_REGS, sizeof(struct kvm_regs) },
		{ KVM_SET_REGS, sizeof(struct kvm_regs) },
		{ KVM_GET_SREGS, sizeof(struct kvm_sregs) },
		{ KVM_SET_SREGS, sizeof(struct kvm_sregs) },
		{ KVM_GET_FPU, sizeof(struct kvm_fpu) },
		{ KVM_SET_FPU, sizeof(struct kvm_fpu) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(self->vcpu->fd,
						 calls[i].request,
						 cut_short(ones, calls[i].size))) {
			TH_LOG("request %#lx", calls[i].request);
		}
	}
}

SLAT_HARNESS_MAIN
