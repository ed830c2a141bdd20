#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernel.sh [-n] KERNEL: prints the cache folder of a test kernel and fills it
# first if need be; with -n it only looks, and fails if the kernel is not there.
#
#  6.1    Debian 12's cloud kernel
#  6.12   the one of bookworm-backports
#  debug  Debian's 6.1 source with kernel/base.config and kernel/debug.config:
#         sanitizers, lockdep, kmemleak, fault injection; minutes to build
#  fast   the same source with kernel/fast.config, for measurements
#
# The folder holds vmlinuz, lib/modules/RELEASE, build (the tree to build
# modules against) and release. Remove it to have a newer one fetched. Our own
# kernels are keyed by the source's version and the fragments.

. "$(dirname "$0")/lib.sh"
. "$scripts/apt.sh"
. "$scripts/source.sh"

look_only=
[ "${1:-}" != -n ] || { look_only=1; shift; }
kernel=${1:-}
jobs=${JOBS:-$(nproc)}

# unpack_headers FOLDER RELEASE: headers and kbuild tools of Debian, with the
# absolute paths that expect them under /usr made relative
unpack_headers() {
	local dir=$1 rel=$2 deb tree=usr/src/linux-headers-$2
	for deb in "$dir"/debs/linux-{headers,kbuild}-*.deb; do
		dpkg -x "$deb" "$dir"
	done
	# $(lastword $(MAKEFILE_LIST)) is this file, whatever folder make runs in
	sed -i "s,^include /usr/src/,include \$(dir \$(lastword \$(MAKEFILE_LIST)))../," "$dir/$tree/Makefile"
	ln -sfn "$tree" "$dir/build"
	make -s -C "$dir/build" kernelrelease > /dev/null
}

debian_kernel() {
	local dir=$1 meta=linux-image-cloud-amd64$2 rel common
	apt_init
	rel=$(depends "$meta" 'linux-image-.*')
	rel=${rel#linux-image-}
	[ -n "$rel" ] || die "no package $meta"
	mapfile -t common < <(depends "linux-headers-$rel" 'linux-\(headers\|kbuild\)-.*')
	fetch "$dir/debs" "linux-image-$rel" "linux-headers-$rel" "${common[@]}"
	dpkg -x "$dir"/debs/linux-image-*.deb "$dir"
	unpack_headers "$dir" "$rel"
	rm -rf "$dir/debs"
	depmod -b "$dir" "$rel"
	ln -sf "boot/vmlinuz-$rel" "$dir/vmlinuz"
	echo "$rel" > "$dir/release"
}

# check_config CONFIG FRAGMENT...: fails if kconfig dropped a line for want of
# a dependency. Later fragments win over earlier ones.
check_config() {
	local config=$1 lost
	shift
	lost=$(awk -F= 'NR == FNR { if (/^CONFIG/) has[$1] = $0; next }
		/^CONFIG/ { want[$1] = $0 }
		END { for (o in want) if (want[o] != (o in has ? has[o] : o "=n")) print want[o] }' "$config" "$@")
	[ -z "$lost" ] || die "not kept by kconfig: $lost"
}

own_kernel() {
	local dir=$1 name=$2 src out=$1/build
	local fragments=("$scripts/kernel/base.config" "$scripts/kernel/$2.config")
	src=$(source_tree)
	say "building the $name kernel in $dir, with $jobs jobs: minutes"
	export KBUILD_BUILD_TIMESTAMP=2025-01-01 KBUILD_BUILD_USER=slat KBUILD_BUILD_HOST=slat
	mkdir -p "$out"
	quietly "$dir/log.config" make -s -C "$src" O="$out" tinyconfig
	(cd "$src" && quietly "$dir/log.merge" scripts/kconfig/merge_config.sh -O "$out" "$out/.config" "${fragments[@]}")
	check_config "$out/.config" "${fragments[@]}"
	quietly "$dir/log.build" nice make -s -C "$src" O="$out" -j"$jobs" bzImage modules
	make -s -C "$src" O="$out" INSTALL_MOD_PATH="$dir" INSTALL_MOD_STRIP=1 modules_install >&2
	cp "$out/arch/x86/boot/bzImage" "$dir/vmlinuz"
	# Modules build without these, and they are most of the 2 GB.
	find "$out" \( -name '*.o' -o -name '*.a' -o -name '*.cmd' -o -name 'vmlinux*' \) \
		! -path "$out/scripts/*" ! -path "$out/tools/*" -type f -delete
	make -s -C "$src" O="$out" kernelrelease > "$dir/release"
}

case $kernel in
6.1 | 6.12) dir=$cache/$kernel ;;
debug | fast)
	id=$({ source_version; cat "$scripts/kernel/base.config" "$scripts/kernel/$kernel.config"; } | sha256sum)
	dir=$cache/$kernel-${id:0:12}
	;;
*) usage ;;
esac

if [ ! -e "$dir/release" ]; then
	[ -z "$look_only" ] || exit 1
	lock "$cache/.lock-$kernel"
	if [ ! -e "$dir/release" ]; then
		rm -rf "$dir"
		mkdir -p "$dir"
		case $kernel in
		6.1) debian_kernel "$dir" "" ;;
		6.12) debian_kernel "$dir" /bookworm-backports ;;
		*) own_kernel "$dir" "$kernel" ;;
		esac
	fi
fi
echo "$dir"
