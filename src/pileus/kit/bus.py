"""Messages between the parts of one service. Typed structs, always encoded, even inside one process.

A bus delivers at least once and may delay and reorder; receivers drop repeats of a message by its id, and every
command names a wanted end, so that one repeat too many does no harm. Work is rows in a database: losing a message
may cost time, never truth.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

import msgspec

from pileus.kit import context
from pileus.kit.ids import new_uuid

log = logging.getLogger(__name__)
REMEMBERED = 10_000             # messages a listener recognises as repeats, with the answers it gave
REMEMBERED_BYTES = 64 << 20


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """Fields may be added with a default, never renamed, retyped or removed within one release."""

    topic: ClassVar[str]
    reply: ClassVar[Any] = None


class Failed(Exception):
    """The handler of a message raised; `kind` is the name of the exception's class, the text its message."""

    def __init__(self, kind: str, text: str):
        self.kind = kind
        super().__init__(text)


class NobodyThere(Exception):
    """Nobody listens to the topic, or the answer did not come in time. Whether the command was done is unknown."""


class Envelope(msgspec.Struct, kw_only=True, frozen=True):
    """What goes over the wire around a message."""

    id: str
    kind: str
    request_id: str
    body: bytes


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    body: bytes = b""
    failed: str | None = None       # name of the exception's class
    text: str = ""


Handler = Callable[[Any, Any], Awaitable[Any]]


class Handlers:
    """Which function answers which message."""

    def __init__(self) -> None:
        self.by_name: dict[str, tuple[type[Message], Handler]] = {}

    def on(self, kind: type[Message]) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            self.by_name[kind.__name__] = (kind, handler)
            return handler
        return declare


class Bus(Protocol):
    """`host` narrows a topic to one machine; without it any one listener of the topic gets the message."""

    async def listen(self, topic: str, handlers: Handlers, context: Any, *, host: str = "") -> None: ...

    async def call(self, message: Message, *, host: str = "", timeout: float = 60.0) -> Any:
        """Send and wait for the answer. Raises Failed (the handler's error) or NobodyThere."""
        ...

    async def cast(self, message: Message, *, host: str = "") -> None:
        """Send; returns once the bus has taken the message."""
        ...

    async def close(self) -> None: ...


class Listener:
    """One topic's receiver: decodes, drops repeats, handles, encodes the answer."""

    def __init__(self, handlers: Handlers, handler_context: Any):
        self.handlers, self.context = handlers, handler_context
        self._running: dict[str, asyncio.Task[Answer]] = {}
        self._answers: collections.OrderedDict[str, Answer] = collections.OrderedDict()
        self._answer_bytes = 0

    async def receive(self, wire: bytes) -> Answer:
        """Handle the message, or wait for and repeat the answer if it came before."""
        envelope = msgspec.msgpack.decode(wire, type=Envelope)
        if (known := self._answers.get(envelope.id)) is not None:
            return known
        task = self._running.get(envelope.id)
        if task is None:
            task = self._running[envelope.id] = asyncio.create_task(self._handle(envelope))
        return await asyncio.shield(task)

    async def _handle(self, envelope: Envelope) -> Answer:
        context.request_id.set(envelope.request_id)
        try:
            answer = await self._answer(envelope)
            self._remember(envelope.id, answer)
            return answer
        finally:
            del self._running[envelope.id]

    async def _answer(self, envelope: Envelope) -> Answer:
        try:
            kind, handler = self.handlers.by_name[envelope.kind]
            result = await handler(self.context, msgspec.msgpack.decode(envelope.body, type=kind))
            return Answer(body=msgspec.msgpack.encode(result))
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return Answer(failed="Cancelled", text="the handler was cancelled from within")
        except Exception as error:
            log.info("%s failed: %s", envelope.kind, error, exc_info=error)
            return Answer(failed=type(error).__name__, text=str(error) or repr(error))

    def _remember(self, message_id: str, answer: Answer) -> None:
        self._answers[message_id] = answer
        self._answer_bytes += len(answer.body)
        while len(self._answers) > REMEMBERED or self._answer_bytes > REMEMBERED_BYTES and len(self._answers) > 1:
            self._answer_bytes -= len(self._answers.popitem(last=False)[1].body)

    async def close(self) -> None:
        """Cancel what still runs."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def address(topic: str, host: str) -> str:
    return f"{topic}.{host}" if host else topic


def envelope_of(message: Message) -> bytes:
    return msgspec.msgpack.encode(Envelope(
        id=new_uuid(), kind=type(message).__name__, request_id=context.request_id.get(),
        body=msgspec.msgpack.encode(message)))


def answer_of(message: Message, answer: Answer) -> Any:
    if answer.failed is not None:
        raise Failed(answer.failed, answer.text)
    return msgspec.msgpack.decode(answer.body, type=message.reply) if message.reply is not None else None


class MemoryBus:
    """The embedded bus: same encoding, same failures, no broker."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def listen(self, topic: str, handlers: Handlers, context: Any, *, host: str = "") -> None:
        self.listeners[address(topic, host)] = Listener(handlers, context)

    def ignore(self, topic: str, *, host: str) -> None:
        """Nobody listens there any more, as if the host had died; what has come in is still done."""
        self.listeners.pop(address(topic, host), None)

    async def call(self, message: Message, *, host: str = "", timeout: float = 60.0) -> Any:
        where = address(message.topic, host)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._deliver(where, envelope_of(message))
        except TimeoutError:
            raise NobodyThere(f"{where} did not answer {type(message).__name__} within {timeout:g} s") from None
        return answer_of(message, answer)

    async def cast(self, message: Message, *, host: str = "") -> None:
        where, wire = address(message.topic, host), envelope_of(message)
        task = asyncio.create_task(self._cast(where, wire))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cast(self, where: str, wire: bytes) -> None:
        try:
            await self._deliver(where, wire)
        except NobodyThere as error:
            log.info("message lost: %s", error)

    async def _deliver(self, where: str, wire: bytes) -> Answer:
        listener = self.listeners.get(where)
        if listener is None:
            raise NobodyThere(f"nobody listens to {where}")
        return await listener.receive(wire)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self.listeners.values():
            await listener.close()


class ChaosBus(MemoryBus):
    """For tests: loses, repeats, delays and so reorders messages, from a seed."""

    def __init__(self, seed: int, *, loss: float = 0.3, repeat: float = 0.3, delay: float = 0.01):
        super().__init__()
        self._random, self.loss, self.repeat, self.delay = random.Random(seed), loss, repeat, delay

    async def _deliver(self, where: str, wire: bytes) -> Answer:
        await asyncio.sleep(self._random.uniform(0, self.delay))
        if self._random.random() < self.loss:
            raise NobodyThere(f"lost on the way to {where}")
        if self._random.random() < self.repeat:
            await super()._deliver(where, wire)
        answer = await super()._deliver(where, wire)
        if self._random.random() < self.loss:
            raise NobodyThere(f"the answer of {where} was lost")
        return answer
