// SPDX-License-Identifier: GPL-2.0-only
/* Faults of one VM on several CPUs: wall time, for machines that have them. */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "worker.h"

#define PAGES		(VM_PLAY_SIZE / PAGE_SIZE)
#define VCPUS_MAX	2

/* The part-th of so many parts of the pages, downwards: each a fault of its own. */
static void guest_touch_part(uint64_t arg)
{
	const uint64_t part = arg & 0xff, pages = PAGES / (arg >> 8);
	volatile uint8_t *page = (uint8_t *)VM_PLAY_GPA + (part + 1) * pages * PAGE_SIZE;
	uint64_t n;

	for (n = pages; n--;)
		*(page -= PAGE_SIZE) = 1;
}

static void *run_vcpu(void *vcpu)
{
	vcpu_await_done(vcpu);
	return NULL;
}

static uint64_t time_vcpus(struct vm *vm, unsigned int vcpus)
{
	struct vcpu *vcpu[VCPUS_MAX];
	pthread_t thread[VCPUS_MAX];
	unsigned int i;
	uint64_t ns;

	for (i = 0; i < vcpus; i++) {
		vcpu[i] = vcpu_create(vm, i);
		guest_enter_c(vcpu[i], guest_touch_part, vcpus << 8 | i);
	}
	ns = now_ns();
	for (i = 0; i < vcpus; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, run_vcpu, vcpu[i]), "no thread");
	for (i = 0; i < vcpus; i++)
		pthread_join(thread[i], NULL);
	ns = now_ns() - ns;
	for (i = 0; i < vcpus; i++)
		vcpu_destroy(vcpu[i]);
	return ns;
}

/* For all pages. */
static uint64_t time_faults(void *mem, unsigned int vcpus)
{
	struct vm *vm = vm_create();
	uint64_t ns;

	vm_make_play_tables(vm);
	vm_slot(vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, VM_PLAY_SIZE, mem);
	ns = time_vcpus(vm, vcpus);
	vm_destroy(vm);
	return ns;
}

void print_parallel(void)
{
	uint64_t ns[VCPUS_MAX + 1] = {};
	unsigned int i, vcpus;
	void *mem;

	watchdog_start(120);
	mem = mem_alloc(VM_PLAY_SIZE);
	REQUIRE(!madvise(mem, VM_PLAY_SIZE, MADV_NOHUGEPAGE), "no small pages");
	memset(mem, 1, VM_PLAY_SIZE);
	for (i = 0; i < 5; i++) {
		for (vcpus = 1; vcpus <= VCPUS_MAX; vcpus++) {
			const uint64_t time = time_faults(mem, vcpus);

			if (!ns[vcpus] || time < ns[vcpus])
				ns[vcpus] = time;
		}
	}
	printf("parallel-faults ms on 1 CPU: %lu, on 2: %lu\n", ns[1] / 1000000, ns[2] / 1000000);
}
