/* SPDX-License-Identifier: GPL-2.0-only */
/* Provokes what the lock checker reports. */
#ifndef SLAT_LOCK_TEST_H
#define SLAT_LOCK_TEST_H

/** slat_lock_test_debugfs() - make the file by which a test asks for it. */
void slat_lock_test_debugfs(void);

#endif
