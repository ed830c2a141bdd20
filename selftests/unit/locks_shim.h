/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In place of kmod/locks.h: locks of this process, whose order nobody checks.
 * -include it before everything else.
 */
#ifndef SLAT_LOCKS_H
#define SLAT_LOCKS_H

#include <linux/lockdep.h>
#include <linux/spinlock.h>

#define slat_rwlock_assert_held(rwlock)		lockdep_assert_held(rwlock)
#define slat_rwlock_assert_held_write(rwlock)	lockdep_assert_held_write(rwlock)

struct slat_spinlock {
	int unused;
};

static inline int slat_srcu_read_lock(int *readers)
{
	return (*readers)++;
}

static inline void slat_srcu_read_unlock(int *readers, int idx)
{
	--*readers;
}

static inline void slat_user_access(void)
{
}

#endif
