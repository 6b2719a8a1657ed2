#!/usr/bin/env python3
"""What stops a guest besides breakpoints: catchpoints, and the way out of a fault that one stopped in."""
import os, re, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, can_read_kernel, drop, main, num, ok, refused, start


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


def mmu(b):
    """What KVM (or the model) does to its tables: each spte of gfn 0x40 in its turn, and nothing else."""
    if b == "kvm" and not can_read_kernel():
        raise Skip("tracepoints take root")
    v = ok("catch mmu spte 0x40", "run", "c", "why", "info breakpoints", "delete", "c", backend=b)
    assert v[0]["means"] == "gfn 0x40" and v[0]["how"] == ("trace" if b == "kvm" else "soft"), v[0]
    for stop in v[1:3]:
        assert stop["reason"] == "mmu" and stop["event"] == "spte" and num(stop["gfn"]) == 0x40 and stop["level"] == 1, stop
        assert num(stop["spte"]) & 1 and stop["breakpoint"] == 1 and stop["events"][0]["spte"] == stop["spte"], stop
        assert "spte for gfn 0x40 was set to" in stop["why"], stop
        assert ("before the guest executed anything more" in stop["why"]) == (b == "kvm"), stop
    assert v[3] == v[2]["why"] and v[4][0]["hits"] == 2 and v[6]["reason"] == "exception", v[3:]

    # The instruction is stepped with its page open, for the watchpoint that is not hit: the event is not lost behind the next stop.
    v = ok("rwatch 0x290004", "catch mmu spte 0x81", "run", "c", backend=b)
    assert v[2]["reason"] == "mmu" and num(v[2]["gfn"]) == 0x81, v[2]
    assert v[3]["reason"] == "exception", v[3]


def slots(b):
    """A slot's change by a script is told before the guest runs on; SMRAM as it comes and goes."""
    v = ok("catch slot", "slot flags 1 -readonly", "slot add 5 0x1000000 0x1000", "run", "why", "c", "c", backend=b)
    assert v[3]["reason"] == "slot" and v[3]["slot"] == 1 and num(v[3]["rip"]) == 0x200000, v[3]
    assert "slot 1 became writable" in v[4] and v[5]["slot"] == 5 and "was added at gpa 0x1000000" in v[5]["why"], v[4:6]
    assert v[6]["reason"] == "exception", v[6]
    v = ok("catch slot 5", "slot flags 1 -readonly", "run", backend=b)
    assert v[2]["reason"] == "exception", v[2]
    v = ok("catch slot", "run", "c", backend=b, image="demo:smm")
    assert [x["slot"] for x in v[1:]] == [2, 2] and "visible, because an SMI" in v[1]["why"] and "hidden, because RSM" in v[2]["why"], v


def backtrace(b):
    """Also inside a fault, where the registers come out of the kernel's memory; and in words."""
    v = into_the_fault(b, "bt")
    assert v[0] == [{"level": 0, "rip": "0x20000f", "symbol": "write_alias+0x5", "frame": None,
                     "end": "the frame pointer is 0, as in the outermost frame"}], v
    status, out, err = start("set $rbp = 0x300000", "set $rsp = 0x2fff00", "bt", "where 1", backend=b)
    assert status == 0 and out.endswith("#0  0x200000 <start>\nends here: the stack at 0x300000 cannot be read\n#0  0x200000 <start>\n"), out


def meanings(b):
    v = ok("catch pio 0x3f8", "catch fault 0x200000 0x200fff", "delete", "catch fault 0x40", backend=b)
    assert v[1]["means"] == "gva 0x200000 to 0x200fff" and v[3]["means"] == "gfn 0x40", v


def mmu_not_permitted():
    """Without CAP_SYS_ADMIN an unmounted tracefs is what is missing, not the kernel's tracepoints."""
    if not can_read_kernel():
        raise Skip("the kvm backend cannot read the kernel's structures")
    if os.access("/sys/kernel/tracing/events", os.R_OK):  # mounted, and root's own: nothing is missing
        ok("catch mmu", backend="kvm", wrap=drop("sys_admin"))
        return
    line = refused("catch mmu", backend="kvm", wrap=drop("sys_admin"))
    assert "tracepoints: tracefs" in line and "CAP_SYS_ADMIN" in line, line


def stops_of(line, image, backend):
    """All stops of one catchpoint: mode, privilege and rip as why tells them."""
    tcl = f"dbg::{line}; set all {{}}; for {{set s [dbg::run]}} {{[dict exists $s breakpoint]}} {{set s [dbg::c]}} " \
          "{lappend all [dict get $s why]}; set all"
    return ok(tcl, image=image, backend=backend)[-1]


def each_spte(backend):
    """The tour sets six, each told by itself: the one that its first fetch makes, too."""
    if backend == "kvm" and not can_read_kernel():
        raise Skip("the kvm backend cannot read the kernel's structures")
    told = [re.search(r"gfn (\S+) .* \((\w+)", w).groups() for w in stops_of("catch mmu spte", "demo:tour", backend)]
    assert [gfn for gfn, _ in told] == ["0x1", "0x40", "0x40", "0x40", "0x80", "0x81"], told


def an_spte_behind_a_watchpoint(backend):
    """One store hits a watchpoint and makes an spte: the second is told by the next run before anything is executed, and the run after goes on."""
    if backend == "kvm" and not can_read_kernel():
        raise Skip("the kvm backend cannot read the kernel's structures")
    v = ok("watch 0x240000", "catch mmu spte", "c", "c", "c", "c", backend=backend, timeout=60)
    assert [s["reason"] for s in v[2:]] == ["mmu", "watchpoint", "mmu", "mmu"], v[2:]
    assert num(v[3]["rip"]) == num(v[4]["rip"]) == 0x200012 and num(v[4]["gfn"]) == 0x40 and num(v[5]["rip"]) > 0x200012, v[3:]


def modes(backend):
    """Each change by itself, where it is made: those that a far jump makes, too, and those of an SMI."""
    told = [re.search(r"in (\w+) mode at CPL 0 .*; rip is \S+ \((\w+)", w).groups() for w in stops_of("catch mode", "demo:real", backend)]
    assert told == [("prot16", "real_mode"), ("prot32", "prot_mode"), ("compat", "prot_mode"), ("long", "long_mode")], told
    v = ok("catch mode long", "run", image="demo:real", backend=backend)[-1]
    assert v["reason"] == "mode" and "(long_mode)" in v["why"], v
    told = [re.search(r"in (\w+) mode", w).group(1) for w in stops_of("catch mode", "demo:smm", backend)]
    assert told == ["real", "prot32"] * 2, told


def exception_of_an_idt_loaded_later(backend):
    """The guest begins without an IDT, loads one, which is no exit, and has its exceptions handled there."""
    for what in ("", " UD"):
        v = ok(f"catch exception{what}", "run", image="demo:remap", backend=backend)[-1]
        assert v["reason"] == "exception" and num(v["vector"]) == 6 and v["breakpoint"] == 1, v


def numbers_that_cannot_be(backend):
    for line, what in (("catch exception 300", "0xff"), ("catch pio 0x10000", "0xffff"), ("catch exception XX", "no exception of that name"),
                       ("catch mmu foo", "zap, unsync, sync, spte or tdp")):
        said = refused(line, backend=backend)
        assert what in said, said
    assert "outside" in refused("b *0x200012", "ignore 1 -1", backend=backend)


def condition_that_is_none(backend):
    """Stops, and says why; it is not said to be true."""
    v = ok("b *0x200012 if foo bar", "run", backend=backend)
    assert "could not be evaluated" in v[-1]["why"] and "is true" not in v[-1]["why"], v[-1]


def symbol_of_a_segmented_rip(backend):
    """What a sentence calls rip is what the line above it calls it."""
    v = ok("catch smi", "run", image="demo:smm", backend=backend)
    assert "0x8000 (linear 0x38000, smi_handler)" in v[-1]["why"], v[-1]


def no_handler(b):
    """An INT n that leads nowhere is told at itself, an int3 with rip behind it; c goes on behind both."""
    with tempfile.TemporaryDirectory() as d:
        f = f"{d}/int.bin"; open(f, "wb").write(bytes.fromhex("b8410ecd10ccf4"))
        v = ok("c", "why", "c", "c", image=f, opts=("--mode", "real"), backend=b)
        assert v[0]["reason"] == "exception" and v[0]["vector"] == 16 and num(v[0]["rip"]) == 0x7c03, v[0]
        assert "oftware interrupt 0x10" in v[1] and "0000:0000" in v[1], v[1]
        assert v[2]["vector"] == 3 and num(v[2]["rip"]) == 0x7c06 and num(v[2]["instruction"]) == 0x7c05, v[2]
        assert v[3]["reason"] == "hlt", v[3]
        f = f"{d}/int3.bin"; open(f, "wb").write(bytes.fromhex("90cc90f10f0b"))
        v = ok("c", "si", "c", "c", image=f, opts=("--mode", "user"), backend=b)
        assert v[0]["vector"] == 3 and num(v[0]["rip"]) == 0x200002 and "0x200001" in v[0]["why"], v[0]
        assert v[1]["reason"] == "step" and v[2]["vector"] == 1 and num(v[2]["instruction"]) == 0x200003, v[1:3]
        assert v[3]["vector"] == 6 and num(v[3]["rip"]) == 0x200004, v[3]


def interrupts_are_no_exceptions(b):
    """Where an INT n stops for want of a handler no catchpoint is counted; instruction is linear, as of every stop."""
    with tempfile.TemporaryDirectory() as d:
        f = f"{d}/far.bin"; open(f, "wb").write(bytes.fromhex("ea0500c007" "cc" "cd10" "0f0b"))     # jmp 0x7c0:5
        v = ok("catch exception", "catch exception 16", "c", "c", "info b", "c", "info b", image=f, opts=("--mode", "real"), backend=b)
        assert v[2]["breakpoint"] == 1 and num(v[2]["rip"]) == 6 and num(v[2]["instruction"]) == 0x7c05, v[2]
        assert v[3]["vector"] == 16 and "breakpoint" not in v[3] and v[3]["why"].startswith("Software interrupt"), v[3]
        assert [r["hits"] for r in v[4]] == [1, 0], v[4]
        assert v[5]["vector"] == 6 and v[5]["breakpoint"] == 1 and [r["hits"] for r in v[6]] == [2, 0], v[5:]


def an_interrupt_by_number_is_one(b):
    """cd 03 with an empty vector is an interrupt, not #BP: at itself, and no catchpoint's; cc is #BP, behind it."""
    with tempfile.TemporaryDirectory() as d:
        f = f"{d}/int3.bin"; open(f, "wb").write(bytes.fromhex("cd03" "cd01" "cc" "f4"))
        v = ok("catch exception", "c", "c", "c", "info b", "c", image=f, opts=("--mode", "real"), backend=b)
        for stop, at, n in ((v[1], 0x7c00, 3), (v[2], 0x7c02, 1)):
            assert stop["why"].startswith(f"Software interrupt {n:#x}") and num(stop["rip"]) == at and "breakpoint" not in stop, stop
        assert v[3]["vector"] == 3 and v[3]["breakpoint"] == 1 and num(v[3]["instruction"]) == 0x7c04 and num(v[3]["rip"]) == 0x7c05, v[3]
        assert v[4][0]["hits"] == 1 and v[5]["reason"] == "hlt", v[4:]


def instruction_of_a_watch_that_trapped(b):
    """The store has the guest's TF behind it, whose handler has another CS: instruction is where the store is. A debug register's hit does
    not say which instruction it was once a handler has been entered."""
    code = "ea0500c007" "c7060400007e" "c70606000000" "9c" "58" "80cc01" "50" "9d" "c606006055" "f4"
    with tempfile.TemporaryDirectory() as d:
        f = f"{d}/tf.bin"; open(f, "wb").write(bytes.fromhex(code).ljust(0x200, b"\x90") + b"\xf4")  # the handler, at 0:7e00
        v = ok("watch 0x6000 1", "c", image=f, opts=("--mode", "real"), backend=b)[1]
        assert v["reason"] == "watchpoint" and ("instruction" in v or b != "soft"), v
        assert "instruction" not in v or (num(v["instruction"]) == 0x7c18 and "0x7c18" in v["why"]), v


if __name__ == "__main__":
    sys.exit(main([step_out_of_a_fault, several_steps_out_of_a_fault, until_goes_on_from_a_fault, words_inside_a_fault, mmu, slots, meanings, backtrace, mmu_not_permitted,
                   each_spte, an_spte_behind_a_watchpoint, modes, exception_of_an_idt_loaded_later, numbers_that_cannot_be, condition_that_is_none, symbol_of_a_segmented_rip, no_handler, interrupts_are_no_exceptions,
                   an_interrupt_by_number_is_one, instruction_of_a_watch_that_trapped]))
