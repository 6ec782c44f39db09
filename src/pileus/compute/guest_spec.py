"""From a server to what its host is told of the guest."""

from __future__ import annotations

from pileus.compute import nics, vendor_data, volumes
from pileus.compute.api.server_view import instance_name
from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, Image
from pileus.compute.drivers.base import Nic as GuestNic
from pileus.compute.guest_data import Vendor, config_drive, tap_name
from pileus.compute.hardware import BadHardware, hardware_of
from pileus.compute.model import hosts
from pileus.compute.model.servers import ImageFacts, Server
from pileus.compute.runtime import Compute
from pileus.kit.saga import Abort


def image_of(server: Server) -> Image | None:
    return None if server.image is None else as_image(server.image)


def as_image(facts: ImageFacts) -> Image:
    properties = facts.properties
    return Image(id=facts.id, disk_format=facts.disk_format, sha512=facts.sha512,
                 kernel_id=properties.get("kernel_id") or None, ramdisk_id=properties.get("ramdisk_id") or None,
                 properties=properties)


def _disks(server: Server, image: ImageFacts | None, *, of_volume: bool) -> list[Disk]:
    """One that boots from a volume has no root disk on its host."""
    disks = [] if of_volume else [Disk(kind=DiskKind.ROOT, size_mb=server.flavor.disk_gb * 1024, boot_order=1)]
    if image is not None and image.disk_format == "iso" and server.flavor.disk_gb:
        # Found bootable only once something is installed on the disk before it.
        disks.append(Disk(kind=DiskKind.CDROM, boot_order=2))
    if server.flavor.ephemeral_gb:
        disks.append(Disk(kind=DiskKind.EPHEMERAL, size_mb=server.flavor.ephemeral_gb * 1024))
    if server.flavor.swap_mb:
        disks.append(Disk(kind=DiskKind.SWAP, size_mb=server.flavor.swap_mb))
    return disks


def leaves_others(rescue: ImageFacts) -> bool:
    """Whether a rescue with this image leaves all other disks at their places."""
    return any(name in rescue.properties for name in ("hw_rescue_device", "hw_rescue_bus"))


def _with_rescue(disks: list[Disk], rescue: ImageFacts) -> list[Disk]:
    """The firmware takes the rescue disk in any case."""
    disk = Disk(kind=DiskKind.RESCUE, boot_order=0)
    return [*disks, disk] if leaves_others(rescue) else [disk, *disks]


async def build(compute: Compute, server: Server, *, admin_password: str | None = None,
                image: ImageFacts | None = None, without: str | None = None) -> GuestSpec:
    """Deterministic but for the random seed on a config drive, which the host writes once. `image`: what the root
    disk starts as, where that is not the server's image; `without`: an attachment whose volume it is not to have."""
    attached = await volumes.of_server(compute, server.id, without=without)
    made_of = image or server.image
    disks = _disks(server, made_of, of_volume=bool(attached) and made_of is None)
    if server.rescue is not None:
        disks = _with_rescue(disks, server.rescue)
    files: dict[str, bytes] = {}
    if server.config_drive:
        disks.append(Disk(kind=DiskKind.CONFIG))
        async with compute.db.read() as reader:
            zones = await hosts.zones(reader, compute.config.default_zone)
        links = await nics.links(compute, server)
        vendor = Vendor(await vendor_data.from_file(compute), await vendor_data.of_all(compute, server))
        files = config_drive(server, zones.get(server.host or "", ""), links, vendor=vendor,
                             volumes=await volumes.tagged(compute, server.id), admin_password=admin_password)
    properties = dict(made_of.properties) if made_of else {}
    if server.rescue is not None:
        properties |= {name: value for name, value in server.rescue.properties.items() if name.startswith("hw_rescue_")}
    try:
        hardware = hardware_of(properties, server.flavor.extra_specs, vcpus=server.vcpus, memory_mb=server.memory_mb)
    except BadHardware as error:
        raise Abort(str(error)) from error
    return GuestSpec(
        id=server.id, name=instance_name(server), vcpus=server.vcpus, memory_mb=server.memory_mb,
        image=as_image(made_of) if made_of else None, disks=tuple(disks), config_drive=files, volumes=attached,
        nics=tuple(GuestNic(port_id=nic.port_id, mac=nic.mac, tap=tap_name(nic.port_id), mtu=nic.mtu)
                   for nic in server.nics),
        hardware=hardware,
        config_drive_format=compute.guests.config_drive_format,
        root=server.root or 0, rescue=as_image(server.rescue) if server.rescue else None)
