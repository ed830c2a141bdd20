/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_MINMAX_H
#define SLAT_UNIT_MINMAX_H

#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define clamp(value, low, high)	((value) < (low) ? (low) : min(value, high))
#define clamp_t(type, value, low, high) \
	clamp((type)(value), (type)(low), (type)(high))

#endif
