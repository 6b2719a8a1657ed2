#!/usr/bin/env python3
"""Checkpoints on both backends; going back, the record and its limits on soft."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console import Image
from program import Skip, Talk, backends, main, num, ok, refused, rows, start

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


# mov al, 'x'; out 0xe9, al; mov ecx, 1000000; loop: inc rax; dec ecx; jnz loop; hlt
SPINS = b"\xb0x\xe6\xe9\xb9\x40\x42\x0f\x00\x48\xff\xc0\xff\xc9\x75\xf9\xf4"
LOOP = "0x100009"
# Asked a million times on the way back, and never true: nobody comes to the end of that.
NEVER = f"b *{LOOP} if {{[llength [lrepeat 20000 0]] == 1}}"


def halted():
    """A guest that has run to its end, on one vCPU and on two, and what has become of it. A way back takes for ever."""
    with Image(SPINS) as image:
        for vcpus in 1, 2:
            with Talk("--mode", "long", "--vcpus", str(vcpus), image=image) as t:
                assert t.ask("c")["reason"] == "hlt"
                t.until_error("x" * vcpus)
                t.ask(NEVER)
                yield t, where(t)


def where(t):
    return [t.ask(line) for line in ("info vcpus", "info registers", "info breakpoints", "record")]


def event(t):
    v = t.value()
    assert list(v)[0] == "event" and v["event"] == "stop", v
    return v


def refuses(t, line, words):
    t.say(line + "\n")
    said = t.until_error("\n")
    assert words in said, (line, said)


def given_up(t, v, before):
    assert v["reason"] == "interrupted" and "the VM is where it was" in v["note"], v
    assert where(t)[:-1] == before[:-1], (where(t), before)
    assert t.ask("record")["position"] == before[-1]["position"]


def in_the_background():
    """The stop is an event, or what wait gives: the one that going forward gave."""
    with Talk() as t:
        for line in QUICK, "b *0x20000f", "watch 0x250000 8":
            t.ask(line)
        there = [t.ask("c") for _ in range(3)]
        assert t.ask("reverse-continue &") is None
        v = event(t)
        assert (v["reason"], v["rip"], v["breakpoint"]) == ("watchpoint", there[1]["rip"], 2), v
        assert t.ask("p $rip") == v["rip"]
        v = t.ask("dbg::rc &; wait")
        assert (v["reason"], v["rip"], v["breakpoint"]) == ("breakpoint", there[0]["rip"], 1) and "event" not in v, v
        assert [b["hits"] for b in t.ask("info breakpoints")] == [1, 1]
        t.ask("rsi 2&")
        v = event(t)
        assert v["reason"] == "step" and num(v["rip"]) < 0x20000f, v
        t.ask("reverse-stepi 100000 &")
        assert "record begins" in event(t)["note"]
        assert t.ask("dbg::rc &; dict get [wait] reason") == "step"
        assert t.ask("c")["rip"] == there[0]["rip"]
        assert t.end() == 0


def what_may_be_asked_meanwhile():
    """As while any run is in the background: by the machine's phase, in its words."""
    for t, before in halted():
        assert t.ask("reverse-continue &") is None
        for line in "c", "rc", "rsi &", "set $rax = 1", "checkpoint", "record off", "record limit 5", "slot del 0", "b *0x100000":
            refuses(t, line, "the guest is running; try interrupt first")
        for line in "info registers", "x/2gx 0x100000", "info slots", "record":
            assert all(r["live"] is True for r in rows(t.ask(line))), line
        assert {v["state"] for v in t.ask("info vcpus")} == {"running"}
        refuses(t, "wait 0", "the guest still runs")
        assert t.ask("interrupt") is None
        given_up(t, event(t), before)
        assert t.end() == 0


def limits_while_it_runs():
    """Two vCPUs that take turns write the record's log of switches; it is cut while they do."""
    with Image(SPINS[:-1] + b"\xeb\xf1") as image, Talk("--mode", "long", "--vcpus", "2", image=image) as t:
        t.ask("c &")
        t.until_error("x")
        start = 0
        while start == 0:
            v = t.ask("record limit 1")
            assert v["live"] is True and v["limit"] == 1, v
            start = v["start"]
        t.ask("interrupt")
        assert event(t)["reason"] == "interrupted"
        t.ask("rsi 100000000 &")
        v = event(t)
        assert "record begins" in v["note"], v
        assert t.ask("record")["position"] == t.ask("record")["start"] > 0
        assert t.end() == 0


def ctrl_c_and_wait():
    """Ctrl-C ends waiting, not what is waited for; but a condition that is being worked out, and then it is given up."""
    for t, before in halted():
        t.say("reverse-continue\n")
        t.busy_until(t.busy() + 0.5)
        t.interrupt()
        given_up(t, t.value(), before)
        t.ask("reverse-continue &")
        given_up(t, t.ask("interrupt; wait"), before)
        t.ask("delete 1")
        t.ask(f"b *{LOOP} if {{[puts stderr begun; flush stderr; while 1 {{}}]}}")
        before = where(t)
        t.ask("reverse-continue &")
        t.until_error("begun\n")
        t.interrupt()
        given_up(t, event(t), before)


def nobody_comes_back_to_it():
    """The end of the input, quit, load and run end it."""
    for t, before in halted():
        t.ask("reverse-continue &")
        assert t.end() == 0
    for t, before in halted():
        t.ask("reverse-continue &")
        t.say("quit 3\n")
        assert t.p.wait(30) == 3
    for t, before in halted():
        t.ask("reverse-continue &")
        assert t.ask("load demo:tour")["image"] == "demo:tour"
        t.ask("delete")
        assert t.ask("run")["reason"] == "exception"
        t.ask("reverse-continue &")
        assert "record begins" in event(t)["note"]
    status, out, err = start("c", "rc &", opts=("-j",))
    assert status == 0 and out.split("\n")[1] == "null", (status, out, err)


if __name__ == "__main__":
    sys.exit(main([checkpoint_and_restart, refusals, only_soft_goes_back, backwards, the_record,
                   in_the_background, what_may_be_asked_meanwhile, limits_while_it_runs, ctrl_c_and_wait, nobody_comes_back_to_it]))
