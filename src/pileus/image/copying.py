"""Copying a content into another store, whole and compared with its hash, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from pileus.image.stores.base import NoSuchData, Reading, Store

PIECE = 4 << 20


async def bytes_of(reading: Reading) -> AsyncIterator[bytes]:
    at = 0
    while piece := await reading.read(at, PIECE):
        yield piece
        at += len(piece)


async def copy(reading: Reading, store: Store, data_id: str, os_hash_value: str | None) -> None:
    """Closes `reading`. Raises NoSuchData when the bytes are not those of the hash, StoreFull."""
    try:
        writing, sha = await store.write(data_id), hashlib.sha512()
        try:
            async for piece in bytes_of(reading):
                await asyncio.gather(asyncio.to_thread(sha.update, piece), asyncio.to_thread(writing.write, [piece]))
            if os_hash_value is not None and sha.hexdigest() != os_hash_value:
                raise NoSuchData(f"the bytes of {data_id} are not those that came in")
            await writing.finish()
        finally:
            await writing.discard()
    finally:
        await reading.close()
