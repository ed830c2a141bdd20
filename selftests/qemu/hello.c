// SPDX-License-Identifier: GPL-2.0-only
/*
 * The only program of a Linux that QEMU boots on slat: shows that user space runs,
 * with a process of its own, system calls and page faults, and powers off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE	(4ul << 20)

static unsigned int sum(void)
{
	unsigned char *bytes = malloc(SIZE);
	unsigned int i, sum = 0;

	for (i = 0; i < SIZE; i++)
		bytes[i] = i * 7;
	for (i = 0; i < SIZE; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

int main(void)
{
	struct utsname name;
	int status;
	pid_t child = fork();

	if (!child) {
		uname(&name);
		printf("hello from user space: %s %s, sum %08x\n", name.sysname, name.release, sum());
		exit(0);
	}
	waitpid(child, &status, 0);
	printf("goodbye: %d\n", status);
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 1;
}
