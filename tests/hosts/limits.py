"""The table `limits`: what the emulators cannot do, each by name, with the reason."""
import dataclasses, fnmatch, os

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "limits")


@dataclasses.dataclass(frozen=True)
class Limit:
    host: str
    check: str
    test: str
    reason: str


def parse(text):
    found = []
    for n, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 3)
        if not words or line.startswith("#"):
            continue
        if len(words) < 4:
            raise ValueError(f"limits, line {n}: it has no HOST CHECK TEST REASON")
        found.append(Limit(*words))
    return found


def read(path=TABLE):
    with open(path, encoding="utf-8") as f:
        return parse(f.read())


def of_host(limits, host):
    return [x for x in limits if fnmatch.fnmatchcase(host, x.host)]


def whole_check(limits, check):
    """Why a host cannot run the check at all; None where it can."""
    return next((x.reason for x in limits if x.test == "*" and fnmatch.fnmatchcase(check, x.check)), None)


def for_guest(limits):
    """What the host is given: a line `CHECK TEST REASON` each, of single tests."""
    return "".join(f"{x.check} {x.test} {x.reason}\n" for x in limits if x.test != "*")
