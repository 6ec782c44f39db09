"""Paths of the Compute API: links to a thing itself, to its bookmark without a version, to the next page."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit.faults import NotFound
from pileus.kit.routes import Route
from pileus.kit.web import Ctx

PREFIX = "/v2.1"


class Link(msgspec.Struct, frozen=True):
    rel: str
    href: str


def links_to(ctx: Ctx, path: str) -> list[Link]:
    """`path` begins with the collection: servers/ID."""
    return [Link("self", f"{ctx.base_url}{PREFIX}/{path}"), bookmark(ctx, path)]


def bookmark(ctx: Ctx, path: str) -> Link:
    return Link("bookmark", f"{ctx.base_url}/{path}")


def page_links(ctx: Ctx, route: Route, next_marker: str | None) -> dict[str, Any]:
    if next_marker is None:
        return {}
    key = "links" if route.envelope == "instanceActions" else f"{route.envelope}_links"
    return {key: [Link("next", ctx.url_with(marker=next_marker))]}


def named_path(ctx: Ctx, path: str) -> str:
    """As routes know it. Behind a slash stands the name of a thing, and an empty one is no name."""
    if path.endswith("/") and "/" in path.strip("/"):
        raise NotFound()
    return path
