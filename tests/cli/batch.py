#!/usr/bin/env python3
"""The program by its command line: what goes to standard output and error, exit statuses, scripts, and every command in every
state: no VM, a stopped guest, bad words."""
import json, os, re, signal, subprocess, sys, tempfile, time

BIN = os.path.abspath(os.environ.get("KVMSCOPE", "build/kvmscope"))
# Each test runs on every backend that this host has; what is tested here is the same on all.
BACKENDS = (["kvm"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else []) + ["soft"]
backend = BACKENDS[0]
ERROR = re.compile(r"^error: .+: .+; try .+$")



def run(*args, stdin="", env=None, image="demo:tour", commands=(), json_out=False, batch=True, **kw):
    argv = [BIN, "-b", backend, "-q"] + (["--nx"] if not kw.pop("init", False) else []) + (["--batch"] if batch else [])
    argv += (["-j"] if json_out else []) + list(args)
    for c in commands:
        argv += ["-c", c]
    argv += [image] if image else []
    p = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}, **kw)
    return p.returncode, p.stdout, p.stderr


def values(*commands, **kw):
    status, out, err = run(commands=commands, json_out=True, **kw)
    assert status == 0, (status, err)
    lines = out.split("\n")[:-1]
    assert len(lines) == len(commands), (lines, err)
    return [json.loads(x) for x in lines]


def errors(text):
    return [x for x in text.split("\n") if x]


def one_line_of_json_each():
    v = values("expr 1", "set a 5", "", "# a comment", "p $rip", "info slots", "puts hello", "list 1 2", "walk 0x240000", "si 2")
    assert v[0] == 1 and v[1] == 5 and v[2] is None and v[3] is None and v[4] == "0x200000", v
    assert len(v[5]) == 2 and v[6] is None and v[7] == [1, 2] and v[8]["verdict"] == "ok" and v[9]["rip"] == "0x20000f", v


def stops_that_are_kept_stay():
    """What a script holds on to is not the next stop, whose dict may be filled anew."""
    _, kept = values("for {set i 0} {$i < 3} {incr i} {lappend kept [si]; si; if {$i == 1} {set last [si]}}", "concat $kept [list $last]")
    each = values(*["si"] * 7)
    assert [k["rip"] for k in kept] == [int(each[i]["rip"], 16) for i in (0, 2, 5, 4)], kept
    assert [k["why"] for k in kept] == [each[i]["why"] for i in (0, 2, 5, 4)], kept


def fractions_are_numbers():
    assert values("expr 1/4.0", "list 0.5 -1e20 a 8.6.13", "string cat 12e4") == [0.25, [0.5, "-1e20", "a", "8.6.13"], "12e4"]


def soft_as_other_hosts_are():
    """--emulated-kernel and --mmio-sptes: what `info kvm` says, and what the guest leaves."""
    if backend != "soft":
        return
    def facts(*options):
        status, out, err = run(*options, commands=["info kvm", "c", "info mmio"], json_out=True)
        assert status == 0, err
        kvm, _, mmio = (json.loads(x) for x in out.split("\n")[:3])
        return next(row["value"] for row in kvm if row["what"] == "CPL 0"), bool(mmio[0].get("sptes"))
    assert (facts(), facts("--emulated-kernel"), facts("--mmio-sptes")) == (("native", False), ("emulated", False), ("native", True))


def puts_goes_to_stderr_with_json():
    status, out, err = run(commands=["puts hello"], json_out=True)
    assert (status, out, err) == (0, "null\n", "hello\n")
    status, out, err = run(commands=["puts hello"])
    assert (status, out, err) == (0, "hello\n", "")


def closed_channels_are_the_scripts_own():
    """A script that closes its standard channels has closed nothing of the program's."""
    for name in ("stdout", "stderr", "stdin"):
        status, out, err = run(commands=[f"close {name}", "expr 111*111", "nosuchcommand", f"close {name}", "expr 222*222", "si"], batch=False, stdin="expr 333*333\n")
        assert status == 0 and "12321" in out and "49284" in out and "110889" in out and "step  vcpu 0" in out, (name, status, out, err)
        assert "nosuchcommand: no such command" in err, (name, err)


def drawn_by_a_script_is_drawn_for_a_person():
    """`draw` gives all that the prompt shows, so where a stop stands and what comes next too."""
    drawn = run(commands=["tb spin", "puts [draw run]"])[1].split("\n", 1)[1]
    shown = run(commands=["tb spin", "run"])[1].split("\n", 1)[1]
    assert drawn == shown and "<spin>" in drawn and "\nspin:\n => 0x20002e" in drawn, (drawn, shown)


def a_failing_line_prints_nothing():
    status, out, err = run(commands=["expr 1", "frobnicate", "expr 2"], json_out=True)
    assert status == 1 and out == "1\n" and len(errors(err)) == 1 and ERROR.match(errors(err)[0]), (out, err)
    # Without --batch the session goes on.
    status, out, err = run(commands=["frobnicate", "expr 2"], json_out=True, batch=False)
    assert status == 0 and out == "2\n" and len(errors(err)) == 1, (status, out, err)


def errors_have_one_form():
    for line in ("frobnicate", "foreach {", "x/8gx 0xdead000000000000", "slot add 5 1 0x1000", "b nosuchsymbol", "walk", "slot",
                 "slot frob", "info frob", "set", "expr {1 +}", "error oops", "source /nonexistent", "load /nonexistent",
                 "set al 256", "set rip abc", "p $nothere", "w 1", "break 1 2", "return -code error x", "x/99999999999gx 0",
                 "help frob", "vcpu 7", "delete 77", "condition 77 1", "proc", "while {1} break extra", "throw A b",
                 "slot add 0 0 0x1000 extra", "walk {a b}", "error \"two\nlines\"", "[", "\"", "$nothere", "quit 300"):
        status, out, err = run(commands=[line])
        got = errors(err)
        assert status == 1 and out == "" and len(got) == 1 and ERROR.match(got[0]), (line, status, out, err)


def missing_image():
    for image in ("/nonexistent/image", "demo:nothing", "/", "/dev/null"):
        status, out, err = run(image=image, commands=["expr 1"])
        got = errors(err)
        assert status == 1 and out == "" and len(got) == 1 and ERROR.match(got[0]), (image, status, out, err)
    # Without --batch the session lives on without a VM.
    status, out, err = run(image="/nonexistent", commands=["expr 5", "info slots"], batch=False)
    assert out == "5\n" and "there is no VM" in err, (out, err)


def bad_options():
    for args in (["-b", "foo"], ["-n", "0"], ["-m", "3"], ["--frob"], ["-c"], ["--mode", "x"], ["a", "b"], ["--at", "zz"], ["-m"]):
        status, out, err = run(*args, image=None)
        got = errors(err)
        assert status == 1 and out == "" and len(got) == 1 and ERROR.match(got[0]), (args, status, out, err)


def help_and_version():
    p = subprocess.run([BIN, "--help"], capture_output=True, text=True)
    assert p.returncode == 0 and p.stdout.startswith("usage: kvmscope") and not p.stderr
    p = subprocess.run([BIN, "-V"], capture_output=True, text=True)
    assert p.returncode == 0 and re.match(r"kvmscope \d", p.stdout)


def options_in_every_spelling():
    for args in (["-m", "4M", "--mode", "long"], ["-m4M", "--mode=long"], ["--memory=4M", "--mode=long"]):
        with tempfile.NamedTemporaryFile(suffix=".bin") as f:
            f.write(b"\xeb\xfe")
            f.flush()
            status, out, err = run(*args, "-ex", "p $rip", image=f.name)
            assert status == 0 and out == "0x100000\n", (args, out, err)


def script(text, *args, **kw):
    with tempfile.NamedTemporaryFile("w", suffix=".tcl") as f:
        f.write(text)
        f.flush()
        status, out, err = run("-x", f.name, *args, **kw)
        return status, out, err.replace(f.name, "FILE")


def scripts_print_what_they_put():
    assert script("info slots\nrun\nputs [dict get [lindex [info slots] 1] id]\n") == (0, "1\n", "")
    assert script("puts hi\n", json_out=True) == (0, "", "hi\n")


def scripts_see_tcl():
    status, out, err = script("""
        foreach i {1 2 3} { if {$i == 2} continue; if {$i == 3} break; puts $i }
        puts [catch {slot add 0 0 0x1000}]
        set x 7; puts [info exists x],[info exists y]
        puts [llength [info slots]],[llength [dbg::info slots]],[dbg::info exists x]
        puts [dict get [dbg::break *0x200033] id]
        proc f {} { global rip; return $rip }
        puts [format 0x%x [f]]
        puts [dict get [x/2gx 0x200000] unit]
        puts [dict get [dbg::x /2wx 0x200000] unit]
        puts [dict get [lindex [i slots] 0] id]
        puts [clock format 0 -gmt 1 -format %Y]
        parray tcl_platform byteOrder
        set rax 0x10; incr rax; puts $rax
        puts [catch {set al 256} m],$m
        puts [catch {set xs [walk 1 2 3]} m o],[lindex [dict get $o -errorcode] 0]
        namespace eval mine { proc walk {} { return mine }; puts [walk] }
    """)
    assert (status, err) == (0, ""), err
    assert out.split("\n")[:-1] == ["1", "1", "1,0", "2,2,1", "1", "0x200000", "8", "4", "0", "1970",
                                    "tcl_platform(byteOrder) = littleEndian", "17",
                                    '1,can\'t set "al": set al to 0x100: it has 8 bits; try at most 0xff', "1,KVMSCOPE", "mine"], out


def the_library_comes_when_it_is_needed():
    for line, wanted in (("package require msgcat", r"^1\."), ("set auto_path", r"tcl8"), ("lappend auto_path /x; set auto_path", r"tcl8(.|\n)*/x"),
                         ("clock add 0 1 day", "^86400$"), ("parray tcl_platform os", "Linux"), ("auto_load parray", "^1$"),
                         ("namespace eval n {clock format 0 -gmt 1 -format %Y}", "^1970$"), ("history nextid", r"^\d+$")):
        status, out, err = run(commands=[line])
        assert status == 0 and re.search(wanted, out), (line, out, err)


def script_errors_name_the_line():
    status, out, err = script("puts a\n\nslot add 5 1 2\nputs b\n")
    assert status == 1 and out == "a\n" and err.startswith("error: FILE line 3: slot add 5: ") and err.count("\n") == 1, err
    status, out, err = script("puts {\n")
    assert status == 1 and len(errors(err)) == 1 and ERROR.match(errors(err)[0]), err


def exit_in_scripts():
    assert script("puts a\nexit 4\nputs b\n", "-c", "puts c") == (4, "a\n", "")
    assert script("puts a\nwhile 1 {catch {exit 5}}\nputs b\n") == (5, "a\n", "")
    status, out, err = run(commands=["quit", "puts no"])
    assert (status, out) == (0, ""), out


def order_of_scripts_and_commands():
    with tempfile.NamedTemporaryFile("w", suffix=".tcl") as f:
        f.write("puts two\n")
        f.flush()
        assert run("-c", "puts one", "-x", f.name, "-c", "puts three") == (0, "one\ntwo\nthree\n", "")


def init_file():
    with tempfile.TemporaryDirectory() as home:
        os.makedirs(home + "/kvmscope")
        open(home + "/kvmscope/init.tcl", "w").write("puts init\n")
        env = {"XDG_CONFIG_HOME": home}
        assert run(commands=["puts line"], env=env, init=True) == (0, "init\nline\n", "")
        assert run(commands=["puts line"], env=env) == (0, "line\n", "")


def lines_from_a_pipe():
    status, out, err = run(batch=False, stdin="expr 1\nfrob\nforeach n {1 2} {\nputs $n\n}\n\nexpr 2")
    assert status == 0 and out == "1\n1\n2\n2\n" and len(errors(err)) == 1, (out, err)
    status, out, err = run(batch=False, stdin="quit 9\nexpr 1\n")
    assert (status, out, err) == (9, "", "")
    status, out, err = run(batch=False, stdin="puts {\n")
    assert len(errors(err)) == 1 and ERROR.match(errors(err)[0]), err


def output_that_goes_away():
    for redirect in (">&-", "| true", ">/dev/full", "2>&-", "<&-"):
        p = subprocess.run(["bash", "-c", f'"$0" -b {backend} -q --nx --batch -c "help" -c "help" -c "expr 1" -c frob {redirect}; exit ${{PIPESTATUS[0]}}', BIN],
                           capture_output=True, text=True, timeout=60)
        assert p.returncode == 1, (redirect, p.returncode, p.stderr)
        assert len(errors(p.stderr)) <= 1, (redirect, p.stderr)


def registers_and_variables():
    v = values("set rax 0x1234", "p $rax", "expr {$rax + 1}", "set $rbx = $rax + 1", "$rbx", "$rbx=7", "p $rbx", "set rsp -1", "p $rsp",
               "p $cs.base", "set $rax = 0xffffffffffffffff", "expr {$rax == 0xffffffffffffffff}", "unset rax", "set rax",
               "set v 3", "p $v + 1", "p {$v + 2}", "reg rip", "set $xmm0 = 0x112233445566778899", "expr {$xmm0 >> 64}")
    assert v[1] == "0x1234" and v[2] == 0x1235 and v[4] == "0x1235" and v[6] == "0x7" and v[8] == "0xffffffffffffffff", v
    assert v[9] == "0x0" and v[11] == 1 and v[15] == "0x4" and v[16] == "0x5" and v[19] == 0x11, v


def conditions():
    v = values("b *0x200033 if $rcx == 9999990 && $cs.base == 0", "run", "p/d $rcx", "condition 1 {[llength [info slots]] == 2 && $rcx < 9999980}",
               "c", "p/d $rcx", "b write_alias", "condition 2 $rip == write_alias", "delete 1", "run", "p $rip")
    num = lambda x: int(x, 0) if isinstance(x, str) else x
    assert num(v[2]) == 9999990 and num(v[5]) == 9999979 and num(v[10]) == 0x20000a, v


def breakpoint_commands():
    status, out, err = run(commands=["b *0x20000f", "commands 1 {puts <$rip>; si; p $rip}", "run"], json_out=True)
    assert status == 0 and len(out.split("\n")) == 4 and err == "<2097167>\n", (out, err)
    # A script's own `run` is followed by them too, and keeps its value.
    status, out, err = run(commands=["tb *0x20000f", "commands 1 {puts <$rip>; si; p $rip}", "run", "info breakpoints"], json_out=True)
    assert status == 0 and err == "<2097167>\n" and out.split("\n")[-2] == "[]", (status, out, err)
    status, out, err = script("b *0x20000f\ncommands 1 {puts hit}\nputs [dict get [run] reason]\n")
    assert (status, out, err) == (0, "hit\nbreakpoint\n", ""), (out, err)
    # They may go on into the next hit without end of stack.
    status, out, err = run(commands=["b *0x200033", "commands 1 {if {[incr n] < 300} {c}}", "run", "set n"])
    assert status == 0 and out.endswith("300\n"), (out[-200:], err)


def all_commands():
    out = run("-c", "help", image="demo:nothing", batch=False, json_out=True)[1]
    return [row["command"] for group in json.loads(out).values() for row in group]


NAMES = re.compile(r"^([a-z0-9]+(?: (?:[a-z]+)(?=$| |\[))?)")


def command_names():
    """Names as `help COMMAND` knows them: the first one or two words of the usage."""
    names = set()
    for usage in all_commands():
        words = usage.split()
        two = " ".join(words[:2])
        ok = len(words) > 1 and run("-c", f"dict get [dbg::help {two}] command", image="demo:nothing", batch=False, json_out=True)[1]
        names.add(two if ok and json.loads(ok) == two else words[0])
    return sorted(names)


def help_of_every_command():
    names = command_names()
    assert len(names) > 50, names
    lines = [f"help {n}" for n in names]
    status, out, err = run(commands=lines, image="demo:nothing", batch=False, json_out=True)
    assert len(errors(err)) == 1, err  # the image
    got = [json.loads(x) for x in out.split("\n")[:-1]]
    for n, h in zip(names, got, strict=True):
        assert h["command"] == n and h["summary"] and h["help"] and h["usage"].startswith(n), h


# Not for the smoke test: they end the session, wait for a person, or (finish, where there is no caller) step to the guest's end.
APART = {"quit", "shell", "finish"}


def smoke(image, *before):
    """Each command without words and with nonsense, in one session: whatever it says, it says it in form and the session lives."""
    with tempfile.TemporaryDirectory(prefix="kvmscope-smoke-") as folder:  # some write what they are named
        for n in command_names():
            if n not in APART:
                smoke_of(n, image, before, folder)


def smoke_of(n, image, before, folder):
    lines = [*before, n, f"{n} nosuchthing", f"{n} 0xffffffffffffffff 0xffffffffffffffff", f"{n} -nosuchoption", f"{n} {{}}", "expr 12345"]
    status, out, err = run(commands=lines, image=image, batch=False, json_out=True, cwd=folder)
    assert status == 0, (n, status, err)
    assert out.split("\n")[-2] == "12345", (n, out, err)
    for line in errors(err):
        assert ERROR.match(line), (n, line)
    for line in out.split("\n")[:-1]:
        json.loads(line)


def every_command_without_a_vm():
    smoke("demo:nothing")


def every_command_at_the_entry():
    smoke("demo:tour")


def every_command_after_a_run():
    smoke("demo:tour", "run")


def term_ends_a_batch():
    """At any moment of a guest that never ends: before it starts, while it starts, when it runs."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(b"\xeb\xfe")
        f.flush()
        for ms in (0, 0, 0, 0.2, 0.5, 1, 2, 4, 8, 30):
            p = subprocess.Popen([BIN, "-b", backend, "-q", "--nx", "--batch", "-c", "puts ready", "-c", "run", "--mode", "long", f.name],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert p.stdout.readline() == "ready\n"
            time.sleep(ms / 1000)  # no waiting for anything: another moment for the signal
            p.send_signal(signal.SIGTERM)
            try:
                assert p.wait(timeout=120) == 128 + signal.SIGTERM
            finally:
                p.kill()
                p.stdout.close()


TESTS = [one_line_of_json_each, closed_channels_are_the_scripts_own, stops_that_are_kept_stay, drawn_by_a_script_is_drawn_for_a_person, soft_as_other_hosts_are, fractions_are_numbers, puts_goes_to_stderr_with_json, a_failing_line_prints_nothing, errors_have_one_form, missing_image,
         bad_options, help_and_version, options_in_every_spelling, scripts_print_what_they_put, scripts_see_tcl, the_library_comes_when_it_is_needed,
         script_errors_name_the_line, exit_in_scripts, order_of_scripts_and_commands, init_file, lines_from_a_pipe,
         output_that_goes_away, registers_and_variables, conditions, breakpoint_commands, help_of_every_command,
         every_command_without_a_vm, every_command_at_the_entry, every_command_after_a_run, term_ends_a_batch]


def backend_is_chosen():
    for b in BACKENDS:
        p = subprocess.run([BIN, "-b", b, "--nx", "--batch", "-j", "-c", "vm"], capture_output=True, text=True)
        v = json.loads(p.stdout)
        assert v["backend"] == b and v["backend_why"] == "asked for" and f"on backend {b} (asked for)" in p.stderr, (v, p.stderr)
    p = subprocess.run([BIN, "--nx", "--batch", "-j", "-q", "-c", "vm"], capture_output=True, text=True)
    v = json.loads(p.stdout)
    assert v["backend"] == BACKENDS[0] and v["backend_why"], v
    assert p.stderr == "", p.stderr


# What does not depend on who runs the guest, or takes long.
ONCE = {missing_image, bad_options, help_and_version, init_file, help_of_every_command, every_command_without_a_vm,
        backend_is_chosen, the_library_comes_when_it_is_needed}


def main():
    global backend
    n = {"passed": 0, "failed": 0}
    for f in TESTS + [backend_is_chosen]:
        if sys.argv[1:] and f.__name__ not in sys.argv[1:]:
            continue
        for backend in BACKENDS[:1] if f in ONCE else BACKENDS:
            try:
                f()
                n["passed"] += 1
                print(f"ok      {backend} {f.__name__}", flush=True)
            except Exception as e:  # noqa: BLE001
                n["failed"] += 1
                print(f"FAILED  {backend} {f.__name__}: {type(e).__name__}: {str(e)[:1500]}", flush=True)
    print(f"{n['passed']} passed, {n['failed']} failed, 0 skipped")
    return 1 if n["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
