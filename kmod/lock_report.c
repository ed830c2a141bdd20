// SPDX-License-Identifier: GPL-2.0-only
/* What the lock checker found, for dmesg and debugfs. */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>

#include "debugfs.h"
#include "lock_hold.h"
#include "lock_report.h"
#include "lock_test.h"

static const char *const fault_names[SLAT_NR_LOCK_FAULTS] = {
#define FAULT(fault, name) [SLAT_LOCK_FAULT_##fault] = name,
	SLAT_LOCK_FAULTS(FAULT)
#undef FAULT
};

static atomic_long_t counts[SLAT_NR_LOCK_FAULTS];
static atomic_long_t unchecked;

/* What has been told. */
static struct pair {
	enum slat_lock_fault fault;
	unsigned long held;
	unsigned long new;
} seen[64];
static unsigned int nr_seen;
static DEFINE_RAW_SPINLOCK(seen_lock);

static bool find_pair(const struct pair *pair)
{
	unsigned int i;

	for (i = 0; i < nr_seen; i++)
		if (seen[i].fault == pair->fault && seen[i].held == pair->held &&
		    seen[i].new == pair->new)
			return true;
	return false;
}

/* For the first time?  Beyond so many pairs the log has told enough. */
static bool is_news(const struct pair *pair)
{
	unsigned long flags;
	bool is_new;

	raw_spin_lock_irqsave(&seen_lock, flags);
	is_new = nr_seen < ARRAY_SIZE(seen) && !find_pair(pair);
	if (is_new)
		seen[nr_seen++] = *pair;
	raw_spin_unlock_irqrestore(&seen_lock, flags);
	return is_new;
}

/* In words that scripts/check-splats.sh knows. */
static void tell(enum slat_lock_fault fault, const struct slat_held *held,
		 const struct slat_held *new)
{
	const char *outer = slat_lock_name(held->id->level);

	if (new->id)
		pr_warn("slat: locks: %s: %s of %p at %pS, inside %s of %p at %pS\n",
			fault_names[fault], slat_lock_name(new->id->level), new->id->owner,
			(void *)new->site, outer, held->id->owner, (void *)held->site);
	else
		pr_warn("slat: locks: %s: at %pS, inside %s of %p at %pS\n", fault_names[fault],
			(void *)new->site, outer, held->id->owner, (void *)held->site);
}

void slat_lock_report(enum slat_lock_fault fault, const struct slat_held *held,
		      const struct slat_held *new)
{
	const struct pair pair = { .fault = fault, .held = held->site, .new = new->site };

	atomic_long_inc(&counts[fault]);
	if (is_news(&pair))
		tell(fault, held, new);
}

void slat_lock_unchecked(void)
{
	atomic_long_inc(&unchecked);
}

void slat_lock_report_forget(void)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&seen_lock, flags);
	nr_seen = 0;
	raw_spin_unlock_irqrestore(&seen_lock, flags);
}

/* debugfs: locks, a line "FAULT COUNT" for each */
static int locks_show(struct seq_file *file, void *unused)
{
	unsigned int i;

	for (i = 0; i < SLAT_NR_LOCK_FAULTS; i++)
		seq_printf(file, "%s %ld\n", fault_names[i], atomic_long_read(&counts[i]));
	seq_printf(file, "unchecked %ld\n", atomic_long_read(&unchecked));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(locks);

void slat_locks_debugfs(void)
{
	debugfs_create_file("locks", 0400, slat_debugfs_dir, NULL, &locks_fops);
	slat_lock_hold_debugfs();
	slat_lock_test_debugfs();
}
