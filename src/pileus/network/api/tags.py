"""/v2.0/{resources}/{id}/tags: labels on anything that has standard attributes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api.policies import MEMBER, READER
from pileus.network.api.shapes import MANY_TAGS, Tag
from pileus.network.model import (
    address_groups,
    base,
    networks,
    ports,
    qos,
    routers,
    security_groups,
    segment_ranges,
    subnets,
    trunks,
)

routes = Routes()
TAGGED: dict[str, sa.Table] = {
    "networks": networks.networks, "subnets": subnets.subnets, "ports": ports.ports, "routers": routers.routers,
    "floatingips": routers.floating_ips, "security-groups": security_groups.security_groups,
    "security-group-rules": security_groups.rules, "subnetpools": subnets.pools,
    "address-groups": address_groups.address_groups, "policies": qos.policies, "trunks": trunks.trunks,
    "network-segment-ranges": segment_ranges.ranges}
TAGGED |= {name.replace("-", "_"): table for name, table in TAGGED.items() if "-" in name}


class Tagged(msgspec.Struct, frozen=True, kw_only=True):
    resource: str
    id: str
    project_id: str


class Tags(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tags: Annotated[list[Tag], msgspec.Meta(max_length=MANY_TAGS)]


async def tagged(conn: Connection, resource: str, resource_id: str) -> Tagged:
    table = TAGGED.get(resource)
    if table is not None:
        query = sa.select(table.c.id, table.c.project_id).where(table.c.id == resource_id)
        for row_id, project_id in await base.rows(conn, query):
            return Tagged(resource=resource, id=row_id, project_id=project_id)
    raise faults.ResourceNotFound(resource=resource, resource_id=resource_id)


THING = Target(tagged, missing=faults.ResourceNotFound)
PATH = "/v2.0/{resource}/{resource_id}/tags"


def _checked(tag: str) -> str:
    if "," in tag or not tag or len(tag) > 255:
        raise faults.InvalidInput(reason=f"'{tag}' is not a valid tag")
    return tag


async def _touch(ctx: Ctx, tx: Connection, thing: Tagged) -> None:
    await base.bump(tx, TAGGED[thing.resource], thing.id, ctx.clock())


async def _have(conn: Connection, thing: Tagged) -> list[str]:
    return (await base.tags_of(conn, [thing.id]))[thing.id]


@routes.get(PATH, target=THING, policy=Rule("get_tags", READER))
async def list_tags(ctx: Ctx, thing: Tagged) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return {"tags": await _have(reader, thing)}


@routes.get(PATH + "/{tag}", target=THING, status=204, policy=Rule("get_tags", READER))
async def has_tag(ctx: Ctx, thing: Tagged, tag: str) -> None:
    async with ctx.db.read() as reader:
        if tag not in await _have(reader, thing):
            raise faults.TagNotFound(tag=tag)


@routes.put(PATH, target=THING, policy=Rule("update_tags", MEMBER))
async def replace_tags(ctx: Ctx, thing: Tagged, body: Tags) -> dict[str, Any]:
    wanted = sorted({_checked(tag) for tag in body.tags})
    async with ctx.db.write() as tx:
        await _touch(ctx, tx, thing)
        await tx.execute(base.tags.delete().where(base.tags.c.resource_id == thing.id))
        await _insert(tx, thing, wanted)
    return {"tags": wanted}


@routes.post(PATH, target=THING, policy=Rule("create_tags", MEMBER))
async def add_tags(ctx: Ctx, thing: Tagged, body: Tags) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        await _touch(ctx, tx, thing)
        have = await _have(tx, thing)
        await _insert(tx, thing, sorted({_checked(tag) for tag in body.tags} - set(have)))
        return {"tags": await _have(tx, thing)}


@routes.put(PATH + "/{tag}", target=THING, status=201, policy=Rule("update_tags", MEMBER))
async def add_tag(ctx: Ctx, thing: Tagged, tag: str) -> None:
    async with ctx.db.write() as tx:
        await _touch(ctx, tx, thing)
        if _checked(tag) not in await _have(tx, thing):
            await _insert(tx, thing, [tag])


@routes.delete(PATH + "/{tag}", target=THING, policy=Rule("delete_tags", MEMBER))
async def remove_tag(ctx: Ctx, thing: Tagged, tag: str) -> None:
    async with ctx.db.write() as tx:
        gone = await db.update(tx, base.tags.delete().where(
            base.tags.c.resource_id == thing.id, base.tags.c.tag == tag))
        if not gone:
            raise faults.TagNotFound(tag=tag)
        await _touch(ctx, tx, thing)


@routes.delete(PATH, target=THING, policy=Rule("delete_tags", MEMBER))
async def remove_tags(ctx: Ctx, thing: Tagged) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(base.tags.delete().where(base.tags.c.resource_id == thing.id))
        await _touch(ctx, tx, thing)


async def _insert(tx: Connection, thing: Tagged, wanted: list[str]) -> None:
    if wanted:
        await tx.execute(base.tags.insert(), [{"resource_id": thing.id, "tag": tag} for tag in wanted])
