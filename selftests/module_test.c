// SPDX-License-Identifier: GPL-2.0-only
/*
 * B5: the module stays as long as a file of it is open, goes after that, and
 * comes back. Loaded beside KVM it works; of the two, the one that comes second
 * to the CPU's virtualization is told -EBUSY, and the first one's guest goes
 * on.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "harness.h"
#include "worker.h"

#define MODULE	"/lib/slat/slat.ko"

SLOW_TESTS(module);

static int unload(void)
{
	return syscall(SYS_delete_module, "slat", O_NONBLOCK) ? -errno : 0;
}

static int load_with(const char *parameters)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

static int load(void)
{
	return load_with("");
}

static void guest_count(uint64_t unused)
{
	uint64_t n;

	for (n = 1;; n++)
		guest_report(1, n);
}

static bool guest_runs(void)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	bool is_well;

	guest_enter_c(vcpu, guest_count, 0);
	is_well = vcpu_await(vcpu, 1) == 1 && vcpu_await(vcpu, 1) == 2;
	vcpu_destroy(vcpu);
	vm_destroy(vm);
	return is_well;
}

/* Another process may still be closing what it had. */
static int unload_soon(void)
{
	double end = now() + 5 * time_scale();
	int ret;

	do {
		ret = unload();
	} while (ret == -EWOULDBLOCK && now() < end);
	return ret;
}

SLOW_TEST(module, stays_while_in_use)
{
	int fd, vm_fd, vcpu_fd;
	void *run;

	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE);
	fd = slat_open();
	EXPECT_EQ(-EWOULDBLOCK, unload());
	vm_fd = ioctl(fd, KVM_CREATE_VM, 0);
	close(fd);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	close(vm_fd);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	run = mmap(NULL, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED, vcpu_fd, 0);
	ASSERT_NE(MAP_FAILED, run);
	close(vcpu_fd);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	munmap(run, 2 * PAGE_SIZE);
	EXPECT_EQ(0, unload_soon());
	EXPECT_EQ(-ENOENT, slat_try_open());
	EXPECT_EQ(0, load());
	EXPECT_TRUE(guest_runs());
}

SLOW_TEST(module, comes_and_goes)
{
	int i, status;
	pid_t pid;

	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE);
	for_rounds (i, 5, 5) {
		ASSERT_EQ(0, unload_soon());
		ASSERT_EQ(0, load());
		ASSERT_EQ(-EEXIST, load());
		/* In a process that leaves all of its files open. */
		pid = fork();
		if (!pid)
			_exit(!guest_runs());
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
	}
}

/* --- beside KVM */

/* Guests that run guests: only on SVM, and otherwise not at all. */
SLOW_TEST(module, nested_takes_SVM)
{
	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE);
	ASSERT_EQ(0, unload_soon());
	if (guest_has_vmcall) {
		EXPECT_EQ(-EOPNOTSUPP, load_with("nested=1"));
		EXPECT_EQ(-ENOENT, slat_try_open());
	} else {
		EXPECT_EQ(0, load_with("nested=1"));
		EXPECT_EQ(0, unload());
	}
	ASSERT_EQ(0, load());
}

#define AT_LOAD	"/sys/module/kvm/parameters/enable_virt_at_load"

static bool run_modprobe(const char *args)
{
	char command[128];

	snprintf(command, sizeof(command), "modprobe %s%s 2>/dev/null", args,
		 guest_has_vmcall ? "kvm-intel" : "kvm-amd");
	return !system(command);
}

static bool unload_kvm(void)
{
	run_modprobe("-r ");
	/* The part that all vendors share may go with it, or not. */
	return system("rmmod kvm 2>/dev/null") == 0 || access("/sys/module/kvm", F_OK);
}

/* Newer ones take the CPU when they are loaded, unless told not to. */
static bool load_kvm(void)
{
	if (access("/dev/kvm", R_OK) && !system("modprobe kvm enable_virt_at_load=0 2>/dev/null"))
		run_modprobe("");
	return !access("/dev/kvm", R_OK);
}

/* A process with a guest on KVM, that runs when told. */
struct other {
	pid_t pid;
	int go[2], done[2];
};

#define SUCCESS	'y'
#define BUSY	'b'
#define FAILURE	'n'

static void other_tell(struct other *other, char what)
{
	if (write(other->done[1], &what, 1) != 1)
		_exit(1);
}

static void other_wait(struct other *other)
{
	char byte;

	if (read(other->go[0], &byte, 1) != 1)
		_exit(0);
}

static void other_main(struct other *other, const char *device)
{
	struct vcpu *vcpu;
	uint64_t n = 0;
	struct vm *vm;
	int fd;

	setenv("SLAT_DEV", device, 1);
	fd = try_ioctl(slat_fd(), KVM_CREATE_VM, 0);
	if (fd < 0) {
		other_tell(other, fd == -EBUSY ? BUSY : FAILURE);
		_exit(0);
	}
	close(fd);
	vm = vm_create();
	vcpu = vcpu_create(vm, 0);
	guest_enter_c(vcpu, guest_count, 0);
	for (;;) {
		other_tell(other, vcpu_await(vcpu, 1) == ++n ? SUCCESS : FAILURE);
		other_wait(other);
	}
}

static void other_start(struct other *other, const char *device)
{
	REQUIRE(!pipe(other->go) && !pipe(other->done), "pipe");
	other->pid = fork();
	REQUIRE(other->pid >= 0, "fork");
	if (!other->pid) {
		close(other->go[1]);
		other_main(other, device);
	}
	close(other->go[0]);
}

static char other_answer(struct other *other)
{
	char byte = 0;

	REQUIRE(read(other->done[0], &byte, 1) == 1, "no answer");
	return byte;
}

static char other_run(struct other *other)
{
	REQUIRE(write(other->go[1], "", 1) == 1, "no listener");
	return other_answer(other);
}

static void other_stop(struct other *other)
{
	close(other->go[1]);
	waitpid(other->pid, NULL, 0);
}

static int try_create_vm(void)
{
	int fd = try_ioctl(slat_fd(), KVM_CREATE_VM, 0);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

SLOW_TEST(module, idle_kvm)
{
	if (!load_kvm())
		SKIP(return, "no KVM");
	EXPECT_TRUE(guest_runs());
}

SLOW_TEST(module, kvm_was_first)
{
	struct other kvm;
	int i;

	if (!load_kvm())
		SKIP(return, "no KVM");
	other_start(&kvm, "/dev/kvm");
	ASSERT_EQ(SUCCESS, other_answer(&kvm));
	for_rounds (i, 20, 5) {
		EXPECT_EQ(-EBUSY, try_create_vm());
		ASSERT_EQ(SUCCESS, other_run(&kvm));
	}
	other_stop(&kvm);
	EXPECT_TRUE(guest_runs());
}

SLOW_TEST(module, slat_was_first)
{
	struct other slat, kvm;
	int i;

	if (!load_kvm())
		SKIP(return, "no KVM");
	other_start(&slat, "/dev/slat");
	ASSERT_EQ(SUCCESS, other_answer(&slat));
	for_rounds (i, 10, 5) {
		other_start(&kvm, "/dev/kvm");
		/* EBUSY; since 6.12, KVM makes EIO of it. */
		EXPECT_NE(SUCCESS, other_answer(&kvm));
		other_stop(&kvm);
		ASSERT_EQ(SUCCESS, other_run(&slat));
	}
	/* A second VM of slat is no rival. */
	EXPECT_TRUE(guest_runs());
	other_stop(&slat);
	other_start(&kvm, "/dev/kvm");
	EXPECT_EQ(SUCCESS, other_answer(&kvm));
	other_stop(&kvm);
	EXPECT_EQ(0, try_create_vm());
}

/* Whoever comes second to a CPU that KVM takes when it is loaded. */

SLOW_TEST(module, kvm_takes_all)
{
	if (!unload_kvm() || !run_modprobe(""))
		SKIP(return, "no KVM that comes and goes");
	if (access(AT_LOAD, R_OK))
		SKIP(return, "KVM waits for its first VM");
	EXPECT_EQ(-EBUSY, try_create_vm());
	EXPECT_TRUE(unload_kvm());
	EXPECT_TRUE(guest_runs());
}

SLOW_TEST(module, kvm_comes_late)
{
	struct other slat, kvm;
	bool came;

	if (!unload_kvm())
		SKIP(return, "no KVM that comes and goes");
	other_start(&slat, "/dev/slat");
	ASSERT_EQ(SUCCESS, other_answer(&slat));
	came = run_modprobe("");
	if (access("/sys/module/kvm", F_OK))
		SKIP(return, "no KVM");
	/* An older one comes, and finds out with its first VM. */
	EXPECT_EQ(!!access(AT_LOAD, R_OK), came);
	EXPECT_EQ(SUCCESS, other_run(&slat));
	other_stop(&slat);
	if (!came)
		ASSERT_TRUE(run_modprobe(""));
	other_start(&kvm, "/dev/kvm");
	EXPECT_EQ(SUCCESS, other_answer(&kvm));
	other_stop(&kvm);
	/* The tests that follow want the CPU. */
	EXPECT_TRUE(unload_kvm());
}

SLAT_HARNESS_MAIN
