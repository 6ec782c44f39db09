"""Status on its way from an engine to those who listen; what is already known is not told twice."""

import asyncio
from collections.abc import AsyncIterator, Collection

from pileus.network.engine.records import Status


class Subscription:
    """Gets every status published after it was made."""

    def __init__(self, feed: "StatusFeed"):
        self.feed = feed
        self.queue: asyncio.Queue[Status | None] = asyncio.Queue()

    def __aiter__(self) -> AsyncIterator[Status]:
        return self

    async def __anext__(self) -> Status:
        status = await self.queue.get()
        if status is None:
            raise StopAsyncIteration
        return status

    def close(self) -> None:
        self.feed.subscriptions.discard(self)
        self.queue.put_nowait(None)


class StatusFeed:
    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.known: dict[tuple[str, str, str], Status] = {}

    def subscribe(self) -> Subscription:
        subscription = Subscription(self)
        self.subscriptions.add(subscription)
        return subscription

    def publish(self, status: Status) -> None:
        key = (status.kind, status.id, status.host)
        if self.known.get(key) == status:
            return
        self.known[key] = status
        for subscription in self.subscriptions:
            subscription.queue.put_nowait(status)

    def forget(self, host: str | None = None, keep: Collection[tuple[str, str, str]] = ()) -> None:
        """What is forgotten is told again: everything, or everything of one host, but for the keys to keep."""
        self.known = {
            key: status for key, status in self.known.items()
            if host is not None and status.host != host or key in keep}

    def close(self) -> None:
        for subscription in list(self.subscriptions):
            subscription.close()
