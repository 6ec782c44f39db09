"""The store of contents that stay on web servers: their ids are URLs. Read only, and only from where imports may fetch.

A content is asked for from the byte on that is wanted. Servers that know no ranges send it from the beginning, and what
comes before is thrown away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NoReturn

import httpx

from pileus.image import fetching
from pileus.image.config import ImageConfig
from pileus.image.fetching import FetchFailed, NotAllowed
from pileus.image.stores.base import NoSuchData, ReadOnly


class WebReading:
    """One connection at a time, kept while what is read next follows what was read last."""

    def __init__(self, url: str, config: ImageConfig, client: httpx.AsyncClient, answer: httpx.Response, size: int):
        self.url, self.config, self.client, self.size = url, config, client, size
        self._use(answer, 0)

    def _use(self, answer: httpx.Response, at: int) -> None:
        self.answer, self.at, self.left = answer, at, b""
        self._pieces: AsyncIterator[bytes] = fetching.pieces(answer, self.url)

    async def read(self, offset: int, length: int) -> bytes:
        """Raises NoSuchData when the server does not give what it said it has."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            if offset != self.at:
                await self._go_to(offset)
            return await self._next(length)
        except (NotAllowed, FetchFailed) as error:
            raise NoSuchData(str(error)) from error

    async def _go_to(self, offset: int) -> None:
        await self.answer.aclose()
        answer = await fetching.ask(self.client, self.url, self.config, offset)
        self._use(answer, offset if answer.status_code == 206 else 0)
        while self.at < offset:
            await self._next(min(offset - self.at, 1 << 20))

    async def _next(self, length: int) -> bytes:
        parts, held = [self.left], len(self.left)
        while held < length:
            piece = await anext(self._pieces, None)
            if piece is None:
                raise FetchFailed(f"{self.url:.200} ends before its {self.size} bytes")
            parts.append(piece)
            held += len(piece)
        whole = b"".join(parts)
        self.left, self.at = whole[length:], self.at + length
        return whole[:length]

    async def close(self) -> None:
        await self.answer.aclose()
        await self.client.aclose()


class WebStore:
    def __init__(self, config: ImageConfig, *, name: str = "web"):
        self.config, self.name = config, name

    async def write(self, data_id: str) -> NoReturn:
        raise ReadOnly(f"Store {self.name} is read-only.")

    async def read(self, data_id: str) -> WebReading:
        client = fetching.new_client()
        try:
            answer = await fetching.ask(client, data_id, self.config)
            size = fetching.length_of(answer)
            if size is None:
                await answer.aclose()
                raise FetchFailed(f"{data_id:.200} does not tell its size")
        except (NotAllowed, FetchFailed) as error:
            await client.aclose()
            raise NoSuchData(str(error)) from error
        return WebReading(data_id, self.config, client, answer, size)

    async def remove(self, data_id: str) -> None:
        raise ReadOnly(f"Store {self.name} is read-only.")

    def url(self, data_id: str) -> str:
        try:
            fetching.place(data_id, self.config)
        except NotAllowed as error:
            raise NoSuchData(str(error)) from error
        return data_id

    def details(self) -> dict[str, str]:
        return {"import_hosts": ",".join(self.config.import_hosts)}

    async def contents(self, older_than: float) -> list[str]:
        """None are ours to look after."""
        return []

    async def sweep(self, older_than: float) -> None:
        """Nothing is ever begun here."""
