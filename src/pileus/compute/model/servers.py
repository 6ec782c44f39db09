"""Servers: rows, states, and the queries over them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute.faults import ServerLocked, ServerNotFound, WrongState
from pileus.compute.model.states import MAY, NAMED_BY_FIELD, STATUS, Doing, Power, State
from pileus.compute.model.tables import actions, passwords, servers, tags
from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.saga import sagas


class FlavorCopy(msgspec.Struct, frozen=True, kw_only=True):
    """The flavor as it was when the server was made; later changes of the flavor leave the server alone."""

    id: str
    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    extra_specs: dict[str, str] = {}


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What booting needs to know of an image."""

    id: str
    name: str = ""
    disk_format: str
    size_bytes: int
    sha512: str
    min_disk_gb: int = 0
    min_memory_mb: int = 0
    properties: dict[str, str] = {}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    version: int
    type: str = "fixed"               # or floating


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the server as last heard of the network service. `ours`: it goes when the server goes."""

    port_id: str
    network_id: str
    network_name: str = ""
    mac: str = ""
    mtu: int = 1500
    ours: bool = True
    addresses: tuple[Address, ...] = ()
    tag: str | None = None


class ServerFault(msgspec.Struct, frozen=True, kw_only=True):
    code: int
    message: str
    created_at: float
    details: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What a resize or a migration can still be taken back to. `profiles` are those of ports that are promised
    anything: they tell who on the old host gives it."""

    migration_id: str
    flavor: FlavorCopy
    host: str
    state: State
    profiles: dict[str, dict[str, Any]] = {}


class Shelved(msgspec.Struct, frozen=True, kw_only=True):
    """What a shelved server is brought back from."""

    image_id: str
    state: State                      # it was in, and comes back to
    at: float


class Server(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    user_id: str
    name: str
    hostname: str
    flavor_id: str
    vcpus: int
    memory_mb: int
    flavor: FlavorCopy
    reservation_id: str
    created_at: float
    updated_at: float
    description: str | None = None
    state: State = State.BUILDING
    power: Power = Power.NONE
    image_id: str | None = None
    image: ImageFacts | None = None
    disk_tags: dict[str, str] | None = None
    key_name: str | None = None
    key: dict[str, str] | None = None
    user_data: str | None = None
    config_drive: bool = False
    metadata: dict[str, str] = {}
    security_groups: tuple[str, ...] = ()
    nics: tuple[Nic, ...] = ()
    personality: tuple[dict[str, str], ...] | None = None
    zone: str | None = None
    host: str | None = None
    locked: bool = False
    locked_reason: str | None = None
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = "MANUAL"
    launch_index: int = 0
    hints: dict[str, Any] | None = None
    certificates: tuple[str, ...] | None = None
    fault: ServerFault | None = None
    launched_at: float | None = None
    deleted_at: float | None = None
    root: int | None = None           # which root disk it has; None: the first
    rescue: ImageFacts | None = None  # what it runs from while it is rescued
    moved: Moved | None = None        # by a resize that was not confirmed yet
    shelved: Shelved | None = None
    group_id: str | None = None
    place: str | None = None          # the host it was promised to, until `host` is that or it is not
    alive: bool | None = True
    generation: int = 1

    def must_allow(self, action: str) -> None:
        if self.state not in MAY[action]:
            raise WrongState(action=action, server_id=self.id, attribute="vm_state", state=self.state.as_told)

    def must_not_be_locked(self, caller: Caller) -> None:
        if self.locked and not caller.is_admin:
            raise ServerLocked(server_id=self.id)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A server with what is being done to it and its tags: what the API shows."""

    server: Server
    doing: Doing | None = None
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.server.id

    @property
    def project_id(self) -> str:
        return self.server.project_id

    @property
    def user_id(self) -> str:
        return self.server.user_id

    @property
    def status(self) -> str:
        return self.doing.status(self.server.state) if self.doing else STATUS[self.server.state]


class ServerAction(msgspec.Struct, frozen=True, kw_only=True):
    """Something a user asked of a server; its events are those of the saga with the same request id."""

    server_id: str
    request_id: str
    action: str
    project_id: str
    user_id: str
    started_at: float
    message: str | None = None


_COLUMNS = list(servers.c)
_SAGA = [sagas.c.name.label("saga_name"), sagas.c.step.label("saga_step"),
         sagas.c.unwind_asked.label("saga_unwind_asked"), sagas.c.data.label("saga_data")]
_names = tuple(str(column.name) for column in _COLUMNS)      # SQLAlchemy's own kind of string is refused as a key


SEEN: sa.Select = sa.select(*_COLUMNS, *_SAGA).select_from(
    servers.outerjoin(sagas, sagas.c.active_subject == servers.c.id))
_LIVING_BY_ID = SEEN.where(servers.c.id == sa.bindparam("wanted"), servers.c.alive)
_TAGS = sa.select(tags).where(tags.c.server_id.in_(sa.bindparam("wanted", expanding=True))).order_by(tags.c.tag)


async def see_all(conn: Connection, query: sa.Select[Any], **values: Any) -> list[Seen]:
    """What a query made of SEEN finds."""
    rows = (await conn.execute(query, values or None)).all()
    count = len(_names)
    found = msgspec.convert([dict(zip(_names, row[:count], strict=True)) for row in rows], list[Server])
    of: dict[str, list[str]] = {}
    if found:
        ids = [server.id for server in found]
        for start in range(0, len(ids), 500):
            for tag in await conn.execute(_TAGS, {"wanted": ids[start:start + 500]}):
                of.setdefault(tag.server_id, []).append(tag.tag)
    return [Seen(server=server, tags=tuple(of.get(server.id, ())),
                 doing=_doing(*row[count:]))
            for server, row in zip(found, rows, strict=True)]


def _doing(name: str | None, step: str, unwind_asked: bool, data: str) -> Doing | None:
    if name is None:
        return None
    if name in NAMED_BY_FIELD:
        name = msgspec.json.decode(data)[NAMED_BY_FIELD[name]]
    return Doing(name=str(name), step=step, unwind_asked=unwind_asked)


async def see(conn: Connection, server_id: str) -> Seen:
    """A living server as the API shows it. Raises ServerNotFound."""
    found = await see_all(conn, _LIVING_BY_ID, wanted=server_id)
    if not found:
        raise ServerNotFound(server_id=server_id)
    return found[0]


async def get(conn: Connection, server_id: str) -> Server:
    """A living server. Raises ServerNotFound."""
    row = await find(conn, server_id)
    if row is None:
        raise ServerNotFound(server_id=server_id)
    return row


_ANY = sa.select(servers).where(servers.c.id == sa.bindparam("wanted"))
_LIVING = _ANY.where(servers.c.alive)


async def get_even_deleted(conn: Connection, server_id: str) -> Server:
    row = await db.one(conn, _ANY, Server, wanted=server_id)
    if row is None:
        raise ServerNotFound(server_id=server_id)
    return row


async def find(conn: Connection, server_id: str) -> Server | None:
    return await db.one(conn, _LIVING, Server, wanted=server_id)


async def on_host(conn: Connection, host: str) -> list[Seen]:
    return await see_all(conn, SEEN.where(servers.c.host == host, servers.c.alive))


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared with the guests that a host tells of."""

    id: str
    state: State
    generation: int
    saga: str | None


_BRIEF: sa.Select = sa.select(
    *(servers.c[name] for name in ("id", "state", "generation")), sagas.c.name.label("saga")).select_from(
        servers.outerjoin(sagas, sagas.c.active_subject == servers.c.id)).where(
            servers.c.host == sa.bindparam("wanted"), servers.c.alive)


async def briefs(conn: Connection, host: str) -> list[Brief]:
    return await db.many(conn, _BRIEF, Brief, wanted=host)


async def alive_among(conn: Connection, server_ids: list[str]) -> set[str]:
    return set(await db.scalars(conn, sa.select(servers.c.id).where(servers.c.id.in_(server_ids), servers.c.alive)))


async def hosts_of(conn: Connection, server_ids: list[str]) -> set[str]:
    """Where those of the servers are that are on a host."""
    return set(await db.scalars(conn, sa.select(servers.c.host).where(
        servers.c.id.in_(server_ids), servers.c.alive, servers.c.host.is_not(None))))


async def change(tx: Connection, server: Server, now: float, **values: Any) -> Server:
    """Write `values` (fields of Server) if nobody changed the row since it was read."""
    values["updated_at"] = now
    return await db.change(tx, servers, server, **values)


async def mark_deleted(tx: Connection, server: Server, now: float) -> None:
    await change(tx, server, now, state=State.DELETED, power=Power.NONE, deleted_at=now, alive=None)


async def set_tags(tx: Connection, server_id: str, wanted: list[str]) -> None:
    await tx.execute(tags.delete().where(tags.c.server_id == server_id))
    if wanted:
        await tx.execute(tags.insert(), [{"server_id": server_id, "tag": tag} for tag in dict.fromkeys(wanted)])


async def record_action(tx: Connection, row: ServerAction) -> None:
    """A request that is repeated under the same id is the same action."""
    known = await db.scalar(tx, sa.select(actions.c.action).where(
        actions.c.server_id == row.server_id, actions.c.request_id == row.request_id, actions.c.action == row.action))
    if known is None:
        await db.add(tx, actions, row)


async def set_action_message(tx: Connection, server_id: str, request_id: str, message: str) -> None:
    await tx.execute(actions.update().where(
        actions.c.server_id == server_id, actions.c.request_id == request_id).values(message=message))


async def actions_of(conn: Connection, server_id: str) -> list[ServerAction]:
    return await db.many(conn, sa.select(actions).where(actions.c.server_id == server_id).order_by(
        actions.c.started_at.desc(), actions.c.request_id.desc()), ServerAction)


async def prune_deleted(tx: Connection, before: float, *, limit: int = 500) -> int:
    """Forget servers deleted before `before` (seconds since the epoch) with their actions and tags; how many."""
    old = await db.scalars(tx, sa.select(servers.c.id).where(
        servers.c.alive.is_(None), servers.c.updated_at < before).limit(limit))
    if old:
        for table, column in ((actions, actions.c.server_id), (tags, tags.c.server_id),
                              (passwords, passwords.c.server_id), (servers, servers.c.id)):
            await tx.execute(table.delete().where(column.in_(old)))
    return len(old)
