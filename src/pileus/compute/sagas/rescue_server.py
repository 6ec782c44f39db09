"""Rescue and back: the guest runs from another disk for a while, with its own beside it."""

from __future__ import annotations

from pileus.compute import guest_spec
from pileus.compute.messages import EnsureImage
from pileus.compute.model import servers
from pileus.compute.model.servers import ImageFacts
from pileus.compute.model.states import Power, State
from pileus.compute.sagas import guests
from pileus.compute.sagas.hosts import ask
from pileus.kit.saga import Saga, Turn, saga, step


@saga("compute.rescue_server")
class RescueServer(Saga, kw_only=True):
    server_id: str
    image: ImageFacts
    state: State                      # the server was in
    admin_password: str | None = None

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        self.admin_password = None
        await guests.tell(turn, self.server_id)

    @step(timeout=600)
    async def fetch_image(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        await ask(turn.services, EnsureImage(image=guest_spec.as_image(self.image)), host=guests.host_of(server),
                  seconds=590)

    @step(timeout=180)
    async def stop_guest(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id))

    @stop_guest.undo
    async def start_again(self, turn: Turn) -> None:
        await guests.put_back(turn, self.server_id, self.state)

    @step(local=True)
    async def write_down(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), rescue=self.image)

    @write_down.undo
    async def write_back(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), rescue=None)

    @step(timeout=600)
    async def define_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        await guests.define(turn.services, server, admin_password=self.admin_password)

    @define_guest.undo
    async def stop_rescue(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id), soft=False)

    @step
    async def run_guest(self, turn: Turn) -> None:
        await guests.bring_to(turn.services, await guests.server_of(turn, self.server_id), State.RESCUED)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        self.admin_password = None
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), state=State.RESCUED, power=Power.RUNNING)


@saga("compute.unrescue_server")
class UnrescueServer(Saga, kw_only=True):
    server_id: str
    image: ImageFacts | None = None

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """What it runs from is noted for the way back."""
        self.image = (await servers.get(turn.tx, self.server_id)).rescue

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step(timeout=180)
    async def stop_guest(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id), soft=False)

    @stop_guest.undo
    async def start_again(self, turn: Turn) -> None:
        await guests.put_back(turn, self.server_id, State.RESCUED)

    @step(local=True)
    async def write_down(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), rescue=None)

    @write_down.undo
    async def write_back(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), rescue=self.image)

    @step(timeout=600)
    async def define_guest(self, turn: Turn) -> None:
        await guests.define(turn.services, await guests.server_of(turn, self.server_id))

    @define_guest.undo
    async def stop_own(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id), soft=False)

    @step
    async def run_guest(self, turn: Turn) -> None:
        await guests.bring_to(turn.services, await guests.server_of(turn, self.server_id), State.ACTIVE)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), state=State.ACTIVE, power=Power.RUNNING,
                             fault=None)
