// SPDX-License-Identifier: GPL-2.0-only
/* Guests that keep going on a thread of their own. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run.h"

void vm_make_play_tables(struct vm *vm)
{
	uint64_t at;

	vm_make_tables(vm, PAGING_4LEVEL);
	for (at = 0; at < VM_PLAY_SIZE; at += 2 * MIB)
		vm_map_large(vm, VM_PLAY_GPA + at, VM_PLAY_GPA + at, PT_ALL);
}

/* --- a vCPU on its thread */

#define KICK	SIGUSR1

static void kicked(int sig)
{
}

/* To other threads; an emulator takes the pause as a hint to run another CPU. */
static void give_way(void)
{
	__builtin_ia32_pause();
	sched_yield();
}

/* False: this exit is the end. */
static bool handle_exit(struct worker *worker, int ret)
{
	struct kvm_run *run = worker->vcpu->run;

	switch (ret) {
	case -EINTR:
		return true;
	case -EFAULT:
		__atomic_add_fetch(&worker->efaults, 1, __ATOMIC_RELEASE);
		give_way();
		return true;
	case 0:
		break;
	default:
		worker->error = ret;
		return false;
	}
	if (run->exit_reason != KVM_EXIT_MMIO) {
		worker->exit_reason = run->exit_reason;
		return false;
	}
	if (!run->mmio.is_write)
		exit_mmio_reply(worker->vcpu, WORKER_MMIO);
	__atomic_add_fetch(&worker->mmios, 1, __ATOMIC_RELEASE);
	return true;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	int ret;

	do {
		ret = try_ioctl(worker->vcpu->fd, KVM_RUN, 0);
	} while (handle_exit(worker, ret) && !READ_ONCE(worker->stop));
	__atomic_store_n(&worker->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

void worker_start(struct worker *worker, struct vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = kicked };
	int ret;

	sigaction(KICK, &action, NULL);
	vcpu->run->immediate_exit = 0;
	*worker = (struct worker){ .vcpu = vcpu };
	ret = pthread_create(&worker->thread, NULL, work, worker);
	REQUIRE(!ret, "pthread_create: %s", strerror(ret));
}

/* Why it ended on its own. */
static void tell(const struct worker *worker)
{
	fprintf(stderr, "# KVM_RUN: %s\n", strerror(-worker->error));
	vcpu_dump(worker->vcpu);
}

bool worker_stop(struct worker *worker)
{
	bool is_well;

	/* Seen by the KVM_RUN that the signal comes too early for. */
	WRITE_ONCE(worker->stop, true);
	WRITE_ONCE(worker->vcpu->run->immediate_exit, 1);
	pthread_kill(worker->thread, KICK);
	pthread_join(worker->thread, NULL);
	worker->vcpu->run->immediate_exit = 0;
	is_well = !worker->error && !worker->exit_reason;
	if (!is_well)
		tell(worker);
	return is_well;
}

bool worker_wait(struct worker *worker, const unsigned long *counter,
		 unsigned long more)
{
	unsigned long first = __atomic_load_n(counter, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) - first < more) {
		if (__atomic_load_n(&worker->ended, __ATOMIC_ACQUIRE)) {
			tell(worker);
			return false;
		}
		give_way();
	}
	return true;
}

/* --- a guest that watches one address */

struct watch guest_watch_state;

static void watch_do(struct watch *watch)
{
	uint64_t *address = (uint64_t *)READ_ONCE(watch->address);

	switch (READ_ONCE(watch->op)) {
	case WATCH_READ:
		WRITE_ONCE(watch->seen, READ_ONCE(*address));
		break;
	case WATCH_WRITE:
		WRITE_ONCE(*address, READ_ONCE(watch->value));
		break;
	case WATCH_COUNT:
		WRITE_ONCE(*address, READ_ONCE(*address) + 1);
		break;
	}
}

void guest_watch(uint64_t unused)
{
	struct watch *watch = &guest_watch_state;

	for (;;) {
		watch_do(watch);
		WRITE_ONCE(watch->rounds, watch->rounds + 1);
		__builtin_ia32_pause();
	}
}

bool watch_round(struct worker *worker)
{
	/* The one under way does not count. */
	return worker_wait(worker, &guest_var(worker->vcpu->vm,
					      guest_watch_state).rounds, 2);
}

bool watch_set(struct worker *worker, enum watch_op op, uint64_t gpa,
	       uint64_t value)
{
	struct watch *watch = &guest_var(worker->vcpu->vm, guest_watch_state);

	/* Rounds with a mix of old and new must not touch memory. */
	WRITE_ONCE(watch->op, WATCH_NOTHING);
	if (!watch_round(worker))
		return false;
	WRITE_ONCE(watch->address, gpa);
	WRITE_ONCE(watch->value, value);
	__atomic_store_n(&watch->op, op, __ATOMIC_RELEASE);
	return op == WATCH_NOTHING || watch_round(worker);
}

uint64_t watch_read(struct worker *worker, uint64_t gpa)
{
	uint64_t seen;

	REQUIRE(watch_set(worker, WATCH_READ, gpa, 0), "the guest stopped");
	seen = READ_ONCE(guest_var(worker->vcpu->vm, guest_watch_state).seen);
	watch_set(worker, WATCH_NOTHING, gpa, 0);
	return seen;
}

void watch_write(struct worker *worker, uint64_t gpa, uint64_t value)
{
	REQUIRE(watch_set(worker, WATCH_WRITE, gpa, value),
		"the guest stopped");
	watch_set(worker, WATCH_NOTHING, gpa, 0);
}

/* --- a guest that mixes memory */

struct mix guest_mixes[MIXES];

/* Changes with page and round, and is never 0. */
static uint64_t mix_value(uint64_t gpa, uint64_t round)
{
	return (round << 32 | gpa >> 4) * 0x9e3779b97f4a7c15 | 1;
}

/* A page is looked at here: near its start or its end. */
static uint64_t mix_address(const struct mix *mix, uint64_t i)
{
	return i * mix->stride + (i * 8 & (PAGE_SIZE - 1));
}

static void mix_one(struct mix *mix, uint64_t i)
{
	uint64_t gpa = mix->gpa + mix_address(mix, i);
	uint64_t seen;

	WRITE_ONCE(mix->at, i);
	seen = READ_ONCE(*(uint64_t *)gpa);
	if (seen != mix->wrote[i]) {
		if (!mix->bad++) {
			mix->bad_gpa = gpa;
			mix->bad_seen = seen;
			mix->bad_wanted = mix->wrote[i];
		}
		return;
	}
	WRITE_ONCE(mix->wrote[i], mix_value(gpa, mix->rounds));
	WRITE_ONCE(*(uint64_t *)gpa, mix->wrote[i]);
}

void guest_mix(uint64_t arg)
{
	struct mix *mix = &guest_mixes[arg];
	uint64_t i;

	for (;;) {
		for (i = 0; i < mix->pages; i++)
			mix_one(mix, i);
		WRITE_ONCE(mix->rounds, mix->rounds + 1);
		__builtin_ia32_pause();
	}
}

struct mix *mix_enter(struct vcpu *vcpu, unsigned int i, uint64_t gpa,
		      uint64_t pages, uint64_t stride)
{
	struct mix *mix;

	REQUIRE(i < MIXES && pages <= MIX_PAGES_MAX, "too much to mix");
	guest_enter_c(vcpu, guest_mix, i);
	mix = &guest_var(vcpu->vm, guest_mixes)[i];
	mix->gpa = gpa;
	mix->pages = pages;
	mix->stride = stride;
	return mix;
}

bool mix_check(const struct mix *mix, const void *memory)
{
	uint64_t i;

	if (mix->bad) {
		fprintf(stderr, "# gpa %#lx: guest saw %#lx, had written %#lx; %lu such\n",
			mix->bad_gpa, mix->bad_seen, mix->bad_wanted, mix->bad);
		return false;
	}
	for (i = 0; i < mix->pages; i++) {
		const uint64_t *at = memory + mix_address(mix, i);

		/* Stopped there: noted already, and perhaps not yet written. */
		if (*at == mix->wrote[i] || i == mix->at)
			continue;
		fprintf(stderr, "# page %lu of the host: %#lx, not %#lx\n", i,
			*at, mix->wrote[i]);
		return false;
	}
	return true;
}

/* --- all in one */

void play_create(struct play *play, void *mem, size_t size, uint32_t flags)
{
	REQUIRE(size <= VM_PLAY_SIZE, "too large");
	watchdog_start(25);
	play->vm = vm_create();
	play->vcpu = vcpu_create(play->vm, 0);
	play->mem = mem ? mem : mem_alloc(size);
	play->size = size;
	play->mix = NULL;
	vm_make_play_tables(play->vm);
	vm_slot(play->vm, VM_PLAY_SLOT, flags, VM_PLAY_GPA, size, play->mem);
}

void play_watch(struct play *play, void *mem, size_t size, uint32_t flags)
{
	play_create(play, mem, size, flags);
	guest_enter_c(play->vcpu, guest_watch, 0);
	worker_start(&play->worker, play->vcpu);
	REQUIRE(watch_round(&play->worker), "the guest does not run");
}

void play_mix(struct play *play, void *mem, size_t size)
{
	play_create(play, mem, size, 0);
	play->mix = mix_enter(play->vcpu, 0, VM_PLAY_GPA, size / PAGE_SIZE,
			      PAGE_SIZE);
	worker_start(&play->worker, play->vcpu);
	REQUIRE(worker_wait(&play->worker, &play->mix->rounds, 2),
		"the guest does not run");
}

bool play_end(struct play *play)
{
	bool is_well = worker_stop(&play->worker);

	if (play->mix && !mix_check(play->mix, play->mem))
		is_well = false;
	vcpu_destroy(play->vcpu);
	vm_destroy(play->vm);
	return is_well;
}

/* --- limits */

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void pin(unsigned int nr)
{
	/* Before the first call. */
	static cpu_set_t given;
	unsigned int cpu, left = nr;
	cpu_set_t set;

	if (!CPU_COUNT(&given))
		REQUIRE(!sched_getaffinity(0, sizeof(given), &given), "%s", strerror(errno));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &given) && !left--)
			break;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	REQUIRE(!sched_setaffinity(0, sizeof(set), &set), "CPU %u of those given: %s", nr,
		strerror(errno));
}

long file_number(const char *path)
{
	FILE *file = fopen(path, "r");
	long number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

long file_field(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	size_t len = strlen(name);
	long number = -1;
	char line[256];

	if (!file)
		return -1;
	while (number < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, len) && strchr(": \t", line[len]))
			number = atol(line + len + 1);
	fclose(file);
	return number;
}

int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

long pinned_pages(void)
{
	/* What CPUs have counted each for itself. */
	file_write("/proc/sys/vm/stat_refresh", "1");
	return file_field("/proc/vmstat", "nr_foll_pin_acquired") -
	       file_field("/proc/vmstat", "nr_foll_pin_released");
}

void drop_capability(unsigned int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	REQUIRE(!syscall(SYS_capget, &head, caps), "capget");
	caps[cap / 32].effective &= ~(1u << cap % 32);
	REQUIRE(!syscall(SYS_capset, &head, caps), "capset");
}

/* --- memory that the test fills in */

int uffd_open(void *mem, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)mem, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	const int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	REQUIRE(fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &range),
		"userfaultfd: %s", strerror(errno));
	return fd;
}

void uffd_await(int fd)
{
	struct uffd_msg msg;

	REQUIRE(read(fd, &msg, sizeof(msg)) == sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT,
		"userfaultfd: %s", strerror(errno));
}

void uffd_fill(int fd, void *at, void *page)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)at, .src = (uintptr_t)page, .len = PAGE_SIZE,
	};

	REQUIRE(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY: %s", strerror(errno));
}
