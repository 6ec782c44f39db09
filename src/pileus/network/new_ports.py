"""Makes ports with their addresses inside a transaction: for the API, for routers, floating IPs and DHCP."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.allocation import Asker, Giver, Wanted
from pileus.network.model import ports as port_model
from pileus.network.model import subnets as subnet_model
from pileus.network.model.base import tags
from pileus.network.model.ports import Port, ports
from pileus.network.model.subnets import Address, addresses


class NewPort(msgspec.Struct, frozen=True, kw_only=True):
    """A port to be made; without a MAC it gets one. `fixed_ips` None: the usual addresses."""

    port: Port
    fixed_ips: Sequence[Wanted] | None = None
    group_ids: list[str] = []
    tags: list[str] = []


class MadePort(msgspec.Struct, frozen=True, kw_only=True):
    port: Port
    addresses: list[Address]
    group_ids: list[str]
    tags: list[str] = []


async def add_ports(tx: Connection, mac_prefix: str, new: Sequence[NewPort]) -> list[MadePort]:
    """Raises the addresses' faults. What the database refuses is taken for a race lost: run it again (Collision)."""
    network_ids = [each.port.network_id for each in new]
    of_network = await subnet_model.of_networks(tx, network_ids, lock=True)
    rows = await _with_macs(tx, mac_prefix, [each.port for each in new])
    giver = Giver(tx, of_network, expected=len(new))
    askers = [Asker(port_id=row.id, network_id=row.network_id, mac=row.mac_address, device_owner=row.device_owner)
              for row in rows]
    await giver.reserve([(asker, each.fixed_ips) for asker, each in zip(askers, new, strict=True)])
    given = [await giver.addresses(asker, each.fixed_ips) for asker, each in zip(askers, new, strict=True)]
    try:
        await db.add(tx, ports, *rows)
        await db.add(tx, addresses, *(address for one in given for address in one))
        await port_model.set_groups(tx, {each.port.id: each.group_ids for each in new})
        if labels := [{"resource_id": each.port.id, "tag": tag} for each in new for tag in each.tags]:
            await tx.execute(tags.insert(), labels)
    except db.Taken as error:
        raise db.Collision(str(error)) from error
    await giver.finish()
    return [MadePort(port=row, addresses=one, group_ids=list(each.group_ids), tags=each.tags)
            for row, one, each in zip(rows, given, new, strict=True)]


async def _with_macs(tx: Connection, prefix: str, rows: list[Port]) -> list[Port]:
    bare = [row for row in rows if not row.mac_address]
    given = iter(await port_model.free_macs(tx, prefix, [row.network_id for row in bare]) if bare else [])
    for row in rows:
        if row.mac_address and await port_model.has_mac(tx, row.network_id, row.mac_address):
            raise faults.MacInUse(network_id=row.network_id, mac=row.mac_address)
    return [row if row.mac_address else msgspec.structs.replace(row, mac_address=next(given)) for row in rows]


async def readdress(tx: Connection, port: Port, fixed_ips: Sequence[Wanted]) -> list[Address]:
    """Give the port exactly these addresses, keeping the ones it has already where that fits."""
    of_network = await subnet_model.of_networks(tx, [port.network_id], lock=True)
    held = (await subnet_model.addresses_of(tx, [port.id]))[port.id]
    asker = Asker(port_id=port.id, network_id=port.network_id, mac=port.mac_address, device_owner=port.device_owner,
                  held=held)
    giver = Giver(tx, of_network)
    await giver.reserve([(asker, fixed_ips)])
    wanted = await giver.addresses(asker, fixed_ips)
    await tx.execute(addresses.delete().where(addresses.c.port_id == port.id))
    await db.add(tx, addresses, *wanted)
    await giver.finish()
    return wanted
