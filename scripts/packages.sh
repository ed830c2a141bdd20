#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packages.sh build|machine|kernel...: makes sure that Debian packages are there,
# for building module and tests, for running the test machine, for building a
# kernel of our own. Installs what is missing if it may.

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
for set; do
	case $set in
	build) need gcc gcc-12 libc6-dev libelf1 make sparse rsync xz-utils kmod binutils python3-minimal ;;
	machine) need qemu-system-x86 busybox-static cpio kmod binutils ;;
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
