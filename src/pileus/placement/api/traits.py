"""/traits and /resource_providers/{uuid}/traits"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db, policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.api.root import Generation, Name
from pileus.placement.model import names, providers
from pileus.placement.model.tables import provider_traits


class TraitsBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    resource_provider_generation: Generation
    traits: list[Name]


class TraitQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str | None = None
    associated: str | None = None


routes = Routes()
SINCE = since(versions.TRAITS)
OF_PROVIDER = "/resource_providers/{uuid}/traits"


@routes.get("/traits", window=SINCE, policy=Rule("placement:traits:list", policy.ADMIN_OR_SERVICE))
async def list_traits(ctx: Ctx, query: TraitQuery) -> dict[str, list[str]]:
    if query.associated is not None and query.associated.lower() not in ("true", "false"):
        raise faults.BadQuery(reason=f"The query parameter 'associated' only accepts 'true' or 'false'. Got:"
                              f" {query.associated}")
    async with ctx.db.read() as reader:
        found = [*names.standard("trait"), *await names.custom(reader, "trait")]
        if query.associated is not None:
            used = set(await db.scalars(reader, sa.select(provider_traits.c.trait).distinct()))
            found = [name for name in found if (name in used) == (query.associated.lower() == "true")]
    return {"traits": _named(found, query.name)}


def _named(found: list[str], text: str | None) -> list[str]:
    if text is None:
        return found
    operator, _, value = text.partition(":")
    if operator == "in":
        wanted = set(value.split(","))
        return [name for name in found if name in wanted]
    if operator == "startswith":
        return [name for name in found if name.startswith(value)]
    raise faults.BadQuery(reason="Badly formatted name parameter. Expected name query string parameter in form:"
                          f" ?name=[in|startswith]:[name1,name2|prefix]. Got: {text}")


@routes.get("/traits/{name}", window=SINCE, status=204, policy=Rule("placement:traits:show", policy.ADMIN_OR_SERVICE))
async def show_trait(ctx: Ctx, name: str) -> None:
    async with ctx.db.read() as reader:
        if not await names.exists(reader, "trait", name):
            raise faults.TraitNotFound(name=name)


@routes.put("/traits/{name}", window=SINCE, status=201,
            policy=Rule("placement:traits:update", policy.ADMIN_OR_SERVICE))
async def ensure_trait(ctx: Ctx, name: str) -> None:
    if not names.CUSTOM.fullmatch(name):
        raise faults.BadRequest(reason=f"The trait is invalid. A valid trait must be no longer than 255 characters,"
                                f" start with the prefix \"CUSTOM_\" and use following characters: \"A\"-\"Z\","
                                f" \"0\"-\"9\" and \"_\". Got: {name}")
    async with ctx.db.write() as tx:
        new = await names.ensure(tx, "trait", name)
    ctx.status = 201 if new else 204
    ctx.headers["location"] = f"{ctx.base_url}/traits/{name}"


@routes.delete("/traits/{name}", window=SINCE, policy=Rule("placement:traits:delete", policy.ADMIN_OR_SERVICE))
async def delete_trait(ctx: Ctx, name: str) -> None:
    async with ctx.db.write() as tx:
        await names.remove(tx, "trait", name)


@routes.get(OF_PROVIDER, window=SINCE,
            policy=Rule("placement:resource_providers:traits:list", policy.ADMIN_OR_SERVICE))
async def list_provider_traits(ctx: Ctx, uuid: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
        return {"traits": await providers.traits_of(reader, uuid), "resource_provider_generation": provider.generation}


@routes.put(OF_PROVIDER, window=SINCE,
            policy=Rule("placement:resource_providers:traits:update", policy.ADMIN_OR_SERVICE))
async def set_provider_traits(ctx: Ctx, uuid: str, body: TraitsBody) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        await providers.get(tx, uuid)
        await names.must_know_traits(tx, body.traits)
        await providers.advance(tx, uuid, body.resource_provider_generation, ctx.clock())
        await providers.set_traits(tx, uuid, body.traits)
        await providers.mark(tx, [uuid])
    return {"traits": sorted(set(body.traits)), "resource_provider_generation": body.resource_provider_generation + 1}


@routes.delete(OF_PROVIDER, window=SINCE,
               policy=Rule("placement:resource_providers:traits:delete", policy.ADMIN_OR_SERVICE))
async def delete_provider_traits(ctx: Ctx, uuid: str) -> None:
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        await providers.advance(tx, uuid, provider.generation, ctx.clock())
        await providers.set_traits(tx, uuid, [])
        await providers.mark(tx, [uuid])
