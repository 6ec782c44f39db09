"""A user's password inside a guest, set by the agent that runs in it."""

from __future__ import annotations

from pileus.compute.drivers.base import NO_AGENT
from pileus.compute.messages import SetPassword
from pileus.compute.sagas import guests
from pileus.compute.sagas.hosts import HostRefused, ask
from pileus.kit.saga import Saga, Turn, Wait, saga, step

BOOT_SECONDS, AGAIN_SECONDS = 180.0, 2.0


@saga("compute.set_password")
class SetServerPassword(Saga, kw_only=True):
    server_id: str
    user: str
    password: str | None

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        self.password = None
        await guests.tell(turn, self.server_id)

    @step
    async def command_host(self, turn: Turn) -> None:
        """The agent of a guest that boots for the first time is waited for."""
        server = await guests.server_of(turn, self.server_id)
        message = SetPassword(guest_id=self.server_id, user=self.user, password=self.password or "")
        try:
            await ask(turn.services, message, host=guests.host_of(server))
        except HostRefused as error:
            if NO_AGENT in str(error) and turn.services.clock() < (server.launched_at or 0.0) + BOOT_SECONDS:
                raise Wait(AGAIN_SECONDS) from error
            raise

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        """What is done is kept for a while, passwords are not."""
        self.password = None
