"""What a client can be told went wrong with trunks."""

from __future__ import annotations

from pileus.kit.faults import BadRequest, Conflict, NotFound


class TrunkNotFound(NotFound):
    code, message = "TrunkNotFound", "Trunk {trunk_id} could not be found."


class SubportNotFound(NotFound):
    code = "SubPortNotFound"
    message = "SubPort on trunk {trunk_id} with parent port {port_id} could not be found."


class PortIsParent(Conflict):
    code = "PortInUseAsTrunkParent"
    message = "Port {port_id} is currently in use as parent port for trunk {trunk_id}."


class PortIsSubport(Conflict):
    code = "PortInUseAsSubPort"
    message = "Port {port_id} is currently in use as a subport for trunk {trunk_id}."


class DuplicateSubport(Conflict):
    code = "DuplicateSubPort"
    message = "segmentation_type {kind} and segmentation_id {number} already in use on trunk {trunk_id}."


class SubportMtuTooBig(Conflict):
    code = "SubPortMtuGreaterThanTrunkPortMtu"
    message = ("MTU {mtu} of subport {port_id} cannot be greater than MTU {most} of trunk {trunk_id}'s parent port.")


class TrunkDisabled(Conflict):
    code, message = "TrunkDisabled", "Trunk {trunk_id} is currently disabled."


class InvalidSegmentation(BadRequest):
    code, message = "InvalidInput", "Invalid input for operation: {reason}."
