"""How sagas talk to back ends, and what they make of their failures."""

from __future__ import annotations

from typing import Any

from pileus.kit.bus import Failed, Message, NobodyThere
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.saga import Abort, Turn
from pileus.kit.sealing import Box
from pileus.volume.drivers.base import Key
from pileus.volume.model import keys, notices, types
from pileus.volume.model.keys import KeyUnusable
from pileus.volume.model.notices import Notice
from pileus.volume.model.volumes import Volume
from pileus.volume.runtime import Volumes

# The back end says that trying again cannot help: the reason is for the user.
FINAL = {"VolumeFailed", "BackupUnusable", "Refused"}


async def ask(volume: Volumes, message: Message, *, host: str, seconds: float = 60.0) -> Any:
    """The back end's answer. Raises Abort for a final refusal; Failed or NobodyThere when trying again may help."""
    try:
        return await volume.bus.call(message, host=host, timeout=seconds)
    except Failed as error:
        if error.kind in FINAL:
            raise Abort(str(error)) from error
        raise


async def clear(volume: Volumes, message: Message, *, host: str) -> bool:
    """The same for clearing up: False when nobody is there, who then has nothing of it, or tells of it later."""
    try:
        await volume.bus.call(message, host=host, timeout=60.0)
        return True
    except NobodyThere:
        return False


async def key_of(volume: Volumes, row: Volume) -> Key | None:
    """What it is encrypted with. Raises Abort where that is lost."""
    async with volume.db.read() as reader:
        try:
            return await open_key(reader, volume.box, row)
        except KeyUnusable as error:
            raise Abort(str(error)) from error


async def open_key(conn: Connection, box: Box, row: Volume) -> Key | None:
    secret = await keys.find(conn, box, row.encryption_key_id)
    if secret is None:
        return None
    how = (await types.get(conn, row.type_id)).encryption
    return Key(secret=secret, algorithm=how.algorithm, luks=how.luks) if how else Key(secret=secret)


async def tell_why(turn: Turn, kind: str, row: Any, *, action: str, detail: str = "001") -> None:
    """Leave a message for the project: what did not happen, and why. `kind`: VOLUME, VOLUME_SNAPSHOT, VOLUME_BACKUP."""
    await notices.tell(turn.tx, Notice(
        id=new_uuid(), project_id=row.project_id, request_id=turn.request_id or "", resource_type=kind,
        resource_id=row.id, action=action, detail=detail, created_at=turn.services.clock(), text=turn.why))
