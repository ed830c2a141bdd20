/* SPDX-License-Identifier: GPL-2.0-only */
/* For how long the spinning locks are held: measured while debugfs asks for it. */
#ifndef SLAT_LOCK_HOLD_H
#define SLAT_LOCK_HOLD_H

#include <linux/jump_label.h>

#include "locks.h"

DECLARE_STATIC_KEY_FALSE(slat_lock_hold_key);

/** slat_lock_hold_wanted() - does anybody want to know?  Costs next to nothing if not. */
static __always_inline bool slat_lock_hold_wanted(void)
{
	return static_branch_unlikely(&slat_lock_hold_key);
}

/**
 * slat_lock_hold_note() - a lock was held
 * @ns:	for so long, with the wait for it
 */
void slat_lock_hold_note(enum slat_lock_level level, u64 ns);

/** slat_lock_hold_debugfs() - make the file. */
void slat_lock_hold_debugfs(void);

#endif
