"""Which versions there are. All of them are at /v2: each only added to the one before."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.load_balancer.versions import NEWEST

routes = Routes()
SINCE = "2026-11-28T00:00:00Z"


class VersionView(msgspec.Struct, kw_only=True):
    id: str
    status: str
    updated: str
    links: list[dict[str, str]]


class Versions(msgspec.Struct, kw_only=True):
    versions: list[VersionView]


def _versions(ctx: Ctx) -> Versions:
    links: list[dict[str, Any]] = [{"rel": "self", "href": f"{ctx.base_url}/v2"}]
    return Versions(versions=[VersionView(
        id=f"v2.{minor}", status="CURRENT" if minor == NEWEST else "SUPPORTED", updated=SINCE, links=links)
        for minor in range(NEWEST + 1)])


@routes.get("/", policy=None)
async def list_versions(ctx: Ctx) -> Versions:
    return _versions(ctx)


@routes.get("/v2.0", policy=None)
async def show_version(ctx: Ctx) -> Versions:
    return _versions(ctx)


def as_routes_know_it(ctx: Ctx, path: str) -> str:
    """/v2 and /v2.0 are the same, and so are quotas beside and below /lbaas."""
    first, _, rest = path.lstrip("/").partition("/")
    if first not in ("v2", "v2.0"):
        return path
    if rest == "quotas" or rest.startswith("quotas/"):
        rest = f"lbaas/{rest}"
    return f"/v2.0/{rest}" if rest else "/v2.0"
