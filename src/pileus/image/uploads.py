"""Taking in the bytes of an image: hashed, inspected and stored while they stream; all of it or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from pileus.image import faults, signatures
from pileus.image.inspection import Inspection
from pileus.image.model import images, usage
from pileus.image.model.images import ACTIVE, NO_DATA, QUEUED, SAVING, UPLOADING, Image
from pileus.image.runtime import Images
from pileus.image.stores.base import Piece, Store, StoreFull, Writing
from pileus.kit import db
from pileus.kit.ids import new_uuid

BLOCK = 2 << 20                 # bytes hashed and written at a time
AHEAD = 4                       # blocks on their way
FEW = 16                        # pieces of a block that may stay apart
SMALL = 1 << 16                 # less than this is not worth a thread
BUSY_FOR, RENEW_EVERY = 120.0, 20.0


class Taken(msgspec.Struct, frozen=True):
    """What was found out about the bytes."""

    size: int
    virtual_size: int | None
    checksum: str
    os_hash_value: str

    @property
    def columns(self) -> dict[str, Any]:
        """As the image has it."""
        return msgspec.structs.asdict(self) | {"os_hash_algo": "sha512"}


async def upload(app: Images, image: Image, pieces: AsyncIterator[Piece], *, declared: int | None, then: str = ACTIVE,
                 store: Store | None = None) -> Image:
    """Bring `pieces` into the store and the image to the status `then`; back to queued if anything goes wrong."""
    store = store or app.store
    started = await begin(app, image, declared, then)
    writing: Writing | None = None
    done = False
    try:
        writing = await store.write(started.data_id or "")
        taken = await take(app, started, writing, pieces, declared, lambda: _renew(app, started))
        await writing.finish()
        ended = await _end(app, started, taken, then, store)
        done = True
        return ended
    except StoreFull as error:
        raise faults.StorageFull() from error
    finally:
        if not done:              # also when the client is gone or the process is being stopped: that waits for this
            await asyncio.shield(_clean(app, started, writing))


async def begin(app: Images, image: Image, declared: int | None = None, then: str = ACTIVE) -> Image:
    """Take the image for an upload: nobody else can begin one while this is renewed."""
    now = app.clock()
    abandoned = image.status == SAVING and image.busy_until < now
    if image.status != QUEUED and not abandoned:
        raise faults.WrongStatus(found=image.status, wanted=SAVING)
    limits = await app.limits_of(image.owner)
    try:
        async with app.db.write() as tx:
            await usage.must_fit(tx, image.owner, limits, image_count_uploading=1, **{
                usage.STAGED if then == UPLOADING else usage.SIZE: -(-(declared or 0) // usage.MIB)})
            return await images.change(tx, image, now, **NO_DATA | {
                "status": SAVING, "data_id": new_uuid(), "busy_until": now + BUSY_FOR})
    except db.Stale as error:
        raise faults.WrongStatus(found="another upload", wanted=SAVING) from error


async def take(app: Images, image: Image, writing: Writing, pieces: AsyncIterator[Piece], declared: int | None,
               renew: Callable[[], Awaitable[None]]) -> Taken:
    """Write `pieces`, and find out about them on the way; `renew` is called now and then meanwhile."""
    inspection = Inspection(image.disk_format, image.container_format, must_match=app.config.require_format_match)
    md5, sha = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    signature = signatures.expected(image.properties, app.config.certificates, app.clock())
    works = [lambda parts: _hash(md5, parts), lambda parts: _hash(sha, parts), writing.write]
    lanes = _Lanes(*works, *([signature.update] if signature else []))
    size, held, block, renew_at = 0, 0, list[Piece](), app.clock() + RENEW_EVERY
    try:
        async for piece in pieces:
            size += len(piece)
            held += len(piece)
            block.append(piece)
            if size > app.config.max_image_bytes:
                raise faults.TooBig(reason=f"Image exceeds the limit of {app.config.max_image_bytes} bytes.")
            if held >= BLOCK:
                parts, block, held = _coarse(block), [], 0
                for part in parts:
                    inspection.feed(part)
                await lanes.give(parts)
            if app.clock() > renew_at:
                renew_at = app.clock() + RENEW_EVERY
                await renew()
        if held > SMALL or lanes.used:
            parts = _coarse(block)
            for part in parts:
                inspection.feed(part)
            await lanes.give(parts)
        elif held:
            _work_here(inspection, lanes, b"".join(block))
        await lanes.empty()
    finally:
        await lanes.close()
    if declared is not None and declared != size:
        raise faults.BadRequest(reason=f"Size of the uploaded data ({size}) is not what was declared ({declared}).")
    if signature is not None:
        signature.verify()
    return Taken(size, inspection.verdict(), md5.hexdigest(), sha.hexdigest())


def _coarse(parts: list[Piece]) -> list[Piece]:
    """Many small pieces as one: each costs a turn of the interpreter's lock. A few large ones are not worth a copy."""
    return parts if len(parts) <= FEW else [b"".join(parts)]


def _hash(found: Any, parts: list[Piece]) -> None:
    for part in parts:
        found.update(part)


class _Lanes:
    """What is done to each block, each in a thread of its own and in order: hashes and the disk let go of the
    interpreter, and none waits for another before it is `AHEAD` blocks behind."""

    def __init__(self, *works: Callable[[list[Piece]], None]):
        self.works, self.threads = works, list[ThreadPoolExecutor]()
        self.flying: deque[asyncio.Future[Any]] = deque()

    @property
    def used(self) -> bool:
        return bool(self.threads)

    async def give(self, block: list[Piece]) -> None:
        loop = asyncio.get_running_loop()
        if not self.threads:
            self.threads = [ThreadPoolExecutor(1) for _ in self.works]
        while len(self.flying) >= AHEAD:
            await self._oldest()
        self.flying.append(asyncio.gather(*(
            loop.run_in_executor(thread, work, block) for thread, work in zip(self.threads, self.works, strict=True))))

    async def _oldest(self) -> None:
        await asyncio.shield(self.flying[0])
        self.flying.popleft()

    async def empty(self) -> None:
        while self.flying:
            await self._oldest()

    async def close(self) -> None:
        """Threads cannot be called off: what they were given they finish."""
        if self.flying:
            await asyncio.gather(*self.flying, return_exceptions=True)
        for thread in self.threads:
            thread.shutdown(wait=False)


def _work_here(inspection: Inspection, lanes: _Lanes, whole: bytes) -> None:
    inspection.feed(whole)
    for work in lanes.works:
        work([whole])


async def _renew(app: Images, image: Image) -> None:
    async with app.db.write() as tx:
        if not await images.renew(tx, image.id, image.data_id or "", app.clock() + BUSY_FOR):
            raise faults.Gone(image_id=image.id)


async def _end(app: Images, image: Image, taken: Taken, status: str, store: Store) -> Image:
    """Tell the image of its bytes, if it still waits for them (its name or tags may have changed meanwhile)."""
    async with app.db.write() as tx:
        found = await images.find(tx, image.id)
        if found is None or found.data_id != image.data_id or found.status != SAVING:
            raise faults.Gone(image_id=image.id)
        return await images.change(
            tx, found, app.clock(), status=status, store=store.name, stores=[store.name], **taken.columns)


async def _clean(app: Images, image: Image, writing: Writing | None) -> None:
    """Nothing half-made stays: bytes no image refers to go, and an image that still waits is queued again."""
    if writing is not None:
        await writing.discard()
    async with app.db.write() as tx:
        found = await images.find(tx, image.id)
        if found is not None and found.data_id == image.data_id and found.status == SAVING:
            found = await images.change(tx, found, app.clock(), **NO_DATA | {"status": QUEUED, "busy_until": 0.0})
    if found is None or found.data_id != image.data_id:
        await app.forget(image.data_id or "")
