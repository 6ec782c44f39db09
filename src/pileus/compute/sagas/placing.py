"""Finding a host for a server, and claiming it: what boots, moves and returns from the shelf have in common."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from pileus.compute import nics, scheduling
from pileus.compute.model import groups
from pileus.compute.model.servers import Server
from pileus.compute.port_needs import PortNeed, Share
from pileus.compute.runtime import Compute
from pileus.compute.sagas.hosts import HostRefused
from pileus.compute.scheduler.choice import NO_VALID_HOST
from pileus.kit.bus import Failed, NobodyThere
from pileus.kit.saga import Abort, Onward, Turn, Wait

PORT_POLL_SECONDS = 5.0         # only the fallback: the network service tells us when a port came up
CLAIM_TRIES = 5
FIRST_HOST_SECONDS = 30.0       # that a new server waits for one
FIRST_HOST_POLL_SECONDS = 0.5


class Placed(Protocol):
    """The fields of such a saga. `needs` are its ports', `share` is what was chosen for them on `host`."""

    candidates: dict[str, dict[str, float]]
    choices: list[str]
    host: str
    needs: list[PortNeed]
    share: Share | None


def await_first_host(turn: Turn, server: Server) -> None:
    """Raises Wait where the cloud has just been started and no host has reported yet: there may be one in a moment."""
    asked_just_now = turn.services.clock() < server.created_at + FIRST_HOST_SECONDS
    if asked_just_now and not turn.services.published:
        raise Wait(FIRST_HOST_POLL_SECONDS)


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
            if await scheduling.promise(turn.services, server, host) and await _claim(turn, saga, server, host,
                                                                                      consumer_id):
                saga.host = host
                return
        saga.candidates = await scheduling.candidates(turn.services, server, asked_host, needs=saga.needs)
        await choose(turn, saga, server, asked_host, tried)
    raise Abort(f"{NO_VALID_HOST} Others were faster on every host that fitted; try again.")


async def _claim(turn: Turn, saga: Placed, server: Server, host: str, consumer_id: str) -> bool:
    """Where several providers of the host are asked, what each gives is chosen and written down before it is claimed:
    asked again, placement might offer another way."""
    if saga.share is None or saga.host != host:
        saga.share = None
        if not saga.needs and await scheduling.claim_plain(turn.services, server, host, consumer_id):
            return True
        saga.share = await scheduling.share(turn.services, server, host, saga.needs)
        if saga.share is None:
            return False
        saga.host = host
        await turn.save()
    if await scheduling.claim(turn.services, server, consumer_id, saga.share):
        return True
    saga.host, saga.share = "", None
    return False


async def release(turn: Turn, server_id: str, consumer_id: str) -> None:
    await turn.services.placement.release(consumer_id)
    async with turn.services.db.write() as tx:
        await groups.promise(tx, server_id, None)


class Retried(Placed, Protocol):
    """One that goes on with another host where the first refuses."""

    asked_host: str | None
    waiting_since: float
    refusals: dict[str, str]


def tries_another(compute: Compute, saga: Retried) -> bool:
    """Whether what is undone is undone to go on elsewhere."""
    return saga.host in saga.refusals and len(saga.refusals) < compute.scheduler.max_attempts


@contextlib.asynccontextmanager
async def at_host(turn: Turn, saga: Retried) -> AsyncIterator[None]:
    """Around what the chosen host is asked for: what it refuses, or fails to do at each try, another one may do,
    unless this one was asked for."""
    try:
        yield
    except (HostRefused, Failed, NobodyThere) as error:
        if saga.asked_host is None and (isinstance(error, HostRefused) or turn.is_last_try):
            saga.refusals[saga.host] = str(error)
            await turn.save()
        raise
    saga.refusals.pop(saga.host, None)


async def claim_another(turn: Turn, saga: Retried, server: Server, consumer_id: str,
                        tried: tuple[str, ...] = ()) -> None:
    """As `claim`, of hosts that have not refused; where there is none, that is told with the reason of the last."""
    try:
        await claim(turn, saga, server, consumer_id, saga.asked_host, (*tried, *saga.refusals))
    except Abort as error:
        if not saga.refusals:
            raise
        raise Abort(f"{list(saga.refusals.values())[-1]} No other host takes it: {error}") from error


async def give_up_host(turn: Turn, saga: Retried, server_id: str, consumer_id: str) -> None:
    """The undo of a claim, from which a saga may go onward with the next host."""
    await release(turn, server_id, consumer_id)
    if tries_another(turn.services, saga):
        saga.choices = [host for host in saga.choices if host not in saga.refusals]
        saga.host, saga.share, saga.waiting_since = "", None, 0.0
        raise Onward()


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
