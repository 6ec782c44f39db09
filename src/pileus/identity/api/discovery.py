"""Which versions there are, for people, for clients, and as JSON home."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from pileus.identity.api.home import RESOURCES
from pileus.identity.versions import LEDGER, UPDATED
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

HOME = "application/json-home"
routes = Routes()


def _version(ctx: Ctx) -> dict[str, Any]:
    return {"id": f"v{LEDGER.newest}", "status": "stable", "updated": UPDATED,
            "links": [{"rel": "self", "href": f"{ctx.base_url}/v3/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]}


def _json(value: Any, status: int = 200, media: str = "application/json", **headers: str) -> Response:
    return Response(msgspec.json.encode(value), status, headers | {"vary": "X-Auth-Token"}, media)


def _wants_home(ctx: Ctx) -> bool:
    """Whether JSON home was asked for before plain JSON."""
    for part in ctx.request.headers.get("accept", "").split(","):
        kind = part.partition(";")[0].strip()
        if kind in (HOME, "application/json", "*/*"):
            return kind == HOME
    return False


def _home(prefix: str) -> Response:
    found: dict[str, Any] = {}
    for name, path, parameters in RESOURCES:
        relation = f"https://docs.openstack.org/api/openstack-identity/3/{name}"
        if parameters:
            found[relation] = {"href-template": f"{prefix}{path}", "href-vars": {
                p: f"https://docs.openstack.org/api/openstack-identity/3/param/{p}" for p in parameters}}
        else:
            found[relation] = {"href": f"{prefix}{path}"}
    return _json({"resources": found}, media=HOME)


@routes.get("/", policy=None)
async def versions(ctx: Ctx) -> Response:
    if _wants_home(ctx):
        return _home("/v3")
    return _json({"versions": {"values": [_version(ctx)]}}, 300, location=f"{ctx.base_url}/v3/")


@routes.get("/v3", policy=None)
async def version(ctx: Ctx) -> Response:
    return _home("") if _wants_home(ctx) else _json({"version": _version(ctx)})
