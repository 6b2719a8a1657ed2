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


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    sys.exit(main([half_a_line]))
