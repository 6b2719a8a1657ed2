#!/usr/bin/env python3
"""What stops a guest besides breakpoints: catchpoints, and the way out of a fault that one stopped in."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, can_read_kernel, main, num, ok, start


def can_park(b):
    if b == "kvm" and os.geteuid():
        raise Skip("userfaultfd's minor faults take root")


def into_the_fault(b, *commands, gfn="0x40"):
    """The write of demo:tour at 0x20000f parks; then the commands."""
    can_park(b)
    v = ok(f"catch fault {gfn}", "run", *commands, backend=b)
    assert v[1]["reason"] == "fault-stage" and num(v[1]["rip"]) == 0x20000f, v[1]
    return v[2:]


def step_out_of_a_fault(b):
    """si and ni give the fault up and take its instruction from the start; nothing but that is executed."""
    for step in ("si", "ni", "until 0x200012"):
        v = into_the_fault(b, "xp/gx 0x40000", step, "xp/gx 0x40000", "info vcpus", "slot flags 1 -readonly")
        assert num(v[0]["values"][0]) == 0 and num(v[2]["values"][0]) == 0x1122334455667788, v
        assert v[1]["reason"] == "step" and num(v[1]["rip"]) == 0x200012 and v[3][0]["state"] == "stopped", v
        assert v[4]["flags"] == [], v[4]


def several_steps_out_of_a_fault(b):
    v = into_the_fault(b, "si 2", "p $rbx")
    assert v[0]["reason"] == "step" and num(v[0]["rip"]) == 0x200017 and num(v[1]) == 0x250000, v


def until_goes_on_from_a_fault(b):
    v = into_the_fault(b, "until 0x200017")
    assert v[0]["reason"] == "step" and num(v[0]["rip"]) == 0x200017, v


def words_inside_a_fault(b):
    can_park(b)
    status, out, err = start("catch fault 0x40", "run", "slot flags 1 -readonly", backend=b)
    assert status == 1 and "stands inside a fault" in err and "fault continue, or si" in err, err


def meanings(b):
    v = ok("catch pio 0x3f8", "catch fault 0x200000 0x200fff", "delete", "catch fault 0x40", backend=b)
    assert v[1]["means"] == "gva 0x200000 to 0x200fff" and v[3]["means"] == "gfn 0x40", v


if __name__ == "__main__":
    sys.exit(main([step_out_of_a_fault, several_steps_out_of_a_fault, until_goes_on_from_a_fault, words_inside_a_fault, meanings]))
