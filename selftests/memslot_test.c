// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B2: memory slots as the guest sees them: created, moved, deleted and
 * created again while mapped, read-only, many, adjacent, over the same memory,
 * and changed while a vCPU runs. Refusals are in refuse_slot_test.c.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "harness.h"

VM_FIXTURE(memslot);

#define SLOT		1
#define SLOT_GPA	0x10000000ul
#define SLOT_PAGES	4
#define SLOT_SIZE	(SLOT_PAGES * PAGE_SIZE)

/* Reports what is at each address that the host names in guest_address. */
static uint64_t guest_address, guest_value;

static void guest_reader(uint64_t unused)
{
	for (;;)
		guest_report(1, READ_ONCE(*(uint64_t *)READ_ONCE(guest_address)));
}

static void guest_writer(uint64_t unused)
{
	for (;;) {
		WRITE_ONCE(*(uint64_t *)READ_ONCE(guest_address),
			   READ_ONCE(guest_value));
		guest_report(2, 0);
	}
}

/* 64 MiB at SLOT_GPA are the guest's to touch, slot or not. */
static void enter(struct vcpu *vcpu, void (*guest)(uint64_t))
{
	uint64_t at;

	if (!vcpu->vm->root) {
		vm_make_tables(vcpu->vm, PAGING_4LEVEL);
		for (at = 0; at < 64 * MIB; at += 2 * MIB)
			vm_map_large(vcpu->vm, SLOT_GPA + at, SLOT_GPA + at,
				     PT_ALL);
	}
	guest_enter_c(vcpu, guest, 0);
}

static uint64_t guest_reads(struct vcpu *vcpu, uint64_t gpa)
{
	guest_var(vcpu->vm, guest_address) = gpa;
	return vcpu_await(vcpu, 1);
}

/* The guest's read is an MMIO exit; answered, the guest goes on. */
static bool guest_reads_mmio(struct vcpu *vcpu, uint64_t gpa)
{
	guest_var(vcpu->vm, guest_address) = gpa;
	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	if (!exit_is_mmio(vcpu, false, gpa, 8))
		return false;
	exit_mmio_reply(vcpu, 0x33aa33aa);
	return vcpu_await(vcpu, 1) == 0x33aa33aa;
}

static uint64_t *slot_memory(unsigned int pages, uint64_t first)
{
	uint64_t *mem = mem_alloc(pages * PAGE_SIZE);
	unsigned int i;

	for (i = 0; i < pages; i++)
		mem[i * 512] = first + i;
	return mem;
}

TEST_F(memslot, create_and_delete)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 100);
	unsigned int i;

	enter(self->vcpu, guest_reader);
	EXPECT_TRUE(guest_reads_mmio(self->vcpu, SLOT_GPA));
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
	for (i = 0; i < SLOT_PAGES; i++) {
		EXPECT_EQ(100 + i, guest_reads(self->vcpu,
					       SLOT_GPA + i * PAGE_SIZE));
	}
	/* The pages around it are still nobody's. */
	EXPECT_TRUE(guest_reads_mmio(self->vcpu, SLOT_GPA - PAGE_SIZE +
				     2 * SLOT_SIZE));
	vm_slot_delete(self->vm, SLOT);
	for (i = 0; i < SLOT_PAGES; i++) {
		EXPECT_TRUE(guest_reads_mmio(self->vcpu,
					     SLOT_GPA + i * PAGE_SIZE));
	}
}

/* Both directions are the same memory, without a copy in between. */
TEST_F(memslot, shared_with_host)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 0);

	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
	enter(self->vcpu, guest_writer);
	guest_var(self->vm, guest_address) = SLOT_GPA + 8;
	guest_var(self->vm, guest_value) = 0xabcdef;
	vcpu_await(self->vcpu, 2);
	EXPECT_EQ(0xabcdef, mem[1]);

	enter(self->vcpu, guest_reader);
	mem[1] = 77;
	EXPECT_EQ(77, guest_reads(self->vcpu, SLOT_GPA + 8));
	mem[1] = 78;
	EXPECT_EQ(78, guest_reads(self->vcpu, SLOT_GPA + 8));
}

TEST_F(memslot, move)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 200);
	const uint64_t to = SLOT_GPA + 2 * PAGE_SIZE; /* overlaps itself */
	unsigned int i;

	enter(self->vcpu, guest_reader);
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
	for (i = 0; i < SLOT_PAGES; i++) {
		EXPECT_EQ(200 + i, guest_reads(self->vcpu,
					       SLOT_GPA + i * PAGE_SIZE));
	}
	vm_slot(self->vm, SLOT, 0, to, SLOT_SIZE, mem);
	for (i = 0; i < SLOT_PAGES; i++) {
		EXPECT_EQ(200 + i, guest_reads(self->vcpu, to + i * PAGE_SIZE));
	}
	EXPECT_TRUE(guest_reads_mmio(self->vcpu, SLOT_GPA));
	EXPECT_TRUE(guest_reads_mmio(self->vcpu, SLOT_GPA + PAGE_SIZE));
}

/* The same call twice changes nothing and is no error. */
TEST_F(memslot, same_again)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 300);

	enter(self->vcpu, guest_reader);
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
	EXPECT_EQ(300, guest_reads(self->vcpu, SLOT_GPA));
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
	EXPECT_EQ(300, guest_reads(self->vcpu, SLOT_GPA));
	EXPECT_EQ(301, guest_reads(self->vcpu, SLOT_GPA + PAGE_SIZE));
}

TEST_F(memslot, recreate_with_other_memory)
{
	uint64_t *first = slot_memory(SLOT_PAGES, 400);
	uint64_t *second = slot_memory(2 * SLOT_PAGES, 500);
	unsigned int i;

	enter(self->vcpu, guest_reader);
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, first);
	for (i = 0; i < SLOT_PAGES; i++) {
		EXPECT_EQ(400 + i, guest_reads(self->vcpu,
					       SLOT_GPA + i * PAGE_SIZE));
	}
	vm_slot_delete(self->vm, SLOT);
	vm_slot(self->vm, SLOT, 0, SLOT_GPA, 2 * SLOT_SIZE, second);
	for (i = 0; i < 2 * SLOT_PAGES; i++) {
		EXPECT_EQ(500 + i, guest_reads(self->vcpu,
					       SLOT_GPA + i * PAGE_SIZE));
	}
}

TEST_F(memslot, readonly)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 600);

	if (!slat_check_extension(KVM_CAP_READONLY_MEM))
		SKIP(return, "no KVM_CAP_READONLY_MEM");
	vm_slot(self->vm, SLOT, KVM_MEM_READONLY, SLOT_GPA, SLOT_SIZE, mem);
	enter(self->vcpu, guest_reader);
	EXPECT_EQ(600, guest_reads(self->vcpu, SLOT_GPA));

	enter(self->vcpu, guest_writer);
	guest_var(self->vm, guest_value) = 9;
	/* Once on a page that is mapped, once on one that is not. */
	guest_var(self->vm, guest_address) = SLOT_GPA;
	vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(self->vcpu, true, SLOT_GPA, 8));
	EXPECT_EQ(9, exit_mmio_value(self->vcpu));
	vcpu_await(self->vcpu, 2);
	guest_var(self->vm, guest_address) = SLOT_GPA + PAGE_SIZE;
	vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(self->vcpu, true, SLOT_GPA + PAGE_SIZE, 8));
	vcpu_await(self->vcpu, 2);
	EXPECT_EQ(600, mem[0]);
	EXPECT_EQ(601, mem[512]);

	enter(self->vcpu, guest_reader);
	mem[0] = 1234;
	EXPECT_EQ(1234, guest_reads(self->vcpu, SLOT_GPA));
}

/* Host memory that cannot be written serves a read-only slot (a ROM file). */
TEST_F(memslot, readonly_host_memory)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 650);

	ASSERT_EQ(0, mprotect(mem, SLOT_SIZE, PROT_READ));
	vm_slot(self->vm, SLOT, KVM_MEM_READONLY, SLOT_GPA, SLOT_SIZE, mem);
	enter(self->vcpu, guest_reader);
	EXPECT_EQ(650, guest_reads(self->vcpu, SLOT_GPA));
	EXPECT_EQ(653, guest_reads(self->vcpu, SLOT_GPA + 3 * PAGE_SIZE));
}

/* Whether a slot is read-only stays as it was made, as in KVM. */
TEST_F(memslot, readonly_stays)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 700);

	vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
	EXPECT_EQ(-EINVAL, vm_try_slot(self->vm, SLOT, KVM_MEM_READONLY, SLOT_GPA, SLOT_SIZE,
				       mem));
	enter(self->vcpu, guest_writer);
	guest_var(self->vm, guest_address) = SLOT_GPA;
	guest_var(self->vm, guest_value) = 1;
	vcpu_await(self->vcpu, 2);
	EXPECT_EQ(1, mem[0]);
}

/* --- many, adjacent, aliased */

#define MANY	600

static void guest_many(uint64_t unused)
{
	volatile uint64_t *gpa = (uint64_t *)SLOT_GPA;
	uint64_t i, sum = 0;

	for (i = 0; i < MANY; i++)
		sum += gpa[i * 1024] * (i + 1);
	guest_report(3, sum);
	for (i = 0; i < MANY; i++)
		gpa[i * 1024] = i ^ 0x55;
	guest_report(4, 0);
	/* Between two slots there is nothing. */
	guest_report(5, gpa[512]);
}

/* Neighbours in the guest are far apart in the host and in order of creation. */
static unsigned int many_slot(unsigned int i)
{
	return i * 7 % MANY;
}

static unsigned int many_page(unsigned int i)
{
	return i * 11 % MANY;
}

TEST_F(memslot, many_interleaved)
{
	uint64_t *mem = slot_memory(MANY, 0);
	uint64_t sum = 0;
	unsigned int i;

	ASSERT_LE(MANY + 1, slat_check_extension(KVM_CAP_NR_MEMSLOTS));
	for (i = 0; i < MANY; i++) {
		mem[many_page(i) * 512] = 1000 + i;
		sum += (1000 + i) * (many_slot(i) + 1);
		vm_slot(self->vm, 1 + many_slot(i), 0,
			SLOT_GPA + many_slot(i) * 2 * PAGE_SIZE, PAGE_SIZE,
			mem + many_page(i) * 512);
	}
	enter(self->vcpu, guest_many);
	EXPECT_EQ(sum, vcpu_await(self->vcpu, 3));
	vcpu_await(self->vcpu, 4);
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(many_slot(i) ^ 0x55, mem[many_page(i) * 512]);
	}
	vcpu_run_to(self->vcpu, KVM_EXIT_MMIO);
	EXPECT_TRUE(exit_is_mmio(self->vcpu, false, SLOT_GPA + PAGE_SIZE, 8));
	vcpu_await(self->vcpu, 5);

	/* Take away every second one; the others stay. */
	for (i = 0; i < MANY; i += 2)
		vm_slot_delete(self->vm, 1 + i);
	enter(self->vcpu, guest_reader);
	for (i = 0; i < MANY; i += 37) {
		uint64_t gpa = SLOT_GPA + i * 2 * PAGE_SIZE;

		if (i % 2) {
			EXPECT_EQ(i ^ 0x55, guest_reads(self->vcpu, gpa));
		} else {
			EXPECT_TRUE(guest_reads_mmio(self->vcpu, gpa));
		}
	}
}

/* The highest slot number there is. */
TEST_F(memslot, highest_number)
{
	uint32_t last = slat_check_extension(KVM_CAP_NR_MEMSLOTS) - 1;
	uint64_t *mem = slot_memory(1, 800);

	ASSERT_LE(511, last);
	vm_slot(self->vm, last, 0, SLOT_GPA, PAGE_SIZE, mem);
	enter(self->vcpu, guest_reader);
	EXPECT_EQ(800, guest_reads(self->vcpu, SLOT_GPA));
	vm_slot_delete(self->vm, last);
	EXPECT_TRUE(guest_reads_mmio(self->vcpu, SLOT_GPA));
}

static void guest_over_edge(uint64_t gpa)
{
	guest_report(1, *(volatile uint64_t *)gpa);
	*(volatile uint64_t *)gpa = 0x8877665544332211;
	guest_report(2, 0);
}

TEST_F(memslot, adjacent)
{
	uint8_t *low = mem_alloc(PAGE_SIZE), *high = mem_alloc(PAGE_SIZE);

	memcpy(low + PAGE_SIZE - 4, "\x01\x02\x03\x04", 4);
	memcpy(high, "\x05\x06\x07\x08", 4);
	vm_slot(self->vm, 3, 0, SLOT_GPA + PAGE_SIZE, PAGE_SIZE, high);
	vm_slot(self->vm, 7, 0, SLOT_GPA, PAGE_SIZE, low);
	enter(self->vcpu, guest_over_edge);
	guest_enter_c(self->vcpu, guest_over_edge, SLOT_GPA + PAGE_SIZE - 4);
	EXPECT_EQ(0x0807060504030201, vcpu_await(self->vcpu, 1));
	vcpu_await(self->vcpu, 2);
	EXPECT_EQ(0, memcmp(low + PAGE_SIZE - 4, "\x11\x22\x33\x44", 4));
	EXPECT_EQ(0, memcmp(high, "\x55\x66\x77\x88", 4));
}

/* Two slots over one piece of host memory, at different offsets. */
TEST_F(memslot, alias)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 900);
	const uint64_t alias = SLOT_GPA + 16 * MIB;

	vm_slot(self->vm, 1, 0, SLOT_GPA, SLOT_SIZE, mem);
	vm_slot(self->vm, 2, 0, alias, SLOT_SIZE - PAGE_SIZE, mem + 512);
	enter(self->vcpu, guest_writer);
	guest_var(self->vm, guest_address) = SLOT_GPA + PAGE_SIZE;
	guest_var(self->vm, guest_value) = 55;
	vcpu_await(self->vcpu, 2);
	enter(self->vcpu, guest_reader);
	EXPECT_EQ(55, guest_reads(self->vcpu, alias));
	EXPECT_EQ(902, guest_reads(self->vcpu, alias + PAGE_SIZE));
	/* One goes, the other stays. */
	vm_slot_delete(self->vm, 1);
	EXPECT_TRUE(guest_reads_mmio(self->vcpu, SLOT_GPA + PAGE_SIZE));
	EXPECT_EQ(55, guest_reads(self->vcpu, alias));
}

/* Memory at the end of what the guest's CPU can address. */
TEST_F(memslot, highest_address)
{
	unsigned int bits = slat_cpuid(0x80000008, 0)->eax & 0xff;
	const uint64_t gpa = (1ul << bits) - SLOT_SIZE, gva = 0x600000000000;
	uint64_t *mem = slot_memory(SLOT_PAGES, 950);

	ASSERT_LE(36, bits);
	vm_slot(self->vm, SLOT, 0, gpa, SLOT_SIZE, mem);
	enter(self->vcpu, guest_reader);
	vm_map(self->vm, gva, gpa, SLOT_SIZE, PT_ALL);
	EXPECT_EQ(953, guest_reads(self->vcpu, gva + 3 * PAGE_SIZE));
}

/* --- while a vCPU runs */

#define ROUNDS		300
#define MIN_ROUNDS	10
#define SECONDS		4

/*
 * Reads the slot's first page without end. What it sees must be one of the
 * values that the slot had, or the MMIO answer while there is no slot.
 */
struct run_state {
	struct vcpu *vcpu;
	bool stop;
	bool bad;
	unsigned long mmio, memory;
	uint64_t last;			/* read from memory */
};

#define VALUE_FIRST	0x1111
#define VALUE_SECOND	0x2222
#define VALUE_MMIO	0x3333

static void *run_reader(void *arg)
{
	struct run_state *state = arg;
	struct vcpu *vcpu = state->vcpu;
	struct kvm_regs regs;

	while (!__atomic_load_n(&state->stop, __ATOMIC_RELAXED)) {
		if (vcpu_run(vcpu) == KVM_EXIT_MMIO) {
			if (!exit_is_mmio(vcpu, false, SLOT_GPA, 8))
				state->bad = true;
			exit_mmio_reply(vcpu, VALUE_MMIO);
			__atomic_add_fetch(&state->mmio, 1, __ATOMIC_RELAXED);
			continue;
		}
		vcpu_get_regs(vcpu, &regs);
		if (regs.rsi == VALUE_MMIO)
			continue;
		if (regs.rsi != VALUE_FIRST && regs.rsi != VALUE_SECOND)
			state->bad = true;
		__atomic_store_n(&state->last, regs.rsi, __ATOMIC_RELAXED);
		__atomic_add_fetch(&state->memory, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static bool time_is_up(time_t since)
{
	return time(NULL) - since > SECONDS;
}

static void wait_for_more(unsigned long *counter)
{
	unsigned long was = __atomic_load_n(counter, __ATOMIC_RELAXED);

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) == was)
		sched_yield();
}

TEST_F(memslot, changes_while_running)
{
	uint64_t *first = slot_memory(SLOT_PAGES, VALUE_FIRST);
	uint64_t *second = slot_memory(SLOT_PAGES, VALUE_SECOND);
	struct run_state state = { .vcpu = self->vcpu };
	time_t begin = time(NULL);
	pthread_t thread;
	int i;

	watchdog_start(20);
	enter(self->vcpu, guest_reader);
	guest_var(self->vm, guest_address) = SLOT_GPA;
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_reader, &state));
	for (i = 0; i < ROUNDS; i++) {
		uint64_t *mem = i % 2 ? first : second;
		bool wait = i < MIN_ROUNDS;

		vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
		if (wait) {
			wait_for_more(&state.memory);
			/* This one began after the slot was there. */
			wait_for_more(&state.memory);
			EXPECT_EQ(*mem, READ_ONCE(state.last));
		}
		vm_slot_delete(self->vm, SLOT);
		/* From here on no read may see the slot's memory. */
		if (wait)
			wait_for_more(&state.mmio);
		else if (time_is_up(begin))
			break;
	}
	__atomic_store_n(&state.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_FALSE(state.bad);
	EXPECT_LE(MIN_ROUNDS, state.memory);
	EXPECT_LE(MIN_ROUNDS, state.mmio);
}

/*
 * A guest that counts up in the slot's memory and never exits: once the slot
 * is deleted, the count stands still in the host's memory and the vCPU exits.
 */
static void guest_count(uint64_t gpa)
{
	for (;;)
		(*(volatile uint64_t *)gpa)++;
}

static void *run_to_mmio(void *arg)
{
	struct vcpu *vcpu = arg;

	vcpu_run_to(vcpu, KVM_EXIT_MMIO);
	return NULL;
}

TEST_F(memslot, delete_stops_access)
{
	uint64_t *mem = slot_memory(SLOT_PAGES, 0);
	pthread_t thread;
	uint64_t at_delete;
	int i;

	watchdog_start(20);
	enter(self->vcpu, guest_reader);
	for (i = 0; i < 20; i++) {
		vm_slot(self->vm, SLOT, 0, SLOT_GPA, SLOT_SIZE, mem);
		guest_enter_c(self->vcpu, guest_count, SLOT_GPA);
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_to_mmio,
					    self->vcpu));
		wait_for_more(mem);
		vm_slot_delete(self->vm, SLOT);
		at_delete = READ_ONCE(*mem);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(at_delete, *mem);
		EXPECT_EQ(SLOT_GPA, self->vcpu->run->mmio.phys_addr);
	}
}

SLAT_HARNESS_MAIN
