// SPDX-License-Identifier: GPL-2.0-only
/* set_entry() of the code for extended page tables. */
#include <errno.h>
#include <kselftest_harness.h>

#include "tables.h"

#include "fmt/ept.c"

#define A		EPT_A
#define D		EPT_D
#define PRESENT		EPT_RWX

#include "table_entry_tests.h"
