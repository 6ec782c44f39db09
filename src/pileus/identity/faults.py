"""What identity tells a client that asked for something it cannot have."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.kit.faults import BadRequest, Conflict, Fault, Forbidden, NotFound, PolicyRefused, Unauthorized

if TYPE_CHECKING:
    from pileus.kit.web import Ctx


class Missing(NotFound):
    """Base of things that are not there; `id` is what the client called it."""

    message = "Could not find {kind}: {id}."

    def __init__(self, *, kind: str, id: str = ""):
        super().__init__(kind=kind, id=id)


class TokenNotFound(NotFound):
    message = "Could not find token."


class GrantNotFound(NotFound):
    message = "Could not find role assignment with role: {role_id}, user or group: {actor_id}, on {target}."


class Duplicate(Conflict):
    message = "Conflict occurred attempting to store {kind} - {why}"


class Refused(Forbidden):
    message = "{reason}"


class InvalidBody(BadRequest):
    message = "{reason}"


class PasswordExpired(Unauthorized):
    """Told only to those who know the password."""

    message = "The password is expired and needs to be changed for user: {user_id}."


class MoreFactorsNeeded(Unauthorized):
    """Some of what a user has to show was shown; the receipt spares them to show it again."""

    message = "Additional authentications steps required."

    def __init__(self, receipt: str, body: dict[str, Any]):
        super().__init__()
        self.body = body
        self.headers["openstack-auth-receipt"] = receipt


def envelope(ctx: Ctx, fault: Fault) -> tuple[bytes, str]:
    if isinstance(fault, MoreFactorsNeeded):
        return msgspec.json.encode(fault.body), "application/json"
    text = str(fault)
    if isinstance(fault, PolicyRefused):
        text = f"You are not authorized to perform the requested action: {fault.facts['rule']}."
    error = {"code": fault.status, "message": text, "title": HTTPStatus(fault.status).phrase}
    return msgspec.json.encode({"error": error}), "application/json"
