"""Stop, start, reboot: a guest brought to another state; a failure leaves the server as it is, and says why."""

from __future__ import annotations

from enum import StrEnum

from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.messages import PowerGuest, RebootGuest
from pileus.compute.model import servers
from pileus.compute.model.servers import Power, State
from pileus.compute.sagas.hosts import ask
from pileus.kit.bus import Message
from pileus.kit.saga import Abort, Saga, Turn, saga, step

SHUTDOWN_SECONDS = 60.0           # a guest may take to shut itself down


class Wanted(StrEnum):
    STOP, START, REBOOT, HARD_REBOOT = "stop", "start", "reboot", "hard_reboot"


@saga("compute.power_server")
class PowerServer(Saga, kw_only=True):
    server_id: str
    wanted: Wanted

    def _command(self) -> Message:
        if self.wanted == Wanted.STOP:
            return PowerGuest(guest_id=self.server_id, wanted="off", soft_seconds=SHUTDOWN_SECONDS)
        if self.wanted == Wanted.START:
            return PowerGuest(guest_id=self.server_id, wanted="on")
        return RebootGuest(guest_id=self.server_id, hard=self.wanted == Wanted.HARD_REBOOT)

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        """The user sees why in the server's actions; the state is what it was."""
        await servers.set_action_message(turn.tx, self.server_id, turn.request_id, turn.why)

    @step(timeout=180)
    async def command_host(self, turn: Turn) -> None:
        async with turn.services.db.read() as reader:
            server = await servers.get(reader, self.server_id)
        if not server.host:
            raise Abort(f"Instance {self.server_id} is on no host.")
        seen = await ask(turn.services, self._command(), host=server.host, seconds=170)
        if self.wanted != Wanted.STOP and seen.power != GuestPower.RUNNING:
            raise Abort(seen.reason or "The guest did not come up.")

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        if self.wanted == Wanted.STOP:
            await servers.change(turn.tx, server, now, state=State.STOPPED, power=Power.SHUTDOWN)
        else:
            await servers.change(turn.tx, server, now, state=State.ACTIVE, power=Power.RUNNING, fault=None)
