"""What a client can be told went wrong, in the words of Octavia where clients know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.kit.faults import BadRequest, Conflict, Fault, Forbidden, NotFound, Unauthorized

if TYPE_CHECKING:
    from pileus.kit.web import Ctx


def envelope(ctx: Ctx, fault: Fault) -> tuple[bytes, str]:
    if isinstance(fault, Unauthorized):
        found = {"error": {"code": 401, "title": "Unauthorized", "message": str(fault)}}
    else:
        found = {"faultcode": "Server" if fault.status >= 500 else "Client", "faultstring": str(fault),
                 "debuginfo": None}
    return msgspec.json.encode(found), "application/json"


class Missing(NotFound):
    message = "{what} {id} not found."


class NoSuch(BadRequest):
    """Something that the body refers to."""

    message = "{what} {id} not found."


class Invalid(BadRequest):
    message = "Validation failure: {reason}"


class BadOption(BadRequest):
    message = "{value} is not a valid option for {option}"


class BadRule(BadRequest):
    message = "Error parsing L7Rule: {reason}"


class ProtocolMismatch(BadRequest):
    message = "The pool protocol '{pool}' is invalid while the listener protocol is '{listener}'."


class NoCertificate(BadRequest):
    message = "Could not retrieve certificate: {refs}"


class Unsupported(Fault):
    status, code = 501, "unsupported"
    message = "Provider '{provider}' does not support a requested option: {reason}"


class NoProvider(BadRequest):
    status, code = 501, "unsupported"
    message = "Provider '{provider}' is not enabled."


class Immutable(Conflict):
    message = "{what} {id} is immutable and cannot be updated."


class PortTaken(Conflict):
    message = ("Another Listener on this Load Balancer is already using protocol {protocol} and protocol_port "
               "{port}")


class MemberTaken(Conflict):
    message = "Another member on this pool is already using ip {address} on protocol_port {port}"


class HasMonitor(Conflict):
    message = "This pool already has a health monitor"


class PoolInUse(Conflict):
    message = "Pool {id} is in use by L7 policy {policy}"


class InUse(Conflict):
    message = "{what} {id} is in use and cannot be modified."


class NameTaken(Conflict):
    message = "A {what} of {name} already exists."


class QuotaMet(Forbidden):
    message = "Quota has been met for resources: {resource}"


class NotAllowed(Forbidden):
    message = "Policy does not allow this request to be performed."
