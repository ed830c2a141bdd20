// SPDX-License-Identifier: GPL-2.0-only
/*
 * P2: guards and claims of guest frames exclude each other, whoever comes first, and only
 * on the same frames; P1: a second unmap of one map is refused. Conversions are made by
 * kmod/guard_test.c. Who is at guest memory is made to stay there by userfaultfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "harness.h"
#include "runstate.h"
#include "worker.h"

#define GPA	VM_PLAY_GPA
#define GFN	(GPA / PAGE_SIZE)
#define PAGES	8
#define SIZE	(PAGES * PAGE_SIZE)

SLOW_TESTS(guard);

/* --- claims */

/* The last VM of process pid. */
static int claims_open(int pid)
{
	char path[160];
	int fd;

	vm_debugfs(path, sizeof(path), pid, "/guard_test");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0, "no %s", path);
	return fd;
}

static int claims_write(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int claim(int fd, uint64_t first, uint64_t last)
{
	char text[64];

	snprintf(text, sizeof(text), "claim %lx %lx", first, last);
	return claims_write(fd, text);
}

static int claim_release(int fd)
{
	return claims_write(fd, "release");
}

/* Is there such a line in debugfs' guards? */
static bool guard_shown(const char *line)
{
	char path[160], text[4096] = "";
	FILE *file;

	vm_debugfs(path, sizeof(path), getpid(), "/guards");
	file = fopen(path, "r");
	REQUIRE(file, "no %s", path);
	fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	return strstr(text, line);
}

static bool guard_await(const char *line)
{
	const double end = now() + 5 * time_scale();

	while (!guard_shown(line)) {
		if (now() > end)
			return false;
		usleep(1000);
	}
	return true;
}

SLOW_TEST(guard, P2_claims)
{
	uint8_t *mem = mem_alloc(SIZE);
	int claims[2], window;
	struct vm *vm;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vm = vm_create_empty();
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	claims[0] = claims_open(getpid());
	claims[1] = claims_open(getpid());
	EXPECT_EQ(0, claim(claims[0], GFN, GFN + 3));
	EXPECT_EQ(-EBUSY, claim(claims[1], GFN + 3, GFN + 7));
	EXPECT_EQ(-EBUSY, claim(claims[1], 0, GFN));
	EXPECT_EQ(0, claim(claims[1], GFN + 4, GFN + 7));
	EXPECT_EQ(0, claim_release(claims[0]));
	EXPECT_EQ(0, claim_release(claims[1]));

	/* Any page of a window. */
	window = vm_try_window(vm, 0, GPA + PAGE_SIZE, 3 * PAGE_SIZE);
	ASSERT_LE(0, window);
	EXPECT_EQ(-EBUSY, claim(claims[0], GFN + 3, GFN + 3));
	EXPECT_EQ(-EBUSY, claim(claims[0], 0, -1ul));
	EXPECT_EQ(0, claim(claims[0], 0, GFN));
	EXPECT_EQ(0, claim(claims[1], GFN + 4, -1ul));
	EXPECT_EQ(0, claim_release(claims[0]));
	close(window);
	EXPECT_EQ(0, claim(claims[0], 0, GFN + 3));
	/* The end of the file is the claim's. */
	close(claims[1]);
	close(claims[0]);
	EXPECT_EQ(0, vm_try_copy(vm, true, GPA, "x", 1, NULL));
	vm_destroy(vm);
}

/* A runstate area, also on pages that the VMM has taken away. */
SLOW_TEST(guard, R8_P8_runstate_areas)
{
	uint8_t *mem = mem_alloc(SIZE);
	struct vcpu *vcpu;
	struct vm *vm;
	int fd;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vm = vm_create_empty();
	vcpu = vcpu_create(vm, 0);
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	fd = claims_open(getpid());
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, GPA + 2 * PAGE_SIZE - 8));
	EXPECT_TRUE(guard_shown("runstate vcpu 0"));
	madvise(mem, SIZE, MADV_DONTNEED);
	EXPECT_EQ(-EBUSY, claim(fd, GFN + 1, GFN + 1));
	EXPECT_EQ(-EBUSY, claim(fd, GFN + 2, GFN + 2));
	EXPECT_EQ(0, claim(fd, GFN + 3, GFN + 7));
	EXPECT_EQ(0, claim_release(fd));
	ASSERT_EQ(0, vm_try_set_runstate(vm, 0, 0));
	EXPECT_FALSE(guard_shown("runstate"));
	EXPECT_EQ(0, claim(fd, GFN, GFN + 7));
	close(fd);
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

/* --- whoever wants to a claimed frame waits */

struct copier {
	struct vm *vm;
	pthread_t thread;
	bool write;
	uint64_t gpa;
	char byte;
	int ret;
	bool done;
};

static void *copier_run(void *arg)
{
	struct copier *copier = arg;

	copier->ret = vm_try_copy(copier->vm, copier->write, copier->gpa, &copier->byte, 1, NULL);
	WRITE_ONCE(copier->done, true);
	return NULL;
}

static void copier_start(struct copier *copier, struct vm *vm, bool write, uint64_t gpa)
{
	*copier = (struct copier) { .vm = vm, .write = write, .gpa = gpa, .byte = 'x' };
	REQUIRE(!pthread_create(&copier->thread, NULL, copier_run, copier), "no thread");
}

SLOW_TEST(guard, P2_claimed_frames_wait)
{
	uint8_t *mem = mem_alloc(SIZE);
	struct copier reader, writer;
	int claims, other;
	struct vm *vm;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vm = vm_create_empty();
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	claims = claims_open(getpid());
	other = claims_open(getpid());
	ASSERT_EQ(0, claim(claims, GFN, GFN));
	ASSERT_EQ(0, claim(other, GFN + 2, GFN + 2));
	copier_start(&reader, vm, false, GPA);
	copier_start(&writer, vm, true, GPA);
	usleep(50000);
	EXPECT_FALSE(READ_ONCE(reader.done) || READ_ONCE(writer.done));
	/* Not for another frame, nor one that somebody else has claimed. */
	EXPECT_EQ(0, vm_try_copy(vm, true, GPA + PAGE_SIZE, "x", 1, NULL));
	EXPECT_EQ(0, claim_release(other));
	usleep(50000);
	EXPECT_FALSE(READ_ONCE(reader.done) || READ_ONCE(writer.done));
	EXPECT_EQ(0, mem[0]);
	EXPECT_EQ(0, claim_release(claims));
	pthread_join(reader.thread, NULL);
	pthread_join(writer.thread, NULL);
	EXPECT_EQ(0, reader.ret);
	EXPECT_EQ(0, writer.ret);
	EXPECT_EQ('x', mem[0]);
	close(claims);
	close(other);
	vm_destroy(vm);
}

/* A guest whose page tables, or operand, are claimed. */
static void guest_copy_to_mmio(uint64_t gpa)
{
	const void *from = (void *)gpa;
	void *to = (void *)VM_MMIO_GPA;
	uint64_t n = 1;

	asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
}

static void *run_vcpu(void *vcpu)
{
	return (void *)(long)vcpu_try_run(vcpu);
}

/* A VM whose guest copies the first byte at GPA to MMIO. */
static struct vcpu *copying_guest(uint8_t *mem)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vm_make_play_tables(vm);
	vm_slot(vm, VM_PLAY_SLOT, 0, GPA, SIZE, mem);
	guest_enter_c(vcpu, guest_copy_to_mmio, GPA);
	return vcpu;
}

static void copying_guest_end(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

SLOW_TEST(guard, P2_emulation_waits)
{
	uint8_t *mem = mem_alloc(SIZE);
	struct vcpu *vcpu;
	pthread_t thread;
	uint64_t gfn;
	int claims;
	void *ret;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	mem[0] = 'e';
	vcpu = copying_guest(mem);
	claims = claims_open(getpid());
	/* The operand, then the root of the page tables. */
	for (gfn = GFN; gfn; gfn = gfn == GFN ? vcpu->vm->root / PAGE_SIZE : 0) {
		guest_enter_c(vcpu, guest_copy_to_mmio, GPA);
		ASSERT_EQ(0, claim(claims, gfn, gfn));
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, vcpu));
		usleep(100000 * time_scale());
		EXPECT_NE(KVM_EXIT_MMIO, READ_ONCE(vcpu->run->exit_reason));
		EXPECT_EQ(0, claim_release(claims));
		pthread_join(thread, &ret);
		EXPECT_EQ(NULL, ret);
		EXPECT_TRUE(exit_is_mmio(vcpu, true, VM_MMIO_GPA, 1));
		EXPECT_EQ('e', exit_mmio_value(vcpu));
		vcpu_await_done(vcpu);
	}
	close(claims);
	copying_guest_end(vcpu);
}

/* P9: nor does a claim that does not end keep a process. */
SLOW_TEST(guard, P9_killed_while_it_waits)
{
	int claims, status, ready[2];
	uint8_t byte;
	pid_t pid;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create_empty();

		vm_slot(vm, 1, 0, GPA, SIZE, mem_alloc(SIZE));
		write(ready[1], "", 1);
		for (;;)
			vm_try_copy(vm, true, GPA, "x", 1, NULL);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	claims = claims_open(pid);
	while (claim(claims, GFN, GFN))
		;
	usleep(50000);
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	close(claims);
}

/* --- whoever is at a frame keeps it from being claimed */

SLOW_TEST(guard, P2_copies_are_in_the_way)
{
	uint8_t *mem = mem_alloc(SIZE), *page = mem_alloc(PAGE_SIZE);
	struct copier copiers[2];
	int uffd, claims, i;
	struct vm *vm;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	page[0] = 'u';
	vm = vm_create_empty();
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	claims = claims_open(getpid());
	uffd = uffd_open(mem, SIZE);
	copier_start(&copiers[0], vm, false, GPA);
	copier_start(&copiers[1], vm, true, GPA + PAGE_SIZE);
	EXPECT_TRUE(guard_await("0x10000000-0x10000fff r- copy\n"));
	EXPECT_TRUE(guard_await("0x10001000-0x10001fff rw copy\n"));
	EXPECT_EQ(-EBUSY, claim(claims, GFN, GFN));
	EXPECT_EQ(-EBUSY, claim(claims, GFN + 1, GFN + 1));
	EXPECT_EQ(0, claim(claims, GFN + 2, -1ul));
	EXPECT_EQ(0, claim_release(claims));
	for (i = 0; i < 2; i++) {
		uffd_fill(uffd, mem + i * PAGE_SIZE, page);
		pthread_join(copiers[i].thread, NULL);
		EXPECT_EQ(0, copiers[i].ret);
	}
	EXPECT_EQ('u', copiers[0].byte);
	EXPECT_EQ('x', mem[PAGE_SIZE]);
	EXPECT_EQ(0, claim(claims, 0, -1ul));
	close(claims);
	close(uffd);
	vm_destroy(vm);
}

#define PORT	0x10

static void guest_ins(uint64_t gpa)
{
	void *to = (void *)gpa;
	uint64_t n = 1;

	asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(PORT) : "memory");
}

SLOW_TEST(guard, P2_emulation_is_in_the_way)
{
	uint8_t *mem = mem_alloc(SIZE), *page = mem_alloc(PAGE_SIZE);
	struct vcpu *vcpu;
	pthread_t thread;
	int uffd, claims;
	void *ret;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vcpu = copying_guest(mem);
	guest_enter_c(vcpu, guest_ins, GPA);
	vcpu_run_to(vcpu, KVM_EXIT_IO);
	exit_io_reply(vcpu, 'i');
	claims = claims_open(getpid());
	uffd = uffd_open(mem, SIZE);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, vcpu));
	EXPECT_TRUE(guard_await("0x10000000-0x10000fff rw emulate vcpu 0\n"));
	EXPECT_EQ(-EBUSY, claim(claims, GFN, GFN));
	EXPECT_EQ(-EBUSY, claim(claims, 0, -1ul));
	EXPECT_EQ(0, claim(claims, GFN + 1, -1ul));
	EXPECT_EQ(0, claim_release(claims));
	uffd_fill(uffd, mem, page);
	pthread_join(thread, &ret);
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ('i', mem[0]);
	EXPECT_FALSE(guard_shown("emulate"));
	EXPECT_EQ(0, claim(claims, 0, -1ul));
	close(claims);
	close(uffd);
	copying_guest_end(vcpu);
}

/* P9: a VMM that is killed while its memory does not come. */
SLOW_TEST(guard, P9_killed_while_it_faults)
{
	const long before = pinned_pages();
	int status, ready[2];
	char path[160];
	uint8_t byte;
	pid_t pid;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		struct vm *vm = vm_create_empty();
		uint8_t *mem = mem_alloc(SIZE);

		vm_slot(vm, 1, 0, GPA, SIZE, mem);
		mem[0] = 1;
		uffd_open(mem, SIZE);
		write(ready[1], "", 1);
		vm_try_window(vm, SLAT_WINDOW_WRITE, GPA, SIZE);
		_exit(0);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	usleep(50000 * time_scale());
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	vm_debugfs(path, sizeof(path), pid, "");
	EXPECT_EQ(0, *path);
	EXPECT_EQ(before, pinned_pages());
}

/* --- at the same time */

#define SECONDS	5

#define WRITERS	3

struct race;

struct writer {
	struct race *race;
	pthread_t thread;
	uint64_t page;
	unsigned long written;
	int error;
};

/*
 * Each writer has a page that it writes by ioctl, and the one behind them is written by a
 * guest's INS, as a whole and under one guard each, with the same bytes all over. So while
 * they are claimed, they are of one byte each and stay so.
 */
struct race {
	struct vcpu *vcpu;
	uint8_t *mem;
	struct writer writers[WRITERS];
	pthread_t guest;
	bool stop;
	unsigned long emulated, claimed, refused;
};

static void guest_ins_pages(uint64_t gpa)
{
	for (;;) {
		void *to = (void *)gpa;
		uint64_t n = PAGE_SIZE;

		asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(PORT) : "memory");
	}
}

static void *race_write(void *arg)
{
	struct writer *writer = arg;
	uint8_t page[PAGE_SIZE];

	while (!READ_ONCE(writer->race->stop) && !writer->error) {
		memset(page, ++writer->written, PAGE_SIZE);
		writer->error = vm_try_copy(writer->race->vcpu->vm, true,
					    GPA + writer->page * PAGE_SIZE, page, PAGE_SIZE, NULL);
	}
	return NULL;
}

static void *race_emulate(void *arg)
{
	struct race *race = arg;
	struct kvm_run *run = race->vcpu->run;

	while (!READ_ONCE(race->stop)) {
		if (vcpu_run(race->vcpu) != KVM_EXIT_IO || run->io.count != PAGE_SIZE)
			break;
		memset(exit_io_data(race->vcpu), ++race->emulated, PAGE_SIZE);
	}
	return NULL;
}

static void race_start(struct race *race)
{
	unsigned int i;

	for (i = 0; i < WRITERS; i++) {
		struct writer *writer = &race->writers[i];

		*writer = (struct writer){ .race = race, .page = i };
		REQUIRE(!pthread_create(&writer->thread, NULL, race_write, writer), "no thread");
	}
	REQUIRE(!pthread_create(&race->guest, NULL, race_emulate, race), "no thread");
}

/* Return: whether no writer was refused. */
static bool race_stop(struct race *race)
{
	bool is_well = true;
	unsigned int i;

	WRITE_ONCE(race->stop, true);
	pthread_join(race->guest, NULL);
	for (i = 0; i < WRITERS; i++) {
		pthread_join(race->writers[i].thread, NULL);
		is_well &= !race->writers[i].error;
	}
	return is_well;
}

/* Equal bytes, and the same in a while?  The first one, or -1. */
static int page_byte(const uint8_t *page)
{
	const double end = now() + 0.0002;
	const volatile uint8_t *byte = page;
	const uint8_t first = *byte;
	unsigned int i;

	do
		for (i = 0; i < PAGE_SIZE; i++)
			if (byte[i] != first)
				return -1;
	while (now() < end);
	return first;
}

/* Are those pages as those who write under a guard leave them? */
static bool all_are_whole(const struct race *race)
{
	unsigned int i;

	for (i = 0; i <= WRITERS; i++)
		if (page_byte(race->mem + i * PAGE_SIZE) < 0)
			return false;
	return true;
}

/* Has each side got somewhere, on a machine however slow? */
static bool all_raced(const struct race *race)
{
	unsigned int i;

	for (i = 0; i < WRITERS; i++)
		if (READ_ONCE(race->writers[i].written) <= 10 && !READ_ONCE(race->writers[i].error))
			return false;
	return READ_ONCE(race->emulated) > 10 && race->claimed > 10;
}

SLOW_TEST(guard, P2_neither_overtakes)
{
	struct race race = { .mem = mem_alloc(SIZE) };
	double end;
	int claims;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	memset(race.mem, 0, SIZE);
	race.vcpu = copying_guest(race.mem);
	guest_enter_c(race.vcpu, guest_ins_pages, GPA + WRITERS * PAGE_SIZE);
	claims = claims_open(getpid());
	watchdog_start(SECONDS + 20);
	race_start(&race);
	for (end = now() + look_for(SECONDS); now() < end || !all_raced(&race);) {
		const int ret = claim(claims, GFN, GFN + WRITERS);

		race.refused += ret == -EBUSY;
		if (ret)
			continue;
		race.claimed++;
		ASSERT_TRUE(all_are_whole(&race));
		ASSERT_EQ(0, claim_release(claims));
		/* Who waits is woken too late on slow CPUs, but for these gaps. */
		if (race.claimed % 8 == 0)
			usleep(100);
	}
	EXPECT_TRUE(race_stop(&race));
	TH_LOG("%lu written by the first, %lu emulated, %lu claimed, %lu refused",
	       race.writers[0].written, race.emulated, race.claimed, race.refused);
	close(claims);
	copying_guest_end(race.vcpu);
}

/* --- mapped again and again, for the bench */

static int repeat(int claims, const char *what, uint64_t gfn, unsigned int times)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %lx %u", what, gfn, times);
	return claims_write(claims, text);
}

SLOW_TEST(guard, P1_repeated)
{
	struct vm *vm;
	int claims;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	vm = vm_create_empty();
	vm_slot(vm, 1, KVM_MEM_READONLY, GPA, SIZE, mem_alloc(SIZE));
	claims = claims_open(getpid());
	EXPECT_EQ(0, repeat(claims, "read", GFN, 10000));
	EXPECT_EQ(-EINVAL, repeat(claims, "read", GFN, 10001));
	EXPECT_EQ(-ENOENT, repeat(claims, "read", GFN - 1, 1));
	EXPECT_EQ(-EROFS, repeat(claims, "write", GFN, 1));
	EXPECT_EQ(0, claim(claims, 0, -1ul));
	close(claims);
	vm_destroy(vm);
}

/* --- unbalanced */

SLOW_TEST(guard, P1_second_unmap_is_refused)
{
	uint8_t *mem = mem_alloc(SIZE);
	char text[64];
	struct vm *vm;
	int claims;

	if (slat_is_kvm())
		SKIP(return, "KVM does not have it");
	if (file_write("/sys/kernel/debug/clear_warn_once", "1"))
		SKIP(return, "cannot have a second warning");
	vm = vm_create_empty();
	vm_slot(vm, 1, 0, GPA, SIZE, mem);
	mem[0] = 'm';
	claims = claims_open(getpid());
	ASSERT_EQ(0, file_write("/dev/kmsg", "slat-test: expect slat_gfn_unmap+\n"));
	snprintf(text, sizeof(text), "unbalanced %lx", GFN);
	EXPECT_EQ(0, claims_write(claims, text));
	ASSERT_EQ(0, file_write("/dev/kmsg", "slat-test: expected\n"));
	EXPECT_FALSE(guard_shown("unbalanced"));
	EXPECT_EQ(0, claim(claims, 0, -1ul));
	EXPECT_EQ('m', mem[0]);
	close(claims);
	vm_destroy(vm);
}

SLAT_HARNESS_MAIN
