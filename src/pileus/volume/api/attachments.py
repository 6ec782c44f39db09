"""Attachments: made, updated with a connector, completed, deleted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import attaching, versions
from pileus.volume.api.values import Key, Query, listed
from pileus.volume.faults import AttachmentNotFound, Invalid, UsedByServer, VolumeNotFound
from pileus.volume.model import attachments, listing, volumes
from pileus.volume.model.attachments import Attachment, AttachStatus
from pileus.volume.model.tables import attachments as table
from pileus.volume.times import iso_or_none

routes = Routes()
ATTACHMENT = Target(attachments.get, missing=AttachmentNotFound,
                    hidden=lambda row, caller: row.project_id != caller.project_id and not caller.has("service"))
MEMBER = f"{PROJECT_MEMBER} or role:service"
READER = f"{PROJECT_READER} or role:service"
FILTERS = {"volume_id", "server_id", "status", "id"}
WINDOW = since(versions.ATTACHMENTS)


class AttachmentBrief(msgspec.Struct, kw_only=True):
    id: str
    status: str
    instance: str | None
    volume_id: str


class AttachmentView(AttachmentBrief, kw_only=True):
    attached_at: str | None
    detached_at: str | None
    attach_mode: str | None
    connection_info: dict[str, Any]


def brief(row: Attachment) -> AttachmentBrief:
    return AttachmentBrief(id=row.id, status=row.status, instance=row.server_id, volume_id=row.volume_id)


def view(ctx: Ctx, row: Attachment) -> AttachmentView:
    """How to reach the bytes is told to services and administrators: with it, a project could write to them."""
    shown: dict[str, Any] = {}
    if ctx.caller.is_admin or ctx.caller.has("service"):
        shown = {"connector": row.connector} if row.connector else {}
        if row.connection:
            shown |= {"driver_volume_type": row.connection["driver_volume_type"], "attachment_id": row.id,
                      "volume_id": row.volume_id, "connector": row.connector or {}} | row.connection["data"]
    return AttachmentView(id=row.id, status=row.status, instance=row.server_id, volume_id=row.volume_id,
                          attached_at=iso_or_none(row.attached_at), detached_at=None, attach_mode=row.mode,
                          connection_info=shown)


async def _page(ctx: Ctx, query: Query) -> listing.Found:
    renamed = {"instance_id": "server_id", "attach_status": "status"}
    wanted = listed(ctx, query, filters=FILTERS, sortable={"id", "created_at", "status", "volume_id"}, renamed=renamed)
    if ctx.caller.has("service") and "all_tenants" in query:
        wanted.project_id = None
        if "instance_id" in query:
            wanted.exact["server_id"] = list(query["instance_id"])             # of several servers at once
    async with ctx.db.read() as reader:
        return await listing.page(reader, table, wanted, Attachment)


@routes.get("/v3/attachments", envelope="attachments", window=WINDOW,
            policy=Rule("volume:attachment_list", READER))
async def list_attachments(ctx: Ctx, query: Query) -> Page[AttachmentBrief]:
    found = await _page(ctx, query)
    return Page([brief(row) for row in found.rows], found.next_marker)


@routes.get("/v3/attachments/detail", envelope="attachments", window=WINDOW,
            policy=Rule("volume:attachment_list", READER))
async def list_attachments_detail(ctx: Ctx, query: Query) -> Page[AttachmentView]:
    found = await _page(ctx, query)
    return Page([view(ctx, row) for row in found.rows], found.next_marker)


@routes.get("/v3/attachments/{attachment_id}", envelope="attachment", target=ATTACHMENT, window=WINDOW,
            policy=Rule("volume:attachment_show", READER))
async def show_attachment(ctx: Ctx, row: Attachment) -> AttachmentView:
    return view(ctx, row)


class AttachmentCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_uuid: Key
    instance_uuid: str | None = None
    connector: dict[str, Any] | None = None
    mode: Annotated[Literal["rw", "ro"] | None, since(versions.ATTACHMENT_MODE)] = None


@routes.post("/v3/attachments", envelope="attachment", window=WINDOW, status=200,
             policy=Rule("volume:attachment_create", MEMBER))
async def create_attachment(ctx: Ctx, body: AttachmentCreate) -> AttachmentView:
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, body.volume_uuid)
        if volume.project_id != ctx.caller.project_id and not (ctx.caller.is_admin or ctx.caller.has("service")):
            raise VolumeNotFound(volume_id=volume.id)
        row = await attaching.reserve(tx, volume, ctx.clock(), server_id=body.instance_uuid, mode=body.mode)
    if body.connector:
        row = await _connect(ctx, row, body.connector)
    return view(ctx, row)


def _must_be_texts(connector: dict[str, Any]) -> None:
    """What the row keeps of a connector apart. Raises Invalid."""
    for name, most in (("host", 255), ("mountpoint", 255), ("mode", 2)):
        value = connector.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= most):
            raise Invalid(reason=f"Invalid input received: {name} of the connector has to be a text of at most {most}.")


async def _connect(ctx: Ctx, row: Attachment, connector: dict[str, Any]) -> Attachment:
    """Serve the volume, then say how to reach it; the row says beforehand for whom, so that nobody ends it."""
    _must_be_texts(connector)
    async with ctx.db.read() as reader:
        volume = await volumes.get(reader, row.volume_id)
    connection = await attaching.connect(ctx.app, volume, connector, row.mode)
    async with ctx.db.write() as tx:
        changes: dict[str, Any] = {"connector": connector, "connection": connection, "host": connector.get("host"),
                                   "mountpoint": connector.get("mountpoint") or row.mountpoint,
                                   "mode": row.mode or connector.get("mode") or "rw"}
        if row.status == AttachStatus.RESERVED:
            changes["status"] = AttachStatus.ATTACHING
        row = await attachments.change(tx, row, ctx.clock(), **changes)
        await attaching.settle(tx, row.volume_id, ctx.clock())
    return row


async def _keep(ctx: Ctx, row: Attachment, connector: dict[str, Any]) -> Attachment:
    """Served no longer, but had by nobody else: so a server has a volume that is on no host. What the connector says
    is kept for the time when it is on one again."""
    _must_be_texts(connector)
    async with ctx.db.write() as tx:
        row = await attachments.change(tx, row, ctx.clock(), connector=connector, connection=None, host=None,
                                       mountpoint=connector.get("mountpoint"), status=AttachStatus.RESERVED)
        await attaching.settle(tx, row.volume_id, ctx.clock())
    await attaching.release(ctx.app, row.volume_id)
    return row


class AttachmentUpdate(msgspec.Struct, kw_only=True):
    connector: dict[str, Any]


@routes.put("/v3/attachments/{attachment_id}", envelope="attachment", target=ATTACHMENT, window=WINDOW,
            policy=Rule("volume:attachment_update", MEMBER))
async def update_attachment(ctx: Ctx, row: Attachment, body: AttachmentUpdate) -> AttachmentView:
    """A service's connector without a host is one of a server that is on none."""
    if ctx.caller.has("service") and not body.connector.get("host"):
        return view(ctx, await _keep(ctx, row, body.connector))
    if not body.connector:
        raise Invalid(reason="Invalid input received: a connector is needed.")
    return view(ctx, await _connect(ctx, row, body.connector))


@routes.action("/v3/attachments/{attachment_id}/action", "os-complete", target=ATTACHMENT, status=204,
               window=since(versions.ATTACHMENT_COMPLETE), policy=Rule("volume:attachment_complete", MEMBER))
async def complete_attachment(ctx: Ctx, row: Attachment, body: dict[str, Any] | None) -> None:
    if row.status == AttachStatus.ATTACHED:
        return
    async with ctx.db.write() as tx:
        await attachments.change(tx, row, ctx.clock(), status=AttachStatus.ATTACHED, attached_at=ctx.clock())
        await attaching.settle(tx, row.volume_id, ctx.clock())


def must_be_for_caller(ctx: Ctx, row: Attachment) -> None:
    """What a server uses is detached by compute, which asks as a service: nobody else can have its host let go of it.
    Where compute knows the server no more, an administrator resets the attach status. Raises UsedByServer."""
    used = row.connection is not None and row.status in (AttachStatus.ATTACHED, AttachStatus.DETACHING)
    if row.server_id and used and not ctx.caller.has("service"):
        raise UsedByServer(server_id=row.server_id)


@routes.delete("/v3/attachments/{attachment_id}", envelope="attachments", target=ATTACHMENT, window=WINDOW,
               status=200, policy=Rule("volume:attachment_delete", MEMBER))
async def delete_attachment(ctx: Ctx, row: Attachment) -> list[AttachmentBrief]:
    """What a server uses is detached by compute, which asks as a service; then it is deleted here."""
    must_be_for_caller(ctx, row)
    await attaching.detach(ctx.app, row)
    async with ctx.db.read() as reader:
        return [brief(each) for each in await attachments.of_volume(reader, row.volume_id)]
