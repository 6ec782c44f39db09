"""A compute host: what it consists of, and the signs of life it gives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator

import msgspec

from pileus.compute.drivers.base import GuestDriver, GuestSpec, HostFailed, Image
from pileus.compute.drivers.image_cache import ImageCache, Write, kept_as
from pileus.compute.messages import HostSeen
from pileus.image.client import ImageClient, pieces_of
from pileus.kit import context
from pileus.kit.bus import Bus
from pileus.kit.client import Refused
from pileus.kit.ids import new_request_id

log = logging.getLogger(__name__)
SIGN_OF_LIFE_SECONDS = 15.0


class HostIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """`address` is where other hosts reach this one; `boot_id` changes when the host lost whatever ran on it."""

    name: str
    address: str
    boot_id: str


class Agent:
    """One host's part of compute."""

    def __init__(self, host: HostIdentity, *, driver: GuestDriver, bus: Bus, images: ImageClient, cache: ImageCache):
        self.identity, self.driver, self.bus, self.images, self.cache = host, driver, bus, images, cache
        self.host = host.name
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._news = asyncio.Event()

    @contextlib.asynccontextmanager
    async def turn(self, guest_id: str) -> AsyncIterator[None]:
        """One thing at a time per guest."""
        lock = self._turns.setdefault(guest_id, asyncio.Lock())
        async with lock:
            yield

    async def fetch(self, image: Image) -> Image:
        """The image with the paths of its files in this host's cache."""
        path = await self._cached(image.id, image.sha512, image.disk_format)
        kernel = await self._by_id(image.kernel_id)
        ramdisk = await self._by_id(image.ramdisk_id)
        return msgspec.structs.replace(image, path=path, disk_format=kept_as(image.disk_format), kernel_path=kernel,
                                       ramdisk_path=ramdisk)

    async def with_image(self, spec: GuestSpec) -> GuestSpec:
        return msgspec.structs.replace(spec, image=await self._fetched(spec.image),
                                       rescue=await self._fetched(spec.rescue))

    async def _fetched(self, image: Image | None) -> Image | None:
        """An image that is gone by now is no matter for a guest whose disks are here."""
        try:
            return None if image is None else await self.fetch(image)
        except Refused as error:
            if error.status != 404:
                raise
            return image

    async def save(self, guest_id: str, image_id: str) -> None:
        """Make the guest's root disk the content of the image. Raises Refused if the image is gone."""
        image = await self.images.get(image_id)
        if image.is_active:
            return
        path = self.cache.folder / f".saving-{image_id}"
        try:
            async with self.turn(guest_id):
                disk_format = await self.driver.snapshot(guest_id, path)
            await self.images.set_format(image_id, disk_format)
            size = (await asyncio.to_thread(path.stat)).st_size
            await self.images.upload(image_id, pieces_of(path), size=size)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _by_id(self, image_id: str | None) -> str:
        if not image_id:
            return ""
        found = await self.images.get(image_id)
        return await self._cached(image_id, found.sha512, found.disk_format or "raw")

    async def _cached(self, image_id: str, sha512: str, disk_format: str) -> str:
        async def download(write: Write) -> None:
            async for piece in self.images.download(image_id):
                await write(piece)
        return str(await self.cache.ensure(image_id, sha512, download, disk_format=disk_format))

    # -- signs of life ----------------------------------------------------------------------

    async def run(self, *, every: float = SIGN_OF_LIFE_SECONDS) -> None:
        """Report at once, every few seconds, and whenever a guest stopped by itself; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report_forever(every))
            group.create_task(self._watch_guests())

    async def report(self) -> None:
        facts, guests = await self.driver.host_facts(), await self.driver.guests()
        await self.bus.cast(HostSeen(
            host=self.host, address=self.identity.address, boot_id=self.identity.boot_id, facts=facts,
            can=tuple(sorted(self.driver.can)), guests=tuple(guests)))

    async def _report_forever(self, every: float) -> None:
        while True:
            self._news.clear()
            context.request_id.set(new_request_id())
            try:
                await self.report()
            except HostFailed as error:                       # a host that is silent for long counts as down
                log.warning("no sign of life: %s", error, extra={"host": self.host})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._news.wait()

    async def _watch_guests(self) -> None:
        async for stopped in self.driver.events():
            log.info("guest stopped: %s", stopped.reason, extra={"server": stopped.guest_id, "host": self.host})
            self._news.set()
