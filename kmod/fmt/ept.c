// SPDX-License-Identifier: GPL-2.0-only
/* The table code for Intel extended page tables. */
#include "ept.h"

#define fmt(name)	ept_##name

#include "../table_tmpl.h"
