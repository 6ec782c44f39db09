"""What lives in a namespace of its own and has sockets there: the identity check that tells when it was remade."""

import asyncio
import os

from pileus.network.engine.filters import link_local
from pileus.network.engine.linux import dhcp6, names, namespaces
from pileus.network.engine.linux.dhcp import METADATA, Responder, leases
from pileus.network.engine.linux.dhcp6 import Responder6
from pileus.network.engine.linux.dns import NameServer, zone_of
from pileus.network.engine.linux.links import Link, Links
from pileus.network.engine.linux.metadata import Answer, Listener
from pileus.network.engine.records import Neighbour, NetworkSlice, Port

METADATA6 = "fe80::a9fe:a9fe"
LEAST_MTU6 = 1280
QUIET = {                 # a namespace of ours starts from the machine's defaults, which may be anything
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/arp_ignore": "1",
    "ipv4/conf/all/arp_announce": "2",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/accept_dad": "0",
}


def identity(namespace: str) -> tuple[int, int]:
    status = os.stat(namespaces.path_of(namespace))
    return status.st_dev, status.st_ino


def settle_addresses(links: Links, link: Link, wanted: set[str]) -> list[str]:
    """Give the link exactly these addresses; what had to be done."""
    actual, changes = links.addresses(link.index), []
    for address in sorted(actual - wanted):
        links.delete_address(link.index, address)
        changes.append(f"address {address} of {link.name} removed")
    for address in sorted(wanted - actual):
        links.add_address(link.index, address)
        changes.append(f"address {address} of {link.name} added")
    return changes


def settle_link(links: Links, name: str, mac: str, mtu: int) -> tuple[Link, list[str]]:
    link, changes = links.one(name), []
    if link.mac != mac:
        links.set_mac(link.index, mac)
        changes.append(f"mac of {name} set")
    if link.mtu != mtu:
        links.set_mtu(link.index, mtu)
        changes.append(f"mtu of {name} set")
    if not link.up:
        links.set_up(link.index)
        changes.append(f"link {name} set up")
    return link, changes


class Service:
    """DHCP, names and metadata of one network on one host."""

    def __init__(self, host: str, network_id: str, answer: Answer | None):
        self.namespace = names.namespace(host, "service", network_id)
        self.answer = answer
        self.identity: tuple[int, int] | None = None
        self.responder: Responder | None = None
        self.six: Responder6 | None = None
        self.names: NameServer | None = None
        self.listener: Listener | None = None
        self.listener6: Listener | None = None

    def close(self) -> None:
        """A socket keeps its namespace alive, so this comes before the namespace's removal."""
        if self.responder is not None:
            self.responder.close()
        if self.six is not None:
            self.six.close()
        if self.names is not None:
            self.names.close()
        if self.listener is not None:
            self.listener.close()
        if self.listener6 is not None:
            self.listener6.close()
        self.identity = self.responder = self.six = self.names = self.listener = self.listener6 = None

    async def update(
        self, network: NetworkSlice, ports: list[Port], resolvers: tuple[str, ...], *, trusted: bool,
    ) -> list[str]:
        """Make it so; what had to be changed. `trusted`: nothing but ports is other than last time."""
        changes = []
        if not trusted or self.identity is None:
            changes = await asyncio.to_thread(self._settle, network)
        if self.identity != identity(self.namespace):
            self.close()
            self.responder = Responder(self.namespace)
            self.six = Responder6(self.namespace, names.service_mac(network.network.id))
            self.names = NameServer(self.namespace)
            await self.names.start()
            if self.answer is not None:
                self.listener = Listener(self.namespace, self.answer)
                await self.listener.start()
                if speaks_six(network):
                    self.listener6 = Listener(self.namespace, self.answer, (METADATA6, 80), names.SERVICE_LEG)
                    await self.listener6.start()
            self.identity = identity(self.namespace)
        if self.responder is not None:
            self.responder.leases = leases(network.network, network.subnets, ports)
        if self.six is not None:
            self.six.update(dhcp6.leases(network.subnets, ports))
        if self.names is not None:
            self.names.zone = zone_of(network, resolvers)
        if self.listener is not None:
            self.listener.neighbours = askers([network])
        if self.listener6 is not None:
            self.listener6.neighbours = askers([network]) | by_link([network])
        return changes

    def _settle(self, network: NetworkSlice) -> list[str]:
        links = Links(self.namespace)
        try:
            namespaces.write_settings(self.namespace, QUIET)
            loopback = links.one("lo")
            if not loopback.up:
                links.set_up(loopback.index)
            mac = names.service_mac(network.network.id)
            link, changes = settle_link(links, names.SERVICE_LEG, mac, network.network.mtu)
            if speaks_six(network):
                # Lists of addresses leave out those of links, so it is put there each time; it may be there.
                links.add_address(link.index, f"{METADATA6}/128")
            wanted = {f"{METADATA}/32"}
            for subnet in network.subnets:
                if subnet.enable_dhcp and subnet.dhcp_server_ip and subnet.ip_version == 4:
                    wanted.add(f"{subnet.dhcp_server_ip}/{subnet.cidr.split('/')[1]}")
            wanted |= {f"{one.ip}/32" for one in network.local_ips}
            return changes + settle_addresses(links, link, wanted)
        finally:
            links.close()


def speaks_six(network: NetworkSlice) -> bool:
    """The kernel has no IPv6 on links of smaller packets."""
    return network.network.mtu >= LEAST_MTU6


def by_link(networks: list[NetworkSlice]) -> dict[str, Neighbour]:
    """By the address that a card gives itself on its link."""
    return {link_local(neighbour.mac): neighbour for network in networks for neighbour in network.neighbours}


def askers(networks: list[NetworkSlice]) -> dict[str, Neighbour]:
    return {ip: neighbour for network in networks for neighbour in network.neighbours for ip in neighbour.ips}
