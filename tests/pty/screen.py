"""kvmscope's screens in a tmux of their own.

    with Screen("-c", "run") as s:
        s.until("0x300000")        # waits for text on the screen, never sleeps
        s.keys("F3")
        s.command("info slots")    # ":info slots", Enter

Every wait ends after SECONDS with what is on the screen.
"""
import contextlib, os, re, shlex, shutil, signal, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import terminal
from terminal import Skip

SECONDS = 30
ENDLESS = ("-c", "mem write 0x200000 ebfe")  # jmp $, where demo:tour begins
FAULT = r"exception 14 cr2 0x300000"         # in the status line
RUNS = r"^ (soft|kvm) .* running\b"          # the same
UNSET = object()


def poll(what, want, seconds=SECONDS):
    """Until want() gives something true; that. what() says what there is instead when the time is over."""
    end = time.monotonic() + seconds
    while True:
        got = want()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(what())
        time.sleep(0.02)


class Screen:
    """env: more of the environment; UNSET takes a variable away. shell: the program runs under a shell at a prompt `$ `,
    which stays when the program has gone. home: of another Screen, to go on with its history and layouts."""

    def __init__(self, *args, image="demo:tour", cols=120, rows=40, env=None, backend=None, shell=False, home=None, tui=True, redirect=""):
        if not shutil.which("tmux"):
            raise Skip("no tmux")
        self.folder = tempfile.TemporaryDirectory(prefix="kvmscope-screen-")
        self.home = home or self.folder.name
        self.socket = self.folder.name + "/tmux"
        argv = [os.path.abspath(terminal.BIN), "-b", backend or terminal.current, "--nx", *(["--tui"] if tui else []), *args, *([image] if image else [])]
        self.line = shlex.join(argv) + " " + redirect
        environment = {"HOME": self.home, "XDG_STATE_HOME": self.home + "/state", "XDG_CONFIG_HOME": self.home + "/config",
                       "TERM": "tmux-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": UNSET, "ENV": UNSET, "PAGER": "cat", **(env or {})}
        words = ["env"]
        for k, v in environment.items():
            words += ["-u", k] if v is UNSET else []
        words += [f"{k}={v}" for k, v in environment.items() if v is not UNSET]
        run = f"PS1='$ ' exec {shlex.join(words)} sh -i" if shell else f"exec {shlex.join(words)} {self.line}"
        self.pid = self.pane_pid = None
        try:
            self.start(run, cols, rows, shell)
        except BaseException:
            self.__exit__()
            raise

    def start(self, run, cols, rows, shell):
        self.tmux_ok("new-session", "-d", "-x", str(cols), "-y", str(rows), run)
        self.tmux_ok("set", "-g", "remain-on-exit", "on")
        self.pane_pid = int(self.format("pane_pid"))
        self.pid = None if shell else self.pane_pid
        if shell:
            self.until(r"^\$\n*\Z")
            self.type(self.line)
            self.keys("Enter")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pid = self.pid or self.pane_pid
        self.tmux("kill-server")
        with contextlib.suppress(AssertionError):
            poll(lambda: "still there", lambda: not pid or not alive(pid), 5)
        with contextlib.suppress(ProcessLookupError):
            if pid and alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.folder.cleanup()

    def tmux(self, *args):
        return subprocess.run(["tmux", "-f", "/dev/null", "-u", "-S", self.socket, *args], capture_output=True, text=True, timeout=SECONDS)

    def tmux_ok(self, *args):
        p = self.tmux(*args)
        assert p.returncode == 0, f"tmux {args[0]}: {p.stderr.strip()}"
        return p.stdout

    def format(self, name):
        return self.tmux_ok("display-message", "-p", "#{" + name + "}").strip()

    # ---- what is there

    def text(self):
        return self.tmux("capture-pane", "-p").stdout

    def styled(self):
        return self.tmux("capture-pane", "-p", "-e").stdout

    def rows(self):
        return self.text().split("\n")[:-1]

    def until(self, pattern, seconds=SECONDS):
        """Text on the screen by a regular expression; the match."""
        return poll(lambda: f"{pattern!r} does not come on the screen:\n{self.text()}", lambda: re.search(pattern, self.text(), re.M), seconds)

    def until_gone(self, pattern):
        return poll(lambda: f"{pattern!r} stays on the screen:\n{self.text()}", lambda: not re.search(pattern, self.text(), re.M))

    def has(self, pattern):
        t = self.text()
        assert re.search(pattern, t, re.M), f"{pattern!r} is not on the screen:\n{t}"

    def has_not(self, pattern):
        t = self.text()
        assert not re.search(pattern, t, re.M), f"{pattern!r} is on the screen:\n{t}"

    # ---- what the user does

    def keys(self, *keys):
        self.tmux_ok("send-keys", *keys)

    def type(self, text):
        self.tmux_ok("send-keys", "-l", text)

    def enter(self, line):
        """Into the command line, then Enter."""
        self.keys(":")
        self.until(r"^:")
        self.type(line)
        self.keys("Enter")

    def command(self, line):
        """The same; wait until the line has been taken."""
        self.enter(line)
        self.until_gone("^:" + re.escape(line[:40]))

    def resize(self, cols, rows):
        self.tmux_ok("resize-window", "-x", str(cols), "-y", str(rows))

    # ---- the process

    def find_pid(self):
        """Of the program under the shell."""
        def child():
            kids = open(f"/proc/{self.pane_pid}/task/{self.pane_pid}/children").read().split()
            return [int(k) for k in kids if os.path.basename(terminal.BIN) in open(f"/proc/{k}/cmdline").read()]
        self.pid = poll(lambda: f"it does not start:\n{self.text()}", child)[0]
        return self.pid

    def ticks(self):
        """Processor time so far, in ticks."""
        f = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(f[11]) + int(f[12])

    def status(self):
        """Under a shell: its exit status, once the shell is at its prompt again."""
        self.until(r"^\$\n*\Z")
        self.type("echo status=$?.")
        self.keys("Enter")
        return int(self.until(r"^status=(\d+)\.").group(1))

    def shell_is_usable(self):
        """Behind the program: the terminal is as it was."""
        self.until(r"^\$\n*\Z")
        assert self.format("alternate_on") == "0", "the alternate screen is still there"
        assert self.format("cursor_flag") == "1", "the cursor is hidden"
        assert self.format("mouse_any_flag") == "0", "the mouse is still reported"
        self.type("stty -a; echo $((40+2)).")
        self.keys("Enter")
        self.until(r"^42\.")
        t = self.text()
        modes = re.sub(r"\s+", " ", t[t.rindex("speed "):])
        for mode in ("icanon", "echo", "isig", "iexten", "icrnl", "opost", "onlcr"):
            assert re.search(rf" {mode}\b", modes), f"{mode} is off: {modes}"
        for key, value in (("susp", r"\^Z"), ("quit", r"\^\\"), ("intr", r"\^C")):
            assert re.search(rf"{key} = {value};", modes), f"{key}: {modes}"


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---- what most tests begin with


def opened(pattern, *args, **more):
    """Once that is on the screen."""
    s = Screen(*args, **more)
    try:
        s.until(pattern)
    except BaseException:
        s.__exit__()
        raise
    return s


def tour(*args, **more):
    return opened(FAULT, "-c", "run", *args, **more)


def endless(*args, **more):
    return opened("has not run yet", *ENDLESS, *args, **more)


def go(s):
    s.keys("c")
    s.until(RUNS)
