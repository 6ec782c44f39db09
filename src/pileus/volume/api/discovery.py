"""Versions of the Block Storage API: what clients ask before anything else."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.volume.versions import LEDGER

routes = Routes()
MEDIA = [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}]


def _version(ctx: Ctx) -> dict[str, Any]:
    described = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"}
    return {"id": "v3.0", "status": "CURRENT", "version": str(LEDGER.newest), "min_version": str(LEDGER.oldest),
            "updated": "2023-08-31T00:00:00Z", "media-types": MEDIA,
            "links": [described, {"rel": "self", "href": f"{ctx.base_url}/v3/"}]}


@routes.get("/", policy=None)
async def list_versions(ctx: Ctx) -> Response:
    return Response(msgspec.json.encode({"versions": [_version(ctx)]}), 300, media_type="application/json")


@routes.get("/v3", policy=None)
async def show_version(ctx: Ctx) -> dict[str, Any]:
    return {"versions": [_version(ctx)]}
