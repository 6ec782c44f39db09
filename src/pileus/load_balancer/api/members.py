"""/v2.0/lbaas/pools/{pool_id}/members"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import lists, policies
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.shapes import (
    BASE,
    Changed,
    Created,
    Id,
    PartView,
    PortNumber,
    add,
    alter,
    app,
    begin,
    changed,
    created,
    going,
    hidden_from_nobody,
    must_fit,
    of_part,
    same,
    unsupported,
)
from pileus.load_balancer.faults import Invalid, MemberTaken, Missing, NoSuch
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import LoadBalancer, Member, Pool

routes = Routes()
MEMBERS = Listing("members", tables.members, Member)
PATH = f"{BASE}/pools/{{pool_id}}/members"
Weight = Annotated[int, msgspec.Meta(ge=0, le=256)]
VNIC_TYPES = ("normal", "direct")


class MemberCreate(Created, kw_only=True, forbid_unknown_fields=True):
    address: str
    protocol_port: PortNumber
    weight: Weight | None = 1
    backup: bool | None = False
    subnet_id: Id | None = None
    monitor_address: str | None = None
    monitor_port: PortNumber | None = None
    vnic_type: str | None = None
    request_sriov: bool | None = None


class MemberUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    weight: Weight | None | UnsetType = UNSET
    backup: bool | None | UnsetType = UNSET
    monitor_address: str | None | UnsetType = UNSET
    monitor_port: PortNumber | None | UnsetType = UNSET


class MemberView(PartView, kw_only=True):
    address: str
    protocol_port: int
    weight: int
    backup: bool
    subnet_id: str | None
    monitor_address: str | None
    monitor_port: int | None
    vnic_type: str


def view(row: Member) -> MemberView:
    return MemberView(**same(row, MemberView) | of_part(row))


async def get_pool(conn: Connection, pool_id: str) -> Pool:
    return await rows.get(conn, Pool, pool_id)


async def get_member(conn: Connection, pool_id: str, member_id: str) -> Member:
    row = await rows.find(conn, Member, member_id)
    if row is None or row.pool_id != pool_id:
        raise Missing(what=Member.title, id=member_id)
    return row


POOL = Target(get_pool, missing=Missing, hidden=hidden_from_nobody)
MEMBER = Target(get_member, missing=Missing, hidden=hidden_from_nobody)


def address_of(text: str | None, field: str) -> str | None:
    """In the one way to write it. Raises Invalid."""
    if text is None:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        raise Invalid(reason=f"Invalid input for field/attribute {field}. Value: '{text}'. "
                             f"Value should be IPv4 or IPv6 format") from None


async def networks_of(ctx: Ctx, bodies: Sequence[MemberCreate]) -> dict[str, str]:
    """The network of each subnet that members are said to be in. Raises NoSuch."""
    asking, found = app(ctx).network.as_caller(ctx.caller.token), {}
    for subnet_id in sorted({body.subnet_id for body in bodies if body.subnet_id}):
        subnet = await asking.subnet(subnet_id)
        if subnet is None:
            raise NoSuch(what="Subnet", id=subnet_id)
        found[subnet_id] = subnet.network_id
    return found


def new_member(ctx: Ctx, body: MemberCreate, pool: Pool, networks: Mapping[str, str]) -> Member:
    if body.vnic_type not in (None, *VNIC_TYPES):
        raise Invalid(reason=f"{body.vnic_type} is not a valid vnic_type")
    ip = ip_address(address_of(body.address, "address") or "")
    if ip.is_loopback or ip.is_unspecified or ip.is_multicast:
        raise Invalid(reason=f"{body.address} is no address that a member may have")
    address_of(body.monitor_address, "monitor_address")
    return Member(
        id=new_uuid(), **created(ctx, body, pool.project_id), pool_id=pool.id, address=body.address, ip=str(ip),
        protocol_port=body.protocol_port, weight=1 if body.weight is None else body.weight,
        backup=bool(body.backup), subnet_id=body.subnet_id, network_id=networks.get(body.subnet_id or ""),
        monitor_address=body.monitor_address, monitor_port=body.monitor_port,
        vnic_type=body.vnic_type or "normal")


async def add_member(ctx: Ctx, tx: Connection, row: Member, pool: Pool) -> Member:
    """Raises Unsupported, MemberTaken and QuotaMet."""
    if pool.protocol == "UDP":
        balancer = await rows.get(tx, LoadBalancer, pool.load_balancer_id)
        if not any((":" in vip) == (":" in row.ip) for vip in balancer.vips):
            raise unsupported(f"{row.address} as a member of a UDP pool, for the VIP is of the other IP version")
    await add(ctx, tx, row, MemberTaken(address=row.address, port=row.protocol_port))
    return row


@routes.get(PATH, envelope="members", target=POOL, policy=policies.listed("member"))
async def list_members(ctx: Ctx, pool: Pool, query: Query) -> Page[MemberView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, MEMBERS, query, tables.members.c.pool_id == pool.id)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(f"{PATH}/{{member_id}}", envelope="member", target=MEMBER, policy=policies.read("member"))
async def show_member(ctx: Ctx, member: Member) -> MemberView:
    return view(member)


@routes.post(PATH, envelope="member", target=POOL, status=201, policy=policies.write("member", "post"))
async def create_member(ctx: Ctx, pool: Pool, body: MemberCreate) -> MemberView:
    networks = await networks_of(ctx, [body])
    async with ctx.db.write() as tx:
        await begin(ctx, tx, pool.load_balancer_id)
        return view(await add_member(ctx, tx, new_member(ctx, body, pool, networks), pool))


@routes.put(f"{PATH}/{{member_id}}", envelope="member", target=MEMBER, policy=policies.write("member", "put"))
async def update_member(ctx: Ctx, member: Member, body: MemberUpdate) -> MemberView:
    values = _changes(body)
    async with ctx.db.write() as tx:
        await begin(ctx, tx, (await rows.get(tx, Pool, member.pool_id)).load_balancer_id)
        return view(await alter(ctx, tx, member, values))


def _changes(body: MemberUpdate) -> dict[str, Any]:
    values = changed(body)
    address_of(values.get("monitor_address"), "monitor_address")
    for name, usual in (("weight", 1), ("backup", False)):
        if name in values and values[name] is None:
            values[name] = usual
    return values


@routes.delete(f"{PATH}/{{member_id}}", target=MEMBER, policy=policies.write("member", "delete"))
async def delete_member(ctx: Ctx, member: Member) -> None:
    async with ctx.db.write() as tx:
        await begin(ctx, tx, (await rows.get(tx, Pool, member.pool_id)).load_balancer_id)
        await going(tx, await rows.get(tx, Member, member.id))


class BatchQuery(msgspec.Struct, kw_only=True):
    additive_only: bool = False


class Batch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    members: list[MemberCreate]


@routes.put(PATH, target=POOL, status=202, policy=policies.write("member", "put"))
async def replace_members(ctx: Ctx, pool: Pool, body: Batch, query: BatchQuery) -> None:
    """The pool has these members: those that it has stay and change, others are made, and others deleted unless more
    are only to be added."""
    networks = await networks_of(ctx, body.members)
    wanted = {(row.ip, row.protocol_port): (row, each) for each in body.members
              for row in [new_member(ctx, each, pool, networks)]}
    if len(wanted) < len(body.members):
        raise Invalid(reason="a member is in the list twice")
    async with ctx.db.write() as tx:
        await begin(ctx, tx, pool.load_balancer_id)
        have = {(row.ip, row.protocol_port): row for row in await rows.of(tx, Member, "pool_id", [pool.id])}
        if not query.additive_only:
            await going(tx, *(row for place, row in have.items() if place not in wanted))
        await must_fit(ctx, tx, Member, pool.project_id, len(wanted.keys() - have.keys()))
        for place, (row, each) in wanted.items():
            if place in have:
                await alter(ctx, tx, have[place], _said(row, each))
            else:
                await add_member(ctx, tx, row, pool)


def _said(row: Member, body: MemberCreate) -> dict[str, Any]:
    """What the body says of a member that is there; what it does not say stays."""
    usual = {field.name: field.default for field in msgspec.structs.fields(MemberCreate)}
    names = ("name", "admin_state_up", "tags", "weight", "backup", "monitor_address", "monitor_port")
    return {name: getattr(row, name) for name in names if getattr(body, name) != usual[name]}
