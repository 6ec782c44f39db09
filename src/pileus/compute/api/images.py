"""Images by way of compute, for clients of before 2.36, and their metadata until 2.39; the image service owns them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import times, versions
from pileus.compute.api.room import must_fit_metadata
from pileus.compute.api.server_create import Metadata
from pileus.compute.api.values import limited
from pileus.compute.faults import ImageNotFound, MetadataNotFound
from pileus.compute.links import Link, links_to
from pileus.image.client import Image, ImageClient
from pileus.kit.client import Refused
from pileus.kit.clock import stamp
from pileus.kit.faults import BadRequest, Forbidden
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx

PROXY, METADATA = until(versions.NO_PROXIES), until(versions.NO_IMAGE_LIMITS)
READ = Rule("os_compute_api:images:get", PROJECT_READER)
DELETE = Rule("os_compute_api:images:delete", PROJECT_MEMBER)
CHANGE = Rule("os_compute_api:image-metadata", PROJECT_MEMBER)
STATUS = {"queued": "SAVING", "saving": "SAVING", "importing": "SAVING", "uploading": "SAVING", "active": "ACTIVE",
          "killed": "ERROR", "deleted": "DELETED", "pending_delete": "DELETED"}
BACK = {"SAVING": "saving", "ACTIVE": "active", "ERROR": "killed", "DELETED": "deleted"}
PROGRESS = {"queued": 25, "saving": 50, "active": 100}
RENAMED = {"name": "name", "server": "instance_uuid", "type": "image_type", "minRam": "min_ram", "minDisk": "min_disk"}
T = TypeVar("T")


class ImageLink(msgspec.Struct, frozen=True):
    rel: str
    href: str
    type: str | UnsetType = UNSET


class ServerOf(msgspec.Struct, kw_only=True):
    id: str
    links: list[Link]


class ImageName(msgspec.Struct, kw_only=True):
    id: str
    name: str | None
    links: list[ImageLink]


class ImageView(ImageName, kw_only=True):
    status: str
    progress: int
    created: str
    updated: str
    min_disk: int = msgspec.field(name="minDisk")
    min_ram: int = msgspec.field(name="minRam")
    size: int | None = msgspec.field(name="OS-EXT-IMG-SIZE:size")
    metadata: dict[str, str]
    server: ServerOf | UnsetType = UNSET
    disk_config: str | UnsetType = msgspec.field(name="OS-DCF:diskConfig", default=UNSET)


def _links(ctx: Ctx, image: Image) -> list[ImageLink]:
    path = f"images/{image.id}"
    where = f"{ctx.origin}/image/v2/{path}"
    return [*(ImageLink(link.rel, link.href) for link in links_to(ctx, path)),
            ImageLink("alternate", where, "application/vnd.openstack.image")]


def name_view(ctx: Ctx, image: Image) -> ImageName:
    return ImageName(id=image.id, name=image.name, links=_links(ctx, image))


def view(ctx: Ctx, image: Image) -> ImageView:
    found = image.properties
    server_id, automatic = found.get("instance_uuid"), found.get("auto_disk_config")
    server: ServerOf | UnsetType = UNSET
    if server_id:
        path = f"servers/{server_id}"
        server = ServerOf(id=server_id, links=links_to(ctx, path))
    return ImageView(
        id=image.id, name=image.name, links=_links(ctx, image), status=STATUS.get(image.status, "UNKNOWN"),
        progress=PROGRESS.get(image.status, 0), created=image.created_at, updated=image.updated_at,
        min_disk=image.min_disk, min_ram=image.min_ram, size=image.size or 0, metadata=dict(found), server=server,
        disk_config=UNSET if automatic is None else "AUTO" if automatic.lower() in ("1", "true", "yes") else "MANUAL")


async def _asked(ctx: Ctx, answer: Awaitable[T], image_id: str = "") -> T:
    """The image service's answer; its refusals in our envelope."""
    try:
        return await answer
    except Refused as error:
        if error.status == 404:
            raise ImageNotFound(image_id=image_id) from error
        if error.status not in (400, 403, 409):
            raise
        raise (Forbidden if error.status == 403 else BadRequest)(reason=error.message) from error


def _client(ctx: Ctx) -> ImageClient:
    return ctx.app.image.as_caller(ctx.caller.token)


def _filters(query: dict[str, list[str]]) -> dict[str, Any]:
    """A list's parameters as the image service has them; what it cannot tell is passed over."""
    one = {key: values[-1] for key, values in query.items()}
    found: dict[str, Any] = {"limit": limited(one.get("limit"))}
    found |= {theirs: one[ours].rpartition("/")[2] if ours == "server" else one[ours]
              for ours, theirs in RENAMED.items() if ours in one}
    found |= {key.removeprefix("property-"): value for key, value in one.items() if key.startswith("property-")}
    if "status" in one:
        found["status"] = BACK.get(one["status"].upper(), one["status"])
    if "changes-since" in one:
        found["updated_at"] = f"gte:{stamp(times.parse(one['changes-since']))}"
    if "marker" in one:
        found["marker"] = one["marker"]
    return found


async def _page(ctx: Ctx, query: dict[str, list[str]]) -> tuple[list[Image], str | None]:
    found, more = await _asked(ctx, _client(ctx).images(**_filters(query)))
    return found, found[-1].id if more and found else None


async def _get(ctx: Ctx, image_id: str) -> Image:
    return await _asked(ctx, _client(ctx).get(image_id), image_id)


routes = Routes()


@routes.get("/v2.1/images", envelope="images", window=PROXY, policy=READ)
async def list_images(ctx: Ctx, query: dict[str, list[str]]) -> Page[ImageName]:
    found, marker = await _page(ctx, query)
    return Page([name_view(ctx, image) for image in found], next_marker=marker)


@routes.get("/v2.1/images/detail", envelope="images", window=PROXY, policy=READ)
async def list_images_in_detail(ctx: Ctx, query: dict[str, list[str]]) -> Page[ImageView]:
    found, marker = await _page(ctx, query)
    return Page([view(ctx, image) for image in found], next_marker=marker)


@routes.get("/v2.1/images/{image_id}", envelope="image", window=PROXY, policy=READ)
async def show_image(ctx: Ctx, image_id: str) -> ImageView:
    return view(ctx, await _get(ctx, image_id))


@routes.delete("/v2.1/images/{image_id}", window=PROXY, policy=DELETE)
async def delete_image(ctx: Ctx, image_id: str) -> None:
    await _asked(ctx, _client(ctx).call("DELETE", f"/v2/images/{image_id}"), image_id)


# -- metadata -----------------------------------------------------------------------------------

ALL, ONE = "/v2.1/images/{image_id}/metadata", "/v2.1/images/{image_id}/metadata/{key}"


async def _set(ctx: Ctx, image_id: str, wanted: dict[str, str]) -> dict[str, str]:
    await must_fit_metadata(ctx, wanted, ctx.caller.project_id or "")
    return (await _asked(ctx, _client(ctx).set_properties(image_id, wanted), image_id)).properties


@routes.get(ALL, envelope="metadata", window=METADATA, policy=READ)
async def list_image_metadata(ctx: Ctx, image_id: str) -> dict[str, str]:
    return (await _get(ctx, image_id)).properties


@routes.put(ALL, envelope="metadata", window=METADATA, policy=CHANGE)
async def replace_image_metadata(ctx: Ctx, image_id: str, body: Metadata) -> dict[str, str]:
    return await _set(ctx, image_id, dict(body))


@routes.post(ALL, envelope="metadata", window=METADATA, policy=CHANGE)
async def add_image_metadata(ctx: Ctx, image_id: str, body: Metadata) -> dict[str, str]:
    return await _set(ctx, image_id, (await _get(ctx, image_id)).properties | body)


@routes.get(ONE, envelope="meta", window=METADATA, policy=READ)
async def show_image_metadata(ctx: Ctx, image_id: str, key: str) -> dict[str, str]:
    found = (await _get(ctx, image_id)).properties
    if key not in found:
        raise MetadataNotFound()
    return {key: found[key]}


@routes.put(ONE, envelope="meta", window=METADATA, policy=CHANGE)
async def set_image_metadata(ctx: Ctx, image_id: str, key: str, body: Metadata) -> dict[str, str]:
    if set(body) != {key}:
        raise BadRequest(reason="Request body and URI mismatch")
    await _set(ctx, image_id, (await _get(ctx, image_id)).properties | body)
    return dict(body)


@routes.delete(ONE, window=METADATA, policy=CHANGE)
async def delete_image_metadata(ctx: Ctx, image_id: str, key: str) -> None:
    found = (await _get(ctx, image_id)).properties
    if key not in found:
        raise MetadataNotFound()
    await _set(ctx, image_id, {name: value for name, value in found.items() if name != key})
