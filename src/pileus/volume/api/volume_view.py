"""How volumes look to clients."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.model.attachments import AttachStatus
from pileus.volume.model.groups import DEFAULT_NAME
from pileus.volume.model.volumes import Seen
from pileus.volume.paths import Link, links_to
from pileus.volume.times import iso, iso_or_none


class VolumeBrief(msgspec.Struct, kw_only=True):
    id: str
    name: str | None
    links: list[Link]


class AttachmentBrief(msgspec.Struct, kw_only=True):
    id: str                              # of the volume
    attachment_id: str
    volume_id: str
    server_id: str | None
    host_name: str | None
    device: str | None
    attached_at: str | None


class VolumeView(msgspec.Struct, kw_only=True):
    id: str
    status: str
    size: int
    availability_zone: str | None
    created_at: str
    updated_at: str | None
    name: str | None
    description: str | None
    volume_type: str | None
    snapshot_id: str | None
    source_volid: str | None
    metadata: dict[str, str]
    links: list[Link]
    user_id: str
    bootable: str
    encrypted: bool
    multiattach: bool
    attachments: list[AttachmentBrief]
    replication_status: str | None = None
    consistencygroup_id: str | None = None
    migration_status: str | None | UnsetType = UNSET
    tenant_id: str | UnsetType = msgspec.field(name="os-vol-tenant-attr:tenant_id", default=UNSET)
    host: str | None | UnsetType = msgspec.field(name="os-vol-host-attr:host", default=UNSET)
    migstat: str | None | UnsetType = msgspec.field(name="os-vol-mig-status-attr:migstat", default=UNSET)
    name_id: str | None | UnsetType = msgspec.field(name="os-vol-mig-status-attr:name_id", default=UNSET)
    volume_image_metadata: dict[str, str] | UnsetType = UNSET
    group_id: Annotated[str | None, since(versions.GROUPS)] = None
    provider_id: Annotated[str | None | UnsetType, since(versions.PROVIDER_ID)] = UNSET
    service_uuid: Annotated[str | None, since(versions.SHARED_TARGETS)] = None
    shared_targets: Annotated[bool, since(versions.SHARED_TARGETS)] = False
    cluster_name: Annotated[str | None | UnsetType, since(versions.CLUSTER_NAME)] = UNSET
    volume_type_id: Annotated[str | None, since(versions.TYPE_ID)] = None
    encryption_key_id: Annotated[str | None | UnsetType, since(versions.ENCRYPTION_KEY)] = UNSET
    consumes_quota: Annotated[bool, since(versions.CONSUMES_QUOTA)] = True


def brief(ctx: Ctx, seen: Seen) -> VolumeBrief:
    return VolumeBrief(id=seen.id, name=seen.volume.name, links=links_to(ctx, f"volumes/{seen.id}"))


def _attachments(ctx: Ctx, seen: Seen) -> list[AttachmentBrief]:
    return [AttachmentBrief(
        id=seen.id, attachment_id=each.id, volume_id=seen.id, server_id=each.server_id,
        host_name=each.host if ctx.caller.is_admin else None, device=each.mountpoint,
        attached_at=iso_or_none(each.attached_at))
        for each in seen.attachments if each.status in (AttachStatus.ATTACHED, AttachStatus.DETACHING)]


def view(ctx: Ctx, seen: Seen, *, created: bool = False) -> VolumeView:
    """`created`: the answer to a request that made it says less."""
    volume = seen.volume
    read_only = {} if volume.read_only is None else {"readonly": str(volume.read_only)}
    found = VolumeView(
        id=volume.id, status=volume.status, size=volume.size_gb, availability_zone=volume.zone,
        created_at=iso(volume.created_at), updated_at=iso_or_none(volume.updated_at), name=volume.name,
        description=volume.description, volume_type=seen.type_name, volume_type_id=volume.type_id,
        snapshot_id=volume.snapshot_id, source_volid=volume.source_volume_id, metadata=volume.metadata | read_only,
        links=links_to(ctx, f"volumes/{volume.id}"), user_id=volume.user_id, bootable=str(volume.bootable).lower(),
        encrypted=volume.encrypted, multiattach=volume.multiattach, attachments=_attachments(ctx, seen),
        group_id=volume.group_id,
        consistencygroup_id=volume.group_id if seen.group_type == DEFAULT_NAME else None)
    if volume.encrypted:
        found.encryption_key_id = volume.encryption_key_id
    if ctx.caller.is_admin:
        found.migration_status, found.cluster_name, found.provider_id = volume.migration_status, None, None
    if created:
        return found
    found.tenant_id = volume.project_id
    if volume.image_metadata:
        found.volume_image_metadata = volume.image_metadata
    if ctx.caller.is_admin:
        found.host, found.migstat, found.name_id = volume.host, volume.migration_status, None
    return found
