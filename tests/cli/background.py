#!/usr/bin/env python3
"""A guest that runs in the background: `&`, its stop as an event, what may be asked meanwhile, interrupt, wait."""
import json, os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console import Image
from program import Skip, Talk, main, ok, rows, start

# mov al, 'x'; out 0xe9, al; then inc rcx for ever
SPINS = b"\xb0x\xe6\xe9\x48\xff\xc1\xeb\xfb"
LOOP = "0x100004"


def machines(b):
    """Options: one vCPU, and two."""
    return [("--mode", "long"), ("--mode", "long", "--vcpus", "2")]


def each(b):
    """A guest that spins, on one vCPU and on two."""
    with Image(SPINS) as image:
        for opts in machines(b):
            with Talk(*opts, backend=b, image=image) as t:
                yield t


def refused(t, line, words):
    t.say(line + "\n")
    said = t.until_error("\n")
    assert words in said, (line, said)
    return said


def event(t):
    v = t.value()
    assert v["event"] == "stop", v
    return v


def the_stop_is_an_event(b):
    with Talk(backend=b) as t:
        assert t.ask("c &") is None
        v = event(t)
        assert list(v)[0] == "event" and v["reason"] == "exception" and v["vector"] == 14 and v["cr2"] == "0x300000", v
        assert t.ask("p $rip") == v["rip"]
        assert t.end() == 0


def console_text_arrives_while_it_runs(b):
    for t in each(b):
        assert t.ask("c &") is None
        t.until_error("x")
        assert t.ask("interrupt") is None
        assert event(t)["reason"] == "interrupted"
        assert t.end() == 0


def ctrl_c_does_not_stop_it(b):
    for t in each(b):
        t.ask("c &")
        t.until_error("x")
        t.interrupt()
        refused(t, "wait 0", "the guest still runs")
        t.say("puts [catch {after 1000000}]\n")
        t.until_call(("7",), ("271",))
        t.interrupt()
        assert "interrupted" in t.until_error("\n")
        refused(t, "c", "the guest is running")
        t.ask("interrupt")
        assert event(t)["reason"] == "interrupted"


def ctrl_c_is_for_the_line(b):
    """Not for the condition of the stop that came while the line was interrupted."""
    for t in each(b):
        t.ask("b *%s if 0" % LOOP)
        t.ask("c &")
        t.until_error("x")
        t.say("puts [catch {after 1000000}]\n")
        t.until_call(("7",), ("271",))
        t.interrupt()
        assert "interrupted" in t.until_error("\n")
        refused(t, "c", "the guest is running")
        t.ask("interrupt")
        assert event(t)["reason"] == "interrupted"


def what_needs_it_stopped_is_refused(b):
    for t in each(b):
        t.ask("c &")
        t.until_error("x")
        for line in "c", "si", "c &", "until 0x100000", "b *0x100000", "catch exception", "set $rax = 1", "mem write 0x100000 00", "checkpoint":
            refused(t, line, "the guest is running")
        v = t.ask("info breakpoints")
        assert v == [], v
        t.ask("interrupt")
        event(t)
        n = t.ask("b *" + LOOP)["id"]
        assert t.ask("c")["breakpoint"] == n


def looks_say_that_they_are_live(b):
    for t in each(b):
        t.ask("c &")
        t.until_error("x")
        for line in "x/2gx 0x100000", "xp/2gx 0x100000", "info slots", "info shadow", "info registers", "walk 0x100000", "vm":
            v = rows(t.ask(line))
            assert v and all(r["live"] is True for r in v), (line, v)
        states = [v["state"] for v in t.ask("info vcpus")]
        n = len(states)
        assert states == ["running"] * n, states
        a = int(t.ask("p $rcx"), 0)
        while int(t.ask("p $rcx"), 0) == a:
            pass
        t.ask("interrupt")
        event(t)
        assert [v["state"] for v in t.ask("info vcpus")] == ["stopped"] * n
        assert not any("live" in r for line in ("info slots", "x/2gx 0x100000") for r in rows(t.ask(line)))


def keys_of_an_event(b):
    """None twice, though a stop of catch mmu has an event of its own."""
    if b == "kvm" and os.geteuid():
        raise Skip("tracepoints need root on kvm")
    with Talk(backend=b) as t:
        t.ask("catch mmu spte")
        t.ask("c &")
        keys = json.loads(t.until("\n"), object_pairs_hook=lambda pairs: pairs)
        names = [k for k, _ in keys]
        assert len(names) == len(set(names)), names
        v = dict(keys)
        assert v["event"] == "stop" and v["reason"] == "mmu" and v["mmu_event"] == "spte", v


def wait_takes_the_stop(b):
    with Talk(backend=b) as t:
        t.ask("c &")
        v = t.ask("wait")
        assert v["reason"] == "exception" and "event" not in v, v
        assert t.ask("wait") == v
    for t in each(b):
        refused(t, "wait", "no run is in the background")
        t.ask("c &")
        t.until_error("x")
        refused(t, "wait 0", "the guest still runs")
        t.say("wait\n")
        t.until_call(("7",), ("271",))
        t.interrupt()
        assert "the guest runs on" in t.until_error("\n")
        t.ask("interrupt")
        assert t.ask("wait")["reason"] == "interrupted"
    assert [v and v["reason"] for v in ok("c &", "wait", backend=b)] == [None, "exception"]


def in_scripts(b):
    with Talk(backend=b) as t:
        assert t.ask("dbg::c &; dict get [wait] reason") == "exception"
        assert t.ask("expr 42") == 42


def breakpoints_are_judged(b):
    """Conditions, ignore counts and commands, as in the foreground."""
    for t in each(b):
        t.ask("b *%s if {[incr asked] > 5}" % LOOP)
        t.ask("ignore 1 3")
        t.ask("commands 1 {set ran 1}")
        for line in "c&", "c &":
            t.ask(line)
            v = event(t)
            assert v["reason"] == "breakpoint" and v["breakpoint"] == 1, v
        assert t.ask("set asked") == 10 and t.ask("set ran") == 1
        assert t.ask("info breakpoints")[0]["hits"] == 5


def commands_may_go_on(b):
    for t in each(b):
        t.ask("set n 0")
        t.ask("b *" + LOOP)
        t.ask("commands 1 {if {[incr n] < 4} {dbg::c &}}")
        t.ask("c &")
        for _ in range(4):
            assert event(t)["breakpoint"] == 1
        assert t.ask("set n") == 4


def every_kind_of_run(b):
    for t in each(b):
        for line in "si 3&", "si &", "ni 4 &":
            t.ask(line)
            assert event(t)["reason"] == "step", line
        t.ask("until %s &" % LOOP)
        v = event(t)
        assert v["reason"] == "step" and v["rip"] == LOOP, v
        t.ask("si 1000000000 &")
        t.ask("interrupt")
        assert event(t)["reason"] == "interrupted"


def a_stop_inside_a_fault(b):
    if b == "kvm" and os.geteuid():
        raise Skip("standing inside faults needs root on kvm")
    with Talk(backend=b) as t:
        t.ask("catch fault 0x40")
        t.ask("c &")
        first = event(t)
        assert first["reason"] == "fault-stage", first
        t.ask("fault step &")
        second = event(t)
        assert second["reason"] == "fault-stage" and second["why"] != first["why"], second
        assert t.ask("info shadow") is not None
        t.ask("fault continue &")
        assert t.ask("wait")["reason"] in ("fault-stage", "exception")


def another_run_or_image_gives_it_up(b):
    for t in each(b):
        t.ask("c &")
        t.until_error("x")
        t.ask("run &")
        t.until_error("x")
        t.ask("interrupt")
        assert event(t)["reason"] == "interrupted"
        t.ask("c &")
        assert t.ask("load demo:tour")["image"] == "demo:tour"
        assert t.ask("run")["reason"] == "exception"


def the_end_ends_it(b):
    for t in each(b):
        t.ask("c &")
        t.until_error("x")
        assert t.end() == 0
    for t in each(b):
        t.ask("b *%s if {[incr asked] < 0}" % LOOP)
        t.ask("c &")
        t.say("quit 3\n")
        assert t.p.wait(30) == 3
    with Image(SPINS) as image:
        status, out, err = start("c &", backend=b, image=image, opts=("--mode", "long", "-j"))
        assert (status, json.loads(out)) == (0, None), (status, out, err)


def a_condition_that_does_not_end(b):
    """Ctrl-C ends the script; the guest stops there, and says so."""
    for t in each(b):
        t.ask("b *%s if {[puts stderr begun; flush stderr; while 1 {}]}" % LOOP)
        t.ask("c &")
        t.until_error("begun\n")
        t.interrupt()
        assert event(t)["reason"] == "breakpoint"


def as_text(b):
    with Talk(backend=b, opts=()) as t:
        t.say("c &\n")
        assert t.until("#PF").startswith("exception  vcpu 0")
    with Talk(backend=b, opts=()) as t:
        t.say("info slots\nputs standing\nmem write 0x200000 ebfe\nc &\ninfo slots\nputs running\ninfo rmap 0x40\nputs chain\n")
        assert "live" not in t.until("standing\n")
        assert ", live yes\n" in t.until("running\n")
        assert ", live\n" in t.until("chain\n")


if __name__ == "__main__":
    sys.exit(main([the_stop_is_an_event, console_text_arrives_while_it_runs, ctrl_c_does_not_stop_it, ctrl_c_is_for_the_line, what_needs_it_stopped_is_refused,
                   looks_say_that_they_are_live, keys_of_an_event, wait_takes_the_stop, in_scripts, breakpoints_are_judged, commands_may_go_on, every_kind_of_run,
                   a_stop_inside_a_fault, another_run_or_image_gives_it_up, the_end_ends_it, a_condition_that_does_not_end, as_text]))
