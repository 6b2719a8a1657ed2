#!/usr/bin/env python3
"""Files that commands write and read: what stands there before, links, pipes, devices, folders, what is too large, who may."""
import os, shutil, stat, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import BIN, Skip, Talk, errors_of, main, num, ok, refused, start


def folder():
    return tempfile.TemporaryDirectory(prefix="kvmscope-files-")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def other_user():
    """Words that run a program as somebody else, who may not do all."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise Skip("root, and no setpriv")
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]


# ---- written


def what_is_replaced_keeps_its_mode():
    with folder() as d:
        for bits in (0o600, 0o755, 0o640):
            with open(f"{d}/f", "w") as f:
                f.write("before")
            os.chmod(f"{d}/f", bits)
            for line in (f"dump {d}/f 0x200000 16", f"report {d}/f"):
                ok(line)
                assert mode(f"{d}/f") == bits, (line, oct(mode(f"{d}/f")))
        ok(f"dump {d}/new 0x200000 16")
        mask = os.umask(0)
        os.umask(mask)
        assert mode(f"{d}/new") == 0o666 & ~mask, oct(mode(f"{d}/new"))
        if os.geteuid() == 0:
            os.chown(f"{d}/f", 65534, 65534)
            ok(f"dump {d}/f 0x200000 16")
            s = os.stat(f"{d}/f")
            assert (s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)) == (65534, 65534, 0o640), s
        assert sorted(os.listdir(d)) == ["f", "new"], os.listdir(d)


def links_stay_links():
    with folder() as d:
        os.mkdir(f"{d}/there")
        with open(f"{d}/there/f", "w") as f:
            f.write("before")
        os.symlink("there/f", f"{d}/link")
        os.symlink(f"{d}/link", f"{d}/twice")
        os.symlink("there/nothing", f"{d}/dangling")
        for name in ("link", "twice", "dangling"):
            for line in (f"dump {d}/{name} 0x200000 16", f"report {d}/{name}"):
                ok(line)
                assert os.path.islink(f"{d}/{name}") and os.path.getsize(f"{d}/{name}") > 6, (name, line)
        # what cannot be read leaves what was there, and nothing where nothing was
        os.unlink(f"{d}/there/nothing")
        for name in ("link", "dangling", "none"):
            refused(f"dump {d}/{name} 0x2ff000 0x2000")
        assert sorted(os.listdir(d)) == ["dangling", "link", "there", "twice"] and os.listdir(d + "/there") == ["f"], os.listdir(d)
        assert os.path.getsize(f"{d}/link") > 6


def what_may_not_be_written():
    with folder() as d:
        os.mkdir(f"{d}/there")
        os.mkfifo(f"{d}/pipe")
        with open(f"{d}/f", "w") as f:
            f.write("before")
        os.chmod(f"{d}/f", 0o444)
        os.chmod(d, 0o777)
        for name, why in (("there", "folder|directory"), ("pipe", "reader"), ("none/f", "No such")):
            for command in ("dump", "report"):
                said = refused(f"{command} {d}/{name}" + (" 0x200000 16" if command == "dump" else ""))
                assert any(w in said for w in why.split("|")) or "Is a directory" in said, said
        wrap = other_user()
        said = refused(f"dump {d}/f 0x200000 16", wrap=wrap)
        assert "Permission denied" in said and open(f"{d}/f").read() == "before", said
        ok("dump /dev/null 0x200000 0x1000")
        said = refused("dump /dev/full 0x200000 0x1000")
        assert "No space left" in said and "room" in said, said


def a_pipe_that_is_read():
    with folder() as d:
        os.mkfifo(f"{d}/pipe")
        reader = os.open(f"{d}/pipe", os.O_RDONLY | os.O_NONBLOCK)
        ok(f"dump {d}/pipe 0x200000 0x100")
        assert len(os.read(reader, 0x1000)) == 0x100
        os.close(reader)


# ---- read


def restore_looks_first():
    with folder() as d:
        sparse = f"{d}/sparse"
        with open(sparse, "wb") as f:
            f.truncate(1 << 40)
        for line in (f"restore {sparse} 0x1000 -phys", f"restore {sparse} 0x200000"):
            said = refused(line)
            assert "0x10000000000 bytes, nothing written" in said, said
        with open(sparse, "wb") as f:
            f.write(b"\xaa" * 0x3000)
        # the last page of memory: what would have had a place is as it was
        last = max(num(s["gpa"]) + num(s["size"]) for s in ok("info slots")[0]) - 0x1000
        status, values, err = start(f"restore {sparse} {last:#x} -phys", opts=("-j",))
        assert status == 1 and "nothing written" in err and "no slot" in err, err
        assert ok(f"catch {{restore {sparse} {last:#x} -phys}}", f"xp/bx {last:#x}")[1]["values"] != ["0xaa"]
        assert "file" in refused(f"slot add 5 0x10000000 64K -file {BIN}", f"restore {sparse} 0x10000000 -phys")
        assert "past the last" in refused(f"restore {sparse} 0xfffffffffffff000 -phys")
        os.mkfifo(f"{d}/pipe")
        for name in (d, f"{d}/pipe", "/dev/zero", "/dev/null"):
            assert "no regular file" in refused(f"restore {name} 0x1000 -phys")
        open(f"{d}/empty", "w").close()
        assert "empty" in refused(f"restore {d}/empty 0x1000 -phys")
        os.chmod(d, 0o755)
        os.chmod(sparse, 0)
        assert "Permission denied" in refused(f"restore {sparse} 0x1000 -phys", wrap=other_user())


def images():
    with folder() as d:
        os.mkfifo(f"{d}/pipe")
        with open(f"{d}/sparse", "wb") as f:
            f.truncate(1 << 40)
        for image in (d, f"{d}/pipe", f"{d}/sparse", "/dev/zero"):
            status, out, err = start("run", image=image)
            assert status == 1 and len(errors_of(err)) == 1, (image, err)


def file_slots_look_first():
    """A sparse file is larger than any memory; this backend copies it."""
    with folder() as d:
        with open(f"{d}/sparse", "wb") as f:
            f.truncate(1 << 40)
        said = refused(f"slot add 5 0x100000000 0xf000000000 -file {d}/sparse", backend="soft")
        assert "available on this host" in said and "-overcommit" in said, said


# ---- scripts


def program_of(*args, home, stdin=subprocess.DEVNULL):
    return subprocess.run([BIN, "-b", "soft", "--batch", "-q", *args, "demo:tour"], stdin=stdin, capture_output=True, timeout=60,
                          env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home}, text=True)


def init_file_that_is_none():
    with folder() as d:
        os.mkdir(f"{d}/kvmscope")
        os.mkfifo(f"{d}/kvmscope/init.tcl")
        p = program_of("-c", "expr 1", home=d)
        assert p.returncode == 0 and "init.tcl is not read: it is no regular file" in p.stderr, p
        os.unlink(f"{d}/kvmscope/init.tcl")
        with open(f"{d}/kvmscope/init.tcl", "w") as f:
            f.write("puts from-init\n")
        assert "from-init" in program_of("-c", "expr 1", home=d).stdout


def scripts_that_are_none():
    with folder() as d:
        with open(f"{d}/sparse", "wb") as f:
            f.truncate(1 << 40)
        for name, why in ((d, "folder"), ("/dev/zero", "too large"), (f"{d}/sparse", "too large"), (f"{d}/none", "No such file")):
            said = refused(f"source {name}")
            assert why in said, said
            p = program_of("--nx", "-x", name, home=d)
            assert p.returncode == 1 and why in p.stderr, p
        ok("source /dev/null")


def script_by_a_pipe():
    with folder() as d:
        script = "set n 20\nincr n\nputs $n\n"
        p = subprocess.run(["bash", "-c", f"{BIN} --nx --batch -q -b soft -x <(printf '{script}') demo:tour"], capture_output=True, timeout=60, text=True)
        assert p.returncode == 0 and p.stdout == "21\n", p
        p = subprocess.run([BIN, "--nx", "--batch", "-q", "-b", "soft", "-c", "source /proc/self/fd/0", "demo:tour"], input=script, capture_output=True,
                           timeout=60, text=True)
        assert p.returncode == 0 and p.stdout.startswith("21\n"), p


def script_by_a_pipe_can_be_interrupted():
    with folder() as d:
        os.mkfifo(f"{d}/pipe")
        with Talk() as t:
            t.say(f"source {d}/pipe\n")
            writer = os.open(f"{d}/pipe", os.O_WRONLY)  # waits until it is being read
            t.interrupt()
            said = t.until_error("\n")
            assert "interrupted" in said, said
            os.close(writer)
            assert num(t.ask("expr 5")) == 5
            assert t.end() in (0, 1)


def restore_says_its_name_once(b):
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"1234")
        f.flush()
        said = refused(f"restore {f.name} 0xffffffffffffffff", backend=b)
        assert said.count("restore") == 1 and "wrap past the last address" in said, said


# ---- what a diff leaves out


def diff_says_what_it_left_out():
    status, out, err = start("snap a -memory", "snap b", "diff a b")
    assert status == 0 and "memory not compared, the later side lacks them: taken without -memory" in err, err
    status, out, err = start("snap a", "snap b", "diff a b")
    assert status == 0 and "not compared" not in err, err


def diff_without_the_kernel(b):
    if b != "kvm":
        return
    from program import can_read_kernel, drop
    if not can_read_kernel():
        raise Skip("the kernel's structures cannot be read here anyway")
    status, out, err = start("snap", "si", "diff", backend=b, wrap=drop("bpf", "perfmon", "sys_admin"))
    assert status == 0 and "shadow pages and sptes not compared" in err and "CAP_BPF" in err, err


def huge_looks_first(b):
    """What -huge would take and the host does not have is refused before anything is made."""
    have = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemAvailable")) >> 10
    if b != "kvm":
        return
    said = refused(f"slot add 5 0x100000000 {have * 2}M -huge", backend=b)
    assert "-huge takes its" in said and "available" in said and "-overcommit" in said, said


if __name__ == "__main__":
    sys.exit(main([what_is_replaced_keeps_its_mode, links_stay_links, what_may_not_be_written, a_pipe_that_is_read, restore_looks_first, restore_says_its_name_once, images,
                   file_slots_look_first, init_file_that_is_none, scripts_that_are_none, script_by_a_pipe, script_by_a_pipe_can_be_interrupted,
                   diff_says_what_it_left_out, diff_without_the_kernel, huge_looks_first]))
