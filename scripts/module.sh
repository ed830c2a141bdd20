#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# module.sh KERNEL: builds slat.ko, and what tests load beside it, for a test kernel
# in build/KERNEL, as developers want it: compiler and sparse warnings (W=1 C=1) are errors.
# module.sh KDIR [TARGET...]: builds it in build/host for the kernel whose build
# tree KDIR (an absolute path) is, as users want it: no more checks than that
# kernel's own. TARGETs are for kbuild: modules (default), modules_install ...
#
# SLAT_FLUSH_CHECK=y: with the checker of flushes, in build/KERNEL-checked.
#
# The sources are copied there first: kbuild puts objects beside the sources, and
# each kernel needs its own.

. "$(dirname "$0")/lib.sh"

kernel=${1:-}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(modules)
# Debian's headers ask for BTF, which takes pahole.
vars=()
command -v pahole > /dev/null || vars=(CONFIG_DEBUG_INFO_BTF_MODULES=)
case $kernel in
/*)
	kdir=$kernel out=$build/host strict=
	# Distributions keep their signing key to themselves.
	[ -e "$kdir/certs/signing_key.pem" ] || vars+=(CONFIG_MODULE_SIG_ALL=)
	;;
?*)
	kdir=$("$scripts/kernel.sh" "$kernel")/build out=$build/$kernel${SLAT_FLUSH_CHECK:+-checked} strict=1
	vars=(CONFIG_DEBUG_INFO_BTF_MODULES= W=1 C=1 "KCFLAGS=-Werror" "CF=-Wsparse-error" SLAT_TESTS=m)
	;;
*) usage ;;
esac

lock "$out/.lock"
cd "$top"
# By contents, and dated now: a file that was edited while an earlier build ran
# may be older than the object made from what it was before.
rsync -rpcR Kbuild kmod uapi selftests/modules "$out/"
# Objects for another kernel or of sources that are gone must not be linked in.
id=$(realpath "$kdir"; cat "$kdir/include/config/kernel.release" Kbuild)
[ "$id" = "$(cat "$out/.id" 2> /dev/null)" ] || { make -s -C "$kdir" M="$out" clean; echo "$id" > "$out/.id"; }

if ! make -s -C "$kdir" M="$out" -j"${JOBS:-$(nproc)}" "${vars[@]}" "${targets[@]}" 2>&1 |
	sed -u "s,$out/,," | tee "$out/log"; then
	die "slat.ko does not build against $kdir"
fi
if [ -n "$strict" ] && grep -qiE '\<warning:' "$out/log"; then
	# What objtool and modpost warn of would not be said again.
	make -s -C "$kdir" M="$out" clean
	die "warnings are errors here"
fi
