"""What hosts are told of a load balancer: its rows, resolved, with the cards that its ports are."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from pileus.load_balancer.drivers.base import (
    BalancerSpec,
    LegSpec,
    ListenerSpec,
    MemberSpec,
    MonitorSpec,
    PolicySpec,
    PoolSpec,
    RouteSpec,
    RuleSpec,
)
from pileus.load_balancer.model.rows import Part, Policy, Pool, Tree
from pileus.network.client import PortDetail


def device_of(balancer_id: str) -> str:
    """What the network service knows the load balancer by."""
    return f"lb-{balancer_id}"


def _is_on(part: Part) -> bool:
    return part.admin_state_up and not part.is_going


def spec_of(tree: Tree, ports: Sequence[PortDetail], *, drain_seconds: int, connection_limit: int = -1) -> BalancerSpec:
    """What is being deleted or is switched off is not told of; of members, that they get nothing new."""
    balancer = tree.balancer
    pools = [pool for pool in tree.pools if _is_on(pool)]
    known = {pool.id for pool in pools}
    ordered = sorted(ports, key=lambda port: (port.id != balancer.vip_port_id, port.id))
    return BalancerSpec(
        id=balancer.id, legs=tuple(_leg(port, main=port.id == balancer.vip_port_id) for port in ordered),
        addresses=tuple(balancer.vips),
        listeners=tuple(_listener(tree, listener.id, known) for listener in tree.listeners if _is_on(listener))
        if balancer.admin_state_up else (),
        pools=tuple(_pool(tree, pool) for pool in pools), connection_limit=connection_limit,
        drain_seconds=drain_seconds)


def _leg(port: PortDetail, *, main: bool) -> LegSpec:
    subnets = {subnet.id: subnet for subnet in port.subnets}
    used = [subnets[one.subnet_id] for one in port.addresses]
    routes = [RouteSpec(destination=route["destination"], next_hop=route["nexthop"])
              for subnet in used for route in subnet.host_routes]
    return LegSpec(
        device=port.device, mac=port.mac_address, mtu=port.mtu,
        addresses=tuple(f"{one.ip_address}/{ip_network(subnets[one.subnet_id].cidr).prefixlen}"
                        for one in port.addresses),
        gateways=tuple(dict.fromkeys(subnet.gateway_ip for subnet in used if subnet.gateway_ip)) if main else (),
        routes=tuple(dict.fromkeys(routes)))


def _listener(tree: Tree, listener_id: str, pools: set[str]) -> ListenerSpec:
    row = next(each for each in tree.listeners if each.id == listener_id)
    policies = [policy for policy in tree.policies if policy.listener_id == row.id and _is_on(policy)]
    return ListenerSpec(
        id=row.id, protocol=row.protocol, port=row.protocol_port, connection_limit=row.connection_limit,
        default_pool_id=row.default_pool_id if row.default_pool_id in pools else None,
        headers=tuple(sorted(name for name, value in row.insert_headers.items() if value.lower() == "true")),
        client_ms=row.timeout_client_data, connect_ms=row.timeout_member_connect, member_ms=row.timeout_member_data,
        inspect_ms=row.timeout_tcp_inspect, allowed=None if row.allowed_cidrs is None else tuple(row.allowed_cidrs),
        policies=tuple(_policy(tree, policy) for policy in policies
                       if policy.redirect_pool_id is None or policy.redirect_pool_id in pools))


def _policy(tree: Tree, policy: Policy) -> PolicySpec:
    return PolicySpec(
        id=policy.id, action=policy.action, pool_id=policy.redirect_pool_id, url=policy.redirect_url,
        prefix=policy.redirect_prefix, code=policy.redirect_http_code or 302,
        rules=tuple(RuleSpec(type=rule.type, compare=rule.compare_type, value=rule.value, key=rule.key,
                             invert=rule.invert) for rule in tree.rules
                    if rule.l7policy_id == policy.id and _is_on(rule)))


def _pool(tree: Tree, pool: Pool) -> PoolSpec:
    monitor = next((each for each in tree.monitors if each.pool_id == pool.id and _is_on(each)), None)
    kept = pool.session_persistence or {}
    return PoolSpec(
        id=pool.id, protocol=pool.protocol, algorithm=pool.lb_algorithm, persistence=kept.get("type"),
        cookie=kept.get("cookie_name"), tls=pool.tls_enabled,
        members=tuple(MemberSpec(
            id=member.id, address=member.ip, port=member.protocol_port, weight=member.weight,
            backup=member.backup, enabled=member.admin_state_up, monitor_address=member.monitor_address,
            monitor_port=member.monitor_port)
            for member in tree.members if member.pool_id == pool.id and not member.is_going),
        monitor=None if monitor is None else MonitorSpec(
            type=monitor.type, delay=monitor.delay, timeout=monitor.timeout, rise=monitor.max_retries,
            fall=monitor.max_retries_down, method=monitor.http_method or "GET", path=monitor.url_path or "/",
            codes=monitor.expected_codes or "200", http_version=monitor.http_version or "1.0",
            domain=monitor.domain_name))
