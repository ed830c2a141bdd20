#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qemu-guest.sh [options] KERNEL [QEMU-OPTION...]: boots Linux in Debian's own QEMU
# on slat: in the test machine, /dev/kvm is a link to /dev/slat, and a QEMU in it
# boots the machine's kernel with selftests/qemu/hello.c as its only program.
# Passes if the program's output comes and that QEMU ends well. The last line is
# "N passed, N failed, N skipped".
#
#  -n       another program: it loads Linux's own KVM, which so becomes a guest of slat,
#           and runs the kselftests below on it; passes if all of them do
#  -k       on KVM instead
#  -v       with all that the inner kernel says
#  -t SECS  time limit, default 240; 500 with -n

. "$(dirname "$0")/lib.sh"

nested_tests=(exit_hlt_test exit_io_test exit_shutdown_test guest_long_test)
device=slat cpu=host quiet=quiet limit=240 program=hello memory=128M
while getopts nkvt: o; do
	case $o in
	n) program=nested limit=500 memory=256M ;;
	k) device=kvm cpu=host,-kvm-asyncpf-int ;;
	v) quiet='' ;;
	t) limit=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
kernel=${1:-}
[ -n "$kernel" ] || usage
shift

mkdir -p "$build/run" "$build/log"
work=$(mktemp -d "$build/run/qemu.XXXXXX")
trap 'rm -rf "$work"' EXIT
machine_with "$device" "$kernel" "$work"
[ $program = hello ] || [ $device = kvm ] || machine+=(-a run.params=nested=1)

# What QEMU needs: its libraries, and the firmware that it looks for in -L
root=$work/root guest=$work/root/guest
mkdir -p "$guest" "$work/initrd"
qemu=$(command -v qemu-system-x86_64)
install -D -s "$qemu" "$root/usr/bin/qemu-system-x86_64"
copy_libraries "$root" "$qemu"
cp /usr/share/seabios/bios-256k.bin /usr/share/qemu/{kvmvapic,linuxboot_dma}.bin "$guest/"
cp "$("$scripts/kernel.sh" "$kernel")/vmlinuz" "$guest/"

hello_initrd() {
	${CC:-gcc} -O2 -Wall -Werror -static -s -o "$1/init" "$top/selftests/qemu/hello.c"
}

nested_initrd() {
	local module
	mkdir -p "$1"/{bin,dev,lib,proc,tests}
	cp "$(command -v busybox)" "$1/bin/"
	for module in irqbypass kvm kvm-amd; do
		find "$("$scripts/kernel.sh" "$kernel")/lib/modules" -name "$module.ko*" -exec cp -t "$1/lib" {} +
	done
	"$scripts/kselftest.sh" "$work/kselftest" "${nested_tests[@]}"
	cp "$work"/kselftest/slat/*_test "$1/tests/"
	install -m 755 "$scripts/guest/nested-init" "$1/init"
}

"$program"_initrd "$work/initrd"
(cd "$work/initrd" && find . | cpio -o -H newc -R 0:0 --quiet) > "$guest/initrd"

# KVM offers a feature that QEMU refuses without KVM's interrupt controller: not there.
# No cmpxchg16b, as in boot.sh. And a guest that runs many times slower than its
# timer cannot find out by it what a second is.
cat > "$work/run.sh" << END
[ $device = kvm ] || ln -s $device /dev/kvm
khz=\$(dmesg | sed -n 's/.*tsc: Detected \([0-9]*\)\.\([0-9]*\) MHz.*/\1\2/p' | head -n 1)
time /usr/bin/timeout $((limit - 30)) qemu-system-x86_64 -accel kvm,kernel-irqchip=off -cpu $cpu -m $memory \
	-nodefaults -no-user-config -display none -no-reboot -L /guest -serial stdio \
	-kernel /guest/vmlinuz -initrd /guest/initrd $* \
	-append "console=ttyS0 panic=-1 nokaslr tsc=reliable no_timer_check cryptomgr.notests random.trust_cpu=on \
mitigations=off clearcpuid=cx16 \${khz:+tsc_early_khz=\$khz} $quiet"
END
# One CPU: with two, QEMU's emulation takes turns between them, and when it takes one
# from a guest, between VMRUN and the next exit, it delivers once more the interrupt that
# was injected by that VMRUN, whether interrupts are off by now or not.  Linux then waits
# for ever for a lock that it holds.
log=$build/log/$kernel.qemu
"$scripts/boot.sh" -K "$kernel" -s 1 "${machine[@]}" -t "$limit" -d "$root" -L "$log" "$work/run.sh" |
	tee "$log.out" && rc=0 || rc=${PIPESTATUS[0]}

hello_passed() {
	grep -q '^hello from user space: Linux .* sum c8200000$' "$log.out"
}

nested_passed() {
	local test
	for test in "${nested_tests[@]}"; do
		grep -q "^$test: 0\r*$" "$log.out" || return
	done
}

if [ "$rc" = 0 ] && "$program"_passed && grep -q '^goodbye: 0\r*$' "$log.out"; then
	echo "1 passed, 0 failed, 0 skipped"
else
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
