"""What no engine can make real, found out before it is promised to anybody."""

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, ip_address, ip_network
from typing import TypeVar

from pileus.network.engine.base import Refusal
from pileus.network.engine.filters import normal
from pileus.network.engine.records import FloatingIp, Host, HostRoute, Port, Records, Router, SecurityGroup, Subnet

ID = re.compile(r"[0-9a-z][0-9a-z-]{10,63}")
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
HOST = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,199}")
MAX_VNI, MAX_VLAN = (1 << 24) - 1, 4094
T = TypeVar("T")


def refusals(records: Records) -> Iterator[Refusal]:
    for kind in ("networks", "subnets", "ports", "routers", "floating_ips", "security_groups"):
        for record in getattr(records, kind):
            if not ID.fullmatch(record.id):
                yield Refusal(kind=kind, id=record.id, reason="the id is not made of digits, small letters and dashes")
    for network in records.networks:
        if network.physical is None and not (network.vni and 0 < network.vni <= MAX_VNI):
            yield Refusal(kind="networks", id=network.id, reason="it has neither a VXLAN number nor a physical network")
        if network.vlan is not None and (network.physical is None or not 0 < network.vlan <= MAX_VLAN):
            yield Refusal(kind="networks", id=network.id, reason=f"it has no VLAN {network.vlan}")
        if not 68 <= network.mtu <= 65535:
            yield Refusal(kind="networks", id=network.id, reason=f"{network.mtu} is no MTU")
    yield from _readable("hosts", records.hosts, _host)
    yield from _readable("subnets", records.subnets, _subnet)
    yield from _readable("ports", records.ports, _port)
    yield from _readable("routers", records.routers, _router)
    yield from _readable("floating_ips", records.floating_ips, _floating_ip)
    yield from _readable("security_groups", records.security_groups, _security_group)


def _readable(kind: str, subjects: Iterable[T], check: Callable[[T], None]) -> Iterator[Refusal]:
    for subject in subjects:
        try:
            check(subject)
        except ValueError as error:
            yield Refusal(kind=kind, id=getattr(subject, "id", getattr(subject, "name", "")), reason=str(error))


def _subnet(subnet: Subnet) -> None:
    ip_network(subnet.cidr)
    for address in (subnet.gateway_ip, subnet.dhcp_server_ip, *subnet.dns_nameservers):
        if address is not None:
            ip_address(address)
    for route in subnet.host_routes:
        _route(route)


def _port(port: Port) -> None:
    for mac in (port.mac, *(pair.mac for pair in port.allowed_address_pairs if pair.mac)):
        if not MAC.fullmatch(mac):
            raise ValueError(f"{mac} is not a MAC address in small letters")
    for fixed in port.fixed_ips:
        ip_address(fixed.ip)
    for pair in port.allowed_address_pairs:
        ip_network(pair.ip, strict=False)


def _host(host: Host) -> None:
    ip_address(host.underlay_ip)
    if not HOST.fullmatch(host.name):
        raise ValueError("a host's name is made of letters, digits, dots, dashes and underscores")


def _route(route: HostRoute) -> None:
    ip_network(route.destination)
    ip_address(route.nexthop)


def _router(router: Router) -> None:
    for way in router.gateways:
        for fixed in way.fixed_ips:
            ip_address(fixed.ip)
    for route in router.routes:
        _route(route)


def _floating_ip(floating: FloatingIp) -> None:
    IPv4Address(floating.floating_ip)
    if floating.fixed_ip is not None:
        IPv4Address(floating.fixed_ip)
    for forwarding in floating.forwardings:
        IPv4Address(forwarding.ip)


def _security_group(group: SecurityGroup) -> None:
    for rule in group.rules:
        normal(rule)
