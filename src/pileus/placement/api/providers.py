"""/resource_providers"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from pileus.kit import policy
from pileus.kit.ids import is_uuid, new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.placement import candidates, faults, queries, versions
from pileus.placement.api.root import Link, Uuid, http_time, mounted
from pileus.placement.columns import Columns, Entry
from pileus.placement.model import names, providers
from pileus.placement.model.providers import Provider


class ProviderCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    uuid: Uuid | None = None
    parent_provider_uuid: Annotated[Uuid | None, since(versions.NESTED)] = None


class ProviderUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    parent_provider_uuid: Annotated[Uuid | None | msgspec.UnsetType, since(versions.NESTED)] = msgspec.UNSET


class ProviderQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str | None = None
    uuid: str | None = None
    member_of: Annotated[list[str], since(versions.LIST_MEMBER_OF)] = []
    resources: Annotated[str | None, since(versions.LIST_RESOURCES)] = None
    in_tree: Annotated[str | None, since(versions.NESTED)] = None
    required: Annotated[list[str], since(versions.LIST_REQUIRED)] = []


class ProviderView(msgspec.Struct, kw_only=True):
    uuid: str
    name: str
    generation: int
    links: list[Link]
    parent_provider_uuid: Annotated[str | None, since(versions.NESTED)] = None
    root_provider_uuid: Annotated[str | None, since(versions.NESTED)] = None


_LINKS = (("inventories", versions.LEDGER.oldest), ("usages", versions.LEDGER.oldest),
          ("aggregates", versions.AGGREGATES), ("traits", versions.TRAITS), ("allocations", versions.ALLOCATION_LINK))


def view(ctx: Ctx, provider: Provider | Entry) -> ProviderView:
    href = mounted(ctx, f"/resource_providers/{provider.id}")
    links = [Link(rel="self", href=href)]
    links += [Link(rel=rel, href=f"{href}/{rel}") for rel, first in _LINKS if ctx.version >= first]
    return ProviderView(uuid=provider.id, name=provider.name, generation=provider.generation, links=links,
                        parent_provider_uuid=provider.parent_id, root_provider_uuid=provider.root_id)


routes = Routes()


@routes.get("/resource_providers", envelope="resource_providers",
            policy=Rule("placement:resource_providers:list", policy.ADMIN_OR_SERVICE))
async def list_providers(ctx: Ctx, query: ProviderQuery) -> list[ProviderView]:
    group = _group(query, ctx)
    async with ctx.db.read() as reader:
        await names.must_know_classes(reader, group.resources)
        await names.must_know_traits(reader, group.traits.names())
    columns: Columns = ctx.app.columns
    await columns.refresh()
    return [view(ctx, columns.entries[row]) for row in _matching(columns, query, group)]


def _group(query: ProviderQuery, ctx: Ctx) -> queries.Group:
    if query.uuid is not None and not is_uuid(query.uuid):
        raise faults.BadQuery(reason=f"Invalid query string parameters: '{query.uuid}' is not a 'uuid'")
    wanted, forbidden = queries.member_of(query.member_of, ctx.version)
    return queries.Group(
        resources=queries.resources(query.resources) if query.resources is not None else {},
        traits=queries.traits(query.required, ctx.version), aggregates=wanted, forbidden_aggregates=forbidden,
        in_tree=queries.tree_of([query.in_tree] if query.in_tree is not None else []))


def _matching(columns: Columns, query: ProviderQuery, group: queries.Group) -> list[int]:
    mask = candidates.allowed_by(columns, group, whole_tree=False) & candidates.with_traits(columns, group.traits)
    for resource_class, amount in group.resources.items():
        mask = mask & columns.fits(resource_class, amount)
    if query.uuid is not None:
        row = columns.row_of.get(query.uuid)
        return [row] if row is not None and mask[row] and query.name in (None, columns.entries[row].name) else []
    rows = np.flatnonzero(mask).tolist()
    return rows if query.name is None else [row for row in rows if columns.entries[row].name == query.name]


@routes.post("/resource_providers", policy=Rule("placement:resource_providers:create", policy.ADMIN_OR_SERVICE))
async def create_provider(ctx: Ctx, body: ProviderCreate) -> ProviderView | None:
    provider_id = body.uuid or new_uuid()
    async with ctx.db.write() as tx:
        parent_id = body.parent_provider_uuid
        root_id = await providers.hold_root_of(tx, parent_id) if parent_id else provider_id
        provider = Provider(id=provider_id, name=body.name, parent_id=parent_id, root_id=root_id,
                            updated_at=ctx.clock())
        await providers.add(tx, provider)
    ctx.headers["location"] = ctx.base_url + f"/resource_providers/{provider_id}"
    if ctx.version >= versions.CREATED_BODY:
        return view(ctx, provider)
    ctx.status = 201
    return None


@routes.get("/resource_providers/{uuid}", policy=Rule("placement:resource_providers:show", policy.ADMIN_OR_SERVICE))
async def show_provider(ctx: Ctx, uuid: str) -> ProviderView:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
    if ctx.version >= versions.CACHE_HEADERS:
        ctx.headers["last-modified"] = http_time(provider.updated_at)
    return view(ctx, provider)


@routes.put("/resource_providers/{uuid}", policy=Rule("placement:resource_providers:update", policy.ADMIN_OR_SERVICE))
async def update_provider(ctx: Ctx, uuid: str, body: ProviderUpdate) -> ProviderView:
    async with ctx.db.write() as tx:
        provider = await providers.get(tx, uuid)
        if body.name != provider.name:
            await providers.change_name(tx, provider, body.name, ctx.clock())
        moved = await _move(ctx, tx, provider, body.parent_provider_uuid)
        await providers.mark(tx, [uuid, *moved])
        return view(ctx, await providers.get(tx, uuid))


async def _move(ctx: Ctx, tx: Any, provider: Provider, parent_id: str | msgspec.UnsetType | None) -> list[str]:
    if isinstance(parent_id, msgspec.UnsetType) or parent_id == provider.parent_id:
        return []
    if ctx.version < versions.REPARENT and provider.parent_id is not None:
        raise faults.BadRequest(reason=f"Unable to save resource provider {provider.id}: re-parenting a provider is"
                                " not currently allowed.")
    return await providers.change_parent(tx, provider, parent_id)


@routes.delete("/resource_providers/{uuid}",
               policy=Rule("placement:resource_providers:delete", policy.ADMIN_OR_SERVICE))
async def delete_provider(ctx: Ctx, uuid: str) -> None:
    async with ctx.db.write() as tx:
        await providers.remove(tx, uuid)
