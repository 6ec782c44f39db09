"""Flavors of load balancers, and the profiles that say what they mean to the provider."""

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
from pileus.load_balancer.api.providers import FLAVOR as KNOWN
from pileus.load_balancer.api.shapes import BASE, Id, Text, given, same
from pileus.load_balancer.faults import NameTaken, NoSuch
from pileus.load_balancer.model import tables
from pileus.load_balancer.model.profiles import Flavor, FlavorProfile

routes = Routes()
PATH = f"{BASE}/flavorprofiles"
PROFILES = Listing("flavorprofiles", tables.flavor_profiles, FlavorProfile, "id")
FLAVORS = Listing("flavors", tables.flavors, Flavor, "id")


class FlavorProfileCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text
    provider_name: Text
    flavor_data: str


class FlavorProfileUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text | UnsetType = UNSET
    provider_name: Text | UnsetType = UNSET
    flavor_data: str | UnsetType = UNSET


class FlavorProfileView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    provider_name: str
    flavor_data: str


class FlavorCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text
    description: Text | None = None
    enabled: bool | None = True
    flavor_profile_id: Id


class FlavorUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text | UnsetType = UNSET
    description: Text | None | UnsetType = UNSET
    enabled: bool | None | UnsetType = UNSET


class FlavorView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    description: str
    enabled: bool
    flavor_profile_id: str


def profile_view(row: FlavorProfile) -> FlavorProfileView:
    return FlavorProfileView(**same(row, FlavorProfileView))


async def get_profile(conn: Connection, profile_id: str) -> FlavorProfile:
    return await described.get(conn, tables.flavor_profiles, FlavorProfile, "Flavorprofile", profile_id)



async def get_flavor(conn: Connection, flavor_id: str) -> Flavor:
    return await described.get(conn, tables.flavors, Flavor, "Flavor", flavor_id)


PROFILE, FLAVOR = target(get_profile), target(get_flavor)



@routes.get(PATH, envelope="flavorprofiles", policy=policies.admin("flavor-profile", "get_all"))
async def list_profiles(ctx: Ctx, query: Query) -> Page[FlavorProfileView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, PROFILES, query)
        return Page([profile_view(row) for row in found.rows], extra=found.links)


@routes.get(f"{PATH}/{{profile_id}}", envelope="flavorprofile", target=PROFILE,
            policy=policies.admin("flavor-profile", "get_one"))
async def show_profile(ctx: Ctx, profile: FlavorProfile) -> FlavorProfileView:
    return profile_view(profile)


@routes.post(PATH, envelope="flavorprofile", status=201, policy=policies.admin("flavor-profile", "post"))
async def create_profile(ctx: Ctx, body: FlavorProfileCreate) -> FlavorProfileView:
    row = FlavorProfile(id=new_uuid(), name=body.name, provider_name=known_provider(body.provider_name),
                 created_at=ctx.clock(), flavor_data=checked_data(body.flavor_data, KNOWN, "flavor_data"))
    async with ctx.db.write() as tx:
        await db.add(tx, tables.flavor_profiles, row)
    return profile_view(row)


@routes.put(f"{PATH}/{{profile_id}}", envelope="flavorprofile", target=PROFILE,
            policy=policies.admin("flavor-profile", "put"))
async def update_profile(ctx: Ctx, profile: FlavorProfile, body: FlavorProfileUpdate) -> FlavorProfileView:
    values = given(body)
    if "flavor_data" in values:
        values["flavor_data"] = checked_data(values["flavor_data"], KNOWN, "flavor_data")
    known_provider(values.get("provider_name", profile.provider_name))
    async with ctx.db.write() as tx:
        if values.keys() - {"name"}:
            await must_be_free(tx, tables.flavors.c.flavor_profile_id, "Flavorprofile", profile.id)
        return profile_view(await db.change(tx, tables.flavor_profiles, profile, **values))


@routes.delete(f"{PATH}/{{profile_id}}", target=PROFILE, policy=policies.admin("flavor-profile", "delete"))
async def delete_profile(ctx: Ctx, profile: FlavorProfile) -> None:
    async with ctx.db.write() as tx:
        await must_be_free(tx, tables.flavors.c.flavor_profile_id, "Flavorprofile", profile.id)
        await tx.execute(tables.flavor_profiles.delete().where(tables.flavor_profiles.c.id == profile.id))


@routes.get(f"{BASE}/flavors", envelope="flavors", policy=policies.anybody("flavor", "get_all"))
async def list_flavors(ctx: Ctx, query: Query) -> Page[FlavorView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, FLAVORS, query)
        return Page([FlavorView(**same(row, FlavorView)) for row in found.rows], extra=found.links)


@routes.get(f"{BASE}/flavors/{{flavor_id}}", envelope="flavor", target=FLAVOR,
            policy=policies.anybody("flavor", "get_one"))
async def show_flavor(ctx: Ctx, flavor: Flavor) -> FlavorView:
    return FlavorView(**same(flavor, FlavorView))


@routes.post(f"{BASE}/flavors", envelope="flavor", status=201, policy=policies.admin("flavor", "post"))
async def create_flavor(ctx: Ctx, body: FlavorCreate) -> FlavorView:
    row = Flavor(id=new_uuid(), name=body.name, description=body.description or "", enabled=body.enabled is not False,
                 flavor_profile_id=body.flavor_profile_id, created_at=ctx.clock())
    async with ctx.db.write() as tx:
        if not await in_use(tx, tables.flavor_profiles.c.id, body.flavor_profile_id):
            raise NoSuch(what="Flavorprofile", id=body.flavor_profile_id)
        await described.add(tx, tables.flavors, row, "Flavor")
    return FlavorView(**same(row, FlavorView))


@routes.put(f"{BASE}/flavors/{{flavor_id}}", envelope="flavor", target=FLAVOR,
            policy=policies.admin("flavor", "put"))
async def update_flavor(ctx: Ctx, flavor: Flavor, body: FlavorUpdate) -> FlavorView:
    async with ctx.db.write() as tx:
        try:
            row = await db.change(tx, tables.flavors, flavor, **values_of(body))
        except db.Taken as error:
            raise NameTaken(what="Flavor", name=body.name) from error
    return FlavorView(**same(row, FlavorView))


@routes.delete(f"{BASE}/flavors/{{flavor_id}}", target=FLAVOR, policy=policies.admin("flavor", "delete"))
async def delete_flavor(ctx: Ctx, flavor: Flavor) -> None:
    async with ctx.db.write() as tx:
        await must_be_free(tx, tables.load_balancers.c.flavor_id, "Flavor", flavor.id)
        await tx.execute(tables.flavors.delete().where(tables.flavors.c.id == flavor.id))
