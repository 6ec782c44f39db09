"""How conductors speak to hosts and to the network service, and what they make of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.kit.bus import Failed, Message, NobodyThere
from pileus.kit.client import Refused
from pileus.kit.db import Connection
from pileus.kit.saga import Abort
from pileus.load_balancer.drivers.base import BalancerSpec
from pileus.load_balancer.messages import EnsureNoBalancer
from pileus.load_balancer.model import profiles, rows
from pileus.load_balancer.model.rows import LoadBalancer
from pileus.load_balancer.specs import device_of, spec_of
from pileus.network.client import NewPort, PortDetail

if TYPE_CHECKING:
    from pileus.load_balancer.runtime import LoadBalancers

OWNER, NAME = "Octavia", "octavia-lb-"      # of ports, by which users and tools know them


async def ask(service: LoadBalancers, message: Message, *, host: str) -> None:
    """Raises Abort where trying again cannot help; Failed or NobodyThere where it may."""
    try:
        await service.bus.call(message, host=host)
    except Failed as error:
        if error.kind == "BalancerFailed":
            raise Abort(f"{host}: {error}") from error
        raise


async def leave(service: LoadBalancers, balancer_id: str, host: str) -> bool:
    """Have nothing of it on the host. False: nobody is there, and whoever comes back is told then."""
    try:
        await service.bus.call(EnsureNoBalancer(balancer_id=balancer_id), host=host)
        return True
    except NobodyThere:
        return False


async def spec(service: LoadBalancers, conn: Connection, row: LoadBalancer, ports: list[PortDetail]) -> BalancerSpec:
    chosen = await profiles.data_of_flavor(conn, row.flavor_id)
    return spec_of(await rows.tree(conn, row), ports, drain_seconds=service.config.drain_seconds,
                   connection_limit=chosen.get("connection_limit", -1))


def vip_port(row: LoadBalancer) -> NewPort:
    """Of the load balancer's own making; deleted behind its back, it is made anew with the same addresses."""
    fixed = [(row.vip_subnet_id, row.vip_address),
             *((vip["subnet_id"], vip["ip_address"]) for vip in row.additional_vips)]
    return NewPort(
        id=row.vip_port_id, network_id=row.vip_network_id, device_id=device_of(row.id), device_owner=OWNER,
        name=f"{NAME}{row.id}", project_id=row.project_id, port_security_enabled=bool(row.vip_sg_ids),
        security_groups=row.vip_sg_ids, qos_policy_id=row.vip_qos_policy_id or msgspec.UNSET,
        fixed_ips=[{"subnet_id": subnet_id, "ip_address": ip} for subnet_id, ip in fixed if subnet_id is not None])


async def bind(service: LoadBalancers, row: LoadBalancer, legs: list[rows.Leg], host: str) -> None:
    """Have all of its ports, on the host. Raises Abort where the network refuses one."""
    device = device_of(row.id)
    try:
        if not row.owns_port:
            await service.network.bind_port(row.vip_port_id, host, device, device_owner=OWNER)
        own = [msgspec.structs.replace(vip_port(row), host=host)] if row.owns_port else []
        await service.network.ensure_ports([*own, *(
            NewPort(id=leg.id, network_id=leg.network_id, device_id=device, device_owner=OWNER, host=host,
                    project_id=row.project_id, name=f"{NAME}member-{row.id}", port_security_enabled=False,
                    security_groups=[], fixed_ips=[{"subnet_id": leg.subnet_id}]) for leg in legs)])
    except Refused as error:
        raise Abort(error.message) from error
