"""/v2.0/floatingips/{id}/port_forwardings: several guests behind the ports of one floating IP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api import floating_ips, listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import MaybeText, app
from pileus.network.model import base, port_forwardings, routers
from pileus.network.model.port_forwardings import PortForwarding
from pileus.network.model.routers import FloatingIp

routes = Routes()
Number = Annotated[int, msgspec.Meta(ge=1, le=65535)]
MaybeNumber = Number | UnsetType | None
Span = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,5}(:[0-9]{1,5})?$")] | UnsetType | None


class ForwardingUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    internal_port_id: str | UnsetType = UNSET
    internal_ip_address: str | UnsetType | None = UNSET
    internal_port: MaybeNumber = UNSET
    internal_port_range: Span = UNSET
    external_port: MaybeNumber = UNSET
    external_port_range: Span = UNSET
    protocol: Literal["tcp", "udp", "sctp", "dccp"] | UnsetType = UNSET
    description: MaybeText = UNSET


class ForwardingCreate(ForwardingUpdate, kw_only=True, forbid_unknown_fields=True):
    project_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET


class ForwardingView(msgspec.Struct, kw_only=True):
    id: str
    internal_port_id: str
    internal_ip_address: str
    internal_port: int | None
    internal_port_range: str
    external_port: int | None
    external_port_range: str
    protocol: str
    description: str
    revision_number: int


def view(row: PortForwarding) -> ForwardingView:
    single = row.external_port == row.external_last
    return ForwardingView(
        id=row.id, internal_port_id=row.internal_port_id,
        internal_ip_address=row.internal_ip_address, internal_port=row.internal_port if single else None,
        internal_port_range=f"{row.internal_port}:{row.internal_last}",
        external_port=row.external_port if single else None,
        external_port_range=f"{row.external_port}:{row.external_last}", protocol=row.protocol,
        description=row.description, revision_number=row.generation)


FORWARDING = Target(port_forwardings.get, missing=faults.PortForwardingNotFound)
LISTING = Listing(
    collection="port_forwardings", table=port_forwardings.port_forwardings, row=PortForwarding,
    columns=listing.columns_of(port_forwardings.port_forwardings, "internal_last", "external_last", "name"))
ALL = "/v2.0/floatingips/{floatingip_id}/port_forwardings"
ONE = ALL + "/{port_forwarding_id}"


@routes.get(ALL, envelope="port_forwardings", target=floating_ips.TARGET,
            policy=Rule("get_floatingip_port_forwarding", READER))
async def list_forwardings(ctx: Ctx, floating: FloatingIp, query: Query) -> Page[ForwardingView]:
    async with ctx.db.read() as reader:
        mine = port_forwardings.port_forwardings.c.floatingip_id == floating.id
        found = await listing.fetch(ctx, reader, LISTING, query, mine)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(ONE, envelope="port_forwarding", target=FORWARDING,
            policy=Rule("get_floatingip_port_forwarding", READER))
async def show_forwarding(ctx: Ctx, forwarding: PortForwarding) -> ForwardingView:
    return view(forwarding)


@routes.post(ALL, envelope="port_forwarding", bulk="port_forwardings", status=201, target=floating_ips.TARGET,
             policy=Rule("create_floatingip_port_forwarding", MEMBER))
async def create_forwardings(ctx: Ctx, floating: FloatingIp, body: list[ForwardingCreate]) -> list[ForwardingView]:
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        floating = await routers.lock_floating_ip(tx, floating.id)
        if floating.port_id is not None:
            raise faults.FloatingIpInUse(floatingip_id=floating.id)
        for each in body:
            blank = PortForwarding(
                id=new_uuid(), project_id=floating.project_id, created_at=now, updated_at=now,
                floatingip_id=floating.id, internal_port_id="", internal_ip_address="", internal_port=0,
                internal_last=0, external_port=0, external_last=0, protocol="",
                description="" if each.description is UNSET else each.description or "")
            row, floating = await _checked(ctx, tx, floating, blank, each)
            await _add(tx, row)
            made.append(row)
        await base.bump(tx, routers.floating_ips, floating.id, now)
        app(ctx).changed(tx)
    return [view(row) for row in made]


async def _add(tx: Connection, row: PortForwarding) -> None:
    try:
        await db.add(tx, port_forwardings.port_forwardings, row)
    except db.Taken as error:
        raise db.Collision(str(error)) from error


def _numbers(number: MaybeNumber, span: Span, before: tuple[int, int], name: str) -> tuple[int, int]:
    if isinstance(number, int) and isinstance(span, str) and span not in (f"{number}", f"{number}:{number}"):
        raise faults.InvalidInput(reason=f"{name} and {name}_range say different things")
    if isinstance(span, str):
        first, _, last = span.partition(":")
        found = int(first), int(last or first)
    elif isinstance(number, int):
        found = number, number
    else:
        found = before
    if not 1 <= found[0] <= found[1] <= 65535:
        raise faults.InvalidInput(reason=f"{name} must be given, from 1 to 65535")
    return found


async def _checked(ctx: Ctx, tx: Connection, floating: FloatingIp, before: PortForwarding,
                   body: ForwardingUpdate) -> tuple[PortForwarding, FloatingIp]:
    """The row as it shall be, and the floating IP, which has a router from its first forwarding on."""
    inside = _numbers(body.internal_port, body.internal_port_range, (before.internal_port, before.internal_last),
                      "internal_port")
    outside = _numbers(body.external_port, body.external_port_range, (before.external_port, before.external_last),
                       "external_port")
    if inside[1] - inside[0] != outside[1] - outside[0]:
        raise faults.InvalidInput(reason="The ranges of internal and external ports differ in length")
    protocol = before.protocol if body.protocol is UNSET else body.protocol
    port_id = before.internal_port_id if body.internal_port_id is UNSET else body.internal_port_id
    if not protocol or not port_id:
        raise faults.InvalidInput(reason="protocol and internal_port_id must be given")
    asked = floating_ips.FloatingIpUpdate(port_id=port_id)
    if isinstance(body.internal_ip_address, str):
        asked.fixed_ip_address = body.internal_ip_address
    elif port_id == before.internal_port_id:
        asked.fixed_ip_address = before.internal_ip_address
    chosen = await floating_ips.inside(ctx, tx, floating, asked)
    if floating.router_id is None:
        floating = await base.change(tx, routers.floating_ips, floating, ctx.clock(), router_id=chosen["router_id"])
    elif floating.router_id != chosen["router_id"]:
        raise faults.InvalidInput(reason=f"The port is behind another router than floating IP {floating.id}")
    row = msgspec.structs.replace(
        before, internal_port_id=port_id, internal_ip_address=chosen["fixed_ip_address"], internal_port=inside[0],
        internal_last=inside[1], external_port=outside[0], external_last=outside[1], protocol=protocol)
    await _must_not_overlap(tx, row)
    return row, floating


async def _must_not_overlap(tx: Connection, row: PortForwarding) -> None:
    """The floating IP is held, so nobody adds another one meanwhile."""
    c = port_forwardings.port_forwardings.c
    same = sa.select(c.id).where(c.id != row.id, c.protocol == row.protocol)
    outside = same.where(c.floatingip_id == row.floatingip_id, c.external_port <= row.external_last,
                         c.external_last >= row.external_port)
    inside = same.where(c.floatingip_id == row.floatingip_id, c.internal_port_id == row.internal_port_id,
                        c.internal_ip_address == row.internal_ip_address, c.internal_port <= row.internal_last,
                        c.internal_last >= row.internal_port)
    for query in (outside, inside):
        if (other := await db.scalar(tx, query.limit(1))) is not None:
            raise faults.PortForwardingTaken(other=other)


@routes.put(ONE, envelope="port_forwarding", target=FORWARDING,
            policy=Rule("update_floatingip_port_forwarding", MEMBER))
async def update_forwarding(ctx: Ctx, forwarding: PortForwarding, body: ForwardingUpdate) -> ForwardingView:
    async with ctx.db.write() as tx:
        floating = await routers.lock_floating_ip(tx, forwarding.floatingip_id)
        after, floating = await _checked(ctx, tx, floating, forwarding, body)
        values: dict[str, Any] = {name: getattr(after, name) for name in (
            "internal_port_id", "internal_ip_address", "internal_port", "internal_last", "external_port",
            "external_last", "protocol")}
        if body.description is not UNSET:
            values["description"] = body.description or ""
        row = await base.change(tx, port_forwardings.port_forwardings, forwarding, ctx.clock(), **values)
        await base.bump(tx, routers.floating_ips, floating.id, ctx.clock())
        app(ctx).changed(tx)
    return view(row)


@routes.delete(ONE, target=FORWARDING, policy=Rule("delete_floatingip_port_forwarding", MEMBER))
async def delete_forwarding(ctx: Ctx, forwarding: PortForwarding) -> None:
    c, now = port_forwardings.port_forwardings.c, ctx.clock()
    async with ctx.db.write() as tx:
        floating = await routers.lock_floating_ip(tx, forwarding.floatingip_id)
        await base.remove(tx, port_forwardings.port_forwardings, forwarding.id)
        left = await db.scalar(tx, sa.select(c.id).where(c.floatingip_id == floating.id).limit(1))
        if left is None:
            await base.change(tx, routers.floating_ips, floating, now, router_id=None, status="DOWN")
        else:
            await base.bump(tx, routers.floating_ips, floating.id, now)
        app(ctx).changed(tx)
