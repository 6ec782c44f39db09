"""Prove a saga: it survives a crash before and after every step, and unwinds from every one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa

from pileus.kit.saga import Abort, Phase, Saga, sagas
from pileus.kit.saga_engine import Engine

Facts = dict[str, Any]
before_too = True             # a run in a hurry says no, and disturbs sagas on SQLite as on servers


class Crash(BaseException):
    """Stands for kill -9: nothing catches it, no cleanup runs on the way out."""


async def prove(make_world: Callable[[], Awaitable[Any]], state: Saga, facts: Callable[[Any], Awaitable[Facts]],
                unwound: Facts | None = None) -> None:
    """Run `state` once undisturbed and once for every disturbance, each in a fresh world (an object with `db`).

    `facts(world)` is all the saga may touch, as comparable data. After a crash they must equal those of the
    undisturbed run; after a failure those from before the saga, but for `unwound`.

    On a database server it is disturbed after steps alone: before one, nothing of it was done, and what is read again
    is what the step before it left, whatever keeps it.
    """
    world = await make_world()
    moments = ("before", "after") if world.db.dialect == "sqlite" and before_too else ("after",)
    wanted = await _run(world, state, facts)
    steps = type(state).steps
    for index, step in enumerate(steps):
        for moment in moments:
            crashed = await _run(await make_world(), state, facts, crash=f"{state.name}:{step.name}:{moment}")
            assert crashed == wanted, f"after a crash {moment} {step.name}: {crashed} != {wanted}"
        if any(s.pivot for s in steps[:index]):
            continue
        for moment in ("before",) if step.pivot else moments:
            world = await make_world()
            empty = await facts(world)
            left = await _run(world, state, facts, fail=f"{state.name}:{step.name}:{moment}", ends=Phase.UNDONE)
            assert left == empty | (unwound or {}), f"after unwinding from {moment} {step.name}: {left}"


async def _run(world: Any, state: Saga, facts: Callable[[Any], Awaitable[Facts]], *, crash: str = "", fail: str = "",
               ends: Phase = Phase.DONE) -> Facts:
    now = [1_000_000.0]
    crashed = False

    def new_engine() -> Engine:
        return Engine(world.db, world, clock=lambda: now[0], backoff=lambda attempt: 0.0)

    def reach(point: str) -> None:
        nonlocal crashed
        if point == fail:
            raise Abort("injected")
        if point == crash and not crashed:
            crashed = True
            raise Crash(point)

    engine = new_engine()
    async with world.db.write() as tx:
        await engine.start(tx, state, subject="subject")
    phase = None
    for _ in range(300):
        engine.reach = reach
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
