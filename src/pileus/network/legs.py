"""What a router is connected to inside: interfaces on subnets, and the next hops of its routes."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network import faults, ndp_faults
from pileus.network.allocation import Wanted
from pileus.network.model import base, gateways, ndp_proxies, networks
from pileus.network.model import routers as router_model
from pileus.network.model import subnets as subnet_model
from pileus.network.model.port_forwardings import port_forwardings
from pileus.network.model.ports import ROUTER_INTERFACE, Port, port_groups, ports
from pileus.network.model.routers import Interface, Router, floating_ips, interfaces
from pileus.network.model.subnets import Address, HostRoute, Subnet, addresses
from pileus.network.new_ports import NewPort, add_ports, readdress


async def leg_addresses(conn: Connection, router: Router) -> list[tuple[Address, Subnet]]:
    """The addresses of a router's interfaces and gateways, with their subnets."""
    inside, ways = await router_model.interface_ports(conn, router.id), await gateways.of_router(conn, router)
    return await addresses_with_subnets(conn, [*inside, *(way.port_id for way in ways)])


async def addresses_with_subnets(conn: Connection, port_ids: Sequence[str]) -> list[tuple[Address, Subnet]]:
    held = await subnet_model.addresses_of(conn, port_ids)
    flat = [address for port_id in port_ids for address in held[port_id]]
    known = await subnet_model.by_ids(conn, {address.subnet_id for address in flat})
    return [(address, known[address.subnet_id]) for address in flat]


async def check_overlap(conn: Connection, router: Router, subnets: Sequence[Subnet]) -> None:
    """Of subnets for an interface with those it has legs on."""
    legs, inside = await leg_addresses(conn, router), await router_model.interface_ports(conn, router.id)
    for address, other in legs:
        if address.port_id in inside and any(subnet.id == other.id for subnet in subnets):
            raise faults.BadRouterRequest(reason=f"Router already has a port on subnet {other.id}")
    must_be_apart(subnets, [other for _, other in legs])


def must_be_apart(subnets: Sequence[Subnet], others: Sequence[Subnet]) -> None:
    for other in others:
        for subnet in subnets:
            if subnet.id != other.id and ip_network(subnet.cidr).overlaps(ip_network(other.cidr)):  # type: ignore[arg-type]
                raise faults.BadRouterRequest(reason=f"Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr "
                                                     f"{other.cidr} of subnet {other.id}")


# -- interfaces -----------------------------------------------------------------------------


async def add_subnet(tx: Connection, router: Router, subnet: Subnet, mac_prefix: str,
                     now: float) -> tuple[str, list[str]]:
    """An interface with the subnet's gateway address; an IPv6 subnet joins the leg its network has already."""
    if subnet.gateway_ip is None:
        raise faults.BadRouterRequest(reason="Subnet for router interface must have a gateway IP")
    await check_overlap(tx, router, [subnet])
    wanted = Wanted(subnet_id=subnet.id, ip_address=subnet.gateway_ip)
    if subnet.ip_version == 6 and (port := await _six_leg(tx, router, subnet.network_id)) is not None:
        held = (await subnet_model.addresses_of(tx, [port.id]))[port.id]
        keep = [Wanted(subnet_id=address.subnet_id, ip_address=address.ip) for address in held]
        given = await readdress(tx, port, [*keep, wanted])
        await base.bump(tx, ports, port.id, now)
        return port.id, [address.subnet_id for address in given]
    network = await networks.get(tx, subnet.network_id)
    port = Port(id=new_uuid(), project_id=router.project_id, created_at=now, updated_at=now, network_id=network.id,
                mac_address="", device_id=router.id, device_owner=ROUTER_INTERFACE, port_security_enabled=False)
    await add_ports(tx, mac_prefix, [NewPort(port=port, fixed_ips=[wanted])])
    await db.add(tx, interfaces, Interface(port_id=port.id, router_id=router.id))
    return port.id, [subnet.id]


async def _six_leg(tx: Connection, router: Router, network_id: str) -> Port | None:
    """The interface on the network that carries IPv6 addresses only."""
    of_router = sa.select(interfaces.c.port_id).where(interfaces.c.router_id == router.id)
    query = sa.select(ports).where(ports.c.id.in_(of_router), ports.c.network_id == network_id)
    for port in await db.many(tx, query, Port):
        held = (await subnet_model.addresses_of(tx, [port.id]))[port.id]
        if all(":" in address.ip for address in held):
            return port
    return None


async def add_port(tx: Connection, router: Router, port: Port, now: float) -> list[str]:
    """Turn a port nobody uses into an interface."""
    if port.device_id or await router_model.owner_of(tx, port.id) is not None:
        raise faults.PortInUse(port_id=port.id, network_id=port.network_id, device_id=port.device_id)
    held = (await subnet_model.addresses_of(tx, [port.id]))[port.id]
    if not held:
        raise faults.BadRouterRequest(reason="Router port must have at least one fixed IP")
    known = await subnet_model.by_ids(tx, {address.subnet_id for address in held})
    if sum(subnet.ip_version == 4 for subnet in known.values()) > 1:
        raise faults.BadRouterRequest(reason="Cannot have multiple IPv4 subnets on router port")
    await check_overlap(tx, router, list(known.values()))
    await tx.execute(port_groups.delete().where(port_groups.c.port_id == port.id))
    await base.change(tx, ports, port, now, device_id=router.id, device_owner=ROUTER_INTERFACE,
                      port_security_enabled=False, allowed_address_pairs=[])
    await db.add(tx, interfaces, Interface(port_id=port.id, router_id=router.id))
    return [address.subnet_id for address in held]


async def interface_on(tx: Connection, router: Router, subnet_id: str) -> Port:
    query = sa.select(ports).join(interfaces, interfaces.c.port_id == ports.c.id).join(
        addresses, addresses.c.port_id == ports.c.id).where(
            interfaces.c.router_id == router.id, addresses.c.subnet_id == subnet_id)
    port = await db.one(tx, query, Port)
    if port is None:
        raise faults.InterfaceNotFoundForSubnet(router_id=router.id, subnet_id=subnet_id)
    return port


async def remove_interface(tx: Connection, router: Router, port: Port, only_subnet: str | None,
                           now: float) -> list[str]:
    """Take away the interface, or one of the subnets it is on; returns the subnets that are gone."""
    held = (await subnet_model.addresses_of(tx, [port.id]))[port.id]
    leaving = [address for address in held if only_subnet in (None, address.subnet_id)]
    for address in leaving:
        await _must_be_spare(tx, router, address)
    if len(leaving) < len(held):
        keep = [Wanted(subnet_id=a.subnet_id, ip_address=a.ip) for a in held if a not in leaving]
        await readdress(tx, port, keep)
        await base.bump(tx, ports, port.id, now)
    else:
        await tx.execute(interfaces.delete().where(interfaces.c.port_id == port.id))
        await base.remove(tx, ports, port.id)
    return [address.subnet_id for address in leaving]


async def _must_be_spare(tx: Connection, router: Router, address: Address) -> None:
    """No floating IP and no route needs the way through this interface."""
    behind = sa.select(floating_ips.c.id).join(addresses, sa.and_(
        addresses.c.port_id == floating_ips.c.port_id, addresses.c.ip == floating_ips.c.fixed_ip_address)).where(
            floating_ips.c.router_id == router.id, addresses.c.subnet_id == address.subnet_id)
    forwarded = sa.select(port_forwardings.c.id).join(
        floating_ips, floating_ips.c.id == port_forwardings.c.floatingip_id).join(addresses, sa.and_(
            addresses.c.port_id == port_forwardings.c.internal_port_id,
            addresses.c.ip == port_forwardings.c.internal_ip_address)).where(
                floating_ips.c.router_id == router.id, addresses.c.subnet_id == address.subnet_id)
    if (await db.scalar(tx, behind.limit(1)) or await db.scalar(tx, forwarded.limit(1))) is not None:
        raise faults.InterfaceUsedByFloatingIp(router_id=router.id, subnet_id=address.subnet_id)
    if await ndp_proxies.on_router(tx, router.id, address.subnet_id):
        raise ndp_faults.InterfaceInUse(router_id=router.id, subnet_id=address.subnet_id)
    subnet = await subnet_model.get(tx, address.subnet_id)
    outside = sa.select(floating_ips.c.id).where(
        floating_ips.c.router_id == router.id, floating_ips.c.floating_network_id == subnet.network_id)
    ways = {way.network_id for way in await gateways.of_router(tx, router)}
    if subnet.network_id not in ways and await db.scalar(tx, outside.limit(1)) is not None:
        raise faults.InterfaceUsedAsGateway(router_id=router.id, subnet_id=address.subnet_id)
    if any(ip_address(route.nexthop) in ip_network(subnet.cidr) for route in router.routes):
        raise faults.InterfaceUsedByRoute(router_id=router.id, subnet_id=address.subnet_id)


# -- routes ---------------------------------------------------------------------------------


async def check_routes(conn: Connection, router: Router, wanted: Sequence[HostRoute]) -> None:
    """A next hop must be a neighbour of the router, and not the router itself."""
    legs = await leg_addresses(conn, router)
    own = {address.ip for address, _ in legs}
    for route in wanted:
        near = any(ip_address(route.nexthop) in ip_network(subnet.cidr) for _, subnet in legs)
        if not near:
            reason = "the nexthop is not connected with router"
        elif route.nexthop in own:
            reason = "the nexthop is used by router"
        else:
            continue
        raise faults.InvalidRoutes(routes=[msgspec.structs.asdict(route)], reason=reason)
