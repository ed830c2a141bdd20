#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# demo.sh KERNEL: builds the module, boots the test machine, loads the module
# there and shows what tools/slat-demo and tools/slat-steal say.

. "$(dirname "$0")/lib.sh"

kernel=${1:-}
[ -n "$kernel" ] || usage
mkdir -p "$build/run"
work=$(mktemp -d "$build/run/demo.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "building for $kernel"
"$scripts/module.sh" "$kernel"
make -s --no-print-directory -C "$top/tools" OUTPUT="$build/tools"
install -D -s -t "$work/root/tests" "$build"/tools/slat-{demo,steal}
printf 'slat-demo && slat-steal\n' > "$work/run.sh"

say "booting the test machine"
"$scripts/boot.sh" -K "$kernel" -t 120 -d "$work/root" "$work/run.sh"
