"""The worker of sagas: claims due rows under a lease, runs their steps, records each, and unwinds what fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from pileus.kit import context, db
from pileus.kit import saga_statements as statements
from pileus.kit.clock import Clock
from pileus.kit.db import Connection, Db
from pileus.kit.saga import (
    FINISHED,
    KINDS,
    RUNNING,
    Abort,
    Event,
    LeaseLost,
    Onward,
    Phase,
    Saga,
    Step,
    Turn,
    Wait,
    sagas,
)
from pileus.kit.saga_statements import POKED

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 20              # of a step that cannot be unwound; then an operator is needed
SUPERSEDED = "superseded by a later request"
Reach = Callable[[str], None]   # told the name of every point where a crash must do no harm


def nothing(point: str) -> None:
    """The fault injector of production."""


def default_backoff(attempt: int) -> float:
    return min(2.0 ** attempt / 2, 60.0)


class _Work:
    """One claimed saga in this process."""

    def __init__(self, row: dict[str, Any]):
        self.row = row
        row["detail"] = None
        self.task = asyncio.current_task()
        self.interruptible = self.interrupted = False

    def interrupt(self) -> None:
        if self.interruptible and self.task is not None and not self.interrupted:
            self.interrupted = True
            self.task.cancel()


class Engine:
    """`clock=None` takes the time from the database, which all workers share; tests hand in their own."""

    def __init__(self, database: Db, services: Any = None, *, lease: float = 30.0, turns: int = 32,
                 clock: Clock | Callable[[], float] | None = None,
                 backoff: Callable[[int], float] = default_backoff):
        self.db, self.services, self.lease, self.turns, self.backoff = database, services, lease, turns, backoff
        self._clock = clock
        self._nudge, self._line = asyncio.Event(), asyncio.Lock()
        self._working: dict[str, _Work] = {}
        self._leases: set[str] = set()
        self.reach: Reach = nothing
        self.idle = 1.0                                           # seconds after which it looks for work in any case
        self.wake_others: Callable[[], None] = lambda: None       # how workers in other processes hear of new work

    def use_clock(self, clock: Clock) -> None:
        """In place of the database's."""
        self._clock = clock

    # -- what services call -----------------------------------------------------------------

    async def start(self, tx: Connection, state: Saga, subject: str, *, supersede: bool = False,
                    parent: str | None = None, spans: Iterable[tuple[str, float, float]] = ()) -> str:
        """Queue a saga inside the caller's transaction: the row it serves and the saga commit together.

        One saga per subject runs at a time. With `supersede` the running one is asked to unwind and this one waits
        for it (asking again for what is already running joins it), and what waits is undone before it has begun;
        without, a second saga raises `db.Taken`.
        `spans` are steps of the API call that led here: (name, began, ended) in seconds since the epoch.
        """
        blocked = False
        if supersede:
            running = (await tx.execute(sa.select(sagas.c.id, sagas.c.name).where(
                sagas.c.active_subject == subject).with_for_update())).first()
            if running and running.name == state.name:
                return running.id
            waiting = (await tx.execute(sa.select(sagas.c.id).where(
                sagas.c.subject == subject, sagas.c.phase == Phase.QUEUED, sagas.c.name == state.name))).first()
            if waiting:
                return waiting.id
            if running:
                blocked = await db.update(tx, sagas.update().where(
                    sagas.c.id == running.id, sagas.c.active_subject == subject,
                ).values(unwind_asked=True, wake_at=0.0)) == 1
                await tx.execute(sagas.update().where(
                    sagas.c.subject == subject, sagas.c.phase == Phase.QUEUED).values(unwind_asked=True))
                tx.on_commit(lambda: self._interrupt(subject))
        return await self._add(tx, state, subject, blocked=blocked, parent=parent, spans=spans)

    async def line_up(self, tx: Connection, state: Saga, subject: str, behind: Collection[str],
                      spans: Iterable[tuple[str, float, float]] = ()) -> str:
        """As `start`, but a saga of one of the kinds `behind` is waited for: each has its turn, in the order they were
        asked for. Raises `db.Taken` where another kind runs or waits, or one is asked to unwind."""
        # The lock on the row of the one that runs keeps it from ending before this one is there to be released.
        running = (await tx.execute(sa.select(sagas.c.id, sagas.c.name, sagas.c.unwind_asked).where(
            sagas.c.active_subject == subject).with_for_update())).first()
        if running is not None:
            others = (await tx.execute(sa.select(sagas.c.name, sagas.c.unwind_asked).where(
                sagas.c.subject == subject, sagas.c.phase == Phase.QUEUED))).all()
            if any(each.name not in behind or each.unwind_asked for each in (running, *others)):
                raise db.Taken(subject)
        return await self._add(tx, state, subject, blocked=running is not None, parent=None, spans=spans)

    async def _add(self, tx: Connection, state: Saga, subject: str, *, blocked: bool, parent: str | None,
                   spans: Iterable[tuple[str, float, float]]) -> str:
        saga_id, now, request_id = str(uuid.uuid4()), self._time(), context.request_id.get()
        await tx.execute(statements.ADD, {
            "id": saga_id, "name": state.name, "subject": subject, "active_subject": None if blocked else subject,
            "request_id": request_id, "parent": parent, "phase": Phase.QUEUED if blocked else Phase.FORWARD,
            "step": state.steps[0].name, "step_began": now, "unwind_asked": False, "stuck": False,
            "data": msgspec.json.encode(state).decode(), "attempt": 0, "wake_at": 0.0, "created_at": now,
            "lease_until": 0.0})
        for name, began, ended in spans:
            await self._record(tx, Event(saga_id=saga_id, request_id=request_id, subject=subject, saga=state.name,
                                         step=name, outcome="done", began_at=began, ended_at=ended))
        tx.on_commit(self.nudge)
        tx.on_commit(self.wake_others)
        return saga_id

    async def poke(self, tx: Connection, subject: str) -> None:
        """What the subject's saga waits for may have come: call its step again now."""
        await tx.execute(statements.POKE, {"of": subject})
        tx.on_commit(self.nudge)
        tx.on_commit(self.wake_others)

    async def outcomes(self, saga_ids: list[str]) -> list[tuple[str, str | None]]:
        async with self.db.read() as reader:
            rows = await reader.execute(sa.select(sagas.c.phase, sagas.c.error).where(sagas.c.id.in_(saga_ids)))
            return [(row.phase, row.error) for row in rows]

    async def save_fields(self, row: dict[str, Any], state: Saga) -> None:
        await self._save(row, data=msgspec.json.encode(state).decode())

    def nudge(self) -> None:
        self._nudge.set()

    # -- the worker -------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled; on the way out, let go of what runs so that another worker can go on at once."""
        slots, running = asyncio.Semaphore(self.turns), set[asyncio.Task[None]]()
        try:
            while True:
                self._nudge.clear()
                await slots.acquire()
                try:
                    row = await self.claim()
                    pause = await self._until_next() if row is None else 0.0
                except (db.Collision, exc.DBAPIError, OSError):
                    log.warning("the database does not answer the engine", exc_info=True)
                    row, pause = None, 1.0
                if row is None:
                    slots.release()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._nudge.wait()
                    continue
                task = asyncio.create_task(self._work(row), name=f"saga {row['name']}")
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: slots.release())
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.shield(self._let_go())

    async def _let_go(self) -> None:
        """A cancellation may have come between taking a lease and working, or while one was given back."""
        leases, self._leases = self._leases, set()
        if leases:
            async with self.db.write() as tx:
                await tx.execute(sagas.update().where(sagas.c.lease.in_(leases)).values(lease=None, lease_until=0.0))

    async def run_one(self) -> bool:
        row = await self.claim()
        if row is not None:
            await self._work(row)
        return row is not None

    async def drain(self) -> None:
        """Run everything that is due, and what becomes due meanwhile."""
        while await self.run_one():
            pass

    async def forget_leases(self) -> None:
        """For the only worker of a database, at start: whoever held a lease is dead."""
        async with self.db.write() as tx:
            await tx.execute(sagas.update().where(sagas.c.lease_until > 0.0).values(lease=None, lease_until=0.0))

    async def claim(self) -> dict[str, Any] | None:
        """Take the lease of the most overdue saga; None when nothing is due."""
        (asked, now), token = self._timed(), str(uuid.uuid4())
        if self.db.dialect == "sqlite":                  # the common answer, nothing, needs no write lock
            async with self.db.read() as reader:
                if await db.scalar(reader, asked.any_due, **now) is None:
                    return None
        async with self.db.write() as tx:
            row = (await tx.execute(asked.due, now)).first()
            if row is None:
                return None
            self._leases.add(token)
            taken = await db.update(tx, asked.take, saga=row.id, known=row.lease_until, token=token,
                                    seconds=self.lease, **now)
        if taken == 1:
            return dict(row._mapping, lease=token)
        self._leases.discard(token)
        return None

    async def _work(self, row: dict[str, Any]) -> None:
        """Run a claimed saga until it ends, waits, or is lost to another worker."""
        work, token = _Work(row), row["lease"]
        self._working[row["subject"]] = work
        known = context.request_id.set(row["request_id"])
        keeper = asyncio.create_task(self._keep_lease(work))
        try:
            with contextlib.suppress(LeaseLost):
                while await self._in_line(work):
                    pass
            self._leases.discard(token)
        finally:
            keeper.cancel()
            context.request_id.reset(known)
            if self._working.get(row["subject"]) is work:
                del self._working[row["subject"]]

    async def _in_line(self, work: _Work) -> bool:
        """Steps that wait for nothing would follow each other, of all sagas, before anybody else got a word in. So one
        begins per round of the event loop."""
        async with self._line:
            await asyncio.sleep(0)
        return await self._turn(work)

    async def _turn(self, work: _Work) -> bool:
        """Run one step or one undo; True when the saga can go on at once."""
        row = work.row
        kind = KINDS[row["name"]]
        state = msgspec.json.decode(row["data"], type=kind)
        index = next(i for i, s in enumerate(kind.steps) if s.name == row["step"])
        if row["phase"] == Phase.FORWARD and row["unwind_asked"] and self._may_interrupt(kind, index):
            await self._save(row, phase=Phase.BACKWARD, attempt=0, error=SUPERSEDED, step_began=self._time())
        current, forward = kind.steps[index], row["phase"] == Phase.FORWARD
        row["detail"] = None
        try:
            if not current.local:
                await self._call(work, current, state, interruptible=self._may_interrupt(kind, index))
            async with self._transaction(current, forward) as tx:
                if current.local and (method := current.do if forward else current.undo_with) is not None:
                    self._reach(row, current, "before", forward)
                    await method(state, Turn(self, row, state, tx))
                    self._reach(row, current, "after", forward)
                await self._advance(tx, row, kind, index, state)
            return row["phase"] in RUNNING
        except LeaseLost:
            raise
        except Onward:
            if forward or current.local:
                wrong = RuntimeError("nothing but the undo of a step that is not local may turn a saga around")
                return await self._failed(row, current, forward, wrong)
            return await self._onward(row, kind, index, state)
        except asyncio.CancelledError:
            return await self._cancelled(work, kind, index)
        except Wait as wait:
            return await self._waits(row, state, wait)
        except db.Collision:                       # nobody's fault, and nothing happened: no try is spent
            return await self._waits(row, state, Wait(random.uniform(0.02, 0.2)))
        except Exception as error:
            return await self._failed(row, current, forward, error)

    async def _call(self, work: _Work, current: Step, state: Saga, *, interruptible: bool) -> None:
        forward = work.row["phase"] == Phase.FORWARD
        method = current.do if forward else current.undo_with
        self._reach(work.row, current, "before", forward)
        if method is not None:
            work.interruptible = forward and interruptible
            try:
                async with asyncio.timeout(current.timeout):
                    await method(state, Turn(self, work.row, state))
            finally:
                work.interruptible = False
        self._reach(work.row, current, "after", forward)

    @contextlib.asynccontextmanager
    async def _transaction(self, current: Step, forward: bool) -> AsyncIterator[Connection]:
        async with asyncio.timeout(current.timeout), self.db.write() as tx:
            yield tx

    def _reach(self, row: dict[str, Any], current: Step, moment: str, forward: bool) -> None:
        if forward:
            self.reach(f"{row['name']}:{current.name}:{moment}")

    async def _advance(self, tx: Connection, row: dict[str, Any], kind: type[Saga], index: int, state: Saga) -> None:
        """Record that the step is done (or undone) and stand at the next one, or at the end."""
        forward, now = row["phase"] == Phase.FORWARD, self._time()
        current, follow = kind.steps[index], index + 1 if forward else index - 1
        values: dict[str, Any] = {"data": msgspec.json.encode(state).decode(), "attempt": 0, "step_began": now}
        if 0 <= follow < len(kind.steps):
            values["step"] = kind.steps[follow].name
        else:
            values |= {"phase": Phase.DONE if forward else Phase.UNDONE, "active_subject": None,
                       "lease": None, "lease_until": 0.0, "finished_at": now}
        if forward or current.undo_with is not None:
            outcome = "done" if forward else "undone"
            await self._record(tx, self._event(row, current.name, outcome, now, row["detail"]))
        await self._save(row, tx=tx, **values)
        if forward and row["phase"] == Phase.FORWARD:
            row["unwind_asked"] = await db.scalar(tx, statements.UNWIND_ASKED, saga=row["id"])

    async def _onward(self, row: dict[str, Any], kind: type[Saga], index: int, state: Saga) -> bool:
        """An undo is done and the saga goes forward again, unless somebody wants it undone."""
        async with self.db.write() as tx:
            if await db.scalar(tx, statements.UNWIND_ASKED, saga=row["id"]):
                await self._advance(tx, row, kind, index, state)
            else:
                now = self._time()
                await self._record(tx, self._event(row, kind.steps[index].name, "undone", now, row["detail"]))
                await self._save(row, tx=tx, phase=Phase.FORWARD, attempt=0, error=None, step_began=now,
                                 data=msgspec.json.encode(state).decode())
        return row["phase"] in RUNNING

    async def _waits(self, row: dict[str, Any], state: Saga, wait: Wait) -> bool:
        wake_at = sa.case((sagas.c.wake_at == POKED, POKED), else_=self._now() + wait.seconds)
        await self._save(row, wake_at=wake_at, lease=None, lease_until=0.0, attempt=0,
                         data=msgspec.json.encode(state).decode())
        return False

    async def _cancelled(self, work: _Work, kind: type[Saga], index: int) -> bool:
        """Interrupted by a superseding saga: unwind. Else this worker is stopping: let another go on at once."""
        if not (work.interrupted and self._may_interrupt(kind, index)):
            await asyncio.shield(self._save(work.row, lease=None, lease_until=0.0))
            raise asyncio.CancelledError
        if work.task is not None:
            work.task.uncancel()
        await self._save(work.row, phase=Phase.BACKWARD, attempt=0, error=SUPERSEDED, step_began=self._time())
        return True

    async def _failed(self, row: dict[str, Any], current: Step, forward: bool, error: Exception) -> bool:
        attempt, text = row["attempt"] + 1, str(error) or repr(error)
        if isinstance(error, TimeoutError):
            text = f"{current.name} took longer than {current.timeout:g} s"
        expected = isinstance(error, Abort)
        log.log(logging.INFO if expected else logging.WARNING, "%s: %s of %s failed: %s", row["name"], current.name,
                row["subject"], text, extra={"saga": row["id"], "attempt": attempt},
                exc_info=None if expected else error)
        kind, now = KINDS[row["name"]], self._time()
        spent = expected or attempt >= current.tries and not current.pivot
        unwinds = forward and spent and self._may_unwind(kind, kind.steps.index(current))
        stuck = not unwinds and attempt >= MOST_ATTEMPTS
        if unwinds:
            values: dict[str, Any] = {"phase": Phase.BACKWARD, "attempt": 0, "error": text, "step_began": now}
        elif stuck:
            values = {"stuck": True, "attempt": attempt, "error": row["error"] or text,
                      "lease": None, "lease_until": 0.0}
        else:
            # An undo that fails does not replace the reason why the saga unwinds.
            values = {"attempt": attempt, "error": text if forward else row["error"],
                      "wake_at": self._now() + self.backoff(attempt), "lease": None, "lease_until": 0.0}
        async with self.db.write() as tx:
            await self._record(tx, self._event(row, current.name, "stuck" if stuck else "failed", now, text))
            await self._save(row, tx=tx, **values)
        return unwinds

    @staticmethod
    def _may_unwind(kind: type[Saga], index: int) -> bool:
        """A pivot that is under way unwinds only when it says so itself, by Abort: else it may have done its work."""
        return not any(s.pivot for s in kind.steps[:index])

    @staticmethod
    def _may_interrupt(kind: type[Saga], index: int) -> bool:
        return not any(s.pivot for s in kind.steps[:index + 1])

    # -- rows -------------------------------------------------------------------------------

    async def _save(self, row: dict[str, Any], tx: Connection | None = None, **values: Any) -> None:
        """Every write is fenced by the lease; finishing also releases the next saga of the subject."""
        async with contextlib.AsyncExitStack() as stack:
            tx = tx if tx is not None else await stack.enter_async_context(self.db.write())
            said = {name: value for name, value in values.items() if isinstance(value, sa.ClauseElement)}
            given = {name: value for name, value in values.items() if name not in said}
            statement = statements.SAVE.values(said) if said else statements.SAVE
            if await db.update(tx, statement, saga=row["id"], held=row["lease"], **given) != 1:
                raise LeaseLost(row["id"])
            if values.get("phase") in FINISHED:
                await self._release_next(tx, row)
        row.update(values)

    async def _release_next(self, tx: Connection, row: dict[str, Any]) -> None:
        first = await db.scalar(tx, statements.NEXT_OF_SUBJECT, of=row["subject"])
        if first is not None:
            await tx.execute(statements.RELEASE, {"saga": first, "of": row["subject"]})
            tx.on_commit(self.nudge)
        if row["parent"] is not None:
            await tx.execute(statements.WAKE, {"saga": row["parent"]})
            tx.on_commit(self.nudge)

    @staticmethod
    async def _record(tx: Connection, event: Event) -> None:
        await tx.execute(statements.RECORD, msgspec.structs.asdict(event))

    @staticmethod
    def _event(row: dict[str, Any], name: str, outcome: str, now: Any, detail: str | None) -> Event:
        return Event(saga_id=row["id"], request_id=row["request_id"], subject=row["subject"], saga=row["name"],
                     step=name, outcome=outcome, began_at=row["step_began"], ended_at=now, detail=detail)

    async def _keep_lease(self, work: _Work) -> None:
        while True:
            await asyncio.sleep(self.lease / 3)
            try:
                await self._save(work.row, lease_until=self._now() + self.lease)
                async with self.db.read() as reader:
                    if await db.scalar(reader, statements.UNWIND_ASKED, saga=work.row["id"]):
                        work.interrupt()
            except LeaseLost:
                if work.task is not None:
                    work.task.cancel()
                return
            except (db.Collision, exc.DBAPIError, OSError):
                log.warning("the lease of saga %s could not be renewed", work.row["id"], exc_info=True)

    def _interrupt(self, subject: str) -> None:
        if work := self._working.get(subject):
            work.row["unwind_asked"] = True
            work.interrupt()
        self.nudge()

    async def _until_next(self) -> float:
        """Seconds until something falls due by itself, at most `idle`: other processes may start sagas unheard."""
        asked, now = self._timed()
        async with self.db.read() as reader:
            seconds = await db.scalar(reader, asked.until_next, **now)
        return self.idle if seconds is None else min(max(float(seconds), 0.005), self.idle)

    def _now(self) -> Any:
        """The time that leases and wake-ups go by: an SQL expression, or the tests' clock."""
        return db.now() if self._clock is None else self._clock()

    def _timed(self) -> tuple[statements.Timed, dict[str, Any]]:
        """Statements that go by the same time, and what is to be handed to them."""
        if self._clock is None:
            return statements.BY_DATABASE, {}
        return statements.BY_CLOCK, {"now": self._clock()}

    def _time(self) -> float:
        """The time written into the history, by this machine's clock."""
        return time.time() if self._clock is None else self._clock()
