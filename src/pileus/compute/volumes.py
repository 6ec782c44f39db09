"""Volumes of servers. What is attached to what is the volume service's to know: it is asked, and never copied."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pileus.compute.drivers.base import GuestVolume
from pileus.compute.model.servers import FlavorCopy, Server
from pileus.compute.runtime import Compute
from pileus.kit.client import Refused
from pileus.kit.saga import Abort, Wait
from pileus.volume.client import Attachment

POLL_SECONDS = 0.5
NAMES = tuple(f"/dev/vd{first}{letter}" for first in ("", *string.ascii_lowercase)
              for letter in string.ascii_lowercase)    # of virtio disks, in the order guests give them


class VolumeWish(msgspec.Struct, kw_only=True, frozen=True):
    """A volume a server is to boot with. `attachment_id` is set once it is reserved, `made` where we made it."""

    volume_id: str | None = None
    create: dict[str, Any] | None = None          # what the volume service is to make, in its own words
    boot_index: int | None = None
    device: str | None = None
    delete_on_termination: bool = False
    tag: str | None = None
    attachment_id: str | None = None

    @property
    def connector(self) -> dict[str, Any]:
        return {"mountpoint": self.device, "delete_on_termination": self.delete_on_termination, "tag": self.tag,
                "boot_index": self.boot_index}


class TaggedVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume of a server, as its guest is told of it."""

    volume_id: str
    device: str | None
    tag: str


def guest_volume(attachment: Attachment) -> GuestVolume | None:
    """What the host has to know of an attachment; None for one that is only reserved."""
    info = attachment.connection_info
    if not is_served(attachment):
        return None
    return GuestVolume(volume_id=attachment.volume_id, socket=info.get("socket", ""), export=info["export"],
                       address=info.get("address", ""), port=info.get("port", 0),
                       read_only=attachment.attach_mode == "ro", boot_order=1 if is_root(attachment) else None)


def is_served(attachment: Attachment) -> bool:
    info = attachment.connection_info
    return bool(info.get("socket") or info.get("address"))


def is_root(attachment: Attachment) -> bool:
    """Whether the server boots from it."""
    return attachment.connector.get("boot_index") == 0


async def root_of(compute: Compute, server_id: str) -> Attachment:
    """Of a server that boots from a volume. Raises Abort."""
    for each in await compute.volume.attachments(server_id):
        if is_root(each):
            return each
    raise Abort(f"The volume that instance {server_id} boots from is not attached to it.")


async def of_server(compute: Compute, server_id: str, *, without: str | None = None) -> tuple[GuestVolume, ...]:
    """All that the server's guest is to have, but for the attachment `without`."""
    attached = sorted(await compute.volume.attachments(server_id), key=_by_name)
    found = [guest_volume(each) for each in attached if each.id != without]
    return tuple(each for each in found if each is not None)


def device_of(attachment: Attachment) -> str | None:
    return attachment.connector.get("mountpoint")


async def tagged(compute: Compute, server_id: str) -> list[TaggedVolume]:
    """Those of a server's volumes that have a tag, which its guest is told."""
    return [TaggedVolume(volume_id=each.volume_id, device=device_of(each), tag=each.connector["tag"])
            for each in sorted(await compute.volume.attachments(server_id), key=_by_name) if each.connector.get("tag")]


def told(attachment: Attachment, *, brief: bool) -> dict[str, Any]:
    """As servers show it; `brief` as they did before 2.3."""
    return {"id": attachment.volume_id} | ({} if brief else {"delete_on_termination": goes_with_server(attachment)})


def goes_with_server(attachment: Attachment) -> bool:
    return bool(attachment.connector.get("delete_on_termination"))


def local_disks(flavor: FlavorCopy, properties: Mapping[str, str], *, has_root: bool, config_drive: bool) -> int:
    """How many of the disks that a guest's host keeps take a name of the kind that volumes have."""
    if properties.get("hw_disk_bus", "virtio") != "virtio":
        return 0
    return sum((has_root, bool(flavor.ephemeral_gb), bool(flavor.swap_mb), config_drive))


def local_disks_of(server: Server) -> int:
    properties = server.image.properties if server.image else {}
    return local_disks(server.flavor, properties, has_root=server.image is not None, config_drive=server.config_drive)


def free_device(taken: Iterable[str | None], local: int) -> str:
    """What the guest is going to call one more volume: the first name that neither another volume has nor one of the
    `local` disks, which have the first ones that are left."""
    free = [name for name in NAMES if name not in set(taken)]
    return free[local]


def names(attached: list[Attachment], local: int) -> dict[str, str]:
    """By attachment, what the guest calls each volume, or is going to: those that have no name yet have their turn in
    the order in which they were asked for, whoever looks."""
    found = {each.id: name for each in attached if (name := device_of(each))}
    for each in attached:
        if each.id not in found:
            found[each.id] = free_device(found.values(), local)
    return found


def root_device(server: Server) -> str:
    """What the guest calls the disk it starts from."""
    bus = server.image.properties.get("hw_disk_bus", "virtio") if server.image else "virtio"
    return "/dev/vda" if bus == "virtio" else "/dev/sda"


def _by_name(attachment: Attachment) -> tuple[bool, int, str]:
    """In the order of their names, which is that of a guest that starts anew."""
    name = device_of(attachment) or ""
    return not is_root(attachment), len(name), name


async def attach(compute: Compute, server_id: str, host: str, wish: VolumeWish, held: Attachment | None) -> None:
    """Reserve, connect and complete. Raises Wait while the volume is being made, Abort where it cannot be had."""
    volume = await compute.volume.find(wish.volume_id or "")
    if volume is None or volume.status.startswith("error"):
        raise Abort(f"Volume {wish.volume_id} is not to be had.")
    if volume.status in ("creating", "downloading"):
        raise Wait(POLL_SECONDS)
    try:
        if held is None:
            held = await compute.volume.attach(volume.id, server_id)
        if not _is_at(held, host):
            held = await compute.volume.connect(held.id, {**wish.connector, "host": host})
        await compute.volume.complete(held.id)
    except Refused as error:
        if error.status < 500:
            raise Abort(error.message) from error
        raise


async def join_host(compute: Compute, server_id: str, host: str) -> None:
    """Have the volumes of a server served to the host it is going to be on."""
    for each in await compute.volume.attachments(server_id):
        if each.connector and not _is_at(each, host):
            await _serve(compute, each, {**each.connector, "host": host})


async def join_anew(compute: Compute, server: Server, host: str) -> None:
    """The same for a guest that is made anew: it leaves no name out, whatever volumes went while it was away."""
    names: list[str] = []
    for each in sorted(await compute.volume.attachments(server.id), key=_by_name):
        names.append("/dev/vda" if is_root(each) else free_device(names, local_disks_of(server)))
        wanted = {**each.connector, "host": host, "mountpoint": names[-1]}
        if each.connector and not (_is_at(each, host) and each.connector == wanted):
            await _serve(compute, each, wanted)


def _is_at(attachment: Attachment, host: str) -> bool:
    return attachment.connector.get("host") == host and is_served(attachment)


async def _serve(compute: Compute, attachment: Attachment, connector: dict[str, Any]) -> None:
    await compute.volume.connect(attachment.id, connector)
    await compute.volume.complete(attachment.id)


async def leave_host(compute: Compute, server_id: str) -> None:
    """The server keeps its volumes while it is on no host; they are served to nobody."""
    for each in await compute.volume.attachments(server_id):
        if each.connector.get("host"):
            await compute.volume.keep(each.id, {key: value for key, value in each.connector.items() if key != "host"})


async def release(compute: Compute, server_id: str) -> None:
    """Detach everything from a server that is gone, and delete what was to go with it. Said twice: nothing more."""
    for each in await compute.volume.attachments(server_id):
        await compute.volume.detach(each.id)
        if goes_with_server(each):
            await remove_volume(compute, each.volume_id)


async def remove_volume(compute: Compute, volume_id: str) -> None:
    """A volume with snapshots stays, as it would for its owner."""
    try:
        await compute.volume.remove(volume_id)
    except Refused as error:
        if error.status != 400:
            raise
