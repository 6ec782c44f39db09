"""Move a volume to another type, to another back end, or both; also while servers use it.

One that is attached is mirrored by the back end that serves it, and served by the other at the same socket: guests
come back to that by themselves and see a moment's pause. Compute takes no part.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit.saga import Abort, Saga, Turn, Wait, saga, step
from pileus.volume import attaching, scheduler
from pileus.volume.drivers.base import Export, ExportOptions, Mirror
from pileus.volume.messages import EnsureNoExport, EnsureNoVolume, EnsureVolume, ExportVolume, FillFromExport
from pileus.volume.model import attachments, notices, services, types, volumes
from pileus.volume.model.keys import KeyUnusable
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.sagas.change_volume import LONG, set_volume, volume_of
from pileus.volume.sagas.nodes import ask, clear, tell_why

POLL_SECONDS = 0.2
ASIDE = ExportOptions(aside=True)


@saga("volume.move_volume")
class Move(Saga, kw_only=True):
    volume_id: str
    type_id: str
    status: str                                # before
    may_copy: bool = True                      # to another back end
    asked_pool: str | None = None
    old_pool: str = ""
    pool: str = ""                             # empty: it stays where it is

    @property
    def here(self) -> str:
        return self.old_pool.partition("#")[0]

    @property
    def there(self) -> str:
        return self.pool.partition("#")[0]

    @property
    def used(self) -> bool:
        return self.status == Status.IN_USE

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_back(self, turn: Turn) -> None:
        volume = await set_volume(turn, self.volume_id, status=self.status,
                                  migration_status="error" if self.asked_pool else None)
        await attaching.settle(turn.tx, self.volume_id, turn.services.clock())
        await tell_why(turn, "VOLUME", volume, action=notices.SCHEDULE)

    @step(local=True)
    async def choose_back_end(self, turn: Turn) -> None:
        volume = await volumes.get(turn.tx, self.volume_id)
        kind = await types.get(turn.tx, self.type_id)
        wanted = scheduler.Request(
            size_gb=0, extra_specs=kind.extra_specs, volume=scheduler.told_of(volume),
            qos=await types.limits_of(turn.tx, kind),
            same_host=frozenset([self.asked_pool] if self.asked_pool else []))
        verdict = scheduler.choose(wanted, await services.every(turn.tx, binary=services.VOLUME),
                                   await services.provisioned(turn.tx), turn.services.clock())
        self.old_pool = volume.host or ""
        if not verdict.pools:
            raise Abort(verdict.sentence)
        if self.old_pool not in verdict.pools:
            if not self.may_copy:
                raise Abort(f"Retype requires migration but is not allowed. {verdict.refused}")
            if await volumes.has_snapshots(turn.tx, volume.id):
                raise Abort("A volume that has snapshots cannot move to another back end.")
            if self.used and not turn.services.config.move_attached:
                raise Abort("It can move when it is detached: the guests here do not come back to a volume that moved.")
            if self.used and await attachments.is_used_beyond(turn.tx, volume.id):
                raise Abort("It can move when no server of another host uses it.")
            within = [pool for pool in verdict.pools if not self.used or _node(pool) == _node(self.old_pool)]
            if not within:
                raise Abort("A volume that is attached can move only to another back end of its node.")
            self.pool = within[0]

    @step(timeout=LONG)
    async def copy(self, turn: Turn) -> None:
        if not self.pool:
            return
        volume = await volume_of(turn, self.volume_id)
        await ask(turn.services, EnsureVolume(volume_id=volume.id, size_gb=volume.size_gb), host=self.there,
                  seconds=600)
        if self.used:
            await self._follow(turn, volume, alone=False)
            return
        aside = msgspec.structs.replace(ASIDE, read_only=True)
        export = await ask(turn.services, ExportVolume(volume_id=volume.id, options=aside), host=self.here)
        await ask(turn.services, FillFromExport(volume_id=volume.id, export=export), host=self.there, seconds=LONG)

    @copy.undo
    async def remove_copy(self, turn: Turn) -> None:
        if not self.pool:
            return
        if await self._is_served(turn):
            volume = await volume_of(turn, self.volume_id)
            await clear(turn.services, await _as_served(turn, volume, volume.type_id), host=self.here)
        else:
            await clear(turn.services, EnsureNoExport(volume_id=self.volume_id), host=self.here)
        await clear(turn.services, EnsureNoVolume(volume_id=self.volume_id), host=self.there)

    async def _follow(self, turn: Turn, volume: Volume, *, alone: bool) -> None:
        """Raises Wait until all is there."""
        target: Export = await ask(turn.services, ExportVolume(volume_id=volume.id, options=ASIDE), host=self.there)
        wanted = await _as_served(turn, volume, volume.type_id, Mirror(to=target, alone=alone))
        export: Export = await ask(turn.services, wanted, host=self.here)
        async with turn.services.db.read() as reader:
            sockets = {each.connection["data"]["socket"] for each in await attachments.of_volume(reader, volume.id)
                       if each.connection}
        if sockets - {export.socket}:
            raise Abort("It is used at a socket that only this back end has; once detached and attached again it can "
                        "move.")
        if not export.in_step:
            raise Wait(POLL_SECONDS)

    @step(timeout=LONG, pivot=True)
    async def hand_over(self, turn: Turn) -> None:
        """What servers write to it is from here on written to the other back end alone, by way of the old one."""
        if self.pool and self.used:
            await self._follow(turn, await volume_of(turn, self.volume_id), alone=True)

    @step
    async def serve(self, turn: Turn) -> None:
        """The old one goes first: what it was asked and did not answer, guests ask again of the new one."""
        if self.pool and self.used:
            await ask(turn.services, EnsureNoExport(volume_id=self.volume_id), host=self.here)
            volume = await volume_of(turn, self.volume_id)
            await ask(turn.services, await _as_served(turn, volume, self.type_id), host=self.there)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        volume = await volumes.get(turn.tx, self.volume_id)
        kind = await types.get(turn.tx, self.type_id)
        await volumes.change(turn.tx, volume, turn.services.clock(), type_id=kind.id, status=self.status,
                             host=self.pool or volume.host, multiattach=kind.multiattach,
                             migration_status="success" if self.pool else volume.migration_status)
        await attaching.settle(turn.tx, self.volume_id, turn.services.clock())

    @step
    async def remove_old(self, turn: Turn) -> None:
        """It is also served no longer where the last server let go of it meanwhile."""
        if self.pool:
            await ask(turn.services, EnsureNoVolume(volume_id=self.volume_id), host=self.here)
            await attaching.release(turn.services, self.volume_id)

    async def _is_served(self, turn: Turn) -> bool:
        async with turn.services.db.read() as reader:
            return any(each.connection for each in await attachments.of_volume(reader, self.volume_id))


def _node(pool: str) -> str:
    return pool.partition("@")[0]


async def _as_served(turn: Turn, volume: Volume, type_id: str, mirror: Mirror | None = None) -> ExportVolume:
    """As servers of a volume of that type get it. Raises Abort where its key is lost."""
    try:
        options, key, _ = await attaching.serving(turn.services, volume, type_id)
    except KeyUnusable as error:
        raise Abort(str(error)) from error
    changes: dict[str, Any] = {"mirror": mirror} if mirror else {}
    return ExportVolume(volume_id=volume.id, options=msgspec.structs.replace(options, **changes), key=key)
