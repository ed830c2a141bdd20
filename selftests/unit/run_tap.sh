#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the programs given and prints one TAP stream: what each prints, as
# comments, then its result. Exit 4 of a program means it was skipped.
# usage: run_tap.sh PROGRAM...

echo "TAP version 13"
echo "1..$#"
i=0 failed=0
for program; do
	i=$((i + 1))
	name=$(basename "$(dirname "$program")")/$(basename "$program")
	echo "# $name"
	"$program" > "$program.log" 2>&1
	code=$?
	sed 's/^/# /' "$program.log"
	case $code in
	0) echo "ok $i $name" ;;
	4) echo "ok $i $name # SKIP" ;;
	*) echo "not ok $i $name # exit=$code"; failed=1 ;;
	esac
done
exit $failed
