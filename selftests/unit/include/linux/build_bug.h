/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_BUILD_BUG_H
#define SLAT_UNIT_BUILD_BUG_H

#include <assert.h>

#undef static_assert
/* As in the kernel, the message may be left out. */
#define static_assert(expr, ...)	shim_static_assert(expr, ##__VA_ARGS__, #expr)
#define shim_static_assert(expr, msg, ...)	_Static_assert(expr, msg)

#endif
