"""What the matrix prints: a line for each check that has ended, then the table, the reasons and the sums."""
import collections, threading


def short(result):
    """A place of the table."""
    if result is None:
        return "-"
    text = f"FAILED {result.failed}" if result.failed else ""
    if result.passed or not (text or result.skipped):
        text += f"{' of ' if text else ''}{result.passed + result.failed}"
    if result.skipped:
        text += f"{', ' if text else ''}{result.skipped} skipped"
    return text


def table(hosts, checks, results):
    """results: (host, check) -> Result. A column for each host, a row for each check; - where a check was not run."""
    rows = [["", *hosts]] + [[c, *(short(results.get((h, c))) for h in hosts)] for c in checks]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(r, widths)).rstrip() for r in rows)


class Report:
    """Collects from all hosts at once."""

    def __init__(self, out=print):
        self.out, self.lock = out, threading.Lock()
        self.results, self.reasons = {}, collections.Counter()
        self.failed = []

    def say(self, text):
        with self.lock:
            self.out(text)

    def add(self, host, result, note=""):
        with self.lock:
            self.results[(host, result.name)] = result
            self.reasons.update(result.reasons)
            word = "FAILED" if result.failed else "ok"
            self.out(f"{word:7} {host} {result.name}: {result.passed} passed, {result.failed} failed, {result.skipped} skipped{note}")
            if result.failed:
                self.failed += [f"{host} {result.name}: {f}" for f in result.failures]
                self.out(f"---- end of the output of {host} {result.name}")
                self.out("\n".join(f"     {line}" for line in result.output[-60:]))
                self.out("\n".join(f"---- {f}" for f in result.failures))

    def sums(self):
        return [sum(getattr(r, k) for r in self.results.values()) for k in ("passed", "failed", "skipped")]

    def summary(self, hosts, checks):
        """Gives the exit status."""
        names = [c for c in checks] + sorted({c for _, c in self.results} - set(checks))
        self.out("\n" + table(hosts, names, self.results) + "\n")
        for reason, k in sorted(self.reasons.items()):
            self.out(f"skipped: {reason}" + (f" ({k} times)" if k > 1 else ""))
        for f in self.failed:
            self.out(f"failed: {f}")
        passed, failed, skipped = self.sums()
        self.out(f"{passed} passed, {failed} failed, {skipped} skipped")
        return 1 if failed else 0
