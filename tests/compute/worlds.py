"""Worlds in which sagas of compute are proven: whole clouds, all alike, one at a time."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pileus.compute.model import servers
from pileus.compute.model.servers import Server
from pileus.compute.model.states import State
from pileus.compute.nics import NicWish
from pileus.compute.runtime import Compute
from pileus.compute.sagas.boot_server import BootServer
from pileus.kit.saga import Saga
from pileus.kit.saga_testing import MakeWorld
from tests.cloud_databases import AllRows, CloudDatabases, cloud_databases
from tests.compute.whole_cloud import PORT, SERVER, WholeCloud
from tests.databases import Spares

W = TypeVar("W", bound="Worlds")


class Kept(NamedTuple):
    """Makes worlds of what a cloud that was closed left, in files and on servers: opens it, as another process does."""

    worlds: Worlds
    folder: Path
    rows: AllRows

    async def lay(self) -> None:
        await self.worlds.lay(self.folder, self.rows)

    async def __call__(self) -> Compute:
        await self.lay()
        return await self.worlds.begin()


class Worlds:
    """What `prove` takes: a world is the runtime of compute. The folder and the databases outlive every process."""

    make: Kept

    def __init__(self, folder: Path, databases: CloudDatabases):
        self._folder, self._databases = folder, databases
        self._here = folder / "cloud"
        self._cloud: WholeCloud | None = None

    async def furnish(self, cloud: WholeCloud) -> None:
        """Put in what all of them have."""

    async def tell(self, cloud: WholeCloud) -> None:
        """What a cloud has to hear from each process that opens it."""

    @property
    def cloud(self) -> WholeCloud:
        assert self._cloud is not None
        return self._cloud

    async def make_first(self) -> None:
        self._cloud = WholeCloud(self._here, self._databases.config)
        await self._cloud.prepare()
        await self.furnish(self._cloud)
        self.make = await self._what_is_left()

    async def kept(self, make: MakeWorld) -> Kept:
        """Makes what `make` does, which is done once."""
        await make()
        return await self._what_is_left()

    async def _what_is_left(self) -> Kept:
        await self.end()
        folder = self._here.rename(self._folder / uuid.uuid4().hex[:8])
        return Kept(self, folder, await self._databases.rows())

    async def lay(self, folder: Path, rows: AllRows) -> None:
        """Another world is to be opened here; the last is gone."""
        await self.end()
        shutil.rmtree(self._here, ignore_errors=True)
        shutil.copytree(folder, self._here)
        await self._databases.put_back(rows)

    async def end(self) -> None:
        if self._cloud is not None:
            await self._cloud.close()
            self._cloud = None

    async def leave(self, make_world: MakeWorld) -> None:
        if isinstance(make_world, Kept):
            await make_world.lay()
        else:
            await make_world()
            await self.end()

    async def begin(self) -> Compute:
        self._cloud = WholeCloud(self._here, self._databases.config)
        await self._cloud.start()
        await self.tell(self._cloud)
        return self._cloud.compute

    async def server(self, compute: Compute) -> Server:
        async with compute.db.read() as reader:
            return await servers.get(reader, SERVER)

    async def do(self, compute: Compute, saga: Saga) -> Compute:
        async with compute.db.write() as tx:
            await compute.sagas.start(tx, saga, SERVER)
        await compute.sagas.drain()
        return compute

    async def facts(self, world: Compute) -> dict[str, Any]:
        """All that a saga may touch, where nothing else is asked for."""
        return await self.cloud.more_facts()


@contextlib.asynccontextmanager
async def opened(kind: type[W], database_kind: str, folder: Path, spares: Spares) -> AsyncIterator[W]:
    async with cloud_databases(database_kind, folder, spares) as databases:
        worlds = kind(folder, databases)
        await worlds.make_first()
        yield worlds
        await worlds.end()


class ActiveWorlds(Worlds):
    """With a server that runs."""

    async def furnish(self, cloud: WholeCloud) -> None:
        network_id = await cloud.add_server()
        await self.do(cloud.compute, BootServer(
            server_id=SERVER, wishes=[NicWish(network_id=network_id, port_id=PORT)]))
        assert (await cloud.facts())["state"] == State.ACTIVE
