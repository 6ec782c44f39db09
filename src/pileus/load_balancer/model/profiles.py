"""Flavors and availability zones, and the profiles that say what they mean to the provider."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.load_balancer.model.tables import flavor_profiles, flavors, zone_profiles, zones

NOBODYS = "00000000-0000-0000-0000-000000000000"      # of what was made for nobody in particular


class FlavorProfile(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    provider_name: str
    flavor_data: str                    # JSON, as it was given
    created_at: float
    generation: int = 1


class ZoneProfile(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    provider_name: str
    availability_zone_data: str         # JSON, as it was given
    created_at: float
    generation: int = 1


class Flavor(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str = ""
    enabled: bool = True
    flavor_profile_id: str
    created_at: float
    generation: int = 1


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """Users know it by its name alone."""

    id: str
    name: str
    description: str = ""
    enabled: bool = True
    availability_zone_profile_id: str
    created_at: float
    generation: int = 1


async def data_of_flavor(conn: Connection, flavor_id: str | None) -> dict[str, Any]:
    """What a flavor asks of the provider; without one, nothing."""
    if flavor_id is None:
        return {}
    row = await db.one(conn, sa.select(flavor_profiles).join(
        flavors, flavors.c.flavor_profile_id == flavor_profiles.c.id).where(flavors.c.id == flavor_id), FlavorProfile)
    return msgspec.json.decode(row.flavor_data) if row else {}


async def hosts_of_zone(conn: Connection, name: str | None) -> list[str] | None:
    """Those that a zone consists of; None: all."""
    if name is None:
        return None
    row = await db.one(conn, sa.select(zone_profiles).join(
        zones, zones.c.availability_zone_profile_id == zone_profiles.c.id).where(zones.c.name == name), ZoneProfile)
    return msgspec.json.decode(row.availability_zone_data).get("hosts") if row else None
