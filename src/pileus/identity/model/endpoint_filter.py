"""Which endpoints a project is shown: those it was given, one by one or by groups; without any, all."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.catalog import Endpoint
from pileus.identity.model.tables import (
    endpoint_groups,
    endpoints,
    policy_associations,
    project_endpoint_groups,
    project_endpoints,
)
from pileus.kit import db
from pileus.kit.db import Connection

FILTERS = ("service_id", "region_id", "interface")


class EndpointGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints that are as every one of `filters` says."""

    id: str
    name: str
    description: str | None = None
    filters: dict[str, str] = {}
    generation: int = 1

    def holds(self, endpoint: Endpoint) -> bool:
        return all(getattr(endpoint, name) == value for name, value in self.filters.items())


class Association(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    policy_id: str
    endpoint_id: str | None = None
    service_id: str | None = None
    region_id: str | None = None


async def get_group(conn: Connection, endpoint_group_id: str) -> EndpointGroup:
    row = await db.one(conn, sa.select(endpoint_groups).where(
        endpoint_groups.c.id == endpoint_group_id), EndpointGroup)
    if row is None:
        raise Missing(kind="endpoint group", id=endpoint_group_id)
    return row


async def groups_of(conn: Connection, project_id: str) -> list[EndpointGroup]:
    query = sa.select(endpoint_groups).join(
        project_endpoint_groups, project_endpoint_groups.c.endpoint_group_id == endpoint_groups.c.id)
    return await db.many(conn, query.where(project_endpoint_groups.c.project_id == project_id).order_by(
        endpoint_groups.c.id), EndpointGroup)


async def shown(conn: Connection, enabled: list[Endpoint]) -> dict[str, frozenset[str]]:
    """For every project that is not shown everything: the ids of the endpoints it is shown."""
    found: dict[str, set[str]] = {}
    for row in await conn.execute(sa.select(project_endpoints.c.project_id, project_endpoints.c.endpoint_id)):
        found.setdefault(row.project_id, set()).add(row.endpoint_id)
    groups = {group.id: {endpoint.id for endpoint in enabled if group.holds(endpoint)}
              for group in await db.many(conn, sa.select(endpoint_groups), EndpointGroup)}
    for row in await conn.execute(sa.select(
            project_endpoint_groups.c.project_id, project_endpoint_groups.c.endpoint_group_id)):
        found.setdefault(row.project_id, set()).update(groups.get(row.endpoint_group_id, ()))
    return {project_id: frozenset(ids) for project_id, ids in found.items()}


async def endpoints_of(conn: Connection, project_id: str) -> list[Endpoint]:
    """Given one by one, and by groups."""
    every = await db.many(conn, sa.select(endpoints).order_by(endpoints.c.id), Endpoint)
    direct = set(await db.scalars(conn, sa.select(project_endpoints.c.endpoint_id).where(
        project_endpoints.c.project_id == project_id)))
    groups = await groups_of(conn, project_id)
    return [each for each in every if each.id in direct or any(group.holds(each) for group in groups)]


# -- stored policies of endpoints -------------------------------------------------------------------------------------


def subject_of(*, endpoint_id: str | None = None, service_id: str | None = None, region_id: str | None = None) -> str:
    if endpoint_id is not None:
        return f"endpoint:{endpoint_id}"
    return f"service:{service_id}" + (f":{region_id}" if region_id is not None else "")


async def association(conn: Connection, subject: str) -> Association | None:
    return await db.one(conn, sa.select(policy_associations).where(
        policy_associations.c.subject == subject), Association)


async def associations(conn: Connection) -> list[Association]:
    return await db.many(conn, sa.select(policy_associations), Association)


async def associate(tx: Connection, wanted: Association) -> None:
    """A policy takes the place of the one that was there."""
    await tx.execute(policy_associations.delete().where(policy_associations.c.subject == wanted.subject))
    await db.add(tx, policy_associations, wanted)


def deciding(found: dict[str, str], endpoint: Endpoint, parents: dict[str, str | None]) -> str | None:
    """Id of the policy of an endpoint: its own, else its service's in the nearest region, else its service's.
    `found` are policy ids by subject, `parents` the regions above regions."""
    subjects, region = [subject_of(endpoint_id=endpoint.id)], endpoint.region_id
    while region is not None:
        subjects.append(subject_of(service_id=endpoint.service_id, region_id=region))
        region = parents.get(region)
    subjects.append(subject_of(service_id=endpoint.service_id))
    return next((found[subject] for subject in subjects if subject in found), None)
