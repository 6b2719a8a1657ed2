#!/usr/bin/env python3
"""Run control: what a condition or a display may do, and what steps and stops make of each other."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Talk, main, num, ok

DEVICE, SPIN = "0x200021", "0x200033"    # demo:tour
CHANGES = ("si", "c", "c &", "run", "fault step", "rsi", "rc", "dbg::load demo:rmap", "restart 1", "record off", "delete", "delete 1", "delete 2", "disable",
           "enable 3", "b *0x200005", "watch 0x240000", "dbg::catch smi", "reg rax 1", "incr rax", "mem write 0x240000 00", "smi", "slot del 1")


def a_condition_only_looks(b):
    """What is refused leaves a note; the stop is told, and nothing has changed."""
    for word in CHANGES:
        if b == "kvm" and word in ("rsi", "rc", "record off"):
            continue  # refused for want of a record
        v = ok("checkpoint", "b *" + DEVICE, "b *" + SPIN, "b *0x200007", "disable 3", "condition 1 {[%s] ne {}}" % word, "c", "p $rax", "info breakpoints",
               "condition 1", "c", backend=b)
        assert v[6]["breakpoint"] == 1 and v[6]["rip"] == DEVICE and "condition is being worked out" in v[6]["why"], (word, v[6])
        assert v[7] == "0x1122334455667788", (word, v[7])
        assert [(p["id"], p["hits"], p["enabled"]) for p in v[8]] == [(1, 1, True), (2, 0, True), (3, 0, False)], (word, v[8])
        assert v[10]["breakpoint"] == 2, (word, v[10])


def so_in_the_background(b):
    with Talk(backend=b) as t:
        t.ask("b *%s if {[dbg::load demo:rmap] ne {}}" % DEVICE)
        t.ask("c &")
        v = t.value()
        assert v["event"] == "stop" and "condition is being worked out" in v["why"], v
        assert t.ask("vm")["image"] == "demo:tour"


def a_condition_may_look(b):
    v = ok("b *%s if {[dict get [walk 0x240000] verdict] eq {ok} && [llength [info breakpoints]] == 1 && [incr asked] && [dict get [x/gx 0x240000] values] ne {}}" % DEVICE,
           "c", "set asked", backend=b)
    assert v[1]["breakpoint"] == 1 and "note" not in v[1] and v[2] == 1, v


def a_step_from_a_device_write(b):
    """KVM has moved rip on already when the write is shown; the step that lets the device have it goes nowhere else."""
    for there, ends in ([], [0x200028, 0x20002e]), (["c 3"], [0x20003e, 0x200045]):  # a device, READONLY memory
        v = ok("catch mmio", "c", *there, "si", "disable 1", "si 2", backend=b)
        assert v[-4]["reason"] == "mmio" and v[-4]["write"], v
        assert all(s["reason"] == "step" and "no_progress" not in s for s in (v[-3], v[-1])), v
        assert [num(v[-3]["rip"]), num(v[-1]["rip"])] == ends, v


def a_display_only_looks(b):
    for word in CHANGES:
        if b == "kvm" and word in ("rsi", "rc", "record off"):
            continue
        v = ok("checkpoint", "b *" + SPIN, "b *0x200100", "b *0x200007", "disable 3", "display {[%s]}" % word, "c", "p $rax",
               "info breakpoints", backend=b)
        if word != "incr rax":  # Tcl's own: no error of ours
            assert "display is being worked out" in str(v[5]["value"]), (word, v[5])
            assert "display is being worked out" in str(v[6]["displays"]), (word, v[6])
        assert v[7] == "0x1122334455667788", (word, v[7])
        assert [p["enabled"] for p in v[8]] == [True, True, False], (word, v[8])


def a_breakpoint_says_where_it_is(b):
    """Nowhere yet, or in the middle of an instruction, where nothing ever stops."""
    v = ok("b *0x7fff12345000", "b *0x200010", "b *0x20000f", "info breakpoints", backend=b)
    assert "not mapped now" in v[0]["why"] and "inside" not in v[0], v[0]
    assert num(v[1]["inside"]) == 0x20000f and "inside" not in v[2], v[1:3]
    assert ["inside" in p for p in v[3]] == [False, True, False], v[3]
    assert "not mapped now" in v[3][0]["why"] and "not mapped" not in v[3][2].get("why", ""), v[3]


if __name__ == "__main__":
    sys.exit(main([a_condition_only_looks, so_in_the_background, a_condition_may_look, a_display_only_looks, a_step_from_a_device_write,
                   a_breakpoint_says_where_it_is]))
