"""Images: rows, what may happen to them in which status, and who sees them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.image import faults
from pileus.image.model import tables
from pileus.image.model.tables import images, members
from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection

QUEUED, SAVING, UPLOADING, IMPORTING = "queued", "saving", "uploading", "importing"
ACTIVE, DEACTIVATED = "active", "deactivated"
VISIBILITIES = ("community", "public", "private", "shared")


WEB = "web"                     # the store of contents that stay on web servers


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a content is that is not ours."""

    url: str
    metadata: dict[str, Any] = {}


class Image(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str | None = None
    owner: str | None = None
    status: str = QUEUED
    visibility: str = "shared"
    disk_format: str | None = None
    container_format: str | None = None
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    os_hidden: bool = False
    store: str | None = None
    data_id: str | None = None
    busy_until: float = 0.0
    tags: list[str] = []
    properties: dict[str, str] = {}
    created_at: float = 0.0
    updated_at: float = 0.0
    generation: int = 1
    stores: list[str] | None = None
    importing_to: list[str] | None = None
    failed_import: list[str] | None = None
    made_id: str | None = None
    locations: list[Location] | None = None

    @property
    def kept_in(self) -> list[str]:
        """The stores of ours that hold its bytes."""
        if self.stores is not None:
            return self.stores
        return [self.store] if self.store is not None else []

    @property
    def found_in(self) -> list[str]:
        """All stores that hold its bytes."""
        return self.kept_in + ([WEB] if self.locations else [])

    @property
    def sha512(self) -> str | None:
        """The hash of its bytes, if it is one we compare with."""
        return self.os_hash_value if self.os_hash_algo == "sha512" else None

    @property
    def has_data(self) -> bool:
        return self.data_id is not None and self.status in (ACTIVE, DEACTIVATED)


NO_DATA: dict[str, Any] = dict.fromkeys(
    ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "store", "stores", "data_id",
     "locations"))


async def find(conn: Connection, image_id: str) -> Image | None:
    return await db.one(conn, sa.select(images).where(images.c.id == image_id), Image)


async def get(conn: Connection, image_id: str) -> Image:
    image = await find(conn, image_id)
    if image is None:
        raise faults.ImageNotFound(image_id=image_id)
    return image


def sees_all(caller: Caller) -> bool:
    return (caller.is_admin and caller.scope == "project") or caller.has("service")


async def get_visible(conn: Connection, image_id: str, caller: Caller) -> Image:
    """The image, if the caller may know that it exists."""
    image = await get(conn, image_id)
    if sees_all(caller) or image.visibility in ("public", "community") or image.owner == caller.project_id:
        return image
    if image.visibility == "shared" and await db.scalar(conn, sa.select(members.c.member_id).where(
            members.c.image_id == image_id, members.c.member_id == caller.project_id)) is not None:
        return image
    raise faults.ImageNotFound(image_id=image_id)


async def add(tx: Connection, image: Image) -> None:
    try:
        await db.add(tx, images, image)
    except db.Taken:
        raise faults.Conflict(reason=f"Image ID {image.id} already exists!") from None
    await _index(tx, image)


async def change(tx: Connection, image: Image, now: float, **values: Any) -> Image:
    changed = await db.change(tx, images, image, updated_at=now, **values)
    if "tags" in values or "properties" in values:
        await tx.execute(tables.tags.delete().where(tables.tags.c.image_id == image.id))
        await tx.execute(tables.properties.delete().where(tables.properties.c.image_id == image.id))
        await _index(tx, changed)
    return changed


async def _index(tx: Connection, image: Image) -> None:
    """Make the image findable by its tags and properties."""
    if image.tags:
        await tx.execute(tables.tags.insert(), [{"image_id": image.id, "tag": tag} for tag in image.tags])
    if image.properties:
        await tx.execute(tables.properties.insert(), [
            {"image_id": image.id, "name": name, "value": value} for name, value in image.properties.items()])


async def renew(tx: Connection, image_id: str, data_id: str, until: float) -> bool:
    """Say that the upload `data_id` goes on. False: it is not wanted any more."""
    return await db.update(tx, images.update().where(images.c.id == image_id, images.c.data_id == data_id).values(
        busy_until=until)) == 1


async def remove(tx: Connection, image: Image) -> None:
    if await db.update(tx, images.delete().where(
            images.c.id == image.id, images.c.generation == image.generation)) != 1:
        raise db.Stale(kind="image", id=image.id)
