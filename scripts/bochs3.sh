#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bochs3.sh: prints the cache folder of Debian 13's Bochs and fills it first if need
# be; where the archive does not have it, the folder is empty. It is twice as fast as
# Debian 12's 2.7, whose data files and libraries it uses beside Debian 13's own C
# and C++ libraries.

apt_suite=trixie
. "$(dirname "$0")/lib.sh"
. "$scripts/apt.sh"

unpack() {
	local dir=$1 deb
	fetch "$dir/debs" bochs libc6 libstdc++6 libgcc-s1 libltdl7 || return
	for deb in "$dir"/debs/*.deb; do
		dpkg -x "$deb" "$dir" || return
	done
	rm -r "$dir/debs" "$dir/usr/share"
}

dir=$cache/bochs-3
if [ ! -e "$dir" ]; then
	(lock "$cache/.lock-bochs"
	 [ -e "$dir" ] || {
		rm -rf "$dir.new"
		mkdir "$dir.new"
		unpack "$dir.new" || {
			say "the tests run in Debian 12's Bochs; to try again, remove $dir"
			rm -rf "$dir.new"
			mkdir "$dir.new"
		}
		mv "$dir.new" "$dir"
	 })
fi
echo "$dir"
