"""The plain Linux engine as the network service sees it: renders one slice per host and sends those that changed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import ClassVar

from pileus.network.engine.base import Attachment, EngineFailed, HostLink, Refusal, Report
from pileus.network.engine.checks import refusals
from pileus.network.engine.feed import StatusFeed, Subscription
from pileus.network.engine.linux import names
from pileus.network.engine.records import Gone, Port, Records, Slice, Snapshot, Status
from pileus.network.engine.slices import render
from pileus.network.engine.store import RecordStore

Send = Callable[[str, Snapshot], Awaitable[Report]]


class LinuxEngine:
    """`reach` gives the way to a host's agent: the agent itself where all is one process, else something that sends
    the snapshot to it. What agents report comes in through `report`, or through a feed they share with the engine."""

    name: ClassVar[str] = "linux"

    def __init__(self, reach: Callable[[str], HostLink], feed: StatusFeed | None = None):
        self.reach = reach
        self.feed = feed or StatusFeed()
        self.store = RecordStore()
        self.sent: dict[str, Slice] = {}
        self.wanted: dict[str, Slice] = {}
        self.lock = asyncio.Lock()

    def validate(self, records: Records) -> Refusal | None:
        return next(refusals(records), None)

    def bind(self, port: Port, host: str) -> Attachment | None:
        network = self.store.tables["networks"].get(port.network_id)
        return Attachment(kind="tap", device=names.link(names.TAP, port.id), mtu=network.mtu if network else 1450)

    async def apply(self, upserts: Records, deletes: Sequence[Gone], seq: int) -> None:
        async with self.lock:
            if self.store.change(upserts, deletes):
                self.wanted = await asyncio.to_thread(render, self.store.records())
            changed = [host for host, one in self.wanted.items() if self.sent.get(host) != one]
            await self._send(changed, seq, lambda host, snapshot: self.reach(host).apply(snapshot))

    async def resync(self, records: Records, seq: int) -> Report:
        async with self.lock:
            self.store.replace(records)
            self.wanted = await asyncio.to_thread(render, records)
            reports = await self._send(self.wanted, seq, lambda host, snapshot: self.reach(host).resync(snapshot))
        return Report(changes=tuple(change for report in reports for change in report.changes))

    async def _send(self, hosts: Collection[str], seq: int, call: Send) -> list[Report]:
        """A slice counts as sent once its host has taken it. A host that fails does not keep the others waiting."""
        self.sent = {host: one for host, one in self.sent.items() if host in self.wanted}

        async def send(host: str) -> Report:
            self.sent.pop(host, None)
            report = await call(host, Snapshot(seq=seq, slice=self.wanted[host]))
            self.sent[host] = self.wanted[host]
            return report

        results = dict(zip(hosts, await asyncio.gather(*map(send, hosts), return_exceptions=True), strict=True))
        failures = {host: result for host, result in results.items() if isinstance(result, BaseException)}
        if failures:
            told = "; ".join(f"host {host}: {error}" for host, error in failures.items())
            raise EngineFailed(told) from next(iter(failures.values()))
        return [result for result in results.values() if isinstance(result, Report)]

    def report(self, status: Status) -> None:
        self.feed.publish(status)

    def events(self) -> Subscription:
        return self.feed.subscribe()

    async def close(self) -> None:
        self.feed.close()
