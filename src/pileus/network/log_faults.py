"""What a client can be told went wrong with logs of packets."""

from pileus.kit.faults import BadRequest, Conflict, NotFound


class LogNotFound(NotFound):
    code, message = "LogResourceNotFound", "Log resource {log_id} could not be found."


class LoggedNotFound(NotFound):
    code, message = "ResourceNotFound", "Resource {resource_id} could not be found."


class TargetNotFound(NotFound):
    code, message = "TargetResourceNotFound", "Target resource {target_id} could not be found."


class LogTypeUnknown(BadRequest):
    code = "InvalidLogResourceType"
    message = "Invalid log resource_type: {resource_type}."


class TargetOutside(Conflict):
    code = "InvalidResourceConstraint"
    message = ("Invalid resource constraint between resource (security_group {resource_id}) and target resource "
               "(port {target_id}).")
