"""Reads everything engines are told from the database, in one query per table, as resolved records."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID, uuid5

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network.binding import port_record
from pileus.network.engine import records
from pileus.network.model import (
    address_scopes,
    followed_protocols,
    gateways,
    local_ips,
    logs,
    metering,
    ndp_proxies,
    qos,
    trunks,
)
from pileus.network.model import hosts as host_model
from pileus.network.model.address_groups import AddressGroup, address_groups
from pileus.network.model.base import chunks, rows
from pileus.network.model.hosts import Host
from pileus.network.model.networks import Network, exclusions, networks
from pileus.network.model.port_forwardings import PortForwarding, port_forwardings
from pileus.network.model.ports import DHCP, FLOATING_IP, Port, groups_of, ports
from pileus.network.model.routers import FloatingIp, Router, floating_ips, interfaces, routers
from pileus.network.model.security_groups import Rule, SecurityGroup, rules, security_groups
from pileus.network.model.subnets import Address, Subnet, addresses_of, subnets

LEAST_MTU = 68              # of links; a network may be said to have less as long as it has no subnets


class _Read:
    """A port as it was read, and the record that was made of it last."""

    def __init__(self, port: Port, addresses: list[Address], groups: list[str]):
        self.stamp = (port.generation, port.created_at)
        self.port, self.addresses, self.groups = port, addresses, groups
        self._made: tuple[tuple[Any, ...], records.Port] | None = None

    def record(self, *, network_up: bool, qos: records.Qos | None, under: records.Under | None,
               events: tuple[tuple[str, ...], tuple[str, ...]]) -> records.Port:
        around = (network_up, qos, under, events)
        if self._made is None or self._made[0] != around:
            made = port_record(self.port, self.addresses, self.groups, network_up=network_up, qos=qos, under=under)
            self._made = (around, _logged(events, made))
        return self._made[1]


class Known:
    """The ports as they were read last, by id: of one whose revision and birth are the same nothing is read."""

    def __init__(self) -> None:
        self.ports: dict[str, _Read] = {}

    async def read(self, conn: Connection) -> list[_Read]:
        query = sa.select(ports.c.id, ports.c.generation, ports.c.created_at).where(
            ports.c.device_owner != FLOATING_IP)
        present = {port_id: (generation, made) for port_id, generation, made in await rows(conn, query)}
        self.ports = {port_id: known for port_id, known in self.ports.items() if present.get(port_id) == known.stamp}
        missing = [port_id for port_id in present if port_id not in self.ports]
        held, groups = await addresses_of(conn, missing), await groups_of(conn, missing)
        for part in chunks(missing):
            for port in await db.many(conn, sa.select(ports).where(ports.c.id.in_(part)), Port):
                self.ports[port.id] = _Read(port, held[port.id], groups[port.id])
        return list(self.ports.values())


async def read_records(conn: Connection, hosts: list[Host], known: Known | None = None, *,
                       dns_domain: str = "") -> records.Records:
    every = await (known or Known()).read(conn)
    held = {each.port.id: each.addresses for each in every}
    nets = await db.many(conn, sa.select(networks), Network)
    scopes = await address_scopes.of_pools(conn)
    ranges = await db.many(conn, sa.select(subnets), Subnet)
    servers = {address.subnet_id: address.ip for each in every
               if each.port.device_owner == DHCP and each.port.admin_state_up for address in each.addresses}
    up = {network.id for network in nets if network.admin_state_up}
    policies = {policy_id: _qos(own) for policy_id, own in (await qos.rules_of(conn)).items()}
    without_dhcp: dict[str, list[str]] = defaultdict(list)
    for network_id, host in await rows(conn, sa.select(exclusions.c.network_id, exclusions.c.host).order_by(
            exclusions.c.host)):
        without_dhcp[network_id].append(host)
    off = await host_model.switched_off(conn)
    without = [host.name for host in hosts if off & {host.id, host.part(host_model.DHCP)}]
    usual = {network.id: network.qos_policy_id for network in nets if network.qos_policy_id}

    def obeyed(port: Port) -> records.Qos | None:
        of_network = None if port.device_owner.startswith("network:") else usual.get(port.network_id)
        return policies.get(port.qos_policy_id or of_network or "")
    under = {port_id: records.Under(port_id=parent, vlan=number)
             for port_id, (parent, number) in (await trunks.steered(conn)).items()}
    logging = await logs.wanted(conn)
    return records.Records(
        networks=tuple(_network(network, sorted({*without_dhcp[network.id], *without}), dns_domain)
                       for network in nets),
        subnets=tuple(_subnet(subnet, servers.get(subnet.id), scopes.get(subnet.subnetpool_id or ""))
                      for subnet in ranges),
        ports=tuple(each.record(
            network_up=each.port.network_id in up, qos=obeyed(each.port), under=under.get(each.port.id),
            events=logging.events(each.port, each.groups)) for each in every),
        routers=tuple(await _routers(conn, held, policies)), meters=tuple(await _meters(conn)),
        local_ips=tuple(await _local_ips(conn)), floating_ips=tuple(await _floating_ips(conn, policies, usual)),
        security_groups=tuple(await _groups(conn)),
        hosts=tuple(records.Host(name=host.name, underlay_ip=host.underlay_ip) for host in hosts))


def _logged(events: tuple[tuple[str, ...], tuple[str, ...]], record: records.Port) -> records.Port:
    return msgspec.structs.replace(record, accepts=events[0], drops=events[1]) if any(events) else record


def _network(row: Network, without_dhcp: list[str], dns_domain: str) -> records.Network:
    overlay = row.network_type == "vxlan"
    return records.Network(
        id=row.id, revision=row.generation, vni=row.segmentation_id if overlay else None, mtu=max(row.mtu, LEAST_MTU),
        external=row.external, physical=None if overlay else row.physical_network,
        vlan=row.segmentation_id if row.network_type == "vlan" else None, without_dhcp=tuple(without_dhcp),
        dns_domains=tuple(filter(None, (row.dns_domain, dns_domain))))


def _subnet(row: Subnet, server: str | None, scope: str | None) -> records.Subnet:
    return records.Subnet(
        id=row.id, network_id=row.network_id, cidr=row.cidr, ip_version=row.ip_version, gateway_ip=row.gateway_ip,
        enable_dhcp=row.enable_dhcp, dhcp_server_ip=server, dns_nameservers=tuple(row.dns_nameservers),
        host_routes=_routes(row.host_routes), ipv6_ra_mode=row.ipv6_ra_mode, ipv6_address_mode=row.ipv6_address_mode,
        scope=scope)


def _routes(rows: list[Any]) -> tuple[records.HostRoute, ...]:
    return tuple(records.HostRoute(destination=row.destination, nexthop=row.nexthop) for row in rows)


async def _routers(conn: Connection, held: dict[str, list[Address]],
                   policies: dict[str, records.Qos]) -> list[records.Router]:
    legs: dict[str, list[str]] = defaultdict(list)
    later = await gateways.further_of(conn)
    answered, helped = await ndp_proxies.by_router(conn), await followed_protocols.by_router(conn)
    query = sa.select(interfaces.c.port_id, interfaces.c.router_id).order_by(interfaces.c.port_id)
    for port_id, router_id in await rows(conn, query):
        legs[router_id].append(port_id)
    return [records.Router(
        id=row.id, revision=row.generation, admin_up=row.admin_state_up, port_ids=tuple(legs[row.id]),
        gateway=_gateway(gateways.first_of(row), held), enable_snat=row.enable_snat, routes=_routes(row.routes),
        host=row.host, project_id=row.project_id, qos=policies.get(row.qos_policy_id or ""),
        proxied=answered[row.id] if row.enable_ndp_proxy else None,
        followed=tuple(records.Followed(name=each.helper, protocol=each.protocol, port=each.port)
                      for each in helped[row.id]),
        further=tuple(filter(None, (_gateway(way, held) for way in later[row.id]))),
        ecmp=row.enable_default_route_ecmp is True, watched=row.enable_default_route_bfd is True)
        for row in await db.many(conn, sa.select(routers), Router)]


def _gateway(way: gateways.Gateway | None, held: dict[str, list[Address]]) -> records.Gateway | None:
    return None if way is None else records.Gateway(
        port_id=way.port_id, network_id=way.network_id,
        fixed_ips=tuple(records.FixedIp(subnet_id=a.subnet_id, ip=a.ip) for a in held.get(way.port_id, ())))


async def _floating_ips(conn: Connection, policies: dict[str, records.Qos],
                        usual: dict[str, str]) -> list[records.FloatingIp]:
    """`usual`: the policies of networks, which floating IPs obey that have none of their own."""
    query = sa.select(floating_ips).where(floating_ips.c.router_id.is_not(None))
    forwarded: dict[str, list[records.Forwarding]] = defaultdict(list)
    for row in await db.many(conn, sa.select(port_forwardings).order_by(port_forwardings.c.id), PortForwarding):
        forwarded[row.floatingip_id].append(records.Forwarding(
            protocol=row.protocol, port=row.external_port, last=row.external_last, ip=row.internal_ip_address,
            inside=row.internal_port))
    return [records.FloatingIp(
        id=row.id, revision=row.generation, floating_ip=row.floating_ip_address,
        network_id=row.floating_network_id, fixed_ip=row.fixed_ip_address,
        router_id=row.router_id, port_id=row.port_id, forwardings=tuple(forwarded[row.id]),
        qos=policies.get(row.qos_policy_id or usual.get(row.floating_network_id, "")))
        for row in await db.many(conn, query, FloatingIp)]


async def _local_ips(conn: Connection) -> list[records.LocalIp]:
    """One record per port that stands for one, wherever it is."""
    return [records.LocalIp(
        id=str(uuid5(UUID(one.local_ip_id), one.port_id)), revision=one.revision, network_id=one.network_id, ip=one.ip,
        port_id=one.port_id, fixed_ip=one.fixed_ip, mac=one.mac, passthrough=one.mode == local_ips.PASSTHROUGH)
        for one in await local_ips.standing(conn)]


def _qos(rules: list[qos.QosRule]) -> records.Qos:
    limits = [records.Limit(egress=rule.direction == "egress", packets=rule.kind == qos.PACKETS,
                            most=rule.most * 1000, burst=rule.burst * 1000)
              for rule in rules if rule.kind in (qos.BANDWIDTH, qos.PACKETS)]
    return records.Qos(limits=tuple(limits), dscp=next((rule.most for rule in rules if rule.kind == qos.DSCP), None))


async def _meters(conn: Connection) -> list[records.Meter]:
    of_label: dict[str, list[records.MeterRule]] = defaultdict(list)
    for row in await db.many(conn, sa.select(metering.rules).order_by(metering.rules.c.id), metering.LabelRule):
        of_label[row.metering_label_id].append(records.MeterRule(
            ingress=row.direction == "ingress", remote=row.remote_ip_prefix, source=row.source_ip_prefix,
            destination=row.destination_ip_prefix, excluded=row.excluded))
    return [records.Meter(id=row.id, project_id=None if row.shared else row.project_id, rules=tuple(of_label[row.id]))
            for row in await db.many(conn, sa.select(metering.labels), metering.Label)]


async def _groups(conn: Connection) -> list[records.SecurityGroup]:
    of_group: dict[str, list[records.Rule]] = defaultdict(list)
    for row in await db.many(conn, sa.select(rules).order_by(rules.c.id), Rule):
        of_group[row.security_group_id].append(records.Rule(
            direction=row.direction, ethertype=row.ethertype, protocol=row.protocol, port_min=row.port_range_min,
            port_max=row.port_range_max, remote_cidr=row.remote_ip_prefix,
            remote_group_id=row.remote_group_id or row.remote_address_group_id))
    return [records.SecurityGroup(
        id=row.id, revision=row.generation, rules=tuple(of_group[row.id]), stateful=row.stateful)
        for row in await db.many(conn, sa.select(security_groups), SecurityGroup)] + [
            records.SecurityGroup(id=row.id, revision=row.generation, addresses=tuple(row.addresses))
            for row in await db.many(conn, sa.select(address_groups), AddressGroup)]
