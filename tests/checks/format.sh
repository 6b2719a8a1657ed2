#!/bin/sh
# Every C file is as clang-format writes it. The formatter's version matters: only that of Debian 12 judges.
set -u
cd "$(dirname "$0")/../.."
case $(clang-format --version 2>/dev/null) in
*' 14.'*) ;;
*) echo "skip: no clang-format 14, which judges the format" && exit 77 ;;
esac
bad=$(find cli completions core kvmback views tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run 2>&1 |
	sed -n 's/^\([^: ]*\.[ch]\):[0-9].*/\1/p' | sort -u)
[ -z "$bad" ] && echo "format: every C file is as clang-format writes it" && exit 0
echo "format: run clang-format -i" $bad
exit 1
