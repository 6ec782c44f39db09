"""The statements of the engine's every turn, built once: to build one takes longer than to ask it."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.saga import RUNNING, Phase, events, sagas

POKED, NOT_POKED = 0.0, -1.0    # values of wake_at while a worker holds the saga: a poke must not be lost on it
_THIS, _SUBJECT = sagas.c.id == sa.bindparam("saga"), sa.bindparam("of")

ADD = sagas.insert()
RECORD = events.insert()
SAVE = sagas.update().where(_THIS, sagas.c.lease == sa.bindparam("held"))
POKE = sagas.update().where(sagas.c.active_subject == _SUBJECT).values(wake_at=POKED)
UNWIND_ASKED = sa.select(sagas.c.unwind_asked).where(_THIS)
WAKE = sagas.update().where(_THIS).values(wake_at=0.0)
NEXT_OF_SUBJECT = sa.select(sagas.c.id).where(sagas.c.subject == _SUBJECT, sagas.c.phase == Phase.QUEUED).order_by(
    sagas.c.created_at).limit(1)
RELEASE = sagas.update().where(_THIS).values(phase=Phase.FORWARD, active_subject=_SUBJECT, wake_at=0.0)


class Timed:
    """Those that ask for the time."""

    def __init__(self, now: sa.ColumnElement[float]):
        runs = sagas.c.phase.in_(RUNNING), sagas.c.stuck.is_(False)
        self.due = sa.select(sagas).where(*runs, sagas.c.wake_at <= now, sagas.c.lease_until <= now).order_by(
            sagas.c.wake_at).limit(1).with_for_update(skip_locked=True)
        self.any_due = self.due.with_only_columns(sagas.c.id)
        self.take = sagas.update().where(_THIS, sagas.c.lease_until == sa.bindparam("known")).values(
            lease=sa.bindparam("token"), lease_until=now + sa.bindparam("seconds", type_=sa.Double()),
            wake_at=NOT_POKED)
        self.until_next = sa.select(sa.func.min(sagas.c.wake_at) - now).where(*runs, sagas.c.lease_until == 0.0)


BY_DATABASE, BY_CLOCK = Timed(db.now()), Timed(sa.bindparam("now", type_=sa.Double()))
