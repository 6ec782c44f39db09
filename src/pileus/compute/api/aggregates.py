"""os-aggregates: groups of hosts, their metadata, and by that the availability zones."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import times, versions
from pileus.compute.api.server_create import image_of
from pileus.compute.faults import AggregateHasHosts, AggregateHostExists, AggregateHostNotFound, HostNotFound, ZoneInUse
from pileus.compute.guest_spec import as_image
from pileus.compute.messages import EnsureImage
from pileus.compute.model import aggregates, hosts
from pileus.compute.model.aggregates import ZONE, Aggregate
from pileus.compute.model.hosts import Host
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

routes = Routes()
ALL, ONE = "/v2.1/os-aggregates", "/v2.1/os-aggregates/{aggregate_id}"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[a-zA-Z0-9-_:. ]{1,255}$")]


def _rule(name: str) -> Rule:
    return Rule(f"os_compute_api:os-aggregates:{name}", ADMIN)


class AggregateCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text
    zone: Text | None = msgspec.field(name="availability_zone", default=None)


class AggregateUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text | UnsetType = UNSET
    zone: Text | None | UnsetType = msgspec.field(name="availability_zone", default=UNSET)


class NamedHost(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    host: Text


class NewMetadata(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    metadata: dict[Key, Annotated[str, msgspec.Meta(max_length=255)] | None]


class AggregateView(msgspec.Struct, kw_only=True):
    id: int
    name: str
    zone: str | None = msgspec.field(name="availability_zone")
    created_at: str
    updated_at: str | None
    deleted_at: str | None = None
    deleted: bool = False
    hosts: list[str] | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    uuid: Annotated[str, since(versions.AGGREGATE_UUID)]


def view(aggregate: Aggregate, *, whole: bool = True) -> AggregateView:
    return AggregateView(
        id=aggregate.number, name=aggregate.name, zone=aggregate.zone, uuid=aggregate.id,
        created_at=times.iso_micro(aggregate.created_at) or "", updated_at=times.iso_micro(aggregate.updated_at),
        hosts=list(aggregate.hosts) if whole else UNSET, metadata=aggregate.metadata if whole else UNSET)


def _named(text: str, field: str) -> str:
    """Blanks around a name were refused before 2.1 and are cut since."""
    if not (kept := text.strip()) or field == ZONE and ":" in kept:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {text}.")
    return kept


@routes.get(ALL, envelope="aggregates", policy=_rule("index"))
async def list_aggregates(ctx: Ctx) -> Page[AggregateView]:
    async with ctx.db.read() as reader:
        return Page([view(each) for each in await aggregates.every(reader)])


@routes.post(ALL, status=200, envelope="aggregate", policy=_rule("create"))
async def create_aggregate(ctx: Ctx, body: AggregateCreate) -> AggregateView:
    metadata = {ZONE: _named(body.zone, ZONE)} if body.zone is not None else {}
    new = Aggregate(id=new_uuid(), name=_named(body.name, "name"), metadata=metadata, created_at=ctx.clock())
    async with ctx.db.write() as tx:
        await aggregates.add(tx, new)
        return view(await aggregates.find_by_id(tx, new.id), whole=False)


@routes.get(ONE, envelope="aggregate", policy=_rule("show"))
async def show_aggregate(ctx: Ctx, aggregate_id: str) -> AggregateView:
    async with ctx.db.read() as reader:
        return view(await aggregates.get(reader, aggregate_id))


async def _placed(tx: Connection, names: tuple[str, ...]) -> list[Host]:
    found = {host.name: host for host in await hosts.every(tx)}
    return [found[name] for name in names if name in found]


async def _must_not_move_servers(tx: Connection, before: Aggregate, zone: str | None, names: tuple[str, ...]) -> None:
    """A host is in one zone, and servers stay in theirs."""
    for other in await aggregates.every(tx):
        if other.id != before.id and other.zone and zone and other.zone != zone and set(other.hosts) & set(names):
            host = sorted(set(other.hosts) & set(names))[0]
            raise ZoneInUse(reason=f"Host {host} already in availability zone {other.zone}")
    if zone != before.zone:
        loads = await hosts.loads(tx)
        for host in await _placed(tx, before.hosts):
            if loads.get(host.name):
                raise BadRequest(reason="Cannot update aggregate: one or more hosts contain instances in this zone")


@routes.put(ONE, envelope="aggregate", policy=_rule("update"))
async def update_aggregate(ctx: Ctx, aggregate_id: str, body: AggregateUpdate) -> AggregateView:
    if body.name is UNSET and body.zone is UNSET:
        raise BadRequest(reason="Invalid input: a name or an availability_zone is needed.")
    async with ctx.db.write() as tx:
        before = await aggregates.get(tx, aggregate_id)
        metadata = dict(before.metadata)
        if body.zone is None:
            metadata.pop(ZONE, None)
        elif body.zone is not UNSET:
            metadata[ZONE] = _named(body.zone, ZONE)
        await _must_not_move_servers(tx, before, metadata.get(ZONE), before.hosts)
        name = _named(body.name, "name") if isinstance(body.name, str) else before.name
        await aggregates.change(tx, before, ctx.clock(), name=name, metadata=metadata)
        return view(await aggregates.get(tx, aggregate_id))


@routes.delete(ONE, status=200, policy=_rule("delete"))
async def delete_aggregate(ctx: Ctx, aggregate_id: str) -> None:
    async with ctx.db.write() as tx:
        found = await aggregates.get(tx, aggregate_id)
        if found.hosts:
            raise AggregateHasHosts(aggregate_id=aggregate_id)
        await aggregates.remove(tx, found)


@routes.action(f"{ONE}/action", "add_host", status=200, envelope="aggregate", policy=_rule("add_host"))
async def add_host(ctx: Ctx, aggregate_id: str, body: NamedHost) -> AggregateView:
    async with ctx.db.write() as tx:
        found = await aggregates.get(tx, aggregate_id)
        if await hosts.find(tx, body.host) is None:
            raise HostNotFound(host=body.host)
        if body.host in found.hosts:
            raise AggregateHostExists(host=body.host, aggregate_id=aggregate_id)
        await _must_not_move_servers(tx, found, found.zone, (body.host,))
        await aggregates.add_host(tx, found, body.host)
        await aggregates.change(tx, found, ctx.clock())
        return view(await aggregates.get(tx, aggregate_id))


@routes.action(f"{ONE}/action", "remove_host", status=200, envelope="aggregate", policy=_rule("remove_host"))
async def remove_host(ctx: Ctx, aggregate_id: str, body: NamedHost) -> AggregateView:
    async with ctx.db.write() as tx:
        found = await aggregates.get(tx, aggregate_id)
        if body.host not in found.hosts:
            raise AggregateHostNotFound(host=body.host, aggregate_id=aggregate_id)
        await aggregates.remove_host(tx, found, body.host)
        await aggregates.change(tx, found, ctx.clock())
        return view(await aggregates.get(tx, aggregate_id))


@routes.action(f"{ONE}/action", "set_metadata", status=200, envelope="aggregate", policy=_rule("set_metadata"))
async def set_metadata(ctx: Ctx, aggregate_id: str, body: NewMetadata) -> AggregateView:
    """A null takes the key away."""
    async with ctx.db.write() as tx:
        found = await aggregates.get(tx, aggregate_id)
        wanted = {key: value for key, value in (found.metadata | body.metadata).items() if value is not None}
        await _must_not_move_servers(tx, found, wanted.get(ZONE), found.hosts)
        await aggregates.change(tx, found, ctx.clock(), metadata=wanted)
        return view(await aggregates.get(tx, aggregate_id))


class CachedImage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f-]{36}$")]


@routes.post(f"{ONE}/images", status=202, envelope="cache", window=since(versions.AGGREGATE_IMAGES),
             policy=Rule("compute:aggregates:images", ADMIN))
async def cache_images(ctx: Ctx, aggregate_id: str, body: list[CachedImage]) -> None:
    """Have the hosts fetch the images now, and not when the first server needs them."""
    async with ctx.db.read() as reader:
        found = await aggregates.get(reader, aggregate_id)
    for each in body:
        image = await image_of(ctx, each.id, None)
        for host in found.hosts:
            await ctx.app.bus.cast(EnsureImage(image=as_image(image)), host=host)
