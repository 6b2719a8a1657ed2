#!/usr/bin/env python3
"""The screens by real keys in tmux: presets, panes, mouse, the command line, what is shown, the guest's console."""
import os, pathlib, re, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from screen import FAULT, Screen, poll, tour
from terminal import main


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
        kept = open(s.home + "/state/kvmscope/layouts").read()
        assert re.fullmatch(r"map .*selected!.*\n", kept), kept  # what has been changed, nothing else
        with tour(home=s.home) as again:
            again.has_not("─ Selected")
            again.has("─ Memory map")


def a_link_to_layouts_stays_one():
    for there in (False, True):
        with tempfile.TemporaryDirectory() as home:
            folder, target = pathlib.Path(home, "state/kvmscope"), pathlib.Path(home, "elsewhere")
            folder.mkdir(parents=True)
            (folder / "layouts").symlink_to(target)
            if there:
                target.write_text("")
            with tour(home=home) as s:
                s.keys("Tab", "x")
                s.until_gone("─ Selected")
                s.keys("q")
                s.until(r"^\(kvmscope\)")
                assert (folder / "layouts").is_symlink() and "map" in target.read_text()
                assert [f.name for f in folder.iterdir() if f.name.startswith("layouts")] == ["layouts"]


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


def mouse(s, button, row, col):
    """As the terminal sends it: a press, and for a button its release."""
    at = chr(33 + col) + chr(33 + row)
    s.type("\x1b[M" + chr(32 + button) + at + ("" if button >= 64 else "\x1b[M#" + at))


def row_of(s, pattern):
    return next(i for i, r in enumerate(s.rows()) if re.match(pattern, r))


def by_mouse():
    with tour() as s:
        s.command("for {set i 0} {$i < 100} {incr i} {puts line-$i}")
        s.until(r"^line-3\b")
        row = row_of(s, r"line-3\b")
        for _ in range(12):
            mouse(s, 65, row, 5)  # the wheel, over the pane: no focus needed
        s.until(r"^line-35\b")
        for _ in range(12):
            mouse(s, 64, row, 5)
        s.until(r"^line-0\b")
        s.command("puts {gva 0x240000}")
        s.until("^gva 0x240000")
        row = row_of(s, "gva 0x240000")
        mouse(s, 0, row, 2)
        mouse(s, 0, row, 2)  # twice: select
        s.until("gva 0x240000 +gpa 0x40000")
        mouse(s, 0, 38, 2)  # the command line
        s.until("^:$")
        mouse(s, 0, 5, 80)  # a pane
        s.until("press : for a command")


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
        s.keys(":", "C-r")
        s.until("reverse-i-search")
        s.keys("C-c")
        s.until("press : for a command")
        s.keys(":")
        s.until("^:$")
        s.keys("Escape")
        s.until("press : for a command")  # Esc and the next key at once are Alt and that key
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
        s.keys("Escape", "F5")  # at once, and yet no Alt
        s.until("─ Registers")
        s.until("press : for a command")
        s.keys(":")
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


def the_end_of_input_leads_to_the_prompt():
    with tour() as s:
        s.keys(":")
        s.until("^:$")
        s.keys("C-d")
        s.until(r"^\(kvmscope\)")
        s.type("tui")
        s.keys("Enter")
        s.until("─ Memory map")
        s.command("tui")
        s.until("these are the screens")
        s.command("expr 6 * 7")
        s.until("^42$")


def a_line_longer_than_the_screen():
    with tour() as s:
        s.keys(":")
        s.type("expr " + "1 + " * 60 + "7")
        s.until(r"\+ 7$")
        s.keys("Enter")
        s.until("^67$")


def quit_has_its_status():
    with tour(shell=True) as s:
        s.enter("quit 7")
        assert s.status() == 7
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


def batch_without_anybody():
    """What a batch shows is not shown where nobody will look."""
    with Screen("--batch", "-c", "expr 6 * 7", shell=True) as s:
        s.until("^error: screens: with --batch they would close at once")
        s.until("^42$")
        assert s.status() == 0


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


def a_shell_has_the_terminal():
    with tour() as s:
        s.command("shell cat")  # nobody to talk to: it ends at once
        s.command("puts [expr 6 * 7]")
        s.until("^42$")
        s.enter("shell")
        s.until_gone("─ Memory map")
        s.type("read x; echo got-$x; tty")
        s.keys("Enter")
        s.type("typed")
        s.keys("Enter")
        s.until("^got-typed\n/dev/pts/")
        s.type("exit")
        s.keys("Enter")
        s.until("─ Memory map")
        s.command("puts [expr 6 * 8]")
        s.until("^48$")
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


def a_command_leads_to_the_end_of_the_output():
    with tour() as s:
        s.command("for {set i 0} {$i < 50} {incr i} {puts line-$i}")
        s.until(r"^line-3\b")
        s.keys("BTab", "Home")
        s.until("^kvmscope ")
        s.command("puts [expr 6 * 7]")
        s.until(r"^42\b")


def no_file_of_layouts():
    with tempfile.TemporaryDirectory() as home:
        os.makedirs(home + "/state/kvmscope")
        os.mkfifo(home + "/state/kvmscope/layouts")
        with tour(home=home) as s:
            s.has("─ Memory map")


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


if __name__ == "__main__":
    sys.exit(main([presets, keys_in_quick_succession, hide_zoom_and_show, help_and_back, layouts_are_kept, a_link_to_layouts_stays_one, a_spoilt_file_of_layouts,
                   selecting_in_all_panes, search_in_a_pane, breakpoints_by_keys, by_mouse, completion, history_and_search_in_it,
                   history_is_shared_with_the_prompt, two_windows_of_one_history, a_command_of_several_lines, escape_keeps_what_was_typed,
                   to_and_fro_keeps_what_was_typed, escape_and_letter_are_alt, the_command_line_stays, the_end_of_input_leads_to_the_prompt,
                   a_line_longer_than_the_screen, quit_has_its_status, batch_and_scripts, batch_without_anybody, nothing_tears_the_screen, a_shell_has_the_terminal,
                   long_output_begins_at_its_beginning, a_command_leads_to_the_end_of_the_output, no_file_of_layouts,
                   an_error_is_shown, the_console_has_its_pane]))
