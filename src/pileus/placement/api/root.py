"""The version document, and what every answer of this API has in common."""

from __future__ import annotations

import email.utils
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from pileus.kit import faults as kit_faults
from pileus.kit.ids import is_uuid
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.placement import versions
from pileus.placement.faults import UNDEFINED

LEDGER = versions.LEDGER
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[A-Z0-9_]+$")]
Uuid = Annotated[str, msgspec.Meta(
    pattern="^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$")]
Generation = Annotated[int, msgspec.Meta(ge=0)]


class Link(msgspec.Struct, kw_only=True):
    rel: str
    href: str


routes = Routes()


@routes.get("/", policy=None)
async def show_versions(ctx: Ctx) -> dict[str, Any]:
    return {"versions": [{"id": "v1.0", "min_version": str(LEDGER.oldest), "max_version": str(LEDGER.newest),
                          "status": "CURRENT", "links": [{"rel": "self", "href": ""}]}]}


def mounted(ctx: Ctx, path: str) -> str:
    return f"{ctx.request.scope.get('root_path', '')}{path}"


def must_be_uuid(text: str, name: str) -> None:
    if not is_uuid(text):
        raise kit_faults.BadRequest(reason=f"Invalid {name}: '{text}' is not a UUID")


def http_time(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


def cache_headers(ctx: Ctx) -> dict[str, str]:
    if ctx.version < versions.CACHE_HEADERS or ctx.request.method == "DELETE":
        return {}
    return {"cache-control": "no-cache", "last-modified": http_time(ctx.clock())}


def json_answer(raw: bytes) -> Response:
    return Response(raw, 200, media_type="application/json")


def envelope(ctx: Ctx, fault: kit_faults.Fault) -> tuple[bytes, str]:
    """The API working group's error object."""
    error: dict[str, Any] = {
        "status": fault.status, "title": HTTPStatus(fault.status).phrase, "detail": str(fault),
        "request_id": ctx.request_id}
    if ctx.version >= versions.ERROR_CODES:
        error["code"] = fault.code if fault.code.startswith("placement.") else UNDEFINED
    if isinstance(fault, kit_faults.NotAcceptable):
        error |= {"min_version": str(LEDGER.oldest), "max_version": str(LEDGER.newest)}
    return msgspec.json.encode({"errors": [error]}), "application/json"
