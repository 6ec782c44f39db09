"""Backups: lists, CRUD, restore, records of backups that other installations can import."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Metadata, Name, Query, counted, listed, start, stripped, truth
from pileus.volume.api.volume_create import mine
from pileus.volume.faults import BackupNotFound, Invalid
from pileus.volume.model import backups, keys, quotas, services, snapshots, types, volumes
from pileus.volume.model.backups import Backup, Seen
from pileus.volume.model.listing import Found
from pileus.volume.model.tables import backups as table
from pileus.volume.model.volumes import Status, Volume
from pileus.volume.paths import Link, links_to
from pileus.volume.sagas.backups import CreateBackup, DeleteBackup, Restore
from pileus.volume.sagas.create_volume import CreateVolume, Source
from pileus.volume.times import iso, iso_or_none

routes = Routes()
BACKUP = Target(backups.see, missing=BackupNotFound)
FILTERS = {"name", "status", "volume_id", "id", "user_id"}
SORTABLE = {"id", "status", "size_gb", "name", "created_at", "updated_at", "volume_id"}
STATUSES = ("available", "error", "creating", "deleting", "restoring", "error_deleting")
SERVICE_NAME = "cinder.backup.drivers.pileus"        # clients look at how it begins


class BackupBrief(msgspec.Struct, kw_only=True):
    id: str
    name: str | None
    links: list[Link]
    metadata: Annotated[dict[str, str] | UnsetType, since(versions.BACKUP_METADATA)] = UNSET


class BackupView(msgspec.Struct, kw_only=True):
    id: str
    name: str | None
    links: list[Link]
    status: str
    size: int
    object_count: int
    availability_zone: str | None
    container: str | None
    created_at: str
    updated_at: str | None
    description: str | None
    fail_reason: str | None
    volume_id: str
    snapshot_id: str | None
    is_incremental: bool
    has_dependent_backups: bool
    data_timestamp: str | None
    project_id: Annotated[str | UnsetType, since(versions.BACKUP_PROJECT)] = msgspec.field(
        name="os-backup-project-attr:project_id", default=UNSET)
    metadata: Annotated[dict[str, str], since(versions.BACKUP_METADATA)] = {}
    user_id: Annotated[str, since(versions.BACKUP_USER)] = ""
    encryption_key_id: Annotated[str | UnsetType, since(versions.ENCRYPTION_KEY)] = UNSET


def brief(ctx: Ctx, row: Backup, *, metadata: bool = False) -> BackupBrief:
    return BackupBrief(id=row.id, name=row.name, links=links_to(ctx, f"backups/{row.id}"),
                       metadata=row.metadata if metadata else UNSET)


def view(ctx: Ctx, seen: Seen) -> BackupView:
    row = seen.backup
    found = BackupView(
        id=row.id, name=row.name, links=links_to(ctx, f"backups/{row.id}"), status=row.status, size=row.size_gb,
        object_count=row.object_count, availability_zone=row.zone, container=row.container,
        created_at=iso(row.created_at), updated_at=iso_or_none(row.updated_at), description=row.description,
        fail_reason=row.fail_reason, volume_id=row.volume_id, snapshot_id=row.snapshot_id,
        is_incremental=row.parent_id is not None, has_dependent_backups=seen.has_dependents,
        data_timestamp=iso_or_none(row.data_at), metadata=row.metadata, user_id=row.user_id)
    if ctx.caller.is_admin:
        found.project_id = row.project_id
    if row.encryption_key_id is not None:
        found.encryption_key_id = row.encryption_key_id
    return found


async def _page(ctx: Ctx, query: Query) -> Found:
    sortable = SORTABLE if ctx.version >= versions.BACKUP_NAME_SORT else SORTABLE - {"name"}
    wanted = listed(ctx, query, filters=FILTERS, sortable=sortable, renamed={"size": "size_gb"})
    if wanted.limit == 0:
        return Found([], False)
    async with ctx.db.read() as reader:
        return await backups.page(reader, wanted)


@routes.get("/v3/backups", envelope="backups", policy=Rule("backup:get_all", PROJECT_READER))
async def list_backups(ctx: Ctx, query: Query) -> Page[BackupBrief]:
    found = await _page(ctx, query)
    return Page([brief(ctx, seen.backup) for seen in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/backups/detail", envelope="backups", policy=Rule("backup:get_all", PROJECT_READER))
async def list_backups_detail(ctx: Ctx, query: Query) -> Page[BackupView]:
    found = await _page(ctx, query)
    return Page([view(ctx, seen) for seen in found.rows], found.next_marker, counted(found.count))


@routes.get("/v3/backups/{backup_id}", envelope="backup", target=BACKUP, policy=Rule("backup:get", PROJECT_READER))
async def show_backup(ctx: Ctx, seen: Seen) -> BackupView:
    return view(ctx, seen)


class BackupCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: str
    name: Name | None = None
    description: Name | None = None
    container: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    force: bool | str | None = False
    incremental: bool | str | None = False
    snapshot_id: str | None = None
    metadata: Annotated[Metadata | None, since(versions.BACKUP_METADATA)] = None
    availability_zone: Annotated[Name | None, since(versions.BACKUP_ZONE)] = None


@routes.post("/v3/backups", envelope="backup", status=202, policy=Rule("backup:create", PROJECT_MEMBER))
async def create_backup(ctx: Ctx, body: BackupCreate) -> BackupBrief:
    async with ctx.db.write() as tx:
        now, volume = ctx.clock(), await volumes.get(tx, body.volume_id)
        mine(ctx, volume, volumes.VolumeNotFound, volume_id=volume.id)
        snapshot = await snapshots.get(tx, body.snapshot_id) if body.snapshot_id else None
        if snapshot is not None:
            if snapshot.volume_id != volume.id:
                raise Invalid(reason=f"Invalid snapshot: {snapshot.id} is none of volume {volume.id}.")
            snapshot.must_be("available")
        else:
            volume.must_allow("backup")
        if snapshot is None and volume.status == Status.IN_USE and not truth(body.force or False, "force"):
            raise Invalid(reason="Invalid volume: Backing up an in-use volume must use the force flag.")
        project_id, incremental = ctx.caller.project_id or "", truth(body.incremental or False, "incremental")
        parent = await backups.latest_of(tx, volume.id, project_id) if incremental else None
        if incremental and parent is None:
            raise Invalid(reason="Invalid backup: No backups available to do an incremental backup.")
        await quotas.must_fit(tx, ctx.app.config, project_id, {"backups": 1, "backup_gigabytes": volume.size_gb})
        row = Backup(id=new_uuid(), project_id=project_id, user_id=ctx.caller.user_id, volume_id=volume.id,
                     size_gb=snapshot.size_gb if snapshot else volume.size_gb, created_at=now,
                     name=stripped(body.name), description=body.description, snapshot_id=body.snapshot_id,
                     parent_id=parent.id if parent else None, container=body.container, host=volume.back_end,
                     zone=body.availability_zone or ctx.app.config.zone, metadata=body.metadata or {},
                     data_at=snapshot.created_at if snapshot else now)
        if volume.encryption_key_id is not None:
            row = msgspec.structs.replace(row, encryption_key_id=await keys.make(
                tx, ctx.app.box, like=volume.encryption_key_id))
        await db.add(tx, table, row)
        if snapshot is None:
            await volumes.change(tx, volume, now, status=Status.BACKING_UP, previous_status=volume.status)
        await start(ctx, tx, CreateBackup(
            backup_id=row.id, volume_id=volume.id, host=volume.back_end,
            snapshot_id=snapshot.data_id if snapshot else None,
            status=None if snapshot else volume.status), row.id)
    return brief(ctx, row, metadata=True)


class BackupUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | None | UnsetType = UNSET
    description: Name | None | UnsetType = UNSET
    metadata: Annotated[Metadata | UnsetType, since(versions.BACKUP_METADATA)] = UNSET


@routes.put("/v3/backups/{backup_id}", envelope="backup", target=BACKUP, window=since(versions.BACKUP_UPDATE),
            policy=Rule("backup:update", PROJECT_MEMBER))
async def update_backup(ctx: Ctx, seen: Seen, body: BackupUpdate) -> BackupBrief:
    changes = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}
    if not changes:
        raise BadRequest(reason="Nothing to change was given: name, description or metadata.")
    async with ctx.db.write() as tx:
        row = await backups.change(tx, await backups.get(tx, seen.id), ctx.clock(), **changes)
    return brief(ctx, row, metadata=True)


@routes.delete("/v3/backups/{backup_id}", target=BACKUP, status=202, policy=Rule("backup:delete", PROJECT_MEMBER))
async def delete_backup(ctx: Ctx, seen: Seen) -> None:
    if seen.backup.status not in ("available", "error"):
        raise Invalid(reason="Invalid backup: Backup status must be available or error")
    await _delete(ctx, seen)


async def _delete(ctx: Ctx, seen: Seen) -> None:
    if seen.has_dependents:
        raise Invalid(reason="Invalid backup: Incremental backups exist for this backup.")
    async with ctx.db.write() as tx:
        row = await backups.change(tx, await backups.get(tx, seen.id), ctx.clock(), status="deleting")
        await start(ctx, tx, DeleteBackup(backup_id=row.id, host=row.host or ""), row.id, supersede=True)


@routes.action("/v3/backups/{backup_id}/action", "os-force_delete", target=BACKUP,
               policy=Rule("volume_extension:backup_admin_actions:force_delete", ADMIN))
async def force_delete(ctx: Ctx, seen: Seen, body: dict[str, str] | None) -> None:
    await _delete(ctx, seen)


class StatusReset(msgspec.Struct, kw_only=True):
    status: str


@routes.action("/v3/backups/{backup_id}/action", "os-reset_status", target=BACKUP,
               policy=Rule("volume_extension:backup_admin_actions:reset_status", ADMIN))
async def reset_status(ctx: Ctx, seen: Seen, body: StatusReset) -> None:
    if body.status.lower() not in STATUSES:
        raise Invalid(reason=f"Must specify a valid status: {body.status}")
    async with ctx.db.write() as tx:
        await backups.change(tx, await backups.get(tx, seen.id), ctx.clock(), status=body.status.lower())


class RestoreTo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: str | None = None
    name: Name | None = None


class Restored(msgspec.Struct, kw_only=True):
    backup_id: str
    volume_id: str
    volume_name: str


@routes.post("/v3/backups/{backup_id}/restore", envelope="restore", target=BACKUP, status=202,
             policy=Rule("backup:restore", PROJECT_MEMBER))
async def restore_backup(ctx: Ctx, seen: Seen, body: RestoreTo) -> Restored:
    """To a volume that is there, or to a new one, which is made first."""
    backup, now = seen.backup, ctx.clock()
    if backup.status != "available":
        raise Invalid(reason="Invalid backup: Backup status must be available")
    async with ctx.db.write() as tx:
        if body.volume_id is None:
            volume = await _new_volume(ctx, tx, backup, body.name)
            await backups.change(tx, await backups.get(tx, backup.id), now, status="restoring",
                                 restore_volume_id=volume.id)
            return Restored(backup_id=backup.id, volume_id=volume.id, volume_name=volume.name or "")
        volume = await volumes.get(tx, body.volume_id)
        mine(ctx, volume, volumes.VolumeNotFound, volume_id=volume.id)
        volume.must_allow("restore")
        if volume.size_gb < backup.size_gb:
            raise Invalid(reason=f"Invalid volume: volume size {volume.size_gb} is too small to restore backup of "
                                 f"size {backup.size_gb}.")
        if volume.encrypted != (backup.encryption_key_id is not None):
            raise Invalid(reason=f"Invalid volume: volume {volume.id} has to be encrypted as what is restored is.")
        await volumes.change(tx, volume, now, status=Status.RESTORING_BACKUP)
        await backups.change(tx, await backups.get(tx, backup.id), now, status="restoring",
                             restore_volume_id=volume.id)
        await start(ctx, tx, Restore(backup_id=backup.id, volume_id=volume.id), volume.id)
    return Restored(backup_id=backup.id, volume_id=volume.id, volume_name=volume.name or "")


async def _new_volume(ctx: Ctx, tx: db.Connection, backup: Backup, name: str | None) -> Volume:
    source, key_id = await volumes.find(tx, backup.volume_id), None
    kind = await types.default_for(tx, ctx.caller.project_id, ctx.app.config.default_type)
    if backup.encryption_key_id is not None:
        kind = await types.get(tx, source.type_id) if source is not None else kind
        if kind.encryption is None:
            raise Invalid(reason="Invalid backup: what is encrypted is restored to a volume of an encrypted type.")
        key_id = await keys.make(tx, ctx.app.box, like=backup.encryption_key_id)
    volume = Volume(
        id=new_uuid(), project_id=ctx.caller.project_id or "", user_id=ctx.caller.user_id, size_gb=backup.size_gb,
        type_id=kind.id, zone=ctx.app.config.zone, created_at=ctx.clock(), name=name or f"restore_backup_{backup.id}",
        encrypted=key_id is not None, encryption_key_id=key_id,
        description="auto-created_from_restore_from_backup", bootable=source is not None and source.bootable,
        image_metadata=source.image_metadata if source else None, metadata=source.metadata if source else {})
    await quotas.must_fit(tx, ctx.app.config, volume.project_id, {"volumes": 1, "gigabytes": volume.size_gb}, kind.name)
    await volumes.add(tx, volume)
    await start(ctx, tx, CreateVolume(volume_id=volume.id, source=Source(backup_id=backup.id)), volume.id)
    return volume


# -- records ----------------------------------------------------------------------------------------

class Record(msgspec.Struct, kw_only=True):
    backup_service: str
    backup_url: str


@routes.get("/v3/backups/{backup_id}/export_record", envelope="backup-record", target=BACKUP,
            policy=Rule("backup:export-import", ADMIN))
async def export_record(ctx: Ctx, seen: Seen) -> Record:
    if seen.backup.status != "available":
        raise Invalid(reason=f"Invalid backup: Backup status must be available and not {seen.backup.status}.")
    if seen.backup.encryption_key_id is not None:
        raise Invalid(reason="Invalid backup: the key of an encrypted backup does not leave this installation.")
    url = base64.encodebytes(msgspec.json.encode(seen.backup)).decode()
    return Record(backup_service=SERVICE_NAME, backup_url=url)


@routes.post("/v3/backups/import_record", envelope="backup", bare_body=True, status=201,
             policy=Rule("backup:backup-import", ADMIN))
async def import_record(ctx: Ctx, body: dict[str, Record]) -> BackupBrief:
    record = body.get("backup-record")
    if record is None:
        raise BadRequest(reason="Expected one object named backup-record")
    if record.backup_service != SERVICE_NAME:
        raise Invalid(reason=f"There is no backup service {record.backup_service} here.")
    try:
        row = msgspec.json.decode(base64.b64decode(record.backup_url), type=Backup)
    except (binascii.Error, msgspec.DecodeError) as error:
        raise Invalid(reason=f"Invalid input received: Can't parse backup record: {error}") from error
    row = msgspec.structs.replace(row, project_id=ctx.caller.project_id, user_id=ctx.caller.user_id,
                                  created_at=ctx.clock(), status="available", generation=1,
                                  encryption_key_id=None)
    async with ctx.db.write() as tx:
        known = {each.host for each in await services.every(tx, binary=services.VOLUME)}
        if row.host not in known:
            row = msgspec.structs.replace(row, host=min(known, default=""))
        try:
            await db.add(tx, table, row)
        except db.Taken as error:
            raise Invalid(reason=f"Invalid backup: Backup already exists in database: {row.id}") from error
    return brief(ctx, row)
