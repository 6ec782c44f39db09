"""Usage of projects over time, computed from the servers that ran in it."""

from __future__ import annotations

import msgspec

from pileus.compute import times
from pileus.compute.api.values import no_strangers, truth
from pileus.compute.model import quotas
from pileus.compute.model.quotas import Ran
from pileus.kit.faults import BadRequest, NotFound
from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

FOUR_WEEKS = 28 * 86400.0
SHOW = Rule("os_compute_api:os-simple-tenant-usage:show", PROJECT_READER)


class UsageQuery(msgspec.Struct, kw_only=True):
    start: str | None = None
    end: str | None = None
    detailed: str = "0"


class ServerUsage(msgspec.Struct, kw_only=True):
    instance_id: str
    name: str
    tenant_id: str
    flavor: str
    state: str
    hours: float
    uptime: int
    vcpus: int
    memory_mb: int
    local_gb: int
    started_at: str | None
    ended_at: str | None


class ProjectUsage(msgspec.Struct, kw_only=True):
    tenant_id: str
    start: str | None
    stop: str | None
    total_hours: float
    total_vcpus_usage: float
    total_memory_mb_usage: float
    total_local_gb_usage: float
    server_usages: list[ServerUsage] | msgspec.UnsetType = msgspec.UNSET


class Nothing(msgspec.Struct):
    """What is told of a project in which nothing ran."""


def server_usage(ran: Ran, start: float, end: float, now: float) -> ServerUsage:
    """What a server used between `start` and `end`; uptime counts to its end or to now."""
    stopped = min(end, now) if ran.deleted_at is None else min(end, ran.deleted_at)
    hours = max(0.0, stopped - max(start, ran.launched_at)) / 3600
    last = now if ran.deleted_at is None else ran.deleted_at
    return ServerUsage(
        instance_id=ran.id, name=ran.name, tenant_id=ran.project_id, flavor=ran.flavor.name,
        state=ran.state if ran.deleted_at is None else "terminated", hours=hours,
        uptime=int(max(0.0, last - ran.launched_at)), vcpus=ran.vcpus, memory_mb=ran.memory_mb,
        local_gb=ran.flavor.disk_gb + ran.flavor.ephemeral_gb, started_at=times.iso_micro(ran.launched_at),
        ended_at=times.iso_micro(ran.deleted_at))


def view(project_id: str, period: tuple[float, float], used: list[ServerUsage], *, detailed: bool) -> ProjectUsage:
    return ProjectUsage(
        tenant_id=project_id, start=times.iso_micro(period[0]), stop=times.iso_micro(period[1]),
        total_hours=sum(one.hours for one in used), total_vcpus_usage=sum(one.hours * one.vcpus for one in used),
        total_memory_mb_usage=sum(one.hours * one.memory_mb for one in used),
        total_local_gb_usage=sum(one.hours * one.local_gb for one in used),
        server_usages=used if detailed else msgspec.UNSET)


def _period(ctx: Ctx, query: UsageQuery) -> tuple[float, float]:
    """Start and end; the last four weeks unless told otherwise. Raises BadRequest."""
    no_strangers(ctx, UsageQuery)
    end = times.parse(query.end) if query.end else ctx.clock()
    start = times.parse(query.start) if query.start else ctx.clock() - FOUR_WEEKS
    if start > end:
        raise BadRequest(reason="Invalid start time. The start time cannot occur after the end time.")
    return start, end


async def _used(ctx: Ctx, period: tuple[float, float], project_id: str | None) -> dict[str, list[ServerUsage]]:
    found: dict[str, list[ServerUsage]] = {}
    async with ctx.db.read() as reader:
        for ran in await quotas.ran(reader, period, project_id):
            found.setdefault(ran.project_id, []).append(server_usage(ran, *period, ctx.clock()))
    return found


routes = Routes()


@routes.get("/v2.1/os-simple-tenant-usage", envelope="tenant_usages",
            policy=Rule("os_compute_api:os-simple-tenant-usage:list", ADMIN))
async def list_usage(ctx: Ctx, query: UsageQuery) -> list[ProjectUsage]:
    if ctx.request.scope["path"].endswith("/"):              # the usage of a project without a name
        raise NotFound()
    period, detailed = _period(ctx, query), truth(query.detailed, "detailed")
    found = await _used(ctx, period, None)
    return [view(project_id, period, used, detailed=detailed) for project_id, used in sorted(found.items())]


@routes.get("/v2.1/os-simple-tenant-usage/{project_id}", envelope="tenant_usage", policy=SHOW, check=False)
async def show_usage(ctx: Ctx, project_id: str, query: UsageQuery) -> ProjectUsage | Nothing:
    ctx.must_allow(SHOW.name, {"project_id": project_id})
    period = _period(ctx, query)
    used = (await _used(ctx, period, project_id)).get(project_id)
    return view(project_id, period, used, detailed=True) if used else Nothing()
