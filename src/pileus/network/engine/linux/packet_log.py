"""What the ruleset wants logged, read from the kernel's log group and written as lines of JSON to a host's file."""

import asyncio
import errno
import json
import logging
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import namespaces
from pileus.network.engine.linux import netlink as nl
from pileus.network.engine.linux.logged import ACCEPT, GROUP
from pileus.network.engine.records import Port

log = logging.getLogger(__name__)
SUBSYSTEM, PACKET, CONFIG = 4 << 8, 0, 1
COMMAND, MODE, BIND, COPY = 1, 2, 1, 2
MARK, PAYLOAD, PREFIX = 2, 9, 10
TAKEN = 128                  # bytes of each packet that the kernel hands over
MOST, FILES = 10 << 20, 4    # bytes of a file, and files besides the newest
WITH_PORTS = (6, 17, 33, 132, 136)
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}


def listen(namespace: str, group: int = GROUP) -> socket.socket:
    """Raises EngineFailed where the kernel keeps no such log."""
    opened = namespaces.inside(namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETFILTER))
    try:
        opened.bind((0, 0))
        for body in (nl.attribute(COMMAND, struct.pack(">B", BIND)),
                     nl.attribute(MODE, struct.pack(">IBx", TAKEN, COPY))):
            opened.send(_request(group, body))
            code = struct.unpack_from("=i", opened.recv(4096), 16)[0]
            if code:
                raise EngineFailed(f"the kernel's packet log cannot be read: {errno.errorcode.get(-code, code)}")
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        raise EngineFailed(f"the kernel's packet log cannot be read: {error}") from error
    return opened


def _request(group: int, body: bytes) -> bytes:
    whole = struct.pack(">BBH", 0, 0, group) + body
    return struct.pack("=IHHII", 16 + len(whole), SUBSYSTEM | CONFIG, nl.REQUEST | nl.ACK, 1, 0) + whole


def told(packet: bytes) -> dict[str, Any]:
    """Ends and kind of an IP packet of which the beginning is there."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        protocol, start, source, target = packet[9], (packet[0] & 15) * 4, packet[12:16], packet[16:20]
        size = int.from_bytes(packet[2:4], "big")
    elif version == 6 and len(packet) >= 40:
        protocol, start, source, target = packet[6], 40, packet[8:24], packet[24:40]
        size = 40 + int.from_bytes(packet[4:6], "big")
    else:
        return {}
    found: dict[str, Any] = {"protocol": PROTOCOLS.get(protocol, str(protocol)), "source": str(ip_address(source)),
                             "destination": str(ip_address(target)), "bytes": size}
    if protocol in WITH_PORTS and len(packet) >= start + 4:
        found["source_port"], found["destination_port"] = struct.unpack_from(">HH", packet, start)
    elif protocol in (1, 58) and len(packet) >= start + 2:
        found["type"], found["code"] = packet[start], packet[start + 1]
    return found


class PacketLog:
    """`ports` are those that want something logged, by the mark of their packets."""

    def __init__(self, host: str, namespace: str, file: Path, clock: Callable[[], float] = time.time):
        self.host, self.clock = host, clock
        self.ports: dict[int, Port] = {}
        self.socket = listen(namespace)
        self.file = RotatingFileHandler(file, maxBytes=MOST, backupCount=FILES, delay=True)
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
        self.file.close()

    def _read(self) -> None:
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                log.warning("packets came faster than they could be logged", extra={"host": self.host})
                continue
            for kind, _, _, body in nl.messages(data):
                if kind == SUBSYSTEM | PACKET:
                    self._write(dict(nl.attributes(body, 4)))

    def _write(self, given: dict[int, memoryview]) -> None:
        mark = int.from_bytes(given.get(MARK, b""), "big")
        port, (action, _, direction) = self.ports.get(mark), nl.as_text(given[PREFIX]).partition(" ")
        if port is None:                                     # its log was taken away meanwhile
            return
        line = {"time": self.clock(), "host": self.host, "action": action, "direction": direction, "port_id": port.id,
                "project_id": port.project_id, "log_ids": port.accepts if action == ACCEPT else port.drops,
                **told(bytes(given.get(PAYLOAD, b"")))}
        self.file.emit(logging.makeLogRecord({"msg": json.dumps(line)}))
