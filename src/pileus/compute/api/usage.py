"""Usage of projects over time, computed from the servers that ran in it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import times, versions
from pileus.compute.api.values import MOST, truth
from pileus.compute.links import Link
from pileus.compute.model import quotas
from pileus.compute.model.quotas import Ran
from pileus.kit.faults import BadRequest, NotFound
from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

FOUR_WEEKS = 28 * 86400.0
SHOW = Rule("os_compute_api:os-simple-tenant-usage:show", PROJECT_READER)


class PeriodQuery(msgspec.Struct, kw_only=True):
    start: str | None = None
    end: str | None = None
    # Of servers, not of projects; the marker is the last server of a page.
    limit: Annotated[Annotated[int, msgspec.Meta(ge=0)] | None, since(versions.USAGE_PAGES)] = None
    marker: Annotated[str | None, since(versions.USAGE_PAGES)] = None


class UsageQuery(PeriodQuery, kw_only=True):
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


def _period(ctx: Ctx, query: PeriodQuery) -> tuple[float, float]:
    """Start and end; the last four weeks unless told otherwise. Raises BadRequest."""
    end = times.parse(query.end) if query.end else ctx.clock()
    start = times.parse(query.start) if query.start else ctx.clock() - FOUR_WEEKS
    if start > end:
        raise BadRequest(reason="Invalid start time. The start time cannot occur after the end time.")
    return start, end


class Used(msgspec.Struct, frozen=True):
    by_project: dict[str, list[ServerUsage]]
    next_marker: str | None


async def _used(ctx: Ctx, query: PeriodQuery, project_id: str | None) -> Used:
    """What servers used in the period, by project; since there are pages, one page of servers."""
    period = _period(ctx, query)
    limit = None if ctx.version < versions.USAGE_PAGES else min(MOST if query.limit is None else query.limit, MOST)
    async with ctx.db.read() as reader:
        after = await quotas.find_ran(reader, query.marker) if query.marker else None
        if query.marker and after is None:
            raise BadRequest(reason=f"Marker {query.marker} could not be found.")
        found = await quotas.ran(reader, period, project_id, after=after, limit=None if limit is None else limit + 1)
    used: dict[str, list[ServerUsage]] = {}
    for ran in found[:limit]:
        used.setdefault(ran.project_id, []).append(server_usage(ran, *period, ctx.clock()))
    return Used(used, found[limit - 1].id if limit and len(found) > limit else None)


routes = Routes()


@routes.get("/v2.1/os-simple-tenant-usage", envelope="tenant_usages",
            policy=Rule("os_compute_api:os-simple-tenant-usage:list", ADMIN), strict=versions.STRICT_QUERIES)
async def list_usage(ctx: Ctx, query: UsageQuery) -> Page[ProjectUsage]:
    if ctx.request.scope["path"].endswith("/"):              # the usage of a project without a name
        raise NotFound()
    detailed, period = truth(query.detailed, "detailed"), _period(ctx, query)
    found = await _used(ctx, query, None)
    return Page([view(project_id, period, used, detailed=detailed)
                 for project_id, used in sorted(found.by_project.items())], next_marker=found.next_marker)


@routes.get("/v2.1/os-simple-tenant-usage/{project_id}", policy=SHOW, check=False, strict=versions.STRICT_QUERIES)
async def show_usage(ctx: Ctx, project_id: str, query: PeriodQuery) -> dict[str, Any]:
    """A project in which nothing ran has an empty usage, and the answer may have links to a next page beside it."""
    ctx.must_allow(SHOW.name, {"project_id": project_id})
    found = await _used(ctx, query, project_id)
    used = found.by_project.get(project_id)
    shown = view(project_id, _period(ctx, query), used, detailed=True) if used else {}
    links: dict[str, Any] = {}
    if found.next_marker is not None:
        links = {"tenant_usage_links": [Link("next", ctx.url_with(marker=found.next_marker))]}
    return {"tenant_usage": shown} | links
