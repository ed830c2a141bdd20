// SPDX-License-Identifier: GPL-2.0-only
/* What each task holds, and whether it may take one more: see locks.h. */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "lock_hold.h"
#include "lock_report.h"

enum kind { MUTEX, SRCU, MM, RWLOCK, SPINLOCK, RAW_SPINLOCK };

static const struct {
	const char *name;
	enum kind kind;
} levels[SLAT_NR_LOCKS] = {
#define LOCK(level, name, kind) [SLAT_LOCK_##level] = { name, kind },
	SLAT_LOCKS(LOCK)
#undef LOCK
};

const char *slat_lock_name(enum slat_lock_level level)
{
	return levels[level].name;
}

/* The records */

#define RECORDS		BIT(SLAT_LOCK_RECORDS_LG2)
#define NEIGHBOURS	8

struct slat_lock_record slat_lock_records[RECORDS];
struct slat_lock_record slat_lock_no_record;

void slat_locks_init(void)
{
	unsigned int i;

	for (i = 0; i < RECORDS; i++)
		slat_lock_records[i].top = slat_lock_records[i].held;
}

static struct slat_lock_record *neighbour(const struct slat_lock_record *home, unsigned int i)
{
	return &slat_lock_records[(home - slat_lock_records + i) % RECORDS];
}

static noinline struct slat_lock_record *find_elsewhere(const struct slat_lock_record *home)
{
	unsigned int i;

	for (i = 1; i <= NEIGHBOURS; i++) {
		struct slat_lock_record *record = neighbour(home, i);

		if (READ_ONCE(record->task) == current)
			return record;
	}
	return NULL;
}

/* The current task's record, or NULL when it holds nothing. */
static __always_inline struct slat_lock_record *find(struct task_struct *task)
{
	struct slat_lock_record *home = slat_lock_home(task);

	if (READ_ONCE(home->task) == task)
		return home;
	if (likely(!atomic_read(&home->elsewhere)))
		return NULL;
	return find_elsewhere(home);
}

static struct slat_lock_record *claim_elsewhere(struct slat_lock_record *home)
{
	unsigned int i;

	for (i = 1; i <= NEIGHBOURS; i++) {
		struct slat_lock_record *record = neighbour(home, i);

		if (!slat_lock_record_claim(record, current))
			continue;
		atomic_inc(&home->elsewhere);
		return record;
	}
	return NULL;
}

/* The rules */

static bool spins(const struct slat_held *held)
{
	return levels[held->id->level].kind >= RWLOCK;
}

static bool is_srcu_read(const struct slat_held *held)
{
	return levels[held->id->level].kind == SRCU && held->mode == SLAT_LOCK_SHARED;
}

/* The same lock twice. */
static enum slat_lock_fault again(const struct slat_held *held, const struct slat_held *new)
{
	if (is_srcu_read(held) && is_srcu_read(new))
		return SLAT_LOCK_FINE;
	if (held->mode == SLAT_LOCK_SHARED && new->mode == SLAT_LOCK_EXCLUSIVE)
		return SLAT_LOCK_FAULT_UPGRADE;
	return SLAT_LOCK_FAULT_RECURSION;
}

static enum slat_lock_fault compare_levels(const struct slat_held *held,
					   const struct slat_held *new)
{
	/* Waits for nothing. */
	if (is_srcu_read(new))
		return SLAT_LOCK_FINE;
	if (held->id->level > new->id->level)
		return SLAT_LOCK_FAULT_ORDER;
	/* How mm's locks nest, and with them the notifiers, is mm's business. */
	if (held->id->level == new->id->level && new->mode != SLAT_LOCK_CALLER)
		return SLAT_LOCK_FAULT_LEVEL;
	return SLAT_LOCK_FINE;
}

static bool same_vm(const struct slat_held *held, const struct slat_held *new)
{
	return !held->id->owner || !new->id->owner || held->id->owner == new->id->owner;
}

/* @in_scope: a caller's scope lies between them, or @new begins one */
static enum slat_lock_fault compare(const struct slat_held *held, const struct slat_held *new,
				    bool in_scope)
{
	enum slat_lock_fault fault;

	if (held->id == new->id && new->mode != SLAT_LOCK_CALLER)
		return again(held, new);
	fault = compare_levels(held, new);
	if (fault == SLAT_LOCK_FINE && !in_scope && !same_vm(held, new))
		return SLAT_LOCK_FAULT_CALLER;
	return fault;
}

/* The innermost caller, or NULL. */
static const struct slat_held *find_caller(const struct slat_lock_record *record)
{
	const struct slat_held *held;

	for (held = record->top; held >= record->held; held--)
		if (held->mode == SLAT_LOCK_CALLER)
			return held;
	return NULL;
}

/* Does @new go with the innermost caller, if there is one? */
static bool fits_caller(const struct slat_lock_record *record, const struct slat_held *caller,
			const struct slat_held *new)
{
	const struct slat_held *held;

	if (!caller || caller->id->owner == new->id->owner)
		return true;
	if (new->mode != SLAT_LOCK_CALLER)
		return false;
	for (held = record->held; held < caller; held++)
		if (held->id->owner == new->id->owner)
			return false;
	return true;
}

/* May the owner of @record take @new?  Otherwise, report it. */
static bool check(const struct slat_lock_record *record, const struct slat_held *new)
{
	const struct slat_held *caller = find_caller(record), *held;
	bool begins = new->mode == SLAT_LOCK_CALLER;

	if (!fits_caller(record, caller, new)) {
		slat_lock_report(SLAT_LOCK_FAULT_CALLER, record->top, new);
		return false;
	}
	for (held = record->top; held >= record->held; held--) {
		enum slat_lock_fault fault = compare(held, new, caller || begins);

		if (fault == SLAT_LOCK_FINE)
			continue;
		slat_lock_report(fault, held, new);
		return false;
	}
	return true;
}

/* Taking and releasing */

static __always_inline void push(struct slat_lock_record *record, const struct slat_lock_id *id,
				 unsigned long site, enum slat_lock_mode mode,
				 unsigned int reach)
{
	*++record->top = (struct slat_held) {
		.id = id, .site = site, .mode = mode, .reach = reach,
	};
}

static void push_checked(struct slat_lock_record *record, const struct slat_held *new)
{
	/* What violates the rules is no measure for what comes inside. */
	const unsigned int reach = check(record, new) ?
				   max(new->reach, record->top->reach) : SLAT_NR_LOCKS;

	if (record->top < &record->held[SLAT_LOCK_DEPTH - 1])
		push(record, new->id, new->site, new->mode, reach);
	else
		slat_lock_unchecked();
}

static noinline void take_slowly(const struct slat_lock_id *id, enum slat_lock_mode mode,
				 unsigned long site)
{
	const struct slat_held new = {
		.id = id, .site = site, .mode = mode, .reach = id->level,
	};
	struct slat_lock_record *record = find(current);

	if (record) {
		push_checked(record, &new);
		return;
	}
	record = claim_elsewhere(slat_lock_home(current));
	if (record)
		record->held[0] = new;
	else
		slat_lock_unchecked();
}

/* Inside all that is held, and the owner of the innermost may take more? */
static __always_inline bool goes_inside(const struct slat_lock_record *record,
					const struct slat_lock_id *id)
{
	const struct slat_held *top = record->top;

	return id->level > top->reach && id->owner == top->id->owner &&
	       top < &record->held[SLAT_LOCK_DEPTH - 1];
}

/* The innermost lock of the current task, if that is @id and spins. */
static struct slat_held *find_spinning(const struct slat_lock_id *id)
{
	struct slat_lock_record *record = find(current);

	return record && record->top->id == id && spins(record->top) ? record->top : NULL;
}

static noinline void begin_hold(const struct slat_lock_id *id)
{
	struct slat_held *held = find_spinning(id);

	if (held)
		held->since = ktime_get_ns();
}

static noinline void end_hold(const struct slat_lock_id *id)
{
	const struct slat_held *held = find_spinning(id);

	if (held && held->since)
		slat_lock_hold_note(id->level, ktime_get_ns() - held->since);
}

void slat_lock_take(const struct slat_lock_id *id, enum slat_lock_mode mode)
{
	struct task_struct *task = current;
	struct slat_lock_record *home = slat_lock_home(task);

	if (READ_ONCE(home->task) == task && goes_inside(home, id))
		push(home, id, _RET_IP_, mode, id->level);
	else if (unlikely(!slat_lock_begin(home, task, id, mode, _RET_IP_)))
		take_slowly(id, mode, _RET_IP_);
	if (slat_lock_hold_wanted())
		begin_hold(id);
}

/* Forget one that is not the innermost, or was not noted for want of room. */
static void drop(struct slat_lock_record *record, const struct slat_lock_id *id)
{
	struct slat_held *held;

	for (held = record->top; held >= record->held; held--) {
		if (held->id != id)
			continue;
		memmove(held, held + 1, (record->top - held) * sizeof(*held));
		record->top--;
		return;
	}
}

static noinline void release_slowly(const struct slat_lock_id *id)
{
	struct slat_lock_record *home = slat_lock_home(current);
	struct slat_lock_record *record = find(current);

	if (!record)
		return;
	drop(record, id);
	if (record->top >= record->held)
		return;
	record->top = record->held;
	slat_lock_record_give_up(record);
	if (record != home)
		atomic_dec(&home->elsewhere);
}

void slat_lock_release(const struct slat_lock_id *id)
{
	struct task_struct *task = current;
	struct slat_lock_record *home = slat_lock_home(task);

	if (slat_lock_hold_wanted())
		end_hold(id);
	if (unlikely(READ_ONCE(home->task) != task || home->top->id != id))
		release_slowly(id);
	else if (home->top == home->held)
		slat_lock_record_give_up(home);
	else
		home->top--;
}

static noinline void report_user_access(const struct slat_lock_record *record, unsigned long site)
{
	const struct slat_held new = { .site = site }, *held;

	for (held = record->top; held >= record->held; held--) {
		if (held->id->level < SLAT_LOCK_MM)
			continue;
		slat_lock_report(SLAT_LOCK_FAULT_USER, held, &new);
		return;
	}
}

void slat_user_access(void)
{
	const struct slat_lock_record *record = find(current);

	if (unlikely(record && record->top->reach >= SLAT_LOCK_MM))
		report_user_access(record, _RET_IP_);
}

static noinline void report_sleep(const struct slat_lock_record *record, unsigned long site)
{
	const struct slat_held new = { .site = site }, *held;

	for (held = record->top; held >= record->held; held--) {
		if (!spins(held))
			continue;
		slat_lock_report(SLAT_LOCK_FAULT_SLEEP, held, &new);
		return;
	}
}

void slat_may_sleep(void)
{
	const struct slat_lock_record *record = find(current);

	/* Locks that spin are below mm. */
	if (unlikely(record && record->top->reach > SLAT_LOCK_MM))
		report_sleep(record, _RET_IP_);
}

/* One class for lockdep to each level, wherever the lock is made. */

static struct lock_class_key keys[SLAT_NR_LOCKS];

#define set_class(lock, level) \
	lockdep_set_class_and_name(lock, &keys[level], levels[level].name)

void slat_mutex_init(struct slat_mutex *mutex, enum slat_lock_level level, const void *owner)
{
	mutex_init(&mutex->lock);
	set_class(&mutex->lock, level);
	mutex->id = (struct slat_lock_id) { .owner = owner, .level = level };
}

void slat_rwlock_init(struct slat_rwlock *rwlock, enum slat_lock_level level, const void *owner)
{
	rwlock_init(&rwlock->lock);
	set_class(&rwlock->lock, level);
	rwlock->id = (struct slat_lock_id) { .owner = owner, .level = level };
}

void slat_spinlock_init(struct slat_spinlock *spinlock, enum slat_lock_level level,
			const void *owner)
{
	spin_lock_init(&spinlock->lock);
	set_class(&spinlock->lock, level);
	spinlock->id = (struct slat_lock_id) { .owner = owner, .level = level };
}

void slat_raw_spinlock_init(struct slat_raw_spinlock *spinlock, enum slat_lock_level level,
			    const void *owner)
{
	raw_spin_lock_init(&spinlock->lock);
	set_class(&spinlock->lock, level);
	spinlock->id = (struct slat_lock_id) { .owner = owner, .level = level };
}

int slat_srcu_init(struct slat_srcu *srcu, enum slat_lock_level level, const void *owner)
{
	int ret = init_srcu_struct(&srcu->srcu);

	if (ret)
		return ret;
	set_class(&srcu->srcu, level);
	srcu->id = (struct slat_lock_id) { .owner = owner, .level = level };
	return 0;
}
