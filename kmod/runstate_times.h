/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runstate: how time is added up, and how a sample gets to a guest that may be reading.
 * Nothing here knows of vCPUs, so that user space can test it.
 */
#ifndef SLAT_RUNSTATE_TIMES_H
#define SLAT_RUNSTATE_TIMES_H

#include <asm/barrier.h>
#include <linux/compiler.h>

#include <uapi/linux/slat.h>

/** slat_runstate_start() - begin to count at @now. */
static inline void slat_runstate_start(struct slat_runstate *own, u32 state, u64 now)
{
	*own = (struct slat_runstate) { .state = state, .entry_time = now };
}

/** slat_runstate_enter() - the time up to @now was spent in the old state. */
static inline void slat_runstate_enter(struct slat_runstate *own, u32 state, u64 now)
{
	own->time[own->state] += now - own->entry_time;
	own->entry_time = now;
	own->state = state;
}

/**
 * slat_runstate_write() - copy @own to where a guest reads
 *
 * Whoever sees the same entry time without the flag before and after reading has seen
 * nothing of this, or all.  Two samples of the same time do not matter: nothing was
 * added in between, and whichever state is read has just been entered.
 */
static inline void slat_runstate_write(struct slat_runstate *area, const struct slat_runstate *own)
{
	unsigned int i;

	WRITE_ONCE(area->entry_time, own->entry_time | SLAT_RUNSTATE_UPDATE);
	smp_wmb();
	WRITE_ONCE(area->state, own->state);
	WRITE_ONCE(area->padding, 0);
	for (i = 0; i < 4; i++)
		WRITE_ONCE(area->time[i], own->time[i]);
	smp_wmb();
	WRITE_ONCE(area->entry_time, own->entry_time);
}

#endif
