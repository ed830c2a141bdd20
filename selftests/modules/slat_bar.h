/* SPDX-License-Identifier: GPL-2.0-only */
/* What slat_bar.ko offers the tests, through /dev/slat_bar. */
#ifndef SLAT_BAR_H
#define SLAT_BAR_H

#include <linux/ioctl.h>

/*
 * Areas of BAR_PAGES pages each; number N begins at N * BAR_PAGES in the file.  To
 * be mapped whole, or from the beginning on.
 */
#define BAR_PAGES	16

enum bar_area {
	BAR_RAM_WB,	/* RAM with page structures, cached by the host ... */
	BAR_RAM_UC,	/* ... not cached ... */
	BAR_RAM_WC,	/* ... write-combining */
	BAR_ROM,	/* the firmware below 4G: no RAM, UC- */
	BAR_AREAS,
	/*
	 * Added to an area: all but the first page are entered when they are touched,
	 * and made writable when they are written.
	 */
	BAR_LAZY = 8,
};

/* Take all pages away from all who have mapped them; lazy ones come back. */
#define BAR_REVOKE	_IO('B', 0)

/* 1: nobody but the module has ever changed the state of the RAM's pages; 0. */
#define BAR_UNTOUCHED	_IO('B', 1)

#endif
