// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: lock_holds, a line "LOCK NS" for the longest that each spinning lock was held
 * since 1 was written to it, and until 0 is.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "lock_hold.h"
#include "lock_report.h"
#include "user.h"

DEFINE_STATIC_KEY_FALSE(slat_lock_hold_key);

static atomic64_t longest[SLAT_NR_LOCKS];

void slat_lock_hold_note(enum slat_lock_level level, u64 ns)
{
	s64 old = atomic64_read(&longest[level]);

	while ((s64)ns > old && !atomic64_try_cmpxchg(&longest[level], &old, ns))
		;
}

static void measure(bool wanted)
{
	unsigned int i;

	if (!wanted) {
		static_branch_disable(&slat_lock_hold_key);
		return;
	}
	for (i = 0; i < SLAT_NR_LOCKS; i++)
		atomic64_set(&longest[i], 0);
	static_branch_enable(&slat_lock_hold_key);
}

static int holds_show(struct seq_file *file, void *unused)
{
	unsigned int i;

	/* The spinning ones are the innermost. */
	for (i = SLAT_LOCK_TABLE; i < SLAT_NR_LOCKS; i++)
		seq_printf(file, "%s %lld\n", slat_lock_name(i), atomic64_read(&longest[i]));
	return 0;
}

static int holds_open(struct inode *inode, struct file *file)
{
	return single_open(file, holds_show, NULL);
}

static ssize_t holds_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	char word[8] = "";
	bool wanted;
	int ret;

	if (*pos || len >= sizeof(word))
		return -EINVAL;
	if (slat_copy_from_user(word, user, len))
		return -EFAULT;
	ret = kstrtobool(word, &wanted);
	if (ret)
		return ret;
	measure(wanted);
	return len;
}

static const struct file_operations holds_fops = {
	.owner = THIS_MODULE,
	.open = holds_open,
	.read = seq_read,
	.write = holds_write,
	.llseek = seq_lseek,
	.release = single_release,
};

void slat_lock_hold_debugfs(void)
{
	debugfs_create_file("lock_holds", 0600, slat_debugfs_dir, NULL, &holds_fops);
}
