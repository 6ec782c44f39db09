"""Volumes: rows, what may be asked of them by their status, queries."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import VolumeNotFound, WrongStatus
from pileus.volume.model import keys, listing
from pileus.volume.model.attachments import Attachment
from pileus.volume.model.listing import Found, Wanted
from pileus.volume.model.tables import (
    attachments,
    group_types,
    groups,
    image_properties,
    properties,
    snapshots,
    types,
    volumes,
)


class Status(StrEnum):
    CREATING, AVAILABLE, RESERVED, ATTACHING = "creating", "available", "reserved", "attaching"
    DETACHING, IN_USE, MAINTENANCE, DELETING = "detaching", "in-use", "maintenance", "deleting"
    AWAITING_TRANSFER, ERROR, ERROR_DELETING = "awaiting-transfer", "error", "error_deleting"
    BACKING_UP, RESTORING_BACKUP, ERROR_BACKING_UP = "backing-up", "restoring-backup", "error_backing-up"
    ERROR_RESTORING, ERROR_EXTENDING, DOWNLOADING = "error_restoring", "error_extending", "downloading"
    UPLOADING, RETYPING, EXTENDING, MANAGING = "uploading", "retyping", "extending", "managing"
    ERROR_MANAGING, REVERTING = "error_managing", "reverting"


FREE = (Status.AVAILABLE,)
FREE_OR_USED = (Status.AVAILABLE, Status.IN_USE)
MAY = {    # what may be asked of a volume, by its status
    "delete": (Status.AVAILABLE, Status.ERROR, Status.ERROR_RESTORING, Status.ERROR_EXTENDING, Status.ERROR_MANAGING),
    "snapshot": FREE_OR_USED, "extend": FREE, "upload": FREE_OR_USED, "retype": FREE_OR_USED, "reserve": FREE,
    "transfer": FREE, "backup": FREE_OR_USED, "restore": (Status.AVAILABLE, Status.ERROR), "revert": FREE,
    "unmanage": (Status.AVAILABLE, Status.ERROR, Status.ERROR_MANAGING), "migrate": FREE_OR_USED,
    "read only": FREE_OR_USED,
    "reimage": (Status.AVAILABLE, Status.ERROR),
    "clone": (*FREE_OR_USED, Status.ERROR_BACKING_UP, Status.BACKING_UP)}


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    size_gb: int
    type_id: str
    zone: str
    created_at: float
    name: str | None = None
    description: str | None = None
    status: str = Status.CREATING
    previous_status: str | None = None
    migration_status: str | None = None
    host: str | None = None                  # of its back end: NODE@BACK_END#POOL
    bootable: bool = False
    read_only: bool | None = None            # None: nobody said
    multiattach: bool = False
    encrypted: bool = False
    encryption_key_id: str | None = None
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    group_id: str | None = None
    metadata: dict[str, str] = {}
    image_metadata: dict[str, str] | None = None
    updated_at: float | None = None
    generation: int = 1

    @property
    def back_end(self) -> str:
        """Where messages about it go."""
        return (self.host or "").partition("#")[0]

    def must_allow(self, action: str) -> None:
        if self.status not in MAY[action]:
            raise WrongStatus(action=action, status=self.status, wanted=" or ".join(MAY[action]))


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as the API shows it."""

    volume: Volume
    type_name: str
    group_type: str | None = None              # the name of its group's
    attachments: tuple[Attachment, ...] = ()

    @property
    def id(self) -> str:
        return self.volume.id

    @property
    def project_id(self) -> str:
        return self.volume.project_id


class _Row(Volume, frozen=True, kw_only=True):
    type_name: str
    group_type: str | None


_QUERY = sa.select(*volumes.c, types.c.name.label("type_name"), group_types.c.name.label("group_type")).join(
    types, types.c.id == volumes.c.type_id).outerjoin(groups, groups.c.id == volumes.c.group_id).outerjoin(
    group_types, group_types.c.id == groups.c.group_type_id)


async def _seen(conn: Connection, rows: list[_Row]) -> list[Seen]:
    of: dict[str, list[Attachment]] = {}
    if rows:
        query = sa.select(attachments).where(attachments.c.volume_id.in_([row.id for row in rows]))
        for each in await db.many(conn, query.order_by(attachments.c.created_at, attachments.c.id), Attachment):
            of.setdefault(each.volume_id, []).append(each)
    return [Seen(volume=row, type_name=row.type_name, group_type=row.group_type, attachments=tuple(of.get(row.id, ())))
            for row in rows]


async def see(conn: Connection, volume_id: str) -> Seen:
    """Raises VolumeNotFound."""
    rows = await db.many(conn, _QUERY.where(volumes.c.id == volume_id), _Row)
    if not rows:
        raise VolumeNotFound(volume_id=volume_id)
    return (await _seen(conn, rows))[0]


async def get(conn: Connection, volume_id: str) -> Volume:
    """Raises VolumeNotFound."""
    row = await find(conn, volume_id)
    if row is None:
        raise VolumeNotFound(volume_id=volume_id)
    return row


async def find(conn: Connection, volume_id: str) -> Volume | None:
    return await db.one(conn, sa.select(volumes).where(volumes.c.id == volume_id), Volume)


async def page(conn: Connection, wanted: Wanted) -> Found:
    found = await listing.page(conn, volumes, wanted, _Row, _QUERY)
    found.rows = await _seen(conn, found.rows)
    return found


def has_property(table: sa.Table, name: str, value: str, among: sa.Table = properties) -> sa.ColumnElement[bool]:
    return sa.exists().where(among.c.owner_id == table.c.id, among.c.name == name, among.c.value == value)


async def add(tx: Connection, row: Volume) -> None:
    await db.add(tx, volumes, row)
    await set_properties(tx, row.id, row.metadata)
    await set_properties(tx, row.id, row.image_metadata or {}, image_properties)


async def change(tx: Connection, volume: Volume, now: float, **values: Any) -> Volume:
    """Write `values` (fields of Volume) if nobody changed the row since it was read."""
    values["updated_at"] = now
    if "metadata" in values:
        await set_properties(tx, volume.id, values["metadata"])
    if "image_metadata" in values:
        await set_properties(tx, volume.id, values["image_metadata"] or {}, image_properties)
    return await db.change(tx, volumes, volume, **values)


async def set_properties(tx: Connection, owner_id: str, metadata: dict[str, str], table: sa.Table = properties) -> None:
    await tx.execute(table.delete().where(table.c.owner_id == owner_id))
    if metadata:
        await tx.execute(table.insert(), [
            {"owner_id": owner_id, "name": name, "value": value} for name, value in metadata.items()])


async def remove(tx: Connection, volume_id: str) -> None:
    """Raises db.Taken where something still depends on it. Its key goes with it."""
    own = sa.select(volumes.c.encryption_key_id).where(volumes.c.id == volume_id)
    await keys.remove(tx, await db.scalar(tx, own))
    for table, column in ((properties, properties.c.owner_id), (image_properties, image_properties.c.owner_id),
                          (attachments, attachments.c.volume_id), (volumes, volumes.c.id)):
        await tx.execute(table.delete().where(column == volume_id))


async def in_group(conn: Connection, group_id: str) -> list[Volume]:
    return await db.many(conn, sa.select(volumes).where(volumes.c.group_id == group_id)
                         .order_by(volumes.c.created_at, volumes.c.id), Volume)


async def has_snapshots(conn: Connection, volume_id: str) -> bool:
    query = sa.select(snapshots.c.id).where(snapshots.c.volume_id == volume_id).limit(1)
    return await db.scalar(conn, query) is not None


async def summary(conn: Connection, project_id: str | None) -> tuple[int, int, dict[str, list[str]]]:
    """How many, how many GiB, and every value of every metadata key."""
    own = [volumes.c.project_id == project_id] if project_id else []
    total = sa.select(sa.func.count().label("number"), sa.func.sum(volumes.c.size_gb).label("size"))
    row = (await conn.execute(total.select_from(volumes).where(*own))).one()
    values: dict[str, list[str]] = {}
    pairs = sa.select(properties.c.name, properties.c.value).distinct().join(
        volumes, volumes.c.id == properties.c.owner_id).where(*own).order_by(properties.c.name, properties.c.value)
    for pair in await conn.execute(pairs):
        values.setdefault(pair.name, []).append(pair.value)
    return row.number, int(row.size or 0), values
