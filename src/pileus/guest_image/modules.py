"""The kernel's modules: which are wanted, what they need, and the files modprobe reads."""

import lzma
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from pileus.guest_image.programs import BuildFailed, run

# In the initramfs: what it takes to reach any disk QEMU offers.
BOOT_MODULES = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod", "crc32c_intel")
# In the root file system.
ROOT_MODULES = (
    *BOOT_MODULES,
    "virtio_net", "virtio_rng", "virtio_balloon", "virtio_console", "button", "evdev", "sr_mod", "ata_piix", "isofs",
    "vfat", "nls_ascii", "nls_utf8", "nls_cp437", "nls_iso8859_1", "8021q", "loop", "overlay", "squashfs", "fuse",
    "virtiofs", "veth", "bridge", "dm_mod", "nbd", "qemu_fw_cfg",
)  # fmt: skip


class Modules:
    """The modules of the one kernel that was unpacked into `source`."""

    def __init__(self, source: Path) -> None:
        trees = [tree for base in ("lib/modules", "usr/lib/modules") for tree in (source / base).glob("*")]
        if not trees:
            raise BuildFailed("the kernel package has no modules")
        self.tree = trees[0]
        self.release = self.tree.name
        unpack_modules(self.tree)
        self.files = {plain(path.stem): path for path in self.tree.rglob("*.ko")}
        built_in = (self.tree / "modules.builtin").read_text().split()
        self.built_in = {plain(Path(name).stem) for name in built_in}

    def ordered(self, names: Iterable[str]) -> list[Path]:
        """The files of the modules named and of those they need, such that each comes after all it needs."""
        order: list[Path] = []

        def visit(name: str) -> None:
            path = self.files.get(plain(name))
            if path is None:
                if plain(name) not in self.built_in:
                    raise BuildFailed(f"the kernel has no module {name}")
                return
            if path not in order:
                for needed in depends(path.read_bytes()):
                    visit(needed)
                order.append(path)

        for name in names:
            visit(name)
        return order

    def install(self, names: Iterable[str], root: Path) -> None:
        """Copy modules to a root folder, with the files modprobe reads."""
        place = root / "usr/lib/modules" / self.release
        for path in self.ordered(names):
            target = place / path.relative_to(self.tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copyfile(self.tree / name, place / name)
        write_dependencies(place)


def plain(name: str) -> str:
    """Modules are named with either dash or underscore."""
    return name.replace("-", "_")


def depends(module: bytes) -> list[str]:
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return found.group(1).decode().split(",") if found and found.group(1) else []


def unpack_modules(tree: Path) -> None:
    """Some distributions compress modules; busybox loads plain ones only."""
    for path in [*tree.rglob("*.ko.xz"), *tree.rglob("*.ko.zst")]:
        if path.suffix == ".xz":
            path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        else:
            run("zstd", "-q", "-d", path, "-o", path.with_suffix(""))
        path.unlink()


def write_dependencies(place: Path) -> None:
    """What depmod would write, as far as busybox modprobe reads it."""
    files = {plain(path.stem): path.relative_to(place) for path in sorted(place.rglob("*.ko"))}
    contents = {name: (place / path).read_bytes() for name, path in files.items()}
    needs = {name: [plain(need) for need in depends(module)] for name, module in contents.items()}
    lines = [f"{files[name]}: {' '.join(str(files[need]) for need in all_needs(name, needs))}\n" for name in files]
    aliases = [
        f"alias {alias.decode()} {name}\n"
        for name, module in contents.items()
        for alias in re.findall(rb"\0alias=([^\0]*)", module)
    ]
    (place / "modules.dep").write_text("".join(lines))
    (place / "modules.alias").write_text("".join(aliases))


def all_needs(name: str, needs: dict[str, list[str]]) -> list[str]:
    """All that a module needs, directly or not, the deepest last: modprobe loads from the end of the list."""
    order: list[str] = []

    def visit(one: str) -> None:
        for need in needs.get(one, []):
            # What the kernel has built in is no file and needs no loading.
            if need in needs and need not in order:
                visit(need)
                order.append(need)

    visit(name)
    return order[::-1]
