/* SPDX-License-Identifier: GPL-2.0-only */
/* What is left of a test that crashed: a test machine keeps no core file. */
#ifndef SLAT_CRASH_H
#define SLAT_CRASH_H

/* From here on, say where it crashed and what its stack was. Forked children, too. */
void crash_report(void);

#endif
