"""Durable work: a saga is a struct whose fields survive kill -9 and whose steps run in order.

Contract for authors
    * a step may run more than once; running it twice must leave the world as running it once;
    * whatever a later step or an undo needs is put in a field; fields are saved after each step;
    * an undo accepts that its step may have done nothing, half, or all of its work;
    * an undo may turn the saga around (`Onward`), once its fields say what is to be done otherwise;
    * a step marked `pivot` is the point of no return: once it is done the saga only goes forward.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import msgspec
import sqlalchemy as sa

from pileus.kit import db

if TYPE_CHECKING:
    from pileus.kit.saga_engine import Engine

metadata = db.metadata()


class Phase(StrEnum):
    QUEUED, FORWARD, BACKWARD, DONE, UNDONE = "queued", "forward", "backward", "done", "undone"


RUNNING = (Phase.FORWARD, Phase.BACKWARD)
FINISHED = (Phase.DONE, Phase.UNDONE)

sagas = sa.Table(
    "saga", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    # Equal to `subject` while unfinished, else NULL: one unfinished saga per subject, on every database.
    sa.Column("active_subject", sa.String(64), unique=True),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("parent", sa.String(36)),
    sa.Column("phase", sa.String(8), nullable=False),
    sa.Column("unwind_asked", sa.Boolean, nullable=False),
    sa.Column("stuck", sa.Boolean, nullable=False),         # waits for an operator; alarms count these
    sa.Column("step", sa.String(64), nullable=False),
    sa.Column("step_began", sa.Double, nullable=False),
    sa.Column("data", db.LongText, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("error", db.LongText),
    sa.Column("wake_at", sa.Double, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("lease", sa.String(36)),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Index("saga_due", "phase", "stuck", "wake_at"),
    sa.Index("saga_by_subject", "subject", "created_at"),
    sa.Index("saga_by_request", "request_id"),
    sa.Index("saga_by_parent", "parent"),
    sa.Index("saga_by_finish", "finished_at"),
)

# What happened, one row per step done, undone, failed or waited for: the spans of `pileus trace`.
events = sa.Table(
    "saga_event", metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("saga_id", sa.String(36), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("saga", sa.String(64), nullable=False),
    sa.Column("step", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(8), nullable=False),       # done, undone, failed, stuck
    sa.Column("began_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double, nullable=False),
    sa.Column("detail", db.LongText),
    sa.Index("saga_event_by_saga", "saga_id", "id"),
    sa.Index("saga_event_by_request", "request_id"),
    sa.Index("saga_event_by_subject", "subject"),
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A span: one step of one saga, or one step of the API call that began it."""

    saga_id: str
    request_id: str
    subject: str
    saga: str
    step: str
    outcome: str
    began_at: float
    ended_at: float
    detail: str | None = None


class Wait(Exception):
    """Not an error: call this step again after `seconds`, or as soon as someone pokes the subject."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        super().__init__(f"waits {seconds} s")


class Abort(Exception):
    """Retrying cannot help: unwind now."""


class Onward(Exception):
    """Raised by an undo whose work is done: the saga goes forward again, from this undo's own step, for its fields say
    another way. Not by the undo of a `local` step, whose work would be lost with it; nor is it heeded when a later saga
    wants this one undone."""


class LeaseLost(Exception):
    """Another worker owns this saga now; drop it without a trace."""


Body = Callable[..., Awaitable[None]]


class Step:
    def __init__(self, do: Body, *, tries: int, timeout: float, local: bool, pivot: bool):
        self.do, self.name = do, do.__name__
        self.tries, self.timeout, self.local, self.pivot = tries, timeout, local, pivot
        self.undo_with: Body | None = None

    def undo(self, method: Body) -> Body:
        self.undo_with = method
        return method


@overload
def step(do: Body, /) -> Step: ...
@overload
def step(*, tries: int = ..., timeout: float = ..., local: bool = ..., pivot: bool = ...) -> Callable[[Body], Step]: ...
def step(do: Body | None = None, *, tries: int = 5, timeout: float = 60.0, local: bool = False,
         pivot: bool = False) -> Any:
    """`local=True`: the step only touches this service's database and commits with the saga's own row.

    `timeout` is seconds for one try; `tries` how often a failing step is tried before the saga unwinds.
    """
    def wrap(method: Body) -> Step:
        return Step(method, tries=tries, timeout=timeout, local=local, pivot=pivot)
    return wrap(do) if do else wrap


class Saga(msgspec.Struct, kw_only=True):
    name: ClassVar[str]
    steps: ClassVar[list[Step]]


KINDS: dict[str, type[Saga]] = {}
Kind = TypeVar("Kind", bound=type[Saga])


def saga(name: str) -> Callable[[Kind], Kind]:
    """Register a saga under its durable name, `service.verb_noun`."""
    def register(cls: Kind) -> Kind:
        cls.name, cls.steps = name, [v for v in vars(cls).values() if isinstance(v, Step)]
        KINDS[name] = cls
        return cls
    return register


class Turn:
    """What a step gets: the services it may use, its database, and the saga's own row."""

    def __init__(self, engine: Engine, row: dict[str, Any], state: Saga, tx: db.Connection | None = None):
        self._engine, self._row, self._state, self._tx = engine, row, state, tx
        self.services: Any = engine.services

    @property
    def why(self) -> str:
        """What made the saga unwind."""
        return self._row["error"] or ""

    @property
    def saga_id(self) -> str:
        return self._row["id"]

    @property
    def request_id(self) -> str:
        return self._row["request_id"]

    @property
    def tx(self) -> db.Connection:
        """The transaction of a `local` step; other steps have none, for they may take minutes."""
        if self._tx is None:
            raise RuntimeError(f"{self._row['step']} is not a local step")
        return self._tx

    @property
    def is_last_try(self) -> bool:
        """Whether the saga unwinds if this step fails now."""
        steps = KINDS[self._row["name"]].steps
        return self._row["attempt"] + 1 >= next(each.tries for each in steps if each.name == self._row["step"])

    async def save(self) -> None:
        """Make fields durable before a side effect that must find them again."""
        await self._engine.save_fields(self._row, self._state)

    def note(self, detail: str) -> None:
        """Leave a sentence for `pileus trace` on the event of this step."""
        self._row["detail"] = detail

    async def begin(self, state: Saga, subject: str) -> str:
        """Start a child saga (from a local step, so that both commit together); its end pokes this saga."""
        return await self._engine.start(self.tx, state, subject, parent=self.saga_id)

    async def join(self, children: list[str], *, patience: float = 30.0) -> None:
        """Wait for child sagas; Abort with the reason of the first that was undone."""
        found = await self._engine.outcomes(children)
        for phase, error in found:
            if phase == Phase.UNDONE:
                raise Abort(error or "a part of this was undone")
        if any(phase != Phase.DONE for phase, _ in found):
            raise Wait(patience)
