"""A table for tests of databases."""

import msgspec
import sqlalchemy as sa

from pileus.kit import db

metadata = db.metadata()
things = sa.Table(
    "thing", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(64), unique=True),
    sa.Column("rank", sa.Integer),
    sa.Column("facts", db.Json),
    sa.Column("text", db.LongText),
    sa.Column("generation", sa.Integer, nullable=False),
)


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str | None = None
    rank: int | None = None
    facts: dict | list | None = None
    text: str | None = None
    generation: int = 1


async def add(database, *rows):
    async with database.write() as tx:
        await db.add(tx, things, *rows)
