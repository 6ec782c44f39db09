"""The guest image: what the build makes of Debian packages, and what it says when it cannot."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from pileus import guest_image
from pileus.guest_image import BuildFailed, GuestImage, programs
from pileus.guest_image.filesystems import Cpio
from pileus.guest_image.root import copy_tree

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pileus" / "packages"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    said: list[str] = []
    mask = os.umask(0o077)
    try:
        built = guest_image.build(tmp_path_factory.mktemp("image"), CACHE, said.append)
    finally:
        os.umask(mask)
    assert said[0] == "resolving packages"
    return built


def debugfs(image: Path, command: str) -> str:
    program = shutil.which("debugfs", path=programs.SEARCH_PATH)
    assert program
    return subprocess.run([program, "-R", command, str(image)], capture_output=True, text=True, check=True).stdout


def test_the_manifest_names_what_was_built(image: GuestImage) -> None:
    manifest = json.loads(image.manifest.read_text())
    assert manifest["default_user"] == image.user == "cirros"
    assert "dropbear-bin" in manifest["packages"]
    files = {path.name: path for path in (image.disk, image.kernel, image.ramdisk, image.root)}
    assert set(manifest["files"]) == set(files)
    for name, about in manifest["files"].items():
        data = files[name].read_bytes()
        assert (about["size"], about["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_nothing_but_the_results_is_left(image: GuestImage) -> None:
    wanted = {image.disk, image.kernel, image.ramdisk, image.root, image.manifest}
    assert set(image.disk.parent.iterdir()) == wanted


def test_the_disk_is_sound_and_stands_alone(image: GuestImage) -> None:
    info = json.loads(programs.run("qemu-img", "info", "--output=json", image.disk))
    assert info["format"] == "qcow2"
    assert "backing-filename" not in info
    assert info["actual-size"] < 40 << 20
    programs.run("qemu-img", "check", image.disk)


def test_kernel_and_ramdisk_are_what_they_claim(image: GuestImage) -> None:
    assert image.kernel.read_bytes()[0x202:0x206] == b"HdrS"
    assert image.ramdisk.read_bytes()[:2] == b"\x1f\x8b"


def test_modes_and_owners_in_the_guest_do_not_depend_on_the_builder(image: GuestImage) -> None:
    for path, mode, owner in (
        ("/etc/init.d/network", 0o755, 0),
        ("/etc/passwd", 0o644, 0),
        ("/etc/shadow", 0o600, 0),
        ("/usr/libexec", 0o755, 0),
        ("/usr/libexec/as-root", 0o4750, 0),
        ("/usr/bin/busybox", 0o4755, 0),
        ("/usr/sbin/mkfs.fat", 0o755, 0),
        ("/usr/sbin/dhcpcd", 0o755, 0),
        ("/tmp", 0o1777, 0),
        ("/root", 0o700, 0),
        ("/home/cirros", 0o755, 1000),
    ):
        told = debugfs(image.root, f"stat {path}").split()
        assert (int(told[told.index("Mode:") + 1], 8), int(told[told.index("User:") + 1])) == (mode, owner), path


def test_ssh_takes_no_passwords(image: GuestImage) -> None:
    """Until somebody gives the user one."""
    assert "/usr/libexec/ssh-server" in debugfs(image.root, "cat /etc/init.d/network").splitlines()
    assert "keys_only=-s\n[ -e /etc/ssh-passwords ] && keys_only=\n" in debugfs(
        image.root, "cat /usr/libexec/ssh-server")
    assert not debugfs(image.root, "stat /etc/ssh-passwords")


def test_missing_programs_are_named_with_their_packages(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"mformat.*apt-get install .*mtools"):
        programs.require_programs(str(tmp_path))


def test_files_that_are_scripts_come_out_executable(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "bin").mkdir(parents=True)
    target.mkdir()
    (source / "bin/tool").write_text("#!/bin/sh\n")
    (source / "bin/tool").chmod(0o600)
    (source / "notes").write_text("plain\n")
    copy_tree(source, target)
    assert stat.S_IMODE((target / "bin/tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "notes").stat().st_mode) == 0o644


def test_archives_are_aligned_and_ended() -> None:
    archive = Cpio()
    archive.file("a", b"12345")
    data = archive.finish()
    assert data.startswith(b"070701")
    assert len(data) % 4 == 0
    assert b"TRAILER!!!" in data


def test_modules_name_all_they_need_the_deepest_last(image: GuestImage) -> None:
    release = json.loads(image.manifest.read_text())["kernel"]
    listed = debugfs(image.root, f"cat /usr/lib/modules/{release}/modules.dep").splitlines()
    (line,) = [line for line in listed if line.split(":")[0].endswith("/virtio_net.ko")]
    needs = [Path(name).stem for name in line.split()[1:]]
    assert needs.index("net_failover") < needs.index("failover")
