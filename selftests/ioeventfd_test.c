// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1: KVM_IOEVENTFD: the guest's writes to a port or to memory that is not there
 * signal an eventfd and do not end KVM_RUN. And hypercalls for the VMM.
 */
#include <sys/eventfd.h>

#include "harness.h"

FIXTURE(doorbell)
{
	struct vm *vm;
	struct vcpu *vcpu;
	int fd;
};

FIXTURE_SETUP(doorbell)
{
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	self->fd = eventfd(0, EFD_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(doorbell)
{
	close(self->fd);
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
}

#define PIO	KVM_IOEVENTFD_FLAG_PIO
#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define REMOVE	KVM_IOEVENTFD_FLAG_DEASSIGN

static int try_doorbell(struct vm *vm, int fd, uint64_t addr, uint32_t len,
			uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd args = {
		.fd = fd, .addr = addr, .len = len, .flags = flags,
		.datamatch = match,
	};

	return try_ioctl_ptr(vm->fd, KVM_IOEVENTFD, &args);
}

static uint64_t rings(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

#define PORT	0x5000
#define BELL	((volatile uint32_t *)VM_MMIO_GPA)

static void guest_rings_port(uint64_t unused)
{
	uint32_t i;

	for (i = 0; i < 5; i++)
		outw(PORT, i);
	guest_report(1, 0);
	outl(PORT, 1);
	guest_report(2, 0);
	inw(PORT);
}

TEST_F(doorbell, port)
{
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_IOEVENTFD));
	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, PORT, 2, PIO, 0));
	guest_enter_c(vcpu, guest_rings_port, 0);
	vcpu_await(vcpu, 1);
	EXPECT_EQ(5, rings(self->fd));
	/* Another size, and reads, are the VMM's. */
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT, 4, 1));
	vcpu_await(vcpu, 2);
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(exit_is_io(vcpu, KVM_EXIT_IO_IN, PORT, 2, 1));
	EXPECT_EQ(0, rings(self->fd));
}

TEST_F(doorbell, port_match)
{
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, PORT, 2, PIO | MATCH, 0));
	guest_enter_c(vcpu, guest_rings_port, 0);
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT, 2, 1));
	EXPECT_EQ(1, exit_io_value(vcpu));
	EXPECT_EQ(1, rings(self->fd));
}

static const uint8_t string[] = { 1, 1, 1, 2, 1, 3 };

static void guest_rings_by_string(uint64_t unused)
{
	const uint8_t *from = string;
	uint64_t count = sizeof(string);

	asm volatile("rep outsb"
		     : "+S"(from), "+c"(count) : "d"(PORT) : "memory");
	guest_report(1, from - string);
	guest_report(2, count);
}

TEST_F(doorbell, port_string)
{
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, PORT, 1, PIO, 0));
	guest_enter_c(vcpu, guest_rings_by_string, 0);
	EXPECT_EQ(sizeof(string), vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	EXPECT_EQ(sizeof(string), rings(self->fd));
}

/* From the first element on that is not for an eventfd, the VMM gets the rest. */
TEST_F(doorbell, port_string_match)
{
	struct vcpu *vcpu = self->vcpu;

	if (slat_is_kvm())
		SKIP(return, "KVM drops the elements that do not match");
	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, PORT, 1, PIO | MATCH, 1));
	guest_enter_c(vcpu, guest_rings_by_string, 0);
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	EXPECT_TRUE(exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT, 1, 3));
	EXPECT_EQ(0, memcmp(exit_io_data(vcpu), string + 3, 3));
	EXPECT_EQ(3, rings(self->fd));
	EXPECT_EQ(sizeof(string), vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	EXPECT_EQ(0, rings(self->fd));
}

static void guest_rings_memory(uint64_t unused)
{
	uint32_t i;

	for (i = 0; i < 3; i++)
		BELL[0] = i;
	*(volatile uint16_t *)BELL = 7;
	guest_report(1, 0);
	BELL[1] = 9;
}

TEST_F(doorbell, memory)
{
	struct vcpu *vcpu = self->vcpu;

	/* Any length. */
	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, VM_MMIO_GPA, 0, 0, 0));
	guest_enter_c(vcpu, guest_rings_memory, 0);
	vcpu_await(vcpu, 1);
	EXPECT_EQ(4, rings(self->fd));
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(vcpu, true, VM_MMIO_GPA + 4, 4));
}

TEST_F(doorbell, memory_match_and_remove)
{
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, VM_MMIO_GPA, 4, MATCH, 0));
	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, VM_MMIO_GPA, 4, MATCH, 2));
	guest_enter_c(vcpu, guest_rings_memory, 0);
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(1, exit_mmio_value(vcpu));
	EXPECT_EQ(1, rings(self->fd));
	ASSERT_EQ(0, try_doorbell(self->vm, self->fd, VM_MMIO_GPA, 4,
				  MATCH | REMOVE, 2));
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(2, exit_mmio_value(vcpu));
	EXPECT_EQ(0, rings(self->fd));
}

TEST_F(doorbell, refusals)
{
	struct vm *vm = self->vm;
	int fd = self->fd;
	unsigned int i;

	for (i = 3; i < 32; i++) {
		EXPECT_EQ(-EINVAL, try_doorbell(vm, fd, PORT, 4, 1u << i, 0));
	}
	EXPECT_EQ(-EINVAL, try_doorbell(vm, fd, PORT, 3, PIO, 0));
	EXPECT_EQ(-EINVAL, try_doorbell(vm, fd, PORT, 16, PIO, 0));
	EXPECT_EQ(-EINVAL, try_doorbell(vm, fd, PORT, 0, PIO | MATCH, 0));
	EXPECT_EQ(-EINVAL, try_doorbell(vm, fd, -4ul, 8, 0, 0));
	EXPECT_EQ(-EBADF, try_doorbell(vm, -1, PORT, 4, PIO, 0));
	EXPECT_EQ(-EINVAL, try_doorbell(vm, vm->fd, PORT, 4, PIO, 0));
	EXPECT_EQ(-ENOENT, try_doorbell(vm, fd, PORT, 4, PIO | REMOVE, 0));
	EXPECT_EQ(0, try_doorbell(vm, fd, PORT, 4, PIO | MATCH, 1));
	EXPECT_EQ(0, try_doorbell(vm, fd, PORT, 4, PIO | MATCH, 2));
	EXPECT_EQ(0, try_doorbell(vm, fd, PORT, 2, PIO, 0));
	EXPECT_EQ(0, try_doorbell(vm, fd, PORT, 4, 0, 0));
	EXPECT_EQ(-EEXIST, try_doorbell(vm, fd, PORT, 4, PIO | MATCH, 1));
	EXPECT_EQ(-EEXIST, try_doorbell(vm, fd, PORT, 4, PIO, 0));
	EXPECT_EQ(-EEXIST, try_doorbell(vm, fd, PORT, 0, PIO, 0));
	EXPECT_EQ(-ENOENT, try_doorbell(vm, fd, PORT, 4, PIO | REMOVE, 0));
	EXPECT_EQ(-ENOENT, try_doorbell(vm, fd, PORT, 4, PIO | MATCH | REMOVE, 3));
	EXPECT_EQ(0, try_doorbell(vm, fd, PORT, 4, PIO | MATCH | REMOVE, 1));
	EXPECT_EQ(0, try_doorbell(vm, fd, PORT, 4, PIO | MATCH, 1));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(vm->fd, KVM_IOEVENTFD,
					 bad_pointers[0]));
	for (i = 0; i < 1000; i++)
		if (try_doorbell(vm, fd, 0x10000 + i, 1, 0, 0))
			break;
	if (!slat_is_kvm())
		EXPECT_EQ(996, i);
}

/* --- KVM_CAP_EXIT_HYPERCALL */

#define KVM_HC_MAP_GPA_RANGE	12

static uint64_t guest_map_gpa_range(uint64_t gpa, uint64_t pages)
{
	return guest_hypercall(KVM_HC_MAP_GPA_RANGE, gpa, pages, 0x10);
}

static void guest_calls(uint64_t unused)
{
	guest_report(1, guest_map_gpa_range(0x1000, 2));
	guest_report(2, guest_map_gpa_range(0x1000, 2));
	guest_report(3, guest_map_gpa_range(0x1001, 2));
	guest_report(4, guest_map_gpa_range(0x1000, 0));
	guest_report(5, guest_map_gpa_range(0x1000, -1ul));
	guest_report(6, guest_hypercall(77, 0, 0, 0x10));
}

TEST_F(doorbell, hypercall)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { 1 << KVM_HC_MAP_GPA_RANGE },
	};
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(1 << KVM_HC_MAP_GPA_RANGE,
		  slat_check_extension(KVM_CAP_EXIT_HYPERCALL));
	guest_enter_c(vcpu, guest_calls, 0);
	EXPECT_EQ(-1000ul, vcpu_await(vcpu, 1));
	must_ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap);
	vcpu_run_to(vcpu, KVM_EXIT_HYPERCALL);
	EXPECT_EQ(KVM_HC_MAP_GPA_RANGE, vcpu->run->hypercall.nr);
	EXPECT_EQ(0x1000, vcpu->run->hypercall.args[0]);
	EXPECT_EQ(2, vcpu->run->hypercall.args[1]);
	EXPECT_EQ(0x10, vcpu->run->hypercall.args[2]);
	vcpu->run->hypercall.ret = 0x1234;
	EXPECT_EQ(0x1234, vcpu_await(vcpu, 2));
	EXPECT_EQ(-22ul, vcpu_await(vcpu, 3));
	EXPECT_EQ(-22ul, vcpu_await(vcpu, 4));
	EXPECT_EQ(-22ul, vcpu_await(vcpu, 5));
	EXPECT_EQ(-1000ul, vcpu_await(vcpu, 6));
	cap.args[0] = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, KVM_ENABLE_CAP, &cap));
}

SLAT_HARNESS_MAIN
