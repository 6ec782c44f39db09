"""The image that a saga works for, as long as nobody deletes it or gives it other bytes."""

from __future__ import annotations

from pileus.image.model import images
from pileus.image.model.images import Image
from pileus.kit.db import Connection
from pileus.kit.saga import Abort

GONE = "The image was deleted meanwhile."


async def awaited(conn: Connection, image_id: str, data_id: str) -> Image:
    """Raises Abort when it does not wait for these bytes any more."""
    found = await images.find(conn, image_id)
    if found is None or found.data_id != data_id:
        raise Abort(GONE)
    return found
