"""Attachments: one row each, which is what both this API and compute's go by."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import AttachmentNotFound
from pileus.volume.model.tables import attachments


class AttachStatus(StrEnum):
    RESERVED, ATTACHING, ATTACHED, DETACHED = "reserved", "attaching", "attached", "detached"
    DETACHING, ERROR = "detaching", "error_attaching"


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """`generation` is its fence: whoever writes says which one was read."""

    id: str
    project_id: str
    volume_id: str
    created_at: float
    server_id: str | None = None
    host: str | None = None
    status: str = AttachStatus.RESERVED
    mode: str | None = None
    mountpoint: str | None = None
    connector: dict[str, Any] | None = None
    connection: dict[str, Any] | None = None
    exclusive: str | None = None
    attached_at: float | None = None
    updated_at: float | None = None
    generation: int = 1


async def get(conn: Connection, attachment_id: str) -> Attachment:
    """Raises AttachmentNotFound."""
    row = await find(conn, attachment_id)
    if row is None:
        raise AttachmentNotFound(attachment_id=attachment_id)
    return row


async def find(conn: Connection, attachment_id: str) -> Attachment | None:
    return await db.one(conn, sa.select(attachments).where(attachments.c.id == attachment_id), Attachment)


async def of_volume(conn: Connection, volume_id: str) -> list[Attachment]:
    return await db.many(conn, sa.select(attachments).where(attachments.c.volume_id == volume_id)
                         .order_by(attachments.c.created_at, attachments.c.id), Attachment)


async def is_used_beyond(conn: Connection, volume_id: str) -> bool:
    """Whether servers of other hosts have it over the network."""
    rows = await of_volume(conn, volume_id)
    return any((each.connection or {}).get("data", {}).get("address") for each in rows)


async def change(tx: Connection, row: Attachment, now: float, **values: Any) -> Attachment:
    return await db.change(tx, attachments, row, updated_at=now, **values)


async def remove(tx: Connection, row: Attachment) -> None:
    await tx.execute(attachments.delete().where(attachments.c.id == row.id))
