"""Answers names and addresses of a network's ports from records; asks other servers about everything else."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pileus.network.engine.hostnames import plain_name, without_dot
from pileus.network.engine.linux import namespaces
from pileus.network.engine.linux.names import SERVICE_LEG
from pileus.network.engine.records import NetworkSlice

log = logging.getLogger(__name__)
SO_BINDTODEVICE, IP_PKTINFO = 25, 8
A, PTR, AAAA, OPT, ANY, INTERNET = 1, 12, 28, 41, 255, 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILED, NO_SUCH_NAME, NOT_DONE = 0, 1, 2, 3, 4
ANSWER, AUTHORITATIVE, TRUNCATED, RECURSION_WANTED, RECURSION_OFFERED = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
SECONDS = 30               # for which an answer of ours may be kept
PLAIN_BYTES, EDNS_BYTES = 512, 1232
MAX_MESSAGES = 64          # read at one go, so that a flood cannot hold the loop
MAX_ASKED = 256            # questions of one network on their way to other servers
PATIENCE = 3.0             # seconds for one other server
MAX_NAME = 255


class Zone(msgspec.Struct, kw_only=True):
    """What one network knows: addresses by name (small letters, no last dot), names by address, and which domains are
    its own. `servers` are asked about the rest, by the address that the question came in at."""

    addresses: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    domains: tuple[str, ...] = ()
    servers: Mapping[str, tuple[str, ...]] = {}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    number: bytes
    flags: int
    question: bytes            # as it came: name, type, class
    name: str
    kind: int
    room: int                  # bytes the answer may have
    extended: bool


def parse(packet: bytes) -> Query | None:
    """None for what is no plain question."""
    if len(packet) < 17:
        return None
    flags, questions, answers, authorities, extras = struct.unpack_from(">HHHHH", packet, 2)
    if flags & ANSWER or flags & 0x7800 or questions != 1 or answers or authorities:
        return None
    labels, position = [], 12
    while position < len(packet) and packet[position]:
        length = packet[position]
        if length > 63 or position + 1 + length >= len(packet) or position > 12 + MAX_NAME:
            return None
        labels.append(packet[position + 1:position + 1 + length].decode("ascii", "replace").lower())
        position += 1 + length
    if position + 5 > len(packet):
        return None
    kind, group = struct.unpack_from(">HH", packet, position + 1)
    end, room = position + 5, PLAIN_BYTES
    extended = bool(extras) and packet[end:end + 3] == b"\0\0" + bytes([OPT]) and len(packet) >= end + 11
    if extended:
        room = min(max(struct.unpack_from(">H", packet, end + 3)[0], PLAIN_BYTES), EDNS_BYTES)
    return Query(number=packet[:2], flags=flags, question=packet[12:end], name=".".join(labels),
                 kind=kind if group in (INTERNET, ANY) else 0, room=room, extended=extended)


def reply(query: Query, code: int, records: list[bytes], room: int) -> bytes:
    """Cut short where it does not fit, so that it is asked again over TCP."""
    extra = b"\0" + struct.pack(">HHIH", OPT, EDNS_BYTES, 0, 0) if query.extended else b""
    flags = ANSWER | AUTHORITATIVE | RECURSION_OFFERED | query.flags & RECURSION_WANTED | code
    body = b"".join(records)
    if 12 + len(query.question) + len(body) + len(extra) > room:
        flags, records, body = flags | TRUNCATED, [], b""
    counts = struct.pack(">HHHHH", flags, 1, len(records), 0, 1 if extra else 0)
    return query.number + counts + query.question + body + extra


def answer(query: Query, zone: Zone, room: int) -> bytes | None:
    """From what the zone knows; None where others have to be asked."""
    if query.name in zone.addresses:
        found = [] if query.kind not in (A, AAAA, ANY) else [
            _record(A if "." in ip else AAAA, ipaddress.ip_address(ip).packed)
            for ip in zone.addresses[query.name] if query.kind in (ANY, A if "." in ip else AAAA)]
        return reply(query, NO_ERROR, found, room)
    if (ip := address_of(query.name)) is not None and ip in zone.names:
        found = [_record(PTR, _wire(zone.names[ip]))] if query.kind in (PTR, ANY) else []
        return reply(query, NO_ERROR, found, room)
    if any(query.name == domain for domain in zone.domains):
        return reply(query, NO_ERROR, [], room)
    if "." not in query.name and query.name or any(query.name.endswith("." + domain) for domain in zone.domains):
        return reply(query, NO_SUCH_NAME, [], room)
    return None


def _record(kind: int, data: bytes) -> bytes:
    """About the name in the question, which begins at byte 12."""
    return struct.pack(">HHHIH", 0xC00C, kind, INTERNET, SECONDS, len(data)) + data


def _wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def address_of(name: str) -> str | None:
    """The address that a name for reverse look-ups stands for."""
    with contextlib.suppress(ValueError):
        if name.endswith(".in-addr.arpa"):
            return str(ipaddress.IPv4Address(".".join(reversed(name.split(".")[:-2]))))
        if name.endswith(".ip6.arpa"):
            digits = "".join(reversed(name.split(".")[:-2]))
            return str(ipaddress.IPv6Address(int(digits, 16))) if len(digits) == 32 else None
    return None


def zone_of(network: NetworkSlice, resolvers: tuple[str, ...]) -> Zone:
    """A port's address has its own name, or a plain one, alone and in the port's and the network's domains."""
    domains = tuple(dict.fromkeys(filter(None, map(without_dot, network.network.dns_domains))))
    addresses: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    for neighbour in network.neighbours:
        for ip in neighbour.ips:
            bare = neighbour.dns_name.lower() or plain_name(ip)
            own = list(dict.fromkeys(filter(None, (without_dot(neighbour.dns_domain), *domains))))
            full = [f"{bare}.{domain}" for domain in own if _fits(f"{bare}.{domain}")]
            for name in (bare, *full):
                addresses[name].append(ip)
            names[ip] = full[0] if full else bare
    servers = {subnet.dhcp_server_ip: tuple(filter(_may_ask, subnet.dns_nameservers)) or resolvers
               for subnet in network.subnets if subnet.dhcp_server_ip}
    return Zone(addresses=addresses, names=names, domains=domains, servers=servers)


def _fits(name: str) -> bool:
    return len(name) < MAX_NAME and all(0 < len(label) < 64 and label.isascii() for label in name.split("."))


def _may_ask(server: str) -> bool:
    """What a project names as its server is asked by the host: nothing of the host's own may be meant."""
    address = ipaddress.ip_address(server)
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def host_resolvers(path: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """The servers that this host asks itself."""
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes], number: bytes):
        self.answered, self.number = answered, number

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[:2] == self.number and not self.answered.done():
            self.answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)


async def ask(packet: bytes, server: str) -> bytes:
    """What `server` (an address, with #PORT if it is not the usual one) says. Raises OSError or TimeoutError."""
    address, _, port = server.partition("#")
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Asking(answered, packet[:2]), remote_addr=(address, int(port or 53)))
    try:
        transport.sendto(packet)
        async with asyncio.timeout(PATIENCE):
            return await answered
    finally:
        transport.close()


async def ask_long(packet: bytes, server: str) -> bytes:
    """The same over TCP."""
    address, _, port = server.partition("#")
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(address, int(port or 53))
        try:
            writer.write(struct.pack(">H", len(packet)) + packet)
            return await reader.readexactly(struct.unpack(">H", await reader.readexactly(2))[0])
        finally:
            writer.close()


class NameServer:
    """UDP and TCP inside a service namespace; what is asked of others leaves from the host."""

    def __init__(self, namespace: str):
        self.zone = Zone()
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()
        self.socket = namespaces.inside(namespace, lambda: _open(socket.SOCK_DGRAM))
        self.listener = namespaces.inside(namespace, lambda: _open(socket.SOCK_STREAM))
        self.server: asyncio.Server | None = None
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, sock=self.listener)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
        if self.server is not None:
            self.server.close()
        self.listener.close()
        for task in self.tasks:
            task.cancel()
        for writer in list(self.writers):
            writer.transport.abort()

    def _read(self) -> None:
        for _ in range(MAX_MESSAGES):
            try:
                packet, ancillary, _, peer = self.socket.recvmsg(4096, 64)
            except BlockingIOError:
                return
            at = next((data[4:8] for level, kind, data in ancillary
                       if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO)), b"\0" * 4)
            query = parse(packet)
            if query is None:
                continue
            known = answer(query, self.zone, query.room)
            if known is not None:
                self._send(known, peer, at)
            elif len(self.tasks) < MAX_ASKED:
                self._begin(packet, query, (peer, at))

    def _begin(self, packet: bytes, query: Query, back: tuple[tuple[str, int], bytes]) -> None:
        async def forward() -> None:
            peer, at = back
            said = await self._elsewhere(packet, query, socket.inet_ntoa(at), long=False)
            if len(said) > query.room:
                said = reply(query, NO_ERROR, [said], 0)
            if self.socket.fileno() >= 0:
                self._send(said, peer, at)
        task = asyncio.get_running_loop().create_task(forward(), name="a name asked of another server")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _elsewhere(self, packet: bytes, query: Query, at: str, *, long: bool) -> bytes:
        """What the first server says that says anything."""
        for server in self.zone.servers.get(at) or host_resolvers():
            try:
                return await (ask_long if long else ask)(packet, server)
            except (OSError, asyncio.IncompleteReadError) as error:
                log.info("name server %s did not answer: %r", server, error)
        return reply(query, SERVER_FAILED, [], query.room)

    def _send(self, packet: bytes, peer: tuple[str, int], at: bytes) -> None:
        """From the address that was asked: the namespace has several."""
        control = struct.pack("=i4s4s", 0, at, b"\0" * 4)
        try:
            self.socket.sendmsg([packet], [(socket.IPPROTO_IP, IP_PKTINFO, control)], 0, peer)
        except OSError as error:
            log.warning("an answer about a name was not sent to %s: %s", peer[0], error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.writers) >= MAX_MESSAGES:
            writer.transport.abort()
            return
        self.writers.add(writer)
        at = str(writer.get_extra_info("sockname")[0])
        try:
            async with asyncio.timeout(4 * PATIENCE):
                packet = await reader.readexactly(struct.unpack(">H", await reader.readexactly(2))[0])
                query = parse(packet)
                if query is not None:
                    said = answer(query, self.zone, 65535) or await self._elsewhere(packet, query, at, long=True)
                    writer.write(struct.pack(">H", len(said)) + said)
                    await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self.writers.discard(writer)
            writer.close()


def _open(kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, SERVICE_LEG.encode())
    if kind == socket.SOCK_DGRAM:
        made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    made.bind(("0.0.0.0", 53))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made
