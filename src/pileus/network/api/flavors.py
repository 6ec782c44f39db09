"""/v2.0/flavors and /v2.0/service_profiles: kinds of network services that an administrator offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import flavor_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.shapes import Id, MaybeText, Text, given, texts
from pileus.network.model import base, flavors
from pileus.network.model.flavors import Flavor, Profile

routes = Routes()
SERVICES = ("FLAVORS", "L3_ROUTER_NAT", "QOS", "METERING", "TRUNK")
MetaInfo = Annotated[str, msgspec.Meta(max_length=4095)]


class FlavorUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text | UnsetType = UNSET
    description: MaybeText = UNSET
    enabled: bool | UnsetType = UNSET


class FlavorCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text = ""
    description: Text | None = ""
    service_type: Text
    enabled: bool = True
    service_profiles: list[Id] = []


class FlavorView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    description: str
    service_type: str
    enabled: bool
    service_profiles: list[str]


class ProfileUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    description: MaybeText = UNSET
    driver: Text | UnsetType = UNSET
    metainfo: MetaInfo | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ProfileView(msgspec.Struct, kw_only=True):
    id: str
    description: str
    driver: str
    metainfo: str
    enabled: bool


class ProfileNamed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: Id


async def views(conn: Connection, rows: Sequence[Flavor]) -> list[FlavorView]:
    bound = await flavors.profiles_of(conn, [row.id for row in rows])
    return [FlavorView(id=row.id, name=row.name, description=row.description, service_type=row.service_type,
                       enabled=row.enabled, service_profiles=bound[row.id]) for row in rows]


def profile_view(row: Profile) -> ProfileView:
    return ProfileView(id=row.id, description=row.description, driver=row.driver, metainfo=row.metainfo,
                       enabled=row.enabled)


FLAVOR = Target(flavors.get, missing=flavor_faults.FlavorNotFound)
PROFILE = Target(flavors.get_profile, missing=flavor_faults.ProfileNotFound)
FLAVORS = Listing(collection="flavors", table=flavors.flavors, row=Flavor,
                  columns=listing.columns_of(flavors.flavors, "project_id"))
PROFILES = Listing(collection="service_profiles", table=flavors.profiles, row=Profile,
                   columns=listing.columns_of(flavors.profiles, "project_id", "name"))
ONE, ONE_PROFILE = "/v2.0/flavors/{flavor_id}", "/v2.0/service_profiles/{service_profile_id}"
BOUND = ONE + "/service_profiles"


@routes.get("/v2.0/flavors", envelope="flavors", policy=Rule("get_flavor", ANYONE))
async def list_flavors(ctx: Ctx, query: Query) -> Page[FlavorView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, FLAVORS, query, None)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="flavor", target=FLAVOR, policy=Rule("get_flavor", ANYONE))
async def show_flavor(ctx: Ctx, flavor: Flavor) -> FlavorView:
    async with ctx.db.read() as reader:
        return (await views(reader, [flavor]))[0]


@routes.post("/v2.0/flavors", envelope="flavor", status=201, policy=Rule("create_flavor", ADMIN))
async def create_flavor(ctx: Ctx, body: FlavorCreate) -> FlavorView:
    if body.service_type not in SERVICES:
        raise flavor_faults.InvalidServiceType(service_type=body.service_type)
    now = ctx.clock()
    row = Flavor(id=new_uuid(), project_id="", name=body.name, description=body.description or "", created_at=now,
                 updated_at=now, service_type=body.service_type, enabled=body.enabled)
    async with ctx.db.write() as tx:
        await db.add(tx, flavors.flavors, row)
        for profile_id in dict.fromkeys(body.service_profiles):
            await _bind(tx, row, profile_id)
        return (await views(tx, [row]))[0]


async def _bind(tx: Connection, flavor: Flavor, profile_id: str) -> Profile:
    profile = await flavors.get_profile(tx, profile_id)
    try:
        await tx.execute(flavors.bindings.insert().values(flavor_id=flavor.id, service_profile_id=profile.id))
    except db.Taken as error:
        raise flavor_faults.ProfileBound(service_profile_id=profile.id, flavor_id=flavor.id) from error
    return profile


@routes.put(ONE, envelope="flavor", target=FLAVOR, policy=Rule("update_flavor", ADMIN))
async def update_flavor(ctx: Ctx, flavor: Flavor, body: FlavorUpdate) -> FlavorView:
    values = texts(given(body))
    async with ctx.db.write() as tx:
        row = await base.change(tx, flavors.flavors, flavor, ctx.clock(), **values) if values else flavor
        return (await views(tx, [row]))[0]


@routes.delete(ONE, target=FLAVOR, policy=Rule("delete_flavor", ADMIN))
async def delete_flavor(ctx: Ctx, flavor: Flavor) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, flavors.flavors, flavor.id)


@routes.post(BOUND, envelope="service_profile", status=201, target=FLAVOR,
             policy=Rule("create_flavor_service_profile", ADMIN))
async def bind_profile(ctx: Ctx, flavor: Flavor, body: ProfileNamed) -> ProfileView:
    async with ctx.db.write() as tx:
        return profile_view(await _bind(tx, flavor, body.id))


@routes.delete(BOUND + "/{service_profile_id}", target=FLAVOR, policy=Rule("delete_flavor_service_profile", ADMIN))
async def unbind_profile(ctx: Ctx, flavor: Flavor, service_profile_id: str) -> None:
    c = flavors.bindings.c
    async with ctx.db.write() as tx:
        if not await db.update(tx, flavors.bindings.delete().where(
                c.flavor_id == flavor.id, c.service_profile_id == service_profile_id)):
            raise flavor_faults.ProfileNotBound(service_profile_id=service_profile_id, flavor_id=flavor.id)


# -- profiles -------------------------------------------------------------------------------


@routes.get("/v2.0/service_profiles", envelope="service_profiles", policy=Rule("get_service_profile", ADMIN))
async def list_profiles(ctx: Ctx, query: Query) -> Page[ProfileView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, PROFILES, query, None)
        return Page([profile_view(row) for row in found.rows], extra=found.links)


@routes.get(ONE_PROFILE, envelope="service_profile", target=PROFILE, policy=Rule("get_service_profile", ADMIN))
async def show_profile(ctx: Ctx, profile: Profile) -> ProfileView:
    return profile_view(profile)


@routes.post("/v2.0/service_profiles", envelope="service_profile", status=201,
             policy=Rule("create_service_profile", ADMIN))
async def create_profile(ctx: Ctx, body: ProfileUpdate) -> ProfileView:
    now = ctx.clock()
    row = Profile(id=new_uuid(), project_id="", created_at=now, updated_at=now, **texts(given(body)))
    _check(row)
    async with ctx.db.write() as tx:
        await db.add(tx, flavors.profiles, row)
    return profile_view(row)


def _check(row: Profile) -> None:
    """A driver would be one of several ways to make a service; there is one of each here, which nobody names."""
    if row.driver:
        raise flavor_faults.ProfileDriverNotFound(driver=row.driver)
    if not row.metainfo:
        raise flavor_faults.ProfileEmpty()


@routes.put(ONE_PROFILE, envelope="service_profile", target=PROFILE, policy=Rule("update_service_profile", ADMIN))
async def update_profile(ctx: Ctx, profile: Profile, body: ProfileUpdate) -> ProfileView:
    values = texts(given(body))
    _check(msgspec.structs.replace(profile, **values))
    async with ctx.db.write() as tx:
        row = await base.change(tx, flavors.profiles, profile, ctx.clock(), **values) if values else profile
        return profile_view(row)


@routes.delete(ONE_PROFILE, target=PROFILE, policy=Rule("delete_service_profile", ADMIN))
async def delete_profile(ctx: Ctx, profile: Profile) -> None:
    try:
        async with ctx.db.write() as tx:
            await base.remove(tx, flavors.profiles, profile.id)
    except db.Taken as error:
        raise flavor_faults.ProfileInUse(service_profile_id=profile.id) from error
