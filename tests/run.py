#!/usr/bin/env python3
"""Run every test and say `N passed, N failed, N skipped`.

    tests/run.py [--build DIR] [--only GROUP[,GROUP]] [--jobs N] [NAME ...]

checks    tests/checks/*.sh: exit status, 77 for a skip
unit      build/tests/test_*: cmocka, read by their TAP output; a skip prints `skip: REASON` first
agree     build/agree: 2,000 generated guests on the kvm and on the soft backend, compared; build/agree_stops: lists of stops of
          500 guests on the soft backend and by an oracle; build/agree_qemu: page tables in
          every mode, and 16- and 32-bit instructions, on the soft backend and on QEMU
scripts   tests/pty/*.py, tests/cli/*.py: their last line is `N passed, N failed, N skipped`
valgrind  the unit tests that run no VM, under memcheck
sanitize  unit tests and tests/cli again, built by clang with ASan and UBSan
tsan      what has several threads, built by clang with ThreadSanitizer

Two jobs at a time. Output of what passed is not shown; of what failed, all of it. Last come the processor seconds of
each group, the reasons of what was skipped, and the sums.
"""
import argparse, collections, contextlib, glob, os, re, shutil, signal, subprocess, sys, tempfile, threading, time

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
GROUPS = ("sanitize", "tsan", "agree", "checks", "unit", "scripts", "valgrind")
VALGRIND = ("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite")
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
TSAN = {"TSAN_OPTIONS": "exitcode=66:halt_on_error=0"}
# What runs guests on threads: all stops, steps, armed pages, faults, tracepoints, memops against a running guest.
HAS_THREADS = re.compile(r"test_(run|kvm_(run|step|break|watch|catch|fault|faultwalk|faultend|parked|states)|watch_memory|walklock|lock|soft_fault|reverse_plan)$")
# Of the whole program: several vCPUs, faults, watches. Killing it at every stage forty times is left to the group of scripts.
THREADS_CLI = {"tests/cli/watch.py": [], "tests/cli/catching.py": [],
               "tests/cli/history.py": ["in_the_background", "what_may_be_asked_meanwhile", "limits_while_it_runs"],
               "tests/cli/faults.py": ["test_interrupted_while_parked", "test_two_vcpus_one_parked", "test_catch_that_lost_its_memory"]}
# Memcheck does not follow a guest's writes through KVM, and finds nothing more in what drives it.
RUNS_A_VM = re.compile(r"test_(run$|plan|pairs|kvm_|pairs|watch_memory|kview_live|demo_kvm|agree|soft_machine|slot_kernel)")

# then: called in the runner's thread when the job has passed; gives the jobs that come after it.
Job = collections.namedtuple("Job", "group name argv env count timeout then", defaults=(600, None))


living = set()    # process groups, for Ctrl-C


def run(job):
    """Output, exit status, wall seconds, processor seconds of the job and its children."""
    t0 = time.monotonic()
    late = threading.Event()
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(job.argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                             env={**os.environ, **job.env})

        def kill():
            late.set()
            os.killpg(p.pid, signal.SIGKILL)

        clock = threading.Timer(job.timeout, kill)
        clock.start()
        living.add(p.pid)
        _, status, usage = os.wait4(p.pid, 0)
        living.discard(p.pid)
        clock.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGKILL)  # what a failed test leaves running
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if late.is_set():
        text += f"\ntimeout after {job.timeout} s\n"
    return text, p.returncode, time.monotonic() - t0, usage.ru_utime + usage.ru_stime


def tally(passed=0, failed=0, skipped=0):
    return {"passed": passed, "failed": failed, "skipped": skipped}


def count_tap(out, status):
    """cmocka's TAP lines (a skip is `not ok 1 # SKIP` there); a crash, no line at all, or an exit status without a failed line is one failure."""
    n = tally()
    for line in re.findall(r"^(?:not )?ok \d+.*$", out, re.M):
        kind = "skipped" if re.search(r"# SKIP", line) else "failed" if line.startswith("not") else "passed"
        n[kind] += 1
    if not sum(n.values()) or (status and not n["failed"]):
        n["failed"] += 1
    return n


def count_last_line(out, status):
    m = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", out, re.M)
    n = tally(*map(int, m[-1])) if m else tally(failed=1)
    if (status or not sum(n.values())) and not n["failed"]:
        n["failed"] = 1
    return n


def count_status(out, status):
    """77 is a skip, for which the check has printed its reason."""
    return tally(passed=int(status == 0), failed=int(status not in (0, 77)), skipped=int(status == 77))


def runnable(pattern):
    """What begins with #!. One that has lost its x bit would be left out for ever, and nobody would see it."""
    found = sorted(f for f in glob.glob(pattern) if os.path.isfile(f) and open(f, "rb").read(2) == b"#!")
    for f in found:
        if not os.access(f, os.X_OK):
            sys.exit(f"tests/run.py: {f} is not executable")
    return found


def unit_jobs(build, group, wrap=(), env=None):
    """What the source tree has a test for: a binary left over from an older tree is not run."""
    for source in sorted(glob.glob("tests/unit/test_*.c")):
        name = os.path.basename(source)[:-2]
        if (group == "valgrind" and RUNS_A_VM.match(name)) or (group == "tsan" and not HAS_THREADS.match(name)):
            continue
        label = name if group == "unit" else f"{group} {name}"
        yield Job(group, label, [*wrap, f"{build}/tests/{name}"], {"CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})}, count_tap)


def script_jobs(build, group, patterns, env=None, only=None):
    """only: which tests of a script; all where it names none."""
    env = {"KVMSCOPE": os.path.abspath(f"{build}/kvmscope"), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    for s in (s for pattern in patterns for s in runnable(pattern)):
        name = s if group == "scripts" else f"{group} {s}"
        yield Job(group, name, [sys.executable, s, *(only or {}).get(s, [])], env, count_last_line)


def sanitized_build(args):
    """A build that fails is a failed test; the tests follow when it is there."""
    build = args.build + "-san"
    argv = ["make", "-s", f"O={build}", "CC=clang", "SANITIZE=address,undefined", "CFLAGS=-O1 -gline-tables-only", "all", "tests"]

    def then():
        fuzz = Job("sanitize", "fuzz_guest, 60 s", [f"{build}/fuzz_guest", "-t", "60"], SANITIZERS, count_last_line)
        made = [Job("sanitize", f"fuzz {t}, {s} s", [f"{build}/fuzz", "-t", str(s), t], SANITIZERS, count_last_line)
                for t, s in (("machine", 20), ("image", 3), ("expr", 3), ("btf", 3), ("line", 5))]
        return [fuzz, *made, *script_jobs(build, "sanitize", ["tests/cli/*.py"], SANITIZERS), *unit_jobs(build, "sanitize", env=SANITIZERS)]

    return Job("sanitize", "build with clang, ASan and UBSan", argv, {"MAKEFLAGS": "", "MAKEOVERRIDES": ""}, count_status, 1800, then)


def tsan_build(args):
    build = args.build + "-tsan"
    made = [f"{build}/tests/{os.path.basename(s)[:-2]}" for s in sorted(glob.glob("tests/unit/test_*.c")) if HAS_THREADS.match(os.path.basename(s)[:-2])]
    argv = ["make", "-s", f"O={build}", "CC=clang", "SANITIZE=thread", "CFLAGS=-O1 -gline-tables-only", f"{build}/kvmscope", *made]

    def then():
        return [*unit_jobs(build, "tsan", env=TSAN), *script_jobs(build, "tsan", THREADS_CLI, TSAN, THREADS_CLI)]

    return Job("tsan", "build with clang and TSan", argv, {"MAKEFLAGS": "", "MAKEOVERRIDES": ""}, count_status, 1800, then)


def jobs_of(args, group):
    """The long ones first, so that no core waits for the other at the end."""
    if group == "sanitize":
        yield sanitized_build(args)
    elif group == "tsan":
        yield tsan_build(args)
    elif group == "checks":
        for c in runnable("tests/checks/*.sh"):
            if not c.endswith("/deps.sh"):
                env = {"KVMSCOPE": os.path.abspath(f"{args.build}/kvmscope")}
                yield Job(group, os.path.basename(c), [c], env, count_status)
    elif group == "unit":
        yield from unit_jobs(args.build, group)
    elif group == "agree":
        if os.access(f"{args.build}/agree", os.X_OK):
            yield Job(group, "2,000 generated guests", [f"{args.build}/agree", "-n", "2000"], {}, count_last_line)
        if os.access(f"{args.build}/agree_stops", os.X_OK):
            yield Job(group, "stops of 500 guests", [f"{args.build}/agree_stops", "-n", "500"], {}, count_last_line)
        if os.access(f"{args.build}/agree_qemu", os.X_OK):
            yield Job(group, "512 table sets, with QEMU", [f"{args.build}/agree_qemu", "-n", "512"], {}, count_last_line)
            yield Job(group, "49,152 instructions, with QEMU", [f"{args.build}/agree_qemu", "-i", "-n", "24"], {}, count_last_line)
    elif group == "scripts":
        yield from script_jobs(args.build, group, ["tests/pty/*.py", "tests/cli/*.py"])
    elif group == "valgrind":
        yield from unit_jobs(args.build, group, VALGRIND, {"KVMSCOPE_VALGRIND": "1"})


def cannot(group):
    """Why the group cannot run on this host; None where it can."""
    if group == "valgrind" and not shutil.which("valgrind"):
        return "valgrind: it is not installed"
    if group in ("valgrind", "sanitize", "tsan") and not os.path.exists("/proc/self/maps"):
        return f"{group}: no /proc, which it reads"
    return None


class Runner:
    def __init__(self, args):
        self.names = args.names
        self.queue = collections.deque()
        self.running = 0
        self.change = threading.Condition()
        self.sums, self.reasons = tally(), collections.Counter()
        self.cpu, self.failed = collections.Counter(), []

    def add(self, jobs):
        for j in jobs:
            if j.then or not self.names or any(n in j.name for n in self.names):
                self.queue.append(j)

    def work(self):
        while True:
            with self.change:
                while not self.queue and self.running:
                    self.change.wait()
                if not self.queue:
                    return
                job = self.queue.popleft()
                self.running += 1
            try:
                result = run(job)
            except OSError as e:
                result = (f"{job.argv[0]}: {e.strerror}", 127, 0.0, 0.0)
            with self.change:
                self.running -= 1
                self.report(job, *result)
                self.change.notify_all()

    def report(self, job, out, status, seconds, cpu):
        n = job.count(out, status)
        for k in self.sums:
            self.sums[k] += n[k]
        self.reasons.update(re.findall(r"^skip: (.+)$", out, re.M))
        self.cpu[job.group + (" (build)" if job.then else "")] += cpu
        print(f"{'FAILED' if n['failed'] else 'ok':7} {job.name}: {n['passed']} passed, {n['failed']} failed, {n['skipped']} skipped,"
              f" {seconds:.1f} s, {cpu:.1f} s of processor", flush=True)
        if n["failed"]:
            self.failed.append(job.name)
            print(f"---- output of {job.name} (exit status {status})\n{out}\n----", flush=True)
        elif job.then:
            self.add(job.then())

    def summary(self):
        print("processor seconds: " + ", ".join(f"{g} {s:.0f}" for g, s in self.cpu.items()))
        for reason, k in sorted(self.reasons.items()):
            print(f"skipped: {reason}" + (f" ({k} times)" if k > 1 else ""))
        for name in self.failed:
            print(f"failed: {name}")
        print(", ".join(f"{v} {k}" for k, v in self.sums.items()), flush=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", default="build")
    ap.add_argument("--only", default=",".join(GROUPS), help="groups: " + " ".join(GROUPS))
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("names", nargs="*", help="only the jobs with one of these in their name")
    args = ap.parse_args()
    # A job in the background, or under nohup, begins with these ignored, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ignored in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)
    runner = Runner(args)
    for group in GROUPS:
        if group not in args.only.split(","):
            continue
        missing = cannot(group)
        if missing:
            runner.sums["skipped"] += 1
            runner.reasons[missing] += 1
            continue
        runner.add(jobs_of(args, group))
    workers = [threading.Thread(target=runner.work, daemon=True) for _ in range(args.jobs)]
    try:
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    except KeyboardInterrupt:
        for pid in list(living):
            os.killpg(pid, signal.SIGKILL)
        return 130
    runner.summary()
    return 1 if runner.sums["failed"] or not runner.sums["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
