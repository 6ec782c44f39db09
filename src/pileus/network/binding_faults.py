"""What a client can be told went wrong with bindings of ports."""

from pileus.kit.faults import BadRequest, Conflict, NotFound


class BindingNotFound(NotFound):
    code, message = "PortBindingNotFound", "Binding for port {port_id} for host {host} could not be found."


class BindingExists(Conflict):
    code, message = "PortBindingAlreadyExists", "Binding for port {port_id} on host {host} already exists."


class BindingActive(Conflict):
    code, message = "PortBindingAlreadyActive", "Binding for port {port_id} on host {host} is already active."


class BindingFailed(BadRequest):
    code, message = "PortBindingError", "Binding for port {port_id} on host {host} could not be created or updated."
