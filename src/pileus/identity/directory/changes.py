"""What clients change in a directory that may be written: there first, then in the rows that stand for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pileus.identity.compliance import must_differ
from pileus.identity.directory import mirror
from pileus.identity.directory.directories import Directory
from pileus.identity.directory.ldap import Person, Team
from pileus.identity.directory.writing import AlreadyThere, NotTaken, Writing
from pileus.identity.faults import Duplicate, InvalidBody, Missing
from pileus.identity.model import domain_options, users
from pileus.identity.model.tables import users as user_table
from pileus.identity.model.users import Group, User
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

T = TypeVar("T")


async def _tell(directory: Directory, change: Callable[[Writing], T], kind: str, name: str = "") -> T:
    """Raises Duplicate, and InvalidBody with the reason why the directory does not take it."""
    try:
        return await directory.ask(lambda ldap: change(Writing(ldap)))
    except AlreadyThere as error:
        why = f"Duplicate entry found with name {name} at domain ID {directory.domain_id}."
        raise Duplicate(kind=kind, why=why) from error
    except NotTaken as error:
        raise InvalidBody(reason=str(error)) from error


# -- users ------------------------------------------------------------------------------------------------------


async def add_user(app: Identity, directory: Directory, values: dict[str, Any], password: str | None,
                   options: dict[str, Any]) -> User:
    """`values` by the names of the API; `options` are kept in the row alone."""
    if password is not None:
        app.compliance.must_be_strong(password)
    person = await _tell(directory, lambda writing: writing.add_person(values, password), "user", values["name"])
    return await _as_there(app, directory, person, {"options": options} if options else {})


async def change_user(app: Identity, directory: Directory, user: User, values: dict[str, Any],
                      password: str | None = None, options: dict[str, Any] | None = None) -> User:
    if password is not None:
        app.compliance.must_be_strong(password)
    person = await _person(app, user)
    changed = await _tell(directory, lambda writing: writing.change_person(person, values, password), "user",
                          values.get("name", user.name))
    return await _as_there(app, directory, changed, {} if options is None else {"options": options},
                           ends_tokens=password is not None)


async def change_own_password(app: Identity, user: User, old: str, new: str) -> None:
    """Raises Unauthorized unless `old` is the one of now; only who knows it is told what the directory allows."""
    directory, person = await app.directories.of(user.domain_id), await app.directories.person(user)
    if directory is None or not await directory.ask(lambda ldap: ldap.proves(person, old)) \
            or person is None or not person.enabled:
        raise Unauthorized()
    await app.directories.writable(user.domain_id, "user_allow_update")
    must_differ(old, new)
    await change_user(app, directory, user, {}, new)


async def remove_user(app: Identity, directory: Directory, user: User) -> None:
    """Somebody who is gone there is gone already. The row is the caller's to delete."""
    person = await app.directories.person(user)
    if person is not None:
        await _tell(directory, lambda writing: writing.remove_person(person), "user")
    await _forget(app, user.id)


async def _person(app: Identity, user: User) -> Person:
    person = await app.directories.person(user)
    if person is None:
        raise Missing(kind="user", id=user.id)
    return person


async def _as_there(app: Identity, directory: Directory, person: Person, own: dict[str, Any], *,
                    ends_tokens: bool = False) -> User:
    """The row of somebody, as the directory has them now, with `own` columns that only the row has."""
    async def write(tx: Connection) -> User:
        ids = await mirror.users_like(tx, app, directory.domain_id, [person])
        if not ids:
            raise InvalidBody(reason="The directory has it now, but its id is too long to be kept here.")
        if ends_tokens:
            await app.announce(tx, f"user:{ids[0]}", revoke=True)
        user = await users.get(tx, ids[0])
        return await db.change(tx, user_table, user, **own) if own else user

    return await mirror.written(app, write)


# -- groups -----------------------------------------------------------------------------------------------------


async def add_group(app: Identity, directory: Directory, values: dict[str, Any]) -> Group:
    team = await _tell(directory, lambda writing: writing.add_team(values), "group", values["name"])
    return await _group_as_there(app, directory, team)


async def change_group(app: Identity, directory: Directory, group: Group, values: dict[str, Any]) -> Group:
    team = await _team(app, group)
    changed = await _tell(directory, lambda writing: writing.change_team(team, values), "group",
                          values.get("name", group.name))
    return await _group_as_there(app, directory, changed)


async def remove_group(app: Identity, directory: Directory, group: Group) -> None:
    """As `remove_user`."""
    team = await app.directories.team(group)
    if team is not None:
        await _tell(directory, lambda writing: writing.remove_team(team), "group")
    await _forget(app, group.id)


async def join(app: Identity, directory: Directory, group: Group, user: User) -> None:
    team, person = await _team(app, group), await _person(app, user)
    await _tell(directory, lambda writing: writing.join(team, person), "group")


async def leave(app: Identity, directory: Directory, group: Group, user: User) -> None:
    team, person = await _team(app, group), await _person(app, user)
    await _tell(directory, lambda writing: writing.leave(team, person), "group")


async def _team(app: Identity, group: Group) -> Team:
    team = await app.directories.team(group)
    if team is None:
        raise Missing(kind="group", id=group.id)
    return team


async def _group_as_there(app: Identity, directory: Directory, team: Team) -> Group:
    async def write(tx: Connection) -> Group:
        ids = await mirror.groups_like(tx, app, directory.domain_id, [team])
        if not ids:
            raise InvalidBody(reason="The directory has it now, but its id or name is too long to be kept here.")
        return await users.get_group(tx, ids[0])

    return await mirror.written(app, write)


async def _forget(app: Identity, public_id: str) -> None:
    async with app.db.write() as tx:
        await tx.execute(domain_options.directory_entries.delete().where(
            domain_options.directory_entries.c.public_id == public_id))
