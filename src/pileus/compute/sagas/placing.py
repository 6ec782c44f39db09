"""Finding a host for a server, and claiming it: what boots, moves and returns from the shelf have in common."""

from __future__ import annotations

from typing import Protocol

from pileus.compute import nics, scheduling
from pileus.compute.model import groups
from pileus.compute.model.servers import Server
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.scheduler.choice import NO_VALID_HOST
from pileus.kit.saga import Abort, Turn, Wait

PORT_POLL_SECONDS = 5.0         # only the fallback: the network service tells us when a port came up
CLAIM_TRIES = 5


class Placed(Protocol):
    """The fields of such a saga. `needs` are its ports', `share` is what was chosen for them on `host`."""

    candidates: dict[str, dict[str, float]]
    choices: list[str]
    host: str
    needs: list[PortNeed]
    share: Share | None


async def choose(turn: Turn, saga: Placed, server: Server, asked_host: str | None,
                 tried: tuple[str, ...] = ()) -> None:
    verdict = await scheduling.choose(turn.services, server, saga.candidates, asked_host, tried, saga.needs)
    turn.note(scheduling.as_note(verdict))
    if not verdict.hosts:
        raise Abort(verdict.sentence)
    saga.choices, saga.candidates = list(verdict.hosts), {}


async def claim(turn: Turn, saga: Placed, server: Server, consumer_id: str, asked_host: str | None = None,
                tried: tuple[str, ...] = ()) -> None:
    """Claims are keyed by the consumer's id: asking twice yields the first answer; a full host means the next one,
    and so does one that others of the server's group were promised meanwhile."""
    for _ in range(CLAIM_TRIES):
        for host in [saga.host, *saga.choices] if saga.share else saga.choices:
            if await scheduling.promise(turn.services, server, host) and await _share(turn, saga, server, host):
                if await scheduling.claim(turn.services, server, host, consumer_id, saga.share):
                    saga.host = host
                    return
                saga.host, saga.share = "", None
        saga.candidates = await scheduling.candidates(turn.services, server, asked_host, needs=saga.needs)
        await choose(turn, saga, server, asked_host, tried)
    raise Abort(f"{NO_VALID_HOST} Others were faster on every host that fitted; try again.")


async def _share(turn: Turn, saga: Placed, server: Server, host: str) -> bool:
    """Choose who gives what the ports need, and write it down before it is claimed: asked again, placement might offer
    another way. One that was written down for the host already is claimed as it is."""
    if not saga.needs or saga.share and saga.host == host:
        return True
    saga.share = await scheduling.share(turn.services, server, host, saga.needs)
    saga.host = host if saga.share else ""
    await turn.save()
    return saga.share is not None


async def release(turn: Turn, server_id: str, consumer_id: str) -> None:
    await turn.services.placement.release(consumer_id)
    async with turn.services.db.write() as tx:
        await groups.promise(tx, server_id, None)


class Waiting(Protocol):
    waiting_since: float


async def await_ports(turn: Turn, saga: Waiting, server_id: str, host: str) -> None:
    """Raises Wait while ports are not up, and Abort when that takes too long."""
    down = await nics.not_up(turn.services, server_id)
    now = turn.services.clock()
    saga.waiting_since = saga.waiting_since or now
    if not down:
        return
    if now - saga.waiting_since > turn.services.config.port_timeout:
        raise Abort(f"The network did not bring port {down[0]} up on host {host} "
                    f"within {turn.services.config.port_timeout} s.")
    raise Wait(PORT_POLL_SECONDS)
