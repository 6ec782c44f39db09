"""Extra DHCP options of ports as bytes, by the names that clients of the Networking API know."""

import socket
import struct
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from pileus.kit.numbers import digits
from pileus.network.engine.records import DhcpOption

FOUR = {
    "netmask": 1, "router": 3, "dns-server": 6, "log-server": 7, "hostname": 12, "boot-file-size": 13,
    "domain-name": 15, "root-path": 17, "mtu": 26, "broadcast": 28, "static-route": 33, "nis-domain": 40,
    "nis-server": 41, "ntp-server": 42, "netbios-ns": 44, "netbios-dd": 45, "netbios-nodetype": 46, "tftp-server": 66,
    "tftp-server-name": 66, "bootfile-name": 67, "smtp-server": 69, "pop3-server": 70, "domain-search": 119,
    "classless-static-route": 121, "tftp-server-address": 150, "server-ip-address": 150,
    "path-prefix": 210, "config-file": 209,
}
SIX = {"sip-server-domain": 21, "sip-server": 22, "dns-server": 23, "domain-search": 24, "nis-server": 27,
       "nis-domain": 29, "sntp-server": 31, "ntp-server": 31, "bootfile-url": 59, "bootfile-param": 60}
WIDTHS = {26: 2, 13: 2, 46: 1, 23: 1, 37: 1, 51: 4, 58: 4, 59: 4, 2: 4, 35: 4, 38: 4}
RESERVED = {0, 50, 52, 53, 54, 55, 57, 61, 82, 255}      # what the exchange itself is made of
RESERVED_SIX = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14}


def extra_four(options: Iterable[DhcpOption]) -> tuple[tuple[int, bytes], ...]:
    """What cannot be read, or belongs to the exchange itself, is left out."""
    found = []
    for option in options:
        if option.ip_version != 4:
            continue
        code = _code(option.name, FOUR)
        value = _four(code, option.value) if code is not None and code not in RESERVED else None
        if code is not None and value is not None:
            found.append((code, value))
    return tuple(found)


def extra_six(options: Iterable[DhcpOption]) -> tuple[tuple[int, bytes], ...]:
    found = []
    for option in options:
        if option.ip_version != 6:
            continue
        code = _code(option.name, SIX)
        if code is not None and code not in RESERVED_SIX:
            found.append((code, _six(code, option.value)))
    return tuple(found)


def _code(name: str, names: dict[str, int]) -> int | None:
    name = name.removeprefix("option:").removeprefix("option6:")
    if (number := digits(name)) is not None:
        return number if number < (256 if names is FOUR else 65536) else None
    return names.get(name)


def _addresses(text: str, version: int) -> list[bytes] | None:
    found = []
    for part in filter(None, (piece.strip().strip("[]") for piece in text.split(","))):
        try:
            address = ip_address(part)
        except ValueError:
            return None
        if address.version != version:
            return None
        found.append(address.packed)
    return found or None


def _four(code: int, text: str) -> bytes | None:
    if width := WIDTHS.get(code, 0):
        number = digits(text)
        return number.to_bytes(width, "big") if number is not None and number < 1 << 8 * width else None
    if code == 121:
        return _routes(text)
    if code == 119:
        return b"".join(map(domain, filter(None, text.split(","))))
    if code not in (12, 15, 17, 40, 66, 67, 209, 210) and (packed := _addresses(text, 4)) is not None:
        return b"".join(packed)
    return text.encode()


def _routes(text: str) -> bytes | None:
    """Destinations and next hops in turn."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) % 2:
        return None
    found = b""
    for destination, hop in zip(parts[::2], parts[1::2], strict=True):
        try:
            network = ip_network(destination, strict=False)
            found += bytes([network.prefixlen]) + network.network_address.packed[:(network.prefixlen + 7) // 8]
            found += socket.inet_aton(hop)
        except (ValueError, OSError):
            return None
    return found


def _six(code: int, text: str) -> bytes:
    if code in (21, 24, 29, 30):
        return b"".join(map(domain, filter(None, text.split(","))))
    if code == 60:
        return struct.pack(">H", len(text.encode())) + text.encode()
    packed = _addresses(text, 6)
    return text.encode() if packed is None else b"".join(packed)


def domain(name: str) -> bytes:
    """A domain name as DNS writes it."""
    labels = [label.encode()[:63] for label in name.strip().strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
