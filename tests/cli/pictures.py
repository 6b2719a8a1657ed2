#!/usr/bin/env python3
"""Pictures as text and files: info slots -map, graphs for Graphviz (checked against its grammar), report (parsed strictly)."""
import html.parser, os, re, shutil, stat, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Talk, can_read_kernel, errors_of, main, num, ok, refused, start

VOID = {"meta"}


class Page(html.parser.HTMLParser):
    """Balanced tags, ids once, no script, no event handler, nothing from elsewhere."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.text, self.tags, self.section = [], set(), set(), "", [], {}
        assert text.startswith("<!DOCTYPE html>\n") and text.endswith("</html>\n"), text[-80:]
        assert "@import" not in text and not re.search(r"url\(", text), "the style names something"
        assert "\x1b" not in text and "\ufffd" not in text
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        assert {link[1:] for link in self.links} <= self.ids, self.links

    def handle_starttag(self, tag, attrs):
        names = [k for k, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}>: an attribute twice"
        assert tag not in ("script", "iframe", "img", "link", "object", "embed", "base", "form"), tag
        for k, v in attrs:
            assert not k.startswith("on") and k not in ("src", "xlink:href"), f"<{tag} {k}>"
            if k == "href":
                assert v.startswith("#"), v
                self.links.add(v)
            if k == "id":
                assert v not in self.ids, f"id {v} twice"
                self.ids.add(v)
            if k == "viewbox":
                assert all(float(x) >= 0 for x in v.split()), v
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "style":
            return
        self.text += data
        for tag, attrs in self.open:
            if tag == "section":
                self.section[attrs["id"]] = self.section.get(attrs["id"], "") + data


def report(*lines, backend, tail=(), **kw):
    with tempfile.TemporaryDirectory() as d:
        v = ok(*lines, f"report {d}/r.html", *tail, backend=backend, **kw)
        text = open(d + "/r.html", encoding="utf-8").read()
        made = v[len(lines)]
        assert made["file"] == d + "/r.html" and made["len"] == len(text.encode()), made
        assert os.listdir(d) == ["r.html"], "nothing else is left there"
    return Page(text)


# ---- the map

def map_is_whole(b):
    v, = ok("info slots -map", backend=b)
    at = 0
    for r in v:
        assert num(r["gpa"]) == at, f"a gap before {r}"
        at += r["size"]
    kinds = {num(r["gpa"]): r for r in v}
    assert kinds[0]["kind"] == "ram" and kinds[0]["slot"] == 0 and kinds[0]["size"] == 0x80000
    assert kinds[0x80000]["kind"] == "rom" and kinds[0x80000]["flags"] == ["readonly"]
    assert kinds[0xd0000000]["kind"] == "device" and kinds[0xd0000000]["name"] == "scratch" and kinds[0xd0000000]["slot"] is None
    assert kinds[0x90000]["kind"] == "hole"
    own, = ok("info slots -map -all", backend=b)
    assert len(own) >= len(v)
    assert "word too many" in refused("info slots -map 1", backend=b)


def map_of_smram(b):
    v = ok("slot add 5 0x1000000 0x20000 -smram", "slot add 6 0x1000000 0x1000 -visible non-smm -log", "info slots -map", backend=b)[-1]
    rows = [r for r in v if num(r["gpa"]) == 0x1000000]
    assert [(r["slot"], r["visible"]) for r in rows] == [(6, "non-smm"), (5, "smm")], rows
    assert rows[0]["flags"] == ["log-dirty"] and rows[1]["flags"] == ["smram"]
    assert num(v[v.index(rows[1]) + 1]["gpa"]) == 0x1020000, "the hole begins behind the longer one"


def map_as_text(b):
    for env, block in (({"LC_ALL": "C.UTF-8"}, "█"), ({"LC_ALL": "C"}, "#")):
        _, out, _ = start("info slots -map", backend=b, env=env)
        lines = {ln.split()[0]: ln for ln in out.split("\n") if ln.strip().startswith("0x")}
        assert block in lines["0x0"] and "512 KiB" in lines["0x0"] and "readonly" in lines["0x80000"], out
        assert lines["0xd0000000"].endswith("device scratch") and "not to scale" in lines["0x90000"], out
        assert out.isascii() == (env["LC_ALL"] == "C")
    v, = ok("llength [info slots -map]", backend=b)
    assert num(v) >= 5


def map_of_many_slots(b):
    """As many as there are: each has its row and its line."""
    with tempfile.NamedTemporaryFile("w", suffix=".tcl") as f:
        f.write("for {set i 10} {$i < 1010} {incr i} { slot add $i [expr {0x10000000 + $i * 0x4000}] 0x1000 }\n")
        f.flush()
        status, out, err = start("info slots -map", backend=b, opts=["-x", f.name])
    assert status == 0, err
    lines = [ln for ln in out.split("\n") if re.search(r"█|#", ln) and " slot " in ln]
    assert len(lines) >= 1001, len(lines)
    assert max(map(len, out.split("\n"))) <= 110


# ---- graphs

TOKEN = re.compile(r'\s*(->|[{}\[\];,=]|"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z_0-9]*|-?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?))')


class Dot:
    """Graphviz's grammar, as far as a directed graph without ports and subgraphs has it."""

    def __init__(self, text):
        self.nodes, self.edges, self.attrs, at, self.tokens = {}, [], {}, 0, []
        text = text.rstrip()
        while at < len(text):
            m = TOKEN.match(text, at)
            assert m, f"no token: {text[at:at + 40]!r}"
            self.tokens.append(m[1])
            at = m.end()
        self.take("digraph")
        self.take_id()
        self.take("{")
        while self.tokens[0] != "}":
            self.statement()
            if self.tokens[0] == ";":
                self.take(";")
        self.take("}")
        assert not self.tokens, self.tokens[:5]

    def take(self, what=None):
        t = self.tokens.pop(0)
        assert what is None or t == what, f"{t!r}, wanted {what!r}"
        return t

    def take_id(self):
        t = self.take()
        assert re.match(r'["A-Za-z_0-9.-]', t) and t != "->", t
        return t

    def attributes(self):
        out = {}
        while self.tokens[0] == "[":
            self.take("[")
            while self.tokens[0] != "]":
                k = self.take_id()
                self.take("=")
                out[k] = self.take_id()
                if self.tokens[0] in ",;":
                    self.take()
            self.take("]")
        return out

    def statement(self):
        first = self.take_id()
        if first in ("node", "edge", "graph"):
            self.attributes()
        elif self.tokens[0] == "=":
            self.take("=")
            self.attrs[first] = self.take_id()
        elif self.tokens[0] == "->":
            self.take("->")
            self.edges.append((first, self.take_id(), self.attributes()))
        else:
            self.nodes[first] = self.attributes()


def graph(line, *before, backend, **kw):
    text = ok(*before, line, backend=backend, **kw)[-1]
    assert isinstance(text, str) and text.startswith("digraph") and text.rstrip().endswith("}"), text[:80]
    g = Dot(text)
    ends = {x for a, b, _ in g.edges for x in (a, b)}
    assert ends <= set(g.nodes) | {"root"}, ends - set(g.nodes)
    if shutil.which("dot"):
        p = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, timeout=60)
        assert p.returncode == 0 and "<svg" in p.stdout and not p.stderr, p.stderr[-300:]
    return g


def graph_of_tree(b):
    if b == "kvm" and not can_read_kernel():
        assert "error" in refused("run", "shadow tree -dot", backend=b)
        return
    for line in ("shadow tree -dot", "shadow tree -dot 0x10"):
        g = graph(line, "run", backend=b)
        pages = [n for n, a in g.nodes.items() if "level" in a["label"]]
        assert len(pages) == 4 and sum("peripheries" in g.nodes[n] for n in pages) == 1, g.nodes
        assert sum(e[1] == "gfn_40_40" for e in g.edges) == 2, "both aliases lead to the same page"
        assert any("0x240000" in e[2]["label"] and "[64]" in e[2]["label"] and "rwx user" in e[2]["label"] for e in g.edges)
    assert "no vCPU has such a root" in refused("run", "shadow tree -dot 0x999", backend=b)


def graph_of_rmap(b):
    if b == "kvm" and not can_read_kernel():
        return
    g = graph("info rmap 0x40 -dot", "run", backend=b)
    kinds = [n.split("_")[0] for n in g.nodes]
    assert (kinds.count("head"), kinds.count("descriptor"), kinds.count("spte"), kinds.count("page")) == (1, 1, 2, 1), g.nodes
    assert len(g.edges) == 5 and any("[64]" in e[2].get("label", "") for e in g.edges)
    assert any("0x250000" in a["label"] for a in g.nodes.values())
    one = graph("info rmap 0x80 -dot", "run", backend=b)
    assert len(one.edges) == 2
    assert not graph("info rmap 0x41 -dot", "run", backend=b).edges
    long = graph("info rmap 0x40 -dot", "b mapped", "run", backend=b, image="demo:rmap")
    assert sum(n.startswith("spte") for n in long.nodes) == 40
    assert "no slot covers" in refused("info rmap 0x9000000 -dot", backend=b)


# ---- reports

def report_of_the_tour(b):
    p = report("run", backend=b)
    assert p.ids >= {"stop", "map", "slots", "guest", "sptes", "chains", "mmio", "fault", "registers", "breakpoints", "facts", "vm"}, p.ids
    assert "0x300000" in p.section["stop"] and "page fault" in p.section["stop"] and "0x300000" in p.section["registers"]
    assert "0x80000" in p.section["map"] and "rom readonly" in p.section["map"] and p.tags.count("svg") >= 1
    assert "gfn 0x40" in p.section["guest"] and "0xd0000" in p.section["guest"]
    assert "demo:tour on " + b in p.text and "no fault was caught" in p.section["fault"]
    if "tdp" in p.ids:
        assert "gpa 0x40000" in p.section["sptes"] and "found by gpa" in p.section["chains"] and "found by gpa" in p.section["rmaps"]
        assert "4K" in p.section["tdp"]
    elif b == "soft" or can_read_kernel():
        assert "0x240000" in p.section["sptes"] and "gva 0x250000 rw" in p.section["chains"] and p.tags.count("svg") >= 2
        assert "0x260000" in p.section["mmio"]
    assert "trace" not in p.ids


def report_in_a_browser(b):
    """As a browser takes it: its parts are there, and it has nothing to say on its console."""
    browser = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert browser, "no chromium-headless-shell; make deps-check installs it"
    with tempfile.TemporaryDirectory() as d:
        ok("run", f"report {d}/r.html", backend=b)
        p = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={d}/b",
                            "--dump-dom", f"file://{d}/r.html"], capture_output=True, text=True, timeout=120,
                           stdin=subprocess.DEVNULL, env={**os.environ, "HOME": d})
        assert p.returncode == 0, p.stderr[-400:]
        assert "CONSOLE" not in p.stderr, [l for l in p.stderr.split("\n") if "CONSOLE" in l][:3]
        written = Page(open(f"{d}/r.html").read())
    shown = p.stdout.strip() + "\n"
    assert shown.count("<svg") == written.tags.count("svg") > 0 and shown.count("<section") == len(written.section) > 5
    assert "0x300000" in shown and "page fault" in shown


def report_at_any_moment(b):
    """Before the first run, in real mode, inside a fault, at a breakpoint, with many sptes on a chain."""
    assert "not run yet" in report(backend=b).section["stop"]
    assert "paging is off" in report(backend=b, image="demo:real").section["guest"]
    p = report("b mapped", "watch 0x400000", "run", backend=b, image="demo:rmap")
    assert "mapped" in p.section["breakpoints"] and "0x400000" in p.section["breakpoints"]
    if b == "soft":
        p = report("catch fault 0x40", "run", "fault step", "fault step", backend=b)
        assert "walk" in p.section["fault"] and "fault-stage" in p.section["stop"]
        p = report("slot add 5 0xa0000 0x10000 -smram", "smi", backend=b)
        assert "in SMM only" in p.section["map"]


def report_of_a_large_vm(b):
    lines = [f"slot add {i} {0x10000000 + i * 0x4000:#x} 0x1000" for i in range(10, 310)]
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/s.tcl", "w") as f:
            f.write("\n".join(lines))
        ok(f"report {d}/r.html", backend=b, opts=["-x", d + "/s.tcl"])
        p = Page(open(d + "/r.html").read())
    assert re.search(r"\d+ more regions at higher addresses are left out", p.section["map"])
    assert "309" in p.section["slots"]


def report_takes_hostile_names(b):
    name = "<img src=x onerror=alert(1)>\x1b[2J&amp;.bin"
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/{name}", "wb") as f:
            f.write(b"\xf4" * 16)
        status, _, err = start('b 0x100 if {"</td><script>x</script>" eq ""}', f"report {d}/r.html", backend=b, image=f"{d}/{name}")
        assert status == 0, err
        text = open(d + "/r.html").read()
    p = Page(text)
    assert "<img src=x onerror=alert(1)>\\x1b[2J&amp;.bin" in p.text, p.text[:300]
    assert "</td><script>x</script>" in p.section["breakpoints"]


def report_is_written_whole_or_not_at_all(b):
    with tempfile.TemporaryDirectory() as d:
        said = refused(f"report {d}/none/r.html", backend=b)
        assert "none/r.html" in said and "No such file" in said, said
        os.mkdir(d + "/dir.html")
        said = refused(f"report {d}/dir.html", backend=b)
        assert "directory" in said, said
        with open(d + "/old.html", "w") as f:
            f.write("old")
        os.chmod(d + "/old.html", 0o600)
        ok(f"report {d}/old.html", backend=b)
        Page(open(d + "/old.html").read())
        assert sorted(os.listdir(d)) == ["dir.html", "old.html"], os.listdir(d)
    assert "no option" in refused("report -nosuch", backend=b) and not os.path.exists("-nosuch")
    assert "missing" in refused("report", backend=b)
    status, out, err = start("report /dev/full", backend=b)
    assert status == 1 and "No space" in errors_of(err)[0], err
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def report_traces_a_run(b):
    p = report("report -trace", "b mapped", "b unmapped", "run", "c", backend=b, image="demo:rmap")
    rows = re.findall(r"Breakpoint (\d) ", p.section["trace"])
    assert rows == ["1", "2"] and "has not run yet" in p.section["trace"], p.section["trace"][:400]
    if b == "soft" or can_read_kernel():
        assert p.tags.count("svg") >= 4 and "longest rmap chain" in p.section["trace"]
        assert re.search(r"32-63:\s*1", p.section["trace"]), "the chain of 40 at its peak"
        assert "removed" in p.section["trace"] or "changed" in p.section["trace"]
    v = ok("report -trace", "run", "report -trace", "report -notrace", "report -notrace", backend=b)
    assert [(x["trace"], x.get("stops")) for x in (v[0], v[2], v[3])] == [(True, 1), (True, 2), (False, None)], v
    assert "contradict" in refused("report -trace -notrace", backend=b)


def report_of_another_image_begins_anew():
    with tempfile.TemporaryDirectory() as d:
        v = ok("report -trace", "run", "load demo:rmap", "b mapped", "run", f"report {d}/r.html", backend="soft")
        assert v[-1]["stops"] == 1, v[-1]
        Page(open(d + "/r.html").read())


def report_while_it_runs():
    """soft answers between two instructions; what it gives is a page."""
    spin = b"\xeb\xfe"
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/spin.bin", "wb") as f:
            f.write(spin)
        with Talk(image=d + "/spin.bin") as t:
            t.ask("c &")
            assert t.ask(f"report {d}/r.html")["file"] == d + "/r.html"
            t.say("interrupt\n")
            t.end()
        p = Page(open(d + "/r.html").read())
    assert "running" in p.section["vcpus"], p.section["vcpus"]


if __name__ == "__main__":
    sys.exit(main([map_is_whole, map_of_smram, map_as_text, map_of_many_slots, graph_of_tree, graph_of_rmap, report_of_the_tour,
                   report_in_a_browser, report_at_any_moment, report_of_a_large_vm, report_takes_hostile_names,
                   report_is_written_whole_or_not_at_all, report_traces_a_run, report_of_another_image_begins_anew, report_while_it_runs]))
