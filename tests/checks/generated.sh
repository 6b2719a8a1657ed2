#!/bin/sh
# The shell completions and the manual follow from the program's tables: what is committed must be what build/gen writes now.
# And they must be good bash and good roff.
set -u
cd "$(dirname "$0")/../.."
gen=$(dirname "${KVMSCOPE:-build/kvmscope}")/gen
[ -x "$gen" ] || make -s "O=$(dirname "$gen")" "$gen" || exit 1
bad=0
same() { # file, words for gen
	file=$1
	shift
	"$gen" "$@" | diff "$file" - >/dev/null && return
	echo "generated: $file is out of date; run: make completions manual"
	bad=1
}
same completions/kvmscope.bash bash
same completions/_kvmscope zsh
same completions/kvmscope.fish fish
same docs/kvmscope.1 manual docs/kvmscope.1.in
bash -n completions/kvmscope.bash || bad=1
offers() { # the words after kvmscope, what must be offered for the last one
	got=$(bash -c 'compopt() { :; }; . completions/kvmscope.bash; want=$1; shift; COMP_WORDS=(kvmscope "$@"); COMP_CWORD=$#
		_kvmscope; echo "${COMPREPLY[@]}"' - "$@")
	[ "$got" = "$1" ] || { echo "generated: bash offers '$got' for '$*'"; bad=1; }
}
offers real --mode re
offers 'auto kvm soft' -b ''
offers memop -c memo
offers 'tour threads' demo : t
offers --vcpus --vc
for shell in zsh fish; do
	command -v $shell >/dev/null || continue
	case $shell in zsh) file=completions/_kvmscope ;; *) file=completions/kvmscope.fish ;; esac
	$shell -n $file || bad=1
done
if command -v man >/dev/null; then
	said=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l docs/kvmscope.1 2>&1 >/dev/null)
	[ -z "$said" ] || { echo "generated: man says: $said"; bad=1; }
fi
[ $bad = 0 ] && echo "generated: completions and manual are those of the program's tables"
exit $bad
