"""The images that servers are made into: made under an id chosen beforehand, in the name of their project."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from pileus.compute.messages import SaveImage
from pileus.compute.model.servers import ImageFacts, Server
from pileus.compute.runtime import Compute
from pileus.compute.sagas.guests import host_of
from pileus.compute.sagas.hosts import ask
from pileus.kit.client import Refused
from pileus.kit.saga import Abort

SAVE_SECONDS = 3600.0
OF_THE_IMAGE = ("hw_", "os_", "kernel_id", "ramdisk_id", "img_", "architecture")


class NewImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image to be."""

    id: str
    name: str
    properties: dict[str, str] = {}


def properties_of(server: Server, **more: str) -> dict[str, str]:
    """What an image of a server says: what its own image said of the machine, and where it comes from."""
    own = server.image.properties if server.image else {}
    kept = {key: value for key, value in own.items() if key.startswith(OF_THE_IMAGE)}
    base = {"base_image_ref": server.image_id} if server.image_id else {}
    return kept | base | {"instance_uuid": server.id, "user_id": server.user_id, "owner_id": server.project_id,
                          "image_type": "snapshot"} | more


async def ensure(compute: Compute, server: Server, wanted: NewImage) -> None:
    """The image, without content yet. Already there: nothing."""
    if await compute.image.find(wanted.id) is not None:
        return
    try:
        await compute.image.create(
            wanted.name, id=wanted.id, owner=server.project_id, properties=wanted.properties, disk_format=None,
            container_format=None, min_disk=server.flavor.disk_gb, min_ram=server.image.min_memory_mb
            if server.image else 0)
    except Refused as error:
        if error.status != 409:
            raise


async def save(compute: Compute, server: Server, image_id: str) -> None:
    """The server's root disk as the image's content. Raises Abort when somebody has deleted the image."""
    if await compute.image.find(image_id) is None:
        raise Abort(f"Image {image_id} was deleted.")
    await ask(compute, SaveImage(guest_id=server.id, image_id=image_id), host=host_of(server), seconds=SAVE_SECONDS)


async def describe_volumes(compute: Compute, server_id: str, wanted: NewImage) -> None:
    """Snapshots of the server's volumes, and in the image's properties how a server is made of them."""
    devices = []
    for each in await compute.volume.attachments(server_id):
        try:
            made = await compute.volume.ensure_snapshot(each.volume_id, f"snapshot for {wanted.name}", wanted.id)
        except Refused as error:
            if error.status >= 500:
                raise
            raise Abort(error.message) from error
        devices.append({
            "source_type": "snapshot", "destination_type": "volume", "snapshot_id": made.id, "volume_size": made.size,
            "boot_index": each.connector.get("boot_index"), "device_name": each.connector.get("mountpoint"),
            "delete_on_termination": bool(each.connector.get("delete_on_termination")),
            "tag": each.connector.get("tag"), "disk_bus": "virtio", "device_type": "disk", "guest_format": None,
            "image_id": None, "volume_id": None, "no_device": None, "volume_type": None})
    mapping = msgspec.json.encode(devices).decode()
    await compute.image.set_properties(wanted.id, wanted.properties | {
        "block_device_mapping": mapping, "bdm_v2": "True", "root_device_name": "/dev/vda"})


async def remove_snapshots(compute: Compute, server_id: str, wanted: NewImage) -> None:
    for each in await compute.volume.attachments(server_id):
        for snapshot in await compute.volume.snapshots_for(each.volume_id, wanted.id):
            await compute.volume.remove_snapshot(snapshot.id)


async def save_nothing(compute: Compute, image_id: str) -> None:
    """All there is of such an image is what it says."""
    async def nothing() -> AsyncIterator[bytes]:
        for piece in ():
            yield piece

    image = await compute.image.get(image_id)
    if not image.is_active:
        await compute.image.set_format(image_id, "raw")
        await compute.image.upload(image_id, nothing(), size=0)


async def facts(compute: Compute, server: Server, image_id: str) -> ImageFacts:
    """What booting needs to know of an image made of the server."""
    try:
        found = await compute.image.get(image_id)
    except Refused as error:
        if error.status != 404:
            raise
        raise Abort(f"Image {image_id}, which the server was kept in, is gone.") from None
    own = server.image.properties if server.image else {}
    return ImageFacts(id=found.id, name=found.name or "", disk_format=found.disk_format or "raw",
                      size_bytes=found.size or 0, sha512=found.sha512, properties=own)
