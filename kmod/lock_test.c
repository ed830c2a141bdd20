// SPDX-License-Identifier: GPL-2.0-only
/*
 * Provokes what the lock checker reports, and what it must not report, at the wish of
 * a test: a name from the list below, written to debugfs' lock_test.  "arm" has to come
 * first, so that nobody's log fills by accident; it also makes what was told news again.
 *
 * Nothing is locked: only what the checker is told is false.  The locks are those of
 * three VMs that do not exist, and the record is empty again before the write returns.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "debugfs.h"
#include "lock_report.h"
#include "lock_test.h"
#include "user.h"

struct fake_vm {
	struct slat_lock_id slots;
	struct slat_lock_id srcu;
	struct slat_lock_id memory;
	struct slat_lock_id table;
	struct slat_lock_id tsc;
};

static const struct fake_vm fakes[3];

#define FAKE_VM(vm)						\
{								\
	.slots = { .owner = vm, .level = SLAT_LOCK_SLOTS },	\
	.srcu = { .owner = vm, .level = SLAT_LOCK_SRCU },	\
	.memory = { .owner = vm, .level = SLAT_LOCK_MM },	\
	.table = { .owner = vm, .level = SLAT_LOCK_TABLE },	\
	.tsc = { .owner = vm, .level = SLAT_LOCK_TSC },		\
}

static const struct fake_vm fakes[3] = {
	FAKE_VM(&fakes[0]), FAKE_VM(&fakes[1]), FAKE_VM(&fakes[2]),
};

static const struct fake_vm *const a = &fakes[0], *const b = &fakes[1], *const c = &fakes[2];

static const struct slat_lock_id nobodys_outer = { .level = SLAT_LOCK_HW };
static const struct slat_lock_id nobodys_inner = { .level = SLAT_LOCK_TSC };

static void provoke_order(void)
{
	slat_lock_take(&a->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->slots);
	slat_lock_release(&a->table);
}

/* A reader's section, which may begin anywhere, does not hide what is outside of it. */
static void provoke_order_past_reader(void)
{
	slat_lock_take(&a->tsc, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&a->srcu, SLAT_LOCK_SHARED);
	slat_lock_take(&a->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->table);
	slat_lock_release(&a->srcu);
	slat_lock_release(&a->tsc);
}

static void provoke_same_level(void)
{
	slat_lock_take(&a->table, SLAT_LOCK_SHARED);
	slat_lock_take(&b->table, SLAT_LOCK_SHARED);
	slat_lock_release(&b->table);
	slat_lock_release(&a->table);
}

static void provoke_read_then_write(void)
{
	slat_lock_take(&a->table, SLAT_LOCK_SHARED);
	slat_lock_take(&a->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->table);
	slat_lock_release(&a->table);
}

static void provoke_synchronize_in_reader(void)
{
	slat_lock_take(&a->srcu, SLAT_LOCK_SHARED);
	slat_lock_take(&a->srcu, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->srcu);
	slat_lock_release(&a->srcu);
}

static void provoke_recursion(void)
{
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->slots);
	slat_lock_release(&a->slots);
}

static void provoke_user_access(void)
{
	slat_lock_take(&a->table, SLAT_LOCK_SHARED);
	slat_user_access();
	slat_lock_release(&a->table);
}

static void provoke_user_access_in_notifier(void)
{
	slat_caller_begin(&a->memory);
	slat_user_access();
	slat_caller_end(&a->memory);
}

static void provoke_sleep(void)
{
	slat_lock_take(&a->table, SLAT_LOCK_EXCLUSIVE);
	slat_may_sleep();
	slat_lock_release(&a->table);
}

/* What a notifier does in the middle of an ioctl on another VM. */
static void provoke_caller_in_subject(void)
{
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&a->srcu, SLAT_LOCK_SHARED);
	slat_user_access();
	slat_caller_begin(&b->memory);
	slat_lock_take(&b->srcu, SLAT_LOCK_SHARED);
	slat_lock_take(&b->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&b->table);
	slat_lock_release(&b->srcu);
	slat_caller_end(&b->memory);
	slat_lock_release(&a->srcu);
	slat_lock_release(&a->slots);
}

/* The same with one VM in both roles. */
static void provoke_caller_is_subject(void)
{
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&a->srcu, SLAT_LOCK_SHARED);
	slat_user_access();
	slat_caller_begin(&a->memory);
	slat_lock_take(&a->srcu, SLAT_LOCK_SHARED);
	slat_lock_take(&a->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->table);
	slat_lock_release(&a->srcu);
	slat_caller_end(&a->memory);
	slat_lock_release(&a->srcu);
	slat_lock_release(&a->slots);
}

/* Here and in the next four the levels alone would be in order. */
static void provoke_subject_in_caller(void)
{
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_caller_begin(&b->memory);
	slat_lock_take(&b->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&a->tsc, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&a->tsc);
	slat_lock_release(&b->table);
	slat_caller_end(&b->memory);
	slat_lock_release(&a->slots);
}

/* A's inside B's, B's inside C's, and then C's inside A's. */
static void provoke_subject_of_subject(void)
{
	slat_lock_take(&c->slots, SLAT_LOCK_EXCLUSIVE);
	slat_caller_begin(&b->memory);
	slat_lock_take(&b->srcu, SLAT_LOCK_SHARED);
	slat_caller_begin(&a->memory);
	slat_lock_take(&a->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&c->tsc, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&c->tsc);
	slat_lock_release(&a->table);
	slat_caller_end(&a->memory);
	slat_lock_release(&b->srcu);
	slat_caller_end(&b->memory);
	slat_lock_release(&c->slots);
}

/* C's notifier would run inside B's, and that inside C's ioctl. */
static void provoke_subject_as_caller(void)
{
	slat_lock_take(&c->slots, SLAT_LOCK_EXCLUSIVE);
	slat_caller_begin(&b->memory);
	slat_lock_take(&b->srcu, SLAT_LOCK_SHARED);
	slat_caller_begin(&c->memory);
	slat_caller_end(&c->memory);
	slat_lock_release(&b->srcu);
	slat_caller_end(&b->memory);
	slat_lock_release(&c->slots);
}

static void provoke_nobodys_in_caller(void)
{
	slat_caller_begin(&b->memory);
	slat_lock_take(&b->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&nobodys_inner, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&nobodys_inner);
	slat_lock_release(&b->table);
	slat_caller_end(&b->memory);
}

static void provoke_second_vm(void)
{
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&b->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&b->table);
	slat_lock_release(&a->slots);
}

static void provoke_nobodys_as_subject(void)
{
	slat_lock_take(&a->slots, SLAT_LOCK_EXCLUSIVE);
	slat_lock_take(&nobodys_outer, SLAT_LOCK_EXCLUSIVE);
	slat_caller_begin(&b->memory);
	slat_lock_take(&b->table, SLAT_LOCK_EXCLUSIVE);
	slat_lock_release(&b->table);
	slat_caller_end(&b->memory);
	slat_lock_release(&nobodys_outer);
	slat_lock_release(&a->slots);
}

static const struct {
	const char *name;
	void (*provoke)(void);
} provocations[] = {
	{ "order", provoke_order },
	{ "order-past-reader", provoke_order_past_reader },
	{ "same-level", provoke_same_level },
	{ "read-then-write", provoke_read_then_write },
	{ "synchronize-in-reader", provoke_synchronize_in_reader },
	{ "recursion", provoke_recursion },
	{ "user-access", provoke_user_access },
	{ "user-access-in-notifier", provoke_user_access_in_notifier },
	{ "sleep", provoke_sleep },
	{ "caller-in-subject", provoke_caller_in_subject },
	{ "caller-is-subject", provoke_caller_is_subject },
	{ "subject-in-caller", provoke_subject_in_caller },
	{ "subject-of-subject", provoke_subject_of_subject },
	{ "subject-as-caller", provoke_subject_as_caller },
	{ "nobodys-in-caller", provoke_nobodys_in_caller },
	{ "nobodys-as-subject", provoke_nobodys_as_subject },
	{ "second-vm", provoke_second_vm },
};

static bool armed;

static int obey(const char *word)
{
	unsigned int i;

	if (!strcmp(word, "arm")) {
		slat_lock_report_forget();
		WRITE_ONCE(armed, true);
		return 0;
	}
	if (!READ_ONCE(armed))
		return -EPERM;
	if (!strcmp(word, "disarm")) {
		WRITE_ONCE(armed, false);
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(provocations); i++) {
		if (strcmp(word, provocations[i].name))
			continue;
		provocations[i].provoke();
		return 0;
	}
	return -EINVAL;
}

static ssize_t lock_test_write(struct file *file, const char __user *user, size_t len,
			       loff_t *pos)
{
	char word[32] = "";
	int ret;

	if (*pos || len >= sizeof(word))
		return -EINVAL;
	if (slat_copy_from_user(word, user, len))
		return -EFAULT;
	ret = obey(strim(word));
	return ret ? ret : len;
}

static const struct file_operations lock_test_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = lock_test_write,
	.llseek = noop_llseek,
};

void slat_lock_test_debugfs(void)
{
	debugfs_create_file("lock_test", 0200, slat_debugfs_dir, NULL, &lock_test_fops);
}
