"""Rotation of keys by command: of those that sign tokens, and of those that encrypt stored credentials."""

from __future__ import annotations

from pileus.identity.model import credentials
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
    app.credential_keys.keep_only(KEPT)
    return count
