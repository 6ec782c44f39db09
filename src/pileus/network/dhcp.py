"""The port of a network's DHCP service: there as long as a subnet of the network wants DHCP."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network.allocation import Wanted
from pileus.network.model import base
from pileus.network.model import subnets as subnet_model
from pileus.network.model.networks import Network
from pileus.network.model.ports import DHCP, Port, ports
from pileus.network.model.subnets import addresses
from pileus.network.new_ports import NewPort, add_ports, readdress


async def settle(tx: Connection, network: Network, mac_prefix: str, now: float) -> None:
    """Give the DHCP port an address on each subnet that wants DHCP; make or remove the port accordingly."""
    served = [s for s in await subnet_model.of_network(tx, network.id) if s.enable_dhcp]
    query = sa.select(ports).where(ports.c.network_id == network.id, ports.c.device_owner == DHCP)
    port = await db.one(tx, query, Port)
    wanted = [Wanted(subnet_id=subnet.id) for subnet in served]
    if port is None and wanted:
        new = Port(id=new_uuid(), project_id=network.project_id, network_id=network.id, mac_address="",
                   created_at=now, updated_at=now, device_owner=DHCP, device_id=f"dhcp-{network.id}",
                   port_security_enabled=False)
        await add_ports(tx, mac_prefix, [NewPort(port=new, fixed_ips=wanted)])
    elif port is not None and wanted:
        before = {a.subnet_id for a in (await subnet_model.addresses_of(tx, [port.id]))[port.id]}
        if before != {subnet.id for subnet in served}:
            await readdress(tx, port, wanted)
            await base.bump(tx, ports, port.id, now)
    elif port is not None:
        await tx.execute(addresses.delete().where(addresses.c.port_id == port.id))
        await base.remove(tx, ports, port.id)
