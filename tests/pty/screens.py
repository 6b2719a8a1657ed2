#!/usr/bin/env python3
"""The screens by real keys in tmux: presets, command line, output, the guest's console, running, sizes, signals, terminals."""
import os, pathlib, re, signal, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import terminal
from screen import UNSET, Screen, poll
from terminal import Skip, main

ENDLESS = ("-c", "mem write 0x200000 ebfe")  # jmp $, where demo:tour begins
FAULT = r"exception 14 cr2 0x300000"         # in the status line
RUNS = r"^ (soft|kvm) .* running\b"          # the same


def tour(*args, **more):
    s = Screen("-c", "run", *args, **more)
    s.until(FAULT)
    return s


def endless(*args, **more):
    s = Screen(*ENDLESS, *args, **more)
    s.until("has not run yet")
    return s


def go(s):
    s.keys("c")
    s.until(RUNS)


# ---- panes and keys


def presets():
    with tour() as s:
        for key, titles in (("F3", "Page tables|Tables"), ("F4", "Fault"), ("F5", "Registers"), ("F6", "Breakpoints"), ("F2", "Memory map")):
            s.keys(key)
            s.until(rf"─ ({titles})")
        s.has("readonly")
        s.keys("F5")
        s.until("rip +0x0*200047|rip.*200047")


def keys_in_quick_succession():
    """All of them come before anything is drawn: none is lost."""
    with tour() as s:
        s.keys("F6", "F5", "Tab", "Tab", "z")
        s.until_gone("─ Registers")
        s.keys("F6", "z", "j", "z", "?")
        s.until("Keys everywhere")
        s.keys("Escape")
        s.until("─ MMIO")


def hide_zoom_and_show():
    with tour() as s:
        s.keys("z")
        s.until_gone("─ Output")
        s.keys("z")
        s.until("─ Output")
        s.keys("x")
        s.until_gone("─ Memory map")
        s.keys("X")
        s.until("─ Memory map")
        s.keys("x", "x", "x", "x", "x")  # the last one stays
        s.until_gone("─ Output")
        s.has("─ Memory map")
        s.has_not("─ Selected")
        s.keys("X")
        s.until("─ Output")
        s.has("─ Selected")


def help_and_back():
    with tour() as s:
        s.keys("?")
        s.until("Keys of this pane")
        s.until("^Up, Down, PgUp and PgDn scroll; any other key leads back")
        for _ in range(10):
            s.keys("PPage")
        s.until("Memory map")
        s.keys("NPage", "NPage", "NPage")
        s.until("draw the screen anew")
        s.keys("Escape")
        s.until("─ Selected")
        s.until("^press : for a command, . for the keys, F2 to F6")


def layouts_are_kept():
    with tour() as s:
        s.keys("Tab", "x")
        s.until_gone("─ Selected")
        s.keys("q")
        s.until(r"^\(kvmscope\)")
        assert "selected!" in open(s.home + "/state/kvmscope/layouts").read()
        with tour(home=s.home) as again:
            again.has_not("─ Selected")
            again.has("─ Memory map")


def a_spoilt_file_of_layouts():
    with tour() as s:
        s.keys("q")
        s.until(r"^\(kvmscope\)")
        path = pathlib.Path(s.home, "state/kvmscope/layouts")
        path.write_bytes(b"map (nobody | selected)\ntables\n\xff\x1b[2J\0\nfault " + b"(" * 5000 + b"\ncpu output\n")
        with tour(home=s.home) as again:
            again.has("─ Memory map")
            again.keys("F5")
            again.until_gone("─ Memory map")
            again.until("─ Output")
            again.has_not("─ Registers")


def selecting_in_all_panes():
    with tour() as s:
        s.command("select 0x240000")
        s.until(r"gva 0x240000 +gpa 0x40000 +gfn 0x40")
        s.command("select 0x80000 -phys")
        s.until("gpa 0x80000")
        s.keys("<")
        s.until("gpa 0x40000")
        s.keys("<")
        s.keys("<")
        s.until("nothing was selected before that")
        s.keys(">")
        s.until("gpa 0x40000")
        s.keys("g")
        s.until("^:select $|^:select$")
        s.type("0x250000")
        s.keys("Enter")
        s.until(r"gva 0x250000 +gpa 0x40000")


def search_in_a_pane():
    with tour() as s:
        s.command("info slots")
        s.until("^ 1 +0x80000")
        s.keys("BTab")  # the last pane: output
        s.keys("/")
        s.until("^/")
        s.type("nobody-has-this")
        s.keys("Enter")
        s.until("not found: nobody-has-this")
        s.keys("/")
        s.until("^/$")
        s.type("readonly")
        s.keys("Enter")
        s.until("press : for a command")
        s.keys("N")
        s.has_not("not found")
        s.keys("/")
        s.until("^/$")
        s.type("left")
        s.until("^/left")
        s.keys("Escape")
        s.until("press : for a command")
        s.keys(":")
        s.until("^:$")  # what was searched for is no command
        s.type("info")
        s.until("^:info$")
        s.keys("Escape")
        s.until("press : for a command")
        s.keys("/")
        s.until("^/$")
        s.type("left")
        s.until("^/left$")
        s.keys("F3", ":")
        s.until("^:info$")  # but what was being typed still is


def breakpoints_by_keys():
    with tour() as s:
        s.command("select 0x200033")
        s.keys("b")
        s.until("breakpoint 1 at")
        s.keys("F6")
        s.until(r"─ Breakpoints")
        s.command("load demo:tour")
        s.until("has not run yet")
        s.keys("c")
        s.until("breakpoint at 0x200033")
        s.keys("s")
        s.until(r"at 0x200038|at 0x200035|at 0x20003")
        s.command("select 0x240000 -phys")
        s.keys("u")
        s.until("no virtual address is selected")


# ---- the command line


def completion():
    with tour() as s:
        s.keys(":")
        s.type("info sha")
        s.keys("Tab")
        s.until("^:info shadow")
        s.keys("C-u")
        s.type("info rma")
        s.keys("Tab", "Tab", "Tab")
        s.until("rmap +rmaps")
        s.keys("C-c")
        s.until("press : for a command")


def history_and_search_in_it():
    with tour() as s:
        s.command("expr 11 * 3")
        s.until("^33$")
        s.command("expr 11 * 4")
        s.until("^44$")
        s.keys(":")
        s.keys("Up", "Up")
        s.until(r"^:expr 11 \* 3")
        s.keys("C-e", "1", "Enter")
        s.until("^341$")
        s.keys(":")
        s.keys("C-r")
        s.until("reverse-i-search")
        s.type("* 4")
        s.until(r"expr 11 \* 4$")
        s.keys("Enter")
        poll(s.text, lambda: len(re.findall("^44$", s.text(), re.M)) == 2)
        s.keys(":")
        s.keys("C-r")
        s.type("expr")
        s.until("reverse-i-search")
        s.keys("Escape")
        s.until("press : for a command")
        s.has_not("reverse-i-search")
        s.command("info history")
        s.until(r"\d+ +expr 11 \* 31")


def history_is_shared_with_the_prompt():
    with tour() as s:
        s.command("expr 1 + 1")
        s.until("^2$")
        s.keys("q")
        s.until(r"^\(kvmscope\)")
        s.keys("Up")
        s.until(r"^\(kvmscope\) expr 1 \+ 1")
        s.keys("C-u")
        s.type("expr 2 + 1")
        s.keys("Enter")
        s.until("^3$")
        s.keys("C-x", "a")
        s.until("─ Memory map")
        s.keys(":", "Up")
        s.until(r"^:expr 2 \+ 1")


def two_windows_of_one_history():
    """Each has its own; the file gets the lines of both."""
    with tour() as one, tour(home=one.home) as two:
        one.command("expr 100 + 1")
        one.until("^101$")
        two.command("expr 200 + 2")
        two.until("^202$")
        one.command("expr 300 + 3")
        one.until("^303$")
        for s in (one, two):
            s.keys("q")
            s.until(r"^\(kvmscope\)")
        lines = open(one.home + "/state/kvmscope/history").read().split("\n")
        for want in ("expr 100 + 1", "expr 200 + 2", "expr 300 + 3"):
            assert want in lines, lines
        one.keys("Up", "Up")
        one.until(r"^\(kvmscope\) expr 100")


def a_command_of_several_lines():
    with tour() as s:
        s.keys(":")
        s.type("foreach n {1 2} {")
        s.keys("Enter")
        s.until("^>$")
        s.type("puts <$n>")
        s.keys("Enter")
        s.until("^> puts <")
        s.until("^>$")
        s.type("}")
        s.keys("Enter")
        s.until("^<1>\n<2>")
        s.until("press : for a command")
        s.keys(":")
        s.type("puts {")
        s.keys("Enter")
        s.until("^>")
        s.keys("C-c")  # out of it
        s.until("press : for a command")
        s.command("expr 6 * 7")
        s.until("^42$")


def escape_keeps_what_was_typed():
    with tour() as s:
        s.keys(":")
        s.type("info sl")
        s.until("^:info sl")
        s.keys("Escape")
        s.until("press : for a command")
        s.keys("F3")
        s.keys(":")
        s.until("^:info sl")
        s.type("ots")
        s.keys("Enter")
        s.until("readonly")


def to_and_fro_keeps_what_was_typed():
    with tour() as s:
        s.keys(":")
        s.type("expr 20")
        s.until("^:expr 20")
        s.keys("C-x", "a")
        s.until(r"^\(kvmscope\) expr 20")
        s.type(" + 3")
        s.until(r"expr 20 \+ 3")
        s.keys("C-x", "a")
        s.until(r"^:expr 20 \+ 3")
        s.keys("Enter")
        s.until("^23$")
        for _ in range(5):
            s.keys("C-x", "a")
            s.until(r"^\(kvmscope\)")
            s.keys("C-x", "a")
            s.until("─ Memory map")


def escape_and_letter_are_alt():
    with tour() as s:
        s.keys(":")
        s.type("info slots")
        s.until("^:info slots")
        s.keys("M-b")
        s.type("x")
        s.until("^:info xslots")
        s.keys("M-d")
        s.until("^:info x$")


def the_command_line_stays():
    with tour() as s:
        s.keys("C-x", ":")
        s.until("^:")
        s.type("expr 5 + 5")
        s.keys("Enter")
        s.until("^10$")
        s.until("^:$")
        s.type("expr 6 + 6")
        s.keys("Enter")
        s.until("^12$")
        s.keys("Escape")
        s.until("press : for a command")


def a_line_longer_than_the_screen():
    with tour() as s:
        s.keys(":")
        s.type("expr " + "1 + " * 60 + "7")
        s.until(r"\+ 7$")
        s.keys("Enter")
        s.until("^67$")


def quit_has_its_status():
    with tour() as s:
        s.command("quit 7")
        assert s.status() == 7
    with tour(shell=True) as s:
        s.command("quit")
        s.shell_is_usable()


# ---- what is shown


def batch_and_scripts():
    """-c and -x with --tui go to the panes."""
    with Screen("-c", "puts <[expr 6*7]>", "-x", "scripts/tour.tcl", "-c", "expr 40 + 4") as s:
        s.until("^44 ")
        s.has("─ Memory map")
        s.has(FAULT)
        s.has_not(r"\\x1b")
        assert re.search(r"\x1b\[(?:\d+;)*3\d[^m]*m0x80000", s.styled()), "no colours"


def nothing_tears_the_screen():
    with tour() as s:
        for line, shows in (("puts hello-from-tcl", "^hello-from-tcl$"),
                            ("puts stderr to-stderr", "^to-stderr$"),
                            ("puts -nonewline no-end", "^no-end"),
                            ("shell {echo from-a-child; echo and-its-error >&2}", "from-a-child\nand-its-error"),
                            (r"shell {printf '\033[2J\033[H\033[41mred'}", r"\\x1b\[2J\\x1b\[H\\x1b\[41mred")):
            s.command(line)
            s.until(shows)
            s.has("─ Memory map")
            s.has(FAULT)
        s.command("shell ls /")
        s.until("^etc")
        s.has("─ Memory map")
        s.command("exec ls /nowhere-at-all")
        s.until("nowhere-at-all.*No such file|No such file.*nowhere-at-all|nowhere-at-all: No such")
        s.has(FAULT)


def long_output_begins_at_its_beginning():
    with tour() as s:
        s.command("help")
        s.until(r"^\(kvmscope\) help")
        s.keys("BTab", "G")
        s.until_gone(r"^\(kvmscope\) help")
        s.command("for {set i 0} {$i < 5000} {incr i} {puts line-$i}")
        s.until(r"^line-3\b")
        s.has("^.kvmscope. for")
        s.keys("G")
        s.until(r"^line-4999\b")


def an_error_is_shown():
    with tour() as s:
        s.command("frobnicate")
        s.until("error: frobnicate: no such command")
        s.command("x/8gx 0x300000")
        s.until("error: ")
        s.has(FAULT)


def the_console_has_its_pane():
    with Screen(image="demo:real") as s:
        s.keys("F6")
        s.until("─ Console")
        s.keys("c")
        s.until("Hello|hello|real mode|16-bit")
        s.has("─ Breakpoints")
        s.keys("F2")
        s.until("─ Memory map")
        s.has_not("the guest prints")
    with Screen(image="demo:real") as s:
        s.until("has not run yet")
        s.keys("c")
        s.until("the guest prints: console")
        s.keys("F6")
        s.until_gone("the guest prints")


# ---- running


def runs_in_the_background_and_stops():
    with endless() as s:
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
        s.command("quit 3")
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


# ---- sizes


def resizing():
    with endless() as s:
        go(s)
        for cols, rows, wanted in ((40, 8, "too small"), (120, 40, "─ Memory map"), (60, 12, "─ "), (59, 12, "too small"), (60, 11, "too small"),
                                   (400, 120, "─ Memory map"), (80, 24, "─ Memory map"), (1, 1, ""), (200, 60, "─ Memory map")):
            s.resize(cols, rows)
            s.until(wanted)
            if "─" in wanted:
                s.until_gone("too small")
                poll(s.text, lambda: re.search(r"soft demo|kvm demo", s.rows()[-1]) and len(s.rows()) == rows)
                s.has(RUNS)
        s.keys("C-c")
        s.until("interrupted")


def all_presets_in_all_sizes():
    with tour() as s:
        for cols, rows in ((60, 12), (73, 17), (97, 31), (400, 120)):
            s.resize(cols, rows)
            for key in ("F2", "F3", "F4", "F5", "F6"):
                s.keys(key)
                poll(s.text, lambda: len(s.rows()) == rows and s.rows()[-1].strip().startswith(terminal.current))
                assert all(len(r) <= cols for r in s.rows())


def keys_while_too_small():
    with Screen("-c", "run", cols=40, rows=8) as s:
        s.until("too small: 40x8, 60x12 is the least")
        s.keys("F5", "Tab", "j", "z", "q")
        s.until(r"^\(kvmscope\)")


# ---- signals


def ended_by(number):
    with tour(shell=True) as s:
        s.find_pid()
        assert s.format("alternate_on") == "1" and s.format("cursor_flag") == "0"
        s.keys(":")
        s.until("^:")
        os.kill(s.pid, number)
        s.shell_is_usable()


def sigterm():
    ended_by(signal.SIGTERM)


def sighup():
    ended_by(signal.SIGHUP)


def a_crash():
    ended_by(signal.SIGSEGV)


def an_abort():
    ended_by(signal.SIGABRT)


def while_it_runs():
    with endless(shell=True) as s:
        s.find_pid()
        go(s)
        os.kill(s.pid, signal.SIGTERM)
        s.shell_is_usable()


def its_status_says_the_signal():
    with tour() as s:
        os.kill(s.pid, signal.SIGTERM)
        assert s.status() == 128 + signal.SIGTERM


def control_z_and_fg():
    with tour(shell=True) as s:
        s.find_pid()
        for _ in range(2):
            s.keys("C-z")
            s.shell_is_usable()
            s.resize(100, 30)
            s.type("fg")
            s.keys("Enter")
            s.until("─ Memory map")
            s.until(FAULT)
            assert s.format("alternate_on") == "1"
            poll(s.text, lambda: len(s.rows()) == 30 and "demo:tour" in s.rows()[-1])
            s.command("expr 6 * 7")
            s.until("^42$")
            s.resize(120, 40)
            poll(s.text, lambda: "demo:tour" in s.rows()[-1])
        s.command("quit")
        s.shell_is_usable()


def the_prompt_is_usable_behind_the_screens():
    with tour(shell=True) as s:
        s.keys("q")
        s.until(r"^\(kvmscope\)")
        assert s.format("alternate_on") == "0" and s.format("cursor_flag") == "1"
        s.type("quit")
        s.keys("Enter")
        s.shell_is_usable()


def its_terminal_goes_away():
    with tour() as s:
        pid = s.pid
        s.tmux("kill-server")
        poll(lambda: "still running", lambda: not os.path.exists(f"/proc/{pid}/stat") or " Z " in open(f"/proc/{pid}/stat").read())


def idle_costs_nothing():
    with tour() as s:
        for key in ("F2", "F3", "F4", "F5", "F6"):
            s.keys(key)
            s.until("─ Output")
        s.until(FAULT)
        a, at = s.ticks(), os.times().elapsed
        poll(lambda: "", lambda: os.times().elapsed - at > 2)
        assert s.ticks() - a <= 2, f"{s.ticks() - a} ticks in 2 s of nothing"


# ---- terminals


def terminals():
    for term in ("vt100", "linux", "xterm", "xterm-256color", "tmux-256color", "screen"):
        with Screen("-c", "run", env={"TERM": term}) as s:
            s.until(FAULT)
            s.has("readonly")
            if term == "vt100":
                assert s.text().isascii(), s.text()
            s.keys(":")
            s.type("expr 6 * 7")
            s.keys("Enter")
            s.until("^42$")
            s.keys("q")
            s.until(r"^\(kvmscope\)")


def cannot(reason, **more):
    with Screen("-c", "run", **more) as s:
        s.until(reason)
        s.until(r"^\(kvmscope\)")
        assert len(re.findall("error: screens", s.text())) == 1, s.text()
        s.type("expr 6 * 7")
        s.keys("Enter")
        s.until("^42$")


def terminals_that_only_print_lines():
    cannot("TERM is dumb", env={"TERM": "dumb"})
    cannot("TERM is not set", env={"TERM": UNSET})
    cannot("TERM is not set", env={"TERM": ""})
    cannot("nobody-has-it is not known", env={"TERM": "nobody-has-it"})


def no_terminal_at_all():
    with Screen("-c", "run", "-c", "expr 6 * 7", shell=True, redirect="</dev/null") as s:
        s.until("no terminal")
        s.until("^42$")
        s.shell_is_usable()
    with Screen("-c", "run", "-c", "expr 6 * 7", "-c", "quit", shell=True, redirect="| cat") as s:
        s.until("no terminal")
        s.until("^42$")
        s.shell_is_usable()
    with Screen("--batch", "-c", "run", "-c", "expr 6 * 7", shell=True, redirect="</dev/null 2>&1 | cat") as s:
        s.until("no terminal")
        s.until("^42$")
        s.shell_is_usable()


def plain_locale():
    with Screen("-c", "run", env={"LC_ALL": "C"}) as s:
        s.until(FAULT)
        for key in ("F2", "F3", "F4", "F5", "F6", "?"):
            s.keys(key)
            s.until("help|Keys|Output")
            assert s.text().isascii(), [r for r in s.rows() if not r.isascii()]


def no_color():
    with Screen("-c", "run", env={"NO_COLOR": "1"}) as s:
        s.until(FAULT)
        for key in ("F2", "F3", "F4", "F5", "F6", "?"):
            s.keys(key)
            s.until("Keys|Output")
            colored = re.search(r"\x1b\[(?:\d+;)*(3[0-8]|4[0-8]|9\d|10\d)(?:;\d+)*m", s.styled())
            assert not colored, repr(colored)
    with tour() as s:
        assert re.search(r"\x1b\[(?:\d+;)*3[0-8]", s.styled()), "no colour where there could be"


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
    sys.exit(main([presets, keys_in_quick_succession, hide_zoom_and_show, help_and_back, layouts_are_kept, a_spoilt_file_of_layouts,
                   selecting_in_all_panes, search_in_a_pane, breakpoints_by_keys, completion, history_and_search_in_it,
                   history_is_shared_with_the_prompt, two_windows_of_one_history, a_command_of_several_lines, escape_keeps_what_was_typed,
                   to_and_fro_keeps_what_was_typed, escape_and_letter_are_alt, the_command_line_stays, a_line_longer_than_the_screen,
                   quit_has_its_status, batch_and_scripts, nothing_tears_the_screen, long_output_begins_at_its_beginning, an_error_is_shown,
                   the_console_has_its_pane, runs_in_the_background_and_stops, a_running_guest_is_looked_at, control_c_while_typing,
                   a_batch_of_stops, stops_that_go_on_by_themselves, inside_a_fault, loading_another_image, a_load_while_it_runs, resizing,
                   all_presets_in_all_sizes, keys_while_too_small, sigterm, sighup, a_crash, an_abort, while_it_runs,
                   its_status_says_the_signal, control_z_and_fg, the_prompt_is_usable_behind_the_screens, its_terminal_goes_away,
                   idle_costs_nothing, terminals, terminals_that_only_print_lines, no_terminal_at_all, plain_locale, no_color,
                   a_thousand_slots, many_vcpus]))
