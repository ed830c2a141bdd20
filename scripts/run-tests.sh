#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# run-tests.sh KERNEL [TEST...]: builds the module with all warnings as errors,
# runs the unit tests, and the kselftests in test machines; or just the TESTs.
# The last line is "N passed, N failed, N skipped".
#
# Which machine a test gets is said in selftests/machines.txt, a line for each:
#
#  NAME [boot.sh option...]: TEST...
#
# A machine with an option that only QEMU takes is left out elsewhere, and its tests
# count as skipped. In options, @checked stands for a slat.ko that checks its flushes (module.sh).
# Tests that are on no line, or on lines that are left out, run in the machine "default",
# which may have a line.
#
# The console logs are left in build/log. Environment:
#
#  MACHINE   of boot.sh, default qemu
#  UNIT=no   leaves the unit tests out
#  LEAKS=1   looks for memory leaks on the debug kernel even if TESTs are named
#  SLAT_SECONDS=N  has cases that look for races do so for N seconds each

. "$(dirname "$0")/lib.sh"

kernel=${1:-}
[ -n "$kernel" ] || usage
shift
chosen=("$@")
machines=$top/selftests/machines.txt
jobs=${JOBS:-$(nproc)}
emulator=${MACHINE:-qemu}

# Time limits are for tests that hang, not for slow computers; the debug kernel is
# several times slower still.
limit=1200 scale=3 leaks=''
[ "$emulator" = qemu ] || limit=3600 scale=20
if [ "$kernel" = debug ]; then
	limit=$((limit * 5 / 2)) scale=$((scale * 10 / 3))
	# A minute for each machine, so only where most tests run.
	if [ ${#chosen[@]} = 0 ] || [ -n "${LEAKS:-}" ]; then
		leaks=-l
	fi
fi

# A machine has two dozen such cases at most.
limit=$((limit + 24 * ${SLAT_SECONDS:-0}))

mkdir -p "$build/run" "$build/log"
work=$(mktemp -d "$build/run/check.XXXXXX")
trap 'rm -rf "$work"' EXIT
results=$work/results
touch "$results"

fail() { echo "FAIL   $*"; echo "fail $*" >> "$results"; }

summary() {
	local failed
	failed=$(grep -c '^fail ' "$results" || true)
	if [ "$failed" != 0 ]; then
		echo
		sed -n 's/^fail /failed: /p' "$results"
	fi
	echo
	echo "$(grep -c '^pass ' "$results" || true) passed, $failed failed, $(grep -c '^skip ' "$results" || true) skipped"
	[ "$failed" = 0 ] || exit 1
	exit 0
}

# host NAME COMMAND...: a check on this machine that has no cases of its own
host() {
	local name=$1
	shift
	if "$@" > "$work/log" 2>&1; then
		echo "ok     $name"
		echo "pass $name" >> "$results"
	else
		cat "$work/log"
		fail "$name"
		return 1
	fi
}

# tap PROGRAM...: counts the cases that it reads; these programs must come
tap() { awk -W interactive -f "$scripts/tap.awk" -v "RESULTS=$results" -v "PROGRAMS=$*"; }

# start NAME "OPTIONS" TEST...: a machine that runs TESTs
start() {
	local name=$1 options=$2 root=$work/$1 test rc
	shift 2
	mkdir "$root"
	cp -r "$work/install" "$root/tests"
	printf 'slat:%s\n' "$@" > "$root/tests/kselftest-list.txt"
	# The others would only take up the machine's memory.
	for test in "${all[@]}"; do
		case " $* " in *" $test "*) ;; *) rm "$root/tests/slat/$test" ;; esac
	done
	{
		echo "export SLAT_TIME_SCALE=$scale SLAT_SECONDS=${SLAT_SECONDS:-}"
		echo /tests/run_kselftest.sh
	} > "$work/$name.sh"
	# shellcheck disable=SC2086
	"$scripts/boot.sh" -M "$emulator" -K "$kernel" -k "$work/slat.ko" -t $limit -d "$root" -d "$work/modules" \
		-L "$build/log/$kernel.$name" $options "$work/$name.sh" 2> "$work/$name.err" | tap "$@" && rc=0 || rc=${PIPESTATUS[0]}
	cat "$work/$name.err"
	case $rc in
	0) ;;
	124) fail "machine $name: time limit" ;;
	126) fail "machine $name: the kernel complained" ;;
	*) fail "machine $name: stopped, status $rc" ;;
	esac
	rm -rf "$root"
}

# wanted TEST: whether it was asked for
wanted() {
	[ ${#chosen[@]} = 0 ] || case " ${chosen[*]} " in *" $1 "*) ;; *) return 1 ;; esac
}

# elsewhere "OPTIONS": whether this is another emulator than they are for
elsewhere() {
	[ "$emulator" != qemu ] && [[ " $1 " =~ \ -[rqci]\  ]]
}

# queue NAME "OPTIONS" TEST...: starts a machine when a processor is free, or, if its CPUs
# are to run at the same time, when all are
queue() {
	[ $# -gt 2 ] || return 0
	if [[ " $2 " =~ \ -r\  ]]; then
		wait
		start "$@" < /dev/null
		return
	fi
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	start "$@" &
}

checked_module() {
	SLAT_FLUSH_CHECK=y host "module that checks its flushes" "$scripts/module.sh" "$kernel" &&
		cp "$build/$kernel-checked/slat.ko" "$work/checked.ko"
}

machine_tests() {
	local name options tests test shards i placed=' ' default_options='' default=() queued=()
	mapfile -t all < <(sed 's/^slat://' "$work/install/kselftest-list.txt")
	while IFS=: read -r name tests; do
		read -r name options <<< "$name"
		if [ "$name" = default ]; then
			default_options=$options
			continue
		fi
		elsewhere "$options" || placed+="$tests "
		queued=()
		for test in $tests; do
			! wanted "$test" || queued+=("$test")
		done
		if elsewhere "$options"; then
			for test in "${queued[@]}"; do
				echo "skip   $test: machine $name is QEMU's"
				echo "skip $test" >> "$results"
			done
			continue
		fi
		case ${#queued[@]}$options in
		0*) ;;
		*@checked*) checked_module && options=${options//@checked/$work/checked.ko} || queued=() ;;
		esac
		queue "$name" "$options" "${queued[@]}"
	done < <([ ! -e "$machines" ] || sed 's/#.*//; /^[[:space:]]*$/d' "$machines")

	for test in "${all[@]}"; do
		case $placed in *" $test "*) continue ;; esac
		! wanted "$test" || default+=("$test")
	done
	# A machine keeps one processor busy: share the tests out if there are many.
	shards=$((${#default[@]} < 4 ? 1 : jobs < 4 ? jobs : 4))
	for ((i = 0; i < shards; i++)); do
		queued=()
		for ((test = i; test < ${#default[@]}; test += shards)); do
			queued+=("${default[test]}")
		done
		queue "default$((i + 1))" "$leaks $default_options" "${queued[@]}"
	done
	wait
}

# Everything else needs the module.
host "module for $kernel, without warnings" "$scripts/module.sh" "$kernel" || summary
# Whoever builds meanwhile must not change what the machines load.
cp "$build/$kernel/slat.ko" "$work/"
mkdir -p "$work/modules/lib/slat"
cp "$build/$kernel"/selftests/modules/*.ko "$work/modules/lib/slat/"
strip --strip-debug "$work"/modules/lib/slat/*.ko

if [ ${#chosen[@]} = 0 ] && [ "${UNIT:-}" != no ]; then
	host "splat scan" "$scripts/check-splats.sh" --self-test || true
	host "locks on record" "$scripts/check-locks.sh" || true
	make -s --no-print-directory -j"$jobs" -C "$top/selftests/unit" OUTPUT="$build/unit" \
		KSFT="$("$scripts/kselftest.sh")" check > "$work/unit" 2>&1 && rc=0 || rc=$?
	tap < "$work/unit"
	[ "$rc" = 0 ] || grep -q '^not ok' "$work/unit" || { cat "$work/unit"; fail "unit tests do not build"; }
fi

host "kselftests build" "$scripts/kselftest.sh" "$work/install" "${chosen[@]}" || summary
machine_tests
summary
