/* SPDX-License-Identifier: GPL-2.0-only */
/* User memory is memory of the test. */
#ifndef SLAT_UNIT_UACCESS_H
#define SLAT_UNIT_UACCESS_H

#include <string.h>

#define __user

/* How often somebody else is faster with the same exchange. */
extern unsigned int shim_lost_races;

static inline unsigned long copy_from_user(void *to, const void *from, unsigned long n)
{
	memcpy(to, from, n);
	return 0;
}

static inline unsigned long copy_to_user(void *to, const void *from, unsigned long n)
{
	memcpy(to, from, n);
	return 0;
}

#define get_user(value, p)	((value) = *(p), 0)

#define __try_cmpxchg_user(p, old, new, label)					\
	(shim_lost_races ? (shim_lost_races--, 1) :				\
	 !__atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))

#endif
