"""The hosts of the matrix: which kernel on which emulated processor, with which parameters of KVM's module."""
import dataclasses, fnmatch

SERIES = ("6.12", "6.1")


@dataclasses.dataclass(frozen=True)
class Cell:
    """name: svm-npt1-6.12. kind: svm (QEMU) or vmx (Bochs). series: which of Debian's kernels. modules: KVM's, with their arguments,
    loaded last. emulator: a program of emulator.py's table. memory: MB of the emulated machine."""

    name: str
    kind: str
    series: str
    modules: tuple
    emulator: str
    memory: int


def _cells():
    # Bochs first: such a cell takes longest, and nobody shall wait for it alone at the end.
    for ept in ("1", "0"):
        for series in SERIES:
            yield Cell(f"vmx-ept{ept}-{series}", "vmx", series, (("kvm", ""), ("kvm-intel", f"ept={ept}")), "bochs", 512)
    for npt, qemu in (("1", "qemu-10"), ("0", "qemu")):
        for series in SERIES:
            yield Cell(f"svm-npt{npt}-{series}", "svm", series, (("kvm", ""), ("kvm-amd", f"npt={npt}")), qemu, 2048)


CELLS = tuple(_cells())


def matching(words, names):
    """The names that a list of names and globs, with commas between, asks for; all for an empty one. A word that fits none is an error."""
    if not words:
        return list(names)
    wanted = [w for w in words.replace(",", " ").split()]
    for w in wanted:
        if not any(fnmatch.fnmatchcase(n, w) for n in names):
            raise ValueError(f"{w}: no such name; there are: {' '.join(names)}")
    return [n for n in names if any(fnmatch.fnmatchcase(n, w) for w in wanted)]
