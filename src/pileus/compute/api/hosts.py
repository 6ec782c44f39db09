"""os-hosts, what old clients ask before hypervisors and services told it; gone since 2.43."""

from __future__ import annotations

import msgspec

from pileus.compute import versions
from pileus.compute.api.services import control_views, view
from pileus.compute.faults import HostNotFound
from pileus.compute.model import hosts
from pileus.compute.model.hosts import Taken
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


def _line(host: str, project: str, taken: Taken) -> ResourceView:
    return ResourceView(resource=Resource(host=host, project=project, cpu=taken.vcpus, memory_mb=taken.memory_mb,
                                          disk_gb=taken.disk_gb))


def _sum(takings: list[Taken]) -> Taken:
    return Taken(vcpus=sum(one.vcpus for one in takings), memory_mb=sum(one.memory_mb for one in takings),
                 disk_gb=sum(one.disk_gb for one in takings))


routes = Routes()


@routes.get("/v2.1/os-hosts", envelope="hosts", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:list", ADMIN))
async def list_hosts(ctx: Ctx, query: HostsQuery) -> list[HostName]:
    async with ctx.db.read() as reader:
        found = await hosts.every(reader)
    services = [*control_views(ctx), *(view(ctx, host) for host in found)]
    return [HostName(host_name=one.host, service=one.binary.removeprefix("nova-"), zone=one.zone)
            for one in services if query.zone in (None, one.zone)]


@routes.get("/v2.1/os-hosts/{name}", envelope="host", window=until(versions.NO_HOSTS),
            policy=Rule("os_compute_api:os-hosts:show", ADMIN))
async def show_host(ctx: Ctx, name: str) -> list[ResourceView]:
    """What the host has, what is in use, what its servers may take, and that by project."""
    async with ctx.db.read() as reader:
        host = await hosts.find(reader, name)
        if host is None:
            raise HostNotFound(host=name)
        by_project = await hosts.taken_by_project(reader, name)
    facts, most = host.facts, _sum(list(by_project.values()))
    now = Taken(vcpus=most.vcpus, memory_mb=most.memory_mb + ctx.app.config.reserved_memory_mb,
                disk_gb=facts.disk_gb - facts.disk_free_gb)
    whole = Taken(vcpus=facts.vcpus, memory_mb=facts.memory_mb, disk_gb=facts.disk_gb)
    return [_line(name, "(total)", whole), _line(name, "(used_now)", now), _line(name, "(used_max)", most),
            *(_line(name, project, taken) for project, taken in sorted(by_project.items()))]
