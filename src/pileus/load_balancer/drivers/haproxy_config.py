"""What HAProxy is told of a load balancer: a configuration file, as text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from pileus.load_balancer.drivers.base import (
    BalancerSpec,
    ListenerSpec,
    MemberSpec,
    MonitorSpec,
    PolicySpec,
    PoolSpec,
    RuleSpec,
)

HTTP = frozenset(("HTTP", "TERMINATED_HTTPS"))
ALGORITHMS = {"ROUND_ROBIN": "roundrobin", "LEAST_CONNECTIONS": "leastconn", "SOURCE_IP": "source"}
MATCHES = {"REGEX": "reg", "STARTS_WITH": "beg", "ENDS_WITH": "end", "CONTAINS": "sub", "EQUAL_TO": "str"}
STATS, STATE, PING = "stats", "servers.state", "ping"
STICK_SIZE, STICK_EXPIRE = "10k", "30m"
COOKIE = "SRV"
_SPECIAL = re.compile(r"""([\\ \t#"'])""")


def word(text: str) -> str:
    """One word of the configuration. Its parser knows no way to write line breaks, which nobody may send."""
    return _SPECIAL.sub(r"\\\1", text)


def configuration(spec: BalancerSpec) -> str:
    pools = {pool.id: pool for pool in spec.pools}
    lines = [*_global(spec)]
    for listener in (each for each in spec.listeners if each.protocol != "UDP"):
        lines += ["", *_frontend(spec, listener, pools)]
        for pool_id in _pools_of(listener):
            lines += ["", *_backend(listener, pools[pool_id])]
    return "\n".join(lines) + "\n"


def backend_of(pool_id: str, listener: ListenerSpec) -> str:
    """A pool is a backend for each listener that uses it: time limits and headers are the listener's."""
    return f"{pool_id}:{listener.id}"


def _pools_of(listener: ListenerSpec) -> list[str]:
    asked = [listener.default_pool_id, *(policy.pool_id for policy in listener.policies)]
    return list(dict.fromkeys(pool_id for pool_id in asked if pool_id is not None))


def _global(spec: BalancerSpec) -> Iterator[str]:
    yield "global"
    if spec.connection_limit > 0:                                  # else as the limit of files allows
        yield f"    maxconn {spec.connection_limit}"
    yield "    no strict-limits"
    yield f"    stats socket unix@{STATS} mode 600 level admin expose-fd listeners"
    yield f"    server-state-file {STATE}"
    yield f"    hard-stop-after {spec.drain_seconds}s"
    if any(pool.monitor is not None and pool.monitor.type == "PING" for pool in spec.pools):
        yield "    external-check"
        yield "    insecure-fork-wanted"
    yield ""
    yield "defaults"
    yield "    load-server-state-from-file global"
    yield "    retries 3"
    yield "    option redispatch"
    yield "    option splice-auto"
    yield "    timeout http-keep-alive 50000ms"


def _frontend(spec: BalancerSpec, listener: ListenerSpec, pools: dict[str, PoolSpec]) -> Iterator[str]:
    speaks_http = listener.protocol in HTTP or listener.protocol == "PROMETHEUS"
    yield f"frontend {listener.id}"
    yield f"    mode {'http' if speaks_http else 'tcp'}"
    for address in spec.addresses:
        shown = f"[{address}]" if ip_address(address).version == 6 else address
        yield f"    bind {shown}:{listener.port}{' v6only' if ip_address(address).version == 6 else ''}"
    if listener.connection_limit > 0:
        yield f"    maxconn {listener.connection_limit}"
    yield f"    timeout client {listener.client_ms}ms"
    if listener.allowed is not None:
        yield f"    tcp-request connection reject unless {{ src {' '.join(listener.allowed) or '0.0.0.0/32'} }}"
    if listener.inspect_ms:
        yield f"    tcp-request inspect-delay {listener.inspect_ms}ms"
    if speaks_http:
        yield f"    timeout http-request {listener.client_ms}ms"
        yield "    option idle-close-on-response"              # a process that ends answers on connections it has
    if listener.protocol == "PROMETHEUS":
        yield "    http-request use-service prometheus-exporter if { path /metrics }"
        yield "    http-request return status 404"
        return
    for policy in listener.policies:
        yield from _policy(listener, policy)
    if listener.default_pool_id in pools:
        yield f"    default_backend {backend_of(listener.default_pool_id or '', listener)}"


def _policy(listener: ListenerSpec, policy: PolicySpec) -> Iterator[str]:
    names = [f"{policy.id}:{number}" for number in range(len(policy.rules))]
    for name, rule in zip(names, policy.rules, strict=True):
        yield f"    acl {name} {_fetch(rule)} -m {MATCHES[rule.compare]} -- {word(rule.value)}"
    if not names:                                                  # of no rule, none holds
        return
    when = " ".join(f"!{name}" if rule.invert else name for name, rule in zip(names, policy.rules, strict=True))
    if policy.action == "REJECT":
        yield f"    http-request deny if {when}"
    elif policy.action == "REDIRECT_TO_URL":
        yield f"    http-request redirect code {policy.code} location {_literal(policy.url or '')} if {when}"
    elif policy.action == "REDIRECT_PREFIX":
        yield f"    http-request redirect code {policy.code} prefix {_literal(policy.prefix or '')} if {when}"
    elif policy.pool_id is not None:
        yield f"    use_backend {backend_of(policy.pool_id, listener)} if {when}"


def _literal(text: str) -> str:
    """Where HAProxy would look for variables."""
    return word(text.replace("%", "%%"))


def _fetch(rule: RuleSpec) -> str:
    if rule.type == "HOST_NAME":
        return "req.hdr(host),host_only,lower" if rule.compare != "REGEX" else "req.hdr(host),host_only"
    if rule.type == "PATH":
        return "path"
    if rule.type == "FILE_TYPE":
        return "path,regsub(^.*[.],,)"
    return f"req.{'cook' if rule.type == 'COOKIE' else 'hdr'}({rule.key})"


def _backend(listener: ListenerSpec, pool: PoolSpec) -> Iterator[str]:
    speaks_http = listener.protocol in HTTP and pool.protocol in ("HTTP", "PROXY", "PROXYV2")
    yield f"backend {backend_of(pool.id, listener)}"
    yield f"    mode {'http' if speaks_http else 'tcp'}"
    yield f"    balance {ALGORITHMS[pool.algorithm]}"
    yield from _persistence(pool, speaks_http=speaks_http)
    if pool.monitor is not None:
        yield from _monitor(pool.monitor, tls=pool.tls)
    if speaks_http:
        yield from _headers(listener)
    yield f"    timeout connect {listener.connect_ms}ms"
    yield f"    timeout server {listener.member_ms}ms"
    for member in pool.members:
        yield f"    server {' '.join(_server(pool, member, speaks_http=speaks_http))}"


def _persistence(pool: PoolSpec, *, speaks_http: bool) -> Iterator[str]:
    if pool.persistence == "SOURCE_IP":
        yield f"    stick-table type ipv6 size {STICK_SIZE} expire {STICK_EXPIRE}"
        yield "    stick on src"
    elif pool.persistence == "HTTP_COOKIE" and speaks_http:
        yield f"    cookie {COOKIE} insert indirect nocache"
    elif pool.persistence == "APP_COOKIE" and speaks_http:
        yield f"    stick-table type string len 64 size {STICK_SIZE} expire {STICK_EXPIRE}"
        yield f"    stick store-response res.cook({pool.cookie})"
        yield f"    stick match req.cook({pool.cookie})"


def _headers(listener: ListenerSpec) -> Iterator[str]:
    for name in listener.headers:
        if name == "X-Forwarded-For":
            yield "    option forwardfor"
        elif name == "X-Forwarded-Port":
            yield "    http-request set-header X-Forwarded-Port %[dst_port]"
        elif name == "X-Forwarded-Proto":
            yield "    http-request set-header X-Forwarded-Proto http"


def _monitor(monitor: MonitorSpec, *, tls: bool) -> Iterator[str]:
    yield f"    timeout check {monitor.timeout}s"
    if monitor.type in ("HTTP", "HTTPS"):
        version, host = monitor.http_version, f" hdr Host {word(monitor.domain)}" if monitor.domain else ""
        yield "    option httpchk"
        yield f"    http-check send meth {monitor.method} uri {word(monitor.path)} ver HTTP/{version}{host}"
        yield f"    http-check expect rstatus {'|'.join(codes(monitor.codes))}"
    elif monitor.type == "TLS-HELLO":
        yield "    option ssl-hello-chk"
    elif monitor.type == "PING":
        yield "    option external-check"
        yield f"    external-check command {PING}"
        yield "    external-check path /usr/bin:/bin"


def codes(text: str) -> list[str]:
    """200, 200,202 or 200-204."""
    found = []
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        found += [str(code) for code in range(int(first), int(last or first) + 1)]
    return found


def _server(pool: PoolSpec, member: MemberSpec, *, speaks_http: bool) -> Iterator[str]:
    shown = f"[{member.address}]" if ip_address(member.address).version == 6 else member.address
    yield f"{member.id} {shown}:{member.port} weight {member.weight}"
    if not member.enabled:
        yield "disabled"
    if member.backup:
        yield "backup"
    if pool.protocol in ("PROXY", "PROXYV2"):
        yield "send-proxy" if pool.protocol == "PROXY" else "send-proxy-v2"
    if pool.tls:
        yield "ssl verify none"
    if pool.persistence == "HTTP_COOKIE" and speaks_http:
        yield f"cookie {member.id}"
    if (monitor := pool.monitor) is not None:
        yield f"check inter {monitor.delay}s fall {monitor.fall} rise {monitor.rise}"
        if monitor.type == "HTTPS":
            yield "check-ssl verify none"
        if member.monitor_address:
            yield f"addr {member.monitor_address}"
        if member.monitor_port:
            yield f"port {member.monitor_port}"
