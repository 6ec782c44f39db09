"""The kernel's table of connections: those that rules no longer allow are marked, and thereby cut, or deleted."""

import errno
import socket
import struct
from collections.abc import Mapping
from ipaddress import ip_address

import msgspec

from pileus.network.engine.filters import Flow, FlowCheck
from pileus.network.engine.linux import netlink as nl
from pileus.network.engine.records import Port

SUBSYSTEM = 1 << 8
NEW, GET, DELETE = SUBSYSTEM | 0, SUBSYSTEM | 1, SUBSYSTEM | 2
TUPLE_ORIGINAL, TUPLE_REPLY, MARK, ZONE = 1, 2, 8, 18
CUT = 1                   # the mark of connections that the ruleset lets nothing through for

Place = tuple[int, str]   # zone and address


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    key: bytes
    family: int
    zone: int
    mark: int
    flow: Flow
    reply_source: str
    reply_destination: str


class Conntrack(nl.Netlink):
    def __init__(self, namespace: str):
        super().__init__(namespace, nl.NETFILTER)

    def connections(self) -> list[Connection]:
        found = []
        for body in self.dump(GET, _general(socket.AF_UNSPEC), "list connections"):
            if (connection := _connection(body)) is not None:
                found.append(connection)
        return found

    def mark(self, connection: Connection, mark: int) -> None:
        self._change(NEW, connection, nl.attribute(MARK, struct.pack(">I", mark)))

    def delete(self, connection: Connection) -> None:
        self._change(DELETE, connection, b"")

    def _change(self, kind: int, connection: Connection, extra: bytes) -> None:
        """A connection that has just ended needs nothing more."""
        body = _general(connection.family) + nl.attribute(TUPLE_ORIGINAL | nl.NESTED, connection.key)
        if connection.zone:
            body += nl.attribute(ZONE, struct.pack(">H", connection.zone))
        try:
            self.request(kind, 0, body + extra, "change connection")
        except nl.NetlinkFailed as error:
            if error.errno != errno.ENOENT:
                raise

    def judge(self, ports: Mapping[Place, Port], gone: set[Place], check: FlowCheck) -> tuple[list[str], bool]:
        """Mark what the rules no longer allow, unmark what they allow again, forget connections of ports that left.

        Says what was changed, and whether any connection is marked now.
        """
        changes, cutting = [], False
        for connection in self.connections():
            ends = (connection.zone, connection.flow.source), (connection.zone, connection.flow.destination)
            if gone.intersection(ends):
                self.delete(connection)
                changes.append(f"connection of a port that left deleted: {connection.flow}")
                continue
            sender, receiver = ports.get(ends[0]), ports.get(ends[1])
            if sender is None and receiver is None:
                continue
            allowed = sender is None or check.allows(sender, connection.flow, ingress=False)
            allowed = allowed and (receiver is None or check.allows(receiver, connection.flow, ingress=True))
            wanted = 0 if allowed else CUT
            cutting = cutting or not allowed
            if connection.mark != wanted:
                self.mark(connection, wanted)
                changes.append(f"connection {'allowed again' if allowed else 'cut'}: {connection.flow}")
        return changes, cutting

    def cut_translations(self, floating: Mapping[tuple[str, int], str], own: set[str]) -> None:
        """Delete connections whose address translation is not what a new connection would get. `floating` says where
        a port of a floating IP leads; port 0 stands for all that are not named."""
        for connection in self.connections():
            flow = connection.flow
            translated_there = flow.destination != connection.reply_source
            translated_back = flow.source != connection.reply_destination
            outside = connection.reply_destination
            there = floating.get((flow.destination, flow.port), floating.get((flow.destination, 0)))
            lost = translated_there and there != connection.reply_source
            if lost or translated_back and outside not in own and floating.get((outside, 0)) != flow.source:
                self.delete(connection)


def _general(family: int) -> bytes:
    return struct.pack(">BBH", family, 0, 0)


def _connection(body: memoryview) -> Connection | None:
    parts = dict(nl.attributes(body, 4))
    if TUPLE_ORIGINAL not in parts or TUPLE_REPLY not in parts:
        return None
    flow, reply = _flow(parts[TUPLE_ORIGINAL]), _flow(parts[TUPLE_REPLY])
    if flow is None or reply is None:
        return None
    return Connection(
        key=bytes(parts[TUPLE_ORIGINAL]), family=body[0], flow=flow,
        zone=_number(parts.get(ZONE)), mark=_number(parts.get(MARK)),
        reply_source=reply.source, reply_destination=reply.destination)


def _flow(data: memoryview) -> Flow | None:
    parts = dict(nl.attributes(data))
    if 1 not in parts or 2 not in parts:
        return None
    ip, protocol = dict(nl.attributes(parts[1])), dict(nl.attributes(parts[2]))
    source, destination = ip.get(1, ip.get(3)), ip.get(2, ip.get(4))
    if source is None or destination is None:
        return None
    return Flow(
        protocol=_number(protocol.get(1)), source=str(ip_address(bytes(source))),
        destination=str(ip_address(bytes(destination))),
        port=_number(protocol.get(5, protocol.get(8, protocol.get(3)))),
        code=_number(protocol.get(6, protocol.get(9))))


def _number(value: memoryview | None) -> int:
    return 0 if value is None else int.from_bytes(value, "big")
