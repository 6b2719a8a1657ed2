#!/usr/bin/env python3
"""The built-in guests end to end."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, can_read_kernel, main, num, ok, refused, rows, start

PATTERN = 0x600d1dea


def sees_tables(b):
    return b == "soft" or can_read_kernel()


def word(v):
    return num(v["values"][0])


def tour(b):
    v = ok("p $rip", "run", "p $rax", "p $rcx", "xp/gx 0x40000", "xp/wx 0x80000", "info breakpoints", backend=b)
    assert num(v[0]) == 0x200000
    stop = v[1]
    assert stop["reason"] == "exception" and num(stop["rip"]) == 0x200047 and stop["vector"] == 14, stop
    assert num(stop["error_code"]) == 4 and num(stop["cr2"]) == 0x300000 and stop["vcpu"] == 0, stop
    assert "0x300000" in stop["why"] and "not present" in stop["why"], stop["why"]
    assert num(v[3]) == 0, "the loop ran to its end"
    assert word(v[4]) == 0x1122334455667789, "written by one alias, raised by the other"
    assert word(v[5]) == 0, "READONLY memory was not written"
    assert v[6] == []


def tour_tables(b):
    if not sees_tables(b):
        raise Skip("the kernel's structures cannot be read here")
    v = ok("run", "info rmap 0x40", "info rmap 0x80", "info rmap 0x81", "info rmap 0x41", "info mmio", "info shadow", "info sptes 0x200000 0x2fffff",
           "info rmaps", "walk 0x260000 r -user", "slot add 9 0x10000000 0x1000", "info mmio", backend=b)
    kinds = [(rows(r)[0]["kind"], sorted(num(s["gva"]) for s in rows(r)[0]["sptes"])) for r in v[1:5]]
    assert kinds == [("many", [0x240000, 0x250000]), ("one", [0x280000]), ("one", [0x290000]), ("empty", [])], kinds
    many = rows(v[1])[0]
    assert num(many["head"]) & 1 and many["level"] == 1 and many["slot"] == 0 and len(many["descriptors"]) == 1, many
    m = rows(v[5])[0]
    assert (num(m["gva"]), num(m["gfn"]), m["valid"], m["stale"]) == (0x260000, 0xd0000, True, False), m
    assert "user" in str(m["access"]) and "write" in str(m["access"]), m
    pages = {(p["level"], num(p["gfn"])): p for p in v[6] if not p["direct"]}
    assert {k: p["sptes"] for k, p in pages.items() if k != (4, 0x10)} == {(3, 0x11): 1, (2, 0x12): 1, (1, 0x13): 5}, pages
    leaves = {num(s["gva"]): s["writable"] for s in v[7] if s["level"] == 1}
    assert leaves == {0x200000: False, 0x240000: True, 0x250000: True, 0x280000: False, 0x290000: False}, leaves
    level1 = next(r for r in v[8] if (r["slot"], r["level"]) == (0, 1))
    assert level1["longest"] == 2, level1
    assert v[9]["verdict"] == "mmio" and v[9]["mmio"]["hit"] is True, v[9]
    assert rows(v[11])[0]["valid"] is False, "another generation"


def longest_chain(b):
    """One spte more than a chain of 1000 and one: all are zapped and it begins again. How many neighbours KVM maps ahead then is its own."""
    if not sees_tables(b):
        raise Skip("the kernel's structures cannot be read here")
    for count, least, most in ((1001, 1001, 1001), (1002, 1, 8), (1010, 9, 16)):
        v = ok(f"mem write count {count.to_bytes(8, 'little').hex()}", "b mapped", "run", "info rmap 0x40", image="demo:rmap", backend=b)
        n = len(rows(v[-1])[0]["sptes"])
        assert least <= n <= most, (count, n)


def tour_by_steps(b):
    """The same end, one instruction at a time, but for the loop."""
    v = ok("si 11", "p $rip", "b readonly", "c", "delete", "si 5", "p $rip", "si", backend=b)
    assert num(v[1]) == 0x20002e and v[0]["reason"] == "step", v[:2]
    assert v[3]["reason"] == "breakpoint" and num(v[6]) == 0x200047, v[3:7]
    assert v[7]["reason"] == "exception" and num(v[7]["cr2"]) == 0x300000, v[7]


def real(b):
    v = ok("info vcpus", "b prot_mode", "b long_mode", "run", "info vcpus", "c", "info vcpus", "c", image="demo:real", backend=b)
    modes = [v[i][0]["mode"] for i in (0, 4, 6)]
    assert modes[0].startswith("real") and modes[1].startswith("prot") and modes[2].startswith("long"), modes
    assert v[3]["reason"] == v[5]["reason"] == "breakpoint" and v[7]["reason"] == "hlt", (v[3], v[5], v[7])
    status, out, err = start("run", image="demo:real", backend=b)
    said = [w for w in ("real", "protected", "long") if w in (out + err).lower()]
    assert status == 0 and said == ["real", "protected", "long"], (said, out, err)


def rmap(b):
    v = ok("b mapped", "b unmapped", "run", "gva2gpa 0x400000", "gva2gpa 0x427000", "catch {gva2gpa 0x428000}", "c", "catch {gva2gpa 0x400000}", "c",
           image="demo:rmap", backend=b)
    assert [v[i]["reason"] for i in (2, 6, 8)] == ["breakpoint", "breakpoint", "hlt"], v
    assert num(v[3]) == num(v[4]) == 0x40000 and v[5] == v[7] == 1, v[3:8]


def rmap_chain(b):
    """0, 1, many, many more, and back; each spte at its own address."""
    if not sees_tables(b):
        raise Skip("the kernel's structures cannot be read here")
    kinds, v = [], ok("b touch", *["c", "info rmap 0x40", "si 2"] * 4, "delete", "b mapped", "b unmapped", "c", "info rmap 0x40", "info rmaps", "c",
                      "info rmap 0x40", image="demo:rmap", backend=b)
    for i in range(4):
        r = rows(v[2 + 3 * i])[0]
        kinds.append((r["kind"], len(r["sptes"])))
    assert kinds == [("empty", 0), ("one", 1), ("many", 2), ("many", 3)], kinds
    peak = rows(v[17])[0]
    assert peak["kind"] == "many" and {num(s["gva"]) for s in peak["sptes"]} == {0x400000 + 0x1000 * i for i in range(40)}, len(peak["sptes"])
    assert len({num(s["sptep"]) for s in peak["sptes"]}) == 40
    assert max(r["longest"] for r in v[18]) == 40
    end = rows(v[20])[0]
    assert end["kind"] == "empty" and end["sptes"] == [] and num(end["head"]) == 0, end


def rmap_with_another_count(b):
    v = ok("mem write count 0300000000000000", "b mapped", "c", "gva2gpa 0x402000", "catch {gva2gpa 0x403000}", image="demo:rmap", backend=b)
    assert v[2]["reason"] == "breakpoint" and num(v[3]) == 0x40000 and v[4] == 1, v


def remap(b):
    names = ["was_stale_invlpg", "was_fresh_invlpg", "was_stale_cr3", "was_same_cr3", "was_fresh_cr3", "was_switched"]
    v = ok("run", *(f"x/wx {n}" for n in names), image="demo:remap", backend=b)
    assert v[0]["reason"] == "hlt", v[0]
    was = dict(zip(names, map(word, v[1:])))
    new = {n for n, x in was.items() if x != PATTERN}
    # After a flush the new mapping holds, always; before it the old one may answer.
    assert {"was_fresh_invlpg", "was_fresh_cr3", "was_switched"} <= new, {k: hex(x) for k, x in was.items()}
    assert was["was_stale_invlpg"] == PATTERN and was["was_stale_cr3"] == PATTERN, {k: hex(x) for k, x in was.items()}


def remap_cache(b):
    """The MMIO cache while the tables say otherwise: stale, then gone."""
    if not sees_tables(b):
        raise Skip("the kernel's structures cannot be read here")
    v = ok("b stale_invlpg", "b fresh_invlpg", "run", "info mmio", "c", "info mmio", image="demo:remap", backend=b)
    stale, fresh = rows(v[3])[0], rows(v[5])[0]
    assert (num(stale["gva"]), num(stale["gfn"]), stale["valid"], stale["stale"]) == (0x600000, 0xd0000, True, True), stale
    assert not fresh["valid"], fresh


def smm(b):
    v = ok("catch smi", "run", "info smm", "c", "c", "info smm", "c", "delete", "c", "x/wx mark", image="demo:smm", backend=b)
    assert [v[i]["reason"] for i in (1, 3, 4, 6, 8)] == ["smi", "rsm", "smi", "rsm", "hlt"], [v[i] for i in (1, 3, 4, 6, 8)]
    assert v[2]["smm"] is True and num(v[2]["smbase"]) == 0x30000, v[2]
    assert {s["id"]: s["visible"] for s in v[2]["slots"]}[2] == "smm", v[2]["slots"]
    assert word(v[9]) == 2, "the handler left its mark twice"
    v = ok("slot flags 0 +log-dirty", "run", "slot dirty 0", image="demo:smm", backend=b)[2]
    inside, outside = ({num(x) for x in v[k]} for k in ("dirty_smm", "dirty_non_smm"))
    assert inside == {1} and {num(x) for x in v["dirty"]} == inside | outside, v


def threads(b):
    v = ok("info vcpus", "run", "x/gx changes", "x/gx strange", "info vcpus", image="demo:threads", backend=b)
    assert [x["id"] for x in v[0]] == [0, 1]
    assert v[1]["reason"] == "hlt" and word(v[2]) == 201 and word(v[3]) == 0, v[1:4]


def nested(b):
    """Where the vCPU has no SVM, load says so, and the VM that there was stays."""
    facts = {f["what"]: f for f in rows(ok("info kvm", backend=b)[0])}
    if facts["SVM for the guest"]["value"] != "yes":
        e = refused("load demo:nested", backend=b)
        assert "demo:nested" in e and "SVM" in e, e
        return
    v = ok("mem write paging 00", "run", "run", "x/gx exits", image="demo:nested", backend=b)
    assert [v[i]["reason"] for i in (1, 2)] == ["hlt", "hlt"] and word(v[3]) in (3, 4), v


def run_again(b):
    """`run` loads anew: the second time is as the first; flags and breakpoints stay."""
    v = ok("b readonly", "slot flags 1 -readonly", "run", "c", "xp/wx 0x80000", "run", "info slots", "info breakpoints", "xp/gx 0x40000", backend=b)
    assert word(v[4]) == 0x55667788 and v[5]["reason"] == "breakpoint" and num(v[5]["rip"]) == num(v[2]["rip"])
    assert v[6][1]["flags"] == [] and v[7][0]["hits"] == 2, v[6:8]


def watch(b):
    v = ok("watch 0x240000", "run", "c", "delete", "watch 0x40000 8 -phys", "run", backend=b)
    stop = v[1]
    assert stop["reason"] == "watchpoint" and num(stop["rip"]) == 0x200012 and stop["data"] == "8877665544332211", stop
    assert num(stop["gva"]) == 0x240000 and num(stop["gpa"]) == 0x40000 and "slot 0" in stop["why"], stop
    # the write by the other alias is another linear address, which a debug register would not see either
    assert v[2]["reason"] == "exception", v[2]
    assert v[5]["reason"] == "watchpoint" and num(v[5]["gpa"]) == 0x40000 and "gva 0x0" not in v[5]["why"], v[5]


def breakpoints_follow_the_image(b):
    """At another image's load a breakpoint goes where its symbol is; without the symbol it is disabled, not left somewhere."""
    v = ok("b spin", "b start", "b *0x200005", "load demo:rmap", "info breakpoints", "delete 3", "b mapped", "run", "run", "load demo:tour",
           "info breakpoints", "enable 1", "delete 2", "run", backend=b)
    assert [(x["id"], x["enabled"]) for x in v[4]] == [(1, False), (2, True), (3, True)], v[4]
    assert v[7]["breakpoint"] in (2, 4) and v[8]["breakpoint"] in (2, 4), v[7:9]
    assert [x["enabled"] for x in v[10]] == [False, True, False] and num(v[13]["rip"]) == 0x20002e, v[10:]
    v = ok("b spin", "catch {load /none-such} e", "info breakpoints", "run", backend=b)
    assert v[2][0]["enabled"] and num(v[3]["rip"]) == 0x20002e, v[2:]


if __name__ == "__main__":
    sys.exit(main([tour, tour_tables, tour_by_steps, real, rmap, rmap_chain, longest_chain, rmap_with_another_count, remap, remap_cache, smm, threads, nested, run_again, watch,
                   breakpoints_follow_the_image]))
