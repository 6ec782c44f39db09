"""A back end on its node: what it consists of, and the signs of life it gives."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from pileus.image.client import ImageClient
from pileus.kit import context
from pileus.kit.bus import Bus
from pileus.kit.ids import new_request_id
from pileus.volume.agent.backup_store import BackupStore
from pileus.volume.drivers.base import VolumeDriver
from pileus.volume.messages import BackEndSeen

SIGN_OF_LIFE_SECONDS = 15.0


class Place(NamedTuple):
    """Where a back end is: `host` is NODE@BACK_END; `scratch` holds nothing that is needed after a crash."""

    host: str
    scratch: Path
    zone: str = "nova"
    filter_function: str | None = None
    goodness_function: str | None = None


class Agent:
    def __init__(self, place: Place, *, driver: VolumeDriver, bus: Bus, images: ImageClient, backups: BackupStore):
        self.host, self.scratch, self.zone = place.host, place.scratch, place.zone
        self.place = place
        self.driver, self.bus, self.images, self.backups = driver, bus, images, backups
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, *volume_ids: str | None) -> AsyncIterator[None]:
        """One thing at a time per volume."""
        async with contextlib.AsyncExitStack() as stack:
            for volume_id in sorted({each for each in volume_ids if each}):
                await stack.enter_async_context(self._turns.setdefault(volume_id, asyncio.Lock()))
            yield

    @contextlib.contextmanager
    def scratch_file(self):
        """The path of a file that is gone afterwards."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.scratch) as file:
            yield Path(file.name)

    async def run(self) -> None:
        """Report at once and every few seconds, until cancelled."""
        while True:
            context.request_id.set(new_request_id())
            await self.report()
            await asyncio.sleep(SIGN_OF_LIFE_SECONDS)

    async def seen(self) -> BackEndSeen:
        """What the back end has to give, and to whom operators would have it go."""
        found = await self.driver.facts()
        facts = msgspec.structs.replace(found, filter_function=self.place.filter_function,
                                        goodness_function=self.place.goodness_function, lost=())
        return BackEndSeen(host=self.host, zone=self.zone, facts=facts, lost=found.lost)

    async def report(self) -> None:
        await self.bus.cast(await self.seen())
