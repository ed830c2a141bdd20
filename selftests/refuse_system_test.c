// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: what the device's own file descriptor answers, and everything that
 * it refuses.
 */
#include "harness.h"

TEST(api_version)
{
	int fd = slat_fd();

	EXPECT_EQ(KVM_API_VERSION, try_ioctl(fd, KVM_GET_API_VERSION, 0));
	EXPECT_EQ(-EINVAL, try_ioctl(fd, KVM_GET_API_VERSION, 1));
}

TEST(mmap_size)
{
	int fd = slat_fd();

	EXPECT_LE(sizeof(struct kvm_run),
		  try_ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	EXPECT_EQ(0, try_ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0) % PAGE_SIZE);
	EXPECT_EQ(-EINVAL, try_ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 1));
}

TEST(check_extension)
{
	static const int never[] = { 0x7fffffff, 100000, -1 };
	struct vm *vm = vm_create_empty();
	unsigned int i;

	EXPECT_LT(0, slat_check_extension(KVM_CAP_USER_MEMORY));
	EXPECT_LT(0, slat_check_extension(KVM_CAP_DESTROY_MEMORY_REGION_WORKS));
	EXPECT_LT(0, slat_check_extension(KVM_CAP_READONLY_MEM));
	EXPECT_LT(0, slat_check_extension(KVM_CAP_IMMEDIATE_EXIT));
	EXPECT_LT(0, slat_check_extension(KVM_CAP_EXT_CPUID));
	EXPECT_LE(512, slat_check_extension(KVM_CAP_NR_MEMSLOTS));
	EXPECT_LE(2, slat_check_extension(KVM_CAP_MAX_VCPUS));
	EXPECT_LE(1, slat_check_extension(KVM_CAP_NR_VCPUS));
	EXPECT_LE(slat_check_extension(KVM_CAP_MAX_VCPUS),
		  slat_check_extension(KVM_CAP_MAX_VCPU_ID));
	for (i = 0; i < ARRAY_SIZE(never); i++) {
		EXPECT_EQ(0, slat_check_extension(never[i]));
	}
	/* The VM answers as the device does. */
	EXPECT_EQ(slat_check_extension(KVM_CAP_NR_MEMSLOTS),
		  try_ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS));
	EXPECT_EQ(0, try_ioctl(vm->fd, KVM_CHECK_EXTENSION, 0x7fffffff));
	vm_destroy(vm);
}

TEST(create_vm_type)
{
	static const unsigned long bad[] = {
		1, 2, 0xffff, 1ul << 20, 1ul << 31, 1ul << 32, -1ul,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, try_ioctl(slat_fd(), KVM_CREATE_VM, bad[i]));
	}
}

/* Ioctls of the other objects, and ones that nobody has. */
TEST(unknown)
{
	struct kvm_userspace_memory_region region = { 0 };
	struct kvm_regs regs;
	int fd = slat_fd();

	EXPECT_UNKNOWN(try_ioctl(fd, KVM_CREATE_VCPU, 0));
	EXPECT_UNKNOWN(try_ioctl_ptr(fd, KVM_SET_USER_MEMORY_REGION, &region));
	EXPECT_UNKNOWN(try_ioctl(fd, KVM_RUN, 0));
	EXPECT_UNKNOWN(try_ioctl_ptr(fd, KVM_GET_REGS, &regs));
	EXPECT_UNKNOWN(try_ioctl(fd, _IO(KVMIO, 0xff), 0));
	EXPECT_UNKNOWN(try_ioctl(fd, _IO('s', 0x01), 0));
	EXPECT_UNKNOWN(try_ioctl(fd, 0, 0));
	/* The right number with another direction or size is another ioctl. */
	EXPECT_UNKNOWN(try_ioctl(fd, _IOR(KVMIO, 0x00, int), 0));
	EXPECT_UNKNOWN(try_ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05,
					  4), 0));
}

TEST(other_calls)
{
	char byte = 0;
	int fd = slat_fd();

	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(-1, write(fd, &byte, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED,
				   fd, 0));
}

/* --- KVM_GET_SUPPORTED_CPUID */

TEST(supported_cpuid_too_small)
{
	struct kvm_cpuid2 *all = slat_supported_cpuid();
	uint32_t nent;

	for (nent = 0; nent < all->nent; nent++) {
		struct kvm_cpuid2 *cpuid = cpuid_before_hole(nent, nent);

		ASSERT_EQ(-E2BIG, try_ioctl_ptr(slat_fd(),
						KVM_GET_SUPPORTED_CPUID, cpuid));
		if (nent > 3 && nent < all->nent - 2)
			nent = all->nent - 2;
	}
	/* Exactly as many as there are; more than there are. */
	for (nent = all->nent; nent < all->nent + 20; nent += 10) {
		struct kvm_cpuid2 *cpuid = cpuid_before_hole(nent, nent);

		ASSERT_EQ(0, try_ioctl_ptr(slat_fd(), KVM_GET_SUPPORTED_CPUID,
					   cpuid));
		EXPECT_EQ(all->nent, cpuid->nent);
		EXPECT_EQ(all->entries[0].ebx, cpuid->entries[0].ebx);
	}
}

/* A count as large as it can be is no reason for a large allocation. */
TEST(supported_cpuid_huge_count)
{
	struct kvm_cpuid2 *cpuid = cpuid_before_hole(-1u, 256);

	EXPECT_EQ(0, try_ioctl_ptr(slat_fd(), KVM_GET_SUPPORTED_CPUID, cpuid));
	EXPECT_EQ(slat_supported_cpuid()->nent, cpuid->nent);
}

TEST(supported_cpuid_bad_pointer)
{
	const void *const *bad;

	for (bad = bad_pointers; *bad; bad++) {
		EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(),
						 KVM_GET_SUPPORTED_CPUID, *bad));
	}
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(), KVM_GET_SUPPORTED_CPUID,
					 mem_before_hole(4)));
	/* The count is readable, the entries are not writable. */
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(), KVM_GET_SUPPORTED_CPUID,
					 cpuid_before_hole(256, 0)));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(slat_fd(), KVM_GET_SUPPORTED_CPUID,
					 cpuid_before_hole(256, 3)));
}

/* --- KVM_GET_EMULATED_CPUID: a list, but there is nothing on it */

#define TRY_EMULATED(cpuid) \
	try_ioctl_ptr(slat_fd(), KVM_GET_EMULATED_CPUID, cpuid)

TEST(emulated_cpuid)
{
	struct kvm_cpuid2 *cpuid;
	const void *const *bad;
	unsigned int i;

	if (slat_is_kvm())
		SKIP(return, "KVM emulates some features");
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_EXT_EMUL_CPUID));
	EXPECT_EQ(-E2BIG, TRY_EMULATED(cpuid_before_hole(0, 0)));
	cpuid = cpuid_before_hole(1, 1);
	EXPECT_EQ(0, TRY_EMULATED(cpuid));
	EXPECT_EQ(0, cpuid->nent);
	cpuid = cpuid_before_hole(-1u, 256);
	EXPECT_EQ(0, TRY_EMULATED(cpuid));
	EXPECT_EQ(0, cpuid->nent);
	for (i = 0; i < 3; i++) {
		cpuid = cpuid_before_hole(5, 5);
		cpuid->entries[4].padding[i] = 1u << 31;
		EXPECT_EQ(-EINVAL, TRY_EMULATED(cpuid));
		EXPECT_EQ(5, cpuid->nent);
	}
	EXPECT_EQ(-EFAULT, TRY_EMULATED(cpuid_before_hole(5, 4)));
	for (bad = bad_pointers; *bad; bad++)
		EXPECT_EQ(-EFAULT, TRY_EMULATED(*bad));
}

SLAT_HARNESS_MAIN
