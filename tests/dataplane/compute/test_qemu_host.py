"""What is QEMU's own in its driver: the processes, files and interfaces it makes, and what can be wrong with them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pileus.compute.drivers.base import Can, Disk, DiskKind, GuestFailed, GuestSpec, Image, Nic, Power
from pileus.compute.drivers.guest_folder import CONSOLE_LOG, CONSOLE_LOG_BYTES, PID, GuestFolder
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.drivers.qemu_guest import HostInUse
from pileus.compute.drivers.qemu_process import freed
from pileus.compute.drivers.taps import in_namespace, remove_tap

MakeSpec = Callable[..., GuestSpec]
FULL_DISK = Path(__file__).with_name("full_disk_child.py")


def nic(tap: str) -> Nic:
    return Nic(port_id=f"port-{tap}", mac="fa:16:3e:00:00:02", tap=tap, mtu=1400)


def taps_of(pid: int) -> list[str]:
    """The taps a process is attached to, as the kernel tells."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir()]
    return [line.split()[1] for text in texts for line in text.splitlines() if line.startswith("iff:")]


def add_tap(name: str, namespace: Path) -> None:
    subprocess.run(["ip", "-n", namespace.name, "tuntap", "add", name, "mode", "tap"], check=True)


def interfaces(namespace: Path | None) -> str:
    return in_namespace(namespace, lambda: Path("/proc/thread-self/net/dev").read_text())


def folder_of(settings: QemuSettings, spec: GuestSpec) -> GuestFolder:
    return GuestFolder(settings.instances / spec.id)


def pid_of(settings: QemuSettings, spec: GuestSpec) -> int:
    pid = folder_of(settings, spec).pid()
    assert pid is not None
    return pid


async def test_qemu_lives_in_the_namespace_on_its_tap(
    driver: QemuDriver, settings: QemuSettings, make_spec: MakeSpec, namespace: Path
) -> None:
    spec = make_spec(nics=(nic("tap-attached"),))
    await driver.ensure(spec)
    pid = pid_of(settings, spec)
    assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(namespace).st_ino
    assert os.getsid(pid) == pid
    assert taps_of(pid) == ["tap-attached"]
    assert "tap-attached:" in interfaces(namespace)
    assert "tap-attached:" not in interfaces(None)


async def test_a_tap_that_is_there_already_is_used(driver: QemuDriver, make_spec: MakeSpec, namespace: Path) -> None:
    add_tap("tap-before", namespace)
    spec = make_spec(nics=(nic("tap-before"),))
    assert (await driver.ensure(spec)).power is Power.PAUSED
    await driver.remove(spec.id)
    assert "tap-before:" not in interfaces(namespace)


async def test_taps_that_are_wanted_no_more_go_with_the_next_start(
    driver: QemuDriver, make_spec: MakeSpec, namespace: Path
) -> None:
    spec = make_spec(nics=(nic("tap-one"), nic("tap-two")))
    await driver.ensure(spec)
    await driver.power(spec.id, "off")
    await driver.ensure(msgspec.structs.replace(spec, nics=(nic("tap-two"), nic("tap-three"))))
    names = interfaces(namespace)
    assert "tap-one:" not in names
    assert "tap-two:" in names
    assert "tap-three:" in names


async def test_a_host_has_one_driver_only(driver: QemuDriver, settings: QemuSettings) -> None:
    with pytest.raises(HostInUse, match="another process"):
        QemuDriver(settings)
    await driver.close()
    await QemuDriver(settings).close()


async def test_a_frozen_qemu_holds_up_no_other_and_can_be_removed(
    driver: QemuDriver, settings: QemuSettings, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    await driver.ensure(spec)
    os.kill(pid_of(settings, spec), signal.SIGSTOP)
    other = make_spec()
    await driver.ensure(other)
    seen = {guest.id: guest for guest in await driver.guests()}
    assert seen[spec.id].reason == "its QEMU does not answer"
    assert (seen[other.id].power, seen[other.id].reason) == (Power.PAUSED, "")
    await driver.remove(other.id)
    async with asyncio.timeout(5):
        await driver.remove(spec.id)
    assert await driver.guests() == []


async def test_the_number_of_a_dead_qemu_is_no_concern(
    driver: QemuDriver, settings: QemuSettings, make_spec: MakeSpec
) -> None:
    """After a restart of the machine the number in the file may be anybody's, this process's for one."""
    spec = make_spec()
    await driver.ensure(spec)
    await driver.power(spec.id, "off")
    (settings.instances / spec.id / PID).write_text(f"{os.getpid()}\n")
    await driver.remove(spec.id)
    assert await driver.guests() == []


async def test_a_folder_and_no_more(driver: QemuDriver, settings: QemuSettings, make_spec: MakeSpec) -> None:
    spec = make_spec()
    folder = settings.instances / spec.id
    folder.mkdir()
    (folder / "state.json.new").write_text("{")
    (seen,) = await driver.guests()
    assert (seen.id, seen.power, seen.reason) == (spec.id, Power.OFF, "half-made")
    with pytest.raises(GuestFailed, match="no such guest"):
        await driver.run(spec.id)
    await driver.remove(spec.id)
    assert not folder.exists()


async def test_the_console_log_is_bounded(driver: QemuDriver, settings: QemuSettings, make_spec: MakeSpec) -> None:
    spec = make_spec()
    await driver.ensure(spec)
    log = settings.instances / spec.id / CONSOLE_LOG
    for number in range(3):
        log.write_bytes(f"text {number}\n".encode() * (CONSOLE_LOG_BYTES // 7 + 1))
        assert (await driver.console_log(spec.id, 1)) == f"text {number}\n".encode()
    assert len(await driver.console_log(spec.id)) < 2 * CONSOLE_LOG_BYTES + 100
    assert log.stat().st_size == 0


def qcow2(folder: Path, *arguments: str) -> Path:
    path = folder / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *arguments, str(path), "8M"], check=True)
    return path


def broken(folder: Path) -> Path:
    path = qcow2(folder)
    data = bytearray(path.read_bytes())
    data[20:24] = b"\0\0\0\x3f"  # as if clusters had 2^63 bytes
    path.write_bytes(data)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty"
    path.touch()
    return path


def backed(folder: Path) -> Path:
    return qcow2(folder, "-b", "/etc/passwd", "-F", "raw")


def spread(folder: Path) -> Path:
    return qcow2(folder, "-o", f"data_file={folder / 'data'},data_file_raw=on")


@pytest.mark.parametrize(
    ("make", "disk_format", "reason"),
    [
        (broken, "qcow2", "(?i)cluster size"),
        (empty, "qcow2", "empty"),
        (empty, "raw", "empty"),
        (backed, "qcow2", "backing file"),
        (spread, "qcow2", "another file"),
        (lambda folder: Path("/etc/passwd"), "qcow2", "no qcow2"),
        (qcow2, "vmdk", "vmdk is not supported"),
    ],
)
async def test_images_that_are_refused(
    driver: QemuDriver, make_spec: MakeSpec, tmp_path: Path, make: Callable[[Path], Path], disk_format: str, reason: str
) -> None:  # fmt: skip
    spec = make_spec(image=Image(id="bad", disk_format=disk_format, path=str(make(tmp_path))))
    with pytest.raises(GuestFailed, match=reason) as failure:
        await driver.ensure(spec)
    assert failure.value.wanted == "made"
    await driver.remove(spec.id)
    assert await driver.guests() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"disks": (Disk(kind=DiskKind.ROOT, size_mb=1),), "image": "8M"}, "too small"),
        ({"disks": (Disk(kind=DiskKind.ROOT), Disk(kind=DiskKind.SWAP))}, "swap disk needs a size"),
        ({"disks": (Disk(kind=DiskKind.ROOT), Disk(kind=DiskKind.ROOT))}, "one root disk"),
        ({"nics": tuple(nic(f"tap-{number}") for number in range(30))}, "room for 24 devices"),
        ({"nics": (nic("a-name-that-is-too-long"),)}, "network interface"),
        ({"nics": (nic("lo"),)}, "is no tap .lo"),
        ({"id": "no-uuid"}, "(?i)uuid"),
        ({"id": "../up"}, "no plain name"),
        ({"memory_mb": 0}, "memory"),
        ({"vcpus": 100000}, "(?i)cpu"),
        ({"config_drive": {"../x": b""}, "disks": (Disk(kind=DiskKind.CONFIG),)}, "configuration drive"),
    ],
)
async def test_guests_that_cannot_be(
    driver: QemuDriver, make_spec: MakeSpec, tmp_path: Path, changes: dict, reason: str
) -> None:
    if changes.get("image") == "8M":
        changes = changes | {"image": Image(id="large", disk_format="qcow2", path=str(qcow2(tmp_path)))}
    spec = make_spec(**changes)
    with pytest.raises(GuestFailed, match=reason):
        await driver.ensure(spec)
    if "/" not in spec.id:
        await driver.remove(spec.id)
    assert await driver.guests() == []


@pytest.mark.parametrize(("name", "value", "told"), [
    ("hw_machine_type", "virt-9.0", "machine virt-9.0 is not supported"),
    ("hw_disk_bus", "xen", "disk bus xen is not supported"), ("hw_disk_bus", "ide", "q35 has no IDE disks"),
    ("hw_vif_model", "igb", "network card igb is not supported"), ("hw_firmware_type", "odd", "odd is invalid")])
async def test_image_properties_this_host_has_not(
    driver: QemuDriver, make_spec: MakeSpec, name: str, value: str, told: str
) -> None:
    spec = make_spec()
    assert spec.image
    image = msgspec.structs.replace(spec.image, properties={name: value})
    with pytest.raises(GuestFailed, match=told):
        await driver.ensure(msgspec.structs.replace(spec, image=image))


async def test_uefi_where_there_is_firmware_for_it(driver: QemuDriver, make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert spec.image
    image = msgspec.structs.replace(spec.image, properties={"hw_firmware_type": "uefi"})
    spec = msgspec.structs.replace(spec, image=image)
    if Can.BOOT_UEFI in driver.can:
        assert (await driver.ensure(spec)).power is Power.PAUSED
    else:
        with pytest.raises(GuestFailed, match="ovmf"):
            await driver.ensure(spec)


async def test_no_qemu_on_the_host(tmp_path: Path, make_spec: MakeSpec) -> None:
    driver = QemuDriver(QemuSettings(instances=tmp_path / "i", hostname="h", program="/nonexistent/qemu"))
    spec = make_spec()
    with pytest.raises(GuestFailed, match="not on this host"):
        await driver.ensure(spec)
    assert (await driver.host_facts()).hypervisor_version == ""
    await driver.remove(spec.id)
    await driver.close()


async def test_no_such_namespace(tmp_path: Path, make_spec: MakeSpec) -> None:
    settings = QemuSettings(instances=tmp_path / "i", hostname="h", namespace=Path("/run/netns/not-there"))
    driver = QemuDriver(settings)
    for spec in (make_spec(), make_spec(nics=(nic("tap-nowhere"),))):
        with pytest.raises(GuestFailed, match="not-there"):
            await driver.ensure(spec)
        await driver.remove(spec.id)
    assert await driver.guests() == []
    await driver.close()


async def test_the_cache_may_forget_the_image_of_a_guest(driver: QemuDriver, make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert spec.image
    await driver.ensure(spec)
    os.unlink(spec.image.path)
    assert (await driver.reboot(spec.id, hard=True)).power is Power.RUNNING
    assert (await driver.ensure(spec)).power is Power.RUNNING


@pytest.mark.parametrize("room", ["none", "little", "guest", "volume"])
async def test_a_full_disk(tmp_path: Path, make_spec: MakeSpec, room: str) -> None:
    """Run where the guests' folder is on a file system of its own that is full, or nearly, or that a guest fills."""
    make_spec()
    child = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--map-root-user", "--mount", sys.executable, str(FULL_DISK), str(tmp_path), room,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await child.communicate()
    assert child.returncode == 0
    assert "No space left on device" in said.decode()


async def test_a_machine_that_was_restarted(settings: QemuSettings, make_spec: MakeSpec, namespace: Path) -> None:
    """No process and no tap is left, the folders are: the guest is off, with a reason, and can be made again."""
    first, spec = QemuDriver(settings), make_spec(nics=(nic("tap-restart"),))
    await first.ensure(spec)
    await first.run(spec.id)
    await first.close()
    os.kill(pid_of(settings, spec), signal.SIGKILL)
    await freed_by(settings, spec)
    await asyncio.to_thread(remove_tap, "tap-restart", namespace)
    second = QemuDriver(settings)
    (seen,) = await second.guests()
    assert (seen.power, seen.reason) == (Power.OFF, "QEMU ended while nobody watched")
    seen = await second.ensure(spec)
    assert (seen.power, seen.reason) == (Power.PAUSED, "")
    assert "tap-restart:" in interfaces(namespace)
    await second.remove(spec.id)
    await second.close()


async def test_a_guest_that_powers_itself_off_while_nobody_watches(settings: QemuSettings, make_spec: MakeSpec) -> None:
    """QEMU stays until somebody was told why."""
    first, spec = QemuDriver(settings), make_spec()
    assert spec.image
    make_goer(Path(spec.image.path))
    await first.ensure(spec)
    assert await status_of(first, spec) == Power.PAUSED
    await first.run(spec.id)
    await first.close()
    assert await reason_once_off(settings) == "shut down by the guest"
    assert not folder_of(settings, spec).locked()
    last = QemuDriver(settings)
    assert [(guest.power, guest.reason) for guest in await last.guests()] == [(Power.OFF, "shut down by the guest")]
    await last.remove(spec.id)
    await last.close()


async def test_why_a_guest_is_off_outlives_a_driver_that_ends_at_that_moment(
    settings: QemuSettings, make_spec: MakeSpec
) -> None:
    for delay in range(0, 40, 2):
        first, spec = QemuDriver(settings), make_spec()
        assert spec.image
        make_goer(Path(spec.image.path))
        await first.ensure(spec)
        await first.run(spec.id)
        await asyncio.sleep(delay / 1000)
        await first.close()
        assert await reason_once_off(settings) == "shut down by the guest", delay
        second = QemuDriver(settings)
        await second.remove(spec.id)
        await second.close()


async def reason_once_off(settings: QemuSettings) -> str:
    """As drivers see it that do not live long."""
    async with asyncio.timeout(30):
        while True:
            driver = QemuDriver(settings)
            (seen,) = await driver.guests()
            await driver.close()
            if seen.power is Power.OFF:
                return seen.reason


def make_goer(image: Path) -> None:
    """A system in one sector that powers itself off: mov dx,0x604; mov ax,0x2000; out dx,ax; hlt."""
    sector = b"\xba\x04\x06\xb8\x00\x20\xef\xf4".ljust(510, b"\0") + b"\x55\xaa"
    image.write_bytes(sector.ljust(1 << 20, b"\0"))


async def status_of(driver: QemuDriver, spec: GuestSpec) -> Power:
    return next(guest.power for guest in await driver.guests() if guest.id == spec.id)


async def freed_by(settings: QemuSettings, spec: GuestSpec) -> None:
    assert await freed(folder_of(settings, spec))


@pytest.mark.parametrize(
    ("call", "delays"),
    [
        ("ensure", (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)),
        ("remove", (0.0, 0.003, 0.006, 0.01, 0.015)),
        ("power", (0.0, 0.003, 0.006)),
        ("reboot", (0.005, 0.02, 0.04, 0.06)),
    ],
)
async def test_killed_at_any_moment(
    settings: QemuSettings, make_spec: MakeSpec, namespace: Path, call: str, delays: tuple[float, ...]
) -> None:
    """Between the named steps too, while QEMU is being started or ended above all."""
    for number, delay in enumerate(delays):
        spec = make_spec(nics=(nic("tap-anytime"),))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALLER, str(settings.instances), str(namespace), call,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin
        assert child.stdout
        child.stdin.write(msgspec.msgpack.encode(spec).hex().encode() + b"\n")
        assert await child.stdout.readline() == b"begin\n"
        await asyncio.sleep(delay)
        child.kill()
        await child.wait()
        driver = QemuDriver(settings)
        if number % 3 < 2:
            assert (await driver.ensure(spec)).power in (Power.PAUSED, Power.RUNNING)
            assert (await driver.run(spec.id)).power is Power.RUNNING
            assert [guest.power for guest in await driver.guests()] == [Power.RUNNING]
        await driver.remove(spec.id)
        assert await driver.guests() == []
        assert "tap-anytime:" not in interfaces(namespace)
        await driver.close()


CALLER = """
import asyncio, sys
from pathlib import Path
import msgspec
from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings

async def main():
    driver = QemuDriver(QemuSettings(instances=Path(sys.argv[1]), hostname="host-1", namespace=Path(sys.argv[2])))
    spec = msgspec.msgpack.decode(bytes.fromhex(sys.stdin.readline()), type=GuestSpec)
    if sys.argv[3] != "ensure":
        await driver.ensure(spec)
        await driver.run(spec.id)
    print("begin", flush=True)
    if sys.argv[3] == "ensure":
        await driver.ensure(spec)
    elif sys.argv[3] == "remove":
        await driver.remove(spec.id)
    elif sys.argv[3] == "power":
        await driver.power(spec.id, "off")
    else:
        await driver.reboot(spec.id, hard=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
