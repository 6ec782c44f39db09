"""Hypervisors: what hosts have, what servers take of it, whether they are up."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import versions
from pileus.compute.api.values import MOST, truth
from pileus.compute.faults import HostUnavailable, HypervisorNotFound, NoSuchHypervisor, NoUptime
from pileus.compute.model import hosts
from pileus.compute.model.hosts import Guest, Host, Used, version_number
from pileus.kit import ids
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.numbers import INT_MAX, digits
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

SLIM = versions.HYPERVISORS_SLIM


class HypervisorQuery(msgspec.Struct, kw_only=True):
    limit: Annotated[Annotated[int, msgspec.Meta(ge=0)] | None, since(versions.HYPERVISOR_PAGES)] = None
    marker: Annotated[str | None, since(versions.HYPERVISOR_PAGES)] = None
    pattern: Annotated[Annotated[str, msgspec.Meta(min_length=1)] | None, since(versions.UUID_IDS)] = msgspec.field(
        name="hypervisor_hostname_pattern", default=None)
    with_servers: Annotated[str, since(versions.UUID_IDS)] = "false"


class WithServers(msgspec.Struct, kw_only=True):
    with_servers: Annotated[str, since(versions.UUID_IDS)] = "false"


class ServerOn(msgspec.Struct, kw_only=True):
    uuid: str
    name: str


Servers = list[ServerOn] | msgspec.UnsetType


class HypervisorName(msgspec.Struct, kw_only=True):
    id: int | str
    hypervisor_hostname: str
    state: str
    status: str
    servers: Servers = msgspec.UNSET


class UptimeView(msgspec.Struct, kw_only=True):
    id: int | str
    hypervisor_hostname: str
    state: str
    status: str
    uptime: str


class ServiceOf(msgspec.Struct, kw_only=True):
    id: int | str
    host: str
    disabled_reason: str | None


class HypervisorView(HypervisorName, kw_only=True):
    hypervisor_type: str
    hypervisor_version: int
    host_ip: str
    service: ServiceOf
    uptime: Annotated[str | None, since(SLIM)]
    cpu_info: Annotated[dict[str, Any] | str, until(SLIM)]
    vcpus: Annotated[int, until(SLIM)]
    vcpus_used: Annotated[int, until(SLIM)]
    memory_mb: Annotated[int, until(SLIM)]
    memory_mb_used: Annotated[int, until(SLIM)]
    free_ram_mb: Annotated[int, until(SLIM)]
    local_gb: Annotated[int, until(SLIM)]
    local_gb_used: Annotated[int, until(SLIM)]
    free_disk_gb: Annotated[int, until(SLIM)]
    disk_available_least: Annotated[int, until(SLIM)]
    running_vms: Annotated[int, until(SLIM)]
    current_workload: Annotated[int, until(SLIM)]


class Statistics(msgspec.Struct, kw_only=True):
    count: int = 0
    vcpus: int = 0
    vcpus_used: int = 0
    memory_mb: int = 0
    memory_mb_used: int = 0
    free_ram_mb: int = 0
    local_gb: int = 0
    local_gb_used: int = 0
    free_disk_gb: int = 0
    disk_available_least: int = 0
    running_vms: int = 0
    current_workload: int = 0


SUMMED = tuple(name for name in Statistics.__struct_fields__ if name != "count")


def known_as(ctx: Ctx, host: Host) -> int | str:
    return host.id if ctx.version >= versions.UUID_IDS else host.number


def parsed_id(ctx: Ctx, text: str) -> int | str | None:
    """An id in a path as of the request's version: a UUID (BadRequest if it is none), before that a number, or None
    for what cannot be one."""
    if ctx.version >= versions.UUID_IDS:
        if not ids.is_uuid(text):
            raise BadRequest(reason=f"Invalid uuid {text}")
        return text
    return _number(text)


def _number(text: str) -> int | None:
    number = digits(text)
    return number if number is not None and number <= INT_MAX else None


def uptime(host: Host, now: float) -> str | None:
    """The sentence of `uptime`, as far as it is known."""
    if host.facts.booted_at is None:
        return None
    minutes = int(max(0.0, now - host.facts.booted_at)) // 60
    days, clock = minutes // 1440, minutes % 1440
    time = f"{int(now) // 3600 % 24:02}:{int(now) // 60 % 60:02}:{int(now) % 60:02}"
    return f" {time} up {days} days, {clock // 60:2}:{clock % 60:02}"


def _up(ctx: Ctx, host: Host) -> bool:
    return host.is_up(ctx.clock(), ctx.app.config.host_silent_after)


def _servers(ctx: Ctx, guests: list[Guest] | None) -> Servers:
    """`guests` is None where nobody asked. An empty list is told only since the strict versions."""
    if guests is None or not guests and ctx.version < versions.STRICT_QUERIES:
        return msgspec.UNSET
    return [ServerOn(uuid=guest.id, name=guest.name) for guest in guests]


def name_view(ctx: Ctx, host: Host, guests: list[Guest] | None = None) -> HypervisorName:
    return HypervisorName(
        id=known_as(ctx, host), hypervisor_hostname=host.facts.hostname or host.name,
        state="up" if _up(ctx, host) else "down", status="disabled" if host.disabled else "enabled",
        servers=_servers(ctx, guests))


def view(ctx: Ctx, host: Host, used: Used, guests: list[Guest] | None = None) -> HypervisorView:
    facts, named = host.facts, name_view(ctx, host, guests)
    cpu: dict[str, Any] | str = facts.cpu
    if ctx.version < versions.CPU_INFO_OBJECT:
        cpu = msgspec.json.encode(facts.cpu).decode()
    memory = used.memory_mb + ctx.app.config.reserved_memory_mb
    return HypervisorView(
        id=named.id, hypervisor_hostname=named.hypervisor_hostname, state=named.state, status=named.status,
        servers=named.servers, hypervisor_type=facts.hypervisor_type,
        hypervisor_version=version_number(facts.hypervisor_version), host_ip=host.address,
        service=ServiceOf(id=named.id, host=host.name, disabled_reason=host.disabled_reason),
        uptime=uptime(host, ctx.clock()) if _up(ctx, host) else None, cpu_info=cpu,
        vcpus=facts.vcpus, vcpus_used=used.vcpus, memory_mb=facts.memory_mb, memory_mb_used=memory,
        free_ram_mb=facts.memory_mb - memory, local_gb=facts.disk_gb,
        local_gb_used=facts.disk_gb - facts.disk_free_gb, free_disk_gb=facts.disk_free_gb,
        disk_available_least=facts.disk_free_gb, running_vms=used.servers, current_workload=0)


async def _page(ctx: Ctx, reader: Connection, query: HypervisorQuery) -> tuple[list[Host], str | None]:
    if query.pattern is not None:
        if query.limit is not None or query.marker is not None:
            raise BadRequest(reason="Paging over hypervisors with the hypervisor_hostname_pattern query parameter "
                                    "is not supported.")
        return await _matching(reader, query.pattern), None
    if ctx.version < versions.HYPERVISOR_PAGES:
        return await hosts.every(reader), None
    limit = MOST if query.limit is None else min(query.limit, MOST)
    after = None
    if query.marker is not None:
        after = await hosts.find_by(reader, query.marker if (number := _number(query.marker)) is None else number)
        if after is None:
            raise BadRequest(reason=f"Marker {query.marker} could not be found.")
    found = await hosts.page(reader, limit=limit + 1, after=after)
    more = str(known_as(ctx, found[limit - 1])) if 0 < limit < len(found) else None
    return found[:limit], more


async def _matching(reader: Connection, pattern: str) -> list[Host]:
    found = [host for host in await hosts.every(reader) if pattern in (host.facts.hostname or host.name)]
    if not found:
        raise NoSuchHypervisor(pattern=pattern)
    return found


async def _guests(reader: Connection, found: list[Host], with_servers: str) -> dict[str, list[Guest]] | None:
    if not truth(with_servers, "with_servers"):
        return None
    return await hosts.guests(reader, [host.name for host in found])


async def _get(ctx: Ctx, reader: Connection, hypervisor_id: str) -> Host:
    given = parsed_id(ctx, hypervisor_id)
    if given is None:
        raise HypervisorNotFound(hypervisor_id=hypervisor_id)
    return await hosts.get_hypervisor(reader, given)


def _of(guests: dict[str, list[Guest]] | None, host: Host) -> list[Guest] | None:
    return None if guests is None else guests.get(host.name, [])


routes = Routes()


@routes.get("/v2.1/os-hypervisors", envelope="hypervisors", policy=Rule("os_compute_api:os-hypervisors:list", ADMIN),
            strict=versions.STRICT_QUERIES)
async def list_hypervisors(ctx: Ctx, query: HypervisorQuery) -> Page[HypervisorName]:
    async with ctx.db.read() as reader:
        found, more = await _page(ctx, reader, query)
        guests = await _guests(reader, found, query.with_servers)
    return Page([name_view(ctx, host, _of(guests, host)) for host in found], next_marker=more)


@routes.get("/v2.1/os-hypervisors/detail", envelope="hypervisors",
            policy=Rule("os_compute_api:os-hypervisors:list-detail", ADMIN), strict=versions.STRICT_QUERIES)
async def list_hypervisors_in_detail(ctx: Ctx, query: HypervisorQuery) -> Page[HypervisorView]:
    async with ctx.db.read() as reader:
        found, more = await _page(ctx, reader, query)
        guests = await _guests(reader, found, query.with_servers)
        used = await hosts.used(reader)
    return Page([view(ctx, host, used.get(host.name, Used()), _of(guests, host)) for host in found], next_marker=more)


@routes.get("/v2.1/os-hypervisors/statistics", envelope="hypervisor_statistics", window=until(SLIM),
            policy=Rule("os_compute_api:os-hypervisors:statistics", ADMIN))
async def show_statistics(ctx: Ctx) -> Statistics:
    async with ctx.db.read() as reader:
        found = [host for host in await hosts.every(reader) if not host.disabled]
        used = await hosts.used(reader)
    views = [view(ctx, host, used.get(host.name, Used())) for host in found]
    return Statistics(count=len(views), **{name: sum(getattr(one, name) for one in views) for name in SUMMED})


@routes.get("/v2.1/os-hypervisors/{hypervisor_id}", envelope="hypervisor",
            policy=Rule("os_compute_api:os-hypervisors:show", ADMIN), strict=versions.STRICT_QUERIES)
async def show_hypervisor(ctx: Ctx, hypervisor_id: str, query: WithServers) -> HypervisorView:
    async with ctx.db.read() as reader:
        host = await _get(ctx, reader, hypervisor_id)
        guests = await _guests(reader, [host], query.with_servers)
        used = await hosts.used(reader, [host.name])
    return view(ctx, host, used.get(host.name, Used()), _of(guests, host))


@routes.get("/v2.1/os-hypervisors/{hypervisor_id}/uptime", envelope="hypervisor", window=until(SLIM),
            policy=Rule("os_compute_api:os-hypervisors:uptime", ADMIN))
async def show_uptime(ctx: Ctx, hypervisor_id: str) -> UptimeView:
    async with ctx.db.read() as reader:
        host = await _get(ctx, reader, hypervisor_id)
    if not _up(ctx, host):
        raise HostUnavailable(host=host.name)
    told, named = uptime(host, ctx.clock()), name_view(ctx, host)
    if told is None:
        raise NoUptime()
    return UptimeView(id=named.id, hypervisor_hostname=named.hypervisor_hostname, state=named.state,
                      status=named.status, uptime=told)


@routes.get("/v2.1/os-hypervisors/{pattern}/search", envelope="hypervisors", window=until(versions.UUID_IDS),
            policy=Rule("os_compute_api:os-hypervisors:search", ADMIN))
async def search_hypervisors(ctx: Ctx, pattern: str) -> list[HypervisorName]:
    async with ctx.db.read() as reader:
        return [name_view(ctx, host) for host in await _matching(reader, pattern)]


@routes.get("/v2.1/os-hypervisors/{pattern}/servers", envelope="hypervisors", window=until(versions.UUID_IDS),
            policy=Rule("os_compute_api:os-hypervisors:servers", ADMIN))
async def list_servers_of_hypervisors(ctx: Ctx, pattern: str) -> list[HypervisorName]:
    async with ctx.db.read() as reader:
        found = await _matching(reader, pattern)
        guests = await hosts.guests(reader, [host.name for host in found])
    return [name_view(ctx, host, guests.get(host.name, [])) for host in found]
