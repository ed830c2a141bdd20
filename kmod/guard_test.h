/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_GUARD_TEST_H
#define SLAT_GUARD_TEST_H

struct slat_vm;

/** slat_guard_test_debugfs() - make the file of guard_test.c in the VM's directory. */
void slat_guard_test_debugfs(struct slat_vm *vm);

#endif
