"""What the image service needs of a place that keeps bytes. Contents are written once, and never change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

Piece = bytes | memoryview


class StoreFull(Exception):
    """There is no room for what was to be written."""


class NoSuchData(Exception):
    """The store does not have, or has lost, what was asked for."""


class ReadOnly(Exception):
    """Nothing can be written to the store, nor removed from it."""


class Writing(Protocol):
    """Bytes on their way in. Nobody sees them before `finish`; after `discard` nothing is left."""

    def write(self, pieces: Iterable[Piece]) -> None:
        """Append; runs in a thread. Raises StoreFull."""
        ...

    async def finish(self) -> None:
        """Make what was written durable and readable, at once and whole. Raises StoreFull."""
        ...

    async def discard(self) -> None:
        """Forget what was written. Already finished or discarded: do nothing."""
        ...


class Reading(Protocol):
    size: int

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; none at the end. Still works after the content was removed."""
        ...

    async def close(self) -> None: ...


class Store(Protocol):
    name: str

    async def write(self, data_id: str) -> Writing:
        """Raises StoreFull, ReadOnly."""
        ...

    async def read(self, data_id: str) -> Reading:
        """Raises NoSuchData."""
        ...

    async def remove(self, data_id: str) -> None:
        """Unknown: do nothing. Raises ReadOnly."""
        ...

    def url(self, data_id: str) -> str:
        """Where the content is, for those who are shown locations. Raises NoSuchData for what cannot be an id."""
        ...

    def details(self) -> dict[str, str]:
        """What administrators are told about it."""
        ...

    async def contents(self, older_than: float) -> list[str]:
        """The ids of what was finished at least `older_than` seconds ago."""
        ...

    async def sweep(self, older_than: float) -> None:
        """Discard what nobody has written to for `older_than` seconds and nobody finished."""
        ...
