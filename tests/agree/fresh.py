#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agreement on seeds that were never run here: `make agree-fresh FRESH=2000`.

Which ranges were run is kept in $XDG_STATE_HOME/kvmscope/agree-seeds.json (~/.local/state without it), for each kind of guest by
itself. The next range begins behind all of them, is said first, and counts as run from the moment at which it begins: what was
interrupted has been seen in part.
"""
import argparse
import fcntl
import json
import os
import subprocess
import sys

# (name in the state file, program and its words, the first seed that nobody has looked at when this was written)
KINDS = (
    ("guests", ["agree", "-k"], 100000),
    ("stops", ["agree_stops", "-k"], 100000),
    ("stops on kvm", ["agree_stops", "-b", "kvm", "-k"], 100000),
)


def state_path():
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(base, "kvmscope", "agree-seeds.json")


def take_range(path, kind, first, count):
    """The next `count` seeds behind all that were run; they count as run from now on."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        text = f.read()
        state = json.loads(text) if text.strip() else {}
        ranges = state.setdefault(kind, [])
        begin = max([first] + [last + 1 for _, last in ranges])
        if ranges and ranges[-1][1] + 1 == begin:
            ranges[-1][1] = begin + count - 1
        else:
            ranges.append([begin, begin + count - 1])
        f.seek(0)
        f.truncate()
        json.dump(state, f)
        f.write("\n")
    return begin


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build")
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--state", default=state_path())
    args = p.parse_args()
    failed = 0
    for kind, words, first in KINDS:
        if not os.path.exists("/dev/kvm") and "stops" != kind:
            print(f"{kind}: not run, there is no /dev/kvm")
            continue
        begin = take_range(args.state, kind, first, args.count)
        print(f"{kind}: seeds {begin} to {begin + args.count - 1}, never run before ({args.state})", flush=True)
        argv = [os.path.join(args.build, words[0]), *words[1:], "-f", str(begin), "-n", str(args.count)]
        failed |= subprocess.call(argv) != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
