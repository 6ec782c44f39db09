"""What a boot request says of disks: which are files of the host, and which are volumes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.compute import versions
from pileus.compute.api.values import truth, whole
from pileus.compute.volumes import VolumeWish, free_device
from pileus.kit import numbers
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest
from pileus.kit.versions import since
from pileus.kit.web import Ctx

MAPPING = "block_device_mapping"        # the property of an image that says so
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern="^[^,/]*$")]


class BlockDevice(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One disk, in the second way to write it down."""

    source_type: Literal["blank", "image", "snapshot", "volume"] = "image"
    destination_type: Literal["local", "volume"] | None = None
    uuid: str | None = None
    boot_index: int | str | None = None
    guest_format: str | None = None
    volume_size: int | str | None = None
    delete_on_termination: bool | str | None = None
    device_name: str | None = None
    disk_bus: str | None = None
    device_type: str | None = None
    tag: Annotated[Tag | None, since(versions.DEVICE_TAGS)] = None
    volume_type: Annotated[str | None, since(versions.VOLUME_TYPE)] = None
    no_device: Any = None
    image_id: str | None = None
    volume_id: str | None = None
    snapshot_id: str | None = None
    virtual_name: str | None = None
    connection_info: str | None = None


class OldBlockDevice(msgspec.Struct, kw_only=True):
    """In the first way: a volume, or a snapshot to make one of."""

    device_name: str | None = None
    volume_id: str | None = None
    snapshot_id: str | None = None
    volume_size: int | str | None = None
    delete_on_termination: bool | str | None = None
    no_device: bool | str | None = None
    virtual_name: str | None = None


class BadBlockDevice(BadRequest):
    message = "Block Device Mapping is Invalid: {reason}"


def is_volume(device: BlockDevice) -> bool:
    return device.source_type in ("volume", "snapshot") or device.destination_type == "volume"


def _index(device: BlockDevice) -> int | None:
    if device.boot_index in (None, "", "None"):
        return None
    number = numbers.whole(device.boot_index)
    if number is None:
        raise BadBlockDevice(reason=f"boot_index {device.boot_index} is no number.")
    return number if number >= 0 else None


def image_id(devices: list[BlockDevice], asked: str) -> str:
    """The image that the root disk is a copy of."""
    for device in devices:
        if not is_volume(device) and device.source_type == "image" and device.uuid is not None:
            return device.uuid
    return asked


def of_image(properties: dict[str, str]) -> list[BlockDevice]:
    """The volumes that an image says a server of it is to have: copies of those of the server it was made of."""
    try:
        found = msgspec.json.decode(properties.get(MAPPING) or "[]", type=list[dict[str, Any]])
        return [msgspec.convert({key: value for key, value in each.items() if key in BlockDevice.__struct_fields__}
                                | {"uuid": each.get("snapshot_id") or each.get("image_id") or each.get("volume_id")},
                                BlockDevice) for each in found]
    except msgspec.DecodeError as error:
        raise BadBlockDevice(reason=f"the image's {MAPPING} cannot be read: {error}") from error


def wishes(devices: list[BlockDevice], old: list[OldBlockDevice], *, has_image: bool) -> list[VolumeWish]:
    """The volumes of a new server. Raises BadBlockDevice."""
    found: list[VolumeWish] = []
    for device in devices:
        if device.destination_type == "local":
            _must_be_local(device)
        if is_volume(device):
            found.append(_wish(device))
    for number, each in enumerate(old):
        first = number == 0 and not has_image
        found.append(_wish(BlockDevice(
            source_type="snapshot" if each.snapshot_id else "volume", destination_type="volume",
            uuid=each.snapshot_id or each.volume_id, volume_size=each.volume_size, device_name=each.device_name,
            delete_on_termination=each.delete_on_termination, boot_index=0 if first else None)))
    if len([wish for wish in found if wish.boot_index == 0]) > 1:
        raise BadBlockDevice(reason="Boot sequence for the instance and image/block device mapping combination is not "
                                    "valid.")
    return found


def named(found: list[VolumeWish], local: int) -> list[VolumeWish]:
    """With what the guest is going to call them, whatever was asked for; `local`: how many disks of its host have such
    a name."""
    taken = ["/dev/vda"] if any(wish.boot_index == 0 for wish in found) else []
    names: list[str] = []
    for wish in found:
        names.append("/dev/vda" if wish.boot_index == 0 else free_device([*taken, *names], local))
    return [msgspec.structs.replace(wish, device=name) for wish, name in zip(found, names, strict=True)]


def _must_be_local(device: BlockDevice) -> None:
    """A host keeps the disk that the server boots from, and empty ones."""
    if device.source_type in ("volume", "snapshot"):
        raise BadBlockDevice(reason=f"a {device.source_type} is no local disk.")
    if device.source_type == "image" and _index(device) != 0:
        raise BadBlockDevice(reason="Mapping image to local is not supported.")


def _wish(device: BlockDevice) -> VolumeWish:
    create: dict[str, Any] | None = None
    if device.source_type != "volume":
        size: dict[str, Any] = {}
        if device.volume_size not in (None, ""):
            size["size"] = whole(device.volume_size or 0, "volume_size", 1)
        source: dict[str, dict[str, Any]] = {
            "image": {"imageRef": device.uuid}, "snapshot": {"snapshot_id": device.uuid}, "blank": {}}
        if not size and device.source_type != "snapshot":
            raise BadBlockDevice(reason="a volume that is to be made needs volume_size.")
        kind = {"volume_type": device.volume_type} if device.volume_type else {}
        create = {**size, **source[device.source_type], **kind}
    elif not device.uuid:
        raise BadBlockDevice(reason="a volume needs its uuid.")
    return VolumeWish(volume_id=device.uuid if create is None else None, create=create, boot_index=_index(device),
                      tag=device.tag, delete_on_termination=device.delete_on_termination is not None
                      and truth(device.delete_on_termination, "delete_on_termination"))


async def made(ctx: Ctx, found: list[VolumeWish]) -> list[VolumeWish]:
    """The volumes that are to be made, made as the caller; the others looked at. Raises BadBlockDevice."""
    client, ready = ctx.app.volume.as_caller(ctx.caller.token), []
    for wish in found:
        try:
            if wish.create is not None:
                volume = await client.create(wish.create)
            else:
                volume = await client.get(wish.volume_id)
                if volume.status not in ("available", "creating", "downloading") and not volume.multiattach:
                    raise BadBlockDevice(reason=f"volume {volume.id} is {volume.status}.")
                if wish.boot_index == 0 and not volume.is_bootable:
                    raise BadBlockDevice(reason=f"volume {volume.id} is not bootable.")
        except Refused as error:
            if error.status < 500:
                raise BadBlockDevice(reason=error.message) from error
            raise
        ready.append(msgspec.structs.replace(wish, volume_id=volume.id))
    return ready
