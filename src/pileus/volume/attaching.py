"""Attach and detach: what both APIs, the one of attachments and the older one of actions, come down to.

An attachment is one row. A volume's status follows from its rows, in the transaction that changes them; the database
refuses a second row for a volume that may be attached only once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from pileus.kit import db
from pileus.kit.bus import Failed, NobodyThere
from pileus.kit.db import Connection
from pileus.kit.faults import Conflict, Unavailable
from pileus.kit.ids import new_uuid
from pileus.volume.drivers.base import Export, ExportOptions, Key
from pileus.volume.faults import Invalid
from pileus.volume.messages import EnsureNoExport, ExportVolume
from pileus.volume.model import attachments, types, volumes
from pileus.volume.model.attachments import Attachment, AttachStatus
from pileus.volume.model.tables import attachments as table
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.qos import limits_of
from pileus.volume.runtime import Volumes
from pileus.volume.sagas.nodes import open_key

_BY_ATTACHMENT = ((AttachStatus.ATTACHED, Status.IN_USE), (AttachStatus.DETACHING, Status.DETACHING),
                  (AttachStatus.ATTACHING, Status.ATTACHING), (AttachStatus.RESERVED, Status.RESERVED))
FOLLOWS = (Status.AVAILABLE, Status.IN_USE, Status.RESERVED, Status.ATTACHING, Status.DETACHING)


async def settle(tx: Connection, volume_id: str, now: float, *, mend: bool = False) -> Volume:
    """Bring the volume's status in line with its attachments, unless something else is being done to it. With `mend`
    one in error follows too."""
    volume = await volumes.get(tx, volume_id)
    found = {each.status for each in await attachments.of_volume(tx, volume_id)}
    wanted = next((status for each, status in _BY_ATTACHMENT if each in found), Status.AVAILABLE)
    follows = volume.status in FOLLOWS or mend and volume.status == Status.ERROR
    if follows and volume.status != wanted:
        return await volumes.change(tx, volume, now, status=wanted)
    return volume


async def reserve(tx: Connection, volume: Volume, now: float, *, server_id: str | None = None,
                  mode: str | None = None, status: str = AttachStatus.RESERVED) -> Attachment:
    """A new attachment of a volume that may have one more. Raises Invalid or Conflict."""
    may = volume.status == Status.AVAILABLE or volume.multiattach and volume.status in (Status.IN_USE, Status.RESERVED)
    if not may:
        raise Invalid(reason=f"Invalid volume: Volume {volume.id} status must be available or downloading to reserve, "
                             f"but the current status is {volume.status}.")
    if server_id and volume.multiattach and any(
            each.server_id == server_id for each in await attachments.of_volume(tx, volume.id)):
        raise Invalid(reason=f"Invalid volume: volume {volume.id} is attached to instance {server_id} already.")
    if volume.read_only and mode == "rw":
        raise Invalid(reason=f"Invalid volume: Volume {volume.id} is read-only.")
    row = Attachment(id=new_uuid(), project_id=volume.project_id, volume_id=volume.id, created_at=now,
                     server_id=server_id, status=status, mode=mode or ("ro" if volume.read_only else None),
                     exclusive=None if volume.multiattach else volume.id)
    try:
        await db.add(tx, table, row)
    except db.Taken as error:
        raise Conflict(reason=f"Volume {volume.id} is attached to server {server_id} already, or being "
                              f"attached.") from error
    await settle(tx, volume.id, now)
    return row


class Serving(NamedTuple):
    """How a volume of its type is served. Whoever is to keep its limits, who serves it does; `told` are those that
    servers are told of."""

    options: ExportOptions
    key: Key | None
    told: dict[str, str] | None


async def serving(app: Volumes, volume: Volume, type_id: str) -> Serving:
    """Raises KeyUnusable."""
    async with app.db.read() as reader:
        kind = await types.get(reader, type_id)
        qos = await types.find_qos(reader, kind.qos_id)
        key = await open_key(reader, app.box, volume)
    limits = limits_of(qos.specs, volume.size_gb) if qos else {}
    told = qos is not None and qos.consumer != "back-end"
    return Serving(ExportOptions(encrypted=key is not None, limits=limits), key,
                   {name: str(value) for name, value in limits.items()} if told else None)


async def connect(app: Volumes, volume: Volume, connector: dict[str, Any], mode: str | None) -> dict[str, Any]:
    """Have the volume served; how to reach it, in the words of os-brick. Outside of any transaction. What is encrypted
    is served in plain text, on a socket of the host; to other hosts, where they do not reach that, with TLS."""
    options, key, told = await serving(app, volume, volume.type_id)
    node, host = volume.back_end.partition("@")[0], connector.get("host")
    beyond = app.config.between_hosts == "tls" and host not in (None, node)
    options = msgspec.structs.replace(options, beyond=beyond)
    try:
        export: Export = await app.bus.call(ExportVolume(
            volume_id=volume.id, options=options, key=key), host=volume.back_end)
    except (Failed, NobodyThere) as error:
        raise Unavailable(reason=f"Volume {volume.id} cannot be served: {error}") from error
    return {"driver_volume_type": "nbd", "data": {
        **_place(export), "export": export.name, "uri": export.uri, "volume_id": volume.id,
        "access_mode": mode or "rw", "encrypted": False, "discard": True, "cacheable": False,
        "qos_specs": told, "device_path": None, "size_gb": volume.size_gb}}


async def serve_again(app: Volumes, volume_id: str, back_end: str) -> bool:
    """A volume of `back_end` whose server died: whether it had to be served, and is. One that nobody uses, and one that
    moves, which is looked after by whoever moves it, is left alone. Raises Failed, NobodyThere, KeyUnusable."""
    async with app.db.read() as reader:
        volume = await volumes.find(reader, volume_id)
        used = [each for each in await attachments.of_volume(reader, volume_id) if each.connection]
        beyond = await attachments.is_used_beyond(reader, volume_id)
    if volume is None or volume.back_end != back_end or not used or volume.status not in FOLLOWS:
        return False
    options, key, _ = await serving(app, volume, volume.type_id)
    options = msgspec.structs.replace(options, beyond=beyond)
    await app.bus.call(ExportVolume(volume_id=volume.id, options=options, key=key), host=back_end)
    return True


def _place(export: Export) -> dict[str, Any]:
    return {"address": export.address, "port": export.port, "tls": True} if export.address else {
        "socket": export.socket}


async def release(app: Volumes, volume_id: str) -> None:
    """Serve the volume no longer than somebody is attached to it. Its node may be down: it serves nobody then."""
    async with app.db.read() as reader:
        volume = await volumes.find(reader, volume_id)
        held = [each for each in await attachments.of_volume(reader, volume_id) if each.connection]
    if volume is None or held or not volume.host:
        return
    try:
        await app.bus.call(EnsureNoExport(volume_id=volume.id), host=volume.back_end)
    except (Failed, NobodyThere) as error:
        raise Unavailable(reason=f"Volume {volume.id} is still being served: {error}") from error


async def detach(app: Volumes, row: Attachment, *, mend: bool = False) -> None:
    """Gone is gone: said twice, by two at once, or of a row that somebody else removed."""
    async with app.db.write() as tx:
        await attachments.remove(tx, row)
        await settle(tx, row.volume_id, app.clock(), mend=mend)
    await release(app, row.volume_id)
