#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kvm-selftests.sh [options] KERNEL [TEST...]: runs KVM's own selftests, or just
# the TESTs, on slat in the test machine, where /dev/kvm is a link to /dev/slat.
# What to expect of each is in selftests/kvm-compat/tests.txt: what does
# otherwise, for better or worse, fails. The last line is
# "N passed, N failed, N skipped".
#
#  -r  only reports what passes and what does not
#  -k  runs them on KVM instead, and only reports
#  -l SECS  time limit of a machine, default 900
#  -t  prints the table as README.md holds it, and runs nothing
#
# The tests come from Debian's linux-source package and are built once, in the
# cache. They are linked dynamically, since selftests/kvm-compat/preload.c is
# loaded before their libraries.

. "$(dirname "$0")/lib.sh"
. "$scripts/apt.sh"
. "$scripts/source.sh"

compat=$top/selftests/kvm-compat
report='' device=slat print_table='' limit=900
while getopts rktl: o; do
	case $o in
	r) report=1 ;;
	k) report=1 device=kvm ;;
	t) print_table=1 ;;
	l) limit=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))

# table_lines [MACHINE]: "NAME...|EXPECTATION" for each
table_lines() {
	sed 's/#.*//; /^[[:space:]]*$/d; s/[[:space:]]*|[[:space:]]*/|/g; s/[[:space:]]*$//' "$compat/tests.txt" |
		awk -F'|' -v "machine=${1:-}" '{ print $1 "|" (machine == "bochs" && NF > 2 ? $3 : $2) }'
}

# readme_table: one row for all tests with the same outcome, then those that VT-x changes
readme_table() {
	echo "| outcome | tests |"
	echo "| --- | --- |"
	table_lines | rows
	echo
	echo "| otherwise on VT-x | tests |"
	echo "| --- | --- |"
	comm -13 <(table_lines | sort) <(table_lines bochs | sort) | rows
}

rows() {
	awk -F'|' '
		{
			if (!($2 in tests))
				order[++n] = $2
			tests[$2] = tests[$2] (tests[$2] == "" ? "" : ", ") $1
		}
		END {
			for (i = 1; i <= n; i++)
				print "| " order[i] " | " tests[order[i]] " |"
		}'
}
[ -z "$print_table" ] || { readme_table; exit; }

kernel=${1:-}
[ -n "$kernel" ] || usage
shift

# build_tests FOLDER: the stripped programs. Not all of 6.1's tests build.
build_tests() {
	local src out=$1.build tests=tools/testing/selftests
	src=$(source_tree)
	rm -rf "$out"
	mkdir -p "$out"/{headers,tests,$tests} "$1"
	make -s -C "$src" O="$out/headers" headers
	cp -r "$src/$tests"/{kvm,rseq,*.h,*.mk} "$out/$tests/"
	ln -s "$src/scripts" "$out/"
	ln -s "$src"/tools/{arch,build,include,lib} "$out/tools/"
	# Two tests repeat a race more often than an emulated machine has time for, and
	# take no option for it.
	sed -i 's/^\(#define FORK_NUM\) .*/\1 24/' "$out/$tests/kvm/hardware_disable_test.c"
	sed -i 's/^\(#define NR_TASK_MIGRATIONS\) .*/\1 2000/' "$out/$tests/kvm/rseq_test.c"
	make -k -s -j"${JOBS:-$(nproc)}" -C "$out/$tests/kvm" OUTPUT="$out/tests" \
		KHDR_INCLUDES="-isystem $out/headers/usr/include" LINUX_HDR_PATH="$out/headers/usr/include/" \
		EXTRA_CFLAGS=-DTEST_ASSERT_EQ=ASSERT_EQ || true
	find "$out/tests" -type f -perm -u+x ! -name '*.so' -exec install -s -t "$1" {} +
	[ "$(find "$1" -type f | wc -l)" -ge 60 ] || die "too few of KVM's selftests build"
	rm -rf "$out"
}

# tests_folder: builds them unless the cache has them
tests_folder() {
	local dir
	dir=$cache/kvm-selftests-2-$(source_version)
	if [ ! -e "$dir" ]; then
		(lock "$cache/.lock-kvm-selftests"
		 [ -e "$dir" ] || {
			say "building KVM's selftests"
			rm -rf "$dir.new"
			quietly "$build/kvm-selftests.log" build_tests "$dir.new"
			mv "$dir.new" "$dir"
		 }) || exit
	fi
	echo "$dir"
}

tests=$(tests_folder)
mkdir -p "$build/run" "$build/log"
work=$(mktemp -d "$build/run/kvm.XXXXXX")
trap 'rm -rf "$work"' EXIT

machine_with "$device" "$kernel" "$work"
# Some of the tests are hypervisors themselves.
[ "$device" = kvm ] || [ "$MACHINE" = bochs ] || machine+=(-a run.params=nested=1)

results=$work/results
touch "$results"
fail() { echo "FAIL   $*"; echo "fail $*" >> "$results"; }

# Each built test must have a line, each line a test.
if ! diff <(table_lines | sed 's/[ |].*//' | sort -u) <(find "$tests" -type f -printf '%f\n' | sort) > "$work/diff"; then
	fail "selftests/kvm-compat/tests.txt and what was built differ:"
	sed -n 's/^</  only in the table:/p; s/^>/  only built:/p' "$work/diff"
fi

# README.md holds the same.
if readme_table | grep -qvxF -f "$top/README.md"; then
	fail "README.md does not hold what kvm-selftests.sh -t prints"
fi

make_root() {
	local root=$1
	mkdir -p "$root/tests"
	cp -r "$tests" "$root/tests/kvm"
	${CC:-gcc} -O2 -Wall -Werror -shared -fPIC -s -o "$root/tests/kvm/preload.so" "$compat/preload.c"
	copy_libraries "$root" "$tests"/*
	install -m 755 "$scripts/guest/kvm-selftests" "$root/tests/kvm-selftests"
	echo "KVM_DEVICE=$device KVM_REPORT=$report kvm-selftests" > "$work/run.sh"
}

# run NUMBER: a machine for the lines of $work/NUMBER/tests/kvm/tests.txt
run() {
	local list=$work/$1/tests/kvm/tests.txt log=$build/log/$kernel.kvm-selftests.$1 rc labels
	mapfile -t labels < <(sed 's/|.*//' "$list" | tr ' ' ,)
	"$scripts/boot.sh" -K "$kernel" "${machine[@]}" -t "$limit" -d "$work/root" -d "$work/$1" -L "$log" \
		"$work/run.sh" 2> "$work/$1.err" | tee "$log.tap" |
		awk -W interactive -f "$scripts/tap.awk" -v "RESULTS=$results" -v "PROGRAMS=${labels[*]}" && rc=0 || rc=${PIPESTATUS[0]}
	cat "$work/$1.err"
	case $rc in
	0) ;;
	124) fail "machine $1: time limit" ;;
	126) fail "machine $1: the kernel complained" ;;
	*) fail "machine $1: stopped, status $rc" ;;
	esac
}

make_root "$work/root"
mkdir -p "$work"/{1,2}/tests/kvm
# A machine keeps one processor busy; two share the tests, in turn.
table_lines "$MACHINE" | grep -v '|omitted ' | awk -F'[ |]' -v "chosen= $* " 'chosen == "  " || index(chosen, " " $1 " ")' |
	awk -v "work=$work" '{ print > (work "/" (NR - 1) % 2 + 1 "/tests/kvm/tests.txt") }'
for i in 1 2; do
	[ ! -e "$work/$i/tests/kvm/tests.txt" ] || run $i &
done
wait

echo
sed -n 's/^fail /failed: /p' "$results"
count() { grep -c "^$1 " "$results" || true; }
echo "$(count pass) passed, $(count fail) failed, $(count skip) skipped"
[ "$(count fail)" = 0 ]
