#!/usr/bin/env python3
"""Signals without a terminal: Ctrl-C and TERM wherever Tcl may be, half a line, a pipe that nobody reads, what children get."""
import os, re, signal, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Talk, main, ok, start

# Each says that it has begun, and would go on for ever.
SAY = "puts stderr begun; flush stderr;"
ENDLESS = [
    "print [%s while 1 {}]" % SAY,
    "x/4gx {[%s while 1 {}]}" % SAY,
    "x/4gx [%s while 1 {incr n}]" % SAY,
    "print [%s catch {while 1 {}}]" % SAY,
    "set $rax = {[%s while 1 {}]}" % SAY,
    "puts [%s after 1000000]" % SAY,
    "%s after 1000000" % SAY,
    "%s vwait never" % SAY,
    "%s after 1000000 {set never 1}; vwait never" % SAY,
    "%s while 1 {}" % SAY,
]


def ctrl_c_ends_any_of_them(b):
    with Talk(backend=b) as t:
        for line in ENDLESS:
            t.say(line + "\n")
            t.until_error("begun\n")
            t.interrupt()
            assert "interrupted" in t.until_error("\n"), line
            t.seen = b""
            t.say("expr 41 + 1\n")
            while t.value() != 42:
                pass  # of the commands before it on the line
        assert t.end() == 0


def term_ends_any_of_them(b):
    for line in ENDLESS:
        with Talk(backend=b) as t:
            t.say(line + "\n")
            t.until_error("begun\n")
            t.interrupt(signal.SIGTERM)
            assert t.p.wait(60) == 128 + signal.SIGTERM, line


def and_in_batch(b):
    for line in ENDLESS[:2] + ["%s gets stdin" % SAY, "b *0x20000a if {[%s while 1 {}]}; c" % SAY, "display {[%s while 1 {}]}" % SAY]:
        with Talk("--batch", "-c", line, backend=b) as t:
            t.until_error("begun\n")
            t.interrupt(signal.SIGHUP)
            assert t.p.wait(60) == 128 + signal.SIGHUP, line


def ctrl_c_ends_a_condition(b):
    with Talk(backend=b) as t:
        t.ask("b *0x20000a if {[%s while 1 {}]}" % SAY)
        t.say("c\n")
        t.until_error("begun\n")
        t.interrupt()
        stop = t.value()
        assert stop["reason"] in ("breakpoint", "interrupted"), stop
        assert t.ask("expr 41 + 1") == 42


def ctrl_c_ends_a_display(b):
    with Talk(backend=b) as t:
        t.say("display {[%s while 1 {}]}\n" % SAY)
        t.until_error("begun\n")
        t.interrupt()
        assert t.value()["value"] == "n/a (interrupted)"
        t.ask("display 1")
        t.say("si\n")
        t.until_error("begun\n")
        t.interrupt()
        assert [d["value"] for d in t.value()["displays"]] == ["n/a (interrupted)"] * 2
        assert t.ask("expr 41 + 1") == 42


def displays_after_ctrl_c(b):
    """They are worked out at a stop by Ctrl-C as at any other."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as f, Talk("--mode", "long", backend=b, image=f.name) as t:
        f.write(b"\xeb\xfe")
        f.flush()
        t.ask(f"load {f.name} --mode long")
        t.ask("display {[expr 40 + 2]}")
        t.say("run\n")
        t.busy_until(0.5)
        t.interrupt()
        stop = t.answer()
        assert stop["reason"] == "interrupted" and stop["displays"][0]["value"] == "0x2a", stop


def a_display_only_looks(b):
    """One that steps would be worked out again at its own stop, for ever."""
    v = ok("display {[si]}", "display {[display]}", "display {[undisplay]}", "display {[dbg::load demo:real]}", "si", "info registers", backend=b)
    shown = v[4]["displays"]
    assert len(shown) == 4 and all("a display is being worked out" in d["value"] for d in shown), shown


def gets_takes_the_next_line(b):
    with Talk(backend=b, opts=()) as t:
        t.say("puts <[gets stdin]>\nhello\nexpr 2\nfileevent stdin readable {set l [gets stdin]}; vwait l; puts $l\nagain\nexpr 3\n")
        assert t.until("3\n") == "<hello>\n2\nagain\n"
        t.say("puts [string length [read stdin]]\na\nb\n")
        assert t.end() == 0
        t.until("4\n")


def ctrl_c_ends_gets(b):
    with Talk(backend=b) as t:
        t.say("%s gets stdin\n" % SAY)
        t.until_error("begun\n")
        t.interrupt()
        assert "interrupted" in t.until_error("\n")
        t.seen = b""
        assert t.ask("expr 41 + 1") == 42


def a_line_with_nul(b):
    """It is refused as a whole, and so is what it would have gone on with; the next one is run."""
    for opts in ((), ("-j",)):
        status, out, err = start(backend=b, opts=opts, stdin="expr 1\nexpr 2\0 + 3\nforeach x {1 2} {\nputs \0\nexpr 41 + 1\n", batch=False)
        assert out == "1\n42\n" and err.count("error: line: it has a NUL byte") == 2, (out, err)


def half_a_line(b):
    """Ctrl-C while half a line has come: the line is run when it is whole, and those behind it are too."""
    with Talk(backend=b) as t:
        assert t.ask("expr 1") == 1
        t.say("expr 1")
        t.until_call(("271",))  # ppoll: it waits for the rest
        t.interrupt()
        t.say("23\nexpr 99\n")
        assert (t.value(), t.value()) == (123, 99)
        t.say("expr 5")  # without an end
        assert t.end() == 0
        assert t.value() == 5


def term_while_nobody_reads(b):
    """Standard output is a pipe that is full."""
    for line in ("while 1 {puts [string repeat x 1000]}", "xp/20000gx 0", "while 1 {puts stderr x}"):
        for number in (signal.SIGTERM, signal.SIGHUP):
            with Talk("-c", line, backend=b, opts=()) as t:
                t.until_call(("1", "0x1"), ("1", "0x2"))
                t.interrupt(number)
                assert t.p.wait(60) == 128 + number


def ctrl_c_while_nobody_reads(b):
    """The rest is dropped, which is told, and the next output begins a line of its own."""
    for opts, line in (((), "xp/20000gx 0"), ((), "info sptes; xp/20000gx 0"), (("-j",), "xp/20000gx 0")):
        with Talk(backend=b, opts=opts) as t:
            t.say(line + "\n")
            t.until_call(("1", "0x1"))
            t.interrupt()
            assert t.errors_until("reader\n") == "error: standard output: interrupted, nobody reads it; try it again with a "
            t.say("expr 41 + 1\n")
            assert start(line, backend=b, opts=opts)[1].startswith(t.until("\n42\n"))
            assert t.end() == 0


def ctrl_c_while_somebody_reads_slowly(b):
    """Nothing is dropped, nor torn apart."""
    with Talk(backend=b, opts=()) as t:
        t.say("xp/20000gx 0\n")
        t.until_call(("1", "0x1"))
        t.interrupt()
        t.say("expr 41 + 1\n")
        assert t.until("\n42\n") + "\n" == start("xp/20000gx 0", backend=b)[1]


def what_tcl_waits_for_ends_too():
    """No flag reaches a script's exec: the program ends a few seconds later all the same."""
    with Talk() as t:
        t.say("%s exec sleep 1000\n" % SAY)
        t.until_error("begun\n")
        t.interrupt(signal.SIGTERM)
        assert t.p.wait(60) == 128 + signal.SIGTERM


def nohup_holds():
    for number, trap in ((signal.SIGHUP, "HUP"), (signal.SIGINT, "INT"), (signal.SIGTERM, "TERM")):
        with Talk(wrap=("sh", "-c", f"trap '' {trap}; exec \"$0\" \"$@\"")) as t:
            assert t.ask("expr 1") == 1
            t.say("%s after 300; expr 7\n" % SAY)
            t.until_error("begun\n")
            t.interrupt(number)
            while t.value() != 7:
                pass
            assert t.end() == 0


def children_have_the_defaults():
    """SIGPIPE (13) and SIGXFSZ (25) are not ignored, nothing is blocked, in whatever way they are started."""
    grep = "grep -E {Sig(Ign|Blk)} /proc/self/status"
    for line in ("shell grep -E 'Sig(Ign|Blk)' /proc/self/status", "! grep -E 'Sig(Ign|Blk)' /proc/self/status", f"puts [exec {grep}]"):
        status, out, err = start(line)
        got = {k: int(v, 16) for k, v in re.findall(r"(Sig\w+):\s+([0-9a-f]+)", out)}
        assert got["SigBlk"] == 0 and not got["SigIgn"] & (1 << 12 | 1 << 24 | 1 << 0 | 1 << 14), (line, out, err)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    sys.exit(main([ctrl_c_ends_any_of_them, term_ends_any_of_them, and_in_batch, ctrl_c_ends_a_condition, ctrl_c_ends_a_display,
                   displays_after_ctrl_c, a_display_only_looks, gets_takes_the_next_line, ctrl_c_ends_gets, a_line_with_nul, half_a_line,
                   term_while_nobody_reads, ctrl_c_while_nobody_reads, ctrl_c_while_somebody_reads_slowly, what_tcl_waits_for_ends_too, nohup_holds, children_have_the_defaults]))
