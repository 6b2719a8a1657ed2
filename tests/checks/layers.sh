#!/bin/sh
# Includes point downwards: core uses nothing of the others, kvmback and views use core only, cli may use all. Each foreign
# library is included by one small group of files. Every header compiles alone.
set -u
cd "$(dirname "$0")/../.."
bad=0
refuse() { # files-glob, pattern, words
	found=$(git ls-files "$1" | xargs -r grep -nE "$2")
	[ -z "$found" ] && return
	echo "$found"
	echo "layers: $3"
	bad=1
}
refuse 'core/*.[ch]' '#include "(cli|views|kvmback|tests)/' 'core includes nothing of cli, views, kvmback'
refuse 'core/*.[ch]' '#include <(tcl|curses|ncurses|readline/|bpf/|linux/kvm)' 'core includes no Tcl, ncurses, readline, libbpf, KVM'
refuse 'kvmback/*.[ch]' '#include "(cli|views|tests)/' 'kvmback includes core only'
refuse 'views/*.[ch]' '#include "(cli|kvmback|tests)/' 'views include core only'
refuse 'views/*.[ch]' '#include <(tcl|readline/|bpf/)' 'views include no Tcl, readline, libbpf'
refuse 'kvmback/*.c' '#include "core/cpu/soft|#include <tcl' 'kvmback does not know the soft backend'
refuse 'core/*.c' '\b(printf|puts|fprintf|perror|exit|abort)\(' 'core prints nothing and never exits'
refuse 'kvmback/*.c' '\b(printf|puts|perror|exit|abort)\(' 'kvmback prints nothing and never exits'
for h in $(git ls-files '*.h'); do
	# shellcheck disable=SC2046
	${CC:-gcc} -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -I. -D_GNU_SOURCE -x c \
		$(pkg-config --cflags tcl readline ncursesw libbpf capstone) "$h" || { echo "layers: $h does not compile alone"; bad=1; }
done
[ $bad = 0 ] && echo "layers: all includes point downwards, every header compiles alone"
exit $bad
