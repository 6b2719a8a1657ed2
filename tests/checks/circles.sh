#!/bin/sh
# Folders need each other's symbols in one direction only: tests/checks/circles.py, over the objects beside the program.
set -u
cd "$(dirname "$0")/../.."
command -v nm >/dev/null || { echo "skip: circles: nm is not installed"; exit 77; }
build=$(dirname "${KVMSCOPE:-build/kvmscope}")
exec python3 tests/checks/circles.py "$(realpath --relative-to=. "$build")"
