/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records in which the lock checker (locks.h) notes what each task holds.
 *
 * A task has one from its first lock to its last.  It is in the task's home, which
 * the hash of its address names, or in one of the next few when another task lives
 * there.  The home counts those that live elsewhere, so that two loads tell that a
 * task holds nothing, as most do.  No task looks into the record of another.
 *
 * As this runs whenever a lock is taken, the usual cases are kept short, and the
 * others out of their way.
 */
#ifndef SLAT_LOCK_RECORD_H
#define SLAT_LOCK_RECORD_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/hash.h>
#include <linux/sched.h>

struct slat_lock_id;

/**
 * struct slat_held - a lock, and where it was taken
 * @id:		the lock; NULL: none, but user memory touched or a sleep
 * @site:	an address in the function that takes it
 * @mode:	enum slat_lock_mode
 * @reach:	the lowest level of this and all outer ones; SLAT_NR_LOCKS after a fault
 * @since:	when it was taken, for lock_hold.h; 0: nobody asks
 */
struct slat_held {
	const struct slat_lock_id *id;
	unsigned long site;
	unsigned int mode;
	unsigned int reach;
	u64 since;
};

#define SLAT_LOCK_RECORDS_LG2	9
#define SLAT_LOCK_DEPTH		9

/**
 * struct slat_lock_record - what one task holds
 * @task:	whose it is; NULL: free
 * @top:	the innermost lock; @held while it is free
 * @elsewhere:	tasks whose home this is, and whose record is in the neighbourhood
 * @held:	all locks, outermost first
 */
struct slat_lock_record {
	struct task_struct *task;
	struct slat_held *top;
	atomic_t elsewhere;
	struct slat_held held[SLAT_LOCK_DEPTH];
} ____cacheline_aligned;

extern struct slat_lock_record slat_lock_records[1 << SLAT_LOCK_RECORDS_LG2];

/* Nobody's: its top is never its first place. */
extern struct slat_lock_record slat_lock_no_record;

static __always_inline struct slat_lock_record *slat_lock_home(const struct task_struct *task)
{
	struct slat_lock_record *home = &slat_lock_records[hash_ptr(task, SLAT_LOCK_RECORDS_LG2)];

	/* Or the compiler works it out anew for each field. */
	OPTIMIZER_HIDE_VAR(home);
	return home;
}

static __always_inline bool slat_lock_record_claim(struct slat_lock_record *record,
						   struct task_struct *task)
{
	struct task_struct *nobody = NULL;

	return try_cmpxchg_acquire(&record->task, &nobody, task);
}

/* @record->top is @record->held again.  Pairs with the acquire above. */
static __always_inline void slat_lock_record_give_up(struct slat_lock_record *record)
{
	smp_store_release(&record->task, NULL);
}

#endif
