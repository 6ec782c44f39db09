"""A host without a data plane: whatever its slice says is up at once. One process may hold thousands."""

from __future__ import annotations

import asyncio

from pileus.network.engine.base import EngineFailed, Report
from pileus.network.engine.feed import StatusFeed, Subscription
from pileus.network.engine.records import Slice, Snapshot, State, Status


class FakeHost:
    """Its knobs: `delay` before a slice is done, ids in `failing` end in error, ids in `silent` are never told of,
    `refuse` makes whole slices fail with this text."""

    def __init__(self, name: str):
        self.name, self.feed = name, StatusFeed()
        self.seq, self.slice = -1, Slice(host=name, underlay_ip="")
        self.delay, self.refuse = 0.0, ""
        self.failing: set[str] = set()
        self.silent: set[str] = set()

    def events(self) -> Subscription:
        return self.feed.subscribe()

    async def apply(self, snapshot: Snapshot) -> Report:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.refuse:
            raise EngineFailed(self.refuse)
        if snapshot.seq < self.seq:
            return Report()
        changed = snapshot.slice != self.slice
        self.seq, self.slice = snapshot.seq, snapshot.slice
        self._tell()
        return Report(changes=("slice replaced",) if changed else ())

    async def resync(self, snapshot: Snapshot | None = None) -> Report:
        self.feed.forget()
        return await self.apply(snapshot or Snapshot(seq=self.seq, slice=self.slice))

    def _tell(self) -> None:
        for port in self.slice.ports:
            self._publish("port", port.id, port.revision, port.admin_up)
        for router in self.slice.routers:
            self._publish("router", router.id, router.revision, True)
            for leg in router.legs:
                self._publish("port", leg.port_id, leg.revision, True)
            for floating in router.floating_ips:
                self._publish("floating_ip", floating.id, floating.revision, True)
        self._publish("slice", self.name, self.seq, True)

    def _publish(self, kind: str, record_id: str, revision: int, up: bool) -> None:
        if record_id not in self.silent:
            state = State.ERROR if record_id in self.failing else State.UP if up else State.DOWN
            self.feed.publish(Status(kind=kind, id=record_id, revision=revision, host=self.name, state=state))
