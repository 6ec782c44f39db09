"""A host's part: does what conductors want, and tells how its load balancers do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator

from pileus.kit import context
from pileus.kit.bus import Bus, Handlers
from pileus.kit.ids import new_request_id
from pileus.load_balancer.drivers.base import BalancerDriver, BalancerFailed, Counters, Sight
from pileus.load_balancer.messages import (
    BalancersSeen,
    EnsureBalancer,
    EnsureNoBalancer,
    HostSeen,
    ListBalancers,
)

log = logging.getLogger(__name__)
handlers = Handlers()
SIGN_OF_LIFE_SECONDS = 15.0


class Agent:
    def __init__(self, host: str, *, driver: BalancerDriver, bus: Bus, look_seconds: float):
        self.host, self.driver, self.bus, self.look_seconds = host, driver, bus, look_seconds
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._told: dict[str, Sight] = {}

    @contextlib.asynccontextmanager
    async def turn(self, balancer_id: str) -> AsyncIterator[None]:
        """One thing at a time per load balancer."""
        async with self._turns.setdefault(balancer_id, asyncio.Lock()):
            yield

    async def run(self) -> None:
        """Until cancelled."""
        fresh, seen_at = True, 0.0
        while True:
            context.request_id.set(new_request_id())
            now = asyncio.get_running_loop().time()
            if fresh or now - seen_at >= SIGN_OF_LIFE_SECONDS:
                await self.bus.cast(HostSeen(host=self.host, unable=self.driver.unable, fresh=fresh))
                fresh, seen_at = False, now
            await self.report()
            await asyncio.sleep(self.look_seconds)

    async def report(self) -> None:
        try:
            sights = await self.driver.look()
            for balancer_id in await self.driver.fallen():
                async with self.turn(balancer_id):
                    await self._mend(balancer_id)
        except (BalancerFailed, OSError) as error:           # of the host itself: next time it may do
            log.warning("cannot see how load balancers do: %s", error)
            return
        news = {balancer_id: sight for balancer_id, sight in sights.items() if self._is_news(balancer_id, sight)}
        self._told = sights
        if news:
            await self.bus.cast(BalancersSeen(host=self.host, sights=news))

    async def _mend(self, balancer_id: str) -> None:
        """Unless that was done while we waited for our turn."""
        if balancer_id not in await self.driver.fallen():
            return
        log.info("load balancer %s is mended", balancer_id)
        try:
            await self.driver.mend(balancer_id)
        except BalancerFailed as error:
            log.warning("load balancer %s: %s", balancer_id, error)

    def forget(self, balancer_id: str) -> None:
        """What was told of it is of another one by now."""
        self._told.pop(balancer_id, None)

    def _is_news(self, balancer_id: str, sight: Sight) -> bool:
        """Counters are told as what was added, so nothing added is nothing new."""
        known = self._told.get(balancer_id)
        return known is None or known.members != sight.members or any(
            counted != Counters(active_connections=known.listeners.get(name, Counters()).active_connections)
            for name, counted in sight.listeners.items())


@handlers.on(EnsureBalancer)
async def ensure_balancer(agent: Agent, message: EnsureBalancer) -> None:
    async with agent.turn(message.spec.id):
        await agent.driver.ensure(message.spec)
    agent.forget(message.spec.id)


@handlers.on(EnsureNoBalancer)
async def ensure_no_balancer(agent: Agent, message: EnsureNoBalancer) -> None:
    async with agent.turn(message.balancer_id):
        await agent.driver.remove(message.balancer_id)


@handlers.on(ListBalancers)
async def list_balancers(agent: Agent, message: ListBalancers) -> dict[str, str]:
    return await agent.driver.held()
