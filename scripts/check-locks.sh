#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# check-locks.sh: fails where kmod/ takes a lock or touches user memory behind the
# back of the lock checker, that is without the functions of locks.h and user.h,
# and prints these lines.

. "$(dirname "$0")/lib.sh"

locks='(mutex|read|write|spin|raw_spin|down|up)_(un)?(lock|trylock|read|write)(_[a-z]+)*|DEFINE_(MUTEX|SPINLOCK|RWLOCK)
(mutex|rwlock|spin_lock)_init|init_srcu_struct|srcu_read_(un)?lock(_[a-z]+)*|synchronize_srcu(_[a-z]+)*
(__)?(copy|clear|get|put|memdup|vmemdup|strncpy|strnlen)_(struct_|user_)?(from_|to_)?user(_[a-z]+)*|__try_cmpxchg_user
(get|pin)_user_pages(_unlocked|_fast|_remote|_locked)?'
pattern="(^|[^_a-z])($(tr '\n' '|' <<< "$locks"))\\("
pattern=${pattern/|)\\(/)\\(}

cd "$top/kmod"
# Not the checker's own lock, nor what is "only" done "fast" and never faults, nor comments.
if grep -rnE "$pattern" . --include='*.[ch]' | grep -vE '^\./(locks|user)\.[ch]:|seen_lock|_fast_only\(|:[[:space:]]*/?\*'; then
	exit 1
fi
