#!/usr/bin/env python3
"""The screens while the guest runs: in the background, in scripts, at many stops, inside faults, with much of everything."""
import os, pathlib, re, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from screen import RUNS, Screen, endless, go, poll, tour
from terminal import main


# ---- running


def runs_in_the_background_and_stops():
    with endless(shell=True) as s:
        go(s)
        s.keys("F5")
        s.until("─ Registers")
        s.command("info slots")
        s.until("readonly")
        s.has(RUNS)
        s.keys("C-c")
        s.until("interrupted at 0x200000")
        s.keys("Space")
        s.until(RUNS)
        s.keys("Space")
        s.until_gone(RUNS)
        s.has("interrupted")
        s.command("c")
        s.until(RUNS)
        s.enter("quit 3")
        assert s.status() == 3


def a_running_guest_is_looked_at():
    """A counter in memory goes up on the screen."""
    with Screen("-c", "mem write 0x200000 ff05faff0300ebf8") as s:  # inc dword [0x240000]; jmp back
        s.until("has not run yet")
        s.command("select 0x240000")
        s.keys("F5")
        go(s)
        def words():
            m = re.search(r"0x240000 +((?:[0-9a-f]{2} ?)+|[0-9a-f]+)", s.text())
            return m and m.group(1)
        first = poll(s.text, words)
        poll(s.text, lambda: words() not in (None, first))
        s.has(RUNS)
        s.keys("C-c")
        s.until("interrupted")


def a_script_that_waits_for_the_guest():
    with endless() as s:
        s.enter("set r [c]; puts <$r>")
        s.until(RUNS)
        s.resize(100, 30)
        poll(s.text, lambda: len(s.rows()) == 30 and "demo:tour" in s.rows()[-1])
        s.until("─ Memory map")
        s.keys("C-c")
        s.until("interrupted at 0x200000")
        s.command("expr 6 * 7")
        s.until("^42$")


def control_c_while_typing():
    with endless() as s:
        go(s)
        s.keys(":")
        s.type("expr 5")
        s.keys("C-c")  # the guest first
        s.until("interrupted")
        s.has("^:expr 5")
        s.keys("C-c")
        s.until("press : for a command")


def a_batch_of_stops():
    """10,000 steps by a script: the screen goes on, C-c ends it."""
    with endless() as s:
        s.command("set n 0")
        s.command("display {$n}")
        s.keys("F5")
        s.keys(":")
        s.type("while 1 {incr n; si}")
        s.keys("Enter")
        s.until("step at 0x200000")
        count = lambda: int(s.until(r"1: \$n = 0x([0-9a-f]+)").group(1), 16)
        first = count()
        poll(s.text, lambda: count() > first)
        poll(s.text, lambda: count() >= 10000, 120)
        s.keys("C-c")
        s.until("interrupted")
        s.command("puts n=$n.")
        assert int(s.until(r"^n=(\d+)\.").group(1)) >= 10000
        s.has("─ Registers")


def stops_that_go_on_by_themselves():
    """A breakpoint whose commands continue: 10,000 hits, then one C-c."""
    with endless() as s:
        s.command("b *0x200000")
        s.command("commands 1 {incr hits; c}")
        s.command("c")
        shown = lambda: int(s.until(r"hit (\d+) times").group(1))
        first = shown()
        poll(s.text, lambda: shown() > first)  # the screen goes on meanwhile
        poll(s.text, lambda: shown() >= 10000, 120)
        s.keys("C-c")
        s.until_gone(RUNS)
        s.command("puts hits=$hits.")
        first = int(s.until(r"^hits=(\d+)\.").group(1))
        s.command("puts again=$hits.")
        assert int(s.until(r"^again=(\d+)\.").group(1)) == first, "it goes on behind C-c"


def inside_a_fault():
    with Screen("-c", "catch fault 0x40", "-c", "run") as s:
        s.until("fault.stage|fault-stage|stage")
        s.keys("F4")
        s.until("─ Fault")
        rows = lambda: len(re.findall(r"live", s.text()))
        before = poll(s.text, rows)
        s.keys("f")
        poll(s.text, lambda: rows() > before)
        s.keys("c")
        s.until("guest fault 2 on gva 0x250000")


def quitting_inside_a_fault():
    with Screen("-c", "catch fault 0x40", "-c", "run", shell=True) as s:
        s.until("guest fault 1")
        s.enter("quit 4")
        assert s.status() == 4


def loading_another_image():
    with tour() as s:
        s.keys("F5")
        s.until("200047")
        s.command("load demo:rmap")
        s.until("demo:rmap has not run yet")
        s.command("b mapped")
        s.keys("c")
        s.until("breakpoint at")
        s.command("load /nowhere/at/all")
        s.until("error: ")
        s.has("demo:rmap breakpoint at")
        s.keys("F2")
        s.until("─ Memory map")
        s.command("info rmap 0x40")
        s.until("40 sptes")


def a_load_while_it_runs():
    with endless() as s:
        go(s)
        s.command("load demo:tour")
        s.until("has not run yet|error: ")


# ---- large


def a_thousand_slots():
    with Screen(env={}) as s:
        s.until("has not run yet")
        s.command("for {set i 0} {$i < 1000} {incr i} {slot add [expr 100+$i] [expr 0x10000000+$i*0x2000] 0x1000}; expr 1000+1")
        s.until("^1001$|error:")
        s.has_not("error:")
        s.keys("F6")
        s.until("─ Slots")
        s.keys("F2")
        s.keys("End")
        s.keys("G")
        s.until("─ Memory map")
        s.command("expr 6 * 7")
        s.until("^42$")


def many_vcpus():
    with tempfile.TemporaryDirectory() as d:
        pathlib.Path(d, "endless.bin").write_bytes(b"\xeb\xfe")
        with Screen("--vcpus", "64", "--mode", "long", image=d + "/endless.bin") as s:
            s.until("vCPU 0 of 64 has not run yet")
            s.command("vcpu 63")
            s.until("vCPU 63 of 64")
            s.keys("F5")
            go(s)
            s.until("─ Registers")
            s.command("info vcpus")
            s.until(r"^ +9 +long .* running")
            s.keys("C-c")
            s.until(r"vCPU \d+ of 64 interrupted")


if __name__ == "__main__":
    sys.exit(main([runs_in_the_background_and_stops, a_running_guest_is_looked_at, a_script_that_waits_for_the_guest, control_c_while_typing,
                   a_batch_of_stops, stops_that_go_on_by_themselves, inside_a_fault, quitting_inside_a_fault, loading_another_image,
                   a_load_while_it_runs, a_thousand_slots, many_vcpus]))
