"""Flavors, their extra specs, and which projects may use those that are not public."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute.faults import FlavorAccessExists, FlavorAccessNotFound, FlavorExists, FlavorNotFound
from pileus.compute.model.tables import flavor_access, flavors
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.patterns import compiled

DEFAULTS = (                      # id, name, vcpus, memory_mb, disk_gb
    ("42", "m1.nano", 1, 192, 1), ("84", "m1.micro", 1, 256, 1), ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20), ("3", "m1.medium", 2, 4096, 40), ("4", "m1.large", 4, 8192, 80),
    ("5", "m1.xlarge", 8, 16384, 160))


class Flavor(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    disabled: bool = False
    description: str | None = None
    extra_specs: dict[str, str] = {}
    created_at: float = 0.0
    generation: int = 1


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which flavors a list is about, and in which order."""

    is_public: bool | None = True               # None: either
    project_id: str | None = None               # public ones, and those this project may use
    disabled: bool | None = None
    min_disk_gb: int = 0
    min_memory_mb: int = 0
    order: str = "id"                           # a column
    descending: bool = False
    name: str | None = None                     # a regular expression


async def find(conn: Connection, flavor_id: str) -> Flavor | None:
    return await db.one(conn, sa.select(flavors).where(flavors.c.id == flavor_id), Flavor)


async def get(conn: Connection, flavor_id: str) -> Flavor:
    found = await find(conn, flavor_id)
    if found is None:
        raise FlavorNotFound(flavor_id=flavor_id)
    return found


async def get_for(conn: Connection, flavor_id: str, project_id: str | None) -> Flavor:
    """The flavor if the project may use it: it is public, or was granted. Administrators use `get`."""
    found = await get(conn, flavor_id)
    if found.is_public or project_id in await projects(conn, flavor_id):
        return found
    raise FlavorNotFound(flavor_id=flavor_id)


def _usable_by(project_id: str | None) -> sa.ColumnElement[bool]:
    if project_id is None:
        return flavors.c.is_public
    granted = sa.select(flavor_access.c.flavor_id).where(flavor_access.c.project_id == project_id)
    return sa.or_(flavors.c.is_public, flavors.c.id.in_(granted))


def _order(wanted: Wanted) -> list[tuple[sa.ColumnElement[Any], bool]]:
    order: list[tuple[sa.ColumnElement[Any], bool]] = [(flavors.c[wanted.order], wanted.descending)]
    return order if wanted.order == "id" else [*order, (flavors.c.id, wanted.descending)]


@functools.lru_cache(256)
def _wanted(wanted: Wanted) -> sa.Select[Any]:
    """The query, kept for the next time: to build it takes longer than to ask it."""
    query = sa.select(flavors)
    if wanted.is_public:
        query = query.where(_usable_by(wanted.project_id))
    elif wanted.is_public is False:
        query = query.where(sa.not_(flavors.c.is_public))
    if wanted.disabled is not None:
        query = query.where(flavors.c.disabled == wanted.disabled)
    if wanted.min_disk_gb:
        query = query.where(flavors.c.disk_gb >= wanted.min_disk_gb)
    if wanted.min_memory_mb:
        query = query.where(flavors.c.memory_mb >= wanted.min_memory_mb)
    if wanted.name is None:
        query = query.limit(sa.bindparam("most", type_=sa.Integer()))
    return query.order_by(*db.ordered(_order(wanted)))


async def page(conn: Connection, wanted: Wanted, *, limit: int, after: Flavor | None = None) -> list[Flavor]:
    query = _wanted(wanted)
    if after is not None:
        order = _order(wanted)
        query = query.where(db.after(order, [getattr(after, wanted.order), after.id][:len(order)]))
    if wanted.name is None:
        return await db.many(conn, query, Flavor, most=limit)
    fits = compiled(wanted.name).search
    return [flavor for flavor in await db.many(conn, query, Flavor) if fits(flavor.name)][:limit]


async def add(tx: Connection, flavor: Flavor) -> None:
    """Raises FlavorExists; a race for the same id or name ends in db.Taken."""
    if await find(tx, flavor.id):
        raise FlavorExists(what="ID", value=flavor.id)
    if await db.scalar(tx, sa.select(flavors.c.id).where(flavors.c.name == flavor.name)) is not None:
        raise FlavorExists(what="name", value=flavor.name)
    await _forget_access(tx, flavor.id)
    await db.add(tx, flavors, flavor)


async def change(tx: Connection, flavor: Flavor, **values: Any) -> Flavor:
    return await db.change(tx, flavors, flavor, **values)


async def remove(tx: Connection, flavor_id: str) -> None:
    if not await db.update(tx, flavors.delete().where(flavors.c.id == flavor_id)):
        raise FlavorNotFound(flavor_id=flavor_id)
    await _forget_access(tx, flavor_id)


async def _forget_access(tx: Connection, flavor_id: str) -> None:
    await db.update(tx, flavor_access.delete().where(flavor_access.c.flavor_id == flavor_id))


async def projects(conn: Connection, flavor_id: str) -> list[str]:
    """The projects that may use a flavor that is not public."""
    query = sa.select(flavor_access.c.project_id).where(flavor_access.c.flavor_id == flavor_id)
    return await db.scalars(conn, query.order_by(flavor_access.c.project_id))


async def grant(tx: Connection, flavor_id: str, project_id: str) -> None:
    """Raises FlavorAccessExists; a race for the same ends in db.Taken."""
    if project_id in await projects(tx, flavor_id):
        raise FlavorAccessExists(flavor_id=flavor_id, project_id=project_id)
    await tx.execute(flavor_access.insert().values(flavor_id=flavor_id, project_id=project_id))


async def revoke(tx: Connection, flavor_id: str, project_id: str) -> None:
    if not await db.update(tx, flavor_access.delete().where(
            flavor_access.c.flavor_id == flavor_id, flavor_access.c.project_id == project_id)):
        raise FlavorAccessNotFound(flavor_id=flavor_id, project_id=project_id)


async def default_flavors(tx: Connection, now: float = 0.0) -> None:
    """What a fresh cloud offers. Already there, by id or by name: left as it is."""
    there = (await tx.execute(sa.select(flavors.c.id, flavors.c.name))).all()
    ids, names = {row.id for row in there}, {row.name for row in there}
    await db.add(tx, flavors, *(
        Flavor(id=id_, name=name, vcpus=vcpus, memory_mb=memory, disk_gb=disk, created_at=now)
        for id_, name, vcpus, memory, disk in DEFAULTS if id_ not in ids and name not in names))
