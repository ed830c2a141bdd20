# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0-only
# Sourced by scripts that fetch Debian packages into the cache. Nothing is
# installed and the system's own apt state stays as it is, so no root is needed.
# The archive's address is the one in this machine's own apt sources; only the
# suite changes: to apt_suite if that is set before, else to bookworm and its additions.

apt_state=$cache/apt${apt_suite:+-$apt_suite}
apt_own=(-q -o APT::Sandbox::User=root -o "Dir::State::Lists=$apt_state/own/lists" -o "Dir::Cache=$apt_state/own/cache")
apt_ours=(-q -o APT::Sandbox::User=root -o "Dir::State::Lists=$apt_state/lists" -o "Dir::Cache=$apt_state/cache"
	-o "Dir::Etc::sourcelist=$apt_state/sources.list" -o Dir::Etc::sourceparts=/dev/null)

# repo_uri LABEL [APT-OPTION...]
repo_uri() {
	local label=$1
	shift
	# shellcheck disable=SC2016
	apt-get indextargets "$@" --format '$(REPO_URI)' 'Created-By: Packages' "Label: $label" | sed -n 1p
}

# apt_init: makes the private package lists, unless they are there
apt_init() (
	[ ! -e "$apt_state/ready" ] || exit 0
	lock "$cache/.lock-apt"
	[ ! -e "$apt_state/ready" ] || exit 0
	from=() signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
	mkdir -p "$apt_state"/{lists,cache,own/lists,own/cache}/partial
	main=$(repo_uri Debian)
	if [ -z "$main" ]; then
		# The system has sources but no lists: read those into a private place.
		from=("${apt_own[@]}")
		quietly "$apt_state/log" apt-get "${from[@]}" update
		main=$(repo_uri Debian "${from[@]}")
	fi
	[ -n "$main" ] || die "the apt sources of this machine name no Debian archive"
	security=$(repo_uri Debian-Security "${from[@]}")
	if [ -n "${apt_suite:-}" ]; then
		echo "deb $signed $main $apt_suite main"
	else
		echo "deb $signed $main bookworm main"
		echo "deb $signed $main bookworm-backports main"
		[ -z "$security" ] || echo "deb $signed $security bookworm-security main"
	fi > "$apt_state/sources.list"
	quietly "$apt_state/log" apt-get "${apt_ours[@]}" update
	touch "$apt_state/ready"
)

# depends PACKAGE PATTERN: the direct dependencies whose name matches
depends() { apt-cache "${apt_ours[@]}" depends "$1" | sed -n "s/^ *Depends: \($2\)\$/\1/p"; }

# fetch FOLDER PACKAGE...: downloads the .deb files into FOLDER
fetch() (
	apt_init
	lock "$cache/.lock-apt"
	mkdir -p "$1"
	cd "$1" || exit
	shift
	say "fetching $*"
	# Mirrors drop superseded versions, so lists that are out of date fail here.
	apt-get "${apt_ours[@]}" download "$@" > "$apt_state/log" 2>&1 || {
		quietly "$apt_state/log" apt-get "${apt_ours[@]}" update
		quietly "$apt_state/log" apt-get "${apt_ours[@]}" download "$@"
	}
)
