"""/v2.0/subnets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

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
from pileus.network import dhcp, faults, pool_choice, scope_faults, subnet_rules
from pileus.network.addresses import Net, Pool, default_gateway, default_pools, eui64, key_of
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW, NETWORK_OWNER_MEMBER
from pileus.network.api.shapes import (
    Changed,
    Created,
    Id,
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
from pileus.network.model import base, networks, quotas, rbac, security_groups, subnets
from pileus.network.model.networks import Network
from pileus.network.model.ports import DHCP, ROUTER_OWNERS, Port, ports
from pileus.network.model.subnets import Address, HostRoute, Subnet, SubnetPool, addresses

routes = Routes()
Version = Literal[4, 6, "4", "6"]
BEHIND = 1000                # the place of an address that comes after all the others of its port
Mode = str | None | UnsetType
ServiceTypes = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=255)]], msgspec.Meta(max_length=50)]
Prefix = Annotated[int, msgspec.Meta(ge=0, le=128)] | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,3}$")]


class SubnetCreate(Created, kw_only=True, forbid_unknown_fields=True):
    network_id: Id
    ip_version: Version | None = None
    cidr: str | None = None
    gateway_ip: str | None | UnsetType = UNSET
    enable_dhcp: bool = True
    allocation_pools: list[Pool] | None | UnsetType = UNSET
    dns_nameservers: list[str] | None = None
    host_routes: list[HostRoute] | None = None
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None
    subnetpool_id: str | None = None
    use_default_subnetpool: bool = False
    prefixlen: Prefix | None = None
    service_types: ServiceTypes = []


class SubnetUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    gateway_ip: str | None | UnsetType = UNSET
    enable_dhcp: bool | UnsetType = UNSET
    allocation_pools: list[Pool] | UnsetType = UNSET
    dns_nameservers: list[str] | UnsetType = UNSET
    host_routes: list[HostRoute] | UnsetType = UNSET
    service_types: ServiceTypes | UnsetType = UNSET


class SubnetView(Standard, kw_only=True):
    network_id: str
    ip_version: int
    cidr: str
    gateway_ip: str | None
    enable_dhcp: bool
    allocation_pools: list[Pool]
    dns_nameservers: list[str]
    host_routes: list[HostRoute]
    ipv6_ra_mode: str | None
    ipv6_address_mode: str | None
    subnetpool_id: str | None
    service_types: list[str]


class Seen(msgspec.Struct, frozen=True):
    """A subnet with the network that decides who may see it."""

    subnet: Subnet
    network: Network

    @property
    def project_id(self) -> str:
        return self.subnet.project_id


async def seen(conn: Connection, subnet_id: str) -> Seen:
    subnet = await subnets.get(conn, subnet_id)
    return Seen(subnet, await networks.get(conn, subnet.network_id))


def facts(seen: Seen) -> dict[str, Any]:
    return {"project_id": seen.subnet.project_id, "network:project_id": seen.network.project_id,
            "shared": seen.network.shared, "router:external": seen.network.external}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    if sees_all(ctx):
        return None
    c, mine = networks.networks.c, ctx.caller.project_id or ""
    return sa.or_(subnets.subnets.c.project_id == mine, subnets.subnets.c.network_id.in_(
        sa.select(c.id).where(sa.or_(c.project_id == mine, c.id.in_(rbac.granted("network", mine))))))


async def granted(reader: Connection, seen: Seen, caller: Caller) -> bool:
    return await rbac.is_given(reader, "network", seen.network.id, caller.project_id)


SUBNET = Target(seen, missing=faults.SubnetNotFound, facts=facts, granted=granted)
LISTING = Listing(
    collection="subnets", table=subnets.subnets, row=Subnet,
    columns=listing.columns_of(subnets.subnets, "last_given", "allocation_pools", "dns_nameservers", "host_routes",
                               "service_types"),
    filters={"shared": lambda values: subnets.subnets.c.network_id.in_(sa.select(networks.networks.c.id).where(
                 networks.networks.c.shared.in_([value.lower() in ("true", "1") for value in values]))),
             "router:external": lambda values: subnets.subnets.c.network_id.in_(
                 sa.select(networks.networks.c.id).where(
                     networks.networks.c.external.in_([value.lower() in ("true", "1") for value in values])))})


def view(row: Subnet, tags: list[str]) -> SubnetView:
    shown: dict[str, Any] = {name: getattr(row, name) for name in SubnetView.__struct_fields__
                             if name not in Standard.__struct_fields__}
    shown["service_types"] = row.service_types or []
    return SubnetView(**standard(row, tags), **shown)


async def views(conn: Connection, rows: Sequence[Subnet]) -> list[SubnetView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [view(row, tags[row.id]) for row in rows]


@routes.get("/v2.0/subnets", envelope="subnets", policy=Rule("get_subnet", GRANTED_SHOW))
async def list_subnets(ctx: Ctx, query: Query) -> Page[SubnetView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get("/v2.0/subnets/{subnet_id}", envelope="subnet", target=SUBNET, policy=Rule("get_subnet", GRANTED_SHOW))
async def show_subnet(ctx: Ctx, seen: Seen) -> SubnetView:
    async with ctx.db.read() as reader:
        return (await views(reader, [seen.subnet]))[0]


@routes.post("/v2.0/subnets", envelope="subnet", bulk="subnets", status=201, check=False,
             policy=Rule("create_subnet", NETWORK_OWNER_MEMBER))
async def create_subnets(ctx: Ctx, body: list[SubnetCreate]) -> list[SubnetView]:
    config, now = app(ctx).config, ctx.clock()
    owners = [owner(ctx, each) for each in body]
    made = []
    async with ctx.db.write() as tx:
        for project_id in sorted(set(owners)):
            await security_groups.project(tx, project_id, now)
            await quotas.must_have_room(tx, project_id, config.quotas, "subnet", owners.count(project_id))
        for each, project_id in zip(body, owners, strict=True):
            network = await networks.lock(tx, each.network_id)
            await _may_add_to(ctx, tx, network)
            row = await _row(ctx, tx, each, project_id, now)
            subnet_rules.check_mtu(network.mtu, [row.ip_version])
            await db.add(tx, subnets.subnets, row)
            if row.is_auto:
                await _address_ports(tx, row, now)
            if row.enable_dhcp:
                await dhcp.settle(tx, network, config.mac_prefix, now)
            await base.bump(tx, networks.networks, network.id, now)
            made.append(row)
        app(ctx).changed(tx)
    return [view(row, []) for row in made]


async def _may_add_to(ctx: Ctx, tx: Connection, network: Network) -> None:
    target = {"project_id": network.project_id, "network:project_id": network.project_id}
    if not ctx.allows("create_subnet", target):
        if await rbac.is_given(tx, "network", network.id, ctx.caller.project_id):
            must_allow(ctx, "create_subnet", target)
        raise faults.NetworkNotFound(network_id=network.id)


async def _row(ctx: Ctx, tx: Connection, body: SubnetCreate, project_id: str, now: float) -> Subnet:
    asked = None if body.ip_version is None else int(body.ip_version)
    pool = await _pool(ctx, tx, body, project_id)
    cidr = body.cidr
    if pool is not None:
        length = None if body.prefixlen is None else int(body.prefixlen)
        cidr = await pool_choice.cidr_from(tx, pool, body.cidr, length)
    version = pool.ip_version if pool is not None else asked
    if cidr is None:
        raise faults.BadSubnetRequest(reason="a subnetpool must be specified in the absence of a cidr")
    if version is None or asked not in (None, version):
        raise faults.BadSubnetRequest(reason="ip_version must be 4 or 6, and that of the subnet pool if there is one")
    net = subnet_rules.network_for(cidr, version)
    subnet_rules.check_modes(net, body.enable_dhcp, body.ipv6_ra_mode, body.ipv6_address_mode)
    others = await subnets.of_network(tx, body.network_id)
    subnet_rules.check_overlap(net, [other.cidr for other in others], body.network_id)
    await _must_agree(tx, pool, [other for other in others if other.ip_version == version])
    gateway = _gateway(body, net)
    if body.allocation_pools:
        pools = subnet_rules.checked_pools(net, body.allocation_pools)
        subnet_rules.check_gateway(pools, gateway)
    else:
        pools = default_pools(net, gateway)
    return Subnet(
        id=new_uuid(), project_id=project_id, name=body.name, description=body.description or "", created_at=now,
        updated_at=now, network_id=body.network_id, ip_version=version, cidr=str(net), gateway_ip=gateway,
        enable_dhcp=body.enable_dhcp, ipv6_ra_mode=body.ipv6_ra_mode, ipv6_address_mode=body.ipv6_address_mode,
        allocation_pools=pools, dns_nameservers=subnet_rules.name_servers(body.dns_nameservers or []),
        host_routes=subnet_rules.host_routes(body.host_routes or [], version),
        service_types=list(dict.fromkeys(body.service_types)),
        subnetpool_id=pool.id if pool is not None else None)


async def _must_agree(tx: Connection, pool: SubnetPool | None, others: list[Subnet]) -> None:
    """Subnets of one version on one network come out of one pool, or out of pools of one address scope."""
    pool_ids = {other.subnetpool_id for other in others} - {pool.id if pool is not None else None}
    if not pool_ids:
        return
    query = sa.select(subnets.pools.c.address_scope_id).where(subnets.pools.c.id.in_(pool_ids - {None}))
    scopes = {*await db.scalars(tx, query), *([None] if None in pool_ids else [])}
    own = pool.address_scope_id if pool is not None else None
    if scopes != {own}:
        raise scope_faults.ScopeAffinity()
    if own is None:
        raise scope_faults.PoolAffinity()


def _gateway(body: SubnetCreate, net: Net) -> str | None:
    if body.gateway_ip is UNSET:
        return default_gateway(net)
    return subnet_rules.gateway_in(net, body.gateway_ip) if body.gateway_ip else None


async def _pool(ctx: Ctx, tx: Connection, body: SubnetCreate, project_id: str) -> SubnetPool | None:
    if body.use_default_subnetpool and body.subnetpool_id is None:
        return await pool_choice.default_pool(tx, int(body.ip_version or 4))
    if body.subnetpool_id is None:
        return None
    pool = await pool_choice.locked(tx, body.subnetpool_id)
    mine = sees_all(ctx) or pool.project_id == project_id
    if not mine and not await rbac.is_given(tx, "subnetpool", pool.id, project_id):
        raise faults.SubnetPoolNotFound(subnetpool_id=body.subnetpool_id)
    return pool


async def _address_ports(tx: Connection, subnet: Subnet, now: float) -> None:
    """Ports that are there already make themselves an address on a new automatic subnet."""
    query = sa.select(ports).where(
        ports.c.network_id == subnet.network_id, ports.c.device_owner.not_in((*ROUTER_OWNERS, DHCP)))
    for port in await db.many(tx, query, Port):
        ip = eui64(subnet.cidr, port.mac_address)
        await db.add(tx, addresses, Address(
            subnet_id=subnet.id, number=key_of(ip), ip=ip, port_id=port.id, place=BEHIND))
        await base.bump(tx, ports, port.id, now)


@routes.put("/v2.0/subnets/{subnet_id}", envelope="subnet", target=SUBNET,
            policy=Rule("update_subnet", NETWORK_OWNER_MEMBER))
async def update_subnet(ctx: Ctx, seen: Seen, body: SubnetUpdate) -> SubnetView:
    check_revision(ctx, seen.subnet)
    subnet, now = seen.subnet, ctx.clock()
    values = _checked(subnet, texts(given(body)))
    async with ctx.db.write() as tx:
        network = await networks.lock(tx, subnet.network_id)
        if "gateway_ip" in values and values["gateway_ip"] != subnet.gateway_ip and subnet.gateway_ip:
            await _must_be_unused(tx, subnet)
        row = await base.change(tx, subnets.subnets, subnet, now, **values) if values else subnet
        if "enable_dhcp" in values:
            await dhcp.settle(tx, network, app(ctx).config.mac_prefix, now)
        app(ctx).changed(tx)
        return (await views(tx, [row]))[0]


def _checked(subnet: Subnet, values: dict[str, Any]) -> dict[str, Any]:
    net = subnet_rules.network_for(subnet.cidr, subnet.ip_version)
    if "dns_nameservers" in values:
        values["dns_nameservers"] = subnet_rules.name_servers(values["dns_nameservers"])
    if "host_routes" in values:
        values["host_routes"] = subnet_rules.host_routes(values["host_routes"], subnet.ip_version)
    if "allocation_pools" in values:
        values["allocation_pools"] = subnet_rules.checked_pools(net, values["allocation_pools"])
    if values.get("gateway_ip"):
        values["gateway_ip"] = subnet_rules.gateway_in(net, values["gateway_ip"])
    if "gateway_ip" in values or "allocation_pools" in values:
        subnet_rules.check_gateway(values.get("allocation_pools", subnet.allocation_pools),
                                   values.get("gateway_ip", subnet.gateway_ip))
    if values.get("enable_dhcp") is False and (subnet.ipv6_ra_mode or subnet.ipv6_address_mode):
        subnet_rules.check_modes(net, False, subnet.ipv6_ra_mode, subnet.ipv6_address_mode)
    return values


async def _must_be_unused(tx: Connection, subnet: Subnet) -> None:
    query = sa.select(addresses.c.port_id).join(ports, ports.c.id == addresses.c.port_id).where(
        addresses.c.subnet_id == subnet.id, addresses.c.ip == subnet.gateway_ip,
        ports.c.device_owner.in_(ROUTER_OWNERS))
    port_id = await db.scalar(tx, query)
    if port_id is not None:
        raise faults.GatewayIpInUse(ip=subnet.gateway_ip, port_id=port_id)


@routes.delete("/v2.0/subnets/{subnet_id}", target=SUBNET, policy=Rule("delete_subnet", NETWORK_OWNER_MEMBER))
async def delete_subnet(ctx: Ctx, seen: Seen) -> None:
    """Addresses that guests made themselves, and the DHCP port's, go with it; any other one keeps it."""
    subnet, now = seen.subnet, ctx.clock()
    check_revision(ctx, subnet)
    async with ctx.db.write() as tx:
        network = await networks.lock(tx, subnet.network_id)
        await subnets.of_networks(tx, [network.id], lock=True)
        free_to_go = ports.c.device_owner.not_in(ROUTER_OWNERS) if subnet.is_auto else ports.c.device_owner == DHCP
        query = sa.select(addresses.c.port_id).join(ports, ports.c.id == addresses.c.port_id).where(
            addresses.c.subnet_id == subnet.id, sa.not_(free_to_go))
        if await db.scalar(tx, query.limit(1)) is not None:
            raise faults.SubnetInUse(
                subnet_id=subnet.id, reason="One or more ports have an IP allocation from this subnet.")
        held = sa.select(addresses.c.port_id).where(addresses.c.subnet_id == subnet.id)
        await db.update(tx, ports.update().where(ports.c.id.in_(held)).values(
            generation=ports.c.generation + 1, updated_at=ctx.clock()))
        await tx.execute(addresses.delete().where(addresses.c.subnet_id == subnet.id))
        await base.remove(tx, subnets.subnets, subnet.id)
        await dhcp.settle(tx, network, app(ctx).config.mac_prefix, now)
        await base.bump(tx, networks.networks, network.id, now)
        app(ctx).changed(tx)
