"""Stop, start, reboot, pause, suspend and back; a failure leaves the server as it is, and says why."""

from __future__ import annotations

from enum import StrEnum

from pileus.compute import volumes
from pileus.compute.drivers.base import Power as GuestPower
from pileus.compute.drivers.base import Wanted as GuestWanted
from pileus.compute.messages import PowerGuest, RebootGuest
from pileus.compute.model import servers
from pileus.compute.model.servers import Power, State
from pileus.compute.sagas import guests
from pileus.compute.sagas.hosts import ask
from pileus.kit.bus import Message
from pileus.kit.saga import Abort, Saga, Turn, saga, step

SHUTDOWN_SECONDS = 60.0           # a guest may take to shut itself down


class Wanted(StrEnum):
    STOP, START, REBOOT, HARD_REBOOT = "stop", "start", "reboot", "hard_reboot"
    PAUSE, UNPAUSE, SUSPEND, RESUME = "pause", "unpause", "suspend", "resume"
    SOFT_DELETE, RESTORE = "soft_delete", "restore"


HALTS: dict[Wanted, GuestWanted] = {
    Wanted.PAUSE: "paused", Wanted.SUSPEND: "suspended", Wanted.STOP: "off", Wanted.SOFT_DELETE: "off"}
BEGINS = (Wanted.START, Wanted.REBOOT, Wanted.HARD_REBOOT, Wanted.RESTORE)
OUTCOMES = {
    Wanted.STOP: (State.STOPPED, Power.SHUTDOWN), Wanted.PAUSE: (State.PAUSED, Power.PAUSED),
    Wanted.SUSPEND: (State.SUSPENDED, Power.SUSPENDED), Wanted.SOFT_DELETE: (State.SOFT_DELETED, Power.SHUTDOWN)}


@saga("compute.power_server")
class PowerServer(Saga, kw_only=True):
    server_id: str
    wanted: Wanted

    def _command(self) -> Message:
        if self.wanted in HALTS:
            soft = SHUTDOWN_SECONDS if HALTS[self.wanted] == "off" else 0
            return PowerGuest(guest_id=self.server_id, wanted=HALTS[self.wanted], soft_seconds=soft)
        if self.wanted in (Wanted.START, Wanted.UNPAUSE, Wanted.RESUME, Wanted.RESTORE):
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
            if self.wanted in (Wanted.SOFT_DELETE, Wanted.RESTORE):
                return
            raise Abort(f"Instance {self.server_id} is on no host.")
        seen = await ask(turn.services, self._command(), host=server.host, seconds=170)
        if self.wanted not in HALTS and seen.power != GuestPower.RUNNING:
            raise Abort(seen.reason or "The guest did not come up.")

    @step
    async def name_volumes(self, turn: Turn) -> None:
        """A guest that began anew calls its disks by the order of their places, whatever volumes went before."""
        if self.wanted in BEGINS:
            server = await guests.server_of(turn, self.server_id)
            if server.host:
                await volumes.join_anew(turn.services, server, server.host)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        if self.wanted == Wanted.RESTORE and not server.host:
            await servers.change(turn.tx, server, now, state=State.ERROR, power=Power.NONE)
        elif self.wanted in OUTCOMES:
            state, power = OUTCOMES[self.wanted]
            await servers.change(turn.tx, server, now, state=state, power=power)
        else:
            await servers.change(turn.tx, server, now, state=State.ACTIVE, power=Power.RUNNING, fault=None)
