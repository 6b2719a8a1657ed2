#!/usr/bin/env python3
"""Looking changes nothing: no slot, shadow page, spte, rmap, MMIO entry, dirty bit, register, or bit of the guest's tables."""
import os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import main, num, ok, start

# Addresses in every condition: mapped and touched, mapped and never touched (no A bit), a device, READONLY, not mapped.
GVAS = ["0x200000", "0x240000", "0x250000", "0x260000", "0x280000", "0x290000", "0x300000"]
LOOKS = [
    "info slots", "info slots -all", "info slots -map", "shadow tree -dot", "info rmap 0x40 -dot", "info shadow", "info shadow 0x13", "info sptes", "info sptes 0x200000 0x2fffff", "shadow tree", "info tdp", "info rmaps",
    *(f"info rmap {g}" for g in ("0x1", "0x40", "0x80", "0x81", "0x10", "0x13")), "info mmio", "info tlb", "info tlb 0x240000 0x260fff",
    "info mem", "info registers", "info registers -a", "info vcpus", "bt", "info smm", "info kvm", "info breakpoints", "vm", "why", "vcpu",
    *(f"walk {a} {acc} {u}" for a in GVAS for acc in "rwx" for u in ("", "-user")),
    *(f"xlate {a} 8 {acc} -user" for a in GVAS for acc in "rwx"), "xlate 0x240ffc 8 w -user", "xlate 0x40000 8 w -phys",
    *(f"catch {{memop {op} {a} {v} -check}}" for a in GVAS for op, v in (("read", "8"), ("write", "0102030405060708"))),
    *(f"catch {{{c}}}" for a in GVAS for c in (f"x/8gx {a}", f"x/4i {a}", f"mem read {a} 64", f"gva2gpa {a}", f"disas {a} 4")),
    "xp/64gx 0x10000", "xp/8gx 0x80000", "mem read 0x80000 64 -phys", "gpa2hva 0x40000", "catch {gpa2hpa 0x40000}", "catch {gpa2hpa 0x85000}",
    "find 0x200000 0x1000 f4", "memop read 0x240000 8", "memop read 0x280000 8", "p $rip", "reg rax", "display $rip", "undisplay 1",
    "context", "context regs", "telescope", "vmmap", "catch {vmmap $rip}", "show", "set context on", "set context off", "hexdump 0x200000 64",
    *(c for a in GVAS for c in (f"xinfo {a}", f"telescope {a} 4", f"catch {{hexdump {a} 32}}")), "telescope 0xdead000000000000",
    "slot dirty 0", "slot dirty 0",
]
TABLES = [f"mem read {0x10000 + 0x1000 * i:#x} 4096 -phys" for i in range(4)]


def at(b, lines, until):
    """Look from one moment of the tour."""
    with tempfile.TemporaryDirectory() as d:
        looks = [*LOOKS, f"dump {d}/x 0x240000 64", f"report {d}/r.html"]
        v = ok("slot flags 0 +log-dirty", *lines, *TABLES, "snap a", *looks, "snap b", "diff a b", *TABLES, "slot dirty 0", "si", "snap c",
               "diff b c", backend=b, timeout=200)
    first = 1 + len(lines)
    before, after = v[first:first + 4], v[-8:-4]
    assert [t["data"] for t in before] == [t["data"] for t in after], "the guest's tables changed"
    dirty = [looked["dirty"] for looked in v if isinstance(looked, dict) and isinstance(looked.get("dirty"), list)]
    assert len(dirty) == 3 and dirty[0] == dirty[1] == dirty[2], dirty
    diff = v[-9]
    assert diff == [], diff[:5]
    assert v[-1], "diff sees a step"
    until(v, [num(g) for g in dirty[0]])


def when_fresh(b):
    def dirty(_v, gfns):
        assert gfns == [], gfns
    at(b, [], dirty)


def in_the_middle(b):
    def dirty(v, gfns):
        assert v[2]["reason"] == "breakpoint", v[2]
        assert 0x40 in gfns and 0x13 in gfns, "the page that was written, and the table whose A and D bits the walk set"
        assert not set(gfns) & {0x1, 0x41}, gfns
    at(b, ["b spin", "run"], dirty)


def not_canonical(b):
    """Its walk reads no table, and yet paging is on."""
    status, out, err = start("walk 0x800000000000", backend=b)
    assert status == 0 and "not canonical" in out and "paging is off" not in out and "4-level" in out, out


if __name__ == "__main__":
    sys.exit(main([when_fresh, in_the_middle, not_canonical]))
