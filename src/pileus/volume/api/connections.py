"""The older way to attach: actions of a volume, which write the same attachments."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.volume import attaching
from pileus.volume.api.attachments import must_be_for_caller
from pileus.volume.api.values import Key
from pileus.volume.api.volumes import VOLUME
from pileus.volume.faults import Invalid
from pileus.volume.model import attachments, volumes
from pileus.volume.model.attachments import Attachment, AttachStatus
from pileus.volume.model.volumes import Seen, Status

routes = Routes()
ACTION = "/v3/volumes/{volume_id}/action"
MEMBER = f"{PROJECT_MEMBER} or role:service"
Body = dict[str, Any] | None


@routes.action(ACTION, "os-reserve", target=VOLUME,
               policy=Rule("volume_extension:volume_actions:reserve", MEMBER))
async def reserve(ctx: Ctx, seen: Seen, body: Body) -> None:
    async with ctx.db.write() as tx:
        await attaching.reserve(tx, await volumes.get(tx, seen.id), ctx.clock(), status=AttachStatus.ATTACHING)


@routes.action(ACTION, "os-unreserve", target=VOLUME,
               policy=Rule("volume_extension:volume_actions:unreserve", MEMBER))
async def unreserve(ctx: Ctx, seen: Seen, body: Body) -> None:
    """One that was reserved and not connected."""
    async with ctx.db.write() as tx:
        for each in await attachments.of_volume(tx, seen.id):
            if each.status in (AttachStatus.RESERVED, AttachStatus.ATTACHING) and each.connection is None:
                await attachments.remove(tx, each)
                break
        await attaching.settle(tx, seen.id, ctx.clock())


class Attach(msgspec.Struct, kw_only=True):
    mountpoint: Key
    instance_uuid: Key | None = None
    host_name: Key | None = None
    mode: Literal["rw", "ro"] | None = None


@routes.action(ACTION, "os-attach", target=VOLUME, policy=Rule("volume_extension:volume_actions:attach", MEMBER))
async def attach(ctx: Ctx, seen: Seen, body: Attach) -> None:
    if bool(body.instance_uuid) == bool(body.host_name):
        raise BadRequest(reason="Invalid request to attach volume to an instance and/or a host simultaneously; "
                                "give one of them.")
    async with ctx.db.write() as tx:
        now, volume = ctx.clock(), await volumes.get(tx, seen.id)
        mode = body.mode or ("ro" if volume.read_only else "rw")
        held = [each for each in await attachments.of_volume(tx, volume.id)
                if each.status in (AttachStatus.RESERVED, AttachStatus.ATTACHING)]
        row = held[0] if held else await attaching.reserve(tx, volume, now, server_id=body.instance_uuid, mode=mode)
        if volume.read_only and mode == "rw":
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} is read-only.")
        await attachments.change(tx, row, now, status=AttachStatus.ATTACHED, server_id=body.instance_uuid, mode=mode,
                                 host=body.host_name or row.host, mountpoint=body.mountpoint, attached_at=now)
        await attaching.settle(tx, volume.id, now)


class Detach(msgspec.Struct, kw_only=True):
    attachment_id: str | None = None
    connector: dict[str, Any] | None = None


def _one(found: list[Attachment], attachment_id: str | None, volume_id: str) -> Attachment | None:
    if attachment_id is not None:
        return next((each for each in found if each.id == attachment_id), None)
    if len(found) > 1:
        raise Invalid(reason=f"Invalid volume: Volume {volume_id} is attached to more than one; say which "
                             "attachment_id is meant.")
    return found[0] if found else None


async def _detach(ctx: Ctx, seen: Seen, body: Detach | None, *, mend: bool = False) -> None:
    wanted = body.attachment_id if body else None
    async with ctx.db.read() as reader:
        row = _one(await attachments.of_volume(reader, seen.id), wanted, seen.id)
        other = await attachments.find(reader, wanted) if wanted and row is None else None
    if other is not None:
        raise Invalid(reason=f"Invalid input received: Mismatched volume and attachment: {wanted} is not of {seen.id}.")
    if row is not None:
        must_be_for_caller(ctx, row)
        await attaching.detach(ctx.app, row, mend=mend)
        return
    async with ctx.db.write() as tx:
        await attaching.settle(tx, seen.id, ctx.clock(), mend=mend)


@routes.action(ACTION, "os-detach", target=VOLUME, policy=Rule("volume_extension:volume_actions:detach", MEMBER))
async def detach(ctx: Ctx, seen: Seen, body: Detach | None) -> None:
    await _detach(ctx, seen, body)


@routes.action(ACTION, "os-force_detach", target=VOLUME,
               policy=Rule("volume_extension:volume_admin_actions:force_detach", ADMIN))
async def force_detach(ctx: Ctx, seen: Seen, body: Detach | None) -> None:
    await _detach(ctx, seen, body, mend=True)


@routes.action(ACTION, "os-begin_detaching", target=VOLUME,
               policy=Rule("volume_extension:volume_actions:begin_detaching", MEMBER))
async def begin_detaching(ctx: Ctx, seen: Seen, body: Body) -> None:
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        held = [each for each in await attachments.of_volume(tx, volume.id) if each.status == AttachStatus.ATTACHED]
        if volume.status != Status.IN_USE or not held:
            raise Invalid(reason=f"Invalid volume: Unable to detach volume. Volume status must be 'in-use' and "
                                 f"attach_status must be 'attached' to detach, but it is {volume.status}.")
        await attachments.change(tx, held[0], ctx.clock(), status=AttachStatus.DETACHING)
        await attaching.settle(tx, volume.id, ctx.clock())


@routes.action(ACTION, "os-roll_detaching", target=VOLUME,
               policy=Rule("volume_extension:volume_actions:roll_detaching", MEMBER))
async def roll_detaching(ctx: Ctx, seen: Seen, body: Body) -> None:
    async with ctx.db.write() as tx:
        for each in await attachments.of_volume(tx, seen.id):
            if each.status == AttachStatus.DETACHING:
                await attachments.change(tx, each, ctx.clock(), status=AttachStatus.ATTACHED)
        await attaching.settle(tx, seen.id, ctx.clock())


class Connector(msgspec.Struct, kw_only=True):
    connector: dict[str, Any]


@routes.action(ACTION, "os-initialize_connection", target=VOLUME, status=200, envelope="connection_info",
               policy=Rule("volume_extension:volume_actions:initialize_connection", "role:admin or role:service"))
async def initialize_connection(ctx: Ctx, seen: Seen, body: Connector) -> dict[str, Any]:
    connection = await attaching.connect(ctx.app, seen.volume, body.connector, None)
    async with ctx.db.write() as tx:
        for each in await attachments.of_volume(tx, seen.id):
            if each.connection is None:
                await attachments.change(tx, each, ctx.clock(), connector=body.connector, connection=connection)
    return connection


@routes.action(ACTION, "os-terminate_connection", target=VOLUME,
               policy=Rule("volume_extension:volume_actions:terminate_connection", "role:admin or role:service"))
async def terminate_connection(ctx: Ctx, seen: Seen, body: Connector) -> None:
    async with ctx.db.write() as tx:
        for each in await attachments.of_volume(tx, seen.id):
            if each.connection is not None and (each.connector or {}).get("host") == body.connector.get("host"):
                must_be_for_caller(ctx, each)
                await attachments.change(tx, each, ctx.clock(), connection=None)
    await attaching.release(ctx.app, seen.id)
