"""Allocations: who has taken what of whom. A claim is checked in the transaction that writes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.placement import faults
from pileus.placement.model import names, providers
from pileus.placement.model.inventories import from_row
from pileus.placement.model.tables import allocations, consumers, inventories
from pileus.placement.model.tables import providers as provider_table

Resources = Mapping[str, Mapping[str, int]]          # provider -> resource class -> amount
UNKNOWN_TYPE = "unknown"


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    consumer_type: str | None = None
    generation: int = 0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer is to have from now on, in place of what it had. Nothing at all releases it."""

    resources: Resources
    project_id: str | None = None                    # None: as it is, or nobody's
    user_id: str | None = None
    consumer_type: str | None = None
    generation: int | None = None                    # as the caller knows it; None: the consumer is new
    check_generation: bool = True


async def roots_by_consumer(conn: Connection, after: str, most: int) -> dict[str, list[str]]:
    """Of so many consumers behind one, in the order of their ids."""
    c = allocations.c
    page = sa.select(c.consumer_id).where(c.consumer_id > after).distinct().order_by(c.consumer_id)
    page = page.limit(most).subquery()
    query = sa.select(c.consumer_id, provider_table.c.root_id).distinct().select_from(
        allocations.join(page, page.c.consumer_id == c.consumer_id).join(
            provider_table, provider_table.c.id == c.provider_id)).order_by(c.consumer_id)
    found: dict[str, list[str]] = {}
    for row in await conn.execute(query):
        found.setdefault(row.consumer_id, []).append(row.root_id)
    return found


NOBODY = "00000000-0000-0000-0000-000000000000"


async def consumer(conn: Connection, consumer_id: str) -> Consumer | None:
    return await db.one(conn, sa.select(consumers).where(consumers.c.id == consumer_id), Consumer)


async def of_consumers(conn: Connection, consumer_ids: Collection[str]) -> list[sa.Row]:
    return list(await conn.execute(sa.select(
        allocations.c.consumer_id, allocations.c.provider_id, allocations.c.resource_class, allocations.c.used,
        provider_table.c.generation)
        .join(provider_table, provider_table.c.id == allocations.c.provider_id)
        .where(allocations.c.consumer_id.in_(consumer_ids))
        .order_by(allocations.c.provider_id, allocations.c.resource_class)))


async def of_provider(conn: Connection, provider_id: str) -> list[sa.Row]:
    return list(await conn.execute(sa.select(
        allocations.c.consumer_id, allocations.c.resource_class, allocations.c.used, consumers.c.generation)
        .join(consumers, consumers.c.id == allocations.c.consumer_id)
        .where(allocations.c.provider_id == provider_id)
        .order_by(allocations.c.consumer_id, allocations.c.resource_class)))


async def replace(tx: Connection, claims: Mapping[str, Claim], now: float) -> bool:
    """Write the allocations of several consumers, or of none. Whether a consumer was new."""
    await names.must_know_classes(tx, {name for claim in claims.values() for amounts in claim.resources.values()
                                       for name in amounts})
    known = {row.id: row for row in await db.many(tx, sa.select(consumers).where(consumers.c.id.in_(claims)), Consumer)}
    for consumer_id in sorted(claims):
        await _advance_consumer(tx, consumer_id, claims[consumer_id], known.get(consumer_id))
    before = [row for row in await of_consumers(tx, list(known))] if known else []
    touched = {row.provider_id for row in before} | {
        provider_id for claim in claims.values() for provider_id in claim.resources}
    await _lock_providers(tx, touched, now)
    if before:
        await tx.execute(allocations.delete().where(allocations.c.consumer_id.in_(claims)))
    await _check_capacity(tx, claims)
    rows = [{"consumer_id": consumer_id, "provider_id": provider_id, "resource_class": name, "used": amount}
            for consumer_id, claim in claims.items() for provider_id, amounts in claim.resources.items()
            for name, amount in amounts.items()]
    if rows:
        await tx.execute(allocations.insert(), rows)
    empty = [consumer_id for consumer_id, claim in claims.items() if not claim.resources and consumer_id in known]
    if empty:
        await tx.execute(consumers.delete().where(consumers.c.id.in_(empty)))
    await providers.mark(tx, touched)
    return any(consumer_id not in known for consumer_id in claims)


def _generation_conflict(consumer_id: str, known: Consumer | None, claim: Claim) -> faults.ConcurrentUpdate:
    return faults.ConcurrentUpdate(reason=f"consumer generation conflict for {consumer_id} - expected"
                                   f" {known.generation if known else None} but got {claim.generation}")


async def _advance_consumer(tx: Connection, consumer_id: str, claim: Claim, known: Consumer | None) -> None:
    """Make the consumer or take its next generation: of two writers, one comes too late."""
    if claim.check_generation and claim.generation != (known.generation if known else None):
        raise _generation_conflict(consumer_id, known, claim)
    if known is None:
        if not claim.resources:
            return
        try:
            await db.add(tx, consumers, Consumer(
                id=consumer_id, project_id=claim.project_id or NOBODY, user_id=claim.user_id or NOBODY,
                consumer_type=claim.consumer_type, generation=1))
        except db.Taken:
            raise _generation_conflict(consumer_id, None, claim) from None
        return
    if await db.update(tx, consumers.update().where(
            consumers.c.id == consumer_id, consumers.c.generation == known.generation).values(
            generation=known.generation + 1, project_id=claim.project_id or known.project_id,
            user_id=claim.user_id or known.user_id,
            consumer_type=claim.consumer_type or known.consumer_type)) != 1:
        raise _generation_conflict(consumer_id, known, claim)


async def _lock_providers(tx: Connection, provider_ids: Collection[str], now: float) -> None:
    """Raise the providers' generations, which holds their rows: whoever claims from them next reads what we wrote."""
    if not provider_ids:
        return
    wanted = sorted(provider_ids)
    locked = await db.update(tx, provider_table.update().where(provider_table.c.id.in_(wanted)).values(
        generation=provider_table.c.generation + 1, updated_at=now))
    if locked != len(wanted):
        there = set(await db.scalars(tx, sa.select(provider_table.c.id).where(provider_table.c.id.in_(wanted))))
        missing = next(each for each in wanted if each not in there)
        raise faults.BadRequest(reason=f"Allocation for resource provider '{missing}' that does not exist.")


async def _check_capacity(tx: Connection, claims: Mapping[str, Claim]) -> None:
    """Refuse what does not fit beside what others have taken (the claimants' own rows are deleted by now)."""
    amounts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for claim in claims.values():
        for provider_id, wanted in claim.resources.items():
            for name, amount in wanted.items():
                amounts[provider_id, name].append(amount)
    if not amounts:
        return
    ids = sorted({provider_id for provider_id, _ in amounts})
    taken = (sa.select(sa.func.coalesce(sa.func.sum(allocations.c.used), 0)).where(
        allocations.c.provider_id == inventories.c.provider_id,
        allocations.c.resource_class == inventories.c.resource_class).scalar_subquery().label("taken"))
    found = {(row.provider_id, row.resource_class): row for row in await tx.execute(
        sa.select(inventories, taken).where(inventories.c.provider_id.in_(ids)))}
    for (provider_id, name), wanted in amounts.items():
        row = found.get((provider_id, name))
        if row is None:
            raise faults.Conflict(reason=f"Unable to allocate inventory: resource provider {provider_id} has no"
                                  f" inventory of class {name}.")
        used = int(row.taken)
        for amount in wanted:
            refused = from_row(row).refuses(amount, used)
            if refused is not None:
                raise faults.Conflict(reason=f"Unable to allocate inventory: Unable to create allocation for '{name}'"
                                      f" on resource provider '{provider_id}'. The requested {refused}.")
            used += amount


async def usages(conn: Connection, project_id: str, user_id: str | None) -> list[sa.Row]:
    """Rows (consumer_type, resource_class, used) of a project."""
    wanted = [consumers.c.project_id == project_id, *([consumers.c.user_id == user_id] if user_id else [])]
    used = sa.func.sum(allocations.c.used).label("used")
    return list(await conn.execute(
        sa.select(consumers.c.consumer_type, allocations.c.resource_class, used)
        .join(allocations, allocations.c.consumer_id == consumers.c.id).where(*wanted)
        .group_by(consumers.c.consumer_type, allocations.c.resource_class)))


async def consumer_counts(conn: Connection, project_id: str, user_id: str | None) -> dict[str | None, int]:
    wanted = [consumers.c.project_id == project_id, *([consumers.c.user_id == user_id] if user_id else [])]
    found = await conn.execute(sa.select(consumers.c.consumer_type, sa.func.count().label("number")).where(*wanted)
                               .group_by(consumers.c.consumer_type))
    return {row.consumer_type: int(row.number) for row in found}
