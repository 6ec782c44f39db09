"""Server groups: servers that are to be together, or apart."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.compute.faults import GroupNotFound
from pileus.compute.model.tables import groups, servers
from pileus.kit import db
from pileus.kit.db import Connection

AFFINITY, ANTI, SOFT_AFFINITY, SOFT_ANTI = "affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"
MOST_PER_HOST = "max_server_per_host"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    name: str
    policy: str
    rules: dict[str, int] = {}
    created_at: float


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Of a move that can be taken back, what counts here."""

    host: str = ""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    group_id: str
    host: str | None = None
    place: str | None = None
    moved: Before | None = None

    @property
    def hosts(self) -> set[str]:
        """Where it is, is going to be, or may come back to."""
        return {host for host in (self.host, self.place, self.moved and self.moved.host) if host}


async def get(conn: Connection, group_id: str) -> Group:
    found = await db.one(conn, sa.select(groups).where(groups.c.id == group_id), Group)
    if found is None:
        raise GroupNotFound(group_id=group_id)
    return found


async def page(conn: Connection, project_id: str | None, *, limit: int, offset: int = 0) -> list[Group]:
    """In the order they were made. The API knows no marker here; groups are few, by quota."""
    query = sa.select(groups).order_by(groups.c.created_at, groups.c.id).limit(limit).offset(offset)
    return await db.many(conn, query if project_id is None else query.where(groups.c.project_id == project_id), Group)


async def count(conn: Connection, project_id: str, user_id: str = "") -> int:
    """Of a project, or of one user of it."""
    query = sa.select(sa.func.count()).select_from(groups).where(groups.c.project_id == project_id)
    return await db.scalar(conn, query.where(groups.c.user_id == user_id) if user_id else query)


async def count_members(conn: Connection, group_id: str) -> int:
    return await db.scalar(conn, sa.select(sa.func.count()).select_from(servers).where(
        servers.c.group_id == group_id, servers.c.alive))


async def wait_turn(tx: Connection, group_id: str) -> None:
    """Let those who look at a group's members and then place one of them come one after the other."""
    await tx.execute(sa.select(groups.c.id).where(groups.c.id == group_id).with_for_update())


async def promise(tx: Connection, server_id: str, host: str | None) -> None:
    """Write down where a member is going to be; None: nowhere any more."""
    await tx.execute(servers.update().where(servers.c.id == server_id).values(place=host))


async def members(conn: Connection, group_ids: list[str]) -> dict[str, list[Member]]:
    """The living servers of groups."""
    query: sa.Select = sa.select(*(servers.c[name] for name in Member.__struct_fields__)).where(
        servers.c.group_id.in_(group_ids), servers.c.alive).order_by(servers.c.created_at, servers.c.id)
    found: dict[str, list[Member]] = {}
    for member in await db.many(conn, query, Member):
        found.setdefault(member.group_id, []).append(member)
    return found


async def remove(tx: Connection, group_id: str) -> None:
    """Its servers go on without it."""
    await tx.execute(groups.delete().where(groups.c.id == group_id))
    await tx.execute(servers.update().where(servers.c.group_id == group_id).values(group_id=None))
