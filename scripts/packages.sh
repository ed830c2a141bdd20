#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packages.sh SET...: makes sure that Debian packages are there. Installs what is
# missing if it may, else says what to install. The SETs are for building
#
#  module   the module
#  test     it with all checks, unit tests and kselftests
#  machine  the test machine
#  bochs    the other one, in Bochs
#  kernel   a kernel of our own

. "$(dirname "$0")/lib.sh"

missing=()
need() {
	local package
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] ||
			missing+=("$package")
	done
}

[ $# -gt 0 ] || usage
# Elsewhere than on Debian, what is missing will show.
command -v dpkg-query > /dev/null || exit 0
for set; do
	case $set in
	module) need gcc make rsync kmod libelf1 ;;
	test) need gcc-12 libc6-dev binutils sparse python3-minimal xz-utils ;;
	machine) need qemu-system-x86 busybox-static cpio kmod binutils procps ;;
	bochs) need bochs bochsbios vgabios xorriso isolinux syslinux-common ;;
	kernel) need gcc libc6-dev make bc bison flex libelf-dev libssl-dev perl kmod lz4 xz-utils ;;
	*) usage ;;
	esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
	root=()
elif sudo -n true 2> /dev/null; then
	root=(sudo -n)
else
	die "please have installed: apt-get install --no-install-recommends ${missing[*]}"
fi
say "installing ${missing[*]}"
install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
# The package lists may be missing or out of date.
"${install[@]}" > "$build/packages.log" 2>&1 || {
	"${root[@]}" apt-get update -q >> "$build/packages.log" 2>&1
	quietly "$build/packages.log" "${install[@]}"
}
