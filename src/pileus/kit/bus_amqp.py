"""The bus between processes, on RabbitMQ: one connection each, quorum queues, at least once, mends itself.

Each topic, and each host of a topic, has one quorum queue. It outlives its listeners, so who was cut off for a while
catches up; it goes away by itself when nobody has listened for a day. A message is acknowledged after it was handled.
Answers come by RabbitMQ's direct reply-to, which leaves no queues behind. When a connection breaks, calls that wait
are sent again under their old id: a listener that has handled them repeats its answer.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed
from aiormq.exceptions import PublishError
from yarl import URL

from pileus.kit.bus import Answer, Handlers, Listener, Message, NobodyThere, address, answer_of, envelope_of
from pileus.kit.ids import new_uuid

log = logging.getLogger(__name__)

SET_UP_SECONDS = 15.0           # for a connection, or a listener on it; then it is given up and made anew
CONSUME_SECONDS = 5.0           # for a queue to be made and listened to
CONFIRM_SECONDS = 10.0          # for the broker to take one message; then it is sent again
STOP_SECONDS = 5.0              # for handlers that still run when the process ends
HEARD_SECONDS = 2.0             # for the keeper of the connection to end; then it is told again
CAST_KEPT_SECONDS = 3600        # a wake-up older than that wakes nobody: the work has long been found by looking
PREFETCH = 64                   # messages of one queue handled at a time by one listener
HEARTBEAT = 15                  # seconds of silence after which the peer is asked; given up after thrice that
QUEUE = {"x-queue-type": "quorum", "x-expires": 86_400_000}
PROBE = b""                     # a message to ourselves that only shows that the queue delivers
REPLIES = "amq.rabbitmq.reply-to"
STEADY_SECONDS = 10.0           # a connection that held this long is not the broker turning us away


def default_backoff(attempt: int) -> float:
    """Jittered, so that ten thousand hosts do not come back to a restarted broker in the same second."""
    return random.uniform(0.2, 1.0) * min(0.5 * 2.0 ** min(attempt, 10), 30.0)


class _Cut(Exception):
    """The broker did not answer. Whether it has done what was asked is unknown."""


@contextlib.contextmanager
def _cut() -> Iterator[None]:
    """The many ways in which the client library tells that a connection broke, as one."""
    try:
        yield
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise _Cut("the connection broke") from error
    except (AMQPError, RuntimeError, OSError) as error:
        raise _Cut(f"{type(error).__name__}: {error}") from error


_Receive = Callable[["_Session", Listener, AbstractIncomingMessage], Awaitable[None]]


class _Consumed:
    """A queue we take messages from, and whether it gives us what it has."""

    def __init__(self, queue: AbstractQueue):
        self.queue, self.tag = queue, ""
        self.came = self.in_hand = 0
        self._came_before: int | None = None        # when we last put a probe into the queue

    def is_deaf(self, declared: AbstractQueue) -> bool:
        """Called at intervals: nobody delivers to us, or not even our own probe came back since the last look."""
        consumers = declared.declaration_result.consumer_count
        deaf = not consumers or self._came_before == self.came
        alone = consumers == 1 and self.in_hand < PREFETCH          # else others, or we later, take the probe
        self._came_before = self.came if alone else None
        return deaf

    @property
    def wants_probe(self) -> bool:
        return self._came_before is not None


class _Session:
    """One connection, from its making to its loss. Whatever goes wrong on it ends it; the next one starts afresh."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel):
        self.connection, self.channel = connection, channel
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.consumed: dict[str, _Consumed] = {}

    @classmethod
    async def begin(cls, url: str, on_answer: Callable[[AbstractIncomingMessage], Awaitable[None]]) -> _Session:
        with _cut():
            connection = await aio_pika.connect(url, timeout=SET_UP_SECONDS)
            try:
                async with asyncio.timeout(SET_UP_SECONDS):
                    session = cls(connection, await connection.channel(on_return_raises=True))
                    connection.close_callbacks.add(session._closed)
                    session.channel.close_callbacks.add(session._closed)
                    replies = await session.channel.get_queue(REPLIES, ensure=False)
                    await replies.consume(on_answer, no_ack=True)
            except BaseException:
                await connection.close()
                raise
            return session

    def _closed(self, _: Any, error: BaseException | None = None) -> None:
        self.end(str(error) if error else "closed")

    def end(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)

    async def attach(self, name: str, listener: Listener, receive: _Receive) -> None:
        """Declare the queue, which the broker may have lost, and take messages from it."""
        await self.declare(name)
        with _cut():
            async with asyncio.timeout(CONSUME_SECONDS):
                channel = await self.connection.channel(publisher_confirms=False)
                channel.close_callbacks.add(self._closed)
                (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(
                    lambda _: self.end(f"the broker no longer delivers {name}"))
                await channel.set_qos(prefetch_count=PREFETCH)
                taken = _Consumed(await channel.get_queue(name, ensure=False))
                taken.tag = await taken.queue.consume(functools.partial(self._count, taken, receive, listener))
                self.consumed[name] = taken

    async def _count(self, taken: _Consumed, receive: _Receive, listener: Listener,
                     message: AbstractIncomingMessage) -> None:
        taken.came += 1
        taken.in_hand += 1
        try:
            if message.body == PROBE:
                await self.answer(message, Answer())
            else:
                await receive(self, listener, message)
        except _Cut as cut:
            self.end(str(cut))
        finally:
            taken.in_hand -= 1

    async def declare(self, name: str) -> None:
        with _cut():
            async with asyncio.timeout(SET_UP_SECONDS), self.connection.channel() as channel:
                try:
                    await channel.declare_queue(name, durable=True, arguments=dict(QUEUE))
                except ChannelPreconditionFailed as error:
                    log.warning("queue is used as another release made it", extra={"queue": name, "why": str(error)})

    async def delete(self, name: str) -> None:
        with _cut():
            async with asyncio.timeout(SET_UP_SECONDS), self.connection.channel() as channel:
                await channel.queue_delete(name)

    async def check(self) -> None:
        """A queue may vanish, or its consumer be forgotten, without a word on a connection that stays healthy."""
        with _cut():
            async with asyncio.timeout(SET_UP_SECONDS), self.connection.channel() as channel:
                for name, taken in self.consumed.items():
                    if taken.is_deaf(await channel.declare_queue(name, passive=True)):
                        self.end(f"the broker has forgotten that we listen to {name}")
                    elif taken.wants_probe:
                        await channel.default_exchange.publish(
                            aio_pika.Message(PROBE, expiration=60), name, timeout=CONFIRM_SECONDS)

    async def publish(self, name: str, message: aio_pika.Message) -> bool:
        """Hand the message over; False when there is no such queue."""
        with _cut():
            try:
                await self.channel.default_exchange.publish(message, name, timeout=CONFIRM_SECONDS)
                return True
            except PublishError:
                return False

    async def answer(self, request: AbstractIncomingMessage, answer: Answer) -> None:
        """Only then the request is done with."""
        with _cut():
            if request.reply_to:
                await self.channel.default_exchange.publish(
                    aio_pika.Message(msgspec.msgpack.encode(answer), correlation_id=request.correlation_id),
                    request.reply_to, mandatory=False, timeout=CONFIRM_SECONDS)
            await request.ack()

    async def refuse(self, message: AbstractIncomingMessage) -> None:
        with _cut():
            await message.reject()

    async def stop(self, receiving: set[asyncio.Task[Any]]) -> None:
        """Take no more messages and let those at hand be answered."""
        with _cut():
            async with asyncio.timeout(STOP_SECONDS):
                for taken in self.consumed.values():
                    await taken.queue.cancel(taken.tag)
                if receiving:
                    await asyncio.wait(receiving)

    async def hang_up(self) -> None:
        with _cut():
            async with asyncio.timeout(STOP_SECONDS):
                await self.connection.close()


class AmqpBus:
    """`url`: amqp://USER:PASSWORD@HOST:PORT/VHOST. `patience`: seconds a cast waits for a broker that is away.

    Connects on first use. `check` is how often, in seconds, the bus asks whether its queues still deliver.
    """

    def __init__(self, url: str, *, prefix: str = "pileus.", patience: float = 30.0, check: float = 60.0,
                 backoff: Callable[[int], float] = default_backoff):
        self._url = str(URL(url).update_query(heartbeat=HEARTBEAT)) if "heartbeat" not in URL(url).query else url
        self.prefix, self.patience, self._check, self._backoff = prefix, patience, check, backoff
        self._listeners: dict[str, Listener] = {}
        self._hung: collections.Counter[str] = collections.Counter()
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._receiving: set[asyncio.Task[Any]] = set()
        self._session: _Session | None = None
        self._changed = asyncio.Condition()      # a session began, a listener was attached
        self._wanted = asyncio.Event()           # a listener waits to be attached
        self._keeper: asyncio.Task[None] | None = None
        self._closing = False

    # -- what services call -----------------------------------------------------------------

    async def listen(self, topic: str, handlers: Handlers, context: Any, *, host: str = "") -> None:
        """Returns when messages come, or, while the broker is away, after `patience`: they come once it is back."""
        name = self._name(topic, host)
        self._listeners[name] = Listener(handlers, context)
        self._wanted.set()
        self._keep()
        try:
            async with asyncio.timeout(self.patience), self._changed:
                await self._changed.wait_for(lambda: self._session is not None and name in self._session.consumed)
        except TimeoutError:
            log.warning("broker is away; messages come once it is back", extra={"queue": name})

    async def call(self, message: Message, *, host: str = "", timeout: float = 60.0) -> Any:
        name, wire, correlation = self._name(message.topic, host), envelope_of(message), new_uuid()
        answer = self._waiting[correlation] = asyncio.get_running_loop().create_future()
        until = asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(until):
                while not answer.done():
                    session = await self._connected()
                    left = until - asyncio.get_running_loop().time()
                    request = aio_pika.Message(wire, correlation_id=correlation, reply_to=REPLIES,
                                               expiration=max(left, 0.001))
                    if await self._handed_over(session, name, request):
                        await asyncio.wait((answer, session.lost), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise NobodyThere(f"{name} did not answer {type(message).__name__} within {timeout:g} s") from None
        finally:
            del self._waiting[correlation]
        return answer_of(message, answer.result())

    async def cast(self, message: Message, *, host: str = "") -> None:
        """Returns once the broker has the message on disk; NobodyThere when that did not happen within `patience`."""
        name, wire = self._name(message.topic, host), envelope_of(message)
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    session = await self._connected()
                    try:
                        if await self._handed_over(session, name, aio_pika.Message(
                                wire, expiration=CAST_KEPT_SECONDS, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)):
                            return
                    except NobodyThere:
                        await self._declare(session, name)
        except TimeoutError:
            raise NobodyThere(f"no broker took {type(message).__name__} within {self.patience:g} s") from None

    async def close(self) -> None:
        """Take no more messages, let running handlers end, and hang up."""
        self._closing = True
        if (session := self._session) is not None and not session.lost.done():
            await self._in_order(session.stop(self._receiving))
            session.end("hung up")
            if self._keeper is not None:
                await asyncio.wait({self._keeper}, timeout=STOP_SECONDS)
        while self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()                   # which the library loses now and then
            await asyncio.wait({self._keeper}, timeout=HEARD_SECONDS)
        self._keeper, self._closing = None, False
        for listener in self._listeners.values():
            await listener.close()

    # -- sending ----------------------------------------------------------------------------

    def _name(self, topic: str, host: str) -> str:
        return self.prefix + address(topic, host)

    async def _connected(self) -> _Session:
        self._keep()
        async with self._changed:
            await self._changed.wait_for(lambda: self._session is not None and not self._session.lost.done())
        assert self._session is not None
        return self._session

    async def _handed_over(self, session: _Session, name: str, message: aio_pika.Message) -> bool:
        """Whether the broker has the message; False: try again. Raises NobodyThere when nobody ever listened there."""
        try:
            if await session.publish(name, message):
                return True
        except _Cut as cut:
            log.info("message is sent again", extra={"queue": name, "reason": str(cut)})
            await asyncio.sleep(0.1)
            return False
        raise NobodyThere(f"nobody listens to {name}")

    async def _declare(self, session: _Session, name: str) -> None:
        """For a listener that is still to come, or whose queue the broker has lost."""
        try:
            await session.declare(name)
        except _Cut as cut:
            session.end(str(cut))

    async def _on_answer(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(msgspec.msgpack.decode(message.body, type=Answer))

    # -- receiving --------------------------------------------------------------------------

    async def _receive(self, session: _Session, listener: Listener, message: AbstractIncomingMessage) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._receiving.add(task)
        try:
            await session.answer(message, await listener.receive(message.body))
        except msgspec.MsgspecError as error:
            log.error("message cannot be read and is thrown away", extra={"reason": str(error)})
            await self._in_order(session.refuse(message))
        except _Cut as cut:
            session.end(f"an answer could not be sent: {cut}")        # it comes again on the next connection
        finally:
            self._receiving.discard(task)

    # -- staying connected ------------------------------------------------------------------

    def _keep(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_connected(), name="message bus")

    async def _keep_connected(self) -> None:
        broker, attempt, clock = URL(self._url).host, 0, asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                why = await self._serve(await _Session.begin(self._url, self._on_answer))
            except _Cut as cut:
                why = str(cut)
            except Exception as error:                       # without this task the process would be deaf for ever
                why = repr(error)
                log.exception("the connection to the broker failed in a new way", extra={"broker": broker})
            if self._closing:
                return
            if clock() - began > STEADY_SECONDS:
                attempt = 0
            wait = self._backoff(attempt)
            log.warning("broker is cut off: %s", why, extra={"broker": broker, "again_in": round(wait, 2)})
            attempt += 1
            await asyncio.sleep(wait)

    async def _serve(self, session: _Session) -> str:
        """Attach every listener, look after them, and tell why that came to an end."""
        try:
            while not session.lost.done():
                self._wanted.clear()
                for name in [name for name in self._listeners if name not in session.consumed]:
                    await self._attach(session, name)
                async with self._changed:
                    self._session = session
                    self._changed.notify_all()
                if not await self._happened(session):
                    await session.check()
            return session.lost.result()
        finally:
            self._session = None
            session.end("hung up")
            await self._in_order(session.hang_up())

    async def _attach(self, session: _Session, name: str) -> None:
        """A quorum queue of which the broker kept the name but not the log never answers: it is made anew."""
        if self._hung[name] >= 2:
            log.warning("queue is dead and is made anew; what was in it is lost", extra={"queue": name})
            self._hung[name] = 0
            await session.delete(name)
        try:
            await session.attach(name, self._listeners[name], self._receive)
        except _Cut as cut:
            if isinstance(cut.__cause__, TimeoutError):
                self._hung[name] += 1
            raise
        self._hung[name] = 0

    async def _happened(self, session: _Session) -> bool:
        """Wait for the loss of the connection or a new listener; False when it is time to look at the queues."""
        wanted = asyncio.ensure_future(self._wanted.wait())
        try:
            done, _ = await asyncio.wait((session.lost, wanted), timeout=self._check,
                                         return_when=asyncio.FIRST_COMPLETED)
        finally:
            wanted.cancel()
        return bool(done)

    @staticmethod
    async def _in_order(ending: Awaitable[None]) -> None:
        try:
            await ending
        except _Cut as cut:
            log.info("connection did not end in order", extra={"reason": str(cut)})
