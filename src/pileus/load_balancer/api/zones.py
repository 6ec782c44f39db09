"""Availability zones of load balancers, and the profiles that say which hosts they consist of."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.load_balancer.api import described, lists, policies
from pileus.load_balancer.api.described import checked_data, in_use, known_provider, must_be_free, target, values_of
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.providers import ZONE as KNOWN
from pileus.load_balancer.api.shapes import BASE, Id, Text, given, same
from pileus.load_balancer.faults import NoSuch
from pileus.load_balancer.model import tables
from pileus.load_balancer.model.profiles import Zone, ZoneProfile

routes = Routes()
TITLE = "Availability Zone Profile"
RESOURCE, PROFILE_KEY = "availability-zone-profile", "availability_zone_profile"
PATH = f"{BASE}/availabilityzoneprofiles"
PROFILES = Listing("availability_zone_profiles", tables.zone_profiles, ZoneProfile, "id")
ZONES = Listing("availability_zones", tables.zones, Zone, "name")


class ZoneProfileCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text
    provider_name: Text
    availability_zone_data: str


class ZoneProfileUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text | UnsetType = UNSET
    provider_name: Text | UnsetType = UNSET
    availability_zone_data: str | UnsetType = UNSET


class ZoneProfileView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    provider_name: str
    availability_zone_data: str


class ZoneCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text
    description: Text | None = None
    enabled: bool | None = True
    availability_zone_profile_id: Id


class ZoneUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    description: Text | None | UnsetType = UNSET
    enabled: bool | None | UnsetType = UNSET


class ZoneView(msgspec.Struct, kw_only=True):
    name: str
    description: str
    enabled: bool
    availability_zone_profile_id: str


def profile_view(row: ZoneProfile) -> ZoneProfileView:
    return ZoneProfileView(**same(row, ZoneProfileView))


def _data(text: str) -> str:
    return checked_data(text, KNOWN, "availability_zone_data")


async def get_profile(conn: Connection, profile_id: str) -> ZoneProfile:
    return await described.get(conn, tables.zone_profiles, ZoneProfile, TITLE, profile_id)



async def get_zone(conn: Connection, zone_name: str) -> Zone:
    return await described.get(conn, tables.zones, Zone, "Availability Zone", zone_name, "name")


PROFILE, AVAILABILITY_ZONE = target(get_profile), target(get_zone)



@routes.get(PATH, envelope="availability_zone_profiles", policy=policies.admin(RESOURCE, "get_all"))
async def list_profiles(ctx: Ctx, query: Query) -> Page[ZoneProfileView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, PROFILES, query)
        return Page([profile_view(row) for row in found.rows], extra=found.links)


@routes.get(f"{PATH}/{{profile_id}}", envelope=PROFILE_KEY, target=PROFILE,
            policy=policies.admin(RESOURCE, "get_one"))
async def show_profile(ctx: Ctx, profile: ZoneProfile) -> ZoneProfileView:
    return profile_view(profile)


@routes.post(PATH, envelope=PROFILE_KEY, status=201, policy=policies.admin(RESOURCE, "post"))
async def create_profile(ctx: Ctx, body: ZoneProfileCreate) -> ZoneProfileView:
    row = ZoneProfile(id=new_uuid(), name=body.name, provider_name=known_provider(body.provider_name),
                 created_at=ctx.clock(), availability_zone_data=_data(body.availability_zone_data))
    async with ctx.db.write() as tx:
        await db.add(tx, tables.zone_profiles, row)
    return profile_view(row)


@routes.put(f"{PATH}/{{profile_id}}", envelope=PROFILE_KEY, target=PROFILE,
            policy=policies.admin(RESOURCE, "put"))
async def update_profile(ctx: Ctx, profile: ZoneProfile, body: ZoneProfileUpdate) -> ZoneProfileView:
    values = given(body)
    if "availability_zone_data" in values:
        values["availability_zone_data"] = _data(values["availability_zone_data"])
    known_provider(values.get("provider_name", profile.provider_name))
    async with ctx.db.write() as tx:
        if values.keys() - {"name"}:
            await must_be_free(tx, tables.zones.c.availability_zone_profile_id, TITLE, profile.id)
        return profile_view(await db.change(tx, tables.zone_profiles, profile, **values))


@routes.delete(f"{PATH}/{{profile_id}}", target=PROFILE, policy=policies.admin(RESOURCE, "delete"))
async def delete_profile(ctx: Ctx, profile: ZoneProfile) -> None:
    async with ctx.db.write() as tx:
        await must_be_free(tx, tables.zones.c.availability_zone_profile_id, TITLE, profile.id)
        await tx.execute(tables.zone_profiles.delete().where(tables.zone_profiles.c.id == profile.id))


@routes.get(f"{BASE}/availabilityzones", envelope="availability_zones",
            policy=policies.anybody("availability-zone", "get_all"))
async def list_zones(ctx: Ctx, query: Query) -> Page[ZoneView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, ZONES, query)
        return Page([ZoneView(**same(row, ZoneView)) for row in found.rows], extra=found.links)


@routes.get(f"{BASE}/availabilityzones/{{zone_name}}", envelope="availability_zone", target=AVAILABILITY_ZONE,
            policy=policies.anybody("availability-zone", "get_one"))
async def show_zone(ctx: Ctx, zone: Zone) -> ZoneView:
    return ZoneView(**same(zone, ZoneView))


@routes.post(f"{BASE}/availabilityzones", envelope="availability_zone", status=201,
             policy=policies.admin("availability-zone", "post"))
async def create_zone(ctx: Ctx, body: ZoneCreate) -> ZoneView:
    row = Zone(id=new_uuid(), name=body.name, description=body.description or "", enabled=body.enabled is not False,
               availability_zone_profile_id=body.availability_zone_profile_id, created_at=ctx.clock())
    async with ctx.db.write() as tx:
        if not await in_use(tx, tables.zone_profiles.c.id, body.availability_zone_profile_id):
            raise NoSuch(what=TITLE, id=body.availability_zone_profile_id)
        await described.add(tx, tables.zones, row, "Availability Zone")
    return ZoneView(**same(row, ZoneView))


@routes.put(f"{BASE}/availabilityzones/{{zone_name}}", envelope="availability_zone", target=AVAILABILITY_ZONE,
            policy=policies.admin("availability-zone", "put"))
async def update_zone(ctx: Ctx, zone: Zone, body: ZoneUpdate) -> ZoneView:
    async with ctx.db.write() as tx:
        row = await db.change(tx, tables.zones, zone, **values_of(body))
    return ZoneView(**same(row, ZoneView))


@routes.delete(f"{BASE}/availabilityzones/{{zone_name}}", target=AVAILABILITY_ZONE,
               policy=policies.admin("availability-zone", "delete"))
async def delete_zone(ctx: Ctx, zone: Zone) -> None:
    async with ctx.db.write() as tx:
        await must_be_free(tx, tables.load_balancers.c.availability_zone, "Availability Zone", zone.name)
        await tx.execute(tables.zones.delete().where(tables.zones.c.id == zone.id))
