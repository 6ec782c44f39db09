"""A worker process of the stress test: `python -m tests.kit.stress URL` works on sagas until it is ended."""

from __future__ import annotations

import asyncio
import sys
import uuid

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Db
from pileus.kit.saga import Saga, Turn, saga, step
from pileus.kit.saga_engine import Engine

LEASE = 0.5
metadata = db.metadata()
# What steps did: a local step adds a row each time, so that doing it twice shows.
effects = sa.Table("effect", metadata, sa.Column("id", sa.String(36), primary_key=True),
                   sa.Column("saga", sa.String(64), nullable=False), sa.Column("step", sa.String(16), nullable=False))
world = sa.Table("world", metadata, sa.Column("id", sa.String(64), primary_key=True),
                 sa.Column("token", sa.String(36), nullable=False))


class Ground:
    def __init__(self, database: Db):
        self.db = database


async def add_effect(turn: Turn, subject: str, name: str) -> None:
    await turn.tx.execute(effects.insert().values(id=str(uuid.uuid4()), saga=subject, step=name))


@saga("stress.pass_through")
class PassThrough(Saga, kw_only=True):
    subject: str
    token: str = ""

    @step(local=True)
    async def first(self, turn: Turn) -> None:
        await add_effect(turn, self.subject, "first")

    @step
    async def act(self, turn: Turn) -> None:
        if not self.token:
            self.token = str(uuid.uuid4())
            await turn.save()
        async with turn.services.db.write() as tx:
            known = await db.scalar(tx, sa.select(world.c.token).where(world.c.id == self.subject))
            if known is None:
                await tx.execute(world.insert().values(id=self.subject, token=self.token))
            elif known != self.token:
                raise AssertionError("two workers made two things")
        await asyncio.sleep(0.02)

    @step(local=True)
    async def last(self, turn: Turn) -> None:
        await add_effect(turn, self.subject, "last")


def engine(database: Db) -> Engine:
    return Engine(database, Ground(database), lease=LEASE, turns=8, backoff=lambda attempt: 0.02)


async def main(url: str) -> None:
    await engine(Db(url)).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
