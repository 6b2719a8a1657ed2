#!/bin/sh
# A lock is held by a scope (core/base/lock.h, core/mem/walklock.h), so that no return leaves it taken. Only who hands one over
# to another function takes or gives it by itself, and says so ("handed over") in the comment above.
set -u
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2046
found=$(awk '
	FNR == 1 { told = 0 }
	/\/\*.*[Hh]anded over/ { told = 1 }
	/(pthread_mutex_(lock|trylock|unlock)|walk_lock_(take|give))\(/ && !told { print FILENAME ":" FNR ": " $0 }
	/^}/ { told = 0 }
' $(find core kvmback cli views -name '*.[ch]' ! -path core/base/lock.h ! -path 'core/mem/walklock.[ch]' | sort))
if [ -n "$found" ]; then
	echo "$found"
	echo "locks: LOCK_SCOPE() or WALK_LOCK_SCOPE(), or a comment of what is handed over to whom"
	exit 1
fi
echo "locks: each is given back by a scope, or handed over on purpose"
