"""A small netlink codec: requests to the kernel that take microseconds, so they may be made in the loop's own thread.

A socket belongs to the network namespace it was opened in for as long as it lives, and may be used from any thread.
"""

import os
import socket
import struct
from collections.abc import Container, Iterator

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import namespaces

REQUEST, ACK, REPLACE, EXCL, CREATE, APPEND, DUMP = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800, 0x300
NLMSG_ERROR, NLMSG_DONE, NLM_F_DUMP_INTR = 2, 3, 0x10
NESTED = 0x8000
ROUTE, NETFILTER = 0, 12
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


class NetlinkFailed(EngineFailed):
    def __init__(self, error: int, request: str):
        super().__init__(f"{request}: {os.strerror(error)}")
        self.errno = error


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes | memoryview, start: int = 0,
               wanted: Container[int] | None = None) -> Iterator[tuple[int, memoryview]]:
    """Kind and value of each, or of those of the `wanted` kinds: of the forty of a link, few are."""
    view, position, end, header = memoryview(data), start, len(data) - 4, _ATTRIBUTE.unpack_from
    while position <= end:
        length, kind = header(view, position)
        if length < 4:
            return
        kind &= 0x3FFF
        if wanted is None or kind in wanted:
            yield kind, view[position + 4:position + length]
        position += (length + 3) & ~3


def as_text(value: memoryview) -> str:
    return bytes(value).rstrip(b"\0").decode(errors="replace")


def as_number(value: memoryview) -> int:
    return int.from_bytes(value, "little" if struct.pack("=H", 1)[0] else "big")


def messages(data: bytes) -> Iterator[tuple[int, int, int, memoryview]]:
    """(type, flags, sequence, payload) of each message in what was received."""
    view, position = memoryview(data), 0
    while position + 16 <= len(view):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(view, position)
        if length < 16:
            return
        yield kind, flags, sequence, view[position + 16:position + length]
        position += (length + 3) & ~3


class Netlink:
    """Requests and their answers, one after the other."""

    def __init__(self, namespace: str, protocol: int = ROUTE):
        self.namespace = namespace
        self.socket = namespaces.inside(namespace, lambda: _open(protocol))
        self.sequence = 0

    def close(self) -> None:
        self.socket.close()

    def request(self, kind: int, flags: int, payload: bytes, what: str) -> None:
        """Raises NetlinkFailed, with the kernel's error number."""
        sequence = self._send(kind, flags | REQUEST | ACK, payload)
        while True:
            for answer, _, number, body in messages(self.socket.recv(65536)):
                if number == sequence and answer == NLMSG_ERROR:
                    error = -struct.unpack_from("=i", body)[0]
                    if error:
                        raise NetlinkFailed(error, what)
                    return

    def ask(self, kind: int, payload: bytes, what: str) -> memoryview:
        """The one message that answers. Raises NetlinkFailed, with the kernel's error number."""
        sequence = self._send(kind, REQUEST, payload)
        for answer, _, number, body in self._received():
            if number != sequence:
                continue
            if answer == NLMSG_ERROR:
                raise NetlinkFailed(-struct.unpack_from("=i", body)[0], what)
            return body
        raise EngineFailed(f"{what}: no answer")

    def dump(self, kind: int, payload: bytes, what: str) -> list[memoryview]:
        """Everything of a kind; asked again when the kernel says that it changed meanwhile."""
        found: list[memoryview] = []
        for _ in range(5):
            sequence, found, consistent = self._send(kind, REQUEST | DUMP, payload), [], True
            for answer, flags, number, body in self._received():
                if number != sequence:
                    continue
                consistent = consistent and not flags & NLM_F_DUMP_INTR
                if answer == NLMSG_ERROR and (error := -struct.unpack_from("=i", body)[0]):
                    raise NetlinkFailed(error, what)
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    break
                found.append(body)
            if consistent:
                return found
        return found

    def _send(self, kind: int, flags: int, payload: bytes) -> int:
        self.sequence += 1
        self.socket.send(_HEADER.pack(16 + len(payload), kind, flags, self.sequence, 0) + payload)
        return self.sequence

    def _received(self) -> Iterator[tuple[int, int, int, memoryview]]:
        while True:
            yield from messages(self.socket.recv(1 << 18))


def _open(protocol: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 10, 0))
    made.bind((0, 0))
    return made


def watch_links(namespace: str) -> socket.socket:
    """A socket, for the loop to watch, that tells of every change of a link in the namespace."""
    def make() -> socket.socket:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, ROUTE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)   # as far as the machine's limit allows
        made.bind((0, 1))
        return made
    return namespaces.inside(namespace, make)
