#!/usr/bin/env python3
"""The stories in scripts/: each tells its whole story on every backend of this host, and what it asserts holds. What a story
does when an assertion does not hold is tested with stories of one line."""
import json, os, re, shutil, subprocess, sys, tempfile

BIN = os.path.abspath(os.environ.get("KVMSCOPE", "build/kvmscope"))
SCRIPTS = os.path.abspath("scripts")
STORIES = ("readonly-rom", "pipeline", "smram", "mmio-remap", "memop", "rmap-chain")
ERROR = re.compile(r"^error: .+: .+; try .+$")
KVM = None if os.access("/dev/kvm", os.R_OK | os.W_OK) else "/dev/kvm does not open"


def run(script, backend, **kw):
    p = subprocess.run([BIN, "-b", backend, "--batch", "--nx", "-q", "-x", script], capture_output=True, text=True, timeout=120,
                       stdin=subprocess.DEVNULL, **kw)
    return p.returncode, p.stdout, p.stderr


def lacking(backend):
    """Has this host a reason to leave steps out? Where kernel structures and faults can be seen, all has to be."""
    p = subprocess.run([BIN, "-b", backend, "--batch", "--nx", "-q", "-j", "-c", "info kvm"], capture_output=True, text=True)
    facts = {f["what"]: f["value"] for f in json.loads(p.stdout)}
    return not all(facts[w].startswith(("yes", "on")) for w in ("shadow pages", "standing inside a fault"))


def a_host_that_cannot_see(_):
    """Without capabilities no kernel structure is read and no fault stood in: the stories go on and say so."""
    if KVM or os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip(KVM or "not root, or no setpriv")
    for name in STORIES:
        p = subprocess.run(["setpriv", "--inh-caps=-all", "--bounding-set=-all", BIN, "-b", "kvm", "--batch", "--nx", "-q", "-x",
                            f"{SCRIPTS}/{name}.tcl"], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert p.returncode == 0, (name, p.stderr, p.stdout[-400:])
        lacks = int(re.search(r"(\d+) not possible here\n$", p.stdout).group(1))
        assert (lacks > 0) == (name in ("readonly-rom", "mmio-remap", "rmap-chain")), (name, lacks)


class Skip(Exception):
    pass


def story(name, backend):
    """Whole, from another folder than the one that the script is in."""
    with tempfile.TemporaryDirectory() as d:
        status, out, err = run(f"{SCRIPTS}/{name}.tcl", backend, cwd=d)
        assert status == 0 and err == "", (status, err, out[-600:])
        assert os.listdir(d) == [], "a story leaves nothing behind"
    lines = out.split("\n")
    assert not re.search(r"^skip", out, re.M | re.I), out
    wide = [x for x in lines if len(x) > 125]
    assert not wide, wide
    steps, asserted, lacks = map(int, re.fullmatch(r"(\d+) steps, (\d+) asserted, (\d+) not possible here", lines[-2]).groups())
    assert steps >= 2 and asserted >= steps and lacks == len(re.findall(r"^   .* not possible here$", out, re.M)), lines[-2]
    assert lacks == 0 or lacking(backend), out
    assert f"on the {backend} backend" in lines[0], lines[0]


def tell(body):
    with tempfile.NamedTemporaryFile("w", suffix=".tcl") as f:
        f.write(f"source {SCRIPTS}/lib/story.tcl\nstory::tell t Title {{A text.}} {{\n{body}\n}}\n")
        f.flush()
        return run(f.name, "soft")


def fails(body, wanted):
    status, out, err = tell(body)
    assert status == 1 and ERROR.match(err.rstrip("\n")) and err.count("\n") == 1 and wanted in err, (status, out, err)


def a_wrong_value_ends_it(_):
    fails("step One.\nexpect a 1 2", 'step 1, a: it is "1", which is not == "2"')
    fails("step One.\nexpect a 1 1\nstep Two.\nexpect b {x y} has z", "step 2, b")
    fails("step One.\nexpect b {x y} lacks x", "step 1, b")
    fails("step One.\nexpect b 3 < 3", "step 1, b")
    fails("step One.\nexpect b 0x10 0x11", "step 1, b")


def a_step_must_assert(_):
    fails("step One.\nnote nothing\nstep Two.\nexpect a 1 1", "step 1: it asserts nothing")
    fails("step One.\nnote nothing", "step 1: it asserts nothing")


def a_refusal_must_come_and_match(_):
    fails("step One.\nrefuse a * {info slots}", "was not refused")
    fails("step One.\nrefuse a *nonsense* {slot del 77}", "refused with")


def counts_are_right(_):
    status, out, err = tell("step One.\nexpect a 0x10 16\nexpect e {}  {}\nrefuse c *77* {slot del 77}\nstep Two.\ncannot b {it has no b}")
    assert status == 0 and err == "", err
    assert out.endswith("\n2 steps, 3 asserted, 1 not possible here\n"), out
    assert re.search(r"^   a +0x10$", out, re.M) and re.search(r"^   e +none$", out, re.M), out
    assert re.search(r"^   b +not possible here\n      it has no b$", out, re.M), out


def main():
    n = {"passed": 0, "failed": 0, "skipped": 0}
    tests = [(f"{b} {s}", lambda b, s=s: story(s, b), b) for s in STORIES for b in ("kvm", "soft")]
    tests += [(f.__name__, f, "soft") for f in (a_wrong_value_ends_it, a_step_must_assert, a_refusal_must_come_and_match, counts_are_right,
                                              a_host_that_cannot_see)]
    for name, test, backend in tests:
        if sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        if backend == "kvm" and KVM:
            n["skipped"] += 1
            print(f"skip: {KVM}")
            continue
        try:
            test(backend)
            n["passed"] += 1
            print(f"ok      {name}", flush=True)
        except Skip as e:
            n["skipped"] += 1
            print(f"skip: {e}")
        except Exception as e:  # noqa: BLE001
            n["failed"] += 1
            print(f"FAILED  {name}: {type(e).__name__}: {str(e)[:1500]}", flush=True)
    print(", ".join(f"{v} {k}" for k, v in n.items()))
    return 1 if n["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
