#!/usr/bin/env python3
"""Run every test and say `N passed, N failed, N skipped`.

    tests/run.py [--build DIR] [--only unit|scripts|checks|sanitize|valgrind] [--keep-going] [NAME ...]

unit      build/tests/test_*: cmocka, read by their TAP output; a skip prints `skip: REASON` first
scripts   tests/pty/*.py, tests/cli/*.py: their last line is `N passed, N failed, N skipped`
checks    tests/checks/*.sh: exit status
sanitize  unit tests and a session again, built by clang with ASan and UBSan
valgrind  the unit tests that do not run a VM, under memcheck

Two jobs at a time. Output of what passed is not shown; of what failed, all of it.
"""
import argparse, concurrent.futures, glob, os, re, shutil, subprocess, sys, time

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
totals = {"passed": 0, "failed": 0, "skipped": 0}
reasons = {}


def run(argv, env=None, timeout=600):
    t0 = time.monotonic()
    try:
        p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout,
                           env={**os.environ, **(env or {})})
        out, status = p.stdout.decode(errors="replace"), p.returncode
    except subprocess.TimeoutExpired as e:
        out, status = (e.stdout or b"").decode(errors="replace") + f"\ntimeout after {timeout} s\n", 124
    return out, status, time.monotonic() - t0


def count_tap(out, status):
    """cmocka's TAP lines; a crash or an exit status without a failed line is one failure."""
    n = {"passed": 0, "failed": 0, "skipped": 0}
    for line in out.splitlines():
        if re.match(r"ok \d+ .*# SKIP", line):
            n["skipped"] += 1
        elif re.match(r"ok \d+", line):
            n["passed"] += 1
        elif re.match(r"not ok \d+", line):
            n["failed"] += 1
    if not sum(n.values()) or (status and not n["failed"]):
        n["failed"] += 1
    return n


def count_last_line(out, status):
    m = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", out, re.M)
    n = dict(zip(("passed", "failed", "skipped"), map(int, m[-1]))) if m else {"passed": 0, "failed": 1, "skipped": 0}
    if status and not n["failed"]:
        n["failed"] = 1
    return n


def count_status(out, status):
    return {"passed": int(status == 0), "failed": int(status != 0), "skipped": 0}


def jobs_unit(build, label="", wrap=(), env=None, skip_vm=False):
    for b in sorted(glob.glob(f"{build}/tests/test_*")):
        if b.endswith(".d") or not os.access(b, os.X_OK) or os.path.isdir(b):
            continue
        if skip_vm and re.search(r"test_kvm|test_kview_live", b):
            continue
        yield label + os.path.basename(b), [*wrap, b], {"CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})}, count_tap


def jobs(args):
    want = lambda group: not args.only or args.only == group
    env = {"KVMSCOPE": os.path.abspath(f"{args.build}/kvmscope")}
    if want("checks"):
        for c in sorted(glob.glob("tests/checks/*.sh")):
            if not c.endswith("deps.sh"):
                yield os.path.basename(c), [c], env, count_status
    if want("unit"):
        yield from jobs_unit(args.build)
    if want("scripts"):
        for s in sorted(glob.glob("tests/pty/*.py") + glob.glob("tests/cli/*.py")):
            if os.access(s, os.X_OK):
                yield s, [sys.executable, s], env, count_last_line
    if want("sanitize"):
        yield from sanitized(args)
    if want("valgrind") and shutil.which("valgrind"):
        yield from jobs_unit(args.build, "valgrind ", ("valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                                                       "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"),
                             {"KVMSCOPE_TEST_SLOW": "1"}, skip_vm=True)


def sanitized(args):
    """clang builds the whole program with ASan and UBSan; a build that fails is a failed test."""
    build = args.build + "-san"
    out, status, _ = run(["make", "-s", "-j2", f"O={build}", "CC=clang", "SANITIZE=address,undefined", "CFLAGS=-O1 -g", "all",
                          "tests"], timeout=900)
    if status:
        report("build with clang, ASan and UBSan", out, status, {"passed": 0, "failed": 1, "skipped": 0}, 0)
        return
    env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    yield from jobs_unit(build, "sanitized ", env=env)
    for s in sorted(glob.glob("tests/cli/*.py")):
        if os.access(s, os.X_OK):
            yield "sanitized " + s, [sys.executable, s], {**env, "KVMSCOPE": os.path.abspath(f"{build}/kvmscope")}, count_last_line


def report(name, out, status, n, seconds):
    for k in totals:
        totals[k] += n[k]
    for r in re.findall(r"^skip\w*:? (.+)$", out, re.M):
        reasons[r] = reasons.get(r, 0) + 1
    verdict = "FAILED" if n["failed"] else "ok"
    print(f"{verdict:7} {name}: {n['passed']} passed, {n['failed']} failed, {n['skipped']} skipped, {seconds:.1f} s", flush=True)
    if n["failed"]:
        print(f"---- output of {name} (exit status {status})\n{out}\n----", flush=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", default="build")
    ap.add_argument("--only")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("names", nargs="*")
    args = ap.parse_args()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        todo = {}
        for name, argv, env, count in jobs(args):
            if args.names and not any(n in name for n in args.names):
                continue
            todo[pool.submit(run, argv, env)] = (name, count)
        for f in concurrent.futures.as_completed(todo):
            name, count = todo[f]
            out, status, seconds = f.result()
            report(name, out, status, count(out, status), seconds)
    for r, k in sorted(reasons.items()):
        print(f"skipped: {r}" + (f" ({k} times)" if k > 1 else ""))
    print(", ".join(f"{n} {k}" for k, n in totals.items()), flush=True)
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
