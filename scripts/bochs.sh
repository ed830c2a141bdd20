#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bochs.sh FOLDER MODEL CPUS MEMORY LIMIT KERNEL "ARGS": a test machine in Bochs, for
# boot.sh. FOLDER holds the initrd, and gets the console log and what the
# emulator says. What the machine writes to its second serial port comes on stdout.
# The status is timeout's: Bochs' own says nothing.
#
#  MODEL   of CPU: corei7_skylake_x has VT-x with EPT, ryzen SVM with nested paging
#  MEMORY  as 2G         LIMIT   seconds
#  ARGS    for the kernel command line

. "$(dirname "$0")/lib.sh"

[ $# = 7 ] || usage
run=$(realpath "$1") model=$2 cpus=$3 memory=$(($(numfmt --from=iec "$4") >> 20)) limit=$5 kernel=$6 args=$7

# The emulated clock counts instructions; with two CPUs, one in a short loop counts for
# six and more, so be generous. The kernel has to be told what that makes of the TSC,
# else it waits several times too long.
ips=50000000

mkdir "$run/iso"
touch "$run"/{console,bochs.log}
cp "$kernel" "$run/iso/vmlinuz"
ln "$run/initrd" "$run/iso/initrd"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$run/iso/"
# Bochs 2.7 is wrong about the size of XSAVEC's areas, and the kernel warns of that.
# More than one CPU idles only by HLT; MWAIT never ends.
cat > "$run/iso/isolinux.cfg" << END
DEFAULT test
PROMPT 0
LABEL test
 KERNEL /vmlinuz
 APPEND initrd=/initrd $args nokaslr nowatchdog tsc_early_khz=$((ips / 1000)) clearcpuid=fsrm,xsavec,xsaves idle=halt
END
quietly "$run/iso.log" xorriso -as mkisofs -o "$run/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot \
	-boot-load-size 4 -boot-info-table "$run/iso"

# Without a sound card Bochs 2.7 aborts, and messages of level info can deadlock it.
cat > "$run/bochsrc" << END
display_library: rfb, options="timeout=0"
sound: driver=dummy
cpu: model=$model, count=$cpus, ips=$ips, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=$memory, host=$((memory < 2048 ? memory : 2048))
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata1: enabled=0
ata0-master: type=cdrom, path=$run/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$run/console
com2: enabled=1, mode=file, dev=/dev/fd/3
clock: sync=none, time0=1700000000, rtc_sync=0
log: $run/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
END
# Debian's is built with the debugger, which waits to be told.
printf 'continue\nquit\n' > "$run/debugger"

start=(bochs-bin)
dir=$("$scripts/bochs3.sh")
if [ -e "$dir/usr" ]; then
	libs=$dir/usr/lib/x86_64-linux-gnu
	export LTDL_LIBRARY_PATH=$libs/bochs/plugins
	start=("$libs/ld-linux-x86-64.so.2" --library-path "$libs" "$dir/usr/bin/bochs-bin")
fi

set +e
TERM=${TERM:-dumb} timeout --foreground -k 5 "$limit" "${start[@]}" -q -f "$run/bochsrc" -rc "$run/debugger" \
	3>&1 > "$run/bochs.out" 2>&1 < /dev/null
rc=$?
# The orderly end is one of its panics, too.
grep -ah PANIC "$run/bochs.log" | grep -v 'soft power off' | sed 's/^/bochs: /' | head -n 20 >&2
rm -rf "$run"/{iso,boot.iso}
[ $rc = 124 ] || [ $rc = 137 ] || rc=0
exit $rc
