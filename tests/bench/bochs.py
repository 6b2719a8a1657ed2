#!/usr/bin/env python3
"""The soft CPU against Bochs on the same guest loop, in one run: `dec ecx; jnz` from a boot sector, 200 million instructions.

    tests/bench/bochs.py PROGRAM

Both are run with a short loop too, whose time is taken off, so that what is compared is the loop alone. CPU time of the whole process
(user), median of five, in turn. Says why where Bochs (Debian packages bochs and bochs-term) or nasm is missing.
"""
import os, pty, resource, select, shutil, signal, statistics, subprocess, sys, tempfile, time

LOOPS = 100_000_000
SECTOR = """bits 16
org 0x7c00
 mov ecx, {loops}
.l: dec ecx
 jnz .l
 mov dx, 0x8900
 mov si, msg
.s: lodsb
 test al, al
 jz .h
 out dx, al
 jmp .s
.h: cli
 hlt
msg: db 'Shutdown', 0
 times 510-($-$$) db 0
 dw 0xaa55
"""
RC = """megs: 32
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
floppya: 1_44={floppy}, status=inserted
boot: floppy
log: {log}
display_library: term
cpu: count=1, ips=100000000
clock: sync=none
sound: driver=dummy
"""


def user_seconds(argv, on_tty=False, limit=60):
    """User CPU seconds of one run; Bochs' terminal display wants a terminal."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    if not on_tty:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit, check=True)
    else:
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execvp(argv[0], argv)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                if not os.read(fd, 65536):
                    break
            except OSError:
                break
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise RuntimeError(f"{argv[0]} did not end within {limit} s")
        os.waitpid(pid, 0)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def prepare(d):
    runs = {}
    for name, loops in (("long", LOOPS), ("short", 1000)):
        asm, img, rc = (os.path.join(d, f"{name}.{e}") for e in ("asm", "img", "rc"))
        with open(asm, "w") as f:
            f.write(SECTOR.format(loops=loops))
        subprocess.run(["nasm", "-f", "bin", "-o", img, asm], check=True)
        with open(img, "rb") as f:
            sector = f.read()
        with open(img + ".floppy", "wb") as f:
            f.write(sector.ljust(1474560, b"\0"))
        with open(rc, "w") as f:
            f.write(RC.format(floppy=img + ".floppy", log=os.path.join(d, name + ".log")))
        runs[name] = img, rc
    with open(os.path.join(d, "go"), "w") as f:
        f.write("c\n")
    return runs


def main():
    missing = [t for t in ("bochs", "nasm") if not shutil.which(t)]
    if missing:
        print(f"soft against Bochs: n/a ({' and '.join(missing)} not installed: apt-get install bochs bochs-term nasm)")
        return
    with tempfile.TemporaryDirectory() as d:
        runs = prepare(d)
        ours = lambda n: user_seconds([sys.argv[1], "-b", "soft", "--batch", "--nx", "-q", "-c", "run", runs[n][0]])
        theirs = lambda n: user_seconds(["bochs", "-q", "-f", runs[n][1], "-rc", os.path.join(d, "go")], on_tty=True)
        pairs = []
        for _ in range(5):
            a, b = ours("long") - ours("short"), theirs("long") - theirs("short")
            pairs.append((a, b))
        rate = lambda k: 2 * LOOPS / statistics.median(p[k] for p in pairs) / 1e6
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"soft against Bochs: {rate(0):.0f} to {rate(1):.0f} million instructions a second, {ratio:.2f} times (aim: 1 or more)")


if __name__ == "__main__":
    main()
