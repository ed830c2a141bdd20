// SPDX-License-Identifier: GPL-2.0-only
/* The table code for AMD nested page tables. */
#include "npt.h"

#define fmt(name)	npt_##name

#include "../table_tmpl.h"
