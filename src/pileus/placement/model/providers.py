"""Providers: the tree they form, their generation, their traits and aggregates."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.numbers import INT_MAX
from pileus.placement import faults
from pileus.placement.model.tables import (
    allocations,
    change,
    inventories,
    provider_aggregates,
    provider_traits,
    providers,
)


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    root_id: str
    parent_id: str | None = None
    generation: int = 0
    changed: int = 0
    updated_at: float = 0.0


async def get(conn: Connection, provider_id: str) -> Provider:
    row = await db.one(conn, sa.select(providers).where(providers.c.id == provider_id), Provider)
    if row is None:
        raise faults.ProviderNotFound(provider_id=provider_id)
    return row


async def mark(tx: Connection, provider_ids: Collection[str], *, removed: int = 0) -> None:
    """Tell every process that these providers are not what they were. The last act of a writing transaction."""
    await tx.execute(change.update().values(value=change.c.value + 1, removals=change.c.removals + removed))
    if provider_ids:
        newest = sa.select(change.c.value).scalar_subquery()
        await tx.execute(providers.update().where(providers.c.id.in_(sorted(provider_ids))).values(changed=newest))


async def advance(tx: Connection, provider_id: str, generation: int, now: float) -> None:
    """Take the next generation of a provider, which also keeps other writers off it until the commit."""
    if generation >= INT_MAX or await db.update(tx, providers.update().where(
            providers.c.id == provider_id, providers.c.generation == generation)
            .values(generation=generation + 1, updated_at=now)) != 1:
        raise faults.provider_changed(provider_id)


async def add(tx: Connection, provider: Provider) -> None:
    same = await db.one(tx, sa.select(providers).where(
        sa.or_(providers.c.id == provider.id, providers.c.name == provider.name)), Provider)
    if same is not None and same.id == provider.id:
        raise faults.DuplicateName(kind="resource provider uuid", value=provider.id)
    if same is not None:
        raise faults.DuplicateName(kind="resource provider name", value=provider.name)
    try:
        await db.add(tx, providers, provider)
    except db.Taken as error:
        raise db.Collision(str(error)) from error         # by another process meanwhile: look again
    await mark(tx, [provider.id])


async def hold_root_of(tx: Connection, parent_id: str) -> str:
    """The root of the tree `parent_id` is in; nobody else can move trees below it until the commit."""
    query = sa.select(providers.c.root_id).where(providers.c.id == parent_id)
    root_id = await db.scalar(tx, query)
    if root_id is None:
        raise faults.BadRequest(reason=f"parent provider UUID '{parent_id}' does not exist.")
    await tx.execute(providers.update().where(providers.c.id == root_id).values(changed=providers.c.changed))
    if await db.scalar(tx, query) != root_id:
        raise db.Collision(f"the tree of {parent_id} moved")
    return root_id


async def change_name(tx: Connection, provider: Provider, name: str, now: float) -> None:
    try:
        await tx.execute(providers.update().where(providers.c.id == provider.id).values(name=name, updated_at=now))
    except db.Taken:
        raise faults.DuplicateName(kind="resource provider name", value=name) from None


async def change_parent(tx: Connection, provider: Provider, parent_id: str | None) -> list[str]:
    """Hang the provider with all below it elsewhere; the ids of what moved."""
    await hold_root_of(tx, provider.id)
    tree = {row.id: row for row in await db.many(
        tx, sa.select(providers).where(providers.c.root_id == provider.root_id), Provider)}
    moving = [provider.id]
    for above in moving:                          # grows while it is walked: breadth first
        moving += [row.id for row in tree.values() if row.parent_id == above]
    if parent_id in moving:
        raise faults.BadRequest(
            reason="creating loop in the provider tree is not allowed: parent is the provider itself or below it")
    root_id = await hold_root_of(tx, parent_id) if parent_id is not None else provider.id
    await tx.execute(providers.update().where(providers.c.id == provider.id).values(parent_id=parent_id))
    await tx.execute(providers.update().where(providers.c.id.in_(moving)).values(root_id=root_id))
    return moving


async def remove(tx: Connection, provider_id: str) -> None:
    await get(tx, provider_id)
    if await db.scalar(tx, sa.select(providers.c.id).where(providers.c.parent_id == provider_id).limit(1)):
        raise faults.ProviderHasChildren(provider_id=provider_id)
    if await db.scalar(tx, sa.select(allocations.c.used).where(allocations.c.provider_id == provider_id).limit(1)):
        raise faults.ProviderInUse(provider_id=provider_id)
    try:
        for table in (provider_aggregates, provider_traits, inventories):
            await tx.execute(table.delete().where(table.c.provider_id == provider_id))
        await tx.execute(providers.delete().where(providers.c.id == provider_id))
    except db.Taken:
        raise faults.ProviderInUse(provider_id=provider_id) from None
    await mark(tx, [], removed=1)


async def traits_of(conn: Connection, provider_id: str) -> list[str]:
    return await db.scalars(conn, sa.select(provider_traits.c.trait).where(
        provider_traits.c.provider_id == provider_id).order_by(provider_traits.c.trait))


async def set_traits(tx: Connection, provider_id: str, traits: Collection[str]) -> None:
    await tx.execute(provider_traits.delete().where(provider_traits.c.provider_id == provider_id))
    if traits:
        await tx.execute(provider_traits.insert(), [
            {"provider_id": provider_id, "trait": trait} for trait in sorted(set(traits))])


async def aggregates_of(conn: Connection, provider_id: str) -> list[str]:
    return await db.scalars(conn, sa.select(provider_aggregates.c.aggregate_id).where(
        provider_aggregates.c.provider_id == provider_id).order_by(provider_aggregates.c.aggregate_id))


async def set_aggregates(tx: Connection, provider_id: str, aggregates: Collection[str]) -> None:
    await tx.execute(provider_aggregates.delete().where(provider_aggregates.c.provider_id == provider_id))
    if aggregates:
        await tx.execute(provider_aggregates.insert(), [
            {"provider_id": provider_id, "aggregate_id": each} for each in sorted(set(aggregates))])
