#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses where segments have a base: $pc is linear, $rip the register, seg:off an address for every command that takes
one. Symbols of one name in two files. What was typed stays as it was typed."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, Talk, main, num, ok, refused, start

# mov ax, 0x1234; call 0x17; hlt; at 0x17: nop; ret, all of it at 0x1000:0x10
CODE, BASE = "b83412e80100f490c3", 0x10000
SET_UP = (f"mem write 0x10010 {CODE} -phys", "mem write 0x7c00 ea10000010 -phys", "mem write 0x20100 1122334455667788 -phys",
          "set $rsp = 0x100", "set $ss.base = 0x20000", "set $ss = 0x2000", "si")


def real(*lines, b, n=0, **kw):
    """In the code above, at its beginning."""
    v = ok(*SET_UP, *lines, backend=b, image=flat(), opts=("--mode", "real"), **kw)
    return v[len(SET_UP) + n:]


FOLDER = tempfile.TemporaryDirectory()


def flat():
    path = f"{FOLDER.name}/flat.bin"
    with open(path, "wb") as f:
        f.write(b"\x90" * 16)
    return path


def shows(*lines, b):
    status, out, err = start(*SET_UP, *lines, backend=b, image=flat(), opts=("--mode", "real"), env={"LC_ALL": "C"})
    assert status == 0, err
    return out


def linear(b):
    v = real("p $pc", "p $rip", "p $ip", "p $sp", "p $rsp", "p $sp16", "x/i $pc", "x/1bx $sp", "disas", "b *$pc", "display/i $pc", "expr {$pc}",
             "reg pc", "info registers pc rip", "xinfo $pc", "si", "p $pc", b=b)
    at = BASE + 0x10
    assert [num(x) for x in v[:6]] == [at, 0x10, 0x10, 0x20100, 0x100, 0x100], v[:6]
    assert num(v[6]["address"]) == at and "mov ax" in str(v[6]["values"][0]), v[6]
    assert num(v[7]["address"]) == 0x20100 and num(v[7]["values"][0]) == 0x11, v[7]
    assert num(v[8][0]["address"]) == at and v[8][0]["current"], v[8]
    assert num(v[9]["address"]) == at and v[9]["at"] == "*$pc", v[9]
    assert num(v[10]["value"]["address"]) == at, v[10]
    assert v[11] == at and num(v[12]) == at and num(v[13]["pc"]) == at and num(v[13]["rip"]) == 0x10, v[11:14]
    assert "code" in v[14]["part_of"], v[14]
    assert num(v[15]["rip"]) == 0x13 and "cs" not in v[15] and num(v[16]) == at + 3, "records have the register"


def set_pc(b):
    v = real("set $pc = 0x10013", "p $rip", "set pc [expr {$pc + 3}]", "p $rip", "reg pc 0x1000:0x17", "p $rip", "set $sp = 0x20200", "p $rsp", b=b)
    assert [num(v[i]) for i in (1, 3, 5, 7)] == [0x13, 0x16, 0x17, 0x200], v
    where = {"backend": b, "image": flat(), "opts": ("--mode", "real")}
    assert "cs begins at 0x10000 and its last offset is 0xffff" in refused(*SET_UP, "set $pc = 0x20000", **where)
    assert "ss begins at 0x20000" in refused(*SET_UP, "set $sp = 5", **where)


# What takes an address, and how the address that it understood shows in what it gives.
PLACE = BASE + 0x13
TAKES = [
    ("x/i {}", lambda v: v["address"]), ("x/4xb {}", lambda v: v["address"]), ("xp/4xb {}", lambda v: v["address"]),
    ("mem read {} 4", lambda v: v["address"]), ("mem write {} e8", lambda v: v["address"]), ("find {} 16 e8", lambda v: v[0]),
    ("disas {} 1", lambda v: v[0]["address"]), ("disas {}", lambda v: v[0]["address"]), ("hexdump {} 16", lambda v: v["address"]),
    ("telescope {} 1", lambda v: v[0]["address"]), ("xinfo {}", lambda v: v["gpa"]), ("walk {}", lambda v: v["gpa"]), ("walk {} x", lambda v: v["gpa"]),
    ("gva2gpa {}", lambda v: v), ("v2p {}", lambda v: v), ("xlate {} 2 r", lambda v: v["tlb"][0]["gpa"]), ("memop read {} 2", lambda v: PLACE if v["data"] == "e801" else v),
    ("vmmap {}", lambda v: PLACE if len(v) == 1 else v), ("p {}", lambda v: v), ("p ({}) + 0", lambda v: v), ("set $r9 = {}", lambda v: v),
    ("reg rbx {}", lambda v: v), ("b {}", lambda v: v["address"]), ("b *{}", lambda v: v["address"]), ("tb {}", lambda v: v["address"]), ("hb {}", lambda v: v["address"]),
    ("watch {} 2", lambda v: v["address"]), ("rwatch {} 2", lambda v: v["address"]), ("awatch {} 2", lambda v: v["address"]),
    ("watch {} 2 -phys", lambda v: v["address"]), ("display {}", lambda v: v["value"]), ("display/i {}", lambda v: v["value"]["address"]),
    ("until {}", lambda v: num(v["rip"]) + BASE), ("advance {}", lambda v: num(v["rip"]) + BASE), ("context", None),
]
SAYS = ("0x1000:0x13", "0x1001:3", "$cs:0x13", "$cs:($ip+3)", "0x1000:$ip+3", "{$cs:$ip + 3}", "$cs:$pc+3", "4096:19")


def every_command(b):
    for says in SAYS[:2] + SAYS[3:4]:
        lines, wants = zip(*[(t.format(says), w) for t, w in TAKES if w])
        for first in range(0, len(lines), 8):
            each = [x for line in lines[first:first + 8] for x in (line, "delete", "set $pc = 0x10010")]
            got = real(*each, b=b)[::3]
            for line, want, v in zip(lines[first:], wants[first:], got):
                assert num(want(v)) == PLACE, (line, v)


def every_spelling(b):
    v = real(*(f"x/i {s}" for s in SAYS), *(f"b {s}" for s in SAYS), "info b", "x/1xb $ss:$sp", "x/1xb 0x2000:$sp", "set off 0x13", "x/i $cs:$off",
             "set l [x/i $cs:19]; dict get $l address", b=b)
    n = len(SAYS)
    assert all(num(x["address"]) == PLACE for x in v[:2 * n]), v[:2 * n]
    assert [r["at"] for r in v[2 * n]] == [s.strip("{}") for s in SAYS], "as typed"
    assert num(v[2 * n + 1]["address"]) == num(v[2 * n + 2]["address"]) == 0x20100, v[2 * n + 1:]
    assert num(v[2 * n + 4]["address"]) == PLACE and num(v[2 * n + 5]) == PLACE, v[2 * n + 3:]


def as_typed(b):
    v = real("set off 3", "b $cs.base+0x10+$off", "b [expr {$pc + 3}]", "watch $sp+$off 2", "tb *$rip + 0x10000 if $rax == $off", "catch mmio $off",
             "display $pc+$off", "condition 1 {$rip == $off}", "info b", "b", "display", b=b)
    rows = v[8]
    assert [r["at"] for r in rows] == ["$cs.base+0x10+$off", "[expr {$pc + 3}]", "$sp+$off", "*$rip + 0x10000", "mmio $off"], rows
    assert [num(r["address"]) for r in rows[:4]] == [PLACE, PLACE, 0x20103, 0x10010], rows
    assert rows[3]["condition"] == "$rax == $off" and v[7]["condition"] == "$rip == $off", rows
    assert v[6]["expr"] == "$pc+$off" and v[10][0]["expr"] == "$pc+$off" and num(v[6]["value"]) == 0x10013, v[6]
    out = shows("b $cs.base+0x10+3", "b 0x1000:0x13", "b *0x10013", b=b)
    assert "breakpoint 1 at $cs.base+0x10+3 (0x10013)" in out and "breakpoint 2 at 0x1000:0x13 (0x10013)" in out, out
    assert "breakpoint 3 at *0x10013," in out, out


def hit(b):
    """They stop there, a condition may say it, and Tcl's own : stays Tcl's."""
    v = real("b 0x1000:0x13 if $pc == $cs:0x13 && $pc == 0x1000:$ip", "b 0x1000:0x16 if {$rip==0x16?1:0}", "c", "c", "expr {$rip == 0x16 ? 7 : 8}",
             "expr {$rax?0x10:0x20}", b=b)
    assert (num(v[2]["rip"]), v[2]["breakpoint"], num(v[3]["rip"]), v[3]["breakpoint"]) == (0x13, 1, 0x16, 2), v
    assert v[4] == 7 and v[5] == 0x10, v[4:]


def at_a_stop(b):
    out = shows("b 0x1000:0x13", "c", "wait", b=b)
    assert "cs:rip 0x1000:0x13, pc 0x10013" in out and "0x13 (linear 0x10013)" in out, out
    assert start("si", backend=b)[1].startswith("step  vcpu 0  rip 0x20000a"), "64-bit code has one number"


def protected(b):
    """By the descriptor in the guest's GDT, by what a register has loaded; errors in words."""
    v = ok("b prot_mode", "run", "p $cs", "p $cs:5", "p 8:5", "x/i $cs:$eip", "p $pc", "p $gdt.limit", backend=b, image="demo:real")
    assert num(v[3]) == 5 and num(v[5]["address"]) == num(v[6]), v
    lines = ("b prot_mode", "run")
    assert "null selector" in refused(*lines, "x 0:5", backend=b, image="demo:real")
    assert "beyond the end of the GDT" in refused(*lines, "b 0xfff8:5", backend=b, image="demo:real")
    assert "selector has 16 bits" in refused(*lines, "b 0x7c000:5", backend=b, image="demo:real")


def two_files(folder):
    """An image with two static functions of one name."""
    if not shutil.which("gcc"):
        raise Skip("no gcc")
    texts = {"a.c": "int other(int); static __attribute__((noinline)) int helper(int n) { return n + 1; }\n"
                    "void _start(void) { other(helper(1)); __asm__(\"hlt\"); }\n",
             "b.c": "static __attribute__((noinline)) int helper(int n) { return n + 2; } int other(int n) { return helper(n) * 3; }\n"}
    for name, text in texts.items():
        with open(f"{folder}/{name}", "w") as f:
            f.write(text)
    subprocess.run(["gcc", "-O1", "-ffreestanding", "-fno-pic", "-fcf-protection=none", "-fno-stack-protector", "-nostdlib", "-static", "-no-pie",
                    "-Wl,-Ttext=0x200000,--build-id=none", "-o", "two.elf", *texts], cwd=folder, check=True)
    return f"{folder}/two.elf"


def two_symbols(b):
    with tempfile.TemporaryDirectory() as folder:
        image = two_files(folder)
        for line in ("b helper", "p helper", "x/i helper+1", "walk helper", "until helper", "disas helper", "watch helper 4"):
            said = refused(line, backend=b, image=image)
            assert "'helper' is several symbols: a.c:helper (0x2" in said and "b.c:helper (0x2" in said and "; try one of them, as in a.c:helper" in said, said
        v = ok("p a.c:helper", "p b.c:helper", "p helper@1", "p helper@2", "b b.c:helper", "b helper@1", "b other if $pc == other && helper@2 == b.c:helper",
               "c", "c", "c", "info b", "disas b.c:helper 1", backend=b, image=image)
        a, second = num(v[0]), num(v[1])
        assert a != second and sorted((a, second)) == [num(v[2]), num(v[3])], v[:4]
        assert [num(x["rip"]) for x in v[7:10]] == [a, num(v[6]["address"]), second], v[7:10]
        assert [r["at"] for r in v[10]] == ["b.c:helper", "helper@1", "other"] and v[11][0]["symbol"] == "b.c:helper", v[10:]
        with Talk(backend=b, image=image) as t:     # the choice of one that stays through a load
            t.ask("b b.c:helper")
            t.ask(f"load {image}")
            assert num(t.ask("info b")[0]["address"]) == second


def watched_whole(b):
    """The length that a watchpoint has by itself is that of its symbol, whichever way that is named."""
    if not shutil.which("nm"):
        raise Skip("no nm")
    with tempfile.TemporaryDirectory() as folder:
        image = two_files(folder)
        lines = subprocess.run(["nm", "-S", image], capture_output=True, text=True, check=True).stdout.split("\n")
        size = {int(w[0], 16): int(w[1], 16) for w in map(str.split, lines) if len(w) == 4}
        names = ("a.c:helper", "b.c:helper", "helper@1", "*helper@2", "other", "other@1", "* other")
        for w in ok(*(f"watch {name}" for name in names), backend=b, image=image):
            assert w["len"] == size[num(w["address"])] != 8, (w, size)


if __name__ == "__main__":
    sys.exit(main([linear, set_pc, every_command, every_spelling, as_typed, hit, at_a_stop, protected, two_symbols, watched_whole]))
