"""Actions that owners may ask of a volume."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Metadata, Name, start, truth, whole
from pileus.volume.api.volume_create import of_image
from pileus.volume.api.volumes import VOLUME
from pileus.volume.faults import Invalid, MetadataNotFound
from pileus.volume.model import keys, quotas, snapshots, types, volumes
from pileus.volume.model.volumes import Seen, Status
from pileus.volume.sagas.change_volume import ExtendVolume, Reimage, Revert, Upload
from pileus.volume.sagas.move_volume import Move
from pileus.volume.times import iso, iso_or_none

routes = Routes()
ACTION = "/v3/volumes/{volume_id}/action"


class Extend(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    new_size: int | str


@routes.action(ACTION, "os-extend", target=VOLUME, policy=Rule("volume:extend", PROJECT_MEMBER))
async def extend_volume(ctx: Ctx, seen: Seen, body: Extend) -> None:
    size = whole(body.new_size, "new_size", 1)
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        if not (volume.status == Status.IN_USE and ctx.version >= versions.EXTEND_ATTACHED):
            volume.must_allow("extend")
        if size <= volume.size_gb:
            raise Invalid(reason=f"Invalid input received: New size for extend must be greater than current size. "
                                 f"(current: {volume.size_gb}, extended: {size}).")
        await quotas.must_fit_one(tx, ctx.app.config, volume.project_id, size)
        await quotas.must_fit(tx, ctx.app.config, volume.project_id, {"gigabytes": size - volume.size_gb},
                              seen.type_name)
        await volumes.change(tx, volume, ctx.clock(), status=Status.EXTENDING, previous_status=volume.status)
        await start(ctx, tx, ExtendVolume(volume_id=volume.id, size_gb=size, status=volume.status), volume.id)


class ReadOnly(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    readonly: bool | str


@routes.action(ACTION, "os-update_readonly_flag", target=VOLUME,
               policy=Rule("volume:update_readonly_flag", PROJECT_MEMBER))
async def set_read_only(ctx: Ctx, seen: Seen, body: ReadOnly) -> None:
    seen.volume.must_allow("read only")
    async with ctx.db.write() as tx:
        await volumes.change(tx, seen.volume, ctx.clock(), read_only=truth(body.readonly, "readonly"))


class Bootable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    bootable: bool | str


@routes.action(ACTION, "os-set_bootable", target=VOLUME, status=200,
               policy=Rule("volume_extension:volume_actions:set_bootable", PROJECT_MEMBER))
async def set_bootable(ctx: Ctx, seen: Seen, body: Bootable) -> None:
    async with ctx.db.write() as tx:
        await volumes.change(tx, seen.volume, ctx.clock(), bootable=truth(body.bootable, "bootable"))


class UploadImage(msgspec.Struct, kw_only=True):
    image_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    force: bool | str = False
    disk_format: Literal["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"] = "raw"
    container_format: Literal["bare", "ovf", "ova", "docker"] = "bare"
    visibility: Annotated[str, since(versions.UPLOAD_VISIBILITY)] = "private"
    protected: Annotated[bool | str, since(versions.UPLOAD_VISIBILITY)] = False


@routes.action(ACTION, "os-volume_upload_image", target=VOLUME, envelope="os-volume_upload_image",
               policy=Rule("volume_extension:volume_actions:upload_image", PROJECT_MEMBER))
async def upload_image(ctx: Ctx, seen: Seen, body: UploadImage) -> dict[str, Any]:
    """The image is made before the volume's row says so: one that nobody fills is the user's to delete."""
    volume = seen.volume
    volume.must_allow("upload")
    if volume.encrypted and (body.disk_format, body.container_format) != ("raw", "bare"):
        raise Invalid(reason="Invalid volume: an encrypted volume can be uploaded as raw and bare only.")
    if volume.status == Status.IN_USE and not truth(body.force, "force"):
        raise Invalid(reason="Invalid volume: Volume status is in-use.")
    properties = {name: value for name, value in (volume.image_metadata or {}).items() if name not in _OF_THE_IMAGE}
    if volume.encryption_key_id is not None:
        async with ctx.db.write() as tx:
            properties |= keys.told_of_image(await keys.make(tx, ctx.app.box, like=volume.encryption_key_id))
    try:
        image = await ctx.app.image.as_caller(ctx.caller.token).create(
            body.image_name, disk_format=body.disk_format, container_format=body.container_format,
            visibility=body.visibility, properties=properties, protected=truth(body.protected, "protected"))
    except Refused as error:
        raise BadRequest(reason=error.message) from error
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        volume.must_allow("upload")
        await volumes.change(tx, volume, ctx.clock(), status=Status.UPLOADING, previous_status=volume.status)
        await start(ctx, tx, Upload(
            volume_id=volume.id, image_id=image.id, status=volume.status, disk_format=body.disk_format), volume.id)
    more = {"visibility": body.visibility, "protected": truth(body.protected, "protected")}
    return {"id": volume.id, "updated_at": iso_or_none(volume.updated_at) or iso(volume.created_at),
            "status": Status.UPLOADING, "display_description": volume.description, "size": volume.size_gb,
            "volume_type": {"name": seen.type_name, "id": volume.type_id}, "image_id": image.id,
            "container_format": body.container_format, "disk_format": body.disk_format,
            "image_name": body.image_name} | (more if ctx.version >= versions.UPLOAD_VISIBILITY else {})


_OF_THE_IMAGE = {"image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size"}


class Retype(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    new_type: Name
    migration_policy: Literal["on-demand", "never"] | None = "never"


@routes.action(ACTION, "os-retype", target=VOLUME, policy=Rule("volume:retype", PROJECT_MEMBER))
async def retype_volume(ctx: Ctx, seen: Seen, body: Retype) -> None:
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        volume.must_allow("retype")
        kind = await types.get_allowed(tx, body.new_type, ctx.caller)
        if kind.id == volume.type_id:
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} is of type {kind.name} already.")
        old = await types.get(tx, volume.type_id)
        if (old.encryption is None) != (kind.encryption is None):
            raise Invalid(reason="Invalid volume: a volume cannot be retyped to be encrypted, or not to be.")
        if volume.status == Status.IN_USE and old.multiattach != kind.multiattach:
            raise Invalid(reason="Invalid volume: an attached volume cannot be retyped to another kind of attachment.")
        await quotas.must_fit(tx, ctx.app.config, volume.project_id, {
            f"volumes_{kind.name}": 1, f"gigabytes_{kind.name}": volume.size_gb})
        await volumes.change(tx, volume, ctx.clock(), status=Status.RETYPING, previous_status=volume.status)
        await start(ctx, tx, Move(volume_id=volume.id, type_id=kind.id, status=volume.status,
                                  may_copy=body.migration_policy == "on-demand"), volume.id)


class RevertTo(msgspec.Struct, kw_only=True):
    snapshot_id: str


@routes.action(ACTION, "revert", target=VOLUME, window=since(versions.REVERT),
               policy=Rule("volume:revert_to_snapshot", PROJECT_MEMBER))
async def revert_volume(ctx: Ctx, seen: Seen, body: RevertTo) -> None:
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        snapshot = await snapshots.get(tx, body.snapshot_id)
        latest = next((each for each in await snapshots.of_volume(tx, volume.id)), None)
        if latest is None or latest.id != snapshot.id:
            raise Invalid(reason=f"Invalid snapshot: {snapshot.id} is not the latest snapshot of volume {volume.id}.")
        volume.must_allow("revert")
        snapshot.must_be("available")
        if snapshot.size_gb != volume.size_gb:
            raise Invalid(reason=f"Invalid volume: Can't revert volume {volume.id}: it was extended since.")
        await volumes.change(tx, volume, ctx.clock(), status=Status.REVERTING)
        await start(ctx, tx, Revert(volume_id=volume.id, snapshot_id=snapshot.data_id, size_gb=volume.size_gb),
                    volume.id)


class ReimageTo(msgspec.Struct, kw_only=True):
    image_id: str
    reimage_reserved: bool | str = False


@routes.action(ACTION, "os-reimage", target=VOLUME, window=since(versions.REIMAGE),
               policy=Rule("volume_extension:volume_actions:reimage", PROJECT_MEMBER))
async def reimage_volume(ctx: Ctx, seen: Seen, body: ReimageTo) -> None:
    image, facts = await of_image(ctx, body.image_id)
    if max(image.size or 0, image.virtual_size or 0) > seen.volume.size_gb << 30:
        raise Invalid(reason=f"Invalid input received: image {image.id} does not fit into volume {seen.id}.")
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, seen.id)
        if not (volume.status == Status.RESERVED and truth(body.reimage_reserved, "reimage_reserved")):
            volume.must_allow("reimage")
        await volumes.change(tx, volume, ctx.clock(), status=Status.DOWNLOADING)
        await start(ctx, tx, Reimage(volume_id=volume.id, image_id=image.id, disk_format=image.disk_format or "raw",
                                     image_metadata=facts), volume.id)


# -- metadata of the image a volume was made of ---------------------------------------------------

class SetImageMetadata(msgspec.Struct, kw_only=True):
    metadata: Metadata


class UnsetImageMetadata(msgspec.Struct, kw_only=True):
    key: str


IMAGE_METADATA = Rule("volume_extension:volume_image_metadata:show", "role:admin or "
                      "(role:reader and project_id:%(project_id)s)")


@routes.action(ACTION, "os-set_image_metadata", target=VOLUME, status=200, envelope="metadata",
               policy=Rule("volume_extension:volume_image_metadata:set", PROJECT_MEMBER))
async def set_image_metadata(ctx: Ctx, seen: Seen, body: SetImageMetadata) -> dict[str, str]:
    wanted = (seen.volume.image_metadata or {}) | body.metadata
    async with ctx.db.write() as tx:
        await volumes.change(tx, seen.volume, ctx.clock(), image_metadata=wanted)
    return wanted


@routes.action(ACTION, "os-unset_image_metadata", target=VOLUME, status=200,
               policy=Rule("volume_extension:volume_image_metadata:remove", PROJECT_MEMBER))
async def unset_image_metadata(ctx: Ctx, seen: Seen, body: UnsetImageMetadata) -> None:
    left = dict(seen.volume.image_metadata or {})
    if left.pop(body.key, None) is None:
        raise MetadataNotFound(key=body.key, what="volume", id=seen.id)
    async with ctx.db.write() as tx:
        await volumes.change(tx, seen.volume, ctx.clock(), image_metadata=left)


@routes.action(ACTION, "os-show_image_metadata", target=VOLUME, status=200, envelope="metadata",
               policy=IMAGE_METADATA)
async def show_image_metadata(ctx: Ctx, seen: Seen, body: dict[str, Any] | None) -> dict[str, str]:
    return seen.volume.image_metadata or {}


class ExtendDone(msgspec.Struct, kw_only=True):
    error: bool | str = False


@routes.action(ACTION, "os-extend_volume_completion", target=VOLUME, window=since(versions.EXTEND_COMPLETION),
               policy=Rule("volume:extend_volume_completion", ADMIN))
async def complete_extension(ctx: Ctx, seen: Seen, body: ExtendDone) -> None:
    """Back ends here extend what is attached themselves, so no extension waits for compute."""
    raise Conflict(reason=f"Volume {seen.id} is not waiting for an extension to be completed.")
