"""Errors a client may see. Raise one anywhere below a route; the service's envelope renders it."""

from __future__ import annotations

from typing import Any, ClassVar


class Fault(Exception):
    """Facts about what went wrong; class attributes say how it looks on the wire."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "computeFault"       # the key or type that clients switch on
    message: ClassVar[str] = "Something broke on our side; the request id leads to the log."

    def __init__(self, **facts: Any):
        self.facts = facts
        self.headers: dict[str, str] = {}
        super().__init__(self.message.format(**facts))


class BadRequest(Fault):
    status, code, message = 400, "badRequest", "{reason}"


class Unauthorized(Fault):
    status, code, message = 401, "unauthorized", "The request you have made requires authentication."


class Forbidden(Fault):
    status, code, message = 403, "forbidden", "{reason}"


class PolicyRefused(Forbidden):
    message = "Policy doesn't allow {rule} to be performed."


class NotFound(Fault):
    status, code, message = 404, "itemNotFound", "The resource could not be found."


class MethodNotAllowed(Fault):
    status, code, message = 405, "badMethod", "The method {method} is not allowed for this resource."


class NotAcceptable(Fault):
    status, code = 406, "computeFault"
    message = ("Version {wanted} is not supported by the API. Minimum is {oldest} and maximum is {newest}.")


class Conflict(Fault):
    status, code, message = 409, "conflictingRequest", "{reason}"


class PreconditionFailed(Fault):
    status, code, message = 412, "preconditionFailed", "{reason}"


class TooLarge(Fault):
    status, code, message = 413, "overLimit", "The request body is larger than {limit_bytes} bytes."


class UnsupportedMedia(Fault):
    status, code, message = 415, "badMediaType", "The content type {found} is not supported; send {wanted}."


class TooMany(Fault):
    status, code, message = 429, "overLimit", "{reason}"


class Unavailable(Fault):
    status, code, message = 503, "serviceUnavailable", "{reason}"


class OutOfSpace(Fault):
    status, code, message = 507, "insufficientStorage", "The disk of the database is full; nothing was changed."
