"""Files that are put into a new guest, until 2.57."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec

from pileus.compute.api.room import limits_of
from pileus.compute.faults import FileContentQuota, FilePathQuota, FilesQuota
from pileus.compute.model.quotas import UNLIMITED
from pileus.kit.faults import BadRequest
from pileus.kit.web import Ctx


class File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    contents: str                         # base64


async def personality_of(ctx: Ctx, files: list[File], project_id: str) -> tuple[dict[str, str], ...] | None:
    """As the server's row keeps them. Raises BadRequest, FilesQuota, FilePathQuota, FileContentQuota."""
    if not files:
        return None
    limits = await limits_of(ctx, project_id)
    for name, largest, refusal in (
            ("injected_files", len(files), FilesQuota),
            ("injected_file_path_bytes", max(len(each.path.encode()) for each in files), FilePathQuota),
            ("injected_file_content_bytes", max(_size(each) for each in files), FileContentQuota)):
        if limits[name] != UNLIMITED and largest > limits[name]:
            raise refusal(limit=limits[name])
    return tuple({"path": each.path, "contents": each.contents} for each in files)


def _size(file: File) -> int:
    """In bytes, once it is decoded."""
    try:
        return len(base64.b64decode(file.contents, validate=True))
    except (binascii.Error, ValueError):
        raise BadRequest(reason=f"Personality content for {file.path} cannot be decoded from base64.") from None
