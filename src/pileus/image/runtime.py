"""One running copy of the image service."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Container, Mapping
from pathlib import Path
from typing import Any

from pileus.identity.client import UnifiedLimits, ask_limits
from pileus.image import answers
from pileus.image.config import ImageConfig
from pileus.image.conversion import convert
from pileus.image.model import cached, listing
from pileus.image.model.images import Image
from pileus.image.regions import CatalogOf
from pileus.image.stores.base import NoSuchData, Reading, Store
from pileus.image.stores.file import FileStore
from pileus.image.stores.web import WebStore
from pileus.kit.sealing import Box
from pileus.kit.service import Runtime

Converter = Callable[[Path, str, Path, str], Awaitable[None]]
log = logging.getLogger(__name__)


async def no_catalog(token: str) -> list[dict[str, Any]]:
    return []


class Images(Runtime):
    def __init__(self, *args: Any, config: ImageConfig | None = None, store: Store | None = None,
                 convert: Converter = convert, unified_limits: UnifiedLimits | None = None,
                 catalog_of: CatalogOf = no_catalog, secret: bytes | None = None, **more: Any):
        """`secret` seals what imports have to remember of tokens; without one, until this process ends."""
        super().__init__(*args, **more)
        self.recent = listing.recent(answers.view)
        self.convert, self.unified_limits, self.catalog_of = convert, unified_limits, catalog_of
        self.box = Box(secret or secrets.token_bytes())
        self.config = config or ImageConfig()
        self.store: Store = store or FileStore(Path(self.config.directory))
        found = [self.store, *(FileStore(Path(folder), name=name) for name, folder in self.config.more_stores.items())]
        self.cache = FileStore(Path(self.config.cache_directory or f"{self.config.directory}/cache"), name="cache")
        self.web = WebStore(self.config) if self.config.web_store else None
        self.stores: dict[str, Store] = {each.name: each for each in self.by_weight(found)}

    async def limits_of(self, project_id: str | None) -> Mapping[str, int]:
        """By the settings, and those that identity keeps, which beat them. Raises Unavailable."""
        if project_id is None:
            return self.config.limits
        return {**self.config.limits, **await ask_limits(self.unified_limits, project_id)}

    def by_weight(self, stores: list[Store]) -> list[Store]:
        return sorted(stores, key=lambda store: -self.config.store_weights.get(store.name, 0))

    async def read(self, image: Image) -> Reading:
        """The image's bytes, from the cache or the first of its stores that has them. Raises NoSuchData."""
        try:
            reading = await self.cache.read(image.data_id or "")
        except NoSuchData:
            return await self.read_stored(image)
        async with self.db.write() as tx:
            await cached.hit(tx, image.id, self.clock())
        return reading

    async def read_stored(self, image: Image) -> Reading:
        for name in [name for name in self.stores if name in image.kept_in]:
            try:
                return await self.stores[name].read(image.data_id or "")
            except NoSuchData:
                log.warning("image %s is not in its store %s", image.id, name)
        return await self._read_located(image)

    async def _read_located(self, image: Image) -> Reading:
        for where in image.locations or []:
            try:
                if self.web is not None:
                    return await _of_size(await self.web.read(where.url), image.size)
            except NoSuchData as error:
                log.warning("image %s is not where it was: %s", image.id, error)
        raise NoSuchData(image.data_id or "")

    async def forget(self, data_id: str, *, but: Container[str] = ()) -> None:
        """Remove a content from all stores, or all `but` some."""
        for name, store in self.stores.items():
            if name not in but:
                await store.remove(data_id)
        if not but:
            await self.cache.remove(data_id)


async def _of_size(reading: Reading, size: int | None) -> Reading:
    if reading.size != size:
        await reading.close()
        raise NoSuchData(f"it has {reading.size} bytes, and had {size}")
    return reading
