"""Quotas: limits of projects and users, and what is used of them, counted from rows."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from pileus.compute.asked_resources import asked_of
from pileus.compute.config import ComputeConfig
from pileus.compute.model.servers import FlavorCopy, ImageFacts
from pileus.compute.model.states import State
from pileus.compute.model.tables import quotas, servers
from pileus.kit import db
from pileus.kit.db import Collision, Connection

UNLIMITED = -1
CLASS = "class:default"            # in place of a project: limits of all projects that have none of their own
FIXED = {"key_pairs": 100, "metadata_items": 128, "server_groups": 10, "server_group_members": 10,
         "injected_files": 5, "injected_file_content_bytes": 10240, "injected_file_path_bytes": 255,
         "fixed_ips": UNLIMITED, "floating_ips": UNLIMITED, "networks": UNLIMITED,
         "security_groups": UNLIMITED, "security_group_rules": UNLIMITED}
UNIFIED = {"instances": "servers", "cores": "class:VCPU", "ram": "class:MEMORY_MB"} | {
    name: f"server_{name}" for name in (
        "key_pairs", "metadata_items", "injected_files", "injected_file_content_bytes", "injected_file_path_bytes")} | {
    name: name for name in ("server_groups", "server_group_members")}      # how unified limits call them
RESOURCE_CLASS = "class:"          # begins the unified limits of what placement counts
NOTHING_KEPT: Mapping[str, int] = {}
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


async def defaults(conn: Connection, config: ComputeConfig,
                   kept: Mapping[str, int] = NOTHING_KEPT) -> dict[str, int]:
    """The limits of a project that has none of its own."""
    place = (CLASS, "")
    known = built_in(config)
    return known | _known((await _rows(conn, [place])).get(place, {}), known) | unified(kept)


async def bounds(conn: Connection, config: ComputeConfig, project_id: str, user_id: str = "",
                 kept: Mapping[str, int] = NOTHING_KEPT) -> dict[str, dict[str, int]]:
    """Limits by their API names (instances, cores, ram, key_pairs, …), -1 is no limit; by whose they are: the project's
    under "", those of the user inside it under their id, where there are any. Limits `kept` by identity beat the
    project's. One query."""
    places = [(CLASS, ""), (project_id, "")] + ([(project_id, user_id)] if user_id else [])
    rows = await _rows(conn, places)
    known = built_in(config)
    whole = dict(known)
    for place in places[:2]:
        whole |= _known(rows.get(place, {}), known)
    whole |= unified(kept)
    own = _known(rows.get((project_id, user_id), {}), known) if user_id else {}
    return {"": whole, user_id: own} if own else {"": whole}


async def limits(conn: Connection, config: ComputeConfig, project_id: str, user_id: str = "",
                 kept: Mapping[str, int] = NOTHING_KEPT) -> dict[str, int]:
    """The limits of a project, or with `user_id` that user's inside the project."""
    found = await bounds(conn, config, project_id, user_id, kept)
    return found[""] | found.get(user_id, {})


def unified(kept: Mapping[str, int]) -> dict[str, int]:
    """Those of the limits that identity keeps that quota sets know too, by their API names."""
    return {name: kept[called] for name, called in UNIFIED.items() if called in kept}


def _known(found: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    return {name: limit for name, limit in found.items() if name in known}


async def usage(conn: Connection, project_id: str, user_id: str = "") -> dict[str, int]:
    """How many instances, cores and MB of ram a project has, or one user of it. Servers that are only kept until they
    are deleted count no more. One query on an index."""
    query = sa.select(sa.func.count().label("instances"), sa.func.sum(servers.c.vcpus).label("cores"),
                      sa.func.sum(servers.c.memory_mb).label("ram")).where(*_counted(project_id))
    if user_id:
        query = query.where(servers.c.user_id == user_id)
    row = (await conn.execute(query)).one()
    return {"instances": row.instances, "cores": int(row.cores or 0), "ram": int(row.ram or 0)}


async def usage_of_classes(conn: Connection, project_id: str) -> dict[str, int]:
    """What a project's servers take of each resource class, under the names of unified limits (class:DISK_GB): as they
    ask placement for it, counted from their rows. One query, with a row for each flavor and image."""
    flavor, image = servers.c.flavor, servers.c.image
    query = sa.select(flavor, image, sa.func.count().label("times")).where(*_counted(project_id))
    found: dict[str, int] = {}
    for row in await conn.execute(query.group_by(flavor, image)):
        image_facts = msgspec.convert(row.image, ImageFacts | None)
        for name, amount in classes_of(msgspec.convert(row.flavor, FlavorCopy), image_facts).items():
            found[name] = found.get(name, 0) + amount * row.times
    return found


def classes_of(flavor: FlavorCopy, image: ImageFacts | None) -> dict[str, int]:
    """What one server takes, by the names of unified limits."""
    asked = asked_of(flavor, image.properties if image else {}, has_root_disk=image is not None)
    return {f"{RESOURCE_CLASS}{name}": amount for name, amount in asked.total.items()}


def _counted(project_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return servers.c.alive, servers.c.project_id == project_id, servers.c.state != State.SOFT_DELETED


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
