#!/bin/sh
# Make sure that these Debian packages are there: install them when root, else say the one line that does.
# --optional first: try as root, and go on without them.
set -eu
if [ "$1" = --optional ]; then
	shift
	[ "$(id -u)" -eq 0 ] || exit 0
	"$0" "$@" || echo "going on without: $*" >&2
	exit 0
fi
missing=
for p in "$@"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; run: sudo apt-get install$missing" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "missing packages:$missing; this is no Debian: install their like by hand, then run make" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
