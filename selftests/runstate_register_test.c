// SPDX-License-Identifier: GPL-2.0-only
/*
 * R1, R3, R4: registering a runstate area, by each way and for each vCPU, where it may
 * lie, and each refusal: then what was registered before goes on.
 */
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "bar.h"
#include "harness.h"
#include "runstate.h"

#define AREA_GPA	VM_DATA_GPA
#define OTHER_GPA	(VM_DATA_GPA + 4 * PAGE_SIZE)
/* All but 24 bytes in the second page. */
#define CROSSING	(PAGE_SIZE - 24)
#define AREA_SIZE	sizeof(struct slat_runstate)

/* Guest memory beside RAM, for what is no good. */
#define SLOT		1
#define SLOT_GPA	0x40000000ul

#define GVA		0x7f0000000000ul

/* --- a guest that halts, makes a hypercall, and again */

struct call {
	uint64_t vcpu, address, flags;
};

static struct call guest_call;

static void guest_calls(uint64_t unused)
{
	const struct call *call = &guest_call;

	for (;;) {
		guest_halt();
		guest_report(1, guest_set_runstate(READ_ONCE(call->vcpu),
						   READ_ONCE(call->address),
						   READ_ONCE(call->flags)));
	}
}

static int hypercall(struct vcpu *vcpu, uint64_t id, uint64_t address,
		     uint64_t flags)
{
	guest_var(vcpu->vm, guest_call) = (struct call){ id, address, flags };
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	return vcpu_await(vcpu, 1);
}

/* Refused whatever there is. */
static const struct call no_call = { .flags = -1ul };

FIXTURE(runstate)
{
	struct vm *vm;
	struct vcpu *vcpu, *other;
	long pins;
};

FIXTURE_SETUP(runstate)
{
	if (slat_is_kvm())
		SKIP_SETUP("KVM has none");
	self->pins = pinned_pages();
	self->vm = vm_create();
	self->vcpu = vcpu_create(self->vm, 0);
	self->other = vcpu_create(self->vm, 7);
	ASSERT_EQ(0, vm_try_runstate_calls(self->vm, 1));
	vm_make_tables(self->vm, PAGING_4LEVEL);
	guest_enter_c(self->vcpu, guest_calls, 0);
}

FIXTURE_TEARDOWN(runstate)
{
	if (!self->vm)
		return;
	vcpu_destroy(self->vcpu);
	vcpu_destroy(self->other);
	vm_destroy(self->vm);
	/* R4: whatever was registered in the end. */
	EXPECT_EQ(self->pins, pinned_pages_await(self->pins));
}

/* --- is it live? */

static bool is_sound(const struct slat_runstate *sample)
{
	return sample->state <= SLAT_RUNSTATE_OFFLINE && !sample->padding &&
	       !(sample->entry_time & SLAT_RUNSTATE_UPDATE) &&
	       sample->entry_time >= runstate_sum((const uint64_t *)sample->time);
}

/* Does it say what vCPU 0 does, which halts and goes on? */
static bool follows(struct vcpu *vcpu, const struct slat_runstate *area)
{
	struct slat_runstate blocked, running;

	guest_var(vcpu->vm, guest_call) = no_call;
	vcpu_run_to(vcpu, KVM_EXIT_HLT);
	blocked = *area;
	vcpu_await(vcpu, 1);
	running = *area;
	return is_sound(&blocked) && blocked.state == SLAT_RUNSTATE_BLOCKED &&
	       is_sound(&running) && running.state == SLAT_RUNSTATE_RUNNING &&
	       running.entry_time > blocked.entry_time &&
	       runstate_begin(&running) == runstate_begin(&blocked);
}

/* Of a vCPU that never ran: just registered. */
static bool is_fresh(const struct slat_runstate *area)
{
	return is_sound(area) && area->state == SLAT_RUNSTATE_OFFLINE &&
	       area->entry_time && !runstate_sum((const uint64_t *)area->time);
}

/* --- where it may lie */

TEST_F(runstate, R1_R4_physical_by_the_vmm)
{
	struct slat_runstate *area = vm_ptr(self->vm, AREA_GPA);

	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_TRUE(is_fresh(area));
	EXPECT_TRUE(follows(self->vcpu, area));
	EXPECT_EQ(self->pins + 1, pinned_pages());
}

TEST_F(runstate, R1_R4_physical_by_the_guest)
{
	struct slat_runstate *area = vm_ptr(self->vm, AREA_GPA);

	EXPECT_EQ(0, hypercall(self->vcpu, 0, AREA_GPA, 0));
	EXPECT_TRUE(is_sound(area));
	EXPECT_EQ(SLAT_RUNSTATE_RUNNING, area->state);
	EXPECT_TRUE(follows(self->vcpu, area));
}

/* R4: a sample is there, although that vCPU never runs. */
TEST_F(runstate, R1_R4_for_another_vcpu)
{
	struct slat_runstate *area = vm_ptr(self->vm, AREA_GPA);

	EXPECT_EQ(0, hypercall(self->vcpu, 7, AREA_GPA, 0));
	EXPECT_TRUE(is_fresh(area));
	memset(area, 0xff, AREA_SIZE);
	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 7, AREA_GPA));
	EXPECT_TRUE(is_fresh(area));
}

TEST_F(runstate, R1_virtual)
{
	struct slat_runstate *area = vm_ptr(self->vm, AREA_GPA + 0x78);

	vm_map(self->vm, GVA, AREA_GPA, PAGE_SIZE, PT_ALL);
	EXPECT_EQ(0, hypercall(self->vcpu, 0, GVA + 0x78, SLAT_RUNSTATE_VIRTUAL));
	EXPECT_TRUE(follows(self->vcpu, area));
	/* As by a write of the guest's. */
	EXPECT_TRUE(*(uint64_t *)vm_pte(self->vm, GVA) & PT_DIRTY);
	/* The address is the caller's, whosever the area is. */
	EXPECT_EQ(0, hypercall(self->vcpu, 7, GVA + 0x178, SLAT_RUNSTATE_VIRTUAL));
	EXPECT_TRUE(is_fresh(vm_ptr(self->vm, AREA_GPA + 0x178)));
}

TEST_F(runstate, R3_crosses_a_page)
{
	uint8_t *mem = vm_ptr(self->vm, AREA_GPA);
	unsigned int i;

	memset(mem, 0xa5, 2 * PAGE_SIZE);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA + CROSSING));
	EXPECT_TRUE(follows(self->vcpu, (void *)mem + CROSSING));
	EXPECT_EQ(self->pins + 2, pinned_pages());
	/* Nothing else is touched. */
	for (i = 0; i < CROSSING; i++)
		ASSERT_EQ(0xa5, mem[i]);
	for (i = CROSSING + AREA_SIZE; i < 2 * PAGE_SIZE; i++)
		ASSERT_EQ(0xa5, mem[i]);
}

TEST_F(runstate, R3_crosses_into_a_page_from_elsewhere)
{
	uint8_t joined[AREA_SIZE];

	vm_map(self->vm, GVA, OTHER_GPA, PAGE_SIZE, PT_ALL);
	vm_map(self->vm, GVA + PAGE_SIZE, AREA_GPA, PAGE_SIZE, PT_ALL);
	ASSERT_EQ(0, hypercall(self->vcpu, 7, GVA + CROSSING, SLAT_RUNSTATE_VIRTUAL));
	memcpy(joined, vm_ptr(self->vm, OTHER_GPA + CROSSING), 24);
	memcpy(joined + 24, vm_ptr(self->vm, AREA_GPA), AREA_SIZE - 24);
	EXPECT_TRUE(is_fresh((void *)joined));
}

/* The last place that does not cross, and the first that does. */
TEST_F(runstate, R3_at_the_end_of_a_page)
{
	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA + PAGE_SIZE - AREA_SIZE));
	EXPECT_EQ(self->pins + 1, pinned_pages());
	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA + PAGE_SIZE - AREA_SIZE + 8));
	EXPECT_EQ(self->pins + 2, pinned_pages());
}

/* --- replacing and unregistering */

TEST_F(runstate, R4_replaced)
{
	struct slat_runstate *area = vm_ptr(self->vm, AREA_GPA);
	struct slat_runstate *other = vm_ptr(self->vm, OTHER_GPA);
	struct slat_runstate last;

	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_TRUE(follows(self->vcpu, area));
	last = *area;
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, OTHER_GPA));
	/* It goes on with the times, and the first one is left alone. */
	EXPECT_EQ(runstate_begin(&last), runstate_begin(other));
	EXPECT_TRUE(follows(self->vcpu, other));
	EXPECT_EQ(0, memcmp(&last, area, AREA_SIZE));
	EXPECT_EQ(self->pins + 1, pinned_pages());
}

TEST_F(runstate, R4_unregistered_by_address_0)
{
	struct slat_runstate *area = vm_ptr(self->vm, AREA_GPA);
	struct slat_get_runstate get;
	struct slat_runstate last;

	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 0, 0));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_EQ(0, hypercall(self->vcpu, 0, 0, 0));
	last = *area;
	EXPECT_FALSE(follows(self->vcpu, area));
	EXPECT_EQ(0, memcmp(&last, area, AREA_SIZE));
	EXPECT_EQ(self->pins, pinned_pages());
	EXPECT_EQ(-ENOENT, vm_try_get_runstate(self->vm, 0, &get));
	/* Another one begins anew. */
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_EQ(area->entry_time, runstate_begin(area));
	EXPECT_EQ(0, hypercall(self->vcpu, 0, 0, SLAT_RUNSTATE_VIRTUAL));
	EXPECT_EQ(self->pins, pinned_pages());
}

/* --- refusals: the area that is there stays, and nothing is pinned */

#define EXPECT_REFUSED(err, call)					\
	do {								\
		EXPECT_EQ(err, call);					\
		EXPECT_EQ(self->pins + 1, pinned_pages());		\
		EXPECT_TRUE(follows(self->vcpu, vm_ptr(self->vm, AREA_GPA))); \
	} while (0)

/* By its physical address from both sides, and by a virtual one. */
#define EXPECT_BAD_PLACE(err, gpa)					\
	do {								\
		uint64_t at = gpa, page = at & -PAGE_SIZE;		\
									\
		vm_map(self->vm, GVA, page, 2 * PAGE_SIZE, PT_ALL);	\
		EXPECT_REFUSED(err, vm_try_set_runstate(self->vm, 0, at)); \
		EXPECT_REFUSED(err, hypercall(self->vcpu, 0, at, 0));	\
		EXPECT_REFUSED(err, hypercall(self->vcpu, 0, GVA + at - page, \
					      SLAT_RUNSTATE_VIRTUAL));	\
	} while (0)

TEST_F(runstate, R3_misaligned)
{
	unsigned int i;

	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	for (i = 1; i < 8; i++)
		EXPECT_BAD_PLACE(-EINVAL, OTHER_GPA + i);
}

TEST_F(runstate, R3_no_memory_there)
{
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_BAD_PLACE(-ENOENT, VM_MMIO_GPA);
	/* The second page alone. */
	EXPECT_BAD_PLACE(-ENOENT, VM_RAM_SIZE - 24);
	EXPECT_REFUSED(-ENOENT, vm_try_set_runstate(self->vm, 0, -48ul));
	EXPECT_REFUSED(-ENOENT, vm_try_set_runstate(self->vm, 0, 1ul << 60));
}

TEST_F(runstate, R3_read_only)
{
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	vm_slot(self->vm, SLOT, KVM_MEM_READONLY, VM_RAM_SIZE, PAGE_SIZE,
		mem_alloc(PAGE_SIZE));
	EXPECT_BAD_PLACE(-EROFS, VM_RAM_SIZE);
	EXPECT_BAD_PLACE(-EROFS, VM_RAM_SIZE - 24);
}

TEST_F(runstate, R3_no_host_memory)
{
	uint8_t *mem = mem_alloc(4 * PAGE_SIZE);

	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, 4 * PAGE_SIZE, mem);
	mprotect(mem + PAGE_SIZE, PAGE_SIZE, PROT_READ);
	munmap(mem + 2 * PAGE_SIZE, PAGE_SIZE);
	EXPECT_BAD_PLACE(-EFAULT, SLOT_GPA + PAGE_SIZE);
	EXPECT_BAD_PLACE(-EFAULT, SLOT_GPA + 2 * PAGE_SIZE);
	EXPECT_BAD_PLACE(-EFAULT, SLOT_GPA + CROSSING);
}

TEST_F(runstate, R3_device_memory)
{
	int fd;

	if (access(BAR_MODULE, R_OK))
		SKIP(return, "no " BAR_MODULE);
	ASSERT_EQ(0, bar_load());
	fd = bar_open();
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, BAR_SIZE, bar_map_shared(fd, BAR_RAM_WB));
	EXPECT_BAD_PLACE(-ENXIO, SLOT_GPA);
	vm_slot_delete(self->vm, SLOT);
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, BAR_SIZE, bar_map_shared(fd, BAR_ROM));
	EXPECT_BAD_PLACE(-ENXIO, SLOT_GPA);
}

TEST_F(runstate, R3_memory_lock_limit)
{
	const struct rlimit one = { PAGE_SIZE, PAGE_SIZE };
	const long locked = file_field("/proc/self/status", "VmLck");

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &one));
	drop_capability(CAP_IPC_LOCK);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_EQ(locked + 4, file_field("/proc/self/status", "VmLck"));
	EXPECT_BAD_PLACE(-ENOMEM, OTHER_GPA);
	EXPECT_BAD_PLACE(-ENOMEM, OTHER_GPA + CROSSING);
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, 0));
	EXPECT_EQ(locked, file_field("/proc/self/status", "VmLck"));
	EXPECT_EQ(-ENOMEM, vm_try_set_runstate(self->vm, 0, OTHER_GPA + CROSSING));
	EXPECT_EQ(locked, file_field("/proc/self/status", "VmLck"));
}

TEST_F(runstate, R3_no_such_vcpu)
{
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_REFUSED(-ESRCH, vm_try_set_runstate(self->vm, 1, OTHER_GPA));
	EXPECT_REFUSED(-ESRCH, vm_try_set_runstate(self->vm, -1u, 0));
	EXPECT_REFUSED(-ESRCH, hypercall(self->vcpu, 1, OTHER_GPA, 0));
	EXPECT_REFUSED(-ESRCH, hypercall(self->vcpu, 7 + (1ul << 32), OTHER_GPA, 0));
}

TEST_F(runstate, R3_not_mapped_by_the_guest)
{
	struct vm *vm = self->vm;

	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, AREA_GPA));
	vm_map(vm, GVA, OTHER_GPA, PAGE_SIZE, PT_ALL);
	/* The second page is not there, nor anything around. */
	EXPECT_REFUSED(-ENOENT, hypercall(self->vcpu, 0, GVA + CROSSING, SLAT_RUNSTATE_VIRTUAL));
	EXPECT_REFUSED(-ENOENT, hypercall(self->vcpu, 0, GVA + MIB, SLAT_RUNSTATE_VIRTUAL));
	vm_map(vm, GVA, OTHER_GPA, PAGE_SIZE, PT_PRESENT);
	EXPECT_REFUSED(-ENOENT, hypercall(self->vcpu, 0, GVA, SLAT_RUNSTATE_VIRTUAL));
	/* Its low bits are mapped. */
	EXPECT_REFUSED(-ENOENT, hypercall(self->vcpu, 0, OTHER_GPA | 1ul << 62,
					  SLAT_RUNSTATE_VIRTUAL));
}

TEST_F(runstate, unknown_flags)
{
	unsigned int bit;

	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	for (bit = 1; bit < 64; bit += 9)
		EXPECT_REFUSED(-EINVAL, hypercall(self->vcpu, 0, OTHER_GPA, 1ul << bit));
}

/* --- when there is no such hypercall */

TEST_F(runstate, R1_enabled_by_the_vmm_alone)
{
	EXPECT_EQ(1, slat_check_extension(SLAT_CAP_RUNSTATE));
	EXPECT_EQ(-EINVAL, vm_try_runstate_calls(self->vm, 2));
	EXPECT_EQ(0, vm_try_runstate_calls(self->vm, 0));
	EXPECT_EQ(-1000, hypercall(self->vcpu, 0, AREA_GPA, 0));
	EXPECT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_REFUSED(-1000, hypercall(self->vcpu, 0, 0, 0));
	EXPECT_EQ(0, vm_try_runstate_calls(self->vm, 1));
	EXPECT_EQ(0, hypercall(self->vcpu, 0, 0, 0));
}

static void user_call(uint64_t unused)
{
	user_report(1, guest_set_runstate(0, OTHER_GPA, 0));
}

static void guest_calls_from_user_mode(uint64_t unused)
{
	guest_enter_user(user_call, 0);
}

TEST_F(runstate, not_from_user_mode)
{
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	guest_enter_c(self->vcpu, guest_calls_from_user_mode, 0);
	EXPECT_EQ(-EPERM, (int64_t)vcpu_await(self->vcpu, 1));
}

/* --- the structures: what they have in common is in refuse_slat_test */

TEST_F(runstate, R5_layout)
{
	const struct slat_set_runstate bad = { .size = sizeof(bad), .reserved = 1 };

	ASSERT_EQ(SLAT_SET_RUNSTATE_SIZE_VER0, sizeof(struct slat_set_runstate));
	ASSERT_EQ(SLAT_GET_RUNSTATE_SIZE_VER0, sizeof(struct slat_get_runstate));
	ASSERT_EQ(48, sizeof(struct slat_runstate));
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vm->fd, SLAT_SET_RUNSTATE, &bad));
}

TEST_F(runstate, R6_read_by_the_vmm)
{
	struct slat_get_runstate get;

	EXPECT_EQ(-ESRCH, vm_try_get_runstate(self->vm, 1, &get));
	EXPECT_EQ(-ENOENT, vm_try_get_runstate(self->vm, 0, &get));
	ASSERT_EQ(0, vm_try_set_runstate(self->vm, 0, AREA_GPA));
	EXPECT_EQ(0, vm_try_get_runstate(self->vm, 0, &get));
	EXPECT_EQ(SLAT_RUNSTATE_OFFLINE, get.state);
}

SLAT_HARNESS_MAIN
