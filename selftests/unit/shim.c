// SPDX-License-Identifier: GPL-2.0-only
/* What the headers in include/linux need beyond inline functions. */
#include <stdio.h>

#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/spinlock.h>

unsigned int shim_warnings;
_Thread_local unsigned long shim_reads;
bool (*shim_before_cmpxchg)(u64 *ptr, u64 old, u64 new);

static _Thread_local const rwlock_t *held_read, *held_write;

bool shim_warn(bool condition, const char *text, const char *file, int line)
{
	if (condition) {
		__atomic_add_fetch(&shim_warnings, 1, __ATOMIC_RELAXED);
		fprintf(stderr, "# WARN_ON(%s) at %s:%d\n", text, file, line);
	}
	return condition;
}

static bool interfere(u64 *ptr, u64 old, u64 new)
{
	static _Thread_local bool within;
	bool go_on;

	if (!shim_before_cmpxchg || within)
		return true;
	within = true;
	go_on = shim_before_cmpxchg(ptr, old, new);
	within = false;
	return go_on;
}

bool shim_try_cmpxchg64(u64 *ptr, u64 *old, u64 new)
{
	if (!interfere(ptr, *old, new)) {
		*old = __atomic_load_n(ptr, __ATOMIC_RELAXED);
		return false;
	}
	return __atomic_compare_exchange_n(ptr, old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void rwlock_init(rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	/* As in the kernel, readers do not keep writers out for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&lock->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void read_lock(rwlock_t *lock)
{
	pthread_rwlock_rdlock(&lock->lock);
	held_read = lock;
}

void read_unlock(rwlock_t *lock)
{
	held_read = NULL;
	pthread_rwlock_unlock(&lock->lock);
}

void write_lock(rwlock_t *lock)
{
	pthread_rwlock_wrlock(&lock->lock);
	held_write = lock;
}

void write_unlock(rwlock_t *lock)
{
	held_write = NULL;
	pthread_rwlock_unlock(&lock->lock);
}

bool shim_lock_is_held(const rwlock_t *lock)
{
	return held_read == lock || held_write == lock;
}

bool shim_lock_is_held_write(const rwlock_t *lock)
{
	return held_write == lock;
}
