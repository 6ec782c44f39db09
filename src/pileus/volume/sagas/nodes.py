"""How sagas talk to back ends, and what they make of their failures."""

from __future__ import annotations

from typing import Any

from pileus.kit.bus import Failed, Message, NobodyThere
from pileus.kit.ids import new_uuid
from pileus.kit.saga import Abort, Turn
from pileus.volume.model import notices
from pileus.volume.model.notices import Notice
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


async def tell_why(turn: Turn, kind: str, row: Any, *, action: str, detail: str = "001") -> None:
    """Leave a message for the project: what did not happen, and why. `kind`: VOLUME, VOLUME_SNAPSHOT, VOLUME_BACKUP."""
    await notices.tell(turn.tx, Notice(
        id=new_uuid(), project_id=row.project_id, request_id=turn.request_id or "", resource_type=kind,
        resource_id=row.id, action=action, detail=detail, created_at=turn.services.clock(), text=turn.why))
