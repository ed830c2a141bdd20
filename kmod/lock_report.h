/* SPDX-License-Identifier: GPL-2.0-only */
/* What the lock checker found: counted, and each pair of places told once. */
#ifndef SLAT_LOCK_REPORT_H
#define SLAT_LOCK_REPORT_H

#include "locks.h"

/* FAULT(fault, name) */
#define SLAT_LOCK_FAULTS(FAULT)						\
	/* Inside a lock that belongs inside of it. */			\
	FAULT(ORDER, "order")						\
	/* Two locks of one level, of one VM or of two. */		\
	FAULT(LEVEL, "same-level")					\
	/* Held for read, wanted for write: waits for itself. */	\
	FAULT(UPGRADE, "read-then-write")				\
	/* Held already. */						\
	FAULT(RECURSION, "recursion")					\
	/* User memory touched inside a lock that its fault may want. */ \
	FAULT(USER, "user-access")					\
	/* Sleeping with a spinning lock held. */			\
	FAULT(SLEEP, "sleep")						\
	/* A second VM's lock, or nobody's, and that VM is not the caller. */ \
	FAULT(CALLER, "not-the-callers")

enum slat_lock_fault {
#define FAULT(fault, name) SLAT_LOCK_FAULT_##fault,
	SLAT_LOCK_FAULTS(FAULT)
#undef FAULT
	SLAT_NR_LOCK_FAULTS,
	SLAT_LOCK_FINE = SLAT_NR_LOCK_FAULTS
};

/** slat_lock_name() - a level's name in the list SLAT_LOCKS. */
const char *slat_lock_name(enum slat_lock_level level);

/**
 * slat_lock_report() - @new does not go with @held
 *
 * Context: whatever locks the caller holds, one of seen_lock excepted.
 */
void slat_lock_report(enum slat_lock_fault fault, const struct slat_held *held,
		      const struct slat_held *new);

/** slat_lock_unchecked() - a lock could not be noted, for want of room. */
void slat_lock_unchecked(void);

/** slat_lock_report_forget() - tell of each pair once more. */
void slat_lock_report_forget(void);

#endif
