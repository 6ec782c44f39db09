"""Volumes and their snapshots by way of compute, for clients of before 2.36; the volume service owns them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import versions
from pileus.compute.api.asking import NotThere, ask_volume
from pileus.compute.api.server_create import Metadata
from pileus.compute.api.values import MOST, Number, truth, whole
from pileus.compute.links import links_to
from pileus.kit.ids import is_uuid
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx

routes = Routes()
PROXY = until(versions.NO_PROXIES)
Text = Annotated[str, msgspec.Meta(max_length=255)]


class Paging(msgspec.Struct, kw_only=True):
    limit: Number = MOST
    offset: Number = 0


class VolumeBody(msgspec.Struct, kw_only=True):
    size: Number
    display_name: Text | None = None
    display_description: Text | None = None
    volume_type: str | None = None
    metadata: Metadata | None = None
    snapshot_id: str | None = None
    availability_zone: str | None = None


class SnapshotBody(msgspec.Struct, kw_only=True):
    volume_id: str
    display_name: Text | None = None
    display_description: Text | None = None
    force: bool | str = False


class VolumeView(msgspec.Struct, kw_only=True):
    id: str
    status: str
    size: int
    zone: str | None = msgspec.field(name="availabilityZone")
    created_at: str = msgspec.field(name="createdAt")
    attachments: list[dict[str, str]]
    name: str | None = msgspec.field(name="displayName")
    description: str | None = msgspec.field(name="displayDescription")
    volume_type: str | None = msgspec.field(name="volumeType")
    snapshot_id: str | None = msgspec.field(name="snapshotId")
    metadata: dict[str, str]


class SnapshotView(msgspec.Struct, kw_only=True):
    id: str
    volume_id: str = msgspec.field(name="volumeId")
    status: str
    size: int
    created_at: str = msgspec.field(name="createdAt")
    name: str | None = msgspec.field(name="displayName")
    description: str | None = msgspec.field(name="displayDescription")


def _rule(name: str, check: str = PROJECT_MEMBER) -> Rule:
    return Rule(f"os_compute_api:os-volumes:{name}", check)


def _path(kind: str, asked: str) -> str:
    if not is_uuid(asked):
        raise NotThere(reason=f"{kind.capitalize()} {asked} could not be found.")
    return f"/v3/{kind}s/{asked}"


async def _page(ctx: Ctx, kind: str, paging: Paging) -> list[dict[str, Any]]:
    found = await ask_volume(ctx, "GET", f"/v3/{kind}/detail", limit=min(whole(paging.limit, "limit"), MOST),
                             offset=whole(paging.offset, "offset"))
    return found[kind]


# -- volumes -----------------------------------------------------------------------------------


def _volume(row: dict[str, Any]) -> VolumeView:
    """The list of attachments of one that has none has one that says nothing."""
    attached = [{"id": row["id"], "volumeId": row["id"], "serverId": each["server_id"]}
                | ({"device": each["device"]} if each["device"] else {}) for each in row["attachments"]]
    return VolumeView(
        id=row["id"], status=row["status"], size=row["size"], zone=row["availability_zone"],
        created_at=row["created_at"], attachments=attached or [{}], name=row["name"], description=row["description"],
        volume_type=row["volume_type"], snapshot_id=row["snapshot_id"], metadata=row["metadata"])


@routes.get("/v2.1/os-volumes", envelope="volumes", window=PROXY, policy=_rule("list", PROJECT_READER))
async def list_volumes(ctx: Ctx, query: Paging) -> Page[VolumeView]:
    return Page([_volume(row) for row in await _page(ctx, "volumes", query)])


@routes.get("/v2.1/os-volumes/detail", envelope="volumes", window=PROXY, policy=_rule("detail", PROJECT_READER))
async def list_volumes_detail(ctx: Ctx, query: Paging) -> Page[VolumeView]:
    return Page([_volume(row) for row in await _page(ctx, "volumes", query)])


@routes.get("/v2.1/os-volumes/{volume_id}", envelope="volume", window=PROXY, policy=_rule("show", PROJECT_READER))
async def show_volume(ctx: Ctx, volume_id: str) -> VolumeView:
    return _volume((await ask_volume(ctx, "GET", _path("volume", volume_id)))["volume"])


@routes.post("/v2.1/os-volumes", envelope="volume", window=PROXY, policy=_rule("create"))
async def create_volume(ctx: Ctx, body: VolumeBody) -> VolumeView:
    wanted: dict[str, Any] = {
        "size": whole(body.size, "size", 1), "name": body.display_name, "description": body.display_description,
        "volume_type": body.volume_type, "snapshot_id": body.snapshot_id, "availability_zone": body.availability_zone}
    if body.metadata:
        wanted["metadata"] = body.metadata
    made = (await ask_volume(ctx, "POST", "/v3/volumes", {"volume": wanted}))["volume"]
    ctx.headers["location"] = links_to(ctx, f"os-volumes/{made['id']}")[0].href
    return _volume(made)


@routes.delete("/v2.1/os-volumes/{volume_id}", status=202, window=PROXY, policy=_rule("delete"))
async def delete_volume(ctx: Ctx, volume_id: str) -> None:
    await ask_volume(ctx, "DELETE", _path("volume", volume_id))


# -- snapshots ---------------------------------------------------------------------------------


def _snapshot(row: dict[str, Any]) -> SnapshotView:
    return SnapshotView(id=row["id"], volume_id=row["volume_id"], status=row["status"], size=row["size"],
                        created_at=row["created_at"], name=row["name"], description=row["description"])


@routes.get("/v2.1/os-snapshots", envelope="snapshots", window=PROXY, policy=_rule("snapshots:list", PROJECT_READER))
async def list_snapshots(ctx: Ctx, query: Paging) -> Page[SnapshotView]:
    return Page([_snapshot(row) for row in await _page(ctx, "snapshots", query)])


@routes.get("/v2.1/os-snapshots/detail", envelope="snapshots", window=PROXY,
            policy=_rule("snapshots:detail", PROJECT_READER))
async def list_snapshots_detail(ctx: Ctx, query: Paging) -> Page[SnapshotView]:
    return Page([_snapshot(row) for row in await _page(ctx, "snapshots", query)])


@routes.get("/v2.1/os-snapshots/{snapshot_id}", envelope="snapshot", window=PROXY,
            policy=_rule("snapshots:show", PROJECT_READER))
async def show_snapshot(ctx: Ctx, snapshot_id: str) -> SnapshotView:
    return _snapshot((await ask_volume(ctx, "GET", _path("snapshot", snapshot_id)))["snapshot"])


@routes.post("/v2.1/os-snapshots", envelope="snapshot", window=PROXY, policy=_rule("snapshots:create"))
async def create_snapshot(ctx: Ctx, body: SnapshotBody) -> SnapshotView:
    wanted: dict[str, Any] = {
        "volume_id": body.volume_id, "name": body.display_name, "description": body.display_description}
    if truth(body.force, "force"):
        wanted["force"] = True
    return _snapshot((await ask_volume(ctx, "POST", "/v3/snapshots", {"snapshot": wanted}))["snapshot"])


@routes.delete("/v2.1/os-snapshots/{snapshot_id}", status=202, window=PROXY, policy=_rule("snapshots:delete"))
async def delete_snapshot(ctx: Ctx, snapshot_id: str) -> None:
    await ask_volume(ctx, "DELETE", _path("snapshot", snapshot_id))
