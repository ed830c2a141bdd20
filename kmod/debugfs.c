// SPDX-License-Identifier: GPL-2.0-only
/* The module's directory in debugfs. */
#include <linux/debugfs.h>

#include "debugfs.h"

struct dentry *slat_debugfs_dir;

void slat_debugfs_create(void)
{
	slat_debugfs_dir = debugfs_create_dir("slat", NULL);
}

void slat_debugfs_remove(void)
{
	debugfs_remove(slat_debugfs_dir);
}
