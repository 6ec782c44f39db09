"""The images that servers are made into: made under an id chosen beforehand, in the name of their project."""

from __future__ import annotations

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
                      size_bytes=found.size or 0, sha512=found.os_hash_value or "", properties=own)
