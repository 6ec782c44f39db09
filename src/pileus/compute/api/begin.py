"""Beginning what takes longer than a request: the row that tells of it and its saga, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pileus.compute.api.servers import action_of
from pileus.compute.faults import WrongState
from pileus.compute.model import servers
from pileus.compute.model.servers import Seen
from pileus.compute.model.states import IN_LINE
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.saga import Saga
from pileus.kit.web import Ctx

TRIES = 3                         # where others ask for something of the same server at the same moment
Also = Callable[[Connection], Awaitable[None]]


async def begin(ctx: Ctx, seen: Seen, action: str, saga: Saga, *, name: str = "", also: Also | None = None) -> None:
    """Unless the server is locked, in the wrong state, or something is being done to it. Volumes and cards that come
    and go are waited for. `name`: what the server's actions call it, where that is not the action; `also`: what is
    written with it."""
    seen.server.must_not_be_locked(ctx.caller)
    must_allow(seen, action)
    ctx.span("validate")
    for _ in range(TRIES):
        try:
            async with ctx.db.write() as tx:
                (await servers.get(tx, seen.id)).must_allow(action)
                await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, name or action))
                if also is not None:
                    await also(tx)
                await ctx.sagas.line_up(tx, saga, seen.id, IN_LINE, ctx.spans)
            return
        except db.Taken:
            async with ctx.db.read() as reader:
                seen = await servers.see(reader, seen.id)
            must_allow(seen, action)
    raise busy(seen, action)


def must_allow(seen: Seen, action: str) -> None:
    """Raises WrongState: something is being done to the server, or its state does not allow it."""
    if seen.doing is not None and seen.doing.task is not None:
        raise busy(seen, action)
    seen.server.must_allow(action)


def busy(seen: Seen, action: str) -> WrongState:
    """Something else is being done to the server."""
    task = (seen.doing.task if seen.doing else None) or "changing"
    return WrongState(action=action, server_id=seen.id, attribute="task_state", state=task)
