#!/usr/bin/env python3
"""`why` end to end: after each way in which a slot call fails, after errors of the host while the guest runs, and whose turn
it is when a stop follows an error or an error a stop."""
import os, re, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import ERROR, Skip, main, num, ok, refused, run

EINVAL, EEXIST, ENOENT, EMFILE, EFBIG, ENOMEM, EBUSY = -22, -17, -2, -24, -27, -12, -16
# demo:tour: slot 0 is 512 KiB at 0, slot 1 64 KiB READONLY at 0x80000.
FREE = r"try gpa 0x90000, which is free, or slot del %d$"
GONE = r"try slot del %d, then slot add \(its bytes are gone then\)"
NONE = r"there is no slot 77, only 0, 1; try one of these, or info slots$"
ASIDE = "slot flags 0 -visible non-smm", "slot add 7 0x40000 0x1000 -smram"
REFUSED = [
    # command, errno, what `why` says
    ("slot add 5 0x100001 0x1000", EINVAL, r"slot add 5: gpa 0x100001 is not a multiple of 4 KiB .*; try gpa 0x100000 or 0x101000$"),
    ("slot add 5 0x100000 0x1800", EINVAL, r"slot add 5: size 0x1800 is not a multiple of 4 KiB .*; try size 0x1000 or 0x2000$"),
    ("slot add 5 0xfffffffffffff000 0x2000", EINVAL, r"gpa 0xfffffffffffff000 and size 0x2000 run past 2\^64; try gpa (0x[0-9a-f]+) or lower$"),
    ("slot add 5 0x10000000000000 0x2000", EINVAL,
     r"gpa 0x10000000000000 to 0x10000000001fff runs past the end of physical addresses, the last is 0x[f0-7]+; try gpa (0x[0-9a-f]+) or lower$"),
    ("slot add 5 0x100000 8T", EINVAL, r"size 0x80000000000 is 0x80000000 pages, .* at most 0x7fffffff; try size 0x[0-9a-f]+ or less, or several slots$"),
    ("slot add 5 0x100000 0", EINVAL, r"slot add 5: its size is 0, and the smallest slot is one page of 4 KiB; try size 0x1000$"),
    ("slot add 1 0x80000 0", EINVAL, r"slot add 1: size 0 is how KVM deletes a slot; try slot del 1$"),
    ("slot add 0x20005 0x100000 0x1000", EINVAL, r"address space 2 is not there: number 0x20005 names it in bits 31:16, .*; try id 5, with -visible smm"),
    ("slot add 65535 0x100000 0x1000", EINVAL, r"slot add 65535: ids end at \d+ on this host; try id 2, which is free$"),
    ("slot add 0x100000000 0x100000 0x1000", EINVAL, r"slot id 0x100000000 has more than 32 bits, and ids end at \d+ on this host"),
    ("slot add 5 0x8f000 0x2000", EEXIST, r"gpa 0x8f000 to 0x90fff overlaps slot 1 \(gpa 0x80000 to 0x8ffff, visible both\); " + FREE % 1),
    ("slot add 5 0 2M", EEXIST, r"gpa 0x0 to 0x1fffff overlaps slot 1 \(gpa 0x80000 to 0x8ffff, visible both\) and 1 more; try gpa 0x90000, which is free, or slot del 1 and the others$"),
    ("slot add 5 0x40000 0x1000 -smram", EEXIST, r"gpa 0x40000 to 0x40fff overlaps slot 0 \(gpa 0x0 to 0x7ffff, visible both\); " + FREE % 0),
    ("slot add 0 0 1M", EINVAL, r"slot add 0: it is there with size 0x80000 at gpa 0x0 and cannot become 0x100000; " + GONE % 0 + ", or id 2, which is free$"),
    ("slot add 0 0 512K -readonly", EINVAL, r"readonly cannot be set on a slot that is there \(gpa 0x0 to 0x7ffff, flags 0\); try slot flags 0 \+readonly"),
    ("slot add 1 0x80000 64K", EINVAL, r"readonly cannot be cleared on a slot that is there \(gpa 0x80000 to 0x8ffff, flags 0x2\); try slot flags 1 -readonly"),
    ("slot add 0 0 512K -file /etc/passwd", EINVAL, r"memory at hva 0x[0-9a-f]+, which file /etc/passwd cannot take the place of; " + GONE % 0),
    ("slot add 0 0x100000 512K -file /etc/passwd", EINVAL, r"which file /etc/passwd cannot take the place of; " + GONE % 0),
    ("slot add 0 0 512K -huge", EINVAL, r"which memory of 2 MiB pages cannot take the place of; " + GONE % 0),
    ("slot add 5 0x200000 4M -huge -file /etc/passwd", EINVAL, r"-huge is for fresh memory, and file /etc/passwd .*; try one of -huge and -file$"),
    ("slot add 5 0x100000 0x1000 -visible smn", EINVAL, r"visibility 'smn': there is none of that name; try smm, non-smm or both$"),
    ("slot add 5 0x100000 0x1000 -smram -visible non-smm", EINVAL, r"smram says visible inside SMM only, yet .*; try one of smram and visible non-smm$"),
    ("slot add 5 0x100000 0x1000 -file /proc/nonexistent", ENOENT, r"slot add 5: file /proc/nonexistent cannot be opened for reading: No such file or directory; try the path"),
    ("slot add 5 0x100000 0x1000 -file /dev/zero", EINVAL, r"slot add 5: /dev/zero is not a regular file; try a regular file"),
    ("slot add 5 0x100000 0x1000 -file /", EINVAL, r"slot add 5: / is not a regular file; try a regular file"),
    ("slot add 5 0x100000 0x1000 -file FIFO", EINVAL, r"slot add 5: \S+fifo is not a regular file; try a regular file"),
    ("slot add 5 0x100000 0x3000 -file SHORT", EINVAL, r"file \S+short has 0x1388 bytes, which fill 0x2000, and the slot wants 0x3000; try size 0x2000$"),
    ("slot add 5 0x100000 0x1000 -file EMPTY", EINVAL, r"file \S+empty is empty, and the slot wants 0x1000 bytes; try another file"),
    ("slot del 77", EINVAL, "slot del 77: " + NONE),
    ("slot move 77 0", EINVAL, "slot move 77: " + NONE),
    ("slot flags 77 +readonly", EINVAL, "slot flags 77: " + NONE),
    ("slot dirty 77", ENOENT, "slot dirty 77: " + NONE),
    ("slot dirty 1", ENOENT, r"slot dirty 1: it has no dirty log, as log-dirty is not among its flags \(0x2\); try slot flags 1 \+log-dirty$"),
    ("slot move 1 0x40000", EEXIST, r"slot move 1: gpa 0x40000 to 0x4ffff overlaps slot 0 \(gpa 0x0 to 0x7ffff, visible both\); try gpa 0x80000, which is free, or slot del 0$"),
    ("slot move 1 0x81001", EINVAL, r"slot move 1: gpa 0x81001 is not a multiple of 4 KiB .*; try gpa 0x81000 or 0x82000$"),
    ("slot move 1 0xffffffffffff0000", EINVAL, r"slot move 1: gpa 0xffffffffffff0000 and size 0x10000 run past 2\^64; try gpa (0x[0-9a-f]+) or lower$"),
    ("slot flags 0 +bogus", EINVAL, r"slot flag 'bogus': there is none of that name; try readonly, log-dirty or smram$"),
    ("slot flags 0 readonly", EINVAL, r"'readonly' does not begin with \+ or -; try \+readonly or -readonly$"),
    ("slot flags 0", EINVAL, r"slot flags 0: no flag is named; try slot flags 0 \+readonly$"),
    ("slot flags 0 +smram -visible non-smm", EINVAL, r"slot flags 0: smram says visible inside SMM only, yet"),
    ("slot bogus", ENOENT, r"slot bogus: there is no such subcommand; try slot with one of: add, del, dirty, flags, move, prefault$"),
]


def caught(line):
    """Two lines: the errno of a command that fails inside a script, and what why says of it."""
    return [f"set errorCode {{}}; catch {{dbg::{line}}}; lindex $errorCode 1", "why"]


def slot_calls(b):
    """One run: a refused call changes nothing, so that the next finds the same slots."""
    with tempfile.TemporaryDirectory() as d:
        os.mkfifo(f"{d}/fifo")
        open(f"{d}/short", "wb").write(b"x" * 5000)
        open(f"{d}/empty", "wb").close()
        cases = [(re.sub(r"\b(FIFO|SHORT|EMPTY)\b", lambda m: f"{d}/{m[0].lower()}", c), *rest) for c, *rest in REFUSED]
        lines = [line for c, *_ in cases for line in caught(c)]
        v = ok("info slots", *lines, "info slots", backend=b)
    for (c, code, says), got, why in zip(cases, v[1:-1:2], v[2:-1:2]):
        assert num(got) == code, f"{c}: errno {got}, wanted {code}; {why}"
        assert ERROR.match(why) and re.search(says, why), f"{c}: {why!r}\nwanted {says!r}"
    assert v[0] == v[-1], "a refused call changed something"


def advice_works(b):
    """The highest gpa, the free gpa, the free id and the slot to move that an error names: each does."""
    why = lambda *lines: ok(*lines[:-1], *caught(lines[-1]), backend=b)[-1]
    high = int(re.search(r"try gpa (\S+) or lower$", why("slot add 5 0xfffffffffffff000 0x2000"))[1], 16)
    v = ok(*caught(f"slot add 5 {high + 0x1000:#x} 0x2000"), f"slot add 5 {high:#x} 0x2000", backend=b)
    assert num(v[0]) == EINVAL and num(v[2]["gpa"]) == high, v
    free = re.search(r"try gpa (\S+), which is free", why("slot add 5 0x20000 0x1000"))[1]
    ok(f"slot add 5 {free} 0x1000", backend=b)
    one = re.search(r"try id (\d+), which is free", why("slot add 65535 0x100000 0x1000"))[1]
    ok(f"slot add {one} 0x100000 0x1000", backend=b)
    said = why(*ASIDE, "slot flags 7 -visible both")
    move = re.search(r"overlaps slot 0 .*, visible non-smm\); try (slot move 7 0x[0-9a-f]+) first, or slot del 0$", said)
    assert move, said
    ok(*ASIDE, move[1], "slot flags 7 -visible both", backend=b)


def the_line_itself(b):
    """What a failing line prints is what why says."""
    said = refused("slot del 77", backend=b)
    assert said == ok(*caught("slot del 77"), backend=b)[1], said


def limits(b):
    """What the process may have."""
    wrap = lambda *a: ["prlimit", *a]
    loop = "set i 4; while {![catch {dbg::slot add [incr i] [expr {0x1000000 + $i * 0x1000}] 4K -file /etc/passwd}] && $i < 200} {}"
    v = ok(loop + "; lindex $errorCode 1", "why", backend=b, wrap=wrap("--nofile=64"))
    assert num(v[0]) == EMFILE and re.search(r"slot add \d+: file /etc/passwd cannot be opened .*: Too many open files; try a higher ulimit -n", v[1]), v
    if b == "kvm":
        v = ok(*caught("slot add 5 0x100000000 1G"), backend=b, wrap=wrap("--fsize=1048576"))
        assert num(v[0]) == EFBIG and re.search(r"slot add 5: its memfd cannot have 0x40000000 bytes: File too large; try a higher ulimit -f$", v[1]), v
        if os.sysconf("SC_PHYS_PAGES") * 4096 < 40 << 30:
            v = ok(*caught("slot add 5 0x100000 0x7ffffff0000"), backend=b)
            assert num(v[0]) == ENOMEM and re.search(r"KVM's tables for 8388607 MiB of guest take about 22527 MiB of kernel memory, \d+ MiB is", v[1]), v


def in_a_fault(b):
    lines = "catch fault 0x40", "run"
    status, v, _ = run(*lines, *caught("slot add 5 0x100000 0x1000"), "fault step", "why", backend=b)
    if status or v[1]["reason"] != "fault-stage":
        raise Skip("faults cannot be caught here")
    assert num(v[2]) == EBUSY and re.search(r"slot add: vCPU 0 stands inside a fault; try fault continue, or si", v[3]), v[2:4]
    assert v[5] == v[4]["why"], "a stage is a stop"


def turns(b):
    """The later of a stop and an error is explained; a command that succeeds changes nothing; another VM begins anew."""
    gone = "error: slot del 77: there is no slot 77, only "
    v = ok("why", *caught("slot del 77"), "info slots", "why", "run", "why", *caught("slot dirty 0"), "si", "why", *caught("slot del 77"),
           "load demo:rmap", "why", *caught("slot del 77"), "tb $rip", "c", "why", backend=b)
    assert v[0].startswith("The VM has not run yet"), v[0]
    assert all(v[i].startswith(gone) for i in (2, 4, 12, 16)), v
    assert v[6] == v[5]["why"] and v[6].startswith("#PF, page fault"), v[6]
    assert v[8].startswith("error: slot dirty 0:"), v[8]
    assert v[10] == v[9]["why"] and not v[10].startswith("error"), v[10]
    assert v[14].startswith("The VM has not run yet"), v[14]
    assert v[19] == v[18]["why"] and not v[19].startswith("error"), v[19]


# mov eax,[0x1800000]; ud2
READ = bytes.fromhex("8b042500008001" "0f0b")


def image(code, mode, *lines, backend):
    """16 MiB; in user mode 2 MiB entry i of the page directory is at 0xffc000 + 8 * i."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(code)
        f.flush()
        return ok(*lines, backend=backend, image=f.name, opts=["--mode", mode, "-m", "16M"])


def file_cut_short(b):
    """The host has not got the slot's bytes any more, whatever the slot's flags."""
    for flag in "-readonly", "":
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"x" * 0x2000)
            f.flush()
            v = image(READ, "user", f"slot add 5 0x1800000 0x2000 {flag} -file {f.name}", "mem write 0xffc060 e700800100000000 -phys",
                      f"exec truncate -s 0 {f.name}", "run", "why", backend=b)
        assert v[3]["reason"] == "error" and v[4] == v[3]["why"], v[3]
        assert "slot 5" in v[4] and "cut short" in v[4] and "try slot del 5, then slot add with a file that is long enough." in v[4], v[4]


def host_refuses(b):
    """What neither KVM's emulator nor the soft CPU has: the instruction, its bytes, and how to go on."""
    v = image(bytes.fromhex("90c5f87790f4"), "long", "run", "why", backend=b)  # nop; vzeroupper; nop; hlt
    if v[0]["reason"] != "error":
        raise Skip("this host executes vzeroupper")
    at = num(v[0]["rip"])
    assert v[1] == v[0]["why"] and f"`vzeroupper` (bytes c5 f8 77); try `set $rip = {at + 3:#x}`, which skips it" in v[1], v[1]
    if b == "kvm":
        assert "KVM_EXIT_INTERNAL_ERROR, suberror 1" in v[1] and v[0]["kvm_exit"] == 17, v[0]
    v = image(bytes.fromhex("90c5f87790f4"), "long", "run", f"set $rip = {at + 3:#x}", "c", backend=b)
    assert v[2]["reason"] == "hlt", "the advice works"


if __name__ == "__main__":
    sys.exit(main([slot_calls, advice_works, the_line_itself, limits, in_a_fault, turns, file_cut_short, host_refuses]))
