"""Groups: their volumes and snapshots are made and deleted by sagas of their own, which these wait for."""

from __future__ import annotations

from pileus.kit.saga import Abort, Saga, Turn, saga, step
from pileus.volume.model import groups, snapshots, volumes
from pileus.volume.model.tables import group_snapshots
from pileus.volume.model.tables import groups as group_table
from pileus.volume.model.volumes import Status
from pileus.volume.sagas.create_volume import CreateVolume, Source
from pileus.volume.sagas.delete_volume import DeleteVolume
from pileus.volume.sagas.snapshots import CreateSnapshot, DeleteSnapshot


@saga("volume.create_group")
class CreateGroup(Saga, kw_only=True):
    group_id: str
    sources: dict[str, Source] = {}            # new volume -> what it begins as
    children: list[str] = []

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        group = await groups.find(turn.tx, self.group_id)
        if group is not None:
            await groups.change(turn.tx, group, turn.services.clock(), status="error")

    @step(local=True)
    async def begin_volumes(self, turn: Turn) -> None:
        self.children = [await turn.begin(CreateVolume(volume_id=volume_id, source=source), volume_id)
                         for volume_id, source in self.sources.items()]

    @step(timeout=3600)
    async def await_volumes(self, turn: Turn) -> None:
        await turn.join(self.children)

    @step(local=True)
    async def mark_available(self, turn: Turn) -> None:
        group = await groups.get(turn.tx, self.group_id)
        await groups.change(turn.tx, group, turn.services.clock(), status="available")


@saga("volume.delete_group")
class DeleteGroup(Saga, kw_only=True):
    group_id: str
    children: list[str] = []

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        group = await groups.get(turn.tx, self.group_id)
        await groups.change(turn.tx, group, turn.services.clock(), status="error_deleting")

    @step(local=True)
    async def begin_volumes(self, turn: Turn) -> None:
        now = turn.services.clock()
        for volume in await volumes.in_group(turn.tx, self.group_id):
            if await volumes.has_snapshots(turn.tx, volume.id):
                raise Abort(f"Volume {volume.id} still has snapshots.")
            await volumes.change(turn.tx, volume, now, status=Status.DELETING)
            self.children.append(await turn.begin(DeleteVolume(volume_id=volume.id), volume.id))

    @step(timeout=3600)
    async def await_volumes(self, turn: Turn) -> None:
        await turn.join(self.children)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        await turn.tx.execute(group_table.delete().where(group_table.c.id == self.group_id))


@saga("volume.create_group_snapshot")
class CreateGroupSnapshot(Saga, kw_only=True):
    group_snapshot_id: str
    children: list[str] = []

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        row = await groups.get_snapshot(turn.tx, self.group_snapshot_id)
        await groups.change_snapshot(turn.tx, row, turn.services.clock(), status="error")

    @step(local=True)
    async def begin_snapshots(self, turn: Turn) -> None:
        for snapshot in await snapshots.in_group_snapshot(turn.tx, self.group_snapshot_id):
            volume = await volumes.get(turn.tx, snapshot.volume_id)
            self.children.append(await turn.begin(CreateSnapshot(
                snapshot_id=snapshot.id, volume_id=volume.id, host=volume.back_end), snapshot.id))

    @step(timeout=3600)
    async def await_snapshots(self, turn: Turn) -> None:
        await turn.join(self.children)

    @step(local=True)
    async def mark_available(self, turn: Turn) -> None:
        row = await groups.get_snapshot(turn.tx, self.group_snapshot_id)
        await groups.change_snapshot(turn.tx, row, turn.services.clock(), status="available")


@saga("volume.delete_group_snapshot")
class DeleteGroupSnapshot(Saga, kw_only=True):
    group_snapshot_id: str
    children: list[str] = []

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def mark_error(self, turn: Turn) -> None:
        row = await groups.get_snapshot(turn.tx, self.group_snapshot_id)
        await groups.change_snapshot(turn.tx, row, turn.services.clock(), status="error_deleting")

    @step(local=True)
    async def begin_snapshots(self, turn: Turn) -> None:
        for snapshot in await snapshots.in_group_snapshot(turn.tx, self.group_snapshot_id):
            await snapshots.change(turn.tx, snapshot, turn.services.clock(), status="deleting")
            self.children.append(await turn.begin(DeleteSnapshot(snapshot_id=snapshot.id), snapshot.id))

    @step(timeout=3600)
    async def await_snapshots(self, turn: Turn) -> None:
        await turn.join(self.children)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        await turn.tx.execute(group_snapshots.delete().where(group_snapshots.c.id == self.group_snapshot_id))
