#!/usr/bin/env python3
"""What the guest prints, also where it does not run on the debugger's thread: several vCPUs, or while faults are caught."""
import os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Skip, Talk, main, start

# mov al, 'x'; out 0xe9, al; jmp $
ONE = b"\xb0x\xe6\xe9\xeb\xfe"
# mov al, 'x'; out 0xe9, al; jmp to the out
ENDLESS = b"\xb0x\xe6\xe9\xeb\xfc"
# A guest that stops in the end: 'x' once
HALTS = b"\xb0x\xe6\xe9\xfa\xf4"


class Image:
    """A file with this code."""

    def __init__(self, code):
        self.file = tempfile.NamedTemporaryFile(suffix=".bin")
        self.file.write(code)
        self.file.flush()

    def __enter__(self):
        return self.file.name

    def __exit__(self, *exc):
        self.file.close()


def elsewhere(b):
    """(options, line before) under which the guest runs on another thread."""
    ways = [(("--vcpus", "2"), "expr 0")] if b == "kvm" else []
    if b == "soft" or not os.geteuid():
        ways.append(((), "catch fault 0x5"))
    return ways


def in_order_with_scripts(b):
    """puts, the guest, puts: in that order, though the guest ran on another thread."""
    with Image(HALTS) as image:
        for opts, before in elsewhere(b):
            status, out, err = start(before, "foreach once 1 {puts -nonewline before:; run; puts :after}", backend=b, image=image,
                                     opts=("--mode", "long", *opts))
            assert status == 0 and re.search("before:x+:after\n", out), (opts, out, err)


def before_the_stop(b):
    with Image(HALTS) as image:
        for opts, before in elsewhere(b):
            status, out, err = start(before, "run", backend=b, image=image, opts=("--mode", "long", *opts))
            assert status == 0, err
            assert re.search("^x+hlt  vcpu", out, re.M), (opts, out)


def while_the_guest_runs(b):
    """It does not wait for the next stop."""
    with Image(ONE) as image:
        for opts, before in [((), "expr 0"), *elsewhere(b)]:
            with Talk("--mode", "long", *opts, backend=b, image=image) as t:
                t.ask(before)
                t.say("run\n")
                t.until_error("x")
                t.interrupt()
                assert t.value()["reason"] == "interrupted"
                assert t.end() == 0


def endless_output_is_bounded(b):
    """However fast it prints, what waits to be written does not pile up."""
    with Image(ENDLESS) as image:
        for opts, before in elsewhere(b):
            with Talk("--mode", "long", *opts, backend=b, image=image) as t:
                t.ask(before)
                t.say("run\n")
                t.until_error("x" * 30000)
                a = t.memory()
                for _ in range(4):
                    t.until_error("x" * 30000)
                assert t.memory() - a < 1000, f"{t.memory() - a} KiB more ({opts})"
                t.interrupt()
                assert t.value()["reason"] == "interrupted"
                assert t.end() == 0


def loads_leave_nothing(b):
    """Threads that run guests come and go with the VMs."""
    if b == "kvm" and os.geteuid():
        raise Skip("userfaultfd's minor faults take root")
    with Talk(backend=b, image="demo:real", stderr=subprocess.DEVNULL) as t:

        def load(n):
            for _ in range(n):
                for line in ("load demo:real", "delete", "catch fault 0x40", "run"):
                    t.ask(line)

        load(25)  # caches fill
        a = t.memory()
        load(30)
        assert t.memory() - a < 400, f"30 VMs later {t.memory() - a} KiB more"


if __name__ == "__main__":
    TESTS = [in_order_with_scripts, before_the_stop, while_the_guest_runs, endless_output_is_bounded]
    # A sanitizer keeps what is freed: it has a look for leaks of its own.
    if "ASAN_OPTIONS" not in os.environ and "TSAN_OPTIONS" not in os.environ:
        TESTS.append(loads_leave_nothing)
    sys.exit(main(TESTS))
