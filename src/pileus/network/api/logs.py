"""/v2.0/log: which packets of security groups hosts write into their logs."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import log_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.shapes import (
    Changed,
    Created,
    MaybeBool,
    Standard,
    Text,
    UuidText,
    app,
    check_revision,
    given,
    owner,
    standard,
    texts,
)
from pileus.network.model import base, logs, ports, security_groups
from pileus.network.model.logs import Log

routes = Routes()


class LogCreate(Created, kw_only=True, forbid_unknown_fields=True):
    resource_type: Text
    resource_id: UuidText | None = None
    target_id: UuidText | None = None
    event: Literal["ACCEPT", "DROP", "ALL"] = "ALL"
    enabled: bool = True


class LogUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    enabled: MaybeBool = UNSET


class LogView(Standard, kw_only=True):
    resource_type: str
    resource_id: str | None
    target_id: str | None
    event: str
    enabled: bool


class LogType(msgspec.Struct):
    type: str


def view(row: Log, tags: list[str]) -> LogView:
    return LogView(**standard(row, tags), resource_type=row.resource_type, resource_id=row.resource_id,
                   target_id=row.target_id, event=row.event, enabled=row.enabled)


async def views(conn: Connection, rows: list[Log]) -> list[LogView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [view(row, tags[row.id]) for row in rows]


LOG = Target(logs.get, missing=log_faults.LogNotFound)
LISTING = Listing(collection="logs", table=logs.logs, row=Log, columns=listing.columns_of(logs.logs))
ALL, ONE = "/v2.0/log/logs", "/v2.0/log/logs/{log_id}"


@routes.get(ALL, envelope="logs", policy=Rule("get_log", ADMIN))
async def list_logs(ctx: Ctx, query: Query) -> Page[LogView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, None)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(ONE, envelope="log", target=LOG, policy=Rule("get_log", ADMIN))
async def show_log(ctx: Ctx, log: Log) -> LogView:
    async with ctx.db.read() as reader:
        return (await views(reader, [log]))[0]


@routes.post(ALL, envelope="log", bulk="logs", status=201, policy=Rule("create_log", ADMIN))
async def create_logs(ctx: Ctx, body: list[LogCreate]) -> list[LogView]:
    now = ctx.clock()
    async with ctx.db.write() as tx:
        for each in body:
            await _check(tx, each)
        made = [Log(id=new_uuid(), project_id=owner(ctx, each), name=each.name, description=each.description or "",
                    created_at=now, updated_at=now, resource_id=each.resource_id, target_id=each.target_id,
                    event=each.event, enabled=each.enabled) for each in body]
        await db.add(tx, logs.logs, *made)
        app(ctx).changed(tx)
    return [view(row, []) for row in made]


async def _check(tx: Connection, body: LogCreate) -> None:
    if body.resource_type != logs.SECURITY_GROUP:
        raise log_faults.LogTypeUnknown(resource_type=body.resource_type)
    if body.resource_id and body.resource_id not in await security_groups.by_ids(tx, [body.resource_id]):
        raise log_faults.LoggedNotFound(resource_id=body.resource_id)
    if body.target_id is None:
        return
    if await ports.find(tx, body.target_id) is None:
        raise log_faults.TargetNotFound(target_id=body.target_id)
    groups = (await ports.groups_of(tx, [body.target_id]))[body.target_id]
    if body.resource_id and body.resource_id not in groups:
        raise log_faults.TargetOutside(resource_id=body.resource_id, target_id=body.target_id)


@routes.put(ONE, envelope="log", target=LOG, policy=Rule("update_log", ADMIN))
async def update_log(ctx: Ctx, log: Log, body: LogUpdate) -> LogView:
    check_revision(ctx, log)
    values = texts(given(body))
    async with ctx.db.write() as tx:
        row = await base.change(tx, logs.logs, log, ctx.clock(), **values) if values else log
        app(ctx).changed(tx)
        return (await views(tx, [row]))[0]


@routes.delete(ONE, target=LOG, policy=Rule("delete_log", ADMIN))
async def delete_log(ctx: Ctx, log: Log) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, logs.logs, log.id)
        app(ctx).changed(tx)


@routes.get("/v2.0/log/loggable-resources", envelope="loggable_resources",
            policy=Rule("get_loggable_resource", ADMIN))
async def list_types(ctx: Ctx) -> Page[LogType]:
    return Page([LogType(logs.SECURITY_GROUP)])
