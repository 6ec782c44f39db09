"""Flavors of network services: what an administrator offers, by the profiles that make it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import flavor_faults
from pileus.network.model.base import Row, chunks, metadata, rows, standard_columns

flavors = sa.Table(
    "flavor", metadata, *standard_columns("flavor"),
    sa.Column("service_type", sa.String(36), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
)
profiles = sa.Table(
    "service_profile", metadata, *standard_columns("service_profile"),
    sa.Column("driver", sa.String(255), nullable=False),
    sa.Column("metainfo", sa.String(4095), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
)
bindings = sa.Table(
    "flavor_service_profile", metadata,
    sa.Column("flavor_id", sa.String(36), sa.ForeignKey("flavor.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("service_profile_id", sa.String(36), sa.ForeignKey("service_profile.id"), primary_key=True, index=True),
)


class Flavor(Row, frozen=True, kw_only=True):
    service_type: str
    enabled: bool = True


class Profile(Row, frozen=True, kw_only=True):
    driver: str = ""
    metainfo: str = ""
    enabled: bool = True


async def get(conn: Connection, flavor_id: str) -> Flavor:
    row = await db.one(conn, sa.select(flavors).where(flavors.c.id == flavor_id), Flavor)
    if row is None:
        raise flavor_faults.FlavorNotFound(flavor_id=flavor_id)
    return row


async def get_profile(conn: Connection, service_profile_id: str) -> Profile:
    row = await db.one(conn, sa.select(profiles).where(profiles.c.id == service_profile_id), Profile)
    if row is None:
        raise flavor_faults.ProfileNotFound(service_profile_id=service_profile_id)
    return row


async def profiles_of(conn: Connection, flavor_ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    c = bindings.c
    for part in chunks(flavor_ids):
        query = sa.select(c.flavor_id, c.service_profile_id).where(c.flavor_id.in_(part)).order_by(c.service_profile_id)
        for flavor_id, profile_id in await rows(conn, query):
            found[flavor_id].append(profile_id)
    return found
