#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops that debuggers of VMs get wrong: a small guest for each, the same answers on every backend."""
import os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import main, num, ok


def guest(b, mode, code, *lines, opts=()):
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(bytes.fromhex(code))
        f.flush()
        return ok(*lines, image=f.name, opts=("--mode", mode, *opts), backend=b)


def place(stop):
    return stop["reason"], num(stop["rip"])


# user: mov eax, 3; 200005: mov ebx, 0x55667788; dec eax; jnz 200005; ud2
ALIAS = "b803000000" "bb88776655" "ffc8" "75f7" "0f0b"


def a_breakpoint_at_the_other_address_of_its_frame(b):
    """0x1005 and 0x200005 are one frame, and the code runs at the latter: no stop, and every instruction is the guest's."""
    v = guest(b, "user", ALIAS, "break 0x1005", "c", "info b", "p $rbx", "p $rax")
    assert place(v[1]) == ("exception", 0x20000e) and v[1]["vector"] == 6, v[1]
    assert v[2][0]["hits"] == 0 and num(v[3]) == 0x55667788 and num(v[4]) == 0, v[2:]


# user: mov ecx, 4; 200005: add byte [0x300000], 1; 20000d: inc ebx; loop 200005; ud2
BEHIND = "b904000000" "8004250000300001" "ffc3" "e2f4" "0f0b"


def a_breakpoint_behind_an_untold_stop(b):
    for watch in (("watch 0x300000 1 if {0}",), ("watch 0x300000 1", "ignore 1 1000"), ("catch mode if {0}", "watch 0x300000 1 if {0}")):
        v = guest(b, "user", BEHIND, *watch, "break 0x20000d", "c", "c", "c", "c", "c", "info b")
        assert [place(s) for s in v[-6:-1]] == [("breakpoint", 0x20000d)] * 4 + [("exception", 0x200011)], (watch, v[-6:-1])
        assert v[-1][-1]["hits"] == 4, v[-1]


def commands_that_go_on_are_such(b):
    v = guest(b, "user", BEHIND, "watch 0x300000 1", "commands 1 {c}", "break 0x20000d", "c", "info b")
    assert [(r["id"], r["hits"]) for r in v[-1]] == [(1, 4), (2, 4)], v[-1]


def a_breakpoint_behind_an_untold_change_of_mode(b):
    v = ok("catch mode if {0}", "break prot_mode", "break long_mode", "run", "c", backend=b, image="demo:real")
    assert [s["reason"] for s in v[3:]] == ["breakpoint"] * 2 and [s["breakpoint"] for s in v[3:]] == [2, 3], v[3:]


# long: the guest maps 0x6000000 to 0x600000 (2 MiB), writes nop; inc edx; ret to 0x600100, calls it there; hlt
LATER = "0f20d8488b184881e300f0ffff488b0b4881e100f0ffffc78180010000830060000f20d80f22d8c704250001600090ffc2c3bf00010006ffd7f4"


def a_breakpoint_at_what_is_mapped_later(b):
    for command in ("break", "hbreak"):
        v = guest(b, "long", LATER, f"{command} 0x6000101", "c", "c", "info b")
        assert place(v[1]) == ("breakpoint", 0x6000101) and v[2]["reason"] == "hlt" and v[3][0]["hits"] == 1, v[1:]


# prot: mov [0x4000ffd], eax (its last byte is on the next page); inc dword [0x4000020]; hlt
DEVICES = "a3fd0f0004" "ff0520000004" "f4"


def each_access_to_a_device(b):
    v = guest(b, "prot", DEVICES, "catch mmio 0x4001000", "c", "c")
    assert v[1]["reason"] == "mmio" and v[1]["write"] and num(v[1]["instruction"]) == 0x100000, v[1]
    assert num(v[1]["gpa"]) <= 0x4001000 < num(v[1]["gpa"]) + v[1]["len"] and v[2]["reason"] == "hlt", v[1:]
    v = guest(b, "prot", DEVICES, "catch mmio 0x4000020", "c", "c", "c")
    assert [(s["reason"], s["write"], num(s["instruction"])) for s in v[1:3]] == [("mmio", False, 0x100005), ("mmio", True, 0x100005)], v[1:]
    assert v[3]["reason"] == "hlt", v[3]


# long: mov esi, 0x120000; mov ecx, 40; 10000a: rep lodsb; mov edi, 0x120000; mov ecx, 40; xor eax, eax; 100018: rep stosb; hlt
STRINGS = "be00001200" "b928000000" "f3ac" "bf00001200" "b928000000" "31c0" "f3aa" "f4"


def a_watch_on_what_rep_touches(b):
    """LODS reads; STOS writes what is there already."""
    v = guest(b, "long", STRINGS, "rwatch 0x120010 4", "watch 0x120010 4", "c", "info b", "delete 1", "c", "info b")
    assert v[2]["reason"] == "watchpoint" and v[2]["breakpoint"] == 1 and num(v[2]["instruction"]) == 0x10000a, v[2]
    assert v[5]["reason"] == "watchpoint" and v[5]["breakpoint"] == 2 and num(v[5]["instruction"]) == 0x100018, v[5]


# real: vector 1 is `inc cx; iret`; POPF sets TF at 7c17, another clears it at 7c1b; hlt
TF = "31c08ed8c70604001d7ca3060031c99c5889c380cc01509d9090539df441cf"


def the_guests_own_tf(b):
    """As many traps whether it is stepped, stopped in the middle, watched or left alone: 2 NOPs, PUSH, POPF."""
    for lines in (("c",), ("break 0x7c18", "c", "c"), ("si 12", "si 3", "c"), ("watch 0x6000 1", "c"), ("break 0x7c19", "c", "si", "c")):
        v = guest(b, "real", TF, *lines, "p $rcx")
        assert v[-2]["reason"] == "hlt" and num(v[-1]) == 4, (lines, v[-2:])


# real: vector 1 (7c24) counts in cx and clears DR7; 7c21: nop; DR0 stands on 7c22; nop; hlt
OWN_DR = "31c08ed8c7060400247ca3060031c966b8227c00000f23c066b8020400000f23f89090f4416631c00f23f8cf"


def the_guests_own_debug_register(b):
    """si stops at the handler's first instruction; the handler is run once either way."""
    v = guest(b, "real", OWN_DR, "break 0x7c21", "c", "si", "si", "p $pc", "c", "p $rcx")
    assert num(v[4]) == 0x7c24, v[1:5]
    assert v[5]["reason"] == "hlt" and num(v[6]) == 1, v[5:]


# user: mov ecx, 2; 200005: the dword at 20002a (inc ebx; nop; nop) goes to 200020, where UD2 was; jmp there; dec ecx; jnz; ud2
LOADER = "b9020000008b051f00000089050f000000eb0d909090909090909090909090900f0b9090ffc975dd0f0bffc39090"


def code_written_over_a_breakpoint(b):
    v = guest(b, "user", LOADER, "break 0x200020", "c", "c", "c", "p $rbx", "x/2bx 0x200020")
    assert [place(s) for s in v[1:4]] == [("breakpoint", 0x200020)] * 2 + [("exception", 0x200028)], v[1:4]
    assert num(v[4]) == 2 and [num(x) for x in v[5]["values"]] == [0xff, 0xc3], v[4:]


# user: movzx eax, byte [200007]; 200007: nop; ud2
READING = "0fb60500000000" "90" "0f0b"


def the_guest_reads_its_own_code(b):
    """A page that is executed already shows an int3 to reads where that is what a breakpoint is made of: info b says so."""
    v = guest(b, "user", READING, "break 0x200007", "c", "p $rax", "info b")
    assert place(v[1]) == ("breakpoint", 0x200007), v[1]
    assert num(v[2]) == 0x90 or "int3" in v[3][0]["how"], v[2:]


# user: mov ebx, 3; 200005: mov edi, 0x300000; mov ecx, 6; 20000f: rep stosb; dec ebx; jnz 200005; ud2
REP = "bb03000000" "bf00003000" "b906000000" "f3aa" "ffcb" "75f0" "0f0b"


def a_breakpoint_on_rep(b):
    """Once an execution, whatever else is watched."""
    for also in ((), ("watch 0x308000 1",), ("watch 0x300003 1 if {0}",)):
        v = guest(b, "user", REP, "break 0x20000f", "ignore 1 1000", *also, "c", "info b")
        assert v[-2]["vector"] == 6 and v[-1][0]["hits"] == 3, (also, v[-2:])


# user: 90; int3; inc eax; ud2
INT3 = "90" "cc" "ffc0" "0f0b"


def an_int3_without_an_idt(b):
    v = guest(b, "user", INT3, "c", "why", "c", "p $rax")
    assert v[0]["vector"] == 3 and num(v[0]["instruction"]) == 0x200001 and num(v[0]["rip"]) == 0x200002 and "0x200001" in v[0]["why"], v[0]
    assert v[2]["vector"] == 6 and num(v[3]) == 1, v[2:]


if __name__ == "__main__":
    sys.exit(main([a_breakpoint_at_the_other_address_of_its_frame, a_breakpoint_behind_an_untold_stop, commands_that_go_on_are_such,
                   a_breakpoint_behind_an_untold_change_of_mode, a_breakpoint_at_what_is_mapped_later, each_access_to_a_device,
                   a_watch_on_what_rep_touches, the_guests_own_tf, the_guests_own_debug_register, code_written_over_a_breakpoint,
                   the_guest_reads_its_own_code, a_breakpoint_on_rep, an_int3_without_an_idt]))
