"""Compute services: who is there and up; taking hosts out of service and back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.compute import times, versions
from pileus.compute.api.hypervisors import parsed_id
from pileus.compute.faults import BinaryNotFound, ServiceNotFound
from pileus.compute.model import hosts
from pileus.compute.model.hosts import Host
from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

COMPUTE = "nova-compute"
CONTROLLER = "controller"                     # the host of the services that are part of this process
CONTROL = ("nova-conductor", "nova-scheduler")
INTERNAL = "internal"                         # the zone of those
LIST = Rule("os_compute_api:os-services:list", ADMIN)
UPDATE = Rule("os_compute_api:os-services:update", ADMIN)
OLD = until(versions.UUID_IDS)

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ServiceQuery(msgspec.Struct, kw_only=True):
    host: str | None = None
    binary: str | None = None


class Named(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    host: Text
    binary: Text


class NamedWithReason(Named, kw_only=True, forbid_unknown_fields=True):
    disabled_reason: Text


class NamedForDown(Named, kw_only=True, forbid_unknown_fields=True):
    forced_down: bool


class ServiceUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: Literal["enabled", "disabled"] | None = None
    disabled_reason: Text | None = None
    forced_down: bool | None = None


class ServiceView(msgspec.Struct, kw_only=True):
    id: int | str
    binary: str
    host: str
    zone: str
    status: str
    state: str
    updated_at: str | None
    disabled_reason: str | None
    forced_down: Annotated[bool, since(versions.FORCED_DOWN)]


class StatusView(msgspec.Struct, kw_only=True):
    host: str
    binary: str
    status: str
    disabled_reason: str | msgspec.UnsetType = msgspec.UNSET


class DownView(msgspec.Struct, kw_only=True):
    host: str
    binary: str
    forced_down: bool


def view(ctx: Ctx, host: Host) -> ServiceView:
    up = host.is_up(ctx.clock(), ctx.app.config.host_silent_after)
    return ServiceView(
        id=host.id if ctx.version >= versions.UUID_IDS else host.number, binary=COMPUTE, host=host.name,
        zone=host.zone or ctx.app.config.default_zone, status="disabled" if host.disabled else "enabled",
        state="up" if up else "down", updated_at=times.iso_micro(host.seen_at), disabled_reason=host.disabled_reason,
        forced_down=host.forced_down)


def control_views(ctx: Ctx) -> list[ServiceView]:
    """The services that answer this very request."""
    return [ServiceView(
        id=hosts.stable_id(binary) if ctx.version >= versions.UUID_IDS else number, binary=binary, host=CONTROLLER,
        zone=INTERNAL, status="enabled", state="up", updated_at=times.iso_micro(ctx.clock()), disabled_reason=None,
        forced_down=False) for number, binary in enumerate(CONTROL, start=1)]


async def _change(ctx: Ctx, named: Named, **values: Any) -> Host:
    async with ctx.db.write() as tx:
        host = await hosts.find(tx, named.host)
        if host is None or named.binary != COMPUTE:
            raise BinaryNotFound(binary=named.binary, host=named.host)
        return await hosts.change(tx, host, **values)


async def _get(ctx: Ctx, tx: Any, service_id: str) -> Host:
    given = parsed_id(ctx, service_id)
    if given is None:
        raise ServiceNotFound(service_id=service_id)
    for control in control_views(ctx):
        if given == control.id:
            raise BadRequest(reason=f"Updating a {control.binary} service is not supported. "
                                    "Only nova-compute services can be updated.")
    return await hosts.get_service(tx, given)


def _values(body: ServiceUpdate) -> dict[str, Any]:
    """The columns an update is about. Raises BadRequest when it contradicts itself."""
    if body.disabled_reason is not None and body.status != "disabled":
        raise BadRequest(reason="Specifying 'disabled_reason' when status is 'enabled' is invalid."
                         if body.status else "Specifying 'disabled_reason' requires that status is 'disabled'.")
    if body.status is None and body.forced_down is None:
        raise BadRequest(reason="No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    values: dict[str, Any] = {}
    if body.status is not None:
        values |= {"disabled": body.status == "disabled", "disabled_reason": body.disabled_reason}
    if body.forced_down is not None:
        values["forced_down"] = body.forced_down
    return values


routes = Routes()


@routes.get("/v2.1/os-services", envelope="services", policy=LIST, strict=versions.STRICT_QUERIES)
async def list_services(ctx: Ctx, query: ServiceQuery) -> list[ServiceView]:
    async with ctx.db.read() as reader:
        found = await hosts.page(reader, name=query.host)
    views = [*control_views(ctx), *(view(ctx, host) for host in found)]
    return [one for one in views if query.host in (None, one.host) and query.binary in (None, one.binary)]


@routes.put("/v2.1/os-services/enable", policy=UPDATE, window=OLD)
async def enable_service(ctx: Ctx, body: Named) -> dict[str, StatusView]:
    host = await _change(ctx, body, disabled=False, disabled_reason=None)
    return {"service": StatusView(host=host.name, binary=COMPUTE, status="enabled")}


@routes.put("/v2.1/os-services/disable", policy=UPDATE, window=OLD)
async def disable_service(ctx: Ctx, body: Named) -> dict[str, StatusView]:
    host = await _change(ctx, body, disabled=True, disabled_reason=None)
    return {"service": StatusView(host=host.name, binary=COMPUTE, status="disabled")}


@routes.put("/v2.1/os-services/disable-log-reason", policy=UPDATE, window=OLD)
async def disable_service_for_a_reason(ctx: Ctx, body: NamedWithReason) -> dict[str, StatusView]:
    reason = body.disabled_reason.strip()
    if not reason:
        raise BadRequest(reason="Disabled reason contains invalid characters or is too long")
    host = await _change(ctx, body, disabled=True, disabled_reason=reason)
    return {"service": StatusView(host=host.name, binary=COMPUTE, status="disabled", disabled_reason=reason)}


@routes.put("/v2.1/os-services/force-down", policy=UPDATE,
            window=OLD._replace(since=versions.FORCED_DOWN))
async def force_down_service(ctx: Ctx, body: NamedForDown) -> dict[str, DownView]:
    host = await _change(ctx, body, forced_down=body.forced_down)
    return {"service": DownView(host=host.name, binary=COMPUTE, forced_down=host.forced_down)}


@routes.put("/v2.1/os-services/{service_id}", policy=UPDATE, window=since(versions.UUID_IDS))
async def update_service(ctx: Ctx, service_id: str, body: ServiceUpdate) -> dict[str, ServiceView]:
    async with ctx.db.write() as tx:
        host = await _get(ctx, tx, service_id)
        host = await hosts.change(tx, host, **_values(body))
    return {"service": view(ctx, host)}


@routes.delete("/v2.1/os-services/{service_id}", policy=Rule("os_compute_api:os-services:delete", ADMIN))
async def delete_service(ctx: Ctx, service_id: str) -> None:
    async with ctx.db.write() as tx:
        await hosts.remove(tx, await _get(ctx, tx, service_id))
