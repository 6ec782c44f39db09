"""/, /v2.0 and /v2.0/extensions: what this API is and can."""

from __future__ import annotations

from typing import Any

from pileus.kit.policy import ANYONE, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.extensions import EXTENSIONS

routes = Routes()
RESOURCES = {"network": "networks", "subnet": "subnets", "port": "ports", "router": "routers",
             "floatingip": "floatingips", "security_group": "security-groups",
             "security_group_rule": "security-group-rules", "subnetpool": "subnetpools", "quota": "quotas",
             "agent": "agents", "availability_zone": "availability_zones", "extension": "extensions"}


@routes.get("/", policy=None)
async def list_versions(ctx: Ctx) -> dict[str, Any]:
    return {"versions": [{"id": "v2.0", "status": "CURRENT",
                          "links": [{"rel": "self", "href": f"{ctx.base_url}/v2.0/"}]}]}


@routes.get("/v2.0", policy=None)
async def show_version(ctx: Ctx) -> dict[str, Any]:
    return {"resources": [
        {"name": name, "collection": collection.replace("-", "_"),
         "links": [{"rel": "self", "href": f"{ctx.base_url}/v2.0/{collection}"}]}
        for name, collection in RESOURCES.items()]}


def _shown(alias: str) -> dict[str, Any]:
    name, text = EXTENSIONS[alias]
    return {"name": name, "alias": alias, "description": text, "updated": "2026-01-01T00:00:00-00:00", "links": []}


@routes.get("/v2.0/extensions", envelope="extensions", policy=Rule("get_extensions", ANYONE))
async def list_extensions(ctx: Ctx) -> Page[dict[str, Any]]:
    return Page([_shown(alias) for alias in EXTENSIONS])


@routes.get("/v2.0/extensions/{alias}", envelope="extension", policy=Rule("get_extensions", ANYONE))
async def show_extension(ctx: Ctx, alias: str) -> dict[str, Any]:
    if alias not in EXTENSIONS:
        raise faults.ExtensionNotFound(alias=alias)
    return _shown(alias)
