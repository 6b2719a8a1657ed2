#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same work in kvmscope and in its peers: gdb on QEMU's gdbstub, and QEMU's own monitor.

    tests/bench/peers.py build/kvmscope

One guest for both (peer_guest.asm). Unix sockets in a directory of its own; every wait has an end, and only processes that
were started here are ended.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
READY = 0x100200
STORE, WATCHED = 0x100240, 0x1000000
STEPS, HITS, PAGES = 5000, 500, 100000
TIMEOUT = 240
GDB_TIMEOUT = 60  # its 500 hits take a second; where data watchpoints do not hit, gdb would wait for ever


def note(name, why):
    print(f"{name:<34} n/a ({why})", flush=True)


def line(name, ours, theirs, unit, aim, faster):
    """faster: how many times more of it, or less time, we have."""
    met = "-" if not aim else "met" if faster >= aim else "missed"
    print(f"{name:<34} {ours:>12.5g} {unit:<6} {theirs:>12.5g} {unit:<6} {faster:>8.1f}x  "
          f"{'>= %gx' % aim if aim else '-':<8} {met}", flush=True)


class Qemu:
    def __init__(self, where, image, accel):
        self.where, self.gdb_path, self.mon_path = where, f"{where}/gdb", f"{where}/mon"
        self.process, self.accel = None, accel
        if not self.start(accel, image):
            raise RuntimeError("QEMU did not get the guest to its loop")

    def start(self, accel, image):
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", accel, "-m", "128", "-display", "none", "-nodefaults", "-no-reboot",
             "-kernel", image, "-S", "-chardev", f"socket,id=g,path={self.gdb_path},server=on,wait=off", "-gdb",
             "chardev:g", "-monitor", f"unix:{self.mon_path},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None and not os.path.exists(self.mon_path):
            time.sleep(0.01)
        try:
            self.monitor = socket.socket(socket.AF_UNIX)
            self.monitor.settimeout(TIMEOUT)
            self.monitor.connect(self.mon_path)
            self.answer()
            self.ask("cont")
            while time.monotonic() < end:
                rip = re.search(r"RIP=([0-9a-f]+)", self.ask("info registers"))
                if rip and READY <= int(rip[1], 16) < READY + 8:
                    self.ask("stop")
                    return True
                time.sleep(0.05)
        except OSError:
            pass
        self.stop()
        return False

    def answer(self):
        """Up to the next prompt."""
        parts = []
        while not parts or not b"".join(parts[-2:]).endswith(b"(qemu) "):
            got = self.monitor.recv(1 << 20)
            if not got:
                raise OSError("the monitor closed")
            parts.append(got)
        return b"".join(parts).decode(errors="replace")

    def ask(self, command):
        self.monitor.sendall(command.encode() + b"\n")
        return self.answer()

    def stop(self):
        self.monitor.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for path in (self.gdb_path, self.mon_path):
            if os.path.exists(path):
                os.unlink(path)


GDB_SCRIPT = """
import gdb, time
def timed(name, command, n=1):
    begin = time.monotonic()
    for _ in range(n):
        gdb.execute(command, to_string=True)
    print('@', name, time.monotonic() - begin, flush=True)
timed('step', 'stepi %d')
timed('dump', 'dump binary memory %s 0x40000000 0x44000000')
gdb.execute('hbreak *0x%x' if %d else 'break *0x%x')
timed('hit', 'continue', %d)
gdb.execute('delete')
gdb.execute('set $pc = 0x%x')
gdb.execute('watch *(int *)0x%x')
timed('watch', 'continue', %d)
"""


def timings(text):
    return {m[1]: float(m[2]) for m in re.finditer(r"@ (\w+) ([0-9.e+-]+)", text)}


def gdb_times(qemu, where):
    script = f"{where}/peers.py"
    with open(script, "w") as f:
        f.write(GDB_SCRIPT % (STEPS, f"{where}/dump.gdb", READY, qemu.accel == "kvm", READY, HITS, STORE, WATCHED, HITS))
    done = subprocess.run(
        ["gdb", "-q", "-nx", "-batch", "-ex", "set pagination off", "-ex", "set architecture i386:x86-64", "-ex",
         f"target remote {qemu.gdb_path}", "-x", script],
        capture_output=True, text=True, timeout=GDB_TIMEOUT, stdin=subprocess.DEVNULL, check=False)
    times = timings(done.stdout)
    if not times:
        print(done.stderr[-800:], file=sys.stderr)
    return times


def median(v):
    return sorted(v)[len(v) // 2]


def qemu_tlb(qemu):
    times = []
    for _ in range(5):
        begin = time.monotonic()
        rows = qemu.ask("info tlb").count("\n")
        times.append(time.monotonic() - begin)
    if rows < PAGES:
        raise RuntimeError(f"QEMU's info tlb has only {rows} lines")
    return median(times)


def run_ours(program, image, options, script):
    done = subprocess.run([program, "-q", "--nx", "-b", "kvm", "-n", "1", "--batch", "--format", "flat", *options, "-c", script, image],
                          capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return timings(done.stdout)


TIMED = """proc timed {name script} {
    set t [clock microseconds]; uplevel #0 $script; puts "@ $name [expr {([clock microseconds] - $t) / 1e6}]"
}
proc one_by_one {n} { for {set i 0} {$i < $n} {incr i} {si} }
proc hits {n} { for {set i 0} {$i < $n} {incr i} {c} }
"""


def our_times(program, image, where):
    options = ["--mode", "prot", "--at", "0x100000", "--entry", "0x100040", "-m", "128M"]
    script = TIMED + f"""b {READY:#x}; c; delete
    timed step {{si {STEPS}}}; timed one {{one_by_one {STEPS}}}
    timed dump {{dump {where}/dump.ours 0x40000000 0x4000000}}
    b {READY:#x}; timed hit {{hits {HITS}}}; delete
    set $rip = {STORE:#x}; watch {WATCHED:#x} 4; timed watch {{hits {HITS}}}"""
    return run_ours(program, image, options, script)


def our_user_times(program, where):
    image = f"{where}/user.bin"
    with open(image, "wb") as f:
        f.write(b"\x48\xff\xc0\xeb\xfb")
    script = TIMED + f"timed step {{si {STEPS}}}; timed one {{one_by_one {STEPS}}}; b $rip; timed hit {{hits {HITS}}}"
    times = run_ours(program, image, ["--mode", "user"], script)
    with open(image, "wb") as f:
        f.write(b"\xff\x04\x25" + WATCHED.to_bytes(4, "little") + b"\xeb\xf7")
    script = TIMED + f"watch {WATCHED:#x} 4; timed watch {{hits {HITS}}}"
    return {**times, **run_ours(program, image, ["--mode", "user"], script)}


def our_list(program, image, command):
    """As text down a pipe, the way QEMU's comes down its socket; both ends of it are on our clock."""
    times = []
    for _ in range(5):
        p = subprocess.Popen([program, "-q", "--nx", "-b", "kvm", "-n", "1", "--batch", "--format", "flat", "--mode", "prot", "--at", "0x100000",
                              "--entry", "0x100040", "-m", "128M", "-c", "mem write 0x5000 01 -phys", "-c", "c", "-c", "puts @begin; flush stdout",
                              "-c", command, "-c", "puts @end", image],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        text, begin = b"", None
        while True:
            got = os.read(p.stdout.fileno(), 1 << 20)
            if not got:
                break
            text += got
            if begin is None and b"@begin" in text:
                begin, text = time.monotonic(), text[text.index(b"@begin"):]
        times.append(time.monotonic() - (begin or 0))
        p.wait(TIMEOUT)
        if text.count(b"\n") < PAGES:
            raise RuntimeError(f"{command} has only {text.count(bytes([10]))} lines")
    return median(times)


def their_times(where, image):
    """(accel, seconds of QEMU's info tlb, gdb's times), with KVM where QEMU and gdb get through there, else with TCG."""
    for accel in ("kvm", "tcg"):
        qemu = None
        try:
            qemu = Qemu(where, image, accel)
            return accel, qemu_tlb(qemu), gdb_times(qemu, where)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
            if accel == "tcg":
                raise
            print(f"not with -accel {accel}: {'gdb did not end' if isinstance(e, subprocess.TimeoutExpired) else e}")
        finally:
            if qemu:
                qemu.stop()
    raise RuntimeError("no accelerator")


def compare(program, where, image):
    accel, tlb, theirs = their_times(where, image)
    print(f"QEMU with -accel {accel}; gdb over a unix socket")
    print(f"{'work':<34} {'ours':>19} {'theirs':>19} {'faster':>9}  {'aim':<8} met?")
    ours, user = our_times(program, image, where), our_user_times(program, where)
    rows = [("CPL 0: stepi N against si N", ours, "step", STEPS, 20), ("CPL 0: the same, si one by one", ours, "one", STEPS, 20),
            ("CPL 3: si N against stepi N", user, "step", STEPS, 6), ("CPL 3: the same, si one by one", user, "one", STEPS, 6),
            ("CPL 0: breakpoint hits", ours, "hit", HITS, 10), ("CPL 3: breakpoint hits", user, "hit", HITS, 6),
            ("CPL 0: watchpoint hits", ours, "watch", HITS, 3), ("CPL 3: watchpoint hits", user, "watch", HITS, 3)]
    for name, mine, key, n, aim in rows:
        theirs_key = "step" if key == "one" else key
        if theirs_key not in theirs or key not in mine:
            note(name, "it did not run")
            continue
        line(name, n / mine[key], n / theirs[theirs_key], "/s", aim, theirs[theirs_key] / mine[key])
    if "dump" in theirs:
        line("dump of 64 MiB by gva", 64 / ours["dump"], 64 / theirs["dump"], "MiB/s", 20, theirs["dump"] / ours["dump"])
    for command in ("info tlb 0x40000000 0x7fffffff", "info sptes 0x40000000 0x7fffffff"):
        t = our_list(program, image, command)
        line(f"{' '.join(command.split()[:2])} of 100,000: QEMU's info tlb", t * 1e3, tlb * 1e3, "ms", 1, tlb / t)


def main():
    for tool in ("qemu-system-x86_64", "gdb", "nasm"):
        if not shutil.which(tool):
            print(f"bench-peers: n/a ({tool} is not installed)")
            return
    with tempfile.TemporaryDirectory(prefix="kvmscope-peers-") as where:
        image = f"{where}/guest.bin"
        subprocess.run(["nasm", "-f", "bin", "-o", image, f"{HERE}/peer_guest.asm"], check=True)
        try:
            compare(sys.argv[1], where, image)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
            print(f"bench-peers: {e}")


main()
