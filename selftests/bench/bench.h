/* SPDX-License-Identifier: GPL-2.0-only */
/* Figures: what is measured, and how often it is done for that. */
#ifndef SLAT_BENCH_H
#define SLAT_BENCH_H

#include "guest.h"

/*
 * What n turns cost is run(figure, n), with what a run costs once: the figure is the
 * difference of a long and a short run, for each turn. Without long_turns, it is what
 * run(figure, 0) returns, whatever that is.
 */
struct figure {
	const char *name;
	uint64_t (*run)(const struct figure *figure, uint64_t n);
	uint64_t short_turns, long_turns;
	void (*guest)(uint64_t n);
	uint32_t exit_reason;	/* of each turn, or 0: none leaves KVM_RUN */
	bool slat_only;
};

/* These end with one that has no name. */
extern const struct figure exit_figures[];
extern const struct figure memory_figures[];
extern const struct figure runstate_figures[];

/* Wall time that two vCPUs and one take for the same faults. */
void print_parallel(void);

/* Some time, in ns. */
uint64_t now_ns(void);

#endif
