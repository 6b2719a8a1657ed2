#!/bin/sh
# Every call of machine.h that can fail has a row in calls.h (what it needs), or one in looks.h.
set -u
cd "$(dirname "$0")/../.."
bad=0
calls=$(sed -nE 's/^int machine_([a-z_]+)\(.*/\1/p' core/machine/machine.h)
[ "$(echo "$calls" | wc -l)" -gt 30 ] || { echo "calls: machine.h has hardly any calls: is this still how they are declared?"; exit 1; }
for call in $calls; do
	case $call in
	create | check_caps | check_idle | hidden) continue ;; # before there is a machine; the checks; a callback's own answer
	poll | wait | run_fd) continue ;;                      # of a run that machine_start() was asked for
	esac
	grep -qE "^	X\($call, " core/machine/calls.h core/machine/looks.h || { echo "calls: machine_$call() has no row in calls.h"; bad=1; }
done
found=$(grep -rnE 'strn?cmp\([^;]*(machine_backend\(|ops->name)' --include='*.[ch]' core cli views kvmback)
[ -z "$found" ] || { echo "$found"; echo "calls: a backend's name decides; ask for a capability or an operation"; bad=1; }
[ $bad = 0 ] && echo "calls: every call of machine.h has its row"
exit $bad
