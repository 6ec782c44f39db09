"""Images of servers: createImage, createBackup; and what works by way of them, shelve and unshelve."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import versions
from pileus.compute.api.begin import begin, must_allow
from pileus.compute.api.room import must_fit_metadata
from pileus.compute.api.server_actions import PATH
from pileus.compute.api.server_create import Metadata
from pileus.compute.api.servers import SERVER, Name
from pileus.compute.api.values import Number, whole
from pileus.compute.model import hosts, servers
from pileus.compute.model.servers import Seen
from pileus.compute.model.states import State
from pileus.compute.sagas import images
from pileus.compute.sagas.images import NewImage
from pileus.compute.sagas.shelve_server import ShelveServer, UnshelveServer
from pileus.compute.sagas.snapshot_server import SnapshotServer
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest, Fault
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

routes = Routes()
TO_HOST = Rule("os_compute_api:os-shelve:unshelve_to_host", ADMIN)
RULES = (TO_HOST,)


def _rule(name: str, check: str = PROJECT_MEMBER) -> Rule:
    return Rule(f"os_compute_api:{name}", check)


class CreateImage(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    metadata: Metadata = {}


class CreateBackup(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    backup_type: str
    rotation: Number
    metadata: Metadata = {}


class ImageMade(msgspec.Struct, kw_only=True):
    image_id: Annotated[str | UnsetType, since(versions.IMAGE_ID_ANSWER)] = UNSET


async def _begin(ctx: Ctx, seen: Seen, action: str, saga: SnapshotServer) -> ImageMade | None:
    """The image is there, without content, when this answers. The saga does not make it, for it cannot tell an image
    that is not there yet from one that was deleted."""
    seen.server.must_not_be_locked(ctx.caller)
    must_allow(seen, action)
    await images.ensure(ctx.app, seen.server, saga.image)
    try:
        await begin(ctx, seen, action, msgspec.structs.replace(saga, made=True))
    except Fault:
        await ctx.app.image.remove(saga.image.id)
        raise
    if ctx.version >= versions.IMAGE_ID_ANSWER:
        return ImageMade(image_id=saga.image.id)
    ctx.headers["location"] = f"{ctx.base_url.removesuffix('/compute')}/image/v2/images/{saga.image.id}"
    return None


def _named(name: str) -> str:
    if not name.strip():
        raise BadRequest(reason="Invalid input for field/attribute name. It may not be only white space.")
    return name.strip()


async def _image(ctx: Ctx, seen: Seen, body: CreateImage | CreateBackup, **more: str) -> NewImage:
    await must_fit_metadata(ctx, body.metadata, ctx.caller.project_id or seen.project_id)
    return NewImage(id=new_uuid(), name=_named(body.name),
                    properties=images.properties_of(seen.server, **more) | body.metadata)


@routes.action(PATH, "createImage", target=SERVER, policy=_rule("servers:create_image"))
async def create_image(ctx: Ctx, seen: Seen, body: CreateImage) -> ImageMade | None:
    return await _begin(ctx, seen, "createImage", SnapshotServer(
        server_id=seen.id, image=await _image(ctx, seen, body), of_volumes=seen.server.image is None))


@routes.action(PATH, "createBackup", target=SERVER, policy=_rule("os-create-backup"))
async def create_backup(ctx: Ctx, seen: Seen, body: CreateBackup) -> ImageMade | None:
    rotation = whole(body.rotation, "rotation")
    if seen.server.image is None:
        raise BadRequest(reason="It is not supported to backup volume-backed instances.")
    image = await _image(ctx, seen, body, image_type="backup", backup_type=body.backup_type)
    return await _begin(ctx, seen, "createBackup", SnapshotServer(
        server_id=seen.id, image=image, backup_type=body.backup_type, rotation=rotation))


@routes.action(PATH, "shelve", target=SERVER, policy=_rule("os-shelve:shelve"))
async def shelve_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    """Whatever is shelved leaves its host at once."""
    image = NewImage(id=new_uuid(), name=f"{seen.server.name}-shelved", properties=images.properties_of(
        seen.server)) if seen.server.image is not None else None
    await begin(ctx, seen, "shelve", ShelveServer(server_id=seen.id, image=image, state=seen.server.state))


@routes.action(PATH, "shelveOffload", target=SERVER, policy=_rule("os-shelve:shelve_offload", ADMIN))
async def offload_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    """A server is on its host after it was shelved only while it is about to leave; whoever asks then has it."""
    seen.server.must_not_be_locked(ctx.caller)
    if seen.doing is None or seen.server.state != State.SHELVED:
        must_allow(seen, "shelveOffload")


class Unshelve(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    zone: str | None | UnsetType = msgspec.field(name="availability_zone", default=UNSET)
    host: Annotated[str | UnsetType, since(versions.UNSHELVE_HOST)] = UNSET


@routes.action(PATH, "unshelve", target=SERVER, policy=_rule("os-shelve:unshelve"))
async def unshelve_server(ctx: Ctx, seen: Seen, body: Unshelve | None) -> None:
    asked = (body or Unshelve()) if ctx.version >= versions.UNSHELVE_ZONE else Unshelve()
    if asked.host is not UNSET:
        ctx.must_allow(TO_HOST.name)
    if asked.zone is None and ctx.version < versions.UNSHELVE_HOST:
        raise BadRequest(reason="Invalid input for field/attribute availability_zone. It may not be null before 2.91.")
    async with ctx.db.read() as reader:
        known = await hosts.zones(reader, ctx.app.config.default_zone)
    if isinstance(asked.zone, str) and asked.zone not in known.values():
        raise BadRequest(reason="The requested availability zone is not available")
    if isinstance(asked.host, str) and asked.host not in known:
        raise BadRequest(reason=f"Compute host {asked.host} could not be found.")
    if asked.zone is not UNSET:
        must_allow(seen, "unshelve")
    if seen.server.shelved is None:
        must_allow(seen, "unshelve")
    shelved = seen.server.shelved
    image_id = shelved.image_id if shelved else ""

    async def pin(tx: Connection) -> None:
        if asked.zone is not UNSET:
            await servers.change(tx, await servers.get(tx, seen.id), ctx.clock(), zone=asked.zone)

    await begin(ctx, seen, "unshelve", UnshelveServer(
        server_id=seen.id, image_id=image_id, state=State.ACTIVE,
        asked_host=asked.host if isinstance(asked.host, str) else None), also=pin)
