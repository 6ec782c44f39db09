"""/v2.0/port-details: all that compute tells its users and guests of servers' ports, in one answer."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.policy import ADMIN_OR_SERVICE, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.network.client import AddressDetail, PortDetail, SubnetDetail
from pileus.network.model import networks, ports, routers, security_groups, subnets
from pileus.network.model.base import chunks
from pileus.network.model.networks import Network
from pileus.network.model.ports import Port
from pileus.network.model.subnets import Address, Subnet

routes = Routes()


class DetailsAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    device_ids: Annotated[list[str], msgspec.Meta(max_length=5000)]


class Around(msgspec.Struct, frozen=True, kw_only=True):
    networks: dict[str, Network]
    addresses: dict[str, list[Address]]
    subnets: dict[str, Subnet]
    floating: dict[tuple[str, str], list[str]]
    group_ids: dict[str, list[str]]
    groups: dict[str, str]


@routes.post("/v2.0/port-details", policy=Rule("get_port_details", ADMIN_OR_SERVICE))
async def port_details(ctx: Ctx, body: DetailsAsked) -> dict[str, list[PortDetail]]:
    async with ctx.db.read() as reader:
        found = [port for part in chunks(body.device_ids) for port in await db.many(
            reader, sa.select(ports.ports).where(ports.ports.c.device_id.in_(part)).order_by(
                ports.ports.c.created_at, ports.ports.c.id), Port)]
        ids = [port.id for port in found]
        floating: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for each in await routers.floating_ips_of(reader, ids):
            floating[each.port_id or "", each.fixed_ip_address or ""].append(each.floating_ip_address)
        held, group_ids = await subnets.addresses_of(reader, ids), await ports.groups_of(reader, ids)
        groups = await security_groups.by_ids(reader, {group for own in group_ids.values() for group in own})
        around = Around(
            networks=await networks.by_ids(reader, {port.network_id for port in found}), addresses=held,
            subnets=await subnets.by_ids(reader, {a.subnet_id for own in held.values() for a in own}),
            floating=floating, group_ids=group_ids, groups={group.id: group.name for group in groups.values()})
    return {"ports": [_detail(port, around) for port in found]}


def _detail(port: Port, around: Around) -> PortDetail:
    network, held = around.networks[port.network_id], around.addresses[port.id]
    on = {address.subnet_id: around.subnets[address.subnet_id] for address in held}
    return PortDetail(
        id=port.id, device_id=port.device_id, network_id=network.id, network_name=network.name, mtu=network.mtu,
        mac_address=port.mac_address, status=port.status, host=port.host, vif_type=port.vif_type,
        device=port.vif_details.get("device", ""),
        addresses=[AddressDetail(ip_address=a.ip, subnet_id=a.subnet_id,
                                 floating_ips=around.floating.get((port.id, a.ip), [])) for a in held],
        subnets=[SubnetDetail(
            id=s.id, cidr=s.cidr, ip_version=s.ip_version, gateway_ip=s.gateway_ip, enable_dhcp=s.enable_dhcp,
            dns_nameservers=s.dns_nameservers, ipv6_address_mode=s.ipv6_address_mode,
            host_routes=[msgspec.structs.asdict(route) for route in s.host_routes]) for s in on.values()],
        security_groups=around.group_ids[port.id],
        security_group_names=[around.groups[group_id] for group_id in around.group_ids[port.id]])
