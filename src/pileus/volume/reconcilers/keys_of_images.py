"""Keys of images go with their images: the image service does not know that it has some."""

from __future__ import annotations

from pileus.kit.client import Refused, Unreachable
from pileus.kit.reconcile import reconciler
from pileus.volume.model import keys
from pileus.volume.runtime import Volumes


@reconciler(every=3600)
async def keys_of_images(volume: Volumes) -> None:
    """Those that no image had an hour ago, and none has now: an image is made after its key."""
    async with volume.db.read() as reader:
        held = await keys.of_images(reader)
    try:
        unused = frozenset([key_id for key_id in held if not await _has_image(volume, key_id)])
    except (Refused, Unreachable):
        return                                       # the next round asks again
    async with volume.db.write() as tx:
        for key_id in unused & volume.unused_keys:
            if await keys.is_of_image(tx, key_id):
                await keys.remove(tx, key_id)
    volume.unused_keys = unused


async def _has_image(volume: Volumes, key_id: str) -> bool:
    for hidden in ("false", "true"):
        found, _ = await volume.image.images(**{keys.OF_IMAGE: key_id, "visibility": "all", "os_hidden": hidden})
        if found:
            return True
    return False
