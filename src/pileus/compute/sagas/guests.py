"""What sagas have in common that stop a guest, change what it is, and start it again."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.compute import guest_spec, volumes
from pileus.compute.messages import AdjustGuest, EnsureGuest, PowerGuest, RunGuest
from pileus.compute.model import servers
from pileus.compute.model.servers import ImageFacts, Server
from pileus.compute.model.states import Power, State
from pileus.compute.runtime import Compute
from pileus.compute.sagas.hosts import ask
from pileus.kit.saga import Abort, Turn

SHUTDOWN_SECONDS = 60.0           # a guest may take to shut itself down
ADJUST_SECONDS = 110.0            # and to let go of what is unplugged
POWERS = {State.ACTIVE: Power.RUNNING, State.STOPPED: Power.SHUTDOWN, State.PAUSED: Power.PAUSED,
          State.SUSPENDED: Power.SUSPENDED, State.RESCUED: Power.RUNNING}


async def server_of(turn: Turn, server_id: str) -> Server:
    async with turn.services.db.read() as reader:
        return await servers.get(reader, server_id)


async def tell(turn: Turn, server_id: str) -> None:
    """The user sees why in the server's actions; the state is what it was."""
    await servers.set_action_message(turn.tx, server_id, turn.request_id, turn.why)


def host_of(server: Server) -> str:
    if not server.host:
        raise Abort(f"Instance {server.id} is on no host.")
    return server.host


async def stop(compute: Compute, server: Server, *, soft: bool = True) -> None:
    """Off, politely if it runs."""
    seconds = SHUTDOWN_SECONDS if soft and server.state == State.ACTIVE else 0
    await ask(compute, PowerGuest(guest_id=server.id, wanted="off", soft_seconds=seconds), host=host_of(server),
              seconds=SHUTDOWN_SECONDS + 60)


async def define(compute: Compute, server: Server, *, image: ImageFacts | None = None,
                 admin_password: str | None = None) -> None:
    """Its guest as the row says, started but paused. It names its volumes anew."""
    await volumes.join_anew(compute, server, host_of(server))
    spec = await guest_spec.build(compute, server, image=image, admin_password=admin_password)
    await ask(compute, EnsureGuest(spec=spec), host=host_of(server), seconds=590)


async def adjust(turn: Turn, server_id: str, *, without: str | None = None,
                 grown: dict[str, int] | None = None) -> None:
    """Its guest with the cards and volumes it is to have now, but for that of the attachment `without`. `grown`: the
    sizes in GiB of volumes that were extended."""
    server = await server_of(turn, server_id)
    if server.host:
        spec = await guest_spec.build(turn.services, server, without=without)
        if grown:
            spec = msgspec.structs.replace(spec, volumes=tuple(
                msgspec.structs.replace(each, size_gb=grown.get(each.volume_id)) for each in spec.volumes))
        await ask(turn.services, AdjustGuest(spec=spec), host=server.host, seconds=ADJUST_SECONDS)


async def bring_to(compute: Compute, server: Server, state: State) -> None:
    """A guest that is defined, running, paused or off, as the state says. What was suspended has lost its memory."""
    if state in (State.ACTIVE, State.RESCUED, State.RESIZED):
        await ask(compute, RunGuest(guest_id=server.id), host=host_of(server))
    elif state != State.PAUSED:
        await ask(compute, PowerGuest(guest_id=server.id, wanted="off"), host=host_of(server))


async def put_back(turn: Turn, server_id: str, state: State) -> None:
    """For undoing a stop: the guest of the row as it is, in the state it was in before."""
    server = await server_of(turn, server_id)
    if server.host:
        await define(turn.services, server)
        await bring_to(turn.services, server, State.STOPPED if state == State.SUSPENDED else state)


def fields(server: Server, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(server, name) for name in names}
