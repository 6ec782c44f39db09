"""/v2.0/networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, promises, segments, subnet_rules
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW, MEMBER, PROVIDER
from pileus.network.api.qos import may_change, must_have
from pileus.network.api.shapes import (
    Changed,
    MaybeBool,
    ProjectId,
    Standard,
    app,
    check_revision,
    given,
    must_allow,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import base, networks, qos, quotas, rbac, routers, security_groups
from pileus.network.model.networks import Network
from pileus.network.model.ports import DHCP, ROUTER_GATEWAY, Port, ports, with_allocations
from pileus.network.model.sides import sides
from pileus.network.model.subnets import addresses, of_network, subnets

routes = Routes()
MaybeNumber = (Annotated[int, msgspec.Meta(ge=0, le=16777215)]
               | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,8}$")] | None | UnsetType)
Mtu = Annotated[int, msgspec.Meta(ge=0, le=65535)] | None | UnsetType


class NetworkUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    """An absent field leaves things as they are."""

    admin_state_up: MaybeBool = UNSET
    shared: MaybeBool = UNSET
    external: MaybeBool = msgspec.field(name="router:external", default=UNSET)
    is_default: MaybeBool = UNSET
    mtu: Mtu = UNSET
    port_security_enabled: MaybeBool = UNSET
    dns_domain: Annotated[str, msgspec.Meta(max_length=255)] | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET
    network_type: str | None | UnsetType = msgspec.field(name="provider:network_type", default=UNSET)
    physical_network: str | None | UnsetType = msgspec.field(name="provider:physical_network", default=UNSET)
    segmentation_id: MaybeNumber = msgspec.field(name="provider:segmentation_id", default=UNSET)


class NetworkCreate(NetworkUpdate, kw_only=True, forbid_unknown_fields=True):
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET
    id: str | UnsetType = UNSET
    availability_zone_hints: list[str] = []


class NetworkView(Standard, kw_only=True):
    status: str
    admin_state_up: bool
    shared: bool
    external: bool = msgspec.field(name="router:external")
    is_default: bool | UnsetType = UNSET
    mtu: int
    port_security_enabled: bool
    dns_domain: str
    qos_policy_id: str | None
    subnets: list[str]
    availability_zones: list[str] = []
    availability_zone_hints: list[str] = []
    ipv4_address_scope: str | None = None
    ipv6_address_scope: str | None = None
    network_type: str | UnsetType = msgspec.field(name="provider:network_type", default=UNSET)
    physical_network: str | None | UnsetType = msgspec.field(name="provider:physical_network", default=UNSET)
    segmentation_id: int | None | UnsetType = msgspec.field(name="provider:segmentation_id", default=UNSET)


def view(row: Network, inside: networks.Inside, tags: list[str], *, provider: bool,
         shared: bool | None = None) -> NetworkView:
    shown: dict[str, Any] = {}
    if provider:
        shown = {"network_type": row.network_type, "physical_network": row.physical_network,
                 "segmentation_id": row.segmentation_id}
    return NetworkView(
        **standard(row, tags), **shown, status="ACTIVE", admin_state_up=row.admin_state_up,
        shared=row.shared if shared is None else shared,
        external=row.external, is_default=row.is_default if row.external else UNSET, mtu=row.mtu,
        port_security_enabled=row.port_security_enabled, dns_domain=row.dns_domain,
        qos_policy_id=row.qos_policy_id, subnets=inside.subnet_ids,
        availability_zones=["nova"], ipv4_address_scope=inside.scopes.get(4), ipv6_address_scope=inside.scopes.get(6))


async def views(ctx: Ctx, conn: Connection, rows: Sequence[Network]) -> list[NetworkView]:
    ids = [row.id for row in rows]
    foreign = [row.id for row in rows if not row.shared and row.project_id != ctx.caller.project_id]
    given_to = rbac.granted("network", ctx.caller.project_id, rbac.SHARED).where(rbac.policies.c.object_id.in_(foreign))
    inside = await networks.inside(conn, ids)
    beside = await sides(conn, ids, shared=given_to if foreign else None)
    provider = ctx.allows("get_network:provider:network_type")
    return [view(row, inside[row.id], beside.tags[row.id], provider=provider,
                 shared=row.shared or row.id in beside.shared) for row in rows]


def facts(row: Network) -> dict[str, Any]:
    return {"project_id": row.project_id, "shared": row.shared, "router:external": row.external}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    if sees_all(ctx):
        return None
    c, mine = networks.networks.c, ctx.caller.project_id or ""
    return sa.or_(c.project_id == mine, c.id.in_(rbac.granted("network", mine)))


async def granted(reader: Connection, row: Network, caller: Caller) -> bool:
    return await rbac.is_given(reader, "network", row.id, caller.project_id)


NETWORK = Target(networks.get, missing=faults.NetworkNotFound, facts=facts, granted=granted)
LISTING = Listing(
    collection="networks", table=networks.networks, row=Network,
    columns=listing.columns_of(networks.networks, "segment", external="router:external",
                               network_type="provider:network_type", physical_network="provider:physical_network",
                               segmentation_id="provider:segmentation_id"),
    filters={"subnets": lambda ids: networks.networks.c.id.in_(
                 sa.select(subnets.c.network_id).where(subnets.c.id.in_(ids))),
             "status": lambda values: sa.true() if "ACTIVE" in values else sa.false()})


@routes.get("/v2.0/networks", envelope="networks", policy=Rule("get_network", GRANTED_SHOW))
async def list_networks(ctx: Ctx, query: Query) -> Page[NetworkView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(ctx, reader, found.rows), extra=found.links)


@routes.get("/v2.0/networks/{network_id}", envelope="network", target=NETWORK,
            policy=Rule("get_network", GRANTED_SHOW))
async def show_network(ctx: Ctx, network: Network) -> NetworkView:
    async with ctx.db.read() as reader:
        return (await views(ctx, reader, [network]))[0]


@routes.post("/v2.0/networks", envelope="network", bulk="networks", status=201,
             policy=Rule("create_network", MEMBER))
async def create_networks(ctx: Ctx, body: list[NetworkCreate]) -> list[NetworkView]:
    config, now = app(ctx).config, ctx.clock()
    for each in body:
        _may_set(ctx, each, "create_network", None)
    owners = [owner(ctx, each) for each in body]
    async with ctx.db.write() as tx:
        for project_id in sorted(set(owners)):
            await security_groups.project(tx, project_id, now)
            await quotas.must_have_room(tx, project_id, config.quotas, "network", owners.count(project_id))
        await must_have(ctx, tx, (each.qos_policy_id for each in body))
        usual = {project_id: await qos.default_for(tx, project_id) for project_id in set(owners)}
        rows = [_row(ctx, each, project_id, now) for each, project_id in zip(body, owners, strict=True)]
        rows = [row if each.qos_policy_id is not UNSET else msgspec.structs.replace(
            row, qos_policy_id=usual[row.project_id]) for row, each in zip(rows, body, strict=True)]
        rows = await segments.numbered(tx, config, rows)
        for row in rows:
            await _must_be_free(tx, row)
        try:
            await db.add(tx, networks.networks, *rows)
        except db.Taken as error:
            raise db.Collision(str(error)) from error
        for row in rows:
            if row.shared or row.external:
                await _settle_sharing(tx, row, now)
        app(ctx).changed(tx)
    provider = ctx.allows("get_network:provider:network_type")
    return [view(row, networks.Inside(), [], provider=provider) for row in rows]


def _may_set(ctx: Ctx, body: NetworkUpdate, verb: str, target: dict[str, Any] | None) -> None:
    """Attributes with a rule of their own. What only states the default is no request."""
    named = {"shared": body.shared, "router:external": body.external, "is_default": body.is_default}
    for name, value in named.items():
        if value is True or value is False and target is not None:
            must_allow(ctx, f"{verb}:{name}", target)
    for name, value in zip(PROVIDER, (body.network_type, body.physical_network, body.segmentation_id), strict=True):
        if value is not UNSET and value is not None:
            must_allow(ctx, f"{verb}:{name}", target)


def _row(ctx: Ctx, body: NetworkCreate, project_id: str, now: float) -> Network:
    config = app(ctx).config
    kind = body.network_type or ("flat" if body.physical_network else "vxlan")
    physical, number = body.physical_network or None, body.segmentation_id
    number = None if number is UNSET or number is None else int(number)
    segments.must_be_sound(config, kind, physical, number)
    most = config.overlay_mtu if kind == "vxlan" else config.underlay_mtu
    values = texts(given(body))
    for name in ("network_type", "physical_network", "segmentation_id", "mtu", "id", "availability_zone_hints"):
        values.pop(name, None)
    return Network(id=body.id or new_uuid(), project_id=project_id, created_at=now, updated_at=now,
                   mtu=_mtu(body.mtu, most), network_type=kind, physical_network=physical, segmentation_id=number,
                   **values)


def _mtu(asked: int | None | UnsetType, most: int) -> int:
    if not asked:
        return most
    if asked > most:
        raise faults.InvalidInput(reason=f"Requested MTU is too big, maximum is {most}")
    return asked


async def _must_be_free(tx: Connection, row: Network) -> None:
    if await db.scalars(tx, segments.USED, segments=[row.segment]):
        raise faults.SegmentInUse(segment=row.segment)


@routes.put("/v2.0/networks/{network_id}", envelope="network", target=NETWORK, policy=Rule("update_network", MEMBER))
async def update_network(ctx: Ctx, network: Network, body: NetworkUpdate) -> NetworkView:
    check_revision(ctx, network)
    _may_set(ctx, body, "update_network", facts(network))
    values = texts(given(body))
    if "mtu" in values:
        config = app(ctx).config
        most = config.overlay_mtu if network.network_type == "vxlan" else config.underlay_mtu
        values["mtu"] = _mtu(values["mtu"], most)
    for name in ("network_type", "physical_network", "segmentation_id"):
        if name in values and str(values.pop(name)) != str(getattr(network, name)):
            raise faults.InvalidInput(reason="Plugin does not support updating the following provider network "
                                             f"attributes: {name}")
    if body.qos_policy_id in (UNSET, network.qos_policy_id):
        return await _update(ctx, network, values)
    async with ctx.db.read() as reader:
        await may_change(ctx, reader, network.qos_policy_id, body.qos_policy_id or None)
        follow = await with_allocations(reader, network.id)
    async with promises.kept(ctx, network, [(port, body.qos_policy_id or None) for port in follow]) as profiles:
        return await _update(ctx, network, values, [(port, profiles[port.id]) for port in follow])


async def _update(ctx: Ctx, network: Network, values: dict[str, Any],
                  profiles: Sequence[tuple[Port, dict[str, Any]]] = ()) -> NetworkView:
    async with ctx.db.write() as tx:
        await _may_become(tx, network, values)
        if "mtu" in values:
            versions = {subnet.ip_version for subnet in await of_network(tx, network.id)}
            subnet_rules.check_mtu(values["mtu"], sorted(versions))
        for port, profile in profiles:
            await base.change(tx, ports, port, ctx.clock(), profile=profile)
        row = await base.change(tx, networks.networks, network, ctx.clock(), **values) if values else network
        if values.keys() & {"shared", "external"}:
            await _settle_sharing(tx, row, ctx.clock())
        app(ctx).changed(tx)
        return (await views(ctx, tx, [row]))[0]


async def _settle_sharing(tx: Connection, row: Network, now: float) -> None:
    """The policies that say the same as the two columns."""
    for wanted, action in ((row.shared, rbac.SHARED), (row.external, rbac.EXTERNAL)):
        if wanted:
            await rbac.share_with_all(tx, "network", row, action, now)
        else:
            await rbac.share_no_more(tx, row.id, action)


async def _may_become(tx: Connection, network: Network, values: dict[str, Any]) -> None:
    of_network = ports.c.network_id == network.id
    if network.external and values.get("external") is False:
        await _drop_spare_floating_ips(tx, network)
    if network.external and values.get("external") is False:
        used = sa.select(ports.c.id).where(of_network, ports.c.device_owner.in_((ROUTER_GATEWAY, "network:floatingip")))
        if await db.scalar(tx, used.limit(1)) is not None:
            raise faults.ExternalNetworkInUse(network_id=network.id)
    if network.shared and values.get("shared") is False:
        foreign = sa.select(ports.c.id).where(
            of_network, ports.c.project_id.not_in((network.project_id, "")), ~ports.c.device_owner.like("network:%"))
        if await db.scalar(tx, foreign.limit(1)) is not None:
            raise faults.InvalidSharedSetting(network_id=network.id)


async def _drop_spare_floating_ips(tx: Connection, network: Network) -> None:
    """Floating IPs that lead nowhere do not keep their network."""
    c = routers.floating_ips.c
    spare = list(await base.rows(tx, sa.select(c.id, c.floating_port_id).where(
        c.floating_network_id == network.id, c.port_id.is_(None), c.router_id.is_(None))))
    for floating_id, port_id in spare:
        await base.remove(tx, routers.floating_ips, floating_id)
        await base.remove(tx, ports, port_id)


@routes.delete("/v2.0/networks/{network_id}", target=NETWORK, policy=Rule("delete_network", MEMBER))
async def delete_network(ctx: Ctx, network: Network) -> None:
    """Its subnets go with it, and the ports that are the cloud's own; anybody else's port keeps it."""
    check_revision(ctx, network)
    async with ctx.db.write() as tx:
        await networks.lock(tx, network.id)
        of_network = ports.c.network_id == network.id
        await _drop_spare_floating_ips(tx, network)
        others = sa.select(ports.c.id).where(of_network, ports.c.device_owner != DHCP)
        if await db.scalar(tx, others.limit(1)) is not None:
            raise faults.NetworkInUse(network_id=network.id)
        mine = sa.select(subnets.c.id).where(subnets.c.network_id == network.id)
        try:
            await tx.execute(addresses.delete().where(addresses.c.subnet_id.in_(mine)))
            await tx.execute(ports.delete().where(of_network, ports.c.device_owner == DHCP))
            await tx.execute(base.tags.delete().where(base.tags.c.resource_id.in_(mine)))
            await tx.execute(subnets.delete().where(subnets.c.network_id == network.id))
            await rbac.forget(tx, network.id)
            await base.remove(tx, networks.networks, network.id)
        except db.Taken as error:
            raise faults.NetworkInUse(network_id=network.id) from error
        app(ctx).changed(tx)
