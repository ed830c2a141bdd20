/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_BARRIER_H
#define SLAT_UNIT_BARRIER_H

#define smp_wmb()	__atomic_thread_fence(__ATOMIC_RELEASE)

#endif
