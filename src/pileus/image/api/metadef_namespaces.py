"""/v2/metadefs/namespaces and the resource types they are for"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from starlette.responses import Response

from pileus.image import access, faults
from pileus.image.answers import json_answer, path_with
from pileus.image.metadef_types import (
    AssociationBody,
    NamespaceCreate,
    NamespaceUpdate,
    association_view,
    content_of,
    namespace_view,
    whole_view,
)
from pileus.image.model import metadefs
from pileus.image.model.listing import limit_of
from pileus.image.model.metadefs import OBJECT, PROPERTY, TAG, Association, Entry, Namespace
from pileus.image.model.tables import namespaces
from pileus.kit.clock import stamp
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
ALL = "/v2/metadefs/namespaces"
ONE = ALL + "/{namespace}"
TYPES = ONE + "/resource_types"
SORT_KEYS = ("created_at", "updated_at", "namespace")
Query = dict[str, list[str]]


@routes.get(ALL, policy=access.GET_NAMESPACES)
async def list_namespaces(ctx: Ctx, query: Query) -> Response:
    limit, where = limit_of(query), list[sa.ColumnElement[bool]]()
    if "visibility" in query:
        where.append(namespaces.c.visibility == query["visibility"][-1])
    if "resource_types" in query:
        where.append(metadefs.is_for(query["resource_types"][-1].split(",")))
    async with ctx.db.read() as reader:
        found = await metadefs.page(reader, ctx.caller, where=where, order=_order(query), limit=limit,
                                    marker=query.get("marker", [None])[-1])
        shown = found[:limit]
        kinds = await metadefs.associations_of(reader, [each.id for each in shown])
    more = {"next": path_with(ctx, shown[-1].namespace)} if shown and len(found) > limit else {}
    return json_answer({
        "namespaces": [namespace_view(each, kinds[each.id]) for each in shown],
        "first": path_with(ctx, None), "schema": "/v2/schemas/metadefs/namespaces"} | more)


def _order(query: Query) -> metadefs.Order:
    key, direction = query.get("sort_key", ["created_at"])[-1], query.get("sort_dir", ["desc"])[-1]
    if key not in SORT_KEYS or direction not in ("asc", "desc"):
        raise faults.BadRequest(reason=f"Sort by {', '.join(SORT_KEYS)}; asc or desc.")
    order: metadefs.Order = [(namespaces.c[key], direction == "desc")]
    return order if key == "namespace" else [*order, (namespaces.c.namespace, direction == "desc")]


@routes.post(ALL, status=201, policy=access.ADD_NAMESPACE)
async def create_namespace(ctx: Ctx, body: NamespaceCreate) -> Response:
    now, owner = ctx.clock(), body.owner or ctx.caller.project_id or ""
    row = Namespace(
        id=new_uuid(), namespace=body.namespace, display_name=body.display_name, description=body.description,
        visibility=body.visibility, protected=body.protected, owner=owner, created_at=now, updated_at=now)
    parts = [*_entries(row, OBJECT, {each.name: content_of(each) for each in body.objects}, now),
             *_entries(row, PROPERTY, {name: content_of(each) for name, each in body.properties.items()}, now),
             *_entries(row, TAG, {each.name: {} for each in body.tags}, now)]
    kinds = [_association(row, each, now) for each in body.resource_type_associations]
    async with ctx.db.write() as tx:
        await metadefs.add(tx, row, parts, kinds)
    return json_answer(whole_view(row, kinds, parts, ""), 201, {
        "location": f"{ctx.base_url}/v2/metadefs/namespaces/{quote(row.namespace)}"})


def _entries(row: Namespace, kind: str, found: dict[str, dict[str, Any]], now: float) -> list[Entry]:
    return [Entry(id=new_uuid(), namespace_id=row.id, kind=kind, name=name, content=content, created_at=now,
                  updated_at=now) for name, content in found.items()]


def _association(row: Namespace, body: AssociationBody, now: float) -> Association:
    return Association(namespace_id=row.id, resource_type=body.name, prefix=body.prefix,
                       properties_target=body.properties_target, created_at=now, updated_at=now)


@routes.get(ONE, policy=access.GET_NAMESPACE, check=False)
async def show_namespace(ctx: Ctx, namespace: str, query: Query) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_NAMESPACE)
    async with ctx.db.read() as reader:
        kinds = (await metadefs.associations_of(reader, [row.id]))[row.id]
        parts = await metadefs.entries_of(reader, row, OBJECT, PROPERTY, TAG)
    wanted = query.get("resource_type", [None])[-1]
    return json_answer(whole_view(row, kinds, parts, prefix_for(row, kinds, wanted)))


def prefix_for(row: Namespace, kinds: list[Association], wanted: str | None) -> str:
    """What the names of properties begin with on resources of that type."""
    if wanted is None:
        return ""
    found = next((each for each in kinds if each.resource_type == wanted), None)
    if found is None:
        raise faults.AssociationNotFound(name=wanted, namespace=row.namespace)
    return found.prefix or ""


@routes.put(ONE, policy=access.MODIFY_NAMESPACE, check=False)
async def update_namespace(ctx: Ctx, namespace: str, body: NamespaceUpdate) -> Response:
    row = await access.namespace_for(ctx, namespace, access.MODIFY_NAMESPACE)
    async with ctx.db.write() as tx:
        row = await metadefs.change(
            tx, row, namespace=body.namespace, display_name=body.display_name, description=body.description,
            visibility=body.visibility, protected=body.protected, owner=body.owner or row.owner,
            updated_at=ctx.clock())
        kinds = (await metadefs.associations_of(tx, [row.id]))[row.id]
    return json_answer(namespace_view(row, kinds))


@routes.delete(ONE, policy=access.DELETE_NAMESPACE, check=False)
async def delete_namespace(ctx: Ctx, namespace: str) -> None:
    row = await access.namespace_for(ctx, namespace, access.DELETE_NAMESPACE)
    if row.protected:
        raise faults.NamespaceProtected(namespace=namespace)
    async with ctx.db.write() as tx:
        await metadefs.remove(tx, row)


# -- resource types -------------------------------------------------------------------------

@routes.get("/v2/metadefs/resource_types", policy=access.LIST_RESOURCE_TYPES)
async def list_resource_types(ctx: Ctx) -> Response:
    async with ctx.db.read() as reader:
        found = await metadefs.all_types(reader)
    return json_answer({"resource_types": [
        {"name": each.name, "created_at": stamp(each.created_at), "updated_at": stamp(each.updated_at)}
        for each in found]})


@routes.get(TYPES, policy=access.GET_RESOURCE_TYPE, check=False)
async def list_associations(ctx: Ctx, namespace: str) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_RESOURCE_TYPE)
    async with ctx.db.read() as reader:
        found = (await metadefs.associations_of(reader, [row.id]))[row.id]
    return json_answer({"resource_type_associations": [association_view(each) for each in found]})


@routes.post(TYPES, status=201, policy=access.ADD_ASSOCIATION, check=False)
async def add_association(ctx: Ctx, namespace: str, body: AssociationBody) -> Response:
    row = await access.namespace_for(ctx, namespace, access.ADD_ASSOCIATION)
    made = _association(row, body, ctx.clock())
    async with ctx.db.write() as tx:
        await metadefs.associate(tx, made)
    return json_answer(association_view(made), 201)


@routes.delete(TYPES + "/{name}", policy=access.REMOVE_ASSOCIATION, check=False)
async def remove_association(ctx: Ctx, namespace: str, name: str) -> None:
    row = await access.namespace_for(ctx, namespace, access.REMOVE_ASSOCIATION)
    async with ctx.db.write() as tx:
        await metadefs.dissociate(tx, row, name)
