#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/SCREENS.md: every preset of the screens as it looks, captured in tmux.

    tests/pty/capture.py           compares it with what the screens are now, but for host addresses and ages
    tests/pty/capture.py --write   writes it; `make screens`

Always on the soft backend, so that every machine has the same picture.
"""
import difflib, os, re, subprocess, sys, tempfile, time

BIN = os.path.abspath(os.environ.get("KVMSCOPE", "build/kvmscope"))
DOC = "docs/SCREENS.md"
COLUMNS, ROWS = 120, 36
NAME = f"kvmscope-capture-{os.getpid()}"
PICTURES = [
    ("F2", "F2: the map", ["select 0x40000 -phys"],
     "Guest physical memory, a letter a page. The page with a `2` has two sptes; it is selected, and beside the map stands who maps it: two\n"
     "guest addresses share it. Slot 1 is readonly: select a page of it, and `a write:` says why one leaves to user space."),
    ("F3", "F3: the tables", ["select 0x280000"],
     "The guest's own tables on the left, the host's on the right, entry by entry; the words at the end say where they disagree, and why."),
    ("F4", "F4: the fault", ["select -stops", "catch fault 0x40", "run", "fault step", "fault step"],
     "Standing inside a fault: each stage as it comes. `f` goes one further."),
    ("F5", "F5: the CPU", ["delete", "run"], "Registers, code, stack and memory."),
    ("F6", "F6: everything", [], "All of it, small."),
]
HEAD = """# The screens

`tui` at the prompt, `C-x a` there, or `kvmscope --tui`. `?` shows the keys of the pane in focus, `:` takes any command, `q` goes back to the
prompt with everything kept. Written by `make screens`; a test compares it with what the program shows. The keys are in the manual, `man
kvmscope`.
"""


def tmux(*words):
    return subprocess.run(["tmux", "-f", "/dev/null", "-L", NAME, *words], capture_output=True, text=True, timeout=20)


def mask(text):
    """What differs from run to run, without a change of width."""
    text = re.sub(r"0x7[ef][0-9a-f]{10}", lambda m: "0x7f" + "." * (len(m[0]) - 4), text)
    text = re.sub(r", heat \d", " " * len(", heat 1"), text)  # of how many looks there were during the run
    return re.sub(r"\d+ m?s ago ?(─*)", lambda m: ("now " + "─" * len(m[0]))[:len(m[0])], text)


def settled():
    """The screen when it has not changed for a moment; the screens draw all that a key brings at once."""
    last, same, end = "", 0, time.monotonic() + 20
    while same < 4 and time.monotonic() < end:
        time.sleep(0.1)
        now = tmux("capture-pane", "-p").stdout
        same = same + 1 if now == last else 0
        last = now
    return mask("\n".join(l.rstrip() for l in last.split("\n")).strip("\n"))


def capture():
    out = [HEAD]
    with tempfile.TemporaryDirectory() as home:
        env = f"XDG_STATE_HOME={home} XDG_CONFIG_HOME={home} LC_ALL=C.UTF-8"
        tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), f"{env} exec {BIN} -b soft --nx -q --tui -c run demo:tour")
        try:
            for key, title, commands, words in PICTURES:
                tmux("send-keys", key)
                for c in commands:
                    settled()
                    tmux("send-keys", ":")
                    tmux("send-keys", "-l", c)
                    tmux("send-keys", "Enter")
                out.append(f"\n## {title}\n\n{words}\n\n```\n{settled()}\n```\n")
        finally:
            tmux("kill-server")
    return "".join(out)


def main():
    text = capture()
    if sys.argv[1:] == ["--write"]:
        open(DOC, "w").write(text)
        return 0
    same = text == open(DOC).read()
    if not same:
        print(f"FAILED  {DOC} is not what the screens show; run: make screens, and look at it")
        sys.stdout.writelines(difflib.unified_diff(open(DOC).read().splitlines(True), text.splitlines(True), DOC, "now", n=0))
    print(f"{int(same)} passed, {int(not same)} failed, 0 skipped")
    return 0 if same else 1


sys.exit(main())
