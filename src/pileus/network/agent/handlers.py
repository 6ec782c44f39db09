"""What a host does with its slices: makes the newest one real through its engine and reports what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Protocol

from pileus.kit.bus import Bus, Failed, Handlers, NobodyThere
from pileus.kit.clock import Clock, SystemClock
from pileus.network.engine.base import EngineFailed, Report
from pileus.network.engine.records import Snapshot, State, Status
from pileus.network.guarantees import Guarantees
from pileus.network.messages import AGENT, ApplySlice, HostSeen, PortsReported

log = logging.getLogger(__name__)
handlers = Handlers()
AT_ONCE = 500                # statuses in one message


class HostEngine(Protocol):
    """The part of an engine that works on one host."""

    async def apply(self, snapshot: Snapshot) -> Report: ...

    async def resync(self, snapshot: Snapshot | None = None) -> Report: ...

    def events(self) -> AsyncIterator[Status]: ...


class Pace:
    """Seconds between heartbeats, between full reports, before trying again, and between two looks at what is there."""

    def __init__(self, heartbeat: float = 20.0, report: float = 60.0, again: float = 0.5, look: float = 10.0):
        self.heartbeat, self.report, self.again, self.look = heartbeat, report, again, look


class Agent:
    """Keeps nothing that is needed after a restart: it asks for its slice and reads the rest from the kernel."""

    def __init__(self, host: str, underlay_ip: str, engine: HostEngine, bus: Bus, *,        # noqa: PLR0913
                 has: Guarantees | None = None, clock: Clock | None = None, pace: Pace | None = None):
        self.host, self.underlay_ip, self.engine, self.bus = host, underlay_ip, engine, bus
        self.has = has or Guarantees()
        self.clock, self.pace = clock or SystemClock(), pace or Pace()
        self.started_at = self.clock()
        self.wanted: Snapshot | None = None
        self.done, self.error = -1, ""
        self.known: dict[tuple[str, str], Status] = {}
        self.unsaid: dict[tuple[str, str], Status] = {}
        self.new_slice, self.new_status, self.trouble = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        events = self.engine.events()
        await self.bus.listen(AGENT, handlers, self, host=self.host)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apply(), name=f"slices of {self.host}")
            group.create_task(self._collect(events), name=f"events of {self.host}")
            group.create_task(self._report(), name=f"reports of {self.host}")
            group.create_task(self._look(), name=f"repairs of {self.host}")
            group.create_task(self._beat(), name=f"heartbeat of {self.host}")

    async def say_hello(self) -> None:
        await self.bus.cast(HostSeen(host=self.host, underlay_ip=self.underlay_ip, started_at=self.started_at,
                                     seq=self.done, error=self.error, has=self.has))

    async def _beat(self) -> None:
        while True:
            await self.say_hello()
            await asyncio.sleep(self.pace.heartbeat if self.done >= 0 else self.pace.again)

    async def _apply(self) -> None:
        """The newest slice only: those it overtook were never needed. The first one, and any after a failure,
        is compared with what is there."""
        trust = False
        while True:
            await self.new_slice.wait()
            self.new_slice.clear()
            snapshot = self.wanted
            if snapshot is None:
                continue
            try:
                await (self.engine.apply(snapshot) if trust else self.engine.resync(snapshot))
            except EngineFailed as error:
                trust, self.error = False, str(error)
                log.warning("the slice was not made so: %s", error, extra={"host": self.host})
                await asyncio.sleep(self.pace.again)
                self.new_slice.set()
            else:
                trust, self.error, self.done = True, "", snapshot.seq
            await self.say_hello()

    async def _look(self) -> None:
        """Whoever took something away by hand tells nobody: compare now and then, and at once when it was noticed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.pace.look):
                    await self.trouble.wait()
            noticed = self.trouble.is_set()
            self.trouble.clear()
            if self.done < 0:
                continue
            before = self.error
            try:
                report = await self.engine.resync()
            except EngineFailed as error:
                self.error = str(error)
                log.warning("what is amiss was not mended: %s", error, extra={"host": self.host})
            else:
                self.error = ""
                if report.changes:
                    log.warning("mended: %s", "; ".join(report.changes[:20]), extra={"host": self.host})
            if noticed or before != self.error:
                await self.say_hello()
            await asyncio.sleep(self.pace.again if noticed or self.error else 0)

    async def _collect(self, events: AsyncIterator[Status]) -> None:
        """What is known already is no news: engines say everything again after they have compared."""
        async for status in events:
            if status.kind == "slice" and status.state == State.ERROR:
                self.error = status.detail
                await self.say_hello()                   # told, however soon it is mended
                self.trouble.set()
            if self.known.get((status.kind, status.id)) == status:
                continue
            self.known[status.kind, status.id] = self.unsaid[status.kind, status.id] = status
            self.new_status.set()

    async def _report(self) -> None:
        """Say each news until somebody has heard it, and everything once in a while."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.pace.report):
                    await self.new_status.wait()
            self.new_status.clear()
            if not self.unsaid:
                self.unsaid = dict(self.known)
            while self.unsaid:
                news = dict(list(self.unsaid.items())[:AT_ONCE])
                try:
                    await self.bus.call(PortsReported(host=self.host, statuses=tuple(news.values())), timeout=10.0)
                except (NobodyThere, Failed) as error:
                    log.info("a report was not heard: %s", error, extra={"host": self.host})
                    await asyncio.sleep(self.pace.again)
                    continue
                self.unsaid = {key: status for key, status in self.unsaid.items() if news.get(key) is not status}

    def forget(self, snapshot: Snapshot) -> None:
        """Statuses of what is no longer on this host are not news any more."""
        mine = {port.id for port in snapshot.slice.ports} | {self.host}
        for router in snapshot.slice.routers:
            mine |= {router.id, *(leg.port_id for leg in router.legs), *(f.id for f in router.floating_ips)}
        self.known = {key: status for key, status in self.known.items() if key[1] in mine}


@handlers.on(ApplySlice)
async def apply_slice(agent: Agent, message: ApplySlice) -> None:
    """Taken note of at once; a slice that is done already is only confirmed again."""
    snapshot = message.snapshot
    if snapshot.seq <= agent.done:
        await agent.say_hello()
    elif agent.wanted is None or snapshot.seq > agent.wanted.seq:
        agent.wanted = snapshot
        agent.forget(snapshot)
        agent.new_slice.set()
