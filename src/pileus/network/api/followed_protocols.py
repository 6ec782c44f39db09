"""/v2.0/routers/{id}/conntrack_helpers: protocols whose connections open others, which a router reads along with."""

from __future__ import annotations

from typing import Annotated

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, followed_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import Text, app, given
from pileus.network.model import base, followed_protocols, routers
from pileus.network.model.followed_protocols import FollowedProtocol, helpers
from pileus.network.model.routers import Router

routes = Routes()
EVERY = "/v2.0/routers/{router_id}/conntrack_helpers"
ONE = EVERY + "/{helper_id}"
ENVELOPE = "conntrack_helper"
PROTOCOLS = {"ftp": ("tcp",), "tftp": ("udp",)}           # of each helper that hosts' kernels are known to have
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class FollowedUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    protocol: Text | UnsetType = UNSET
    port: PortNumber | UnsetType = UNSET
    helper: Text | UnsetType = UNSET


class FollowedCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    protocol: Text
    port: PortNumber
    helper: Text


class FollowedView(msgspec.Struct, kw_only=True):
    id: str
    protocol: str
    port: int
    helper: str


def view(row: FollowedProtocol) -> FollowedView:
    return FollowedView(id=row.id, protocol=row.protocol, port=row.port, helper=row.helper)


def _must_be_sound(row: FollowedProtocol) -> None:
    if row.helper not in PROTOCOLS:
        raise followed_faults.FollowedUnknown(helper=row.helper, known=", ".join(PROTOCOLS))
    if row.protocol not in PROTOCOLS[row.helper]:
        raise followed_faults.ProtocolNotFollowed(
            protocol=row.protocol, helper=row.helper, supported=", ".join(PROTOCOLS[row.helper]))


async def _one(conn: Connection, router_id: str, helper_id: str) -> FollowedProtocol:
    return await followed_protocols.get(conn, router_id, helper_id)


ROUTER = Target(routers.get, missing=faults.RouterNotFound)
HELPER = Target(_one, missing=followed_faults.FollowedNotFound)
LISTING = Listing(collection=f"{ENVELOPE}s", table=helpers, row=FollowedProtocol, columns={
    name: helpers.c[name] for name in ("id", "protocol", "port", "helper")})


@routes.get(EVERY, envelope=f"{ENVELOPE}s", target=ROUTER, policy=Rule(f"get_router_{ENVELOPE}", READER))
async def list_followed(ctx: Ctx, router: Router, query: Query) -> Page[FollowedView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, helpers.c.router_id == router.id)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(ONE, envelope=ENVELOPE, target=HELPER, policy=Rule(f"get_router_{ENVELOPE}", READER))
async def show_followed(ctx: Ctx, row: FollowedProtocol) -> FollowedView:
    return view(row)


@routes.post(EVERY, envelope=ENVELOPE, status=201, target=ROUTER, policy=Rule(f"create_router_{ENVELOPE}", MEMBER))
async def create_followed(ctx: Ctx, router: Router, body: FollowedCreate) -> FollowedView:
    now = ctx.clock()
    row = FollowedProtocol(id=new_uuid(), project_id=router.project_id, created_at=now, updated_at=now,
                          router_id=router.id, protocol=body.protocol, port=body.port, helper=body.helper)
    _must_be_sound(row)
    async with ctx.db.write() as tx:
        await _must_be_new(tx, row)
        await db.add(tx, helpers, row)
        await base.bump(tx, routers.routers, router.id, now)
        app(ctx).changed(tx)
    return view(row)


async def _must_be_new(tx: Connection, row: FollowedProtocol) -> None:
    """The router is held, so that two who ask at once are told one after the other."""
    await routers.lock(tx, row.router_id)
    c = helpers.c
    same = sa.select(c.id).where(c.router_id == row.router_id, c.protocol == row.protocol, c.port == row.port,
                                 c.id != row.id)
    if await db.scalar(tx, same) is not None:
        raise followed_faults.FollowedExists(router_id=row.router_id, protocol=row.protocol, port=row.port)


@routes.put(ONE, envelope=ENVELOPE, target=HELPER, policy=Rule(f"update_router_{ENVELOPE}", MEMBER))
async def update_followed(ctx: Ctx, row: FollowedProtocol, body: FollowedUpdate) -> FollowedView:
    after = msgspec.structs.replace(row, **given(body))
    _must_be_sound(after)
    async with ctx.db.write() as tx:
        await _must_be_new(tx, after)
        changed = await base.change(tx, helpers, row, ctx.clock(), **given(body))
        await base.bump(tx, routers.routers, row.router_id, ctx.clock())
        app(ctx).changed(tx)
    return view(changed)


@routes.delete(ONE, target=HELPER, policy=Rule(f"delete_router_{ENVELOPE}", MEMBER))
async def delete_followed(ctx: Ctx, row: FollowedProtocol) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, helpers, row.id)
        await base.bump(tx, routers.routers, row.router_id, ctx.clock())
        app(ctx).changed(tx)
