/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_COMPILER_H
#define SLAT_UNIT_COMPILER_H

#include <stddef.h>

/* READ_ONCE()s of this thread: what a walk costs, whatever the machine. */
extern _Thread_local unsigned long shim_reads;

/*
 * Acquire, because the kernel relies on what depends on the value (a page found
 * through an entry) to be read after it, and C has no weaker word for that.
 */
#define READ_ONCE(x)		(shim_reads++, __atomic_load_n(&(x), __ATOMIC_ACQUIRE))
#define WRITE_ONCE(x, value)	__atomic_store_n(&(x), value, __ATOMIC_RELAXED)

#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define noinline		__attribute__((noinline))

#define smp_store_release(ptr, value)	__atomic_store_n(ptr, value, __ATOMIC_RELEASE)
#define smp_load_acquire(ptr)		__atomic_load_n(ptr, __ATOMIC_ACQUIRE)

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#endif
