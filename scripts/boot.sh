#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# boot.sh [options] SCRIPT: boots a test machine with AMD-V or VT-x (emulated, no
# hardware needed), loads slat and runs SCRIPT (busybox sh) as root in it.
#
#  -M MACHINE qemu (default): AMD-V; bochs: VT-x; bochs-svm: AMD-V
#  -K KERNEL  6.1 (default), 6.12, debug, fast: see kernel.sh
#  -k MODULE  the slat.ko to load; default build/KERNEL/slat.ko if there
#  -n         do not load it
#  -d FOLDER  copied over the machine's root; may repeat, later ones win
#  -c CPU     default max: 5-level tables; max,-la57: 4; max,-svm: no AMD-V.
#             For Bochs, another model of its CPUs
#  -x         a CPU without the virtualization that slat needs
#  -s CPUS    default 2               -m MEMORY  default 2G
#  -r         real parallelism (MTTCG), as soon as the kernel has patched its code;
#             there is one more CPU, on which SCRIPT does not run
#  -i         deterministic: one EPYC CPU on which each instruction takes 1 ns
#  -t SECS    time limit, default 300
#  -l         look for memory leaks at the end (debug kernel): takes a minute
#  -a ARGS    for the kernel command line, see guest/init; may repeat
#  -q ARGS    for QEMU; may repeat. Bochs takes neither these, nor -r and -i
#  -L FILE    keep the console log there
#  -v         print the console log on stderr
#
# SCRIPT's output comes on stdout. The status is SCRIPT's, or else 124: time
# limit, 125: the machine gave none (panic, hang), 126: the kernel complained
# (see check-splats.sh) although SCRIPT was content.

. "$(dirname "$0")/lib.sh"
again=("$0" "$@")

machine=qemu kernel=6.1 module='' load=1 lacking='' overlays=() cpu='' cpus=2 memory=2G accel=tcg,tb-size=512,thread=single
icount=() parallel='' limit=300 append='' extra='' keep='' verbose='' leaks=off
while getopts M:K:k:nd:c:xs:m:rit:la:q:L:v o; do
	case $o in
	M) machine=$OPTARG ;;
	K) kernel=$OPTARG ;;
	k) module=$OPTARG ;;
	n) load=0 ;;
	d) overlays+=("$OPTARG") ;;
	c) cpu=$OPTARG ;;
	x) lacking=1 ;;
	s) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	r) parallel=1 accel=tcg,tb-size=512,thread=multi ;;
	i)
		# Counting instructions works with one CPU only.
		cpus=1 accel=tcg,tb-size=512
		cpu=${cpu:-EPYC}
		# shellcheck disable=SC2054
		icount=(-icount shift=0,sleep=off -seed 1 -rtc base=2024-01-01T00:00:00,clock=vm)
		append+=" nokaslr norandmaps"
		;;
	t) limit=$OPTARG ;;
	l) leaks=on ;;
	a) append+=" $OPTARG" ;;
	q) extra+=" $OPTARG" ;;
	L) keep=$OPTARG ;;
	v) verbose=1 ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || usage
[ -r "$1" ] || die "no script $1"
# QEMU's "max" without AMD-V does not get through to init.
case $machine${lacking:+-without} in
qemu) ;;
qemu-without) cpu=EPYC,-svm ;;
bochs) cpu=${cpu:-corei7_skylake_x} ;;
bochs-without) cpu=core2_penryn_t9600 ;;
bochs-svm) cpu=${cpu:-ryzen} ;;
bochs-svm-without) cpu=turion64_tyler ;;
*) usage ;;
esac
[ "$machine" = qemu ] || [ "$accel$extra" = tcg,tb-size=512,thread=single ] ||
	die "an option that Bochs does not take"

kernel_dir=$("$scripts/kernel.sh" "$kernel")
release=$(cat "$kernel_dir/release")
if [ -n "$module" ]; then
	[ -r "$module" ] || die "no module $module"
elif [ -e "$build/$kernel/slat.ko" ]; then
	module=$build/$kernel/slat.ko
fi

# Kept if the run goes wrong, for a look at the console.
mkdir -p "$build/run"
run=$(mktemp -d "$build/run/$kernel.XXXXXX")
trap 'rm -rf "$run"' EXIT

pack() { (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet); }

# The machine's root: busybox, init, the modules that tests may want
make_root() {
	local root=$1 m
	mkdir -p "$root"/{bin,sbin,usr/bin,proc,sys,dev,tmp,tests,etc,lib/slat,lib/modules/"$release"}
	cp "$(command -v busybox)" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	install -m 755 "$scripts/guest/init" "$root/init"
	install -m 755 "$scripts/guest/timeout" "$root/usr/bin/timeout"
	for m in kvm-amd kvm-intel msr cpuid brd zram ext4 hwpoison-inject; do
		modprobe -d "$kernel_dir" -S "$release" --show-depends "$m" 2> /dev/null |
			sed -n 's/^insmod .*\(lib\/modules\/[^ ]*\).*/\1/p' || true # not in every kernel
	done | sort -u | (cd "$kernel_dir" && xargs cp --parents -t "$root")
	# busybox unpacks no xz; and less to load
	find "$root/lib" -name '*.ko.xz' -exec xz -d {} +
	find "$root/lib" -name '*.ko' -exec strip --strip-debug {} +
	cp "$kernel_dir/lib/modules/$release"/modules.{builtin*,order} "$root/lib/modules/$release/"
	depmod -b "$root" "$release"
	[ -z "$module" ] || strip --strip-debug -o "$root/lib/slat/slat.ko" "$module"
	[ -z "$parallel" ] || strip --strip-debug -o "$root/lib/slat/slat_calm.ko" "$build/$kernel/selftests/modules/slat_calm.ko"
}

make_root "$run/root"
mkdir "$run/top"
cp "$1" "$run/top/run.sh"
for d in "$run/root" "${overlays[@]}" "$run/top"; do
	[ -d "$d" ] || die "no folder $d"
	pack "$d"
done > "$run/initrd"

# An oops must end the run: what comes after it proves nothing. An emulator that does not
# get to run for a minute is no lockup, nor a stall of RCU's.
args="console=ttyS0,115200 panic=-1 oops=panic softlockup_panic=1 watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120
tsc=reliable cryptomgr.notests random.trust_cpu=on
mitigations=off suspend.pm_test_delay=1 kmemleak=$leaks run.load=$load$append"
args=${args//$'\n'/ }

# QEMU's parallel CPUs may go on executing code that has just been patched as it was in
# between: one CPU boots alone, and the others come when there is nothing left to patch.
#
# And any of them that loads FPU state writes flags of CPU 0 back as it has read them
# (cpu_clear_ignne() in QEMU), GIF and the one for nested paging among them. When CPU 0
# left a guest just then, it went on in the host with the guest's nested tables. So CPU 0
# runs no guests: init keeps what it starts on the others.
if [ -n "$parallel" ]; then
	args+=" maxcpus=1 noreplace-smp run.parallel=1"
	cpus=$((cpus + 1))
fi

# The kernel must not use cmpxchg16b: QEMU 7.2 derives the other flags from stale
# state, which may set the trap flag or turn interrupts off, and 6.12 mostly does not
# survive its boot.
start_qemu() {
	# shellcheck disable=SC2086
	timeout --foreground -k 5 "$limit" qemu-system-x86_64 -accel "$accel" "${icount[@]}" -cpu "${cpu:-max}" \
		-smp "$cpus" -m "$memory" -nodefaults -no-user-config -display none -no-reboot -monitor none \
		-serial "file:$run/console" -serial stdio -kernel "$kernel_dir/vmlinuz" -initrd "$run/initrd" \
		-append "$args reboot=t no_timer_check clearcpuid=cx16" $extra < /dev/null
}

start_bochs() {
	"$scripts/bochs.sh" "$run" "$cpu" "$cpus" "$memory" "$limit" "$kernel_dir/vmlinuz" "$args"
}

# Ends a machine that has not got to init in ten times the seconds it may take. The debug
# kernel's first task can wait for ever for RCU's, if that has just begun to wait for work
# (synchronize_rcu_tasks() in 6.1).
watch_boot() {
	local end=$((SECONDS + 300))
	while [ $SECONDS -lt $end ]; do
		sleep 1
		! grep -qs 'Run /init' "$run/console" || return 0
	done
	pkill -f "^timeout .*$run/"
}

set +e
{
	watch_boot > /dev/null &
	"start_${machine%-svm}" 2> "$run/emulator"
	echo "the emulator ended with status $?" >> "$run/emulator"
	kill $! 2> /dev/null
} | tr -d '\r' | tee "$run/out" | grep --line-buffered -av '^@@'
set -e
grep -v -e "TCG doesn't support requested feature" -e 'status 0$' "$run/emulator" | sed 's/^/emulator: /' | head -n 20 >&2 || true

# The kernel complained, crashed or hung before slat was there, so that no test has run.
stumbled() {
	grep -qx '@@AGAIN' "$run/out" || ! grep -q -e 'Run /init' -e 'status 124$' "$run/console" "$run/emulator"
}
if stumbled && [ "${BOOT_TRIES:=1}" -lt 3 ]; then
	say "the machine stumbled at boot, once more"
	rm -rf "$run"
	export BOOT_TRIES=$((BOOT_TRIES + 1))
	exec "${again[@]}"
fi

rc=$(sed -n '$s/^@@RC=\([0-9]*\)$/\1/p' "$run/out")
splats=$("$scripts/check-splats.sh" "$run/console") || {
	echo "$splats" >&2
	[ "${rc:-0}" != 0 ] || rc=${rc:+126}
}
if [ -z "$rc" ]; then
	rc=125
	! grep -q 'status 124$' "$run/emulator" || { rc=124; say "time limit of $limit s"; }
fi

rm -rf "$run"/{root,top,initrd}
[ -z "$keep" ] || cp "$run/console" "$keep"
[ -z "$verbose" ] || cat "$run/console" >&2
if [ "$rc" != 0 ]; then
	trap - EXIT
	say "status $rc, console log: ${run#"$PWD"/}/console"
fi
exit "$rc"
