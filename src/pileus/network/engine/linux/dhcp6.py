"""Answers DHCPv6 from records alone: addresses for stateful subnets, and the rest for stateless ones."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable, Mapping

import msgspec

from pileus.network.engine.filters import link_local
from pileus.network.engine.linux import namespaces
from pileus.network.engine.linux.dhcp_options import domain, extra_six
from pileus.network.engine.linux.names import SERVICE_LEG
from pileus.network.engine.records import Port, Subnet

log = logging.getLogger(__name__)
SO_BINDTODEVICE = 25
SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE, INFORM = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS, STATUS, RAPID = 1, 2, 3, 5, 13, 14
DNS_SERVERS, DOMAIN_LIST = 23, 24
NO_ADDRESS, NOT_ON_LINK = 2, 4
SECONDS = 86400
AGENTS_AND_SERVERS = "ff02::1:2"
MAX_MESSAGES = 64


class Lease6(msgspec.Struct, frozen=True, kw_only=True):
    """All that one port is told; without `ips` its addresses are its own making."""

    ips: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    domain: str = ""
    extra: tuple[tuple[int, bytes], ...] = ()


class Question6(msgspec.Struct, frozen=True, kw_only=True):
    kind: int
    transaction: bytes
    options: list[tuple[int, bytes]]

    def first(self, code: int) -> bytes | None:
        return next((value for kind, value in self.options if kind == code), None)


def parse(packet: bytes) -> Question6 | None:
    if len(packet) < 4 or packet[0] not in (SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE, INFORM):
        return None
    options = split(packet[4:])
    return None if options is None else Question6(kind=packet[0], transaction=packet[1:4], options=options)


def split(data: bytes) -> list[tuple[int, bytes]] | None:
    """The options; None where they do not add up."""
    found, position = [], 0
    while position < len(data):
        if position + 4 > len(data):
            return None
        code, length = struct.unpack_from(">HH", data, position)
        if position + 4 + length > len(data):
            return None
        found.append((code, data[position + 4:position + 4 + length]))
        position += 4 + length
    return found


def option(code: int, value: bytes) -> bytes:
    return struct.pack(">HH", code, len(value)) + value


def client_mac(question: Question6) -> str | None:
    """The MAC inside an identifier that is made of one."""
    identifier = question.first(CLIENT_ID) or b""
    kind = int.from_bytes(identifier[:2], "big")
    tail = identifier[8:] if kind == 1 else identifier[4:] if kind == 3 else b""
    return tail.hex(":") if len(tail) == 6 else None


def answer(question: Question6, lease: Lease6, server: bytes) -> bytes | None:
    """The reply; None where silence is right."""
    client, meant = question.first(CLIENT_ID), question.first(SERVER_ID)
    if meant is not None and meant != server or client is None and question.kind != INFORM:
        return None
    if question.kind in (REQUEST, RENEW, RELEASE, DECLINE) and meant is None:
        return None
    rapid = question.kind == SOLICIT and question.first(RAPID) is not None
    kind = ADVERTISE if question.kind == SOLICIT and not rapid else REPLY
    parts = [option(SERVER_ID, server)]
    parts += [option(CLIENT_ID, client)] if client is not None else []
    parts += [option(RAPID, b"")] if rapid else []
    if question.kind == CONFIRM:
        return _confirm(question, lease, parts)
    if question.kind in (SOLICIT, REQUEST, RENEW, REBIND):
        parts += [_association(value, lease, place) for place, value in enumerate(
            value for code, value in question.options if code == IA_NA)]
    if question.kind in (RELEASE, DECLINE):
        parts.append(option(STATUS, struct.pack(">H", 0)))
    else:
        taken = {code for code, _ in lease.extra}
        if lease.dns and DNS_SERVERS not in taken:
            parts.append(option(DNS_SERVERS, b"".join(socket.inet_pton(socket.AF_INET6, a) for a in lease.dns)))
        if lease.domain and DOMAIN_LIST not in taken:
            parts.append(option(DOMAIN_LIST, domain(lease.domain)))
        parts += [option(code, value) for code, value in lease.extra]
    return bytes([kind]) + question.transaction + b"".join(parts)


def _confirm(question: Question6, lease: Lease6, parts: list[bytes]) -> bytes | None:
    asked = {socket.inet_ntop(socket.AF_INET6, value[:16]) for code, outer in question.options if code == IA_NA
             for inner, value in split(outer[12:]) or () if inner == IA_ADDRESS and len(value) >= 16}
    if not asked:
        return None
    status = 0 if asked <= set(lease.ips) else NOT_ON_LINK
    return bytes([REPLY]) + question.transaction + b"".join([*parts, option(STATUS, struct.pack(">H", status))])


def _association(asked: bytes, lease: Lease6, place: int) -> bytes:
    """All addresses go into the first association; further ones get none."""
    head = asked[:4].ljust(4, b"\0") + struct.pack(">II", SECONDS // 2, SECONDS * 4 // 5)
    if place or not lease.ips:
        return option(IA_NA, head + option(STATUS, struct.pack(">H", NO_ADDRESS)))
    given = b"".join(option(IA_ADDRESS, socket.inet_pton(socket.AF_INET6, ip) + struct.pack(">II", SECONDS, SECONDS))
                     for ip in lease.ips)
    return option(IA_NA, head + given)


def wants_six(subnet: Subnet) -> bool:
    return subnet.ip_version == 6 and subnet.enable_dhcp and subnet.ipv6_address_mode in (
        "dhcpv6-stateful", "dhcpv6-stateless")


def leases(subnets: Iterable[Subnet], ports: Iterable[Port]) -> dict[str, Lease6]:
    """By MAC, for ports with an address on a subnet that has DHCPv6."""
    served = {subnet.id: subnet for subnet in subnets if wants_six(subnet)}
    found: dict[str, Lease6] = {}
    for port in ports if served else ():
        mine = [(fixed.ip, served[fixed.subnet_id]) for fixed in port.fixed_ips if fixed.subnet_id in served]
        if not mine:
            continue
        servers = next((s.dns_nameservers for _, s in mine if s.dns_nameservers), ())
        found[port.mac.lower()] = Lease6(
            ips=tuple(ip for ip, subnet in mine if subnet.ipv6_address_mode == "dhcpv6-stateful"),
            dns=tuple(server for server in servers if ":" in server), domain=port.dns_domain,
            extra=extra_six(port.dhcp_options))
    return found


class Responder6:
    """One socket inside a service namespace. Answers only for ports of this host, as every host has one."""

    def __init__(self, namespace: str, mac: str):
        self.leases: Mapping[str, Lease6] = {}
        self.by_address: dict[str, str] = {}
        self.server = b"\0\x03\0\x01" + bytes.fromhex(mac.replace(":", ""))
        self.socket = namespaces.inside(namespace, _open)
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def update(self, leases: Mapping[str, Lease6]) -> None:
        self.leases, self.by_address = leases, {link_local(mac): mac for mac in leases}

    def _read(self) -> None:
        for _ in range(MAX_MESSAGES):
            try:
                packet, peer = self.socket.recvfrom(2048)
            except BlockingIOError:
                return
            question = parse(packet)
            if question is None:
                continue
            mac = self.by_address.get(peer[0].partition("%")[0]) or client_mac(question) or ""
            lease = self.leases.get(mac)
            reply = answer(question, lease, self.server) if lease is not None else None
            if reply is not None:
                self._send(reply, peer)

    def _send(self, packet: bytes, peer: tuple[str, int, int, int]) -> None:
        try:
            self.socket.sendto(packet, (peer[0].partition("%")[0], 546, 0, peer[3]))
        except OSError as error:
            log.warning("DHCPv6 answer to %s not sent: %s", peer[0], error)


def _open() -> socket.socket:
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, SERVICE_LEG.encode())
    group = socket.inet_pton(socket.AF_INET6, AGENTS_AND_SERVERS)
    index = socket.if_nametoindex(SERVICE_LEG)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("=i", index))
    made.bind(("::", 547))
    return made
