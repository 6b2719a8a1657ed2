#!/usr/bin/env python3
"""The driver of the emulated hosts (tests/hosts), with an emulator that is a shell script: what it says of a machine that dies, hangs,
prints garbage, or fails its checks."""
import glob, os, re, stat, subprocess, sys, tempfile, threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "hosts"), HERE]  # in this order: both have a console.py
from program import Skip, main
import cells, console, emulator, fetch, image, limits, matrix, report

CELL = cells.Cell("fake-6.1", "svm", "6.1", (), "fake", 64)
# What a guest prints, for `printf`; each check prints two lines of its own.
BOOT = r"[    0.1] Linux\n### boot 6.1\n### up 2.5\n"
GOOD = r"### check %s\nok one\nok two\n\n### done %s 0\n"
END = r"### end\n"


def check(name):
    return matrix.Check(name, name, "true")


class FakeHost(matrix.Host):
    """scripts: one a boot, of sh, with the console as its $1."""

    poll = 0.05

    def __init__(self, folder, scripts, checks, lines, run="", **limit):
        args = matrix.options(["--build", folder, "--run", run])
        args.alone = True
        self.scripts, self.limit, self.boots = list(scripts), limit, []
        super().__init__(CELL, [check(c) for c in checks], args, None, report.Report(lines.append))

    def find(self):
        self.release = "6.1"

    def prepare(self, todo):
        self.boots.append([c.name for c in todo])
        os.makedirs(self.out, exist_ok=True)
        boot = matrix.Boot(self.out, f"{self.out}/console")
        return boot, ["/bin/sh", "-c", self.scripts.pop(0), "sh", boot.console]

    def progress(self):
        return emulator.Progress(**{"silent": 60, "idle": 60, "ending": 60, **self.limit})


def run_host(scripts, checks=("a",), **kw):
    """The host behind its run, what was printed, and (passed, failed, skipped)."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        h = FakeHost(folder, scripts, checks, lines, **kw)
        h.run()
        lines.append("")
        h.status = h.report.summary([CELL.name], checks)
    text = "\n".join(lines)
    assert re.search(r"\d+ passed, \d+ failed, \d+ skipped\Z", text), text
    return h, text, tuple(h.report.sums())


def prints(*texts, then=""):
    return f"printf '{''.join(texts)}' >>\"$1\"; {then}"


def good(*names):
    return "".join(GOOD % (n, n) for n in names)


def all_passes():
    h, text, sums = run_host([prints(BOOT, good("a", "b"), END)], ("a", "b"))
    assert sums == (4, 0, 0) and h.status == 0, text
    assert re.search(r"^a +2$", text, re.M) and "fake-6.1" in text, text


def dies_before_any_check():
    h, text, sums = run_host([prints(BOOT, r"Kernel panic - not syncing: no init\n", then="echo qemu: abort >&2; exit 3")], ("a", "b"))
    assert sums == (0, 1, 0) and h.status == 1 and len(h.boots) == 1, text
    for part in ("status 3", "qemu: abort", "Kernel panic", "not run: a b"):
        assert part in text, (part, text)


def ends_without_a_word():
    _, text, sums = run_host(["exit 0"])
    assert sums == (0, 1, 0) and "status 0" in text, text


def cannot_be_started():
    h, text, sums = run_host(["exec /none/such"])
    assert sums == (0, 1, 0) and h.status == 1, text


def dies_in_a_check():
    """The check has failed by name; what is left is run by another boot, and only that."""
    h, text, sums = run_host([prints(BOOT, good("a"), r"### check b\nok first\n", then="exit 134"), prints(BOOT, good("c"), END)], ("a", "b", "c"))
    assert h.boots == [["a", "b", "c"], ["c"]] and sums == (5, 1, 0), (h.boots, sums)
    assert any(f.startswith("fake-6.1 b: the emulator ended with status 134") and '"ok first"' in f for f in h.report.failed), h.report.failed


def dies_between_checks():
    h, text, sums = run_host([prints(BOOT, good("a"), then="exit 1"), prints(BOOT, good("b"), END)], ("a", "b"))
    assert sums == (4, 1, 0) and h.boots[1] == ["b"], (h.boots, text)


def dies_each_time():
    names = [f"c{i}" for i in range(9)]
    h, text, sums = run_host([prints(BOOT, rf"### check {n}\n", then="exit 1") for n in names], names)
    assert len(h.boots) == matrix.BOOTS and "not run: c6 c7 c8" in text and sums == (0, matrix.BOOTS + 1, 0), text


def spins_without_a_line():
    h, text, sums = run_host([prints(BOOT, then="while :; do :; done")], silent=0.3)
    assert sums == (0, 1, 0) and "no line on its console" in text, text


def sleeps_for_ever():
    h, text, sums = run_host([prints(BOOT, r"### check a\nok one\n", then="exec sleep 1000")], idle=1.2)
    assert sums == (1, 1, 0) and "has done nothing" in h.report.failed[0] and "ok one" in h.report.failed[0], text


def does_not_end():
    h, text, sums = run_host([prints(BOOT, good("a"), END, then="while :; do :; done")], ending=0.3)
    assert sums == (2, 0, 0), text  # its checks are all there


def prints_garbage():
    garbage = r"\377\376\000### done a 0\n### done z 0\n### \n### close 0\n### done a x\n### check a\n\001\002\n### done a b\n### done a 0\n"
    _, text, sums = run_host([prints(BOOT, garbage, END)])
    assert sums == (0, 1, 0) and "it printed no result" in text, text


def fails_and_skips():
    tap = r"### check a\n1..4\nok 1 - x\nnot ok 2 - y\n# 1 != 2\n# t.c:7: error: Failure!\nskip: no tables here\nnot ok 3 # SKIP z\nok w # SKIP\n### done a 1\n"
    h, text, sums = run_host([prints(BOOT, tap, END)])
    assert sums == (1, 1, 2) and h.report.failed == ["fake-6.1 a: y, 1 != 2, t.c:7"], (sums, h.report.failed)
    assert "skipped: no tables here" in text and re.search(r"^a +FAILED 1 of 2, 2 skipped$", text, re.M), text


def bad_status_alone():
    h, _, sums = run_host([prints(BOOT, r"### check a\nok x\n### done a 139\n", END)])
    assert sums == (1, 1, 0) and "exit status 139" in h.report.failed[0], h.report.failed


def check_that_hung():
    h, _, sums = run_host([prints(BOOT, r"### check a\nok x\n### hung a did nothing for 120 s\n### done a 137\n", good("b"), END)], ("a", "b"))
    assert sums == (3, 1, 0) and "did nothing for 120 s" in h.report.failed[0] and '"ok x"' in h.report.failed[0], h.report.failed


def kernel_complains():
    h, _, sums = run_host([prints(BOOT, r"### check a\nok x\n### kernel a WARNING: CPU: 0 at kvm.c:1\n### done a 0\n", END)])
    assert sums == (1, 1, 0) and "WARNING: CPU" in h.report.failed[0], h.report.failed


def trouble_is_told():
    h, _, sums = run_host([prints(BOOT, r"### trouble no /dev/kvm\n", then="exit 0")])
    assert sums == (0, 1, 0) and "no /dev/kvm" in h.report.failed[0], h.report.failed


def check_left_out():
    """Of the checks asked for, one that never began is no silence."""
    h, text, sums = run_host([prints(BOOT, good("a"), END)], ("a", "b"))
    assert sums == (2, 1, 0) and "not run: b" in text, text


def a_command():
    h, text, sums = run_host([prints(BOOT, r"### check run\nhello\n### done run 0\n", END)], ("run",), run="echo hello")
    assert sums == (1, 0, 0) and "\nhello\n" in text, text
    h, text, sums = run_host([prints(BOOT, r"### check run\nhello\n### done run 4\n", END)], ("run",), run="echo hello; exit 4")
    assert sums == (0, 1, 0) and "exit status 4" in h.report.failed[0], text


def slow_is_not_stuck():
    """Where others have the processor a second of it takes an hour, and is progress all the same."""
    p = emulator.Progress(silent=100, idle=60)
    assert not any(p.stuck(cpu, cpu * 50, False, False) for cpu in range(99))
    assert p.stuck(101, 5050, False, False)
    p = emulator.Progress(silent=100, idle=60)
    assert not any(p.stuck(cpu, cpu, cpu % 90 == 0, False) for cpu in range(1000))
    assert not p.stuck(1000, 1050, False, False) and p.stuck(1000.5, 1115, False, False)


def lists_and_globs():
    names = [c.name for c in cells.CELLS]
    assert len(names) == 8 and cells.matching("", names) == names
    assert cells.matching("svm-npt1-6.12,vmx-*-6.1", names) == [n for n in names if n == "svm-npt1-6.12" or n.startswith("vmx") and n.endswith("-6.1")]
    for wrong in ("svm-npt2-6.12", "svm-npt1-6.12,x"):
        try:
            cells.matching(wrong, names)
        except ValueError as e:
            assert wrong.split(",")[-1] in str(e) and names[0] in str(e)
        else:
            raise AssertionError(f"{wrong} was accepted")
    checks = matrix.all_checks(["test_kvm_step"])
    assert [c.name for c in matrix.chosen(checks, "test_kvm_*,look")] == ["look", "test_kvm_step"]
    assert {c.group for c in matrix.chosen(checks, "scripts")} == {"scripts"}


def limits_are_of_what_there_is():
    """Each line names a host and a check that exist, and a test that is in its source."""
    names = [c.name for c in matrix.all_checks([os.path.basename(f)[:-2] for f in glob.glob("tests/unit/test_*.c")])]
    for x in limits.read():
        assert cells.matching(x.host, [c.name for c in cells.CELLS])
        for c in cells.matching(x.check, names):
            source = next(f for f in (f"tests/unit/{c}.c", f"tests/hosts/checks/{c}.tcl", f"scripts/{c[8:]}.tcl") if os.path.exists(f))
            word = max(re.split(r"[*?]", x.test), key=len)
            assert word.replace("_", " ") in open(source, encoding="utf-8").read().replace("_", " "), f"{source} has no {x.test}"
    some = limits.parse("# a\nvmx-* test_x *  slow\nsvm-* test_x b*  no such thing\n")
    assert limits.whole_check(limits.of_host(some, "vmx-ept1-6.1"), "test_x") == "slow"
    mine = limits.of_host(some, "svm-npt1-6.1")
    assert limits.whole_check(mine, "test_x") is None and limits.for_guest(mine) == "test_x b* no such thing\n"


def limit_of_a_whole_check():
    class Limited(FakeHost):
        def __init__(self, *args, **kw):
            super().__init__(*args, **kw)
            self.limits = limits.parse("* b * the emulator cannot")

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        h = Limited(folder, [prints(BOOT, good("a"), END)], ("a", "b"), lines)
        h.run()
    assert tuple(h.report.sums()) == (2, 0, 1) and h.boots == [["a"]] and h.report.reasons == {"the emulator cannot": 1}, lines


# The guest's watcher with a machine of numbers: each `sleep` is a second of the guest, in which the check uses so many milliseconds, prints
# once in so many seconds, and the emulator does so many hundredths of one. After 400 of them it has got on.
WATCH = """
FILES=own SILENT=60 IDLE=60 tick=0
. tests/hosts/guest/lib.sh
sleep() {{ tick=$((tick + 1)); [ $tick -lt 400 ]; }}
now() {{ t=$((tick * {hundredths} / 100)); }}
uptime() {{ up=$tick; }}
used() {{ u=$((tick * {used})); }}
printed() {{ n=$((tick / {every})); }}
hung() {{ echo "hung $*"; }}
watch_check a 1
"""


def watched(used, every, hundredths):
    script = WATCH.format(used=used, every=every, hundredths=hundredths)
    out = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert not out.stderr, out.stderr
    return [line for line in out.stdout.splitlines() if "alive" not in line]


def guest_ends_what_does_not_get_on():
    assert watched(used=1000, every=1000, hundredths=100) == ["hung a ran 60 s without a word"]
    assert watched(used=0, every=1000, hundredths=10) == ["hung a did nothing for 60 s"]
    assert watched(used=30, every=1000, hundredths=10) == ["hung a did nothing for 60 s"], "it only looks whether it may go on"


def guest_lets_be_what_gets_on():
    assert watched(used=1000, every=50, hundredths=100) == []
    assert watched(used=10, every=50, hundredths=100) == []
    assert watched(used=1000, every=1000, hundredths=10) == [], "the emulator is kept waiting"


def unit_tests_leave_out():
    """By name, as a skip with the reason; a line of another program's is not its own."""
    program = os.path.join(os.path.dirname(os.environ.get("KVMSCOPE", "build/kvmscope")), "tests", "test_value")
    if not os.path.exists(program):
        raise Skip("test_value is not built")

    def outcome(check):
        p = subprocess.run([program], capture_output=True, text=True, check=False,
                           env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "KVMSCOPE_LIMITS": f.name, "KVMSCOPE_CHECK": check})
        return re.findall(r"^ok \d+ - (\S+)", p.stdout, re.M), re.findall(r"# SKIP (\S+)", p.stdout), re.findall(r"^skip: (.*)$", p.stdout, re.M)

    with tempfile.NamedTemporaryFile("w", suffix=".limits") as f:
        f.write("test_value test_scal* the emulator cannot count\nother test_* no\n")
        f.flush()
        run, left, why = outcome("test_value")
        assert left == ["test_scalars"] and why == ["the emulator cannot count"] and run and "test_scalars" not in run, (run, left, why)
        run, left, _ = outcome("test_third")
        assert not left and "test_scalars" in run, (run, left)


APT = """#!/bin/sh
echo "$0 $*" >>"{log}"
case " $* " in
*" update "*) exit {update} ;;
*" pkgnames "*) printf 'linux-image-6.1.0-9-amd64\\nlinux-image-6.1.0-10-amd64\\nlinux-image-6.1.0-11-amd64-unsigned\\nlinux-image-6.1.0-12-rt-amd64\\nlinux-image-6.1.0-12-cloud-amd64\\n' ;;
*" download linux-image-6.1.0-10-amd64 "*) echo "E: 404 Not Found" >&2; exit 100 ;;
*" download "*) for p; do :; done; : >"${{p%%/*}}_1_amd64.deb" ;;
esac
"""
DPKG = """#!/bin/sh
r=$(basename "$2"); r=${r#linux-image-}; r=${r%%_*}
mkdir -p "$3/boot" "$3/bin"; : >"$3/boot/vmlinuz-$r"; : >"$3/bin/busybox"
"""


def with_apt(update, body):
    """body(packages, log) with an archive of a few names."""
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as d:
        for name, text in (("apt-get", APT.format(log=f"{d}/log", update=update)), ("apt-cache", APT.format(log=f"{d}/log", update=update)), ("dpkg", DPKG)):
            with open(f"{d}/{name}", "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(f"{d}/{name}", 0o755)
        os.environ["PATH"] = f"{d}:{path}"
        try:
            return body(fetch.Packages(f"{d}/hosts", lambda text: None), lambda: open(f"{d}/log", encoding="utf-8").read())
        finally:
            os.environ["PATH"] = path


def newest_kernel_that_is_to_be_had():
    def body(packages, log):
        release, folder = packages.kernel("6.1")
        assert release == "6.1.0-9-amd64", "the newest plain one, without that which the archive does not give"
        assert os.path.exists(f"{folder}/boot/vmlinuz-{release}")
        asked = log()
        assert asked.index("download linux-image-6.1.0-10-amd64") < asked.index("download linux-image-6.1.0-9-amd64")
        assert fetch.Packages(packages.folder, None).kernel("6.1")[0] == release and log() == asked, "what is there needs no archive"
        try:
            packages.kernel("6.12")
        except fetch.Missing as e:
            assert "6.12" in str(e)
        else:
            raise AssertionError("a kernel that is not in the archive")

    with_apt(0, body)


def no_archive_is_a_skip():
    """A host whose packages cannot be had is skipped, with the reason, and counted."""
    class Without(FakeHost):
        find = matrix.Host.find

    def body(packages, _):
        lines = []
        with tempfile.TemporaryDirectory() as folder:
            h = Without(folder, [], ("a",), lines)
            h.packages, h.cell = packages, next(c for c in cells.CELLS if c.name == "svm-npt1-6.12")
            h.run()
        assert tuple(h.report.sums()) == (0, 0, 1) and len(h.report.reasons) == 1 and h.boots == [], lines

    with_apt(100, body)


def initrd_is_newc():
    """Read back by the format's own rules."""
    with tempfile.TemporaryDirectory() as d:
        i = image.Initrd()
        i.file("/a/b", b"12345", 0o755)
        i.node("/dev/console", 5, 1)
        i.write(f"{d}/initrd")
        data, at, seen = open(f"{d}/initrd", "rb").read(), 0, {}
        while True:
            assert data[at:at + 6] == b"070701", at
            field = [int(data[at + 6 + 8 * k:at + 14 + 8 * k], 16) for k in range(13)]
            name = data[at + 110:at + 110 + field[11] - 1].decode()
            start = (at + 110 + field[11] + 3) & ~3
            if name == "TRAILER!!!":
                break
            seen[name] = (field[1], data[start:start + field[6]], field[9], field[10])
            at = (start + field[6] + 3) & ~3
    assert seen["a/b"] == (stat.S_IFREG | 0o755, b"12345", 0, 0) and stat.S_ISDIR(seen["a"][0]), seen
    assert seen["dev/console"] == (stat.S_IFCHR | 0o600, b"", 5, 1), seen


def memory_bounds_how_many_run():
    """Two hosts that do not fit side by side run one after the other; one that is too large alone runs all the same."""
    class Counting:
        running = most = 0

        def __init__(self, memory):
            self.cell = cells.Cell("x", "svm", "6.1", (), "fake", memory)

        def run(self):
            Counting.running += 1
            Counting.most = max(Counting.most, Counting.running)
            started.wait(0.2)
            Counting.running -= 1

    started = threading.Event()
    matrix.Runner([Counting(1000) for _ in range(3)], 3, 1500, None).run()
    assert Counting.most == 1, Counting.most
    matrix.Runner([Counting(1000) for _ in range(4)], 2, 5000, None).run()
    assert Counting.most == 2, Counting.most


def table_of_all():
    r = {("h1", "a"): console.Result("a", passed=3), ("h2", "a"): console.Result("a", passed=1, failures=["x"], skipped=2), ("h1", "b"): console.Result("b", skipped=1)}
    rows = report.table(["h1", "h2"], ["a", "b"], r).splitlines()
    assert [re.split(r" {2,}", x.strip()) for x in rows] == [["h1", "h2"], ["a", "3", "FAILED 1 of 2, 2 skipped"], ["b", "1 skipped", "-"]], rows


if __name__ == "__main__":
    sys.exit(main([all_passes, dies_before_any_check, ends_without_a_word, cannot_be_started, dies_in_a_check, dies_between_checks, dies_each_time,
                   spins_without_a_line, sleeps_for_ever, does_not_end, prints_garbage, fails_and_skips, bad_status_alone, check_that_hung,
                   kernel_complains, trouble_is_told, check_left_out, a_command, slow_is_not_stuck, lists_and_globs, limits_are_of_what_there_is,
                   limit_of_a_whole_check, guest_ends_what_does_not_get_on,
                   guest_lets_be_what_gets_on, unit_tests_leave_out, newest_kernel_that_is_to_be_had, no_archive_is_a_skip, initrd_is_newc, memory_bounds_how_many_run, table_of_all]))
