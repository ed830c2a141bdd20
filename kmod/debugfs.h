/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's directory in debugfs, for developers and tests: /sys/kernel/debug/slat. */
#ifndef SLAT_DEBUGFS_H
#define SLAT_DEBUGFS_H

struct dentry;
struct slat_vm;

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

/** slat_vm_debugfs_create() - show a VM, which is complete.  Context: may sleep. */
void slat_vm_debugfs_create(struct slat_vm *vm);

/**
 * slat_vm_debugfs_remove() - show it no more
 *
 * Context: may sleep: waits for those that are reading.  Files that are still open
 * give -EIO from then on.
 */
void slat_vm_debugfs_remove(struct slat_vm *vm);

#endif
