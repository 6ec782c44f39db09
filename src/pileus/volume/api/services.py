"""Services, hosts, pools, capabilities, zones: what the operator sees of the back ends."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import scheduler, versions
from pileus.volume.api.values import Query, truth
from pileus.volume.faults import HostNotFound, ServiceNotFound
from pileus.volume.model import services, types
from pileus.volume.model.services import ServiceRow
from pileus.volume.model.tables import snapshots, volumes
from pileus.volume.times import iso

routes = Routes()
UPDATE = Rule("volume_extension:services:update", ADMIN)


class ServiceView(msgspec.Struct, kw_only=True):
    binary: str
    host: str
    zone: str
    status: str
    state: str
    updated_at: str
    disabled_reason: str | None
    frozen: bool | UnsetType = UNSET
    replication_status: str | UnsetType = UNSET
    active_backend_id: str | None | UnsetType = UNSET
    backend_state: Annotated[str | UnsetType, since(versions.BACKEND_STATE)] = UNSET
    cluster: Annotated[str | None, since(versions.SERVICE_UPDATES)] = None


def view(row: ServiceRow, now: float) -> ServiceView:
    found = ServiceView(
        binary=row.binary, host=row.host, zone=row.zone, status="disabled" if row.disabled else "enabled",
        state="up" if row.is_up(now) else "down", updated_at=iso(row.seen_at), disabled_reason=row.disabled_reason)
    if row.binary == services.VOLUME:
        found.frozen, found.replication_status, found.active_backend_id = row.frozen, "disabled", None
        found.backend_state = found.state
    return found


@routes.get("/v3/os-services", envelope="services", policy=Rule("volume_extension:services:index", ADMIN))
async def list_services(ctx: Ctx, query: Query) -> Page[ServiceView]:
    one = {name: values[-1] for name, values in query.items()}
    async with ctx.db.read() as reader:
        rows = await services.every(reader, binary=one.get("binary") or one.get("service"), host=one.get("host"))
    return Page([view(row, ctx.clock()) for row in rows])


class ServiceNamed(msgspec.Struct, kw_only=True):
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    binary: str | None = None
    service: str | None = None
    disabled_reason: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    backend_id: str | None = None


async def _enable(ctx: Ctx, body: ServiceNamed, *, disabled: bool) -> dict[str, Any]:
    binary = body.binary or body.service or ""
    async with ctx.db.write() as tx:
        row = await services.get(tx, body.host, binary)
        row = await services.change(tx, row, ctx.clock(), disabled=disabled,
                                    disabled_reason=body.disabled_reason if disabled else None)
    return {"host": row.host, "binary": row.binary, "service": row.binary, "disabled": disabled,
            "status": "disabled" if disabled else "enabled"}


@routes.put("/v3/os-services/enable", policy=UPDATE)
async def enable_service(ctx: Ctx, body: ServiceNamed) -> dict[str, Any]:
    return await _enable(ctx, body, disabled=False) | {"disabled_reason": None}


@routes.put("/v3/os-services/disable", policy=UPDATE)
async def disable_service(ctx: Ctx, body: ServiceNamed) -> dict[str, Any]:
    return await _enable(ctx, body, disabled=True)


@routes.put("/v3/os-services/disable-log-reason", policy=UPDATE)
async def disable_service_saying_why(ctx: Ctx, body: ServiceNamed) -> dict[str, Any]:
    if not body.disabled_reason:
        raise BadRequest(reason="Missing required element 'disabled_reason' in request body")
    return await _enable(ctx, body, disabled=True) | {"disabled_reason": body.disabled_reason}


async def _freeze(ctx: Ctx, host: str, frozen: bool) -> None:
    async with ctx.db.write() as tx:
        rows = await services.every(tx, binary=services.VOLUME, host=host.partition("#")[0])
        if not rows:
            raise BadRequest(reason=f"Service could not be found with filter: host = {host}, "
                                    f"binary = {services.VOLUME}.")
        for row in rows:
            await services.change(tx, row, ctx.clock(), frozen=frozen)


@routes.put("/v3/os-services/freeze", policy=Rule("volume:freeze_host", ADMIN))
async def freeze_host(ctx: Ctx, body: ServiceNamed) -> None:
    await _freeze(ctx, body.host, True)


@routes.put("/v3/os-services/thaw", policy=Rule("volume:thaw_host", ADMIN))
async def thaw_host(ctx: Ctx, body: ServiceNamed) -> None:
    await _freeze(ctx, body.host, False)


@routes.put("/v3/os-services/failover_host", status=202, policy=Rule("volume:failover_host", ADMIN))
async def fail_over(ctx: Ctx, body: ServiceNamed) -> None:
    """No back end replicates to another one."""
    async with ctx.db.read() as reader:
        if not await services.every(reader, binary=services.VOLUME, host=body.host.partition("#")[0]):
            raise ServiceNotFound(service=f"{services.VOLUME} on host {body.host}")
    raise BadRequest(reason=f"Backend {body.host} is not configured for replication.")


# -- hosts ----------------------------------------------------------------------------------

class HostView(msgspec.Struct, kw_only=True):
    host_name: str
    service: str
    zone: str
    status: str = msgspec.field(name="service-status")
    state: str = msgspec.field(name="service-state")
    last_update: str = msgspec.field(name="last-update")


@routes.get("/v3/os-hosts", envelope="hosts", policy=Rule("volume_extension:hosts", ADMIN))
async def list_hosts(ctx: Ctx) -> Page[HostView]:
    now = ctx.clock()
    async with ctx.db.read() as reader:
        rows = await services.every(reader)
    return Page([HostView(host_name=row.host, service=row.binary, zone=row.zone, last_update=iso(row.seen_at),
                          status="available" if row.is_up(now) else "unavailable",
                          state="disabled" if row.disabled else "enabled") for row in rows])


@routes.get("/v3/os-hosts/{host}", envelope="host", policy=Rule("volume_extension:hosts", ADMIN))
async def show_host(ctx: Ctx, host: str) -> list[dict[str, Any]]:
    async with ctx.db.read() as reader:
        if not [row for row in await services.every(reader, host=host) if row.host == host]:
            raise HostNotFound(host=host)
        here = volumes.c.host.startswith(f"{host}#", autoescape=True)
        held = (await reader.execute(sa.select(volumes.c.project_id, sa.func.count(), sa.func.sum(volumes.c.size_gb))
                                     .where(here).group_by(volumes.c.project_id))).all()
        count, size = (await reader.execute(
            sa.select(sa.func.count(), sa.func.sum(snapshots.c.size_gb))
            .join(volumes, volumes.c.id == snapshots.c.volume_id).where(here))).one()
    total = [("(total)", sum(each[1] for each in held), sum(int(each[2]) for each in held)), *held]
    return [{"resource": {
        "host": host, "project": project, "volume_count": str(number), "total_volume_gb": str(int(gb)),
        "snapshot_count": str(count if project == "(total)" else 0),
        "total_snapshot_gb": str(int(size or 0) if project == "(total)" else 0)}} for project, number, gb in total]


# -- pools and capabilities -------------------------------------------------------------------

class PoolQuery(msgspec.Struct, kw_only=True):
    detail: str = "false"
    name: str | None = None
    volume_type: str | None = None


def capabilities(row: ServiceRow, promised: dict[str, int], ratio: float) -> dict[str, Any]:
    facts = row.facts
    if facts is None:
        return {}
    return {"pool_name": facts.name, "volume_backend_name": facts.name, "storage_protocol": facts.protocol,
            "vendor_name": "Pileus", "driver_version": "1.0", "total_capacity_gb": facts.total_gb,
            "free_capacity_gb": facts.free_gb, "provisioned_capacity_gb": promised.get(scheduler.pool_of(row), 0),
            "allocated_capacity_gb": promised.get(scheduler.pool_of(row), 0), "reserved_percentage": 0,
            "max_over_subscription_ratio": str(ratio), "thin_provisioning_support": True,
            "thick_provisioning_support": False, "QoS_support": facts.qos, "multiattach": facts.multiattach,
            "location_info": None, "timestamp": iso(row.seen_at), "filter_function": facts.filter_function,
            "goodness_function": facts.goodness_function,
            "backend_state": "up"}


@routes.get("/v3/scheduler-stats/get_pools", envelope="pools",
            policy=Rule("scheduler_extension:scheduler_stats:get_pools", ADMIN))
async def list_pools(ctx: Ctx, query: PoolQuery) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        rows = await services.every(reader, binary=services.VOLUME)
        promised = await services.provisioned(reader)
        if query.volume_type is not None and ctx.version >= versions.POOL_TYPE_FILTER:
            kind = await types.get_allowed(reader, query.volume_type, ctx.caller)
            wish = scheduler.Request(size_gb=0, extra_specs=kind.extra_specs)
            pools = scheduler.choose(wish, rows, promised, ctx.clock()).pools
            rows = [row for row in rows if scheduler.pool_of(row) in pools]
    found = [{"name": scheduler.pool_of(row)} | (
        {"capabilities": capabilities(row, promised, ctx.app.config.over_subscription)}
        if truth(query.detail, "detail") else {}) for row in rows if row.facts]
    if ctx.version < versions.POOL_FILTERS:
        return Page(found)
    return Page([each for each in found if query.name in (None, each["name"])])


@routes.get("/v3/capabilities/{host}", policy=Rule("volume_extension:capabilities", ADMIN))
async def show_capabilities(ctx: Ctx, host: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        rows = await services.every(reader, binary=services.VOLUME, host=host.partition("#")[0])
    row = next((row for row in rows if row.facts), None)
    if row is None or row.facts is None:
        raise ServiceNotFound(service=f"{services.VOLUME} on host {host}")
    properties = {name: {"title": title, "description": text, "type": "boolean"} for name, title, text in (
        ("thin_provisioning", "Thin Provisioning", "Volumes take up only what was written to them."),
        ("compression", "Compression", "What is written is compressed."),
        ("qos", "QoS", "Limits of operations and bytes per second."),
        ("replication_enabled", "Replication", "Volumes are copied to another place as they are written."))}
    return {"namespace": f"OS::Storage::Capabilities::{row.host}", "vendor_name": "Pileus",
            "volume_backend_name": row.facts.name, "pool_name": row.facts.name, "driver_version": "1.0",
            "storage_protocol": row.facts.protocol, "display_name": None, "description": None, "visibility": None,
            "replication_targets": [], "properties": properties}


# -- zones, extensions, filters -----------------------------------------------------------------

@routes.get("/v3/os-availability-zone", envelope="availabilityZoneInfo",
            policy=Rule("volume:availability_zone_list", ANYONE))
async def list_zones(ctx: Ctx) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        rows = await services.every(reader, binary=services.VOLUME)
    known = {row.zone: False for row in rows} | {row.zone: True for row in rows if not row.disabled}
    return Page([{"zoneName": zone, "zoneState": {"available": known[zone]}} for zone in sorted(known)])


EXTENSIONS = {
    "os-volume-type-access": "VolumeTypeAccess", "os-quota-sets": "Quotas", "os-services": "Services",
    "os-hosts": "Hosts", "os-availability-zone": "AvailabilityZones", "os-volume-transfer": "VolumeTransfer",
    "os-volume-actions": "VolumeActions", "os-snapshot-actions": "SnapshotActions", "backups": "Backups",
    "os-volume-manage": "VolumeManage", "os-snapshot-manage": "SnapshotManage", "qos-specs": "Qos_specs_manage",
    "os-used-limits": "UsedLimits", "os-volume-encryption-metadata": "VolumeEncryptionMetadata",
    "os-types-extra-specs": "TypesExtraSpecs", "os-types-manage": "TypesManage",
    "encryption": "VolumeTypeEncryption", "scheduler-stats": "Scheduler_stats", "capabilities": "Capabilities",
    "os-quota-class-sets": "QuotaClasses", "os-vol-image-meta": "VolumeImageMetadata",
    "os-vol-host-attr": "VolumeHostAttribute", "os-vol-tenant-attr": "VolumeTenantAttribute",
    "os-vol-mig-status-attr": "VolumeMigStatusAttribute", "os-admin-actions": "AdminActions",
    "os-extended-snapshot-attributes": "ExtendedSnapshotAttributes", "OS-SCH-HNT": "SchedulerHints",
    "os-snapshot-unmanage": "SnapshotUnmanage", "os-volume-unmanage": "VolumeUnmanage"}


@routes.get("/v3/extensions", envelope="extensions", policy=Rule("volume:extensions", ANYONE))
async def list_extensions(ctx: Ctx) -> Page[dict[str, Any]]:
    return Page([{"name": name, "alias": alias, "description": f"{name}, always on.", "links": [],
                  "updated": "2013-01-01T00:00:00+00:00"} for alias, name in sorted(EXTENSIONS.items())])


FILTERS = {
    "volume": ["name", "status", "metadata", "bootable", "migration_status", "availability_zone", "group_id", "size",
               "created_at", "updated_at"],
    "snapshot": ["name", "status", "volume_id", "metadata", "availability_zone", "created_at", "updated_at"],
    "backup": ["name", "status", "volume_id", "created_at", "updated_at"],
    "group": ["name"], "group_snapshot": ["status", "group_id"],
    "attachment": ["volume_id", "status", "instance_id", "attach_status"],
    "message": ["resource_uuid", "resource_type", "event_id", "request_id", "message_level"],
    "pool": ["name", "volume_type"], "volume_type": ["is_public"]}


@routes.get("/v3/resource_filters", envelope="resource_filters", window=since(versions.RESOURCE_FILTERS),
            policy=Rule("volume:resource_filters", ANYONE))
async def list_filters(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    asked = query.get("resource", [None])[-1]
    return Page([{"resource": name, "filters": found} for name, found in FILTERS.items() if asked in (None, name)])
