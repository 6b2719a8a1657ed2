"""Running an emulator until its machine has ended: the console as it comes, and whether it gets anywhere.

A limit is never of the wall clock's time. Where many share the machine everything takes longer, and is still right. What counts is
the emulator's processor time: a machine is given up when it has used a lot of it without a word on the console, where its guest
says at least that it is alive every few seconds; and when it uses none any more, and does not end.
"""
import os, shutil, signal, subprocess, time

from fetch import Missing, libraries_missing

SILENT = 600   # seconds of the emulator's processor time without a line
IDLE = 180     # seconds in which it used less than IDLE_CPU and printed nothing
IDLE_CPU = 1.0
ENDING = 30    # seconds of its processor time, or idle ones, for the machine to end after it said that it does

BOCHSRC = """\
romimage: file={bios}
vgaromimage: file={vgabios}
display_library: rfb, options="timeout=0"
megs: {memory}
cpu: model=broadwell_ult, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1, mwait_is_nop=1
clock: sync=none, time0=1790000000
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={console}
port_e9_hack: enabled=1
log: {log}
panic: action=fatal
error: action=ignore
info: action=report
debug: action=ignore
speaker: enabled=0
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
"""
ALIKE = "mitigations=off nokaslr random.trust_cpu=on rcupdate.rcu_cpu_stall_suppress=1 nowatchdog panic=-1 oops=panic"


def needs(cell, packages):
    """Path of the cell's emulator; Missing with the reason where there is none."""
    if cell.emulator == "bochs":
        for program, package in (("bochs-bin", "bochs"), ("xorriso", "xorriso")):
            if not shutil.which(program):
                raise Missing(f"{program} is not installed: apt-get install {package}")
        return shutil.which("bochs-bin")
    if cell.emulator == "qemu":
        if not shutil.which("qemu-system-x86_64"):
            raise Missing("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
        return shutil.which("qemu-system-x86_64")
    binary = os.path.join(packages.qemu10(), "usr/bin/qemu-system-x86_64")
    lacking = libraries_missing(binary)
    if lacking:
        raise Missing(f"QEMU 10 lacks {' '.join(lacking)}: apt-get install qemu-system-x86 has them")
    return binary


def qemu_argv(cell, binary, boot):
    q = os.path.dirname(os.path.dirname(binary))
    firmware = ["-L", f"{q}/share/qemu", "-L", f"{q}/share/seabios"] if cell.emulator == "qemu-10" else []
    shares = [f"local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
              f"local,path={boot.out},mount_tag=out,security_model=none"]
    return [binary, *firmware, "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm,+npt", "-smp", str(boot.cpus),
            "-m", str(cell.memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{boot.console}",
            "-kernel", boot.vmlinuz, "-initrd", boot.initrd, "-append", f"console=ttyS0 tsc=reliable {ALIKE} {boot.append}",
            *(x for s in shares for x in ("-virtfs", s))]


def bochs_words(boot):
    return f"console=ttyS0,115200 nosmp no_timer_check {ALIKE} {boot.append}"


def bochs_argv(cell, binary, boot):
    with open(f"{boot.out}/bochsrc", "w", encoding="utf-8") as f:
        f.write(BOCHSRC.format(bios="/usr/share/bochs/BIOS-bochs-latest", vgabios="/usr/share/bochs/VGABIOS-lgpl-latest",
                               memory=cell.memory, iso=boot.iso, console=boot.console, log=f"{boot.out}/bochs.log"))
    with open(f"{boot.out}/continue", "w", encoding="utf-8") as f:
        f.write("c\n")  # Debian's has its debugger built in, which waits for that
    return [binary, "-q", "-f", f"{boot.out}/bochsrc", "-rc", f"{boot.out}/continue"]


def processor_seconds(pid):
    """User and system time of a process and all its threads; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Progress:
    """Whether a machine gets on, from what is told of it: lines printed, processor time, the wall's time."""

    def __init__(self, silent=SILENT, idle=IDLE, ending=ENDING):
        self.silent, self.idle, self.ending = silent, idle, ending
        self.line_cpu = self.idle_cpu = 0.0
        self.idle_since = None
        self.ended_cpu = self.ended_since = None

    def stuck(self, cpu, wall, printed, ended):
        """Why the machine is to be given up; None while it gets on."""
        if self.idle_since is None:
            self.idle_since = wall
        if printed:
            self.line_cpu = cpu
        if printed or cpu - self.idle_cpu >= IDLE_CPU:
            self.idle_cpu, self.idle_since = cpu, wall
        if ended:
            if self.ended_cpu is None:
                self.ended_cpu, self.ended_since = cpu, wall
            if cpu - self.ended_cpu >= self.ending or wall - self.ended_since >= self.ending * 4:
                return "it said its end and does not end"
        if cpu - self.line_cpu >= self.silent:
            return f"no line on its console in {cpu - self.line_cpu:.0f} s of the emulator's processor time"
        if wall - self.idle_since >= self.idle:
            return f"the emulator has done nothing for {wall - self.idle_since:.0f} s"
        return None


class Machine:
    """One boot. run() gives why it was given up, or None when it ended by itself; `lines` is called with each line of the console."""

    living = set()  # process groups, for Ctrl-C

    def __init__(self, argv, out, console, lines, ended=lambda: False, progress=None, poll=0.5):
        self.argv, self.out, self.console, self.lines, self.ended, self.poll = argv, out, console, lines, ended, poll
        self.progress = progress or Progress()
        self.cpu = 0.0
        self.status = None
        self.rest = b""
        self.seen = 0

    def _read(self, last=False):
        """Whole lines since the last time; whether anything was new."""
        with open(self.console, "rb") as f:
            f.seek(self.seen)
            new = f.read()
        self.seen += len(new)
        *whole, self.rest = (self.rest + new).split(b"\n")
        if last and self.rest:
            whole.append(self.rest)
            self.rest = b""
        for line in whole:
            self.lines(line.decode(errors="replace").rstrip("\r"))
        return bool(new)

    def _clock(self):
        """What the guest measures its checks by; whole at any time, as it reads it meanwhile."""
        with open(f"{self.out}/clock.new", "w", encoding="utf-8") as f:
            f.write(f"{self.cpu:.0f}\n")
        os.replace(f"{self.out}/clock.new", f"{self.out}/clock")

    def run(self):
        open(self.console, "wb").close()
        self._clock()
        with open(f"{self.out}/emulator", "wb") as said:
            p = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        Machine.living.add(p.pid)
        why = None
        while p.poll() is None and not why:
            time.sleep(self.poll)
            self.cpu = processor_seconds(p.pid) or self.cpu
            self._clock()
            printed = self._read()
            why = self.progress.stuck(self.cpu, time.monotonic(), printed, self.ended())
        Machine.living.discard(p.pid)
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)
        self.status = p.wait()
        self._read(last=True)
        return why

    def words(self, count=6):
        """What the emulator itself said last, without the warnings that QEMU begins with."""
        with open(f"{self.out}/emulator", encoding="utf-8", errors="replace") as f:
            return [line.rstrip() for line in f.read().splitlines() if line.strip() and ": warning: " not in line][-count:]

    @classmethod
    def end_all(cls):
        for pid in list(cls.living):
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
