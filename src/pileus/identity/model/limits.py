"""How much of a resource there may be: what counts for every project, and what counts for one instead."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import limits, projects, registered_limits
from pileus.kit import db
from pileus.kit.db import Connection


class RegisteredLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`region_key` is the region, or nothing, for the database to see that there is one limit of each kind."""

    id: str
    service_id: str
    region_id: str | None = None
    region_key: str = ""
    resource_name: str
    default_limit: int
    description: str | None = None
    generation: int = 1


class LimitRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    registered_limit_id: str
    resource_limit: int
    description: str | None = None
    generation: int = 1


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit with what it stands for. `place_id` is a project or a domain, which is in no domain."""

    id: str
    place_id: str
    domain_id: str | None
    is_domain: bool
    registered_limit_id: str
    service_id: str
    region_id: str | None
    resource_name: str
    resource_limit: int
    description: str | None
    generation: int

    @property
    def row(self) -> LimitRow:
        return LimitRow(id=self.id, project_id=self.place_id, registered_limit_id=self.registered_limit_id,
                        resource_limit=self.resource_limit, description=self.description, generation=self.generation)


def query() -> Any:
    return sa.select(
        limits.c.id, limits.c.project_id.label("place_id"), limits.c.registered_limit_id, limits.c.resource_limit,
        limits.c.description, limits.c.generation, projects.c.domain_id, projects.c.is_domain,
        registered_limits.c.service_id, registered_limits.c.region_id, registered_limits.c.resource_name).join(
            registered_limits, registered_limits.c.id == limits.c.registered_limit_id).join(
                projects, projects.c.id == limits.c.project_id)


async def get(conn: Connection, limit_id: str) -> Limit:
    row = await db.one(conn, query().where(limits.c.id == limit_id), Limit)
    if row is None:
        raise Missing(kind="limit", id=limit_id)
    return row


async def get_registered(conn: Connection, registered_limit_id: str) -> RegisteredLimit:
    row = await db.one(conn, sa.select(registered_limits).where(
        registered_limits.c.id == registered_limit_id), RegisteredLimit)
    if row is None:
        raise Missing(kind="registered limit", id=registered_limit_id)
    return row


async def find_registered(conn: Connection, service_id: str, region_id: str | None,
                          resource_name: str) -> RegisteredLimit | None:
    return await db.one(conn, sa.select(registered_limits).where(
        registered_limits.c.service_id == service_id, registered_limits.c.region_key == (region_id or ""),
        registered_limits.c.resource_name == resource_name), RegisteredLimit)


async def in_use(conn: Connection, registered_limit_id: str) -> bool:
    return await db.scalar(conn, sa.select(limits.c.id).where(
        limits.c.registered_limit_id == registered_limit_id).limit(1)) is not None


async def around(conn: Connection, registered_limit_id: str, place_id: str, parent_id: str | None,
                 ) -> tuple[int | None, list[int]]:
    """The limit of the parent, if it has one, and those of the children."""
    of_kind = sa.select(limits.c.resource_limit).where(limits.c.registered_limit_id == registered_limit_id)
    above = None if parent_id is None else await db.scalar(conn, of_kind.where(limits.c.project_id == parent_id))
    below = await db.scalars(conn, of_kind.join(projects, projects.c.id == limits.c.project_id).where(
        projects.c.parent_id == place_id))
    return above, below
