#!/usr/bin/env python3
"""The screens on terminals of all kinds and sizes, and how they leave them: by signals, Ctrl-Z, a crash."""
import os, re, signal, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import terminal
from screen import FAULT, RUNS, UNSET, Screen, alive, endless, go, poll, tour
from terminal import main


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


def resizing_under_a_script():
    with endless() as s:
        s.keys(":")
        s.type("while 1 {si}")
        s.keys("Enter")
        s.until("step at 0x200000")
        s.resize(90, 30)
        poll(s.text, lambda: len(s.rows()) == 30 and "demo:tour" in s.rows()[-1])
        s.until("─ Memory map")
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
    with tour(shell=True) as s:
        os.kill(s.find_pid(), signal.SIGTERM)
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
        s.enter("quit")
        s.shell_is_usable()


def stopped_from_outside():
    with tour(shell=True) as s:
        os.kill(s.find_pid(), signal.SIGTSTP)
        s.shell_is_usable()
        s.type("fg")
        s.keys("Enter")
        s.until(FAULT)
        s.command("expr 6 * 7")
        s.until("^42$")


def stopped_without_being_asked():
    """SIGSTOP, and somebody writes over the screens: they are drawn anew when they go on."""
    with tour() as s:
        os.kill(s.pid, signal.SIGSTOP)
        with open(s.format("pane_tty"), "w") as tty:
            tty.write("\033[H\033[2Jover-it")
        s.until("over-it")
        os.kill(s.pid, signal.SIGCONT)
        s.until_gone("over-it")
        s.until("^─ Memory map")
        s.has(FAULT)
        s.command("expr 6 * 7")
        s.until("^42$")


def the_prompt_is_usable_behind_the_screens():
    with tour(shell=True) as s:
        s.keys("q")
        s.until(r"^\(kvmscope\)")
        assert s.format("alternate_on") == "0" and s.format("cursor_flag") == "1"
        s.type("quit")
        s.keys("Enter")
        s.shell_is_usable()


def its_terminal_goes_away():
    its_terminal_goes(tour())
    s = endless()
    go(s)
    its_terminal_goes(s)
    s = endless()
    s.enter("while 1 {si}")
    s.until("step at 0x200000")
    its_terminal_goes(s)


def its_terminal_goes(s):
    with s:
        pid = s.pid
        s.tmux("kill-server")
        poll(lambda: "still running", lambda: not alive(pid))


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


if __name__ == "__main__":
    sys.exit(main([resizing, resizing_under_a_script, all_presets_in_all_sizes, keys_while_too_small, sigterm, sighup, a_crash, an_abort,
                   while_it_runs, its_status_says_the_signal, control_z_and_fg, stopped_from_outside, stopped_without_being_asked,
                   the_prompt_is_usable_behind_the_screens, its_terminal_goes_away, idle_costs_nothing, terminals, terminals_that_only_print_lines, no_terminal_at_all, plain_locale,
                   no_color]))
