"""Worlds in which sagas of compute are proven: whole clouds, all alike, one at a time."""

from __future__ import annotations

import contextlib
import functools
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


class Left(NamedTuple):
    """What a cloud that was closed left, in files and on servers."""

    folder: Path
    rows: AllRows


class Worlds:
    """What `prove` takes: a world is the runtime of compute. The folder and the databases outlive every process."""

    first: Left

    def __init__(self, folder: Path, databases: CloudDatabases):
        self._folder, self._databases = folder, databases
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
        cloud = WholeCloud(self._folder / "first", self._databases.config)
        await cloud.prepare()
        await self.furnish(cloud)
        self.first = await self._leave(cloud)

    async def make(self) -> Compute:
        """Another one; the last is gone."""
        return await self._again(self.first)

    async def kept(self, make: MakeWorld) -> MakeWorld:
        """Makes what `make` does, which is done once: then what it left is opened, as by another process."""
        await make()
        left, self._cloud = await self._leave(self.cloud), None
        return functools.partial(self._again, left)

    async def _leave(self, cloud: WholeCloud) -> Left:
        await cloud.close()
        return Left(cloud.folder, await self._databases.rows())

    async def _again(self, left: Left) -> Compute:
        if self._cloud is not None:
            await self._cloud.close()
            shutil.rmtree(self._cloud.folder)
        copy = self._folder / uuid.uuid4().hex[:8]
        shutil.copytree(left.folder, copy)
        await self._databases.put_back(left.rows)
        return await self._open(copy)

    async def end(self) -> None:
        if self._cloud is not None:
            await self._cloud.close()

    async def begin(self) -> Compute:
        return await self._open(self.cloud.folder)

    async def _open(self, folder: Path) -> Compute:
        self._cloud = WholeCloud(folder, self._databases.config)
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
