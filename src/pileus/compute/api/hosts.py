"""os-hosts, what old clients ask before hypervisors and services told it; gone since 2.43."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.compute import versions
from pileus.compute.api.services import control_views, view
from pileus.compute.faults import HostNotFound
from pileus.compute.model import hosts
from pileus.compute.model.hosts import Host, Taken
from pileus.kit.faults import BadRequest, Fault
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx


class HostsQuery(msgspec.Struct, kw_only=True):
    zone: str | None = None


class HostName(msgspec.Struct, kw_only=True):
    host_name: str
    service: str                  # without the "nova-" of services
    zone: str


class Resource(msgspec.Struct, kw_only=True):
    host: str
    project: str
    cpu: int
    memory_mb: int
    disk_gb: int


class ResourceView(msgspec.Struct, kw_only=True):
    resource: Resource


class HostUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: Literal["enable", "disable"] | None = None
    maintenance_mode: Literal["enable", "disable"] | None = None


class HostChanged(msgspec.Struct, kw_only=True):
    host: str
    status: str


class NotOurs(Fault):
    status, code = 501, "notImplemented"
    message = "The hypervisor of host {host} does not let compute do this."


def _line(host: str, project: str, taken: Taken) -> ResourceView:
    return ResourceView(resource=Resource(host=host, project=project, cpu=taken.vcpus, memory_mb=taken.memory_mb,
                                          disk_gb=taken.disk_gb))


def _sum(takings: list[Taken]) -> Taken:
    return Taken(vcpus=sum(one.vcpus for one in takings), memory_mb=sum(one.memory_mb for one in takings),
                 disk_gb=sum(one.disk_gb for one in takings))


routes = Routes()


async def _host(ctx: Ctx, name: str) -> Host:
    async with ctx.db.read() as reader:
        host = await hosts.find(reader, name)
    if host is None:
        raise HostNotFound(host=name)
    return host


@routes.get("/v2.1/os-hosts", envelope="hosts", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:list", ADMIN))
async def list_hosts(ctx: Ctx, query: HostsQuery) -> list[HostName]:
    async with ctx.db.read() as reader:
        found = await hosts.every(reader)
    services = [*control_views(ctx), *(view(ctx, host) for host in found)]
    return [HostName(host_name=one.host, service=one.binary.removeprefix("nova-"), zone=one.zone)
            for one in services if not query.zone or query.zone == one.zone]


@routes.get("/v2.1/os-hosts/{name}", envelope="host", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:show", ADMIN))
async def show_host(ctx: Ctx, name: str) -> list[ResourceView]:
    """What the host has, what is in use, what its servers may take, and that by project."""
    host = await _host(ctx, name)
    async with ctx.db.read() as reader:
        by_project = await hosts.taken_by_project(reader, name)
    facts, most = host.facts, _sum(list(by_project.values()))
    now = Taken(vcpus=most.vcpus, memory_mb=most.memory_mb + ctx.app.config.reserved_memory_mb,
                disk_gb=facts.disk_gb - facts.disk_free_gb)
    whole = Taken(vcpus=facts.vcpus, memory_mb=facts.memory_mb, disk_gb=facts.disk_gb)
    return [_line(name, "(total)", whole), _line(name, "(used_now)", now), _line(name, "(used_max)", most),
            *(_line(name, project, taken) for project, taken in sorted(by_project.items()))]


@routes.put("/v2.1/os-hosts/{name}", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:update", ADMIN))
async def update_host(ctx: Ctx, name: str, body: HostUpdate) -> HostChanged:
    """Maintenance mode moves guests away by means of the hypervisor, and no driver has that."""
    if body.status is None and body.maintenance_mode is None:
        raise BadRequest(reason="Invalid input: one of status and maintenance_mode is needed.")
    host = await _host(ctx, name)
    if body.maintenance_mode is not None:
        raise NotOurs(host=name)
    disabled = body.status == "disable"
    async with ctx.db.write() as tx:
        await hosts.change(tx, host, disabled=disabled, disabled_reason=None)
    return HostChanged(host=name, status="disabled" if disabled else "enabled")


async def _refuse(ctx: Ctx, name: str) -> None:
    """Hosts are not compute's to switch on and off."""
    raise NotOurs(host=(await _host(ctx, name)).name)


@routes.get("/v2.1/os-hosts/{name}/startup", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:start", ADMIN))
async def start_host(ctx: Ctx, name: str) -> None:
    await _refuse(ctx, name)


@routes.get("/v2.1/os-hosts/{name}/shutdown", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:shutdown", ADMIN))
async def shut_down_host(ctx: Ctx, name: str) -> None:
    await _refuse(ctx, name)


@routes.get("/v2.1/os-hosts/{name}/reboot", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:reboot", ADMIN))
async def reboot_host(ctx: Ctx, name: str) -> None:
    await _refuse(ctx, name)
