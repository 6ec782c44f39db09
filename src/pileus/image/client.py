"""How compute and the bootstrap speak to the image service."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from pileus.kit.client import Client, Refused

PIECE = 1 << 20


class Image(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str | None
    status: str
    visibility: str
    owner: str | None
    disk_format: str | None
    container_format: str | None
    size: int | None
    virtual_size: int | None
    checksum: str | None
    os_hash_algo: str | None
    os_hash_value: str | None
    min_disk: int
    min_ram: int
    protected: bool
    os_hidden: bool
    tags: list[str]
    created_at: str
    updated_at: str
    properties: dict[str, str] = {}          # everything that is not an attribute of every image

    @property
    def sha512(self) -> str:
        """Empty, where it is not known."""
        return (self.os_hash_value or "") if self.os_hash_algo == "sha512" else ""

    @property
    def is_active(self) -> bool:
        return self.status == "active"


_OURS = {field.name for field in msgspec.structs.fields(Image)} - {"properties"}
_TOLD = {"self", "file", "schema", "stores", "direct_url", "locations", "os_glance_importing_to_stores",
         "os_glance_failed_import"}              # what the service says of the image, and nobody may set


def _image(found: dict[str, Any]) -> Image:
    properties = {name: value for name, value in found.items() if name not in _OURS and name not in _TOLD}
    return msgspec.convert({name: found.get(name) for name in _OURS} | {"properties": properties}, Image)


class ImageClient(Client):
    service: ClassVar[str] = "image"

    async def get(self, image_id: str) -> Image:
        """Raises Refused (404) for an image that is not there, or not the caller's to see."""
        return _image(await self.call("GET", f"/v2/images/{image_id}"))

    async def find(self, image_id: str) -> Image | None:
        found = await self.call("GET", f"/v2/images/{image_id}", expect=(404,))
        return _image(found) if found is not None else None

    async def find_by_name(self, name: str, *, status: str | None = "active") -> Image | None:
        """The newest image of that name."""
        query = {"name": name, "limit": 1} | ({"status": status} if status else {})
        found = (await self.call("GET", "/v2/images", query=query))["images"]
        return _image(found[0]) if found else None

    async def download(self, image_id: str) -> AsyncGenerator[bytes, None]:
        """The content in pieces. Raises Refused before the first one; compare the hash when all is there."""
        headers = await self._all_headers(b"") | {"accept": "application/json, application/octet-stream"}
        async for piece in self.transport.download(f"/v2/images/{image_id}/file", headers):
            yield piece

    async def create(self, name: str, *, disk_format: str | None = "raw", container_format: str | None = "bare",
                     visibility: str = "private", properties: Mapping[str, str] | None = None, **more: Any) -> Image:
        """Register an image that has no content yet. `more`: id, tags, min_disk, min_ram, protected …"""
        body = {"name": name, "disk_format": disk_format, "container_format": container_format,
                "visibility": visibility, **more, **(properties or {})}
        return _image(await self.call("POST", "/v2/images", body))

    async def images(self, **filters: Any) -> tuple[list[Image], bool]:
        """One page, and whether there is a next one."""
        found = await self.call("GET", "/v2/images", query=filters)
        return [_image(each) for each in found["images"]], "next" in found

    async def set_properties(self, image_id: str, wanted: Mapping[str, str]) -> Image:
        """Make these the image's properties; others go."""
        known = (await self.get(image_id)).properties
        steps = [{"op": "remove", "path": _pointer(name)} for name in known if name not in wanted]
        steps += [{"op": "replace" if name in known else "add", "path": _pointer(name), "value": value}
                  for name, value in wanted.items()]
        return await self._patch(image_id, steps)

    async def set_format(self, image_id: str, disk_format: str) -> None:
        """Say what an image without content is going to be."""
        await self._patch(image_id, [{"op": "replace", "path": "/disk_format", "value": disk_format},
                                     {"op": "replace", "path": "/container_format", "value": "bare"}])

    async def _patch(self, image_id: str, steps: list[dict[str, Any]]) -> Image:
        raw = msgspec.json.encode(steps)
        headers = await self._all_headers(raw) | {"content-type": "application/openstack-images-v2.1-json-patch"}
        reply = await self.transport.request("PATCH", f"/v2/images/{image_id}", headers, raw)
        if reply.status >= 400:
            raise Refused(self.service, reply)
        return _image(reply.json())

    async def upload(self, image_id: str, pieces: AsyncIterator[bytes], *, size: int | None = None) -> None:
        headers = await self._all_headers(b"") | {"content-type": "application/octet-stream"}
        if size is not None:
            headers["x-openstack-image-size"] = str(size)
        reply = await self.transport.upload(f"/v2/images/{image_id}/file", headers, pieces)
        if reply.status >= 400:
            raise Refused(self.service, reply)

    async def remove(self, image_id: str) -> None:
        await self.call("DELETE", f"/v2/images/{image_id}", expect=(404,))

    async def ensure_image(self, name: str, path: Path, *, disk_format: str = "raw", visibility: str = "public",
                           properties: Mapping[str, str] | None = None) -> Image:
        """The image of that name with exactly the content of the file; made, if there is none. Others stay."""
        digest, size = await asyncio.to_thread(_digest, path)
        found = (await self.call("GET", "/v2/images", query={
            "name": name, "os_hash_value": digest, "status": "active", "visibility": visibility, "limit": 1}))["images"]
        if found:
            return _image(found[0])
        image = await self.create(name, disk_format=disk_format, visibility=visibility, properties=properties)
        try:
            await self.upload(image.id, pieces_of(path), size=size)
        except BaseException:
            await asyncio.shield(self.remove(image.id))
            raise
        return await self.get(image.id)


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha512").hexdigest(), file.tell()


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
