"""Sagas: the toy saga proven; superseding, poking, retrying, joining, history and pruning."""

import asyncio

import pytest
import sqlalchemy as sa

from pileus.kit import context, db, saga_history
from pileus.kit.saga import Abort, Onward, Phase, Saga, Wait, sagas, step
from pileus.kit.saga import saga as register
from pileus.kit.saga_engine import Engine
from pileus.kit.saga_testing import prove, until_killed
from tests.kit.toys.boxes import Box, BurnBox, PackBox, boxes, get


async def add_box(world, box_id="b1"):
    async with world.db.write() as tx:
        await db.add(tx, boxes, Box(id=box_id, project_id="p1", name=box_id))


async def facts(world):
    async with world.db.read() as reader:
        rows = await db.many(reader, sa.select(boxes), Box)
    return {"filled": dict(world.filled), "states": {row.id: row.state for row in rows}}


async def phases(world):
    async with world.db.read() as reader:
        return {row.name: row.phase for row in await reader.execute(sa.select(sagas.c.name, sagas.c.phase))}


async def start(world, state, **more):
    async with world.db.write() as tx:
        return await world.sagas.start(tx, state, state.box_id, **more)


async def test_packing_survives_everything(make_world):
    async def small_world():
        world = await make_world()
        await add_box(world)
        return world
    await prove(small_world, PackBox(box_id="b1"), facts, unwound={"states": {"b1": "broken"}})


async def test_burning_survives_everything(make_world):
    async def small_world():
        world = await make_world()
        await add_box(world)
        world.filled["b1"] = "x"
        return world
    await prove(small_world, BurnBox(box_id="b1"), facts)


async def test_a_crash_that_is_real_takes_what_was_in_memory(make_world):
    """Boxes are in memory alone: what one process filled another does not find."""
    async def small_world():
        world = await make_world()
        await add_box(world)
        return world
    with pytest.raises(AssertionError, match="wait_for_tape: {'filled': {}, 'states': {'b1': 'packed'}} !="):
        await prove(small_world, PackBox(box_id="b1"), facts, {"states": {"b1": "broken"}}, lives=make_world)


async def test_a_process_that_is_to_die_must(make_world):
    async def life():
        await make_world()
    with pytest.raises(AssertionError, match="did not come by the point"):
        await until_killed(life)


async def test_abort_unwinds_and_says_why(world):
    await add_box(world)
    world.refuse = True
    await start(world, PackBox(box_id="b1"))
    await world.sagas.drain()
    assert await facts(world) == {"filled": {}, "states": {"b1": "broken"}}
    async with world.db.read() as reader:
        trace = await saga_history.trace(reader, "b1")
    assert [(e.step, e.outcome) for e in trace] == [
        ("accept", "done"), ("fill", "failed"), ("fill", "undone"), ("accept", "undone")]
    assert "no more paper" in trace[1].detail


async def test_a_later_saga_supersedes_one_that_waits(world):
    await add_box(world)
    world.tape = False
    await start(world, PackBox(box_id="b1"))
    await world.sagas.drain()
    first = await start(world, BurnBox(box_id="b1"), supersede=True)
    assert await start(world, BurnBox(box_id="b1"), supersede=True) == first      # asking twice joins
    await world.sagas.drain()
    assert await phases(world) == {"toys.pack_box": "undone", "toys.burn_box": "done"}
    assert await facts(world) == {"filled": {}, "states": {}}


async def test_a_second_saga_of_a_subject_is_refused(world):
    await add_box(world)
    await start(world, PackBox(box_id="b1"))
    with pytest.raises(db.Taken):
        await start(world, BurnBox(box_id="b1"))


@register("toys.note")
class Note(Saga, kw_only=True):
    """Something small that is done to a box, one after the other."""

    box_id: str
    text: str

    @step
    async def accept(self, turn):
        if turn.services.tape is False:
            raise Wait(1000.0)

    @accept.undo
    async def strike(self, turn):
        turn.services.filled["struck"] = (*turn.services.filled.get("struck", ()), self.text)

    @step
    async def write(self, turn):
        turn.services.filled["notes"] = (*turn.services.filled.get("notes", ()), self.text)



async def line_up(world, state):
    async with world.db.write() as tx:
        return await world.sagas.line_up(tx, state, state.box_id, ["toys.note"])


async def test_what_lines_up_has_its_turn(world):
    await add_box(world)
    world.tape = False
    for text in ("one", "two", "three"):
        await line_up(world, Note(box_id="b1", text=text))
    await world.sagas.drain()
    world.tape = True
    async with world.db.write() as tx:
        await world.sagas.poke(tx, "b1")
    await world.sagas.drain()
    assert world.filled == {"notes": ("one", "two", "three")}


async def test_nothing_lines_up_behind_another_kind_or_what_is_to_go(world):
    await add_box(world)
    world.tape = False
    await line_up(world, PackBox(box_id="b1"))
    with pytest.raises(db.Taken):
        await line_up(world, Note(box_id="b1", text="one"))
    await start(world, BurnBox(box_id="b1"), supersede=True)
    await world.sagas.drain()
    await add_box(world)
    await line_up(world, Note(box_id="b1", text="one"))
    await line_up(world, PackBox(box_id="b1"))                                    # anything waits behind notes
    with pytest.raises(db.Taken):
        await line_up(world, Note(box_id="b1", text="two"))
    await world.sagas.drain()
    await start(world, BurnBox(box_id="b1"), supersede=True)
    with pytest.raises(db.Taken):
        await line_up(world, Note(box_id="b1", text="three"))
    await world.sagas.drain()
    assert world.filled == {"struck": ("one",)}


async def test_what_waits_is_undone_before_it_began_when_all_is_superseded(world):
    await add_box(world)
    world.tape = False
    for text in ("one", "two", "three"):
        await line_up(world, Note(box_id="b1", text=text))
    await world.sagas.drain()
    await start(world, BurnBox(box_id="b1"), supersede=True)
    await world.sagas.drain()
    assert world.filled == {"struck": ("one", "two", "three")}
    async with world.db.read() as reader:
        found = await reader.execute(sa.select(sagas.c.name, sagas.c.phase).order_by(sagas.c.created_at))
        assert [tuple(row) for row in found] == [("toys.note", "undone")] * 3 + [("toys.burn_box", "done")]


async def test_superseding_interrupts_a_long_step(world):
    await add_box(world)
    reached = asyncio.Event()

    class SlowFilled(dict):
        pass
    kind = PackBox.steps[1]
    original = kind.do

    async def slow(state, turn):
        turn.services.filled[state.box_id] = "half"
        reached.set()
        await asyncio.Event().wait()
    kind.do = slow
    try:
        worker = asyncio.create_task(world.sagas.run())
        await start(world, PackBox(box_id="b1"))
        await asyncio.wait_for(reached.wait(), 5)
        await start(world, BurnBox(box_id="b1"), supersede=True)
        for _ in range(500):
            if (await phases(world)).get("toys.burn_box") == "done":
                break
            await asyncio.sleep(0.01)
        worker.cancel()
    finally:
        kind.do = original
    assert await phases(world) == {"toys.pack_box": "undone", "toys.burn_box": "done"}
    assert world.filled == {}


async def test_a_poke_wakes_what_waits_and_is_never_lost(world):
    await add_box(world)
    world.tape = False
    await start(world, PackBox(box_id="b1"))
    await world.sagas.drain()
    assert not await world.sagas.run_one()
    world.tape = True
    async with world.db.write() as tx:
        await world.sagas.poke(tx, "b1")
    await world.sagas.drain()
    assert (await phases(world))["toys.pack_box"] == "done"


async def test_a_poke_during_the_step_is_kept(world):
    await add_box(world)
    world.tape = False
    pokes = []

    def reach(point):
        pokes.append(point)
    world.sagas.reach = reach
    original = PackBox.steps[2].do

    async def poked(state, turn):
        if "poked" not in pokes:
            pokes.append("poked")
            async with world.db.write() as tx:
                await world.sagas.poke(tx, "b1")
            turn.services.tape = False
        else:
            turn.services.tape = True
        await original(state, turn)
    PackBox.steps[2].do = poked
    try:
        await start(world, PackBox(box_id="b1"))
        await world.sagas.drain()
    finally:
        PackBox.steps[2].do = original
    assert (await phases(world))["toys.pack_box"] == "done"


async def test_workers_never_share(world):
    for n in range(20):
        await add_box(world, f"b{n}")
        await start(world, PackBox(box_id=f"b{n}"))
    seen = []
    engines = [Engine(world.db, world) for _ in range(4)]
    for engine in engines:
        engine.reach = seen.append
    await asyncio.gather(*(engine.drain() for engine in engines))
    assert seen.count("toys.pack_box:fill:before") == 20
    assert set((await facts(world))["states"].values()) == {"packed"}


async def test_a_stopping_worker_hands_over(world):
    await add_box(world)
    world.tape = False
    task = asyncio.create_task(world.sagas.run())
    await start(world, PackBox(box_id="b1"))
    for _ in range(500):
        if world.filled:
            break
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    world.tape = True
    async with world.db.write() as tx:
        await world.sagas.poke(tx, "b1")
    await Engine(world.db, world).drain()
    assert (await phases(world))["toys.pack_box"] == "done"


async def test_an_undo_that_keeps_failing_gets_stuck_and_is_retried(world):
    await add_box(world)
    world.refuse = True
    world.filled = None                    # breaks both fill and its undo
    saga_id = await start(world, PackBox(box_id="b1"))
    await world.sagas.drain()
    async with world.db.read() as reader:
        stuck = await saga_history.unfinished(reader, stuck=True)
        assert (await saga_history.backlog(reader, world.clock())).stuck == 1
    assert [row.id for row in stuck] == [saga_id] and stuck[0].step == "fill"
    world.filled = {}
    async with world.db.write() as tx:
        assert await saga_history.retry(tx, saga_id)
        assert not await saga_history.retry(tx, "nope")
    await world.sagas.drain()
    assert (await phases(world))["toys.pack_box"] == "undone"


@register("toys.pack_somewhere")
class PackSomewhere(Saga, kw_only=True):
    """Into the first of the papers that is thick enough."""

    box_id: str
    papers: list[str]
    torn: str = ""

    @step(local=True)
    async def accept(self, turn):
        """Nothing to do; the undo is what the user sees."""

    @accept.undo
    async def mark_broken(self, turn):
        await db.change(turn.tx, boxes, await get(turn.tx, self.box_id), state=turn.why)

    @step
    async def choose(self, turn):
        if not self.papers:
            raise Abort("none is left")

    @choose.undo
    async def choose_another(self, turn):
        if self.torn:
            self.papers, self.torn = self.papers[1:], ""
            raise Onward()

    @step
    async def fill(self, turn):
        turn.services.filled[self.box_id] = self.papers[0]
        if self.papers[0].startswith("thin"):
            self.torn = self.papers[0]
            await turn.save()
            raise Abort(f"{self.torn} tears")

    @fill.undo
    async def empty(self, turn):
        turn.services.filled.pop(self.box_id, None)
        if turn.services.unwanted:
            await start(turn.services, BurnBox(box_id=self.box_id), supersede=True)

    @step(local=True)
    async def close(self, turn):
        await db.change(turn.tx, boxes, await get(turn.tx, self.box_id), state="packed")


async def test_a_saga_that_turns_around_survives_everything(make_world):
    async def small_world():
        world = await make_world()
        await add_box(world)
        return world
    state = PackSomewhere(box_id="b1", papers=["thin", "thinner", "thick"])
    await prove(small_world, state, facts, unwound={"states": {"b1": "injected"}})


async def test_a_saga_turns_around_until_nothing_is_left_or_another_one_comes(world):
    await add_box(world)
    await start(world, PackSomewhere(box_id="b1", papers=["thin", "thinner"]))
    await world.sagas.drain()
    assert await facts(world) == {"filled": {}, "states": {"b1": "none is left"}}
    async with world.db.read() as reader:
        trace = await saga_history.trace(reader, "b1")
    assert [(e.step, e.outcome) for e in trace] == [
        ("accept", "done"), *[("choose", "done"), ("fill", "failed"), ("fill", "undone"), ("choose", "undone")] * 2,
        ("choose", "failed"), ("choose", "undone"), ("accept", "undone")]
    world.unwanted = True
    await start(world, PackSomewhere(box_id="b1", papers=["thin", "thick"]))
    await world.sagas.drain()
    assert await phases(world) == {"toys.pack_somewhere": Phase.UNDONE, "toys.burn_box": Phase.DONE}
    assert await facts(world) == {"filled": {}, "states": {}}


@register("toys.pack_many")
class PackMany(Saga, kw_only=True):
    box_ids: list[str]
    children: list[str] = []

    @step(local=True)
    async def begin_all(self, turn):
        self.children = [await turn.begin(PackBox(box_id=box_id), box_id) for box_id in self.box_ids]

    @step
    async def await_all(self, turn):
        await turn.join(self.children)

    @step(local=True)
    async def celebrate(self, turn):
        await db.change(turn.tx, boxes, await get(turn.tx, self.box_ids[0]), state="all packed")


async def test_children_are_joined(world):
    for name in ("b1", "b2"):
        await add_box(world, name)
    async with world.db.write() as tx:
        await world.sagas.start(tx, PackMany(box_ids=["b1", "b2"]), "many")
    await world.sagas.drain()
    assert (await facts(world))["states"] == {"b1": "all packed", "b2": "packed"}


async def test_history_belongs_to_the_request_and_is_pruned(world):
    await add_box(world)
    known = context.request_id.set("req-1")
    try:
        saga_id = await start(world, PackBox(box_id="b1"), spans=[("authenticate", 1.0, 2.0)])
    finally:
        context.request_id.reset(known)
    await world.sagas.drain()
    async with world.db.read() as reader:
        by_request, by_saga = await saga_history.trace(reader, "req-1"), await saga_history.trace(reader, saga_id)
    assert by_request == by_saga
    assert [e.step for e in by_request] == ["authenticate", "accept", "fill", "wait_for_tape", "close"]
    async with world.db.write() as tx:
        assert await saga_history.prune(tx, world.clock() + 10) == 1
        assert await saga_history.trace(tx, saga_id) == []


async def test_leases_of_the_dead_are_forgotten(world):
    await add_box(world)
    await start(world, PackBox(box_id="b1"))
    assert await world.sagas.claim() is not None          # and its worker is gone
    assert not await world.sagas.run_one()
    await world.sagas.forget_leases()
    assert await world.sagas.run_one()
    assert (await phases(world)) == {"toys.pack_box": Phase.DONE}
