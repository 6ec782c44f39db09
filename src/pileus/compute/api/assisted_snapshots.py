"""Snapshots of volumes that a server's host is to take, for volume services that keep volumes in files of hosts.

The answer says only that it was heard; what becomes of a snapshot its volume service is told. The hosts here get their
volumes over NBD and have no file to lay another one over: every snapshot ends in error, as upstream's do there.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pileus.compute.api.begin import busy
from pileus.compute.model import servers
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict
from pileus.kit.ids import is_uuid
from pileus.kit.policy import ADMIN_OR_SERVICE, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
PATH = "/v2.1/os-assisted-volume-snapshots"


class CreateInfo(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    snapshot_id: str
    type: Literal["qcow2"]
    new_file: str
    id: str | None = None


class SnapshotBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: str
    create_info: CreateInfo


class SnapshotView(msgspec.Struct, kw_only=True):
    id: str
    volume_id: str = msgspec.field(name="volumeId")


class DeleteInfo(msgspec.Struct, kw_only=True):
    volume_id: str


class DeleteQuery(msgspec.Struct, kw_only=True):
    delete_info: str                                    # JSON


def _rule(name: str) -> Rule:
    return Rule(f"os_compute_api:os-assisted-volume-snapshots:{name}", ADMIN_OR_SERVICE)


async def _must_have_a_host(ctx: Ctx, volume_id: str, action: str) -> None:
    """The volume's server is on a host, and nothing else is being done to it."""
    if not is_uuid(volume_id):
        raise BadRequest(reason=f"Invalid input for field/attribute volume_id. Value: {volume_id}. It is no UUID.")
    query = {"volume_id": volume_id, "all_tenants": "1"}
    found: list[dict[str, Any]] = (await ctx.app.volume.call("GET", "/v3/attachments", query=query))["attachments"]
    if not found:
        raise BadRequest(reason=f"No volume Block Device Mapping with id {volume_id}.")
    if len(found) > 1:
        raise BadRequest(reason=f"Block Device Mapping {volume_id} is a multi-attach volume and is not valid for this "
                                "operation.")
    async with ctx.db.read() as reader:
        seen = await servers.see(reader, found[0]["instance"])
    if seen.doing is not None:
        raise busy(seen, action)
    if not seen.server.host:
        raise Conflict(reason=f"Instance {seen.id} is not ready")


async def _tell(ctx: Ctx, snapshot_id: str, status: str) -> None:
    """The volume service, unless it knows no such snapshot or has settled what becomes of it."""
    if not is_uuid(snapshot_id):
        return
    body = {"os-update_snapshot_status": {"status": status}}
    try:
        await ctx.app.volume.call("POST", f"/v3/snapshots/{snapshot_id}/action", body)
    except Refused as error:
        if error.status not in (400, 404):
            raise


@routes.post(PATH, envelope="snapshot", policy=_rule("create"))
async def create_snapshot(ctx: Ctx, body: SnapshotBody) -> SnapshotView:
    await _must_have_a_host(ctx, body.volume_id, "volume_snapshot_create")
    await _tell(ctx, body.create_info.snapshot_id, "error")
    return SnapshotView(id=body.create_info.snapshot_id, volume_id=body.volume_id)


@routes.delete(f"{PATH}/{{snapshot_id}}", policy=_rule("delete"))
async def delete_snapshot(ctx: Ctx, snapshot_id: str, query: DeleteQuery) -> None:
    try:
        info = msgspec.json.decode(query.delete_info, type=DeleteInfo)
    except msgspec.DecodeError as error:
        raise BadRequest(reason=f"delete_info cannot be read: {error}") from None
    await _must_have_a_host(ctx, info.volume_id, "volume_snapshot_delete")
    await _tell(ctx, snapshot_id, "error_deleting")
