"""What a host of the matrix boots: an initrd written by hand (the kernel's newc format), and for Bochs an ISO around it.

The initrd has guest/* of this folder, busybox, KVM and the modules it needs in their order, the plan and the limits. For a host that
does not see this machine's files it has the tree too: kvmscope, scripts, checks, unit tests and the libraries that they are linked to.
"""
import glob, lzma, os, re, shutil, stat, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED_FILES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")  # to see this machine's files; loaded first
TCL = "/usr/share/tcltk/tcl8.6"
ISOLINUX = (("isolinux", "/usr/lib/ISOLINUX/isolinux.bin"), ("syslinux-common", "/usr/lib/syslinux/modules/bios/ldlinux.c32"))
PLANNED = ("scripts", "tests/hosts/checks", "tests/golden")


class Initrd:
    """Files, by their path inside."""

    def __init__(self):
        self.entries = {}

    def folder(self, path):
        path = path.strip("/")
        if path and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | 0o755, b"")

    def file(self, path, content, mode=0o644):
        path = path.strip("/")
        self.folder(os.path.dirname(path))
        self.entries[path] = (stat.S_IFREG | mode, content if isinstance(content, bytes) else content.encode())

    def copy(self, path, source):
        with open(source, "rb") as f:
            self.file(path, f.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def tree(self, path, source, skip=()):
        for d, _, names in os.walk(source):
            if not any(s in d[len(source):].split("/") for s in skip):
                for n in names:
                    self.copy(os.path.join(path, os.path.relpath(os.path.join(d, n), source)), os.path.join(d, n))

    def node(self, path, major, minor):
        self.folder(os.path.dirname(path))
        self.entries[path.strip("/")] = (stat.S_IFCHR | 0o600, (major, minor))

    def write(self, path):
        with open(path, "wb") as f:
            for i, (name, (mode, content)) in enumerate([*self.entries.items(), ("TRAILER!!!", (0, b""))]):
                device = content if isinstance(content, tuple) else (0, 0)
                data = b"" if isinstance(content, tuple) else content
                fields = (i + 1, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
                head = b"070701" + b"".join(b"%08X" % x for x in fields) + name.encode() + b"\0"
                f.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))


def module_file(kernel, name):
    """A module's file in an unpacked kernel package; None for what is built in. Names have - and _ alike."""
    pattern = re.sub("[-_]", "[-_]", name)
    found = glob.glob(f"{kernel}/lib/modules/*/kernel/**/{pattern}.ko*", recursive=True)
    return found[0] if found else None


def module_bytes(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
        return f.read()


def with_dependencies(kernel, names):
    """name -> bytes, each behind what it names in its `depends=`."""
    found = {}

    def add(name):
        name = name.replace("-", "_")
        path = module_file(kernel, name)
        if name in found or not path:
            return
        content = module_bytes(path)
        for d in re.search(rb"(?:^|\0)depends=([^\0]*)", content)[1].decode().split(","):
            if d:
                add(d)
        found[name] = content

    for n in names:
        add(n)
    return found


def add_modules(initrd, kernel, cell, shared):
    """/modules: a line `FILE ARGUMENTS` each, in their order."""
    arguments = {m.replace("-", "_"): a for m, a in cell.modules}
    lines = []
    for name, content in with_dependencies(kernel, [*(SHARED_FILES if shared else ()), *arguments]).items():
        initrd.file(f"/mod/{name}.ko", content)
        lines.append(f"{name} {arguments.get(name, '')}".strip() + "\n")
    for name in arguments:
        if f"mod/{name}.ko" not in initrd.entries:
            raise ValueError(f"{kernel}: it has no module {name}")
    initrd.file("/modules", "".join(lines))


def libraries(binaries):
    """The shared libraries and the loader that these binaries need."""
    found = set()
    for b in binaries:
        out = subprocess.run(["ldd", b], capture_output=True, text=True, check=False).stdout
        found.update(re.findall(r"=> (/\S+)", out), re.findall(r"^\s*(/\S+) \(", out, re.M))
    return sorted(found)


def add_tree(initrd, build, binaries):
    """The tree at /src, its programs without symbols in /src/build."""
    with tempfile.TemporaryDirectory() as scratch:
        for b in binaries:
            small = os.path.join(scratch, "stripped")
            subprocess.run(["strip", "-o", small, os.path.join(build, b)], check=True)
            initrd.copy(f"/src/build/{b}", small)
    for d in PLANNED:
        initrd.tree(f"/src/{d}", d)
    initrd.tree(TCL, TCL, skip=("tzdata", "msgs"))
    for lib in libraries([os.path.join(build, b) for b in binaries]):
        initrd.copy(lib, os.path.realpath(lib))


def build_initrd(path, cell, kernel, busybox, files, tree):
    """files: what the guest is told, by name. tree: None where it sees this machine's files, else (build folder, binaries in it)."""
    initrd = Initrd()
    for d in ("proc", "sys", "dev", "tmp", "run", "root", "etc", "ro", "rw", "out", "bin"):
        initrd.folder(d)
    initrd.node("/dev/console", 5, 1)
    initrd.copy("/bin/busybox", busybox)
    for f in os.listdir(os.path.join(HERE, "guest")):
        initrd.copy("/" + f, os.path.join(HERE, "guest", f))
    for name, content in files.items():
        initrd.file("/" + name, content)
    add_modules(initrd, kernel, cell, shared=tree is None)
    if tree:
        add_tree(initrd, *tree)
    initrd.write(path)


def build_iso(path, vmlinuz, initrd, words, packages):
    """A CD that boots the kernel with these words on its command line."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as d:
        os.mkdir(f"{d}/isolinux")
        for package, source in ISOLINUX:
            shutil.copy(packages.unpacked(package, source), f"{d}/isolinux/")
        os.chmod(f"{d}/isolinux/isolinux.bin", 0o644)
        for name, source in (("vmlinuz", vmlinuz), ("initrd", initrd)):
            os.link(source, f"{d}/{name}") if os.stat(source).st_dev == os.stat(d).st_dev else shutil.copy(source, f"{d}/{name}")
        with open(f"{d}/isolinux/isolinux.cfg", "w", encoding="utf-8") as f:
            f.write(f"default l\nprompt 0\ntimeout 1\nlabel l\n kernel /vmlinuz\n append initrd=/initrd {words}\n")
        subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat",
                        "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", d], check=True, capture_output=True)
