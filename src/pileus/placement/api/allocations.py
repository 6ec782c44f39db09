"""/allocations and /resource_providers/{uuid}/allocations"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import Window, since
from pileus.kit.web import Ctx
from pileus.placement import faults, versions
from pileus.placement.api.root import Generation, Name, Uuid, must_be_uuid
from pileus.placement.model import allocations, providers
from pileus.placement.model.allocations import UNKNOWN_TYPE, Claim
from pileus.placement.model.inventories import INT32

Amounts = Annotated[dict[Name, Annotated[int, msgspec.Meta(ge=1, le=INT32)]], msgspec.Meta(min_length=1)]
Owner = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Suffix = Annotated[str, msgspec.Meta(pattern="^([a-zA-Z0-9_-]{1,64})?$")]
Mappings = Annotated[dict[Suffix, Annotated[list[Uuid], msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)]


class ProviderRef(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    uuid: Uuid


class ListedAllocation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    resource_provider: ProviderRef
    resources: Amounts


class ListedAllocations(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What clients of before 1.12 write."""

    allocations: Annotated[list[ListedAllocation], msgspec.Meta(min_length=1)]
    project_id: Annotated[Owner | msgspec.UnsetType, since(versions.CLAIM_OWNER)] = msgspec.UNSET
    user_id: Annotated[Owner | msgspec.UnsetType, since(versions.CLAIM_OWNER)] = msgspec.UNSET


class AllocationBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    resources: Amounts
    generation: Annotated[int | msgspec.UnsetType, since(versions.ALLOCATION_OBJECTS)] = msgspec.UNSET


class AllocationsBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    allocations: dict[Uuid, AllocationBody]
    project_id: Owner
    user_id: Owner
    consumer_generation: Annotated[Generation | msgspec.UnsetType | None, since(versions.CONSUMER_GENERATION)] = (
        msgspec.UNSET)
    mappings: Annotated[Mappings | msgspec.UnsetType, since(versions.MAPPINGS)] = msgspec.UNSET
    consumer_type: Annotated[Name | msgspec.UnsetType, since(versions.CONSUMER_TYPES)] = msgspec.UNSET


def claim(ctx: Ctx, body: AllocationsBody, *, may_be_empty: bool) -> Claim:
    if not body.allocations and not may_be_empty:
        raise faults.BadRequest(reason="JSON does not validate: allocations: {} does not have enough properties")
    for first, name in ((versions.CONSUMER_GENERATION, "consumer_generation"),
                        (versions.CONSUMER_TYPES, "consumer_type")):
        if ctx.version >= first and getattr(body, name) is msgspec.UNSET:
            raise faults.BadRequest(reason=f"JSON does not validate: '{name}' is a required property")
    return Claim(
        resources={provider_id: each.resources for provider_id, each in body.allocations.items()},
        project_id=body.project_id, user_id=body.user_id, consumer_type=body.consumer_type or None,
        generation=body.consumer_generation if isinstance(body.consumer_generation, int) else None,
        check_generation=ctx.version >= versions.CONSUMER_GENERATION)


routes = Routes()
ONE = "/allocations/{consumer_uuid}"
UPDATE = Rule("placement:allocations:update", policy.ADMIN_OR_SERVICE)


@routes.get(ONE, policy=Rule("placement:allocations:list", policy.ADMIN_OR_SERVICE))
async def show_allocations(ctx: Ctx, consumer_uuid: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        rows = await allocations.of_consumers(reader, [consumer_uuid])
        consumer = await allocations.consumer(reader, consumer_uuid)
    found: dict[str, Any] = {"allocations": _by(
        (row.provider_id, {"generation": row.generation}, row) for row in rows)}
    if consumer is None or not rows:
        return found
    if ctx.version >= versions.ALLOCATION_OBJECTS:
        found |= {"project_id": consumer.project_id, "user_id": consumer.user_id}
    if ctx.version >= versions.CONSUMER_GENERATION:
        found["consumer_generation"] = consumer.generation
    if ctx.version >= versions.CONSUMER_TYPES:
        found["consumer_type"] = consumer.consumer_type or UNKNOWN_TYPE
    return found


def _by(rows: Iterable[tuple[str, Mapping[str, Any], Any]]) -> dict[str, Any]:
    """Rows (key, what stands beside the resources, row) as objects of resources by key."""
    found: dict[str, Any] = {}
    for key, beside, row in rows:
        found.setdefault(key, {"resources": {}, **beside})["resources"][row.resource_class] = row.used
    return found


@routes.get("/resource_providers/{uuid}/allocations",
            policy=Rule("placement:resource_providers:allocations:list", policy.ADMIN_OR_SERVICE))
async def list_provider_allocations(ctx: Ctx, uuid: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        provider = await providers.get(reader, uuid)
        rows = await allocations.of_provider(reader, uuid)
    with_generation = ctx.version >= versions.CONSUMER_GENERATION
    return {"resource_provider_generation": provider.generation, "allocations": _by(
        (row.consumer_id, {"consumer_generation": row.generation} if with_generation else {}, row) for row in rows)}


@routes.put(ONE, status=204, window=Window(until=versions.ALLOCATION_OBJECTS), policy=UPDATE)
async def set_listed_allocations(ctx: Ctx, consumer_uuid: str, body: ListedAllocations) -> None:
    must_be_uuid(consumer_uuid, "consumer_uuid")
    if ctx.version >= versions.CLAIM_OWNER and msgspec.UNSET in (body.project_id, body.user_id):
        raise faults.BadRequest(reason="JSON does not validate: 'project_id' and 'user_id' are required properties")
    resources = {each.resource_provider.uuid: each.resources for each in body.allocations}
    wanted = Claim(resources=resources, project_id=body.project_id or None, user_id=body.user_id or None,
                   check_generation=False)
    async with ctx.db.write() as tx:
        await allocations.replace(tx, {consumer_uuid: wanted}, ctx.clock())


@routes.put(ONE, status=204, window=since(versions.ALLOCATION_OBJECTS), policy=UPDATE)
async def set_allocations(ctx: Ctx, consumer_uuid: str, body: AllocationsBody) -> None:
    must_be_uuid(consumer_uuid, "consumer_uuid")
    wanted = claim(ctx, body, may_be_empty=ctx.version >= versions.CONSUMER_GENERATION)
    async with ctx.db.write() as tx:
        await allocations.replace(tx, {consumer_uuid: wanted}, ctx.clock())


@routes.post("/allocations", status=204, window=since(versions.POST_ALLOCATIONS),
             policy=Rule("placement:allocations:manage", policy.ADMIN_OR_SERVICE))
async def set_many_allocations(ctx: Ctx, body: Annotated[dict[Uuid, AllocationsBody], msgspec.Meta(min_length=1)],
                               ) -> None:
    wanted = {consumer_id: claim(ctx, each, may_be_empty=True) for consumer_id, each in body.items()}
    async with ctx.db.write() as tx:
        await allocations.replace(tx, wanted, ctx.clock())


@routes.delete(ONE, policy=Rule("placement:allocations:delete", policy.ADMIN_OR_SERVICE))
async def delete_allocations(ctx: Ctx, consumer_uuid: str) -> None:
    async with ctx.db.write() as tx:
        if await allocations.consumer(tx, consumer_uuid) is None:
            raise faults.NoAllocations(consumer_id=consumer_uuid)
        await allocations.replace(tx, {consumer_uuid: Claim(resources={}, check_generation=False)}, ctx.clock())
