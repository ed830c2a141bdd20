/* SPDX-License-Identifier: GPL-2.0-only */
/* What every *_test.c includes: the kselftest harness and this library. */
#ifndef SLAT_TEST_HARNESS_H
#define SLAT_TEST_HARNESS_H

#include <kselftest_harness.h>

#include "crash.h"
#include "guest.h"
#include "guest_lib.h"
#include "run.h"
#include "vm.h"

/*
 * An ioctl that this object does not have: -ENOTTY. KVM says -EINVAL on some of
 * its objects.
 */
#define EXPECT_UNKNOWN(ret)						\
	do {								\
		int unknown_err = ret;					\
									\
		if (slat_is_kvm() && unknown_err == -EINVAL)		\
			break;						\
		EXPECT_EQ(-ENOTTY, unknown_err);			\
	} while (0)

/*
 * SKIP() for FIXTURE_SETUP: 6.1's harness would go on with the test, so leave
 * the way that a failed ASSERT does.
 */
#define SKIP_SETUP(fmt, ...) \
	SKIP(longjmp(_metadata->env, 1), fmt, ##__VA_ARGS__)

/* A fixture with a VM of VM_RAM_SIZE and one vCPU, for TEST_F(name, ...). */
#define VM_FIXTURE(name) VM_FIXTURE_AFTER(name, )
/* The same, set up after these statements, which may SKIP_SETUP(). */
#define VM_FIXTURE_AFTER(name, ...)					\
FIXTURE(name)								\
{									\
	struct vm *vm;							\
	struct vcpu *vcpu;						\
};									\
									\
FIXTURE_SETUP(name)							\
{									\
	__VA_ARGS__							\
	self->vm = vm_create();						\
	self->vcpu = vcpu_create(self->vm, 0);				\
}									\
									\
FIXTURE_TEARDOWN(name)							\
{									\
	vcpu_destroy(self->vcpu);					\
	vm_destroy(self->vm);						\
}									\
extern int name##_fixture_needs_a_semicolon

/* A case that hangs is ended, one that is slow is not: the harness knows of no slow machines. */
static inline void test_limits_extend(void)
{
	const int limit = time_limit(TEST_TIMEOUT_DEFAULT);
	struct __fixture_metadata *fixture;
	struct __test_metadata *test;

	for (fixture = __fixture_list; fixture; fixture = fixture->next)
		for (test = fixture->tests; test; test = test->next)
			if (test->timeout < limit)
				test->timeout = limit;
}

/*
 * In place of TEST_HARNESS_MAIN. Without the device the whole program is
 * skipped; with a device that cannot be opened it fails.
 */
#define SLAT_HARNESS_MAIN						\
int main(int argc, char **argv)						\
{									\
	int fd = slat_try_open();					\
									\
	if (fd == -ENOENT)						\
		ksft_exit_skip("no %s\n", slat_path());			\
	if (fd < 0)							\
		ksft_exit_fail_msg("%s: %s\n", slat_path(),		\
				   strerror(-fd));			\
	close(fd);							\
	test_limits_extend();						\
	crash_report();							\
	return test_harness_run(argc, argv);				\
}

#endif
