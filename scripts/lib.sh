# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the scripts beside it.

set -eu -o pipefail
shopt -s inherit_errexit
# What our Makefile was called with is not meant for kbuild or the kselftests.
unset MAKEFLAGS MFLAGS
# File modes and the archive's contents must not depend on who builds.
umask 022
export LC_ALL=C

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$scripts")
build=$top/build
cache=${SLAT_CACHE:-${XDG_CACHE_HOME:-~/.cache}/slat}
mkdir -p "$build" "$cache"
cache=$(realpath "$cache")

die() { echo "${0##*/}: $*" >&2; exit 2; }
say() { echo "${0##*/}: $*" >&2; }

# usage: prints the comment at the head of the script
usage() { sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# lock FILE: holds FILE's lock until the script ends. Checkout and cache are
# shared by whoever builds at the same time.
lock() { mkdir -p "$(dirname "$1")"; exec {lock_fd}> "$1"; flock "$lock_fd"; }

# quietly LOG COMMAND...: shows the end of the output only if COMMAND fails
quietly() {
	local log=$1
	shift
	"$@" > "$log" 2>&1 < /dev/null || { tail -n 30 "$log" >&2; die "failed: $* (log: $log)"; }
}

# machine_with DEVICE KERNEL FOLDER: sets machine to boot.sh's options for $MACHINE with kvm,
# or with slat, whose module is built and kept in FOLDER
machine_with() {
	local kvm='kvm-amd'
	[ "${MACHINE:=qemu}" != bochs ] || kvm='kvm-intel'
	if [ "$1" = kvm ]; then
		machine=(-M "$MACHINE" -n -a "run.modules=$kvm")
		return
	fi
	"$scripts/module.sh" "$2"
	cp "$build/$2/slat.ko" "$3/"
	machine=(-M "$MACHINE" -k "$3/slat.ko")
}

# copy_libraries ROOT PROGRAM...: the shared libraries that they need, for a machine
# whose root is ROOT
copy_libraries() {
	local root=$1 lib
	shift
	ldd "$@" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | sort -u |
		while read -r lib; do
			install -D "$(realpath "$lib")" "$root$lib"
		done
}
