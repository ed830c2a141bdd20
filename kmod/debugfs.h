/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's directory in debugfs, for developers and tests: /sys/kernel/debug/slat. */
#ifndef SLAT_DEBUGFS_H
#define SLAT_DEBUGFS_H

struct dentry;

/**
 * slat_debugfs_dir - the directory, from before the first VM to after the last
 *
 * An error pointer where there is no debugfs or no memory for it.  The functions
 * of debugfs take that as well, so that nobody need check: files are absent then.
 */
extern struct dentry *slat_debugfs_dir;

/** slat_debugfs_create() - make the directory. */
void slat_debugfs_create(void);

/** slat_debugfs_remove() - remove it with all that is in it. */
void slat_debugfs_remove(void);

#endif
