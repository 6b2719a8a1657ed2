#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long listings: shown while they are made, as text and as JSON, and no more of them in memory than a part."""
import os, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import BIN, Talk, main, ok, start

TABLES = 300
SLOT = "slot add 7 0x100000 0x400000"
# Pages none of which has the rights of the one before it, mapped from 0x2000000 on.
MANY = "for {set t 0} {$t < %d} {incr t} {" % TABLES + """
    set hex {}
    for {set i 0} {$i < 512} {incr i} {append hex [binary encode hex [binary format w [expr {0x1000 * $i | ($i & 1 ? 3 : 1)}]]]}
    dbg::mem write [expr {0x100000 + 0x1000 * $t}] $hex -phys
    dbg::mem write [expr {0x12080 + 8 * $t}] [binary encode hex [binary format w [expr {0x100000 + 0x1000 * $t | 3}]]] -phys
}"""


def json_is_one_list(b):
    """In parts or not: the line is the value that a script gets. A line of two commands has the value of the last one."""
    first, again, last = ok(SLOT, MANY, "info tlb -limit 20000", "set v [info tlb -limit 20000]", "info tlb -limit 20000; expr 41 + 1", backend=b)[2:]
    assert last == 42 and len(first) == 20000 and first[-1]["truncated"]["limit"] == 20000
    whole = ok(SLOT, MANY, "llength [info tlb -limit 20000]", backend=b)[2]
    assert whole == 20000


def text_is_one_table(b):
    status, out, err = start(SLOT, MANY, "info mem", "info tlb -limit 20000", backend=b)
    assert status == 0 and out.count("rights") == 2, err
    assert out.count("there is more from") == 1


def a_reader_that_leaves(b):
    for opts in ((), ("-j",)):
        p = subprocess.Popen([BIN, "-b", b, "--batch", "--nx", "-q", *opts, "-c", SLOT, "-c", MANY, "-c", "info tlb", "-c", "puts stderr more", "demo:tour"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        p.stdout.read(100000)
        p.stdout.close()
        assert p.stderr.read() == b"" and p.wait(60) == 1


def memory_is_bounded(b):
    """A list of 150,000 rows has some 100 MB as a value."""
    with Talk(backend=b) as t:
        t.ask(SLOT)
        t.ask(MANY)
        t.ask("info tlb -limit 1000")
        before = t.memory("VmHWM")
        assert len(t.ask("info tlb")) > TABLES * 512
        grown = t.memory("VmHWM") - before
        assert grown < 16 << 10, f"{grown} KiB more"


def a_report_says_that_it_is_cut(b):
    with tempfile.TemporaryDirectory() as d:
        ok(SLOT, MANY, f"report {d}/r.html", backend=b)
        text = open(d + "/r.html", encoding="utf-8").read()
        assert "mappings at higher addresses are left out" in text and len(text) < 32 << 20, len(text)
        ok(f"report {d}/r.html", backend=b)
        assert "left out" not in open(d + "/r.html", encoding="utf-8").read()


if __name__ == "__main__":
    TESTS = [json_is_one_list, text_is_one_table, a_reader_that_leaves, a_report_says_that_it_is_cut]
    if "ASAN_OPTIONS" not in os.environ and "TSAN_OPTIONS" not in os.environ:  # a sanitizer keeps what is freed
        TESTS.append(memory_is_bounded)
    sys.exit(main(TESTS))
