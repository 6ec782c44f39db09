"""/v2.0/trunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import binding, faults, trunk_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import (
    Changed,
    Created,
    Id,
    Standard,
    app,
    check_revision,
    given,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import base, networks, ports, quotas, security_groups, trunks
from pileus.network.model.networks import Network
from pileus.network.model.ports import Port
from pileus.network.model.trunks import Subport, Trunk

routes = Routes()
Kind = Literal["vlan", "inherit"]


class SubportAsked(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`inherit` takes the number of the subport's own network."""

    port_id: Id
    segmentation_type: Kind | None = None
    segmentation_id: int | None = None


class SubportNamed(msgspec.Struct, kw_only=True, frozen=True):
    port_id: Id


class TrunkUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    admin_state_up: bool | UnsetType = UNSET


class TrunkCreate(Created, kw_only=True, forbid_unknown_fields=True):
    port_id: Id
    admin_state_up: bool = True
    sub_ports: list[SubportAsked] | None = None


class SubportsAdd(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    sub_ports: list[SubportAsked]


class SubportsRemove(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    sub_ports: list[SubportNamed]


class SubportView(msgspec.Struct):
    port_id: str
    segmentation_type: str
    segmentation_id: int


class SubportsView(msgspec.Struct):
    sub_ports: list[SubportView]


class TrunkView(Standard, kw_only=True):
    port_id: str
    admin_state_up: bool
    status: str
    sub_ports: list[SubportView]


def subport_views(rows: Iterable[Subport]) -> list[SubportView]:
    return [SubportView(row.port_id, row.segmentation_type, row.segmentation_id) for row in rows]


async def views(conn: Connection, rows: Sequence[Trunk]) -> list[TrunkView]:
    ids = [row.id for row in rows]
    tags, around = await base.tags_of(conn, ids), await trunks.around(conn, ids)
    return [TrunkView(**standard(row, tags[row.id]), port_id=row.port_id, admin_state_up=row.admin_state_up,
                      status=around[row.id].status, sub_ports=subport_views(around[row.id].subports)) for row in rows]


TRUNK = Target(trunks.get, missing=trunk_faults.TrunkNotFound)
LISTING = Listing(collection="trunks", table=trunks.trunks, row=Trunk, columns=listing.columns_of(trunks.trunks))
ONE = "/v2.0/trunks/{trunk_id}"


@routes.get("/v2.0/trunks", envelope="trunks", policy=Rule("get_trunk", READER))
async def list_trunks(ctx: Ctx, query: Query) -> Page[TrunkView]:
    mine = None if sees_all(ctx) else trunks.trunks.c.project_id == (ctx.caller.project_id or "")
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, mine)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="trunk", target=TRUNK, policy=Rule("get_trunk", READER))
async def show_trunk(ctx: Ctx, trunk: Trunk) -> TrunkView:
    async with ctx.db.read() as reader:
        return (await views(reader, [trunk]))[0]


@routes.post("/v2.0/trunks", envelope="trunk", bulk="trunks", status=201, policy=Rule("create_trunk", MEMBER))
async def create_trunks(ctx: Ctx, body: list[TrunkCreate]) -> list[TrunkView]:
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        for each in body:
            project_id = owner(ctx, each)
            await security_groups.project(tx, project_id, now)
            await quotas.must_have_room(tx, project_id, app(ctx).config.quotas, "trunk")
            asked = _complete(each.sub_ports or ())
            row = Trunk(id=new_uuid(), project_id=project_id, name=each.name, description=each.description or "",
                        created_at=now, updated_at=now, port_id=each.port_id, admin_state_up=each.admin_state_up)
            await _add_trunk(ctx, tx, row)
            await _add_subports(ctx, tx, row, asked)
            made.append(row)
        app(ctx).changed(tx)
        return await views(tx, made)


async def _add_trunk(ctx: Ctx, tx: Connection, row: Trunk) -> None:
    """A port that a guest uses already may become a parent, too."""
    parent = (await _ports(ctx, tx, [row.port_id]))[row.port_id]
    await _must_be_free(tx, [parent.id])
    try:
        await db.add(tx, trunks.trunks, row)
    except db.Taken as error:
        raise db.Collision(str(error)) from error
    await base.bump(tx, ports.ports, parent.id, row.created_at)


async def _ports(ctx: Ctx, tx: Connection, ids: Sequence[str]) -> dict[str, Port]:
    """Those of the caller's, or the network's owner's, eyes."""
    found = await ports.by_ids(tx, ids)
    for port_id in ids:
        port = found.get(port_id)
        if port is None or not (sees_all(ctx) or port.project_id == ctx.caller.project_id):
            raise faults.PortNotFound(port_id=port_id)
    return found


async def _must_be_free(tx: Connection, ids: Sequence[str]) -> None:
    for port_id, (trunk_id, is_parent) in (await trunks.tied(tx, ids)).items():
        kind = trunk_faults.PortIsParent if is_parent else trunk_faults.PortIsSubport
        raise kind(port_id=port_id, trunk_id=trunk_id)


def _complete(asked: Sequence[SubportAsked]) -> list[SubportAsked]:
    """What can be said of them without a look at any port."""
    numbers = [one.segmentation_id for one in asked if one.segmentation_type == "vlan"]
    if len(set(numbers)) < len(numbers):
        raise trunk_faults.InvalidSegmentation(reason="a segmentation_id is there more than once")
    return [_numbered_right(one) for one in asked]


def _numbered_right(asked: SubportAsked) -> SubportAsked:
    kind, number = asked.segmentation_type, asked.segmentation_id
    if kind == "inherit":
        return asked
    if kind is None or number is None:
        raise trunk_faults.InvalidSegmentation(
            reason=f"the segmentation type and id of subport {asked.port_id} are required")
    if not 1 <= number <= 4094:
        raise trunk_faults.InvalidSegmentation(reason=f"segmentation_id {number} is not in the range 1 to 4094")
    return asked


def _numbered(asked: SubportAsked, network: Network) -> tuple[str, int]:
    """What the guest has to use."""
    if asked.segmentation_type != "inherit":
        return "vlan", asked.segmentation_id or 0
    if network.network_type != "vlan" or network.segmentation_id is None:
        raise trunk_faults.InvalidSegmentation(
            reason=f"network {network.id} of type {network.network_type} has no VLAN number to inherit")
    return "vlan", network.segmentation_id


async def _add_subports(ctx: Ctx, tx: Connection, trunk: Trunk, asked: Sequence[SubportAsked]) -> None:
    if not asked:
        return
    ids = [one.port_id for one in asked]
    if trunk.port_id in ids:
        raise trunk_faults.PortIsParent(port_id=trunk.port_id, trunk_id=trunk.id)
    known = await _ports(ctx, tx, ids)
    await _must_be_free(tx, ids)
    parent = await ports.get(tx, trunk.port_id)
    nets = await networks.by_ids(tx, {parent.network_id, *(port.network_id for port in known.values())})
    taken = {(sub.segmentation_type, sub.segmentation_id) for sub in await trunks.subports_of(tx, trunk.id)}
    for one in asked:
        port, network = known[one.port_id], nets[known[one.port_id].network_id]
        if port.device_id or port.host:
            raise faults.PortInUse(port_id=port.id, network_id=network.id, device_id=port.device_id)
        kind, number = _numbered(one, network)
        if (kind, number) in taken:
            raise trunk_faults.DuplicateSubport(kind=kind, number=number, trunk_id=trunk.id)
        if network.mtu > (most := nets[parent.network_id].mtu):
            raise trunk_faults.SubportMtuTooBig(mtu=network.mtu, port_id=port.id, most=most, trunk_id=trunk.id)
        taken.add((kind, number))
        row = Subport(port_id=port.id, trunk_id=trunk.id, segmentation_type=kind, segmentation_id=number)
        try:
            await db.add(tx, trunks.subports, row)
        except db.Taken as error:
            raise db.Collision(str(error)) from error
        await _bind(ctx, tx, port, (network, parent.host), trunks.SUBPORT_OWNER)


async def _bind(ctx: Ctx, tx: Connection, port: Port, place: tuple[Network, str], owner: str) -> None:
    """A subport is where its parent is."""
    network, host = place
    values = binding.bound(app(ctx).judge, port, network, host)
    await base.change(tx, ports.ports, port, ctx.clock(), device_owner=owner, **values)


async def follow(ctx: Ctx, tx: Connection, parent: Port) -> None:
    """Bind the subports of a port where it was just bound itself."""
    trunk = await trunks.of_parent(tx, parent.id)
    if trunk is None:
        return
    known = await ports.by_ids(tx, [sub.port_id for sub in await trunks.subports_of(tx, trunk.id)])
    nets = await networks.by_ids(tx, {port.network_id for port in known.values()})
    for _, port in sorted(known.items()):
        await _bind(ctx, tx, port, (nets[port.network_id], parent.host), trunks.SUBPORT_OWNER)


async def must_be_untied(tx: Connection, port_id: str) -> None:
    """Part of no trunk, as what is to be deleted must be."""
    await _must_be_free(tx, [port_id])


@routes.put(ONE, envelope="trunk", target=TRUNK, policy=Rule("update_trunk", MEMBER))
async def update_trunk(ctx: Ctx, trunk: Trunk, body: TrunkUpdate) -> TrunkView:
    check_revision(ctx, trunk)
    values = texts(given(body))
    async with ctx.db.write() as tx:
        row = await base.change(tx, trunks.trunks, trunk, ctx.clock(), **values) if values else trunk
        return (await views(tx, [row]))[0]


@routes.delete(ONE, target=TRUNK, policy=Rule("delete_trunk", MEMBER))
async def delete_trunk(ctx: Ctx, trunk: Trunk) -> None:
    """Its subports are ports of nobody then."""
    check_revision(ctx, trunk)
    async with ctx.db.write() as tx:
        trunk = await _open(tx, trunk.id)
        await _remove(ctx, tx, await trunks.subports_of(tx, trunk.id))
        await base.remove(tx, trunks.trunks, trunk.id)
        await base.bump(tx, ports.ports, trunk.port_id, ctx.clock())
        app(ctx).changed(tx)


async def _open(tx: Connection, trunk_id: str) -> Trunk:
    """Held, and open to changes."""
    trunk = await trunks.lock(tx, trunk_id)
    if not trunk.admin_state_up:
        raise trunk_faults.TrunkDisabled(trunk_id=trunk.id)
    return trunk


async def _remove(ctx: Ctx, tx: Connection, gone: Sequence[Subport]) -> None:
    known = await ports.by_ids(tx, [sub.port_id for sub in gone])
    nets = await networks.by_ids(tx, {port.network_id for port in known.values()})
    for sub in gone:
        await tx.execute(trunks.subports.delete().where(trunks.subports.c.port_id == sub.port_id))
        port = known[sub.port_id]
        await _bind(ctx, tx, port, (nets[port.network_id], ""), "")


@routes.get(f"{ONE}/get_subports", target=TRUNK, policy=Rule("get_subports", READER))
async def get_subports(ctx: Ctx, trunk: Trunk) -> SubportsView:
    async with ctx.db.read() as reader:
        return SubportsView(subport_views(await trunks.subports_of(reader, trunk.id)))


@routes.put(f"{ONE}/add_subports", target=TRUNK, policy=Rule("add_subports", MEMBER))
async def add_subports(ctx: Ctx, trunk: Trunk, body: SubportsAdd) -> TrunkView:
    asked = _complete(body.sub_ports)
    async with ctx.db.write() as tx:
        row = await _open(tx, trunk.id)
        await _add_subports(ctx, tx, row, asked)
        return await _changed(ctx, tx, row)


@routes.put(f"{ONE}/remove_subports", target=TRUNK, policy=Rule("remove_subports", MEMBER))
async def remove_subports(ctx: Ctx, trunk: Trunk, body: SubportsRemove) -> TrunkView:
    async with ctx.db.write() as tx:
        row = await _open(tx, trunk.id)
        have = {sub.port_id: sub for sub in await trunks.subports_of(tx, row.id)}
        for one in body.sub_ports:
            if one.port_id not in have:
                raise trunk_faults.SubportNotFound(trunk_id=row.id, port_id=one.port_id)
        await _remove(ctx, tx, [have[port_id] for port_id in dict.fromkeys(one.port_id for one in body.sub_ports)])
        return await _changed(ctx, tx, row)


async def _changed(ctx: Ctx, tx: Connection, trunk: Trunk) -> TrunkView:
    row: Any = await base.change(tx, trunks.trunks, trunk, ctx.clock(), port_id=trunk.port_id)
    await base.bump(tx, ports.ports, trunk.port_id, ctx.clock())
    app(ctx).changed(tx)
    return (await views(tx, [row]))[0]
