"""Images on a host: fetched once, verified, named by their content, and forgotten when no guest uses them."""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pileus.compute.drivers.disks import FOREIGN, BadDisk, to_qcow2, verify

Write = Callable[[bytes], Awaitable[None]]
Fetch = Callable[[Write], Awaitable[None]]
SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHA512 = re.compile(r"[0-9a-f]{128}")


class ImageUnusable(Exception):
    """An image cannot be had on this host; `reason` is plain text."""

    def __init__(self, image_id: str, reason: str) -> None:
        super().__init__(f"Image {image_id} cannot be used: {reason}")
        self.image_id = image_id
        self.reason = reason


def kept_as(disk_format: str) -> str:
    """The format that images of `disk_format` have on hosts."""
    return "qcow2" if disk_format in FOREIGN else disk_format


class ImageCache:
    """A folder of image files. Guests have hard links to theirs, so a file with one link is in nobody's use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fetching: dict[Path, asyncio.Task[None]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Whatever an earlier process was fetching when it died; nobody else writes here.
        for left in (*folder.glob(".fetching-*"), *folder.glob(".saving-*")):
            left.unlink()

    async def ensure(self, image_id: str, checksum: str, fetch: Fetch, *, disk_format: str = "raw") -> Path:
        """The image's file, in the format `kept_as` tells. Already here: at once. Else `fetch` is called with where to
        write its chunks to.

        `checksum` is a SHA-512 in hex, or empty where none is known. Callers who ask for the same share one fetch.
        Raises ImageUnusable; what `fetch` raises comes through as it is.
        """
        path = self.path(image_id, checksum, disk_format)
        if path.exists():
            os.utime(path)
            return path
        task = self._fetching.get(path)
        if task is None:
            task = asyncio.create_task(self._fetch(path, image_id, checksum, fetch, disk_format))
            self._fetching[path] = task
            task.add_done_callback(lambda done: self._fetched(path, done))
        # A caller who gives up leaves the fetch to those who wait with it.
        await asyncio.shield(task)
        return path

    def path(self, image_id: str, checksum: str, disk_format: str = "raw") -> Path:
        """Where the image is, or would be."""
        end = f"-of-{disk_format}" if disk_format in FOREIGN else ""
        if checksum:
            if not SHA512.fullmatch(checksum):
                raise ImageUnusable(image_id, "its checksum is no SHA-512 in hex")
            return self.folder / f"sha512-{checksum}{end}"
        if not SAFE.fullmatch(image_id):
            raise ImageUnusable(image_id, "its id is no plain name")
        return self.folder / f"id-{image_id}{end}"

    def prune(self, older_than_seconds: float) -> list[Path]:
        """Delete files that no guest has and nobody asked for lately; which they were."""
        before = time.time() - older_than_seconds
        pruned: list[Path] = []
        for path in self.folder.iterdir():
            about = path.stat()
            if not path.name.startswith(".") and about.st_nlink == 1 and about.st_mtime <= before:
                path.unlink()
                pruned.append(path)
        return pruned

    async def close(self) -> None:
        """Stop what is being fetched."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fetched(self, path: Path, task: asyncio.Task[None]) -> None:
        self._fetching.pop(path, None)
        # Looked at, so that asyncio does not complain of failures nobody waited for any more.
        if not task.cancelled():
            task.exception()

    async def _fetch(self, path: Path, image_id: str, checksum: str, fetch: Fetch, disk_format: str) -> None:
        fresh = self.folder / f".fetching-{path.name}"
        try:
            with Download(image_id, fresh) as download:
                await fetch(download.write)
                await download.finish(checksum)
            if disk_format in FOREIGN:
                await to_qcow2(fresh, disk_format)
            await verify(fresh, kept_as(disk_format))
            fresh.replace(path)
        except BadDisk as error:
            raise ImageUnusable(image_id, str(error)) from error
        finally:
            for left in (fresh, fresh.with_name(f"{fresh.name}.qcow2")):
                left.unlink(missing_ok=True)


class Download:
    """A file being filled. Only its own troubles are ImageUnusable; those of the source are the source's to tell."""

    def __init__(self, image_id: str, path: Path) -> None:
        self.image_id = image_id
        self.digest = hashlib.sha512()
        try:
            self.file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed with this object
        except OSError as error:
            raise self._unkept(error) from error

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    async def write(self, chunk: bytes) -> None:
        try:
            await asyncio.to_thread(self._take, chunk)
        except OSError as error:
            raise self._unkept(error) from error

    async def finish(self, checksum: str) -> None:
        if checksum and self.digest.hexdigest() != checksum:
            raise ImageUnusable(self.image_id, "what came is not what its checksum says")
        try:
            await asyncio.to_thread(os.fsync, self.file.fileno())
        except OSError as error:
            raise self._unkept(error) from error

    def _take(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        rest = memoryview(chunk)
        while rest:
            rest = rest[self.file.write(rest) :]

    def _unkept(self, error: OSError) -> ImageUnusable:
        return ImageUnusable(self.image_id, f"it cannot be kept on this host: {error.strerror}")
