#!/usr/bin/env python3
"""The prompt through a real terminal: editing, history, completion, continuation lines, Ctrl-C, Ctrl-D, pager."""
import os, signal, sys, termios, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from terminal import Session, main

ENDLESS = "\xeb\xfe".encode("latin1")  # jmp $


def prompt_and_value():
    with Session() as t:
        t.prompt()
        out = t.line("info slots")
        assert "readonly" in out and "0x80000" in out, out
        assert "0x200000" in t.line("$rip")
        assert t.line("expr 6 * 7").strip() == "42"


def ctrl_d_quits():
    with Session() as t:
        t.prompt()
        t.send("\x04")
        assert t.wait_exit() == 0


def quit_has_a_status():
    with Session() as t:
        t.prompt()
        t.send("quit 7\n")
        assert t.wait_exit() == 7


def errors_keep_the_session():
    with Session() as t:
        t.prompt()
        out = t.line("frobnicate")
        assert out.startswith("error: frobnicate: no such command; try help"), out
        assert "error: " in t.line("slot add 5 1 0x1000")
        assert t.line("expr 1").strip() == "1"


def history_is_kept():
    with Session() as t:
        t.prompt()
        t.line("expr 11")
        t.line("expr 22")
        assert "expr 22" in t.line("info history")
        t.send("\x1b[A\x1b[A\x1b[A\n")  # up three times: expr 11
        assert "11" in t.prompt().split()
        path = t.home + "/state/kvmscope/history"
        lines = open(path).read().split("\n")
        assert lines[:3] == ["expr 11", "expr 22", "info history"], lines
        t.send("\x04")
        t.wait_exit()
        with Session(env={"HOME": t.home, "XDG_STATE_HOME": t.home + "/state"}) as again:
            again.prompt()
            assert "expr 11" in again.line("info history")


def history_survives_a_kill():
    with Session() as t:
        t.prompt()
        t.line("expr 33")
        os.kill(t.pid, signal.SIGKILL)
        os.waitpid(t.pid, 0)
        t.status = -9
        assert "expr 33" in open(t.home + "/state/kvmscope/history").read()


def completes(typed, wanted, *setup):
    with Session() as t:
        t.prompt()
        for line in setup:
            t.line(line)
        t.send(typed + "\t")
        t.expect(wanted)
        t.send("\x15\n")  # erase the line
        t.prompt()


def completes_commands():
    completes("apro", "apropos ")
    completes("info sha", "info shadow ")
    completes("i sha", "i shadow ")
    completes("slot de", "slot del ")
    completes("expr 1; apro", "apropos ")
    completes("foreach s [info sha", "[info shadow ")


def completes_registers():
    completes("p $ri", "p $rip ")
    completes("x/2gx $rs", "x/2gx $rs")


def completes_ids():
    completes("slot flags 7", "slot flags 77 ", "slot add 77 0x10000000 0x1000")
    completes("disable ", "disable 1 ", "b *0x200033")
    completes("delete 1", "delete 1 ", "b *0x200033")


def completes_symbols():
    completes("b write_al", "b write_alias ")
    completes("x/x 8+write_al", "x/x 8+write_alias ")


def completes_settings():
    completes("set conte", "set context ")
    completes("set context o", "set context o", )
    completes("set context of", "set context off ")
    completes("show con", "show context ")
    completes("set $ri", "set $rip ")
    completes("vmmap write_al", "vmmap write_alias ")
    completes("context sta", "context stack ")


def context_at_every_stop():
    """Where it does not fit the screen it is not paged: nobody asked for it."""
    with Session(rows=10, env={"PAGER": "sed 's/^/paged: /'"}) as t:
        t.prompt()
        assert t.line("set context on").strip() == ""
        out = t.line("si")
        assert "stack" in out and "registers" in out and "paged: " not in out, out
        t.send("\n")
        t.expect("\n")
        assert "registers" in t.prompt(), "an empty line steps again"
        assert "paged: " in t.line("context")
        t.line("set context off")
        assert "registers" not in t.line("si")


def completes_files():
    with Session() as t:
        t.prompt()
        open(t.home + "/script-with-a-name.tcl", "w").write("puts done\n")
        t.send("source " + t.home + "/script-w\t")
        t.expect("script-with-a-name.tcl")
        t.send("\n")
        t.expect("done")
        t.prompt()


def lists_candidates():
    with Session() as t:
        t.prompt()
        t.send("info rma\t\t\t")
        t.expect("rmaps")
        t.send("\x15\n")
        t.prompt()


def an_open_brace_goes_on():
    with Session() as t:
        t.prompt()
        t.send("foreach n {1 2} {\n")
        t.expect("\n> ")
        t.send("puts <$n>\n")
        t.expect("> ")
        t.send("}\n")
        out = t.prompt()
        assert "<1>\n<2>" in out, out


def ctrl_c_at_the_prompt():
    with Session() as t:
        t.prompt()
        t.send("expr 5")
        t.expect("expr 5")
        t.send("\x03")
        t.expect("^C")
        # behind what was typed, not over the prompt
        assert "expr 5^C" in t.raw, t.raw[-200:]
        t.prompt()
        t.send("puts {\n")
        t.expect("> ")
        t.send("\x03")
        t.expect("^C")
        t.prompt()
        assert t.line("expr 1").strip() == "1"


def ctrl_c_ends_a_script():
    with Session() as t:
        t.prompt()
        t.send("puts started; while 1 {incr n}\n")
        t.expect("started\n")
        t.send("\x03")
        out = t.prompt()
        assert "interrupted" in out, out
        t.send("puts again; while 1 {catch {incr n}}\n")  # catch does not hold it
        t.expect("again\n")
        t.send("\x03")
        assert "interrupted" in t.prompt()
        assert t.line("expr 1").strip() == "1"


def ctrl_c_ends_what_tcl_waits_for():
    with Session() as t:
        t.prompt()
        for line in ("print [puts begun; flush stdout; while 1 {}]", "x/4gx {[puts begun; flush stdout; while 1 {}]}", "puts begun; after 1000000",
                     "puts begun; vwait never", "puts begun; gets stdin"):
            t.send(line + "\n")
            t.expect("begun\n")
            t.send("\x03")
            assert "interrupted" in t.prompt(), line
        t.send("puts begun; puts <[gets stdin]>\n")
        t.expect("begun\n")
        t.send("typed\n")
        assert "<typed>" in t.prompt()
        assert t.line("expr 1").strip() == "1"


def endless_guest(t):
    path = t.home + "/endless.bin"
    open(path, "wb").write(ENDLESS)
    t.line(f"load {path} --mode long")


def ctrl_c_stops_the_guest():
    with Session() as t:
        t.prompt()
        endless_guest(t)
        for command in ("run", "c"):
            t.send(command + "\n")
            t.expect(command + "\n")
            wait_for_vcpu(t.pid)
            t.send("\x03")
            out = t.prompt()
            assert "interrupted" in out, out
        assert "0x100000" in t.line("$rip")
        assert t.line("expr 1").strip() == "1"


def ctrl_c_between_false_conditions():
    with Session() as t:
        t.prompt()
        endless_guest(t)
        t.line("b *0x100000 if {[incr hits] < 0}")
        t.send("run\n")
        t.expect("run\n")
        wait_for_vcpu(t.pid)
        t.send("\x03")
        out = t.prompt()
        assert "interrupted" in out, out
        assert int(t.line("set hits").split()[0]) > 1
        t.line("delete")
        assert "0x100000" in t.line("si"), "no Ctrl-C is left over"


def ctrl_c_ends_a_long_dump():
    with Session() as t:
        t.prompt()
        t.send("puts go; for {set i 0} {1} {incr i} {x/64gx 0x200000}\n")
        t.expect("go\n")
        t.send("\x03")
        assert "interrupted" in t.prompt()


def wait_for_vcpu(pid):
    """Until some thread of the process has used processor time without the others: the guest runs."""
    until = time.monotonic() + 20
    before = cpu_time(pid)
    while time.monotonic() < until:
        if cpu_time(pid) >= before + 3:
            return
    raise AssertionError("no thread runs")


def cpu_time(pid):
    text = open(f"/proc/{pid}/stat").read()
    fields = text[text.rindex(")") + 2:].split()
    return int(fields[11]) + int(fields[12])


def empty_line_repeats():
    with Session() as t:
        t.prompt()
        t.line("si")
        t.send("\n")
        t.expect("\n")
        t.prompt()
        assert "0x20000f" in t.line("$rip")  # two steps
        out = t.line("x/2gx 0x200000")
        assert "0x200000" in out
        t.send("\n")
        t.expect("\n")
        assert "0x200010" in t.prompt(), "x goes on behind what it showed"
        t.line("expr 1")
        t.send("\n")
        t.expect("\n")
        assert t.prompt().strip() == "", "Tcl is not repeated"


def terminal_is_restored():
    with Session() as t:
        before = termios.tcgetattr(t.fd)
        t.prompt()
        t.line("expr 1")
        t.send("\x04")
        t.expect("\n")
        assert t.wait_exit() == 0


def hangup_ends_cleanly():
    with Session() as t:
        t.prompt()
        os.kill(t.pid, signal.SIGHUP)
        assert t.wait_exit() == 128 + signal.SIGHUP


def term_ends_a_running_guest():
    with Session() as t:
        t.prompt()
        endless_guest(t)
        t.send("run\n")
        t.expect("run\n")
        wait_for_vcpu(t.pid)
        os.kill(t.pid, signal.SIGTERM)
        assert t.wait_exit() == 128 + signal.SIGTERM


def long_output_is_paged():
    with Session(rows=10, env={"PAGER": "sed 's/^/paged: /'"}) as t:
        t.prompt()
        assert "paged: " in t.line("help")
        assert "paged: " not in t.line("expr 1")
    with Session(rows=10, env={"PAGER": "no-such-pager-here"}) as t:
        t.prompt()
        assert "apropos" in t.line("help"), "without a pager it is shown as it is"


def with_many_mappings(t):
    """Tables of 51200 pages, none of which has the rights of the one before it."""
    t.prompt()
    t.line("slot add 7 0x100000 0x400000")
    open(t.home + "/many.tcl", "w").write("""
for {set t 0} {$t < 100} {incr t} {
    set hex ""
    for {set i 0} {$i < 512} {incr i} {append hex [binary encode hex [binary format w [expr {0x1000 * $i | ($i & 1 ? 3 : 1)}]]]}
    dbg::mem write [expr {0x100000 + 0x1000 * $t}] $hex -phys
    dbg::mem write [expr {0x12080 + 8 * $t}] [binary encode hex [binary format w [expr {0x100000 + 0x1000 * $t | 3}]]] -phys
}""")
    t.line("source " + t.home + "/many.tcl")


def rows_are_shown_while_they_are_made():
    """The terminal takes no more than some rows until they are read: those that are read were not made after all the others. Ctrl-C ends it
    with a note, and the rows before the note are whole."""
    with Session() as t:
        with_many_mappings(t)
        for command, title in (("info tlb", "gva"), ("info mem", "gva"), ("vmmap", "start")):
            t.send(command + "\n")
            t.expect(title)
            t.send("\x03")
            out = t.expect("interrupted after")
            assert "there may be more" in t.prompt()
            assert 256 <= out.count("KiB") < 51200, out.count("KiB")
            assert t.line("expr 41 + 1").strip() == "42"


def rows_go_to_a_pager_while_they_are_made():
    with Session(rows=10, env={"PAGER": "sed 's/^/paged: /'"}) as t:
        with_many_mappings(t)
        out = t.line("info tlb -limit 6000")
        assert out.count("paged: ") == 6000 + 2, out.count("paged: ")  # the head, and that there is more
    with Session(rows=10, env={"PAGER": "head -n 3"}) as t:  # one that has enough
        with_many_mappings(t)
        out = t.line("info tlb")
        assert len(out.strip().split("\n")) == 3 and "error" not in out, out
        assert t.line("expr 41 + 1").strip() == "42"
    with Session(rows=10, env={"PAGER": "no-such-pager-here"}) as t:
        with_many_mappings(t)
        assert t.line("info tlb -limit 6000").count("KiB") == 6000


def no_color():
    with Session() as t:
        t.prompt()
        assert "\x1b[" not in t.line("info slots")
    with Session(env={"NO_COLOR": "", "TERM": "dumb"}) as t:
        t.prompt()
        assert "\x1b[" not in t.line("info slots")
    with Session(env={"NO_COLOR": ""}) as t:
        t.prompt()
        assert "\x1b[" in t.line("info slots")
        # no line of its own for the end of a colour
        assert "ends here" in t.line("bt") and "\n\x1b[0m\n" not in t.raw.replace("\r", ""), t.raw[-200:]


def init_file():
    import tempfile
    with tempfile.TemporaryDirectory() as home:
        os.makedirs(home + "/kvmscope")
        open(home + "/kvmscope/init.tcl", "w").write("set from_init 99\n")
        with Session(env={"XDG_CONFIG_HOME": home}) as t:  # the driver passes --nx
            t.prompt()
            assert "error" in t.line("set from_init")


def breakpoint_commands_over_lines():
    with Session() as t:
        t.prompt()
        t.line("b *0x20000f")
        t.send("commands 1 {\n")
        t.expect("> ")
        t.send("puts <[format %x $rip]>\n")
        t.expect("> ")
        t.send("}\n")
        t.prompt()
        assert "<20000f>" in t.line("run")


def a_stop_comes_above_what_is_typed():
    with Session() as t:
        t.prompt()
        endless_guest(t)
        here = t.line("p $rip").strip()
        go = t.home + "/go"
        t.line("set go %s" % go)
        t.line("b *%s if {[file exists $go]}" % here)
        t.line("c &")
        t.send("expr 40 +")
        t.expect("expr 40 +")
        open(go, "w").close()
        t.expect("breakpoint 1")
        t.expect("(kvmscope) expr 40 +")
        t.send(" 2\n")
        assert "42" in t.prompt()


def the_guests_text_comes_above_the_prompt():
    with Session() as t:
        t.prompt()
        path = t.home + "/prints.bin"
        open(path, "wb").write(b"\xb0A\xe6\xe9\xb0B\xe6\xe9\xb0\n\xe6\xe9\xb0C\xe6\xe9\xeb\xfe")
        t.line(f"load {path} --mode long")
        t.send("c &\n")
        t.expect("AB\n")
        t.expect("C\n")  # a line that does not end is shown when no more of it comes
        t.prompt()
        assert t.line("expr 1").strip() == "1"


def the_guests_text_is_shown_to_who_waits():
    """At once, though its line has no end: nobody types."""
    with Session() as t:
        t.prompt()
        path = t.home + "/prints.bin"
        open(path, "wb").write(b"\xb0A\xe6\xe9\xb0B\xe6\xe9\xeb\xfe")
        t.line(f"load {path} --mode long")
        t.send("c &; wait\n")
        t.expect("wait\n")
        t.expect("AB")
        t.send("\x03")
        assert "the guest runs on" in t.prompt()
        t.send("interrupt\n")
        t.expect("interrupted  vcpu 0")


def ctrl_c_at_the_prompt_leaves_the_guest_running():
    with Session() as t:
        t.prompt()
        endless_guest(t)
        t.line("c &")
        t.send("expr 5")
        t.expect("expr 5")
        t.send("\x03")
        t.expect("^C")
        t.prompt()
        assert "the guest is running" in t.line("si")
        t.send("interrupt\n")
        t.expect("interrupted  vcpu 0")
        t.prompt()
        assert "step" in t.line("si")
        t.line("c&")
        t.send("puts begun; flush stdout; wait\n")
        t.expect("begun\n")
        t.send("\x03")
        assert "interrupted" in t.prompt()
        t.send("quit\n")
        assert t.wait_exit() == 0


def going_back_tells_how_far():
    """In the foreground, and while one waits; not above a prompt. (See tests/cli/history.py for what makes it long.)"""
    with Session(image=None, backend="soft") as t:
        t.prompt()
        path = t.home + "/spins.bin"
        open(path, "wb").write(b"\xb9\x40\x42\x0f\x00\x48\xff\xc0\xff\xc9\x75\xf9\xf4")
        t.line(f"load {path} --mode long")
        assert "hlt" in t.line("c")
        t.line("b *0x100005 if {[llength [lrepeat 20000 0]] == 1}")
        t.send("reverse-continue\n")
        t.expect("replaying [")
        t.send("\x03")
        assert "the VM is where it was" in t.prompt()
        t.line("reverse-continue &")
        t.send("wait\n")
        t.expect("replaying [")
        t.send("\x03")
        said = t.prompt()  # a condition that is being worked out is ended too
        if "the guest runs on" in said:
            t.send("interrupt\n")
            said = t.expect("the VM is where it was") + "the VM is where it was"
            assert "replaying" not in said, said
        assert "the VM is where it was" in said, said


def history_that_is_no_file():
    """A pipe is not waited for, a device is not written to, and the prompt comes all the same."""
    import tempfile
    for kind in ("pipe", "folder", "null", "zero", "sparse"):
        with tempfile.TemporaryDirectory(prefix="kvmscope-history-") as d:
            os.makedirs(d + "/kvmscope")
            path = d + "/kvmscope/history"
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "folder":
                os.mkdir(path)
            elif kind == "sparse":
                with open(path, "wb") as f:
                    f.truncate(1 << 40)
            else:
                os.symlink("/dev/" + kind, path)
            with Session(env={"XDG_STATE_HOME": d}) as t:
                said = t.prompt()
                assert ("is not used" in said) == (kind != "null"), (kind, said)
                assert t.line("expr 41 + 1").strip() == "42"
                assert "expr 41 + 1" in t.line("info history"), kind
                t.send("\x04")
                assert t.wait_exit() == 0
            assert kind != "null" or os.path.islink(path)


TESTS = [prompt_and_value, ctrl_d_quits, quit_has_a_status, errors_keep_the_session, history_is_kept, history_that_is_no_file, history_survives_a_kill,
         completes_commands, completes_registers, completes_ids, completes_symbols, completes_settings, context_at_every_stop, completes_files, lists_candidates,
         an_open_brace_goes_on, ctrl_c_at_the_prompt, ctrl_c_ends_a_script, ctrl_c_ends_what_tcl_waits_for, ctrl_c_stops_the_guest, ctrl_c_between_false_conditions,
         ctrl_c_ends_a_long_dump, empty_line_repeats,
         terminal_is_restored, hangup_ends_cleanly, term_ends_a_running_guest, long_output_is_paged, rows_are_shown_while_they_are_made,
         rows_go_to_a_pager_while_they_are_made, no_color, init_file,
         breakpoint_commands_over_lines, a_stop_comes_above_what_is_typed, the_guests_text_comes_above_the_prompt,
         the_guests_text_is_shown_to_who_waits,
         ctrl_c_at_the_prompt_leaves_the_guest_running, going_back_tells_how_far]

if __name__ == "__main__":
    sys.exit(main(TESTS))
