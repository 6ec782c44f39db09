"""Actions that administrators may ask of a volume."""

from __future__ import annotations

import msgspec

from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.volume import scheduler
from pileus.volume.api.values import start
from pileus.volume.api.volumes import FORCE, VOLUME, start_deletion
from pileus.volume.faults import HostNotFound, Invalid
from pileus.volume.model import attachments, services, snapshots, volumes
from pileus.volume.model.attachments import AttachStatus
from pileus.volume.model.volumes import Seen, Status
from pileus.volume.sagas.change_volume import Move

routes = Routes()
ACTION = "/v3/volumes/{volume_id}/action"
STATUSES = {status.value for status in Status}


class ResetStatus(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: str | None = None
    attach_status: str | None = None
    migration_status: str | None = None


@routes.action(ACTION, "os-reset_status", target=VOLUME,
               policy=Rule("volume_extension:volume_admin_actions:reset_status", ADMIN))
async def reset_status(ctx: Ctx, seen: Seen, body: ResetStatus) -> None:
    if body.status is None and body.attach_status is None and body.migration_status is None:
        raise Invalid(reason="Must specify 'status', 'attach_status' or 'migration_status' for update.")
    status = body.status.lower() if body.status is not None else None
    if status is not None and status not in STATUSES:
        raise Invalid(reason=f"Must specify a valid status: {body.status}")
    if body.attach_status not in (None, AttachStatus.ATTACHED, AttachStatus.DETACHED):
        raise Invalid(reason=f"Must specify a valid attach status: {body.attach_status}")
    async with ctx.db.write() as tx:
        volume, changes = await volumes.get(tx, seen.id), {}
        if status is not None:
            changes["status"] = status
        if body.migration_status is not None:
            changes["migration_status"] = None if body.migration_status == "none" else body.migration_status
        await volumes.change(tx, volume, ctx.clock(), **changes)
        if body.attach_status == AttachStatus.DETACHED:
            for each in await attachments.of_volume(tx, volume.id):
                await attachments.remove(tx, each)


@routes.action(ACTION, "os-force_delete", target=VOLUME, policy=FORCE)
async def force_delete(ctx: Ctx, seen: Seen, body: dict[str, str] | None) -> None:
    await start_deletion(ctx, seen, force=True)


class MigrateTo(msgspec.Struct, kw_only=True):
    host: str
    force_host_copy: bool | str = False
    lock_volume: bool | str = False


@routes.action(ACTION, "os-migrate_volume", target=VOLUME,
               policy=Rule("volume_extension:volume_admin_actions:migrate_volume", ADMIN))
async def migrate_volume(ctx: Ctx, seen: Seen, body: MigrateTo) -> None:
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        volume.must_allow("migrate")
        pools = {scheduler.pool_of(row) for row in await services.every(tx, binary=services.VOLUME)}
        if body.host not in pools:
            raise HostNotFound(host=body.host)
        if body.host == volume.host:
            raise Invalid(reason="Invalid host: Destination host must be different from current host.")
        if volume.status != Status.AVAILABLE or await snapshots.of_volume(tx, volume.id):
            raise Invalid(reason="Invalid volume: a volume that is attached or has snapshots cannot be migrated.")
        await volumes.change(tx, volume, ctx.clock(), status=Status.MAINTENANCE, migration_status="migrating")
        await start(ctx, tx, Move(volume_id=volume.id, type_id=volume.type_id, status=volume.status,
                                  asked_pool=body.host), volume.id)
