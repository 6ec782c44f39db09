"""A guest's description as QEMU's arguments."""

import json

import msgspec
import pytest

from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, GuestVolume, Image, Nic
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.drivers.qemu_command import command
from pileus.compute.drivers.qemu_devices import ROOT_PORTS, assign_slots, disk_names, in_order
from pileus.compute.drivers.qemu_launch import BadSpec, DiskFile, Launch

SPEC = GuestSpec(
    id="2b3c0c1e-4d1a-4a0e-9f0b-6f3a5b9c7d01",
    name="web, the second",
    vcpus=2,
    memory_mb=256,
    disks=(Disk(kind=DiskKind.ROOT, size_mb=64), Disk(kind=DiskKind.SWAP, size_mb=16), Disk(kind=DiskKind.CONFIG)),
    nics=(Nic(port_id="p1", mac="fa:16:3e:00:00:01", tap="tap1", mtu=1450),),
)


def launch(spec: GuestSpec) -> Launch:
    return Launch(
        program="qemu",
        accel="tcg",
        sockets={"monitor": 10, "console": 11, "agent": 12},
        disks=tuple(DiskFile(name=name, file=f"disk-{name}", format="qcow2") for name in disk_names(spec)),
        slots=assign_slots(spec, {}),
    )


def devices(arguments: list[str]) -> dict[str, dict]:
    found = [json.loads(value) for option, value in zip(arguments, arguments[1:], strict=False) if option == "-device"]
    assert len({device["id"] for device in found}) == len(found)
    return {device["id"]: device for device in found}


def test_nothing_in_it_is_read_by_a_shell_or_splits_at_commas() -> None:
    arguments = command(SPEC, launch(SPEC))
    assert f"guest={SPEC.name.replace(',', ',,')},debug-threads=on" in arguments
    assert arguments[0] == "qemu"
    assert {"-S", "-no-shutdown", "-nodefaults", "-no-user-config"} <= set(arguments)


def test_devices_keep_their_places_when_others_come_and_go() -> None:
    before = assign_slots(SPEC, {})
    more = msgspec.structs.replace(
        SPEC,
        disks=(Disk(kind=DiskKind.ROOT), Disk(kind=DiskKind.CONFIG)),
        nics=(Nic(port_id="p0", mac="fa:16:3e:00:00:00", tap="tap0"), *SPEC.nics),
    )
    after = assign_slots(more, before)
    for name in ("disk-root", "disk-config0", "nic-p1", "serial-bus", "random", "balloon"):
        assert after[name] == before[name]
    assert after["nic-p0"] == before["disk-swap0"]
    assert len(set(after.values())) == len(after)


def test_disks_of_a_guest_that_starts_anew_are_at_places_in_the_order_of_their_names() -> None:
    def volumes(*names: str) -> tuple[GuestVolume, ...]:
        return tuple(GuestVolume(volume_id=name, socket="/s", export=name, boot_order=1 if name == "root" else None)
                     for name in names)
    cards = tuple(Nic(port_id=f"p{number}", mac="fa:16:3e:00:00:00", tap=f"tap{number}") for number in range(3))
    spec = msgspec.structs.replace(SPEC, nics=cards[:1], volumes=volumes("a", "b", "c"))
    slots = assign_slots(spec, {})
    assert in_order(spec, slots) == slots
    spec = msgspec.structs.replace(spec, volumes=volumes("b", "c"))
    slots = assign_slots(spec, slots)
    spec = msgspec.structs.replace(spec, nics=cards[:2], volumes=volumes("b", "c", "d"))
    slots = assign_slots(spec, slots)
    spec = msgspec.structs.replace(spec, nics=cards[1:], volumes=volumes("b", "c", "d", "e"))
    slots = assign_slots(spec, slots)
    spec = msgspec.structs.replace(spec, volumes=volumes("d", "b", "e"))
    found = in_order(spec, slots := assign_slots(spec, slots))
    assert sorted(found.values()) == sorted(slots.values()) and found["nic-p1"] == slots["nic-p1"]
    assert [found[f"volume-{name}"] for name in "dbe"] == sorted(found[f"volume-{name}"] for name in "dbe")
    assert found["disk-root"] == slots["disk-root"] < found["volume-d"]


def test_every_root_port_is_there_from_the_start_and_used_once() -> None:
    found = devices(command(SPEC, launch(SPEC)))
    ports = [name for name, device in found.items() if device["driver"] == "pcie-root-port"]
    assert len(ports) == ROOT_PORTS
    used = [device["bus"] for device in found.values() if str(device.get("bus", "")).startswith("port")]
    assert len(set(used)) == len(used)
    assert set(used) <= set(ports)


def test_an_old_machine_has_plain_slots() -> None:
    image = Image(id="i", disk_format="raw", properties={"hw_machine_type": "pc"})
    spec = msgspec.structs.replace(SPEC, image=image)
    found = devices(command(spec, launch(spec)))
    slots = [device["addr"] for device in found.values() if device.get("bus") == "pci.0"]
    assert len(set(slots)) == len(slots)
    assert all(2 <= int(slot, 16) < 32 for slot in slots)


def test_a_kernel_takes_its_command_line_from_the_image() -> None:
    image = Image(id="i", disk_format="ami", kernel_path="/k", properties={"os_command_line": "root=/dev/vda, quiet"})
    spec = msgspec.structs.replace(SPEC, image=image)
    arguments = command(spec, launch(spec))
    assert arguments[arguments.index("-kernel") + 1] == "kernel"
    assert arguments[arguments.index("-append") + 1] == "root=/dev/vda, quiet"
    assert "-initrd" not in arguments


def test_more_devices_than_places() -> None:
    nics = tuple(Nic(port_id=f"p{number}", mac="fa:16:3e:00:00:01", tap=f"tap{number}") for number in range(ROOT_PORTS))
    with pytest.raises(BadSpec, match=f"room for {ROOT_PORTS}"):
        assign_slots(msgspec.structs.replace(SPEC, nics=nics), {})


def test_devices_of_the_host_have_places_of_their_own() -> None:
    with_device = msgspec.structs.replace(SPEC, hardware=Hardware(devices={"gpu": 1}))
    arguments = command(with_device, msgspec.structs.replace(launch(with_device), devices=("0000:81:00.0",)))
    device = devices(arguments)["device-0"]
    assert (device["driver"], device["host"]) == ("vfio-pci", "0000:81:00.0") and device["bus"].startswith("port")
