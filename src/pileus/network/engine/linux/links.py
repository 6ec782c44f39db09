"""Links, forwarding entries, addresses and routes of one network namespace."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

import msgspec

from pileus.network.engine.linux import netlink as nl
from pileus.network.engine.linux.namespaces import path_of

AF_BRIDGE = 7
NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
NEWRULE, DELRULE, GETRULE = 32, 33, 34
MAIN = 254                # the table of routes that is asked by default
FIRST, THEN = 100, 200    # preferences of our rules: those without a source, those with one
IFF_UP = 1
NUD_STATIC, NUD_PERMANENT, NTF_SELF, NTF_MASTER, NTF_PROXY = 0x40, 0x80, 0x02, 0x04, 0x08
PROTOCOL = 80             # of the routes we own
NO_MAC = "00:00:00:00:00:00"
NO_AUTOCONF = nl.nested(26, nl.nested(socket.AF_INET6, nl.u8(8, 1)))
SKIP_STATISTICS = nl.u32(29, 8)


class Link(msgspec.Struct, frozen=True):
    index: int
    name: str
    up: bool
    master: int
    mac: str
    mtu: int
    kind: str
    quiet: bool            # as a bridge port: neither learns nor is flooded
    tunnel: str            # of a VXLAN device: its number and own address


class Forwarding(msgspec.Struct, frozen=True):
    """A forwarding entry: of the bridge (destination None) or of a VXLAN device."""

    index: int
    mac: str
    destination: str | None


class Hop(msgspec.Struct, frozen=True, order=True):
    """The next router, and the link it is on."""

    address: str
    link: int


class Route(msgspec.Struct, frozen=True, order=True):
    """What goes to a prefix goes by one of the hops, each connection by the same."""

    destination: str
    hops: tuple[Hop, ...]
    table: int = MAIN

    def __str__(self) -> str:
        within = "" if self.table == MAIN else f" in table {self.table}"
        return f"route to {self.destination} by {', '.join(hop.address for hop in self.hops)}{within}"


class Rule(msgspec.Struct, frozen=True, order=True):
    """What comes from `source` is routed by a table; without one, all is, but not by the table's default routes."""

    version: int
    source: str = ""
    table: int = MAIN


def packed_mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(value: bytes | memoryview) -> str:
    return bytes(value).hex(":")


def parse_link(body: memoryview) -> tuple[int, Link]:
    """The message's address family, and the link it is about."""
    family, index, flags = struct.unpack_from("=BxHiI", body)[0], *struct.unpack_from("=iI", body, 4)
    name = mac = kind = tunnel = ""
    master = mtu = 0
    quiet = False
    for attribute, value in nl.attributes(body, 16, {1, 3, 4, 10, 18}):
        if attribute == 3:
            name = nl.as_text(value)
        elif attribute == 1:
            mac = mac_text(value)
        elif attribute == 4:
            mtu = nl.as_number(value)
        elif attribute == 10:
            master = nl.as_number(value)
        elif attribute == 18:
            for part, data in nl.attributes(value):
                if part == 1:
                    kind = nl.as_text(data)
                elif part == 2 and kind == "vxlan":
                    device = dict(nl.attributes(data))
                    address = bytes(device[4] if 4 in device else device.get(17, bytes(4)))
                    tunnel = f"{nl.as_number(device[1])} {ip_address(address)}"
                elif part == 5:
                    port = dict(nl.attributes(data, 0, {8, 9}))
                    quiet = all(len(port.get(i, b"\1")) and port.get(i, b"\1")[0] == 0 for i in (8, 9))
    return family, Link(index, name, bool(flags & IFF_UP), master, mac, mtu, kind, quiet, tunnel)


class Links(nl.Netlink):
    """What `ip` and `bridge` do, without starting them."""

    def links(self) -> dict[str, Link]:
        found = (parse_link(body)[1] for body in self.dump(GETLINK, _interface() + SKIP_STATISTICS, "list links"))
        return {link.name: link for link in found}

    def find(self, name: str) -> Link | None:
        try:
            return self.one(name)
        except nl.NetlinkFailed as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def one(self, name: str) -> Link:
        """Raises NetlinkFailed when there is no such link."""
        body = _interface() + nl.text(3, name) + SKIP_STATISTICS
        return parse_link(self.ask(GETLINK, body, f"find link {name}"))[1]

    def add_bridge(self, name: str, mtu: int) -> None:
        data = nl.nested(2, nl.u32(1, 0), nl.u32(5, 0), nl.u8(23, 0))
        self._add(name, "bridge", nl.u32(4, mtu), data)

    def add_vxlan(self, name: str, vni: int, local: str, mtu: int) -> None:
        address = ip_address(local)
        where = nl.attribute(4 if address.version == 4 else 17, address.packed)
        data = nl.nested(2, nl.u32(1, vni), where, nl.u8(7, 0), nl.attribute(15, struct.pack(">H", 4789)))
        self._add(name, "vxlan", nl.u32(4, mtu), data)

    def add_veth(self, name: str, mtu: int, peer: str, peer_namespace: str, peer_mac: str | None = None) -> None:
        """The peer is made in its own namespace and keeps its automatic IPv6 address."""
        descriptor = os.open(path_of(peer_namespace), os.O_RDONLY | os.O_CLOEXEC)
        try:
            mac = nl.attribute(1, packed_mac(peer_mac)) if peer_mac else b""
            there = _interface() + nl.text(3, peer) + nl.u32(4, mtu) + nl.u32(28, descriptor) + mac
            self._add(name, "veth", nl.u32(4, mtu), nl.nested(2, nl.nested(1, there)))
        finally:
            os.close(descriptor)

    def _add(self, name: str, kind: str, options: bytes, data: bytes) -> None:
        body = _interface() + nl.text(3, name) + options + nl.nested(18, nl.text(1, kind), data)
        self.request(NEWLINK, nl.CREATE | nl.EXCL, body, f"add {kind} {name}")
        self._mute(_interface() + nl.text(3, name), name)

    def _mute(self, link: bytes, name: str) -> None:
        """No link-local address on our side of a guest; the kernel takes this only for a link that exists."""
        try:
            self.request(NEWLINK, 0, link + NO_AUTOCONF, f"mute {name}")
        except nl.NetlinkFailed as error:
            if error.errno != errno.EAFNOSUPPORT:       # no IPv6 here, or not on this link: nothing to mute
                raise

    def delete(self, index: int) -> None:
        self.request(DELLINK, 0, _interface(index), f"delete link {index}")

    def set_up(self, index: int) -> None:
        self.request(NEWLINK, 0, _interface(index, up=True), f"set link {index} up")

    def set_mac(self, index: int, mac: str) -> None:
        self.request(NEWLINK, 0, _interface(index) + nl.attribute(1, packed_mac(mac)), f"set address of link {index}")

    def set_mtu(self, index: int, mtu: int) -> None:
        self.request(NEWLINK, 0, _interface(index) + nl.u32(4, mtu), f"set mtu of link {index}")

    def set_master(self, index: int, master: int) -> None:
        if master:
            self._mute(_interface(index), f"link {index}")
        self.request(NEWLINK, 0, _interface(index) + nl.u32(10, master), f"set master of link {index}")

    def quieten(self, index: int, quiet: bool) -> None:
        """A quiet bridge port learns nothing and gets no unknown destinations: its entries are ours."""
        port = nl.nested(12, nl.u8(8, not quiet), nl.u8(9, not quiet))
        self.request(SETLINK, 0, _interface(index, family=AF_BRIDGE) + port, f"set bridge port {index}")

    def forwarding(self) -> set[Forwarding]:
        """Static entries of bridges, and those of VXLAN devices."""
        found = set()
        for body in self.dump(GETNEIGH, struct.pack("=BxxxiHBB", AF_BRIDGE, 0, 0, 0, 0), "list forwarding entries"):
            _, index, state, _, _ = struct.unpack_from("=BxxxiHBB", body)
            parts = dict(nl.attributes(body, 12))
            if 2 not in parts:
                continue
            if 9 in parts and state & NUD_STATIC:
                found.add(Forwarding(index, mac_text(parts[2]), None))
            elif 1 in parts:
                found.add(Forwarding(index, mac_text(parts[2]), str(ip_address(bytes(parts[1])))))
        return found

    def add_forwarding(self, entry: Forwarding) -> None:
        flags = nl.CREATE | (nl.APPEND if entry.mac == NO_MAC else nl.REPLACE)
        self.request(NEWNEIGH, flags, _neighbour(entry), f"add {entry}")

    def delete_forwarding(self, entry: Forwarding) -> None:
        self.request(DELNEIGH, 0, _neighbour(entry), f"delete {entry}")

    def proxied(self, index: int) -> set[str]:
        """IPv6 addresses for which the link answers though others have them."""
        found = set()
        query = struct.pack("=BxxxiHBB", socket.AF_INET6, index, 0, NTF_PROXY, 0)
        for body in self.dump(GETNEIGH, query, "list proxied addresses"):
            _, owner, _, flags, _ = struct.unpack_from("=BxxxiHBB", body)
            parts = dict(nl.attributes(body, 12))
            if owner == index and flags & NTF_PROXY and 1 in parts:
                found.add(str(ip_address(bytes(parts[1]))))
        return found

    def add_proxied(self, index: int, ip: str) -> None:
        self.request(NEWNEIGH, nl.CREATE | nl.REPLACE, _proxied(index, ip), f"answer for {ip}")

    def delete_proxied(self, index: int, ip: str) -> None:
        self.request(DELNEIGH, 0, _proxied(index, ip), f"answer for {ip} no more")

    def addresses(self, index: int) -> set[str]:
        """Addresses of the link with their prefix lengths, link-local ones left out."""
        found = set()
        for body in self.dump(GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0), "list addresses"):
            _, length, _, _, owner = struct.unpack_from("=BBBBi", body)
            parts = dict(nl.attributes(body, 8))
            if owner == index and (value := parts.get(2, parts.get(1))) is not None:
                address = ip_address(bytes(value))
                if not (address.version == 6 and address.is_link_local):
                    found.add(f"{address}/{length}")
        return found

    def add_address(self, index: int, address: str) -> None:
        """Without duplicate address detection: the addresses are given out by us."""
        self.request(NEWADDR, nl.CREATE | nl.REPLACE, _address(index, address), f"add address {address}")

    def delete_address(self, index: int, address: str) -> None:
        self.request(DELADDR, 0, _address(index, address), f"delete address {address}")

    def routes(self) -> set[Route]:
        """The routes of our own protocol."""
        found = set()
        for body in self.dump(GETROUTE, struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 0, 0), "list routes"):
            family, length, _, _, _, protocol, _, _, _ = struct.unpack_from("=BBBBBBBBI", body)
            parts = dict(nl.attributes(body, 12))
            if protocol == PROTOCOL and (5 in parts or 9 in parts):
                base = bytes(parts[1]) if 1 in parts else bytes(4 if family == socket.AF_INET else 16)
                found.add(Route(f"{ip_address(base)}/{length}", tuple(sorted(_hops(parts))), nl.as_number(parts[15])))
        return found

    def put_route(self, route: Route) -> None:
        """Instead of another to the same destination, at once."""
        several = b"".join(struct.pack("=HBBi", 8 + len(hop), 0, 0, link) + hop for hop, link in (
            (nl.attribute(5, ip_address(hop.address).packed), hop.link) for hop in route.hops))
        self.request(NEWROUTE, nl.CREATE | nl.REPLACE, _route(route) + nl.attribute(9, several), f"add {route}")

    def delete_route(self, route: Route) -> None:
        self.request(DELROUTE, 0, _route(route), f"delete {route}")

    def rules(self) -> set[Rule]:
        """The rules of our own protocol."""
        found = set()
        for body in self.dump(GETRULE, bytes(12), "list rules"):
            family, length = struct.unpack_from("=BxB", body)
            parts = dict(nl.attributes(body, 12))
            if 21 in parts and parts[21][0] == PROTOCOL:
                source = f"{ip_address(bytes(parts[2]))}/{length}" if 2 in parts else ""
                found.add(Rule(4 if family == socket.AF_INET else 6, source, nl.as_number(parts[15])))
        return found

    def add_rule(self, rule: Rule) -> None:
        self.request(NEWRULE, nl.CREATE | nl.EXCL, _rule(rule), f"add {rule}")

    def delete_rule(self, rule: Rule) -> None:
        self.request(DELRULE, 0, _rule(rule), f"delete {rule}")


def _interface(index: int = 0, *, up: bool = False, family: int = 0) -> bytes:
    return struct.pack("=BxHiII", family, 0, index, IFF_UP if up else 0, IFF_UP if up else 0)


def _neighbour(entry: Forwarding) -> bytes:
    bridge = entry.destination is None
    state, flags = (NUD_STATIC, NTF_MASTER) if bridge else (NUD_PERMANENT, NTF_SELF)
    body = struct.pack("=BxxxiHBB", AF_BRIDGE, entry.index, state, flags, 0) + nl.attribute(2, packed_mac(entry.mac))
    return body if entry.destination is None else body + nl.attribute(1, ip_address(entry.destination).packed)


def _proxied(index: int, ip: str) -> bytes:
    body = struct.pack("=BxxxiHBB", socket.AF_INET6, index, NUD_PERMANENT, NTF_PROXY, 0)
    return body + nl.attribute(1, ip_address(ip).packed)


def _address(index: int, address: str) -> bytes:
    interface = ip_interface(address)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBi", family, interface.network.prefixlen, 0x02 if interface.version == 6 else 0, 0, index)
    packed = interface.ip.packed
    body += nl.attribute(2, packed) + nl.attribute(1, packed)
    if interface.version == 4 and interface.network.prefixlen < 31:
        body += nl.attribute(4, interface.network.broadcast_address.packed)
    return body


def _route(route: Route) -> bytes:
    network = ip_network(route.destination)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, 0, PROTOCOL, 0, 1, 0) + nl.u32(15, route.table)
    return body + nl.attribute(1, network.network_address.packed) if network.prefixlen else body


def _hops(parts: dict[int, memoryview]) -> Iterator[Hop]:
    """Of a route's attributes: of a single hop, or of several."""
    if 5 in parts:
        yield Hop(str(ip_address(bytes(parts[5]))), nl.as_number(parts[4]))
    data, start = parts.get(9, memoryview(b"")), 0
    while start + 8 <= len(data):
        length, link = struct.unpack_from("=HxxI", data, start)
        yield from _hops(dict(nl.attributes(data[start:start + length], 8)) | {4: data[start + 4:start + 8]})
        start += (length + 3) & ~3


def _rule(rule: Rule) -> bytes:
    source = ip_interface(rule.source) if rule.source else None
    family, length = socket.AF_INET if rule.version == 4 else socket.AF_INET6, source.network.prefixlen if source else 0
    body = struct.pack("=BBBBBBBBI", family, 0, length, 0, 0, 0, 0, 1, 0)
    body += nl.u32(6, FIRST if source is None else THEN) + nl.u32(15, rule.table) + nl.u8(21, PROTOCOL)
    return body + (nl.u32(14, 0) if source is None else nl.attribute(2, source.ip.packed))
