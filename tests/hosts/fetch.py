"""Debian's packages for the hosts of the matrix: found, downloaded and unpacked, never installed.

A folder has k/RELEASE (a kernel's package, unpacked), k/busybox-static, q/ (QEMU of the backports), deb/ (for a download) and apt/
(package lists of our own, so that neither the system's sources nor its lists are touched). What is there is taken as it is: a
folder that was filled once serves every tree, without a network.
"""
import functools, glob, os, re, shutil, subprocess, threading

MIRROR = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Debian's name of a kernel package: the plain one for PCs, of bookworm or of its backports.
KERNEL = {"6.1": r"6\.1\.0-[0-9]+-amd64", "6.12": r"6\.12\.[0-9.]+\+deb12-amd64"}
QEMU = ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")


class Missing(Exception):
    """What cannot be had, and why."""


def newest_first(releases):
    return sorted(releases, key=lambda r: [int(n) for n in re.findall(r"\d+", r)], reverse=True)


def one_at_a_time(method):
    """Hosts that run side by side ask for the same packages."""
    @functools.wraps(method)
    def locked(self, *args):
        with self.lock:
            return method(self, *args)
    return locked


class Packages:
    def __init__(self, folder, say=print):
        self.folder, self.say, self.updated = os.path.abspath(folder), say, None
        self.lock = threading.RLock()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    # ---- apt with lists of its own

    def _mirrors(self):
        """The archive that this machine uses, where its sources name one."""
        found = []
        for f in glob.glob("/etc/apt/sources.list.d/*") + glob.glob("/etc/apt/sources.list"):
            try:
                found += re.findall(r"https?://[^\s\]]+/debian(?:-security)?/?(?=\s|$)", open(f, encoding="utf-8", errors="replace").read())
            except OSError:
                pass
        found = [u.rstrip("/") for u in found if "snapshot.debian.org" not in u]
        main = next((u for u in found if not u.endswith("-security")), MIRROR[0])
        security = next((u for u in found if u.endswith("-security")), MIRROR[1])
        return main, security

    def _sources(self):
        main, security = self._mirrors()
        suites = ((main, "bookworm bookworm-updates bookworm-backports"), (security, "bookworm-security"))
        return "\n".join(f"Types: deb\nURIs: {u}\nSuites: {s}\nComponents: main\nArchitectures: amd64\nSigned-By: {KEYRING}\n" for u, s in suites)

    def _apt(self, program, *words, cwd=None):
        apt = self.path("apt")
        options = {"Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": f"{apt}/sources", "Dir::State::Lists": f"{apt}/lists",
                   "Dir::State::Status": "/dev/null", "Dir::Cache": f"{apt}/cache", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
                   "Acquire::Retries": "2", "APT::Architecture": "amd64"}
        argv = [program, "-q"] + [x for k, v in options.items() for x in ("-o", f"{k}={v}")] + list(words)
        p = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if p.returncode:
            errors = [line for line in p.stderr.splitlines() if line.startswith("E:")]
            raise Missing("; ".join(errors[:2]) or f"{program} {words[0]}: exit status {p.returncode}")
        return p.stdout

    def _update(self):
        """Once a run; a failure is told to everybody who asks again."""
        if self.updated is None:
            self.updated = ""
            if not shutil.which("apt-get"):
                self.updated = "apt-get is not here, which fetches Debian's packages"
            else:
                for d in ("apt/sources", "apt/lists/partial", "apt/cache/archives/partial", "deb", "k"):
                    os.makedirs(self.path(d), exist_ok=True)
                with open(self.path("apt/sources/matrix.sources"), "w", encoding="utf-8") as f:
                    f.write(self._sources())
                self.say("fetching package lists")
                try:
                    self._apt("apt-get", "update")
                except Missing as e:
                    self.updated = str(e)
        if self.updated:
            raise Missing(self.updated)

    def _unpack(self, package, target):
        """The package's newest version, in target, which is there whole or not at all."""
        self._update()
        self.say(f"fetching {package}")
        before = set(os.listdir(self.path("deb")))
        self._apt("apt-get", "download", package, cwd=self.path("deb"))
        debs = set(os.listdir(self.path("deb"))) - before or set(glob.glob(f"{package}_*.deb", root_dir=self.path("deb")))
        if not debs:
            raise Missing(f"{package}: apt-get downloaded nothing")
        fresh = target + ".new"
        os.makedirs(fresh, exist_ok=True)
        subprocess.run(["dpkg", "-x", self.path("deb", newest_first(debs)[0]), fresh], check=True)
        for deb in debs:
            os.remove(self.path("deb", deb))
        return fresh

    def _ensure(self, package, target):
        if not os.path.isdir(target):
            os.rename(self._unpack(package, target), target)
        return target

    # ---- what the matrix asks for

    @one_at_a_time
    def kernel(self, series):
        """(release, its folder) of the newest of a series: one that is here, else one that the archive has."""
        here = [d for d in glob.glob("*", root_dir=self.path("k")) if re.fullmatch(KERNEL[series], d)]
        for release in newest_first(here):
            if os.path.exists(self.path("k", release, "boot", f"vmlinuz-{release}")):
                return release, self.path("k", release)
        self._update()
        names = self._apt("apt-cache", "pkgnames", f"linux-image-{series}.").split()
        offered = newest_first([n.removeprefix("linux-image-") for n in names if re.fullmatch("linux-image-" + KERNEL[series], n)])
        why = f"no package linux-image-{series}.*-amd64 in the archive"
        for release in offered[:3]:  # a list may name what the archive has removed since
            try:
                return release, self._ensure(f"linux-image-{release}", self.path("k", release))
            except Missing as e:
                why = str(e)
        raise Missing(why)

    @one_at_a_time
    def busybox(self):
        return os.path.join(self._ensure("busybox-static", self.path("k", "busybox-static")), "bin", "busybox")

    @one_at_a_time
    def unpacked(self, package, path):
        """A file of a package: the system's where it is installed, else out of the archive."""
        if os.path.exists(path):
            return path
        found = self._ensure(package, self.path("k", package)) + path
        if not os.path.exists(found):
            raise Missing(f"{package} has no {path}")
        return found

    @one_at_a_time
    def qemu10(self):
        """Folder with usr/bin/qemu-system-x86_64 of the backports. Its libraries are those that the system's own QEMU has, too."""
        q = self.path("q")
        binary = os.path.join(q, "usr/bin/qemu-system-x86_64")
        if not os.path.exists(binary):
            for package in QEMU:
                fresh = self._unpack(package + "/bookworm-backports", q)
            os.rename(fresh, q)
        return q


def libraries_missing(binary):
    """Names of shared libraries that a binary lacks on this system."""
    p = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    return re.findall(r"^\s*(\S+) => not found", p.stdout, re.M)
