// SPDX-License-Identifier: GPL-2.0-only
/* Virtual machines and vCPUs for the tests, from the VMM's side. */
#include "vm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define CPUID_ENTRIES	256
#define DEBUGFS		"/sys/kernel/debug/slat"

void test_die(const char *file, int line, const char *cond,
	      const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "# %s:%d: %s does not hold: ", file, line, cond);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	fflush(NULL);
	abort();
}

int try_ioctl(int fd, unsigned long request, unsigned long arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int do_ioctl(int fd, unsigned long request, unsigned long arg,
	     const char *name)
{
	int ret = try_ioctl(fd, request, arg);

	REQUIRE(ret >= 0, "%s: %s", name, strerror(-ret));
	return ret;
}

/* --- the device */

const char *slat_path(void)
{
	const char *path = getenv("SLAT_DEV");

	return path ? path : "/dev/slat";
}

bool slat_is_kvm(void)
{
	return !strcmp(slat_path(), "/dev/kvm");
}

int slat_try_open(void)
{
	int fd = open(slat_path(), O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int slat_open(void)
{
	int fd = slat_try_open();

	REQUIRE(fd >= 0, "open %s: %s", slat_path(), strerror(-fd));
	return fd;
}

int slat_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = slat_open();
	return fd;
}

int slat_check_extension(int cap)
{
	return must_ioctl(slat_fd(), KVM_CHECK_EXTENSION, cap);
}

struct kvm_cpuid2 *slat_supported_cpuid(void)
{
	static struct kvm_cpuid2 *cpuid;

	if (!cpuid) {
		cpuid = calloc(1, sizeof(*cpuid) +
			       CPUID_ENTRIES * sizeof(cpuid->entries[0]));
		REQUIRE(cpuid, "no memory");
		cpuid->nent = CPUID_ENTRIES;
		must_ioctl(slat_fd(), KVM_GET_SUPPORTED_CPUID, cpuid);
	}
	return cpuid;
}

const struct kvm_cpuid_entry2 *slat_cpuid(uint32_t function, uint32_t index)
{
	static const struct kvm_cpuid_entry2 none;
	struct kvm_cpuid2 *cpuid = slat_supported_cpuid();
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function &&
		    cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return &none;
}

void *mem_alloc(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(mem != MAP_FAILED, "mmap %zu bytes: %s", size,
		strerror(errno));
	return mem;
}

void *mem_before_hole(size_t size)
{
	size_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
	uint8_t *mem = mem_alloc(pages + PAGE_SIZE);

	REQUIRE(!mprotect(mem + pages, PAGE_SIZE, PROT_NONE), "mprotect: %s",
		strerror(errno));
	return mem + pages - size;
}

struct kvm_cpuid2 *cpuid_before_hole(uint32_t nent, uint32_t room)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = mem_before_hole(sizeof(*cpuid) +
				room * sizeof(cpuid->entries[0]));
	cpuid->nent = nent;
	return cpuid;
}

/* Never mapped; not canonical; the kernel's; the last bytes there are. */
const void *const bad_pointers[] = {
	(void *)8, (void *)0x800000000000, (void *)0xffff888000000000,
	(void *)-8, NULL,
};

/* --- VMs */

struct vm *vm_create_type(unsigned long type)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	REQUIRE(vm, "no memory");
	vm->fd = must_ioctl(slat_fd(), KVM_CREATE_VM, type);
	vm->next_page = VM_POOL_GPA;
	return vm;
}

struct vm *vm_create_empty(void)
{
	return vm_create_type(0);
}

struct vm *vm_create(void)
{
	struct vm *vm = vm_create_empty();

	vm->ram = mem_alloc(VM_RAM_SIZE);
	vm_slot(vm, VM_RAM_SLOT, 0, 0, VM_RAM_SIZE, vm->ram);
	return vm;
}

void vm_destroy(struct vm *vm)
{
	close(vm->fd);
	if (vm->ram)
		munmap(vm->ram, VM_RAM_SIZE);
	free(vm);
}

int vm_try_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
		uint64_t size, const void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return try_ioctl_ptr(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

void vm_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
	     uint64_t size, const void *hva)
{
	int ret = vm_try_slot(vm, slot, flags, gpa, size, hva);

	REQUIRE(!ret, "slot %u, gpa %#lx, size %#lx, flags %#x: %s", slot, gpa,
		size, flags, strerror(-ret));
}

void vm_slot_delete(struct vm *vm, uint32_t slot)
{
	vm_slot(vm, slot, 0, 0, 0, NULL);
}

void *vm_ptr(struct vm *vm, uint64_t gpa)
{
	REQUIRE(vm->ram && gpa < VM_RAM_SIZE, "gpa %#lx is not RAM", gpa);
	return vm->ram + gpa;
}

uint64_t vm_pages(struct vm *vm, unsigned int count)
{
	uint64_t gpa = vm->next_page;

	REQUIRE(gpa + count * PAGE_SIZE <= VM_RAM_SIZE, "pool is empty");
	vm->next_page += count * PAGE_SIZE;
	return gpa;
}

void vm_load(struct vm *vm, uint64_t gpa, const void *code, const void *end)
{
	size_t size = (uintptr_t)end - (uintptr_t)code;

	memcpy(vm_ptr(vm, gpa), code, size);
}

/* --- vCPUs */

struct vcpu *vcpu_create_bare(struct vm *vm, unsigned int id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	REQUIRE(vcpu, "no memory");
	vcpu->vm = vm;
	vcpu->fd = must_ioctl(vm->fd, KVM_CREATE_VCPU, id);
	vcpu->run_size = must_ioctl(slat_fd(), KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu->fd, 0);
	REQUIRE(vcpu->run != MAP_FAILED, "mmap of the vCPU: %s",
		strerror(errno));
	return vcpu;
}

struct vcpu *vcpu_create(struct vm *vm, unsigned int id)
{
	struct vcpu *vcpu = vcpu_create_bare(vm, id);

	vcpu_set_cpuid(vcpu, slat_supported_cpuid());
	return vcpu;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	free(vcpu);
}

void vcpu_get_regs(struct vcpu *vcpu, struct kvm_regs *regs)
{
	must_ioctl(vcpu->fd, KVM_GET_REGS, regs);
}

void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	must_ioctl(vcpu->fd, KVM_SET_REGS, regs);
}

void vcpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	must_ioctl(vcpu->fd, KVM_GET_SREGS, sregs);
}

void vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	must_ioctl(vcpu->fd, KVM_SET_SREGS, sregs);
}

int vcpu_try_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	return try_ioctl_ptr(vcpu->fd, KVM_SET_SREGS, sregs);
}

/* Not the TSC, which runs. */
static const uint32_t state_msrs[] = {
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT, MSR_EFER,
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE,
	MSR_KERNEL_GS_BASE,
};

void vcpu_get_state(struct vcpu *vcpu, struct vcpu_state *state)
{
	unsigned int i;

	memset(state, 0, sizeof(*state));
	vcpu_get_regs(vcpu, &state->regs);
	vcpu_get_sregs(vcpu, &state->sregs);
	must_ioctl(vcpu->fd, KVM_GET_FPU, &state->fpu);
	for (i = 0; i < sizeof(state_msrs) / sizeof(state_msrs[0]); i++)
		state->msrs[i] = vcpu_get_msr(vcpu, state_msrs[i]);
}

bool vcpu_state_is(struct vcpu *vcpu, const struct vcpu_state *state)
{
	struct vcpu_state now;

	vcpu_get_state(vcpu, &now);
	return !memcmp(&now, state, sizeof(now));
}

void vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	must_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
}

int vcpu_try_irq(struct vcpu *vcpu, uint32_t vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return try_ioctl_ptr(vcpu->fd, KVM_INTERRUPT, &irq);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int vcpu_try_get_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = index };
	int ret = try_ioctl_ptr(vcpu->fd, KVM_GET_MSRS, &msr);

	*value = msr.entry.data;
	return ret;
}

int vcpu_try_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct one_msr msr = {
		.head.nmsrs = 1,
		.entry = { .index = index, .data = value },
	};

	return try_ioctl_ptr(vcpu->fd, KVM_SET_MSRS, &msr);
}

uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index)
{
	uint64_t value;
	int ret = vcpu_try_get_msr(vcpu, index, &value);

	REQUIRE(ret == 1, "get MSR %#x: %d", index, ret);
	return value;
}

void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	int ret = vcpu_try_set_msr(vcpu, index, value);

	REQUIRE(ret == 1, "set MSR %#x to %#lx: %d", index, value, ret);
}

struct slat_leaf_info vm_leaf(struct vm *vm, uint64_t gpa)
{
	struct slat_leaf_info info = { .size = sizeof(info), .gpa = gpa };

	must_ioctl(vm->fd, SLAT_GET_LEAF, &info);
	return info;
}

int vm_try_copy(struct vm *vm, bool write, uint64_t gpa, void *data, size_t length, size_t *done)
{
	struct slat_memory memory = {
		.size = sizeof(memory), .gpa = gpa, .length = length, .data = (uintptr_t)data,
	};
	const int ret = try_ioctl_ptr(vm->fd, write ? SLAT_WRITE_MEMORY : SLAT_READ_MEMORY, &memory);
	const size_t copied = length - memory.length;

	REQUIRE(memory.gpa == gpa + copied && memory.data == (uintptr_t)data + copied &&
		copied <= length && (ret || copied == length),
		"%d, gpa %llx, %llu bytes left", ret, memory.gpa, memory.length);
	if (done)
		*done = copied;
	return ret;
}

int vm_try_window(struct vm *vm, uint32_t flags, uint64_t gpa, uint64_t length)
{
	struct slat_window window = {
		.size = sizeof(window), .flags = flags, .gpa = gpa, .length = length,
	};

	return try_ioctl_ptr(vm->fd, SLAT_CREATE_WINDOW, &window);
}

void vm_debugfs(char *path, size_t size, int pid, const char *name)
{
	DIR *root = opendir(DEBUGFS);
	const struct dirent *entry;
	int of, n, last = -1;

	*path = 0;
	while (root && (entry = readdir(root))) {
		if (sscanf(entry->d_name, "vm-%d-%d", &of, &n) != 2 || of != pid || n < last)
			continue;
		snprintf(path, size, DEBUGFS "/%s%s", entry->d_name, name);
		last = n;
	}
	if (root)
		closedir(root);
}

int vm_try_attribute(struct vm *vm, uint32_t attribute, uint64_t value)
{
	struct slat_attribute attr = {
		.size = sizeof(attr), .attribute = attribute, .value = value,
	};

	return try_ioctl_ptr(vm->fd, SLAT_SET_ATTRIBUTE, &attr);
}

int vm_try_pin(struct vm *vm, uint64_t gpa, uint64_t length, uint32_t type)
{
	struct slat_memtype_range range = {
		.size = sizeof(range), .gpa = gpa, .length = length, .type = type,
	};

	return try_ioctl_ptr(vm->fd, SLAT_PIN_MEMTYPE, &range);
}

int vcpu_try_prefault(struct vcpu *vcpu, uint64_t gpa, uint64_t size)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size };
	int ret;

	do {
		ret = try_ioctl_ptr(vcpu->fd, KVM_PRE_FAULT_MEMORY, &range);
	} while (!ret && range.size);
	return ret;
}

void *mem_huge_area(size_t size)
{
	const uintptr_t mem = (uintptr_t)mem_alloc(size + HUGE);

	return (void *)((mem + HUGE - 1) & ~(HUGE - 1));
}

bool mem_make_huge(void *mem)
{
	return !madvise(mem, HUGE, MADV_HUGEPAGE) && (memset(mem, 1, HUGE), true) &&
	       !madvise(mem, HUGE, MADV_COLLAPSE);
}

void mem_make_small(void *mem, size_t size)
{
	REQUIRE(!madvise(mem, size, MADV_NOHUGEPAGE), "no small pages");
	memset(mem, 1, size);
}

/* An entry of a file in /proc that has one of 64 bits for each page. */
static uint64_t page_entry(const char *path, uint64_t page)
{
	const off_t at = page * sizeof(uint64_t);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	REQUIRE(fd >= 0 && pread(fd, &entry, sizeof(entry), at) == sizeof(entry), "no %s", path);
	close(fd);
	return entry;
}

#define PAGEMAP_PRESENT	(1ull << 63)
#define PAGEMAP_FRAME	((1ull << 55) - 1)

uint64_t mem_frame(const void *address)
{
	const uint64_t entry = page_entry("/proc/self/pagemap", (uintptr_t)address / PAGE_SIZE);

	return entry & PAGEMAP_PRESENT ? entry & PAGEMAP_FRAME : 0;
}

#define KPF_DIRTY		(1ull << 4)
#define KPF_COMPOUND_TAIL	(1ull << 16)

bool mem_is_dirty(const void *address)
{
	uint64_t frame = mem_frame(address), flags;

	do {
		flags = page_entry("/proc/kpageflags", frame--);
	} while (flags & KPF_COMPOUND_TAIL);
	return flags & KPF_DIRTY;
}
