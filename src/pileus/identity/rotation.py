"""Rotation of keys by command: of those that sign tokens, and of those that encrypt stored credentials."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pileus.identity.model import credentials
from pileus.identity.model.domain_options import domain_options
from pileus.identity.model.oauth import access_tokens, consumers, request_tokens
from pileus.identity.model.tables import credentials as table
from pileus.identity.runtime import Identity
from pileus.kit import db

PAGE = 200
KEPT = 2                              # credentials may be written meanwhile with the key before


def rotate_token_keys(app: Identity) -> None:
    """Nobody is logged out: a key that signed stays as long as something that it signed may be valid."""
    app.keys.rotate(app.ends(0.0))


async def rotate_credential_keys(app: Identity) -> int:
    """Encrypt every stored credential with a new key; how many there are. May be stopped and begun again."""
    app.credential_keys.rotate(float("inf"))
    count, after = 0, ""
    while True:
        async with app.db.write() as tx:
            rows = await credentials.made_anew(tx, app.credential_keys, after, PAGE)
            for row in rows:
                await db.update(tx, table.update().where(
                    table.c.id == row.id, table.c.generation == row.generation).values(
                        encrypted_blob=row.encrypted_blob))
        if not rows:
            break
        count, after = count + len(rows), rows[-1].id
    await _other_secrets(app)
    app.credential_keys.keep_only(KEPT)
    return count


async def _other_secrets(app: Identity) -> None:
    """Passwords of directories and secrets of OAuth; they are few."""
    columns: list[sa.Column[Any]] = [domain_options.c.value, consumers.c.secret, request_tokens.c.secret,
                                     access_tokens.c.secret]
    keys = app.credential_keys
    for column in columns:
        table = column.table
        query = sa.select(column).where(domain_options.c.sensitive) if table is domain_options else sa.select(column)
        async with app.db.write() as tx:
            for secret in await db.scalars(tx, query):
                await tx.execute(sa.update(table).where(column == secret).values(
                    {column: keys.encrypt(keys.decrypt(secret))}))
