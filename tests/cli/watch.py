#!/usr/bin/env python3
"""Watchpoints from the command line, with the same answers on both backends: what a hit tells, conditions and commands, the
tables of breakpoints, checkpoints, another image, bad input, a host that has no userfaultfd for us."""
import os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, drop, main, num, ok, refused

ALIAS = 0x40000    # gva 0x240000 and 0x250000 of demo:tour
END = ("exception", 0x200047)


def at(stop):
    return stop["reason"], num(stop["rip"])


def a_hit(b):
    v = ok("awatch 0x40006 1 -phys", "run", "c", "c", "c", backend=b)
    assert v[0]["how"] == ("page" if b == "kvm" else "soft") and "why" not in v[0], v[0]
    told = [(num(s["instruction"]), num(s["gva"]), num(s["gpa"]), s["write"], s["data"], s["old_data"]) for s in v[1:4]]
    old, new, more = "00" * 8, "8877665544332211", "8977665544332211"
    assert told == [(0x20000f, 0x240000, ALIAS, True, new, old), (0x200017, 0x250000, ALIAS, False, new, new),
                    (0x20001e, 0x250000, ALIAS, True, more, new)], told
    assert "by the instruction at 0x20000f" in v[1]["why"] and "0x0 before and 0x1122334455667788 now" in v[1]["why"], v[1]
    assert at(v[4]) == END


def said_beforehand(b):
    """What `info kvm` promises is what a watchpoint gets."""
    facts, watch = ok("info kvm", "watch 0x240000", backend=b)
    said = [f["value"] for f in facts if f["what"] == "data watchpoints"]
    words = {"hw": "debug registers", "page": "armed pages", "step": "single steps"}
    assert said == [] if b == "soft" else words[watch["how"]] in said[0], (said, watch)


def conditions(b):
    """Each of several on the same bytes judges for itself, and each counts."""
    v = ok("watch 0x240000 8 if {$rax == 1}", "watch 0x240004 2", "watch 0x240007", "ignore 3 1", "run", "info breakpoints", "c", backend=b)
    assert at(v[4]) == ("watchpoint", 0x200012) and v[4]["breakpoint"] == 2, v[4]
    assert [x["hits"] for x in v[5]] == [0, 1, 1] and at(v[6]) == END, v[5:]


def breakpoint_behind_a_device(b):
    """The walk for the device's address touches the watched tables: what is looked at then stands behind the access."""
    v = ok("b *0x200028", "watch 0x250000 1 if {0}", "c", "c", "p $rip", backend=b)
    assert at(v[2]) == ("breakpoint", 0x200028) and v[2]["breakpoint"] == 1 and at(v[3]) == END, v[2:]


def on_and_off(b):
    v = ok("watch 0x240000", "disable 1", "run", "enable 1", "run", "delete 1", "run", "info breakpoints", backend=b)
    assert at(v[2]) == END and at(v[4]) == ("watchpoint", 0x200012) and at(v[6]) == END and v[7] == [], v


def back_to_a_checkpoint(b):
    v = ok("awatch 0x250000", "run", "checkpoint", "mem write 0x240000 ff", "c", "restart 1", "c", "info breakpoints", backend=b)
    assert at(v[1]) == ("watchpoint", 0x20001a) and at(v[4]) == at(v[6]) == ("watchpoint", 0x200021), v
    assert v[4]["old_data"] == "ff77665544332211" and v[6]["old_data"] == "8877665544332211", v


def snapshots(b):
    v = ok("awatch 0x240000", "run", "snap a", "si 2", "snap b", "diff a b", backend=b)
    assert {r["what"] for r in v[5] if r["part"] == "register"} == {"vcpu 0 rbx", "vcpu 0 rcx", "vcpu 0 rip"}, v[5]


def another_image(b):
    """What the new image has no memory for is kept, and waits."""
    v = ok("watch 0x240000", "rwatch 0x40000 1 -phys", "run", "load demo:rmap", "info breakpoints", "run", "load demo:tour", "run", backend=b)
    assert [x["enabled"] for x in v[4]] == [True, True] and v[5]["breakpoint"] == 2 and num(v[5]["gva"]) == 0x400000, v
    assert at(v[7]) == ("watchpoint", 0x200012), v[7]


def slot_under_it(b):
    """Flipped and made anew while it is armed; the page of a write to READONLY memory is not touched."""
    v = ok("slot flags 1 -readonly", "watch 0x80000 4 -phys", "run", "slot flags 1 +readonly", "run", "slot flags 1 -readonly", "run", "slot del 1",
           "run", "slot add 1 0x80000 0x10000", "run", backend=b)
    stops = [at(s) for s in (v[2], v[4], v[6], v[8], v[10])]
    hit = ("watchpoint", 0x20003e)
    assert stops == [hit, END, hit, END, hit], stops


def fault_on_the_same_page(b):
    v = ok("watch 0x40000 8 -phys", "catch fault 0x40", "run", "delete 2", "c", "c", "c", backend=b)
    assert v[2]["reason"] == "fault-stage" and num(v[2]["rip"]) == 0x20000f, v[2]
    assert [at(s) for s in v[4:7]] == [("watchpoint", 0x200012), ("watchpoint", 0x200021), END], v[4:]


def bad_input(b):
    with tempfile.NamedTemporaryFile() as f:
        f.truncate(8192)
        file = f"slot add 5 0x40000000 0x2000 -file {f.name}"
        for line, words in (("watch 0x260000", ("catch mmio 0xd0000000", "no slot has gpa 0xd0000000")),
                            ("watch 0xd0000000 4 -phys", ("catch mmio",)), ("awatch 0x8fffc 8 -phys", ("no slot has gpa 0x90000",)),
                            ("watch 0x280000", ("slot 1 is READONLY", "slot flags 1 -readonly")), ("watch 0x240000 0", ("LEN",)),
                            ("watch 0xfffffffffffffff9", ("wrap",)), ("watch nowhere", ("nowhere",)), ("rwatch 0x240000 8 9", ("9",))):
            error = refused(line, backend=b)
            assert all(w in error for w in words), error
        v = ok(file, "rwatch 0x40000000 4 -phys", "info breakpoints", backend=b)
        assert b == "soft" or (v[1]["how"] == "step" and "file" in v[1]["why"] and v[2][0]["why"] == v[1]["why"]), v


def not_permitted():
    """Without userfaultfd the steps find the same, and the reason is told."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Skip("no /dev/kvm")
    if open("/proc/sys/vm/unprivileged_userfaultfd").read().strip() != "0":
        raise Skip("userfaultfd is for everybody here")
    v = ok("watch 0x240000", "run", "info kvm", backend="kvm", wrap=drop("sys_ptrace"))
    fact = next(f for f in v[2] if f["what"] == "data watchpoints")
    assert fact["value"].endswith("single steps") and "CAP_SYS_PTRACE" in fact["why"], fact
    assert v[0]["how"] == "step" and "userfaultfd" in v[0]["why"] and "CAP_SYS_PTRACE" in v[0]["why"], v[0]
    assert at(v[1]) == ("watchpoint", 0x200012) and num(v[1]["instruction"]) == 0x20000f, v[1]


if __name__ == "__main__":
    sys.exit(main([a_hit, said_beforehand, conditions, breakpoint_behind_a_device, on_and_off, back_to_a_checkpoint, snapshots, another_image, slot_under_it, fault_on_the_same_page, bad_input,
                   not_permitted]))
