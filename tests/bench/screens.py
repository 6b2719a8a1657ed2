#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the screens cost, by a real pseudo-terminal.

    tests/bench/screens.py build/kvmscope [BACKEND]

A guest touches 100,000 pages and then writes to memory for ever: to one page (compute), or to pages whose mappings its own
work makes KVM build anew (faults). Measured are how long a key takes to be answered, what an idle and a live screen take of
the processor, and what they take off the guest. The floor of a key is the same key echoed by the terminal alone (cat).
"""
import fcntl
import os
import pty
import select
import statistics
import struct
import sys
import tempfile
import termios
import time

PAGES, AT = 100000, 0x400000
# mov edi, AT; mov ecx, PAGES; touch: mov [rdi], rcx; add rdi, 0x1000; loop touch; ready: mov edi, AT; mov ecx, N;
# work: inc qword [rdi]; add rdi, 0x1000; loop work; inc qword [0x3ff000]; jmp ready
TOUCH = b"\xbf" + struct.pack("<I", AT) + b"\xb9" + struct.pack("<I", PAGES) + b"\x48\x89\x0f\x48\x81\xc7\0\x10\0\0\xe2\xf4"
READY = 0x100000 + len(TOUCH)


def image(pages):
    return (TOUCH + b"\xbf" + struct.pack("<I", AT) + b"\xb9" + struct.pack("<I", pages) +
            b"\x48\xff\x07\x48\x81\xc7\0\x10\0\0\xe2\xf4\x48\xff\x04\x25\0\xf0\x3f\0\xeb\xe0")


def line(name, ours, unit, aim):
    met = "-" if aim is None else "met" if ours <= aim else "missed"
    print(f"{name:<58} {ours:>10.4g} {unit:<8} {'-' if aim is None else '<= %g' % aim:<8} {met}", flush=True)


class Screen:
    def __init__(self, argv):
        self.began = time.monotonic()
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", XDG_STATE_HOME=STATE)
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.seen = b""

    def read(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            got = os.read(self.fd, 1 << 16)
        except OSError:
            return False
        self.seen = (self.seen + got)[-(1 << 16):]
        return bool(got)

    def quiet(self, wait=0.2, most=5):
        end = time.monotonic() + most
        while time.monotonic() < end and self.read(wait):
            pass

    def until(self, what, most=60):
        end = time.monotonic() + most
        while what not in self.seen:
            if time.monotonic() > end or not self.read(most):
                raise RuntimeError(f"{what!r} does not come")

    def send(self, keys):
        self.seen = b""
        os.write(self.fd, keys)

    def command(self, text):
        self.send(b":" + text.encode() + b"\r")

    def key_ms(self, keys, n=100):
        """From a key to the first byte of its answer."""
        took = []
        for i in range(n):
            while self.read(0):
                pass
            began = time.monotonic()
            os.write(self.fd, keys[i % len(keys)])
            select.select([self.fd], [], [], 2)
            took.append((time.monotonic() - began) * 1e3)
            self.read(0)
            time.sleep(0.007 + i % 7 * 0.002)
        return statistics.median(took)

    def processor(self):
        f = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def cores(self, seconds):
        a, t = self.processor(), time.monotonic()
        while time.monotonic() - t < seconds:
            self.read(0.05)
        return (self.processor() - a) / (time.monotonic() - t)

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def rounds(program, backend, where, pages, screens, seconds=4):
    """Rounds of the guest's work in that time, and cores used beyond the guest's own."""
    open(f"{where}/guest", "wb").write(image(pages))
    argv = [program, "-b", backend, "-m", "512M", "--mode", "long", "--nx", "-q"] + (["--tui"] if screens else [])
    s = Screen(argv + ["-c", f"tb *{READY:#x}", "-c", "run", f"{where}/guest"])
    s.until(b"breakpoint at" if screens else b"(kvmscope)")
    s.quiet()
    s.send(b"\x1bOQ" if screens else b"")
    s.command("c") if screens else s.send(b"c &\n")
    s.quiet(most=0.5)
    t = time.monotonic()
    cores = s.cores(seconds)
    s.send(b"\x03" if screens else b"interrupt\n")
    took = time.monotonic() - t
    s.until(b"interrupted")
    ask = f"set f [open {where}/n w]; puts $f [dict get [xp/1gx 0x3ff000] values]; close $f; puts [string repeat done 2]"
    s.command(ask) if screens else s.send(ask.encode() + b"\n")
    s.until(b"donedone")
    s.close()
    return int(open(f"{where}/n").read().split()[0], 0) / took, cores


def measure_keys(program, backend, where):
    open(f"{where}/guest", "wb").write(image(1))
    cat = Screen(["sh", "-c", "stty -echo raw; echo ready; exec cat"])
    cat.until(b"ready")
    floor = cat.key_ms([b"x"])
    cat.close()
    line("a key echoed by the terminal alone", floor, "ms", None)
    opened = []
    for _ in range(5):
        s = Screen([program, "-b", backend, "--nx", "--tui", "demo:tour"])
        s.until(b"press :")
        opened.append((time.monotonic() - s.began) * 1e3)
        s.close()
    start = []
    for _ in range(5):
        s = Screen([program, "-b", backend, "--nx", "demo:tour"])
        s.until(b"(kvmscope)")
        start.append((time.monotonic() - s.began) * 1e3)
        s.close()
    line("opening the screens, the prompt's own start taken off", statistics.median(opened) - statistics.median(start), "ms", 50)
    s = Screen([program, "-b", backend, "-m", "512M", "--mode", "long", "--nx", "--tui", "-c", f"tb *{READY:#x}", "-c", "run",
                f"{where}/guest"])
    s.until(b"breakpoint at")
    s.send(b"\x1bOQ")
    s.quiet(1)
    line("idle screen, 100,000 pages mapped: cores", s.cores(2), "cores", 0.005)
    line("map: a key, guest stopped", s.key_ms([b"\x1bOC", b"\x1bOD"]), "ms", 16)
    s.send(b"\x1bOR")
    s.quiet()
    s.send(b"*")
    s.quiet(1)
    line("tables, 100,000 entries open: a key, guest stopped", s.key_ms([b"\x1bOB", b"\x1bOA"]), "ms", 16)
    s.command("c")
    s.quiet(most=0.5)
    line("tables, 100,000 entries open: a key, guest running", s.key_ms([b"\x1bOB", b"\x1bOA"]), "ms", 16)
    s.send(b"\x1bOQ")
    s.quiet(most=0.5)
    line("map: a key, guest running", s.key_ms([b"\x1bOC", b"\x1bOD"]), "ms", 16)
    s.close()


def main():
    global STATE
    program = os.path.abspath(sys.argv[1])
    backend = sys.argv[2] if len(sys.argv) > 2 else "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "soft"
    with tempfile.TemporaryDirectory() as where:
        STATE = where
        print(f"screens on backend {backend}, 120x40")
        measure_keys(program, backend, where)
        for name, pages in (("compute", 1), ("all pages", PAGES)):
            alone, own = rounds(program, backend, where, pages, False)
            beside, cores = rounds(program, backend, where, pages, True)
            line(f"{name} guest: cores for looking and drawing", cores - own, "cores", 0.1)
            line(f"{name} guest: time with the map open, by that without", alone / beside if beside else 99, "x", 1.02)


main()
