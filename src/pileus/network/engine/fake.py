"""An engine without a data plane, for clouds of fake hosts: ports are up as soon as they are bound."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from pileus.network.engine.base import Attachment, Refusal, Report
from pileus.network.engine.checks import refusals
from pileus.network.engine.feed import StatusFeed, Subscription
from pileus.network.engine.records import Gone, Port, Records, State, Status
from pileus.network.engine.store import RecordStore


class FakeEngine:
    """Its knobs: `delay` before a status is told, ids in `failing` end in error, ids in `silent` are never told of."""

    name: ClassVar[str] = "fake"

    def __init__(self) -> None:
        self.feed = StatusFeed()
        self.store = RecordStore()
        self.delay = 0.0
        self.failing: set[str] = set()
        self.silent: set[str] = set()

    def validate(self, records: Records) -> Refusal | None:
        return next(refusals(records), None)

    def bind(self, port: Port, host: str) -> Attachment | None:
        return Attachment(kind="fake", device="tap" + port.id[:11], mtu=1450)

    async def apply(self, upserts: Records, deletes: Sequence[Gone], seq: int) -> None:
        if self.store.change(upserts, deletes):
            await self._tell()

    async def resync(self, records: Records, seq: int) -> Report:
        changed = self.store.records() != records
        self.store.replace(records)
        self.feed.forget()
        await self._tell()
        return Report(changes=("records replaced",) if changed else ())

    def events(self) -> Subscription:
        return self.feed.subscribe()

    async def close(self) -> None:
        self.feed.close()

    async def _tell(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        records = self.store.records()
        router_host = {router.id: router.host for router in records.routers}
        legs = {port_id: router.host for router in records.routers for port_id in router.port_ids}
        for port in records.ports:
            host = legs.get(port.id) or port.host
            if host is not None:
                self._publish("port", port.id, port.revision, host, port.admin_up)
        for router in records.routers:
            if router.host is not None:
                self._publish("router", router.id, router.revision, router.host, router.admin_up)
        for floating in records.floating_ips:
            host = router_host.get(floating.router_id or "")
            if host is not None:
                self._publish("floating_ip", floating.id, floating.revision, host, floating.fixed_ip is not None)

    def _publish(self, kind: str, record_id: str, revision: int, host: str, up: bool) -> None:
        if record_id in self.silent:
            return
        state = State.ERROR if record_id in self.failing else State.UP if up else State.DOWN
        self.feed.publish(Status(kind=kind, id=record_id, revision=revision, host=host, state=state))
