#!/usr/bin/env python3
"""How it ends, in every phase: standing still, running, inside a fault, in the middle of a step that never comes back; by the end of its input,
`quit`, TERM, HUP and KILL. It is gone within seconds, with the status that a shell expects, and nothing of it stays behind."""
import os, signal, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Talk, main, start

# In the tour's place: jmp $
SPIN = "mem write 0x200000 ebfe"
# What brings the guest there; the last line is one that is not answered (None: all are), then a value that is.
PHASES = {
    "stopped": (("si",), None),
    "running": ((SPIN,), "c"),
    "stepping": ((SPIN,), "si 1000000000"),
    "watching": ((SPIN, "watch 0x240000 64", "rwatch 0x250000 8"), "c"),
    "tracing": ((SPIN, "catch mmu spte 0x77"), "c"),
    "in a fault": (("catch fault 0x40", "c"), None),
    "watching in a fault": (("watch 0x240000 8", "catch fault 0x40", "c"), None),
    "running with faults caught": ((SPIN, "catch fault 0x40"), "c"),
}
ENDS = {"eof": 0, "quit": 0, "term": 128 + signal.SIGTERM, "hup": 128 + signal.SIGHUP, "kill": -signal.SIGKILL}


def gone(t, seconds=15):
    return t.p.wait(seconds)


def used(t):
    """Processor time so far, in seconds."""
    return sum(map(int, open(f"/proc/{t.p.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def bring(t, lines, last):
    for line in lines:
        value = t.ask(line)
        assert not (isinstance(value, dict) and "error" in value), (line, value)
    if last:
        t.say(last + "\n")
        # It runs once it uses processor time, which it does not while it waits for a line.
        t.busy_until(used(t) + 0.02)


def end(t, how):
    if how == "eof":
        t.p.stdin.close()
    elif how == "quit":
        t.say("quit\n")
    else:
        t.p.send_signal({"term": signal.SIGTERM, "hup": signal.SIGHUP, "kill": signal.SIGKILL}[how])


def in_every_phase(b):
    for phase, (lines, last) in PHASES.items():
        for vcpus in ("1", "2"):
            for how, status in ENDS.items():
                # What is not answered is not read either: only a signal gets there.
                if last and how in ("eof", "quit"):
                    continue
                with Talk("--vcpus", vcpus, backend=b, seconds=30) as t:
                    bring(t, lines, last)
                    end(t, how)
                    assert gone(t) == status, (phase, vcpus, how, t.p.returncode)


def leaves_nothing_behind(b):
    """No file, no process; and the next VM is as any."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "TMPDIR": home}
        for how in ("kill", "term"):
            with Talk("--vcpus", "2", backend=b, env=env, start_new_session=True) as t:
                bring(t, ("watch 0x240000 8", "catch fault 0x40", "c"), None)
                group = t.p.pid
                end(t, how)
                gone(t)
                try:
                    os.killpg(group, 0)
                    raise AssertionError(f"{how}: somebody of its process group is left")
                except ProcessLookupError:
                    pass
        assert not os.listdir(home), os.listdir(home)
    status, out, err = start("run", backend=b)
    assert status == 0 and "exception" in out, err


if __name__ == "__main__":
    sys.exit(main([in_every_phase, leaves_nothing_behind]))
