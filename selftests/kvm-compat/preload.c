// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's selftests create an interrupt controller in the kernel with every VM,
 * though few of them use it. slat has none and refuses. Loaded before the C
 * library, this makes that one ioctl a success; all others go through.
 */
#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == KVM_CREATE_IRQCHIP)
		return 0;
	return syscall(SYS_ioctl, fd, request, arg);
}
