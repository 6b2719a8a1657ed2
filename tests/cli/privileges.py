#!/usr/bin/env python3
"""Who may do what: `info kvm` against the commands that it speaks of, for several sets of capabilities; and what a program
whose file has capabilities gives up, and does not read."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import BIN, KVM, Skip, errors_of, main, ok, run, start

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def as_nobody(*caps):
    """Words that run a program as nobody with these capabilities."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("not root, or no setpriv: there is no becoming somebody else")
    given = ",".join("+" + c for c in caps)
    return [*NOBODY, "--inh-caps=-all" + ("," + given if given else ""), *(["--ambient-caps=" + given] if given else [])]


def users():
    """(name, words) of everybody who can be played here."""
    yield "as it is", []
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return
    yield "root without sys_admin", ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all"]
    for caps in ((), ("bpf", "perfmon"), ("sys_admin",), ("sys_ptrace",), ("bpf", "perfmon", "sys_admin", "sys_ptrace")):
        yield "nobody with " + " ".join(caps or ["none"]), as_nobody(*caps)


# ---- info kvm


def works(who, *lines):
    """Does the last line succeed, and what was said? The ones before must."""
    status, values, err = run(*lines, backend="kvm", wrap=who)
    assert status == 0 or len(values) == len(lines) - 1, (lines, values, err)
    return status == 0, err


def rows_agree_with_commands():
    if not KVM:
        raise Skip("no /dev/kvm that can be opened")
    played = 0
    for name, who in users():
        status, values, err = run("info kvm", backend="kvm", wrap=who)
        if status and "/dev/kvm" in err:
            print(f"skip: /dev/kvm is not for {name}", flush=True)
            continue
        played += 1
        row = {f["what"]: f for f in values[0]}
        cap = {k: f["value"] == "yes" for k, f in row.items()}
        for what, *lines in (("host physical addresses", "run", "gpa2hpa 0x40000"), ("reverse maps", "run", "info rmap 0x40"),
                             ("shadow pages", "run", "info shadow"), ("MMIO cache", "run", "info mmio"), ("standing inside a fault", "catch fault 0x40"),
                             ("userfaultfd", "catch fault 0x40")):
            done, said = works(who, *lines)
            assert done == cap[what], (name, what, row[what], said)
            if not done:  # both in the same words
                assert row[what]["why"].split("; try ")[0] in said and "; try " in row[what]["why"], (name, row[what], said)
        done, said = works(who, "catch mmu spte")
        assert done == (row["catch mmu"]["value"] != "no"), (name, row["catch mmu"], said)
        assert done or row["catch mmu"]["why"].split("; try ")[0] in said, (name, row["catch mmu"], said)
        check_faults(name, who, row["catch fault"])
        assert "sys_admin+" not in str(values) and "cap_sys_admin" not in str(values), values
    if not played:
        raise Skip("nobody who can be played here may open /dev/kvm")


def check_faults(name, who, row):
    """Each fault: three stops at gfn 0x40; once a page: that is said at `catch fault` and at `fault list`, with what to do."""
    status, values, err = run("catch fault 0x40", "run", "fault list", backend="kvm", wrap=who)
    told = err.count("not each fault is caught here")
    if row["value"] == "no":
        assert status == 1 and len(errors_of(err)) == 1 and told == 0, (name, err)
        return
    assert status == 0 and told == (2 if row["value"] == "once a page" else 0), (name, row, err)
    if told:
        assert row["why"] in err and "; try " in row["why"], (name, row, err)
        return
    stops = ok("catch fault 0x40", *["run"] + ["fault continue"] * 2, backend="kvm", wrap=who)[1:]
    assert [s["reason"] for s in stops] == ["fault-stage"] * 3, (name, stops)


# ---- a file with capabilities


class Elevated:
    """A copy of the program with file capabilities, in a folder that nobody may read."""

    def __init__(self, caps="cap_bpf,cap_perfmon+ep"):
        if os.geteuid() != 0 or not all(map(shutil.which, ("setpriv", "setcap"))):
            raise Skip("not root, or no setpriv or setcap: no file can be given capabilities")
        self.dir = tempfile.TemporaryDirectory(prefix="kvmscope-caps-")
        d = self.dir.name
        os.chmod(d, 0o755)
        self.bin = d + "/kvmscope"
        shutil.copy(BIN, self.bin)
        os.chmod(self.bin, 0o755)
        p = subprocess.run(["setcap", caps, self.bin], capture_output=True, text=True)
        if p.returncode:
            raise Skip(f"no file can be given capabilities here: {p.stderr.strip()}")
        os.mkdir(d + "/home")
        self.home = d + "/home"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.dir.cleanup()

    def run(self, *lines, backend="soft", nx=True, **env):
        argv = [*as_nobody(), self.bin, "-b", backend, "--batch", *(["--nx"] if nx else []), "-q"]
        for line in lines:
            argv += ["-c", line]
        p = subprocess.run([*argv, "demo:tour"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=self.home,
                           env={**os.environ, "HOME": self.home, "XDG_CONFIG_HOME": self.home, **env})
        if "Operation not permitted" in p.stderr and not p.stdout and p.returncode == 126:
            raise Skip("this container runs no file with these capabilities")
        return p

    def elevated(self):
        """Is it, here? A file system without set-uid gives nothing."""
        p = self.run("puts [exec sh -c {getfattr -d / 2>/dev/null; true}]", "catch {load /none-such.so} why; puts $why")
        if "the program's file has capabilities" not in p.stdout:
            raise Skip(f"the kernel gives this copy no capabilities (nosuid?): {p.stdout[-200:]} {p.stderr[-200:]}")
        return self


def capabilities_are_given_up():
    with Elevated() as x:
        x.elevated()
        p = x.run("puts [exec sh -c {grep Cap /proc/self/status}]", "puts [exec grep Cap /proc/[pid]/status]")
        lines = p.stdout.split("\n")
        kept = [line for line in lines if line.startswith(("CapInh", "CapPrm", "CapEff", "CapAmb"))]
        assert len(kept) == 8 and all(int(line.split()[1], 16) == 0 for line in kept), (p.stdout, p.stderr)


def no_library_is_loaded():
    with Elevated() as x:
        x.elevated()
        for script in ("load /none-such.so", "interp create x", "interp cr x", "set i interp; $i create", "namespace eval a {interp create}",
                       "package require none-such", "::load /none-such.so"):
            p = x.run(f"if {{[catch {{{script}}} why]}} {{puts refused:$why}}")
            assert "refused:" in p.stdout, (script, p)
            assert "package" in script or "has capabilities" in p.stdout, (script, p)
        # what else there is of it works, and so does Tcl's library
        p = x.run("puts [interp issafe][interp exists {}]", "puts [clock format 0 -gmt 1 -format %Y]", "parray tcl_platform")
        assert "01" in p.stdout and "1970" in p.stdout and "tcl_platform(platform)" in p.stdout, p


def nothing_of_the_users_is_read():
    with Elevated() as x:
        x.elevated()
        os.makedirs(x.home + "/kvmscope")
        os.makedirs(x.home + "/lib")
        for path in ("/kvmscope/init.tcl", "/lib/init.tcl"):
            with open(x.home + path, "w") as f:
                f.write("puts stderr of-the-user\nputs of-the-user\n")
        p = x.run("puts [clock format 0 -gmt 1 -format %Y]", "puts [info exists ::env(TCL_LIBRARY)][info exists ::env(KVMSCOPE_TRAP_PAGE)]", nx=False,
                  TCL_LIBRARY=x.home + "/lib", TCLLIBPATH=x.home + "/lib", KVMSCOPE_TRAP_PAGE="1", TERMINFO=x.home)
        assert "of-the-user" not in p.stdout + p.stderr and "1970\n" in p.stdout and "00\n" in p.stdout, p
        assert "init.tcl is not read" in p.stderr and "-x FILE" in p.stderr, p
        # the same program without them reads both
        subprocess.run(["setcap", "-r", x.bin], check=True)
        p = x.run("expr 1", nx=False)
        assert "of-the-user" in p.stdout, p


def the_kernel_is_still_read():
    """Also behind `load`, which makes another VM before the old one goes."""
    if not KVM:
        raise Skip("no /dev/kvm that can be opened")
    with Elevated() as x:
        x.elevated()
        p = x.run("info rmap 0x40", "load demo:tour", "info rmap 0x40", "load demo:tour", "info kvm", "info rmap 0x40", backend="kvm")
        if "/dev/kvm" in p.stderr:
            raise Skip("/dev/kvm is not for nobody")
        assert p.returncode == 0 and p.stdout.count("source kernel") >= 3, p
        assert "file capabilities" in p.stdout and "given up" in p.stdout, p.stdout


def advice_never_hands_out_sys_admin():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = subprocess.run(["grep", "-rniE", "setcap[^|]*sys_admin", "--include=*.md", "--include=*.c", "--include=*.h", "--include=*.1", "--include=*.in",
                            "--include=*.tcl", "README.md", "docs", "cli", "core", "kvmback", "views", "scripts", "completions"], cwd=top, capture_output=True,
                           text=True)
    assert found.stdout == "", found.stdout


if __name__ == "__main__":
    sys.exit(main([rows_agree_with_commands, capabilities_are_given_up, no_library_is_loaded, nothing_of_the_users_is_read, the_kernel_is_still_read,
                   advice_never_hands_out_sys_admin]))
