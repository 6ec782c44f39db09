"""Rebuild and rescue: a server on another root disk, for good or for a while."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import guest_spec, versions, volumes
from pileus.compute.api.begin import begin, must_allow
from pileus.compute.api.personality import File, personality_of
from pileus.compute.api.room import must_fit_metadata
from pileus.compute.api.server_actions import PATH
from pileus.compute.api.server_create import (
    Certificates,
    Metadata,
    image_of,
    key_of,
    new_password,
    user_data_of,
)
from pileus.compute.api.server_view import ServerView, shortened, view
from pileus.compute.api.servers import SERVER, Name
from pileus.compute.api.values import address, hostname
from pileus.compute.faults import RescueImpossible
from pileus.compute.model import hosts
from pileus.compute.model.servers import ImageFacts, Seen, Server
from pileus.compute.sagas.rebuild_server import Changes, RebuildServer
from pileus.compute.sagas.rescue_server import RescueServer, UnrescueServer
from pileus.kit.faults import BadRequest
from pileus.kit.policy import PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

routes = Routes()
Description = Annotated[str, msgspec.Meta(max_length=255)]


class Rebuild(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    image_id: str = msgspec.field(name="imageRef")
    name: Name | UnsetType = UNSET
    admin_password: str | None = msgspec.field(name="adminPass", default=None)
    metadata: Metadata | UnsetType = UNSET
    personality: Annotated[list[File] | UnsetType, until(versions.NO_PERSONALITY)] = UNSET
    preserve_ephemeral: bool | str = False
    access_ip_v4: str | None | UnsetType = msgspec.field(name="accessIPv4", default=UNSET)
    access_ip_v6: str | None | UnsetType = msgspec.field(name="accessIPv6", default=UNSET)
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = msgspec.field(name="OS-DCF:diskConfig", default=UNSET)
    description: Annotated[Description | None | UnsetType, since(versions.DESCRIPTION)] = UNSET
    key_name: Annotated[str | None | UnsetType, since(versions.REBUILD_KEY)] = UNSET
    user_data: Annotated[str | None | UnsetType, since(versions.NO_PERSONALITY)] = UNSET
    certificates: Annotated[Certificates | None | UnsetType, since(versions.TRUSTED_CERTIFICATES)] = msgspec.field(
        name="trusted_image_certificates", default=UNSET)
    hostname: Annotated[str | UnsetType, since(versions.HOSTNAME)] = UNSET


class Rebuilt(ServerView, kw_only=True):
    admin_password: str | UnsetType = msgspec.field(name="adminPass", default=UNSET)
    given_data: Annotated[str | None | UnsetType, since(versions.NO_PERSONALITY)] = msgspec.field(
        name="user_data", default=UNSET)


async def _changes(ctx: Ctx, server: Server, body: Rebuild) -> Changes:
    given: dict[str, Any] = {name: value for name in ("metadata", "disk_config", "description", "key_name")
                             if (value := getattr(body, name)) is not UNSET}
    if isinstance(body.name, str):
        given["name"] = body.name.strip()
        if not given["name"]:
            raise BadRequest(reason="Invalid input for field/attribute name. It may not be only white space.")
    for field, wire, version in (("access_ip_v4", "accessIPv4", 4), ("access_ip_v6", "accessIPv6", 6)):
        if (text := getattr(body, field)) is not UNSET:
            given[field] = address(text, wire, version)
    if isinstance(body.hostname, str):
        given["hostname"] = hostname(ctx, body.hostname)
    if body.user_data is not UNSET:
        given["user_data"] = user_data_of(body.user_data or None)
    if body.personality is not UNSET:
        given["personality"] = await personality_of(ctx, body.personality or [], server.project_id)
    if body.certificates is not UNSET:
        given["certificates"] = tuple(body.certificates) if body.certificates else None
    await must_fit_metadata(ctx, given.get("metadata", {}), server.project_id)
    if "key_name" in given:
        async with ctx.db.read() as reader:
            given["key"] = await key_of(reader, ctx, given["key_name"]) if given["key_name"] else None
    return msgspec.structs.replace(Changes.of(server), **given)


@routes.action(PATH, "rebuild", envelope="server", target=SERVER,
               policy=Rule("os_compute_api:servers:rebuild", PROJECT_MEMBER))
async def rebuild_server(ctx: Ctx, seen: Seen, body: Rebuild) -> Rebuilt:
    must_allow(seen, "rebuild")
    of_volume = seen.server.image is None
    found = await image_of(ctx, body.image_id.rstrip("/").rpartition("/")[2], None if of_volume else seen.server.flavor)
    if of_volume:
        await _must_be_of_volume(ctx, seen, found)
    changes = await _changes(ctx, seen.server, body)
    password = body.admin_password or new_password()
    image = None if of_volume else found
    await begin(ctx, seen, "rebuild", RebuildServer(
        server_id=seen.id, image=image, changes=changes, state=seen.server.state,
        volume_image_id=found.id if of_volume and ctx.version >= versions.REIMAGED_EVENT else None,
        admin_password=password if seen.server.config_drive else None))
    told = msgspec.structs.replace(seen.server, image=image, image_id=image.id if image else None,
                                   updated_at=ctx.clock(), **msgspec.structs.asdict(changes))
    return await _rebuilt(ctx, msgspec.structs.replace(seen, server=told), password)


async def _must_be_of_volume(ctx: Ctx, seen: Seen, image: ImageFacts) -> None:
    """The volume a server boots from keeps its content before 2.93, so no other image can be asked for."""
    if ctx.version >= versions.REIMAGED_EVENT:
        return
    for each in await ctx.app.volume.attachments(seen.id):
        if volumes.is_root(each):
            volume = await ctx.app.volume.get(each.volume_id)
            if volume.volume_image_metadata.get("image_id") == image.id:
                return
    raise BadRequest(reason="Unable to rebuild with a different image for a volume-backed server.")


async def _rebuilt(ctx: Ctx, seen: Seen, password: str) -> Rebuilt:
    async with ctx.db.read() as reader:
        places = await hosts.places(reader, ctx.app.config.default_zone)
    shown = view(ctx, seen, places=places, single=True)
    if ctx.version < versions.STRICT_QUERIES:
        shown = shortened(shown)
        if ctx.version >= versions.REBUILD_KEY:
            shown.key_name = seen.server.key_name
    shown.user_data = UNSET                  # it stands in the answer without the prefix
    return Rebuilt(**{name: getattr(shown, name) for name in shown.__struct_fields__}, admin_password=password,
                   given_data=seen.server.user_data)


class Rescue(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    admin_password: str | None = msgspec.field(name="adminPass", default=None)
    image_id: str | None = msgspec.field(name="rescue_image_ref", default=None)


class Rescued(msgspec.Struct, kw_only=True):
    admin_password: str = msgspec.field(name="adminPass")


@routes.action(PATH, "rescue", status=200, target=SERVER, policy=Rule("os_compute_api:os-rescue", PROJECT_MEMBER))
async def rescue_server(ctx: Ctx, seen: Seen, body: Rescue | None) -> Rescued:
    asked = body or Rescue()
    must_allow(seen, "rescue")
    if seen.server.image is None and ctx.version < versions.RESCUE_OF_VOLUMES:
        raise RescueImpossible(server_id=seen.id, reason="Cannot rescue a volume-backed instance")
    if asked.image_id is not None:
        image: ImageFacts | None = await image_of(ctx, asked.image_id, None)
    else:
        image = seen.server.image
    if image is None or seen.server.image is None and not guest_spec.leaves_others(image):
        raise RescueImpossible(server_id=seen.id, reason="Cannot rescue a volume-backed instance")
    password = asked.admin_password or new_password()
    await begin(ctx, seen, "rescue", RescueServer(
        server_id=seen.id, image=image, state=seen.server.state,
        admin_password=password if seen.server.config_drive else None))
    return Rescued(admin_password=password)


@routes.action(PATH, "unrescue", target=SERVER, policy=Rule("os_compute_api:os-unrescue", PROJECT_MEMBER))
async def unrescue_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await begin(ctx, seen, "unrescue", UnrescueServer(server_id=seen.id))
