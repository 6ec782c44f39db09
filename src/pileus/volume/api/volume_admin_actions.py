"""Actions that administrators may ask of a volume."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.volume import attaching, scheduler
from pileus.volume.api.values import start, truth
from pileus.volume.api.volumes import FORCE, VOLUME, start_deletion
from pileus.volume.faults import HostNotFound, Invalid
from pileus.volume.model import attachments, services, volumes
from pileus.volume.model.attachments import AttachStatus
from pileus.volume.model.volumes import Seen, Status
from pileus.volume.sagas.move_volume import Move

routes = Routes()
ACTION = "/v3/volumes/{volume_id}/action"
MIGRATING = ("starting", "migrating", "completing")
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


class Completion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    new_volume: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    error: bool | str | None = False


@routes.action(ACTION, "os-migrate_volume_completion", target=VOLUME, status=200,
               policy=Rule("volume_extension:volume_admin_actions:migrate_volume_completion", ADMIN))
async def complete_swap(ctx: Ctx, seen: Seen, body: Completion) -> dict[str, str]:
    """Compute has swapped one attached volume for another: servers have the new one from here on, and the old is free.

    Nothing here asks compute to swap volumes for the sake of a migration, so none can be half done."""
    async with ctx.db.write() as tx:
        new = await volumes.get(tx, body.new_volume)
        if seen.volume.migration_status in MIGRATING or new.migration_status in MIGRATING:
            raise Invalid(reason="Invalid volume: a migration that no server takes part in goes on.")
        moved = [] if truth(body.error or False, "error") else await attachments.of_volume(tx, seen.id)
        have = {each.server_id for each in await attachments.of_volume(tx, new.id)}
        for each in moved:
            if each.server_id not in have:
                row = await attaching.reserve(tx, new, ctx.clock(), server_id=each.server_id, mode=each.mode)
                await attachments.change(tx, row, ctx.clock(), status=AttachStatus.ATTACHED, host=each.host,
                                         mountpoint=each.mountpoint, attached_at=ctx.clock())
                new = await attaching.settle(tx, new.id, ctx.clock())
    for each in moved:
        await attaching.detach(ctx.app, each)
    return {"save_volume_id": new.id}


class MigrateTo(msgspec.Struct, kw_only=True):
    """The host is a pool, or a back end, of which it is any pool then."""

    host: str
    force_host_copy: bool | str = False
    lock_volume: bool | str = False


@routes.action(ACTION, "os-migrate_volume", target=VOLUME,
               policy=Rule("volume_extension:volume_admin_actions:migrate_volume", ADMIN))
async def migrate_volume(ctx: Ctx, seen: Seen, body: MigrateTo) -> None:
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        volume.must_allow("migrate")
        every = {scheduler.pool_of(row) for row in await services.every(tx, binary=services.VOLUME)}
        pools = [pool for pool in sorted(every) if body.host in (pool, pool.partition("#")[0])]
        if not pools:
            raise HostNotFound(host=body.host)
        pool = next((pool for pool in pools if pool != volume.host), None)
        if pool is None:
            raise Invalid(reason="Invalid host: Destination host must be different from current host.")
        if await volumes.has_snapshots(tx, volume.id):
            raise Invalid(reason="Invalid volume: a volume that has snapshots cannot be migrated.")
        await volumes.change(tx, volume, ctx.clock(), status=Status.MAINTENANCE, migration_status="migrating")
        await start(ctx, tx, Move(volume_id=volume.id, type_id=volume.type_id, status=volume.status,
                                  asked_pool=pool), volume.id)
