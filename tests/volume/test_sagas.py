"""Every saga is proven: it survives a crash at each step, and leaves nothing when it fails at one."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.saga_testing import prove
from pileus.volume.drivers.base import ExportOptions
from pileus.volume.model import tables, types, volumes
from pileus.volume.model.attachments import Attachment
from pileus.volume.model.backups import Backup
from pileus.volume.model.groups import Group, GroupSnapshot
from pileus.volume.model.snapshots import Snapshot
from pileus.volume.model.volumes import Volume
from pileus.volume.sagas.backups import CreateBackup, DeleteBackup, Restore
from pileus.volume.sagas.change_volume import ExtendVolume, Manage, Reimage, Revert, Upload
from pileus.volume.sagas.create_volume import CreateVolume, Source
from pileus.volume.sagas.delete_volume import DeleteVolume
from pileus.volume.sagas.groups import CreateGroup, CreateGroupSnapshot, DeleteGroup, DeleteGroupSnapshot
from pileus.volume.sagas.move_volume import Move
from pileus.volume.sagas.snapshots import CreateSnapshot, DeleteSnapshot

IMAGE = "22222222-0000-4000-8000-000000000001"
COMMON = {"project_id": "p1", "user_id": "u", "created_at": 1.0}
HERE = "node@one"
TABLES = (tables.volumes, tables.snapshots, tables.backups, tables.groups, tables.group_snapshots)


@pytest.fixture
def make(make_world):
    """Makes worlds with a volume (or what else `prepare` adds) in them."""
    def of(status="creating", host=None, prepare=None, content=True):
        async def build():
            world = await make_world()
            world.image.contents[IMAGE] = b"image"
            async with world.db.write() as tx:
                kind = await types.default_for(tx, None, "__DEFAULT__")
                await volumes.add(tx, Volume(id="v", size_gb=1, type_id=kind.id, zone="nova", status=status, host=host,
                                             **COMMON))
                if prepare:
                    await prepare(world, tx, kind.id)
            if host and content:
                await world.drivers["one"].ensure("v", 1)
                world.drivers["one"].write("v", 0, b"data")
            return world
        return build
    return of


async def facts(world):
    """What is in the back ends and in the tables, but for times and generations."""
    rows = {}
    async with world.db.read() as reader:
        for table in TABLES:
            rows[table.name] = [
                {key: value for key, value in row._mapping.items() if key in (
                    "id", "status", "host", "size_gb", "type_id_", "object_count", "progress", "image_metadata")}
                for row in await reader.execute(sa.select(table).order_by(table.c.id))]
    held = {name: {volume_id: msgspec.to_builtins(volume) for volume_id, volume in sorted(driver.known.items())}
            for name, driver in world.drivers.items()}
    kept = sorted(path.name for path in world.backups.folder.glob("*/index"))
    return {"rows": rows, "held": held, "backups": kept, "images": dict(world.image.contents),
            "events": list(world.compute.events)}


def volume_row(status, **more):
    return {"id": "v", "status": status, "host": None, "size_gb": 1, "image_metadata": None} | more


def unwound(volume=None, **others):
    """The tables after unwinding: the volume's row (none: as before), and others'."""
    return {"rows": {table.name: [] for table in TABLES} | {"volume": [volume]} | others}


@pytest.mark.parametrize("source", [Source(), Source(image_id=IMAGE)])
async def test_create(make, make_world, source):
    async def facts_but_for_the_place(world):
        """Which back end was chosen stays in the row of a volume in error: it says where it failed."""
        found = await facts(world)
        for row in found["rows"]["volume"]:
            row["host"] = None
        return found
    await prove(make(), CreateVolume(volume_id="v", source=source), facts_but_for_the_place,
                unwound(volume_row("error")), lives=make_world)


async def test_clone(make, make_world):
    async def origin(world, tx, type_id):
        await volumes.add(tx, Volume(id="origin", size_gb=1, type_id=type_id, zone="nova", status="available",
                                     host="node@one#one", **COMMON))
        await world.drivers["one"].ensure("origin", 1)
        world.drivers["one"].write("origin", 0, b"data")

    async def contents(world):
        return {"held": (await facts(world))["held"]}
    await prove(make(prepare=origin), CreateVolume(
        volume_id="v", source=Source(volume_id="origin", pool="node@one#one")), contents, lives=make_world)


async def test_delete(make, make_world):
    await prove(make("deleting", "node@one#one"), DeleteVolume(volume_id="v"), rows_of_volumes,
                {"volume": [volume_row("error_deleting", host="node@one#one")]}, lives=make_world)


async def rows_of_volumes(world):
    """A deletion that fails leaves the row; the content may be gone, as what is deleted is not needed."""
    found = await facts(world)
    return {"volume": found["rows"]["volume"]}


async def test_extend(make, make_world):
    """A back end never shrinks a volume, so it may be larger than its row says once this failed."""
    await prove(make("extending", "node@one#one"), ExtendVolume(volume_id="v", size_gb=3, status="available"),
                rows_of_volumes, {"volume": [volume_row("error_extending", host="node@one#one")]}, lives=make_world)


async def test_revert(make, make_world):
    async def snapshot(world, tx, type_id):
        await world.drivers["one"].ensure("v", 1)
        await world.drivers["one"].ensure_snapshot("v", "s")
    await prove(make("reverting", "node@one#one", snapshot), Revert(volume_id="v", snapshot_id="s", size_gb=1),
                rows_of_volumes, {"volume": [volume_row("error", host="node@one#one")]}, lives=make_world)


async def uploaded(world):
    """Which images have a content: one that was never begun has none."""
    found = await facts(world)
    return {"volume": found["rows"]["volume"], "images": sorted(
        image_id for image_id, content in found["images"].items() if content is not None)}


async def test_upload(make, make_world):
    async def image(world, tx, type_id):
        world.image.contents["new"] = None
    await prove(make("uploading", "node@one#one", image), Upload(volume_id="v", image_id="new", status="available"),
                uploaded, {"volume": [volume_row("available", host="node@one#one")], "images": [IMAGE]},
                lives=make_world)


async def test_reimage(make, make_world):
    await prove(make("downloading", "node@one#one"), Reimage(volume_id="v", image_id=IMAGE, disk_format="raw"),
                rows_of_volumes, {"volume": [volume_row("error", host="node@one#one")]}, lives=make_world)


async def with_kinds(world, tx, type_id):
    await db.add(tx, tables.types, types.VolumeType(id="t", name="on-two", created_at=1.0,
                                                    extra_specs={"volume_backend_name": "two"}))


async def test_move_to_another_back_end(make, make_world):
    async def places(world):
        found = await facts(world)
        for held in found["held"].values():
            for volume in held.values():
                volume["export"] = None
        return {"volume": found["rows"]["volume"], "held": found["held"]}
    await prove(make("retyping", "node@one#one", with_kinds), Move(volume_id="v", type_id="t", status="available"),
                places, {"volume": [volume_row("available", host="node@one#one")]}, lives=make_world)


async def test_move_while_it_is_attached(make, make_world):
    """Where it is served from, and that the socket stays what it was, is part of the facts."""
    async def attached(world, tx, type_id):
        await with_kinds(world, tx, type_id)
        await world.drivers["one"].ensure("v", 1)
        export = await world.drivers["one"].export("v", ExportOptions())
        await db.add(tx, tables.attachments, Attachment(
            id="a", volume_id="v", project_id="p1", created_at=1.0, server_id="s", status="attached", exclusive="v",
            connector={"host": "h"}, connection={"data": {"socket": export.socket}}))

    async def places(world):
        found = await facts(world)
        return {"volume": found["rows"]["volume"], "held": found["held"]}
    await prove(make("retyping", "node@one#one", attached), Move(volume_id="v", type_id="t", status="in-use"),
                places, {"volume": [volume_row("in-use", host="node@one#one")]}, lives=make_world)


async def test_manage(make, make_world):
    async def unmanaged(world, tx, type_id):
        await world.drivers["one"].ensure("old", 2)
    await prove(make("managing", "node@one#one", unmanaged, content=False), Manage(volume_id="v", reference="old"),
                facts, unwound(volume_row("error_managing", host="node@one#one")), lives=make_world)


async def with_snapshot(world, tx, type_id):
    await db.add(tx, tables.snapshots, Snapshot(id="s", volume_id="v", size_gb=1, type_id=type_id, **COMMON))


def snapshot_row(status, progress=0):
    return {"id": "s", "status": status, "size_gb": 1, "progress": progress}


async def test_create_snapshot(make, make_world):
    await prove(make("available", "node@one#one", with_snapshot),
                CreateSnapshot(snapshot_id="s", volume_id="v", host=HERE), facts,
                unwound(volume_row("available", host="node@one#one"), snapshot=[snapshot_row("error")]),
                lives=make_world)


async def rows_of_snapshots(world):
    return {"snapshot": (await facts(world))["rows"]["snapshot"]}


async def test_delete_snapshot(make, make_world):
    await prove(make("available", "node@one#one", with_snapshot), DeleteSnapshot(snapshot_id="s"), rows_of_snapshots,
                {"snapshot": [snapshot_row("error_deleting")]}, lives=make_world)


async def with_backup(world, tx, type_id):
    await db.add(tx, tables.backups, Backup(id="b", volume_id="v", size_gb=1, host=HERE, **COMMON))


async def written(world, tx, type_id):
    await with_backup(world, tx, type_id)
    await world.drivers["two"].ensure("lost", 1)
    world.drivers["two"].write("lost", 3, b"kept")
    await world.backups.write("b", world.drivers["two"].read("lost"), 1 << 30, None)
    await world.drivers["two"].remove("lost")


def backup_row(status):
    return {"id": "b", "status": status, "host": HERE, "size_gb": 1, "object_count": 0}


async def test_create_backup(make, make_world):
    await prove(make("backing-up", "node@one#one", with_backup),
                CreateBackup(backup_id="b", volume_id="v", host=HERE, status="available"), facts,
                unwound(volume_row("available", host="node@one#one"), backup=[backup_row("error")]), lives=make_world)


async def test_restore(make, make_world):
    await prove(make("restoring-backup", "node@one#one", written), Restore(backup_id="b", volume_id="v"),
                rows_of_volumes, {"volume": [volume_row("error_restoring", host="node@one#one")]}, lives=make_world)


async def rows_of_backups(world):
    return {"backup": (await facts(world))["rows"]["backup"]}


async def test_delete_backup(make, make_world):
    await prove(make("available", "node@one#one", written), DeleteBackup(backup_id="b", host=HERE), rows_of_backups,
                {"backup": [backup_row("error_deleting")]}, lives=make_world)


async def with_group(world, tx, type_id):
    kind = (await tx.execute(sa.select(tables.group_types.c.id))).scalar()
    await db.add(tx, tables.groups, Group(id="g", group_type_id=kind, **COMMON))
    await tx.execute(tables.volumes.update().values(group_id="g"))


async def with_group_snapshot(world, tx, type_id):
    await with_group(world, tx, type_id)
    kind = (await tx.execute(sa.select(tables.group_types.c.id))).scalar()
    await db.add(tx, tables.group_snapshots, GroupSnapshot(id="gs", group_id="g", group_type_id=kind, **COMMON))
    await db.add(tx, tables.snapshots, Snapshot(id="s", volume_id="v", size_gb=1, type_id=type_id,
                                                group_snapshot_id="gs", **COMMON))


async def groups_only(world):
    """Parts have sagas of their own, which are not undone with the whole."""
    rows = (await facts(world))["rows"]
    return {"group": [row["status"] for row in rows["volume_group"]],
            "snapshot": [row["status"] for row in rows["group_snapshot"]]}


@pytest.mark.parametrize("state, prepare, left", [
    (CreateGroup(group_id="g", sources={"v": Source()}), with_group, {"group": ["error"]}),
    (DeleteGroup(group_id="g"), with_group, {"group": ["error_deleting"]}),
    (CreateGroupSnapshot(group_snapshot_id="gs"), with_group_snapshot, {"snapshot": ["error"]}),
    (DeleteGroupSnapshot(group_snapshot_id="gs"), with_group_snapshot, {"snapshot": ["error_deleting"]})],
    ids=lambda value: getattr(value, "name", ""))
async def test_groups(make, make_world, state, prepare, left):
    await prove(make("available", "node@one#one", prepare), state, groups_only, left, lives=make_world)
