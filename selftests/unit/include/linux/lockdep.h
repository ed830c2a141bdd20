/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_LOCKDEP_H
#define SLAT_UNIT_LOCKDEP_H

#include <linux/bug.h>
#include <linux/spinlock.h>

#define lockdep_assert_held(lock)	((void)WARN_ON(!shim_lock_is_held(lock)))
#define lockdep_assert_held_write(lock)	((void)WARN_ON(!shim_lock_is_held_write(lock)))

#endif
