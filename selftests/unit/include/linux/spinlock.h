/* SPDX-License-Identifier: GPL-2.0-only */
/* A rwlock that knows whether the calling thread holds it. */
#ifndef SLAT_UNIT_SPINLOCK_H
#define SLAT_UNIT_SPINLOCK_H

#include <pthread.h>
#include <stdbool.h>

typedef struct slat_rwlock {
	pthread_rwlock_t lock;
} rwlock_t;

void rwlock_init(rwlock_t *lock);
void read_lock(rwlock_t *lock);
void read_unlock(rwlock_t *lock);
void write_lock(rwlock_t *lock);
void write_unlock(rwlock_t *lock);

/* A thread holds one lock at a time here. */
bool shim_lock_is_held(const rwlock_t *lock);
bool shim_lock_is_held_write(const rwlock_t *lock);

#endif
