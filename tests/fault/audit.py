"""Compares what a cloud says of itself with what is really there: processes, files, links, rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.fault.cloud import Cloud

SETTLE_SECONDS = 30.0
RUNS = ("ACTIVE", "PAUSED")
KEEPS = (*RUNS, "SHUTOFF")               # statuses of a server that has something on a host
HOST = "host-1"
SERVICES = ("identity", "placement", "image", "network", "compute", "volume", "load_balancer")
SETTLED = ("available", "in-use")


Links = dict[str, set[str]]              # by network namespace


def audit(cloud: Cloud, empty: Links) -> None:
    """What is there is what living servers need, and nothing else; it may take a moment to become so."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while first := next(findings(cloud, empty), ""):             # what is costly to find out comes last
        assert time.monotonic() < give_up, "\n".join(sorted({first, *findings(cloud, empty)}))
        time.sleep(0.1)


def findings(cloud: Cloud, empty: Links) -> Iterator[str]:
    servers = cloud.servers()
    kept = {server_id for server_id, server in servers.items() if server["status"] in KEEPS}
    yield from _sagas(cloud)
    yield from _servers(cloud, servers)
    yield from _hosts(cloud, servers, kept)
    yield from _placement(cloud, kept)
    yield from _network(cloud, servers, kept)
    yield from _volumes(cloud, servers)
    yield from _machine(cloud, empty, servers)


def _sagas(cloud: Cloud) -> Iterator[str]:
    for service in SERVICES:
        for name, subject, phase, step, stuck in cloud.rows(
                service, "select name, subject, phase, step, stuck from saga"
                         " where phase not in ('done', 'undone') or stuck or lease is not null or lease_until > 0"
                         " or active_subject is not null"):
            yield f"{name} of {subject} is {phase} at {step}{', stuck' if stuck else ''}"


def _volumes(cloud: Cloud, servers: dict[str, dict[str, Any]]) -> Iterator[str]:
    held = cloud.rows("volume", "select volume_id, server_id, status from attachment")
    for volume_id, server_id, status in held:
        if server_id not in servers or status != "attached":
            yield f"the attachment of volume {volume_id} to server {server_id} is {status}"
    attached = {volume_id for volume_id, _, _ in held}
    if cloud.driver != "fake" and (served := set(cloud.served())) != attached:
        yield f"volumes served are {served}, those attached {attached}"
    for volume_id, status in cloud.rows("volume", "select id, status from volume"):
        if status != SETTLED[volume_id in attached]:
            yield f"volume {volume_id} is {status}"


def _servers(cloud: Cloud, servers: dict[str, dict[str, Any]]) -> Iterator[str]:
    alive = {server_id for server_id, in cloud.rows("compute", "select id from server where alive")}
    if alive != servers.keys():
        yield f"servers alive in the database {alive} are not those shown {set(servers)}"
    for server_id, server in servers.items():
        if server["status"] not in (*KEEPS, "ERROR"):
            yield f"server {server_id} is {server['status']}"
        if server["status"] == "ERROR" and not server.get("fault", {}).get("message"):
            yield f"server {server_id} is in error, and nobody says why"
        if server["OS-EXT-STS:task_state"]:
            yield f"server {server_id} is {server['OS-EXT-STS:task_state']}"


def _hosts(cloud: Cloud, servers: dict[str, dict[str, Any]], kept: set[str]) -> Iterator[str]:
    guests = cloud.guests()
    running = {server_id for server_id, server in servers.items() if server["status"] in RUNS}
    for server_id, pids in guests.items():
        if server_id not in running or len(pids) != 1:
            yield f"server {server_id} has QEMU processes {pids}"
    if cloud.driver != "fake":
        yield from (f"server {server_id} has no QEMU" for server_id in running - guests.keys())
    instances = cloud.state.instances / HOST
    there = {path.stem for path in instances.iterdir() if not path.name.startswith(".")} if instances.exists() else {}
    if there != kept:
        yield f"on the host are {there}, not {kept}"
    yield from (f"process in the sandbox: {words}" for words in cloud.strangers())
    cache = cloud.state.cache / HOST
    files = [path.name for path in cache.iterdir()] if cache.exists() else []
    yield from (f"file in the image cache: {name}" for name in files if not name.startswith("sha512-"))


def _placement(cloud: Cloud, kept: set[str]) -> Iterator[str]:
    claims = {consumer for consumer, in cloud.rows("placement", "select distinct consumer_id from allocation")}
    consumers = {consumer for consumer, in cloud.rows("placement", "select id from consumer")}
    if not claims == consumers == kept:
        yield f"allocations are of {claims}, consumers are {consumers}, servers are {kept}"


def _network(cloud: Cloud, servers: dict[str, dict[str, Any]], kept: set[str]) -> Iterator[str]:
    ports = cloud.rows("network", "select id, device_id, host, status from port where device_owner like 'compute:%'")
    owners = [device for _, device, _, _ in ports]
    if sorted(owners) != sorted(kept):
        yield f"ports are of {owners}, servers are {kept}"
    orphans = cloud.rows("network", "select port_id, ip from address where port_id not in (select id from port)")
    yield from (f"address {ip} of port {port}, which is not there" for port, ip in orphans)
    for host, seq, confirmed, error in cloud.rows("network", "select name, seq, confirmed, error from host"):
        if seq != confirmed or error:
            yield f"host {host} has slice {confirmed} of {seq} {error}"
    for _, device, _, status in ports:
        if device in servers and servers[device]["status"] == "ACTIVE" and status != "ACTIVE":
            yield f"a port of server {device}, which is active, is {status}"


def _machine(cloud: Cloud, empty: Links, servers: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A server that is shut down may have its taps, or not."""
    ports = cloud.rows("network", "select id, device_id from port where device_owner like 'compute:%'")
    taps = {f"tap{port[:11]}": servers.get(device, {}).get("status") for port, device in ports}
    allowed = set(taps) if cloud.driver != "fake" else set()
    needed = {tap for tap in allowed if taps[tap] in RUNS}
    found = cloud.links()
    if found.keys() != empty.keys():
        yield f"namespaces {found.keys() ^ empty.keys()} differ"
    for name in found.keys() & empty.keys():
        more, less = found[name] - empty[name], empty[name] - found[name]
        if less:
            yield f"links missing in namespace {name or 'of the sandbox'}: {less}"
        if not more <= (allowed if name == HOST else set()) or name == HOST and not needed <= more:
            yield f"links in namespace {name or 'of the sandbox'}: {more}; taps of servers: {taps}"
