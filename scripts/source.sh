# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0-only
# Sourced after apt.sh: Debian's 6.1 source package in the cache, from which come
# our own kernels and the kselftest harness. One version is kept until it is
# removed by hand: it keys what is built from it.

source_folder=$cache/source

# source_deb: prints the package's path, after fetching it if need be
source_deb() {
	local deb
	# There is no such folder at first, which is no failure.
	deb=$({ find "$source_folder" -name 'linux-source-6.1_*.deb' 2> /dev/null || true; } | sort -V | tail -n 1)
	if [ -z "$deb" ]; then
		[ -z "${look_only:-}" ] || exit 1
		(lock "$cache/.lock-source"
		 [ -n "$(find "$source_folder" -name '*.deb' 2> /dev/null)" ] || {
			rm -rf "$source_folder.new"
			fetch "$source_folder.new" linux-source-6.1
			mv "$source_folder.new" "$source_folder"
		 })
		deb=$(echo "$source_folder"/linux-source-6.1_*.deb)
	fi
	echo "$deb"
}

source_version() {
	local deb
	deb=$(source_deb)
	deb=${deb##*/linux-source-6.1_}
	echo "${deb%_all.deb}"
}

# source_tar [TAR-ARGUMENT...]: reads the tree out of the package with tar
source_tar() {
	dpkg --fsys-tarfile "$(source_deb)" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
		xz -dc -T0 | tar -x --strip-components=1 "$@"
}

# source_tree: prints the path of the unpacked tree (1.3 GB)
source_tree() {
	local dir
	dir=$cache/linux-$(source_version)
	if [ ! -e "$dir" ]; then
		(lock "$cache/.lock-source"
		 [ -e "$dir" ] || {
			rm -rf "$dir.new"
			mkdir "$dir.new"
			source_tar -C "$dir.new"
			mv "$dir.new" "$dir"
		 })
	fi
	echo "$dir"
}
