"""Volumes of a server: attached, listed, detached. The volume service's attachments are what is shown."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import versions, volumes
from pileus.compute.api.servers import SERVER, action_of
from pileus.compute.faults import WrongState
from pileus.compute.model import servers
from pileus.compute.model.servers import Seen, State
from pileus.compute.sagas.attach_volume import AttachVolume, DetachVolume
from pileus.compute.volumes import VolumeWish
from pileus.kit import db
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict, NotFound
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume.client import Attachment

routes = Routes()
PATH = "/v2.1/servers/{server_id}/os-volume_attachments"
WITH = (State.ACTIVE, State.STOPPED)


class NotAttached(NotFound):
    message = "volume_id not found: {volume_id}"


class NoVolume(NotFound):
    message = "{reason}"


class AttachmentView(msgspec.Struct, kw_only=True):
    id: str
    volume_id: str = msgspec.field(name="volumeId")
    server_id: str = msgspec.field(name="serverId")
    device: str | None
    tag: Annotated[str | None | UnsetType, since(versions.TOLD_TAGS)] = UNSET


def view(server_id: str, row: Attachment) -> AttachmentView:
    connector = row.connection_info.get("connector", {})
    return AttachmentView(id=row.volume_id, volume_id=row.volume_id, server_id=server_id,
                          device=volumes.device_of(row), tag=connector.get("tag"))


async def _attached(ctx: Ctx, server_id: str) -> list[Attachment]:
    return await ctx.app.volume.attachments(server_id)


async def _one(ctx: Ctx, server_id: str, volume_id: str) -> Attachment:
    found = next((each for each in await _attached(ctx, server_id) if each.volume_id == volume_id), None)
    if found is None:
        raise NotAttached(volume_id=volume_id)
    return found


@routes.get(PATH, envelope="volumeAttachments", target=SERVER,
            policy=Rule("os_compute_api:os-volumes-attachments:index", PROJECT_READER))
async def list_attachments(ctx: Ctx, seen: Seen) -> Page[AttachmentView]:
    found = [view(seen.id, each) for each in await _attached(ctx, seen.id)]
    query = ctx.request.query_params
    begin, most = query.get("offset", "0"), query.get("limit", "1000")
    if not (begin.isdecimal() and most.isdecimal()):
        raise BadRequest(reason="limit and offset are whole numbers.")
    return Page(found[int(begin):int(begin) + int(most)])


@routes.get(f"{PATH}/{{volume_id}}", envelope="volumeAttachment", target=SERVER,
            policy=Rule("os_compute_api:os-volumes-attachments:show", PROJECT_READER))
async def show_attachment(ctx: Ctx, seen: Seen, volume_id: str) -> AttachmentView:
    return view(seen.id, await _one(ctx, seen.id, volume_id))


class Attach(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: Annotated[str, msgspec.Meta(min_length=36, max_length=36)] = msgspec.field(name="volumeId")
    device: Annotated[str, msgspec.Meta(pattern=r"(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$")] | None = None
    tag: Annotated[str | None, since(versions.TOLD_TAGS)] = None


@routes.post(PATH, envelope="volumeAttachment", target=SERVER, status=200,
             policy=Rule("os_compute_api:os-volumes-attachments:create", PROJECT_MEMBER))
async def attach_volume(ctx: Ctx, seen: Seen, body: Attach) -> AttachmentView:
    """The volume is reserved as the caller, who may not have every volume, before the server's saga begins."""
    _must_take(seen, "attach_volume")
    taken = [volumes.device_of(each) for each in await _attached(ctx, seen.id)]
    if body.device in taken and body.device is not None:
        raise Conflict(reason=f"The supplied device path ({body.device}) is in use.")
    device = body.device or volumes.free_device(taken)
    try:
        row = await ctx.app.volume.as_caller(ctx.caller.token).attach(body.volume_id, seen.id)
    except Refused as error:
        if error.status == 404:
            raise NoVolume(reason=error.message) from error
        if error.status == 409:
            raise Conflict(reason=error.message) from error
        if error.status >= 500:
            raise
        raise BadRequest(reason=error.message) from error
    try:
        async with ctx.db.write() as tx:
            await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, "attach_volume"))
            await ctx.sagas.start(tx, AttachVolume(
                server_id=seen.id, attachment_id=row.id, wish=VolumeWish(
                    volume_id=body.volume_id, device=device, tag=body.tag)), seen.id, spans=ctx.spans)
    except db.Taken as error:
        await ctx.app.volume.detach(row.id)
        raise Conflict(reason=f"Cannot 'attach_volume' instance {seen.id} while it is being changed.") from error
    return AttachmentView(id=body.volume_id, volume_id=body.volume_id, server_id=seen.id, device=device, tag=body.tag)


def _must_take(seen: Seen, action: str) -> None:
    if seen.server.state not in WITH:
        raise WrongState(action=action, server_id=seen.id, attribute="vm_state", state=seen.server.state)


@routes.delete(f"{PATH}/{{volume_id}}", target=SERVER, status=202,
               policy=Rule("os_compute_api:os-volumes-attachments:delete", PROJECT_MEMBER))
async def detach_volume(ctx: Ctx, seen: Seen, volume_id: str) -> None:
    row = await _one(ctx, seen.id, volume_id)
    _must_take(seen, "detach_volume")
    if row.connection_info.get("connector", {}).get("boot_index") == 0:
        raise BadRequest(reason="Cannot detach a root device volume")
    try:
        async with ctx.db.write() as tx:
            await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, "detach_volume"))
            await ctx.sagas.start(tx, DetachVolume(server_id=seen.id, attachment_id=row.id), seen.id, spans=ctx.spans)
    except db.Taken as error:
        raise Conflict(reason=f"Cannot 'detach_volume' instance {seen.id} while it is being changed.") from error
