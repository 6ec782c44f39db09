"""Domains whose users and groups are in a directory: who they are is read there, and kept as rows like all others.

Rows are brought up to date when somebody logs in, looks at a user or lists a domain, so that tokens, roles and lists
of everybody else never wait for a directory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pileus.identity.directory import mirror
from pileus.identity.directory.ldap import DirectoryFailed, Ldap, Person, Team
from pileus.identity.directory.options import IdentityOptions, LdapOptions
from pileus.identity.faults import Missing, Refused
from pileus.identity.feed import EVERYTHING
from pileus.identity.keys import BadSignature
from pileus.identity.model import domain_options, projects, users
from pileus.identity.model.domain_options import Option
from pileus.identity.model.users import Group, User
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized, Unavailable

if TYPE_CHECKING:
    from pileus.identity.authentication import UserRef
    from pileus.identity.runtime import Identity

log = logging.getLogger(__name__)
T = TypeVar("T")
CHANGED = "directories"                # the feed's subject
THREADS, MOST_WAITING = 4, 32          # per directory, so that one that hangs takes nothing from anybody else
PATIENCE = 3.0                         # how many times its connection's timeout one question may take


class Directory:
    """The directory of one domain."""

    def __init__(self, domain_id: str, values: dict[str, Any]):
        self.domain_id, self.values = domain_id, values
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"ldap-{domain_id[:8]}")
        self._asked = 0

    @property
    def options(self) -> LdapOptions:
        """Raises Unavailable."""
        try:
            return msgspec.convert(self.values, LdapOptions, strict=False)
        except msgspec.ValidationError as error:
            raise self._unavailable(f"its options are wrong: {error}") from error

    async def ask(self, question: Callable[[Ldap], T]) -> T:
        """Raises Unavailable when there is no answer in time."""
        if self._asked >= MOST_WAITING:
            raise self._unavailable("too many are waiting for it")
        options = self.options
        self._asked += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, question, Ldap(options))
        running.add_done_callback(self._answered)
        try:
            async with asyncio.timeout(PATIENCE * options.seconds):
                return await asyncio.shield(running)
        except DirectoryFailed as error:
            raise self._unavailable(str(error)) from error
        except TimeoutError as error:
            running.cancel()                             # if no thread has begun with it yet
            raise self._unavailable(f"{options.url} does not answer in time") from error

    def _answered(self, running: asyncio.Future[Any]) -> None:
        self._asked -= 1
        if not running.cancelled() and running.exception() is not None:
            log.debug("directory of domain %s: %s", self.domain_id, running.exception())

    def _unavailable(self, why: str) -> Unavailable:
        """Operators read why; a client is told no more than whose fault it is."""
        log.warning("the directory of domain %s cannot be read: %s", self.domain_id, why)
        return Unavailable(reason=f"The directory of domain {self.domain_id} cannot be read; try again.")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Directories:
    def __init__(self, app: Identity):
        self.app = app
        self._known: dict[str, Directory] | None = None
        self._last: dict[str, Directory] = {}
        app.feed.subscribe(self._forget)

    def _forget(self, subject: str) -> None:
        if subject in (CHANGED, EVERYTHING):
            self._known = None

    async def all(self) -> dict[str, Directory]:
        """By domain. One whose options did not change stays the same, with its threads."""
        if self._known is not None:
            return self._known
        position = self.app.feed.position
        async with self.app.db.read() as reader:
            options = await domain_options.everywhere(reader)
        wanted: dict[str, dict[str, dict[str, Any]]] = {}
        for option in options:
            section = wanted.setdefault(option.domain_id, {}).setdefault(option.section, {})
            section[option.name] = self.value(option)
        found = {}
        for domain_id, sections in wanted.items():
            if sections.get("identity", {}).get("driver", IdentityOptions().driver) != "ldap":
                continue
            values, former = sections.get("ldap", {}), self._last.get(domain_id)
            found[domain_id] = former if former and former.values == values else Directory(domain_id, values)
        for domain_id, former in self._last.items():
            if found.get(domain_id) is not former:
                former.close()
        self._last = found
        if position == self.app.feed.position:
            self._known = found
        return found

    def value(self, option: Option) -> Any:
        """What an option says. One that no key opens any more says nothing."""
        text = option.value.encode()
        if option.sensitive:
            try:
                text = self.app.credential_keys.decrypt(option.value)
            except BadSignature:
                log.error("option %s of domain %s was encrypted with a key that is gone", option.name, option.domain_id)
                return None
        return msgspec.json.decode(text)

    async def of(self, domain_id: str | None) -> Directory | None:
        known = self._known if self._known is not None else await self.all()
        return known.get(domain_id) if known and domain_id else None

    async def writable(self, domain_id: str, allowed_by: str) -> Directory | None:
        """The domain's directory if it has one, with an option that allows the change. Raises Refused."""
        directory = await self.of(domain_id)
        if directory is not None and not getattr(directory.options, allowed_by):
            raise Refused(reason=f"LDAP does not support write operations. ({allowed_by} is false for this domain.)")
        return directory

    # -- logging in -------------------------------------------------------------------------

    async def prove(self, asked: UserRef) -> User | None:
        """The user of a directory whose password this is; None when no directory has a say. Raises Unauthorized."""
        if not await self.all():
            return None
        async with self.app.db.read() as reader:
            domain_id, local_id = await self._whereabouts(reader, asked)
        directory = await self.of(domain_id)
        if directory is None or (asked.id is not None and local_id is None):
            return None
        named = {"local_id": local_id} if asked.id is not None else {"name": asked.name}
        people = await directory.ask(lambda ldap: ldap.people(**named))
        person = people[0] if len(people) == 1 else None
        proven = await directory.ask(lambda ldap: ldap.proves(person, asked.password))
        if person is None or not proven:
            raise Unauthorized()
        return await self._up_to_date(directory, person)

    async def _whereabouts(self, conn: Connection, asked: UserRef) -> tuple[str | None, str | None]:
        """The domain of somebody, and what their directory calls them if they are known."""
        if asked.id is not None:
            entry = await domain_options.find_entry(conn, asked.id)
            return (entry.domain_id, entry.local_id) if entry else (None, None)
        if asked.domain is None or asked.name is None:
            return None, None
        if asked.domain.id is not None:
            return asked.domain.id, None
        domain = await projects.find_by_name(conn, "", asked.domain.name or "")
        return (domain.id if domain else None), None

    async def _up_to_date(self, directory: Directory, person: Person) -> User:
        """Their row and the groups they are in, as the directory has them now."""
        teams = await directory.ask(lambda ldap: ldap.teams(of=person))
        async def write(tx: Connection) -> User:
            user_ids = await mirror.users_like(tx, self.app, directory.domain_id, [person])
            if not user_ids:                             # left out: no row could hold their id or name
                raise Unauthorized()
            group_ids = await mirror.groups_like(tx, self.app, directory.domain_id, teams)
            await mirror.groups_of(tx, self.app, user_ids[0], group_ids)
            return await users.get(tx, user_ids[0])

        return await mirror.written(self.app, write)

    # -- looking ----------------------------------------------------------------------------

    async def refresh_users(self, domain_id: str | None, name: str | None = None) -> None:
        """All users of a domain, or the ones of a name."""
        directory = await self.of(domain_id)
        if directory is None:
            return
        people = await directory.ask(lambda ldap: ldap.people(name=name))
        await mirror.written(self.app, lambda tx: mirror.users_like(
            tx, self.app, directory.domain_id, people, all_of_them=name is None))

    async def refresh_groups(self, domain_id: str | None, name: str | None = None) -> None:
        directory = await self.of(domain_id)
        if directory is None:
            return
        teams = await directory.ask(lambda ldap: ldap.teams(name=name))
        await mirror.written(self.app, lambda tx: mirror.groups_like(tx, self.app, directory.domain_id, teams))

    async def refreshed_user(self, user: User) -> User:
        """As the directory has them now, groups included. Raises Missing for somebody it has no more."""
        directory = await self.of(user.domain_id)
        if directory is None or await self._entry(user.domain_id, user.id) is None:
            return user
        person = await self.person(user)
        if person is None:
            async with self.app.db.write() as tx:
                await mirror.lost(tx, self.app, {user.id})
            raise Missing(kind="user", id=user.id)
        return await self._up_to_date(directory, person)

    async def person(self, user: User) -> Person | None:
        """What the directory has of a user of its domain."""
        found = await self._entry(user.domain_id, user.id)
        if found is None:
            return None
        directory, local_id = found
        people = await directory.ask(lambda ldap: ldap.people(local_id=local_id))
        return people[0] if len(people) == 1 else None

    async def team(self, group: Group) -> Team | None:
        found = await self._entry(group.domain_id, group.id)
        if found is None:
            return None
        directory, local_id = found
        teams = await directory.ask(lambda ldap: ldap.teams(local_id=local_id))
        return teams[0] if len(teams) == 1 else None

    async def refresh_members(self, group: Group) -> None:
        """Who is in a group of a directory."""
        directory = await self.of(group.domain_id)
        if directory is None or await self._entry(group.domain_id, group.id) is None:
            return
        team = await self.team(group)
        people = await directory.ask(lambda ldap: ldap.members(team)) if team is not None else []

        async def write(tx: Connection) -> None:
            user_ids = await mirror.users_like(tx, self.app, directory.domain_id, people)
            await mirror.members_of(tx, self.app, group.id, user_ids)

        await mirror.written(self.app, write)

    async def _entry(self, domain_id: str, public_id: str) -> tuple[Directory, str] | None:
        directory = await self.of(domain_id)
        if directory is None:
            return None
        async with self.app.db.read() as reader:
            entry = await domain_options.find_entry(reader, public_id)
        return (directory, entry.local_id) if entry else None
