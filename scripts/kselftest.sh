#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kselftest.sh FOLDER [TEST...]: builds all kselftests, or the TESTs, with the
# kernel's own harness in build/selftests and installs them in FOLDER as the
# kernel's Makefile would: the runner, and the tests as its collection "slat".
# kselftest.sh: prints the kernel's tools/testing/selftests, or what we need of it.
#
# The harness comes from Debian's linux-source package, under the kernel's own
# paths in the cache.

. "$(dirname "$0")/lib.sh"
. "$scripts/apt.sh"
. "$scripts/source.sh"

harness() {
	local dir tests=tools/testing/selftests
	dir=$cache/kselftest-$(source_version)
	if [ ! -e "$dir" ]; then
		(lock "$cache/.lock-kselftest"
		 [ -e "$dir" ] || {
			rm -rf "$dir.new"
			mkdir "$dir.new"
			source_tar -C "$dir.new" --wildcards --no-wildcards-match-slash \
				"*/$tests/"{lib.mk,kselftest.h,kselftest_harness.h,run_kselftest.sh} "*/$tests/kselftest/*"
			mv "$dir.new" "$dir"
		 })
	fi
	echo "$dir/$tests"
}

ksft=$(harness)
[ $# -gt 0 ] || { echo "$ksft"; exit; }
mkdir -p "$1/kselftest"
install=$(realpath "$1")
shift
out=$build/selftests
lock "$out.lock"
mkdir -p "$out"

only=()
[ $# = 0 ] || only=("TEST_GEN_PROGS=${*/#/$out/}")
ours() { make -s --no-print-directory -C "$top/selftests" KSFT="$ksft" OUTPUT="$out" "${only[@]}" "$@"; }
ours -j"${JOBS:-$(nproc)}" all
ours INSTALL_PATH="$install/slat" install
ours COLLECTION=slat emit_tests > "$install/kselftest-list.txt"
strip "$install"/slat/*_test
cp "$ksft/run_kselftest.sh" "$install/"
cp "$ksft"/kselftest/*.sh "$install/kselftest/"
