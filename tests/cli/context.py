#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""context, telescope, hexdump, xinfo, vmmap by the whole program: in every mode, inside faults, while the guest runs; and
the setting that shows the context at every stop.
"""
import os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Talk, main, num, ok, refused, start

SECTIONS = ("registers", "code", "stack")


def text(*lines, **kw):
    status, out, err = start(*lines, env={"LC_ALL": "C"}, **kw)
    assert status == 0, err
    return out


def shows(out, *sections):
    found = re.findall(r"^-- (\w+)[: ]", out, re.M)
    assert tuple(found) == sections, (found, out[-800:])


def in_few_words(b):
    out = text("run", "telescope 0x240000 2", "xinfo 0x240000", "context", backend=b)
    shows(out, *SECTIONS, "stop")
    assert "gpa 0x40000" in out and re.search(r"^\*rip 0x200047 <unmapped>: mov", out, re.M), out
    assert "-- registers: vcpu 0, long mode, CPL 3 --" in out, out


def in_every_mode(b):
    """Words of the mode's size, from the stack's linear address on."""
    for place, mode, word in (("print16", "real", 2), ("print32", "prot32", 4), ("long_mode", "long", 8)):
        v = ok(f"b {place}", "run", "context", "telescope", "vmmap", "vmmap $pc", "hexdump $pc 16", "xinfo $pc", backend=b, image="demo:real")
        c, stack = v[2], v[3]
        assert c["mode"] == mode, c
        now = [i for i in c["code"] if i.get("current")]
        assert len(now) == 1 and now[0]["address"] == v[1]["rip"] and now[0]["symbol"] == place, c["code"]
        assert c["stack"] == stack and len(stack) == 8, stack
        assert [num(r["offset"]) for r in stack] == [i * word for i in range(8)], stack
        assert stack[0]["registers"] == ["rsp"] and stack[0]["address"] == c["registers"]["rsp"], stack[0]
        if word < 8:    # called just now: what stands there leads back
            assert stack[0]["chain"][-1].get("insn") and "mode" in stack[0]["chain"][-1]["symbol"], stack[0]
        assert any("code" in r["what"] for r in v[4]) and len(v[5]) == 1, v[4]
        assert "code" in v[7]["part_of"] and v[7]["symbol"] == place, v[7]


def what_has_changed(b):
    v = ok("context regs", "si", "context regs", "si", "context regs", "wait", "context regs", "reg r9 77", "context regs", backend=b)
    assert v[0]["changed"] == [], v[0]
    for before, after, said in ((v[0], v[2], v[2]), (v[2], v[4], v[4])):
        differ = [r for r in after["registers"] if after["registers"][r] != before["registers"][r]]
        assert "rip" in differ and sorted(said["changed"]) == sorted(differ), (said["changed"], differ)
    assert v[6]["changed"] == v[4]["changed"], "wait shows the last stop again, which is no new one"
    assert "r9" in v[8]["changed"], v[8]
    # a script's own stops count if it asks
    v = ok("set l {}; for {set i 0} {$i < 3} {incr i} {si; lappend l [dict get [context regs] changed]}; set l",
           "for {set i 0} {$i < 3} {incr i} {si}; dict get [context regs] changed", backend=b)
    assert v == [[["rax", "rip"], ["rbx", "rip"], ["rip"]], ["rbx", "rcx", "rip"]], v


def whether_a_jump_is_taken(b):
    v = ok("b spin.again", "run", "si", "context code", "reg rcx 1", "si", "si", "context code", backend=b)
    jumps = [next(i for i in c["code"] if i.get("current")) for c in (v[3], v[7])]
    assert jumps[0]["taken"] is True and jumps[0]["target_symbol"] == "spin.again", jumps
    out = text("b spin.again", "run", "si", "context code", backend=b)
    assert "(taken)" in out, out
    assert not any("taken" in i for i in v[3]["code"] if not i.get("current")), "only where it can be known"


def at_every_stop(b):
    """For people; not in values of scripts and not in JSON."""
    lines = ("set context on", "b spin", "run")
    out = text(*lines, backend=b)
    shows(out, *SECTIONS)
    assert out.index("breakpoint 1  vcpu 0") < out.index("-- registers"), out
    assert "context" not in ok(*lines, backend=b)[2]
    out = text("set context on", "puts [dict exists [si] context]", backend=b)
    assert out.split() == ["0"], out
    out = text("set context on", "display $rip", "si", "set context off", "si", backend=b)
    shows(out, *SECTIONS)
    assert out.count("1: $rip = ") == 3 and out.index("-- stack") < out.index("1: $rip = 0x20000a"), out
    assert out.rstrip().count("=> ") == 2, "without it the next instruction is shown"


def as_a_setting(b):
    """Only where it is the setting's name and one of its values; Tcl keeps the rest."""
    v = ok("show context", "set context on", "show context", "set context 5", "show context", "expr {$context}", "dbg::set context off",
           "show context", "proc f {} {set context on; return [show context]}", "f", "set context on; show context", "show", backend=b)
    assert v[0] == "off" and v[1] is None and v[2] == "on" and v[3] == 5 and v[4] == "on" and v[5] == 5, v
    assert v[7] == "off" and v[9] == "off" and v[10] == "on", v
    assert v[11][0]["setting"] == "context" and v[11][0]["value"] == "on", v[11]
    assert "error: set context: 'maybe' is none of its values; try one of: off on" == refused("dbg::set context maybe", backend=b)
    # without a VM, too
    with Talk(backend=b, image="/none-such/image", stderr=subprocess.DEVNULL) as t:
        t.say("set context on\n")
        assert t.value() is None and t.ask("show context") == "on"


def in_a_file():
    with tempfile.TemporaryDirectory() as home:
        os.makedirs(home + "/kvmscope")
        with open(home + "/kvmscope/init.tcl", "w") as f:
            f.write("proc p {} {set context off}\nset context on\np\n")
        status, out, err = start("si", opts=("-x", home + "/kvmscope/init.tcl"), env={"LC_ALL": "C"})
        assert status == 0, err
        shows(out, *SECTIONS)


def an_empty_line_goes_on(b):
    with Talk(backend=b) as t:
        first = t.ask("telescope 0x240000 2")
        assert [r["address"] for r in first] == ["0x240000", "0x240008"], first
        assert [r["address"] for r in t.ask("")] == ["0x240010", "0x240018"]
        assert [r["address"] for r in t.ask("")] == ["0x240020", "0x240028"]
        assert t.ask("hexdump 0x200000 16")["address"] == "0x200000"
        assert t.ask("") == t.ask("mem read 0x200010 16")
        t.ask("hexdump 0x1000 16 -phys")
        assert t.ask("")["data"] == t.ask("mem read 0x1010 16 -phys")["data"]
        # so does one behind the stack pointer's
        t.ask("reg rsp 0x240000")
        t.ask("telescope")
        assert t.ask("")[0]["address"] == "0x240040"


def inside_a_fault(b):
    """At every stage: what is known is shown, what is not is said."""
    lines = ["catch fault 0x240000 0x240fff", "run"]
    for _ in range(4):
        lines += ["context", "telescope 0x240000 2", "xinfo 0x240000", "vmmap", "hexdump 0x200000 16", "fault step"]
    v = ok(*lines, backend=b)
    assert v[1]["reason"] == "fault-stage", v[1]
    for i in range(2, len(v), 6):
        if v[i - 1]["reason"] != "fault-stage":
            break
        assert v[i]["registers"]["rip"] and v[i]["stop"]["stage"] == v[i - 1]["stage"], v[i]
        assert v[i + 1][0]["address"] == "0x240000" and v[i + 2]["gpa"] == "0x40000", v[i + 2]
    text("set context on", "catch fault 0x240000 0x240fff", "run", "fault step", "fault step", backend=b)


def without_a_stack(b):
    v = ok("reg rsp 0xdead000000000000", "reg rbp 0x7fffffffffff", "context", "telescope", "reg rip 0x300000", "context", backend=b)
    assert all(r["value"].startswith("n/a (") for r in v[3]), v[3]
    assert v[5]["code"].startswith("n/a ("), v[5]["code"]
    out = text("reg rsp 0xdead000000000000", "telescope", backend=b)
    assert "and 7 more words that cannot be read" in out, out


def while_it_runs():
    """On soft: an answer of some moment, which says so; the stop in the background has its context."""
    with Talk(opts=(), env={**os.environ, "LC_ALL": "C"}) as t:
        t.say("set context on\nb readonly\nc &\nwait\nputs end\n")
        out = t.until("end\n")
        assert "-- registers" in out and "readonly" in out, out
    # jmp to itself: no stop of its own comes between the lines
    v = ok("mem write 0x200000 ebfe", "c &", "context", "telescope 0x240000 2", "xinfo 0x240000", "vmmap")
    assert v[2]["mode"] == "long" and len(v[3]) == 2, v[2]


def values_for_scripts():
    out = text("run", "puts [dict get [context regs] registers rip]", "puts [llength [dict get [context] stack]]",
               "foreach r [telescope 0x240000 2] {puts [dict get $r value]}", "puts [dict get [lindex [vmmap 0x240000] 0] slot]",
               "puts [dict get [xinfo 0x240000] rmap sptes]", "puts [dict get [hexdump 0x240000 4] data]", backend="soft")
    assert out.split("\n")[-8:-1] == [str(0x200047), "8", str(0x1122334455667789), "0", "0", "2", "89776655"], out


if __name__ == "__main__":
    sys.exit(main([in_few_words, in_every_mode, what_has_changed, whether_a_jump_is_taken, at_every_stop, as_a_setting, in_a_file,
                   an_empty_line_goes_on, inside_a_fault, without_a_stack, while_it_runs, values_for_scripts]))
