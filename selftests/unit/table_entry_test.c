// SPDX-License-Identifier: GPL-2.0-only
/* set_entry() of the code for nested page tables. */
#include <errno.h>
#include <kselftest_harness.h>

#include "tables.h"

#include "fmt/npt.c"

#define A		NPT_A
#define D		NPT_D
#define PRESENT		NPT_P

#include "table_entry_tests.h"
