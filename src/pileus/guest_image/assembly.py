"""The build: packages in, a disk image, a kernel, a ramdisk, a root file system and a manifest out."""

import hashlib
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec

from pileus.guest_image.archive import Archive, unpack
from pileus.guest_image.filesystems import MIB, SECTOR, make_disk, make_ext4, make_fat, make_initramfs
from pileus.guest_image.modules import BOOT_MODULES, ROOT_MODULES, Modules
from pileus.guest_image.programs import BuildFailed, require_programs, run
from pileus.guest_image.root import Root

# Debian's kernel for clouds, and Ubuntu's: small, and without drivers for real hardware.
KERNELS = ("linux-image-cloud-amd64", "linux-image-kvm", "linux-image-virtual")
PACKAGES = (
    "busybox-static", "dosfstools", "dropbear-bin", "e2fsprogs", "openssh-sftp-server", "qemu-guest-agent",
    "util-linux",
)  # fmt: skip
# Unpacked by name only: their dependencies are for whole systems. SYSLINUX, as GRUB takes 3 s longer when emulated.
BOOT_PACKAGES = ("syslinux", "syslinux-common", "shim-signed", "grub-efi-amd64-signed")
ABANDONED_SECONDS = 3600
KINDS = ("qcow2", "vmlinuz", "initrd", "ext4")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ between images; the defaults are what tutorials and test suites expect of a small cloud image."""

    name: str = "cirros-pileus"
    user: str = "cirros"
    console_password: str = "gocubsgo"  # as well known as the user, and good on the console only
    root_mib: int = 96
    label: str = "cloudimg-rootfs"
    command_line: str = "console=tty0 console=ttyS0,115200"


class GuestImage(msgspec.Struct, frozen=True, kw_only=True):
    """A built image. `disk` boots by itself; `kernel`, `ramdisk` and `root` are the same guest as AKI, ARI and AMI."""

    name: str
    user: str
    disk: Path
    kernel: Path
    ramdisk: Path
    root: Path
    manifest: Path
    command_line: str
    min_disk_gib: int = 1
    min_ram_mib: int = 128


def build(
    target_dir: Path, cache_dir: Path, progress: Callable[[str], None], recipe: Recipe | None = None
) -> GuestImage:
    """Build the image into `target_dir`, keeping packages in `cache_dir`. Takes 10 to 20 s; raises BuildFailed.

    What was in the target under the same names is replaced file by file, each at once: it may be some guest's base.
    """
    recipe = recipe or Recipe()
    began = time.monotonic()
    require_programs()
    target_dir.mkdir(parents=True, exist_ok=True)
    sweep(target_dir)
    # Beside the target, so that results are put in place by rename.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=target_dir) as folder:
        assembly = Assembly(recipe, Path(folder), Archive(cache_dir.resolve()), progress)
        assembly.fetch()
        assembly.compose()
        assembly.make_disk()
        manifest = assembly.write_manifest()
        for path in assembly.results.iterdir():
            path.replace(target_dir / path.name)
    for name, about in manifest["files"].items():
        progress(f"{name}: {about['size'] / MIB:.1f} MiB")
    progress(f"built in {time.monotonic() - began:.1f} s")
    return described(target_dir, recipe)


def sweep(folder: Path) -> None:
    """Take away what builds that were killed left behind."""
    for left in folder.glob(".build-*"):
        if left.stat().st_mtime < time.time() - ABANDONED_SECONDS:
            shutil.rmtree(left)


def described(folder: Path, recipe: Recipe) -> GuestImage:
    return GuestImage(
        name=recipe.name,
        user=recipe.user,
        disk=folder / f"{recipe.name}.qcow2",
        kernel=folder / f"{recipe.name}.vmlinuz",
        ramdisk=folder / f"{recipe.name}.initrd",
        root=folder / f"{recipe.name}.ext4",
        manifest=folder / f"{recipe.name}.json",
        command_line=f"root=/dev/vda {recipe.command_line}",
    )


class Assembly:
    """One build under way in its own folder."""

    def __init__(self, recipe: Recipe, work: Path, archive: Archive, progress: Callable[[str], None]) -> None:
        self.recipe = recipe
        self.work = work
        self.archive = archive
        self.progress = progress
        self.source = work / "source"
        self.results = work / "results"
        self.results.mkdir()
        self.release = ""

    def result(self, kind: str) -> Path:
        return self.results / f"{self.recipe.name}.{kind}"

    def fetch(self) -> None:
        self.progress("resolving packages")
        packages = self.archive.closure(PACKAGES)
        boot = {name: self.archive.version(name) for name in BOOT_PACKAGES}
        kernel = self.archive.kernel(KERNELS)
        self.progress(f"fetching {len(packages) + len(boot) + len(kernel)} packages, where they are not here yet")
        files = [file for group in (packages, boot, kernel) for file in self.archive.fetch(group)]
        self.progress("unpacking")
        unpack(files, self.source)

    def compose(self) -> None:
        self.progress("composing the root file system")
        own = resources.files("pileus.guest_image")
        root = Root(self.work / "root", self.source)
        root.add_programs()
        root.add_overlay(own / "rootfs")
        root.add_busybox()
        root.add_accounts(self.recipe.user, self.recipe.console_password)
        modules = Modules(self.source)
        self.release = modules.release
        modules.install(ROOT_MODULES, root.folder)
        root.settle_modes()
        busybox = (root.folder / "usr/bin/busybox").read_bytes()
        init = (own / "initramfs" / "init").read_bytes()
        self.result("initrd").write_bytes(make_initramfs(busybox, init, modules.ordered(BOOT_MODULES)))
        shutil.copyfile(self._in_packages("boot/vmlinuz-*"), self.result("vmlinuz"))
        identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.recipe.label}.guest-image"))
        make_ext4(root.folder, self.result("ext4"), self.recipe.root_mib * MIB, self.recipe.label, identity)

    def make_disk(self) -> None:
        self.progress("making the disk")
        boot = self.work / "boot.fat"
        make_fat(boot, MIB // SECTOR, self._boot_files(), self.source / "usr/bin/syslinux")
        code = self._in_packages("usr/lib/syslinux/mbr/mbr.bin").read_bytes()
        disk = self.work / "disk.raw"
        make_disk(disk, code, boot, self.result("ext4"))
        run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk, self.result("qcow2"))

    def write_manifest(self) -> dict:
        manifest = {
            "kernel": self.release,
            "packages": dict(sorted(self.archive.versions.items())),
            "default_user": self.recipe.user,
            "min_disk_gib": 1,
            "min_ram_mib": 128,
            "files": {},
        }
        for kind in KINDS:
            data = self.result(kind).read_bytes()
            about = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            manifest["files"][self.result(kind).name] = about
        self.result("json").write_text(json.dumps(manifest, indent=2) + "\n")
        return manifest

    def _boot_files(self) -> dict[str, bytes]:
        arguments = f"root=LABEL={self.recipe.label} {self.recipe.command_line}"
        grub = f"linux /vmlinuz {arguments}\ninitrd /initrd\nboot\n".encode()
        syslinux = f"DEFAULT linux\nLABEL linux\n  KERNEL vmlinuz\n  APPEND initrd=initrd {arguments}\n"
        return {
            "vmlinuz": self.result("vmlinuz").read_bytes(),
            "initrd": self.result("initrd").read_bytes(),
            "syslinux.cfg": syslinux.encode(),
            "EFI/BOOT/BOOTX64.EFI": self._in_packages("usr/lib/shim/shimx64.efi.signed*").read_bytes(),
            "EFI/BOOT/grubx64.efi": self._in_packages(
                "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
            ).read_bytes(),  # fmt: skip
            # The signed GRUB looks where its distribution keeps its own.
            "EFI/debian/grub.cfg": grub,
            "EFI/ubuntu/grub.cfg": grub,
        }

    def _in_packages(self, pattern: str) -> Path:
        found = sorted(self.source.glob(pattern))
        if not found:
            raise BuildFailed(f"no {pattern} in the packages")
        return found[0]
