"""Import: from bytes that are staged, in another store, in another image or on a web server to an active image."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from pileus.image import copying, fetching, regions, signatures
from pileus.image.conversion import NotConvertible
from pileus.image.decompression import NotDecompressible
from pileus.image.faults import BadFormat, BadRequest, TooBig
from pileus.image.model import images, tasks
from pileus.image.model.images import ACTIVE, IMPORTING, NO_DATA, QUEUED, UPLOADING, Image
from pileus.image.runtime import Images
from pileus.image.sagas.awaited import GONE, awaited
from pileus.image.stores.base import NoSuchData, Reading, Store, StoreFull
from pileus.image.transforming import Transforming, clear, transform
from pileus.image.uploads import Taken, take
from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.kit.sealing import BrokenSeal

DIRECT, WEB, COPY, REGION = "glance-direct", "web-download", "copy-image", "glance-download"
LONGEST = 24 * 3600.0           # seconds for the bytes of one image
COPIED_PROPERTIES = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")
NO_ROOM = "There is not enough disk space on the image storage media."


@saga("image.import_image")
class ImportImage(Saga, kw_only=True):
    image_id: str
    task_id: str
    data_id: str
    method: str = DIRECT
    url: str = ""                                # of what is fetched, or of another region's image service
    source_id: str = ""
    sealed_token: str = ""                       # that opens the source in another region
    missing: str = ""                            # why there is nothing to fetch
    stores: list[str] = []                       # where the image shall be
    had: list[str] = []                          # where it was, and stays
    all_must_succeed: bool = True
    taken: Taken | None = None
    columns: dict[str, Any] = {}                 # what changes of the image beside its bytes
    made_id: str = ""                            # the content that is made of what came in, where that is transformed
    injected: dict[str, str] = {}                # properties the image is given
    done: list[str] = []
    failed: list[str] = []

    @property
    def copies(self) -> bool:
        return self.method == COPY

    @property
    def fetches(self) -> bool:
        return self.method in (WEB, REGION)

    @property
    def content_id(self) -> str:
        return self.made_id or self.data_id

    async def _image(self, app: Images) -> Image:
        """The image as long as it waits for these bytes."""
        async with app.db.read() as reader:
            return await awaited(reader, self.image_id, self.data_id)

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        await tasks.tell(turn.tx, self.task_id, turn.services.clock(), status=tasks.PROCESSING)

    @accept.undo
    async def mark_failed(self, turn: Turn) -> None:
        """An image that had bytes keeps them, staged or active; another waits for them anew."""
        now = turn.services.clock()
        await tasks.tell(turn.tx, self.task_id, now, status=tasks.FAILURE, message=turn.why)
        found = await images.find(turn.tx, self.image_id)
        if found is not None and found.data_id == self.data_id:
            left = NO_DATA | {"status": QUEUED} if self.fetches else {} if self.copies else {"status": UPLOADING}
            await images.change(turn.tx, found, now, importing_to=[], failed_import=self.stores, made_id=None, **left)

    @step(timeout=LONGEST, tries=2)
    async def fetch(self, turn: Turn) -> None:
        """Bring the bytes to the default store; those that were staged or are copied are there."""
        app: Images = turn.services
        image = await self._image(app)
        try:
            if self.method == WEB:
                async with fetching.fetch(self.url, app.config) as (pieces, length):
                    self.taken = await self._take(app, image, pieces, length)
            elif self.method == REGION:
                self.taken = await self._take_over(app, image)
        except (fetching.NotAllowed, fetching.FetchFailed, regions.NoImage, BrokenSeal, BadFormat, BadRequest,
                TooBig) as error:
            raise Abort(str(error)) from error
        except StoreFull as error:
            raise Abort(NO_ROOM) from error

    async def _take(self, app: Images, image: Image, pieces: AsyncIterator[bytes], length: int | None) -> Taken:
        if length is not None and length > app.config.max_image_bytes:
            raise TooBig(reason=f"Image exceeds the limit of {app.config.max_image_bytes} bytes.")
        writing = await app.store.write(self.data_id)
        try:
            taken = await take(app, image, writing, pieces, length, lambda: self._still_wanted(app))
            await writing.finish()
        finally:
            await writing.discard()
        return taken

    async def _still_wanted(self, app: Images) -> None:
        await self._image(app)

    async def _take_over(self, app: Images, image: Image) -> Taken:
        """The content of another image, and those of its properties that say how it runs."""
        if self.missing:
            raise Abort(self.missing)
        if self.sealed_token:
            async with regions.image_of(self.url, app.box.open(self.sealed_token), self.source_id) as (found, pieces):
                self._become(found)
                wanted = msgspec.structs.replace(image, **self.columns)
                taken = await self._take(app, wanted, pieces, found.size)
                if found.sha512 not in ("", taken.os_hash_value):
                    raise Abort(f"What came of image {self.source_id} is not what its hash says.")
                return taken
        async with app.db.read() as reader:
            source = await images.find(reader, self.source_id)
        if source is None or not source.has_data:
            raise Abort(f"There is no image {self.source_id} with data to download.")
        self._become(source)
        try:
            reading = await app.read(source)
        except NoSuchData as error:
            raise Abort(f"The data of image {self.source_id} is lost.") from error
        try:
            return await self._take(app, source, copying.bytes_of(reading), source.size)
        finally:
            await reading.close()

    def _become(self, source: Image | regions.Image) -> None:
        copied = {name: value for name, value in source.properties.items() if name.startswith(COPIED_PROPERTIES)}
        self.columns = {"disk_format": source.disk_format, "container_format": source.container_format}
        self.injected = copied | self.injected

    @fetch.undo
    async def drop(self, turn: Turn) -> None:
        if self.fetches:
            await turn.services.forget(self.data_id)

    @step(timeout=LONGEST, tries=2)
    async def transform(self, turn: Turn) -> None:
        """What came in stays as it is, and another content is made of it."""
        if not self.made_id:
            return
        app: Images = turn.services
        image = msgspec.structs.replace(await self._image(app), **self.columns)
        work = Transforming(self.data_id, self.made_id, lambda: self._still_wanted(app))
        try:
            made = await transform(app, image, work)
        except (NotDecompressible, NotConvertible, BadFormat, TooBig) as error:
            raise Abort(f"The image cannot be brought into the form it shall have: {error}") from error
        except StoreFull as error:
            raise Abort(NO_ROOM) from error
        if made is None:
            self.made_id = ""
            return
        self.taken = made[0]
        self.columns |= made[1]

    @transform.undo
    async def drop_made(self, turn: Turn) -> None:
        if self.made_id:
            await turn.services.forget(self.made_id)
            await clear(turn.services, self.made_id)

    @step(timeout=LONGEST)
    async def copy(self, turn: Turn) -> None:
        """Into each wanted store, compared with the hash of what came in."""
        app: Images = turn.services
        image = await self._image(app)
        expected = self.taken.os_hash_value if self.taken else image.sha512
        self.done, self.failed = [], []
        for name in self.stores:
            try:
                if not (name in self.had or (name == app.store.name and not self.copies)):
                    await self._copy_to(app, app.stores[name], expected)
                self.done.append(name)
            except (NoSuchData, StoreFull, OSError) as error:
                if self.all_must_succeed:
                    raise Abort(f"The image could not be brought to store {name}: {error}") from error
                turn.note(f"{name}: {error}")
                self.failed.append(name)
        if not self.done:
            raise Abort(f"The image could not be brought to any of {', '.join(self.stores)}.")

    async def _copy_to(self, app: Images, store: Store, expected: str | None) -> None:
        await copying.copy(await self._source(app), store, self.content_id, expected)

    async def _source(self, app: Images) -> Reading:
        if not self.copies:
            return await app.store.read(self.content_id)
        return await app.read(await self._image(app))

    @copy.undo
    async def remove_copies(self, turn: Turn) -> None:
        await turn.services.forget(self.content_id, but=self.had if self.copies else (turn.services.store.name,))

    @step(local=True, pivot=True)
    async def mark_active(self, turn: Turn) -> None:
        now = turn.services.clock()
        found = await awaited(turn.tx, self.image_id, self.data_id)
        if not (self.copies or found.status == IMPORTING):
            raise Abort(GONE)
        held = [name for name in turn.services.stores if name in self.had or name in self.done]
        more = self.columns | (self.taken.columns if self.taken else {}) | ({} if self.copies else {"status": ACTIVE})
        properties = found.properties | self.injected
        if self.made_id:                             # another content: what was signed is gone
            properties = {name: value for name, value in properties.items() if name not in signatures.NAMES}
        if properties != found.properties:
            more["properties"] = properties
        await images.change(turn.tx, found, now, store=held[0], stores=held, importing_to=[], made_id=None,
                            data_id=self.content_id, failed_import=self.failed, **more)
        await tasks.tell(turn.tx, self.task_id, now, status=tasks.SUCCESS, result={"image_id": self.image_id})

    @step
    async def clear_stage(self, turn: Turn) -> None:
        """What was staged goes, unless it is the image's content and its store is one of those wanted."""
        store = turn.services.store
        if not self.copies and store.name not in self.done:
            await store.remove(self.content_id)
        if self.made_id:
            await turn.services.forget(self.data_id)
