"""Buses: one suite for the one in memory and the one on RabbitMQ, then what only a broker can do to us."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import Any, ClassVar

import aio_pika
import pytest

from pileus.kit import context
from pileus.kit.bus import Bus, ChaosBus, Failed, Handlers, MemoryBus, Message, NobodyThere, envelope_of
from pileus.kit.bus_amqp import AmqpBus
from tests.kit.brokers import Proxy, await_true, private_broker

BROKER = os.environ.get("PILEUS_TEST_RABBITMQ", "")
AWAY_SECONDS = float(os.environ.get("PILEUS_TEST_AWAY_SECONDS", "0"))     # of a node that is cut off
on_rabbitmq = [pytest.param("rabbitmq", id="rabbitmq")] if BROKER else []


class Echo(Message, kw_only=True, frozen=True):
    topic: ClassVar = "toys"
    reply: ClassVar = str
    text: str


class Break(Message, kw_only=True, frozen=True):
    topic: ClassVar = "toys"
    reply: ClassVar = str


class Ask(Message, kw_only=True, frozen=True):
    """Answered with the request it belongs to."""

    topic: ClassVar = "toys"
    reply: ClassVar = str


class Hang(Message, kw_only=True, frozen=True):
    topic: ClassVar = "toys"


class Note(Message, kw_only=True, frozen=True):
    topic: ClassVar = "toys"
    number: int


class Toys:
    def __init__(self, name: str = ""):
        self.name = name
        self.notes: list[int] = []
        self.hanging = self.most = 0
        self.go_on = asyncio.Event()


handlers = Handlers()


@handlers.on(Echo)
async def echo(toys: Toys, message: Echo) -> str:
    return toys.name + message.text


@handlers.on(Break)
async def break_it(toys: Toys, message: Break) -> str:
    raise LookupError("no such toy")


@handlers.on(Ask)
async def ask(toys: Toys, message: Ask) -> str:
    return context.request_id.get()


@handlers.on(Hang)
async def hang(toys: Toys, message: Hang) -> None:
    toys.hanging += 1
    try:
        await toys.go_on.wait()
    finally:
        toys.hanging -= 1


@handlers.on(Note)
async def note(toys: Toys, message: Note) -> None:
    toys.notes.append(message.number)


class Buses:
    """Busses that reach each other: the same one in memory, one for each process on a broker."""

    def __init__(self, kind: str, url: str = BROKER):
        self.kind, self.url, self.prefix = kind, url, f"t{uuid.uuid4().hex[:8]}."
        self.made: list[Bus] = []

    def make(self, **more: Any) -> Any:
        if self.kind == "memory":
            self.made = self.made or [MemoryBus()]
        else:
            more = {"prefix": self.prefix, "backoff": lambda attempt: 0.05, "check": 0.5, "patience": 10.0} | more
            self.made.append(AmqpBus(more.pop("url", self.url), **more))
        return self.made[-1]

    async def close(self) -> None:
        for bus in self.made:
            await bus.close()
        if self.kind == "rabbitmq":
            async with await aio_pika.connect(self.url) as connection:
                channel = await connection.channel()
                for name in ("toys", "toys.h1", "toys.h2"):
                    await channel.queue_delete(self.prefix + name)


@pytest.fixture(params=["memory", *on_rabbitmq])
async def buses(request):
    made = Buses(request.param)
    yield made
    await made.close()


@pytest.fixture(params=on_rabbitmq)
async def remote(request):
    made = Buses("rabbitmq")
    yield made
    await made.close()


@pytest.fixture
async def proxy():
    async with Proxy(BROKER) as made:
        yield made


async def both(buses: Buses, **more: Any) -> tuple[Any, Toys]:
    """Who sends, and what a listener in another process holds."""
    toys = Toys()
    await buses.make(**more).listen("toys", handlers, toys)
    return buses.make(), toys


async def test_calls_are_answered(buses):
    bus, _ = await both(buses)
    assert await bus.call(Echo(text="hello")) == "hello"


async def test_casts_arrive(buses):
    bus, toys = await both(buses)
    for number in range(20):
        await bus.cast(Note(number=number))
    await await_true(lambda: sorted(toys.notes) == list(range(20)))


async def test_failures_tell_their_kind(buses):
    bus, _ = await both(buses)
    with pytest.raises(Failed, match="no such toy") as failed:
        await bus.call(Break())
    assert failed.value.kind == "LookupError"


async def test_nobody_listens(buses):
    with pytest.raises(NobodyThere):
        await buses.make().call(Echo(text="hello"), timeout=5)


async def test_no_answer_in_time(buses):
    bus, toys = await both(buses)
    began = time.monotonic()
    with pytest.raises(NobodyThere, match=r"within 0\.3 s"):
        await bus.call(Hang(), timeout=0.3)
    assert 0.25 < time.monotonic() - began < 3 and toys.hanging == 1
    toys.go_on.set()
    assert await bus.call(Echo(text="still here")) == "still here"


async def test_hosts_are_told_apart(buses):
    for host in ("h1", "h2"):
        await buses.make().listen("toys", handlers, Toys(host), host=host)
    bus = buses.make()
    assert [await bus.call(Echo(text="!"), host=host) for host in ("h1", "h2", "h1")] == ["h1!", "h2!", "h1!"]
    with pytest.raises(NobodyThere):
        await bus.call(Echo(text="!"), timeout=5)


async def test_the_request_travels(buses):
    bus, _ = await both(buses)
    known = context.request_id.set("req-7")
    try:
        assert await bus.call(Ask()) == "req-7"
    finally:
        context.request_id.reset(known)
    assert await bus.call(Ask()) == ""


async def test_big_messages(buses):
    bus, _ = await both(buses)
    text = "0123456789abcdef" * (1 << 16)
    assert await bus.call(Echo(text=text)) == text


async def test_many_calls_at_once(buses):
    bus, _ = await both(buses)
    began = time.monotonic()
    answers = await asyncio.gather(*(bus.call(Echo(text=str(n))) for n in range(500)))
    assert answers == [str(n) for n in range(500)]
    assert time.monotonic() - began < 15


async def test_slow_handlers_hold_up_nobody(buses):
    bus, toys = await both(buses)
    slow = [asyncio.create_task(bus.call(Hang())) for _ in range(10)]
    await await_true(lambda: toys.hanging == 10)
    assert await bus.call(Echo(text="quick"), timeout=5) == "quick"
    toys.go_on.set()
    assert await asyncio.gather(*slow) == [None] * 10


async def test_chaos_loses_repeats_and_never_doubles():
    bus, toys = ChaosBus(seed=7), Toys()
    await bus.listen("toys", handlers, toys)
    lost = 0
    for number in range(100):
        try:
            await bus.call(Note(number=number))
        except NobodyThere:
            lost += 1
    await bus.close()
    assert 20 < lost < 80 and len(toys.notes) == len(set(toys.notes)) >= 100 - lost


# -- on a broker ------------------------------------------------------------------------------


async def send_raw(remote: Buses, *wires: bytes, name: str = "toys") -> None:
    async with await aio_pika.connect(remote.url) as connection:
        channel = await connection.channel()
        for wire in wires:
            await channel.default_exchange.publish(aio_pika.Message(wire), remote.prefix + name)


async def test_repeats_are_dropped(remote):
    bus, toys = await both(remote)
    wire = envelope_of(Note(number=1))
    await send_raw(remote, wire, wire, wire)
    assert await bus.call(Echo(text="after")) == "after"
    assert toys.notes == [1]


async def test_rubbish_is_thrown_away(remote):
    bus, toys = await both(remote)
    await send_raw(remote, b"rubbish", b"\xc1")
    assert await bus.call(Echo(text="fine")) == "fine"


async def test_two_listeners_share(remote):
    first, second = Toys("1"), Toys("2")
    for toys in (first, second):
        await remote.make().listen("toys", handlers, toys)
    bus = remote.make()
    answers = await asyncio.gather(*(bus.call(Echo(text="")) for _ in range(50)))
    assert set(answers) == {"1", "2"}


async def test_a_call_given_up_is_not_done_later(remote):
    gone = remote.make()
    await gone.listen("toys", handlers, Toys())
    await gone.close()
    bus = remote.make()
    with pytest.raises(NobodyThere):
        await bus.call(Note(number=1), timeout=0.3)
    await bus.cast(Note(number=2))
    toys = Toys()
    await remote.make().listen("toys", handlers, toys)
    await await_true(lambda: 2 in toys.notes)
    assert toys.notes == [2]


async def test_unfinished_work_goes_to_another(remote):
    first, second = Toys(), Toys()
    dying = remote.make()
    await dying.listen("toys", handlers, first)
    bus = remote.make()
    call = asyncio.create_task(bus.call(Hang(), timeout=20))
    await await_true(lambda: first.hanging == 1)
    await remote.make().listen("toys", handlers, second)
    second.go_on.set()
    for listener in list(dying._listeners.values()):        # the process dies: nothing is answered
        await listener.close()
    await dying.close()
    assert await call is None


async def test_a_cut_connection_heals(remote, proxy):
    toys = Toys()
    listening, bus = remote.make(url=proxy.url), remote.make(url=proxy.url)
    await listening.listen("toys", handlers, toys)
    assert await bus.call(Echo(text="before")) == "before"
    call = asyncio.create_task(bus.call(Hang(), timeout=20))
    await await_true(lambda: toys.hanging == 1)
    for _ in range(3):
        proxy.cut()
        assert await bus.call(Echo(text="after"), timeout=10) == "after"
    assert toys.hanging == 1, "the repeated call waits for the first"
    toys.go_on.set()
    assert await call is None


async def test_who_was_away_catches_up(remote, proxy):
    toys = Toys()
    await remote.make(url=proxy.url).listen("toys", handlers, toys)
    bus = remote.make()
    await proxy.close_door()
    for number in range(100):
        await bus.cast(Note(number=number))
    await asyncio.sleep(AWAY_SECONDS)
    assert toys.notes == []
    await proxy.open_door()
    await await_true(lambda: len(toys.notes) == 100, 40.0)
    assert sorted(toys.notes) == list(range(100))


async def test_casts_wait_for_the_broker_but_not_for_ever(remote, proxy):
    toys = Toys()
    await remote.make().listen("toys", handlers, toys)
    bus, hasty = remote.make(url=proxy.url), remote.make(url=proxy.url, patience=0.3)
    await bus.cast(Note(number=0))
    await proxy.close_door()
    waiting = [asyncio.create_task(bus.cast(Note(number=n))) for n in range(1, 10)]
    with pytest.raises(NobodyThere):
        await hasty.cast(Note(number=99))
    with pytest.raises(NobodyThere):
        await hasty.call(Echo(text="x"), timeout=0.3)
    assert not any(task.done() for task in waiting)
    await proxy.open_door()
    await asyncio.gather(*waiting)
    await await_true(lambda: sorted(toys.notes) == list(range(10)))


async def test_a_listener_may_start_before_the_broker(remote, proxy):
    await proxy.close_door()
    toys = Toys()
    listening = remote.make(url=proxy.url, patience=0.2)
    await listening.listen("toys", handlers, toys)
    await proxy.open_door()
    bus = remote.make()
    await bus.cast(Note(number=1))
    await await_true(lambda: toys.notes == [1])


async def test_closing_is_heard_at_any_moment(remote):
    """Also while it looks after its queues, which it does all the time here."""
    for number in range(60):
        bus = remote.make(check=0.0)
        await bus.listen("toys", handlers, Toys())
        await asyncio.sleep(number / 2000)
        async with asyncio.timeout(20):
            await bus.close()


async def test_a_vanished_queue_comes_back(remote):
    bus, toys = await both(remote)
    assert await bus.call(Echo(text="before")) == "before"
    async with await aio_pika.connect(remote.url) as connection:
        await (await connection.channel()).queue_delete(remote.prefix + "toys")
    for number in range(5):
        await bus.cast(Note(number=number))
    await await_true(lambda: sorted(toys.notes) == list(range(5)))


async def test_a_queue_of_another_release_is_used(remote):
    async with await aio_pika.connect(remote.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(remote.prefix + "toys", durable=True, arguments={"x-queue-type": "quorum"})
    bus, toys = await both(remote)
    assert await bus.call(Echo(text="works")) == "works"


async def test_a_silent_broker_is_noticed(remote, proxy):
    """Frames vanish on the way, and no end of the connection tells."""
    toys = Toys()
    await remote.make(url=f"{proxy.url}?heartbeat=1").listen("toys", handlers, toys)
    proxy.swallow = True
    bus = remote.make()
    await bus.cast(Note(number=1))
    await asyncio.sleep(0.2)
    assert toys.notes == []
    proxy.swallow_only_old()
    await await_true(lambda: toys.notes == [1], seconds=15)


@pytest.mark.parametrize("settled", [False, True] if BROKER else [], ids=["at once", "later"] if BROKER else [])
async def test_a_killed_broker_comes_back(settled):
    """Killed right after the queue was made, RabbitMQ loses it; killed later, it keeps what is in it."""
    async with private_broker() as broker, Proxy(broker.url) as proxy:
        remote, toys = Buses("rabbitmq", proxy.url), Toys()
        try:
            listening, bus = remote.make(), remote.make(patience=60.0)
            await listening.listen("toys", handlers, toys)
            assert await bus.call(Echo(text="before")) == "before"
            if settled:
                await asyncio.sleep(5)
            call = asyncio.create_task(bus.call(Hang(), timeout=60))
            await await_true(lambda: toys.hanging == 1)
            broker.kill()
            casts = [asyncio.create_task(bus.cast(Note(number=n))) for n in range(100)]
            proxy.target = await broker.start()
            await asyncio.gather(*casts)
            await await_true(lambda: len(toys.notes) == 100, seconds=30)
            toys.go_on.set()
            assert await call is None
            assert await bus.call(Echo(text="after")) == "after"
            assert sorted(toys.notes) == list(range(100))
        finally:
            await remote.close()
