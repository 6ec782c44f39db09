"""/v2/metadefs/namespaces/{namespace}/objects, /properties and /tags"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from pileus.image import access, faults
from pileus.image.answers import json_answer, path_with
from pileus.image.api.metadef_namespaces import ONE, Query, prefix_for
from pileus.image.metadef_types import (
    MOST_ENTRIES,
    NamedProperty,
    ObjectBody,
    TagBody,
    TagsBody,
    content_of,
    object_view,
    property_view,
    tag_view,
)
from pileus.image.model import metadefs
from pileus.image.model.listing import limit_of
from pileus.image.model.metadefs import OBJECT, PROPERTY, TAG, Entry, Namespace
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
OBJECTS, PROPERTIES, TAGS = f"{ONE}/objects", f"{ONE}/properties", f"{ONE}/tags"


# -- what the three have in common ----------------------------------------------------------

def _entry(ctx: Ctx, row: Namespace, kind: str, name: str, content: dict[str, Any]) -> Entry:
    now = ctx.clock()
    return Entry(id=new_uuid(), namespace_id=row.id, kind=kind, name=name, content=content, created_at=now,
                 updated_at=now)


async def _added(ctx: Ctx, row: Namespace, kind: str, name: str, content: dict[str, Any]) -> Entry:
    made = _entry(ctx, row, kind, name, content)
    async with ctx.db.write() as tx:
        await metadefs.add_entries(tx, row, made)
    return made


async def _found(ctx: Ctx, row: Namespace, kind: str, name: str) -> Entry:
    async with ctx.db.read() as reader:
        return await metadefs.entry(reader, row, kind, name)


async def _changed(ctx: Ctx, row: Namespace, old: Entry, name: str, content: dict[str, Any]) -> Entry:
    async with ctx.db.write() as tx:
        return await metadefs.change_entry(tx, row, old, name=name, content=content, updated_at=ctx.clock())


async def _removed(ctx: Ctx, namespace: str, rule: Rule, kind: str, name: str) -> None:
    row = await access.namespace_for(ctx, namespace, rule)
    old = await _found(ctx, row, kind, name)
    async with ctx.db.write() as tx:
        await metadefs.remove_entry(tx, old)


async def _emptied(ctx: Ctx, namespace: str, rule: Rule, kind: str) -> None:
    row = await access.namespace_for(ctx, namespace, rule)
    async with ctx.db.write() as tx:
        await metadefs.remove_entries(tx, row, kind)


async def _listed(ctx: Ctx, row: Namespace, kind: str, query: Query) -> tuple[list[Entry], dict[str, Any]]:
    """One page, and what stands beside it."""
    direction = query.get("sort_dir", ["asc"])[-1]
    if direction not in ("asc", "desc"):
        raise faults.BadRequest(reason=f"Invalid sort direction: {direction:.80}. It must be one of: asc, desc.")
    limit = limit_of(query) if "limit" in query else MOST_ENTRIES
    async with ctx.db.read() as reader:
        found = await metadefs.entry_page(reader, row, kind, limit=limit, marker=query.get("marker", [None])[-1],
                                          descending=direction == "desc")
    shown = found[:limit]
    beside = {"first": path_with(ctx, None), "schema": f"/v2/schemas/metadefs/{kind}s"}
    return shown, beside | ({"next": path_with(ctx, shown[-1].name)} if shown and len(found) > limit else {})


# -- objects --------------------------------------------------------------------------------

@routes.get(OBJECTS, policy=access.GET_OBJECTS, check=False)
async def list_objects(ctx: Ctx, namespace: str, query: Query) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_OBJECTS)
    shown, beside = await _listed(ctx, row, OBJECT, query)
    return json_answer({"objects": [object_view(each, namespace) for each in shown]} | beside)


@routes.post(OBJECTS, status=201, policy=access.ADD_OBJECT, check=False)
async def create_object(ctx: Ctx, namespace: str, body: ObjectBody) -> Response:
    row = await access.namespace_for(ctx, namespace, access.ADD_OBJECT)
    return json_answer(object_view(await _added(ctx, row, OBJECT, body.name, content_of(body)), namespace), 201)


@routes.delete(OBJECTS, policy=access.DELETE_OBJECT, check=False)
async def delete_objects(ctx: Ctx, namespace: str) -> None:
    await _emptied(ctx, namespace, access.DELETE_OBJECT, OBJECT)


@routes.get(OBJECTS + "/{name}", policy=access.GET_OBJECT, check=False)
async def show_object(ctx: Ctx, namespace: str, name: str) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_OBJECT)
    return json_answer(object_view(await _found(ctx, row, OBJECT, name), namespace))


@routes.put(OBJECTS + "/{name}", policy=access.MODIFY_OBJECT, check=False)
async def update_object(ctx: Ctx, namespace: str, name: str, body: ObjectBody) -> Response:
    row = await access.namespace_for(ctx, namespace, access.MODIFY_OBJECT)
    old = await _found(ctx, row, OBJECT, name)
    return json_answer(object_view(await _changed(ctx, row, old, body.name, content_of(body)), namespace))


@routes.delete(OBJECTS + "/{name}", policy=access.DELETE_OBJECT, check=False)
async def delete_object(ctx: Ctx, namespace: str, name: str) -> None:
    await _removed(ctx, namespace, access.DELETE_OBJECT, OBJECT, name)


# -- properties -----------------------------------------------------------------------------

@routes.get(PROPERTIES, policy=access.GET_PROPERTIES, check=False)
async def list_properties(ctx: Ctx, namespace: str, query: Query) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_PROPERTIES)
    shown, beside = await _listed(ctx, row, PROPERTY, query)
    beside["schema"] = "/v2/schemas/metadefs/properties"
    return json_answer({"properties": {each.name: property_view(each) for each in shown}} | beside)


@routes.post(PROPERTIES, status=201, policy=access.ADD_PROPERTY, check=False)
async def create_property(ctx: Ctx, namespace: str, body: NamedProperty) -> Response:
    row = await access.namespace_for(ctx, namespace, access.ADD_PROPERTY)
    return json_answer(property_view(await _added(ctx, row, PROPERTY, body.name, content_of(body))), 201)


@routes.delete(PROPERTIES, policy=access.REMOVE_PROPERTY, check=False)
async def delete_properties(ctx: Ctx, namespace: str) -> None:
    await _emptied(ctx, namespace, access.REMOVE_PROPERTY, PROPERTY)


@routes.get(PROPERTIES + "/{name}", policy=access.GET_PROPERTY, check=False)
async def show_property(ctx: Ctx, namespace: str, name: str, query: Query) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_PROPERTY)
    wanted = query.get("resource_type", [None])[-1]
    async with ctx.db.read() as reader:
        kinds = (await metadefs.associations_of(reader, [row.id]))[row.id] if wanted else []
        prefix = prefix_for(row, kinds, wanted)
        if not name.startswith(prefix):
            raise faults.DefinitionNotFound(kind=PROPERTY, name=name, namespace=namespace)
        found = await metadefs.entry(reader, row, PROPERTY, name.removeprefix(prefix))
    return json_answer(property_view(found) | {"name": name})


@routes.put(PROPERTIES + "/{name}", policy=access.MODIFY_PROPERTY, check=False)
async def update_property(ctx: Ctx, namespace: str, name: str, body: NamedProperty) -> Response:
    row = await access.namespace_for(ctx, namespace, access.MODIFY_PROPERTY)
    old = await _found(ctx, row, PROPERTY, name)
    return json_answer(property_view(await _changed(ctx, row, old, body.name, content_of(body))))


@routes.delete(PROPERTIES + "/{name}", policy=access.REMOVE_PROPERTY, check=False)
async def delete_property(ctx: Ctx, namespace: str, name: str) -> None:
    await _removed(ctx, namespace, access.REMOVE_PROPERTY, PROPERTY, name)


# -- tags -----------------------------------------------------------------------------------

@routes.get(TAGS, policy=access.GET_TAGS, check=False)
async def list_tags(ctx: Ctx, namespace: str, query: Query) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_TAGS)
    shown, beside = await _listed(ctx, row, TAG, query)
    return json_answer({"tags": [{"name": each.name} for each in shown]} | beside)


@routes.post(TAGS, status=201, policy=access.ADD_TAGS, check=False)
async def create_tags(ctx: Ctx, namespace: str, body: TagsBody) -> Response:
    """The namespace's tags from now on, or with the header X-Openstack-Append more of them."""
    row = await access.namespace_for(ctx, namespace, access.ADD_TAGS)
    names = [each.name for each in body.tags]
    async with ctx.db.write() as tx:
        if ctx.request.headers.get("x-openstack-append", "false").lower() != "true":
            await metadefs.remove_entries(tx, row, TAG)
        await metadefs.add_entries(tx, row, *(_entry(ctx, row, TAG, name, {}) for name in names))
    return json_answer({"tags": [{"name": name} for name in names], "first": path_with(ctx, None),
                        "schema": "/v2/schemas/metadefs/tags"}, 201)


@routes.delete(TAGS, policy=access.DELETE_TAGS, check=False)
async def delete_tags(ctx: Ctx, namespace: str) -> None:
    await _emptied(ctx, namespace, access.DELETE_TAGS, TAG)


@routes.post(TAGS + "/{name}", status=201, policy=access.ADD_TAG, check=False)
async def create_tag(ctx: Ctx, namespace: str, name: str) -> Response:
    row = await access.namespace_for(ctx, namespace, access.ADD_TAG)
    if len(name) > 80:
        raise faults.BadRequest(reason="A tag has at most 80 characters.")
    return json_answer(tag_view(await _added(ctx, row, TAG, name, {})), 201)


@routes.get(TAGS + "/{name}", policy=access.GET_TAG, check=False)
async def show_tag(ctx: Ctx, namespace: str, name: str) -> Response:
    row = await access.namespace_for(ctx, namespace, access.GET_TAG)
    return json_answer(tag_view(await _found(ctx, row, TAG, name)))


@routes.put(TAGS + "/{name}", policy=access.MODIFY_TAG, check=False)
async def update_tag(ctx: Ctx, namespace: str, name: str, body: TagBody) -> Response:
    row = await access.namespace_for(ctx, namespace, access.MODIFY_TAG)
    old = await _found(ctx, row, TAG, name)
    return json_answer(tag_view(await _changed(ctx, row, old, body.name, {})))


@routes.delete(TAGS + "/{name}", policy=access.DELETE_TAG, check=False)
async def delete_tag(ctx: Ctx, namespace: str, name: str) -> None:
    await _removed(ctx, namespace, access.DELETE_TAG, TAG, name)
