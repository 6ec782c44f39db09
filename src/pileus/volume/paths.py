"""Paths of the Block Storage API: the project that may stand in them, and links to what they name."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit.faults import BadRequest, NotFound
from pileus.kit.routes import Route
from pileus.kit.web import Ctx
from pileus.volume.versions import STRICT_BODIES

VERSION = "/v3"
COLLECTIONS = frozenset((
    "volumes", "snapshots", "types", "qos-specs", "attachments", "backups", "os-volume-transfer", "volume-transfers",
    "os-quota-sets", "os-quota-class-sets", "limits", "os-services", "os-hosts", "scheduler-stats", "capabilities",
    "os-availability-zone", "messages", "groups", "group_types", "group_snapshots", "os-volume-manage",
    "os-snapshot-manage", "manageable_volumes", "manageable_snapshots", "default-types", "extensions",
    "resource_filters", "workers", "clusters", "consistencygroups", "cgsnapshots", "pileus"))


class Link(msgspec.Struct, frozen=True):
    rel: str
    href: str


def without_project(ctx: Ctx, path: str) -> str:
    """The path as routes know it; the project named in it is kept to be compared with the caller's."""
    parts = path.split("/", 3)
    if path.endswith("/") and len(parts) == 4 and (parts[3] or parts[2] in COLLECTIONS):
        raise NotFound()                         # the name of nothing, which is not the collection
    if len(parts) == 4 and parts[1] == "v3" and parts[2] not in COLLECTIONS:
        ctx.named_project = parts[2]
        return f"{VERSION}/{parts[3]}"
    return path


def must_match(ctx: Ctx) -> None:
    """A path may name no project but the caller's own. What a request says that nobody asked for is passed over in
    older versions."""
    ctx.strict = ctx.version >= STRICT_BODIES
    if ctx.named_project and ctx.named_project != ctx.caller.project_id:
        raise BadRequest(reason="Malformed request url")


def _root(ctx: Ctx) -> str:
    return f"{ctx.base_url}{VERSION}" + (f"/{ctx.named_project}" if ctx.named_project else "")


def links_to(ctx: Ctx, path: str) -> list[Link]:
    """`path` begins with the collection: volumes/ID."""
    bare = f"{ctx.base_url}/{ctx.named_project}" if ctx.named_project else ctx.base_url
    return [Link("self", f"{_root(ctx)}/{path}"), Link("bookmark", f"{bare}/{path}")]


def page_links(ctx: Ctx, route: Route, next_marker: str | None) -> dict[str, Any]:
    if next_marker is None:
        return {}
    return {f"{route.envelope}_links": [Link("next", ctx.url_with(marker=next_marker, offset=None))]}
