#!/bin/sh
# Includes point downwards: core uses nothing of the others, kvmback and views use core only, cli may use all; inside cli
# session < cmd < tcl < prompt < tui. Each foreign
# library is included by one small group of files. Every header compiles alone.
set -u
cd "$(dirname "$0")/../.."
bad=0
refuse() { # folder, which files of it, pattern, words
	found=$(find "$1" -name "$2" -print0 | xargs -0 grep -nE "$3")
	[ -z "$found" ] && return
	echo "$found"
	echo "layers: $4"
	bad=1
}
refuse core '*.[ch]' '#include "(cli|views|kvmback|tests)/' 'core includes nothing of cli, views, kvmback'
refuse core '*.[ch]' '#include <(tcl|curses|ncurses|readline/|bpf/|linux/kvm)' 'core includes no Tcl, ncurses, readline, libbpf, KVM'
refuse kvmback '*.[ch]' '#include "(cli|views|tests)/' 'kvmback includes core only'
refuse kvmback '*.[ch]' '#include "core/soft/|#include <(tcl|readline/|curses)' 'kvmback knows nothing of the soft backend and of screens'
refuse views '*.[ch]' '#include "(cli|kvmback|tests)/' 'views include core only'
refuse views '*.[ch]' '#include <(tcl|readline/|bpf/|linux/kvm)' 'views include no Tcl, readline, libbpf, KVM'
refuse cli '*.[ch]' '#include "tests/' 'the program includes nothing of its tests'
refuse cli/session '*.[ch]' '#include "cli/(tcl|prompt|cmd|tui)/' 'cli/session includes nothing of cli/cmd, cli/tcl, cli/prompt'
refuse cli/session '*.[ch]' '#include <(tcl|readline/|sys/ioctl|curses)' 'cli/session knows no Tcl and no terminal'
refuse cli/session '*.c' '\b(printf|puts|fprintf|fputs|fwrite|putchar|perror|exit|abort|isatty)\(|\bstd(in|out|err)\b' 'cli/session prints nothing and never exits'
refuse cli/cmd '*.[ch]' '#include "cli/(tcl|prompt|tui)/|#include <(tcl|readline/)' 'cli/cmd includes nothing of cli/tcl, cli/prompt'
refuse cli/tcl '*.[ch]' '#include "cli/(prompt|tui)/|#include <readline/' 'cli/tcl includes nothing of cli/prompt'
refuse cli/prompt '*.[ch]' '#include "cli/tui/' 'cli/prompt includes nothing of cli/tui'
refuse views '*.h' '#include <.*curses' 'no header of the views needs ncurses'
refuse cli '*.[ch]' '#include <.*curses' 'cli knows no ncurses'
refuse core '*.c' '\b(printf|puts|fprintf|perror|exit|abort)\(' 'core prints nothing and never exits'
refuse kvmback '*.c' '\b(printf|puts|perror|exit|abort)\(' 'kvmback prints nothing and never exits'
if grep -lE '#include <.*curses' -r views | grep -v '^views/tui/terminal.c$'; then echo 'layers: ncurses is included by views/tui/terminal.c alone'; bad=1; fi
for h in $(find cli completions core kvmback views tests -name '*.h' | sort); do
	# shellcheck disable=SC2046
	${CC:-gcc} -std=gnu11 -fsyntax-only -Wall -Wextra -Werror -I. -D_GNU_SOURCE -x c \
		$(pkg-config --cflags tcl readline ncursesw libbpf capstone) "$h" || { echo "layers: $h does not compile alone"; bad=1; }
done
[ $bad = 0 ] && echo "layers: all includes point downwards, every header compiles alone"
exit $bad
