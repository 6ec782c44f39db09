"""Members: the projects an image is shared with, and what they said to it."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.image import faults
from pileus.image.model.tables import members
from pileus.kit import db
from pileus.kit.db import Connection


class Member(msgspec.Struct, frozen=True, kw_only=True):
    image_id: str
    member_id: str
    status: str = "pending"
    created_at: float = 0.0
    updated_at: float = 0.0


async def of(conn: Connection, image_id: str) -> list[Member]:
    return await db.many(conn, sa.select(members).where(members.c.image_id == image_id).order_by(
        members.c.created_at, members.c.member_id), Member)


async def get(conn: Connection, image_id: str, member_id: str) -> Member:
    found = await db.one(conn, sa.select(members).where(
        members.c.image_id == image_id, members.c.member_id == member_id), Member)
    if found is None:
        raise faults.MemberNotFound(image_id=image_id, member_id=member_id)
    return found


async def add(tx: Connection, member: Member) -> None:
    try:
        await db.add(tx, members, member)
    except db.Taken:
        raise faults.Conflict(
            reason=f"The image {member.image_id} is already shared with {member.member_id}.") from None


async def change_status(tx: Connection, member: Member, status: str, now: float) -> Member:
    await tx.execute(members.update().where(
        members.c.image_id == member.image_id, members.c.member_id == member.member_id)
        .values(status=status, updated_at=now))
    return msgspec.structs.replace(member, status=status, updated_at=now)


async def remove(tx: Connection, image_id: str, member_id: str) -> None:
    if not await db.update(tx, members.delete().where(
            members.c.image_id == image_id, members.c.member_id == member_id)):
        raise faults.MemberNotFound(image_id=image_id, member_id=member_id)
