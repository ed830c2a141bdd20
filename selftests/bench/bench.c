// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench DEVICE [parallel | FIGURE [COUNT]]: what guests cost on /dev/kvm or /dev/slat, in ns. In
 * the deterministic machine (scripts/bench.sh) a ns is an instruction, the emulated
 * VMRUN counting as one.
 *
 * Prints "NAME NS" for each figure, the least of several tries: the timer tick hits
 * some. The guest's own few instructions do count.
 *
 * With "parallel", prints the wall time of faults on one CPU and on two.
 *
 * With a FIGURE, runs that alone, COUNT times in a row: for a profiler.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES	5

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ul + t.tv_nsec;
}

static uint64_t least(const struct figure *figure, uint64_t n)
{
	uint64_t best = -1ul;
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		const uint64_t ns = figure->run(figure, n);

		if (ns < best)
			best = ns;
	}
	return best;
}

static uint64_t measure(const struct figure *figure)
{
	const uint64_t turns = figure->long_turns - figure->short_turns;

	if (!turns)
		return figure->run(figure, 0);
	return (least(figure, figure->long_turns) - least(figure, figure->short_turns)) / turns;
}

static void print_all(const struct figure *figure)
{
	for (; figure->name; figure++) {
		if (figure->slat_only && slat_is_kvm())
			continue;
		printf("%s %lu\n", figure->name, measure(figure));
		fflush(stdout);
	}
}

static bool run_one(const struct figure *figure, const char *name, const char *count)
{
	for (; figure->name; figure++) {
		if (strcmp(figure->name, name))
			continue;
		figure->run(figure, count ? strtoul(count, NULL, 0) : figure->long_turns);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: bench DEVICE [parallel | FIGURE [COUNT]]\n");
		return 2;
	}
	setenv("SLAT_DEV", argv[1], 1);
	if (argc > 2 && !strcmp(argv[2], "parallel")) {
		print_parallel();
		return 0;
	}
	if (argc > 2)
		return !run_one(exit_figures, argv[2], argv[3]) &&
		       !run_one(memory_figures, argv[2], argv[3]) &&
		       !run_one(runstate_figures, argv[2], argv[3]);
	print_all(exit_figures);
	print_all(memory_figures);
	print_all(runstate_figures);
	return 0;
}
