/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_PERCPU_H
#define SLAT_UNIT_PERCPU_H

/* There is one CPU. */
#define DECLARE_PER_CPU(type, name)	extern type name
#define __this_cpu_read(name)		(name)

#endif
