"""Worlds of one service, and what such a world keeps in files as it would elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from pileus.kit.db import Db


class Worlds:
    """Makes worlds, each with a database of its own. The last can be closed and opened again, by any process."""

    def __init__(self, make_db: Callable[[ModuleType], Awaitable[Db]], migrations: ModuleType,
                 open_world: Callable[..., Awaitable[Any]]):
        """`open_world(database, number, **more)` opens what there is, or makes it; worlds have `db` and `http`."""
        self._make_db, self._migrations, self._open_world = make_db, migrations, open_world
        self._number, self._more = 0, dict[str, Any]()
        self._opened: list[Any] = []

    async def __call__(self, **more: Any) -> Any:
        self._number, self._more = self._number + 1, more
        return await self._open(await self._make_db(self._migrations))

    async def leave(self, make_world: Callable[[], Awaitable[Any]]) -> None:
        await make_world()
        await self._close(self._opened[-1])

    async def begin(self) -> Any:
        return await self._open(Db(self._opened[-1].db.url))

    async def close(self) -> None:
        for world in self._opened:
            await self._close(world)

    async def _open(self, database: Db) -> Any:
        self._opened.append(await self._open_world(database, self._number, **self._more))
        return self._opened[-1]

    @staticmethod
    async def _close(world: Any) -> None:
        await world.http.aclose()
        await world.db.close()


class Lasting(dict[str, Any]):
    """In a file after each change."""

    def __init__(self, path: Path):
        super().__init__(msgspec.msgpack.decode(path.read_bytes()) if path.exists() else {})
        self._path = path

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._keep()

    def pop(self, *given: Any) -> Any:
        found = super().pop(*given)
        self._keep()
        return found

    def _keep(self) -> None:
        self._path.write_bytes(msgspec.msgpack.encode(dict(self)))
