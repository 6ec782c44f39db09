"""Messages: why something a user asked for did not happen."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.volume.faults import MessageNotFound
from pileus.volume.model.tables import notices

ACTIONS = {"001": "schedule allocate volume", "003": "copy volume to image", "004": "update attachment",
           "005": "copy image to volume", "006": "unmanage volume", "007": "extend volume",
           "008": "create volume from backend storage", "009": "create snapshot", "010": "delete snapshot",
           "013": "create volume backup", "015": "delete volume backup", "016": "restore volume backup"}
DETAILS = {"001": "An unknown error occurred.", "003": "Could not find any available weighted backend.",
           "002": "Driver is not initialized at present.", "027": "No storage could be allocated for this volume "
           "request. You may be able to try another size or volume type."}
KEPT_SECONDS = 30 * 86400.0
SCHEDULE, UPLOAD, FROM_IMAGE, EXTEND, SNAPSHOT, BACKUP, RESTORE = "001", "003", "005", "007", "009", "013", "016"
CREATE = "008"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    request_id: str
    resource_type: str
    resource_id: str | None
    action: str
    detail: str
    created_at: float
    text: str | None = None

    @property
    def event_id(self) -> str:
        return f"VOLUME_{self.resource_type}_{self.action}_{self.detail}"

    @property
    def sentence(self) -> str:
        reason = DETAILS[self.detail] if self.detail != "001" or not self.text else self.text
        return f"{ACTIONS[self.action]}:{reason}"


async def get(conn: Connection, message_id: str) -> Notice:
    """Raises MessageNotFound."""
    row = await db.one(conn, sa.select(notices).where(notices.c.id == message_id), Notice)
    if row is None:
        raise MessageNotFound(message_id=message_id)
    return row


async def tell(tx: Connection, row: Notice) -> None:
    await db.add(tx, notices, row)


async def prune(tx: Connection, before: float) -> None:
    await tx.execute(notices.delete().where(notices.c.created_at < before))
