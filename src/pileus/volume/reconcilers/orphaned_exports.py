"""Volumes that are served though nobody is attached to them: whoever served them died before saying for whom, or after
letting go; found by looking."""

from __future__ import annotations

from pileus.kit.bus import Failed, NobodyThere
from pileus.kit.reconcile import reconciler
from pileus.volume.messages import EnsureNoExport, HeldVolume, ListVolumes
from pileus.volume.model import attachments, services, volumes
from pileus.volume.model.volumes import Status
from pileus.volume.runtime import Volumes

OLD_ENOUGH = 600.0                 # seconds; what is being connected or let go of is none of ours
COPIED = (Status.RETYPING, Status.MAINTENANCE)       # over what is served, with no attachment


@reconciler(every=300)
async def orphaned_exports(volume: Volumes) -> None:
    async with volume.db.read() as reader:
        back_ends = await services.every(reader, binary=services.VOLUME)
    for back_end in back_ends:
        if not back_end.is_up(volume.clock()):
            continue
        try:
            for held in await volume.bus.call(ListVolumes(), host=back_end.host):
                if held.served and await _is_orphan(volume, held):
                    await volume.bus.call(EnsureNoExport(volume_id=held.id), host=back_end.host)
        except (Failed, NobodyThere):
            continue                                 # the next round asks again


async def _is_orphan(volume: Volumes, held: HeldVolume) -> bool:
    async with volume.db.read() as reader:
        row = await volumes.find(reader, held.id)
        rows = await attachments.of_volume(reader, held.id)
    if row is not None and row.status in COPIED or any(each.connection for each in rows):
        return False
    changed = [each.updated_at or each.created_at for each in (row, *rows) if each is not None]
    return volume.clock() - max(changed, default=0.0) > OLD_ENOUGH
