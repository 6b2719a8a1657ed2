#!/usr/bin/env python3
"""Slots end to end: 2 MiB pages, files, live page-table entries, SMRAM, flips, the dirty log."""
import os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, can_read_kernel, main, num, ok, refused, rows

# mov eax,[0x4000000]; mov dword [0x4001000],1; mov dword [0x4200000],1; ud2
HUGE = bytes.fromhex("8b042500000004" "c704250010000401000000" "c704250000200401000000" "0f0b")
# mov eax,[0x800000]; mov dword [0x800000],1; mov ebx,[0x800000]; ud2
FILE = bytes.fromhex("8b042500008000" "c704250000800001000000" "8b1c2500008000" "0f0b")


def flat(code, *lines, backend, **kw):
    """The code in user mode with 16 MiB; 2 MiB entry i of its page directory is at 0xffc000 + 8 * i."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(code)
        f.flush()
        return ok(*lines, backend=backend, image=f.name, opts=["--mode", "user", "-m", "16M", *kw.pop("opts", [])], **kw)


def huge_pages():
    """-huge: sptes and rmaps of level 2."""
    if not can_read_kernel():
        raise Skip("the kernel's structures cannot be read here")
    v = flat(HUGE, "slot add 5 0x4000000 4M -huge", "mem write 0xffc100 e700000400000000e700200400000000 -phys", "run",
             "info sptes 0x4000000 0x43fffff", "info rmap 0x4000", "info rmap 0x4200", "walk 0x4001000 w -user", "gpa2hpa 0x4000000", backend="kvm")
    if not any("all 2 blocks" in s for s in v[0]["steps"]):
        raise Skip(f"this host gives no 2 MiB pages now: {v[0]['steps'][0]}")
    assert num(v[0]["hva"]) & 0x1fffff == 0, "gpa and hva are congruent"
    assert v[2]["reason"] == "exception" and v[2]["vector"] == 6, v[2]
    leaves = {num(s["gva"]): s for s in v[3] if num(s["gva"]) >= 0x4000000}
    assert {g: s["level"] for g, s in leaves.items()} == {0x4000000: 2, 0x4200000: 2}, leaves
    assert all(s["writable"] and s["present"] for s in leaves.values())
    for at, gva in ((4, 0x4000000), (5, 0x4200000)):
        by_level = {r["level"]: r for r in rows(v[at])}
        assert by_level[1]["kind"] == "empty" and by_level[2]["kind"] == "one", v[at]
        assert num(by_level[2]["sptes"][0]["gva"]) == gva, v[at]
    assert v[6]["verdict"] == "ok" and v[6]["sptes"][-1]["level"] == 2, v[6]
    assert num(leaves[0x4000000]["pfn"]) << 12 == num(v[7])


def huge_keeps_to_its_rules(b):
    assert "-huge" in refused("slot add 5 0x4000000 4M -huge -file /etc/passwd", backend=b)
    v = ok("slot add 5 0x4001000 1M -huge", backend=b)[0]
    assert num(v["gpa"]) == 0x4001000, "a slot without a whole block is a slot all the same"


def files(b):
    """READONLY over a file: the guest reads it, its writes leave. Writable: an error stop that says so. The file stays."""
    with tempfile.NamedTemporaryFile() as f:
        data = bytes(range(1, 255)) * 33
        f.write(data[:8192])
        f.flush()
        add = f"slot add 5 0x1800000 0x2000 -file {f.name}"
        code = FILE.replace(bytes.fromhex("00008000"), bytes.fromhex("00008001"))
        map_it = "mem write 0xffc060 e700800100000000 -phys"
        v = flat(code, add + " -readonly", map_it, "run", "p $rax", "p $rbx", "xp/2wx 0x1800000", backend=b)
        assert v[0]["flags"] == ["readonly"] and v[2]["reason"] == "exception" and v[2]["vector"] == 6, v[2]
        assert num(v[3]) == num(v[4]) == num(v[5]["values"][0]) == 0x04030201, v[3:]
        v = flat(code, add, map_it, "run", "p $rax", "slot flags 5 +readonly", "c", "p $rbx", backend=b)
        assert v[2]["reason"] == "error" and num(v[2]["rip"]) == 0x200007, v[2]
        assert "slot 5" in v[2]["why"] and "PROT_READ" in v[2]["why"], v[2]["why"]
        assert v[4]["flags"] == ["readonly"] and v[5]["vector"] == 6 and num(v[6]) == 0x04030201, v[4:]
        said = refused(add, "mem write 0x1800000 00 -phys", backend=b)
        assert "slot 5" in said, said
        assert open(f.name, "rb").read() == data[:8192], "the file changed"


def live_pte(b):
    """A page-table entry rewritten by the debugger is what the guest reads through next."""
    v = ok("b readonly", "run", "mem write 0x42000 efbeadde -phys", "gva2gpa 0x240000",
           "mem write 0x13200 6720040000000000 -phys",               # gva 0x240000: gfn 0x40 before, now 0x42
           "gva2gpa 0x240000", "mem write 0x1039 8b0425000024000f0b -phys",   # mov eax,[0x240000]; ud2, at rip + 4
           "set $rip = 0x200039", "delete", "c", "p $rax", "info rmap 0x42", backend=b)
    assert num(v[3]) == 0x40000 and num(v[5]) == 0x42000, v[3:6]
    assert v[9]["reason"] == "exception" and v[9]["vector"] == 6, v[9]
    assert num(v[10]) == 0xdeadbeef, v[10]
    if b == "soft" or can_read_kernel():
        assert [num(s["gva"]) for s in rows(v[11])[0]["sptes"]] == [0x240000], v[11]


def smram(b):
    """The three states of visibility, seen from outside and from inside SMM."""
    v = ok("slot add 4 0x100000 0x1000 -visible smm", "slot add 5 0x100000 0x1000 -visible non-smm", "slot add 6 0x200000 0x1000 -smram",
           "mem write 0x100000 01 -phys", "xlate 0x100000 4 r -phys", "xlate 0x200000 4 r -phys", "smi", "xlate 0x100000 4 r -phys",
           "xlate 0x200000 4 r -phys", "mem read 0x100000 1 -phys", "info slots", "info smm", backend=b)
    io = lambda x: x["io"][0]
    assert (io(v[4])["kind"], io(v[4])["slot"]) == ("ram", 5) and io(v[5])["kind"] in ("mmio", "device"), v[4:6]
    assert v[6]["smm"] is True
    assert (io(v[7])["kind"], io(v[7])["slot"]) == ("ram", 4) and (io(v[8])["kind"], io(v[8])["slot"]) == ("ram", 6), v[7:9]
    assert v[9]["data"] == "00", "not the bytes of the slot outside"
    assert {s["id"]: s["visible"] for s in v[10]} == {0: "both", 1: "both", 4: "smm", 5: "non-smm", 6: "smm"}
    assert "smram" in next(s for s in v[10] if s["id"] == 6)["flags"]
    assert "overlap" in refused("slot add 4 0x100000 0x1000 -visible smm", "slot add 5 0x100000 0x1000", backend=b)


def flips_keep_every_byte(b):
    data = bytes((i * 7 + i // 256) & 255 for i in range(4096)).hex()
    v = ok(f"mem write 0x85000 {data} -phys", *["slot flags 1 -readonly", "slot flags 1 +readonly"] * 20, "mem read 0x85000 4096 -phys",
           "info slots", backend=b)
    assert v[-2]["data"] == data
    assert all(len(s["steps"]) == 2 for s in v[1:-2]), "a delete and a create"
    assert v[-1][1]["generation"] == v[1]["generation"] + 39 * 3, "three generations a flip"


def dirty_log(b):
    v = ok("slot flags 0 +log-dirty", "slot flags 1 -readonly +log-dirty", "b spin", "run", "slot dirty 0", "slot dirty 0 -clear", "slot dirty 0",
           "slot dirty 1", "c", "slot dirty 1", "slot dirty 0", "slot flags 0 -log-dirty", "catch {slot dirty 0} e", backend=b)
    gfns = lambda x: {num(g) for g in x["dirty"]}
    assert 0x40 in gfns(v[4]) and gfns(v[4]) == gfns(v[5]) and gfns(v[6]) == set(), v[4:7]
    assert gfns(v[7]) == set() and gfns(v[9]) == {0x80}, "gfn 0x81 was only read"
    assert 0x40 not in gfns(v[10]) and v[12] == 1


def dirty_rings(b):
    """--dirty-ring: entries in order beside the bitmap; -clear ends them; a VM without rings says how to get one."""
    assert "--dirty-ring" in refused("slot flags 0 +log-dirty", "slot dirty 0 -ring", backend=b)
    assert "power of two" in refused("load demo:tour --dirty-ring 300", backend=b)
    try:
        v = ok("load demo:tour --dirty-ring 1024", "slot flags 0 +log-dirty", "run", "slot dirty 0 -ring", "slot dirty 0 -ring -clear",
               "slot dirty 0 -ring", "load demo:tour", "slot flags 0 +log-dirty", "slot dirty 0", backend=b)
    except AssertionError as e:
        if "this kernel has no rings" in str(e):
            raise Skip("this kernel has no rings")
        raise
    first, cleared, after = v[3], v[4], v[5]
    assert first["ring_entries"] == 1024 and first["ring_full"] == 0 and first["ring_lost"] == 0, first
    assert [e["n"] for e in first["ring"]] == list(range(len(first["ring"]))), first["ring"]
    assert {num(e["gfn"]) for e in first["ring"]} == {num(g) for g in first["dirty"]}, first
    assert 0x40 in {num(e["gfn"]) for e in first["ring"]}
    for e in first["ring"]:
        assert e["vcpu"] == 0 and e["slot"] == 0 and num(e["offset"]) == num(e["gfn"]) and e["flags"] == ["dirty"], e
    assert cleared["ring"] == first["ring"] and after["ring"] == [] and after["dirty"] == [], after
    assert "ring" not in v[8], v[8]


def prefault(b):
    """Maps ahead, or says why it cannot; what is no part of the slot is refused."""
    assert "is not all in it" in refused("slot prefault 0 0x90000", backend=b)
    assert "before it begins" in refused("slot prefault 0 0x2000 0x1000", backend=b)
    if b == "kvm" and next(f for f in ok("info kvm", backend=b)[0] if f["what"] == "slot prefault")["value"] == "no":
        assert "since 6.11" in refused("slot prefault 0", backend=b)
        return
    v = ok("run", "slot prefault 0", "slot prefault 0 0x40008", "slot prefault 1 0x80000 0x80fff", backend=b)
    assert (num(v[1]["first"]), num(v[1]["last"]), v[1]["bytes"]) == (0, 0x7ffff, 0x80000), v[1]
    assert (num(v[2]["first"]), num(v[2]["last"])) == (0x40000, 0x40fff), v[2]
    assert v[3]["bytes"] == 0x1000 and v[3]["vcpu"] == 0, v[3]
    assert ("calls" in v[1]) == (b == "kvm") and ("mapped" in v[1]) == (b == "soft"), v[1]


def guest_memfd(b):
    """A slot of KVM's own memory, where there is such; its rules are told before KVM is asked."""
    assert "readonly" in refused("slot add 5 0x4000000 64K -guest-memfd -readonly", backend=b)
    row = next(f for f in ok("info kvm", backend=b)[0] if f["what"] == "guest_memfd")
    if row["value"] == "no":
        assert "guest_memfd" in refused("slot add 5 0x4000000 64K -guest-memfd", backend=b)
        return
    add = "slot add 5 0x4000000 64K -guest-memfd"
    v = ok(add, "mem write 0x4000000 1122334455667788 -phys", "mem read 0x4000000 8 -phys", "info slots", "slot del 5", backend=b)
    assert v[2]["data"] == "1122334455667788", v[2]
    assert v[3][-1]["guest_memfd"] > 2 and v[3][-1]["attributes"] == "shared" and num(v[3][-1]["guest_memfd_offset"]) == 0, v[3]
    assert "changes nothing" in refused(add, "slot move 5 0x5000000", backend=b)


if __name__ == "__main__":
    sys.exit(main([huge_pages, huge_keeps_to_its_rules, files, live_pte, smram, flips_keep_every_byte, dirty_log, dirty_rings, prefault, guest_memfd]))
