/* SPDX-License-Identifier: GPL-2.0-only */
/* Atomics, and an exchange that tests can interfere with. */
#ifndef SLAT_UNIT_ATOMIC_H
#define SLAT_UNIT_ATOMIC_H

#include <linux/compiler.h>
#include <linux/types.h>

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	long counter;
} atomic_long_t;

static inline int atomic_read(const atomic_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic_set(atomic_t *v, int i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_add(int i, atomic_t *v)
{
	__atomic_add_fetch(&v->counter, i, __ATOMIC_RELAXED);
}

static inline long atomic_long_read(const atomic_long_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic_long_set(atomic_long_t *v, long i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_long_add(long i, atomic_long_t *v)
{
	__atomic_add_fetch(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_long_inc(atomic_long_t *v)
{
	atomic_long_add(1, v);
}

static inline void atomic_long_dec(atomic_long_t *v)
{
	atomic_long_add(-1, v);
}

/*
 * Called before each exchange, which it can let fail by returning false or by
 * changing *ptr.  Exchanges from within go through untouched.
 */
extern bool (*shim_before_cmpxchg)(u64 *ptr, u64 old, u64 new);

bool shim_try_cmpxchg64(u64 *ptr, u64 *old, u64 new);

#define try_cmpxchg64(ptr, old, new)	shim_try_cmpxchg64(ptr, old, new)

#endif
