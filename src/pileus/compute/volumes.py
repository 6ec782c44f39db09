"""Volumes of servers. What is attached to what is the volume service's to know: it is asked, and never copied."""

from __future__ import annotations

import string
from typing import Any

import msgspec

from pileus.compute.drivers.base import GuestVolume
from pileus.compute.runtime import Compute
from pileus.kit.client import Refused
from pileus.kit.saga import Abort, Wait
from pileus.volume.client import Attachment

POLL_SECONDS = 0.5
FIRST_LETTER = 1                     # of the disks that may be named: vda is the root disk


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


def guest_volume(attachment: Attachment) -> GuestVolume | None:
    """What the host has to know of an attachment; None for one that is only reserved."""
    info = attachment.connection_info
    if not info.get("socket"):
        return None
    return GuestVolume(volume_id=attachment.volume_id, socket=info["socket"], export=info["export"],
                       read_only=attachment.attach_mode == "ro", boot_order=1 if is_root(attachment) else None)


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
    found = [guest_volume(each) for each in await compute.volume.attachments(server_id) if each.id != without]
    return tuple(each for each in found if each is not None)


def device_of(attachment: Attachment) -> str | None:
    return attachment.connector.get("mountpoint")


def told(attachment: Attachment, *, brief: bool) -> dict[str, Any]:
    """As servers show it; `brief` as they did before 2.3."""
    return {"id": attachment.volume_id} | ({} if brief else {"delete_on_termination": goes_with_server(attachment)})


def goes_with_server(attachment: Attachment) -> bool:
    return bool(attachment.connector.get("delete_on_termination"))


def free_device(taken: list[str | None]) -> str:
    """The first name behind the root disk's that no other volume has."""
    names = (f"/dev/vd{letter}" for letter in string.ascii_lowercase[FIRST_LETTER:])
    return next((name for name in names if name not in taken), "/dev/vdzz")


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
        if not held.connection_info:
            held = await compute.volume.connect(held.id, {**wish.connector, "host": host})
        await compute.volume.complete(held.id)
    except Refused as error:
        if error.status < 500:
            raise Abort(error.message) from error
        raise


async def join_host(compute: Compute, server_id: str, host: str) -> None:
    """Have the volumes of a server served to the host it is going to be on."""
    for each in await compute.volume.attachments(server_id):
        if each.connector and not (each.connector.get("host") == host and each.connection_info.get("socket")):
            await compute.volume.connect(each.id, {**each.connector, "host": host})
            await compute.volume.complete(each.id)


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
