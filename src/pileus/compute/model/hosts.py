"""Hosts that run guests: each is a compute service and its hypervisor, in one row."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute.drivers.hardware import HostCell
from pileus.compute.faults import HostHasServers, HypervisorNotFound, ServiceNotFound
from pileus.compute.model.quotas import take_turn
from pileus.compute.model.tables import hosts, servers
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.saga import sagas

NAMESPACE = uuid.UUID("5d3b3f0e-6f0b-5c39-9d5e-0a8a4c3c6a51")
NAMED = sa.select(hosts).where(hosts.c.name == sa.bindparam("wanted"))
SEEN = hosts.update().where(hosts.c.name == sa.bindparam("wanted")).values(seen_at=sa.bindparam("now"))
HEAVY = ("compute.boot_server", "compute.rebuild_server", "compute.resize_server", "compute.snapshot_server",
         "compute.shelve_server", "compute.unshelve_server")     # work that a host's disks and network feel
FIRST_NUMBER = 3                    # the numbers before it are the controller's services


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has to give, as its driver told (drivers.base.HostFacts)."""

    hostname: str = ""
    hypervisor_type: str = ""
    hypervisor_version: str = "0"
    vcpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    disk_free_gb: int = 0
    accel: str = "none"
    cpu: dict[str, Any] = {}
    booted_at: float | None = None
    dedicated_cpus: int = 0
    threads: bool = False
    cells: tuple[HostCell, ...] = ()
    devices: dict[str, int] = {}


class Host(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    id: str
    number: int
    disabled: bool = False
    disabled_reason: str | None = None
    forced_down: bool = False
    zone: str | None = None
    facts: Facts
    can: list[str]
    address: str
    boot_id: str
    seen_at: float
    created_at: float
    failed_builds: int | None = None  # since the last one that succeeded
    generation: int = 1

    def is_up(self, now: float, silent_after: float) -> bool:
        return not self.forced_down and now - self.seen_at <= silent_after


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What living servers take of a host."""

    servers: int = 0
    vcpus: int = 0
    memory_mb: int = 0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers of one project may take of a host."""

    vcpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    id: str
    name: str


def version_number(text: str) -> int:
    """8.2.1 is 8002001."""
    parts = [int(part) for part in re.findall(r"\d+", text)[:3]]
    major, minor, micro = (parts + [0, 0, 0])[:3]
    return major * 1_000_000 + minor * 1_000 + micro


def stable_id(name: str) -> str:
    """The id of a service: a host that comes back under its name is the same one."""
    return str(uuid.uuid5(NAMESPACE, name))


async def record_seen(  # noqa: PLR0913, PLR0917
        tx: Connection, name: str, facts: Any, can: Iterable[str], address: str, boot_id: str, now: float) -> Host:
    """Write down that a host is alive and what it has (`facts`: Facts, or a struct or dict with its fields). What
    administrators decided about it stays."""
    told = {"facts": facts, "can": can, "address": address, "boot_id": boot_id}
    return await see_again(tx, await find(tx, name), name, told, now)


async def see_again(tx: Connection, known: Host | None, name: str, told: dict[str, Any], now: float) -> Host:
    """The same for a host that was just looked up: one that tells no news costs a statement that is built already."""
    told |= {"facts": msgspec.convert(told["facts"], Facts, from_attributes=True), "can": sorted(told["can"])}
    if known is None:
        return await _add(tx, name, told | {"seen_at": now})
    changed = {key: value for key, value in told.items() if getattr(known, key) != value}
    if changed:
        await db.update(tx, hosts.update().where(hosts.c.name == name).values(**changed))
    await tx.execute(SEEN, {"wanted": name, "now": now})
    return msgspec.structs.replace(known, **told, seen_at=now)


async def _add(tx: Connection, name: str, told: dict[str, Any]) -> Host:
    await take_turn(tx, "", "(hosts)")                       # numbers are given out one after the other
    highest = await db.scalar(tx, sa.select(sa.func.max(hosts.c.number))) or FIRST_NUMBER - 1
    host = Host(name=name, id=stable_id(name), number=highest + 1, created_at=told["seen_at"], **told)
    await tx.execute(hosts.insert(), [{field: getattr(host, field) for field in host.__struct_fields__}])
    return host


async def find(conn: Connection, name: str) -> Host | None:
    return await db.one(conn, NAMED, Host, wanted=name)


async def find_by(conn: Connection, id_or_number: str | int) -> Host | None:
    """By the UUID, or by the number it had before there were UUIDs."""
    column = hosts.c.number if isinstance(id_or_number, int) else hosts.c.id
    return await db.one(conn, sa.select(hosts).where(column == id_or_number), Host)


async def get(conn: Connection, name: str) -> Host:
    found = await find(conn, name)
    if found is None:
        raise ServiceNotFound(service_id=name)
    return found


async def get_service(conn: Connection, service_id: str | int) -> Host:
    found = await find_by(conn, service_id)
    if found is None:
        raise ServiceNotFound(service_id=service_id)
    return found


async def get_hypervisor(conn: Connection, hypervisor_id: str | int) -> Host:
    found = await find_by(conn, hypervisor_id)
    if found is None:
        raise HypervisorNotFound(hypervisor_id=hypervisor_id)
    return found


async def page(conn: Connection, *, limit: int | None = None, after: Host | None = None, name: str | None = None,
               zone: str | None = None) -> list[Host]:
    """Hosts in the order of their numbers; those behind `after`, or with a certain name or zone."""
    query = sa.select(hosts)
    if after is not None:
        query = query.where(hosts.c.number > after.number)
    if name is not None:
        query = query.where(hosts.c.name == name)
    if zone is not None:
        query = query.where(hosts.c.zone == zone)
    return await db.many(conn, query.order_by(hosts.c.number).limit(limit), Host)


async def ids(conn: Connection) -> set[str]:
    return set(await db.scalars(conn, sa.select(hosts.c.id)))


async def every(conn: Connection) -> list[Host]:
    return await page(conn)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers on a host tell of it."""

    zone: str
    disabled: bool
    forced_down: bool
    seen_at: float

    def status(self, now: float, silent_after: float) -> str:
        """The host_status of its servers. A silent host may be up all the same, which only looking can tell."""
        if self.forced_down:
            return "DOWN"
        if self.disabled:
            return "MAINTENANCE"
        return "UP" if now - self.seen_at <= silent_after else "UNKNOWN"


_PLACES = sa.select(hosts.c.name, hosts.c.zone, hosts.c.disabled, hosts.c.forced_down, hosts.c.seen_at)


async def places(conn: Connection, default_zone: str) -> dict[str, Place]:
    """By the name of the host."""
    found = await conn.execute(_PLACES)
    return {row.name: Place(zone=row.zone or default_zone, disabled=row.disabled, forced_down=row.forced_down,
                            seen_at=row.seen_at) for row in found}


async def zones(conn: Connection, default: str) -> dict[str, str]:
    """The availability zone of each host, by name."""
    found = await conn.execute(sa.select(hosts.c.name, hosts.c.zone))
    return {row.name: row.zone or default for row in found}


async def named(conn: Connection, ids: Collection[str]) -> list[Host]:
    """Those with these ids, in the order of their numbers."""
    return await db.many(conn, sa.select(hosts).where(hosts.c.id.in_(ids)).order_by(hosts.c.number), Host)


async def busy(conn: Connection, names: list[str] | None = None) -> dict[str, int]:
    """How many servers of each host are being made, moved or saved; those without any are left out. One query."""
    query = sa.select(servers.c.host, sa.func.count().label("busy")).select_from(
        servers.join(sagas, sagas.c.active_subject == servers.c.id)).where(servers.c.alive, sagas.c.name.in_(HEAVY))
    query = query.where(servers.c.host.is_not(None) if names is None else servers.c.host.in_(names))
    return {row.host: row.busy for row in await conn.execute(query.group_by(servers.c.host))}


async def note_build(tx: Connection, name: str, *, failed: bool) -> None:
    """Count builds that failed on a host since the last one that did not."""
    query = hosts.update().where(hosts.c.name == name)
    if failed:
        query = query.values(failed_builds=sa.func.coalesce(hosts.c.failed_builds, 0) + 1)
    else:
        query = query.where(hosts.c.failed_builds > 0).values(failed_builds=0)
    await tx.execute(query)


async def loads(conn: Connection) -> dict[str, int]:
    """How many living servers each host has; those without any are left out."""
    return {name: taken.servers for name, taken in (await used(conn)).items()}


async def alive(conn: Connection, now: float, silent_after: float) -> list[Host]:
    """Hosts that gave a sign of life lately and were not declared down; disabled ones too."""
    query = sa.select(hosts).where(sa.not_(hosts.c.forced_down), hosts.c.seen_at >= now - silent_after)
    return await db.many(conn, query.order_by(hosts.c.number), Host)


async def change(tx: Connection, host: Host, **values: Any) -> Host:
    return await db.change(tx, hosts, host, **values)


async def remove(tx: Connection, host: Host) -> None:
    """Forget a host that runs nothing. Raises HostHasServers."""
    if (await used(tx, [host.name])).get(host.name):
        raise HostHasServers()
    await db.update(tx, hosts.delete().where(hosts.c.id == host.id))


async def used(conn: Connection, names: list[str] | None = None) -> dict[str, Used]:
    """What servers take of hosts, by name; those without servers are left out. One query."""
    query = sa.select(servers.c.host, sa.func.count().label("servers"), sa.func.sum(servers.c.vcpus).label("vcpus"),
                      sa.func.sum(servers.c.memory_mb).label("memory_mb"))
    query = query.where(servers.c.alive, servers.c.host.is_not(None) if names is None else servers.c.host.in_(names))
    return {row.host: Used(servers=row.servers, vcpus=int(row.vcpus), memory_mb=int(row.memory_mb))
            for row in await conn.execute(query.group_by(servers.c.host))}


async def taken_by_project(conn: Connection, name: str) -> dict[str, Taken]:
    """What living servers may take of one host, by project."""
    query = sa.select(servers.c.project_id, servers.c.vcpus, servers.c.memory_mb, servers.c.flavor)
    found: dict[str, Taken] = {}
    for row in await conn.execute(query.where(servers.c.alive, servers.c.host == name)):
        sofar = found.get(row.project_id, Taken())
        disk = row.flavor.get("disk_gb", 0) + row.flavor.get("ephemeral_gb", 0)
        found[row.project_id] = Taken(vcpus=sofar.vcpus + row.vcpus, memory_mb=sofar.memory_mb + row.memory_mb,
                                      disk_gb=sofar.disk_gb + disk)
    return found


async def guests(conn: Connection, names: list[str]) -> dict[str, list[Guest]]:
    """The living servers of hosts, by host."""
    query: sa.Select = sa.select(*(servers.c[name] for name in Guest.__struct_fields__))
    query = query.where(servers.c.alive, servers.c.host.in_(names))
    found: dict[str, list[Guest]] = {}
    for guest in await db.many(conn, query.order_by(servers.c.created_at, servers.c.id), Guest):
        found.setdefault(guest.host, []).append(guest)
    return found
