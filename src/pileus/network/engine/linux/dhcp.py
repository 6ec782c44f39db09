"""Answers DHCPv4 from records alone: no leases are kept, an address is a port's for as long as the record says so."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_network

import msgspec

from pileus.network.engine.hostnames import plain_name, without_dot
from pileus.network.engine.linux import namespaces
from pileus.network.engine.linux.dhcp_options import extra_four
from pileus.network.engine.linux.names import SERVICE_LEG
from pileus.network.engine.records import HostRoute, Network, Port, Subnet

log = logging.getLogger(__name__)
MAGIC = b"\x63\x82\x53\x63"
SO_BINDTODEVICE, SO_NO_CHECK, IP_PKTINFO = 25, 11, 8
DISCOVER, OFFER, REQUEST, ACK, NAK, INFORM = 1, 2, 3, 5, 6, 8
LEASE_SECONDS = 86400
TFTP_ADDRESS = 150        # also told where the next server of a boot stands
METADATA = "169.254.169.254"
MAX_MESSAGES = 64         # read at one go, so that a flood cannot hold the loop


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """All that one port is told."""

    ip: str
    network: str
    server: str
    router: str | None = None
    mtu: int = 1450
    dns: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    hostname: str = ""
    domain: str = ""
    extra: tuple[tuple[int, bytes], ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    transaction: bytes
    seconds_flags: bytes
    client_ip: bytes
    relay_ip: bytes
    hardware: bytes
    options: dict[int, bytes]

    @property
    def mac(self) -> str:
        return self.hardware[:6].hex(":")


def parse(packet: bytes) -> Question | None:
    """None for anything that is not a client's DHCP message."""
    if len(packet) < 241 or packet[0] != 1 or packet[1:3] != b"\x01\x06" or packet[236:240] != MAGIC:
        return None
    options: dict[int, bytes] = {}
    position = 240
    while position < len(packet) and packet[position] != 255:
        if packet[position] == 0:
            position += 1
            continue
        if position + 2 > len(packet) or position + 2 + packet[position + 1] > len(packet):
            return None
        code, length = packet[position], packet[position + 1]
        options[code] = options.get(code, b"") + packet[position + 2:position + 2 + length]
        position += 2 + length
    return Question(
        transaction=packet[4:8], seconds_flags=b"\0\0" + packet[10:12], client_ip=packet[12:16],
        relay_ip=packet[24:28], hardware=packet[28:44], options=options)


def answer(question: Question, lease: Lease) -> tuple[bytes, str] | None:
    """The reply and where it goes, None where silence is right (a request meant for another server)."""
    kind = question.options.get(53, b"\0")[0:1]
    server = _packed(lease.server)
    if question.options.get(54, server) != server:
        return None
    if kind == bytes([DISCOVER]):
        reply = OFFER
    elif kind == bytes([REQUEST]):
        asked = question.options.get(50) or question.client_ip
        reply = ACK if asked == _packed(lease.ip) else NAK
    elif kind == bytes([INFORM]):
        reply = ACK
    else:
        return None
    informs = kind == bytes([INFORM])
    options = [(53, bytes([reply])), (54, server)]
    if reply != NAK:
        options += [] if informs else _times()
        options = _with_extra(options + _options(lease), lease.extra)
    yours = b"\0" * 4 if reply == NAK or informs else _packed(lease.ip)
    client = question.client_ip if reply == ACK else b"\0" * 4
    boot = next((value for code, value in lease.extra if code == TFTP_ADDRESS), server)[:4]
    packet = b"\x02\x01\x06\0" + question.transaction + question.seconds_flags + client + yours + boot
    packet += question.relay_ip + question.hardware + b"\0" * 192 + MAGIC
    packet += b"".join(_option(code, value) for code, value in options) + b"\xff"
    known = question.client_ip != b"\0" * 4 and reply != NAK
    return packet.ljust(300, b"\0"), socket.inet_ntoa(question.client_ip) if known else "255.255.255.255"


def _with_extra(options: list[tuple[int, bytes]], extra: tuple[tuple[int, bytes], ...]) -> list[tuple[int, bytes]]:
    """A port's own options take the place of those that everybody is given."""
    codes = {code for code, _ in extra}
    return [pair for pair in options if pair[0] not in codes] + list(extra)


def _times() -> list[tuple[int, bytes]]:
    seconds = ((51, LEASE_SECONDS), (58, LEASE_SECONDS // 2), (59, LEASE_SECONDS * 7 // 8))
    return [(code, struct.pack(">I", value)) for code, value in seconds]


def _options(lease: Lease) -> list[tuple[int, bytes]]:
    network = ip_network(lease.network)
    options = [(1, _packed(str(network.netmask)))]
    if lease.router is not None:
        options.append((3, _packed(lease.router)))
    if lease.dns:
        options.append((6, b"".join(map(_packed, lease.dns))))
    options += [(12, lease.hostname.encode())] if lease.hostname else []
    options += [(15, lease.domain.encode())] if lease.domain else []
    options += [(26, struct.pack(">H", lease.mtu)), (28, _packed(str(network.broadcast_address)))]
    if lease.routes:
        options.append((121, b"".join(_route(destination, nexthop) for destination, nexthop in lease.routes)))
    return options


def _route(destination: str, nexthop: str) -> bytes:
    network = ip_network(destination)
    significant = network.network_address.packed[:(network.prefixlen + 7) // 8]
    return bytes([network.prefixlen]) + significant + _packed(nexthop)


def _option(code: int, value: bytes) -> bytes:
    """A value over 255 bytes is split, as RFC 3396 has it."""
    pieces = [value[i:i + 255] for i in range(0, len(value), 255)]
    return b"".join(bytes([code, len(piece)]) + piece for piece in pieces)


def _packed(address: str) -> bytes:
    return IPv4Address(address).packed


def leases(
    network: Network, subnets: Iterable[Subnet], ports: Iterable[Port],
) -> dict[str, Lease]:
    """By MAC; a port gets its first IPv4 address on a subnet with DHCP."""
    served = {s.id: s for s in subnets if s.enable_dhcp and s.dhcp_server_ip and s.ip_version == 4}
    found: dict[str, Lease] = {}
    for port in ports:
        fixed = next((fixed for fixed in port.fixed_ips if fixed.subnet_id in served), None)
        if fixed is not None:
            found[port.mac.lower()] = _lease(network, served[fixed.subnet_id], (port, fixed.ip))
    return found


def _lease(network: Network, subnet: Subnet, owner: tuple[Port, str]) -> Lease:
    """Who names no DNS servers is told ours, which is where the DHCP server is."""
    port, ip = owner
    server = subnet.dhcp_server_ip or ""
    routes = [(f"{METADATA}/32", server)]
    routes += [(route.destination, route.nexthop) for route in subnet.host_routes if _is_four(route)]
    if subnet.gateway_ip is not None and not any(destination == "0.0.0.0/0" for destination, _ in routes):
        routes.append(("0.0.0.0/0", subnet.gateway_ip))
    return Lease(
        ip=ip, network=subnet.cidr, server=server, router=subnet.gateway_ip, mtu=network.mtu,
        dns=tuple(one for one in subnet.dns_nameservers if ":" not in one) or (server,), routes=tuple(routes),
        hostname=port.hostname or plain_name(ip),
        domain=without_dot(port.dns_domain or next(iter(network.dns_domains), "")),
        extra=extra_four(port.dhcp_options))


def _is_four(route: HostRoute) -> bool:
    return ":" not in route.destination


class Responder:
    """One socket inside a service namespace. Answers only for ports of this host, as every host has one."""

    def __init__(self, namespace: str):
        self.leases: Mapping[str, Lease] = {}
        self.socket = namespaces.inside(namespace, _open)
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def _read(self) -> None:
        for _ in range(MAX_MESSAGES):
            try:
                packet = self.socket.recv(2048)
            except BlockingIOError:
                return
            question = parse(packet)
            lease = self.leases.get(question.mac) if question is not None else None
            replied = answer(question, lease) if question is not None and lease is not None else None
            if replied is not None and lease is not None:
                self._send(*replied, lease.server)

    def _send(self, packet: bytes, destination: str, source: str) -> None:
        """From the address the client knows as its server: the namespace has several."""
        control = struct.pack("=i4s4s", 0, _packed(source), b"\0" * 4)
        try:
            self.socket.sendmsg([packet], [(socket.IPPROTO_IP, IP_PKTINFO, control)], 0, (destination, 68))
        except OSError as error:
            log.warning("DHCP answer to %s not sent: %s", destination, error)


def _open() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    # Clients read raw frames; a checksum left to the network card would never be filled in on a veth.
    made.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, SERVICE_LEG.encode())
    made.bind(("0.0.0.0", 67))
    return made
