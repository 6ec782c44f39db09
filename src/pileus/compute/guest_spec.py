"""From a server to what its host is told of the guest."""

from __future__ import annotations

from pileus.compute import nics, volumes
from pileus.compute.api.server_view import instance_name
from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, Image
from pileus.compute.drivers.base import Nic as GuestNic
from pileus.compute.guest_data import config_drive, tap_name
from pileus.compute.model import hosts
from pileus.compute.model.servers import Server
from pileus.compute.runtime import Compute


def image_of(server: Server) -> Image | None:
    if server.image is None:
        return None
    properties = server.image.properties
    return Image(id=server.image.id, disk_format=server.image.disk_format, sha512=server.image.sha512,
                 kernel_id=properties.get("kernel_id") or None, ramdisk_id=properties.get("ramdisk_id") or None,
                 properties=properties)


async def build(compute: Compute, server: Server, *, admin_password: str | None = None) -> GuestSpec:
    """Deterministic but for the random seed on a config drive, which the host writes once."""
    attached = await volumes.of_server(compute, server.id)
    disks = []
    if server.image is not None or not attached:          # else it boots from a volume
        disks.append(Disk(kind=DiskKind.ROOT, size_mb=server.flavor.disk_gb * 1024, boot_order=1))
    if server.flavor.ephemeral_gb:
        disks.append(Disk(kind=DiskKind.EPHEMERAL, size_mb=server.flavor.ephemeral_gb * 1024))
    if server.flavor.swap_mb:
        disks.append(Disk(kind=DiskKind.SWAP, size_mb=server.flavor.swap_mb))
    files: dict[str, bytes] = {}
    if server.config_drive:
        disks.append(Disk(kind=DiskKind.CONFIG))
        async with compute.db.read() as reader:
            zones = await hosts.zones(reader, compute.config.default_zone)
        links = await nics.links(compute, server)
        files = config_drive(server, zones.get(server.host or "", ""), links, admin_password=admin_password)
    return GuestSpec(
        id=server.id, name=instance_name(server), vcpus=server.vcpus, memory_mb=server.memory_mb,
        image=image_of(server), disks=tuple(disks), config_drive=files, volumes=attached,
        nics=tuple(GuestNic(port_id=nic.port_id, mac=nic.mac, tap=tap_name(nic.port_id), mtu=nic.mtu)
                   for nic in server.nics))
