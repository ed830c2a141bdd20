#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# check-splats.sh LOG: prints what the kernel complained of in a console log,
# each with what follows it, and fails if there was anything.
# check-splats.sh --self-test: shows that each kind is seen.
#
# A test that provokes a complaint on purpose says so through /dev/kmsg:
#
#  slat-test: expect TEXT
#  slat-test: expected
#
# In between, complaints are forgiven if their first line or the 30 lines that
# follow hold TEXT (not a pattern), and at least one is required.

. "$(dirname "$0")/lib.sh"

# One kind a line, as extended regular expressions
patterns='BUG: |kernel BUG at |Oops: |Internal error: |Kernel panic
general protection fault|[Uu]nable to handle|double fault: |stack segment: |invalid opcode: |divide error: |traps: PANIC
WARNING: (CPU: |[a-z])|INFO: (task |trying to register|rcu)|DEBUG_LOCKS_WARN_ON
KASAN: |KCSAN: |KMSAN: |KFENCE: |UBSAN: 
possible (circular|recursive|irq lock inversion|unsafe)|suspicious RCU usage|inconsistent lock state|bad unlock balance
held lock freed|still has locks held|lock held when returning|turning off the locking correctness validator|BUG: MAX_LOCK
scheduling while atomic|sleeping function called from invalid context|Voluntary context switch
soft lockup|hard LOCKUP|blocked for more than|self-detected stall|detected stalls|detected expedited stalls|csd: Detected
Bad page (map|state)|[Bb]ad rss-counter|non-zero pgtables_bytes|list_(add|del) corruption|refcount_t: |ODEBUG: 
Objects remaining|Redzone overwritten|Poison overwritten|Slab cache still has objects
unchecked MSR access|Attempted to kill init|Out of memory: |invoked oom-killer|nobody cared|unregister_netdevice: waiting
slat-init: FAIL|slat: (locks|flush): '
kinds=$(tr '\n' '|' <<< "$patterns")
kinds=${kinds%|}

# scan LOG: prints the complaints, or an announced one that did not come, with the
# test that was running; fails if there are any
scan() {
	tr -d '\r' < "$1" | KINDS=$kinds awk '
	function complain(what,   i) {
		found = 1
		if (NR > 1 && at <= shown)
			return
		print (test == "" ? "" : "during " test ":\n") what
		for (i = at + 1; i <= at + 30 && i <= NR; i++)
			print "  " line[i]
		shown = at + 30
	}
	function forgiven(   i) {
		for (i = at; i <= at + 30 && i <= NR && line[i] !~ /slat-test: expected/; i++)
			if (index(line[i], text))
				return seen = 1
		return 0
	}
	{ line[NR] = $0 }
	END {
		for (at = 1; at <= NR; at++) {
			if (match(line[at], /slat-test: running /)) {
				test = substr(line[at], RSTART + RLENGTH)
			} else if (match(line[at], /slat-test: expect /)) {
				text = substr(line[at], RSTART + RLENGTH)
				seen = 0
			} else if (line[at] ~ /slat-test: expected/) {
				if (text != "" && !seen)
					complain("absent, though announced: " text)
				text = ""
			} else if (line[at] ~ ENVIRON["KINDS"] && (text == "" || !forgiven())) {
				complain(line[at])
			}
		}
		if (text != "")
			complain("announced and never ended: " text)
		exit found
	}'
}

self_test() {
	local sample log bad=0
	log=$(mktemp)
	# shellcheck disable=SC2064
	trap "rm -f $log" EXIT
	check() { # EXPECTATION NAME
		local got=quiet
		scan "$log" > /dev/null || got=loud
		[ "$got" = "$1" ] || { echo "self-test: $got, not $1: $2" >&2; bad=1; }
	}
	while IFS= read -r sample; do
		printf '[    1.0] ok\r\n[    2.0] %s\r\n[    3.0] ok\r\n' "$sample" > "$log"
		check loud "$sample"
	done < "$scripts/splats/loud"
	while IFS= read -r sample; do
		echo "[    2.0] $sample" > "$log"
		check quiet "$sample"
	done < "$scripts/splats/quiet"

	local warn='WARNING: CPU: 0 PID: 9 at kmod/table.c:7 set_entry+0x3/0x9 [slat]'
	printf '%s\n' 'slat-test: expect set_entry' "$warn" 'slat-test: expected' > "$log"
	check quiet "an announced warning"
	printf '%s\n' 'slat-test: expect set_entry' "$warn" 'slat-test: expected' "$warn" > "$log"
	check loud "a second one, later"
	printf '%s\n' 'slat-test: expect other' "$warn" 'slat-test: expected' > "$log"
	check loud "another one than announced"
	printf '%s\n' 'slat-test: expect set_entry' 'slat-test: expected' > "$log"
	check loud "announced and absent"
	printf '%s\n' 'slat-test: expect set_entry' "$warn" > "$log"
	check loud "never ended"
	[ $bad = 0 ]
}

case ${1:-} in
--self-test) self_test ;;
'') usage ;;
*) scan "$1" ;;
esac
