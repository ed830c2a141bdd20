/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual machines and vCPUs for the tests, from the VMM's side.
 *
 * The device is $SLAT_DEV, by default /dev/slat. It speaks KVM's ioctls, so a
 * test can be proved on /dev/kvm first. A helper that cannot do its work
 * prints why and aborts, which the harness reports as a failed test; calls
 * whose failure is what a test looks at have a vm_try_ or vcpu_try_ form that
 * returns -errno.
 */
#ifndef SLAT_TEST_VM_H
#define SLAT_TEST_VM_H

#include <linux/kvm.h>
#include <linux/slat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define PAGE_SIZE	4096ul
#define MIB		(1024ul * 1024)
#define HUGE		(2 * MIB)

/* Where things are in a VM made by vm_create(): one slot of RAM at 0. */
#define VM_RAM_SLOT	0
#define VM_RAM_SIZE	(16 * MIB)
#define VM_CODE_GPA	0x8000		/* code blobs; real mode reaches it */
#define VM_DATA_GPA	0x10000ul	/* up to 4 MiB: for the test to use */
#define VM_IMAGE_GPA	(4 * MIB)	/* this program, for guests in C */
#define VM_POOL_GPA	(8 * MIB)	/* vm_pages() takes from here on */
#define VM_MMIO_GPA	0xd0000000ul	/* never RAM, but mapped by guests */
#define VM_MMIO_SIZE	0x10000ul

/* A guest's own paging; the values index a table in guest.c. */
enum guest_paging {
	PAGING_NONE,
	PAGING_32BIT,
	PAGING_PAE,
	PAGING_4LEVEL,
	PAGING_5LEVEL,
};

struct vm {
	int fd;
	uint8_t *ram;
	uint64_t next_page;		/* of the pool */
	enum guest_paging paging;	/* of the tables at root */
	uint64_t root;			/* guest's page table, 0: none yet */
	bool image_loaded;
};

struct vcpu {
	struct vm *vm;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	uint64_t gdt, idt, tss;		/* gpa, set by guest_enter_long() */
};

/* Abort the test with a message when cond does not hold. */
#define REQUIRE(cond, fmt, ...)						\
	do {								\
		if (!(cond))						\
			test_die(__FILE__, __LINE__, #cond, fmt, ##__VA_ARGS__); \
	} while (0)

void test_die(const char *file, int line, const char *cond,
	      const char *fmt, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

/* ioctl() that returns -errno instead of -1. */
int try_ioctl(int fd, unsigned long request, unsigned long arg);
#define try_ioctl_ptr(fd, request, ptr) \
	try_ioctl(fd, request, (unsigned long)(ptr))
/* ioctl() that must succeed; the result is at least 0. */
int do_ioctl(int fd, unsigned long request, unsigned long arg,
	     const char *name);
#define must_ioctl(fd, request, arg) \
	do_ioctl(fd, request, (unsigned long)(arg), #request)

const char *slat_path(void);
/* Proving the tests: answers that differ on purpose are told by this. */
bool slat_is_kvm(void);
/* The device, opened once a process: shared, never close it. */
int slat_fd(void);
/* A file descriptor of the caller's own. */
int slat_open(void);
/* -errno of opening the device. */
int slat_try_open(void);
int slat_check_extension(int cap);
/* What KVM_GET_SUPPORTED_CPUID says; kept for the life of the process. */
struct kvm_cpuid2 *slat_supported_cpuid(void);
const struct kvm_cpuid_entry2 *slat_cpuid(uint32_t function, uint32_t index);

/* Anonymous memory, zeroed, not populated, page-aligned. */
void *mem_alloc(size_t size);

/* The same, such that huge pages may be got from the start on. */
void *mem_huge_area(size_t size);
/* Get a 2M-aligned HUGE, written to, as one page of the host's; true if it is. */
bool mem_make_huge(void *mem);
/* Get memory, written to, in pages of 4K. */
void mem_make_small(void *mem, size_t size);

/* The host's frame behind an address; 0: none is there. */
uint64_t mem_frame(const void *address);

/* Does the host know that it has to keep what is in the page? A large one is dirty as a whole. */
bool mem_is_dirty(const void *address);

/* size bytes that end where an inaccessible page begins. */
void *mem_before_hole(size_t size);
/* A CPUID that says nent, with room for so many entries before such a page. */
struct kvm_cpuid2 *cpuid_before_hole(uint32_t nent, uint32_t room);
/* Pointers that no ioctl may follow: NULL ends the list. */
extern const void *const bad_pointers[];

/* A VM with VM_RAM_SIZE of RAM; and one without any slot. */
struct vm *vm_create(void);
struct vm *vm_create_empty(void);
/* One without any slot, of this type. */
struct vm *vm_create_type(unsigned long type);
void vm_destroy(struct vm *vm);
int vm_try_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
		uint64_t size, const void *hva);
void vm_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
	     uint64_t size, const void *hva);
void vm_slot_delete(struct vm *vm, uint32_t slot);
/* What the nested tables map at gpa. */
struct slat_leaf_info vm_leaf(struct vm *vm, uint64_t gpa);
/* SLAT_SET_ATTRIBUTE and SLAT_PIN_MEMTYPE. */
int vm_try_attribute(struct vm *vm, uint32_t attribute, uint64_t value);
int vm_try_pin(struct vm *vm, uint64_t gpa, uint64_t length, uint32_t type);
/*
 * SLAT_READ_MEMORY or SLAT_WRITE_MEMORY of all of it: 0 or -errno. With done, how many
 * bytes were copied.
 */
int vm_try_copy(struct vm *vm, bool write, uint64_t gpa, void *data, size_t length, size_t *done);
/* SLAT_CREATE_WINDOW: a file descriptor or -errno. */
int vm_try_window(struct vm *vm, uint32_t flags, uint64_t gpa, uint64_t length);
/* The path of name in debugfs' directory of the last VM that pid made; "" if there is none. */
void vm_debugfs(char *path, size_t size, int pid, const char *name);
/* Host's pointer to guest RAM. */
void *vm_ptr(struct vm *vm, uint64_t gpa);
/* Zeroed pages of RAM for tables and stacks; returns their gpa. */
uint64_t vm_pages(struct vm *vm, unsigned int count);
void vm_load(struct vm *vm, uint64_t gpa, const void *code, const void *end);

/* A vCPU with the CPUID that the device supports; and one without CPUID. */
struct vcpu *vcpu_create(struct vm *vm, unsigned int id);
struct vcpu *vcpu_create_bare(struct vm *vm, unsigned int id);
void vcpu_destroy(struct vcpu *vcpu);
void vcpu_get_regs(struct vcpu *vcpu, struct kvm_regs *regs);
void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
void vcpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);
void vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
int vcpu_try_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
void vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid);

/* KVM_INTERRUPT: 0 or -errno. */
int vcpu_try_irq(struct vcpu *vcpu, uint32_t vector);

/* Map guest memory without running the guest: 0 when all is mapped, or -errno. */
int vcpu_try_prefault(struct vcpu *vcpu, uint64_t gpa, uint64_t size);

/* All that the ioctls tell of a vCPU, for comparing before and after. */
struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	uint64_t msrs[16];
};

void vcpu_get_state(struct vcpu *vcpu, struct vcpu_state *state);
bool vcpu_state_is(struct vcpu *vcpu, const struct vcpu_state *state);

uint64_t vcpu_get_msr(struct vcpu *vcpu, uint32_t index);
void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
/* 1: done, 0: refused, or -errno. */
int vcpu_try_get_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value);
int vcpu_try_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

#endif
