/* SPDX-License-Identifier: GPL-2.0-only */
/* Warnings are counted, each of them, for tests to look at. */
#ifndef SLAT_UNIT_BUG_H
#define SLAT_UNIT_BUG_H

#include <stdbool.h>

/* Since the start, or since the test cleared it. */
extern unsigned int shim_warnings;

bool shim_warn(bool condition, const char *text, const char *file, int line);

#define WARN_ON(condition)	shim_warn(condition, #condition, __FILE__, __LINE__)
#define WARN_ON_ONCE(condition)	WARN_ON(condition)

#endif
