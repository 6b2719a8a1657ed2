#!/bin/sh
# docs/ARCHITECTURE.md is about the files that there are: every path in it exists, and every source file is named in it, by
# itself or by a pattern such as `cmd_*.c` or `shadow*`.
set -u
cd "$(dirname "$0")/../.."
exec python3 - <<'EOF'
import glob, os, re, sys

text = open("docs/ARCHITECTURE.md").read()
words = re.findall(r"`([^`\s]+)`", text)
bad = 0
for w in words:
    if re.match(r"(core|kvmback|views|cli|completions|scripts|tests|docs)/", w):
        if not glob.glob(w.replace(".[ch]", ".h")):
            print(f"docs: ARCHITECTURE.md names {w}, which is not there")
            bad = 1
names = {re.sub(r"\.(c|h|\[ch\])$", "", os.path.basename(w.rstrip("/"))) for w in words}
exact = {n for n in names if "*" not in n}
starts = tuple(n[:n.index("*")] for n in names if "*" in n and n.index("*") > 2)
for folder in ("core", "kvmback", "views", "cli"):
    for path in sorted(glob.glob(f"{folder}/**/*.c", recursive=True)):
        stem = os.path.basename(path)[:-2]
        if stem not in exact and not stem.startswith(starts):
            print(f"docs: {path} is nowhere in ARCHITECTURE.md")
            bad = 1
if not bad:
    print("docs: ARCHITECTURE.md names the files that there are")
sys.exit(bad)
EOF
