// SPDX-License-Identifier: GPL-2.0-only
/*
 * R2, R7: a runstate area stays with the memory that it was registered in, whatever the
 * guest or the VMM do to the addresses afterwards, and nothing keeps it once it is not
 * needed.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "harness.h"
#include "runstate.h"

#define AREA_GPA	VM_DATA_GPA
#define OTHER_GPA	(VM_DATA_GPA + 4 * PAGE_SIZE)
#define GVA		0x7f0000000000ul

#define SLOT		1
#define SLOT_GPA	0x40000000ul

static struct slat_runstate *area(struct vm *vm)
{
	return vm_ptr(vm, AREA_GPA);
}

FIXTURE(runstate)
{
	struct vm *vm;
	struct vcpu *vcpu;
	long pins;
};

FIXTURE_SETUP(runstate)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has none");
	watchdog_start(25);
	self->pins = pinned_pages();
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	ASSERT_EQ(0, vm_try_runstate_calls(self->vm, 1));
	vm_make_tables(self->vm, PAGING_4LEVEL);
}

FIXTURE_TEARDOWN(runstate)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vm_destroy(self->vm);
	EXPECT_EQ(self->pins, pinned_pages_await(self->pins));
}

/* --- what the guest does to the address */

static uint64_t guest_user_cr3;

static unsigned long user_rounds;

static void user_spins(uint64_t unused)
{
	for (;;)
		WRITE_ONCE(user_rounds, user_rounds + 1);
}

/* As a kernel does that hides itself from user mode. */
static void guest_hides(uint64_t unused)
{
	guest_report(1, guest_set_runstate(0, GVA, SLAT_RUNSTATE_VIRTUAL));
	write_cr3(guest_user_cr3);
	guest_report(2, guest_try("mov (%2), %%rax", "r"(GVA)).vector);
	guest_enter_user(user_spins, 0);
}

/* A copy of the guest's root table, but for one entry. */
static uint64_t root_without(struct vm *vm, uint64_t gva)
{
	const uint64_t root = vm_pages(vm, 1);

	memcpy(vm_ptr(vm, root), vm_ptr(vm, vm->root), PAGE_SIZE);
	((uint64_t *)vm_ptr(vm, root))[gva >> 39 & 511] = 0;
	return root;
}

TEST_F(runstate, R2_not_mapped_in_user_mode)
{
	struct worker worker;
	struct hog hog;

	vm_map(self->vm, GVA, AREA_GPA, PAGE_SIZE, PT_PRESENT | PT_WRITE);
	guest_enter_c(self->vcpu, guest_hides, 0);
	guest_var(self->vm, guest_user_cr3) = root_without(self->vm, GVA);
	ASSERT_EQ(0, vcpu_await(self->vcpu, 1));
	ASSERT_EQ(PF_VECTOR, vcpu_await(self->vcpu, 2));
	worker_start_beside(&hog, &worker, self->vcpu);
	EXPECT_TRUE(worker_wait(&worker, &guest_var(self->vm, user_rounds), 1));
	EXPECT_TRUE(vm_await_time(&worker, SLAT_RUNSTATE_RUNNABLE, 50 * MS));
	/* The VMM reads the time until now, the guest that until the last switch. */
	while (runstate_read(area(self->vm)).time[SLAT_RUNSTATE_RUNNABLE] < 50 * MS)
		sched_yield();
	hog_stop(&hog);
	EXPECT_TRUE(worker_stop(&worker));
}

static void guest_registers_and_halts(uint64_t unused)
{
	guest_report(1, guest_set_runstate(0, GVA, SLAT_RUNSTATE_VIRTUAL));
	for (;;)
		guest_halt();
}

/* The state that an area shows after a HLT. */
static unsigned int state_halted(struct vcpu *vcpu)
{
	area(vcpu->vm)->state = -1u;
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	return area(vcpu->vm)->state;
}

TEST_F(runstate, R7_address_mapped_elsewhere)
{
	uint8_t *other = vm_ptr(self->vm, OTHER_GPA);
	unsigned int i;

	memset(other, 0xa5, PAGE_SIZE);
	vm_map(self->vm, GVA, AREA_GPA, PAGE_SIZE, PT_ALL);
	guest_enter_c(self->vcpu, guest_registers_and_halts, 0);
	ASSERT_EQ(0, vcpu_await(self->vcpu, 1));
	vm_map(self->vm, GVA, OTHER_GPA, PAGE_SIZE, PT_ALL);
	EXPECT_EQ(SLAT_RUNSTATE_BLOCKED, state_halted(self->vcpu));
	vm_map(self->vm, GVA, OTHER_GPA, PAGE_SIZE, 0);
	EXPECT_EQ(SLAT_RUNSTATE_BLOCKED, state_halted(self->vcpu));
	for (i = 0; i < PAGE_SIZE; i++)
		ASSERT_EQ(0xa5, other[i]);
}

/* --- what the VMM does to the memory */

static void guest_halts(uint64_t unused)
{
	for (;;) {
		guest_report(1, *(volatile uint64_t *)SLOT_GPA);
		guest_halt();
	}
}

/* An area at SLOT_GPA, which the guest has seen. */
static uint64_t *area_in_slot(struct vcpu *vcpu, size_t size)
{
	struct vm *vm = vcpu->vm;
	uint64_t *mem = mem_alloc(size);

	vm_map(vm, SLOT_GPA, SLOT_GPA, size, PT_ALL);
	vm_slot(vm, SLOT, 0, SLOT_GPA, size, mem);
	REQUIRE(!vm_try_set_runstate(vm, 0, SLOT_GPA), "not registered");
	guest_enter_c(vcpu, guest_halts, 0);
	vcpu_await(vcpu, 1);
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	return mem;
}

/* Time is still counted, while these 8 bytes stay as they are. */
static bool counts_elsewhere(struct vcpu *vcpu, const uint64_t *mem)
{
	const uint64_t first = vm_get_runstate(vcpu->vm, 0).now;
	const uint64_t old = *mem;

	vcpu_await(vcpu, 1);
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	return *mem == old && vm_get_runstate(vcpu->vm, 0).now > first &&
	       vm_get_runstate(vcpu->vm, 0).state == SLAT_RUNSTATE_BLOCKED;
}

/* The guest gets a new page there, and the area is in the one that it had. */
TEST_F(runstate, R7_ballooned)
{
	uint64_t *mem = area_in_slot(self->vcpu, PAGE_SIZE);
	uint64_t frame = mem_frame(mem);

	ASSERT_EQ(SLAT_RUNSTATE_BLOCKED, *(uint32_t *)mem);
	ASSERT_EQ(0, madvise(mem, PAGE_SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, vcpu_await(self->vcpu, 1));
	vcpu_run_to(self->vcpu, KVM_EXIT_HLT);
	*mem = 0x5a5a5a5a5a5a5a5a;
	EXPECT_TRUE(counts_elsewhere(self->vcpu, mem));
	/* Nobody else got the old one. */
	EXPECT_NE(frame, mem_frame(mem));
	EXPECT_EQ(self->pins + 1, pinned_pages());
	/* The new page can have the area. */
	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 0, SLOT_GPA));
	EXPECT_EQ(SLAT_RUNSTATE_BLOCKED, *(uint32_t *)mem);
	EXPECT_EQ(self->pins + 1, pinned_pages());
}

TEST_F(runstate, R7_unmapped)
{
	uint64_t *mem = area_in_slot(self->vcpu, PAGE_SIZE);

	ASSERT_EQ(0, munmap(mem, PAGE_SIZE));
	EXPECT_EQ(-EFAULT, vcpu_try_run(self->vcpu));
	EXPECT_EQ(self->pins + 1, pinned_pages());
	EXPECT_EQ(SLAT_RUNSTATE_RUNNING, vm_get_runstate(self->vm, 0).state);
	EXPECT_EQ(-EFAULT, vm_try_set_runstate(self->vm, 0, SLOT_GPA));
	EXPECT_EQ(self->pins + 1, pinned_pages());
	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 0, 0));
	EXPECT_EQ(self->pins, pinned_pages());
}

TEST_F(runstate, R7_slot_deleted)
{
	uint64_t *mem = area_in_slot(self->vcpu, PAGE_SIZE), *other = mem_alloc(PAGE_SIZE);

	vm_slot_delete(self->vm, SLOT);
	EXPECT_EQ(self->pins + 1, pinned_pages());
	EXPECT_EQ(-ENOENT, vm_try_set_runstate(self->vm, 0, SLOT_GPA));
	/* Another slot in its place knows nothing of it. */
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, PAGE_SIZE, other);
	EXPECT_TRUE(counts_elsewhere(self->vcpu, other));
	EXPECT_EQ(0, *other);
	EXPECT_EQ(SLAT_RUNSTATE_BLOCKED, *(uint32_t *)mem);
}

/* --- dirty, and gone */

TEST_F(runstate, R8_pages_are_dirty_in_the_end)
{
	uint8_t *mem = vm_ptr(self->vm, AREA_GPA);

	mem[0] = 1;
	mem[PAGE_SIZE] = 1;
	if (mem_is_dirty(mem))
		SKIP(return, "new pages are dirty");
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA + PAGE_SIZE - 8));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, 0));
	EXPECT_TRUE(mem_is_dirty(mem));
	EXPECT_TRUE(mem_is_dirty(mem + PAGE_SIZE));
}

/* A VMM that is killed while areas come and go. */
static void register_for_ever(void)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct worker worker;
	uint64_t at;

	vcpu_create(vm, 1);
	guest_enter_c(vcpu, guest_watch, 0);
	worker_start(&worker, vcpu);
	for (at = 0;; at += 8) {
		vm_try_set_runstate(vm, 0, AREA_GPA + at % (16 * PAGE_SIZE));
		vm_try_set_runstate(vm, 1, OTHER_GPA + at % (16 * PAGE_SIZE));
	}
}

TEST_F(runstate, R4_killed)
{
	int i, status;
	pid_t pid;

	for_rounds (i, 60, 5) {
		const double end = now() + .02 + i % 10 * .01;

		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			register_for_ever();
		while (now() < end)
			sched_yield();
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_EQ(self->pins, pinned_pages_await(self->pins));
}

SLAT_HARNESS_MAIN
