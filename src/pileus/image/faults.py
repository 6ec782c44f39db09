"""What the image service tells a client that asked for something it cannot have."""

from __future__ import annotations

from pileus.kit import faults


class ImageNotFound(faults.NotFound):
    message = "No image found with ID {image_id}"


class TagNotFound(faults.NotFound):
    message = "Could not find tag {tag}."


class MemberNotFound(faults.NotFound):
    message = "{member_id} not found in the member list of the image {image_id}."


class SchemaNotFound(faults.NotFound):
    message = "No schema is called {name}."


class NamespaceNotFound(faults.NotFound):
    message = "Metadata definition namespace={namespace} was not found."


class NamespaceProtected(faults.Forbidden):
    message = "Metadata definition namespace {namespace} is protected and cannot be deleted."


class DefinitionNotFound(faults.NotFound):
    message = "The metadata definition {kind} with name={name} was not found in namespace={namespace}."


class AssociationNotFound(faults.NotFound):
    message = ("The metadata definition resource-type association of resource-type={name} to namespace={namespace}"
               " was not found.")


class TaskNotFound(faults.NotFound):
    message = "No task found with ID {task_id}"


class StoreNotFound(faults.NotFound):
    message = "Store {store} does not hold image {image_id}."


class BadRequest(faults.BadRequest):
    pass


class Forbidden(faults.Forbidden):
    pass


class ReadOnly(faults.Forbidden):
    message = "Attribute '{name}' is read-only."


class Reserved(faults.Forbidden):
    message = "Attribute '{name}' is reserved."


class Protected(faults.Forbidden):
    message = "Image {image_id} is protected and cannot be deleted."


class Conflict(faults.Conflict):
    pass


class WrongStatus(faults.Conflict):
    message = "Image status transition from {found} to {wanted} is not allowed"


class Gone(faults.Fault):
    status, code = 410, "gone"
    message = "Image {image_id} could not be found after upload. The image may have been deleted during the upload."


class TooBig(faults.Fault):
    status, code, message = 413, "overLimit", "{reason}"


class StorageFull(faults.Fault):
    status, code = 413, "overLimit"
    message = "There is not enough disk space on the image storage media."


class BadRange(faults.Fault):
    status, code, message = 416, "badRange", "The Range {found} cannot be served from {size} bytes."


class BadFormat(faults.BadRequest):
    message = "Image content does not match disk_format '{claimed}': {reason}"
