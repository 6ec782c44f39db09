"""Availability zones: the zones hosts are in, and for administrators the hosts in them."""

from __future__ import annotations

import msgspec

from pileus.compute import times
from pileus.compute.api.services import COMPUTE, INTERNAL, control_views
from pileus.compute.model import hosts
from pileus.compute.model.hosts import Host
from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx


class ZoneState(msgspec.Struct, kw_only=True):
    available: bool


class HostState(msgspec.Struct, kw_only=True):
    active: bool
    available: bool
    updated_at: str | None


class ZoneView(msgspec.Struct, kw_only=True):
    name: str = msgspec.field(name="zoneName")
    state: ZoneState = msgspec.field(name="zoneState")
    hosts: dict[str, dict[str, HostState]] | None = None


def by_zone(found: list[Host], default: str) -> dict[str, list[Host]]:
    zones: dict[str, list[Host]] = {}
    for host in found:
        zones.setdefault(host.zone or default, []).append(host)
    return dict(sorted(zones.items()))


def _offered(members: list[Host]) -> ZoneState:
    """A zone is available as long as one of its hosts is in service."""
    return ZoneState(available=any(not host.disabled for host in members))


def _host_state(ctx: Ctx, host: Host) -> dict[str, HostState]:
    up = host.is_up(ctx.clock(), ctx.app.config.host_silent_after)
    return {COMPUTE: HostState(active=not host.disabled, available=up, updated_at=times.iso_micro(host.seen_at))}


def _internal(ctx: Ctx) -> ZoneView:
    members: dict[str, dict[str, HostState]] = {}
    for service in control_views(ctx):
        members.setdefault(service.host, {})[service.binary] = HostState(
            active=True, available=True, updated_at=service.updated_at)
    return ZoneView(name=INTERNAL, state=ZoneState(available=True), hosts=members)


async def _zones(ctx: Ctx) -> dict[str, list[Host]]:
    async with ctx.db.read() as reader:
        return by_zone(await hosts.every(reader), ctx.app.config.default_zone)


routes = Routes()


@routes.get("/v2.1/os-availability-zone", envelope="availabilityZoneInfo",
            policy=Rule("os_compute_api:os-availability-zone:list", PROJECT_READER))
async def list_zones(ctx: Ctx) -> list[ZoneView]:
    return [ZoneView(name=name, state=_offered(members)) for name, members in (await _zones(ctx)).items()]


@routes.get("/v2.1/os-availability-zone/detail", envelope="availabilityZoneInfo",
            policy=Rule("os_compute_api:os-availability-zone:detail", ADMIN))
async def list_zones_in_detail(ctx: Ctx) -> list[ZoneView]:
    zones = await _zones(ctx)
    return [_internal(ctx), *(
        ZoneView(name=name, state=_offered(members), hosts={host.name: _host_state(ctx, host) for host in members})
        for name, members in zones.items())]
