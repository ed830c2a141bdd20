// SPDX-License-Identifier: GPL-2.0-only
/*
 * B3: vCPUs of one VM fault on the same and on different pages at the same
 * time, while other threads unmap memory and delete slots. What each vCPU
 * writes goes where it belongs, and when all slots are gone nothing is left in
 * the nested tables but their root.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/slat.h>

#include "harness.h"
#include "worker.h"

#define VCPUS		4
#define PAGES		64
#define SIZE		(PAGES * PAGE_SIZE)
#define GPA		VM_PLAY_GPA
#define ROUNDS		150

FIXTURE(parallel)
{
	struct vm *vm;
	struct vcpu *vcpu[VCPUS];
	struct worker worker[VCPUS];
	struct mix *mix[VCPUS];
	void *mem;
};

FIXTURE_SETUP(parallel)
{
	unsigned int i;

	watchdog_start(25);
	self->vm = vm_create();
	vm_make_play_tables(self->vm);
	self->mem = mem_alloc(SIZE);
	vm_slot(self->vm, VM_PLAY_SLOT, 0, GPA, SIZE, self->mem);
	for (i = 0; i < VCPUS; i++)
		self->vcpu[i] = vcpu_create(self->vm, i);
}

FIXTURE_TEARDOWN(parallel)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		vcpu_destroy(self->vcpu[i]);
	vm_destroy(self->vm);
	munmap(self->mem, SIZE);
}

static struct slat_stats stats_of(struct vm *vm)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	must_ioctl(vm->fd, SLAT_GET_STATS, &stats);
	return stats;
}

/*
 * The vCPUs share each page, and each has words of its own in it: vCPU i has
 * those from 8 * PAGES * i on. All go round the same pages.
 */
static void start_mixing(struct vm *vm, struct vcpu **vcpu, struct mix **mix,
			 struct worker *worker)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		mix[i] = mix_enter(vcpu[i], i, GPA + i * 8 * PAGES, PAGES,
				   PAGE_SIZE);
	for (i = 0; i < VCPUS; i++)
		worker_start(&worker[i], vcpu[i]);
}

static bool all_move(struct worker *worker, struct mix **mix)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		if (!worker_wait(&worker[i], &mix[i]->rounds, 1))
			return false;
	return true;
}

static bool stop_mixing(struct worker *worker, struct mix **mix,
			const void *mem)
{
	bool is_well = true;
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		is_well &= worker_stop(&worker[i]);
	for (i = 0; i < VCPUS; i++)
		is_well &= mix_check(mix[i], mem + i * 8 * PAGES);
	return is_well;
}

/* Nothing that changes contents, but after it all fault again. */
static void shake(void *mem, unsigned int i)
{
	void *at = mem + i % PAGES * PAGE_SIZE;

	switch (i % 3) {
	case 0:
		mprotect(mem, SIZE, PROT_READ);
		mprotect(mem, SIZE, PROT_READ | PROT_WRITE);
		break;
	case 1:
		mprotect(at, PAGE_SIZE, PROT_NONE);
		mprotect(at, PAGE_SIZE, PROT_READ | PROT_WRITE);
		break;
	case 2:
		madvise(mem, SIZE, MADV_PAGEOUT);
		break;
	}
}

SLOW_TEST(parallel, same_pages)
{
	unsigned int i;

	start_mixing(self->vm, self->vcpu, self->mix, self->worker);
	for_rounds (i, look_often(ROUNDS), look_for(5)) {
		shake(self->mem, i);
		if (i % 16 == 0) {
			ASSERT_TRUE(all_move(self->worker, self->mix));
		}
	}
	ASSERT_TRUE(all_move(self->worker, self->mix));
	EXPECT_TRUE(stop_mixing(self->worker, self->mix, self->mem));
}

struct shaker {
	pthread_t thread;
	void *mem;
	bool stop;
};

static void *shake_on(void *arg)
{
	struct shaker *shaker = arg;
	unsigned int i;

	for (i = 0; !READ_ONCE(shaker->stop); i++)
		shake(shaker->mem, i);
	return NULL;
}

/* Slots that the guest does not touch come and go: it must not notice. */
SLOW_TEST(parallel, slots_come_and_go)
{
	struct shaker shaker = { .mem = self->mem };
	void *other = mem_alloc(SIZE);
	unsigned int i;

	start_mixing(self->vm, self->vcpu, self->mix, self->worker);
	ASSERT_EQ(0, pthread_create(&shaker.thread, NULL, shake_on, &shaker));
	for_rounds (i, look_often(ROUNDS), look_for(5)) {
		/* Next to it, far away, and over the same host memory. */
		vm_slot(self->vm, 2, 0, GPA + SIZE, SIZE, other);
		vm_slot(self->vm, 3, 0, 1ul << 36, SIZE, self->mem);
		vm_slot(self->vm, 2, 0, GPA + 3 * SIZE, SIZE, other);
		vm_slot_delete(self->vm, 2);
		vm_slot_delete(self->vm, 3);
	}
	ASSERT_TRUE(all_move(self->worker, self->mix));
	WRITE_ONCE(shaker.stop, true);
	pthread_join(shaker.thread, NULL);
	EXPECT_TRUE(stop_mixing(self->worker, self->mix, self->mem));
}

/*
 * The slot itself goes and comes back over other memory. Accesses in between
 * are MMIO. vCPU i writes i + 1, to words of that number only.
 */
static void guest_touch(uint64_t salt)
{
	uint64_t i;

	for (i = salt * 5;; i++) {
		uint64_t gpa = GPA + i % PAGES * PAGE_SIZE + salt * 8;

		if (i & 4)
			WRITE_ONCE(*(uint64_t *)gpa, salt);
		else
			READ_ONCE(*(uint64_t *)gpa);
	}
}

static bool holds_only(const uint64_t *mem, unsigned int vcpus)
{
	unsigned int i, k;

	for (i = 0; i < PAGES; i++)
		for (k = 0; k < 512; k++) {
			uint64_t value = mem[i * 512 + k];

			if (value && (value != k || k > vcpus))
				return false;
		}
	return true;
}

SLOW_TEST(parallel, slot_deleted_under_all)
{
	uint64_t *mem[2] = { self->mem, mem_alloc(SIZE) }, *before;
	struct slat_stats stats;
	unsigned int i, k;

	before = mem_alloc(SIZE);
	for (i = 0; i < VCPUS; i++)
		guest_enter_c(self->vcpu[i], guest_touch, i + 1);
	for (i = 0; i < VCPUS; i++)
		worker_start(&self->worker[i], self->vcpu[i]);
	for_rounds (i, look_often(ROUNDS), look_for(6)) {
		vm_slot_delete(self->vm, VM_PLAY_SLOT);
		/* Nobody writes to memory that is no slot any more. */
		if (i % 8 == 7) {
			memcpy(before, mem[!(i & 1)], SIZE);
			for (k = 0; k < VCPUS; k++)
				ASSERT_TRUE(worker_wait(&self->worker[k],
						&self->worker[k].mmios, 2));
			ASSERT_EQ(0, memcmp(before, mem[!(i & 1)], SIZE));
		}
		vm_slot(self->vm, VM_PLAY_SLOT, 0, GPA, SIZE, mem[i & 1]);
		if (i % 8 == 7)
			memset(mem[i & 1], 0, SIZE);
	}
	for (i = 0; i < VCPUS; i++)
		EXPECT_TRUE(worker_stop(&self->worker[i]));
	EXPECT_TRUE(holds_only(mem[0], VCPUS));
	EXPECT_TRUE(holds_only(mem[1], VCPUS));

	stats = stats_of(self->vm);
	EXPECT_LT(0, stats.leaves);
	EXPECT_LE(stats.levels, stats.tables);	/* RAM may be mapped in large leaves */
	EXPECT_LE(stats.mmio_exits, stats.user_exits);
	EXPECT_LE(stats.user_exits, stats.exits);
	EXPECT_LT(0, stats.faults);
	vm_slot_delete(self->vm, VM_PLAY_SLOT);
	vm_slot_delete(self->vm, VM_RAM_SLOT);
	stats = stats_of(self->vm);
	EXPECT_EQ(0, stats.leaves);
	EXPECT_EQ(1, stats.tables);
}

SLAT_HARNESS_MAIN
