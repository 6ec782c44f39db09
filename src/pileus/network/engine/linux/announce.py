"""Tells neighbours on a link, unasked, which MAC an address has (gratuitous ARP, unsolicited advertisement)."""

import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

from pileus.network.engine.linux import namespaces
from pileus.network.engine.linux.links import packed_mac

ETH_P_ARP = 0x0806


def announce(namespace: str, link: str, mac: str, addresses: Iterable[str]) -> None:
    def open_here() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        made.bind((link, ETH_P_ARP))
        return made

    with namespaces.inside(namespace, open_here) as sender:
        for address in addresses:
            for operation in (1, 2):
                sender.send(gratuitous(mac, address, operation))


def gratuitous(mac: str, address: str, operation: int) -> bytes:
    """Some neighbours update on requests only, some on replies only, so there are both."""
    own, ip = packed_mac(mac), IPv4Address(address).packed
    target = b"\0" * 6 if operation == 1 else own
    header = b"\xff" * 6 + own + struct.pack(">H", ETH_P_ARP)
    return header + struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + own + ip + target + ip
