/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User memory, checked against the locks that are held (locks.h): touching it may
 * fault, and the fault takes the mm's locks and those of a VM whose memory it is.
 */
#ifndef SLAT_USER_H
#define SLAT_USER_H

#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "locks.h"

#define slat_checked(access)	({ slat_user_access(); access; })

#define slat_copy_from_user(to, from, len)	slat_checked(copy_from_user(to, from, len))
#define slat_copy_to_user(to, from, len)	slat_checked(copy_to_user(to, from, len))
/* Memory behind what could be read is left as it was: copy_from_user() would clear it. */
#define slat_copy_from_user_part(to, from, len)				\
	slat_checked(({							\
		unsigned long left = len;				\
									\
		if (access_ok(from, len)) {				\
			barrier_nospec();				\
			left = __copy_from_user(to, from, len);		\
		}							\
		left;							\
	}))
#define slat_get_user(value, from)		slat_checked(get_user(value, from))
/* After slat_user_access(), with no lock taken since. */
#define slat_get_user_again(value, from)	get_user(value, from)
#define slat_put_user(value, to)		slat_checked(put_user(value, to))
#define slat_memdup_user(from, len)		slat_checked(memdup_user(from, len))
#define slat_vmemdup_user(from, len)		slat_checked(vmemdup_user(from, len))
#define slat_copy_struct_from_user(to, size, from, user_size)		\
	slat_checked(copy_struct_from_user(to, size, from, user_size))
#define slat_try_cmpxchg_user(to, old, new, label)			\
	slat_checked(__try_cmpxchg_user(to, old, new, label))
#define slat_get_user_pages(from, nr, pages, flags)			\
	slat_checked(get_user_pages_unlocked(from, nr, pages, flags))
#define slat_get_user_pages_fast(from, nr, flags, pages)		\
	slat_checked(get_user_pages_fast(from, nr, flags, pages))
#define slat_pin_user_pages_fast(from, nr, flags, pages)		\
	slat_checked(pin_user_pages_fast(from, nr, flags, pages))

#endif
