"""What the operator has done to images while they are imported: decompressed, and converted into one format."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from pileus.image import conversion
from pileus.image.copying import bytes_of
from pileus.image.decompression import decompressed
from pileus.image.faults import BadFormat, TooBig
from pileus.image.model import usage
from pileus.image.model.images import Image
from pileus.image.runtime import Images
from pileus.image.stores.base import Store
from pileus.image.stores.file import FileReading, FileStore
from pileus.image.uploads import Taken, take

DECOMPRESS, CONVERT, INJECT = "image_decompression", "image_conversion", "inject_image_metadata"
COMPRESSED, BARE = "compressed", "bare"


class Transforming(msgspec.Struct, frozen=True):
    """From which content to which, and whether it is still wanted (asked now and then; raises when not)."""

    data_id: str
    made_id: str
    still_wanted: Callable[[], Awaitable[None]]


def may(app: Images) -> bool:
    """Whether an import may make another content of what came in."""
    return bool({DECOMPRESS, CONVERT} & set(app.config.import_plugins))


async def transform(app: Images, image: Image, work: Transforming) -> tuple[Taken, dict[str, Any]] | None:
    """Bring what the image shall hold into the default store, and tell what else changes; None: it stays as it is.

    Raises NotDecompressible, NotConvertible, BadFormat, TooBig, StoreFull.
    """
    plugins, wanted = app.config.import_plugins, app.config.import_format
    packed = DECOMPRESS in plugins and image.container_format == COMPRESSED
    converts = (CONVERT in plugins and (packed or image.container_format == BARE)
                and image.disk_format in conversion.FORMATS and image.disk_format != wanted)
    if not (packed or converts):
        return None
    plain = msgspec.structs.replace(image, container_format=BARE, properties={})      # signed was what came in
    limits = await app.limits_of(image.owner)
    async with app.db.read() as reader:
        most = await usage.room(reader, image.owner, limits)
    reading = await app.store.read(work.data_id)
    try:
        pieces = bytes_of(reading)
        if packed:
            pieces = _at_most(decompressed(pieces), most)
        if not converts:
            return await _bring(app, plain, work, pieces), {"container_format": BARE}
        async with _folder(app, work.made_id) as folder:
            taken = await _convert(app, plain, work, pieces, folder)
        return taken, {"container_format": BARE, "disk_format": wanted}
    finally:
        await reading.close()


async def _at_most(pieces: AsyncIterator[bytes], most: int | None) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if most is not None and size > most:
            raise TooBig(reason=f"The image is larger than the {most} bytes its project has room for.")
        yield piece


@asynccontextmanager
async def _folder(app: Images, name: str) -> AsyncIterator[Path]:
    """Of this import's own; what one that was killed left in it goes first."""
    await clear(app, name)
    try:
        yield _place(app, name)
    finally:
        await clear(app, name)


def _place(app: Images, name: str) -> Path:
    return Path(app.config.directory) / "work" / name


async def clear(app: Images, made_id: str) -> None:
    """Remove what a transformation has written and has not brought to a store."""
    await asyncio.to_thread(shutil.rmtree, _place(app, made_id), ignore_errors=True)


async def _convert(app: Images, image: Image, work: Transforming, pieces: AsyncIterator[bytes], folder: Path) -> Taken:
    wanted, whole = app.config.import_format, FileStore(folder)
    found = await _bring(app, image, work, pieces, whole)
    if found.virtual_size is None:           # it need not match to be let in, but to be converted
        raise BadFormat(claimed=image.disk_format or "", reason="its content is something else")
    if found.virtual_size > app.config.max_image_bytes:
        raise TooBig(reason=f"The disk in the image has {found.virtual_size} bytes, more than the limit of"
                     f" {app.config.max_image_bytes}.")
    target = folder / f"disk.{wanted}"
    await app.convert(whole.path(work.made_id), image.disk_format or "", target, wanted)
    made = FileReading(target)
    try:
        return await _bring(app, msgspec.structs.replace(image, disk_format=wanted), work, bytes_of(made))
    finally:
        await made.close()


async def _bring(app: Images, image: Image, work: Transforming, pieces: AsyncIterator[bytes],
                 store: Store | None = None) -> Taken:
    writing = await (store or app.store).write(work.made_id)
    try:
        taken = await take(app, image, writing, pieces, None, work.still_wanted)
        await writing.finish()
    finally:
        await writing.discard()
    return taken
