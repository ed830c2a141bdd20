// SPDX-License-Identifier: GPL-2.0-only
#include "crash.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ucontext.h>
#include <unistd.h>

#define HEAD	192
#define WORDS	64

static uint64_t canary(void)
{
	uint64_t value;

	asm("mov %%fs:0x28, %0" : "=r" (value));
	return value;
}

static uint64_t thread(void)
{
	uint64_t value;

	asm("mov %%fs:0, %0" : "=r" (value));
	return value;
}

/* In a static buffer and by write(): the heap and streams may be what broke. */
static void show(const char *what, uint64_t ip, const uint64_t *stack)
{
	static char text[HEAD + WORDS * 18];
	int len, i;

	len = snprintf(text, HEAD, "# %s at %#lx, thread %#lx, canary %#lx, stack %p:", what, ip,
		       thread(), canary(), stack);
	for (i = 0; i < WORDS; i++)
		len += sprintf(text + len, "%s%lx", i % 8 ? " " : "\n# ", stack[i]);
	text[len++] = '\n';
	if (write(STDOUT_FILENO, text, len) < 0)
		_exit(1);
}

static void crashed(int sig, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	char what[64];

	snprintf(what, sizeof(what), "signal %d for %p", sig, info->si_addr);
	show(what, regs[REG_RIP], (const uint64_t *)regs[REG_RSP]);
}

/* The C library's functions call it; its own only ends the program. */
__attribute__((noreturn)) void __stack_chk_fail(void)
{
	show("stack smashed", (uintptr_t)__builtin_return_address(0), __builtin_frame_address(0));
	abort();
}

void crash_report(void)
{
	/* Once: the instruction that crashed does it again, and ends the program. */
	struct sigaction action = { .sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_RESETHAND };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}
