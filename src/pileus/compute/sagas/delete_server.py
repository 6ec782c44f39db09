"""Delete: from the first step on there is no way back, only forward."""

from __future__ import annotations

from pileus.compute import nics, volumes
from pileus.compute.messages import EnsureNoGuest
from pileus.compute.model import migrations, servers
from pileus.compute.sagas.hosts import ask_if_alive
from pileus.kit.saga import Saga, Turn, saga, step


@saga("compute.delete_server")
class DeleteServer(Saga, kw_only=True):
    server_id: str

    @step(pivot=True)
    async def remove_guest(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            server = await servers.find(reader, self.server_id)
        if server is None:
            return
        both = (server.host, server.moved.host if server.moved else None)
        for host in dict.fromkeys(host for host in both if host):
            if not await ask_if_alive(turn.services, EnsureNoGuest(guest_id=self.server_id), host=host):
                turn.note(f"{host} is down and clears up when it is back")

    @step
    async def remove_ports(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            server = await servers.find(reader, self.server_id)
        await nics.remove_all(turn.services, self.server_id, server.nics if server else ())

    @step
    async def remove_volumes(self, turn: Turn) -> None:
        """Detached, and deleted where that was asked for."""
        await volumes.release(turn.services, self.server_id)

    @step
    async def release(self, turn: Turn) -> None:
        await turn.services.placement.release(self.server_id)
        async with turn.services.db.read() as reader:
            server = await servers.find(reader, self.server_id)
        if server is not None and server.moved is not None:
            await turn.services.placement.release(server.moved.migration_id)
        if server is not None and server.shelved is not None and server.shelved.image_id:
            await turn.services.image.remove(server.shelved.image_id)

    @step(local=True)
    async def mark_deleted(self, turn: Turn) -> None:
        server = await servers.find(turn.tx, self.server_id)
        if server is not None:
            if server.moved is not None:
                await migrations.end(turn.tx, server.moved.migration_id, turn.services.clock(), "confirmed")
            await servers.mark_deleted(turn.tx, server, turn.services.clock())
