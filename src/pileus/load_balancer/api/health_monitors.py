"""/v2.0/lbaas/healthmonitors"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import lists, policies
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.shapes import (
    BASE,
    END,
    Changed,
    Created,
    Id,
    PartView,
    Plain,
    Ref,
    Whole,
    add,
    alter,
    begin,
    changed,
    created,
    going,
    hidden_from_nobody,
    of_part,
    same,
    unsupported,
)
from pileus.load_balancer.faults import HasMonitor, Invalid, Missing, NoSuch
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.rows import HealthMonitor, Pool

routes = Routes()
HEALTHMONITORS = Listing("healthmonitors", tables.health_monitors, HealthMonitor)
PATH = f"{BASE}/healthmonitors"
Type = Literal["HTTP", "HTTPS", "PING", "SCTP", "TCP", "TLS-HELLO", "UDP-CONNECT"]
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH"]
Tries = Annotated[int, msgspec.Meta(ge=1, le=10)]
Codes = Annotated[str, msgspec.Meta(max_length=64, pattern=rf"^[0-9]{{3}}((, *[0-9]{{3}})*|-[0-9]{{3}}){END}")]
Domain = Annotated[str, msgspec.Meta(
    max_length=255, pattern=rf"^[A-Za-z0-9][A-Za-z0-9-]{{0,62}}(\.[A-Za-z0-9][A-Za-z0-9-]{{0,62}})*\.?{END}")]
HTTP, OF_UDP = ("HTTP", "HTTPS"), ("UDP-CONNECT", "TCP", "HTTP")
OF_HTTP = ("http_method", "url_path", "expected_codes", "http_version", "domain_name")
USUAL: dict[str, Any] = {"http_method": "GET", "url_path": "/", "expected_codes": "200"}


class MonitorCreate(Created, kw_only=True, forbid_unknown_fields=True):
    type: Type
    delay: Whole
    timeout: Whole
    max_retries: Tries
    max_retries_down: Tries | None = 3
    http_method: Method | None = None
    url_path: Plain | None = None
    expected_codes: Codes | None = None
    http_version: float | None = None
    domain_name: Domain | None = None


class MonitorOfPool(MonitorCreate, kw_only=True, forbid_unknown_fields=True):
    pool_id: Id


class MonitorUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    delay: Whole | UnsetType = UNSET
    timeout: Whole | UnsetType = UNSET
    max_retries: Tries | UnsetType = UNSET
    max_retries_down: Tries | None | UnsetType = UNSET
    http_method: Method | None | UnsetType = UNSET
    url_path: Plain | None | UnsetType = UNSET
    expected_codes: Codes | None | UnsetType = UNSET
    http_version: float | None | UnsetType = UNSET
    domain_name: Domain | None | UnsetType = UNSET


class MonitorView(PartView, kw_only=True):
    type: str
    delay: int
    timeout: int
    max_retries: int
    max_retries_down: int
    http_method: str | None
    url_path: str | None
    expected_codes: str | None
    http_version: float | None
    domain_name: str | None
    pools: list[Ref]


def view(row: HealthMonitor) -> MonitorView:
    return MonitorView(**same(row, MonitorView) | of_part(row) | {
        "http_version": float(row.http_version) if row.http_version else None, "pools": [Ref(row.pool_id)]})


async def get_monitor(conn: Connection, monitor_id: str) -> HealthMonitor:
    return await rows.get(conn, HealthMonitor, monitor_id)


MONITOR = Target(get_monitor, missing=Missing, hidden=hidden_from_nobody)


def new_monitor(ctx: Ctx, body: MonitorCreate, pool: Pool) -> HealthMonitor:
    if body.type == "SCTP":
        raise unsupported("health monitors of type SCTP")
    if pool.protocol == "UDP" and body.type not in OF_UDP or pool.protocol != "UDP" and body.type == "UDP-CONNECT":
        right = ", ".join(OF_UDP) if pool.protocol == "UDP" else "another type of"
        raise Invalid(reason=f"The associated pool protocol is {pool.protocol}, so only a {right} health monitor is "
                             "supported.")
    values: dict[str, Any] = {name: getattr(body, name) for name in OF_HTTP}
    if body.type in HTTP:
        values |= {name: values[name] or usual for name, usual in USUAL.items()}
    elif said := [name for name in OF_HTTP if values[name] is not None]:
        raise Invalid(reason=f"{', '.join(said)} may be given for health monitors of type HTTP and HTTPS alone")
    return _checked(HealthMonitor(
        id=new_uuid(), **created(ctx, body, pool.project_id), pool_id=pool.id, type=body.type, delay=body.delay,
        timeout=body.timeout, max_retries=body.max_retries,
        max_retries_down=body.max_retries_down or 3, **values | {"http_version": _version(values["http_version"])}))


def _version(number: float | None) -> str | None:
    if number is None:
        return None
    if number not in (1.0, 1.1):
        raise Invalid(reason=f"Invalid input for field/attribute http_version. Value: '{number}'. It is 1.0 or 1.1")
    return f"{number:.1f}"


def _checked(row: HealthMonitor) -> HealthMonitor:
    if row.delay < 1 or row.timeout < 1:
        raise Invalid(reason="delay and timeout are at least one second")
    if row.url_path is not None and not re.fullmatch(r"/[^\s]*", row.url_path):
        raise Invalid(reason=f"Invalid input for field/attribute url_path. Value: '{row.url_path}'.")
    if row.domain_name is not None and row.http_version != "1.1":
        raise Invalid(reason="http_version 1.1 is required to set a domain_name")
    return row


async def add_monitor(ctx: Ctx, tx: Connection, row: HealthMonitor) -> HealthMonitor:
    await add(ctx, tx, row, HasMonitor())
    return row


@routes.get(PATH, envelope="healthmonitors", policy=policies.listed("healthmonitor"))
async def list_monitors(ctx: Ctx, query: Query) -> Page[MonitorView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, HEALTHMONITORS, query)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(f"{PATH}/{{monitor_id}}", envelope="healthmonitor", target=MONITOR, policy=policies.read("healthmonitor"))
async def show_monitor(ctx: Ctx, monitor: HealthMonitor) -> MonitorView:
    return view(monitor)


POST = policies.write("healthmonitor", "post")


@routes.post(PATH, envelope="healthmonitor", status=201, policy=POST, check=False)
async def create_monitor(ctx: Ctx, body: MonitorOfPool) -> MonitorView:
    async with ctx.db.write() as tx:
        pool = await rows.find(tx, Pool, body.pool_id)
        if pool is None:
            raise NoSuch(what=Pool.title, id=body.pool_id)
        ctx.must_allow(POST.name, {"project_id": pool.project_id})
        row = new_monitor(ctx, body, pool)
        await begin(ctx, tx, pool.load_balancer_id)
        return view(await add_monitor(ctx, tx, row))


@routes.put(f"{PATH}/{{monitor_id}}", envelope="healthmonitor", target=MONITOR,
            policy=policies.write("healthmonitor", "put"))
async def update_monitor(ctx: Ctx, monitor: HealthMonitor, body: MonitorUpdate) -> MonitorView:
    values = changed(body)
    if monitor.type not in HTTP and (said := [name for name in OF_HTTP if values.get(name) is not None]):
        raise Invalid(reason=f"{', '.join(said)} may be given for health monitors of type HTTP and HTTPS alone")
    for name, usual in (USUAL if monitor.type in HTTP else {}).items() | {"max_retries_down": 3}.items():
        if name in values and values[name] is None:
            values[name] = usual
    if "http_version" in values:
        values["http_version"] = _version(values["http_version"])
    _checked(msgspec.structs.replace(monitor, **values))
    async with ctx.db.write() as tx:
        await begin(ctx, tx, (await rows.get(tx, Pool, monitor.pool_id)).load_balancer_id)
        return view(await alter(ctx, tx, monitor, values))


@routes.delete(f"{PATH}/{{monitor_id}}", target=MONITOR, policy=policies.write("healthmonitor", "delete"))
async def delete_monitor(ctx: Ctx, monitor: HealthMonitor) -> None:
    async with ctx.db.write() as tx:
        await begin(ctx, tx, (await rows.get(tx, Pool, monitor.pool_id)).load_balancer_id)
        await going(tx, await rows.get(tx, HealthMonitor, monitor.id))
