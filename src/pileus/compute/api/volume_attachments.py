"""Volumes of a server: attached, listed, detached. The volume service's attachments are what is shown."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.compute import versions, volumes
from pileus.compute.api.begin import begin, must_allow
from pileus.compute.api.block_devices import Tag
from pileus.compute.api.servers import SERVER
from pileus.compute.api.values import MOST, truth
from pileus.compute.faults import WrongState
from pileus.compute.model.servers import Seen, State
from pileus.compute.sagas.attach_volume import AttachVolume, DetachVolume
from pileus.compute.volumes import VolumeWish
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict, Fault, NotFound
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx
from pileus.volume.client import Attachment

routes = Routes()
PATH = "/v2.1/servers/{server_id}/os-volume_attachments"
SWAP = Rule("os_compute_api:os-volumes-attachments:swap", "role:service")
RULES = (SWAP,)
VolumeId = Annotated[str, msgspec.Meta(min_length=36, max_length=36)]


class NotAttached(NotFound):
    message = "volume_id not found: {volume_id}"


class NoVolume(NotFound):
    message = "{reason}"


class AttachmentView(msgspec.Struct, kw_only=True):
    id: Annotated[str, until(versions.ATTACHMENT_IDS)] = ""
    volume_id: str = msgspec.field(name="volumeId")
    server_id: str = msgspec.field(name="serverId")
    device: str | None
    tag: Annotated[str | None, since(versions.TOLD_TAGS)] = None
    delete_on_termination: Annotated[bool, since(versions.GOES_WITH_SERVER)] = False
    attachment_id: Annotated[str, since(versions.ATTACHMENT_IDS)] = ""
    bdm_uuid: Annotated[str, since(versions.ATTACHMENT_IDS)] = ""


def view(server_id: str, row: Attachment) -> AttachmentView:
    """There is one record of an attachment, so both of its ids are the same."""
    return AttachmentView(
        id=row.volume_id, volume_id=row.volume_id, server_id=server_id, device=volumes.device_of(row),
        tag=row.connector.get("tag"), delete_on_termination=volumes.goes_with_server(row), attachment_id=row.id,
        bdm_uuid=row.id)


async def _attached(ctx: Ctx, server_id: str) -> list[Attachment]:
    return await ctx.app.volume.attachments(server_id)


async def _one(ctx: Ctx, server_id: str, volume_id: str) -> Attachment:
    found = next((each for each in await _attached(ctx, server_id) if each.volume_id == volume_id), None)
    if found is None:
        raise NotAttached(volume_id=volume_id)
    return found


class Piece(msgspec.Struct, kw_only=True):
    limit: Annotated[int, msgspec.Meta(ge=0)] = MOST
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


@routes.get(PATH, envelope="volumeAttachments", target=SERVER, strict=versions.STRICT_QUERIES,
            policy=Rule("os_compute_api:os-volumes-attachments:index", PROJECT_READER))
async def list_attachments(ctx: Ctx, seen: Seen, query: Piece) -> Page[AttachmentView]:
    found = [view(seen.id, each) for each in await _attached(ctx, seen.id)]
    return Page(found[query.offset:query.offset + query.limit])


@routes.get(f"{PATH}/{{volume_id}}", envelope="volumeAttachment", target=SERVER,
            policy=Rule("os_compute_api:os-volumes-attachments:show", PROJECT_READER))
async def show_attachment(ctx: Ctx, seen: Seen, volume_id: str) -> AttachmentView:
    return view(seen.id, await _one(ctx, seen.id, volume_id))


class Attach(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: VolumeId = msgspec.field(name="volumeId")
    device: Annotated[str, msgspec.Meta(pattern=r"(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$")] | None = None
    tag: Annotated[Tag | None, since(versions.TAGS_AT_ATTACH)] = None
    delete_on_termination: Annotated[bool | str, since(versions.GOES_WITH_SERVER)] = False


@routes.post(PATH, envelope="volumeAttachment", target=SERVER, status=200,
             policy=Rule("os_compute_api:os-volumes-attachments:create", PROJECT_MEMBER))
async def attach_volume(ctx: Ctx, seen: Seen, body: Attach) -> AttachmentView | None:
    """The volume is reserved as the caller, who may not have every volume, before the server's saga begins. What its
    device is called is for the guest to say, so a name that is asked for is not heeded."""
    _must_take(ctx, seen, "attach_volume")
    goes_too = truth(body.delete_on_termination, "delete_on_termination")
    row = await _reserve(ctx, seen, body.volume_id)
    try:
        name = volumes.names(await _attached(ctx, seen.id), volumes.local_disks_of(seen.server))[row.id]
        wish = VolumeWish(volume_id=body.volume_id, device=name, tag=body.tag, delete_on_termination=goes_too)
        await begin(ctx, seen, "attach_volume", AttachVolume(server_id=seen.id, attachment_id=row.id, wish=wish))
    except Fault:
        await ctx.app.volume.detach(row.id)
        raise
    if ctx.version >= versions.ASYNC_ATTACH:
        ctx.status = 202
        return None
    return view(seen.id, msgspec.structs.replace(row, connection_info={"connector": wish.connector}))


async def _reserve(ctx: Ctx, seen: Seen, volume_id: str) -> Attachment:
    """Raises what the volume service says against it."""
    client = ctx.app.volume.as_caller(ctx.caller.token)
    try:
        if ctx.version < versions.MULTIATTACH and (await client.get(volume_id)).multiattach:
            raise BadRequest(reason="Multiattach volumes are only supported starting with compute API version 2.60.")
        return await client.attach(volume_id, seen.id)
    except Refused as error:
        if error.status == 404:
            raise NoVolume(reason=error.message) from error
        if error.status == 409:
            raise Conflict(reason=error.message) from error
        if error.status >= 500:
            raise
        raise BadRequest(reason=error.message) from error


def _must_take(ctx: Ctx, seen: Seen, action: str) -> None:
    seen.server.must_not_be_locked(ctx.caller)
    must_allow(seen, action)
    if seen.server.state == State.OFFLOADED and ctx.version < versions.VOLUMES_OF_SHELVED:
        raise WrongState(action=action, server_id=seen.id, attribute="vm_state", state=seen.server.state.as_told)


class AttachmentUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What cannot be changed may be said, as it is."""

    volume_id: VolumeId = msgspec.field(name="volumeId")
    id: Annotated[VolumeId | None, since(versions.ATTACHMENT_CHANGES)] = None
    server_id: Annotated[VolumeId | None, since(versions.ATTACHMENT_CHANGES)] = msgspec.field(
        name="serverId", default=None)
    device: Annotated[str | None, since(versions.ATTACHMENT_CHANGES)] = None
    tag: Annotated[Tag | None, since(versions.ATTACHMENT_CHANGES)] = None
    delete_on_termination: Annotated[bool | str | None, since(versions.ATTACHMENT_CHANGES)] = None


@routes.put(f"{PATH}/{{volume_id}}", target=SERVER, envelope="volumeAttachment", status=202,
            policy=Rule("os_compute_api:os-volumes-attachments:update", PROJECT_MEMBER))
async def update_attachment(ctx: Ctx, seen: Seen, volume_id: str, body: AttachmentUpdate) -> None:
    """Another volume in the place of this one is for the volume service to ask for, when it migrates one that is
    attached; it migrates none, so there is never another one to take."""
    if body.volume_id != volume_id or ctx.version < versions.ATTACHMENT_CHANGES:
        ctx.must_allow(SWAP.name)
        await _one(ctx, seen.id, volume_id)
        raise Conflict(reason=f"Volume {volume_id} is not being migrated to volume {body.volume_id}.")
    row = await _one(ctx, seen.id, volume_id)
    asked = {"id": body.id, "serverId": body.server_id, "device": body.device, "tag": body.tag}
    now = {"id": volume_id, "serverId": seen.id, "device": volumes.device_of(row), "tag": row.connector.get("tag")}
    if changed := [name for name, value in asked.items() if value is not None and value != now[name]]:
        raise BadRequest(reason=f"The {changed[0]} of an attached volume cannot be changed.")
    if body.delete_on_termination is not None:
        wanted = {**row.connector, "delete_on_termination": truth(body.delete_on_termination, "delete_on_termination")}
        if wanted.get("host"):
            await ctx.app.volume.connect(row.id, wanted)
        else:
            await ctx.app.volume.keep(row.id, wanted)
            await ctx.app.volume.complete(row.id)


@routes.delete(f"{PATH}/{{volume_id}}", target=SERVER, status=202,
               policy=Rule("os_compute_api:os-volumes-attachments:delete", PROJECT_MEMBER))
async def detach_volume(ctx: Ctx, seen: Seen, volume_id: str) -> None:
    row = await _one(ctx, seen.id, volume_id)
    _must_take(ctx, seen, "detach_volume")
    if volumes.is_root(row):
        raise BadRequest(reason="Cannot detach a root device volume")
    await begin(ctx, seen, "detach_volume", DetachVolume(server_id=seen.id, attachment_id=row.id))
