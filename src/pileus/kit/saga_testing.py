"""Prove a saga: it survives a crash before and after every step, and unwinds from every one of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol

import sqlalchemy as sa

from pileus.kit.saga import Abort, Phase, Saga, sagas
from pileus.kit.saga_engine import Engine, Reach, nothing

Facts = dict[str, Any]
MakeWorld = Callable[[], Awaitable[Any]]
TellFacts = Callable[[Any], Awaitable[Facts]]
BEGAN = 1_000_000.0           # seconds since the epoch, of sagas
DEATH_SECONDS = 120.0         # a process that is to die may take so long
before_too = {"sqlite"}       # dialects of databases on which sagas are disturbed before steps as well


class Crash(BaseException):
    """Stands for kill -9: nothing catches it, no cleanup runs on the way out."""


class Lives(Protocol):
    """A world whose lasting part is in files and on servers, for as many processes as follow each other."""

    async def leave(self, make_world: MakeWorld) -> None:
        """Have what a world is made of, and none open."""

    async def begin(self) -> Any:
        """Open it: the world as another process finds it."""


async def prove(make_world: MakeWorld, state: Saga, facts: TellFacts, unwound: Facts | None = None,
                lives: Lives | None = None) -> None:
    """Run `state` once undisturbed and once for every disturbance, each in a fresh world (an object with `db`).

    `facts(world)` is all the saga may touch, as comparable data. After a crash they must equal those of the
    undisturbed run; after a failure those from before the saga, but for `unwound`.

    With `lives` a crash is real: a process of its own runs the saga and is killed (SIGKILL), this one goes on with what
    it left. Without, all but the engine survives it.

    Where databases are not in `before_too` it is disturbed after steps alone: before one, nothing of it was done, and
    what is read again is what the step before it left, whatever keeps it.
    """
    await survives(make_world, state, facts, lives)
    await unwinds(make_world, state, facts, unwound)


async def survives(make_world: MakeWorld, state: Saga, facts: TellFacts, lives: Lives | None = None) -> None:
    """The part of `prove` that is about crashes."""
    world = await make_world()
    moments, wanted = _moments(world), await _run(world, state, facts)
    for step in type(state).steps:
        for moment in moments:
            crashed = await _survive(make_world, state, facts, f"{state.name}:{step.name}:{moment}", lives)
            assert crashed == wanted, f"after a crash {moment} {step.name}: {crashed} != {wanted}"


async def unwinds(make_world: MakeWorld, state: Saga, facts: TellFacts, unwound: Facts | None = None) -> None:
    """The part of `prove` that is about failures."""
    world, steps = await make_world(), type(state).steps
    moments, wanted = _moments(world), await facts(world) | (unwound or {})
    for index, step in enumerate(steps):
        if any(s.pivot for s in steps[:index]):
            return
        for moment in ("before",) if step.pivot else moments:
            reach = _failing(f"{state.name}:{step.name}:{moment}")
            left = await _run(await make_world(), state, facts, reach, Phase.UNDONE)
            assert left == wanted, f"after unwinding from {moment} {step.name}: {left} != {wanted}"


def _moments(world: Any) -> tuple[str, ...]:
    return ("before", "after") if world.db.dialect in before_too else ("after",)


async def _survive(make_world: MakeWorld, state: Saga, facts: TellFacts, point: str, lives: Lives | None) -> Facts:
    """What there is once a saga that was struck at that point has ended."""
    if lives is None:
        return await _run(await make_world(), state, facts, _crashing(point))
    await lives.leave(make_world)

    async def life() -> None:
        await _run(await lives.begin(), state, facts, _dying(point))

    await until_killed(life)
    return await _go_on(await lives.begin(), facts, since=2 * BEGAN)


async def _run(world: Any, state: Saga, facts: TellFacts, reach: Reach = nothing,
               ends: Phase = Phase.DONE) -> Facts:
    async with world.db.write() as tx:
        await Engine(world.db, world, clock=lambda: BEGAN).start(tx, state, subject="subject")
    return await _go_on(world, facts, reach, ends)


async def _go_on(world: Any, facts: TellFacts, reach: Reach = nothing,
                 ends: Phase = Phase.DONE, since: float = BEGAN) -> Facts:
    now = [since]

    def new_engine() -> Engine:
        engine = Engine(world.db, world, clock=lambda: now[0], backoff=lambda attempt: 0.0)
        engine.reach = reach
        return engine

    engine, phase = new_engine(), None
    for _ in range(300):
        try:
            await engine.drain()
        except Crash:
            engine = new_engine()
        now[0] += 60.0
        async with world.db.read() as reader:
            phase = (await reader.execute(sa.select(sagas.c.phase).where(sagas.c.subject == "subject")
                                          .order_by(sagas.c.created_at.desc()).limit(1))).scalar()
        if phase in (Phase.DONE, Phase.UNDONE):
            break
    assert phase == ends, f"ended {phase}, not {ends}"
    return await facts(world)


async def until_killed(life: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a process of its own, which must end by SIGKILL."""
    pid = os.fork()
    if pid == 0:
        _live(life)
    alarm = asyncio.get_running_loop().call_later(DEATH_SECONDS, os.kill, pid, signal.SIGABRT)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    alarm.cancel()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "it did not come by the point where it is killed"


def _live(life: Callable[[], Coroutine[Any, Any, None]]) -> NoReturn:
    try:
        asyncio.run(life())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _failing(point: str) -> Reach:
    def reach(at: str) -> None:
        if at == point:
            raise Abort("injected")
    return reach


def _crashing(point: str) -> Reach:
    """Once."""
    points = {point}

    def reach(at: str) -> None:
        if at in points:
            points.remove(at)
            raise Crash(point)
    return reach


def _dying(point: str) -> Reach:
    def reach(at: str) -> None:
        if at == point:
            os.kill(os.getpid(), signal.SIGKILL)
    return reach
