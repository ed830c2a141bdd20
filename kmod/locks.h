/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every lock of slat, the order in which they are taken, and the checker of it.
 *
 * A thread takes locks downwards in the list SLAT_LOCKS only, whichever VMs they
 * belong to, and no two of one level: so threads cannot wait for each other in a ring.
 * All locks are taken by the functions below.  These note in a record of the current
 * task what it holds, compare before they wait, and report what is not in order, once
 * for each pair of places.  They do so in every build; lockdep is told as well.
 *
 * Subject and caller
 * ------------------
 * A thread can act on several VMs at once.  An ioctl or a guest's fault works on one
 * of them, the subject, and holds locks of it.  When it touches user memory or needs a
 * page, the kernel may change memory that another VM's slots (or the same one's) map,
 * and calls that VM's MMU notifier in the middle of it all.  This second VM is the
 * caller: the one whose memory the thread uses, as Xen's dom0 is when it has the
 * dirty log of another domain copied to its own memory.
 *
 * A caller's locks may nest inside a subject's, never the reverse.  Only a notifier
 * makes a VM the caller; it says so with slat_caller_begin() and slat_caller_end().
 * These also stand for the mm's locks, inside which notifiers run.  In between,
 * only the caller's locks may be taken: a subject's is refused, be it of the VM just
 * outside or, when callers nest, of one further out, which cannot become the caller
 * of its own caller either; and a lock that no VM owns counts as the subject's.
 * Elsewhere no lock of a second VM may be taken at all.
 *
 * Another thread may have the roles reversed, or three VMs in a ring (the log of A
 * goes to memory of B, while that of B goes to memory of A).  This is no deadlock:
 * levels count for all VMs together, what subjects hold is above mm in the list, and
 * what callers take is below it.
 */
#ifndef SLAT_LOCKS_H
#define SLAT_LOCKS_H

#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>

#include "lock_record.h"

/*
 * LOCK(level, name, kind), outermost first.
 *
 * Not here, since nothing of slat is ever taken inside of them: the locks of the
 * kernel's own objects (xarrays, eventfds) and seen_lock of the checker.
 */
#define SLAT_LOCKS(LOCK)								\
	/* One vCPU's state.  Held for all of KVM_RUN: what a guest needs is inside. */	\
	LOCK(VCPU, "vcpu->mutex", MUTEX)						\
	/*										\
	 * Which vCPUs, doorbells and MSR filter there are, what is settled with the	\
	 * first vCPU.									\
	 */										\
	LOCK(VM, "vm->lock", MUTEX)							\
	/* Changes of the slots and of pinned memory types, reading dirty logs. */	\
	LOCK(SLOTS, "vm->slots_lock", MUTEX)						\
	/*										\
	 * Whether CPUs are enabled.  Inside cpus_read_lock(), since the callbacks	\
	 * of CPU hotplug run with that held.						\
	 */										\
	LOCK(HW, "hw_lock", MUTEX)							\
	/*										\
	 * Frames that are being converted: whoever wants to guard one waits, with a	\
	 * vCPU's mutex as a rule.  Conversions do not wait for guards.			\
	 */										\
	LOCK(CLAIM, "vm->guards.claim", MUTEX)						\
	/*										\
	 * A snapshot of the slots.  A reader waits for nothing, so that a notifier	\
	 * may read at any point; but it may fault in user memory, and whoever		\
	 * changes the slots waits for it.  Hence outside of mm, inside slots_lock.	\
	 */										\
	LOCK(SRCU, "vm->slots_srcu", SRCU)						\
	/*										\
	 * The mm's: mmap_lock and others.  Copies of user memory and			\
	 * get_user_pages() take them, and MMU notifiers run inside.			\
	 */										\
	LOCK(MM, "mm", MM)								\
	/*										\
	 * The table lock: the nested tables, dirty logs, the count of invalidations.	\
	 * Nothing inside sleeps, allocates or touches user memory.			\
	 */										\
	LOCK(TABLE, "mmu->lock", RWLOCK)						\
	/* The VMM's last write to a TSC. */						\
	LOCK(TSC, "vm->tsc.lock", SPINLOCK)						\
	/* Which frames are guarded, and which are being converted. */			\
	LOCK(GUARDS, "vm->guards.lock", SPINLOCK)					\
	/*										\
	 * A vCPU's runstate area and times.  The scheduler's callbacks take it inside	\
	 * of the run queue's lock, by trylock alone: it is raw.			\
	 */										\
	LOCK(RUNSTATE, "vcpu->runstate.lock", RAW_SPINLOCK)

enum slat_lock_level {
#define LOCK(level, name, kind) SLAT_LOCK_##level,
	SLAT_LOCKS(LOCK)
#undef LOCK
	SLAT_NR_LOCKS
};

/**
 * struct slat_lock_id - which lock it is
 * @owner:	the VM that it belongs to; NULL: none
 * @level:	enum slat_lock_level
 */
struct slat_lock_id {
	const void *owner;
	u8 level;
};

enum slat_lock_mode {
	SLAT_LOCK_SHARED,
	SLAT_LOCK_EXCLUSIVE,
	SLAT_LOCK_CALLER,	/* slat_caller_begin() */
};

/**
 * slat_lock_take() - the current task is about to take a lock
 *
 * For the functions below.  Checks first, then notes that it is held.
 *
 * Context: a task; not an interrupt, where slat takes no locks.
 */
void slat_lock_take(const struct slat_lock_id *id, enum slat_lock_mode mode);

/**
 * slat_lock_release() - the current task is about to give it back
 *
 * Before it does: afterwards the lock may be gone.
 */
void slat_lock_release(const struct slat_lock_id *id);

/**
 * slat_user_access() - the current task is about to touch user memory
 *
 * Here and in slat_may_sleep(), what may not be held is reported whether or not
 * the memory has to be faulted in, or the task to wait, this time.  user.h has the
 * copies that call it.
 */
void slat_user_access(void);

/** slat_may_sleep() - the current task is about to do what may sleep. */
void slat_may_sleep(void);

/**
 * slat_caller_begin() - @memory's owner is the caller from here on
 * @memory:	of level SLAT_LOCK_MM
 */
static __always_inline void slat_caller_begin(const struct slat_lock_id *memory)
{
	slat_lock_take(memory, SLAT_LOCK_CALLER);
}

static __always_inline void slat_caller_end(const struct slat_lock_id *memory)
{
	slat_lock_release(memory);
}

/* Note in its home the task's first lock, if that is what it is. */
static __always_inline bool slat_lock_begin(struct slat_lock_record *home, struct task_struct *task,
					    const struct slat_lock_id *id,
					    enum slat_lock_mode mode, unsigned long site)
{
	if (unlikely(atomic_read(&home->elsewhere) || !slat_lock_record_claim(home, task)))
		return false;
	home->held[0] = (struct slat_held) {
		.id = id, .site = site, .mode = mode, .reach = id->level,
	};
	return true;
}

/*
 * Mutexes.  They are what a task takes first, above all a vCPU's in each KVM_RUN, so
 * that case is inline.
 */

/*
 * @record: the holder's, if this is its first lock and noted in its home, else
 *	slat_lock_no_record.  Under @lock
 */
struct slat_mutex {
	struct mutex lock;
	struct slat_lock_id id;
	struct slat_lock_record *record;
};

/* Return: for @record. */
static __always_inline struct slat_lock_record *slat_mutex_take(const struct slat_mutex *mutex)
{
	struct task_struct *task = current;
	struct slat_lock_record *home = slat_lock_home(task);

	if (likely(slat_lock_begin(home, task, &mutex->id, SLAT_LOCK_EXCLUSIVE, _THIS_IP_)))
		return home;
	slat_lock_take(&mutex->id, SLAT_LOCK_EXCLUSIVE);
	return &slat_lock_no_record;
}

static __always_inline void slat_mutex_release(const struct slat_mutex *mutex,
					       struct slat_lock_record *record)
{
	if (likely(record->top == record->held))
		slat_lock_record_give_up(record);
	else
		slat_lock_release(&mutex->id);
}

#define DEFINE_SLAT_MUTEX(name, lock_level)				\
	struct slat_mutex name = {					\
		.lock = __MUTEX_INITIALIZER(name.lock),			\
		.id = { .level = lock_level },				\
	}

void slat_mutex_init(struct slat_mutex *mutex, enum slat_lock_level level, const void *owner);

static __always_inline void slat_mutex_lock(struct slat_mutex *mutex)
{
	struct slat_lock_record *record = slat_mutex_take(mutex);

	mutex_lock(&mutex->lock);
	mutex->record = record;
}

/* Return: 0, or -EINTR: not taken. */
static __always_inline int __must_check slat_mutex_lock_killable(struct slat_mutex *mutex)
{
	struct slat_lock_record *record = slat_mutex_take(mutex);
	int ret = mutex_lock_killable(&mutex->lock);

	if (ret)
		slat_mutex_release(mutex, record);
	else
		mutex->record = record;
	return ret;
}

static __always_inline void slat_mutex_unlock(struct slat_mutex *mutex)
{
	slat_mutex_release(mutex, mutex->record);
	mutex_unlock(&mutex->lock);
}

/* Reader-writer spinlocks */

struct slat_rwlock {
	rwlock_t lock;
	struct slat_lock_id id;
};

void slat_rwlock_init(struct slat_rwlock *rwlock, enum slat_lock_level level, const void *owner);

#define slat_rwlock_assert_held(rwlock)		lockdep_assert_held(&(rwlock)->lock)
#define slat_rwlock_assert_held_write(rwlock)	lockdep_assert_held_write(&(rwlock)->lock)

static __always_inline void slat_read_lock(struct slat_rwlock *rwlock)
	__acquires(&rwlock->lock)
{
	slat_lock_take(&rwlock->id, SLAT_LOCK_SHARED);
	read_lock(&rwlock->lock);
}

static __always_inline void slat_read_unlock(struct slat_rwlock *rwlock)
	__releases(&rwlock->lock)
{
	slat_lock_release(&rwlock->id);
	read_unlock(&rwlock->lock);
}

static __always_inline void slat_write_lock(struct slat_rwlock *rwlock)
	__acquires(&rwlock->lock)
{
	slat_lock_take(&rwlock->id, SLAT_LOCK_EXCLUSIVE);
	write_lock(&rwlock->lock);
}

static __always_inline void slat_write_unlock(struct slat_rwlock *rwlock)
	__releases(&rwlock->lock)
{
	slat_lock_release(&rwlock->id);
	write_unlock(&rwlock->lock);
}

/* Spinlocks */

struct slat_spinlock {
	spinlock_t lock;
	struct slat_lock_id id;
};

void slat_spinlock_init(struct slat_spinlock *spinlock, enum slat_lock_level level,
			const void *owner);

static __always_inline void slat_spin_lock(struct slat_spinlock *spinlock)
	__acquires(&spinlock->lock)
{
	slat_lock_take(&spinlock->id, SLAT_LOCK_EXCLUSIVE);
	spin_lock(&spinlock->lock);
}

static __always_inline void slat_spin_unlock(struct slat_spinlock *spinlock)
	__releases(&spinlock->lock)
{
	slat_lock_release(&spinlock->id);
	spin_unlock(&spinlock->lock);
}

/* Spinlocks for where the kernel holds raw ones itself */

struct slat_raw_spinlock {
	raw_spinlock_t lock;
	struct slat_lock_id id;
};

void slat_raw_spinlock_init(struct slat_raw_spinlock *spinlock, enum slat_lock_level level,
			    const void *owner);

#define slat_raw_spin_assert_held(spinlock)	lockdep_assert_held(&(spinlock)->lock)

static __always_inline void slat_raw_spin_lock(struct slat_raw_spinlock *spinlock)
	__acquires(&spinlock->lock)
{
	slat_lock_take(&spinlock->id, SLAT_LOCK_EXCLUSIVE);
	raw_spin_lock(&spinlock->lock);
}

static __always_inline void slat_raw_spin_unlock(struct slat_raw_spinlock *spinlock)
	__releases(&spinlock->lock)
{
	slat_lock_release(&spinlock->id);
	raw_spin_unlock(&spinlock->lock);
}

/*
 * Not noted: who only tries waits for nobody.  For short sections, under any lock of the
 * kernel, in which no other lock is taken.
 */
#define slat_raw_spin_try_begin(spinlock)	raw_spin_trylock(&(spinlock)->lock)

static __always_inline void slat_raw_spin_try_end(struct slat_raw_spinlock *spinlock)
	__releases(&spinlock->lock)
{
	raw_spin_unlock(&spinlock->lock);
}

/* Sleepable RCU: sections may nest, and do when a reader faults in its own VM's memory. */

struct slat_srcu {
	struct srcu_struct srcu;
	struct slat_lock_id id;
};

/* Return: 0 or -ENOMEM.  Undone by slat_srcu_destroy(). */
int __must_check slat_srcu_init(struct slat_srcu *srcu, enum slat_lock_level level,
				const void *owner);

static inline void slat_srcu_destroy(struct slat_srcu *srcu)
{
	cleanup_srcu_struct(&srcu->srcu);
}

static __always_inline int slat_srcu_read_lock(struct slat_srcu *srcu)
	__acquires(&srcu->srcu)
{
	slat_lock_take(&srcu->id, SLAT_LOCK_SHARED);
	return srcu_read_lock(&srcu->srcu);
}

static __always_inline void slat_srcu_read_unlock(struct slat_srcu *srcu, int idx)
	__releases(&srcu->srcu)
{
	slat_lock_release(&srcu->id);
	srcu_read_unlock(&srcu->srcu, idx);
}

/* Waiting for the readers is like taking a lock that they hold. */
static __always_inline void slat_srcu_synchronize(struct slat_srcu *srcu)
{
	slat_lock_take(&srcu->id, SLAT_LOCK_EXCLUSIVE);
	synchronize_srcu_expedited(&srcu->srcu);
	slat_lock_release(&srcu->id);
}

#define slat_srcu_dereference(p, srcu_)	srcu_dereference(p, &(srcu_)->srcu)

/** slat_locks_init() - before the first lock is taken. */
void slat_locks_init(void);

/** slat_locks_debugfs() - make the files of the checker. */
void slat_locks_debugfs(void);

#endif
