"""Passwords that guests set and told the metadata service, encrypted by themselves with their key pair."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.compute.model.tables import passwords
from pileus.kit import db
from pileus.kit.db import Connection

MOST_BYTES = 1020


class ServerPassword(msgspec.Struct, frozen=True, kw_only=True):
    server_id: str
    password: str


async def find(conn: Connection, server_id: str) -> str:
    """Empty where the guest left none."""
    found = await db.scalar(conn, sa.select(passwords.c.password).where(passwords.c.server_id == server_id))
    return found or ""


async def add(tx: Connection, server_id: str, password: str) -> None:
    """Raises db.Taken when there is one: what a guest said first stays until its owner clears it."""
    await db.add(tx, passwords, ServerPassword(server_id=server_id, password=password))


async def remove(tx: Connection, server_id: str) -> None:
    await tx.execute(passwords.delete().where(passwords.c.server_id == server_id))
