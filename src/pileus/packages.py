"""What a machine must have for a task: system packages, installing them, and a doctor who looks at the rest."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pileus.sandbox import Missing, checks
from pileus.sandbox.checks import program

LISTS = Path("/var/lib/apt/lists")
KVM = Path("/dev/kvm")
GIB = 1 << 30
DISK_GIB = 2.0
MEMORY_GIB = 1.0
# A run level without services: what tests start privately need not run beside them as the machine's own.
APT = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=900"]


@dataclass(frozen=True)
class Need:
    """A program or a file of a system package. Presence is what counts, whoever brought it."""

    package: str
    present: str
    why: str
    since: str = ""

    @property
    def is_met(self) -> bool:
        if "/" in self.present:
            folder, _, pattern = self.present.partition("/*")
            return any(Path(folder).glob(f"*{pattern}")) if pattern else Path(self.present).exists()
        return program(self.present) is not None


RUN = (
    Need("qemu-system-x86", "qemu-system-x86_64", "runs the guests"),
    Need("qemu-utils", "qemu-img", "makes and converts disks"),
    Need("iproute2", "ip", "makes bridges, taps and namespaces"),
    Need("nftables", "nft", "filters and translates packets"),
    Need("passt", "pasta", "links the cloud's network with this machine", "Debian 12 and Ubuntu 23.04"),
    Need("openssh-client", "ssh-keygen", "makes keys, logs in to guests"),
)
BALANCERS = (
    Need("haproxy", "haproxy", "is what load balancers are made of"),
    Need("conntrack", "conntrack", "moves datagrams off members of load balancers that are gone"),
)
IMAGE = (
    Need("e2fsprogs", "mke2fs", "makes the file system of the small guest image"),
    Need("mtools", "mcopy", "fills the boot partition of the small guest image"),
)
TESTS = (
    Need("git", "git", "clones the tree, as users do"),
    Need("mariadb-server", "mariadbd", "one of the databases"),
    Need("postgresql", "/usr/lib/postgresql/*/bin/postgres", "one of the databases"),
    Need("slapd", "slapd", "the directory that identity reads"),
    Need("nodejs", "node", "runs the identity provider of the tests"),
    Need("npm", "npm", "brings the identity provider of the tests"),
    Need("openssl", "openssl", "makes the directory's certificate"),
    Need("xmlsec1", "xmlsec1", "signs what identity says by SAML, and checks what others say"),
    Need("rabbitmq-server", "rabbitmq-server", "the message bus at scale"),
    Need("util-linux", "setpriv", "runs tests as an ordinary user"),
    Need("frr", "/usr/lib/frr/bfdd", "watches routers from outside, by BFD"),
    Need("iputils-ping", "ping", "sends packets between networks"),
    Need("busybox-static", "busybox", "brings the DHCP client of the tests"),
    Need("bind9-dnsutils", "dig", "asks networks' name servers"),
    Need("procps", "sysctl", "reads the kernel's settings"),
    Need("ovmf", "/usr/share/OVMF/*CODE_4M.fd", "UEFI firmware for guests"),
    Need("libvirt-daemon", "libvirtd", "the other way to guests"),
    Need("libvirt-daemon-driver-lxc", "/usr/lib/libvirt/libvirt_lxc", "containers by libvirt"),
    Need("libvirt-clients", "virsh", "speaks to libvirt"),
    Need("libxml2-utils", "xmllint", "holds domains against libvirt's schema"),
    Need("novnc", "/usr/share/novnc/core/rfb.js", "shows guests' screens in browsers"),
    Need("cryptsetup-bin", "cryptsetup", "makes encrypted volumes that are LUKS 2 devices"),
    Need("lvm2", "lvm", "keeps volumes in LVM groups"),
    Need("xfsprogs", "mkfs.xfs", "makes a file system whose files can share what they hold"),
    Need("swtpm", "swtpm", "a TPM for each guest that wants one"),
)
OF_TESTS = RUN + BALANCERS + IMAGE + TESTS
KERNEL = (                      # what tests run on a kernel of their own
    Need("nfs-kernel-server", "exportfs", "shares what volumes are kept on"),
    Need("nfs-common", "mount.nfs", "mounts it"),
    Need("thin-provisioning-tools", "thin_check", "looks through thin volumes before they are used"),
)
TASKS: dict[str, tuple[Need, ...]] = {"run": RUN, "image": IMAGE, "demo": RUN + IMAGE, "load-balancers": BALANCERS,
                                     "tests": OF_TESTS, "kernel": OF_TESTS + KERNEL}


class InstallError(Exception):
    """The packages are still missing; says what a user can do."""


def missing(task: str) -> list[Need]:
    return [need for need in TASKS[task] if not need.is_met]


def plan(needs: Iterable[Need]) -> list[list[str]]:
    """The commands that install them, in order."""
    packages = sorted({need.package for need in needs})
    if not packages:
        return []
    install = [*_as_root(), *APT, "--no-install-recommends", "install", *packages]
    return [install] if has_lists() else [_update(), install]


def has_lists() -> bool:
    """Fresh containers come without package lists, and apt-get knows no package then."""
    return LISTS.is_dir() and any("_Packages" in entry.name for entry in LISTS.iterdir())


def install(task: str) -> list[str]:
    """Install what a task lacks, saying beforehand what will be done; returns the names of the packages."""
    needs = missing(task)
    commands = plan(needs)
    if not commands:
        return []
    by_hand = "\n".join(f"    {' '.join(command)}" for command in commands)
    if not program("apt-get"):
        names = ", ".join(f"{need.present} ({need.why})" for need in needs)
        raise InstallError(f"{distribution()} has no apt-get, so please install these programs yourself: {names}")
    if os.geteuid() != 0 and not program("sudo"):
        raise InstallError(f"system packages are missing and there is no sudo here; as root, run:\n{by_hand}")
    width = max(len(need.package) for need in needs)
    reasons = "\n".join(f"    {need.package:{width}}  {need.why}" for need in needs)
    print(
        f"These system packages are missing:\n{reasons}\nInstalling them now:\n{by_hand}", file=sys.stderr, flush=True
    )
    # Lists that are too old name files which the archive no longer has.
    if not all(map(_run, commands)) and _run(_update()):
        _run(commands[-1])
    if left := missing(task):
        names = ", ".join(need.package + (f" (there since {need.since})" if need.since else "") for need in left)
        raise InstallError(
            f"apt-get did not install {names} on {distribution()}; what it said is above. By hand:\n{by_hand}"
        )
    return sorted({need.package for need in needs})


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo"]


def _update() -> list[str]:
    return [*_as_root(), *APT, "update"]


def _run(command: list[str]) -> bool:
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0


def distribution() -> str:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else "this system"


@dataclass(frozen=True)
class Row:
    name: str
    ok: bool
    detail: str
    cure: str = ""
    # A cloud starts without what is not required; it is only slower or smaller.
    required: bool = True


def doctor(state_dir: Path, ports: Iterable[int] = (), task: str = "run") -> list[Row]:
    """Rows for a person to read; `up` may start when every required one is ok."""
    balancers = [replace(row, required=False) for row in programs("load-balancers")]
    return [*programs(task), *balancers, *sandbox(state_dir, ports), acceleration(), disk(state_dir), memory()]


def programs(task: str) -> Iterator[Row]:
    for need in TASKS[task]:
        found = None if "/" in need.present else program(need.present)
        if need.is_met:
            yield Row(need.present, True, found or need.why)
        else:
            since = f" (there since {need.since})" if need.since else ""
            install = " ".join(plan([need])[-1])
            yield Row(need.present, False, f"not installed; it {need.why}", f"{install}{since}")


def sandbox(state_dir: Path, ports: Iterable[int]) -> Iterator[Row]:
    tests = {
        "state folder": (checks.state_folder(state_dir), f"{state_dir} can be written"),
        "user namespaces": (checks.user_namespaces(), _namespaces()),
        "network cards": (checks.tun(), f"{checks.TUN} opens"),
        "bridge filter": (checks.bridge_filter(), "the kernel filters bridged packets"),
    }
    tests |= {f"port {port}": (checks.port(port), "free") for port in ports}
    for name, (missing, fine) in tests.items():
        yield _row(name, missing, fine)


def _row(name: str, missing: Missing | None, fine: str) -> Row:
    return Row(name, False, missing.why, missing.cure) if missing else Row(name, True, fine)


def _namespaces() -> str:
    return "not needed by root" if os.geteuid() == 0 else "an ordinary user may make them"


def acceleration() -> Row:
    """A device that opens proves nothing: only a processor that shows vmx or svm runs ordinary guests with it."""
    name = "acceleration"
    slow = "guests run under emulation (TCG), several times slower"
    if not processor_virtualizes():
        return Row(name, True, f"the processor shows neither vmx nor svm: {slow}", required=False)
    if not KVM.exists():
        cure = "sudo modprobe kvm_intel || sudo modprobe kvm_amd; or switch virtualization on in the firmware"
        return Row(name, False, f"there is no {KVM}: {slow}", cure, required=False)
    if not os.access(KVM, os.R_OK | os.W_OK):
        cure = "sudo usermod -aG kvm $USER, then log in again"
        return Row(name, False, f"user {os.geteuid()} may not open {KVM}: {slow}", cure, required=False)
    return Row(name, True, "KVM", required=False)


def processor_virtualizes() -> bool:
    path = Path("/proc/cpuinfo")
    flags = [line.split() for line in path.read_text().splitlines() if line.startswith("flags")]
    return any({"vmx", "svm"} & set(words) for words in flags)


def disk(state_dir: Path) -> Row:
    folder = state_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    cure = f"make room there, or name another folder with --state DIR; {DISK_GIB:g} GiB are enough to begin with"
    return Row("disk space", free >= DISK_GIB, f"{free:.1f} GiB free for {state_dir}", cure if free < DISK_GIB else "")


def memory() -> Row:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024 / GIB
    cure = f"end other programs; a cloud with one small guest takes about {MEMORY_GIB:g} GiB"
    return Row(
        "memory", available >= MEMORY_GIB, f"{available:.1f} GiB available", cure if available < MEMORY_GIB else ""
    )


def main(tasks: list[str]) -> int:
    """python -m pileus.packages TASK…: install what the tasks lack."""
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        print(f"tasks: {', '.join(TASKS)}", file=sys.stderr)
        return 2
    try:
        for task in tasks:
            install(task)
    except InstallError as error:
        print(f"pileus: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
