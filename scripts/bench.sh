#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bench.sh KERNEL: counts instructions on KVM and then on slat, in one boot of a machine
# whose time they are (boot.sh -i, or one CPU of Bochs' if $MACHINE says so). A line for
# each figure:
#
#  NAME slat=N kvm=N ratio=R [goal=G met|missed]
#
# A goal with an x is a ratio to KVM, one without a number of instructions; the
# last line sums up, and the status says whether all goals are met. Counting
# instructions knows no caches, TLBs or cost of VMRUN: good for comparing only.
#
# Memory, per page: first-touch, with nothing mapped around it, fault-around, prefault
# (beside the touches that it takes on a KVM without), fault-2M, zap-slot by deletion,
# zap-madvise less what the call costs without a VM. dirty-get: KVM_GET_DIRTY_LOG of pages
# that were written; dirty-write: to write one after that. tables-kb-per-gib: nested tables for
# 4K pages. guard-read, guard-write: mapping a resident page to the kernel, with a reference
# to it, and unmapping it; to write takes a pin, so that a fork does not leave the write behind,
# and the kernel's pin and unpin alone are 600 instructions. lock-hold: the longest that the
# table lock was held, mapping 4 GiB by 4K pages and taking them away, the timer's interrupts
# included.
#
# runstate-register: with the ioctl. runstate-update: what each of the two adds to a HLT,
# and a share of having the scheduler call.
#
# A line before these, in wall time: the same faults on one CPU and on two.

. "$(dirname "$0")/lib.sh"

goals='out 0.5x
cpuid 500
vmmcall 500
first-touch 0.5x
fault-around 0.15x
prefault 0.1x
fault-2M 0.5x
zap-slot 0.5x
zap-madvise 0.5x
lock-hold 100000
runstate-register 5000
runstate-update 150
guard-read 600'

kernel=${1:-}
[ -n "$kernel" ] || usage
# What an instruction takes is in boot.sh and bochs.sh.
kvm='kvm-amd'
case ${MACHINE:=qemu} in
qemu) machine=(-i) ns=1 ;;
bochs*) machine=(-M "$MACHINE" -s 1 -t 1500) ns=20 ;;
*) usage ;;
esac
[ "$MACHINE" != bochs ] || kvm='kvm-intel'
mkdir -p "$build/run" "$build/bench/lib"
work=$(mktemp -d "$build/run/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

"$scripts/module.sh" "$kernel"
sources=("$top"/selftests/bench/*.c "$top"/selftests/lib/*.c)
mkdir -p "$work/root/tests"
# As the kselftests are built: guests run this program's functions.
${CC:-gcc} -std=gnu11 -O2 -Wall -Wno-unused-function -D_GNU_SOURCE -mno-red-zone -fno-stack-protector \
	-fcf-protection=none -fno-pie -static -no-pie -pthread -s -I"$top/selftests/lib" -I"$top/uapi" \
	-o "$work/root/tests/bench" "${sources[@]}"
# Since 6.12 KVM holds the CPU's virtualization as long as it is loaded.
cat > "$work/run.sh" << END
modprobe $kvm || exit
bench /dev/kvm | sed 's/^/kvm /'
rmmod $kvm kvm
bench /dev/slat | sed 's/^/slat /'
END
"$scripts/boot.sh" "${machine[@]}" -K "$kernel" -m 3G -d "$work/root" "$work/run.sh" > "$work/out" || { cat "$work/out"; die "the run failed"; }
# In a machine whose CPUs run at the same time. Not on KVM, whose static keys can hang it.
echo 'bench /dev/slat parallel' > "$work/parallel.sh"
[ "$MACHINE" != qemu ] || "$scripts/boot.sh" -K "$kernel" -r -d "$work/root" "$work/parallel.sh" ||
	say "no wall time: the parallel machine failed"
awk -v goals="$goals" -v ns="$ns" '
	BEGIN {
		n = split(goals, line, "\n")
		for (i = 1; i <= n; i++) {
			split(line[i], word, " ")
			goal[word[1]] = word[2]
		}
	}
	function note(figure) {
		if (!(figure in kvm) && !(figure in slat))
			name[++figures] = figure
	}
	$2 !~ /^tables/ && NF == 3 { $3 = int($3 / ns) }
	$1 == "kvm" { note($2); kvm[$2] = $3; next }
	$1 == "slat" { note($2); slat[$2] = $3; next }
	{ print }
	END {
		for (i = 1; i <= figures; i++) {
			f = name[i]
			printf "%s slat=%s kvm=%s", f, f in slat ? slat[f] : "none", f in kvm ? kvm[f] : "none"
			if (f in slat && kvm[f] > 0)
				printf " ratio=%.2f", slat[f] / kvm[f]
			if (f in goal) {
				limit = goal[f] ~ /x$/ ? goal[f] * kvm[f] : goal[f]
				met = f in slat && slat[f] <= limit
				printf " goal=%s %s", goal[f], met ? "met" : "missed"
				met ? hits++ : misses++
			}
			print ""
		}
		printf "%d figures, %d goals met, %d missed\n", figures, hits, misses
		exit !figures || misses > 0
	}' "$work/out"
