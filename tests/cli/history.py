#!/usr/bin/env python3
"""Checkpoints on both backends; going back, the record and its limits on soft."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, backends, main, num, ok, refused

QUICK = "mem write 0x20002f e8030000"  # the tour's spin loop, 1000 passes instead of ten million


def checkpoint_and_restart(b):
    """Memory, registers, slots and rmaps are those of then, as often as one likes; the guest goes on the same way."""
    v = ok(QUICK, "si 3", "checkpoint", "slot add 5 0x400000 0x10000 -log", "slot flags 1 -readonly", "c", "reg rax 7",
           "mem write 0x240000 00", "restart 1", "info slots", "reg rax", "reg rip", "x/gx 0x240000", "c", "restart 1", "c",
           "info checkpoints", "delete checkpoint 1", "info checkpoints", backend=b)
    assert v[2]["id"] == 1 and num(v[2]["rip"]) == 0x200012 and v[2]["pages"] > 0, v[2]
    assert v[5]["reason"] == "exception" and num(v[5]["cr2"]) == 0x300000, v[5]
    assert v[8]["reason"] == "step" and num(v[8]["rip"]) == 0x200012 and "checkpoint 1" in v[8]["note"], v[8]
    assert [(s["id"], s["flags"]) for s in v[9]] == [(0, []), (1, ["readonly"])], v[9]
    assert num(v[10]) == 0x1122334455667788 and num(v[11]) == 0x200012 and num(v[12]["values"][0]) == 0x1122334455667788
    for again in (13, 15):
        assert v[again]["reason"] == "exception" and num(v[again]["cr2"]) == 0x300000, v[again]
    assert [c["id"] for c in v[16]] == [1] and v[18] == [], v[16:]


def refusals(b):
    assert "no such checkpoint" in refused("restart 3", backend=b)
    assert "no such checkpoint" in refused("delete checkpoint 1", backend=b)


def only_soft_goes_back():
    if "kvm" not in backends():
        raise Skip("no /dev/kvm that can be opened")
    for command in ("reverse-stepi", "reverse-continue", "record"):
        assert "cannot run backwards" in refused(command, backend="kvm"), command


def backwards():
    v = ok(QUICK, "b *0x20000f", "watch 0x250000 8", "c", "c", "c", "reverse-stepi 5", "reverse-continue", "reverse-continue",
           "reverse-continue", "rsi", "record")
    assert v[3]["breakpoint"] == 1 and v[4]["breakpoint"] == 2, v[3:5]
    assert v[5]["reason"] == "exception", v[5]
    assert v[6]["reason"] == "step" and "note" not in v[6], v[6]
    assert v[7]["reason"] == "watchpoint" and num(v[7]["rip"]) == num(v[4]["rip"]), v[7]
    assert v[8]["reason"] == "breakpoint" and num(v[8]["rip"]) == 0x20000f, v[8]
    for start in (9, 10):
        assert v[start]["reason"] == "step" and num(v[start]["rip"]) == 0x200000 and "record begins" in v[start]["note"], v[start]
    assert v[11]["on"] is True and v[11]["position"] == v[11]["start"], v[11]


def the_record():
    v = ok("record", "record limit 5000 -memory 1M", "c", "record", "reverse-stepi 1000000000", "record off", "record on", "si", "record")
    assert v[0]["on"] is True and v[0]["limit"] == 0, v[0]
    assert v[1]["limit"] == 5000 and v[1]["max_memory"] == 1 << 20, v[1]
    kept = v[3]["position"] - v[3]["start"]
    assert v[3]["position"] > 20000000 and 5000 <= kept < 20000000, v[3]
    assert "record begins" in v[4]["note"], v[4]
    assert v[5]["on"] is False and v[5]["points"] == 0, v[5]
    assert v[8]["points"] == 1 and v[8]["position"] == v[8]["start"] + 1, v[8]
    assert "the record is off" in refused("si", "record off", "rsi")
    assert "nothing has run" in refused("record on", "rc")


if __name__ == "__main__":
    sys.exit(main([checkpoint_and_restart, refusals, only_soft_goes_back, backwards, the_record]))
