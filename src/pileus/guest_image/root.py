"""The guest's root folder as it is put together from packages and from the files that come with this module."""

import shutil
from importlib.resources.abc import Traversable
from pathlib import Path

from pileus.guest_image.elf import elf_needs
from pileus.guest_image.programs import BuildFailed, run

LIBRARIES = "usr/lib/x86_64-linux-gnu"
# From the packages, with the libraries they link to: where they are there -> where they go, if elsewhere.
PROGRAMS: dict[str, str | None] = {
    "usr/sbin/dropbear": None,
    "usr/bin/dropbearkey": None,
    "sbin/mke2fs": "usr/sbin/mke2fs",
    "sbin/resize2fs": "usr/sbin/resize2fs",
    "sbin/e2fsck": "usr/sbin/e2fsck",
    "sbin/blkid": "usr/bin/blkid",
    "sbin/mkfs.fat": "usr/sbin/mkfs.fat",
    "bin/lsblk": "usr/bin/lsblk",
    "usr/lib/openssh/sftp-server": "usr/lib/sftp-server",
    "usr/sbin/qemu-ga": None,
    "usr/bin/setpriv": "usr/libexec/as-root",  # the setuid half of the guest's sudo
}
# glibc loads these by itself, for names and for threads' ends.
LOADED_UNSEEN = ("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1")
LINKS = {
    "usr/sbin/mkfs.ext2": "mke2fs",
    "usr/sbin/mkfs.ext3": "mke2fs",
    "usr/sbin/mkfs.ext4": "mke2fs",
    "usr/sbin/fsck.ext4": "e2fsck",
    "usr/sbin/mkfs.vfat": "mkfs.fat",
    "usr/sbin/init": "../bin/busybox",
}
FOLDERS = (
    "dev", "proc", "sys", "run", "tmp", "mnt", "root", "home", "boot", "etc", "usr/libexec", "var/log",
    "var/lib/cloud", LIBRARIES,
)  # fmt: skip


class Root:
    """A root folder, filled from `source`, the folder packages were unpacked into."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self.source = source
        for name in ("bin", "sbin", "lib", "lib64"):
            (folder / "usr" / name).mkdir(parents=True)
            (folder / name).symlink_to(f"usr/{name}")
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "var/run").symlink_to("../run")

    def add_programs(self) -> None:
        for name, target in PROGRAMS.items():
            found = self._found(name, f"usr/{name}")
            place = self.folder / (target or name)
            place.parent.mkdir(parents=True, exist_ok=True)
            self._add_binary(found, place)
        for name in LOADED_UNSEEN:
            if any((self.source / base / name).exists() for base in ("lib/x86_64-linux-gnu", LIBRARIES)):
                self._add_library(name, LIBRARIES)
        for name, target in LINKS.items():
            (self.folder / name).symlink_to(target)

    def add_busybox(self) -> None:
        """Busybox, and a link for each of its programs that is not there as a real one already."""
        busybox = self.folder / "usr/bin/busybox"
        found = self._found("bin/busybox", "usr/bin/busybox")
        shutil.copyfile(found, busybox)
        busybox.chmod(0o755)
        for applet in run(busybox, "--list-full").split():
            place = self.folder / (applet if applet.startswith("usr/") else f"usr/{applet}")
            others = [self.folder / base / place.name for base in ("usr/bin", "usr/sbin")]
            if applet == "linuxrc" or any(path.exists() or path.is_symlink() for path in others):
                continue
            depth = len(place.relative_to(self.folder).parts) - 1
            place.symlink_to("../" * depth + "usr/bin/busybox")

    def add_overlay(self, overlay: Traversable) -> None:
        """Copy a tree over the root. Modes come from the contents: a wheel does not keep those of its files."""
        copy_tree(overlay, self.folder)

    def add_accounts(self, user: str, password: str) -> None:
        hashed = "*"
        if password:
            busybox = self.folder / "usr/bin/busybox"
            hashed = run(busybox, "mkpasswd", "-m", "sha512", "-S", "cloudguest", password).strip()
        files = {
            "passwd": f"root:x:0:0:root:/root:/bin/sh\n{user}:x:1000:1000:{user}:/home/{user}:/bin/sh\n",
            "shadow": f"root:*:19000:0:99999:7:::\n{user}:{hashed}:19000:0:99999:7:::\n",
            "group": f"root:x:0:\ntty:x:5:\ndisk:x:6:\nwheel:x:10:{user}\n{user}:x:1000:\n",
            "shells": "/bin/sh\n/bin/ash\n",
            "nsswitch.conf": "passwd: files\nshadow: files\ngroup: files\nhosts: files dns\n",
            "hostname": "guest\n",
            "hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "cloud.conf": f"DEFAULT_USER={user}\nMETADATA_TRIES=10\nSET_PASSWORD=yes\n",
        }
        for name, text in files.items():
            (self.folder / "etc" / name).write_text(text)
        (self.folder / "etc/shadow").chmod(0o600)
        (self.folder / "home" / user).mkdir()

    def settle_modes(self) -> None:
        """Give everything the mode it has in a guest, whatever the umask of the one who builds."""
        special = {"root": 0o700, "tmp": 0o1777, "etc/shadow": 0o600}
        for path in self.folder.rglob("*"):
            if path.is_symlink():
                continue
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(special.get(str(path.relative_to(self.folder)), 0o755 if runnable else 0o644))

    def _add_binary(self, found: Path, place: Path) -> None:
        shutil.copyfile(found, place)
        place.chmod(0o755)
        interpreter, names = elf_needs(place)
        if interpreter:
            self._add_library(interpreter.rpartition("/")[2], "usr/lib64")
        for name in names:
            self._add_library(name, LIBRARIES)

    def _add_library(self, name: str, folder: str) -> None:
        place = self.folder / folder / name
        # The loader belongs in lib64 alone, where programs name it.
        if place.exists() or (name.startswith("ld-linux") and "64" not in Path(folder).name):
            return
        found = self._found(*(f"{base}/{name}" for base in ("lib/x86_64-linux-gnu", LIBRARIES, "lib64", "usr/lib64")))
        self._add_binary(found, place)

    def _found(self, *names: str) -> Path:
        for name in names:
            if (self.source / name).exists():
                return (self.source / name).resolve()
        raise BuildFailed(f"no {names[0]} in the packages")


def copy_tree(source: Traversable, target: Path) -> None:
    for entry in source.iterdir():
        place = target / entry.name
        if entry.is_dir():
            place.mkdir(exist_ok=True)
            copy_tree(entry, place)
        elif entry.is_file():
            data = entry.read_bytes()
            place.write_bytes(data)
            place.chmod(0o755 if data.startswith(b"#!") else 0o644)
