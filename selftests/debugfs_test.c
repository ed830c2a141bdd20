// SPDX-License-Identifier: GPL-2.0-only
/* B2, B7: what debugfs shows of each VM, and that it lets go of VMs that are no more. */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"
#include "worker.h"

#define GPA		0x40000000ul

SLOW_TESTS(debugfs);

static int open_file(const char *name)
{
	char path[160];

	vm_debugfs(path, sizeof(path), getpid(), name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static unsigned long check_lines(struct __test_metadata *_metadata, struct vm *vm, FILE *file)
{
	unsigned long first, last, frame, lines = 0;
	char size[4], rights[4], type[8], state[4];

	while (fscanf(file, "%lx-%lx %3s %3s %7s %3s %lx\n", &first, &last, size, rights, type,
		      state, &frame) == 7) {
		const struct slat_leaf_info leaf = vm_leaf(vm, first);

		ASSERT_EQ(first + (PAGE_SIZE << 9 * (leaf.level - 1)) - 1, last);
		EXPECT_EQ(0, strcmp(size, leaf.level == 1 ? "4K" : "2M"));
		EXPECT_EQ(!!(leaf.access & SLAT_ACCESS_W), rights[1] == 'w');
		EXPECT_EQ(leaf.pfn, frame);
		lines++;
	}
	EXPECT_TRUE(feof(file));
	return lines;
}

SLOW_TEST(debugfs, B2_tables_are_those_of_the_vm)
{
	uint8_t *mem = mem_huge_area(2 * HUGE);
	unsigned long leaves = 1024;
	struct vcpu *vcpu;
	struct vm *vm;
	FILE *file;

	if (slat_is_kvm())
		SKIP(return, "KVM has its own");
	vm = vm_create_empty();
	vcpu = vcpu_create(vm, 0);
	file = fdopen(open_file("/tables"), "r");
	ASSERT_NE(NULL, file);
	EXPECT_EQ(0, check_lines(_metadata, vm, file));
	fclose(file);

	mem_make_small(mem, 2 * HUGE);
	if (mem_make_huge(mem))
		leaves = 1 + 512;
	/* At both ends of what can be mapped, and more than one read takes. */
	vm_slot(vm, 1, 0, 0, HUGE, mem);
	vm_slot(vm, 2, 0, (1ul << 39), HUGE, mem + HUGE);
	ASSERT_EQ(0, vcpu_try_prefault(vcpu, 0, HUGE));
	ASSERT_EQ(0, vcpu_try_prefault(vcpu, 1ul << 39, HUGE));
	file = fdopen(open_file("/tables"), "r");
	EXPECT_EQ(leaves, check_lines(_metadata, vm, file));
	fclose(file);
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

SLOW_TEST(debugfs, B2_counters_count)
{
	uint8_t *mem = mem_huge_area(HUGE);
	struct vcpu *vcpu;
	char path[160];
	struct vm *vm;

	if (slat_is_kvm())
		SKIP(return, "KVM has its own");
	vm = vm_create_empty();
	vcpu = vcpu_create(vm, 0);
	mem_make_small(mem, HUGE);
	vm_slot(vm, 1, 0, GPA, HUGE, mem);
	ASSERT_EQ(0, vcpu_try_prefault(vcpu, GPA, 100 * PAGE_SIZE));
	vm_debugfs(path, sizeof(path), getpid(), "/counters");
	EXPECT_EQ(100, file_field(path, "leaves_4k"));
	EXPECT_EQ(0, file_field(path, "leaves_2m"));
	EXPECT_EQ(0, file_field(path, "exits"));
	EXPECT_LE(4, file_field(path, "tables"));
	vcpu_destroy(vcpu);
	vm_destroy(vm);
}

/* An open file does not keep the VM, and tells of it no more. */
SLOW_TEST(debugfs, B7_files_end_with_the_vm)
{
	struct vm *vm;
	char byte;
	int fds[2];

	if (slat_is_kvm())
		SKIP(return, "KVM has its own");
	vm = vm_create_empty();
	fds[0] = open_file("/tables");
	fds[1] = open_file("/counters");
	EXPECT_EQ(1, read(fds[1], &byte, 1));
	vm_destroy(vm);
	EXPECT_EQ(-1, read(fds[0], &byte, 1));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(-1, read(fds[1], &byte, 1));
	EXPECT_EQ(EIO, errno);
	EXPECT_GT(0, open_file("/tables"));
	close(fds[0]);
	close(fds[1]);
}

struct reader {
	pthread_t thread;
	bool stop;
	unsigned long bytes;
};

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	char buffer[4096];

	while (!READ_ONCE(reader->stop)) {
		int fd = open_file("/tables");
		ssize_t n;

		while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
			reader->bytes += n;
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

/* One VM that lives until both have read of it, then many that may not. */
SLOW_TEST(debugfs, B7_read_while_vms_come_and_go)
{
	uint8_t *mem = mem_huge_area(HUGE);
	struct reader readers[2] = { };
	unsigned int i;

	if (slat_is_kvm())
		SKIP(return, "KVM has its own");
	watchdog_start(60);
	mem_make_small(mem, HUGE);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&readers[i].thread, NULL, read_all, &readers[i]));
	for_rounds (i, 300, 5) {
		struct vm *vm = vm_create_empty();
		struct vcpu *vcpu = vcpu_create(vm, 0);

		vm_slot(vm, 1, 0, GPA, HUGE, mem);
		EXPECT_EQ(0, vcpu_try_prefault(vcpu, GPA, HUGE));
		while (!READ_ONCE(readers[0].bytes) || !READ_ONCE(readers[1].bytes))
			usleep(1000);
		vcpu_destroy(vcpu);
		vm_destroy(vm);
	}
	for (i = 0; i < 2; i++) {
		WRITE_ONCE(readers[i].stop, true);
		pthread_join(readers[i].thread, NULL);
	}
}

SLAT_HARNESS_MAIN
