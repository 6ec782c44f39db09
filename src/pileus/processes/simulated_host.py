"""A fake host of a simulation: it dies with what it runs, and comes back with guests that are off."""

from __future__ import annotations

import asyncio
import contextlib

from pileus.compute.agent.agent import Agent, HostIdentity
from pileus.compute.agent.handlers import handlers
from pileus.compute.drivers.base import Power
from pileus.compute.drivers.fake import FakeDriver
from pileus.compute.drivers.image_cache import ImageCache
from pileus.compute.messages import AGENT
from pileus.image.client import ImageClient
from pileus.kit.bus import MemoryBus
from pileus.processes.services import Services


class SimulatedHost:
    def __init__(self, name: str, services: Services, bus: MemoryBus, every: float):
        self.name, self.services, self.bus, self.every = name, services, bus, every
        self.driver = FakeDriver(name)
        self.cache = ImageCache(services.state.cache / "all")             # one for all: images never differ
        self.boots = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        return self._task is not None

    async def rise(self) -> None:
        self.boots += 1
        for guest in self.driver.known.values():
            guest.power = Power.OFF
        agent = Agent(
            HostIdentity(name=self.name, address="192.0.2.1", boot_id=str(self.boots)), driver=self.driver,
            bus=self.bus, images=self.services.client(ImageClient, "/image", "compute"), cache=self.cache)
        await self.bus.listen(AGENT, handlers, agent, host=self.name)
        self._task = asyncio.create_task(agent.run(every=self.every))

    def rise_later(self) -> None:
        if not self.alive:
            self._rising = asyncio.create_task(self.rise())

    async def die(self) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.bus.ignore(AGENT, host=self.name)
