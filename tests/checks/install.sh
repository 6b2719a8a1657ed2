#!/bin/sh
# make install with DESTDIR and PREFIX: what is installed works from there, every script is among it; make uninstall leaves no file.
set -u
cd "$(dirname "$0")/../.."
build=$(dirname "${KVMSCOPE:-build/kvmscope}")
tree=$(mktemp -d) && trap 'rm -rf "$tree"' EXIT
bad=0
say() { echo "install: $*"; bad=1; }
make -s "O=$build" "DESTDIR=$tree" PREFIX=/opt/k install >/dev/null || say "make install failed"
cd "$tree/opt/k" || exit 1
for f in bin/kvmscope share/man/man1/kvmscope.1 share/bash-completion/completions/kvmscope share/zsh/site-functions/_kvmscope \
	share/fish/vendor_completions.d/kvmscope.fish $(cd "$OLDPWD" && find scripts -name '*.tcl' | sed 's|^|share/kvmscope/|'); do
	[ -s "$f" ] || say "$f is missing"
done
for f in share/kvmscope/scripts/*.tcl; do
	(cd / && "$tree/opt/k/bin/kvmscope" --nx -q --batch -b soft -x "$tree/opt/k/$f" demo:tour </dev/null >"$tree/out" 2>&1) ||
		say "$f does not run from there: $(tail -3 "$tree/out")"
done
cd "$OLDPWD" || exit 1
make -s "O=$build" "DESTDIR=$tree" PREFIX=/opt/k uninstall >/dev/null || say "make uninstall failed"
left=$(find "$tree/opt" ! -type d)
[ -z "$left" ] || say "left behind: $left"
[ $bad = 0 ] && echo "install: all is installed, runs from there, and is removed"
exit $bad
