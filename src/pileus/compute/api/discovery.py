"""Versions of the Compute API: what clients ask before anything else."""

from __future__ import annotations

from typing import Any

from pileus.compute.versions import LEDGER
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
MEDIA = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]
LEGACY_MEDIA = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2"}]
SINCE = "2013-07-23T11:33:21Z"


def _version(ctx: Ctx) -> dict[str, Any]:
    return {"id": "v2.1", "status": "CURRENT", "version": str(LEDGER.newest), "min_version": str(LEDGER.oldest),
            "updated": SINCE, "links": [{"rel": "self", "href": f"{ctx.base_url}/v2.1/"}]}


def _legacy(ctx: Ctx) -> dict[str, Any]:
    """The API of before microversions: the oldest version, with unknown fields passed over."""
    return {"id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": "", "updated": "2011-01-21T11:33:21Z",
            "links": [{"rel": "self", "href": f"{ctx.base_url}/v2/"}]}


def _shown(version: dict[str, Any], media: list[dict[str, str]]) -> dict[str, Any]:
    described = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
    return {"version": version | {"media-types": media, "links": [*version["links"], described]}}


@routes.get("/", policy=None)
async def list_versions(ctx: Ctx) -> dict[str, Any]:
    return {"versions": [_legacy(ctx), _version(ctx)]}


@routes.get("/v2", policy=None)
async def show_legacy_version(ctx: Ctx) -> dict[str, Any]:
    return _shown(_legacy(ctx), LEGACY_MEDIA)


@routes.get("/v2.1", policy=None)
async def show_version(ctx: Ctx) -> dict[str, Any]:
    return _shown(_version(ctx), MEDIA)
