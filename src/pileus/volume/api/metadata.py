"""Metadata of volumes and snapshots: the same six requests for both."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pileus.kit.faults import BadRequest, PreconditionFailed
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Routes, Target
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.snapshots import SNAPSHOT
from pileus.volume.api.values import Metadata
from pileus.volume.api.volumes import VOLUME
from pileus.volume.faults import MetadataNotFound
from pileus.volume.model import snapshots, volumes

routes = Routes()
Change = Callable[..., Awaitable[Any]]


def etag(metadata: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(metadata, order="sorted")).hexdigest()[:32]


def _must_match(ctx: Ctx, metadata: dict[str, str]) -> None:
    """Refuse to write over what the caller has not read."""
    asked = ctx.request.headers.get("if-match")
    if asked is None or ctx.version < versions.ETAGS:
        return
    known = {each.strip().removeprefix("W/").strip('"') for each in asked.split(",")}
    if not known & {"*", etag(metadata)}:
        raise PreconditionFailed(reason="The metadata are not those that the request was made for.")


def _declare(what: str, target: Target, row_of: Callable[[Any], Any], change: Change, rule: str) -> None:
    path = f"/v3/{what}s/{{{what}_id}}/metadata"

    async def write(ctx: Ctx, row: Any, wanted: dict[str, str]) -> dict[str, str]:
        _must_match(ctx, row_of(row).metadata)
        async with ctx.db.write() as tx:
            await change(tx, row_of(row), ctx.clock(), metadata=wanted)
        return wanted

    def one(row: Any, key: str) -> str:
        found = row_of(row).metadata
        if key not in found:
            raise MetadataNotFound(key=key, what=what, id=row.id)
        return found[key]

    @routes.get(path, envelope="metadata", target=target, policy=Rule(rule.format("get"), PROJECT_READER))
    async def show_metadata(ctx: Ctx, row: Any) -> dict[str, str]:
        if ctx.version >= versions.ETAGS:
            ctx.headers["etag"] = f'"{etag(row_of(row).metadata)}"'
        return row_of(row).metadata

    @routes.post(path, envelope="metadata", target=target, status=200,
                 policy=Rule(rule.format("create"), PROJECT_MEMBER))
    async def add_metadata(ctx: Ctx, row: Any, body: Metadata) -> dict[str, str]:
        return await write(ctx, row, row_of(row).metadata | body)

    @routes.put(path, envelope="metadata", target=target, policy=Rule(rule.format("update"), PROJECT_MEMBER))
    async def replace_metadata(ctx: Ctx, row: Any, body: Metadata) -> dict[str, str]:
        return await write(ctx, row, body)

    @routes.get(f"{path}/{{key}}", envelope="meta", target=target, policy=Rule(rule.format("get"), PROJECT_READER))
    async def show_item(ctx: Ctx, row: Any, key: str) -> dict[str, str]:
        return {key: one(row, key)}

    @routes.put(f"{path}/{{key}}", envelope="meta", target=target, policy=Rule(rule.format("update"), PROJECT_MEMBER))
    async def set_item(ctx: Ctx, row: Any, key: str, body: Metadata) -> dict[str, str]:
        if set(body) != {key}:
            raise BadRequest(reason="Request body and URI mismatch")
        await write(ctx, row, row_of(row).metadata | body)
        return body

    @routes.delete(f"{path}/{{key}}", target=target, status=200, policy=Rule(rule.format("delete"), PROJECT_MEMBER))
    async def remove_item(ctx: Ctx, row: Any, key: str) -> None:
        one(row, key)
        await write(ctx, row, {name: value for name, value in row_of(row).metadata.items() if name != key})


_declare("volume", VOLUME, lambda seen: seen.volume, volumes.change, "volume:{}_volume_metadata")
_declare("snapshot", SNAPSHOT, lambda row: row, snapshots.change, "volume:{}_snapshot_metadata")
