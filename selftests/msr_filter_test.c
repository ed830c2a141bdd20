// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4: KVM_CAP_X86_USER_SPACE_MSR and KVM_X86_SET_MSR_FILTER: accesses that the
 * VMM denies or that fail end in the VMM, which completes or refuses them.
 */
#include <pthread.h>

#include "harness.h"

#define MSR_NONE	0x12345678u
#define REASONS		(KVM_MSR_EXIT_REASON_INVAL | \
			 KVM_MSR_EXIT_REASON_UNKNOWN | \
			 KVM_MSR_EXIT_REASON_FILTER)

VM_FIXTURE(filter);

static int try_enable(struct vm *vm, uint32_t cap, uint32_t flags,
		      uint64_t arg)
{
	struct kvm_enable_cap enable = {
		.cap = cap, .flags = flags, .args = { arg },
	};

	return try_ioctl_ptr(vm->fd, KVM_ENABLE_CAP, &enable);
}

/* One MSR that may not be accessed; all others may. */
static int try_deny(struct vm *vm, uint32_t index, uint32_t flags)
{
	uint64_t none[1] = { 0 };
	struct kvm_msr_filter filter = {
		.ranges[0] = {
			.flags = flags, .base = index, .nmsrs = 1,
			.bitmap = (void *)none,
		},
	};

	return try_ioctl_ptr(vm->fd, KVM_X86_SET_MSR_FILTER, &filter);
}

#define BOTH	(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

static void expect_msr_exit(struct __test_metadata *_metadata,
			    struct vcpu *vcpu, uint32_t exit_reason,
			    uint32_t reason, uint32_t index)
{
	vcpu_run_to(vcpu, exit_reason);
	EXPECT_EQ(reason, vcpu->run->msr.reason);
	EXPECT_EQ(index, vcpu->run->msr.index);
	EXPECT_EQ(0, vcpu->run->msr.error);
}

/* rdmsr and wrmsr that may fault: the value, or a vector above 32 bits. */
static uint64_t guest_read(uint32_t index)
{
	uint32_t low = 0;
	struct guest_fault fault;

	fault = guest_try("mov %%edi, %%ecx\n\trdmsr\n\tmov %%eax, (%%rbx)\n\t"
			  "mov %%edx, 4(%%rbx)", "D"(index), "b"(VM_DATA_GPA));
	if (fault.vector != NO_FAULT)
		return fault.vector << 32;
	(void)low;
	return *(volatile uint64_t *)VM_DATA_GPA;
}

static uint64_t guest_write(uint32_t index, uint64_t value)
{
	return guest_try("mov %%rbx, %%rax\n\tmov %%rbx, %%rdx\n\t"
			 "shr $32, %%rdx\n\tmov %%edi, %%ecx\n\twrmsr",
			 "b"(value), "D"(index)).vector;
}

static void guest_unknown(uint64_t unused)
{
	guest_report(1, guest_read(MSR_NONE));
	guest_report(2, guest_write(MSR_NONE, 0x1122334455667788));
	guest_report(3, guest_read(MSR_NONE));
	guest_report(4, guest_write(MSR_NONE, 1));
	guest_report(5, guest_write(MSR_PAT, 2));
}

TEST_F(filter, unknown_and_invalid)
{
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, try_enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 0,
				KVM_MSR_EXIT_REASON_UNKNOWN |
				KVM_MSR_EXIT_REASON_INVAL));
	guest_enter_c(vcpu, guest_unknown, 0);
	expect_msr_exit(_metadata, vcpu, KVM_EXIT_X86_RDMSR,
			KVM_MSR_EXIT_REASON_UNKNOWN, MSR_NONE);
	vcpu->run->msr.data = 0x8877665544332211;
	EXPECT_EQ(0x8877665544332211, vcpu_await(vcpu, 1));
	expect_msr_exit(_metadata, vcpu, KVM_EXIT_X86_WRMSR,
			KVM_MSR_EXIT_REASON_UNKNOWN, MSR_NONE);
	EXPECT_EQ(0x1122334455667788, vcpu->run->msr.data);
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 2));
	/* The VMM does not know them either. */
	vcpu_run_to(vcpu, KVM_EXIT_X86_RDMSR);
	vcpu->run->msr.error = 1;
	EXPECT_EQ((uint64_t)GP_VECTOR << 32, vcpu_await(vcpu, 3));
	vcpu_run_to(vcpu, KVM_EXIT_X86_WRMSR);
	vcpu->run->msr.error = 1;
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 4));
	expect_msr_exit(_metadata, vcpu, KVM_EXIT_X86_WRMSR,
			KVM_MSR_EXIT_REASON_INVAL, MSR_PAT);
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 5));
}

/* Only the reasons that were asked for. */
TEST_F(filter, other_reason)
{
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, try_enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 0,
				KVM_MSR_EXIT_REASON_INVAL));
	guest_enter_c(vcpu, guest_unknown, 0);
	EXPECT_EQ((uint64_t)GP_VECTOR << 32, vcpu_await(vcpu, 1));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 2));
	/* And none any more. */
	ASSERT_EQ(0, try_enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 0, 0));
	EXPECT_EQ((uint64_t)GP_VECTOR << 32, vcpu_await(vcpu, 3));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 4));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 5));
}

/* GS_BASE is one that the guest accesses without an exit otherwise. */
static void guest_gs(uint64_t unused)
{
	for (;;) {
		guest_report(1, guest_write(MSR_GS_BASE, 0x1000));
		guest_report(2, guest_read(MSR_GS_BASE));
	}
}

TEST_F(filter, deny)
{
	struct vcpu *vcpu = self->vcpu;

	guest_enter_c(vcpu, guest_gs, 0);
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 1));
	EXPECT_EQ(0x1000, vcpu_await(vcpu, 2));
	/* Without the capability it is #GP. */
	ASSERT_EQ(0, try_deny(self->vm, MSR_GS_BASE, BOTH));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 1));
	EXPECT_EQ((uint64_t)GP_VECTOR << 32, vcpu_await(vcpu, 2));
	ASSERT_EQ(0, try_enable(self->vm, KVM_CAP_X86_USER_SPACE_MSR, 0,
				KVM_MSR_EXIT_REASON_FILTER));
	expect_msr_exit(_metadata, vcpu, KVM_EXIT_X86_WRMSR,
			KVM_MSR_EXIT_REASON_FILTER, MSR_GS_BASE);
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 1));
	expect_msr_exit(_metadata, vcpu, KVM_EXIT_X86_RDMSR,
			KVM_MSR_EXIT_REASON_FILTER, MSR_GS_BASE);
	vcpu->run->msr.data = 0x77;
	EXPECT_EQ(0x77, vcpu_await(vcpu, 2));
	/* The VMM's own access is not denied. */
	EXPECT_EQ(0x1000, vcpu_get_msr(vcpu, MSR_GS_BASE));
	/* One way only. */
	ASSERT_EQ(0, try_deny(self->vm, MSR_GS_BASE, KVM_MSR_FILTER_WRITE));
	vcpu_run_to(vcpu, KVM_EXIT_X86_WRMSR);
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 1));
	EXPECT_EQ(0x1000, vcpu_await(vcpu, 2));
	ASSERT_EQ(0, try_deny(self->vm, MSR_LSTAR, BOTH));
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 1));
	EXPECT_EQ(0x1000, vcpu_await(vcpu, 2));
}

static void guest_star(uint64_t unused)
{
	guest_report(1, guest_write(MSR_STAR, 1));
	guest_report(2, guest_write(MSR_LSTAR, 1));
	guest_report(3, guest_write(MSR_CSTAR, 1));
	guest_report(4, guest_write(MSR_SFMASK, 1));
	guest_report(5, guest_write(0x800, 1));
}

TEST_F(filter, default_deny)
{
	/* STAR and CSTAR */
	uint64_t bits[1] = { 5 };
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges[7] = {
			.flags = BOTH, .base = MSR_STAR, .nmsrs = 3,
			.bitmap = (void *)bits,
		},
	};
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, try_ioctl_ptr(self->vm->fd, KVM_X86_SET_MSR_FILTER,
				   &filter));
	guest_enter_c(vcpu, guest_star, 0);
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 1));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 2));
	EXPECT_EQ(NO_FAULT, vcpu_await(vcpu, 3));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 4));
	EXPECT_EQ(GP_VECTOR, vcpu_await(vcpu, 5));
}

TEST_F(filter, refusals)
{
	uint64_t bits[192] = { 0 };
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	struct vm *vm = self->vm;
	unsigned int i;

#define TRY_FILTER() try_ioctl_ptr(vm->fd, KVM_X86_SET_MSR_FILTER, &filter)
	EXPECT_EQ(-EINVAL, TRY_FILTER());
	for (i = 1; i < 32; i++) {
		filter.flags = 1u << i;
		EXPECT_EQ(-EINVAL, TRY_FILTER());
	}
	filter.flags = 0;
	EXPECT_EQ(0, TRY_FILTER());
	filter.ranges[15] = (struct kvm_msr_filter_range){
		.flags = BOTH, .nmsrs = 0x600 * 8, .bitmap = (void *)bits,
	};
	EXPECT_EQ(0, TRY_FILTER());
	filter.ranges[15].nmsrs++;
	EXPECT_EQ(-EINVAL, TRY_FILTER());
	filter.ranges[15].nmsrs = -1u;
	EXPECT_EQ(-EINVAL, TRY_FILTER());
	filter.ranges[15].nmsrs = 1;
	filter.ranges[15].flags = 0;
	EXPECT_EQ(-EINVAL, TRY_FILTER());
	for (i = 2; i < 32; i++) {
		filter.ranges[15].flags = 1u << i;
		EXPECT_EQ(-EINVAL, TRY_FILTER());
	}
	filter.ranges[15].flags = BOTH;
	filter.ranges[15].bitmap = (void *)bad_pointers[0];
	EXPECT_EQ(-EFAULT, TRY_FILTER());
	filter.ranges[15].bitmap = mem_before_hole(4);
	EXPECT_EQ(-EFAULT, TRY_FILTER());
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(vm->fd, KVM_X86_SET_MSR_FILTER,
					 bad_pointers[0]));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(vm->fd, KVM_X86_SET_MSR_FILTER,
					 mem_before_hole(sizeof(filter) - 1)));
}

TEST_F(filter, enable_refusals)
{
	struct vm *vm = self->vm;
	unsigned int i;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_X86_USER_SPACE_MSR));
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_X86_MSR_FILTER));
	for (i = 3; i < 64; i++) {
		EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_X86_USER_SPACE_MSR, 0,
					      1ul << i));
	}
	EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_X86_USER_SPACE_MSR, 1, 0));
	EXPECT_EQ(-EINVAL, try_enable(vm, KVM_CAP_USER_MEMORY, 0, 0));
	EXPECT_EQ(-EINVAL, try_enable(vm, 0x7fffffff, 0, 0));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(vm->fd, KVM_ENABLE_CAP,
					 bad_pointers[0]));
	EXPECT_EQ(0, try_enable(vm, KVM_CAP_X86_USER_SPACE_MSR, 0, REASONS));
}

/* --- changed under a guest that does not exit otherwise */

static volatile uint64_t spins;

static void guest_spins_on_gs(uint64_t unused)
{
	do {
		spins++;
		guest_wrmsr(MSR_LSTAR, 0x5000);
	} while (guest_read(MSR_GS_BASE) >> 32 != GP_VECTOR);
	guest_report(1, 0);
}

static void *change_filter(void *arg)
{
	struct vm *vm = arg;
	uint64_t was;
	int i;

	for (i = 0; i < 200; i++) {
		was = guest_var(vm, spins);
		while (guest_var(vm, spins) == was)
			sched_yield();
		REQUIRE(!try_deny(vm, MSR_FS_BASE, BOTH), "filter");
		REQUIRE(!try_deny(vm, MSR_CSTAR, BOTH), "filter");
	}
	REQUIRE(!try_deny(vm, MSR_GS_BASE, BOTH), "filter");
	return NULL;
}

TEST_F(filter, changes_while_running)
{
	pthread_t thread;

	guest_enter_c(self->vcpu, guest_spins_on_gs, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_filter, self->vm));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	pthread_join(thread, NULL);
}

/* --- in force when the call returns */

static volatile uint64_t accesses;

static void guest_counts_accesses(uint64_t unused)
{
	while (guest_read(MSR_GS_BASE) >> 32 != GP_VECTOR)
		accesses++;
	guest_report(1, 0);
}

static void *run_to_report(void *vcpu)
{
	vcpu_await(vcpu, 1);
	return NULL;
}

/* Of the first filter, with which all accesses begin to exit. */
static void deny_at_once(struct __test_metadata *_metadata)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	pthread_t thread;
	uint64_t seen;

	guest_enter_c(vcpu, guest_counts_accesses, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_to_report, vcpu));
	while (!guest_var(vm, accesses))
		sched_yield();
	ASSERT_EQ(0, try_deny(vm, MSR_GS_BASE, BOTH));
	seen = guest_var(vm, accesses);
	pthread_join(thread, NULL);
	/* One may have been made, and not yet counted. */
	EXPECT_GE(seen + 1, guest_var(vm, accesses));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

TEST(in_force_at_once)
{
	int i;

	for (i = 0; i < 20; i++)
		deny_at_once(_metadata);
}

SLAT_HARNESS_MAIN
