#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standing inside faults, by the whole program: what diff tells there, what a killed debugger leaves behind, what is refused
without privileges.
"""
import os, signal, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import program
from program import BIN, Skip, drop, errors_of, main, num, ok, refused, run, start


def stages(backend, gvas="0x240000 0x240fff", steps=12):
    """Lines that walk through the first fault, each stage followed by a diff."""
    lines = [f"catch fault {gvas}", "run"]
    for _ in range(steps):
        lines += ["fault step", "diff"]
    return ok(*lines, backend=backend)[1:]


def test_diff_of_a_stage(backend):
    if backend == "kvm" and not program.can_read_kernel():
        raise Skip("no shadow tables can be read here")
    values = stages(backend, steps=5 if backend == "kvm" else 9)
    told = {}
    before = values[0]
    for stop, diff in zip(values[1::2], values[2::2]):
        if before["reason"] != "fault-stage" or before["fault"] != 1:
            break
        told[before["stage"]] = sorted({(d["part"], d["kind"]) for d in diff})
        before = stop
    # a walk changes nothing; what comes last makes the spte and its rmap
    assert told["walk"] == [], told
    if backend == "soft":
        assert ("spte", "added") in told["spte"], told
        assert told["accessed"] == [] and told["slot"] == [], told
    # after its last stage: what has come of the fault
    assert ("rmap", "added") in told["spte" if backend == "soft" else "page"], told


def test_diff_at_the_first_stage(backend):
    said = refused("catch fault 0x240000 0x240fff", "run", "diff", backend=backend)
    assert "first stage" in said, said
    # a snapshot of one's own goes before
    values = ok("snap", "catch fault 0x240000 0x240fff", "run", "diff", backend=backend)
    assert all(d["part"] != "memory" for d in values[-1]), values[-1]


def test_accessed_then_dirty():
    values = ok("catch fault 0x40", "run", *["fault step"] * 5, "fault list", backend="soft")
    detail = {s["stage"]: s["detail"] for s in values[-1]}
    assert detail["accessed"].endswith("0x40007 to 0x40027"), detail
    assert detail["dirty"].endswith("0x40027 to 0x40067"), detail


# ---- nothing stays


def left_over(pid):
    return os.path.exists(f"/proc/{pid}")


def instances():
    try:
        return sorted(os.listdir("/sys/kernel/tracing/instances"))
    except OSError:
        return []


def stand(image, line, steps):
    """A debugger at its prompt, its vCPU some stages into a fault."""
    p = subprocess.Popen([BIN, "-b", "kvm", "--nx", "-q", image], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    p.stdin.write((f"{line}\nrun\n" + "fault step\n" * steps + "puts stands\n").encode())
    p.stdin.flush()
    for said in p.stdout:
        if said.strip() == b"stands":
            return p
    raise AssertionError(f"it ended with {p.wait()}")


def test_killed_at_every_stage():
    if not program.KVM:
        raise Skip("no /dev/kvm that can be opened")
    before = instances()
    for image, line, how in (("demo:tour", "catch fault 0x240000 0x240fff", signal.SIGKILL),
                             ("demo:tour", "catch fault", signal.SIGTERM),
                             ("demo:threads", "catch fault 0x600000 0x600fff", signal.SIGKILL),
                             ("demo:threads", "catch fault 0x600000 0x600fff", signal.SIGTERM)):
        for steps in range(5):
            p = stand(image, line, steps)
            children = subprocess.run(["pgrep", "-P", str(p.pid)], capture_output=True).stdout
            assert children == b"", children
            p.send_signal(how)
            try:
                status = p.wait(timeout=30)
            except subprocess.TimeoutExpired:
                p.kill()
                raise AssertionError(f"{image}, {steps} stages, signal {how}: it does not end") from None
            assert status == -how or (how == signal.SIGTERM and status in (0, 128 + how)), status
            p.stdin.close()
            p.stdout.close()
            assert not left_over(p.pid)
    assert instances() == before


def test_interrupted_while_parked():
    """Ctrl-C while a vCPU stands still stops nothing; afterwards all goes on as ever."""
    if not program.KVM:
        raise Skip("no /dev/kvm that can be opened")
    for image in ("demo:tour", "demo:threads"):
        p = stand(image, "catch fault", 2)
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(b"delete\nc\nputs over\n", timeout=60)
        assert b"over" in out, out[-300:]
        assert p.returncode == 0, p.returncode


def test_two_vcpus_one_parked():
    """All-stop: what another vCPU has is as long as one stands, every inspection answers, and nothing waits for ever."""
    if not program.KVM:
        raise Skip("no /dev/kvm that can be opened")
    look = ["info vcpus", "info slots", "info shadow", "info rmap 0x40", "info mmio", "info registers", "vcpu 1",
            "info registers", "x/4gx 0x200000", "xp/4gx 0x10000", "walk 0x600000", "slot dirty 0"]
    for _ in range(3):
        values = ok("slot flags 0 +log-dirty", "catch fault 0x600000 0x600fff", "run", *look, *look, "delete", backend="kvm", image="demo:threads")
        assert values[2]["reason"] == "fault-stage"
        first, second = values[3:3 + len(look)], values[3 + len(look):3 + 2 * len(look)]
        assert first[0][1]["rip"] == second[0][1]["rip"]
        assert first[7] == second[7]
        for now, then in zip(first[1:5], second[1:5]):
            assert now == then


def test_two_vcpus_fault_by_fault():
    """Each fault of two vCPUs is told once, as many as on soft, where they take turns as well."""
    if not program.can_read_kernel():
        raise Skip("no shadow tables can be read here")
    script = ("set n 0; set s [dbg::run]; "
              "while {[dict get $s reason] eq {fault-stage}} {incr n; set s [dbg::c]}; set n")
    told = {b: ok("catch fault 0x40", "catch fault 0x600000 0x600fff", script, backend=b, image="demo:threads")[-1] for b in ("kvm", "soft")}
    assert told["kvm"] == told["soft"] > 100, told


# ---- which faults


ALL = "set all {}; for {set s [dbg::run]} {[dict get $s reason] eq {fault-stage}} {set s [dbg::fault continue]} " \
      "{lappend all [list [dict get $s rip] [dict get $s breakpoint]]}; set all"


def caught(*catches, backend, before=()):
    """The first stages of all faults that these catchpoints catch in the tour: rip and the catchpoint's number."""
    return [tuple(pair) for pair in ok(*before, *[f"catch fault {c}" for c in catches], ALL, backend=backend)[-1]]


def test_several_filters(backend):
    """Each catches what it catches alone, whatever the machine makes of them together."""
    if backend == "kvm" and not program.can_read_kernel():
        raise Skip("without tracepoints a page is caught once")
    alias = [(0x20000f, 1), (0x200017, 1), (0x20001e, 1)]
    assert caught("0x40", backend=backend) == alias
    assert caught("0x40", "0x81", backend=backend) == [*alias, (0x200045, 2)]
    assert caught("0x40", "0x290000 0x290fff", backend=backend) == [*alias, (0x200045, 2)]
    assert caught("0x40", "0x5", backend=backend) == alias  # with the guest's tables in between


def test_write_to_readonly(backend):
    """It comes to no page: the walk tells of it. Also where the slot was made READONLY later."""
    if backend == "kvm" and not program.can_read_kernel():
        raise Skip("without tracepoints a page is caught once")
    faults = [(0x20003c, 1), (0x20003e, 1)]
    assert caught("0x80", backend=backend) == faults
    values = ok("slot flags 1 -readonly", "catch fault 0x80", "slot flags 1 +readonly", "run", backend=backend)
    assert num(values[-1]["rip"]) == faults[0][0], values[-1]


def test_refused_while_parked(backend):
    for line in ("set $rax = 1", "mem write 0x240000 00"):
        said = refused("catch fault 0x40", "run", line, backend=backend)
        assert "inside a fault" in said and "kernel" not in said, said


# ---- not permitted


def test_without_tracepoints():
    """Live stages still work; an address that is not mapped is refused, and says what it takes."""
    if not program.KVM:
        raise Skip("no /dev/kvm that can be opened")
    # Without CAP_SYS_ADMIN no tracefs, and no reading of kernel memory either way it goes.
    status, out, err = start("catch fault 0x300000 0x300fff", backend="kvm", wrap=drop("sys_admin", "perfmon"))
    assert status == 1 and len(errors_of(err)) == 1, (status, out, err)
    assert "tracepoints" in err or "userfaultfd" in err, err


def test_without_userfaultfd():
    if not program.KVM:
        raise Skip("no /dev/kvm that can be opened")
    wrap = drop("sys_ptrace", "sys_admin", "bpf", "perfmon")
    status, out, err = start("catch fault 0x40", backend="kvm", wrap=wrap)
    if status == 0:
        raise Skip("this host lets everybody use userfaultfd")
    assert "userfaultfd" in err and "CAP_SYS_PTRACE" in err, err
    values = ok("info slots", "info registers", "si", "run", backend="kvm", wrap=wrap)
    assert values[-1]["reason"] == "exception"
    assert ok("catch fault 0x40", "run", "fault step", backend="soft", wrap=wrap)[-1]["reason"] == "fault-stage"


def test_bad_ranges(backend):
    said = refused("catch fault 0xd0000", backend=backend)
    assert "0xd0000" in said and "no slot" in said, said
    # whatever else is caught
    said = refused("catch fault 0x40", "catch fault 0xd0000", backend=backend)
    assert "0xd0000" in said and "no slot" in said, said
    said = refused("fault show -1", backend=backend)
    assert "is -1," in said, said
    said = refused("catch fault 0x2000 0x1000", backend=backend)
    assert "ends" in said, said


def test_catch_that_lost_its_memory(backend):
    """By another image: disabled, as a breakpoint at a symbol that is gone. By its slot: it waits, and is in nobody's way."""
    status, values, err = run("catch fault 0x81", "load demo:threads", "info breakpoints", backend=backend)
    assert status == 0 and not values[-1][0]["enabled"] and "catch 1 disabled" in err, (status, err)
    values = ok("catch fault 0x81", "catch fault 0x40", "slot del 1", "delete 2", "info breakpoints", "run", backend=backend)
    assert values[4][0]["enabled"] and values[5]["reason"] == "exception", values[4:]


if __name__ == "__main__":
    sys.exit(main([f for n, f in list(globals().items()) if n.startswith("test_")]))
