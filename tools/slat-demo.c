// SPDX-License-Identifier: GPL-2.0-only
/*
 * slat-demo: runs a small 64-bit guest and tells what happened.
 *
 * The guest prints through a serial port, touches memory that is mapped only
 * then, reads a device and halts. $SLAT_DEV names the device, /dev/slat if
 * unset; with /dev/kvm the same program runs on KVM.
 *
 * Exit status: 0 if the guest did all that.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <linux/slat.h>

#include "guest.h"

#define PORT_SERIAL	0x3f8
#define HEAP_GPA	0x10000000ul
#define HEAP_PAGES	2048ul
#define HEAP_SUM	(HEAP_PAGES * (HEAP_PAGES + 1) / 2)
#define DEVICE_ID	0x74616c73u	/* "slat" */

/* --- what runs in the guest */

static void guest_print(const char *text)
{
	while (*text)
		outb(PORT_SERIAL, *text++);
}

static void guest_print_number(uint64_t number)
{
	char digits[21];
	char *at = digits + sizeof(digits) - 1;

	*at = 0;
	do {
		*--at = '0' + number % 10;
		number /= 10;
	} while (number);
	guest_print(at);
}

static void guest_print_vendor(void)
{
	uint32_t eax = 0, vendor[4] = { 0 };

	asm volatile("cpuid" : "+a"(eax), "=b"(vendor[0]), "=d"(vendor[1]),
			       "=c"(vendor[2]));
	guest_print((char *)vendor);
}

static uint64_t guest_touch_heap(void)
{
	volatile uint64_t *heap = (uint64_t *)HEAP_GPA;
	uint64_t page, sum = 0;

	for (page = 0; page < HEAP_PAGES; page++)
		heap[page * 512] = page + 1;
	for (page = 0; page < HEAP_PAGES; page++)
		sum += heap[page * 512];
	return sum;
}

static void guest_main(uint64_t unused)
{
	guest_print("hello from 64-bit mode on a CPU by ");
	guest_print_vendor();
	guest_print("\ntouching ");
	guest_print_number(HEAP_PAGES);
	guest_print(" pages, their sum is ");
	guest_print_number(guest_touch_heap());
	guest_print(*(volatile uint32_t *)VM_MMIO_GPA == DEVICE_ID ?
		    "\nthe device is there" : "\nthe device is not there");
	guest_print("\nhalting\n");
	guest_halt();
}

/* --- what runs it */

struct demo {
	struct vcpu *vcpu;
	unsigned long io, mmio, others;
	char text[512];
	size_t length;
	double seconds;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* A serial port that collects, and prints whole lines. */
static void serial_out(struct demo *demo, char byte)
{
	if (demo->length == sizeof(demo->text) - 1)
		return;
	demo->text[demo->length++] = byte;
	if (demo->length == 1 || demo->text[demo->length - 2] == '\n')
		printf("  guest: ");
	putchar(byte);
}

static bool demo_exit(struct demo *demo, uint32_t reason)
{
	struct vcpu *vcpu = demo->vcpu;

	if (exit_is_io(vcpu, KVM_EXIT_IO_OUT, PORT_SERIAL, 1, 1)) {
		demo->io++;
		serial_out(demo, exit_io_value(vcpu));
		return true;
	}
	if (exit_is_mmio(vcpu, false, VM_MMIO_GPA, 4)) {
		demo->mmio++;
		exit_mmio_reply(vcpu, DEVICE_ID);
		return true;
	}
	if (reason == KVM_EXIT_HLT)
		return false;
	demo->others++;
	vcpu_dump(vcpu);
	return false;
}

static void demo_run(struct demo *demo)
{
	double begin = now();

	while (demo_exit(demo, vcpu_run(demo->vcpu)))
		;
	demo->seconds = now() - begin;
}

static struct vm *demo_vm(struct demo *demo)
{
	struct vm *vm = vm_create();

	vm_slot(vm, 1, 0, HEAP_GPA, HEAP_PAGES * PAGE_SIZE,
		mem_alloc(HEAP_PAGES * PAGE_SIZE));
	vm_make_tables(vm, PAGING_4LEVEL);
	vm_map(vm, HEAP_GPA, HEAP_GPA, HEAP_PAGES * PAGE_SIZE, PT_ALL);
	demo->vcpu = vcpu_create(vm, 0);
	guest_enter_c(demo->vcpu, guest_main, 0);
	return vm;
}

static void print_device(void)
{
	printf("%s: KVM API version %d, up to %d memory slots and %d vCPUs a VM\n",
	       slat_path(), must_ioctl(slat_fd(), KVM_GET_API_VERSION, 0),
	       slat_check_extension(KVM_CAP_NR_MEMSLOTS),
	       slat_check_extension(KVM_CAP_MAX_VCPUS));
}

static void print_stats(struct vm *vm)
{
	struct slat_stats stats = { .size = sizeof(stats) };

	if (try_ioctl_ptr(vm->fd, SLAT_GET_STATS, &stats)) {
		printf("No SLAT_GET_STATS here.\n");
		return;
	}
	printf("%llu exits from guest mode. %llu nested page faults mapped %llu pages, on first touch,\n"
	       "in %llu pages of nested tables with %u levels.\n",
	       stats.exits, stats.faults, stats.leaves, stats.tables,
	       stats.levels);
}

static bool demo_is_good(struct demo *demo)
{
	char sum[32];

	snprintf(sum, sizeof(sum), "sum is %lu\n", HEAP_SUM);
	return !demo->others && demo->mmio == 1 &&
	       strstr(demo->text, sum) && strstr(demo->text, "is there\n");
}

int main(void)
{
	struct demo demo = { 0 };
	struct vm *vm;

	print_device();
	vm = demo_vm(&demo);
	printf("A VM with %lu MiB of memory, and %lu MiB more that nobody has touched.\n",
	       VM_RAM_SIZE / MIB, HEAP_PAGES * PAGE_SIZE / MIB);
	demo_run(&demo);
	printf("It %s after %.1f ms and %lu exits to this program: %lu for the serial port, %lu for MMIO.\n",
	       demo.others ? "failed" : "halted", demo.seconds * 1e3,
	       demo.io + demo.mmio + demo.others + 1, demo.io, demo.mmio);
	print_stats(vm);
	vcpu_destroy(demo.vcpu);
	vm_destroy(vm);
	return demo_is_good(&demo) ? 0 : 1;
}
