"""A kvmscope under a real pseudo terminal, and the counting that tests/run.py reads.

    with Session() as t:
        t.send("info slots\n")
        t.expect("readonly")          # waits for output, never sleeps
        t.prompt()

Every wait ends with what was seen when its time is over; nothing here sleeps.
"""
import os, pty, re, select, signal, struct, sys, fcntl, tempfile, termios, time

BIN = os.environ.get("KVMSCOPE", "build/kvmscope")
PROMPT = "(kvmscope) "
SECONDS = 20


class Skip(Exception):
    pass


# Each test runs on every backend that this host has.
BACKENDS = (["kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else []) + ["soft"]
current = BACKENDS[0]


class Session:
    def __init__(self, *args, env=None, rows=40, columns=120, image="demo:tour", backend=None):
        self.folder = tempfile.TemporaryDirectory(prefix="kvmscope-pty-")
        home = self.folder.name
        argv = [BIN, "-b", backend or current, "--nx", "-q", *args, *([image] if image else [])]
        environment = {**os.environ, "HOME": home, "XDG_STATE_HOME": home + "/state", "XDG_CONFIG_HOME": home + "/config",
                       "TERM": "xterm", "NO_COLOR": "1", "PAGER": "cat", **(env or {})}
        self.home = environment["HOME"]
        try:
            self.pid, self.fd = pty.fork()
        except OSError as e:
            self.folder.cleanup()
            raise Skip(f"no pseudo terminal: {e.strerror or e}") from None
        if self.pid == 0:
            try:
                os.execve(argv[0], argv, environment)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = ""    # not yet matched
        self.raw = ""     # all that came, as it came
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        os.close(self.fd)
        self.folder.cleanup()

    def _read(self, until):
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        if not data:
            return False
        text = data.decode(errors="replace").replace("\r", "")
        self.raw += data.decode(errors="replace")
        # Carriage returns, bracketed paste and the bell say nothing about what is on the screen.
        self.seen += re.sub(r"\x1b\[\?2004[hl]|\x07", "", text)
        return True

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, literal=True):
        """Wait for the text; returns what stood before it."""
        wanted = re.compile(re.escape(pattern) if literal else pattern)
        until = time.monotonic() + SECONDS
        while True:
            m = wanted.search(self.seen)
            if m:
                before, self.seen = self.seen[:m.start()], self.seen[m.end():]
                return before
            if not self._read(until):
                raise AssertionError(f"waited for {pattern!r}, saw {self.seen[-600:]!r}")

    def prompt(self):
        return self.expect(PROMPT)

    def line(self, text):
        """Type a line at the prompt; returns what it printed. The prompt that follows is consumed."""
        self.send(text + "\n")
        self.expect("\n")
        return self.prompt()

    def wait_exit(self):
        """Read to the end; returns the exit status, negative for a signal."""
        until = time.monotonic() + SECONDS
        while self._read(until):
            pass
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
            select.select([], [], [], 0.01)
        raise AssertionError("it does not end")


def main(tests):
    global current
    n = {"passed": 0, "failed": 0, "skipped": 0}
    only = sys.argv[1:]
    for f in tests:
        if only and f.__name__ not in only:
            continue
        if "kvm" not in BACKENDS:
            n["skipped"] += 1
            print(f"skip: no /dev/kvm that can be opened ({f.__name__})", flush=True)
        for current in BACKENDS:
            try:
                f()
                n["passed"] += 1
                print(f"ok      {current} {f.__name__}", flush=True)
            except Skip as e:
                n["skipped"] += 1
                print(f"skip: {e}", flush=True)
            except Exception as e:  # noqa: BLE001
                n["failed"] += 1
                print(f"FAILED  {current} {f.__name__}: {type(e).__name__}: {e}", flush=True)
    print(", ".join(f"{v} {k}" for k, v in n.items()))
    return 1 if n["failed"] else 0
