"""What the console of a host says, as results: the lines of guest/lib.sh that begin with ###, and what the checks print.

  ### boot RELEASE            ### up SECONDS           ### trouble TEXT     what the host lacks, before any check
  ### check NAME              ### done NAME STATUS     a check, its output in between
  ### hung NAME WHY           ### kernel NAME TEXT     it was ended as it did not get on; what the kernel complained of
  ### alive SECONDS           ### end
"""
import dataclasses, re

FAILURES = re.compile(r"^not ok\b(?!.*# SKIP)")


@dataclasses.dataclass
class Result:
    """Of one check on one host."""

    name: str
    passed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)  # one text each
    reasons: list = dataclasses.field(default_factory=list)   # why something was skipped
    output: list = dataclasses.field(default_factory=list)

    @property
    def failed(self):
        return len(self.failures)


def count_tap(result, status):
    """`ok NAME`, `not ok NAME`, and skips by `# SKIP`. No line at all, or a bad end without a failed line, is a failure."""
    failing = False  # cmocka tells the assertion in lines `# TEXT` behind the test
    for line in result.output:
        if failing and line.startswith("# "):
            result.failures[-1] += ", " + line[2:].removesuffix(": error: Failure!")
            continue
        failing = False
        if re.match(r"^(not )?ok\b.*# SKIP", line):
            result.skipped += 1
        elif FAILURES.match(line):
            failing = True
            result.failures.append(re.sub(r"^not ok\s*(\d+\s*-\s*)?", "", line))
        elif re.match(r"^ok\b", line):
            result.passed += 1
        elif line.startswith("skip: "):
            result.reasons.append(line[6:])
    if not result.passed + result.skipped + result.failed:
        result.failures.append("it printed no result" + (f", exit status {status}" if status else ""))
    elif status and not result.failed:
        result.failures.append(f"exit status {status} behind {last_line(result.output)}")


def count_status(result, status):
    if status:
        result.failures.append(f"exit status {status}")
    else:
        result.passed = 1


def last_line(lines):
    """How far a check came: its last result, or what it printed last where it has none."""
    results = [line for line in lines if re.match(r"^(not )?ok\b", line)]
    return next((f'"{line}"' for line in reversed(results or lines) if line.strip()), "no output")


class Console:
    """Takes the lines of one boot. done(result) is called for each check that has ended; live(line) with what checks print."""

    WORDS = ("boot", "up", "trouble", "alive", "end", "check", "hung", "kernel", "done")

    def __init__(self, done, count=count_tap, live=None):
        self.done, self.count, self.live = done, count, live
        self.lines, self.troubles = [], []
        self.running, self.finished = None, set()
        self.release, self.up, self.ended = None, None, False
        self.hung, self.kernel = None, []

    def line(self, text):
        self.lines.append(text)
        m = re.match(r"^### (\w+) ?(.*)$", text)
        if m and m[1] in self.WORDS:
            getattr(self, "_" + m[1])(m[2])
        elif self.running:
            self.running.output.append(text)
            if self.live:
                self.live(text)

    def _boot(self, release):
        self.release = release

    def _up(self, seconds):
        self.up = float(seconds)

    def _trouble(self, text):
        self.troubles.append(text)

    def _alive(self, _):
        pass

    def _end(self, _):
        self.ended = True

    def _check(self, name):
        self.running, self.hung, self.kernel = Result(name), None, []

    def _hung(self, text):
        self.hung = text.partition(" ")[2]

    def _kernel(self, text):
        self.kernel.append(text.partition(" ")[2])

    def _done(self, text):
        name, _, status = text.rpartition(" ")
        if self.running and self.running.name == name and status.isdigit():
            self._close(int(status))

    def _close(self, status):
        result, self.running = self.running, None
        if self.hung:
            self.count(result, 0)
            result.failures = [f for f in result.failures if f != "it printed no result"]
            result.failures.append(f"ended, as it {self.hung}, behind {last_line(result.output)}")
        else:
            self.count(result, status)
        result.failures += [f"the kernel says: {text}" for text in self.kernel]
        self.finished.add(result.name)
        self.done(result)

    def died(self, why):
        """The machine has ended, for this reason, without its own end: a check under way has failed. Gives whether there was one."""
        if not self.running:
            return False
        result, self.running = self.running, None
        self.count(result, 0)
        result.failures = [f for f in result.failures if f != "it printed no result"]
        result.failures.append(f"{why}, behind {last_line(result.output)}")
        self.finished.add(result.name)
        self.done(result)
        return True
