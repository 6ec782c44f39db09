"""What must hold of a cloud's servers: at every moment, and once nothing fails any more and work has ended."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pileus.compute.model import quotas
from pileus.compute.model.servers import FlavorCopy, Moved
from pileus.compute.model.states import State
from pileus.compute.model.tables import migrations, servers
from pileus.compute.scheduling import as_claim
from pileus.identity.service_tokens import SERVICE_PROJECT, fixed_id
from pileus.kit import db
from pileus.kit.saga import FINISHED, Phase, sagas
from pileus.placement.model.tables import allocations
from pileus.processes.services import Services
from pileus.processes.simulated_host import SimulatedHost

RUNS = {State.ACTIVE: "running", State.STOPPED: "off"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: State
    host: str | None
    flavor: FlavorCopy
    moved: Moved | None
    saga: str | None


class Audit:
    def __init__(self, services: Services, hosts: list[SimulatedHost]):
        self.services, self.hosts = services, hosts

    async def servers(self) -> list[Row]:
        query: sa.Select = sa.select(*(servers.c[name] for name in ("id", "state", "host", "flavor", "moved")),
                                          sagas.c.name.label("saga"))
        query = query.select_from(servers.outerjoin(sagas, sagas.c.active_subject == servers.c.id))
        async with self.services.compute.db.read() as reader:
            return await db.many(reader, query.where(servers.c.alive).order_by(servers.c.created_at, servers.c.id), Row)

    async def boot_seconds(self) -> list[float]:
        """Of the boots that succeeded."""
        async with self.services.compute.db.read() as reader:
            found = await reader.execute(sa.select(sagas.c.created_at, sagas.c.finished_at).where(
                sagas.c.name == "compute.boot_server", sagas.c.phase == Phase.DONE))
            return [row.finished_at - row.created_at for row in found]

    async def always(self, quota: int) -> list[str]:
        """Nothing is under way that no saga works on, no saga is stuck, nobody has what is nobody's, and quotas are
        what rows say."""
        found = await self.servers()
        broken = [f"{row.id} is in BUILD and no saga works on it" for row in found
                  if row.state == State.BUILDING and row.saga is None]
        async with self.services.compute.db.read() as reader:
            stuck = await db.scalars(reader, sa.select(sagas.c.id).where(sagas.c.stuck))
            moves = set(await db.scalars(reader, sa.select(migrations.c.id).where(migrations.c.going_on)))
            counted = (await quotas.usage(reader, fixed_id("project", SERVICE_PROJECT)))["instances"]
        broken += [f"saga {saga_id} is stuck" for saga_id in stuck]
        known = {row.id for row in found} | moves
        broken += [f"{consumer} has a claim and is neither server nor migration" for consumer in await self._claims()
                   if consumer not in known]
        if counted != len(found) or counted > quota:
            broken.append(f"{counted} servers are counted, there are {len(found)}, the quota is {quota}")
        return broken

    async def _claims(self) -> dict[str, dict[str, int]]:
        """What each consumer has, by resource class."""
        claims: dict[str, dict[str, int]] = {}
        async with self.services.placement.db.read() as reader:
            for row in await reader.execute(sa.select(
                    allocations.c.consumer_id, allocations.c.resource_class, allocations.c.used)):
                claims.setdefault(row.consumer_id, {})[row.resource_class] = row.used
        return claims

    async def settled(self) -> list[str]:
        """No work is left; guests, claims and rows say the same."""
        async with self.services.compute.db.read() as reader:
            left = await db.scalars(reader, sa.select(sagas.c.name).where(sagas.c.phase.not_in(FINISHED)))
        if left:
            return [f"{name} has not ended" for name in left]
        found, claims = {row.id: row for row in await self.servers()}, await self._claims()
        broken = [f"{row.id} is {row.state} on {row.host} and claims {claims.get(row.id, {})}" for row in found.values()
                  if claims.get(row.id, {}) != _due(row) or row.moved is not None
                  and claims.get(row.moved.migration_id) != as_claim(row.moved.flavor)]
        on_host, left_on = _by_host(found.values())
        for host in self.hosts:
            there = {guest.id: guest.power for guest in await host.driver.guests()}
            rows, left_there = on_host.get(host.name, {}), left_on.get(host.name, set())
            broken += [f"guest {guest} on {host.name} is of no server there"
                       for guest in there.keys() - rows.keys() - left_there]
            broken += [f"{row.id} is {row.state} and its guest is {there.get(row.id)}" for row in rows.values()
                       if row.state in RUNS and there.get(row.id) != RUNS[row.state]]
        return broken


def _by_host(rows: Iterable[Row]) -> tuple[dict[str, dict[str, Row]], dict[str, set[str]]]:
    """The servers that are on a host, and those that have left it and may come back."""
    on_host: dict[str, dict[str, Row]] = {}
    left_on: dict[str, set[str]] = {}
    for row in rows:
        if row.host is not None:
            on_host.setdefault(row.host, {})[row.id] = row
        if row.moved is not None:
            left_on.setdefault(row.moved.host, set()).add(row.id)
    return on_host, left_on


def _due(row: Row) -> dict[str, int]:
    """What a server claims itself; until a move is confirmed, its migration keeps what it had before."""
    return as_claim(row.flavor) if row.host else {}
