"""Gives out addresses of subnets that the transaction holds: asked-for ones, free ones, and those made from MACs."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.addresses import canonical, eui64, from_number, key_of, network_of, ranges_of, window
from pileus.network.model.ports import ROUTER_INTERFACE
from pileus.network.model.subnets import Address, Subnet, addresses, subnets

AHEAD = 64                   # addresses looked at in one query to begin with
_GIVEN = sa.select(addresses.c.number).where(
    addresses.c.subnet_id == sa.bindparam("subnet"),
    addresses.c.number.between(sa.bindparam("first"), sa.bindparam("end")))


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client says of one fixed IP: a subnet, an address, or both."""

    subnet_id: str | None = None
    ip_address: str | None = None


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """A port that gets addresses. `held` are those it has already."""

    port_id: str
    network_id: str
    mac: str
    device_owner: str = ""
    held: Sequence[Address] = ()


class Giver:
    """Addresses of one transaction. The subnets' rows are locked, so what is free stays free until the commit."""

    def __init__(self, tx: Connection, of_network: dict[str, list[Subnet]], expected: int = 1):
        self.tx, self.of_network, self.expected = tx, of_network, expected
        self.held: dict[str, set[str]] = defaultdict(set)
        self.ready: dict[str, deque[str]] = {}
        self.last: dict[str, str] = {}
        self.given: list[Address] = []

    async def reserve(self, wanted: Sequence[tuple[Asker, Sequence[Wanted] | None]]) -> None:
        """Take note of the addresses asked for by name, before free ones are looked for."""
        for asker, fixed_ips in wanted:
            for fixed in fixed_ips or ():
                ip = canonical(fixed.ip_address) if fixed.ip_address else None
                if ip is None:
                    if fixed.ip_address is not None:
                        raise faults.InvalidInput(reason=f"'{fixed.ip_address}' is not a valid IP address")
                    continue
                subnet = self._subnet_for(asker, fixed, ip)
                if ip not in {address.ip for address in asker.held if address.subnet_id == subnet.id}:
                    await self._hold(subnet, ip)

    async def addresses(self, asker: Asker, fixed_ips: Sequence[Wanted] | None) -> list[Address]:
        """What the port has from now on: kept, asked for, free and automatic addresses, in this order of rank."""
        found: list[Address] = []
        spare = list(asker.held)
        if fixed_ips is None:
            for subnet, ip in await self._usual(asker):
                found.append(self._address(asker, subnet, ip, len(found)))
        for fixed in fixed_ips or ():
            found.append(await self._one(asker, fixed, spare, len(found)))
        if asker.device_owner != ROUTER_INTERFACE and fixed_ips != []:
            have = {address.subnet_id for address in found}
            for subnet in self.of_network[asker.network_id]:
                if subnet.is_auto and subnet.id not in have and subnet.serves(asker.device_owner):
                    found.append(await self._automatic(asker, subnet, len(found)))
        return found

    async def finish(self) -> None:
        for subnet_id, number in self.last.items():
            await self.tx.execute(subnets.update().where(subnets.c.id == subnet_id).values(last_given=number))

    async def _usual(self, asker: Asker) -> list[tuple[Subnet, str]]:
        """One address of each IP version the network has subnets for; those meant for the port's owner come first."""
        found, inside = [], self.of_network[asker.network_id]
        if inside and not any(subnet.serves(asker.device_owner) for subnet in inside):
            raise faults.NoServiceSubnet(network_id=asker.network_id, service_type=asker.device_owner)
        for version in (4, 6):
            candidates = [subnet for subnet in self.of_network[asker.network_id] if subnet.ip_version == version
                          and not subnet.is_auto and subnet.serves(asker.device_owner)]
            candidates.sort(key=lambda subnet: not subnet.service_types)
            for subnet in candidates:
                ip = await self._free(subnet)
                if ip is not None:
                    found.append((subnet, ip))
                    break
            else:
                if candidates:
                    raise faults.NoMoreAddresses(network_id=asker.network_id)
        return found

    async def _one(self, asker: Asker, fixed: Wanted, spare: list[Address], place: int) -> Address:
        ip = canonical(fixed.ip_address) if fixed.ip_address else None
        subnet = self._subnet_for(asker, fixed, ip)
        kept = next((a for a in spare if a.subnet_id == subnet.id and (ip is None or a.ip == ip)), None)
        if kept is not None:
            spare.remove(kept)
            return msgspec.structs.replace(kept, place=place)
        if subnet.is_auto and asker.device_owner != ROUTER_INTERFACE:
            if ip is not None and ip != eui64(subnet.cidr, asker.mac):
                raise faults.AutoAddress(ip=ip, subnet_id=subnet.id)
            return await self._automatic(asker, subnet, place, held=ip is not None)
        ip = ip or await self._free(subnet)
        if ip is None:
            raise faults.NoMoreAddresses(network_id=asker.network_id)
        return self._address(asker, subnet, ip, place)

    async def _automatic(self, asker: Asker, subnet: Subnet, place: int, *, held: bool = False) -> Address:
        ip = eui64(subnet.cidr, asker.mac)
        kept = next((a for a in asker.held if a.subnet_id == subnet.id and a.ip == ip), None)
        if kept is not None:
            return msgspec.structs.replace(kept, place=place)
        if not held:
            await self._hold(subnet, ip)
        return self._address(asker, subnet, ip, place)

    def _subnet_for(self, asker: Asker, fixed: Wanted, ip: str | None) -> Subnet:
        candidates = self.of_network[asker.network_id]
        if fixed.subnet_id is not None:
            subnet = next((s for s in candidates if s.id == fixed.subnet_id), None)
            if subnet is None:
                raise faults.InvalidInput(reason=f"Failed to create port on network {asker.network_id}, because "
                                                 f"fixed_ips included invalid subnet {fixed.subnet_id}")
            if ip is not None and not _usable(subnet, ip):
                raise faults.InvalidIpForSubnet(ip=ip)
            return subnet
        if ip is None:
            raise faults.InvalidInput(reason="IP allocation requires subnet_id or ip_address")
        subnet = next((s for s in candidates if _usable(s, ip)), None)
        if subnet is None:
            raise faults.InvalidIpForNetwork(ip=ip)
        return subnet

    def _address(self, asker: Asker, subnet: Subnet, ip: str, place: int) -> Address:
        made = Address(subnet_id=subnet.id, number=key_of(ip), ip=ip, port_id=asker.port_id, place=place)
        self.given.append(made)
        return made

    async def _hold(self, subnet: Subnet, ip: str) -> None:
        number = key_of(ip)
        taken = await db.scalar(self.tx, sa.select(addresses.c.number).where(
            addresses.c.subnet_id == subnet.id, addresses.c.number == number))
        if taken is not None or number in self.held[subnet.id]:
            raise faults.AddressInUse(ip=ip, subnet_id=subnet.id)
        self.held[subnet.id].add(number)

    async def _free(self, subnet: Subnet) -> str | None:
        ready = self.ready.get(subnet.id)
        if not ready:
            ready = self.ready[subnet.id] = deque(await self._search(subnet))
        if not ready:
            return None
        number = ready.popleft()
        self.last[subnet.id] = number
        self.held[subnet.id].add(number)
        return from_number(int(number, 16), subnet.ip_version)

    async def _search(self, subnet: Subnet) -> list[str]:
        """The next free addresses behind the one given last, as many as this transaction may need."""
        last = self.last.get(subnet.id, subnet.last_given)
        free: list[str] = []
        for first, end in window(ranges_of(subnet.allocation_pools), int(last, 16) if last else -1,
                                 max(AHEAD, 2 * self.expected)):
            found = await db.scalars(self.tx, _GIVEN, subnet=subnet.id, first=f"{first:032x}", end=f"{end:032x}")
            used = self.held[subnet.id].union(found)
            for number in range(first, end + 1):
                if (key := f"{number:032x}") not in used:
                    free.append(key)
                    if len(free) >= self.expected:
                        return free
        return free


def _usable(subnet: Subnet, ip: str) -> bool:
    """An address of the subnet that a port may have: not the network's and not the broadcast address."""
    net = network_of(subnet.cidr)
    if net is None or (":" in ip) != (net.version == 6):
        return False
    number, first, last = int(key_of(ip), 16), int(net.network_address), int(net.broadcast_address)
    if net.version == 4 and net.prefixlen < 31:
        return first < number < last
    return first <= number <= last and (net.prefixlen >= 127 or number != first)
