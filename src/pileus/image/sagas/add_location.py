"""Add a location: read what is there to its end, hash and inspect it, and compare it with what was said of it."""

from __future__ import annotations

import asyncio
import hashlib

import msgspec

from pileus.image.copying import bytes_of
from pileus.image.faults import BadFormat
from pileus.image.inspection import Inspection
from pileus.image.model import images, tasks
from pileus.image.model.images import ACTIVE, IMPORTING, NO_DATA, QUEUED, Image
from pileus.image.runtime import Images
from pileus.image.sagas.awaited import GONE, awaited
from pileus.image.stores.base import Reading
from pileus.image.uploads import RENEW_EVERY
from pileus.kit.saga import Abort, Saga, Turn, saga, step

LONGEST = 24 * 3600.0           # seconds for the bytes of one image


class Found(msgspec.Struct, frozen=True):
    size: int
    virtual_size: int | None
    checksum: str
    os_hash_value: str


@saga("image.add_location")
class AddLocation(Saga, kw_only=True):
    image_id: str
    task_id: str
    data_id: str
    url: str
    algorithm: str = "sha512"
    expected: str = ""                           # the hash somebody said it has; then the image waits for it
    lies: bool = False                           # what is there is not what the image says it is
    found: Found | None = None

    async def _image(self, app: Images) -> Image:
        """The image as long as it is to be found there."""
        async with app.db.read() as reader:
            return await awaited(reader, self.image_id, self.data_id)

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        await tasks.tell(turn.tx, self.task_id, turn.services.clock(), status=tasks.PROCESSING)

    @accept.undo
    async def mark_failed(self, turn: Turn) -> None:
        """An image that waited is queued again, as is one that lies; it names where it was looked for. Others stay."""
        now = turn.services.clock()
        await tasks.tell(turn.tx, self.task_id, now, status=tasks.FAILURE, message=turn.why)
        found = await images.find(turn.tx, self.image_id)
        if found is None or found.data_id != self.data_id:
            return
        if self.lies or found.status == IMPORTING:
            left = NO_DATA | {"status": QUEUED, "locations": found.locations}
        else:
            left = {"os_hash_algo": None}
        await images.change(turn.tx, found, now, **left)

    @step(timeout=LONGEST, tries=3)
    async def look(self, turn: Turn) -> None:
        app: Images = turn.services
        image = await self._image(app)
        try:
            if app.web is None:
                raise Abort("This cloud has no store for locations on web servers any more.")
            self.found = await self._measure(app, image, await app.web.read(self.url))
        except BadFormat as error:
            await self._refuse(turn, str(error))
        if self.found is not None and self.found.size != image.size:
            await self._refuse(turn, f"{self.url:.200} has {self.found.size} bytes, and had {image.size}")
        if self.found is not None and self.expected not in ("", self.found.os_hash_value):
            await self._refuse(turn, f"os_hash_value: ({self.expected}) not matched with actual os_hash_value:"
                                     f" ({self.found.os_hash_value})")

    async def _refuse(self, turn: Turn, why: str) -> None:
        self.lies = True
        await turn.save()
        raise Abort(why)

    async def _measure(self, app: Images, image: Image, reading: Reading) -> Found:
        """Closes `reading`. Raises NoSuchData, BadFormat."""
        inspection, size = Inspection(image.disk_format, image.container_format,
                                      must_match=app.config.require_format_match), 0
        md5, sha = hashlib.md5(usedforsecurity=False), hashlib.new(self.algorithm)
        look_at = app.clock() + RENEW_EVERY

        def work(piece: bytes) -> None:
            for each in (md5.update, sha.update, inspection.feed):
                each(piece)

        try:
            async for piece in bytes_of(reading):
                size += len(piece)
                await asyncio.to_thread(work, piece)
                if app.clock() > look_at:
                    look_at = app.clock() + RENEW_EVERY
                    await self._image(app)
        finally:
            await reading.close()
        return Found(size, inspection.verdict(), md5.hexdigest(), sha.hexdigest())

    @step(local=True, pivot=True)
    async def mark_active(self, turn: Turn) -> None:
        now = turn.services.clock()
        found = await awaited(turn.tx, self.image_id, self.data_id)
        if self.found is None:
            raise Abort(GONE)
        status = {"status": ACTIVE} if found.status == IMPORTING else {}
        await images.change(turn.tx, found, now, os_hash_algo=self.algorithm,
                            **msgspec.structs.asdict(self.found), **status)
        await tasks.tell(turn.tx, self.task_id, now, status=tasks.SUCCESS, result={"image_id": self.image_id})
