"""What operators ask of every service: the trace of a request, unfinished work, work that is stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from pileus.kit import saga_history
from pileus.kit.faults import NotFound
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.reconcile import reconciler
from pileus.kit.routes import Page, Routes
from pileus.kit.saga import Event
from pileus.kit.saga_history import Backlog, SagaRow
from pileus.kit.web import Ctx

if TYPE_CHECKING:
    from pileus.kit.service import Runtime

routes = Routes()
KEPT_SECONDS = 7 * 86400.0              # for which finished work can still be traced


class NoStuckSaga(NotFound):
    message = "No stuck saga has the id {saga_id}."


class SagaQuery(msgspec.Struct, kw_only=True):
    stuck: bool = False
    subject: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


@routes.get("/pileus/trace/{wanted}", envelope="events", policy=Rule("pileus:trace", ADMIN))
async def show_trace(ctx: Ctx, wanted: str) -> Page[Event]:
    """Spans of a request id, of a saga, or of everything ever done to a thing, in the order of time."""
    async with ctx.db.read() as reader:
        return Page(await saga_history.trace(reader, wanted))


@routes.get("/pileus/sagas", envelope="sagas", policy=Rule("pileus:sagas:list", ADMIN))
async def list_sagas(ctx: Ctx, query: SagaQuery) -> Page[SagaRow]:
    """Unfinished sagas, the oldest first."""
    async with ctx.db.read() as reader:
        return Page(await saga_history.unfinished(
            reader, stuck=query.stuck, subject=query.subject, limit=query.limit))


@routes.post("/pileus/sagas/{saga_id}/retry", status=202, policy=Rule("pileus:sagas:retry", ADMIN))
async def retry_saga(ctx: Ctx, saga_id: str) -> None:
    """Let a stuck saga go on with the step it stopped at."""
    async with ctx.db.write() as tx:
        if not await saga_history.retry(tx, saga_id):
            raise NoStuckSaga(saga_id=saga_id)
        tx.on_commit(ctx.sagas.nudge)


@routes.get("/pileus/backlog", envelope="backlog", policy=Rule("pileus:backlog", ADMIN))
async def show_backlog(ctx: Ctx) -> Backlog:
    """What an alarm looks at."""
    async with ctx.db.read() as reader:
        return await saga_history.backlog(reader, ctx.clock())


@reconciler(every=3600)
async def forgotten_sagas(runtime: Runtime) -> None:
    """Finished work is not kept for ever."""
    before, more = runtime.clock() - KEPT_SECONDS, True
    while more:
        async with runtime.db.write() as tx:
            more = bool(await saga_history.prune(tx, before))
