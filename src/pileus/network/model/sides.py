"""What views tell out of small tables, in one statement: tags, and what is shared with whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.network.model import rbac, security_groups
from pileus.network.model.base import chunks, rows, tags
from pileus.network.model.networks import networks

TAG, SHARED, PROJECT, POLICY = range(4)


class Sides(msgspec.Struct):
    """`projects` are those of the ones asked for that have a default security group; `policies` those of networks
    that have one."""

    tags: dict[str, list[str]] = msgspec.field(default_factory=lambda: defaultdict(list))
    shared: set[str] = set()
    projects: set[str] = set()
    policies: dict[str, str] = {}


async def sides(conn: Connection, ids: Iterable[str], *, shared: sa.Select[tuple[str]] | None = None,
                projects: Iterable[str] = (), policies_of: Iterable[str] = ()) -> Sides:
    """`shared` selects ids out of the RBAC policies."""
    found, more = Sides(), []
    if shared is not None:
        policies = shared.subquery()
        more.append(sa.select(policies.c.object_id, sa.literal(""), sa.literal(SHARED)))
    if wanted := sorted(projects):
        known = security_groups.projects.c.id
        more.append(sa.select(known, sa.literal(""), sa.literal(PROJECT)).where(known.in_(wanted)))
    if of_networks := sorted(policies_of):
        c = networks.c
        more.append(sa.select(c.id, c.qos_policy_id, sa.literal(POLICY)).where(
            c.id.in_(of_networks), c.qos_policy_id.is_not(None)))
    for part in list(chunks(ids)) or [[]]:
        query = sa.select(tags.c.resource_id, tags.c.tag, sa.literal(TAG)).where(tags.c.resource_id.in_(part))
        for row_id, tag, kind in await rows(conn, sa.union_all(query, *more)):
            if kind == TAG:
                found.tags[row_id].append(tag)
            elif kind == POLICY:
                found.policies[row_id] = tag
            else:
                (found.shared if kind == SHARED else found.projects).add(row_id)
        more = []
    for own in found.tags.values():
        own.sort()
    return found


def shared_at_all(ids: Iterable[str]) -> sa.Select[tuple[str]]:
    return sa.select(rbac.policies.c.object_id).where(rbac.policies.c.object_id.in_(list(ids)))
