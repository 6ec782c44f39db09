"""Writes what a directory says into the tables of users, groups and memberships: only what differs.

Whoever a directory has no more is disabled, not removed: a wrong filter must not cost anybody their roles.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from pileus.identity.directory.ldap import Person, Team
from pileus.identity.model.domain_options import Entry, directory_entries
from pileus.identity.model.tables import groups as group_table
from pileus.identity.model.tables import memberships
from pileus.identity.model.tables import users as user_table
from pileus.identity.model.users import Group, User
from pileus.kit import db
from pileus.kit.db import Connection

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

log = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST_ID, LONGEST_USER, LONGEST_GROUP = 255, 255, 64
PORTION = 500
TRIES = 5


def public_id(domain_id: str, kind: str, local_id: str) -> str:
    """The id by which clients know somebody of a directory, the same wherever and whenever it is worked out."""
    return hashlib.sha256(f"{domain_id}{kind}{local_id}".encode()).hexdigest()


async def written(app: Identity, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do `work` in a transaction; again, when somebody else made the same rows at the same time."""
    for left in reversed(range(TRIES)):
        try:
            async with app.db.write() as tx:
                return await work(tx)
        except db.Taken:
            if not left:
                raise
    raise AssertionError("not reached")


async def users_like(tx: Connection, app: Identity, domain_id: str, people: list[Person], *,
                     all_of_them: bool = False) -> list[str]:
    """Make the domain's users like `people`; their ids. With `all_of_them` nobody else is there."""
    wanted = {}
    for person in people:
        if _fits(person.local_id, person.name, LONGEST_USER):
            wanted[public_id(domain_id, "user", person.local_id)] = person
    known = {user.id: user for user in await _known(tx, domain_id, wanted, user_table, User, all_of_them)}
    fresh, changed = [], []
    for id, person in wanted.items():
        values = {"name": person.name, "enabled": person.enabled, "extra": person.extra,
                  "default_project_id": person.default_project_id}
        row = known.get(id)
        if row is None:
            fresh.append(User(id=id, domain_id=domain_id, created_at=app.clock(), **values))
        elif any(getattr(row, name) != value for name, value in values.items()):
            changed.append((row, values))
    await _free_names(tx, user_table, domain_id, {p.name: id for id, p in wanted.items()})
    for row, values in changed:
        await app.announce(tx, f"user:{row.id}", revoke=row.enabled and not values["enabled"])
        await _write(tx, user_table, row.id, values)
    await db.add(tx, user_table, *fresh)
    await db.add(tx, directory_entries, *(
        Entry(public_id=user.id, domain_id=domain_id, kind="user", local_id=wanted[user.id].local_id)
        for user in fresh))
    await lost(tx, app, {row.id for row in known.values() if row.enabled and row.id not in wanted})
    return list(wanted)


async def lost(tx: Connection, app: Identity, user_ids: set[str]) -> None:
    """Nobody logs in any more as one of these, and their tokens end."""
    for user_id in sorted(user_ids):
        await app.announce(tx, f"user:{user_id}", revoke=True)
        await _write(tx, user_table, user_id, {"enabled": False})


async def groups_like(tx: Connection, app: Identity, domain_id: str, teams: list[Team]) -> list[str]:
    wanted = {}
    for team in teams:
        if _fits(team.local_id, team.name, LONGEST_GROUP):
            wanted[public_id(domain_id, "group", team.local_id)] = team
    known = {group.id: group for group in await _known(tx, domain_id, wanted, group_table, Group, False)}
    await _free_names(tx, group_table, domain_id, {team.name: id for id, team in wanted.items()})
    for id, team in wanted.items():
        values: dict[str, Any] = {"name": team.name, "description": team.description, "extra": team.extra}
        row = known.get(id)
        if row is None:
            await db.add(tx, group_table, Group(id=id, domain_id=domain_id, **values))
            await db.add(tx, directory_entries,
                         Entry(public_id=id, domain_id=domain_id, kind="group", local_id=team.local_id))
        elif any(getattr(row, name) != value for name, value in values.items()):
            await _write(tx, group_table, id, values)
    return list(wanted)


async def groups_of(tx: Connection, app: Identity, user_id: str, group_ids: list[str]) -> None:
    """Somebody is in exactly these groups."""
    now = set(await db.scalars(tx, sa.select(memberships.c.group_id).where(memberships.c.user_id == user_id)))
    await _join(tx, app, {(user_id, id) for id in group_ids} - {(user_id, id) for id in now},
                {(user_id, id) for id in now - set(group_ids)})


async def members_of(tx: Connection, app: Identity, group_id: str, user_ids: list[str]) -> None:
    """Exactly these are in a group."""
    now = set(await db.scalars(tx, sa.select(memberships.c.user_id).where(memberships.c.group_id == group_id)))
    await _join(tx, app, {(id, group_id) for id in user_ids} - {(id, group_id) for id in now},
                {(id, group_id) for id in now - set(user_ids)})


async def _join(tx: Connection, app: Identity, more: set[tuple[str, str]], less: set[tuple[str, str]]) -> None:
    for user_id, group_id in sorted(less):
        await tx.execute(memberships.delete().where(
            memberships.c.user_id == user_id, memberships.c.group_id == group_id))
    if more:
        await tx.execute(memberships.insert(), [{"user_id": u, "group_id": g} for u, g in sorted(more)])
    if concerned := {user_id for user_id, _ in more | less}:
        await app.announce(tx, *(f"user:{id}" for id in sorted(concerned)))


def _fits(local_id: str, name: str, longest: int) -> bool:
    if len(local_id) <= LONGEST_ID and len(name) <= longest:
        return True
    log.warning("the directory's %.40s… is left out: its id or its name is too long", name)
    return False


async def _known(tx: Connection, domain_id: str, wanted: dict[str, Any], table: sa.Table, kind: type,
                 whole_domain: bool) -> list[Any]:
    if whole_domain:
        own = sa.select(directory_entries.c.public_id).where(directory_entries.c.domain_id == domain_id)
        return await db.many(tx, sa.select(table).where(table.c.domain_id == domain_id, table.c.id.in_(own)), kind)
    return [row for ids in _portions(wanted)
            for row in await db.many(tx, sa.select(table).where(table.c.id.in_(ids)), kind)]


def _portions(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Databases bound how many values one statement may have."""
    listed = list(names)
    for start in range(0, len(listed), PORTION):
        yield tuple(listed[start:start + PORTION])


async def _free_names(tx: Connection, table: sa.Table, domain_id: str, holders: dict[str, str]) -> None:
    """Take names from whoever is called by them in the table but not in the directory; until they are written
    themselves, they are called by their ids."""
    for names in _portions(holders):
        query = sa.select(table.c.id, table.c.name).where(table.c.domain_id == domain_id, table.c.name.in_(names))
        for row in list(await tx.execute(query)):
            if holders.get(row.name) != row.id:
                await _write(tx, table, row.id, {"name": row.id})


async def _write(tx: Connection, table: sa.Table, id: str, values: dict[str, Any]) -> None:
    await tx.execute(table.update().where(table.c.id == id).values(generation=table.c.generation + 1, **values))
