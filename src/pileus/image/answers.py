"""How the Image API answers: images flat as they are, refusals as HTML or JSON by what the client accepts, files."""

from __future__ import annotations

import html
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pileus.image.model.images import Image
from pileus.image.model.members import Member
from pileus.image.model.tasks import Task
from pileus.image.stores.base import Reading
from pileus.kit import faults
from pileus.kit.clock import stamp
from pileus.kit.web import Ctx

BLOCK = 1 << 20
CHECK_EVERY = 16                # blocks between two looks whether the client is still there


def view(image: Image) -> dict[str, Any]:
    """An image as clients see it; its own properties stand beside ours."""
    return {
        **image.properties, "id": image.id, "name": image.name, "status": image.status,
        "visibility": image.visibility, "owner": image.owner, "disk_format": image.disk_format,
        "container_format": image.container_format, "size": image.size, "virtual_size": image.virtual_size,
        "checksum": image.checksum, "os_hash_algo": image.os_hash_algo, "os_hash_value": image.os_hash_value,
        **_stores(image), "min_disk": image.min_disk, "min_ram": image.min_ram, "protected": image.protected,
        "os_hidden": image.os_hidden, "tags": image.tags, "created_at": stamp(image.created_at),
        "updated_at": stamp(image.updated_at), "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file", "schema": "/v2/schemas/image"}


def _stores(image: Image) -> dict[str, str]:
    """Where its bytes are and, once it was imported, which stores an import has yet to reach and could not."""
    found: dict[str, str] = {}
    if image.has_data or image.locations:
        found["stores"] = ",".join(image.found_in)
    if image.importing_to is not None:
        found["os_glance_importing_to_stores"] = ",".join(image.importing_to)
    if image.failed_import is not None:
        found["os_glance_failed_import"] = ",".join(image.failed_import)
    return found


def member_view(member: Member) -> dict[str, Any]:
    return {"image_id": member.image_id, "member_id": member.member_id, "status": member.status,
            "created_at": stamp(member.created_at), "updated_at": stamp(member.updated_at),
            "schema": "/v2/schemas/member"}


def task_view(task: Task) -> dict[str, Any]:
    return {"id": task.id, "type": task.type, "status": task.status, "owner": task.owner, "user_id": task.user_id,
            "image_id": task.image_id, "request_id": task.request_id, "input": task.input, "result": task.result,
            "message": task.message or "", "created_at": stamp(task.created_at),
            "updated_at": stamp(task.updated_at), "self": f"/v2/tasks/{task.id}", "schema": "/v2/schemas/task"}


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def path_with(ctx: Ctx, marker: str | None) -> str:
    """This request's path from `marker` on, without the mount point, which clients add themselves."""
    return ctx.url_with(marker=marker).removeprefix(ctx.base_url)


def envelope(ctx: Ctx, fault: faults.Fault) -> tuple[bytes, str]:
    title = HTTPStatus(fault.status).phrase
    if isinstance(fault, faults.Unauthorized):
        body = {"error": {"code": 401, "title": title, "message": str(fault)}}
        return msgspec.json.encode(body), "application/json"
    accepted = ctx.request.headers.get("accept", "")
    if "text/html" in accepted or ("application/json" not in accepted and "*/*" in accepted):
        text = (f"<html>\n <head>\n  <title>{fault.status} {title}</title>\n </head>\n <body>\n"
                f"  <h1>{fault.status} {title}</h1>\n  {html.escape(str(fault))}<br /><br />\n\n\n\n </body>\n</html>")
        return text.encode(), "text/html; charset=UTF-8"
    if "application/json" in accepted:
        body = {"message": f"{html.escape(str(fault), quote=False)}<br /><br />\n\n\n",
                "code": f"{fault.status} {title}", "title": title}
        return msgspec.json.encode(body), "application/json"
    return f"{fault.status} {title}\n\n{fault}\n\n\n".encode(), "text/plain; charset=UTF-8"


class FileAnswer(Response):
    """Bytes of a content, read and sent piece by piece."""

    def __init__(self, reading: Reading, first: int, length: int, status: int, headers: Mapping[str, str]):
        super().__init__(status_code=status, headers=headers, media_type="application/octet-stream")
        self.headers["content-length"] = str(length)
        self.reading, self.first, self.length = reading, first, length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD" or not self.length:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await self._send(Request(scope, receive), send)
        finally:
            await self.reading.close()

    async def _send(self, request: Request, send: Send) -> None:
        at, end, sent = self.first, self.first + self.length, 0
        while at < end:
            piece = await self.reading.read(at, min(BLOCK, end - at))
            if not piece:                            # the file is shorter than it was: cut the connection, not a lie
                raise OSError(f"content ends at {at}, not {end}")
            at += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": at < end})
            sent += 1
            if sent % CHECK_EVERY == 0 and await request.is_disconnected():
                return
