#!/usr/bin/env python3
"""Bad input: one line `error: WHAT: WHY; try …`, nothing changed, the session goes on, batch exit status 1."""
import os, stat, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import BIN, ERROR, KVM, Skip, can_read_kernel, drop, errors_of, main, num, ok, refused, rows, run, start

# What each says must name the reason: a word of it is asked for.
LINES = [
    ("slot add 5 0x1 0x1000", "4 KiB"), ("slot add 5 0x1000000 0x1001", "4 KiB"), ("slot add 5 0x40000 0x1000", "overlap"),
    ("slot add 0 0x1000000 0x1000", "0"), ("slot add 5 0xfffffffffffff000 0x1000", "2^64"), ("slot add 99999999 0x1000000 0x1000", "slot"),
    ("slot add 5 0x1000000 0", "size 0"), ("slot add 5 0x1000000 0x1000 -nosuch", "-nosuch"),
    ("slot add 5 0x1000000 0x1000 -visible purple", "purple"), ("slot add 5 0x1000000 0x1000 -file /none-such", "/none-such"),
    ("slot add 5 0x1000000 0x1000 -file /etc/passwd -huge", "-huge"), ("slot add 5 0x1000000 0x100000 -file /etc/passwd", "file"),
    ("slot flags 1 +nonsense", "nonsense"), ("slot flags 1 readonly", "readonly"), ("slot flags 77 +readonly", "77"),
    ("slot del 77", "77"), ("slot move 1 0x1", "4 KiB"), ("slot move 1 0x40000", "overlap"), ("slot dirty 1", "log"), ("info rmap 0x40000", "no slot"), ("info rmap 0x10000000000040", "no slot"),
    ("x/8gx 0xdead000000000000", "0xdead000000000000"), ("xp/8gx 0x90000000", "0x90000000"), ("x/gx 0x300000", "0x300000"),
    ("mem read 0x300000 8", "0x300000"), ("mem write 0x300000 00", "0x300000"), ("mem write 0x240000 0g", "hex digit"),
    ("mem read 0x240000 0x1000000000000", ""), ("gva2gpa 0x300000", "0x300000"), ("gpa2hva 0x90000000", "0x90000000"),
    ("reg nosuch", "nosuch"), ("reg rax purple", "purple"), ("p $nosuch", "nosuch"), ("b nosuchsymbol", "nosuchsymbol"),
    ("p 1 +", "1 +"), ("p (1", ""), ("p 1/0", ""), ("frobnicate", "frobnicate"), ("inf nosuch", "nosuch"), ("x/8qq 0x240000", "unit"),
    ("foreach {", ""), ("expr {1 +", ""), ("puts [", ""), ("set", "set"), ("vcpu 9", "9"), ("smi 9", "9"), ("delete 77", "77"), ("condition 77 1", "77"),
    ("memop read 0x240000 65537", "65536"), ("memop read 0x240000 0", ""), ("load /none-such", "/none-such"), ("load demo:nosuch", "nosuch"),
    ("load demo:tour -m 1", ""), ("load demo:tour -n 65", "64"), ("restore /none-such 0x240000", "/none-such"), ("source /none-such", "/none-such"),
    ("dump /none-such/x 0x240000 16", "/none-such/x"), ("catch nosuch", "nosuch"), ("diff nosuch", "nosuch"), ("until nosuch", "nosuch"),
    ("si -1", "is -1"), ("c -1", "is -1"), ("catch fault 5 4", "before"), ("catch fault -1", "no slot"), ("memop write 0x240000", "HEX"),
]
STATE = ["info slots", "info registers -a", "info breakpoints", "info vcpus"]


def each_line(b):
    """Alone in batch: status 1 and a single line that names the reason."""
    wrong = []
    for line, word in LINES:
        try:
            said = refused(line, backend=b)
            if word.lower() not in said.lower():
                wrong.append(f"{line}: does not say {word!r}: {said}")
        except AssertionError as e:
            wrong.append(f"{line}: {e}")
    assert not wrong, "\n".join(wrong)


def help_that_is_named(b):
    """What an error says to look up is there."""
    for line, word in (("p 1 +", "expressions"), ("p $nosuch", "tcl"), ("frobnicate", "")):
        said = refused(line, backend=b)
        assert f"try help {word}".strip() in said, said
        ok(f"help {word}".strip(), backend=b)


def nothing_changed(b):
    """All of them in one session that goes on: state and memory before and after are the same."""
    v = run("snap a", *STATE, *(f"catch {{{c}}}" for c, _ in LINES if "{" not in c and "[" not in c), *STATE, "snap b", "diff a b",
            backend=b)
    status, values, err = v
    assert status == 0, err[-400:]
    n = len(STATE)
    for what, before, after in zip(STATE, values[1:1 + n], values[-2 - n:-2]):
        before, after = ([{k: v for k, v in r.items() if k != "tsc"} for r in rows(t)] for t in (before, after))    # it ticks
        assert before == after, (what, before, after)
    assert values[-1] == [], values[-1][:3]


def session_goes_on(b):
    text = "\n".join(c for c, _ in LINES if "{" not in c and "[" not in c) + "\nputs stderr @@end\n"
    p = subprocess.run([BIN, "-b", b, "--nx", "-q", "demo:tour"], input=text.encode(), capture_output=True, timeout=120)
    err = p.stderr.decode().strip().split("\n")
    assert p.returncode == 0 and err[-1] == "@@end", err[-3:]
    bad = [e for e in err[:-1] if not ERROR.match(e)]
    assert not bad and len(err) - 1 == len(text.split("\n")) - 2, bad


def images(b):
    """Missing, empty, cut short, too big, a folder, a pipe, no permission."""
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        put = lambda name, data: (open(f"{d}/{name}", "wb").write(data), f"{d}/{name}")[1]
        header = bytearray(64)
        header[:20] = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 62)
        assert "No such file" in refused(backend=b, image=f"{d}/none")
        said = refused(backend=b, image=d)
        assert "directory" in said.lower() or "regular file" in said, said
        refused(backend=b, image=put("empty", b""))
        refused(backend=b, image=put("cut.elf", bytes(header[:20])))
        refused(backend=b, image=put("none.elf", bytes(header)))
        big = put("big", b"")
        os.truncate(big, 128 << 20)
        assert "-m" in refused(backend=b, image=big) or "memory" in refused(backend=b, image=big)
        refused(backend=b, image=put("flat", b"\xf4"), opts=["--at", "0xfffffffffffff000"])
        fifo = f"{d}/fifo"
        os.mkfifo(fifo)
        refused(backend=b, image=fifo, timeout=20)


def options():
    for opts in (["--nosuch"], ["-b", "purple"], ["-m", "0"], ["-m", "12x"], ["-n", "0"], ["--mode"], ["--mode", "purple"], ["--at", "x"], ["a", "b"]):
        p = subprocess.run([BIN, "--batch", *opts], capture_output=True, stdin=subprocess.DEVNULL, timeout=20)
        err = p.stderr.decode().strip()
        assert p.returncode == 1 and ERROR.match(err), (opts, p.returncode, err)


def unreadable_kvm():
    """--backend kvm as somebody who may not open /dev/kvm; auto falls back to soft and says why."""
    if not os.path.exists("/dev/kvm"):
        assert "/dev/kvm" in refused(backend="kvm")
        return
    if os.geteuid() != 0 or os.stat("/dev/kvm").st_mode & stat.S_IWOTH:
        raise Skip("not root, or everybody may open /dev/kvm")
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        exe = d + "/kvmscope"
        subprocess.run(["cp", BIN, exe], check=True)
        wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
        go = lambda *a: subprocess.run([*wrap, exe, "--batch", "--nx", *a], capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
                                       env={**os.environ, "HOME": d}, cwd=d)
        p = go("-b", "kvm", "-c", "run")
        err = p.stderr.decode().strip()
        assert p.returncode == 1 and ERROR.match(err) and "/dev/kvm" in err and "ermission" in err, err
        p = go("-c", "run", "-c", "info rmap 0x40")
        out = p.stdout.decode()
        assert p.returncode == 0 and "backend soft" in out and "2 sptes" in out, (p.returncode, out[:200], p.stderr[-200:])


def without_cap_bpf():
    """What needs the kernel's structures says what is missing and how to get it; everything else works."""
    if not can_read_kernel():
        raise Skip("the kernel's structures cannot be read here anyway")
    wrap = drop("bpf", "perfmon", "sys_admin")
    for line in ("info rmap 0x40", "info rmaps", "info shadow", "info sptes", "info mmio", "shadow tree"):
        said = refused("run", line, backend="kvm", wrap=wrap)
        assert "CAP_BPF" in said and "setcap" in said, said
    v = ok("info slots", "run", "walk 0x240000 w -user", "xlate 0x240000 4 w -user", "x/gx 0x240000", "info tlb", "snap a", "si", "info kvm",
           "slot flags 1 -readonly", backend="kvm", wrap=wrap)
    assert len(v[0]) == 2 and v[1]["reason"] == "exception" and v[2]["verdict"] == "ok", v[:3]
    assert "CAP_BPF" in str(v[2]["sptes"]) and "CAP_BPF" in str(v[2]["mmio"]), v[2]
    assert any("CAP_BPF" in f["why"] and "setcap" in f["why"] for f in v[-2]), v[-2]
    assert "CAP_SYS_ADMIN" in refused("run", "gpa2hpa 0x40000", backend="kvm", wrap=wrap)


def out_of_memory(b):
    """Terabytes of guest, and of slot."""
    status, _, err = run("info slots", backend=b, opts=["-m", "64T"], image=None and "", timeout=60)
    assert status in (0, 1) and (status == 0 or len(errors_of(err)) == 1), err
    said = refused("slot add 5 0x10000000000 0x400000000000", backend=b)
    assert ERROR.match(said)


def small_address_space(b):
    """Too small for the slot asked for: the session goes on without it."""
    wrap = ["sh", "-c", 'ulimit -v 600000; exec "$@"', "-"]
    v = run("catch {slot add 5 0x100000000 1G} e", "set e", "info slots", "run", backend=b, wrap=wrap)
    assert v[0] == 0 and num(v[1][0]) == 1 and "; try " in v[1][1] and len(v[1][2]) == 2, v
    assert v[1][3]["reason"] == "exception", v[1][3]


def out_of_descriptors(b):
    """From none to enough: always a whole session, or one line."""
    good = 0
    for n in range(3, 40):
        wrap = ["sh", "-c", f'ulimit -n {n}; exec "$@"', "-"]
        status, values, err = run("run", "info rmap 0x40", backend=b, wrap=wrap, timeout=60)
        said = errors_of(err)
        if "error while loading shared libraries" in err or status == 127:
            continue
        assert (status == 0 and not said) or (status == 1 and len(said) == 1 and ERROR.match(said[0])), (n, status, err[-300:])
        good += status == 0
    assert good > 5, good


if __name__ == "__main__":
    tests = [each_line, help_that_is_named, nothing_changed, session_goes_on, images, options, unreadable_kvm, without_cap_bpf, out_of_memory, out_of_descriptors]
    if "ASAN_OPTIONS" not in os.environ:  # whose shadow alone is terabytes of address space
        tests.append(small_address_space)
    sys.exit(main(tests))
