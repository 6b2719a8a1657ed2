"""Running kvmscope in batch, and the counting that tests/run.py reads.

    values = ok("run", "info rmap 0x40", backend="kvm")     # one value a line
    line = refused("slot del 77", backend="kvm")            # exit status 1, one well-formed error line

A test function takes the backend; main() runs it on every backend that the host has.
"""
import json, os, re, select, shutil, signal, subprocess, sys, time, traceback

BIN = os.path.abspath(os.environ.get("KVMSCOPE", "build/kvmscope"))
ERROR = re.compile(r"^error: [^\n]+: [^\n]+; try [^\n]+$")
KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)


class Skip(Exception):
    pass


def num(v):
    return int(v, 0) if isinstance(v, str) else v


def start(*lines, backend="soft", image="demo:tour", opts=(), wrap=(), env=None, timeout=120, stdin=None, batch=True):
    """Run the lines; (status, stdout, stderr)."""
    argv = [*wrap, BIN, "-b", backend, *(["--batch"] if batch else []), "--nx", "-q", *opts]
    for line in lines:
        argv += ["-c", line]
    if image:
        argv.append(image)
    p = subprocess.run(argv, capture_output=True, timeout=timeout, env={**os.environ, **(env or {})},
                       **({"input": stdin.encode()} if stdin is not None else {"stdin": subprocess.DEVNULL}))
    return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")


def run(*lines, opts=(), **kw):
    """The same with -j: (status, values, stderr). Every line on standard output must be JSON."""
    status, out, err = start(*lines, opts=("-j", *opts), **kw)
    values = []
    for line in out.split("\n")[:-1]:
        try:
            values.append(json.loads(line))
        except ValueError:
            raise AssertionError(f"not JSON: {line[:200]!r}; status {status}, {err[-300:]!r}") from None
    assert out == "" or out.endswith("\n"), f"the last line is cut: {out[-80:]!r}"
    return status, values, err


def ok(*lines, **kw):
    status, values, err = run(*lines, **kw)
    assert status == 0, f"status {status}: {err.strip()[-400:]}"
    assert len(values) == len(lines), f"{len(values)} values for {len(lines)} lines"
    return values


def errors_of(err):
    return [line for line in err.split("\n") if line.startswith("error:")]


def refused(*lines, **kw):
    """All lines but the last succeed; the last fails with one well-formed line. Returns that line."""
    status, values, err = run(*lines, **kw)
    assert status == 1, f"status {status}, wanted 1; {err[-300:]!r}"
    assert len(values) == max(len(lines) - 1, 0), f"{len(values)} values for {len(lines)} lines: {err[-300:]!r}"
    said = errors_of(err)
    assert len(said) == 1 and ERROR.match(said[0]), f"no single well-formed error: {err[-400:]!r}"
    return said[0]


def rows(v):
    return v if isinstance(v, list) else [v]


def backends():
    return (["kvm"] if KVM else []) + ["soft"]


def drop(*caps):
    """Words that run a program without these capabilities."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("not root, or no setpriv: privileges cannot be dropped")
    names = ",".join("-" + c for c in caps)
    return ["setpriv", f"--bounding-set={names}", "--inh-caps=-all"]


class Talk:
    """A kvmscope that reads its lines from a pipe. Every wait is for output or for its end; none is longer than `seconds`."""

    def __init__(self, *args, backend="soft", image="demo:tour", opts=("-j",), wrap=(), seconds=30, **kw):
        self.p = subprocess.Popen([*wrap, BIN, "-b", backend, "--nx", "-q", *opts, *args, *([image] if image else [])], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, **{"stderr": subprocess.PIPE, **kw})
        self.seen, self.errors, self.ended, self.seconds = b"", b"", [], seconds

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.p.kill()
        self.p.wait()
        for f in (self.p.stdin, self.p.stdout, self.p.stderr):
            if f:
                f.close()

    def say(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def _wait(self, name, text):
        """Read both outputs until this one has the text; what stood before it."""
        until = time.monotonic() + self.seconds
        while text.encode() not in getattr(self, name):
            ready = select.select([f for f in (self.p.stdout, self.p.stderr) if f and f not in self.ended], [], [], max(0, until - time.monotonic()))[0]
            for f in ready:
                got = os.read(f.fileno(), 65536)
                if f is self.p.stdout:
                    self.seen += got
                else:
                    self.errors += got
                if not got:
                    self.ended.append(f)
            if not ready:
                raise AssertionError(f"waited for {text[:100]!r}, saw {self.seen[-300:]!r} and {self.errors[-300:]!r}")
        before, rest = getattr(self, name).split(text.encode(), 1)
        setattr(self, name, rest)
        return before.decode()

    def until(self, text):
        """What standard output has up to this text, which is taken too."""
        return self._wait("seen", text)

    def until_error(self, text):
        """The same of standard error."""
        return self._wait("errors", text)

    def errors_until(self, text):
        """Standard error alone, while nobody reads standard output."""
        until = time.monotonic() + self.seconds
        while text.encode() not in self.errors:
            if not select.select([self.p.stderr], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(f"waited for {text!r}, saw {self.errors[-300:]!r}")
            self.errors += os.read(self.p.stderr.fileno(), 65536)
        before, self.errors = self.errors.split(text.encode(), 1)
        return before.decode()

    def value(self):
        return json.loads(self.until("\n"))

    def answer(self):
        """The next value that is no event: a guest that gets nowhere is told of on the way."""
        while isinstance(v := self.value(), dict) and "event" in v:
            pass
        return v

    def ask(self, line):
        self.say(line + "\n")
        return self.value()

    def interrupt(self, number=signal.SIGINT):
        self.p.send_signal(number)

    def end(self):
        """No more lines: the exit status."""
        self.p.stdin.close()
        return self.p.wait(self.seconds)

    def memory(self, what="VmRSS"):
        """KiB."""
        return int(re.search(what + r":\s+(\d+)", open(f"/proc/{self.p.pid}/status").read())[1])

    def until_call(self, *calls):
        """Wait until its main thread stands in one of these system calls: ("1", "0x1") for a write to standard output."""
        until = time.monotonic() + self.seconds
        while True:
            now = open(f"/proc/{self.p.pid}/syscall").read().split()
            if any(tuple(now[:len(c)]) == c for c in calls):
                return
            if time.monotonic() > until:
                raise AssertionError(f"in system call {now[:2]}, waited for {calls}; saw {self.seen[-300:]!r} {self.errors[-300:]!r}")
            select.select([], [], [], 0.01)

    def busy(self):
        """Seconds of processor time that it has used."""
        return sum(map(int, open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def busy_until(self, seconds):
        """Wait until it has used this much processor time."""
        until = time.monotonic() + self.seconds
        while self.busy() < seconds:
            if time.monotonic() > until:
                raise AssertionError(f"not {seconds} s of processor time in {self.seconds} s")
            select.select([], [], [], 0.01)


def can_read_kernel():
    """True where the kvm backend reads the kernel's structures."""
    if not KVM:
        return False
    facts = ok("info kvm", backend="kvm")[0]
    return any(f["what"] == "reverse maps" and f["value"] == "yes" for f in facts)


def main(tests, only_backends=None):
    """Each test once a backend where it takes one, else once."""
    n = {"passed": 0, "failed": 0, "skipped": 0}
    wanted = sys.argv[1:]
    jobs = []
    for f in tests:
        if f.__code__.co_argcount:
            jobs += [(f, (b,)) for b in only_backends or backends()]
            if not KVM:
                n["skipped"] += 1
                print(f"skip: no /dev/kvm that can be opened ({f.__name__})", flush=True)
        else:
            jobs.append((f, ()))
    for f, args in jobs:
        if wanted and f.__name__ not in wanted:
            continue
        name = " ".join((f.__name__, *args))
        try:
            f(*args)
            n["passed"] += 1
            print(f"ok      {name}", flush=True)
        except Skip as e:
            n["skipped"] += 1
            print(f"skip: {e}", flush=True)
        except Exception as e:  # noqa: BLE001
            n["failed"] += 1
            at = [t for t in traceback.extract_tb(e.__traceback__) if "/program.py" not in t.filename][-1]
            print(f"FAILED  {name}: line {at.lineno}: {type(e).__name__}: {e}", flush=True)
    print(", ".join(f"{v} {k}" for k, v in n.items()))
    return 1 if n["failed"] else 0
