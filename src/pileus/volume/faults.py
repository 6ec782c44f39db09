"""What the volume service tells a client that asked for something it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.kit.faults import BadRequest, Conflict, Fault, NotFound

if TYPE_CHECKING:
    from pileus.kit.web import Ctx


def envelope(ctx: Ctx, fault: Fault) -> tuple[bytes, str]:
    """{"itemNotFound": {"code": 404, "message": …}}, the shape of the Block Storage API."""
    return msgspec.json.encode({fault.code: {"code": fault.status, "message": str(fault)}}), "application/json"


class Invalid(BadRequest):
    pass


class VolumeNotFound(NotFound):
    message = "Volume {volume_id} could not be found."


class SnapshotNotFound(NotFound):
    message = "Snapshot {snapshot_id} could not be found."


class TypeNotFound(NotFound):
    message = "Volume type {type_id} could not be found."


class ExtraSpecNotFound(NotFound):
    message = "Volume Type {type_id} has no extra specs with key {key}."


class EncryptionNotFound(NotFound):
    message = "Volume type encryption for type {type_id} does not exist."


class AccessNotFound(NotFound):
    message = "Volume type access not found for {type_id} / {project_id} combination."


class DefaultTypeNotFound(NotFound):
    message = "Default type for project {project_id} could not be found."


class QosNotFound(NotFound):
    message = "No such qos spec {qos_id}."


class QosKeyNotFound(NotFound):
    message = "QoS spec {qos_id} has no spec with key {key}."


class AttachmentNotFound(NotFound):
    message = "Volume attachment could not be found with filter: attachment_id = {attachment_id}."


class BackupNotFound(NotFound):
    message = "Backup {backup_id} could not be found."


class TransferNotFound(NotFound):
    message = "Transfer {transfer_id} could not be found."


class MessageNotFound(NotFound):
    message = "Message {message_id} could not be found."


class ServiceNotFound(NotFound):
    message = "Service {service} could not be found."


class HostNotFound(NotFound):
    message = "Host {host} could not be found."


class GroupTypeNotFound(NotFound):
    message = "Group type {group_type_id} could not be found."


class GroupSpecNotFound(NotFound):
    message = "Group Type {group_type_id} has no specs with key {key}."


class GroupNotFound(NotFound):
    message = "Group {group_id} could not be found."


class GroupSnapshotNotFound(NotFound):
    message = "GroupSnapshot {group_snapshot_id} could not be found."


class MetadataNotFound(NotFound):
    message = "Metadata with key {key} could not be found in {what} {id}."


class ImageRefused(BadRequest):
    message = "Invalid image identifier or unable to access requested image: {reason}"


class TypeExists(Conflict):
    message = "Volume Type {name} already exists."


class GroupTypeExists(Conflict):
    message = "Group Type {name} already exists."


class QosExists(Conflict):
    message = "QoS Specs {name} already exists."


class TypeInUse(BadRequest):
    message = "Volume Type {type_id} deletion is not allowed with volumes present with the type."


class EncryptionInUse(BadRequest):
    message = "Cannot {what} encryption specs. Volume type in use."


class QosInUse(BadRequest):
    message = "QoS Specs {qos_id} is still associated with entities."


class GroupTypeInUse(BadRequest):
    message = "Group Type {group_type_id} deletion is not allowed with groups present with the type."


class AccessExists(Conflict):
    message = "Volume type access for {type_id} / {project_id} combination already exists."


class WrongStatus(BadRequest):
    message = "Invalid volume: Volume status must be {wanted} to {action}, but current status is: {status}."


class Busy(Conflict):
    message = "{what} {id} is being worked on; try again when that is done."


class QuotaExceeded(Fault):
    status, code = 413, "overLimit"
    message = "{code_name}: Requested {what} exceeds allowed {resource} quota. Requested {wanted}, quota is {limit} " \
              "and {used} has been consumed."


class TooLargeVolume(Fault):
    status, code = 413, "overLimit"
    message = "VolumeSizeExceedsLimit: Requested volume size {size}G is larger than maximum allowed limit {limit}G."


class NoPrivateType(NotFound):
    message = "Volume type {type_id} could not be found."


class UsedByServer(Conflict):
    message = "Detach volume from instance {server_id} using the Compute API"
