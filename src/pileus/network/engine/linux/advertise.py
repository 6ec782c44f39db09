"""Router advertisements for the IPv6 subnets of a router, unasked at intervals and in answer to solicitations."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv6Network, ip_network

from pileus.network.engine.linux import names, namespaces
from pileus.network.engine.linux.links import packed_mac
from pileus.network.engine.records import Leg

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 200.0
LIFETIME_SECONDS = 1800
PREFIX_SECONDS = 86400
SOLICITATION, ADVERTISEMENT = 133, 134
ICMPV6_FILTER, IPV6_RECVPKTINFO, IPV6_PKTINFO = 1, 49, 50
ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"


def advertisement(leg: Leg) -> bytes:
    """Addresses are the guest's own making, unless they are `managed`, that is given out by DHCPv6."""
    flags = (0x80 if leg.managed else 0) | (0x40 if leg.other else 0)
    packet = struct.pack(">BBHBBHII", ADVERTISEMENT, 0, 0, 64, flags, LIFETIME_SECONDS, 0, 0)
    packet += b"\x01\x01" + packed_mac(leg.mac) + struct.pack(">BBHI", 5, 1, 0, leg.mtu)
    for prefix in leg.advertised:
        network = ip_network(prefix)
        use = 0x80 if leg.managed else 0xC0
        packet += struct.pack(">BBBBIII", 3, 4, network.prefixlen, use, PREFIX_SECONDS, PREFIX_SECONDS // 2, 0)
        packet += network.network_address.packed
    return packet


class Advertiser:
    """One raw socket in a router's namespace."""

    def __init__(self, namespace: str):
        self.namespace = namespace
        self.legs: dict[int, Leg] = {}
        self.timer: asyncio.TimerHandle | None = None
        self.socket: socket.socket | None = None

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.socket is not None:
            asyncio.get_running_loop().remove_reader(self.socket)
            self.socket.close()
        self.timer = self.socket = None

    def update(self, legs: Iterable[Leg]) -> None:
        """Nothing is opened for a router without IPv6."""
        wanted = [leg for leg in legs if any(isinstance(ip_network(prefix), IPv6Network) for prefix in leg.advertised)]
        if not wanted:
            self.close()
            self.legs = {}
            return
        if self.socket is None:
            self.socket = namespaces.inside(self.namespace, _open)
            asyncio.get_running_loop().add_reader(self.socket, self._read)
        before, self.legs = self.legs, {}
        with namespaces.entered(self.namespace):
            for leg in wanted:
                self.legs[socket.if_nametoindex(names.link(names.LEG, leg.port_id))] = leg
        for index in self.legs.keys() - before.keys():
            group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + struct.pack("=i", index)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        if self.legs != before:
            self._tell_all()

    def _tell_all(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for index in self.legs:
            self._send(index)
        self.timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._tell_all)

    def _send(self, index: int) -> None:
        if self.socket is None:
            return
        control = b"\0" * 16 + struct.pack("=I", index)
        ancillary = [(socket.IPPROTO_IPV6, IPV6_PKTINFO, control)]
        try:
            self.socket.sendmsg([advertisement(self.legs[index])], ancillary, 0, (ALL_NODES, 0, 0, index))
        except OSError as error:
            log.info("router advertisement not sent in %s: %s", self.namespace, error)

    def _read(self) -> None:
        if self.socket is None:
            return
        try:
            packet, ancillary, _, _ = self.socket.recvmsg(1500, 256)
        except BlockingIOError:
            return
        for level, kind, data in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO and packet[:1] == bytes([SOLICITATION]):
                index = struct.unpack_from("=I", data, 16)[0]
                if index in self.legs:
                    self._send(index)


def _open() -> socket.socket:
    made = socket.socket(
        socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMPV6)
    blocked = [0xFFFFFFFF] * 8
    blocked[SOLICITATION >> 5] &= ~(1 << (SOLICITATION & 31))
    made.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *blocked))
    made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    return made
