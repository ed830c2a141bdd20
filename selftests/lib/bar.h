/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of a device's, which has no page structures: slat_bar.ko is the driver. */
#ifndef SLAT_TEST_BAR_H
#define SLAT_TEST_BAR_H

#include "../modules/slat_bar.h"
#include "vm.h"

#define BAR_MODULE	"/lib/slat/slat_bar.ko"
#define BAR_DEVICE	"/dev/slat_bar"
#define BAR_SIZE	(BAR_PAGES * PAGE_SIZE)

/* 0 or -errno; loading it twice is fine. */
int bar_load(void);
int bar_unload(void);
int bar_open(void);
/* An area, BAR_SIZE of it. */
void *bar_map(int fd, unsigned int area, int prot, int flags);
void *bar_map_shared(int fd, unsigned int area);

#endif
