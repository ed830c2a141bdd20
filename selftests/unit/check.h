/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For helpers that serve a kselftest and a fuzz target alike: abort() fails
 * either.
 */
#ifndef SLAT_UNIT_CHECK_H
#define SLAT_UNIT_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* Where a long test is, for the message. */
extern char check_note[80];

#define CHECK(condition)						\
do {									\
	if (!(condition)) {						\
		fprintf(stderr, "# %s:%d: CHECK(%s) %s\n",		\
			__FILE__, __LINE__, #condition, check_note);	\
		abort();						\
	}								\
} while (0)

#endif
