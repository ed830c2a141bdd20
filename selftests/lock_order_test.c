// SPDX-License-Identifier: GPL-2.0-only
/*
 * D8: the checker of the lock order finds each kind of violation: counted each time,
 * told once with both places; and finds none where a caller's locks nest inside a
 * subject's, or where there are more tasks than it has room for. What is not in
 * order is only pretended (kmod/lock_test.c).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "worker.h"

#define LOCKS	"/sys/kernel/debug/slat/locks"
#define PROVOKE	"/sys/kernel/debug/slat/lock_test"
#define PREFIX	"slat: locks: "

static const char *const faults[] = {
	"order", "same-level", "read-then-write", "recursion", "user-access", "sleep",
	"not-the-callers",
};

#define NR_FAULTS	(sizeof(faults) / sizeof(*faults))

struct counts {
	long of[NR_FAULTS];
};

static struct counts counts_now(void)
{
	struct counts counts;
	unsigned int i;

	for (i = 0; i < NR_FAULTS; i++) {
		counts.of[i] = file_field(LOCKS, faults[i]);
		REQUIRE(counts.of[i] >= 0, "no %s in " LOCKS, faults[i]);
	}
	return counts;
}

/* Has @fault become more by one since @before, and nothing else?  NULL: nothing at all. */
static bool counted(const struct counts *before, const char *fault)
{
	struct counts counts = counts_now();
	unsigned int i;

	for (i = 0; i < NR_FAULTS; i++) {
		bool is_it = fault && !strcmp(fault, faults[i]);

		if (counts.of[i] == before->of[i] + is_it)
			continue;
		printf("# %s: %ld, before %ld\n", faults[i], counts.of[i], before->of[i]);
		return false;
	}
	return true;
}

/* --- the kernel's log */

static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	REQUIRE(fd >= 0 && lseek(fd, 0, SEEK_END) >= 0, "/dev/kmsg");
	return fd;
}

/* For the scan of the console: what is told between these two is wanted. */
static void log_expect(const char *fault)
{
	char text[128];

	snprintf(text, sizeof(text), "slat-test: expect " PREFIX "%s: \n", fault);
	REQUIRE(!file_write("/dev/kmsg", text), "/dev/kmsg");
}

static void log_expected(void)
{
	REQUIRE(!file_write("/dev/kmsg", "slat-test: expected\n"), "/dev/kmsg");
}

/* Lines of the checker since log_open() or the last call, and the last one. */
static unsigned int log_read(int log, char *last, size_t size)
{
	char line[2048], *told;
	unsigned int lines = 0;
	ssize_t len;

	while ((len = read(log, line, sizeof(line) - 1)) > 0) {
		line[len] = 0;
		told = strstr(line, PREFIX);
		/* Neither is what log_expect() wrote. */
		if (!told || strstr(line, "slat-test:"))
			continue;
		snprintf(last, size, "%s", told);
		lines++;
	}
	return lines;
}

/* A line for @fault that names @function twice. */
static bool line_names(const char *line, const char *fault, const char *function)
{
	const char *where;

	if (strncmp(line + strlen(PREFIX), fault, strlen(fault)))
		return false;
	where = strstr(line, function);
	return where && strstr(where + 1, function);
}

/* --- each kind */

FIXTURE(provoked)
{
	int log;
};

/*
 * @word: what to provoke
 * @function: of kmod/lock_test.c, does it
 * @fault: what comes of it; NULL: nothing
 */
FIXTURE_VARIANT(provoked)
{
	const char *word;
	const char *function;
	const char *fault;
};

#define PROVOKED(name, word_, fault_)					\
FIXTURE_VARIANT_ADD(provoked, name)					\
{									\
	.word = word_,							\
	.function = "provoke_" #name "+",				\
	.fault = fault_,						\
}

PROVOKED(order, "order", "order");
PROVOKED(order_past_reader, "order-past-reader", "order");
PROVOKED(same_level, "same-level", "same-level");
PROVOKED(read_then_write, "read-then-write", "read-then-write");
PROVOKED(synchronize_in_reader, "synchronize-in-reader", "read-then-write");
PROVOKED(recursion, "recursion", "recursion");
PROVOKED(user_access, "user-access", "user-access");
PROVOKED(user_access_in_notifier, "user-access-in-notifier", "user-access");
PROVOKED(sleep, "sleep", "sleep");
PROVOKED(caller_in_subject, "caller-in-subject", NULL);
PROVOKED(caller_is_subject, "caller-is-subject", NULL);
PROVOKED(subject_in_caller, "subject-in-caller", "not-the-callers");
PROVOKED(subject_of_subject, "subject-of-subject", "not-the-callers");
PROVOKED(subject_as_caller, "subject-as-caller", "not-the-callers");
PROVOKED(nobodys_in_caller, "nobodys-in-caller", "not-the-callers");
PROVOKED(nobodys_as_subject, "nobodys-as-subject", NULL);
PROVOKED(second_vm, "second-vm", "not-the-callers");

FIXTURE_SETUP(provoked)
{
	if (access(PROVOKE, W_OK))
		SKIP_SETUP("no " PROVOKE);
	self->log = log_open();
	ASSERT_EQ(0, file_write(PROVOKE, "arm"));
}

FIXTURE_TEARDOWN(provoked)
{
	file_write(PROVOKE, "disarm");
	close(self->log);
}

TEST_F(provoked, counted_each_time_told_once)
{
	struct counts before = counts_now();
	char line[1024] = "";

	if (variant->fault)
		log_expect(variant->fault);
	EXPECT_EQ(0, file_write(PROVOKE, variant->word));
	EXPECT_TRUE(counted(&before, variant->fault));
	EXPECT_EQ(variant->fault ? 1 : 0, log_read(self->log, line, sizeof(line)));
	if (variant->fault) {
		EXPECT_TRUE(line_names(line, variant->fault, variant->function))
			TH_LOG("%s", line);
	}

	before = counts_now();
	EXPECT_EQ(0, file_write(PROVOKE, variant->word));
	EXPECT_TRUE(counted(&before, variant->fault));
	EXPECT_EQ(0, log_read(self->log, line, sizeof(line)));

	/* Nothing is left in the record. */
	before = counts_now();
	EXPECT_EQ(0, file_write(PROVOKE, "caller-in-subject"));
	EXPECT_TRUE(counted(&before, NULL));
	EXPECT_EQ(0, log_read(self->log, line, sizeof(line)));
	if (variant->fault)
		log_expected();
}

TEST(only_when_armed)
{
	struct counts before;

	if (access(PROVOKE, W_OK))
		SKIP(return, "no " PROVOKE);
	before = counts_now();
	EXPECT_EQ(-EPERM, file_write(PROVOKE, "order"));
	EXPECT_EQ(-EPERM, file_write(PROVOKE, "disarm"));
	EXPECT_EQ(0, file_write(PROVOKE, "arm"));
	EXPECT_EQ(-EINVAL, file_write(PROVOKE, "nothing that is known"));
	EXPECT_EQ(-EINVAL, file_write(PROVOKE, "a word that no provocation is called by"));
	EXPECT_EQ(0, file_write(PROVOKE, "disarm"));
	EXPECT_EQ(-EPERM, file_write(PROVOKE, "order"));
	EXPECT_TRUE(counted(&before, NULL));
}

/* --- what is in order */

/*
 * An ioctl on one VM writes to a page that a guest has mapped for reading: the copy
 * unshares it, and the notifier of the guest's VM runs inside of the ioctl.
 */
static bool notifier_runs_in(struct vcpu *vcpu, struct play *guest, unsigned int page)
{
	const uint64_t gpa = VM_PLAY_GPA + page * PAGE_SIZE;
	struct kvm_sregs *sregs = guest->mem + page * PAGE_SIZE, expect;

	vcpu_get_sregs(vcpu, &expect);
	return expect.cr0 && watch_read(&guest->worker, gpa + offsetof(struct kvm_sregs, cr0)) == 0 &&
	       !try_ioctl_ptr(vcpu->fd, KVM_GET_SREGS, sregs) &&
	       watch_read(&guest->worker, gpa + offsetof(struct kvm_sregs, cr0)) == expect.cr0;
}

TEST(notifier_of_another_vm)
{
	struct counts before;
	struct play guest;
	struct vcpu *vcpu;
	struct vm *vm;

	if (access(LOCKS, R_OK))
		SKIP(return, "no " LOCKS);
	before = counts_now();
	play_watch(&guest, NULL, 2 * PAGE_SIZE, 0);
	vm = vm_create();
	vcpu = vcpu_create(vm, 0);
	EXPECT_TRUE(notifier_runs_in(vcpu, &guest, 0));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	/* And of the same. */
	vcpu = vcpu_create(guest.vm, 1);
	EXPECT_TRUE(notifier_runs_in(vcpu, &guest, 1));
	vcpu_destroy(vcpu);
	EXPECT_TRUE(play_end(&guest));
	EXPECT_TRUE(counted(&before, NULL));
}

/* --- more tasks than there are records */

#define CROWD	700

static void *crowd_get_regs(void *fd)
{
	struct kvm_regs regs;
	long ret = try_ioctl_ptr((long)fd, KVM_GET_REGS, &regs);

	close((long)fd);
	return (void *)ret;
}

SLOW_TESTS(crowd);

SLOW_TEST(crowd, is_served)
{
	pthread_t crowd[CROWD];
	struct counts before;
	struct play guest;
	pthread_attr_t attr;
	unsigned int i;
	long unchecked;
	void *ret;

	if (access(LOCKS, R_OK))
		SKIP(return, "no " LOCKS);
	before = counts_now();
	unchecked = file_field(LOCKS, "unchecked");
	play_watch(&guest, NULL, PAGE_SIZE, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	/*
	 * All of them wait for the mutex of a vCPU that runs, and are on record; or are
	 * about to, by a file descriptor that lasts longer than the guest's.
	 */
	for (i = 0; i < CROWD; i++) {
		const long fd = dup(guest.vcpu->fd);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, pthread_create(&crowd[i], &attr, crowd_get_regs, (void *)fd));
	}
	while (file_field(LOCKS, "unchecked") == unchecked)
		usleep(1000);
	EXPECT_TRUE(play_end(&guest));
	for (i = 0; i < CROWD; i++) {
		pthread_join(crowd[i], &ret);
		EXPECT_EQ(NULL, ret);
	}
	EXPECT_TRUE(counted(&before, NULL));
	/* The records are free again. */
	unchecked = file_field(LOCKS, "unchecked");
	play_watch(&guest, NULL, PAGE_SIZE, 0);
	EXPECT_TRUE(play_end(&guest));
	EXPECT_EQ(unchecked, file_field(LOCKS, "unchecked"));
}

SLAT_HARNESS_MAIN
