/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SLAT_UNIT_SIGNAL_H
#define SLAT_UNIT_SIGNAL_H

#define signal_pending(task)	false
#define need_resched()		false

#endif
