"""/v2.0/security-groups-default-statefulness: whether new groups are stateful where nobody says so."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.ids import new_uuid
from pileus.kit.policy import PROJECT_MANAGER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, group_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.shapes import sees_all
from pileus.network.model import base, statefulness
from pileus.network.model.statefulness import DefaultStatefulness, defaults

routes = Routes()
ENVELOPE = "security_groups_default_statefulness"
EVERY = "/v2.0/security-groups-default-statefulness"
ONE = EVERY + "/{statefulness_id}"


class DefaultUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    stateful: bool


class DefaultCreate(DefaultUpdate, kw_only=True, forbid_unknown_fields=True):
    project_id: str | None = None
    tenant_id: str | None = None


class DefaultView(msgspec.Struct, kw_only=True):
    """Without a project: of all that have none of their own."""

    id: str
    project_id: str | None
    stateful: bool


def view(row: DefaultStatefulness) -> DefaultView:
    return DefaultView(id=row.id, project_id=row.project_id or None, stateful=row.stateful)


def facts(row: DefaultStatefulness) -> dict[str, Any]:
    return {"project_id": row.project_id}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    return None if sees_all(ctx) else defaults.c.project_id == ctx.caller.project_id


DEFAULT = Target(statefulness.get, missing=group_faults.StatefulnessNotFound, facts=facts)
LISTING = Listing(collection=ENVELOPE, table=defaults, row=DefaultStatefulness,
                  columns=listing.columns_of(defaults, "name", "description"))


@routes.get(EVERY, envelope=ENVELOPE, policy=Rule(f"get_{ENVELOPE}", PROJECT_READER))
async def list_defaults(ctx: Ctx, query: Query) -> Page[DefaultView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(ONE, envelope=ENVELOPE, target=DEFAULT, policy=Rule(f"get_{ENVELOPE}", PROJECT_READER))
async def show_default(ctx: Ctx, row: DefaultStatefulness) -> DefaultView:
    return view(row)


@routes.post(EVERY, envelope=ENVELOPE, status=201, policy=Rule(f"create_{ENVELOPE}", PROJECT_MANAGER))
async def create_default(ctx: Ctx, body: DefaultCreate) -> DefaultView:
    """Managers speak for their own project, administrators for any and for all."""
    project_id, now = body.project_id or body.tenant_id or "", ctx.clock()
    if not ctx.caller.is_admin and project_id != ctx.caller.project_id:
        raise faults.PolicyNotAuthorized(rule=f"create_{ENVELOPE}")
    row = DefaultStatefulness(id=new_uuid(), project_id=project_id, created_at=now, updated_at=now,
                              stateful=body.stateful)
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, defaults, row)
    except db.Taken as error:
        raise group_faults.StatefulnessExists(
            whose=f"of project {project_id}" if project_id else "of all projects") from error
    return view(row)


@routes.put(ONE, envelope=ENVELOPE, target=DEFAULT, policy=Rule(f"update_{ENVELOPE}", PROJECT_MANAGER))
async def update_default(ctx: Ctx, row: DefaultStatefulness, body: DefaultUpdate) -> DefaultView:
    async with ctx.db.write() as tx:
        return view(await base.change(tx, defaults, row, ctx.clock(), stateful=body.stateful))


@routes.delete(ONE, target=DEFAULT, policy=Rule(f"delete_{ENVELOPE}", PROJECT_MANAGER))
async def delete_default(ctx: Ctx, row: DefaultStatefulness) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, defaults, row.id)
