#!/usr/bin/env python3
"""Every command of the table in every state of the session: a value or one well-formed error, never a death."""
import json, os, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import BIN, ERROR, errors_of, main, ok, start

# Words that make a command do its work; what is not named here runs without words.
WORDS = {
    "memop key": ["0x40000"], "delete checkpoint": ["1"],
    "apropos": ["mmio"], "awatch": ["0x240000"], "break": ["spin"], "catch": ["mmio", "pio", "exception", "smi", "mode", "slot"],
    "commands": ["1 {p 1}"], "condition": ["1 {$rax == 1}"], "delete": ["1", ""], "disable": ["1"], "enable": ["1"],
    "diff": ["a b"], "disas": ["0x200000 4"], "display": ["$rip"], "draw": ["info slots"], "dump": ["DIR/d 0x200000 16"],
    "fault continue": [""], "fault list": [""], "fault show": ["1"], "fault step": [""], "find": ["0x200000 64 c3"],
    "gpa2hpa": ["0x40000"], "gpa2hva": ["0x40000"], "gva2gpa": ["0x240000"], "hbreak": ["spin"], "help": ["", "walk", "tcl"],
    "ignore": ["1 2"], "info registers": ["", "-a", "rax"], "info rmap": ["0x40", "0x40 -dot"], "info shadow": ["", "0x13"],
    "info sptes": ["", "0x200000 0x2fffff"], "info tlb": ["", "0x240000"], "info mem": ["", "0x240000"], "info slots": ["", "-all", "-map"],
    "load": ["demo:tour", "demo:rmap"], "mem read": ["0x240000 8"], "mem write": ["0x240000 00"], "memop read": ["0x240000 8"],
    "memop write": ["0x240000 00"], "print": ["$rip", "1 + 2"], "quit": [], "reg": ["rax", "rax 5"], "restore": ["DIR/r 0x240000"],
    "rwatch": ["0x240000"], "set": ["context on", "$rax = 5"], "shadow tree": ["", "-dot"], "shell": ["true"], "slot add": ["9 0x10000000 0x1000"],
    "slot del": ["1"], "slot dirty": ["0"], "slot flags": ["1 -readonly"], "slot move": ["1 0xa0000"], "smi": [""], "snap": ["a"],
    "source": ["DIR/s.tcl"], "tbreak": ["spin"], "undisplay": ["1"], "until": ["spin"], "vcpu": ["", "0"],
    "walk": ["0x240000 w -user", "0x300000"], "watch": ["0x240000"], "x": ["/2gx 0x240000"], "xlate": ["0x240000 4 r"],
    "hexdump": ["0x240000"], "telescope": ["", "0x240000 2"], "xinfo": ["0x240000", "0x300000"], "vmmap": ["", "0x240000"],
    "context": ["", "regs code"], "show": ["", "context"],
    "xp": ["/2gx 0x40000"], "report": ["DIR/r.html", "-trace", "DIR/t.html", "-notrace"], "restart": ["1"], "attach": ["1"], "info": [""],
}
# Not for a loop: they end the session, or need a terminal.
LEFT_OUT = {"quit", "tui"}
STATES = {
    "no VM": None,
    "fresh": ["expr 1"],
    "ran": ["run"],
    "at a breakpoint": ["b readonly", "run"],
    "in the middle": ["b readonly", "si 5", "c"],
}


def names():
    """Every command, from `help`."""
    out = []
    for rows in ok("help", backend="soft")[0].values():
        for r in rows:
            name = re.match(r"[a-z0-9-]+( [a-z]+)?", r["command"]).group(0)
            out.append(name)
    table = []
    for n in out:
        first = n.split(" ")[0]
        known = ok(f"help {n}", backend="soft")[0]["command"] if " " in n else n
        table.append(known if known.split(" ")[0] == first else first)
    last = ["delete", "reg", "set", "slot add", "slot flags", "run", "continue", "smi"]    # after these the guest is not what it was
    return sorted(set(table) - set(last)) + last


def every_command_in_every_state(b):
    """One session a state, all commands in it one after the other, each by stdin so that errors do not end it."""
    table = names()
    assert len(table) > 70, table
    for state, first in STATES.items():
        with tempfile.TemporaryDirectory() as d:
            open(d + "/r", "wb").write(b"\x01\x02")
            open(d + "/s.tcl", "w").write("set script_ran 1\n")
            lines = [] if first is None else list(first)
            for n in table:
                if n in LEFT_OUT:
                    continue
                for w in ("/none-such", *WORDS.get(n, [""])) if n == "load" else WORDS.get(n, [""]):
                    line = f"{n} {w}".strip() if not w.startswith("/2") else n + w
                    if n in ("load", "slot del", "slot move", "restart") and w != "/none-such":
                        continue    # they would change the state that the others are to be tried in
                    lines.append("puts stderr {@@ " + line.replace("{", "").replace("}", "") + "}")
                    lines.append(line.replace("DIR", d))
            image = "/none-such/image" if first is None else "demo:tour"
            argv = [BIN, "-b", b, "--nx", "-q", "-j", image]
            p = subprocess.run(argv, input="\n".join(lines).encode() + b"\nputs stderr @@end\n", capture_output=True, timeout=300)
            err = p.stderr.decode(errors="replace")
            at = re.findall(r"^@@ (.*)$", err, re.M)[-1:]
            assert p.returncode == 0 and err.rstrip().endswith("@@end"), f"{state}: ended with {p.returncode} at {at}: {err[-300:]}"
            for e in errors_of(err):
                assert ERROR.match(e), f"{state}: not well-formed: {e!r}"
            for part in err.split("@@ ")[1:]:
                assert len(errors_of(part)) <= 1, f"{state}: more than one error: {part!r}"
            if first is None:
                assert "there is no VM" in err, err[-300:]


def every_command_alone(b):
    """No words and too many words: a value or one well-formed line."""
    table = names()
    junk = " ".join("zzz" for _ in range(80))
    lines = []
    for n in table:
        if n in LEFT_OUT | {"shell", "run", "continue", "finish"}:
            continue
        lines += [n, f"{n} -nosuch", f"{n} {junk}", f"{n} 0xffffffffffffffff 0xffffffffffffffff 0xffffffffffffffff"]
    p = subprocess.run([BIN, "-b", b, "--nx", "-q", "demo:tour"], input=("\n".join(lines) + "\nputs stderr @@end\n").encode(),
                       capture_output=True, timeout=300)
    err = p.stderr.decode(errors="replace")
    assert p.returncode == 0 and err.rstrip().endswith("@@end"), f"ended with {p.returncode}: {err[-400:]}"
    bad = [e for e in err.split("\n") if e and not ERROR.match(e) and not e.startswith("@@")]
    assert not bad, bad[:5]


def json_of_every_command(b):
    """-j: exactly one line of JSON for each line that succeeds, none for one that fails, and each parses."""
    table = [n for n in names() if n not in LEFT_OUT | {"shell", "load", "fault step", "fault continue", "attach"}]
    with tempfile.TemporaryDirectory() as d:
        open(d + "/r", "wb").write(b"\x01\x02")
        open(d + "/s.tcl", "w").write("set script_ran 1\n")
        lines = ["b readonly", "run", "snap a", "si", "snap b", "display $rip"]
        for n in table:
            lines += [(n + w if w.startswith("/2") else f"{n} {w}".strip()).replace("DIR", d) for w in WORDS.get(n, [""])]
        p = subprocess.run([BIN, "-b", b, "--nx", "-q", "-j", "demo:tour"], input="\n".join(lines).encode(), capture_output=True,
                           timeout=300)
    values = [json.loads(line) for line in p.stdout.decode().split("\n")[:-1]]
    failed = errors_of(p.stderr.decode(errors="replace"))
    assert p.returncode == 0 and len(values) + len(failed) == len(lines), (p.returncode, len(values), len(lines), failed)
    assert len(failed) < 14, failed  # what kvm has none of (reverse, record, hardware breakpoints), and slots that earlier lines moved


def help_of_every_command():
    for n in names():
        h = ok(f"help {n}", backend="soft")[0]
        assert h["command"] and h["summary"] and len(h["help"]) > 10, h
        assert h["summary"][-1] != ".", h["summary"]


if __name__ == "__main__":
    sys.exit(main([every_command_in_every_state, every_command_alone, json_of_every_command, help_of_every_command]))
