"""A user's password inside a guest, set by the agent that runs in it."""

from __future__ import annotations

from pileus.compute.messages import SetPassword
from pileus.compute.sagas import guests
from pileus.compute.sagas.hosts import ask
from pileus.kit.saga import Saga, Turn, saga, step


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
        server = await guests.server_of(turn, self.server_id)
        await ask(turn.services, SetPassword(guest_id=self.server_id, user=self.user, password=self.password or ""),
                  host=guests.host_of(server))

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        """What is done is kept for a while, passwords are not."""
        self.password = None
