#!/usr/bin/env python3
"""Run the same checks on emulated hosts: SVM and VT-x, with and without two-dimensional paging, on Debian's kernels.

    tests/hosts/matrix.py [--build DIR] [--host LIST] [--only LIST] [--run COMMAND] [--jobs N] [--unit LIST]

LIST is names and globs with commas between. A check is a Tcl script in tests/hosts/checks, a script in scripts/ or a unit test that
runs a VM; its group is the part of its name before the first dash (`steps-rep` is of steps), `scripts` or `unit`. --run runs one
command on the hosts instead, and shows what it prints. docs/HOSTS.md says more.
"""
import argparse, collections, dataclasses, glob, os, shutil, signal, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
os.chdir(os.path.join(HERE, "..", ".."))

import cells, console, emulator, fetch, image, limits, report  # noqa: E402

KVMSCOPE = "$BUILD/kvmscope --nx --batch -q -b kvm"
BOOTS = 6  # of one host: a machine that dies in a check is booted again for those that are left


@dataclasses.dataclass(frozen=True)
class Check:
    name: str
    group: str
    command: str


def all_checks(unit):
    """In the order in which they run. unit: names of the unit tests that are there for it."""
    found = []
    for f in sorted(glob.glob("tests/hosts/checks/*.tcl")):
        name = os.path.basename(f)[:-4]
        found.append(Check(name, name.partition("-")[0], f"{KVMSCOPE} -x {f}"))
    for f in sorted(glob.glob("scripts/*.tcl")):
        found.append(Check("scripts-" + os.path.basename(f)[:-4], "scripts", f"{KVMSCOPE} -x {f} && echo ok || echo not ok"))
    return found + [Check(t, "unit", f"$BUILD/tests/{t}") for t in sorted(unit)]


def chosen(checks, words):
    """A word names groups or checks."""
    names = dict.fromkeys([c.group for c in checks] + [c.name for c in checks])
    wanted = set(cells.matching(words, list(names)))
    return [c for c in checks if c.name in wanted or c.group in wanted]


@dataclasses.dataclass
class Boot:
    """Where the files of one boot are."""

    out: str
    console: str
    vmlinuz: str = ""
    initrd: str = ""
    iso: str = ""
    cpus: int = 1
    append: str = ""


class Host:
    """One cell with its checks, from packages to results."""

    poll = 0.5

    def __init__(self, cell, checks, args, packages, rep):
        self.cell, self.checks, self.args, self.packages, self.report = cell, checks, args, packages, rep
        self.limits = limits.of_host(limits.read(), cell.name)
        self.out = os.path.abspath(os.path.join(args.build, "hosts", "out", cell.name))
        self.cpu = 0.0

    def say(self, text):
        self.report.say(f"        {self.cell.name}: {text}")

    def skipped(self, name, reason):
        self.report.add(self.cell.name, console.Result(name, skipped=1, reasons=[reason]))

    def failed(self, name, why, lines):
        self.report.add(self.cell.name, console.Result(name, failures=[why], output=lines))

    def run(self):
        todo = []
        for c in self.checks:
            reason = limits.whole_check(self.limits, c.name)
            if reason:
                self.skipped(c.name, reason)
            else:
                todo.append(c)
        if not todo:
            return
        try:
            self.find()
        except fetch.Missing as e:
            self.skipped("boot", f"{self.cell.emulator} or kernel {self.cell.series}: {e}")
            return
        for n in range(BOOTS):
            left = self.boot(n, todo)
            if not left or len(left) == len(todo):
                return
            todo = left
        self.failed("boot", f"{BOOTS} boots have died; not run: {' '.join(c.name for c in todo)}", [])

    def find(self):
        """What it boots with; Missing where something cannot be had."""
        self.binary = emulator.needs(self.cell, self.packages)
        self.release, self.kernel = self.packages.kernel(self.cell.series)
        self.busybox = self.packages.busybox()
        if self.cell.emulator == "bochs":
            for package, path in image.ISOLINUX:
                self.packages.unpacked(package, path)

    def progress(self):
        return emulator.Progress()

    def files(self, todo):
        """What the guest is told."""
        shared = self.cell.kind == "svm"
        env = {"FILES": "shared" if shared else "own", "SRC": os.getcwd(), "BUILD": os.path.abspath(self.args.build), "HOST_PATH": os.environ["PATH"],
               "SILENT": self.args.silent or (60 if shared else 40), "IDLE": 60}
        return {"env": "".join(f"{k}='{v}'\n" for k, v in env.items()), "limits": limits.for_guest(self.limits),
                "plan": "".join(f"{c.name}\t{c.command}\n" for c in todo)}

    def prepare(self, todo):
        """Fresh files of a boot, and the emulator's arguments."""
        os.makedirs(self.out, exist_ok=True)
        boot = Boot(self.out, f"{self.out}/console", f"{self.kernel}/boot/vmlinuz-{self.release}", f"{self.out}/initrd", f"{self.out}/iso",
                    self.args.cpus, self.args.append)
        tree = None
        if self.cell.kind == "vmx":
            tree = (self.args.build, ["kvmscope", *(f"tests/{c.name}" for c in todo if c.group == "unit")])
        image.build_initrd(boot.initrd, self.cell, self.kernel, self.busybox, self.files(todo), tree)
        if self.cell.emulator == "bochs":
            image.build_iso(boot.iso, boot.vmlinuz, boot.initrd, emulator.bochs_words(boot), self.packages)
            return boot, emulator.bochs_argv(self.cell, self.binary, boot)
        return boot, emulator.qemu_argv(self.cell, self.binary, boot)

    def boot(self, n, todo):
        """Runs what it can of the checks; gives those that are left where the machine died in one."""
        if n == 0:
            shutil.rmtree(self.out, ignore_errors=True)
        boot, argv = self.prepare(todo)
        self.say(f"{self.release}, {len(todo)} checks" + (", once more" if n else ""))
        start = time.monotonic()
        con = console.Console(self.result, console.count_status if self.args.run else console.count_tap, self.live())
        self.machine = emulator.Machine(argv, self.out, boot.console, con.line, lambda: con.ended, self.progress(), self.poll)
        self.mark = 0.0
        why = self.machine.run()
        self.say(f"ended after {time.monotonic() - start:.0f} s, {self.machine.cpu:.0f} s of processor, up at {con.up} s")
        if con.ended:
            left = [c.name for c in todo if c.name not in con.finished]
            if left:
                self.failed("boot", f"not run: {' '.join(left)}", con.lines[-30:])
            return []
        why = why or f"the emulator ended with status {self.machine.status}"
        why += "".join(f"; it says: {w}" for w in self.machine.words(2))
        self.report.say("\n".join([f"---- {self.cell.name}: {why}; the end of its console:", *("     " + x for x in con.lines[-30:])]))
        why = "; ".join([why, *con.troubles])
        left = [c for c in todo if c.name not in con.finished]
        if con.died(why):
            return [c for c in todo if c.name not in con.finished]
        self.failed("boot", why + (f"; not run: {' '.join(c.name for c in left)}" if left else ""), [])
        return left if con.finished else []

    def result(self, result):
        took, self.mark = self.machine.cpu - self.mark, self.machine.cpu
        self.report.add(self.cell.name, result, f", {took:.0f} s of processor")

    def live(self):
        """What a command prints is shown as it comes; of several hosts with their name."""
        if not self.args.run:
            return None
        prefix = "" if self.args.alone else f"{self.cell.name}: "
        return lambda text: self.report.say(prefix + text)


def memory_available():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith("MemAvailable:"))


class Runner:
    """Side by side: as many hosts as there are processors, and memory for."""

    def __init__(self, hosts, jobs, memory, rep):
        self.queue, self.jobs, self.report = collections.deque(hosts), jobs, rep
        self.memory, self.running = memory, 0
        self.change = threading.Condition()

    def take(self):
        """The next host that fits; None when none is left. One alone always fits."""
        with self.change:
            while self.queue:
                for h in self.queue:
                    if h.cell.memory <= self.memory or not self.running:
                        self.queue.remove(h)
                        self.memory -= h.cell.memory
                        self.running += 1
                        return h
                self.change.wait()
            return None

    def work(self):
        while (host := self.take()) is not None:
            try:
                host.run()
            except Exception as e:  # a mistake of this program's is a failure too, and no silence
                host.failed("boot", f"{type(e).__name__}: {e}", [])
            with self.change:
                self.memory += host.cell.memory
                self.running -= 1
                self.change.notify_all()

    def run(self):
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(self.jobs)]
        for t in threads:
            t.start()
        for t in threads:
            while t.is_alive():
                t.join(0.5)


def options(argv):
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default="build")
    ap.add_argument("--host", default="", help="names of hosts: " + " ".join(c.name for c in cells.CELLS))
    ap.add_argument("--only", default="", help="groups or checks")
    ap.add_argument("--run", default="", help="a command, instead of the checks")
    ap.add_argument("--unit", default="", help="the unit tests that are built for it")
    ap.add_argument("--jobs", type=int, default=0, help="hosts at once; as many as there are processors")
    ap.add_argument("--cpus", type=int, default=1, help="of each host on QEMU")
    ap.add_argument("--emulator", default="", choices=["", "qemu", "qemu-10"], help="of the SVM hosts, in place of the one in cells.py")
    ap.add_argument("--append", default="", help="more words for the kernels' command line")
    ap.add_argument("--silent", type=int, default=0, help="seconds of processor time that a check may take without a word")
    return ap.parse_args(argv)


def main(argv):
    args = options(argv)
    try:
        names = cells.matching(args.host, [c.name for c in cells.CELLS])
        checks = [Check("run", "run", args.run)] if args.run else chosen(all_checks(args.unit.split()), args.only)
    except ValueError as e:
        sys.exit(f"matrix: {e}")
    args.alone = len(names) == 1
    rep = report.Report(lambda text: print(text, flush=True))
    packages = fetch.Packages(os.environ.get("KVMSCOPE_HOSTS") or os.path.join(args.build, "hosts"), rep.say)
    chosen_cells = [dataclasses.replace(c, emulator=args.emulator) if args.emulator and c.kind == "svm" else c for c in cells.CELLS if c.name in names]
    hosts = [Host(c, checks, args, packages, rep) for c in chosen_cells]
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(sig, interrupted)
    Runner(hosts, args.jobs or os.cpu_count() or 1, memory_available() - 1024, rep).run()
    return rep.summary([h.cell.name for h in hosts], [c.name for c in checks])


def interrupted(number, _):
    emulator.Machine.end_all()
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
