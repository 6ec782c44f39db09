"""Metadata definitions: namespaces, what they define, and the resource types they are for."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.image import faults
from pileus.image.model.images import sees_all
from pileus.image.model.tables import associations, entries, namespaces, resource_types
from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection

OBJECT, PROPERTY, TAG = "object", "property", "tag"
Order = list[tuple[sa.ColumnElement[Any], bool]]


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    namespace: str
    owner: str
    display_name: str | None = None
    description: str | None = None
    visibility: str = "private"
    protected: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0
    generation: int = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    namespace_id: str
    kind: str
    name: str
    content: dict[str, Any] = {}
    created_at: float = 0.0
    updated_at: float = 0.0
    generation: int = 1


class ResourceType(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    created_at: float
    updated_at: float


class Association(msgspec.Struct, frozen=True, kw_only=True):
    namespace_id: str
    resource_type: str
    prefix: str | None = None
    properties_target: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


# -- namespaces -----------------------------------------------------------------------------

async def get_visible(conn: Connection, name: str, caller: Caller) -> Namespace:
    """The namespace, if the caller may know that it exists."""
    found = await db.one(conn, sa.select(namespaces).where(namespaces.c.namespace == name), Namespace)
    if found is None or not (sees_all(caller) or found.visibility == "public" or found.owner == caller.project_id):
        raise faults.NamespaceNotFound(namespace=name)
    return found


async def page(conn: Connection, caller: Caller, *, where: list[sa.ColumnElement[bool]], order: Order, limit: int,
               marker: str | None) -> list[Namespace]:
    """At most one more than `limit`, so that the caller knows whether there are more."""
    wanted = sa.select(namespaces).where(*where)
    if not sees_all(caller):
        wanted = wanted.where(sa.or_(namespaces.c.visibility == "public", namespaces.c.owner == caller.project_id))
    if marker is not None:
        after = await get_visible(conn, marker, caller)
        wanted = wanted.where(db.after(order, [getattr(after, column.name) for column, _ in order]))
    return await db.many(conn, wanted.order_by(*db.ordered(order)).limit(limit + 1), Namespace)


def is_for(types: list[str]) -> sa.ColumnElement[bool]:
    return namespaces.c.id.in_(sa.select(associations.c.namespace_id).where(associations.c.resource_type.in_(types)))


async def add(tx: Connection, namespace: Namespace, parts: list[Entry], kinds: list[Association]) -> None:
    try:
        await db.add(tx, namespaces, namespace)
    except db.Taken:
        raise faults.Conflict(
            reason=f"Metadata definition namespace={namespace.namespace} already exists.") from None
    await db.add(tx, entries, *parts)
    await associate(tx, *kinds)


async def change(tx: Connection, old: Namespace, /, **values: Any) -> Namespace:
    try:
        return await db.change(tx, namespaces, old, **values)
    except db.Taken:
        raise faults.Conflict(
            reason=f"Metadata definition namespace={values.get('namespace')} already exists.") from None


async def remove(tx: Connection, namespace: Namespace) -> None:
    if await db.update(tx, namespaces.delete().where(
            namespaces.c.id == namespace.id, namespaces.c.generation == namespace.generation)) != 1:
        raise db.Stale(kind="namespace", id=namespace.namespace)


# -- what a namespace defines ---------------------------------------------------------------

async def entries_of(conn: Connection, namespace: Namespace, *kinds: str) -> list[Entry]:
    return await db.many(conn, sa.select(entries).where(
        entries.c.namespace_id == namespace.id, entries.c.kind.in_(kinds)).order_by(
            entries.c.kind, entries.c.created_at, entries.c.name), Entry)


async def entry_page(conn: Connection, namespace: Namespace, kind: str, *, limit: int, marker: str | None,
                     descending: bool = False) -> list[Entry]:
    """At most one more than `limit`, by age."""
    order: Order = [(entries.c.created_at, descending), (entries.c.name, descending)]
    wanted = sa.select(entries).where(entries.c.namespace_id == namespace.id, entries.c.kind == kind)
    if marker is not None:
        after = await entry(conn, namespace, kind, marker)
        wanted = wanted.where(db.after(order, [after.created_at, after.name]))
    return await db.many(conn, wanted.order_by(*db.ordered(order)).limit(limit + 1), Entry)


async def entry(conn: Connection, namespace: Namespace, kind: str, name: str) -> Entry:
    found = await db.one(conn, sa.select(entries).where(
        entries.c.namespace_id == namespace.id, entries.c.kind == kind, entries.c.name == name), Entry)
    if found is None:
        raise faults.DefinitionNotFound(kind=kind, name=name, namespace=namespace.namespace)
    return found


async def add_entries(tx: Connection, namespace: Namespace, *new: Entry) -> None:
    try:
        await db.add(tx, entries, *new)
    except db.Taken:
        raise _taken(namespace, new[0].kind, ", ".join(each.name for each in new)) from None


async def change_entry(tx: Connection, namespace: Namespace, old: Entry, **values: Any) -> Entry:
    try:
        return await db.change(tx, entries, old, **values)
    except db.Taken:
        raise _taken(namespace, old.kind, values.get("name", old.name)) from None


def _taken(namespace: Namespace, kind: str, name: str) -> faults.Conflict:
    return faults.Conflict(reason=f"A metadata definition {kind} with name={name:.200} already exists in"
                           f" namespace={namespace.namespace}.")


async def remove_entry(tx: Connection, old: Entry) -> None:
    await tx.execute(entries.delete().where(entries.c.id == old.id))


async def remove_entries(tx: Connection, namespace: Namespace, kind: str) -> None:
    await tx.execute(entries.delete().where(entries.c.namespace_id == namespace.id, entries.c.kind == kind))


# -- resource types -------------------------------------------------------------------------

async def all_types(conn: Connection) -> list[ResourceType]:
    return await db.many(conn, sa.select(resource_types).order_by(resource_types.c.name), ResourceType)


async def associations_of(conn: Connection, ids: list[str]) -> dict[str, list[Association]]:
    """The associations of each of the namespaces `ids`."""
    found: dict[str, list[Association]] = {each: [] for each in ids}
    if ids:
        for one in await db.many(conn, sa.select(associations).where(associations.c.namespace_id.in_(ids)).order_by(
                associations.c.created_at, associations.c.resource_type), Association):
            found[one.namespace_id].append(one)
    return found


async def associate(tx: Connection, *new: Association) -> None:
    """A resource type is there once something is for it."""
    names = sorted({each.resource_type for each in new})
    known = set(await db.scalars(tx, sa.select(resource_types.c.name).where(
        resource_types.c.name.in_(names)))) if names else set()
    try:
        await db.add(tx, resource_types, *(
            ResourceType(name=name, created_at=new[0].created_at, updated_at=new[0].created_at)
            for name in names if name not in known))
        await db.add(tx, associations, *new)
    except db.Taken:
        raise faults.Conflict(reason="The metadata definition resource-type association of resource-type="
                              f"{', '.join(names)} already exists.") from None


async def dissociate(tx: Connection, namespace: Namespace, name: str) -> None:
    if not await db.update(tx, associations.delete().where(
            associations.c.namespace_id == namespace.id, associations.c.resource_type == name)):
        raise faults.AssociationNotFound(name=name, namespace=namespace.namespace)
