"""Quotas: limits of projects and users, and what is used of them, counted from rows."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from pileus.compute.config import ComputeConfig
from pileus.compute.model.tables import quotas, servers
from pileus.kit import db
from pileus.kit.db import Collision, Connection

UNLIMITED = -1
CLASS = "class:default"            # in place of a project: limits of all projects that have none of their own
METADATA_ITEMS, INJECTED_FILES = 128, 5
FIXED = {"key_pairs": 100, "metadata_items": METADATA_ITEMS, "server_groups": 10, "server_group_members": 10,
         "injected_files": INJECTED_FILES, "injected_file_content_bytes": 10240, "injected_file_path_bytes": 255,
         "fixed_ips": UNLIMITED, "floating_ips": UNLIMITED, "networks": UNLIMITED,
         "security_groups": UNLIMITED, "security_group_rules": UNLIMITED}
_TURN = "(turn)"                   # a row that is only ever locked


def built_in(config: ComputeConfig) -> dict[str, int]:
    """Limits by their API names, before anybody changed them."""
    return {"instances": config.instances, "cores": config.cores, "ram": config.ram_mb} | FIXED


async def _rows(conn: Connection, places: list[tuple[str, str]]) -> dict[tuple[str, str], dict[str, int]]:
    found = await conn.execute(sa.select(quotas.c.project_id, quotas.c.user_id, quotas.c.resource, quotas.c.hard_limit)
                               .where(quotas.c.project_id.in_([project for project, _ in places]),
                                      quotas.c.user_id.in_([user for _, user in places])))
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for row in found:
        rows.setdefault((row.project_id, row.user_id), {})[row.resource] = row.hard_limit
    return rows


async def defaults(conn: Connection, config: ComputeConfig) -> dict[str, int]:
    """The limits of a project that has none of its own."""
    place = (CLASS, "")
    known = built_in(config)
    return known | _known((await _rows(conn, [place])).get(place, {}), known)


async def limits(conn: Connection, config: ComputeConfig, project_id: str, user_id: str = "") -> dict[str, int]:
    """The limits of a project, by their API names (instances, cores, ram, key_pairs, …); with `user_id`, that
    user's inside the project. -1 is no limit. One query."""
    places = [(CLASS, ""), (project_id, "")] + ([(project_id, user_id)] if user_id else [])
    rows = await _rows(conn, places)
    known = built_in(config)
    found = dict(known)
    for place in places:
        found |= _known(rows.get(place, {}), known)
    return found


def _known(found: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    return {name: limit for name, limit in found.items() if name in known}


async def usage(conn: Connection, project_id: str, user_id: str = "") -> tuple[int, int, int]:
    """(instances, cores, ram in MB) of the living servers of a project. One query on an index."""
    query = sa.select(sa.func.count().label("instances"), sa.func.sum(servers.c.vcpus).label("cores"),
                      sa.func.sum(servers.c.memory_mb).label("ram"))
    query = query.where(servers.c.alive, servers.c.project_id == project_id)
    if user_id:
        query = query.where(servers.c.user_id == user_id)
    row = (await conn.execute(query)).one()
    return row.instances, int(row.cores or 0), int(row.ram or 0)


async def take_turn(tx: Connection, project_id: str, user_id: str = "") -> None:
    """Let the transactions that count and then add, of one project (or user), happen one after the other.

    Where writers run side by side, two of them could count before either has added. The row locked here is made
    by the first of them; whoever loses that race runs again.
    """
    key = (quotas.c.project_id == project_id, quotas.c.user_id == user_id, quotas.c.resource == _TURN)
    found = await tx.execute(sa.select(quotas.c.hard_limit).where(*key).with_for_update())
    if found.first() is None:
        try:
            await tx.execute(quotas.insert().values(project_id=project_id, user_id=user_id, resource=_TURN,
                                                    hard_limit=0))
        except db.Taken as error:
            raise Collision(str(error)) from error


async def set_limits(tx: Connection, changes: Mapping[str, int], project_id: str, user_id: str = "") -> None:
    """Override limits of a project, of a user inside it, or (project CLASS) of all projects."""
    await take_turn(tx, project_id, user_id)
    place = (quotas.c.project_id == project_id, quotas.c.user_id == user_id)
    await db.update(tx, quotas.delete().where(*place, quotas.c.resource.in_(list(changes))))
    if changes:
        await tx.execute(quotas.insert(), [
            {"project_id": project_id, "user_id": user_id, "resource": name, "hard_limit": limit}
            for name, limit in changes.items()])


async def forget_limits(tx: Connection, project_id: str, user_id: str | None = None) -> None:
    """Back to the defaults: a user's limits, or those of the project with all its users."""
    gone = quotas.delete().where(quotas.c.project_id == project_id, quotas.c.resource != _TURN)
    await db.update(tx, gone if user_id is None else gone.where(quotas.c.user_id == user_id))


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Of a server's copy of its flavor, what usage tells."""

    name: str = ""
    disk_gb: int = 0
    ephemeral_gb: int = 0


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A server that ran for a while, or still does."""

    id: str
    name: str
    project_id: str
    state: str
    vcpus: int
    memory_mb: int
    flavor: Size
    launched_at: float
    deleted_at: float | None


_RAN: sa.Select = sa.select(*(servers.c[name] for name in Ran.__struct_fields__)).where(
    servers.c.launched_at.is_not(None))


async def ran(conn: Connection, period: tuple[float, float], project_id: str | None = None, *,
              after: Ran | None = None, limit: int | None = None) -> list[Ran]:
    """The servers, of one project or of all, that ran at some time between the ends of `period`."""
    start, end = period
    query = _RAN.where(servers.c.launched_at < end,
                       sa.or_(servers.c.deleted_at.is_(None), servers.c.deleted_at > start))
    if project_id is not None:
        query = query.where(servers.c.project_id == project_id)
    if after is not None:
        query = query.where(db.after([(servers.c.launched_at, False), (servers.c.id, False)],
                                     [after.launched_at, after.id]))
    return await db.many(conn, query.order_by(servers.c.launched_at, servers.c.id).limit(limit), Ran)


async def find_ran(conn: Connection, server_id: str) -> Ran | None:
    return await db.one(conn, _RAN.where(servers.c.id == server_id), Ran)
